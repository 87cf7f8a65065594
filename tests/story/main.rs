//! The promises of the bot, told as stories: the real bot over real HTTP against a simulated tenant that refuses what
//! Feishu refuses and counts what arrives.

#[path = "../sandbox/mod.rs"]
mod sandbox;

mod stage;

mod approve;
mod ask;
mod audit;
mod check;
mod contents;
mod crash;
mod doubt;
mod fuzz;
mod hand;
mod hold;
mod house;
mod kill;
mod login;
mod lookup;
mod measures;
mod model;
mod past;
mod policy;
mod program;
mod queue;
mod quota;
mod reach;
mod reads;
mod recall;
mod receive;
mod replicas;
mod schedule;
mod seed;
mod send;
mod storm;
mod targets;
mod upgrade;
mod waves;
