//! feishu-broadcast: tells the right colleagues something, safely.

pub mod app;
pub mod bot;
pub mod config;
pub mod domain;
pub mod feishu;
pub mod store;
pub mod view;
pub mod web;
