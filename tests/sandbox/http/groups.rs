//! User groups: who is in one, people or departments, never both in one answer.

use serde_json::{Value, json};

use super::super::world::World;
use super::departments::{page, size_beyond};
use super::{Ask, Reply, gate};

/// `group/:group_id/member/simplelist`
pub fn members(world: &mut World, ask: &Ask) -> Reply {
    if size_beyond(ask, 100) {
        return Reply::fail(400, 40_011, "page size is invalid");
    }
    let departments = match ask.query("member_type") {
        None | Some("user") => false,
        Some("department") => true,
        Some(_) => return Reply::fail(400, 41_074, "invalid member_type"),
    };
    let kind = match ask.query("member_id_type") {
        None => "open_id",
        Some(kind @ ("open_id" | "union_id" | "user_id" | "department_id")) => kind,
        Some(_) => return Reply::fail(400, 41_071, "invalid member_id_type"),
    };
    if departments != (kind == "department_id") && kind != "open_id" {
        return Reply::fail(400, 41_072, "member_type not match member_id_type");
    }
    if kind == "user_id"
        && let Some(refusal) = gate::lacks_scope(world, &ask.caller, &["contact:user.employee_id:readonly"])
    {
        return refusal;
    }
    let Some(group) = world.company.user_groups.iter().find(|group| group.id == ask.params[0]).cloned() else {
        return Reply::fail(400, 42_002, "invalid group_id");
    };
    // Only an app that sees all members sees groups that nobody put into its range.
    if world.app.contact_range.is_some() {
        return Reply::fail(403, 42_009, "no user group authority error");
    }
    let ids: Vec<String> = if departments {
        let found = group.departments.iter().filter_map(|id| world.company.department_by_id(id));
        found.map(|d| if kind == "open_id" { d.open_department_id.clone() } else { d.department_id.clone() }).collect()
    } else {
        let found = group.members.iter().filter_map(|id| world.company.by_open_id(id)).filter(|p| !p.resigned);
        let id = |p: &super::super::people::Employee| match kind {
            "union_id" => p.union_id.clone(),
            "user_id" => p.user_id.clone(),
            _ => p.open_id.clone(),
        };
        found.map(id).collect()
    };
    let Ok((found, token)) = page(world, ask, (0..ids.len()).collect(), 50) else {
        return Reply::fail(400, 40_012, "page token is invalid error");
    };
    let word = if departments { "department" } else { "user" };
    // `member_id_type` is named among the fields, and said not to come.
    let list: Vec<Value> = found.iter().map(|at| json!({"member_id": ids[*at], "member_type": word})).collect();
    let mut data = json!({"memberlist": list, "has_more": token.is_some()});
    if let Some(token) = token {
        data["page_token"] = token.into();
    }
    Reply::ok(data)
}
