//! A simulated Feishu tenant, strict where the platform is strict.
//!
//! An independent authority: it shares no code with the bot, keeps its ids as plain strings and has its own sealing,
//! so that both sides can only agree by both being right about the platform. The stories and the playground talk to
//! it through [`Tenant`] and [`Person`]; the bot talks to it over real HTTP on two loopback origins.
//!
//! What lives where: `people`, `company` who works here · `world` everything the platform remembers · `tenant` the
//! handle a story holds · `person`, `view`, `draft`, `menu` what one employee does and sees · `push`, `events`, `seal` platform to bot ·
//! `http` bot to platform · `cards` what a card may look like · `batch` the queue of batch messages · `faults` what
//! can be made to go wrong · `record` what happened, and what should not have.

// Each user of the tenant (stories, storm, playground) needs another part of it.
#![allow(dead_code, unused_imports)]

pub mod audit;
pub mod batch;
pub mod cards;
pub mod company;
pub mod draft;
pub mod events;
pub mod faults;
pub mod http;
pub mod menu;
pub mod people;
pub mod person;
pub mod push;
pub mod record;
pub mod seal;
pub mod tenant;
#[cfg(test)]
mod tests;
pub mod view;
pub mod world;

pub use draft::Draft;
pub use events::{Event, Forge, RawPush};
pub use faults::{Effect, Fault, UnknownPeople, UuidMode, When, Wire};
pub use menu::menu;
pub use people::{Company, Department, Employee, Group};
pub use person::{ChatMessage, Delivered, Person, Press, Pressed, Toast};
pub use push::Pushed;
pub use record::{Call, Push, PushKind};
pub use tenant::{Tenant, TreeNode};
