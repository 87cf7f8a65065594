//! People, and how far the app may look.

use serde_json::{Value, json};

use super::super::faults::UnknownPeople;
use super::super::people::Employee;
use super::super::world::World;
use super::departments::{BROAD, held, named_by, page, size_beyond};
use super::{Ask, Caller, Reply, gate};

/// Whether the app's contact range holds a person.
fn in_range(world: &World, person: &Employee) -> bool {
    world.app.contact_range.is_none() || person.departments.iter().any(|id| world.in_range(id))
}

fn id_of(person: &Employee, kind: Option<&str>) -> String {
    match kind {
        Some("union_id") => person.union_id.clone(),
        Some("user_id") => person.user_id.clone(),
        _ => person.open_id.clone(),
    }
}

/// The refusal of an id kind that does not exist, or that the caller may not use.
fn wrong_kind(world: &mut World, ask: &Ask) -> Option<Reply> {
    match ask.query("user_id_type") {
        None | Some("open_id" | "union_id") => None,
        Some("user_id") => gate::lacks_scope(world, &ask.caller, &["contact:user.employee_id:readonly"]),
        Some(_) => Some(Reply::fail(400, 40_001, "user_id_type is invalid")),
    }
}

/// People as this caller's scopes show them; a field without its scope is absent.
fn cards_of(world: &mut World, ask: &Ask, people: &[Employee]) -> Vec<Value> {
    // The page does not say what somebody directly under the root is in.
    let root: &[&str] = if world.chance(2) { &["0"] } else { &[] };
    people.iter().map(|person| card_of(world, ask, person, root)).collect()
}

fn card_of(world: &World, ask: &Ask, person: &Employee, root: &[&str]) -> Value {
    let scopes = held(world, ask);
    let broad = BROAD.iter().any(|scope| scopes.contains(*scope));
    let mut card = json!({"open_id": person.open_id, "union_id": person.union_id, "mobile_visible": true});
    if scopes.contains("contact:user.employee_id:readonly") {
        card["user_id"] = person.user_id.clone().into();
    }
    if broad || scopes.contains("contact:user.base:readonly") {
        card["name"] = person.name.clone().into();
        card["en_name"] = "".into();
    }
    if broad || scopes.contains("contact:user.department:readonly") {
        let by_custom_id = ask.query("department_id_type") == Some("department_id");
        let named = |id: &String| match world.company.department_by_id(id) {
            Some(department) if by_custom_id => department.department_id.clone(),
            _ => id.clone(),
        };
        let departments: Vec<String> = person.departments.iter().map(named).collect();
        card["department_ids"] = if departments.is_empty() { json!(root) } else { json!(departments) };
    }
    if broad || scopes.contains("contact:user.employee:readonly") {
        card["status"] = status_of(person);
    }
    card
}

fn status_of(person: &Employee) -> Value {
    json!({"is_frozen": false, "is_resigned": person.resigned, "is_activated": true, "is_exited": false,
        "is_unjoin": false})
}

/// The refusal of an id that nobody has: the endpoint's own code, or the gateway's for this kind of id.
fn nobody(world: &mut World, kind: Option<&str>) -> Reply {
    if world.chance(2) {
        return Reply::fail(400, 41_012, "user id is invalid error");
    }
    let codes = match kind {
        Some("union_id") => [99_992_363, 99_992_364],
        Some("user_id") => [99_992_359, 99_992_360],
        _ => [99_992_351, 99_992_351],
    };
    Reply::fail(400, codes[usize::from(world.chance(2))], "these ids not existed")
}

/// `users/:user_id`
pub fn user(world: &mut World, ask: &Ask) -> Reply {
    if let Some(refusal) = wrong_kind(world, ask) {
        return refusal;
    }
    let kind = ask.query("user_id_type");
    let Some(person) = world.company.people.iter().find(|person| id_of(person, kind) == ask.params[0]).cloned() else {
        return nobody(world, kind);
    };
    if ask.caller == Caller::App && !in_range(world, &person) {
        return Reply::fail(400, 41_050, "no user authority error");
    }
    let card = cards_of(world, ask, &[person]).remove(0);
    Reply::ok(json!({"user": card}))
}

/// `users/batch`: who is out of sight is missing. The page says nothing of who does not exist.
pub fn batch(world: &mut World, ask: &Ask) -> Reply {
    if let Some(refusal) = wrong_kind(world, ask) {
        return refusal;
    }
    let ids: Vec<&str> = ask.query.iter().filter(|(key, _)| key == "user_ids").map(|(_, id)| id.as_str()).collect();
    if ids.is_empty() || ids.len() > 50 {
        return Reply::fail(400, 40_001, "1 to 50 user_ids");
    }
    let kind = ask.query("user_id_type");
    let exists = |id: &str| world.company.people.iter().any(|person| id_of(person, kind) == id);
    if world.switches.unknown_people == UnknownPeople::Refused && !ids.iter().all(|id| exists(id)) {
        return nobody(world, kind);
    }
    let people = world.company.people.iter();
    let people = people.filter(|person| ids.contains(&id_of(person, kind).as_str()));
    let people: Vec<Employee> =
        people.filter(|person| ask.caller != Caller::App || in_range(world, person)).cloned().collect();
    let items = cards_of(world, ask, &people);
    Reply::ok(json!({"items": items}))
}

/// `users/find_by_department`: direct members only.
pub fn find_by_department(world: &mut World, ask: &Ask) -> Reply {
    if let Some(refusal) = wrong_kind(world, ask) {
        return refusal;
    }
    let Some(id) = ask.query("department_id") else {
        return Reply::fail(400, 40_001, "department_id is missing");
    };
    if size_beyond(ask, 50) {
        return Reply::fail(400, 40_011, "page_size is out of range");
    }
    let inside = if id == "0" {
        if ask.caller == Caller::App && world.app.contact_range.is_some() {
            return Reply::fail(403, 40_004, "no department authority");
        }
        None
    } else {
        match named_by(world, ask, id) {
            Err(reply) => return reply,
            Ok(at) => Some(world.company.departments[at].open_department_id.clone()),
        }
    };
    if inside.as_ref().is_some_and(|id| !world.in_range(id)) {
        return Reply::fail(403, 40_004, "no department authority");
    }
    let people = &world.company.people;
    let direct = |p: &Employee| {
        !p.resigned && inside.as_ref().map_or_else(|| p.departments.is_empty(), |id| p.departments.contains(id))
    };
    let found = (0..people.len()).filter(|at| direct(&people[*at])).collect();
    let Ok((found, token)) = page(world, ask, found, 10) else {
        return Reply::fail(400, 40_012, "page_token is invalid");
    };
    let found: Vec<Employee> = found.iter().map(|at| world.company.people[*at].clone()).collect();
    let mut data = json!({"items": cards_of(world, ask, &found), "has_more": token.is_some()});
    if let Some(token) = token {
        data["page_token"] = token.into();
    }
    Reply::ok(data)
}

fn strings<'a>(ask: &'a Ask, key: &str) -> Vec<&'a str> {
    ask.json.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

/// `users/batch_get_id`: an address without `user_id` was not found, or may not be.
pub fn batch_get_id(world: &mut World, ask: &Ask) -> Reply {
    if let Some(refusal) = wrong_kind(world, ask) {
        return refusal;
    }
    let (emails, mobiles) = (strings(ask, "emails"), strings(ask, "mobiles"));
    if emails.len() > 50 || mobiles.len() > 50 || (emails.is_empty() && mobiles.is_empty()) {
        return Reply::fail(400, 40_001, "1 to 50 emails or mobiles");
    }
    let resigned_too = ask.json["include_resigned"] == true;
    let kind = ask.query("user_id_type");
    // How an address comes back is not said: as it was written, or as the platform keeps it.
    let as_kept = world.chance(2);
    let scopes = held(world, ask);
    let with_status = ["contact:user.employee:readonly"].iter().chain(&BROAD).any(|scope| scopes.contains(*scope));
    let mut list = vec![];
    let mut add = |key: &str, given: &str, kept: &dyn Fn(&Employee) -> String, fits: &dyn Fn(&Employee) -> bool| {
        let people = world.company.people.iter();
        let person = people.filter(|p| fits(p) && in_range(world, p)).find(|p| resigned_too || !p.resigned);
        let mut entry = json!({key: given});
        if let Some(person) = person {
            entry["user_id"] = id_of(person, kind).into();
            if as_kept {
                entry[key] = kept(person).into();
            }
            if with_status {
                entry["status"] = status_of(person);
            }
        }
        list.push(entry);
    };
    for mobile in mobiles {
        let bare = mobile.strip_prefix("+86").unwrap_or(mobile);
        add("mobile", mobile, &|p| format!("+86{}", p.mobile), &|p| p.mobile == bare);
    }
    for email in emails {
        add("email", email, &|p| p.email.clone(), &|p| p.email.eq_ignore_ascii_case(email));
    }
    Reply::ok(json!({"user_list": list}))
}

/// `users/basic_batch`: names, whatever the contact range.
pub fn basic_batch(world: &mut World, ask: &Ask) -> Reply {
    let ids = strings(ask, "user_ids");
    if ids.is_empty() || ids.len() > 10 {
        return Reply::fail(400, 40_001, "1 to 10 user_ids");
    }
    let kind = ask.query("user_id_type");
    let people = world.company.people.iter().filter(|p| ids.contains(&id_of(p, kind).as_str()));
    let users: Vec<Value> =
        people.map(|p| json!({"user_id": id_of(p, kind), "name": p.name, "i18n_name": {"zh_cn": p.name}})).collect();
    Reply::ok(json!({"users": users}))
}

/// `contact/v3/scopes`: the contact range, people first.
pub fn scopes(world: &mut World, ask: &Ask) -> Reply {
    let size = ask.query("page_size").unwrap_or("50").parse::<usize>().unwrap_or(0);
    if !(1..=100).contains(&size) {
        return Reply::fail(400, 40_011, "page_size is out of range");
    }
    let top = world.company.departments.iter().filter(|d| !d.deleted && d.parent == "0");
    let departments =
        world.app.contact_range.clone().unwrap_or_else(|| top.map(|d| d.open_department_id.clone()).collect());
    let rooted = world.company.people.iter().filter(|p| p.departments.is_empty());
    let people: Vec<String> = match &world.app.contact_range {
        None => rooted.map(|p| p.open_id.clone()).collect(),
        Some(_) => vec![],
    };
    let from: usize = ask.query("page_token").and_then(|token| token.parse().ok()).unwrap_or(0);
    let all: Vec<(bool, String)> =
        people.into_iter().map(|id| (true, id)).chain(departments.into_iter().map(|id| (false, id))).collect();
    let pick = |person: bool| -> Vec<&String> {
        all.iter().skip(from).take(size).filter(|(is_person, _)| *is_person == person).map(|(_, id)| id).collect()
    };
    let next = (from + size).min(all.len());
    let mut data =
        json!({"user_ids": pick(true), "department_ids": pick(false), "group_ids": [], "has_more": next < all.len()});
    if next < all.len() {
        data["page_token"] = next.to_string().into();
    }
    Reply::ok(data)
}
