//! Audience and content become the request bodies of `batch_send`.
//!
//! The plan is stable: the same audience gives the same batches in the same order, so that what was approved, what is
//! in the ledger and what goes over the wire can be compared byte for byte.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::audience::{Audience, DepartmentTarget, Labels};
use super::content::Content;
use super::ids::{DepartmentId, OpenId, UnionId, UserId};
use super::quota::PER_DAY;

/// Ids in each of the four lists of one call. Source: batch_send, "request body".
pub const IDS_MAX: usize = 200;

/// Bytes of a request body that carries text. Source: batch_send, 150 KB with 1 KB = 1,024 bytes.
pub const TEXT_BODY_BYTES_MAX: usize = 150 * 1024;

/// Bytes of a request body that carries rich text or a card. Source: batch_send, 30 KB.
pub const POST_BODY_BYTES_MAX: usize = 30 * 1024;

/// The ids of one call: at most [`IDS_MAX`] in each list, at least one in all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Targets {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub department_ids: Vec<DepartmentId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open_ids: Vec<OpenId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub user_ids: Vec<UserId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub union_ids: Vec<UnionId>,
}

impl Targets {
    /// The ids of all four lists.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        let departments = self.department_ids.iter().map(DepartmentId::as_str);
        let people = self.open_ids.iter().map(OpenId::as_str).chain(self.user_ids.iter().map(UserId::as_str));
        departments.chain(people).chain(self.union_ids.iter().map(UnionId::as_str))
    }

    /// The same, a department under its [`DepartmentId::key`].
    pub fn keys(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let departments = self.department_ids.iter().map(DepartmentId::key);
        departments.chain(self.ids().skip(self.department_ids.len()).map(Cow::Borrowed))
    }

    /// How many ids stand in all four lists.
    pub fn count(&self) -> usize {
        self.department_ids.len() + self.open_ids.len() + self.user_ids.len() + self.union_ids.len()
    }
}

/// Splits an audience into the smallest number of calls, in its order: each call takes up to [`IDS_MAX`] of every kind,
/// and no more departments than may be sent to on one day, as far as their people were counted.
pub fn batches(audience: &Audience) -> Vec<Targets> {
    let open_ids: Vec<_> = audience.open_ids.iter().map(|person| person.id.clone()).collect();
    let user_ids: Vec<_> = audience.user_ids.iter().map(|person| person.id.clone()).collect();
    let union_ids: Vec<_> = audience.union_ids.iter().map(|person| person.id.clone()).collect();
    let mut departments = audience.departments.as_slice();
    let mut all = Vec::new();
    loop {
        let n = all.len();
        let mut targets = Targets {
            department_ids: Vec::new(),
            open_ids: slice(&open_ids, n),
            user_ids: slice(&user_ids, n),
            union_ids: slice(&union_ids, n),
        };
        let people = targets.count();
        let (now, later) = departments.split_at(fitting(departments, people as u64));
        targets.department_ids = now.iter().map(|department| department.id.clone()).collect();
        departments = later;
        if people == 0 && targets.department_ids.is_empty() {
            return all;
        }
        all.push(targets);
    }
}

/// How many of these departments, from the first on, go into a call that names so many people. One at least, where
/// nobody is named: what is too large for any day is refused before there is a plan.
fn fitting(departments: &[DepartmentTarget], people: u64) -> usize {
    let mut heads = people;
    let within = |department: &&DepartmentTarget| {
        heads = heads.saturating_add(department.headcount.unwrap_or(0));
        heads <= PER_DAY
    };
    let fit = departments.iter().take(IDS_MAX).take_while(within).count();
    if people == 0 { fit.max(departments.len().min(1)) } else { fit }
}

fn slice<T: Clone>(items: &[T], n: usize) -> Vec<T> {
    items.iter().skip(n * IDS_MAX).take(IDS_MAX).cloned().collect()
}

/// People that one call of a plan reaches, as far as the audience knows.
pub fn heads(labels: &Labels<'_>, targets: &Targets) -> u64 {
    let known = |id: &DepartmentId| labels.heads(&id.key());
    let people = (targets.count() - targets.department_ids.len()) as u64;
    targets.department_ids.iter().filter_map(known).fold(people, u64::saturating_add)
}

/// The request body of one call, as it goes over the wire.
pub fn request_body(content: &Content, targets: &Targets) -> String {
    let mut body = content.wire();
    let ids = serde_json::to_value(targets).expect("lists of strings are always JSON");
    if let (Value::Object(body), Value::Object(ids)) = (&mut body, ids) {
        body.extend(ids);
    }
    body.to_string()
}

/// A content that no call of this plan may carry, in bytes of the largest request body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong {
    pub bytes: usize,
    pub bytes_max: usize,
}

/// Checks the largest request body of the plan against the platform's limit for its type.
///
/// # Errors
/// [`TooLong`] with the size that was measured and the limit.
pub fn measure(content: &Content, batches: &[Targets]) -> Result<(), TooLong> {
    let bytes_max = match content {
        Content::Text(_) | Content::Image { .. } | Content::ShareChat { .. } => TEXT_BODY_BYTES_MAX,
        Content::Post(_) | Content::Card(_) | Content::Template { .. } => POST_BODY_BYTES_MAX,
    };
    let bytes = batches.iter().map(|targets| request_body(content, targets).len()).max().unwrap_or(0);
    if bytes > bytes_max { Err(TooLong { bytes, bytes_max }) } else { Ok(()) }
}

/// SHA-256 of one request body, in hex.
pub fn digest(content: &Content, targets: &Targets) -> String {
    hex::encode(Sha256::digest(request_body(content, targets)))
}

/// What an approval is bound to: SHA-256 over the digests of every request body of the plan, in order.
pub fn fingerprint(content: &Content, batches: &[Targets]) -> String {
    fingerprint_of(&batches.iter().map(|targets| digest(content, targets)).collect::<Vec<_>>())
}

/// The fingerprint of a plan whose digests are known.
pub fn fingerprint_of(digests: &[String]) -> String {
    let mut all = Sha256::new();
    for digest in digests {
        all.update(digest.as_bytes());
        all.update(b"\n");
    }
    hex::encode(all.finalize())
}

#[cfg(test)]
mod tests {
    use super::super::audience::PersonTarget;
    use super::*;

    fn audience(departments: usize, people: usize) -> Audience {
        let departments = (0..departments)
            .map(|n| DepartmentTarget::unverified(DepartmentId::new(format!("od-{n}")).expect("a test id")));
        let people = (0..people).map(|n| PersonTarget::new(OpenId::new(format!("ou_{n}")).expect("a test id")));
        Audience::new(departments.collect(), people.collect(), vec![], vec![])
    }

    #[test]
    fn a_call_takes_two_hundred_of_each_kind() {
        let plan = batches(&audience(201, 450));
        assert_eq!(plan.len(), 3);
        assert!(plan.iter().all(|batch| batch.department_ids.len() <= IDS_MAX && batch.open_ids.len() <= IDS_MAX));
        assert_eq!(plan.iter().map(Targets::count).sum::<usize>(), 651);
    }

    #[test]
    fn no_call_takes_more_than_a_day_allows() {
        let mut large = audience(5, 450);
        for (department, heads) in large.departments.iter_mut().zip([300_000, 199_800, 1, PER_DAY, 7]) {
            department.headcount = Some(heads);
        }
        let labels = large.labels();
        let plan = batches(&large);
        assert!(plan.iter().all(|batch| heads(&labels, batch) <= PER_DAY));
        let departments = |batch: &Targets| batch.department_ids.len();
        // The fourth takes a day of its own: nobody else stands in its call.
        assert_eq!(plan.iter().map(departments).collect::<Vec<_>>(), [2, 1, 0, 1, 1]);
        assert_eq!(plan.iter().map(|batch| batch.open_ids.len()).collect::<Vec<_>>(), [200, 200, 50, 0, 0]);
    }

    #[test]
    fn nobody_stands_in_two_batches() {
        let plan = batches(&audience(1000, 1000));
        let mut ids: Vec<_> = plan.iter().flat_map(|batch| batch.open_ids.iter()).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 1000);
    }

    #[test]
    fn content_is_an_object_and_empty_lists_are_left_out() {
        let body = request_body(&Content::Text("你好".into()), &batches(&audience(1, 0))[0]);
        assert_eq!(body, r#"{"content":{"text":"你好"},"department_ids":["od-0"],"msg_type":"text"}"#);
    }

    #[test]
    fn text_of_exactly_150_kb_passes_and_one_byte_more_does_not() {
        let plan = batches(&audience(1, 0));
        let frame = request_body(&Content::Text(String::new()), &plan[0]).len();
        let fits = Content::Text("a".repeat(TEXT_BODY_BYTES_MAX - frame));
        assert_eq!(measure(&fits, &plan), Ok(()));
        let over = Content::Text("a".repeat(TEXT_BODY_BYTES_MAX - frame + 1));
        assert_eq!(measure(&over, &plan).expect_err("one byte over").bytes, TEXT_BODY_BYTES_MAX + 1);
    }

    #[test]
    fn the_people_of_a_call_are_those_of_its_departments_and_those_it_names() {
        let mut audience = audience(3, 2);
        audience.departments[0].headcount = Some(40);
        audience.departments[2].headcount = Some(u64::MAX);
        let mut plan = batches(&audience);
        let mut later = plan.remove(1);
        plan[0].department_ids.append(&mut later.department_ids);
        assert_eq!(heads(&audience.labels(), &plan[0]), u64::MAX);
        audience.departments[2].headcount = None;
        assert_eq!(heads(&audience.labels(), &plan[0]), 42, "what is unknown counts for nothing");
    }

    #[test]
    fn another_text_or_another_target_is_another_fingerprint() {
        let plan = batches(&audience(2, 0));
        let one = fingerprint(&Content::Text("一".into()), &plan);
        assert_ne!(one, fingerprint(&Content::Text("二".into()), &plan));
        assert_ne!(one, fingerprint(&Content::Text("一".into()), &batches(&audience(1, 0))));
        assert_eq!(one, fingerprint(&Content::Text("一".into()), &batches(&audience(2, 0))));
    }
}
