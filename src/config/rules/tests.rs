//! Every rule read and refused, with the line.

use std::time::Duration;

use super::*;
use crate::domain::policy::{Canary, Share};

fn id(text: &str) -> OpenId {
    OpenId::new(text).expect("a test id")
}

/// An admin, another who approves as well, and one who only approves.
fn policy() -> Policy {
    let (admins, approvers) = (["ou_admin", "ou_both"].map(id).into(), ["ou_both", "ou_approver"].map(id).into());
    let people = |ids: BTreeSet<OpenId>| People::from(ids);
    Policy::new(people(admins), people(approvers), None, Duration::from_secs(60)).expect("fine")
}

fn read(file: &str) -> Policy {
    apply(policy(), file).unwrap_or_else(|wrong| panic!("{wrong}\n{file}"))
}

#[track_caller]
fn refused(file: &str, line: usize, words: &str) {
    let said = apply(policy(), file).expect_err(file);
    assert!(said.starts_with(&format!("line {line}: ")) && said.contains(words), "{said}\n{file}");
}

#[test]
fn nobody_addresses_everyone_unless_the_file_says_so() {
    assert!(!policy().may_address_everyone(&id("ou_admin")));
    assert!(!read("").may_address_everyone(&id("ou_admin")));
    let policy = read("[everyone]\nauthors = [\"ou_admin\"]\n");
    assert!(policy.may_address_everyone(&id("ou_admin")) && !policy.may_address_everyone(&id("ou_both")));
}

#[test]
fn a_whole_file_is_read() {
    let policy = read(include_str!("example.toml"));
    let rules = policy.rules();
    assert_eq!(rules.authors.iter().map(|rule| rule.place.line).collect::<Vec<_>>(), [3, 10]);
    assert_eq!(rules.authors[0].place.name.as_deref(), Some("市场"));
    assert_eq!(rules.authors[0].per_day, Some(3));
    assert_eq!(rules.authors[0].kinds, BTreeSet::from([Kind::Departments, Kind::People]));
    assert_eq!(rules.authors[1].who, Authors::Others);
    assert!(rules.authors[1].kinds.is_empty());
    assert_eq!(rules.approvers[0].place.line, 14);
    let sizes: Vec<_> = rules.sizes.iter().map(|size| (size.up_to, size.approvals, size.cooling_off_ms)).collect();
    assert_eq!(sizes, [(Some(50), 0, 0), (Some(1000), 1, 0), (None, 2, 600_000)]);
    let canary = Canary { first: Share::People(20), invalid_max: Share::Percent(5) };
    assert_eq!((rules.sizes[2].canary, rules.sizes[2].type_headcount), (Some(canary), true));
    assert_eq!(rules.quiet.as_ref().map(|quiet| quiet.windows().len()), Some(2));
    assert_eq!([Some(50), Some(51), Some(1001), None].map(|heads| policy.approvals_for(heads)), [0, 1, 2, 2]);
    assert_eq!(read("[quiet]\nfrom = \"22:00\"\nto = \"8:00\"\n").quiet().map(|quiet| quiet.windows().len()), Some(1));
}

#[test]
fn a_rule_that_nobody_knows_is_named_with_its_line() {
    refused("[everyone]\nauthor = []\n", 2, "unknown field `author`");
    refused("[everyone\n", 1, "");
    refused("\n[[autor]]\n", 2, "unknown field `autor`");
    refused("[[author]]\nwho = [\"*\"]\nday = 1\n", 3, "unknown field `day`");
    refused("[[size]]\napprovals = 0\ncanary = { fist = 1 }\n", 3, "unknown field `fist`");
    refused("[quiet]\nfrom = \"22:00\"\n", 1, "missing field `to`");
    refused("[[size]]\nup_to = -1\napprovals = 0\n", 2, "");
}

#[test]
fn people_and_departments_have_the_shape_of_ids() {
    refused("[everyone]\nauthors = [\"ou_other\"]\n", 2, "ou_other is none of BROADCAST_ADMINS");
    refused("[[author]]\nwho = [\n  \"ou_admin\",\n  \"王芳\",\n]\n", 4, "“王芳” is no open_id (ou_…)");
    refused("[[author]]\nwho = [\"ou_approver\"]\n", 2, "ou_approver is none of BROADCAST_ADMINS");
    refused("[[author]]\nwho = []\n", 1, "who is empty");
    refused("[[author]]\nwho = [\"*\", \"ou_admin\"]\n", 2, "“*” is no open_id");
    refused("[[author]]\nwho = [\"*\"]\ndepartments = [\"销售部\"]\n", 3, "“销售部” is no open_department_id");
    refused("[[author]]\nwho = [\"*\"]\ndepartments = []\n", 1, "departments is empty");
    refused(
        "[[author]]\nwho = [\"*\"]\nkinds = [\"people\", \"persons\"]\n",
        3,
        "“persons” is none of departments, people",
    );
    refused("[[approver]]\nwho = [\"on_1\"]\ndepartments = [\"od-1\"]\n", 2, "“on_1” is no open_id");
    refused("[[approver]]\nwho = [\"ou_1\"]\n", 1, "missing field `departments`");
    refused("[[author]]\nname = \"\"\nwho = [\"*\"]\n", 2, "a name is one line");
    assert!(apply(policy(), "[[author]]\nwho = [\"group:g1\", \"od-1\"]\n").is_ok());
}

#[test]
fn a_rule_that_could_never_apply_is_refused() {
    let one = "[[author]]\nwho = [\"ou_admin\"]\n";
    refused(&format!("{one}{one}"), 4, "stands in the rule of line 1 already");
    refused(&format!("[[author]]\nwho = [\"*\"]\n{one}"), 3, "could never apply: the rule of line 1");
    refused("[[author]]\nwho = [\"*\"]\nper_day = 0\n", 3, "at least 1");
    refused("[[size]]\napprovals = 0\n[[size]]\napprovals = 1\n", 3, "the rule of line 1 has no up_to");
    refused("[quiet]\nfrom = \"08:00\"\nto = \"08:00\"\n", 2, "leave no minute");
    refused("[quiet]\nfrom = \"25:00\"\nto = \"08:00\"\n", 2, "“25:00” is no time of day");
    refused("[quiet]\nfrom = \"22:00\"\nto = \"08:00\"\ndays = [\"monday\"]\n", 4, "“monday” is none of mon, tue");
}

#[test]
fn sizes_go_up_and_end_open() {
    let size = |up_to: u64, approvals: u32| format!("[[size]]\nup_to = {up_to}\napprovals = {approvals}\n");
    let open = "[[size]]\napprovals = 2\n";
    refused(&format!("{}{}{open}", size(50, 0), size(50, 1)), 5, "not more than the 50 of line 1");
    refused(&format!("{}{}{open}", size(50, 0), size(20, 1)), 5, "not more than the 50 of line 1");
    refused(&format!("{}{open}", size(0, 0)), 2, "at least 1");
    refused(&size(50, 0), 1, "nothing says what more than 50 people need");
    refused(&format!("{}[[size]]\napprovals = 0\n", size(50, 1)), 5, "fewer than the 1 of line 1");
}

#[test]
fn more_approvals_than_approvers_are_refused() {
    refused("[[size]]\napprovals = 3\n", 2, "only 2 could approve");
    // The approvers of a department may be enough for what stays inside of it.
    let own =
        |who: &str| format!("[[approver]]\nwho = [\"{who}\"]\ndepartments = [\"od-1\"]\n[[size]]\napprovals = 3\n");
    assert!(apply(policy(), &own("ou_third")).is_ok());
    refused(&own("ou_approver"), 5, "only 2 could approve");
    refused(&own("ou_third").replace("= 3", "= 0"), 1, "could never apply, because no approvals are asked for");
    // Nobody can tell who is on a list in Feishu.
    assert!(apply(policy(), &own("group:g1")).is_ok());
}

#[test]
fn a_canary_is_a_part_and_has_a_bound() {
    let size = |canary: &str| {
        format!("[[size]]\nup_to = 100\napprovals = 1\ncanary = {{ {canary} }}\n[[size]]\napprovals = 2\n")
    };
    for canary in
        ["first = 99, invalid_max = 0", "first = \"5%\", invalid_max = \"20%\"", "first = 20, invalid_max = \"0%\""]
    {
        assert!(apply(policy(), &size(canary)).is_ok(), "{canary}");
    }
    refused(&size("first = 100, invalid_max = 1"), 4, "first is everyone");
    refused(&size("first = \"100%\", invalid_max = 1"), 4, "first is everyone");
    refused(&size("first = 0, invalid_max = 0"), 4, "first is nobody");
    refused(&size("first = 20, invalid_max = 20"), 4, "would never be held back");
    refused(&size("first = 20, invalid_max = \"101%\""), 4, "neither a number");
    refused(&size("first = \"some\", invalid_max = 1"), 4, "neither a number");
    refused(&size("first = 5"), 4, "missing field `invalid_max`");
    refused("[[size]]\napprovals = 1\ncooling_off = \"25h\"\n", 3, "no duration from 1s to 24h");
}

#[test]
fn the_example_is_right_as_it_is_and_with_every_rule_in_force() {
    let example = include_str!("../../../deploy/policy.example.toml");
    assert_eq!(read(example).rules(), &Rules::default());
    let uncommented: String = example
        .lines()
        .map(|line| match line.strip_prefix('#') {
            // Rules are commented out without a blank, sentences with one.
            Some(rule) if !rule.starts_with([' ', '#']) => format!("{rule}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let uncommented = uncommented.replace("ou_0123456789abcdef0123456789abcdef", "ou_admin");
    let rules = read(&uncommented).rules().clone();
    assert_eq!((rules.authors.len(), rules.approvers.len(), rules.sizes.len()), (2, 1, 3));
    assert!(rules.quiet.is_some());
}
