//! Files that lie ready for people who want to try a list of targets: people of this company, one of them twice, and two
//! rows that lead nowhere.

use rust_xlsxwriter::{Workbook, XlsxError};

use crate::sandbox::Company;

/// People of the list; whoever is not in the company any more is left out.
const LISTED: [&str; 6] = ["陈晨", "白露", "孙宁", "石磊", "钱多多", "沈秘书"];

/// Who stands in the list a second time.
const TWICE: &str = "白露";

/// An address that nobody has, and one that is none.
const NOBODY: [&str; 2] = ["nobody@example.com", "zhang#example.com"];

/// A list of this kind (`csv` or `xlsx`): its name and bytes. `None` for any other kind.
pub fn list(company: &Company, kind: &str, english: bool) -> Option<(String, Vec<u8>)> {
    let rows = rows(company, english);
    let bytes = match kind {
        "csv" => csv(&rows),
        "xlsx" => xlsx(&rows).expect("a few short rows fit into a sheet"),
        _ => return None,
    };
    let name = if english { "sample-list" } else { "示例名单" };
    Some((format!("{name}.{kind}"), bytes))
}

/// Headings, then name, e-mail and phone. Every other person has only one of the two.
fn rows(company: &Company, english: bool) -> Vec<[String; 3]> {
    let headings = if english { ["name", "email", "mobile"] } else { ["姓名", "邮箱", "手机号"] };
    let staff = LISTED.iter().chain([&TWICE]).filter_map(|name| company.people.iter().find(|p| p.name == **name));
    let mut rows = vec![headings.map(str::to_owned)];
    rows.extend(staff.enumerate().map(|(at, person)| match at % 3 {
        0 => [person.name.clone(), person.email.clone(), String::new()],
        1 => [person.name.clone(), person.email.clone(), person.mobile.clone()],
        _ => [person.name.clone(), String::new(), person.mobile.clone()],
    }));
    let names = if english { ["Nobody", "A slip"] } else { ["查无此人", "手误"] };
    rows.extend(names.iter().zip(NOBODY).map(|(name, mail)| [(*name).to_owned(), mail.to_owned(), String::new()]));
    rows
}

/// As Excel writes it: with a byte order mark, and CR LF.
fn csv(rows: &[[String; 3]]) -> Vec<u8> {
    let lines: String = rows.iter().map(|row| format!("{}\r\n", row.join(","))).collect();
    format!("\u{feff}{lines}").into_bytes()
}

fn xlsx(rows: &[[String; 3]]) -> Result<Vec<u8>, XlsxError> {
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    for (at, row) in (0..).zip(rows) {
        sheet.write_row(at, 0, row.iter().map(String::as_str))?;
    }
    book.save_to_buffer()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_names_somebody_twice_and_nobody_twice() {
        let company = Company::playground();
        let (name, bytes) = list(&company, "csv", false).expect("there is one");
        let text = String::from_utf8(bytes).expect("is UTF-8");
        assert_eq!((name.as_str(), text.lines().count()), ("示例名单.csv", 10));
        let mail = &company.named(TWICE).email;
        assert_eq!(text.matches(mail.as_str()).count(), 2, "{text}");
        assert!(NOBODY.iter().all(|mail| text.contains(mail) && company.people.iter().all(|p| p.email != *mail)));
        let (name, bytes) = list(&company, "xlsx", true).expect("there is one");
        assert!(name == "sample-list.xlsx" && bytes.starts_with(b"PK"));
        assert!(list(&company, "exe", false).is_none());
    }
}
