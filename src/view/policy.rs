//! What the rules allow, and which of them stopped something: the rule by its name and line, what was wrong, and what
//! would be allowed.

use std::time::Duration;

use super::{Text, agree, count, duration};
use crate::domain::audience::DepartmentTarget;
use crate::domain::broadcast::Broadcast;
use crate::domain::ids::OpenId;
use crate::domain::policy::{Authors, Kind, Place, Policy, Refusal, Strayed, Tier};
use crate::domain::quiet::QuietHours;

/// The rule, as people find it in the file.
fn rule(place: &Place) -> Text {
    let line = place.line;
    match &place.name {
        Some(name) => Text::new(format!("规则「{name}」（第 {line} 行）"), format!("rule “{name}” (line {line})")),
        None => Text::new(format!("规则（第 {line} 行）"), format!("the rule of line {line}")),
    }
}

fn kind(kind: Kind) -> Text {
    let (zh, en) = match kind {
        Kind::Departments => ("部门（名称、路径、od-…）", "departments (name, path, od-…)"),
        Kind::People => ("人（@ 提及、ou_…、on_…）", "people (mentions, ou_…, on_…)"),
        Kind::Addresses => ("邮箱和手机号", "e-mail addresses and phone numbers"),
        Kind::Files => ("名单文件", "lists in files"),
        Kind::Custom => ("企业自定义 ID（dept:…、user:…）", "custom ids (dept:…, user:…)"),
    };
    Text::new(zh, en)
}

fn kinds(all: impl IntoIterator<Item = Kind>) -> Text {
    let all: Vec<Text> = all.into_iter().map(kind).collect();
    let joined = |pick: fn(&Text) -> &str, by: &str| all.iter().map(pick).collect::<Vec<_>>().join(by);
    Text::new(joined(|text| &text.zh, "、"), joined(|text| &text.en, ", "))
}

/// Departments, one a line, with the id by which rules name them.
fn departments(departments: &[DepartmentTarget]) -> Vec<Text> {
    let line = |department: &DepartmentTarget| match department.path.is_empty() {
        true => Text::same(format!("• {}", department.id)),
        false => Text::same(format!("• {} {}", department.full_path(), department.id)),
    };
    departments.iter().map(line).collect()
}

/// Why an author may not propose that. `bounds` are the departments that the rule allows, where they were looked up.
pub fn refused(refusal: &Refusal, bounds: &[DepartmentTarget]) -> Text {
    match refusal {
        Refusal::Kind { rule: place, allowed, .. } if allowed.is_empty() => {
            let rule = rule(place);
            Text::new(
                format!("{}不允许你发起群发，没有发起。需要的话请联系机器人的负责人。", rule.zh),
                format!(
                    "By {} you may not author broadcasts; nothing was proposed. Ask whoever runs this bot.",
                    rule.en
                ),
            )
        }
        Refusal::Kind { rule: place, kind: wrong, allowed } => {
            let (rule, wrong, allowed) = (rule(place), kind(*wrong), kinds(allowed.iter().copied()));
            Text::new(
                format!("{}不允许你这样写收件人：{}。没有发起群发。\n你可以写：{}", rule.zh, wrong.zh, allowed.zh),
                format!(
                    "By {} you may not name targets as {}; nothing was proposed.\nYou may name: {}",
                    rule.en, wrong.en, allowed.en
                ),
            )
        }
        Refusal::Outside { rule: place, strayed, total, allowed } => {
            let rule = rule(place);
            let mut lines = vec![Text::new(
                format!("没有发起群发：{}不允许你发给", rule.zh),
                format!("Nothing was proposed: by {} you may not address", rule.en),
            )];
            lines.extend(strayed.iter().map(self::strayed));
            if *total > strayed.len() {
                lines.push(super::text::and_more(total - strayed.len()));
            }
            lines.push(Text::new("只可以发给这些部门及其下级：", "Only these departments and those below them:"));
            match bounds {
                [] => lines.extend(allowed.iter().map(|id| Text::same(format!("• {id}")))),
                known => lines.extend(departments(known)),
            }
            Text::lines(&lines)
        }
        Refusal::PerDay { rule: place, used, most } => {
            let rule = rule(place);
            Text::new(
                format!(
                    "{}：你每天最多发起 {most} 次群发，今天已经 {used} 次（取消、驳回、过期的不算）。没有发起群发，明天 0 点以后可以再发。",
                    rule.zh
                ),
                format!(
                    "By {} you may propose {} a day and have proposed {used} today (cancelled, rejected and expired ones do not count); nothing was proposed. Try again after midnight.",
                    rule.en,
                    count(*most, "broadcast")
                ),
            )
        }
        Refusal::TooFewApprovers { required, possible, tier } => too_few_approvers(*required, *possible, *tier),
    }
}

fn strayed(strayed: &Strayed) -> Text {
    match strayed.elsewhere {
        true => Text::same(format!("• {}", strayed.shown)),
        false => Text::new(
            format!("• {}（查不到属于哪个部门，按规则不能发）", strayed.shown),
            format!("• {} (where it belongs could not be told, so the rule forbids it)", strayed.shown),
        ),
    }
}

fn too_few_approvers(required: u32, possible: usize, tier: Option<Tier>) -> Text {
    let by = match tier {
        Some(Tier { line, .. }) => {
            Text::new(format!("POLICY_FILE 第 {line} 行"), format!("line {line} of the POLICY_FILE"))
        }
        None => Text::same("APPROVALS_REQUIRED".to_owned()),
    };
    Text::new(
        format!(
            "需要 {required} 位审批人，但除你之外只有 {possible} 位，这条群发永远无法通过，所以没有发起。请运维人员调整 BROADCAST_APPROVERS 或 {}。",
            by.zh
        ),
        format!(
            "This needs {}, but besides you there {} only {possible}, so it could never be approved and was not proposed. Ask the operator to change BROADCAST_APPROVERS or {}.",
            count(required, "approver"),
            agree(possible, "is", "are"),
            by.en
        ),
    )
}

/// People of a size, as a range.
fn range(above: u64, up_to: Option<u64>) -> Text {
    match (above, up_to) {
        (0, None) => Text::new("任何人数", "any number of people"),
        (0, Some(most)) => Text::new(format!("{most} 人以内"), format!("up to {}", count(most, "person"))),
        (above, Some(most)) => {
            Text::new(format!("{}–{most} 人", above + 1), format!("{} to {}", above + 1, count(most, "person")))
        }
        (above, None) => Text::new(
            format!("超过 {above} 人，或人数未知"),
            format!("more than {}, or an unknown number", count(above, "person")),
        ),
    }
}

/// What the file asks of a broadcast for its size; none where the settings alone decide.
pub fn tier(broadcast: &Broadcast) -> Option<Text> {
    let Tier { line, above, up_to } = broadcast.terms.tier?;
    let (range, needs) = (range(above, up_to), needs(broadcast.terms.approvals, broadcast.terms.type_headcount, false));
    let rest = match broadcast.terms.cooling_off_ms {
        0 => Text::default(),
        ms => {
            let long = duration(Duration::from_millis(ms));
            Text::new(
                format!("；通过后等 {}再发，可以叫停", long.zh),
                format!("; it rests for {} before it leaves", long.en),
            )
        }
    };
    let wave = match broadcast.wave {
        None => Text::default(),
        Some(wave) => Text::new(
            format!("；先发给 {} 人，送达正常再发其余", wave.people),
            format!("; {} first, the rest once it has reached them", count(wave.people, "person")),
        ),
    };
    Some(Text::new(
        format!("规则（第 {line} 行，{}）：{}{}{}", range.zh, needs.zh, rest.zh, wave.zh),
        format!("Rule of line {line} ({}): {}{}{}", range.en, needs.en, rest.en, wave.en),
    ))
}

/// To the author of a broadcast that waits for its approvals: what it takes by rules that have become stricter, of which
/// `possible` people could give one; `None` where a list of them was not read yet.
pub fn tightened(broadcast: &Broadcast, possible: Option<usize>) -> Text {
    let (id, terms, required) = (&broadcast.id, &broadcast.terms, broadcast.required);
    let mut needs = needs(required, terms.type_headcount, true);
    if terms.cooling_off_ms > 0 {
        let long = duration(Duration::from_millis(terms.cooling_off_ms));
        needs.zh.push_str(&format!("，通过后等 {}再发", long.zh));
        needs.en.push_str(&format!(", then a rest of {}", long.en));
    }
    let mut said = Text::new(
        format!("群发 {id} 还没有通过，而审批规则变严了，现在需要：{}。", needs.zh),
        format!("Broadcast {id} is not approved yet and the rules have become stricter; it needs: {}.", needs.en),
    );
    let too_few = possible.filter(|possible| usize::try_from(required).is_ok_and(|required| *possible < required));
    if let Some(possible) = too_few {
        said.zh.push_str(&format!("除你之外只有 {possible} 位审批人，所以它无法通过：请取消，或联系机器人的负责人。"));
        said.en.push_str(&format!(
            " Besides you only {possible} could approve, so it cannot be approved: cancel it, or ask whoever runs this bot."
        ));
    } else if required > 0 {
        said.zh.push_str("要审批的人都有它的卡片，已有的通过仍然有效。");
        said.en.push_str(" Whoever has to approve has its card, and approvals so far still count.");
    }
    said
}

/// What the author is told where approvers have gone and too few are left.
pub fn too_few_left(broadcast: &Broadcast, possible: usize) -> Text {
    let (id, required) = (&broadcast.id, broadcast.required);
    Text::new(
        format!(
            "群发 {id} 现在无法通过：需要 {required} 人审批，而除你之外只剩 {possible} 位审批人。请取消，或联系机器人的负责人。"
        ),
        format!(
            "Broadcast {id} cannot be approved any more: it needs {}, and besides you only {} left. Cancel it, or ask whoever runs this bot.",
            count(required, "approval"),
            format_args!("{} {}", count(possible, "approver"), agree(possible, "is", "are")),
        ),
    )
}

fn needs(approvals: u32, type_headcount: bool, to_author: bool) -> Text {
    let mut said = match (approvals, to_author) {
        (0, true) => Text::new("你自己确认", "you confirm alone"),
        (0, false) => Text::new("发起人自己确认", "its author confirms alone"),
        (some, _) => Text::new(format!("{some} 人审批"), count(some, "approval")),
    };
    if type_headcount {
        said.zh.push_str("，并输入人数");
        said.en.push_str(", typing the headcount");
    }
    said
}

/// What a person is told of the rules about themselves.
pub struct Yours<'a> {
    pub policy: &'a Policy,
    pub person: &'a OpenId,
    /// The departments that they may address, and those for which they approve, as people know them.
    pub bounds: &'a [DepartmentTarget],
    pub approves: &'a [DepartmentTarget],
    /// Broadcasts of today, where there is a limit.
    pub used: Option<u64>,
    /// Why the rules are not those of the file as it is now.
    pub trouble: Option<&'a str>,
}

/// What this person may author, and how many approvals which size needs.
pub fn yours(yours: &Yours<'_>) -> Text {
    let roles = yours.policy.roles(yours.person);
    let mut lines = Vec::new();
    if roles.admin {
        lines.extend(may_author(yours));
        lines.push(sizes(yours.policy));
        lines.extend(yours.policy.quiet().map(quiet));
    }
    if !yours.approves.is_empty() {
        lines.push(Text::new(
            "可以审批：完全在其中一个部门之内的群发",
            "You approve broadcasts that stay inside one of",
        ));
        lines.extend(departments(yours.approves));
    }
    if let (Some(trouble), true) = (yours.trouble, roles.admin) {
        lines.push(Text::new(
            format!("⚠️ 规则文件现在有误，仍按之前的规则：{trouble}"),
            format!("⚠️ The policy file is wrong as it is now, and the rules before it stay in force: {trouble}"),
        ));
    }
    Text::lines(&lines)
}

fn may_author(yours: &Yours<'_>) -> Vec<Text> {
    let Some(own) = yours.policy.author_rule(yours.person) else {
        let everyone = match yours.policy.may_address_everyone(yours.person) {
            true => Text::new("，包括全员", ", and everyone"),
            false => Text::new("（全员除外）", " (but not everyone)"),
        };
        return vec![Text::new(
            format!("可以发给：所有部门和人{}", everyone.zh),
            format!("You may address: all departments and people{}", everyone.en),
        )];
    };
    let place = rule(&own.place);
    if own.kinds.is_empty() {
        return vec![Text::new(
            format!("可以发给：谁也不可以，按{}", place.zh),
            format!("You may address: nobody, by {}", place.en),
        )];
    }
    let others = match own.who {
        Authors::Others => Text::new("（适用于其他所有管理员）", " (for all other admins)"),
        Authors::These(_) => Text::default(),
    };
    let may = kinds(own.kinds.iter().copied());
    let mut lines = vec![Text::new(
        format!("可以发给：{}，按{}{}", may.zh, place.zh, others.zh),
        format!("You may address: {}, by {}{}", may.en, place.en, others.en),
    )];
    if yours.policy.may_address_everyone(yours.person) {
        lines.push(Text::new("部门不限，包括全员", "Any department, and everyone"));
    } else if !yours.bounds.is_empty() {
        lines.push(Text::new("只限这些部门及其下级：", "Only these departments and those below them:"));
        lines.extend(departments(yours.bounds));
    }
    if let (Some(most), Some(used)) = (own.per_day, yours.used) {
        lines.push(Text::new(
            format!("每天最多 {most} 次，今天已用 {used} 次"),
            format!("At most {} a day, {used} of them used today", count(most, "broadcast")),
        ));
    }
    lines
}

fn sizes(policy: &Policy) -> Text {
    let mut above = 0;
    let mut parts = Vec::new();
    for size in &policy.rules().sizes {
        let (range, mut needs) = (range(above, size.up_to), needs(size.approvals, size.type_headcount, true));
        if size.cooling_off_ms > 0 {
            let rest = duration(Duration::from_millis(size.cooling_off_ms));
            needs.zh.push_str(&format!("，通过后等 {}再发，其间可以叫停", rest.zh));
            needs.en.push_str(&format!(", then {} in which it can be stopped", rest.en));
        }
        if size.canary.is_some() {
            needs.zh.push_str("，先发一小部分");
            needs.en.push_str(", a small part first");
        }
        parts.push(Text::new(format!("{}：{}", range.zh, needs.zh), format!("{}: {}", range.en, needs.en)));
        above = size.up_to.unwrap_or(above);
    }
    if parts.is_empty() {
        parts.push(needs(policy.approvals_required(), false, true));
    }
    let joined = |pick: fn(&Text) -> &str, by: &str| parts.iter().map(pick).collect::<Vec<_>>().join(by);
    Text::new(
        format!("审批：{}", joined(|text| &text.zh, "；")),
        format!("Approval: {}", joined(|text| &text.en, "; ")),
    )
}

/// When nothing leaves.
fn quiet(hours: &QuietHours) -> Text {
    const DAYS: [(&str, &str); 7] =
        [("一", "Mon"), ("二", "Tue"), ("三", "Wed"), ("四", "Thu"), ("五", "Fri"), ("六", "Sat"), ("日", "Sun")];
    let windows = hours.windows().iter().map(|window| {
        let times = format!("{}–{}", window.from, window.to);
        if window.days.len() == DAYS.len() {
            return Text::new(format!("每天 {times}"), format!("{times} every day"));
        }
        let days = window.days.iter().filter_map(|day| DAYS.get(usize::try_from(day.to_monday_zero_offset()).ok()?));
        let (zh, en): (Vec<&str>, Vec<&str>) = days.copied().unzip();
        Text::new(format!("周{} {times}", zh.join("、")), format!("{times} on {}", en.join(", ")))
    });
    let (zh, en): (Vec<String>, Vec<String>) = windows.map(|text| (text.zh, text.en)).unzip();
    Text::new(
        format!("免打扰时段（不发送）：{}", zh.join("；")),
        format!("Quiet hours (nothing is sent): {}", en.join("; ")),
    )
}

/// What whoever approves is asked to type. Short: on a phone an input shows little more than thirty letters.
pub fn headcount_placeholder(known: bool) -> Text {
    match known {
        true => Text::new("请输入卡片上的总人数", "Type the headcount shown above"),
        false => Text::new("人数未知：请输入部门的个数", "Type the number of departments"),
    }
}

/// Another number was typed, or none.
pub fn wrong_headcount(typed: Option<u64>) -> Text {
    match typed {
        Some(typed) => Text::new(
            format!("{typed} 不是卡片上的人数，没有通过。请核对范围再输入。"),
            format!(
                "{typed} is not the headcount on the card; nothing was approved. Check the audience and type it again."
            ),
        ),
        None => Text::new(
            "通过之前要输入卡片上的人数（只写数字），没有通过。",
            "Type the headcount shown on the card, digits only, to approve; nothing was approved.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_typed_is_read_in_full_on_a_phone() {
        for known in [true, false] {
            let said = headcount_placeholder(known);
            assert!(said.en.chars().count() <= 32 && said.zh.chars().count() <= 16, "{said:?}");
        }
    }
}
