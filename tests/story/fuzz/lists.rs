//! Files with lists of targets. Whatever is read names real rows and nobody that only a command can mean; whatever is
//! not gets an answer that pings nobody.

use std::io::{Cursor, Write};

use feishu_broadcast::domain::command::Target;
use feishu_broadcast::domain::list::{List, read};
use feishu_broadcast::view::{Text, lists};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::commands::pings;
use super::mutate::{self, pick};
use super::{Read, fuzz, promise};
use crate::kill::Dice;

const TEXTS: [&str; 6] = [
    "姓名,手机号,部门\n张三,13800138000,销售部\n李四,+86 138 0013 8001,\n,,市场部\n",
    "\u{feff}open_id;备注\r\nou_1;\"第一行\r\n第二行\"\r\nou_2;x\r\n",
    "ou_1\non_2\nuser:u3\nli@corp.cn\n13800138000\nod-4\n华东/销售部\n销售部\n",
    "名单\t\n邮箱\t姓名\nli@corp.cn\t李四\nwang@corp.cn\t王五\n",
    "sep=|\ndepartment_id|name\nod-1|销售部\nD02|市场部\n",
    "E-mail\na@b.cn\n\n全员\n<at user_id=\"all\">x</at>\nA@B.cn\n",
];

const PARTS: [(&str, &str); 5] = [
    (
        "_rels/.rels",
        "<Relationships><Relationship Id=\"r1\" Type=\"x/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>",
    ),
    (
        "xl/_rels/workbook.xml.rels",
        "<Relationships><Relationship Id=\"r1\" Type=\"x/worksheet\" Target=\"sheet1.xml\"/><Relationship Id=\"r2\" Type=\"x/sharedStrings\" Target=\"strings.xml\"/><Relationship Id=\"r3\" Type=\"x/styles\" Target=\"styles.xml\"/></Relationships>",
    ),
    ("xl/workbook.xml", "<workbook><sheets><sheet name=\"名单\" sheetId=\"1\" r:id=\"r1\"/></sheets></workbook>"),
    (
        "xl/strings.xml",
        "<sst uniqueCount=\"3\"><si><t>手机号</t></si><si><r><t>open</t></r><r><t>_id</t></r></si><si><t>ou_x005F_1</t></si></sst>",
    ),
    (
        "xl/styles.xml",
        "<styleSheet><numFmts><numFmt numFmtId=\"164\" formatCode=\"yyyy/m/d\"/></numFmts><cellXfs><xf numFmtId=\"0\"/><xf numFmtId=\"164\"/></cellXfs></styleSheet>",
    ),
];

const SHEET: &str = "<worksheet><sheetData><row r=\"2\"><c r=\"A2\" t=\"s\"><v>0</v></c><c r=\"C2\" t=\"s\"><v>1</v></c></row><row r=\"3\"><c r=\"A3\"><v>1.3800138E10</v></c></row><row hidden=\"1\"><c t=\"s\"><v>2</v></c></row><row><c s=\"1\"><v>46000</v></c><c/><c t=\"inlineStr\"><is><t>ou_&#50;</t></is></c></row></sheetData></worksheet>";

/// A workbook, one of its parts spoilt now and then.
fn workbook(dice: &mut Dice) -> Vec<u8> {
    let spoilt = dice.throw(PARTS.len() + 3);
    let mut zip = ZipWriter::new(Cursor::new(vec![]));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (number, (name, content)) in PARTS.into_iter().chain([("xl/sheet1.xml", SHEET)]).enumerate() {
        let content = if number == spoilt { mutate::text(dice, content, SHEET) } else { content.to_owned() };
        zip.start_file(name, stored).expect("a part begins");
        zip.write_all(content.as_bytes()).expect("it fits into memory");
    }
    zip.finish().expect("it fits into memory").into_inner()
}

fn file(dice: &mut Dice) -> Vec<u8> {
    match dice.throw(8) {
        0 => mutate::noise(dice),
        1 | 2 => workbook(dice),
        3 => {
            let (whole, other) = (workbook(dice), pick(dice, &TEXTS));
            mutate::bytes(dice, &whole, other.as_bytes())
        }
        4 => {
            let (text, other) = (pick(dice, &TEXTS), pick(dice, &TEXTS));
            let text = text.encode_utf16().flat_map(u16::to_le_bytes);
            let bytes: Vec<u8> = [0xff, 0xfe].into_iter().chain(text).collect();
            mutate::bytes(dice, &bytes, other.as_bytes())
        }
        5 => {
            let (text, other) = (pick(dice, &TEXTS), pick(dice, &TEXTS));
            mutate::bytes(dice, text.as_bytes(), other.as_bytes())
        }
        _ => {
            let (text, other) = (pick(dice, &TEXTS), pick(dice, &TEXTS));
            mutate::text(dice, text, other).into_bytes()
        }
    }
}

#[test]
fn a_list_is_read_or_explained() {
    fuzz("list", 6000, 2_000_000, |dice| {
        let bytes = file(dice);
        let name = pick(dice, &["list.csv", "名单.TXT", "list.xlsx", "<at id=all>", ""]);
        let result = read(name, &bytes);
        let (text, came) = match &result {
            Ok(list) => {
                sound(list).map_err(|wrong| format!("{wrong}\n{list:?}\n{bytes:?}"))?;
                (lists::taken(name, list), if list.rows.is_empty() { Read::Refused } else { Read::Understood })
            }
            Err(fault) => (lists::unreadable(name, fault), Read::Refused),
        };
        quiet(&text).map(|()| came)
    });
}

fn sound(list: &List) -> Result<(), String> {
    promise(!list.rows.is_empty() || !list.unusable.is_empty(), || "a list of nothing".to_owned())?;
    promise(list.rows.is_sorted_by_key(|row| row.line), || "rows out of order".to_owned())?;
    let mut lines = list.rows.iter().map(|row| row.line).chain(list.unusable.iter().map(|row| row.line));
    promise(lines.all(|line| line > 0), || "a row nowhere".to_owned())?;
    for row in &list.rows {
        let named = !matches!(row.target, Target::Everyone | Target::File | Target::Mention { .. });
        promise(named, || format!("{row:?}"))?;
    }
    promise(list.unusable.iter().all(|row| row.value.chars().count() <= 24), || "a long excerpt".to_owned())
}

fn quiet(text: &Text) -> Result<(), String> {
    for said in [&text.zh, &text.en] {
        promise(!pings(said), || format!("{said:?} pings"))?;
        promise(!said.trim().is_empty() && !said.contains('\0'), || said.clone())?;
    }
    Ok(())
}
