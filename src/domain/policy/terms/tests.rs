//! Who may address whom, who may approve it, and what it needs: each both ways.

use std::time::Duration;

use super::super::{ApproverRule, Authors, People, Rules, SizeRule};
use super::*;
use crate::domain::audience::{Around, DepartmentTarget, PersonTarget};

fn id(text: &str) -> OpenId {
    OpenId::new(text).expect("a test id")
}

fn department(text: &str) -> DepartmentId {
    DepartmentId::new(text).expect("a test id")
}

fn people(names: &[&str]) -> People {
    names.iter().map(|name| id(name)).collect::<BTreeSet<OpenId>>().into()
}

fn size(line: usize, up_to: Option<u64>, approvals: u32) -> SizeRule {
    let place = Place { line, name: None };
    SizeRule { place, up_to, approvals, type_headcount: approvals > 1, cooling_off_ms: 0, canary: None }
}

/// `bound` may address od-1 and what lies below; od-1 has an approver of its own.
fn policy() -> Policy {
    let bound = AuthorRule {
        place: Place { line: 3, name: None },
        who: Authors::These(people(&["bound"])),
        departments: Some([department("od-1")].into()),
        kinds: [Kind::Departments, Kind::People].into(),
        per_day: Some(2),
    };
    let own = ApproverRule {
        place: Place { line: 9, name: None },
        who: people(&["local"]),
        departments: [department("od-1")].into(),
    };
    let rules = Rules {
        authors: vec![bound],
        approvers: vec![own],
        sizes: vec![size(20, Some(50), 0), size(23, Some(1000), 1), size(26, None, 2)],
        ..Rules::default()
    };
    let (admins, approvers) = (people(&["bound", "free"]), people(&["general"]));
    Policy::new(admins, approvers, None, Duration::from_secs(60)).expect("fine").with_rules(rules)
}

fn target(id: &str, above: &[&str], heads: Option<u64>) -> DepartmentTarget {
    DepartmentTarget {
        id: department(id),
        path: vec![id.to_owned()],
        above: above.iter().map(|id| department(id)).collect(),
        cut: false,
        headcount: heads,
        line: None,
    }
}

fn to(departments: Vec<DepartmentTarget>) -> Audience {
    Audience::new(departments, vec![], vec![], vec![])
}

fn to_person(around: Option<Around>) -> Audience {
    let mut audience = Audience::new(vec![], vec![PersonTarget::new(id("ou_p"))], vec![], vec![]);
    audience.around.extend(around.map(|around| ("ou_p".to_owned(), around)));
    audience
}

#[track_caller]
fn check(author: &str, audience: &Audience, expect: Result<(u32, &[&str]), (&str, bool)>) {
    let got = policy().terms(&id(author), audience);
    match (got, expect) {
        (Ok(terms), Ok((approvals, inside))) => {
            assert_eq!(terms.approvals, approvals);
            assert_eq!(terms.inside, inside.iter().map(|id| department(id)).collect());
        }
        (Err(Refusal::Outside { strayed, rule, .. }), Err((shown, elsewhere))) => {
            assert_eq!((rule.line, strayed), (3, vec![Strayed { shown: shown.to_owned(), elsewhere }]));
        }
        (got, expect) => panic!("{got:?} instead of {expect:?}"),
    }
}

#[test]
fn departments_are_addressed_with_all_below_them_and_no_others() {
    check("bound", &to(vec![target("od-1", &[], Some(9))]), Ok((0, &["od-1"])));
    check("bound", &to(vec![target("od-3", &["od-2", "od-1"], Some(9))]), Ok((0, &["od-1", "od-2", "od-3"])));
    check("bound", &to(vec![target("od-9", &[], Some(9))]), Err(("od-9", true)));
    check("bound", &to(vec![target("od-1", &[], Some(9)), target("od-9", &[], Some(9))]), Err(("od-9", true)));
    check("free", &to(vec![target("od-9", &[], Some(9))]), Ok((0, &["od-9"])));
    // What stands above is not all known: it may lie inside, but nobody can tell.
    let cut = DepartmentTarget { cut: true, ..target("od-9", &[], Some(9)) };
    check("bound", &to(vec![cut]), Err(("… / od-9", false)));
    check("bound", &to(vec![DepartmentTarget::unverified(department("od-8"))]), Err(("od-8", false)));
}

#[test]
fn people_belong_to_where_they_are_and_nowhere_while_nobody_knows() {
    let around = |ids: &[&str], cut| Some(Around { departments: ids.iter().map(|id| department(id)).collect(), cut });
    check("bound", &to_person(around(&["od-3", "od-1"], false)), Ok((0, &["od-1", "od-3"])));
    check("bound", &to_person(around(&["od-1"], true)), Ok((0, &["od-1"])));
    check("bound", &to_person(around(&["od-9"], false)), Err(("ou_p", true)));
    check("bound", &to_person(around(&["od-9"], true)), Err(("ou_p", false)));
    check("bound", &to_person(None), Err(("ou_p", false)));
    check("free", &to_person(None), Ok((0, &[])));
}

#[test]
fn whoever_may_address_everyone_may_address_any_part() {
    let rules = Rules { everyone: people(&["bound"]), ..policy().rules().clone() };
    let policy = policy().with_rules(rules);
    assert!(policy.terms(&id("bound"), &to(vec![target("od-9", &[], Some(9))])).is_ok());
}

#[test]
fn approvals_go_by_the_headcount_and_an_unknown_one_is_the_largest() {
    let needs = |heads| policy().terms(&id("free"), &to(vec![target("od-1", &[], heads)]));
    let lines = |heads| needs(heads).map(|terms| (terms.approvals, terms.tier.map(|tier| (tier.line, tier.above))));
    assert_eq!(lines(Some(50)), Ok((0, Some((20, 0)))));
    assert_eq!(lines(Some(51)), Ok((1, Some((23, 50)))));
    assert_eq!(lines(Some(1000)), Ok((1, Some((23, 50)))));
    assert_eq!(lines(Some(1001)), Ok((2, Some((26, 1000)))));
    assert_eq!(lines(None), Ok((2, Some((26, 1000)))));
    assert!(needs(None).expect("fine").type_headcount && !needs(Some(1000)).expect("fine").type_headcount);
    // Outside of od-1 there is only one approver.
    let refused = policy().terms(&id("free"), &to(vec![target("od-9", &[], None)]));
    let tier = Some(Tier { line: 26, above: 1000, up_to: None });
    assert_eq!(refused, Err(Refusal::TooFewApprovers { required: 2, possible: 1, tier }));
}

#[test]
fn approvers_of_a_department_approve_what_stays_inside_of_it() {
    let policy = policy();
    let approvers = |departments: Vec<DepartmentTarget>| {
        let (author, terms) = (id("free"), policy.terms(&id("free"), &to(departments)).expect("fine"));
        let asked = Asked { author: &author, required: 1, heads: Some(60), inside: &terms.inside };
        let all: Vec<String> = policy.approvers_of(&asked).into_iter().map(ToString::to_string).collect();
        assert_eq!(policy.still_counts(&id("local"), &asked), all.contains(&"local".to_owned()));
        all
    };
    assert_eq!(approvers(vec![target("od-3", &["od-1"], Some(60))]), ["general", "local"]);
    assert_eq!(approvers(vec![target("od-9", &[], Some(60))]), ["general"]);
    assert_eq!(approvers(vec![target("od-1", &[], Some(30)), target("od-9", &[], Some(30))]), ["general"]);
}

#[test]
fn kinds_and_days_are_those_of_the_first_rule_that_names_the_author() {
    let policy = policy();
    assert_eq!(policy.may_name(&id("bound"), [Kind::Departments, Kind::People]), Ok(()));
    assert!(matches!(
        policy.may_name(&id("bound"), [Kind::People, Kind::Files]),
        Err(Refusal::Kind { kind: Kind::Files, .. })
    ));
    assert_eq!(policy.may_name(&id("free"), Kind::ALL), Ok(()));
    assert_eq!(policy.may_propose(&id("bound"), 1), Ok(()));
    assert!(matches!(policy.may_propose(&id("bound"), 2), Err(Refusal::PerDay { used: 2, most: 2, .. })));
    assert_eq!(policy.may_propose(&id("free"), 1000), Ok(()));
}

#[test]
fn a_part_is_rounded_up_and_a_bound_is_exact() {
    assert_eq!([Share::People(20).of(7), Share::Percent(5).of(21), Share::Percent(5).of(0)], [7, 2, 0]);
    assert!(!Share::Percent(5).is_exceeded_by(1, 20) && Share::Percent(5).is_exceeded_by(2, 20));
    assert!(Share::People(0).is_exceeded_by(1, 20) && !Share::People(1).is_exceeded_by(1, 20));
}
