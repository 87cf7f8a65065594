//! The page a browser shows after the authorization: one heading, one sentence, no script, nothing from outside.

use super::{Language, Text, trouble};

/// What the page says.
pub struct Words {
    heading: Text,
    sentence: Text,
}

fn words(zh: (&str, &str), en: (&str, &str)) -> Words {
    Words { heading: Text::new(zh.0, en.0), sentence: Text::new(zh.1, en.1) }
}

pub fn authorized(waiting: u64) -> Words {
    if waiting > 0 {
        words(
            ("授权成功", "可以关闭这个页面，回到飞书：刚才的命令正在继续。"),
            ("Authorized", "You can close this page and go back to Feishu: your command goes on."),
        )
    } else {
        words(
            ("授权成功", "可以关闭这个页面，回到飞书继续使用。"),
            ("Authorized", "You can close this page and go back to Feishu."),
        )
    }
}

pub fn declined() -> Words {
    words(
        ("没有授权", "你没有同意授权，什么也没有改变。需要时在飞书里再发一次 /login。"),
        ("Not authorized", "You did not agree, and nothing was changed. Send /login in Feishu whenever you want."),
    )
}

pub fn bad_link() -> Words {
    words(
        ("链接无效", "这个链接已过期、已用过，或不完整。请回到飞书发送 /login，使用新的链接。"),
        (
            "This link does not work",
            "It has run out, was used already, or is incomplete. Send /login in Feishu for a new one.",
        ),
    )
}

pub fn wrong_person() -> Words {
    words(
        ("账号不一致", "浏览器里登录的不是发起授权的人，所以没有保存。请用自己的账号打开链接，或在飞书客户端里打开。"),
        (
            "Another account",
            "The browser is signed in as somebody else, so nothing was kept. Open the link with your own account, or inside Feishu.",
        ),
    )
}

pub fn refused(code: Option<i64>) -> Words {
    let why = code.map_or_else(trouble::feishu_silent, super::advice);
    let code = code.map(|code| format!(" ({code})")).unwrap_or_default();
    Words {
        heading: Text::new("飞书没有完成授权", "Feishu did not finish the authorization"),
        sentence: Text::new(
            format!("{}{code} 请回到飞书发送 /login 重试。", why.zh),
            format!("{}{code} Send /login in Feishu to try again.", why.en),
        ),
    }
}

pub fn try_again() -> Words {
    words(
        ("暂时没有完成", "服务器暂时没有响应。请回到飞书发送 /login 重试。"),
        ("Not finished", "The server does not answer at the moment. Send /login in Feishu to try again."),
    )
}

/// The page as HTML.
pub fn page(words: &Words, good: bool, language: Language) -> String {
    let lang = match language {
        Language::Zh => "zh-CN",
        Language::En => "en",
    };
    let heading = escape(words.heading.in_(language));
    let sentence = escape(words.sentence.in_(language));
    let (mark, colour) = if good { ("✓", "#1f9d55") } else { ("!", "#c2571a") };
    format!(
        "<!doctype html><html lang=\"{lang}\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>{heading}</title><style>\
         :root{{color-scheme:light dark}}body{{margin:0;min-height:100vh;display:grid;place-items:center;\
         font:16px/1.6 system-ui,'PingFang SC','Microsoft YaHei',sans-serif;background:Canvas;color:CanvasText}}\
         main{{max-width:26rem;padding:2rem;text-align:center}}\
         .mark{{width:3.5rem;height:3.5rem;margin:0 auto 1rem;border-radius:50%;display:grid;place-items:center;\
         font-size:1.8rem;color:#fff;background:{colour}}}h1{{font-size:1.4rem;margin:.2rem 0}}</style></head>\
         <body><main><div class=\"mark\" aria-hidden=\"true\">{mark}</div><h1>{heading}</h1><p>{sentence}</p></main></body></html>"
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_speaks_the_readers_language_and_loads_nothing() {
        let zh = page(&authorized(1), true, Language::Zh);
        assert!(zh.contains("lang=\"zh-CN\"") && zh.contains("刚才的命令正在继续"));
        let en = page(&bad_link(), false, Language::En);
        assert!(en.contains("lang=\"en\"") && en.contains("This link does not work"));
        assert!(!zh.contains("http") && !zh.contains("<script"));
    }
}
