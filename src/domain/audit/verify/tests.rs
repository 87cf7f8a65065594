use super::super::Entry;
use super::super::chain::KEY_BYTES;
use super::*;

fn key(byte: u8) -> ChainKey {
    ChainKey::new(Box::new([byte; KEY_BYTES]))
}

/// A chain of `rows` rows under one key, each written at its number.
fn chain(rows: i64) -> (Vec<Row>, Head) {
    let key = key(7);
    let mut chain: Vec<Row> = Vec::new();
    for seq in 1..=rows {
        let deed = if seq == 1 { Deed::Begun } else { Deed::Approved };
        let before = chain.last().map_or(String::new(), |row| row.mac.clone());
        chain.push(Row::of(&Entry::alone(deed, Timestamp(seq)).with("n", seq), seq, &before, &key));
    }
    let head = key.head(rows, &chain.last().map_or(String::new(), |row| row.mac.clone()));
    (chain, head)
}

/// One key, and none before it.
fn only(byte: u8) -> Rotating<ChainKey> {
    Rotating::only(key(byte))
}

fn verify_with(keys: &Rotating<ChainKey>, anchor: Option<&str>, rows: &[Row], head: Option<&Head>) -> Finding {
    let anchor = anchor.map(|text| text.parse().expect("an anchor"));
    let mut verifier = Verifier::new(keys, anchor);
    for row in rows {
        if let Err(finding) = verifier.row(row.clone(), head) {
            return finding;
        }
    }
    verifier.end(head)
}

fn verify(rows: &[Row], head: &Head) -> Finding {
    verify_with(&only(7), None, rows, Some(head))
}

/// What is found after somebody with the database in their hands, but without the key, has done something to it.
#[track_caller]
fn after(change: impl FnOnce(&mut Vec<Row>, &mut Head), expect: &Finding) {
    let (mut rows, mut head) = chain(6);
    change(&mut rows, &mut head);
    assert_eq!(verify(&rows, &head), *expect);
}

/// Moves every row from this one on to the next number.
fn shift(rows: &mut [Row], by: i64) {
    for row in rows {
        row.seq += by;
    }
}

#[test]
fn what_nobody_touched_is_whole() {
    let (rows, head) = chain(6);
    let finding = verify(&rows, &head);
    assert!(matches!(finding, Finding::Whole { rows: 6, first: Timestamp(1), last: Timestamp(6), .. }), "{finding:?}");
    assert!(finding.to_string().contains("rows 1 to 6, from 1970-01-01T00:00:00.001Z"), "{finding}");
}

#[test]
fn a_row_that_was_changed_is_named() {
    let changed = Finding::Changed { seq: 3, at: Timestamp(3) };
    after(|rows, _| rows[2].actor = "ou_2".into(), &changed);
    after(|rows, _| rows[2].mac = "ab".repeat(32), &changed);
    after(|rows, _| rows[5].detail = "{}".into(), &Finding::Changed { seq: 6, at: Timestamp(6) });
    after(|rows, _| rows[0].version = 9, &Finding::Changed { seq: 1, at: Timestamp(1) });
}

#[test]
fn a_row_that_was_removed_is_named() {
    after(
        |rows, _| {
            rows.remove(2);
        },
        &Finding::Removed { from: 3, to: 3, next: Timestamp(4) },
    );
    after(
        |rows, _| {
            rows.drain(0..2);
        },
        &Finding::Removed { from: 1, to: 2, next: Timestamp(3) },
    );
    after(
        |rows, _| {
            rows.remove(2);
            shift(&mut rows[2..], -1);
        },
        &Finding::Changed { seq: 3, at: Timestamp(4) },
    );
}

#[test]
fn rows_removed_at_the_end_are_missed() {
    after(|rows, _| rows.truncate(4), &Finding::Cut { from: 5, to: 6, last: Some(Timestamp(4)) });
    after(|rows, _| rows.clear(), &Finding::Cut { from: 1, to: 6, last: None });
    let cut = |rows: &mut Vec<Row>, head: &mut Head| {
        rows.truncate(4);
        (head.seq, head.mac) = (4, rows[3].mac.clone());
    };
    after(cut, &Finding::Head { last: Some((4, Timestamp(4))) });
    after(|_, head| head.seal.clear(), &Finding::Head { last: Some((6, Timestamp(6))) });
    let begin_anew = |rows: &mut Vec<Row>, head: &mut Head| {
        rows.truncate(4);
        *head = Head { seq: 0, mac: String::new(), key_id: String::new(), seal: String::new() };
    };
    after(begin_anew, &Finding::Head { last: Some((4, Timestamp(4))) });
    let hide_under_another_name = |rows: &mut Vec<Row>, head: &mut Head| {
        rows.truncate(4);
        (head.seq, head.mac, head.key_id) = (4, rows[3].mac.clone(), "0badcafe".into());
    };
    after(hide_under_another_name, &Finding::Head { last: Some((4, Timestamp(4))) });
    let (rows, _) = chain(6);
    assert_eq!(verify_with(&only(7), None, &rows, None), Finding::Head { last: Some((6, Timestamp(6))) });
}

#[test]
fn a_row_that_was_put_in_is_named() {
    let forged = |seq| Row { seq, at: Timestamp(99), ..chain(1).0.remove(0) };
    let inserted = |seq| Finding::Inserted { seq, at: Timestamp(99) };
    after(
        |rows, head| {
            shift(&mut rows[2..], 1);
            rows.insert(2, forged(3));
            head.seq = 7;
        },
        &inserted(3),
    );
    after(|rows, _| rows.push(forged(7)), &inserted(7));
    after(|rows, _| rows.insert(0, forged(0)), &inserted(0));
    // Two that changed places.
    after(
        |rows, _| {
            shift(&mut rows[2..3], 1);
            shift(&mut rows[3..4], -1);
            rows.swap(2, 3);
        },
        &Finding::Inserted { seq: 3, at: Timestamp(4) },
    );
}

#[test]
fn what_the_bot_found_changed_stays_a_finding() {
    for deed in [Deed::HeadChanged, Deed::KeyChanged, Deed::Begun] {
        let (mut rows, _) = chain(3);
        let note = Row::of(&Entry::alone(deed, Timestamp(9)), 4, &rows[2].mac, &key(7));
        let head = key(7).head(4, &note.mac);
        rows.push(note);
        assert_eq!(verify(&rows, &head), Finding::HeadEarlier { seq: 4, at: Timestamp(9) }, "{deed:?}");
    }
}

#[test]
fn rows_under_another_key_are_told_from_rows_that_were_changed() {
    let (old, new) = (key(7), key(8));
    let (mut rows, _) = chain(3);
    for (seq, deed) in [(4, Deed::KeyChanged), (5, Deed::Approved)] {
        let row = Row::of(&Entry::alone(deed, Timestamp(seq)), seq, &rows[rows.len() - 1].mac, &new);
        rows.push(row);
    }
    let head = new.head(5, &rows[4].mac);
    let (old, new) = (Rotating::only(old), Rotating::only(new));
    let found = |keys: &Rotating<ChainKey>, rows: &[Row]| verify_with(keys, None, rows, Some(&head));
    for (keys, expect) in [(&new, (3, 1, 2)), (&old, (2, 4, 3))] {
        match found(keys, &rows) {
            Finding::OtherKey { rows, first, own_rows, .. } => assert_eq!((rows, first, own_rows), expect),
            finding => panic!("{finding:?}"),
        }
    }
    rows[1].actor = "ou_2".into();
    assert_eq!(found(&old, &rows), Finding::Changed { seq: 2, at: Timestamp(2) });
    assert!(matches!(found(&new, &rows), Finding::OtherKey { .. }), "the new key cannot see that");
    rows[4].actor = "ou_2".into();
    assert_eq!(found(&new, &rows), Finding::Changed { seq: 5, at: Timestamp(5) });
}

/// Rows 1 to 3 under the old key, 4 and 5 under the new one; both keys are known.
fn changed_key() -> (Rotating<ChainKey>, Vec<Row>, Head) {
    let (mut rows, _) = chain(3);
    for (seq, deed) in [(4, Deed::KeyChanged), (5, Deed::Approved)] {
        append(&mut rows, deed, seq, &key(8));
    }
    let head = key(8).head(5, &rows[4].mac);
    (Rotating { present: key(8), previous: Some(key(7)) }, rows, head)
}

fn append(rows: &mut Vec<Row>, deed: Deed, seq: i64, key: &ChainKey) {
    let before = rows.last().map_or(String::new(), |row| row.mac.clone());
    rows.push(Row::of(&Entry::alone(deed, Timestamp(seq)), seq, &before, key));
}

/// Signs rows anew from this one on, as whoever knows the key can.
fn sign_anew(rows: &mut [Row], from: usize, key: &ChainKey) {
    for at in from..rows.len() {
        let before = at.checked_sub(1).map_or(String::new(), |at| rows[at].mac.clone());
        rows[at].mac = key.link(&before, &rows[at]);
    }
}

/// What is found after somebody who has the database and the old key has done something.
#[track_caller]
fn after_old_key(change: impl FnOnce(&mut Vec<Row>, &mut Head), expect: &Finding) {
    let (keys, mut rows, mut head) = changed_key();
    change(&mut rows, &mut head);
    assert_eq!(verify_with(&keys, None, &rows, Some(&head)), *expect);
}

#[test]
fn with_both_keys_a_chain_is_whole_across_their_change() {
    let (keys, rows, head) = changed_key();
    let finding = verify_with(&keys, None, &rows, Some(&head));
    assert!(matches!(finding, Finding::Whole { rows: 5, previous: 3, .. }), "{finding:?}");
    assert!(finding.to_string().ends_with("; rows 1 to 3 are under the previous SECRET_KEY"), "{finding}");
    // Before the bot has been started with the new one.
    let finding = verify_with(&keys, None, &rows[..3], Some(&key(7).head(3, &rows[2].mac)));
    assert!(matches!(finding, Finding::Whole { rows: 3, previous: 3, .. }), "{finding:?}");
    let third = Rotating { present: key(9), previous: Some(key(8)) };
    let finding = verify_with(&third, None, &rows, Some(&head));
    assert!(matches!(finding, Finding::OtherKey { rows: 3, first: 1, own_rows: 2, .. }), "{finding:?}");
}

#[test]
fn whoever_knows_the_old_key_cannot_rewrite_what_the_new_one_was_put_on() {
    let rewritten = Finding::Rewritten { seq: 4, at: Timestamp(4) };
    let change_and_sign = |at: usize| {
        move |rows: &mut Vec<Row>, _: &mut Head| {
            rows[at].actor = "ou_2".into();
            sign_anew(&mut rows[..3], at, &key(7));
        }
    };
    after_old_key(change_and_sign(0), &rewritten);
    after_old_key(change_and_sign(2), &rewritten);
    // Nor leave the last MAC as it is.
    after_old_key(|rows, _| rows[2].actor = "ou_2".into(), &Finding::Changed { seq: 3, at: Timestamp(3) });
    let remove_and_sign = |rows: &mut Vec<Row>, _: &mut Head| {
        rows.remove(1);
        rows[1].seq = 2;
        sign_anew(&mut rows[..2], 1, &key(7));
    };
    after_old_key(remove_and_sign, &Finding::Removed { from: 3, to: 3, next: Timestamp(4) });
}

#[test]
fn whoever_knows_the_old_key_cannot_append_where_the_new_one_has_been() {
    let append_one = |rows: &mut Vec<Row>| append(rows, Deed::Approved, 6, &key(7));
    after_old_key(|rows, _| append_one(rows), &Finding::Inserted { seq: 6, at: Timestamp(6) });
    let with_a_head = |rows: &mut Vec<Row>, head: &mut Head| {
        append_one(rows);
        *head = key(7).head(6, &rows[5].mac);
    };
    after_old_key(with_a_head, &Finding::OldKey { seq: 6, at: Timestamp(6) });
    // As if the key had been changed back.
    let with_a_note = |rows: &mut Vec<Row>, head: &mut Head| {
        append(rows, Deed::KeyChanged, 6, &key(7));
        append(rows, Deed::KeyChanged, 7, &key(8));
        *head = key(8).head(7, &rows[6].mac);
    };
    after_old_key(with_a_note, &Finding::OldKey { seq: 6, at: Timestamp(6) });
    let cut = |rows: &mut Vec<Row>, head: &mut Head| {
        rows.truncate(4);
        *head = key(7).head(4, &rows[3].mac);
    };
    after_old_key(cut, &Finding::Head { last: Some((4, Timestamp(4))) });
    let cut_further = |rows: &mut Vec<Row>, head: &mut Head| *head = key(7).head(4, &rows[3].mac);
    after_old_key(cut_further, &Finding::Head { last: Some((5, Timestamp(5))) });
}

#[test]
fn an_anchor_tells_an_older_database() {
    let (rows, head) = chain(6);
    let anchor = Anchor::of(5, &rows[4].mac).to_string();
    assert!(matches!(verify_with(&only(7), Some(&anchor), &rows, Some(&head)), Finding::Whole { .. }));
    let (old, old_head) = chain(4);
    let finding = verify_with(&only(7), Some(&anchor), &old, Some(&old_head));
    assert!(matches!(finding, Finding::Anchor { known: false, .. }), "{finding:?}");
    let finding = verify_with(&only(7), Some("5:0123456789abcdef"), &rows, Some(&head));
    assert!(matches!(finding, Finding::Anchor { known: true, .. }), "{finding:?}");
}

#[test]
fn nothing_at_all_is_no_chain() {
    let none = Head { seq: 0, mac: String::new(), key_id: String::new(), seal: String::new() };
    assert_eq!(verify(&[], &none), Finding::Empty);
}
