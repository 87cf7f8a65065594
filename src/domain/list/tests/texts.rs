//! Encodings, separators, quotes, line ends, and lists without a heading.

use encoding_rs::{Encoding, GBK};

use super::*;

fn encoded(encoding: &'static Encoding, text: &str) -> Vec<u8> {
    encoding.encode(text).0.into_owned()
}

fn utf16(text: &str, order: fn(u16) -> [u8; 2]) -> Vec<u8> {
    std::iter::once(0xFEFF).chain(text.encode_utf16()).flat_map(order).collect()
}

#[test]
fn a_line_is_read_as_the_same_word_in_a_command() {
    let text = "ou_1\non_2\nuser:u3\nli@corp.cn\n+86-138-0013-8000\nod-4\ndept:D5\n华东/销售部\n销售部\n";
    check_bytes(
        "list.txt",
        text.as_bytes(),
        &[
            "1 open=ou_1",
            "2 union=on_2",
            "3 user=u3",
            "4 mail=li@corp.cn",
            "5 phone=+8613800138000",
            "6 dept=od-4",
            "7 dept=D5",
            "8 path=华东>销售部",
            "9 name=销售部",
        ],
        &[],
    );
}

#[test]
fn every_encoding_that_people_save_in_is_read() {
    let text = "姓名,手机号\n张三,13800138000\n";
    let expect = ["2 phone=13800138000 (张三)"];
    let with_bom = [b"\xEF\xBB\xBF", text.as_bytes()].concat();
    for bytes in [
        text.as_bytes().to_vec(),
        with_bom,
        encoded(GBK, text),
        utf16(text, u16::to_le_bytes),
        utf16(text, u16::to_be_bytes),
    ] {
        check_bytes("list.csv", &bytes, &expect, &[]);
    }
    // A letter that GBK does not have and GB18030 does.
    let rare = "姓名,手机号\n㐂,13800138000\n";
    check_bytes("list.csv", &encoded(encoding_rs::GB18030, rare), &["2 phone=13800138000 (㐂)"], &[]);
}

#[test]
fn a_few_damaged_letters_spoil_their_own_row_only() {
    let mut bytes = "部门名称\n销售部上海分部\n市场部北京分部\n".as_bytes().to_vec();
    // Within the last letter of the second row.
    let at = "部门名称\n销售部上海分部".len() - 1;
    bytes.remove(at);
    check_bytes("list.csv", &bytes, &["3 name=市场部北京分部"], &["2 销售部上海分\u{FFFD}: Garbled"]);
}

#[test]
fn separators_are_told_from_the_text() {
    for separator in [",", ";", "\t", "|"] {
        let text = "姓名,部门,手机号\n\"张,三\",甲;乙|丙\t丁,13800138000\n李四,x,13800138001\n";
        let text = text.replace("甲;乙|丙\t丁", "甲").replace("\"张,三\"", "张三").replace(',', separator);
        check(&text, &["2 phone=13800138000 (张三)", "3 phone=13800138001 (李四)"]);
    }
}

#[test]
fn a_separator_may_be_declared() {
    check("sep=;\r\nopen_id;姓名\r\nou_1;张三\r\n", &["3 open=ou_1 (张三)"]);
}

#[test]
fn separators_and_line_breaks_stand_in_quotes() {
    let text = "姓名,备注,邮箱\n\"李,\"\"小\"\"四\",\"第一行\n第二行\",li@corp.cn\n王五,,wang@corp.cn\n";
    check(text, &["2 mail=li@corp.cn (李,\"小\"四)", "4 mail=wang@corp.cn (王五)"]);
}

#[test]
fn lines_are_counted_as_an_editor_counts_them() {
    for end in ["\n", "\r\n", "\r"] {
        let text = ["", "open_id", "", "ou_1", "", "", "x", "ou_2"].join(end);
        check_partly(&text, &["4 open=ou_1", "8 open=ou_2"], &["7 x: Not(OpenId)"]);
    }
}

#[test]
fn a_quote_that_swallows_lines_refuses_the_file() {
    let fault = |line| ListFault::UnclosedQuote { line };
    refused("list.csv", b"email,note\na@b.cn,\"x\nc@d.cn,y\n", fault(2));
    refused("list.csv", b"email,note\na@b.cn,x\nc@d.cn,\"y\ne@f.cn,\"z\"\n", fault(3));
    refused("list.txt", "销售部\n\"市场部\n财务部\n".as_bytes(), fault(2));
}

#[test]
fn a_list_without_heading_may_stand_in_any_one_column() {
    check(",,ou_1,\n,,ou_2,\n", &["1 open=ou_1", "2 open=ou_2"]);
    refused("list.csv", "张三,ou_1\n李四,ou_2\n".as_bytes(), no_column(&["张三", "ou_1"]));
    refused("list.csv", ",ou_1\nou_2,\n".as_bytes(), no_column(&["ou_1"]));
}

#[test]
fn several_targets_in_a_line_are_not_guessed_apart() {
    check_bytes(
        "list.txt",
        "销售部,市场部\n销售部、市场部\nou_1;ou_2\nou_3\n".as_bytes(),
        &["4 open=ou_3"],
        &["1 销售部,市场部: Several", "2 销售部、市场部: Several", "3 ou_1;ou_2: Several"],
    );
    // With tabs it is a table, and a table has headings.
    refused("list.txt", "张三\tou_1\n李四\tou_2\n".as_bytes(), no_column(&["张三", "ou_1"]));
}

#[test]
fn a_txt_may_be_a_table_too() {
    check_bytes("list.txt", "姓名\topen_id\n张三\tou_1\n".as_bytes(), &["2 open=ou_1 (张三)"], &[]);
}

#[test]
fn what_only_a_command_can_mean_is_no_target() {
    let text = "全员\n@all\nfile\n@张三\nou_1\n";
    let wrong = ["1 全员: OnlyInCommand", "2 @all: OnlyInCommand", "3 file: OnlyInCommand", "4 @张三: OnlyInCommand"];
    check_partly(text, &["5 open=ou_1"], &wrong);
    check_partly("部门\n所有人\n销售部\n", &["3 name=销售部"], &["2 所有人: OnlyInCommand"]);
}

#[test]
fn what_a_command_refuses_is_refused_here() {
    let text = "oc_1\ndept:0\n/销售部\nou_!\n销售部\"一组\nou_1\n";
    let wrong = [
        "1 oc_1: Target(WrongKindOfId)",
        "2 dept:0: Target(RootDepartment)",
        "3 /销售部: Target(EmptyPathPart)",
        "4 ou_!: Target(BadId)",
        "5 销售部\"一组: Target(StrayQuote)",
    ];
    check_partly(text, &["6 open=ou_1"], &wrong);
    let long = format!("{}\nou_1\n", "长".repeat(201));
    check_partly(&long, &["2 open=ou_1"], &[&format!("1 {}…: Target(TooLong)", "长".repeat(23))]);
}

#[test]
fn an_unknown_heading_is_not_lost_in_silence() {
    check_partly("Correo\na@b.cn\nc@d.cn\n", &["2 mail=a@b.cn", "3 mail=c@d.cn"], &["1 Correo: LikeHeading"]);
    // Departments and people may stand in one list.
    check("销售部\nou_1\n市场部\n", &["1 name=销售部", "2 open=ou_1", "3 name=市场部"]);
    check("销售部\nou_1\nod-2\n", &["1 name=销售部", "2 open=ou_1", "3 dept=od-2"]);
    check("Correo\n", &["1 name=Correo"]);
}

#[test]
fn full_width_forms_blanks_and_unseen_characters_do_no_harm() {
    let text =
        "\u{200B}ＯＵ＿１\u{3000}\n  １３８００１３８０００\u{A0}\nｌｉ＠corp.cn\n'13800138001\n=\"13800138002\"\n";
    let expect = [
        "1 open=ou_１".replace('１', "1"),
        "2 phone=13800138000".into(),
        "3 mail=li@corp.cn".into(),
        "4 phone=13800138001".into(),
        "5 phone=13800138002".into(),
    ];
    check(text, &expect.each_ref().map(String::as_str));
}

#[test]
fn the_same_target_again_is_one() {
    let text = "手机号\n13800138000\n+8613800138000\n138-0013-8000\n13800138001\n";
    check(text, &["2 phone=13800138000", "5 phone=13800138001", "2 repeated"]);
    check("Li@Corp.cn\nli@corp.cn\nOU_1\nou_1\n", &["1 mail=Li@Corp.cn", "3 open=ou_1", "2 repeated"]);
}

#[test]
fn numbers_that_a_program_spoilt_are_told() {
    let text = "手机号\n13800138000.0\n1.38001E+10\n138001380001\n+1 (415) 555-0100\n";
    let wrong = ["3 1.38001E+10: Rounded", "4 138001380001: Not(Mobile)"];
    check_partly(text, &["2 phone=13800138000", "5 phone=+14155550100"], &wrong);
    check_partly("13800138000.0\n2.0\n1E+3\n", &["1 phone=13800138000", "2 name=2.0"], &["3 1E+3: Rounded"]);
}

#[test]
fn files_without_rows_are_empty() {
    for text in ["", "\u{FEFF}", "\n\r\n  \n,,,\n", "open_id,姓名\n", "open_id\n\n,\n"] {
        refused("list.csv", text.as_bytes(), ListFault::Empty);
    }
}

#[test]
fn other_files_are_called_by_their_kind_whatever_their_name() {
    let page = "<!doctype HTML><table><tr><td>ou_1</td></tr></table>";
    let stream = |name: &str| {
        let mut file = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec();
        file.extend([0; 100]);
        file.extend(name.encode_utf16().flat_map(u16::to_le_bytes));
        file
    };
    for (bytes, looks) in [
        (b"%PDF-1.7\n".to_vec(), Looks::Pdf),
        (b"\x89PNG\r\n\x1a\n\0\0".to_vec(), Looks::Image),
        (b"\xff\xd8\xff\xe0\0".to_vec(), Looks::Image),
        (b"RIFF\0\0\0\0WEBPVP8".to_vec(), Looks::Image),
        (b"RIFF\0\0\0\0WAVEfmt".to_vec(), Looks::Media),
        (b"\0\0\0\x18ftypmp42\0".to_vec(), Looks::Media),
        (b"\x1f\x8b\x08\0".to_vec(), Looks::OtherArchive),
        (b"{\\rtf1 ou_1}".to_vec(), Looks::Document),
        (stream("Workbook"), Looks::OldWorkbook),
        (stream("EncryptedPackage"), Looks::Protected),
        (stream("WordDocument"), Looks::Document),
        (page.as_bytes().to_vec(), Looks::Html),
        (b"\xEF\xBB\xBF<?xml version=\"1.0\"?><a/>".to_vec(), Looks::Xml),
        (b"[{\"open_id\": \"ou_1\"}]\n".to_vec(), Looks::Json),
        (b"ou_1\n\0\0\0".to_vec(), Looks::Binary),
        (b"\x01\x02\x03ou_1".to_vec(), Looks::Binary),
        (b"caf\xe9 ou_1\n\xff\n".to_vec(), Looks::Binary),
        (b"\x7fELF\x02\x01\x01\0".to_vec(), Looks::Binary),
    ] {
        refused("list.csv", &bytes, ListFault::NotATable { looks });
    }
    check("RIFFraff\nID3\n", &["1 name=RIFFraff", "2 name=ID3"]);
}
