//! Floor 0: values and the moves between them. Nothing here waits, reads a clock, draws a random number or talks to
//! anyone; `tests/story/house.rs` holds it to that.

pub mod audience;
pub mod audit;
pub mod batch;
pub mod broadcast;
pub mod check;
pub mod command;
pub mod content;
pub mod heard;
pub mod hold;
pub mod ids;
pub mod keys;
pub mod language;
pub mod lint;
pub mod list;
pub mod pace;
pub mod plan;
pub mod policy;
pub mod polls;
pub mod quiet;
pub mod quota;
pub mod reads;
pub mod recall;
pub mod report;
pub mod schedule;
pub mod tally;
pub mod wave;
