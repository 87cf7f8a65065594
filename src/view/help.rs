//! What a person may do here, and why something cannot be done.
//!
//! Short and friendly: one line and one example for each command, only those that the person may use. An example
//! always stands on a line of its own that begins with the slash; the tests parse every one of them.

use crate::domain::command::CommandName;
use crate::domain::ids::OpenId;
use crate::domain::policy::{Denied, Roles};
use crate::view::Text;

mod mistake;

pub use mistake::mistake;
pub(in crate::view) use mistake::target;

/// What this person may do, or how one command is used. Who may not use that command is told so.
pub fn help(roles: Roles, command: Option<CommandName>) -> Text {
    match command {
        None if roles.is_stranger() => denied(&Denied::Stranger),
        None => overview(roles),
        Some(command) => match roles.may_use(command) {
            Ok(()) => manual(command),
            Err(why) => denied(&why),
        },
    }
}

/// Why a person may not do that, in one line.
pub fn denied(why: &Denied) -> Text {
    match why {
        Denied::Stranger => Text::new(
            "抱歉，我只为管理员和审批人服务。",
            "Sorry, I only work for the admins and approvers of this bot.",
        ),
        Denied::AdminsOnly => Text::new("这一步只有管理员可以做。", "Only admins may do that."),
        Denied::OtherDepartments => Text::new(
            "你可以审批的部门不包括这条群发的范围。",
            "You approve for other departments than this broadcast goes to.",
        ),
        Denied::NowApproved => Text::new(
            "规则变了：这个人数的群发现在要别人审批。请取消后重新发起。",
            "The rules have changed: a broadcast of this size now needs approval. Cancel it and propose it again.",
        ),
        Denied::ApproversOnly => Text::new("这一步只有审批人可以做。", "Only approvers may do that."),
        Denied::AuthorOnly => Text::new("这一步只有发起人可以做。", "Only the author of this broadcast may do that."),
        Denied::AuthorAndApproversOnly => Text::new(
            "这一步只有发起人和审批人可以做。",
            "Only the author of this broadcast and approvers may do that.",
        ),
        Denied::OwnBroadcast => Text::new(
            "自己发起的群发要由别人审批；不想发了可以取消。",
            "Somebody else must decide on your own broadcast. You may cancel it.",
        ),
        Denied::NoLongerAdmin => Text::new(
            "你已不是管理员：可以取消自己的群发，但不能再让它发出。",
            "You are no longer an admin: you may cancel your broadcast, but not have it sent.",
        ),
    }
}

/// The one polite line for somebody who is not served, with what an operator needs to add them.
pub fn stranger(person: &OpenId) -> Text {
    Text::new(
        format!("你好！我只为管理员和审批人服务。如需使用，请把你的 open_id 发给机器人的负责人：{person}"),
        format!(
            "Hello! I only work for admins and approvers. To be added, send your open_id to whoever runs this bot: {person}"
        ),
    )
}

fn overview(roles: Roles) -> Text {
    let offered = CommandName::ALL.into_iter().filter(|name| roles.may_use(*name).is_ok());
    let lines: Vec<Text> = offered.map(line).collect();
    let head = match (roles.admin, roles.approver) {
        (true, true) => Text::new(
            "你可以发起群发，也可以审批别人的群发（在卡片上点按钮）：",
            "You may ask for broadcasts, and decide on those of others with the buttons on their cards:",
        ),
        (true, false) => Text::new(
            "我帮你把消息发给整个部门，发出前先给你看预览：",
            "I bring a message to whole departments, and show you a preview before anything is sent:",
        ),
        (false, _) => Text::new(
            "你可以审批群发（在卡片上点按钮），还可以用：",
            "You may decide on broadcasts with the buttons on their cards, and use:",
        ),
    };
    joined(std::iter::once(head).chain(lines))
}

fn line(name: CommandName) -> Text {
    let (example, does) = (example(name), does(name));
    Text::new(format!("{} — {}", example.zh, does.zh), format!("{} — {}", example.en, does.en))
}

fn manual(name: CommandName) -> Text {
    let more = match name {
        CommandName::Broadcast => vec![
            Text::new("/群发 \"Sales APAC\",华东/销售部 你好", "/broadcast \"Sales APAC\",East/Sales Hello"),
            Text::new(
                "收件人：部门名、路径（华东/销售部）、@同事、邮箱、手机号、ID（od-…、ou_…）或全员。多个用逗号连接，不加空格；名称里有空格就加引号。",
                "Targets: a department, a path (East/Sales), a mention, an e-mail address, a phone number, an id (od-…, ou_…) or @all. Join several by commas without blanks; quote a name with blanks.",
            ),
            Text::new(
                "回复一条消息并只写收件人，就群发那条消息：文字、富文本、图片、群名片、卡片。回复名单文件（.csv、.txt、.xlsx）时收件人写 file。",
                "Reply to a message with the targets alone and that message is sent: text, rich text, image, group card or card. Reply to a list (.csv, .txt, .xlsx) with the target file.",
            ),
            Text::new(
                "/群发 --template AAqk1234 --var name=\"张 三\" 销售部",
                "/broadcast --template AAqk1234 --var name=\"Li Lei\" Sales",
            ),
            Text::new("/群发 --dry-run 销售部 明天下午三点开会", "/broadcast --dry-run Sales We meet at 3 pm"),
            Text::new(
                "/群发 --at \"明天 09:05\" 销售部 今天下午三点开会",
                "/broadcast --at \"tomorrow 09:05\" Sales We meet at 3 pm",
            ),
            Text::new(
                "选项写在收件人前面：--dry-run 只预览，--card 后面的内容是卡片 JSON，--template 发卡片模板，--at 定时（也可以在卡片上选时间）。",
                "Options stand before the targets: --dry-run only shows the preview, --card takes the content as card JSON, --template sends a card template, --at sends later (the card has a picker for it, too).",
            ),
        ],
        CommandName::Status => vec![Text::new("不写编号就看最近的一次。", "Without an id: your latest broadcast.")],
        CommandName::List => vec![Text::new(
            "pending 待审批，scheduled 已定时，all 全部；不写就看最近的。",
            "pending, scheduled or all; without a word: the recent ones.",
        )],
        CommandName::Cancel => vec![Text::new(
            "只停止还没发出的部分；已发出的用 /recall 撤回。还没开始发送时，撤回你的命令消息也会取消它。",
            "Only stops what has not been sent yet; /recall takes back what has. Before sending begins, recalling the message of your command cancels it as well.",
        )],
        CommandName::Login => vec![Text::new(
            "按名称查部门要用你本人的授权，用 ID 则不用。",
            "Searching departments by name needs your own authorization; ids do not.",
        )],
        CommandName::Recall => vec![
            Text::new("/撤回 K7M2QX 2", "/recall K7M2QX 2"),
            Text::new(
                "不写数字就撤回全部，并取消还没发出的；写数字只撤回那一批。发起人和审批人可以撤回，卡片上也有按钮。读过的也会消失，但读过就是读过。能不能撤回由企业管理员设置的期限决定。",
                "Without a number all of it is recalled, and what has not left is cancelled; with a number that batch alone. The author and approvers may, also by the button on the card. Copies that were read vanish as well, but nobody can unread them. Feishu allows it within the period that your company's admin has set.",
            ),
        ],
        CommandName::Departments | CommandName::Logout | CommandName::WhoAmI | CommandName::Help => vec![],
        CommandName::Check => vec![Text::new(
            "逐项检查凭证、权限、通讯录、外网地址和数据库，并说出该点哪里；不会发送任何东西。",
            "Looks at credentials, scopes, contacts, public address and database, and names the click that mends it; nothing is sent.",
        )],
    };
    let other =
        Text::new(format!("也可以写成 /{}", name.english()), format!("The Chinese name is /{}", name.chinese()));
    joined(std::iter::once(line(name)).chain(more).chain([other]))
}

/// What a command does, in a few words.
fn does(name: CommandName) -> Text {
    match name {
        CommandName::Broadcast => Text::new("发起一次群发", "asks for a broadcast"),
        CommandName::Status => Text::new("查看进度、已读和无效 ID", "delivery, reads and invalid ids"),
        CommandName::List => Text::new("列出群发", "lists broadcasts"),
        CommandName::Cancel => Text::new("取消还没发出的", "stops what has not been sent"),
        CommandName::Recall => Text::new("撤回已发出的", "recalls what has been sent"),
        CommandName::Departments => Text::new("只查找部门", "only searches departments"),
        CommandName::Login => Text::new("授权按名称查找部门", "authorizes the search by name"),
        CommandName::Logout => Text::new("删除这项授权", "forgets that authorization"),
        CommandName::WhoAmI => Text::new("你的 open_id、角色和授权", "your open_id, roles and authorization"),
        CommandName::Check => Text::new("检查机器人的设置是否齐全", "looks whether the bot is set up in full"),
        CommandName::Help => Text::new("某个命令的详细用法", "more about one command"),
    }
}

/// One use of a command that works.
fn example(name: CommandName) -> Text {
    called(name, name.chinese(), name.english())
}

/// The same use with the command's word as given, e.g. in English also where the sentences are Chinese.
fn called(name: CommandName, word_zh: &str, word_en: &str) -> Text {
    let (zh, en) = match name {
        CommandName::Broadcast => (" 销售部 明天下午三点开会", " Sales We meet tomorrow at 3 pm"),
        CommandName::Status | CommandName::Cancel | CommandName::Recall => (" K7M2QX", " K7M2QX"),
        CommandName::List => (" pending", " pending"),
        CommandName::Departments => (" 销售", " Sales"),
        CommandName::Help => (" 群发", " broadcast"),
        CommandName::Login | CommandName::Logout | CommandName::WhoAmI | CommandName::Check => ("", ""),
    };
    Text::new(format!("/{word_zh}{zh}"), format!("/{word_en}{en}"))
}

fn joined(lines: impl Iterator<Item = Text>) -> Text {
    let (zh, en): (Vec<String>, Vec<String>) = lines.map(|line| (line.zh, line.en)).unzip();
    Text::new(zh.join("\n"), en.join("\n"))
}

#[cfg(test)]
mod tests;
