//! What came of a file with a list of targets: what was understood of it, which rows are left out and why, or why none
//! of it can be used. An example is shown wherever nothing is usable; the tests read every one of them.

use crate::domain::command::TargetFault;
use crate::domain::content::harmless;
use crate::domain::list::{BYTES_MAX, Column, List, ListFault, Looks, ROWS_MAX, RowFault, UNPACKED_MAX, Unusable};
use crate::view::help::target;
use crate::view::{Text, advice, agree, count, result};

/// Unusable rows that are listed with their reasons; of the others the lines are named.
const ROWS_SHOWN: usize = 10;

/// Runs of lines that are named: a few kilobytes of text.
const RUNS_MAX: usize = 500;

/// A permission for messages is missing; Feishu does not say which. Source: the page of get of `im/v1/messages`.
const NO_PERMISSION: i64 = 230_027;

/// Characters of a file's name that are shown.
const NAME_CHARS_MAX: usize = 60;

/// What was taken from the file `name`, and which rows were not.
pub fn taken(name: &str, list: &List) -> Text {
    let mut lines = vec![understood(name, list)];
    if list.repeated > 0 {
        let repeated = list.repeated;
        lines.push(Text::new(
            format!("{repeated} 行与前面的重复，已合并。"),
            format!("{} merged: the same target stands further up.", count(repeated, "row")),
        ));
    }
    if !list.unusable.is_empty() {
        let unusable = list.unusable.len();
        lines.push(Text::new(
            format!("{unusable} 行不能用，没有算进收件人："),
            format!("{} left out:", count(unusable, "row")),
        ));
    }
    lines.extend(list.unusable.iter().take(ROWS_SHOWN).map(row));
    let more = list.unusable.get(ROWS_SHOWN..).unwrap_or_default();
    if !more.is_empty() {
        let (runs, more) = (runs(more.iter().map(|row| row.line)), more.len());
        lines.push(Text::new(
            format!("……另有 {more} 行：第 {} 行", runs.join("、")),
            format!("… and {more} more, in {} {}", agree(more, "line", "lines"), runs.join(", ")),
        ));
    }
    if list.rows.is_empty() {
        lines.extend(example(list.columns.is_empty()));
    }
    cleaned(&Text::lines(&lines))
}

/// `file` was written as the target of a message that answers none.
pub fn no_file() -> Text {
    Text::new(
        "目标写了 file，但这条命令没有回复任何文件，没有发起群发。\n请先发送 .csv、.txt 或 .xlsx 名单，再「回复」那个文件：/broadcast file 明天下午三点全员会",
        "The target is file, but the command answers no file; nothing was proposed.\nSend a .csv, .txt or .xlsx list first, then reply to it: /broadcast file all hands at three",
    )
}

pub fn file_is_gone() -> Text {
    Text::new(
        "被回复的文件已撤回或删除，没有发起群发。请重新发送名单，再回复它。",
        "The file that the command answers was recalled or deleted; nothing was proposed. Send the list again and reply to it.",
    )
}

/// The file `name` names more departments than are searched.
pub fn too_many_names(name: &str, names: usize, names_max: usize) -> Text {
    let file = quoted(name);
    cleaned(&Text::new(
        format!(
            "文件{file}里有 {names} 个部门名称，每个都要单独搜索，最多 {names_max} 个。\n请把部门名称换成部门 ID（od-…，表头写 department_id；/部门 关键词 可查），或改为发给它们的上级部门。"
        ),
        format!(
            "The file {file} names {}; each is a search of its own, and {names_max} is the most.\nWrite department ids instead (od-…, under the heading department_id; /departments KEYWORD shows them), or address the departments above them.",
            count(names, "department")
        ),
    ))
}

/// Feishu does not hand out the file; its name is not known where even its message is not had.
pub fn not_to_be_had(name: &str, code: i64, scopes: &[&str]) -> Text {
    let mut why = vec![advice(code)];
    why.extend(result::scopes(scopes.iter().copied()));
    if code == NO_PERMISSION {
        why.push(Text::new(
            "读取单聊里的文件需要 im:message:readonly，群里的需要 im:message.group_msg；也可以把文件发到和我的单聊，在那里回复它。",
            "Files in private chats take im:message:readonly, those in groups im:message.group_msg; or send the file to me in private and reply to it there.",
        ));
    }
    let why = Text::lines(&why);
    let (zh, en) = match name {
        "" => (String::new(), String::new()),
        name => (quoted(name), format!(" {}", quoted(name))),
    };
    cleaned(&Text::new(
        format!("取不到名单文件{zh}（飞书错误码 {code}），没有发起群发。{}", why.zh),
        format!("The list{en} could not be fetched (Feishu says {code}); nothing was proposed. {}", why.en),
    ))
}

pub fn is_no_file(msg_type: &str) -> Text {
    Text::new(
        format!(
            "目标写了 file，但被回复的消息不是文件（{msg_type}），没有发起群发。请回复一个 .csv、.txt 或 .xlsx 文件。"
        ),
        format!(
            "The target is file, but the replied-to message is none ({msg_type}); nothing was proposed. Reply to a .csv, .txt or .xlsx file."
        ),
    )
}

/// Why nothing of the file `name` can be used, and what to do.
pub fn unreadable(name: &str, fault: &ListFault) -> Text {
    let file = quoted(name);
    let lead = Text::new(
        format!("文件{file}不能用，没有发起群发："),
        format!("The file {file} cannot be used; nothing was proposed: "),
    );
    let wrong = wrong(fault);
    let first = Text::new(format!("{}{}", lead.zh, wrong.zh), format!("{}{}", lead.en, wrong.en));
    let lines: Vec<Text> = match fault {
        ListFault::TooManyRows { .. } | ListFault::UnclosedQuote { .. } => vec![first],
        ListFault::TooLarge | ListFault::UnpacksTooLarge => vec![first],
        ListFault::NotATable { .. } | ListFault::Empty | ListFault::NoKnownColumn { .. } | ListFault::Damaged => {
            std::iter::once(first).chain(example(false)).collect()
        }
    };
    cleaned(&Text::lines(&lines))
}

/// Numbers in rising order as runs, `3`, `5-9`; a sign in place of what is too much.
fn runs(lines: impl Iterator<Item = u32>) -> Vec<String> {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for line in lines {
        match runs.last_mut() {
            Some((_, last)) if line <= last.saturating_add(1) => *last = line.max(*last),
            _ => runs.push((line, line)),
        }
    }
    let cut = runs.len() > RUNS_MAX;
    let shown = |(first, last): &(u32, u32)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    runs.iter().take(RUNS_MAX).map(shown).chain(cut.then(|| "……".to_owned())).collect()
}

fn cleaned(text: &Text) -> Text {
    Text::new(harmless(&text.zh), harmless(&text.en))
}

fn quoted(name: &str) -> String {
    let shown: String = name.chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect();
    format!("「{shown}」")
}

/// A list that works: a table, or lines without a heading.
fn example(plain: bool) -> [Text; 2] {
    let lead = Text::new("可以这样写：", "Write it like this:");
    let list = if plain {
        Text::new("13800138000\nzhangsan@example.com\n销售部", "13800138000\nzhangsan@example.com\nSales")
    } else {
        Text::new("姓名,手机号\n张三,13800138000", "name,mobile\nZhang San,13800138000")
    };
    [lead, list]
}

fn understood(name: &str, list: &List) -> Text {
    let (file, targets) = (quoted(name), list.rows.len());
    let (sheet_zh, sheet_en) = match &list.sheet {
        Some(sheet) => (format!("的工作表{}", quoted(sheet)), format!(", sheet {}", quoted(sheet))),
        None => (String::new(), String::new()),
    };
    let columns = list.columns.iter().filter(|known| known.column != Column::Name);
    let headings: Vec<String> = columns.map(|known| format!("「{}」", known.heading)).collect();
    let (by_zh, by_en) = if headings.is_empty() {
        ("没有表头，每行一个".to_owned(), "no heading, one target a line".to_owned())
    } else {
        (format!("取自{}", headings.join("")), format!("from {}", headings.join(", ")))
    };
    Text::new(
        format!("文件{file}{sheet_zh}：{targets} 个收件人（{by_zh}）。"),
        format!("The file {file}{sheet_en}: {} ({by_en}).", count(targets, "target")),
    )
}

/// One unusable row.
fn row(row: &Unusable) -> Text {
    let Unusable { line, value, why } = row;
    let why = reason(value, *why);
    Text::new(format!("第 {line} 行：{}", why.zh), format!("Line {line}: {}", why.en))
}

/// What is wrong with a row, in a sentence that quotes it.
fn reason(value: &str, why: RowFault) -> Text {
    let (zh, en) = match why {
        RowFault::Target(TargetFault::TooLong) => ("太长，不像收件人", "is too long for a target"),
        RowFault::Target(why) => return target(value, why),
        RowFault::Not(column) => {
            let kind = kind(column);
            return Text::new(format!("「{value}」不是{}。", kind.zh), format!("「{value}」 is no {}.", kind.en));
        }
        RowFault::OnlyInCommand => ("只能写在命令里，不能写在名单里", "belongs into a command, not into a list"),
        RowFault::Several => ("一格里有多个收件人，请每行写一个", "names several targets; write one in each row"),
        RowFault::NothingKnown => ("所在行没有填写收件人", "stands in a row that names no target"),
        RowFault::PersonWithoutId => (
            "没有可用的 ID、邮箱或手机号；不会改发给整个部门",
            "has no usable id, e-mail address or mobile number; the department is not taken instead",
        ),
        RowFault::MoreCellsThanHeadings => (
            "超出了表头的列数；内容里有分隔符时，用引号括起来",
            "is beyond the last heading; quote a cell that contains the separator",
        ),
        RowFault::LikeHeading => (
            "像是表头，但我不认识；如果是部门，请写它的路径或 ID",
            "looks like a heading that I do not know; if it is a department, write its path or id",
        ),
        RowFault::AboveHeading => ("在表头上方，没有读取", "stands above the headings and was not read"),
        RowFault::Rounded => (
            "是被表格软件缩短的数字，已不完整；请把这一列设为文本再填写",
            "is a number that a spreadsheet has shortened; format the column as text and enter it again",
        ),
        RowFault::NotFound => (
            "没有找到：没有这个名称的部门，或你在通讯录里看不到它",
            "was not found: no department is called so, or you cannot see it in the directory",
        ),
        RowFault::Nobody => (
            "没有找到对应的人：可能写错了、已离职，或不在应用的通讯录权限范围内",
            "leads to nobody: mistyped, gone, or outside the app's contact range",
        ),
        RowFault::Namesakes => (
            "有多个同名部门；请写路径（上级/名称）或部门 ID",
            "is the name of several departments; write a path (parent/name) or an id",
        ),
        RowFault::Date => ("是日期，不是收件人", "is a date, not a target"),
        RowFault::NoText => {
            ("是公式的错误、没有算出的公式或逻辑值", "is an error, a formula without a result, or a truth value")
        }
        RowFault::Hidden => (
            "所在行被隐藏或筛选掉了；要发给它，请先取消隐藏",
            "stands in a hidden or filtered row; show the row if it is meant",
        ),
        RowFault::Garbled => ("有乱码；请另存为 UTF-8 编码", "has characters missing; save the file as UTF-8"),
    };
    Text::new(format!("「{value}」{zh}。"), format!("「{value}」 {en}."))
}

fn kind(column: Column) -> Text {
    let (zh, en) = match column {
        Column::OpenId => ("完整的 open_id（ou_…）", "complete open_id (ou_…)"),
        Column::UserId => ("user_id", "user_id"),
        Column::UnionId => ("完整的 union_id（on_…）", "complete union_id (on_…)"),
        Column::Email => ("邮箱", "e-mail address"),
        Column::Mobile => (
            "手机号（11 位，或以 + 和国家代码开头）",
            "mobile number (eleven digits, or + and the code of the country)",
        ),
        Column::DepartmentId => ("部门 ID（od-… 或自定义 ID）", "department id (od-… or a custom one)"),
        Column::Department => ("部门名称或路径", "department's name or path"),
        Column::Name => ("姓名", "name"),
    };
    Text::new(zh, en)
}

/// What is wrong with the whole file, and what to do.
fn wrong(fault: &ListFault) -> Text {
    match fault {
        ListFault::NotATable { looks } => {
            let (what, instead) = (what(*looks), instead(*looks));
            Text::new(
                format!("这是{}，不能当作名单。{}", what.zh, instead.zh),
                format!("it is {}, which cannot serve as a list. {}", what.en, instead.en),
            )
        }
        ListFault::Empty => Text::new(
            "里面没有收件人，一行也没有。表头下面要有内容；隐藏的工作表不读。",
            "it holds no row. There must be something below the headings; hidden sheets are not read.",
        ),
        ListFault::TooManyRows { rows } => Text::new(
            format!("共 {rows} 行，最多 {ROWS_MAX} 行。请分成几个文件，或改发给部门。"),
            format!(
                "it has {}, and {ROWS_MAX} is the most. Split it, or address departments instead.",
                count(*rows, "row")
            ),
        ),
        ListFault::TooLarge => {
            let most = BYTES_MAX >> 20;
            Text::new(
                format!("超过 {most} MB。请只保留收件人一列，或分成几个文件。"),
                format!("it has more than {most} MB. Keep only the column of the targets, or split it."),
            )
        }
        ListFault::UnpacksTooLarge => {
            let most = UNPACKED_MAX >> 20;
            Text::new(
                format!("解压后超过 {most} MB。请把收件人一列复制到新的工作簿再发。"),
                format!("it unpacks to more than {most} MB. Copy the column of the targets into a new workbook."),
            )
        }
        ListFault::NoKnownColumn { header, sheet } => {
            let header: Vec<String> = header.iter().map(|cell| format!("「{cell}」")).collect();
            let (zh, en) = match sheet {
                Some(sheet) => (format!("工作表{}的", quoted(sheet)), format!(" of the sheet {}", quoted(sheet))),
                None => (String::new(), String::new()),
            };
            Text::new(
                format!(
                    "{zh}第一行是{}，没有我认识的表头。表头可以是 open_id、user_id、union_id、邮箱、手机号、部门ID 或部门；没有表头时只能有一列。",
                    header.join("")
                ),
                format!(
                    "the first row{en} is {}, and no heading that I know. There are open_id, user_id, union_id, email, mobile, department_id and department; without headings there may be only one column.",
                    header.join(", ")
                ),
            )
        }
        ListFault::UnclosedQuote { line } => Text::new(
            format!("第 {line} 行的引号没有关上，后面的行会被吞掉。请补上或删掉这个引号。"),
            format!(
                "the quote in line {line} is not closed and would swallow the lines below. Close it or take it out."
            ),
        ),
        ListFault::Damaged => Text::new(
            "工作簿打不开，可能已损坏或没有传完。请用表格软件打开后另存为 .xlsx 再发。",
            "the workbook cannot be opened; it may be damaged or cut off. Open it in a spreadsheet, save it as .xlsx and send it again.",
        ),
    }
}

/// What a file is instead of a list.
fn what(looks: Looks) -> Text {
    let (zh, en) = match looks {
        Looks::Pdf => (" PDF 文件", "a PDF file"),
        Looks::Image => ("图片", "an image"),
        Looks::Media => ("音频或视频", "sound or film"),
        Looks::Archive | Looks::OtherArchive => ("压缩包", "an archive"),
        Looks::OldWorkbook => ("旧版 Excel 文件（.xls）", "an old Excel file (.xls)"),
        Looks::BinaryWorkbook => ("二进制 Excel 文件（.xlsb）", "a binary Excel file (.xlsb)"),
        Looks::OpenDocument => (" OpenDocument 文件（如 .ods）", "an OpenDocument file such as .ods"),
        Looks::Protected => ("有密码的文件", "a file with a password"),
        Looks::Document => ("文字文档", "a text document"),
        Looks::Slides => ("演示文稿", "a presentation"),
        Looks::Html => ("网页（有些系统把它导出为 .xls）", "a web page (some systems name it .xls)"),
        Looks::Xml => (" XML 文件", "an XML file"),
        Looks::Json => (" JSON 文件", "a JSON file"),
        Looks::Binary => {
            ("二进制文件，或编码不是 UTF-8 或 GBK 的文本", "no text, or a text in an encoding other than UTF-8 and GBK")
        }
    };
    Text::new(zh, en)
}

/// What to send instead of such a file.
fn instead(looks: Looks) -> Text {
    let (zh, en) = match looks {
        Looks::OldWorkbook | Looks::BinaryWorkbook | Looks::OpenDocument | Looks::Html | Looks::Xml => {
            ("请用表格软件打开，另存为 .xlsx 再发。", "Open it in a spreadsheet, save it as .xlsx and send that.")
        }
        Looks::Protected => ("请去掉密码再发。", "Take the password off and send it again."),
        Looks::Archive | Looks::OtherArchive => ("请解压后再发。", "Unpack it and send what is inside."),
        Looks::Binary => {
            ("如果是文本，请另存为 UTF-8 编码再发。", "If it is a text, save it as UTF-8 and send it again.")
        }
        Looks::Pdf | Looks::Image | Looks::Media | Looks::Document | Looks::Slides | Looks::Json => {
            ("名单要用 .csv、.txt 或 .xlsx 文件。", "Lists are .csv, .txt or .xlsx files.")
        }
    };
    Text::new(zh, en)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::list::read;

    /// Reads what stands below the lead of the example, in both languages.
    fn example_works(text: &Text) {
        for (said, lead) in [(&text.zh, "可以这样写：\n"), (&text.en, "Write it like this:\n")] {
            let (_, example) = said.split_once(lead).unwrap_or_else(|| panic!("no example in {said}"));
            let list = read("list.txt", example.as_bytes()).expect(example);
            assert!(list.unusable.is_empty() && !list.rows.is_empty(), "{example}");
        }
    }

    fn faults() -> Vec<ListFault> {
        let looks = [
            Looks::Pdf,
            Looks::Image,
            Looks::Media,
            Looks::Archive,
            Looks::OtherArchive,
            Looks::OldWorkbook,
            Looks::BinaryWorkbook,
            Looks::OpenDocument,
            Looks::Protected,
            Looks::Document,
            Looks::Slides,
            Looks::Html,
            Looks::Xml,
            Looks::Json,
            Looks::Binary,
        ];
        let others = [
            ListFault::Empty,
            ListFault::TooManyRows { rows: 100_001 },
            ListFault::TooLarge,
            ListFault::UnpacksTooLarge,
            ListFault::NoKnownColumn {
                header: vec!["姓名".into(), "<at id=all></at>".into()],
                sheet: Some("<at >".into()),
            },
            ListFault::UnclosedQuote { line: 7 },
            ListFault::Damaged,
        ];
        looks.map(|looks| ListFault::NotATable { looks }).into_iter().chain(others).collect()
    }

    #[test]
    fn every_refusal_names_the_file_and_pings_nobody() {
        for fault in faults() {
            let text = unreadable("名单<at id=all>\n.csv", &fault);
            for said in [&text.zh, &text.en] {
                assert!(said.contains("「名单<\u{200B}at id=all>.csv」"), "{said}");
                assert!(!said.contains("<at") && said.lines().count() <= 6, "{said}");
            }
            if text.en.contains("like this") {
                example_works(&text);
            }
        }
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        let text = |fault| unreadable("名单.csv", &fault);
        insta::assert_snapshot!(text(ListFault::NotATable { looks: Looks::OldWorkbook }).said(None), @r"
        文件「名单.csv」不能用，没有发起群发：这是旧版 Excel 文件（.xls），不能当作名单。请用表格软件打开，另存为 .xlsx 再发。
        可以这样写：
        姓名,手机号
        张三,13800138000
        The file 「名单.csv」 cannot be used; nothing was proposed: it is an old Excel file (.xls), which cannot serve as a list. Open it in a spreadsheet, save it as .xlsx and send that.
        Write it like this:
        name,mobile
        Zhang San,13800138000
        ");
        let header = vec!["姓名".to_owned(), "工号".to_owned()];
        insta::assert_snapshot!(text(ListFault::NoKnownColumn { header, sheet: None }).said(None), @r"
        文件「名单.csv」不能用，没有发起群发：第一行是「姓名」「工号」，没有我认识的表头。表头可以是 open_id、user_id、union_id、邮箱、手机号、部门ID 或部门；没有表头时只能有一列。
        可以这样写：
        姓名,手机号
        张三,13800138000
        The file 「名单.csv」 cannot be used; nothing was proposed: the first row is 「姓名」, 「工号」, and no heading that I know. There are open_id, user_id, union_id, email, mobile, department_id and department; without headings there may be only one column.
        Write it like this:
        name,mobile
        Zhang San,13800138000
        ");
        insta::assert_snapshot!(text(ListFault::TooLarge).said(None), @r"
        文件「名单.csv」不能用，没有发起群发：超过 20 MB。请只保留收件人一列，或分成几个文件。
        The file 「名单.csv」 cannot be used; nothing was proposed: it has more than 20 MB. Keep only the column of the targets, or split it.
        ");
        insta::assert_snapshot!(text(ListFault::UnclosedQuote { line: 7 }).said(None), @r"
        文件「名单.csv」不能用，没有发起群发：第 7 行的引号没有关上，后面的行会被吞掉。请补上或删掉这个引号。
        The file 「名单.csv」 cannot be used; nothing was proposed: the quote in line 7 is not closed and would swallow the lines below. Close it or take it out.
        ");
    }

    #[test]
    fn what_was_taken_is_told_with_the_rows_that_were_not() {
        let file = "姓名,手机号,部门\n张三,13800138000,\n李四,12,\n王五,,销售部\n赵六,13800138000,\n,,a;b\n";
        let list = read("名单.csv", file.as_bytes()).expect("a table");
        insta::assert_snapshot!(taken("名单.csv", &list).said(None), @r"
        文件「名单.csv」：1 个收件人（取自「手机号」「部门」）。
        1 行与前面的重复，已合并。
        3 行不能用，没有算进收件人：
        第 3 行：「12」不是手机号（11 位，或以 + 和国家代码开头）。
        第 4 行：「王五」没有可用的 ID、邮箱或手机号；不会改发给整个部门。
        第 6 行：「a;b」一格里有多个收件人，请每行写一个。
        The file 「名单.csv」: 1 target (from 「手机号」, 「部门」).
        1 row merged: the same target stands further up.
        3 rows left out:
        Line 3: 「12」 is no mobile number (eleven digits, or + and the code of the country).
        Line 4: 「王五」 has no usable id, e-mail address or mobile number; the department is not taken instead.
        Line 6: 「a;b」 names several targets; write one in each row.
        ");
    }

    #[test]
    fn many_unusable_rows_are_counted() {
        let file = format!("手机号\n13800138000\n{}", "12\n".repeat(13));
        let text = taken("名单.csv", &read("名单.csv", file.as_bytes()).expect("a table"));
        assert!(
            text.zh.contains("1 个收件人")
                && text.zh.contains("13 行不能用")
                && text.zh.ends_with("……另有 3 行：第 13-15 行"),
            "{text:?}"
        );
        assert!(text.en.contains("1 target (") && text.en.ends_with("… and 3 more, in lines 13-15"), "{text:?}");
        assert_eq!(text.zh.lines().count(), 13);
    }

    #[test]
    fn a_file_without_any_usable_row_gets_an_example() {
        for file in ["手机号\n12\n", "@张三\n"] {
            let text = taken("名单.txt", &read("名单.txt", file.as_bytes()).expect("a table"));
            assert!(text.zh.contains("0 个收件人"), "{text:?}");
            example_works(&text);
        }
    }

    #[test]
    fn every_reason_is_a_sentence_that_quotes_the_row() {
        let columns = [
            Column::OpenId,
            Column::UserId,
            Column::UnionId,
            Column::Email,
            Column::Mobile,
            Column::DepartmentId,
            Column::Department,
            Column::Name,
        ];
        let others = [
            RowFault::Target(TargetFault::TooLong),
            RowFault::Target(TargetFault::RootDepartment),
            RowFault::OnlyInCommand,
            RowFault::Several,
            RowFault::NothingKnown,
            RowFault::PersonWithoutId,
            RowFault::MoreCellsThanHeadings,
            RowFault::LikeHeading,
            RowFault::AboveHeading,
            RowFault::Rounded,
            RowFault::Date,
            RowFault::NoText,
            RowFault::Hidden,
            RowFault::NotFound,
            RowFault::Namesakes,
            RowFault::Nobody,
            RowFault::Garbled,
        ];
        for why in columns.map(RowFault::Not).into_iter().chain(others) {
            let text = row(&Unusable { line: 7, value: "某物".into(), why });
            assert!(
                text.zh.starts_with("第 7 行：") && text.zh.contains("「某物」") && text.zh.ends_with('。'),
                "{text:?}"
            );
            assert!(
                text.en.starts_with("Line 7: ") && text.en.contains("「某物」") && text.en.ends_with('.'),
                "{text:?}"
            );
        }
    }
}
