//! feishu-broadcast: tells the right colleagues something, safely.

pub mod domain;
pub mod feishu;
pub mod view;
