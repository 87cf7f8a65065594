//! Lists as people make them. `check` writes what was read down shortly, `refused` expects a file that is not read.

use super::*;

mod headings;
mod hostile;
mod sheets;
mod texts;

pub(super) fn target(target: &Target) -> String {
    match target {
        Target::Name(name) => format!("name={name}"),
        Target::Path(parts) => format!("path={}", parts.join(">")),
        Target::Department(id) => format!("dept={id}"),
        Target::OpenId(id) => format!("open={id}"),
        Target::UnionId(id) => format!("union={id}"),
        Target::UserId(id) => format!("user={id}"),
        Target::Email(address) => format!("mail={address}"),
        Target::Phone(number) => format!("phone={number}"),
        other => panic!("{other:?} in a list"),
    }
}

/// `LINE TARGET (NAME)`, in the end how many were repeats.
pub(super) fn usable(list: &List) -> Vec<String> {
    let row = |row: &Row| {
        let name = row.name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
        format!("{} {}{name}", row.line, target(&row.target))
    };
    let repeated = (list.repeated > 0).then(|| format!("{} repeated", list.repeated));
    list.rows.iter().map(row).chain(repeated).collect()
}

/// `LINE VALUE: WHY`.
pub(super) fn unusable(list: &List) -> Vec<String> {
    list.unusable.iter().map(|row| format!("{} {}: {:?}", row.line, row.value, row.why)).collect()
}

#[track_caller]
pub(super) fn check_bytes(name: &str, bytes: &[u8], expect: &[&str], wrong: &[&str]) {
    let list = read(name, bytes).unwrap_or_else(|fault| panic!("{name}: {fault:?}"));
    assert_eq!(usable(&list), expect, "{name}");
    assert_eq!(unusable(&list), wrong, "{name}");
}

/// A `.csv` of which every row is usable.
#[track_caller]
pub(super) fn check(text: &str, expect: &[&str]) {
    check_bytes("list.csv", text.as_bytes(), expect, &[]);
}

/// A `.csv` with unusable rows.
#[track_caller]
pub(super) fn check_partly(text: &str, expect: &[&str], wrong: &[&str]) {
    check_bytes("list.csv", text.as_bytes(), expect, wrong);
}

#[track_caller]
pub(super) fn refused(name: &str, bytes: &[u8], fault: ListFault) {
    assert_eq!(read(name, bytes), Err(fault), "{name}");
}

pub(super) fn no_column(header: &[&str]) -> ListFault {
    ListFault::NoKnownColumn { header: header.iter().map(|cell| (*cell).to_owned()).collect(), sheet: None }
}
