//! `POLICY_FILE`: the finer rules, in TOML.
//!
//! A rule that nobody knows, or that could never apply, is refused with its line, never skipped: a misspelt restriction
//! would be none. What each rule means is told to operators in `deploy/policy.example.toml`.

use std::collections::BTreeSet;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use crate::domain::ids::{DepartmentId, OpenId};
use crate::domain::policy::{ApproverRule, AuthorRule, Authors, Kind, People, Place, Policy, Rules};

mod quiet;
mod size;

/// Rules of one kind in a file.
const RULES_MAX: usize = 200;

/// Letters of a rule's name: it stands in answers and on cards.
const NAME_LETTERS_MAX: usize = 40;

/// The word for every admin whom no rule above names.
const OTHERS: &str = "*";

/// The file as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    everyone: Everyone,
    #[serde(default)]
    author: Vec<Spanned<Author>>,
    #[serde(default)]
    approver: Vec<Spanned<Approver>>,
    #[serde(default)]
    size: Vec<Spanned<size::Size>>,
    #[serde(default)]
    quiet: quiet::Windows,
}

/// Who may address the whole company; nobody by default.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Everyone {
    #[serde(default)]
    authors: Vec<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Author {
    name: Option<Spanned<String>>,
    who: Vec<Spanned<String>>,
    departments: Option<Vec<Spanned<String>>>,
    kinds: Option<Vec<Spanned<String>>>,
    per_day: Option<Spanned<u32>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Approver {
    name: Option<Spanned<String>>,
    who: Vec<Spanned<String>>,
    departments: Vec<Spanned<String>>,
}

/// What is wrong, and where: bytes of the file.
#[derive(Debug)]
struct Wrong {
    at: Range<usize>,
    what: String,
}

fn wrong<T>(at: &Spanned<T>, what: impl Into<String>) -> Wrong {
    Wrong { at: at.span(), what: what.into() }
}

/// Turns the place of a byte into a line, from 1.
struct Lines<'a>(&'a str);

impl Lines<'_> {
    fn of(&self, at: &Range<usize>) -> usize {
        self.0.bytes().take(at.start).filter(|byte| *byte == b'\n').count() + 1
    }

    fn place<T>(&self, rule: &Spanned<T>, name: Option<&Spanned<String>>) -> Result<Place, Wrong> {
        let shown = |name: &Spanned<String>| {
            let text = name.get_ref().trim();
            let fits = (1..=NAME_LETTERS_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control);
            match fits {
                true => Ok(text.to_owned()),
                false => Err(wrong(name, format!("a name is one line of 1 to {NAME_LETTERS_MAX} letters"))),
            }
        };
        Ok(Place { line: self.of(&rule.span()), name: name.map(shown).transpose()? })
    }
}

/// Puts the rules of a file in the place of those before.
///
/// # Errors
/// One line that names what is wrong, and where.
pub(super) fn apply(policy: Policy, file: &str) -> Result<Policy, String> {
    // Editors of one system put it there.
    let file = file.strip_prefix('\u{feff}').unwrap_or(file);
    let lines = Lines(file);
    let written: Written = toml::from_str(file).map_err(|error| match error.span() {
        Some(span) => format!("line {}: {}", lines.of(&span), error.message()),
        None => error.message().to_owned(),
    })?;
    let rules =
        rules(&policy, written, &lines).map_err(|wrong| format!("line {}: {}", lines.of(&wrong.at), wrong.what))?;
    Ok(policy.with_rules(rules))
}

fn rules(policy: &Policy, written: Written, lines: &Lines<'_>) -> Result<Rules, Wrong> {
    few(&written.author)?;
    few(&written.approver)?;
    few(&written.size)?;
    let mut everyone = People::default();
    for word in &written.everyone.authors {
        add_admin(policy, &mut everyone, word, "[everyone] authors")?;
    }
    let approvers: Vec<ApproverRule> =
        written.approver.iter().map(|rule| approver(rule, lines)).collect::<Result<_, _>>()?;
    let sizes = size::sizes(policy, &approvers, &written.size, lines)?;
    let nobody_is_asked = match sizes.last() {
        Some(largest) => largest.approvals == 0,
        None => policy.approvals_required() == 0,
    };
    if let (Some(rule), true) = (written.approver.first(), nobody_is_asked) {
        let what = "could never apply, because no approvals are asked for; say how many in [[size]]";
        return Err(wrong(rule, what));
    }
    Ok(Rules {
        everyone,
        authors: authors(policy, &written.author, lines)?,
        sizes,
        approvers,
        quiet: written.quiet.hours()?,
    })
}

fn few<T>(rules: &[Spanned<T>]) -> Result<(), Wrong> {
    match rules.get(RULES_MAX) {
        Some(one_more) => Err(wrong(one_more, format!("there are more than {RULES_MAX} rules of this kind"))),
        None => Ok(()),
    }
}

fn authors(policy: &Policy, written: &[Spanned<Author>], lines: &Lines<'_>) -> Result<Vec<AuthorRule>, Wrong> {
    let mut rules: Vec<AuthorRule> = Vec::new();
    let mut seen: Vec<(OpenId, usize)> = Vec::new();
    for rule in written {
        if let Some(AuthorRule { place, .. }) = rules.iter().find(|rule| rule.who == Authors::Others) {
            let what = format!(
                "could never apply: the rule of line {} is for everyone else (\"{OTHERS}\"), so it must be the last",
                place.line
            );
            return Err(wrong(rule, what));
        }
        let Author { name, who, departments, kinds, per_day } = rule.get_ref();
        let place = lines.place(rule, name.as_ref())?;
        let who = match who.as_slice() {
            [] => return Err(wrong(rule, "who is empty, so the rule could never apply")),
            [one] if one.get_ref() == OTHERS => Authors::Others,
            words => {
                let mut people = People::default();
                for word in words {
                    add_admin(policy, &mut people, word, "who")?;
                    if let Some((person, line)) = seen.iter().find(|(person, _)| person.as_str() == word.get_ref()) {
                        let what = format!(
                            "{person} stands in the rule of line {line} already, which is the one that applies"
                        );
                        return Err(wrong(word, what));
                    }
                }
                seen.extend(people.named.iter().map(|person| (person.clone(), place.line)));
                Authors::These(people)
            }
        };
        let kinds = match kinds {
            None => Kind::ALL.into(),
            Some(words) => words.iter().map(kind).collect::<Result<BTreeSet<Kind>, Wrong>>()?,
        };
        if let Some(none) = per_day.as_ref().filter(|most| *most.get_ref() == 0) {
            return Err(wrong(none, "per_day is at least 1; who may author nothing has kinds = []"));
        }
        let departments = departments.as_ref().map(|words| self::departments(rule, words)).transpose()?;
        rules.push(AuthorRule {
            place,
            who,
            departments,
            kinds,
            per_day: per_day.as_ref().map(|most| *most.get_ref()),
        });
    }
    Ok(rules)
}

fn kind(word: &Spanned<String>) -> Result<Kind, Wrong> {
    let known = Kind::ALL.map(Kind::as_str).join(", ");
    Kind::parse(word.get_ref()).ok_or_else(|| wrong(word, format!("“{}” is none of {known}", word.get_ref())))
}

fn departments<T>(rule: &Spanned<T>, words: &[Spanned<String>]) -> Result<BTreeSet<DepartmentId>, Wrong> {
    if words.is_empty() {
        return Err(wrong(rule, "departments is empty; leave it out where any department is meant"));
    }
    let id = |word: &Spanned<String>| {
        DepartmentId::new(word.get_ref().as_str()).filter(DepartmentId::is_open).ok_or_else(|| {
            wrong(word, format!("“{}” is no open_department_id (od-…), as /departments shows them", word.get_ref()))
        })
    };
    words.iter().map(id).collect()
}

fn approver(rule: &Spanned<Approver>, lines: &Lines<'_>) -> Result<ApproverRule, Wrong> {
    let Approver { name, who, departments } = rule.get_ref();
    if who.is_empty() {
        return Err(wrong(rule, "who is empty, so the rule could never apply"));
    }
    let mut people = People::default();
    who.iter().try_for_each(|word| add(&mut people, word))?;
    let departments = self::departments(rule, departments)?;
    Ok(ApproverRule { place: lines.place(rule, name.as_ref())?, who: people, departments })
}

fn add(people: &mut People, word: &Spanned<String>) -> Result<(), Wrong> {
    let form = || {
        wrong(word, format!("“{}” is no open_id (ou_…), department (od-…) or user group (group:g…)", word.get_ref()))
    };
    people.add(word.get_ref()).then_some(()).ok_or_else(form)
}

/// As [`add`], where only admins can be meant.
fn add_admin(policy: &Policy, people: &mut People, word: &Spanned<String>, what: &str) -> Result<(), Wrong> {
    add(people, word)?;
    let admins = policy.admins();
    let stranger = |person: OpenId| admins.listed.is_empty() && !admins.named.contains(&person);
    let id = word.get_ref();
    match OpenId::new(id.as_str()).filter(|id| id.as_str().starts_with("ou_")).is_some_and(stranger) {
        true => Err(wrong(word, format!("{what}: {id} is none of BROADCAST_ADMINS, so the rule could never apply"))),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests;
