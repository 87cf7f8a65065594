//! What a missing scope costs, and the click that grants it.

use crate::domain::check::Need;
use crate::view::Text;

/// A scope that is not granted.
pub fn missing(need: &Need, waiting: bool) -> Text {
    let Text { zh, en } = without(need.scope);
    if waiting {
        return Text::new(
            format!("权限 {} 已申请、未生效，{zh}。版本管理与发布 → 创建版本，再由企业管理员审核通过。", need.scope),
            format!(
                "The scope {} is asked for and not in force; {en}. Create a version, and let a tenant admin approve it.",
                need.scope
            ),
        );
    }
    Text::new(
        format!("缺少权限 {}，{zh}。权限管理 → 开通，然后创建版本并发布。", need.scope),
        format!(
            "The scope {} is missing; {en}. Permissions & Scopes → apply for it, then create a version and publish it.",
            need.scope
        ),
    )
}

/// What does not work without a scope.
fn without(scope: &str) -> Text {
    let (zh, en) = match scope {
        "im:message:send_as_bot" => ("机器人不能回复，也不能发卡片", "the bot cannot answer or show cards"),
        "im:message:send_multi_users" => ("不能群发给人", "nothing can be sent to people"),
        "im:message:send_multi_depts" => ("不能群发给部门", "nothing can be sent to departments"),
        "im:message.p2p_msg:readonly" => ("收不到单聊里的命令", "commands of private chats do not arrive"),
        "im:message.group_at_msg:readonly" => ("收不到群里 @机器人 的命令", "commands of groups do not arrive"),
        "contact:contact.base:readonly"
        | "contact:department.base:readonly"
        | "contact:department.organize:readonly" => {
            ("没有部门的名称、路径和人数", "departments have no name, path and headcount")
        }
        "im:message:readonly" | "im:resource" => (
            "不能群发所回复的消息、图片，也不能读名单文件",
            "replied-to messages, images and lists of targets cannot be used",
        ),
        "im:message.group_msg" => ("不能群发群里所回复的消息", "replied-to messages of groups cannot be sent"),
        "contact:user.base:readonly" => ("看不到收件人的姓名", "recipients have no names"),
        "contact:user.department:readonly" | "contact:user.employee:readonly" => {
            ("单独点名又在部门里的人可能收到两次", "whoever is named beside their own department may get it twice")
        }
        "contact:user.employee_id:readonly" => ("不能用 user:ID 写收件人", "user:ID does not work as a target"),
        "contact:user.id:readonly" => {
            ("不能用邮箱、手机号写收件人", "e-mail addresses and phone numbers do not work as targets")
        }
        "contact:group:readonly" => ("用户组不能作为管理员或审批人", "user groups cannot be admins or approvers"),
        "auth:user_access_token:read" => {
            ("授权被收回时要到用的时候才知道", "a withdrawn authorization is noticed only when it is used")
        }
        _ => ("有功能不可用", "something does not work"),
    };
    Text::new(zh, en)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::check::NEEDS;

    #[test]
    fn every_scope_says_what_is_missed_without_it() {
        let unnamed = without("");
        for need in &NEEDS {
            assert_ne!(without(need.scope), unnamed, "{}", need.scope);
        }
    }
}
