//! Why something cannot be done for the moment, through no fault of whoever asked.

use super::Text;

pub fn store_busy() -> Text {
    Text::new("机器人的数据库暂时没有响应。", "The bot's database does not answer at the moment.")
}

pub fn feishu_silent() -> Text {
    Text::new("飞书暂时没有给出可用的答复。", "Feishu gives no usable answer at the moment.")
}

pub fn cut_short() -> Text {
    Text::new("处理这条命令时，机器人一再中断。", "The bot was cut short again and again while it worked on this.")
}
