//! How the reads of a broadcast went over time: a line of text, and a chart where there is something to see.
//!
//! Source: card JSON 2.0, component "chart": `chart_spec` is a VChart definition, the rest is optional.

use serde_json::{Value, json};

use super::elements::note;
use super::{Facts, Room};
use crate::domain::broadcast::State;
use crate::domain::reads::thinned;
use crate::view::{day_and_time, reach};

/// Points from which a chart shows more than the line of text.
const CHART_MIN: usize = 5;

pub(super) fn reads(room: Room, facts: &Facts<'_>, elements: &mut Vec<Value>) {
    if facts.broadcast.state.is_undecided() || facts.broadcast.state == State::Recalled {
        return;
    }
    let Some(trend) = reach::trend(facts.reads, facts.zone) else { return };
    elements.push(note(&trend));
    if facts.reads.len() < CHART_MIN || room.points == 0 {
        return;
    }
    let points: Vec<Value> = thinned(facts.reads.to_vec(), room.points)
        .iter()
        .map(|point| json!({ "t": day_and_time(point.at, facts.zone), "n": point.read }))
        .collect();
    elements.push(json!({
        "tag": "chart",
        "aspect_ratio": "16:9",
        "chart_spec": {
            "type": "line",
            "title": { "text": reach::chart_title() },
            "data": { "values": points },
            "xField": "t",
            "yField": "n",
        },
    }));
}
