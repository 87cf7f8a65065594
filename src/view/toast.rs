//! The answer to a press: one sentence over the chat.

use serde_json::{Value, json};

use super::Text;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tone {
    Info,
    Success,
    Warning,
    Error,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toast {
    tone: Tone,
    text: Text,
}

impl Toast {
    pub fn info(text: Text) -> Self {
        Self { tone: Tone::Info, text }
    }

    pub fn success(text: Text) -> Self {
        Self { tone: Tone::Success, text }
    }

    pub fn warning(text: Text) -> Self {
        Self { tone: Tone::Warning, text }
    }

    pub fn error(text: Text) -> Self {
        Self { tone: Tone::Error, text }
    }

    /// The body of the answer to `card.action.trigger`.
    pub fn body(&self) -> Value {
        let kind = match self.tone {
            Tone::Info => "info",
            Tone::Success => "success",
            Tone::Warning => "warning",
            Tone::Error => "error",
        };
        json!({ "toast": {
            "type": kind,
            "content": self.text.zh,
            "i18n": { "zh_cn": self.text.zh, "en_us": self.text.en },
        } })
    }
}
