//! Long lists, and files made to harm: nothing panics, nothing is lost, nothing takes long.

use proptest::prelude::*;

use super::sheets::{book, parts};
use super::*;

/// What must be true of anything that is read.
fn sound(name: &str, bytes: &[u8]) -> Result<(), TestCaseError> {
    let Ok(list) = read(name, bytes) else { return Ok(()) };
    prop_assert!(list.rows.len() + list.unusable.len() + list.repeated <= ROWS_MAX + 5);
    prop_assert!(list.rows.len() + list.unusable.len() > 0);
    prop_assert!(list.rows.is_sorted_by_key(|row| row.line));
    prop_assert!(list.unusable.is_sorted_by_key(|row| row.line));
    for row in &list.rows {
        prop_assert!(row.line > 0);
        let only_in_command = matches!(row.target, Target::Everyone | Target::File | Target::Mention { .. });
        prop_assert!(!only_in_command, "{row:?}");
    }
    prop_assert!(list.unusable.iter().all(|row| row.line > 0 && row.value.chars().count() <= 24));
    Ok(())
}

fn valid() -> Vec<Vec<u8>> {
    vec![
        "姓名,手机号,部门\n张三,13800138000,销售部\n\"李,四\",,\n".into(),
        "ou_1\r\n销售部\r\n华东/销售部\r\nli@corp.cn\r\n".into(),
        encoding_rs::GBK.encode("邮箱;备注\nli@corp.cn;\"a\nb\"\n").0.into_owned(),
        book(
            r#"<row r="1"><c r="A1" t="s"><v>0</v></c></row><row r="2" hidden="1"><c t="s"><v>1</v></c></row><row><c><v>13800138000</v></c></row>"#,
        ),
    ]
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        sound("list.csv", &bytes)?;
        sound("list.txt", &bytes)?;
    }

    #[test]
    fn any_text_is_read_or_refused(text in "([a-z_@.0-9，。\"',;|\t\r\n]|ou_1|\n|部门|open_id|\u{feff}|\\PC){0,60}") {
        sound("list.csv", text.as_bytes())?;
        sound("list.txt", text.as_bytes())?;
    }

    #[test]
    fn spoilt_files_are_read_or_refused(
        which in 0..4_usize,
        cuts in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>(), 0..4_u8), 1..6),
    ) {
        let mut bytes = valid().swap_remove(which);
        for (at, byte, how) in cuts {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => drop(bytes.remove(at)),
                _ => bytes.truncate(at),
            }
        }
        sound("list.csv", &bytes)?;
    }

    #[test]
    fn spoilt_parts_of_a_workbook_are_read_or_refused(
        which in 0..5_usize,
        at in any::<proptest::sample::Index>(),
        piece in r#"(<c r="[A-Z]{1,5}[0-9]{0,9}" t="[a-z]{0,3}">|<v>[0-9.eE+-]{1,12}</v>|</?[a-z]{1,4}/?>|&[a-z#0-9]{0,8};|"|>|<row r="[0-9]{1,11}">|\PC){1,4}"#,
    ) {
        let mut parts = parts(r#"<row r="1"><c r="A1" t="s"><v>0</v></c></row><row><c t="s"><v>1</v></c></row>"#);
        let text = &mut parts[which].1;
        let mut at = at.index(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        text.insert_str(at, &piece);
        let parts: Vec<(&str, &str)> = parts.iter().map(|(name, content)| (*name, content.as_str())).collect();
        sound("list.xlsx", &super::sheets::package(&parts, zip::CompressionMethod::Stored))?;
    }
}

#[test]
fn as_many_rows_as_are_allowed_and_no_more() {
    let numbers = |count: usize| (0..count).map(|i| format!("{},张三\n", 13_000_000_000 + i)).collect::<String>();
    let list = read("list.csv", format!("手机号,姓名\n{}", numbers(ROWS_MAX)).as_bytes()).expect("just enough");
    assert_eq!((list.rows.len(), list.rows[ROWS_MAX - 1].line), (ROWS_MAX, 100_001));
    let more = format!("手机号,姓名\n{}", numbers(ROWS_MAX + 7));
    refused("list.csv", more.as_bytes(), ListFault::TooManyRows { rows: ROWS_MAX + 7 });
}

#[test]
fn a_sheet_of_many_rows_is_read_or_counted() {
    let sheet = |count: usize| {
        let rows = (0..count).map(|i| format!("<row><c><v>{}</v></c></row>", 13_000_000_000 + i));
        book(&rows.collect::<String>())
    };
    assert_eq!(read("list.xlsx", &sheet(1000)).expect("a list").rows.len(), 1000);
    refused("list.xlsx", &sheet(ROWS_MAX + 1), ListFault::TooManyRows { rows: ROWS_MAX + 1 });
    // Rows that are only formatted are none.
    let blank = format!("<row><c><v>13800138000</v></c></row>{}", "<row><c/></row>".repeat(ROWS_MAX + 1));
    assert_eq!(read("list.xlsx", &book(&blank)).expect("one row").rows.len(), 1);
}

#[test]
fn what_is_too_large_is_not_looked_at() {
    refused("list.csv", &vec![b'\n'; BYTES_MAX + 1], ListFault::TooLarge);
    refused("list.csv", &vec![b'\n'; 1000], ListFault::Empty);
}

#[test]
fn a_flood_of_anything_takes_no_time() {
    let began = std::time::Instant::now();
    let floods =
        [",", "\"", "\n", "\r", ";", "|", "\t", "<", "(", "a", " ", "'", "ou_1\n", "\"\n", "=\"", "，", "_x", "a,"];
    for flood in floods.map(|letter| letter.repeat(60_000)) {
        let _ = read("list.csv", flood.as_bytes());
        let _ = read("list.txt", format!("open_id{flood}").as_bytes());
        let _ = read("list.csv", format!("open_id\n{flood}").as_bytes());
    }
    // Anything quadratic takes minutes.
    assert!(began.elapsed() < std::time::Duration::from_secs(60), "it took {:?}", began.elapsed());
    refused("list.csv", "x,".repeat(20_000).as_bytes(), ListFault::NotATable { looks: Looks::Binary });
}
