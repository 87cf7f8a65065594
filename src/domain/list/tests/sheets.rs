//! Workbooks, written by another program's library, and by hand where no program would write them so.

use std::io::{Cursor, Write};

use rust_xlsxwriter::{ExcelDateTime, Format, Workbook, Worksheet};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::*;

/// A workbook of one sheet.
fn workbook(fill: impl FnOnce(&mut Worksheet)) -> Vec<u8> {
    let mut book = Workbook::new();
    fill(book.add_worksheet());
    book.save_to_buffer().expect("it fits into memory")
}

/// A sheet with these texts, from the first row on.
fn fill(sheet: &mut Worksheet, rows: &[&[&str]]) {
    for (row, cells) in (0..).zip(rows) {
        for (column, cell) in (0..).zip(*cells) {
            sheet.write_string(row, column, *cell).expect("within the sheet");
        }
    }
}

#[track_caller]
fn check_book(bytes: &[u8], expect: &[&str], wrong: &[&str]) {
    check_bytes("list.xlsx", bytes, expect, wrong);
}

/// A package of these parts.
pub(super) fn package(parts: &[(&str, &str)], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(vec![]));
    for (name, content) in parts {
        zip.start_file(*name, SimpleFileOptions::default().compression_method(method)).expect("a part begins");
        zip.write_all(content.as_bytes()).expect("it fits into memory");
    }
    zip.finish().expect("it fits into memory").into_inner()
}

/// The parts of a workbook whose only sheet has this inside of its `sheetData`.
pub(super) fn parts(sheet_data: &str) -> Vec<(&'static str, String)> {
    let kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    vec![
        (
            "_rels/.rels",
            format!(r#"<Relationships><Relationship Id="r1" Type="{kind}/officeDocument" Target="xl/workbook.xml"/></Relationships>"#),
        ),
        (
            "xl/_rels/workbook.xml.rels",
            format!(r#"<Relationships><Relationship Id="r1" Type="{kind}/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="r2" Type="{kind}/sharedStrings" Target="sharedStrings.xml"/></Relationships>"#),
        ),
        ("xl/workbook.xml", r#"<workbook><sheets><sheet name="名单" r:id="r1"/></sheets></workbook>"#.to_owned()),
        (
            "xl/sharedStrings.xml",
            r#"<sst count="9" uniqueCount="18446744073709551615"><si><t>open_id</t></si><si><r><t>ou</t></r><r><t xml:space="preserve">_1</t></r><rPh><t>x</t></rPh></si><si/></sst>"#.to_owned(),
        ),
        (
            "xl/worksheets/sheet1.xml",
            format!(r#"<worksheet><dimension ref="A1:XFD1048576"/><sheetData>{sheet_data}</sheetData></worksheet>"#),
        ),
    ]
}

/// A workbook with such a sheet.
pub(super) fn book(sheet_data: &str) -> Vec<u8> {
    let parts = parts(sheet_data);
    let parts: Vec<(&str, &str)> = parts.iter().map(|(name, content)| (*name, content.as_str())).collect();
    package(&parts, CompressionMethod::Stored)
}

#[test]
fn a_table_in_a_sheet_is_read_with_the_numbers_of_its_rows() {
    let bytes = workbook(|sheet| {
        fill(sheet, &[&[], &["姓名", "open_id", "备注"], &["张三", "ou_1"], &[], &["", "x"], &["", "", "离职"]]);
        sheet.set_name("名单").expect("a name");
    });
    check_book(&bytes, &["3 open=ou_1 (张三)"], &["5 x: Not(OpenId)", "6 离职: NothingKnown"]);
    assert_eq!(read("list.csv", &bytes).expect("whatever its name").sheet.as_deref(), Some("名单"));
}

#[test]
fn numbers_come_out_as_their_digits() {
    let bytes = workbook(|sheet| {
        let grouped = Format::new().set_num_format("000-0000-0000\" 号\"");
        fill(sheet, &[&["手机号", "user_id"]]);
        sheet.write_number(1, 0, 13_800_138_000_f64).expect("a cell");
        sheet.write_number_with_format(2, 0, 13_800_138_001_f64, &grouped).expect("a cell");
        sheet.write_number(3, 1, 10_086_f64).expect("a cell");
        sheet.write_number(4, 1, 123_456_789_012_345_680_f64).expect("a cell");
        sheet.write_number(5, 0, 1.5).expect("a cell");
    });
    let wrong = ["5 1234567890123456…: Rounded", "6 1.5: Not(Mobile)"];
    let list = read("list.xlsx", &bytes).expect("a table");
    assert_eq!(usable(&list), ["2 phone=13800138000", "3 phone=13800138001", "4 user=10086"]);
    assert_eq!(list.unusable.len(), wrong.len());
    assert_eq!(list.unusable[0].why, RowFault::Rounded);
    assert_eq!(unusable(&list)[1], wrong[1]);
    assert!(
        read("x", &book(r#"<row><c><v>1.3800138E10</v></c></row>"#))
            .is_ok_and(|list| { usable(&list) == ["1 phone=13800138000"] })
    );
}

#[test]
fn dates_truth_and_errors_are_no_targets() {
    let bytes = workbook(|sheet| {
        let day = Format::new().set_num_format("yyyy\"年\"m\"月\"d\"日\"");
        let date = ExcelDateTime::from_ymd(2026, 12, 1).expect("a day");
        fill(sheet, &[&["手机号"]]);
        sheet.write_datetime_with_format(1, 0, &date, &day).expect("a cell");
        sheet.write_boolean(2, 0, true).expect("a cell");
        sheet.write_formula(3, 0, rust_xlsxwriter::Formula::new("=1/0").set_result("#DIV/0!")).expect("a cell");
        sheet.write_formula(4, 0, rust_xlsxwriter::Formula::new("=A6").set_result("13800138000")).expect("a cell");
        // Shown as ########: too large for a day.
        sheet.write_number_with_format(5, 0, 13_800_138_001_f64, &day).expect("a cell");
    });
    let wrong = ["2 2026-12-01: Date", "3 TRUE: NoText", "4 #DIV/0!: NoText"];
    check_book(&bytes, &["5 phone=13800138000", "6 phone=13800138001"], &wrong);
    check_book(
        &book(
            r#"<row><c><f>A2</f></c></row><row><c t="d"><v>2026-12-01</v></c></row><row><c t="inlineStr"><is><t>ou_1</t></is></c></row>"#,
        ),
        &["3 open=ou_1"],
        &["1 =…: NoText", "2 2026-12-01: Date"],
    );
}

#[test]
fn the_first_visible_sheet_with_anything_in_it_is_read() {
    let mut book = Workbook::new();
    book.add_worksheet().set_name("空").expect("a name");
    let hidden = book.add_worksheet();
    fill(hidden, &[&["open_id"], &["ou_hidden"]]);
    hidden.set_hidden(true);
    fill(book.add_worksheet(), &[&["open_id"], &["ou_1"]]);
    fill(book.add_worksheet(), &[&["open_id"], &["ou_2"]]);
    check_book(&book.save_to_buffer().expect("it fits into memory"), &["2 open=ou_1"], &[]);
    refused("list.xlsx", &workbook(|_| {}), ListFault::Empty);
    let words = workbook(|sheet| fill(sheet, &[&["说明", "请填写下一页"]]));
    let header = vec!["说明".to_owned(), "请填写下一页".to_owned()];
    refused("list.xlsx", &words, ListFault::NoKnownColumn { header, sheet: Some("Sheet1".to_owned()) });
}

#[test]
fn hidden_rows_are_told_and_not_addressed() {
    let bytes = workbook(|sheet| {
        fill(sheet, &[&["open_id"], &["ou_1"], &["ou_2"], &["ou_3"]]);
        sheet.set_row_hidden(2).expect("a row");
    });
    check_book(&bytes, &["2 open=ou_1", "4 open=ou_3"], &["3 ou_2: Hidden"]);
}

#[test]
fn texts_are_read_however_they_are_written() {
    let rows = r#"
        <row r="3"><c r="B3" t="s"><v>0</v></c></row>
        <row><c/><c t="s"><v>1</v></c></row>
        <x:row><x:c r="B5" t="str"><x:v>ou&#95;&#x32;<!-- 3 --></x:v></x:c></x:row>
        <row r="9"><c r="C9" t="s"><v>2</v></c><c r="B9" t="inlineStr"><is><t><![CDATA[ou_x005F_x0033_]]></t></is></c></row>"#;
    check_book(&book(rows), &["4 open=ou_1", "5 open=ou_2", "9 open=ou_x0033_"], &[]);
}

#[test]
fn notes_beside_the_table_do_not_matter() {
    let bytes = workbook(|sheet| fill(sheet, &[&["open_id"], &["ou_1", "", "", "离职"]]));
    check_book(&bytes, &["2 open=ou_1"], &[]);
}

#[test]
fn archives_of_other_kinds_are_called_by_their_kind() {
    for (part, looks) in [
        ("word/document.xml", Looks::Document),
        ("ppt/presentation.xml", Looks::Slides),
        ("xl/workbook.bin", Looks::BinaryWorkbook),
        ("content.xml", Looks::OpenDocument),
        ("list.csv", Looks::Archive),
    ] {
        let bytes = package(&[("[Content_Types].xml", "<Types/>"), (part, "<x/>")], CompressionMethod::Stored);
        refused("list.xlsx", &bytes, ListFault::NotATable { looks });
    }
}

#[test]
fn a_broken_workbook_is_damaged() {
    let whole = workbook(|sheet| fill(sheet, &[&["open_id"], &["ou_1"]]));
    refused("list.xlsx", whole.get(..whole.len() / 2).expect("a half"), ListFault::Damaged);
    for rows in [
        r#"<row><c t="s"><v>3</v></c></row>"#,
        r#"<row><c r="ZZZZZZZZ1"><v>1</v></c></row>"#,
        r#"<row><c r="XFE1"><v>1</v></c></row>"#,
        r#"<row r="99999999999"><c><v>1</v></c></row>"#,
        r#"<row r="0"><c><v>1</v></c></row>"#,
        r#"<row r="3"><c><v>1</v></c></row><row r="2"><c><v>2</v></c></row>"#,
        r#"<row><c t="?"><v>1</v></c></row>"#,
        r#"<row><c><v>&bomb;</v></c></row>"#,
        r#"<row><c><v>1</v>"#,
        &"<c>".repeat(20_000),
        &"<c/>".repeat(20_000),
    ] {
        refused("list.xlsx", &book(rows), ListFault::Damaged);
    }
}

#[test]
fn an_archive_of_countless_parts_is_not_opened() {
    let mut parts = parts("<row><c><v>13800138000</v></c></row>");
    parts.push(("x", "PK\u{1}\u{2}".repeat(10_000)));
    let parts: Vec<(&str, &str)> = parts.iter().map(|(name, content)| (*name, content.as_str())).collect();
    refused("list.xlsx", &package(&parts, CompressionMethod::Stored), ListFault::Damaged);
}

#[test]
fn what_a_workbook_unpacks_to_is_counted_and_not_believed() {
    let row = format!("<row><c><v>{}</v></c></row>", "1".repeat(10_000));
    let parts = parts(&row.repeat(100));
    let parts: Vec<(&str, &str)> = parts.iter().map(|(name, content)| (*name, content.as_str())).collect();
    let mut bytes = package(&parts, CompressionMethod::Deflated);
    assert!(bytes.len() < 20_000, "it is packed");
    assert_eq!(sheet::read(&bytes, 500_000), Err(ListFault::UnpacksTooLarge));
    assert!(sheet::read(&bytes, 2_000_000).is_ok());
    // Now every part says that it is small, in its own header and in the directory.
    for (signature, size_at) in [(b"PK\x03\x04", 22), (b"PK\x01\x02", 24)] {
        let places: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(signature)).collect();
        for at in places {
            bytes[at + size_at..at + size_at + 4].copy_from_slice(&100_u32.to_le_bytes());
        }
    }
    assert!(matches!(sheet::read(&bytes, 500_000), Err(ListFault::UnpacksTooLarge | ListFault::Damaged)));
}
