//! The tables of `error.rs`: one line per code that the platform documents.

use super::super::codes::GENERIC;
use super::*;
use crate::view::advice::advice;

const RETRY: Class = Class::Retry { after: None };
const AGAIN: Verdict = Verdict::RetryAfter(None);

fn refusal(call: Call, code: i64, status: u16) -> Refusal {
    Refusal { call, code, status, log_id: None, msg: String::new(), scopes: vec![], retry_after: None }
}

fn unreadable(status: u16) -> CallError {
    CallError::Unreadable { call: Call::BatchSend, status, log_id: None, retry_after: None, why: Nonsense::NotJson }
}

fn batch_verdict(code: i64, status: u16) -> Verdict {
    SendError::from(CallError::Refused(Box::new(refusal(Call::BatchSend, code, status)))).verdict()
}

/// Every code of the `batch_send` page, older and newer, and of the table all endpoints share.
const BATCH_TABLE: &[(i64, Class, Verdict)] = &[
    // the endpoint's own page
    (10002, Class::Unknown, Verdict::AskHuman),
    (10003, Class::Permanent, Verdict::Refused),
    (11101, Class::Permanent, Verdict::Refused),
    (11203, Class::FixSetup, Verdict::Refused),
    (11204, Class::FixSetup, Verdict::Refused),
    (11205, Class::FixSetup, Verdict::Refused),
    (11207, Class::FixSetup, Verdict::Refused),
    (11209, Class::FixSetup, Verdict::Refused),
    (11210, Class::FixSetup, Verdict::Refused),
    (11223, Class::FixSetup, Verdict::Refused),
    (11225, Class::FixSetup, Verdict::Refused),
    (11227, Class::Permanent, Verdict::Refused),
    (11231, Class::Permanent, Verdict::Refused),
    (11232, RETRY, AGAIN),
    (11233, RETRY, AGAIN),
    (11235, Class::Permanent, Verdict::Refused),
    (11246, Class::Permanent, Verdict::Refused),
    (11247, Class::FixSetup, Verdict::Refused),
    (11248, Class::Permanent, Verdict::Refused),
    (11312, Class::Permanent, Verdict::Refused),
    (19036, Class::Permanent, Verdict::Refused),
    (230100, Class::Permanent, Verdict::Refused),
    // the shared table
    (99991400, RETRY, AGAIN),
    (99991403, Class::FixSetup, Verdict::Refused),
    (99991401, Class::FixSetup, Verdict::Refused),
    (99991661, Class::Reauthenticate, AGAIN),
    (99991663, Class::Reauthenticate, AGAIN),
    (99991664, Class::Reauthenticate, AGAIN),
    (99991665, Class::Reauthenticate, AGAIN),
    (99991671, Class::Reauthenticate, AGAIN),
    (99991668, Class::Reauthenticate, AGAIN),
    (99991677, Class::Reauthenticate, AGAIN),
    (99991669, Class::Reauthenticate, AGAIN),
    (99991672, Class::FixSetup, Verdict::Refused),
    (99991679, Class::Reauthenticate, AGAIN),
    (99991676, Class::FixSetup, Verdict::Refused),
    (99991662, Class::FixSetup, Verdict::Refused),
    (99991673, Class::FixSetup, Verdict::Refused),
    (99991201, Class::Permanent, Verdict::Refused),
    (99991301, Class::Permanent, Verdict::Refused),
    (99992402, Class::Permanent, Verdict::Refused),
    (9499, Class::Permanent, Verdict::Refused),
    (10001, Class::Permanent, Verdict::Refused),
    (4000, Class::Permanent, Verdict::Refused),
    (99992351, Class::Permanent, Verdict::Refused),
    (99992361, Class::FixSetup, Verdict::Refused),
    (99992357, Class::Permanent, Verdict::Refused),
    (99992358, Class::Permanent, Verdict::Refused),
    (99992380, Class::Permanent, Verdict::Refused),
    (99992359, Class::Permanent, Verdict::Refused),
    (99992360, Class::Permanent, Verdict::Refused),
    (99992363, Class::Permanent, Verdict::Refused),
    (99992364, Class::Permanent, Verdict::Refused),
    (99992381, Class::Permanent, Verdict::Refused),
    (99992354, Class::Permanent, Verdict::Refused),
    (2200, Class::Unknown, Verdict::AskHuman),
    (1500, Class::Unknown, Verdict::AskHuman),
    (1663, Class::Unknown, Verdict::AskHuman),
    (1668, Class::Unknown, Verdict::AskHuman),
    (5000, Class::Unknown, Verdict::AskHuman),
    (10101, Class::Unknown, Verdict::AskHuman),
    (10012, Class::FixSetup, Verdict::Refused),
    (10013, Class::Reauthenticate, AGAIN),
    (10005, Class::Reauthenticate, AGAIN),
    (10014, Class::FixSetup, Verdict::Refused),
    (10015, Class::FixSetup, Verdict::Refused),
    (20005, Class::Reauthenticate, AGAIN),
    (20013, Class::Reauthenticate, AGAIN),
    (20014, Class::Reauthenticate, AGAIN),
    (30005, Class::Permanent, Verdict::Refused),
    // and what nobody documents
    (424242, Class::Unknown, Verdict::AskHuman),
    (-1, Class::Unknown, Verdict::AskHuman),
    (230027, Class::Unknown, Verdict::AskHuman),
];

#[test]
fn every_code_of_a_batch_has_a_class_and_a_verdict() {
    for (code, class, verdict) in BATCH_TABLE {
        assert_eq!(refusal(Call::BatchSend, *code, 200).class(), *class, "{code}");
        assert_eq!(batch_verdict(*code, 200), *verdict, "{code}");
    }
}

#[test]
fn no_code_was_forgotten_in_the_table() {
    for table in [GENERIC, Call::BatchSend.table()] {
        for list in [table.retry, table.reauthenticate, table.fix_setup, table.permanent, table.unknown] {
            for code in list {
                assert!(BATCH_TABLE.iter().any(|(known, _, _)| known == code), "{code}");
            }
        }
    }
}

#[test]
fn every_code_of_the_batch_page_has_advice() {
    for (code, _, _) in BATCH_TABLE.iter().take_while(|(code, _, _)| *code != 99991400) {
        assert!(advice(*code).is_some(), "{code}");
    }
}

#[test]
fn a_server_error_asks_a_person_whatever_code_it_carries() {
    for code in [11204, 99991400, 99991663, 10003, 2200] {
        for status in [500, 502, 503, 504] {
            assert_eq!(batch_verdict(code, status), Verdict::AskHuman, "{code} {status}");
        }
    }
}

#[test]
fn a_rate_limit_is_a_refusal_by_status_or_by_code() {
    for (code, status) in [(99991400, 429), (99991400, 400), (99991400, 200), (424242, 429)] {
        assert_eq!(batch_verdict(code, status), AGAIN, "{code} {status}");
    }
    assert_eq!(SendError::from(unreadable(429)).verdict(), AGAIN);
    // These codes promise nothing, and a status does not mend that.
    assert_eq!(batch_verdict(10002, 429), Verdict::AskHuman);
    assert_eq!(batch_verdict(2200, 429), Verdict::AskHuman);
}

#[test]
fn the_wait_of_a_rate_limit_is_passed_on() {
    let wait = Some(Duration::from_secs(41));
    let limited = Refusal { retry_after: wait, ..refusal(Call::BatchSend, 99991400, 429) };
    assert_eq!(limited.class(), Class::Retry { after: wait });
    assert_eq!(SendError::Answered(Box::new(limited)).verdict(), Verdict::RetryAfter(wait));
}

#[test]
fn an_answer_that_cannot_be_read_asks_a_person() {
    for status in [200, 301, 400, 403, 404, 500, 502, 504] {
        assert_eq!(SendError::from(unreadable(status)).verdict(), Verdict::AskHuman, "{status}");
    }
}

#[test]
fn without_a_token_nothing_was_sent() {
    let verdict = |error: CallError| SendError::from(CallError::NoToken(Arc::new(error))).verdict();
    let refused = |code: i64| CallError::Refused(Box::new(refusal(Call::TenantToken, code, 200)));
    assert_eq!(verdict(refused(10015)), Verdict::Refused);
    assert_eq!(verdict(refused(10014)), Verdict::Refused);
    assert_eq!(verdict(refused(2200)), AGAIN);
    assert_eq!(verdict(refused(424242)), AGAIN);
    assert_eq!(verdict(unreadable(502)), AGAIN);
}

#[test]
fn the_codes_of_messages_and_cards() {
    for (code, class) in [
        (230001, Class::Permanent),
        (230002, Class::FixSetup),
        (230006, Class::FixSetup),
        (230011, Class::Permanent),
        (230013, Class::FixSetup),
        (230015, Class::Permanent),
        (230017, Class::Permanent),
        (230018, Class::FixSetup),
        (230019, Class::Permanent),
        (230020, RETRY),
        (230022, Class::Permanent),
        (230025, Class::Permanent),
        (230027, Class::FixSetup),
        (230028, Class::Permanent),
        (230029, Class::Permanent),
        (230031, Class::Permanent),
        (230034, Class::Permanent),
        (230035, Class::FixSetup),
        (230036, Class::FixSetup),
        (230038, Class::Permanent),
        (230049, RETRY),
        (18121, RETRY),
        (230053, Class::Permanent),
        (230054, Class::Permanent),
        (230055, Class::Permanent),
        (230075, Class::Permanent),
        (230099, Class::Permanent),
        (230110, Class::Permanent),
        (232009, Class::Permanent),
        (2200, RETRY),
        (99991663, Class::Reauthenticate),
        (424242, Class::Unknown),
    ] {
        for call in [Call::SendMessage, Call::ReplyMessage, Call::PatchCard] {
            assert_eq!(refusal(call, code, 400).class(), class, "{code}");
        }
    }
}

#[test]
fn the_codes_of_departments_and_of_following_a_batch() {
    for (call, code, class) in [
        (Call::SearchDepartments, 48001, Class::Permanent),
        (Call::SearchDepartments, 48002, RETRY),
        (Call::SearchDepartments, 99991668, Class::Reauthenticate),
        (Call::SearchDepartments, 99991672, Class::FixSetup),
        (Call::Departments, 40003, RETRY),
        (Call::Departments, 40004, Class::FixSetup),
        (Call::Departments, 40014, Class::FixSetup),
        (Call::Departments, 40015, Class::Permanent),
        (Call::Departments, 42008, Class::FixSetup),
        (Call::Departments, 43007, Class::Permanent),
        (Call::BatchProgress, 230030, RETRY),
        (Call::BatchProgress, 230012, Class::FixSetup),
        (Call::BatchReaders, 230027, Class::FixSetup),
        (Call::RecallBatch, 230009, Class::Permanent),
        (Call::RecallBatch, 230026, Class::Permanent),
        (Call::RecallBatch, 230030, Class::Permanent),
        (Call::RecallBatch, 230006, Class::FixSetup),
        (Call::TenantToken, 10014, Class::FixSetup),
        (Call::TenantToken, 10015, Class::FixSetup),
    ] {
        assert_eq!(refusal(call, code, 400).class(), class, "{code}");
    }
}

#[test]
fn a_card_that_is_being_pressed_is_worth_another_try() {
    let with = |msg: &str| Refusal { msg: msg.into(), ..refusal(Call::PatchCard, 230099, 400) };
    let locked = with("Failed to create card content, ext=ErrCode: 11310; ErrMsg: card action is lock");
    assert_eq!(locked.class(), Class::Retry { after: Some(Duration::from_secs(1)) });
    assert_eq!(locked.card_code(), Some(11310));
    assert_eq!(with("ext=ErrCode: 200621; ErrPath: x").class(), Class::Permanent);
    assert_eq!(with("ErrCode: ").card_code(), None);
    assert_eq!(with("").card_code(), None);
}

#[test]
fn what_must_be_said_anew_and_who_must_agree_anew() {
    let error = |call: Call, code: i64| CallError::Refused(Box::new(refusal(call, code, 400)));
    assert!(error(Call::PatchCard, 230031).message_is_gone());
    assert!(!error(Call::PatchCard, 230020).message_is_gone());
    let bare = |call: Call, status: u16| CallError::Unreadable {
        call,
        status,
        log_id: None,
        retry_after: None,
        why: Nonsense::NotJson,
    };
    assert!(bare(Call::ReplyMessage, 404).message_is_gone());
    assert!(!bare(Call::ReplyMessage, 502).message_is_gone());
    assert!(!bare(Call::SendMessage, 404).message_is_gone());
    assert!(error(Call::SearchDepartments, 99991679).wants_consent());
    assert!(!error(Call::SearchDepartments, 99991677).wants_consent());
}

#[test]
fn an_unreadable_answer_is_judged_by_its_status() {
    // A 404 may be a route that this origin lacks, and as well the page of a proxy whose upstream is gone for a moment.
    for (status, class) in
        [(200, Class::Unknown), (400, Class::Unknown), (404, Class::Unknown), (429, RETRY), (502, RETRY)]
    {
        assert_eq!(unreadable(status).class(), class, "{status}");
    }
}
