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

fn verify_with(key: &ChainKey, anchor: Option<&str>, rows: &[Row], head: Option<&Head>) -> Finding {
    let anchor = anchor.map(|text| text.parse().expect("an anchor"));
    let mut verifier = Verifier::new(key, anchor);
    for row in rows {
        if let Err(finding) = verifier.row(row.clone(), head) {
            return finding;
        }
    }
    verifier.end(head)
}

fn verify(rows: &[Row], head: &Head) -> Finding {
    verify_with(&key(7), None, rows, Some(head))
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
    assert_eq!(verify_with(&key(7), None, &rows, None), Finding::Head { last: Some((6, Timestamp(6))) });
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
    let found = |key: &ChainKey, rows: &[Row]| verify_with(key, None, rows, Some(&head));
    for (key, expect) in [(&new, (3, 1, 2)), (&old, (2, 4, 3))] {
        match found(key, &rows) {
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

#[test]
fn an_anchor_tells_an_older_database() {
    let (rows, head) = chain(6);
    let anchor = Anchor::of(5, &rows[4].mac).to_string();
    assert!(matches!(verify_with(&key(7), Some(&anchor), &rows, Some(&head)), Finding::Whole { .. }));
    let (old, old_head) = chain(4);
    let finding = verify_with(&key(7), Some(&anchor), &old, Some(&old_head));
    assert!(matches!(finding, Finding::Anchor { known: false, .. }), "{finding:?}");
    let finding = verify_with(&key(7), Some("5:0123456789abcdef"), &rows, Some(&head));
    assert!(matches!(finding, Finding::Anchor { known: true, .. }), "{finding:?}");
}

#[test]
fn nothing_at_all_is_no_chain() {
    let none = Head { seq: 0, mac: String::new(), key_id: String::new(), seal: String::new() };
    assert_eq!(verify(&[], &none), Finding::Empty);
}
