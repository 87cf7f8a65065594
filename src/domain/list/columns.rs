//! Headings, in the words in which people and programs write them.

use crate::domain::command::{EXCERPT_CHARS_MAX, half_width, shorten};
use crate::domain::list::cell::Cell;

/// What a column holds. A row's target is the first usable one in this order: the surest way to name somebody first,
/// and whole departments last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Column {
    OpenId,
    UserId,
    UnionId,
    Email,
    Mobile,
    DepartmentId,
    /// A department's name or path.
    Department,
    /// What the person, or the department, is called. Never a target.
    Name,
}

impl Column {
    /// Whether it names one person.
    pub fn is_person(self) -> bool {
        self < Column::DepartmentId
    }
}

/// A column that was recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    pub column: Column,
    /// As it stands in the file, shortened.
    pub heading: String,
    /// Its place, from 0.
    pub(super) at: usize,
}

/// Columns that are recognised at most: each kind about twice.
const KNOWN_MAX: usize = 16;

/// Headings as [`folded`]. An employee number (工号) is none: Feishu takes it for no id.
const HEADINGS: [(&str, Column); 60] = [
    ("openid", Column::OpenId),
    ("useropenid", Column::OpenId),
    ("userid", Column::UserId),
    ("用户id", Column::UserId),
    ("员工id", Column::UserId),
    ("成员id", Column::UserId),
    ("employeeid", Column::UserId),
    ("unionid", Column::UnionId),
    ("userunionid", Column::UnionId),
    ("email", Column::Email),
    ("emails", Column::Email),
    ("mail", Column::Email),
    ("emailaddress", Column::Email),
    ("mailaddress", Column::Email),
    ("邮箱", Column::Email),
    ("邮箱地址", Column::Email),
    ("工作邮箱", Column::Email),
    ("电子邮箱", Column::Email),
    ("电子邮件", Column::Email),
    ("邮件", Column::Email),
    ("邮件地址", Column::Email),
    ("mobile", Column::Mobile),
    ("mobiles", Column::Mobile),
    ("mobilephone", Column::Mobile),
    ("mobilenumber", Column::Mobile),
    ("mobileno", Column::Mobile),
    ("phone", Column::Mobile),
    ("phonenumber", Column::Mobile),
    ("phoneno", Column::Mobile),
    ("cellphone", Column::Mobile),
    ("tel", Column::Mobile),
    ("telephone", Column::Mobile),
    ("手机", Column::Mobile),
    ("手机号", Column::Mobile),
    ("手机号码", Column::Mobile),
    ("移动电话", Column::Mobile),
    ("电话", Column::Mobile),
    ("电话号码", Column::Mobile),
    ("联系电话", Column::Mobile),
    ("departmentid", Column::DepartmentId),
    ("opendepartmentid", Column::DepartmentId),
    ("deptid", Column::DepartmentId),
    ("部门id", Column::DepartmentId),
    ("自定义部门id", Column::DepartmentId),
    ("department", Column::Department),
    ("departments", Column::Department),
    ("departmentname", Column::Department),
    ("dept", Column::Department),
    ("deptname", Column::Department),
    ("部门", Column::Department),
    ("部门名", Column::Department),
    ("部门名称", Column::Department),
    ("部门路径", Column::Department),
    ("所属部门", Column::Department),
    ("所在部门", Column::Department),
    ("name", Column::Name),
    ("fullname", Column::Name),
    ("username", Column::Name),
    ("姓名", Column::Name),
    ("名字", Column::Name),
];

/// The known headings of a row, the surest first.
pub(super) fn known(cells: &[Cell<'_>]) -> Vec<Known> {
    let mut known: Vec<Known> = cells
        .iter()
        .filter_map(|cell| {
            let heading = cell.text()?;
            let column = column(heading)?;
            Some(Known { column, heading: shorten(heading, EXCERPT_CHARS_MAX), at: cell.at })
        })
        .take(KNOWN_MAX)
        .collect();
    known.sort_by_key(|known| (known.column, known.at));
    known
}

fn column(heading: &str) -> Option<Column> {
    // No heading is longer, however it is decorated.
    if heading.len() > 200 {
        return None;
    }
    let folded = folded(heading);
    HEADINGS.iter().find(|(known, _)| *known == folded).map(|(_, column)| *column)
}

/// A heading as headings are compared: half-width, small letters, only letters and digits, without what stands in
/// parentheses: `手机号码（必填）*` is `手机号码`, and `Open-ID` is `openid`.
fn folded(heading: &str) -> String {
    let mut depth = 0_usize;
    let mut folded = String::with_capacity(heading.len());
    for c in heading.chars().map(half_width) {
        match c {
            '(' | '[' | '【' => depth += 1,
            ')' | ']' | '】' => depth = depth.saturating_sub(1),
            c if depth == 0 && c.is_alphanumeric() => folded.extend(c.to_lowercase()),
            _ => {}
        }
    }
    folded
}
