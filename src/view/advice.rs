//! For each code that a person must do something about: what is wrong and what to click, in two languages.
//!
//! "Console" is the developer console of the app (`open.feishu.cn/app` or `open.larksuite.com/app`). Scopes are named
//! where the code names them; otherwise the answer itself does ([`super::error::CallError::scopes`]). Sources: the
//! error tables of the endpoints, as collected in `feishu::codes`, and "Obtain and refresh user access tokens".

/// What is wrong and what to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advice {
    pub zh: &'static str,
    pub en: &'static str,
}

/// Words for a code; `None` for codes that the machine deals with alone, and for those nobody documents.
pub fn advice(code: i64) -> Option<Advice> {
    app(code)
        .or_else(|| batch(code))
        .or_else(|| message(code))
        .or_else(|| media(code))
        .or_else(|| contact(code))
        .or_else(|| login(code))
}

const fn say(zh: &'static str, en: &'static str) -> Option<Advice> {
    Some(Advice { zh, en })
}

const BOT_OFF: Option<Advice> = say(
    "应用未启用机器人能力。请在开发者后台 > 应用能力中添加“机器人”，然后发布新版本。",
    "The app has no bot. In the console, add the Bot ability under app features, then publish a version.",
);

const DEFECT: Option<Advice> = say(
    "请求被飞书判定为有误，这是本程序的缺陷。请把日志编号（log id）报告给维护者。",
    "Feishu finds the request itself wrong: a defect of this program. Please report it with the log id.",
);

const UNKNOWN_ID: Option<Advice> = say(
    "这个 ID 在飞书不存在，或者 ID 的种类不对。请核对后重新发起。",
    "Feishu does not know this id, or it is of another kind than expected. Check it and ask again.",
);

const AUDIT: Option<Advice> = say(
    "内容未通过飞书的内容审核。请修改文字后重新发起。",
    "Feishu's content rules refused the text. Change it and ask again.",
);

const TOO_LONG: Option<Advice> =
    say("内容太长，请缩短后重新发起。", "The content is too long. Shorten it and ask again.");

const GONE: Option<Advice> = say(
    "原消息已撤回、删除或过期，无法再回复或更新；结果会另发一条消息。",
    "The message was recalled, deleted or is too old to be answered or updated; the news comes as a new message.",
);

const PERSON_OUT_OF_REACH: Option<Advice> = say(
    "机器人对此人不可用，或此人已离职。请在开发者后台 > 版本管理中把此人加入可用范围并发布。",
    "This person is outside the app's availability, or has left. In the console, add them to the availability of a \
     new version and publish it.",
);

const NOT_IN_TENANT: Option<Advice> = say(
    "应用在本企业未启用或不可用。请企业管理员在管理后台启用该应用。",
    "The app is not enabled in this company. Ask the company admin to enable it in the admin console.",
);

const SIGN_IN_AGAIN: Option<Advice> = say(
    "授权已失效。请重新发送 /login 并打开新的链接。",
    "The authorization is no longer valid. Send /login again and open the new link.",
);

const PERSON_GONE: Option<Advice> = say(
    "该飞书账号不存在、已离职或被冻结，授权已删除。",
    "This Feishu account does not exist, has left or is frozen; its authorization was deleted.",
);

/// The app as a whole, and its token. Any endpoint.
fn app(code: i64) -> Option<Advice> {
    match code {
        99991400 => say("飞书限流，机器人会自动等待并重试。", "Feishu limits the rate; the bot waits and tries again."),
        99991401 => say(
            "本服务器的出口 IP 不在白名单。请在开发者后台 > 安全设置 > IP 白名单中加入服务器的公网 IPv4。",
            "This server's address is not allowed. In the console, add its public IPv4 under Security > IP allow-list.",
        ),
        99991403 => say(
            "本企业本月的 API 调用额度已用完。请企业管理员升级套餐，或等到下月。",
            "The company's API quota for this month is used up. The company admin must raise the plan, or wait.",
        ),
        99991662 | 99991673 | 212100 => NOT_IN_TENANT,
        99991672 => say(
            "应用缺少权限。请在开发者后台 > 权限管理中开通所列权限，然后发布新版本。",
            "The app lacks a scope. In the console, request the scopes named under Permissions, then publish a version.",
        ),
        99991676 => say(
            "应用的凭证无权调用此接口。请在开发者后台 > 权限管理中核对权限并发布新版本。",
            "The app's token may not make this call. In the console, check Permissions, then publish a version.",
        ),
        99992361 => say(
            "这个 open_id 属于另一个应用（测试版应用也算另一个）。请换成本应用的 open_id。",
            "This open_id belongs to another app (a test version counts as another app). Use an id of this app.",
        ),
        10003 => say(
            "参数有误。若发生在启动时，请检查 FEISHU_APP_ID 是否完整；若发生在发送时，请检查内容后重新发起。",
            "A parameter is wrong. At start, check that FEISHU_APP_ID is complete; when sending, check the content and \
             ask again.",
        ),
        10012 => say(
            "这是商店应用的凭证，本程序只支持企业自建应用。请换用自建应用的 App ID。",
            "These are a store app's credentials; this program needs a custom app. Use a custom app's App ID.",
        ),
        10014 => say(
            "App ID 不正确，或应用已停用。请在开发者后台 > 凭证与基础信息中核对 FEISHU_APP_ID。",
            "The App ID is wrong, or the app is disabled. Compare FEISHU_APP_ID with Credentials in the console.",
        ),
        10015 => say(
            "App Secret 不正确（是否重置过？）。请在开发者后台 > 凭证与基础信息中核对 FEISHU_APP_SECRET。",
            "The App Secret is wrong (was it reset?). Compare FEISHU_APP_SECRET with Credentials in the console.",
        ),
        10005 | 10013 | 20013 | 20014 | 99991661 | 99991663 | 99991664 | 99991665 | 99991671 | 234002 => say(
            "飞书不接受应用的访问凭证，重新获取后仍不接受。请核对 FEISHU_APP_ID、FEISHU_APP_SECRET 和应用状态。",
            "Feishu does not take the app's token, not even a fresh one. Check FEISHU_APP_ID, FEISHU_APP_SECRET and the \
             state of the app.",
        ),
        99991201 | 99991301 | 99992402 | 9499 | 4000 | 10001 | 30005 => DEFECT,
        99992351 | 99992354 | 99992357..=99992360 | 99992363 | 99992364 | 99992380 | 99992381 => UNKNOWN_ID,
        _ => None,
    }
}

/// `batch_send`.
fn batch(code: i64) -> Option<Advice> {
    match code {
        10002 => say(
            "飞书没有说清是否已发送。请向一位收件人核实，再决定是否重发。",
            "Feishu does not say whether it was sent. Ask a recipient before you decide to send it again.",
        ),
        11101 => say(
            "收件人中有不存在的 open_id。请核对后重新发起。",
            "One of the open_ids does not exist. Check and ask again.",
        ),
        11203 => say(
            "应用不能给多个用户发消息。请开通权限 im:message:send_multi_users，然后发布新版本。",
            "The app may not message several users. Request the scope im:message:send_multi_users, then publish.",
        ),
        11204 => say(
            "应用不能给部门发消息。请开通权限 im:message:send_multi_depts，然后发布新版本。",
            "The app may not message departments. Request the scope im:message:send_multi_depts, then publish.",
        ),
        11205 => BOT_OFF,
        11207 => NOT_IN_TENANT,
        11209 => say(
            "飞书不认识这个应用。请核对 FEISHU_APP_ID 与 FEISHU_PLATFORM（feishu 或 lark）。",
            "Feishu does not know this app. Check FEISHU_APP_ID and FEISHU_PLATFORM (feishu or lark).",
        ),
        11210 => say(
            "应用未在本企业安装。请企业管理员安装并启用该应用。",
            "The app is not installed in this company. Ask the company admin to install and enable it.",
        ),
        11223 => say(
            "应用没有发消息的权限。请开通权限 im:message:send_as_bot，然后发布新版本。",
            "The app may not send messages. Request the scope im:message:send_as_bot, then publish a version.",
        ),
        11225 => PERSON_OUT_OF_REACH,
        11227 | 230017 => say(
            "图片或文件不属于本机器人。请把原消息重新发给机器人后再发起。",
            "The image or file does not belong to this bot. Send it to the bot again and repeat the command.",
        ),
        11231 => say(
            "找不到要分享的群，或机器人不在群里。请先把机器人加入该群。",
            "The group to be shared was not found, or the bot is not in it. Add the bot to that group first.",
        ),
        11232 | 11233 => {
            say("飞书内部限流，机器人会自动等待并重试。", "Feishu is busy; the bot waits and tries again.")
        }
        11235 => say("该会话不允许 @所有人。请去掉 @所有人。", "@all is not allowed there. Remove @all and ask again."),
        11246 => say(
            "飞书无法生成这条消息的内容（富文本或卡片格式有误）。请检查内容后重新发起。",
            "Feishu cannot build a message of this content (rich text or card). Check it and ask again.",
        ),
        11247 => say(
            "今天的批量消息额度（50 万条）已用完。请明天再发。",
            "Today's quota of 500,000 batch messages is used up. Try again tomorrow.",
        ),
        11248 | 11312 => AUDIT,
        19036 => TOO_LONG,
        230100 => say(
            "飞书把内容判定为无效的测试消息。请写真实的内容。",
            "Feishu takes this for a test message. Write the real content.",
        ),
        230012 => say(
            "这批消息不是本应用发送的。应用是否换过？请核对 FEISHU_APP_ID。",
            "This batch was not sent by this app. Was the app changed? Check FEISHU_APP_ID.",
        ),
        230009 => say(
            "已超过可撤回的期限，飞书不再允许撤回。期限由企业管理员在管理后台设置，放宽之后可以再撤回一次。",
            "The period for recalling is over, so Feishu refuses it. The company's admin sets it in the admin console; once \
             it is longer, recall again.",
        ),
        230026 => say(
            "应用没有撤回这批消息的权利。请企业管理员在管理后台检查撤回消息的设置。",
            "The app has no right to recall this batch. Ask the company's admin to look into the settings for recalling.",
        ),
        230030 => say(
            "飞书查不到这批消息：刚刚发出，或已超过 30 天。",
            "Feishu finds no such batch: it was sent a moment ago, or more than 30 days ago.",
        ),
        _ => None,
    }
}

/// Single messages and cards.
fn message(code: i64) -> Option<Advice> {
    match code {
        230001 | 230054 | 230055 | 230071 | 230072 | 230099 => DEFECT,
        230002 => say("机器人不在这个群里。请把机器人加入该群。", "The bot is not in this group. Add it to the group."),
        230006 => BOT_OFF,
        230011 | 230019 | 230031 | 230050 | 230110 | 230111 => GONE,
        230013 => PERSON_OUT_OF_REACH,
        230015 => {
            say("单聊不能作为群名片分享。请选择一个群。", "A private chat cannot be shared as a card. Choose a group.")
        }
        230018 => say(
            "群设置只允许部分成员发言。请群主允许机器人发言。",
            "The group lets only some members speak. Ask its owner to let the bot speak.",
        ),
        230022 => AUDIT,
        230025 => TOO_LONG,
        230027 => say(
            "应用没有这项消息权限。请在开发者后台 > 权限管理中开通 im:message:send_as_bot 等权限，然后发布新版本。",
            "The app lacks a message scope. In the console, request im:message:send_as_bot (and what the answer names), \
             then publish a version.",
        ),
        230028 => say(
            "内容含手机号、邮箱等信息，未通过防泄漏检查。请改写后重新发起。",
            "The text holds phone numbers, e-mail addresses or the like and was stopped. Reword it and ask again.",
        ),
        230029 => say("此人已离职，无法收到消息。", "This person has left and cannot be reached."),
        230034 => UNKNOWN_ID,
        230035 => say(
            "机器人在这里不能发言：群已禁言、对方屏蔽了机器人，或被企业限制。请解除限制。",
            "The bot may not speak here: the group is muted, the receiver blocked the bot, or the company restricts it.",
        ),
        230036 => say(
            "企业的消息加密密钥已被删除。请联系企业管理员。",
            "The company's message encryption key was deleted. Ask the company admin.",
        ),
        230038 => say("不能给外部企业的人发单聊消息。", "People of another company cannot be messaged privately."),
        230053 => say("此人不再接收机器人的消息。", "This person has stopped the bot's messages."),
        230075 => say("密聊中不能发送。请换一个会话。", "This is a secret chat. Use another chat."),
        232009 => say("这个群已解散。", "This group was dissolved."),
        _ => None,
    }
}

/// Images and files, received and uploaded.
fn media(code: i64) -> Option<Advice> {
    match code {
        234001 => DEFECT,
        234003 | 234005 | 234008 => say(
            "飞书找不到这个图片或文件，或它不属于本机器人。请把原文件重新发给机器人后再发起。",
            "Feishu finds no such image or file, or it is not this bot's. Send it to the bot again and repeat the command.",
        ),
        234004 => say(
            "机器人不在原消息所在的会话里。请先把机器人加入该群，或把内容直接发给机器人。",
            "The bot is not in the chat of that message. Add it to the group, or send the content to the bot itself.",
        ),
        234006 => say(
            "文件太大：图片不能超过 10 MB，文件不能超过 30 MB。请压缩后重新发送。",
            "The file is too large: images may have 10 MB, files 30 MB. Make it smaller and send it again.",
        ),
        234007 => BOT_OFF,
        234009 => say(
            "外部群里的文件不能下载。请把文件直接发给机器人。",
            "Files of a group with outsiders cannot be fetched. Send the file to the bot itself.",
        ),
        234010 => say("文件是空的。请检查后重新发送。", "The file is empty. Check it and send it again."),
        234011 => say(
            "飞书不认识这种图片格式。请换成 JPG、PNG、GIF、WEBP、BMP、ICO、TIFF 或 HEIC。",
            "Feishu does not know this image format. Use JPG, PNG, GIF, WEBP, BMP, ICO, TIFF or HEIC.",
        ),
        234037 => say(
            "文件超过 100 MB，飞书不允许下载。请换一个较小的文件。",
            "The file has more than 100 MB and cannot be fetched. Use a smaller one.",
        ),
        234038 => say(
            "原消息禁止下载（保密消息或防泄密模式）。请把文件直接发给机器人。",
            "Downloading is forbidden there (a secret message, or a chat that forbids copying). Send the file to the bot \
             itself.",
        ),
        234039 => say(
            "图片尺寸太大：GIF 不能超过 2000 x 2000，其他图片不能超过 12000 x 12000。请缩小后重新发送。",
            "The image has too many pixels: a GIF may have 2000 x 2000, others 12000 x 12000. Scale it down and send it \
             again.",
        ),
        234040 => say(
            "机器人看不到原消息。请群主在群设置中允许新成员查看历史消息，或把内容直接发给机器人。",
            "The bot cannot see that message. Ask the group's owner to let new members see the history, or send the \
             content to the bot itself.",
        ),
        234041 => say(
            "企业的加密密钥已被删除，文件无法读写。请联系企业管理员。",
            "The company's encryption key was deleted, so files cannot be read or written. Ask the company admin.",
        ),
        234042 => say(
            "企业自己的存储出错（例如空间已满）。请联系企业管理员。",
            "The company's own storage fails (it may be full). Ask the company admin.",
        ),
        234043 => say(
            "卡片和合并转发消息里的图片、文件不能下载。请把图片或文件单独发给机器人。",
            "Images and files inside cards and forwarded bundles cannot be fetched. Send the image or file by itself.",
        ),
        _ => None,
    }
}

/// Departments and people.
fn contact(code: i64) -> Option<Advice> {
    match code {
        48001 => say(
            "这个部门名称无法搜索。请换一个写法。",
            "This department name cannot be searched. Write it another way.",
        ),
        40001 | 40002 | 40008 | 40011 | 40012 | 41071 | 41072 | 41074 | 43010 | 44102 => DEFECT,
        40004 | 40014 | 41050 | 42009 => say(
            "应用的通讯录权限范围不含此部门、人员或用户组。请在开发者后台 > 权限管理 > 通讯录权限范围中加入并发布，或由企业管理员修改。",
            "The department, person or user group is outside the app's contact data range. Add it in the console under Permissions \
             and publish, or let the company admin edit the range.",
        ),
        40015 | 41012 | 42002 => UNKNOWN_ID,
        42008 => say(
            "部门属于另一个企业。请核对应用是否装在正确的企业。",
            "The department belongs to another company. Check that the app is installed in the right one.",
        ),
        43007 => say(
            "这个自定义部门 ID 在企业内重复。请改用 od- 开头的 ID。",
            "This custom department id is not unique in the company. Use the id that begins with od-.",
        ),
        _ => None,
    }
}

/// A person's authorization.
fn login(code: i64) -> Option<Advice> {
    match code {
        20002 => say(
            "App Secret 不正确（是否重置过？）。请核对 FEISHU_APP_SECRET。",
            "The App Secret is wrong (was it reset?). Check FEISHU_APP_SECRET.",
        ),
        20003 | 20004 | 20065 | 20049 => say(
            "授权链接已失效或已用过。请重新发送 /login 并打开新的链接。",
            "The authorization link has expired or was used already. Send /login again and open the new link.",
        ),
        20008 | 20066 | 20021 | 20022 | 20023 => PERSON_GONE,
        20009 | 20048 | 20069 => NOT_IN_TENANT,
        20010 => say(
            "你不在应用的可用范围内。请运维人员在开发者后台把你加入可用范围并发布。",
            "You are outside the app's availability. Ask the operator to add you in the console and publish.",
        ),
        20024 => say(
            "授权属于另一个应用。请重新发送 /login；若刚换过应用，请核对 FEISHU_APP_ID。",
            "The authorization belongs to another app. Send /login again; if the app was changed, check FEISHU_APP_ID.",
        ),
        20005 | 20026 | 20037 | 20064 | 20073 | 99991668 | 99991669 | 99991677 => SIGN_IN_AGAIN,
        20027 => say(
            "应用未开通这些用户身份权限。请在开发者后台 > 权限管理中为用户身份开通通讯录权限和 offline_access。",
            "The app has not enabled these scopes for user identity. In the console, enable the contact scopes and \
             offline_access for users.",
        ),
        20071 => say(
            "重定向地址不一致。请在开发者后台 > 安全设置 > 重定向 URL 中填写 PUBLIC_URL/oauth/callback。",
            "The redirect address differs. In the console, list PUBLIC_URL/oauth/callback under Security > Redirect URLs.",
        ),
        20074 => say(
            "应用未开启刷新用户凭证。请在开发者后台 > 安全设置中打开“刷新 user_access_token”并发布。",
            "The app may not refresh user tokens. In the console, turn on refreshing user_access_token under Security and \
             publish.",
        ),
        20001 | 20063 | 20036 | 20067 | 20068 | 20070 => DEFECT,
        99991679 => say(
            "你的授权缺少所需权限。请重新发送 /login 并同意所列权限。",
            "Your authorization lacks a scope. Send /login again and agree to the scopes it lists.",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feishu::codes::{Call, GENERIC};
    use crate::feishu::oauth;

    #[test]
    fn every_code_that_needs_a_person_has_words_in_both_languages() {
        for table in Call::ALL.map(Call::table).into_iter().chain([GENERIC]) {
            for code in table.fix_setup.iter().chain(table.permanent).chain(table.reauthenticate) {
                let advice = advice(*code).unwrap_or_else(|| panic!("no advice for {code}"));
                assert!(!advice.zh.is_ascii(), "{code}");
                assert!(advice.en.is_ascii(), "{code}");
            }
        }
    }

    #[test]
    fn every_code_of_the_login_has_words() {
        for (code, _) in oauth::CODES {
            let retried = matches!(code, 20050 | 20072);
            assert_eq!(advice(*code).is_some(), !retried, "{code}");
        }
    }

    #[test]
    fn what_nobody_documents_has_no_words() {
        for code in [0, 1, -1, 424242] {
            assert_eq!(advice(code), None);
        }
    }
}
