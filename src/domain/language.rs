//! The two languages the bot speaks, and how it tells which one a person wrote in.

use super::command::CommandName;
use super::ids::BroadcastId;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    #[default]
    Zh,
    En,
}

impl Language {
    /// The word in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Language::Zh => "zh",
            Language::En => "en",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        [Self::Zh, Self::En].into_iter().find(|language| language.as_str() == word)
    }

    /// The language a person wrote a command in, if the words tell. One Han character is Chinese. English takes a word
    /// beyond the command itself: `/status K7M2QX` is typed by everyone, and is answered in both.
    pub fn of(text: &str) -> Option<Self> {
        if text.chars().any(|c| matches!(c, '\u{2E80}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}')) {
            return Some(Self::Zh);
        }
        // Nor do the names in the JSON of a card.
        let of_json = |word: &str| word.contains(['"', '{', '}']);
        let said = text.split_whitespace().filter(|word| !word.starts_with(['/', '／', '@', '-']) && !of_json(word));
        let mut words = said.filter(|word| {
            let letters = word.trim_matches(|c: char| !c.is_alphanumeric());
            // What belongs to a command is typed by everyone: `/list all`, `/help broadcast`.
            let ours = CommandName::parse(letters).is_some()
                || BroadcastId::parse(letters).is_some()
                || ["all", "pending", "scheduled"].contains(&letters);
            !ours
                && letters.chars().count() > 1
                && letters.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_uppercase())
                && letters.chars().skip(1).any(|c| c.is_ascii_lowercase())
        });
        words.next().map(|_| Self::En)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_comes_in_the_language_of_the_command() {
        assert_eq!(Language::of("/broadcast Sales all hands at three"), Some(Language::En));
        assert_eq!(Language::of("/departments Sales"), Some(Language::En));
        assert_eq!(Language::of("/broadcast 销售部 all hands"), Some(Language::Zh));
        assert_eq!(Language::of("/群发 od-1"), Some(Language::Zh));
        assert_eq!(Language::of("/broadcast --card ou_1 { \"schema\": \"2.0\", \"body\": {} }"), None);
    }

    #[test]
    fn what_everybody_types_tells_no_language() {
        for text in [
            "/status K7M2QX",
            "/status k7m2qx",
            "/status abcdef",
            "/whoami",
            "／login",
            "/list all",
            "/help broadcast",
            "@bot /help",
            "/broadcast ou_1a2b",
            "123",
            "",
        ] {
            assert_eq!(Language::of(text), None, "{text}");
        }
    }
}
