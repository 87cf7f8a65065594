//! Why something cannot be done for the moment, through no fault of whoever asked.

use super::Text;

pub fn store_busy() -> Text {
    Text::new("机器人的数据库暂时没有响应。", "The bot's database does not answer at the moment.")
}

pub fn feishu_silent() -> Text {
    Text::new("飞书暂时没有给出可用的答复。", "Feishu gives no usable answer at the moment.")
}

pub fn no_end() -> Text {
    Text::new("这条命令处理了多次，一次也没有做完。", "The work on this was begun many times and never came to an end.")
}
