//! Departments: the search that only a person's token opens, and the listings.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::people::Department;
use super::super::world::World;
use super::{Ask, Caller, Reply};

/// Scopes that show every field.
pub const BROAD: [&str; 3] =
    ["contact:contact:access_as_app", "contact:contact:readonly", "contact:contact:readonly_as_app"];

/// How long a page token stays good.
const PAGE_LIFE_MS: i64 = 600_000;

/// The scopes of whoever asks.
pub fn held(world: &World, ask: &Ask) -> BTreeSet<String> {
    match &ask.caller {
        Caller::User(_, scopes) => scopes.clone(),
        _ => world.app.tenant_scopes.clone(),
    }
}

/// Whether the caller may see a department: a person by the organisation chart, the app by its range.
fn sees(world: &World, ask: &Ask, department: &Department) -> bool {
    match &ask.caller {
        Caller::User(open_id, _) => world.company.visible_to(&department.open_department_id, world.employee(open_id)),
        _ => world.in_range(&department.open_department_id),
    }
}

/// A department as this caller's scopes show it; a field without its scope is absent.
fn item(world: &World, ask: &Ask, department: &Department) -> Value {
    let scopes = held(world, ask);
    let broad = BROAD.iter().any(|scope| scopes.contains(*scope));
    let mut item = json!({"open_department_id": department.open_department_id});
    if broad || scopes.contains("contact:department.base:readonly") {
        item["name"] = department.name.clone().into();
        item["i18n_name"] = json!({"zh_cn": department.name, "en_us": "", "ja_jp": ""});
        item["department_id"] = department.department_id.clone().into();
        item["status"] = json!({"is_deleted": department.deleted});
    }
    if broad || scopes.contains("contact:department.organize:readonly") {
        let parent = world.company.department_by_id(&department.parent);
        let by_custom_id = ask.query("department_id_type") == Some("department_id");
        item["parent_department_id"] = match parent {
            Some(parent) if by_custom_id => parent.department_id.clone().into(),
            Some(parent) => parent.open_department_id.clone().into(),
            None => "0".into(),
        };
        let members = world.company.members(&department.open_department_id);
        let counted = world.switches.claims_headcount.unwrap_or(members.len() as u64);
        item["member_count"] = counted.into();
        item["primary_member_count"] = members.len().into();
        item["order"] = "2000".into();
        item["leaders"] = json!([]);
    }
    item
}

/// Cuts one page out of a list that was fixed when the first page was asked for.
///
/// # Errors
/// A page token that is unknown or too old.
pub fn page(world: &mut World, ask: &Ask, all: Vec<usize>, default: usize) -> Result<(Vec<usize>, Option<String>), ()> {
    let size = ask.query("page_size").map_or(Ok(default), |size| size.parse().map_err(|_| ()))?;
    let size = size.min(world.switches.page_at_most).max(1);
    let now = world.now();
    let mut rest = match ask.query("page_token").filter(|token| !token.is_empty()) {
        None => all,
        Some(token) => {
            let (rest, expires_ms) = world.pages.get(token).cloned().ok_or(())?;
            if expires_ms <= now {
                return Err(());
            }
            rest
        }
    };
    if rest.len() <= size {
        return Ok((rest, None));
    }
    let later = rest.split_off(size);
    let token = world.fresh_id("");
    world.pages.insert(token.clone(), (later, now + PAGE_LIFE_MS));
    Ok((rest, Some(token)))
}

fn listing(world: &World, ask: &Ask, (page, token): (Vec<usize>, Option<String>)) -> Reply {
    let items: Vec<Value> = page.iter().map(|at| item(world, ask, &world.company.departments[*at])).collect();
    let mut data = json!({"items": items, "has_more": token.is_some()});
    if let Some(token) = token {
        data["page_token"] = token.into();
    }
    Reply::ok(data)
}

/// Whether `page_size` is none of 1 to `most`.
pub fn size_beyond(ask: &Ask, most: usize) -> bool {
    ask.query("page_size").is_some_and(|size| !size.parse::<usize>().is_ok_and(|size| (1..=most).contains(&size)))
}

/// `departments/search`: the name alone is searched, anywhere in it, among what this person may see.
pub fn search(world: &mut World, ask: &Ask) -> Reply {
    let query = ask.text("query");
    if query.is_empty() || size_beyond(ask, 50) {
        return Reply::fail(400, 48_001, "request parameter is invalid");
    }
    let departments = &world.company.departments;
    let fits = |d: &Department| !d.deleted && d.name.contains(query) && sees(world, ask, d);
    let found = (0..departments.len()).filter(|at| fits(&departments[*at])).collect();
    match page(world, ask, found, 20) {
        Ok(found) => listing(world, ask, found),
        Err(()) => Reply::fail(400, 48_001, "page_token is invalid"),
    }
}

/// Finds a department as `department_id_type` says the id is to be read.
///
/// # Errors
/// The reply for an id of the other kind, or of nothing.
pub fn named_by(world: &World, ask: &Ask, id: &str) -> Result<usize, Reply> {
    let custom = match ask.query("department_id_type") {
        Some("department_id") => true,
        Some("open_department_id") | None => false,
        Some(_) => return Err(Reply::fail(400, 40_001, "department_id_type is invalid")),
    };
    if custom == id.starts_with("od-") {
        return Err(Reply::fail(400, 99_992_357, "the department id does not fit department_id_type"));
    }
    let living = |d: &Department| !d.deleted && id == if custom { &d.department_id } else { &d.open_department_id };
    world.company.departments.iter().position(living).ok_or_else(|| Reply::fail(400, 40_015, "no such department"))
}

/// `departments/:id`
pub fn get(world: &mut World, ask: &Ask) -> Reply {
    if ask.params[0] == "0" {
        return Reply::fail(400, 40_002, "the root department is not supported");
    }
    match named_by(world, ask, &ask.params[0]) {
        Err(reply) => reply,
        Ok(at) => {
            let department = &world.company.departments[at];
            if !sees(world, ask, department) {
                return Reply::fail(403, 40_004, "no department authority");
            }
            Reply::ok(json!({"department": item(world, ask, department)}))
        }
    }
}

/// `departments/batch`: what is unknown or out of sight is silently missing.
pub fn batch(world: &mut World, ask: &Ask) -> Reply {
    let ids: Vec<&str> =
        ask.query.iter().filter(|(key, _)| key == "department_ids").map(|(_, id)| id.as_str()).collect();
    if ids.is_empty() || ids.len() > 50 {
        return Reply::fail(400, 40_001, "1 to 50 department_ids");
    }
    let mut items = vec![];
    for id in ids {
        match named_by(world, ask, id) {
            Ok(at) if sees(world, ask, &world.company.departments[at]) => {
                items.push(item(world, ask, &world.company.departments[at]));
            }
            Err(reply) if reply.json["code"] != 40_015 => return reply,
            _ => {}
        }
    }
    Reply::ok(json!({"items": items}))
}

/// `departments/:id/children`
pub fn children(world: &mut World, ask: &Ask) -> Reply {
    if size_beyond(ask, 50) {
        return Reply::fail(400, 40_011, "page_size is out of range");
    }
    let root = ask.params[0] == "0";
    let top = if root {
        if ask.caller == Caller::App && world.app.contact_range.is_some() {
            return Reply::fail(403, 40_004, "no department authority");
        }
        "0".to_owned()
    } else {
        match named_by(world, ask, &ask.params[0]) {
            Err(reply) => return reply,
            Ok(at) if !sees(world, ask, &world.company.departments[at]) => {
                return Reply::fail(403, 40_004, "no department authority");
            }
            Ok(at) => world.company.departments[at].open_department_id.clone(),
        }
    };
    let deep = ask.query("fetch_child").is_some_and(|deep| deep.eq_ignore_ascii_case("true"));
    let departments = &world.company.departments;
    let below = |d: &Department| {
        let under = if deep { world.company.within(&d.parent, &top) } else { d.parent == top };
        !d.deleted && under && sees(world, ask, d)
    };
    let found = (0..departments.len()).filter(|at| below(&departments[*at])).collect();
    match page(world, ask, found, 10) {
        Ok(found) => listing(world, ask, found),
        Err(()) => Reply::fail(400, 40_012, "page_token is invalid"),
    }
}

/// `departments/parent`: from the nearest to the topmost, cut where the caller sees no further.
pub fn parent(world: &mut World, ask: &Ask) -> Reply {
    if size_beyond(ask, 50) {
        return Reply::fail(400, 40_011, "page_size is out of range");
    }
    let Some(id) = ask.query("department_id") else {
        return Reply::fail(400, 44_102, "department_id is missing");
    };
    let at = match named_by(world, ask, id) {
        Ok(at) => at,
        Err(reply) => return reply,
    };
    let departments = &world.company.departments;
    if !sees(world, ask, &departments[at]) {
        return Reply::fail(403, 40_004, "no department authority");
    }
    let chain = world.company.upward(&departments[at].open_department_id);
    let seen = chain.into_iter().skip(1).take_while(|d| sees(world, ask, d));
    let found =
        seen.filter_map(|d| departments.iter().position(|other| other.open_department_id == d.open_department_id));
    let found: Vec<usize> = found.collect();
    match page(world, ask, found, 20) {
        Ok(found) => listing(world, ask, found),
        Err(()) => Reply::fail(400, 40_012, "page_token is invalid"),
    }
}
