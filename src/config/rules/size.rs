//! `[[size]]`: what broadcasts of some size need.

use serde::Deserialize;
use toml::Spanned;

use super::{Lines, Wrong, wrong};
use crate::config::values::duration;
use crate::domain::policy::{ApproverRule, Canary, People, Policy, Share, SizeRule};

/// The longest rest before sending. Source: cards can be updated for 14 days, and a broadcast may wait for approval as
/// long before.
const COOLING_OFF_MAX_MS: u64 = 24 * 3600 * 1000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Size {
    name: Option<Spanned<String>>,
    up_to: Option<Spanned<u64>>,
    approvals: Spanned<u32>,
    type_headcount: Option<bool>,
    cooling_off: Option<Spanned<String>>,
    canary: Option<Spanned<CanaryWritten>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CanaryWritten {
    first: Spanned<Part>,
    invalid_max: Spanned<Part>,
}

/// `20` or `"5%"`.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "neither a number of people, such as 20, nor a percentage, such as \"5%\"")]
enum Part {
    People(u64),
    Words(String),
}

fn share(part: &Spanned<Part>) -> Result<Share, Wrong> {
    let percent = |text: &String| text.strip_suffix('%')?.trim().parse::<u8>().ok().filter(|percent| *percent <= 100);
    match part.get_ref() {
        Part::People(people) => Ok(Share::People(*people)),
        Part::Words(text) => percent(text).map(Share::Percent).ok_or_else(|| {
            wrong(part, format!("“{text}” is neither a number of people, such as 20, nor a percentage, such as \"5%\""))
        }),
    }
}

fn canary(written: &CanaryWritten, up_to: Option<u64>) -> Result<Canary, Wrong> {
    let (first, invalid_max) = (share(&written.first)?, share(&written.invalid_max)?);
    let all = match first {
        Share::People(people) => up_to.is_some_and(|most| people >= most),
        Share::Percent(percent) => percent >= 100,
    };
    if all {
        return Err(wrong(&written.first, "first is everyone of this size, so there is no rest to hold back"));
    }
    if matches!(first, Share::People(0) | Share::Percent(0)) {
        return Err(wrong(&written.first, "first is nobody"));
    }
    let everybody = match (invalid_max, first) {
        (Share::People(bound), Share::People(first)) => bound >= first,
        (bound, _) => bound == Share::Percent(100),
    };
    if everybody {
        return Err(wrong(
            &written.invalid_max,
            "invalid_max is all of the first, so the rest would never be held back",
        ));
    }
    Ok(Canary { first, invalid_max })
}

/// Rules by size, from the smallest up, each of which can be met.
pub(super) fn sizes(
    policy: &Policy,
    approvers: &[ApproverRule],
    written: &[Spanned<Size>],
    lines: &Lines<'_>,
) -> Result<Vec<SizeRule>, Wrong> {
    let mut rules: Vec<SizeRule> = Vec::new();
    for rule in written {
        let size = rule.get_ref();
        let up_to = size.up_to.as_ref().map(|most| *most.get_ref());
        match (rules.last(), &size.up_to) {
            (Some(SizeRule { up_to: None, place, .. }), _) => {
                let what = format!(
                    "the rule of line {} has no up_to and takes all sizes, so this one could never apply",
                    place.line
                );
                return Err(wrong(rule, what));
            }
            (Some(SizeRule { up_to: Some(before), place, .. }), Some(most)) if most.get_ref() <= before => {
                let what = format!(
                    "up_to is not more than the {before} of line {}; sizes go from the smallest up",
                    place.line
                );
                return Err(wrong(most, what));
            }
            (None, Some(most)) if *most.get_ref() == 0 => return Err(wrong(most, "up_to is at least 1")),
            _ => {}
        }
        let approvals = *size.approvals.get_ref();
        if let Some(before) = rules.last().filter(|before| before.approvals > approvals) {
            let what = format!(
                "approvals are fewer than the {} of line {}, although more people are reached; an unknown headcount counts as the largest size",
                before.approvals, before.place.line
            );
            return Err(wrong(&size.approvals, what));
        }
        can_be_met(policy, approvers, &size.approvals)?;
        let cooling_off_ms = size.cooling_off.as_ref().map(cooling_off).transpose()?.unwrap_or(0);
        rules.push(SizeRule {
            place: lines.place(rule, size.name.as_ref())?,
            up_to,
            approvals,
            type_headcount: size.type_headcount.unwrap_or(false),
            cooling_off_ms,
            canary: size.canary.as_ref().map(|written| canary(written.get_ref(), up_to)).transpose()?,
        });
    }
    match (written.last(), rules.last()) {
        (Some(last), Some(SizeRule { up_to: Some(most), .. })) => {
            let what = format!(
                "the last size has an up_to, so nothing says what more than {most} people need; add a [[size]] without up_to"
            );
            Err(wrong(last, what))
        }
        _ => Ok(rules),
    }
}

/// Whether at least one admin could get so many approvals, for at least one audience.
fn can_be_met(policy: &Policy, approvers: &[ApproverRule], approvals: &Spanned<u32>) -> Result<(), Wrong> {
    let with = |more: Option<&People>| policy.possible_approvals(more);
    let own = approvers.iter().map(|rule| with(Some(&rule.who)));
    // Where a list in Feishu decides, nobody can tell yet.
    let most =
        [with(None)].into_iter().chain(own).try_fold(0, |most, possible| possible.map(|possible| most.max(possible)));
    let required = usize::try_from(*approvals.get_ref()).unwrap_or(usize::MAX);
    match most {
        Some(most) if required > most => Err(wrong(
            approvals,
            format!(
                "{required} approvals are asked for, but of the approvers only {most} could approve: nobody approves their own broadcast"
            ),
        )),
        _ => Ok(()),
    }
}

fn cooling_off(text: &Spanned<String>) -> Result<u64, Wrong> {
    let fits = duration(text.get_ref()).and_then(|rest| u64::try_from(rest.as_millis()).ok());
    fits.filter(|ms| *ms <= COOLING_OFF_MAX_MS)
        .ok_or_else(|| wrong(text, format!("“{}” is no duration from 1s to 24h, such as 10m", text.get_ref())))
}
