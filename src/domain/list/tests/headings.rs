//! Headings, and what a row means below them.

use super::*;

#[test]
fn each_kind_of_column_is_read_as_what_it_promises() {
    for (heading, value, target) in [
        ("open_id", "ou_1", "open=ou_1"),
        ("union_id", "on_1", "union=on_1"),
        ("user_id", "e33ggbyz", "user=e33ggbyz"),
        ("user_id", "user:e33ggbyz", "user=e33ggbyz"),
        ("user_id", "10086", "user=10086"),
        ("email", "li@corp.cn", "mail=li@corp.cn"),
        ("mobile", "138 0013 8000", "phone=13800138000"),
        ("mobile", "+65 6123 4567", "phone=+6561234567"),
        ("department_id", "od-1", "dept=od-1"),
        ("department_id", "D01", "dept=D01"),
        ("department_id", "dept:D01", "dept=D01"),
        ("department", "销售部", "name=销售部"),
        ("department", "Sales APAC", "name=Sales APAC"),
        ("department", "华东 / 销售部", "path=华东>销售部"),
        ("department", "od-1", "dept=od-1"),
    ] {
        check(&format!("{heading}\n{value}\n"), &[&format!("2 {target}")]);
    }
}

#[test]
fn a_value_of_another_kind_is_not_taken() {
    for (heading, value, why) in [
        ("open_id", "on_1", "Not(OpenId)"),
        ("open_id", "张三", "Not(OpenId)"),
        ("union_id", "ou_1", "Not(UnionId)"),
        ("user_id", "ou_1", "Not(UserId)"),
        ("user_id", "张三", "Not(UserId)"),
        ("user_id", "oc_1", "Not(UserId)"),
        ("email", "13800138000", "Not(Email)"),
        ("email", "li@corp", "Not(Email)"),
        ("mobile", "1380013800", "Not(Mobile)"),
        ("mobile", "li@corp.cn", "Not(Mobile)"),
        ("department_id", "0", "Target(RootDepartment)"),
        ("department_id", "销售部", "Not(DepartmentId)"),
        ("department_id", "ou_1", "Not(DepartmentId)"),
        ("department", "13800138000", "Not(Department)"),
        ("department", "ou_1", "Not(Department)"),
        ("department", "销售部、市场部", "Several"),
    ] {
        check_partly(&format!("{heading}\n{value}\n"), &[], &[&format!("2 {value}: {why}")]);
    }
}

#[test]
fn headings_are_known_in_many_words() {
    for (headings, value) in [
        (vec!["OPEN_ID", "Open ID", "open-id", "ｏｐｅｎ＿ｉｄ", "openId", " open_id ", "User Open ID"], "ou_1"),
        (vec!["UnionID", "union id"], "on_1"),
        (vec!["用户ID", "员工 ID", "User-ID", "employee_id"], "u1"),
        (vec!["邮箱", "电子邮箱", "邮件", "E-mail", "Mail", "邮箱（必填）", "工作邮箱"], "li@corp.cn"),
        (vec!["手机", "手机号", "手机号码*", "电话", "Phone", "TEL.", "联系电话", "手机号码(必填)："], "13800138000"),
        (vec!["部门", "部门名称", "Department Name", "所属部门"], "销售部"),
        (vec!["部门ID", "open_department_id", "自定义部门 ID"], "od-1"),
    ] {
        for heading in headings {
            let list = read("list.csv", format!("{heading}\n{value}\n").as_bytes()).expect(heading);
            assert_eq!((list.rows.len(), list.columns.len()), (1, 1), "{heading}: {list:?}");
        }
    }
    // Feishu takes no employee number for an id.
    refused("list.csv", "工号,职务\n1001,经理\n".as_bytes(), no_column(&["工号", "职务"]));
}

#[test]
fn what_was_recognised_is_told() {
    let list = read("list.csv", "姓名,工号,手机号,open_id\n张三,1,13800138000,ou_1\n".as_bytes()).expect("a table");
    let columns: Vec<_> = list.columns.iter().map(|known| (known.column, known.heading.as_str())).collect();
    assert_eq!(columns, [(Column::OpenId, "open_id"), (Column::Mobile, "手机号"), (Column::Name, "姓名")]);
    assert_eq!(read("list.txt", b"ou_1\n").expect("a line").columns, []);
}

#[test]
fn the_surest_usable_column_of_a_row_names_its_target() {
    let text = "部门,部门ID,手机号,邮箱,union_id,user_id,open_id\n\
                a,od-1,13800138000,a@b.cn,on_1,u1,ou_1\n\
                a,od-1,13800138000,a@b.cn,on_1,u1,\n\
                a,od-1,13800138000,a@b.cn,on_1,,\n\
                a,od-1,13800138000,a@b.cn,,,\n\
                a,od-1,13800138000,,,,\n\
                a,od-1,,,,,\n\
                a,,,,,,\n\
                a,od-1,13800138001,不详,on_2,坏 了,ou_\n\
                ,,,,,,\n";
    let expect = [
        "2 open=ou_1",
        "3 user=u1",
        "4 union=on_1",
        "5 mail=a@b.cn",
        "6 phone=13800138000",
        "7 dept=od-1",
        "8 name=a",
        "9 union=on_2",
    ];
    check(text, &expect);
}

#[test]
fn a_person_without_a_number_never_becomes_their_department() {
    let text = "姓名,手机号,部门,部门ID\n张三,,销售部,\n李四,12,销售部,od-1\n,,市场部,\n,不详,财务部,\n王五,13800138000,,\n赵六,,,od-9\n";
    let wrong = ["2 张三: PersonWithoutId", "3 12: Not(Mobile)", "5 不详: Not(Mobile)", "7 赵六: PersonWithoutId"];
    check_partly(text, &["4 name=市场部", "6 phone=13800138000 (王五)"], &wrong);
    check_partly("姓名,部门\n张三,销售部\n", &[], &["2 张三: PersonWithoutId"]);
    // Where all columns are about departments, the name is the department's.
    check("department_id,name\nod-1,销售部\n", &["2 dept=od-1 (销售部)"]);
}

#[test]
fn rows_with_nothing_in_known_columns_are_told_and_blank_ones_are_not() {
    check_partly("open_id,备注\n,离职\nou_1,\n,\n", &["3 open=ou_1"], &["2 离职: NothingKnown"]);
}

#[test]
fn a_separator_within_a_cell_does_not_shift_the_row_in_silence() {
    check_partly("open_id,姓名\nou_1,李,四\nou_2,王五\n", &["3 open=ou_2 (王五)"], &["2 四: MoreCellsThanHeadings"]);
    check_partly("email\na@b.cn,c@d.cn\ne@f.cn,\n", &["3 mail=e@f.cn"], &["2 c@d.cn: MoreCellsThanHeadings"]);
}

#[test]
fn a_heading_may_stand_below_a_title() {
    let text = "2026年员工名单,\n制表：人事部,\n姓名,手机号\n张三,13800138000\n";
    let wrong = ["1 2026年员工名单: AboveHeading", "2 制表：人事部: AboveHeading"];
    check_partly(text, &["4 phone=13800138000 (张三)"], &wrong);
    check_partly("名单\n手机号\n13800138000\n", &["3 phone=13800138000"], &["1 名单: AboveHeading"]);
    // Too far down it is data.
    let deep = format!("{}手机号\n", "ou_1\n".repeat(5));
    check(&deep, &["1 open=ou_1", "6 name=手机号", "4 repeated"]);
}

#[test]
fn a_table_of_names_reaches_nobody() {
    refused("list.csv", "姓名,工号\n张三,1\n".as_bytes(), no_column(&["姓名", "工号"]));
    refused("list.csv", "姓名\n张三\n".as_bytes(), no_column(&["姓名"]));
    let wide =
        format!("{}\n{}\n", vec!["很长很长很长很长很长很长很长很长很长的标题"; 20].join(","), ["x"; 20].join(","));
    let Err(ListFault::NoKnownColumn { header, .. }) = read("list.csv", wide.as_bytes()) else {
        panic!("a table of what?")
    };
    assert_eq!((header.len(), header[0].chars().count()), (10, 21), "{header:?}");
}

#[test]
fn two_columns_of_a_kind_help_each_other() {
    check("手机,电话\n13800138000,13800138001\n,13800138002\n", &["2 phone=13800138000", "3 phone=13800138002"]);
}
