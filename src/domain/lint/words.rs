//! Words that may not be meant: gaps of a template, secrets, numbers of people, mentions of everyone, lost styles.
//!
//! A guess that is wrong costs the author a press each time, and teaches people to press without reading. So every rule
//! asks for a form that ordinary sentences do not have: a check digit, a key's prefix, a pair of braces. What is left
//! alone on purpose: `{name}`, `[姓名]`, `【姓名】` and `XXX` (people write them as headings and for "some"), phone
//! numbers (announcements are full of them), passwords of meetings (they are meant for everyone).
//!
//! Everything here takes time in proportion to the text: `regex` does not backtrack, the rest is read once.

use std::sync::LazyLock;

use regex::Regex;

use super::{CardFacts, Finding, FindingKind, TextForm, shortened};

mod credential;
mod number;
mod style;

/// Findings of one kind that are told; more of them say nothing new.
const PER_KIND_MAX: usize = 5;

/// What stands in double braces, or in braces behind a dollar sign.
static BRACES: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\{\{([^{}\n]+)\}\}|\$\{([^{}\n]+)\}").expect("a literal pattern"));

/// A month and a day that nobody filled in: `XX月XX日`.
static NO_DAY: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[xX×Ｘ]{1,4}月[xX×Ｘ]{1,4}[日号]").expect("a literal pattern"));

/// Characters of the name of a gap; beyond that it is code or prose.
const GAP_NAME_CHARS_MAX: usize = 40;

/// `@所有人` as people type it, Feishu's `@_all`, and its tag in either spelling. An invisible U+200B may already stand
/// behind the `<`.
static EVERYONE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"[@＠]所有人|@_all(?-u:\b)|<\u{200B}?(?i-u:at)[ \t]+(?i-u:user_id|id)[ \t]*=[ \t]*["']?(?i-u:all)(?-u:\b)"#,
    )
    .expect("a literal pattern")
});

/// The tag with which a card mentions people.
static PERSON: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"<(?i-u:at)[ \t]+(?i-u:user_id|ids|id|email)[ \t]*=[ \t]*["']?([0-9A-Za-z_@.,+-]{1,200})"#)
        .expect("a literal pattern")
});

/// What is worth a second look in a text that arrives as it is typed.
pub fn findings(text: &str) -> Vec<Finding> {
    told(of_one(text, TextForm::Plain))
}

/// The same for everything a card says.
pub fn findings_in_card(facts: &CardFacts) -> Vec<Finding> {
    told(facts.texts.iter().flat_map(|part| of_one(&part.text, part.form)).collect())
}

fn of_one(text: &str, form: TextForm) -> Vec<Finding> {
    let mut found: Vec<Finding> = gaps(text).collect();
    found.extend(masked(credential::find(text), FindingKind::Credential));
    if form == TextForm::Address {
        // A long number in a link is a page, not a person.
        return found;
    }
    found.extend(masked(number::find(text), FindingKind::IdNumber));
    match form {
        TextForm::Markdown => {
            found.extend(everyone(text, FindingKind::EveryoneMention));
            let people = PERSON.captures_iter(text).filter_map(|tag| tag.get(1)).map(|id| id.as_str());
            let people = people.filter(|id| !id.eq_ignore_ascii_case("all"));
            found.extend(people.map(|id| Finding { kind: FindingKind::PersonMention, excerpt: shortened(id) }));
        }
        _ => {
            found.extend(everyone(text, FindingKind::EveryoneInText));
            let shown = |kind| move |excerpt: String| Finding { kind, excerpt: shortened(&excerpt) };
            found.extend(style::styles(text).into_iter().map(shown(FindingKind::StyleDropped)));
            found.extend(style::markdown(text).into_iter().map(shown(FindingKind::MarkdownInText)));
        }
    }
    found
}

fn gaps(text: &str) -> impl Iterator<Item = Finding> {
    let named = BRACES.captures_iter(text).filter(|gap| {
        let name = gap.get(1).or_else(|| gap.get(2)).map(|name| name.as_str()).unwrap_or_default();
        is_a_name(name)
    });
    let named = named.filter_map(|gap| gap.get(0)).map(|gap| gap.as_str());
    let excerpts = named.chain(NO_DAY.find_iter(text).map(|gap| gap.as_str()));
    excerpts.map(|gap| Finding { kind: FindingKind::Placeholder, excerpt: shortened(gap) })
}

/// `name`, `user.name`, `姓名`, and `#each list` of template languages: what a program would look up.
fn is_a_name(text: &str) -> bool {
    let name = text.trim().trim_start_matches(['#', '/', '^', '>', '$', '@']);
    let of_a_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | ' ');
    name.starts_with(|c: char| c.is_alphanumeric() || c == '_')
        && name.chars().count() <= GAP_NAME_CHARS_MAX
        && name.chars().all(of_a_name)
}

fn everyone(text: &str, kind: FindingKind) -> impl Iterator<Item = Finding> {
    let found = EVERYONE.find_iter(text).map(|found| shortened(found.as_str()));
    found.map(move |excerpt| Finding { kind, excerpt })
}

fn masked(excerpts: Vec<String>, kind: FindingKind) -> impl Iterator<Item = Finding> {
    excerpts.into_iter().map(move |excerpt| Finding { kind, excerpt })
}

/// By kind, the gravest first; each thing once, and not more of a kind than anyone would read.
fn told(mut found: Vec<Finding>) -> Vec<Finding> {
    found.sort_by_key(|finding| finding.kind);
    let mut told: Vec<Finding> = vec![];
    for finding in found {
        let of_its_kind = told.iter().filter(|other| other.kind == finding.kind).count();
        if of_its_kind < PER_KIND_MAX && !told.contains(&finding) {
            told.push(finding);
        }
    }
    told
}

/// The first characters of a secret, never more than a quarter of it.
fn mask(secret: &str) -> String {
    let shown = (secret.chars().count() / 4).min(3);
    secret.chars().take(shown).chain(['…']).collect()
}

#[cfg(test)]
mod tests;
