//! Our own addresses, as somebody meets them who comes from outside.

use super::because;
use crate::domain::check::{ANSWER_WITHIN, Knock};
use crate::view::Text;

/// What a knock at one of them came to.
pub fn answered(url: &str, knock: &Knock) -> Text {
    let (zh, en) = match knock {
        Knock::Answered(took) if *took > ANSWER_WITHIN => (
            format!("应答用了 {} 毫秒，后台保存地址时只等 1 秒：检查网络和代理", took.as_millis()),
            format!("answered after {} ms, and the console waits for 1 s: look at network and proxy", took.as_millis()),
        ),
        Knock::Answered(took) => {
            (format!("应答正确，用了 {} 毫秒", took.as_millis()), format!("answers rightly, within {} ms", took.as_millis()))
        }
        Knock::OtherAnswer => (
            "应答的不是这个机器人：PUBLIC_URL 指向别的程序或页面".into(),
            "it is not this bot that answers: PUBLIC_URL leads to another program or page".into(),
        ),
        Knock::Moved => (
            "应答是重定向，飞书不会跟过去：PUBLIC_URL 写成最终的 https 地址".into(),
            "answers with a redirect, which Feishu does not follow: write the final https address into PUBLIC_URL".into(),
        ),
        Knock::Distrusted => (
            "应答 401：在运行的机器人用的 FEISHU_ENCRYPT_KEY 或 FEISHU_VERIFICATION_TOKEN 与这里不同（改过之后没有重启？），或者代理改写了请求体。与 事件与回调 → 加密策略 核对".into(),
            "answers 401: the bot that runs has another FEISHU_ENCRYPT_KEY or FEISHU_VERIFICATION_TOKEN than this program (not restarted since?), or a proxy rewrites the body. Compare Events & Callbacks → Encryption Strategy".into(),
        ),
        Knock::Status(400) => (
            "应答 400：在运行的机器人打不开这个加密的验证请求，FEISHU_ENCRYPT_KEY 与这里不同".into(),
            "answers 400: the bot that runs cannot open the sealed challenge; its FEISHU_ENCRYPT_KEY differs from this one".into(),
        ),
        Knock::Status(status @ (502..=504)) => (
            format!("应答 {status}：代理到不了机器人。机器人在运行吗？核对 LISTEN_ADDR 和代理的上游"),
            format!("answers {status}: the proxy does not reach the bot. Does it run? Compare LISTEN_ADDR and the proxy's upstream"),
        ),
        Knock::Status(404) => (
            "应答 404：代理没有把这个路径交给机器人".into(),
            "answers 404: the proxy does not pass this path on to the bot".into(),
        ),
        Knock::Status(status) => (format!("应答 HTTP {status}"), format!("answers HTTP {status}")),
        Knock::Silent(why) => {
            let Text { zh, en } = because(*why);
            (format!("从这台机器看，外网地址不通：{zh}。请确认机器人和代理都在运行"), format!("seen from this machine, nobody answers: {en}. See that bot and proxy run"))
        }
    };
    Text::new(format!("{url} {zh}。"), format!("{url} {en}."))
}

/// A challenge got through, and a signed push did not.
pub fn changed(url: &str) -> Text {
    Text::new(
        format!(
            "{url}：验证请求通过，签了名的事件却被当作伪造拒绝，飞书的事件也会一样。多半是代理改写了请求体或丢掉了 X-Lark-* 请求头：关闭改写（WAF、JSON 规范化、编码转换），参照 deploy/nginx.conf。也可能是在运行的机器人时钟慢了 10 分钟，或用了别的 FEISHU_APP_ID。"
        ),
        format!(
            "{url}: the challenge is answered, a signed event is refused as forged, and so will Feishu's be. Most likely a proxy rewrites the body or drops the X-Lark-* headers: switch that off (WAF, JSON normalization, transcoding), see deploy/nginx.conf. Or the bot that runs has a clock ten minutes behind, or another FEISHU_APP_ID."
        ),
    )
}
