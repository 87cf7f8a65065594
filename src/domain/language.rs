//! The two languages the bot speaks.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    #[default]
    Zh,
    En,
}

impl Language {
    /// The language a person wrote in: English only if there is a Latin letter and no Han character at all.
    pub fn of(text: &str) -> Self {
        let han = text.chars().any(|c| matches!(c, '\u{2E80}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '／'));
        if !han && text.chars().any(|c| c.is_ascii_alphabetic()) { Self::En } else { Self::Zh }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_comes_in_the_language_of_the_command() {
        assert_eq!(Language::of("/broadcast Sales all hands at three"), Language::En);
        assert_eq!(Language::of("/broadcast 销售部 all hands"), Language::Zh);
        assert_eq!(Language::of("/群发 销售部"), Language::Zh);
        assert_eq!(Language::of("123"), Language::Zh);
    }
}
