//! `POLICY_FILE`: the finer rules, in TOML.
//!
//! A rule that nobody knows is refused with its line, never skipped: a misspelt restriction would be none.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::domain::ids::OpenId;
use crate::domain::policy::Policy;

/// The file as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    #[serde(default)]
    everyone: Everyone,
}

/// Who may address the whole company; nobody by default.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Everyone {
    #[serde(default)]
    authors: BTreeSet<OpenId>,
}

/// Adds the rules of a file to those of the settings.
///
/// # Errors
/// One line that names what is wrong, and where.
pub(super) fn apply(policy: Policy, file: &str) -> Result<Policy, String> {
    let rules: Rules = toml::from_str(file).map_err(|error| {
        let line = error.span().map(|span| file.get(..span.start).unwrap_or_default().matches('\n').count() + 1);
        match line {
            Some(line) => format!("line {line}: {}", error.message()),
            None => error.message().to_owned(),
        }
    })?;
    for author in &rules.everyone.authors {
        if !policy.admins().contains(author) {
            return Err(format!(
                "[everyone] authors: {author} is none of BROADCAST_ADMINS, so the rule could never apply"
            ));
        }
    }
    Ok(policy.with_everyone(rules.everyone.authors))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn policy() -> Policy {
        let admin = OpenId::new("ou_admin").expect("a test id");
        Policy::new(BTreeSet::from([admin]), BTreeSet::new(), None, Duration::from_secs(60)).expect("an admin")
    }

    #[test]
    fn nobody_addresses_everyone_unless_the_file_says_so() {
        let admin = OpenId::new("ou_admin").expect("a test id");
        assert!(!policy().may_address_everyone(&admin));
        assert!(!apply(policy(), "").expect("no rules").may_address_everyone(&admin));
        let file = "[everyone]\nauthors = [\"ou_admin\"]\n";
        assert!(apply(policy(), file).expect("a rule").may_address_everyone(&admin));
    }

    #[test]
    fn a_rule_that_nobody_knows_or_that_could_never_apply_is_named_with_its_line() {
        let wrong = |file: &str| apply(policy(), file).expect_err("refused");
        assert!(wrong("[everyone]\nauthor = []\n").starts_with("line 2: unknown field `author`"));
        assert!(wrong("[everyone\n").starts_with("line 1: "));
        assert!(wrong("[everyone]\nauthors = [\"ou_other\"]\n").contains("ou_other is none of BROADCAST_ADMINS"));
    }
}
