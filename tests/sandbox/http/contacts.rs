//! People, and how far the app may look.

use serde_json::{Value, json};

use super::super::people::Employee;
use super::super::world::World;
use super::{Ask, Caller, Reply};

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

fn card_of(person: &Employee) -> Value {
    json!({"open_id": person.open_id, "union_id": person.union_id, "name": person.name, "en_name": "",
        "department_ids": person.departments,
        "status": {"is_frozen": false, "is_resigned": person.resigned, "is_activated": true, "is_exited": false, "is_unjoin": false}})
}

/// `users/:user_id`
pub fn user(world: &mut World, ask: &Ask) -> Reply {
    let kind = ask.query("user_id_type");
    let found = world.company.people.iter().find(|person| id_of(person, kind) == ask.params[0]);
    match found {
        None if ask.params[0].starts_with("ou_") || kind.is_none() => {
            Reply::fail(400, 99_992_351, "not a valid open_id")
        }
        None => Reply::fail(400, 41_012, "user id invalid"),
        Some(person) if ask.caller == Caller::App && !in_range(world, person) => {
            Reply::fail(400, 41_050, "no user authority error")
        }
        Some(person) => Reply::ok(json!({"user": card_of(person)})),
    }
}

/// `users/find_by_department`: direct members only.
pub fn find_by_department(world: &mut World, ask: &Ask) -> Reply {
    let Some(id) = ask.query("department_id") else {
        return Reply::fail(400, 40_001, "department_id is missing");
    };
    let size = ask.query("page_size").unwrap_or("10").parse::<usize>().unwrap_or(0);
    if !(1..=50).contains(&size) {
        return Reply::fail(400, 40_011, "page_size is out of range");
    }
    let everybody = world.app.contact_range.is_none();
    let inside = match world.company.department_by_id(id) {
        _ if id == "0" && (everybody || ask.caller != Caller::App) => None,
        Some(department) if world.in_range(&department.open_department_id) => {
            Some(department.open_department_id.clone())
        }
        Some(_) => return Reply::fail(403, 40_004, "no department authority"),
        None if id == "0" => return Reply::fail(403, 40_004, "no department authority"),
        None => return Reply::fail(400, 40_015, "no such department"),
    };
    let direct = |p: &&Employee| {
        !p.resigned && inside.as_ref().map_or_else(|| p.departments.is_empty(), |id| p.departments.contains(id))
    };
    let from: usize = ask.query("page_token").and_then(|token| token.parse().ok()).unwrap_or(0);
    let all: Vec<Value> = world.company.people.iter().filter(direct).map(card_of).collect();
    let items: Vec<&Value> = all.iter().skip(from).take(size).collect();
    let next = from + items.len();
    let mut data = json!({"items": items, "has_more": next < all.len()});
    if next < all.len() {
        data["page_token"] = next.to_string().into();
    }
    Reply::ok(data)
}

fn strings<'a>(ask: &'a Ask, key: &str) -> Vec<&'a str> {
    ask.json.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

/// `users/batch_get_id`: an address without `user_id` was not found, or may not be.
pub fn batch_get_id(world: &mut World, ask: &Ask) -> Reply {
    let (emails, mobiles) = (strings(ask, "emails"), strings(ask, "mobiles"));
    if emails.len() > 50 || mobiles.len() > 50 || (emails.is_empty() && mobiles.is_empty()) {
        return Reply::fail(400, 40_001, "1 to 50 emails or mobiles");
    }
    let resigned_too = ask.json["include_resigned"] == true;
    let kind = ask.query("user_id_type");
    let find = |fits: &dyn Fn(&Employee) -> bool| {
        let people = world.company.people.iter();
        let person = people.filter(|p| fits(p) && in_range(world, p)).find(|p| resigned_too || !p.resigned);
        person.map(|person| id_of(person, kind))
    };
    let mut list = vec![];
    let mut add = |key: &str, given: &str, found: Option<String>| {
        let mut entry = json!({key: given});
        if let Some(id) = found {
            entry["user_id"] = id.into();
        }
        list.push(entry);
    };
    for email in emails {
        add("email", email, find(&|p| p.email.eq_ignore_ascii_case(email)));
    }
    for mobile in mobiles {
        let bare = mobile.trim_start_matches("+86");
        add("mobile", mobile, find(&|p| p.mobile == bare));
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
