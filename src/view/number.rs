//! Numbers in English sentences. Which form a word takes is the CLDR's rule, by ICU4X; the forms themselves stand here
//! and with the sentences. Chinese has one form for all numbers, so its sentences need nothing of this.

use std::fmt::Display;

use icu_locale_core::locale;
use icu_plurals::{PluralElements, PluralOperands, PluralRules};

/// So many of something: `1 target`, `2 targets`, `3 people`.
pub fn count<N: Display + Copy + Into<PluralOperands>>(n: N, noun: &str) -> String {
    let several = match noun {
        "person" => "people".to_owned(),
        "batch" => "batches".to_owned(),
        "copy" => "copies".to_owned(),
        _ => format!("{noun}s"),
    };
    format!("{n} {}", agree(n, noun, &several))
}

/// The word that goes with a number: `one` with 1, `several` with any other, 0 included.
pub fn agree<'a>(n: impl Into<PluralOperands>, one: &'a str, several: &'a str) -> &'a str {
    // No copy is kept: the data is compiled in, so this is a look-up.
    let english = PluralRules::try_new_cardinal(locale!("en").into()).expect("the rules of English are compiled in");
    PluralElements::new(several).with_one_value(Some(one)).get(n.into(), &english)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::policy::Roles;
    use crate::view::{hand, text};

    #[test]
    fn one_is_not_many() {
        for (noun, several) in [("target", "targets"), ("person", "people"), ("batch", "batches"), ("copy", "copies")] {
            assert_eq!(count(1_u64, noun), format!("1 {noun}"));
            for n in [0_u64, 2, 11, 21, 101, 1_000] {
                assert_eq!(count(n, noun), format!("{n} {several}"));
            }
        }
        assert_eq!(
            [agree(0_usize, "is", "are"), agree(1_usize, "is", "are"), agree(2_u32, "is", "are")],
            ["are", "is", "are"]
        );
    }

    #[test]
    fn sentences_agree_with_their_numbers() {
        for (n, message, person) in [
            (0, "0 messages are left", "at least 0 people wait until"),
            (1, "1 message is left", "at least 1 person waits until"),
            (2, "2 messages are left", "at least 2 people wait until"),
            (11, "11 messages are left", "at least 11 people wait until"),
            (1_000, "1000 messages are left", "at least 1000 people wait until"),
        ] {
            let said = text::quota_short(2 * n, n).en;
            assert!(said.contains(message) && said.contains(person), "{said}");
        }
        let own = |own| hand::greeting(Roles { admin: true, approver: true }, own, own).en;
        assert!(own(1).contains("1 broadcast of yours is waiting; 1 waits for your decision"), "{}", own(1));
        assert!(own(11).contains("11 broadcasts of yours are waiting; 11 wait for your decision"), "{}", own(11));
    }

    #[test]
    fn chinese_has_one_form() {
        let rules = PluralRules::try_new_cardinal(locale!("zh").into()).expect("the rules of Chinese are compiled in");
        assert_eq!(rules.categories().collect::<Vec<_>>(), [icu_plurals::PluralCategory::Other]);
    }
}
