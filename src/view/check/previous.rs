//! A key whose previous value is set as well: what to do next, and when that can go.

use crate::domain::check::{Previous, Use};
use crate::view::{Text, duration};

pub fn said(previous: &Previous) -> Text {
    match previous {
        Previous::Door { setting, platform } => {
            let Text { zh, en } = used(*platform);
            Text::new(format!("正在更换密钥，{setting} 还在：{zh}。"), format!("{setting} is set: {en}."))
        }
        Previous::AppSecret { needed: true } => Text::new(
            "飞书拒绝 FEISHU_APP_SECRET，接受 FEISHU_APP_SECRET_PREVIOUS：App Secret 还没有在后台重置，或者新值抄错了。",
            "Feishu refuses FEISHU_APP_SECRET and takes FEISHU_APP_SECRET_PREVIOUS: the secret was not reset in the console yet, or the new one was copied wrongly.",
        ),
        Previous::AppSecret { needed: false } => Text::new(
            "FEISHU_APP_SECRET_PREVIOUS 还在，飞书已接受新值：设了 SECRET_KEY 的，现在就清空并重启；没有设的，重启一小时之后。",
            "FEISHU_APP_SECRET_PREVIOUS is set, and Feishu takes the present one: empty it and restart, at once where SECRET_KEY is set, and an hour after the restart where not.",
        ),
        Previous::SecretKey => Text::new(
            "SECRET_KEY 的旧值还有效：授权在启动时已改用新密钥，登录链接一小时后失效，那时清空 SECRET_KEY_PREVIOUS（由 App Secret 推出的，是 FEISHU_APP_SECRET_PREVIOUS）并重启；如果它是将要启用的新值，先不要清空。旧密钥留在密码库里：audit verify 要用它核对旧的记录。",
            "The SECRET_KEY of before still counts: authorizations were sealed anew at the start, login links end within an hour; then empty SECRET_KEY_PREVIOUS (or FEISHU_APP_SECRET_PREVIOUS, where it is derived) and restart, unless it is the value to come. Keep the old key in a vault: audit verify needs it for the rows of before.",
        ),
        Previous::NotTaken { url } => Text::new(
            format!(
                "{url}：在运行的机器人不接受旧的 Encrypt Key 或 Verification Token，后台还没有改的话，事件会被拒绝。用这些设置重启它。"
            ),
            format!(
                "{url}: the bot that runs does not take the previous Encrypt Key or Verification Token; where the console still has them, its events are refused. Restart it with these settings."
            ),
        ),
    }
}

fn used(platform: Option<Use>) -> Text {
    match platform {
        None => Text::new(
            "事件用的是哪个值，只有在运行的机器人知道：在聊天里发 /check，或看指标 feishu_broadcast_rotating_keys_total",
            "under which value events come, the bot that runs knows: write /check in a chat, or read feishu_broadcast_rotating_keys_total in /metrics",
        ),
        Some(Use::Unknown) => Text::new(
            "启动以来还没有事件，给机器人发一句话再看",
            "no event has come since the start; write to the bot and look again",
        ),
        Some(Use::Previous) => Text::new(
            "事件还在用旧值，在 事件与回调 → 加密策略 保存新值",
            "events still come under the previous value; save the new one in Events & Callbacks → Encryption Strategy",
        ),
        Some(Use::Present { left }) => {
            let Text { zh, en } = duration(left);
            Text::new(
                format!("事件已经用新值；之前的还可能重推，{zh}后可以清空"),
                format!("events come under the present value; one of before may be pushed again, so empty it in {en}"),
            )
        }
        Some(Use::Over) => Text::new(
            "很久没有用旧值的事件了，可以清空并重启（多个副本时先看指标的总和）",
            "no event has come under the previous value for long: empty it and restart (with several replicas, look at the sum in /metrics first)",
        ),
    }
}
