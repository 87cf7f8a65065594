//! Tables as `.csv` files, for whoever wants to work on with them. With a BOM, without which Excel takes Chinese for
//! garbage; a cell that a spreadsheet would run as a formula begins with an apostrophe.

use std::borrow::Cow;

use super::{Language, Text};
use crate::domain::audience::Audience;
use crate::domain::ids::{BroadcastId, department_key};
use crate::domain::report::Report;

const BOM: &[u8] = "\u{FEFF}".as_bytes();

pub fn targets_name(broadcast: &BroadcastId) -> Text {
    Text::new(format!("群发 {broadcast} 的目标.csv"), format!("broadcast {broadcast} targets.csv"))
}

pub fn invalid_name(broadcast: &BroadcastId) -> Text {
    Text::new(format!("群发 {broadcast} 的无效 ID.csv"), format!("broadcast {broadcast} invalid ids.csv"))
}

/// The file with every target could not be sent.
pub fn no_targets(broadcast: &BroadcastId, why: &Text) -> Text {
    Text::new(
        format!(
            "群发 {broadcast} 的目标清单文件没有传上来{}\n卡片上只列了一部分目标：请运维人员处理好、由发起人重新发起之后再决定。",
            why.zh
        ),
        format!(
            "The file with all targets of broadcast {broadcast} could not be uploaded{}\nThe card lists only some of them: let the operator mend this and the author propose it anew before you decide.",
            why.en
        ),
    )
}

/// The file with every invalid id could not be sent.
pub fn no_invalid(broadcast: &BroadcastId, why: &Text) -> Text {
    Text::new(
        format!(
            "群发 {broadcast} 的无效 ID 文件没有传上来{}\n处理好之后发送 /status {broadcast}，会再传一次。",
            why.zh
        ),
        format!(
            "The file with the invalid ids of broadcast {broadcast} could not be uploaded{}\nOnce that is mended, /status {broadcast} sends it again.",
            why.en
        ),
    )
}

/// Every target, a row each: kind of id, id, name, line of the author's file, people.
pub fn targets(audience: &Audience, language: Language) -> Vec<u8> {
    let labels = audience.labels();
    let kinds = audience
        .departments
        .iter()
        .map(|department| ("department_id", department.id.as_str()))
        .chain(audience.open_ids.iter().map(|person| ("open_id", person.id.as_str())))
        .chain(audience.user_ids.iter().map(|person| ("user_id", person.id.as_str())))
        .chain(audience.union_ids.iter().map(|person| ("union_id", person.id.as_str())));
    let header = [
        Text::new("类型", "kind"),
        Text::new("ID", "id"),
        Text::new("名称", "name"),
        Text::new("文件行号", "line"),
        Text::new("人数", "people"),
    ];
    let rows = kinds.map(|(kind, id)| {
        let key = if kind == "department_id" { department_key(id) } else { Cow::Borrowed(id) };
        let label = labels.of(&key).unwrap_or_default();
        let number = |number: Option<u64>| number.map_or(String::new(), |number| number.to_string());
        let line = number(label.line.map(u64::from));
        vec![kind.to_owned(), id.to_owned(), label.name.unwrap_or_default(), line, number(label.heads)]
    });
    table(&header, rows, language)
}

/// Every invalid id, a row each: kind of id, id, name, line of the author's file, why it is likely invalid, what to do.
pub fn invalid(report: &Report, language: Language) -> Vec<u8> {
    let header = [
        Text::new("类型", "kind"),
        Text::new("ID", "id"),
        Text::new("名称", "name"),
        Text::new("文件行号", "line"),
        Text::new("可能的原因与处理", "likely reason, and what to do"),
    ];
    let rows = IdKind::ALL.into_iter().flat_map(|kind| {
        kind.of(report).iter().map(move |id| {
            let label = report.labels.get(kind.key(id).as_ref()).cloned().unwrap_or_default();
            let line = label.line.map_or(String::new(), |line| line.to_string());
            let why = kind.why().in_(language).to_owned();
            vec![kind.word().to_owned(), id.clone(), label.name.unwrap_or_default(), line, why]
        })
    });
    table(&header, rows, language)
}

/// The four lists of ids that `batch_send` takes and gives back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdKind {
    Department,
    Open,
    User,
    Union,
}

impl IdKind {
    pub const ALL: [IdKind; 4] = [IdKind::Department, IdKind::Open, IdKind::User, IdKind::Union];

    pub fn word(self) -> &'static str {
        match self {
            IdKind::Department => "department_id",
            IdKind::Open => "open_id",
            IdKind::User => "user_id",
            IdKind::Union => "union_id",
        }
    }

    /// By what an id of this kind is known among all.
    pub fn key(self, id: &str) -> Cow<'_, str> {
        if self == IdKind::Department { department_key(id) } else { Cow::Borrowed(id) }
    }

    /// The invalid ids of this kind.
    pub fn of(self, report: &Report) -> &[String] {
        match self {
            IdKind::Department => &report.invalid.departments,
            IdKind::Open => &report.invalid.open_ids,
            IdKind::User => &report.invalid.user_ids,
            IdKind::Union => &report.invalid.union_ids,
        }
    }

    /// Why such an id is likely invalid, and what to do. Feishu itself says no more than that it is.
    pub fn why(self) -> Text {
        match self {
            IdKind::Department => Text::new(
                "部门不存在、已删除，或不在应用的可用范围内。请核对部门，或在开发者后台把它加入可用范围并发布版本",
                "the department does not exist (any more) or lies outside the app's availability; check it, or add it to the availability in the developer console and publish",
            ),
            IdKind::Open => Text::new(
                "此人已离职、不在应用的可用范围内，或 open_id 属于别的应用。请核对，或在开发者后台加入可用范围并发布版本",
                "the person has left, lies outside the app's availability, or the open_id belongs to another app; check it, or add them to the availability in the developer console and publish",
            ),
            IdKind::User => Text::new(
                "本企业没有这个 user_id，或此人已离职、不在应用的可用范围内。请在管理后台核对",
                "nobody in this company has this user_id, or the person has left or lies outside the app's availability; check it in the admin console",
            ),
            IdKind::Union => Text::new(
                "union_id 属于别的开发者或企业，或此人已离职、不在应用的可用范围内。请核对，或改用此人的 open_id、邮箱或 @ 提及",
                "the union_id belongs to another developer or company, or the person has left or lies outside the app's availability; check it, or name them by open_id, e-mail or mention",
            ),
        }
    }
}

fn table(header: &[Text], rows: impl Iterator<Item = Vec<String>>, language: Language) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(BOM.to_vec());
    let header: Vec<&str> = header.iter().map(|title| title.in_(language)).collect();
    writer.write_record(&header).expect("memory takes every byte");
    for row in rows {
        let cells: Vec<String> = row.into_iter().map(harmless).collect();
        writer.write_record(&cells).expect("rows are as long as their header, and memory takes every byte");
    }
    writer.into_inner().expect("memory takes every byte")
}

/// What a spreadsheet would take for a formula. Source: OWASP, "CSV injection".
fn harmless(cell: String) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{cell}") } else { cell }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::audience::{Label, PersonTarget};
    use crate::domain::batch::InvalidIds;
    use crate::domain::ids::OpenId;

    #[test]
    fn every_invalid_id_has_a_row_with_its_name_its_line_and_what_to_do() {
        let invalid_ids =
            InvalidIds { open_ids: vec!["ou_1".into()], departments: vec!["od-1".into()], ..InvalidIds::default() };
        let mut report = Report { invalid: invalid_ids, ..Report::default() };
        let label = Label { name: Some("=cmd|calc".into()), line: Some(7), heads: None };
        report.labels.insert("ou_1".into(), label);
        let sheet = String::from_utf8(invalid(&report, Language::Zh)).expect("text");
        let lines: Vec<&str> = sheet.trim_start_matches('\u{FEFF}').lines().collect();
        assert_eq!(lines[0], "类型,ID,名称,文件行号,可能的原因与处理");
        assert!(lines[1].starts_with("department_id,od-1,,,部门不存在"));
        assert!(lines[2].starts_with("open_id,ou_1,'=cmd|calc,7,此人已离职"));
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn every_target_has_a_row() {
        let id = OpenId::new("ou_1").expect("a test id");
        let person = PersonTarget { id, name: Some("张三".into()), line: None };
        let audience = Audience::new(vec![], vec![person], vec![], vec![]);
        let sheet = String::from_utf8(targets(&audience, Language::En)).expect("text");
        assert_eq!(sheet, "\u{FEFF}kind,id,name,line,people\r\nopen_id,ou_1,张三,,1\r\n");
    }
}
