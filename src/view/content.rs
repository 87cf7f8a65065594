//! What is said of a content: what it is called on a card, and what stands in the way of broadcasting it.

use super::{Text, advice, count, lint, result};
use crate::domain::content::{ContentKind, harmless};
use crate::domain::ids::BroadcastId;
use crate::domain::lint::CardFault;
use crate::domain::plan::TooLong;

pub fn heading(kind: ContentKind) -> Text {
    match kind {
        ContentKind::Text => Text::new("**内容**", "**Content**"),
        ContentKind::Post => Text::new("**内容**（富文本）", "**Content** (rich text)"),
        ContentKind::Image => Text::new("**内容**（图片）", "**Content** (image)"),
        ContentKind::ShareChat => Text::new("**内容**（群名片）", "**Content** (group card)"),
        ContentKind::Card => {
            Text::new("**内容**（卡片，这里只列出文字）", "**Content** (card; only its words are listed here)")
        }
        ContentKind::Template => Text::new("**内容**（卡片模板）", "**Content** (card template)"),
    }
}

/// What a card cannot show of a content, and how to see it; `None` where it shows everything.
pub fn see_it(kind: ContentKind) -> Option<Text> {
    match kind {
        ContentKind::Text | ContentKind::Post | ContentKind::Image => None,
        ContentKind::ShareChat => Some(Text::new(
            "这里只能显示群 ID。机器人必须在这个群里；点「发给我看看」核对是哪个群",
            "Only the group's id can be shown here. The bot must be in that group; press “Send it to me” to see which one it is",
        )),
        ContentKind::Card => Some(Text::new(
            "版式和图片不在这里显示，点「发给我看看」可以看到",
            "Layout and images are not shown here; press “Send it to me” to see them",
        )),
        ContentKind::Template => Some(Text::new(
            "模板本身的内容这里看不到，点「发给我看看」可以看到",
            "What the template itself says cannot be shown here; press “Send it to me” to see it",
        )),
    }
}

pub fn image() -> Text {
    Text::new("图片", "image")
}

/// Images for which a card has no room.
pub fn more_images(more: usize) -> Text {
    Text::new(
        format!("另有 {more} 张图片，点「发给我看看」可以看到"),
        format!("{} more; press “Send it to me” to see them", count(more, "image")),
    )
}

pub fn cut(letters: usize) -> Text {
    Text::new(
        format!("内容共 {letters} 字，这里只显示开头；全文在紧接着的消息里"),
        format!(
            "{} in all; the beginning is shown here, the full text follows as a message",
            count(letters, "character")
        ),
    )
}

pub fn full(id: &BroadcastId, number: usize, of: usize) -> Text {
    if of == 1 {
        return Text::new(format!("群发 {id} 的全文："), format!("Full text of broadcast {id}:"));
    }
    Text::new(format!("群发 {id} 的全文（{number}/{of}）："), format!("Full text of broadcast {id} ({number}/{of}):"))
}

pub fn no_content(lists_targets: bool) -> Text {
    if lists_targets {
        return Text::new(
            "明白了：目标在你回复的文件里。但没有内容，没有发起群发。\n请把内容写在 file 后面，例如：/broadcast file 明天下午三点全员会",
            "Understood: the targets are in the file you replied to. But there is no content; nothing was proposed.\nWrite it after file: /broadcast file all hands at three",
        );
    }
    Text::new(
        "明白了目标，但没有内容，没有发起群发。\n请把内容写在目标后面，例如：/broadcast 销售部 明天下午三点全员会\n也可以回复要群发的消息，只写：/broadcast 销售部",
        "The targets are understood, but there is no content; nothing was proposed.\nWrite the content after the targets: /broadcast Sales all hands at three\nOr reply to the message that is to be broadcast, with: /broadcast Sales",
    )
}

fn nothing_proposed(zh: &str, en: &str) -> Text {
    Text::new(format!("没有发起群发：{zh}"), format!("Nothing was proposed: {en}"))
}

pub fn is_gone() -> Text {
    nothing_proposed(
        "被回复的消息已撤回或删除。请回复一条还在的消息，或把内容写在目标后面。",
        "the replied-to message was recalled or deleted. Reply to one that exists, or write the content after the targets.",
    )
}

pub fn is_the_bots() -> Text {
    nothing_proposed(
        "被回复的是我自己说的话。请回复你要群发的那条消息，或把内容写在目标后面。",
        "the replied-to message is one of my own. Reply to the one you mean, or write the content after the targets.",
    )
}

pub fn is_empty() -> Text {
    nothing_proposed(
        "被回复的消息里没有可以群发的内容。请把内容写在目标后面。",
        "there is nothing to broadcast in the replied-to message. Write the content after the targets.",
    )
}

pub fn is_no_card(msg_type: &str) -> Text {
    let what = called(msg_type);
    nothing_proposed(
        &format!("写了 --card，但被回复的消息是{}，不是卡片。请回复一张卡片，或去掉 --card。", what.zh),
        &format!(
            "--card was given, but the replied-to message is {}, no card. Reply to a card, or leave out --card.",
            what.en
        ),
    )
}

pub fn is_a_file(name: &str) -> Text {
    nothing_proposed(
        &format!(
            "飞书不能群发文件（{name}）。如果它是收件人名单，请写：/broadcast file 内容；如果要发的就是它，请上传到云文档，群发链接。"
        ),
        &format!(
            "Feishu cannot broadcast files ({name}). If it lists the targets, write: /broadcast file CONTENT. If it is what you want to send, put it into a document and broadcast the link."
        ),
    )
}

pub fn unsupported_message(msg_type: &str) -> Text {
    let what = called(msg_type);
    nothing_proposed(
        &format!(
            "被回复的消息是{}，飞书不能群发。可以群发的是：文字、富文本、图片、群名片、卡片。请改用其中一种。",
            what.zh
        ),
        &format!(
            "the replied-to message is {}, which Feishu cannot broadcast. It takes text, rich text, images, group cards and cards: use one of these.",
            what.en
        ),
    )
}

/// A type of message as people call it, with Feishu's name for it.
fn called(msg_type: &str) -> Text {
    let (zh, en) = match msg_type {
        "text" => ("文字", "a text"),
        "post" => ("富文本", "a rich text"),
        "image" => ("图片", "an image"),
        "file" => ("文件", "a file"),
        "folder" => ("文件夹", "a folder"),
        "audio" => ("语音", "a voice message"),
        "media" => ("视频", "a video"),
        "sticker" => ("表情包", "a sticker"),
        "interactive" => ("卡片", "a card"),
        "share_chat" => ("群名片", "a group card"),
        "share_user" => ("个人名片", "a person's card"),
        "merge_forward" => ("合并转发的消息", "a bundle of forwarded messages"),
        "location" => ("位置", "a location"),
        "video_chat" => ("视频会议", "a video meeting"),
        "todo" => ("任务", "a task"),
        "vote" => ("投票", "a vote"),
        "hongbao" => ("红包", "a red packet"),
        "system" => ("系统消息", "a system message"),
        "share_calendar_event" | "calendar" | "general_calendar" => ("日程", "a calendar event"),
        _ => ("这种消息", "of a kind"),
    };
    Text::new(format!("{zh}（{msg_type}）"), format!("{en} ({msg_type})"))
}

pub fn unsupported_part(tag: &str) -> Text {
    let (zh, en) = match tag {
        "media" => ("视频", "a video"),
        "audio" => ("语音", "a sound"),
        "file" => ("文件", "a file"),
        "md" => ("Markdown 段落", "a Markdown paragraph"),
        _ => ("一个部分", "a part"),
    };
    nothing_proposed(
        &format!(
            "富文本里有{zh}（{tag}），飞书批量发送不支持。请去掉后重发；文字、链接和图片都可以，视频和文件请放链接。"
        ),
        &format!(
            "the rich text holds {en} ({tag}), which Feishu does not take in a broadcast. Remove it and send it again; text, links and images are fine, and a link can lead to videos and files."
        ),
    )
}

/// The bot cannot see the replied-to message.
pub fn is_out_of_sight() -> Text {
    nothing_proposed(
        "机器人看不到被回复的消息（比如它是在机器人进群之前发的）。请把要群发的内容直接发给机器人，再回复它。",
        "the bot cannot see the replied-to message (it may be older than the bot's place in the group). Send the content to the bot itself and reply to that.",
    )
}

/// Feishu does not hand out a message, or an image of it.
pub fn not_to_be_had(why: &Text) -> Text {
    nothing_proposed(&format!("取不到消息的内容{}", why.zh), &format!("the message could not be read{}", why.en))
}

/// Feishu's refusal of a call that content needs, for the end of a sentence.
pub fn refusal(code: i64, scopes: &[&str]) -> Text {
    let mut lines = vec![advice(code)];
    lines.extend(result::scopes(scopes.iter().copied()));
    let why = Text::lines(&lines);
    Text::new(format!("（飞书错误码 {code}）。{}", why.zh), format!(" (Feishu says {code}). {}", why.en))
}

/// An image that cannot be broadcast: which one, where there are several, and why.
pub fn image_refused(number: Option<usize>, why: &Text) -> Text {
    let (zh, en) = match number {
        Some(number) => (format!("第 {number} 张图片"), format!("image {number}")),
        None => ("图片".to_owned(), "the image".to_owned()),
    };
    nothing_proposed(&format!("{zh}不能群发{}", why.zh), &format!("{en} cannot be broadcast{}", why.en))
}

pub fn image_too_large(bytes_max: usize) -> Text {
    let mib = bytes_max / (1024 * 1024);
    Text::new(
        format!("：超过 {mib} MB，飞书不收。请压缩后重发。"),
        format!(": it has more than {mib} MB, which Feishu does not take. Make it smaller and send it again."),
    )
}

pub fn image_empty() -> Text {
    Text::new("：是空的。请重新发送图片。", ": it is empty. Send it again.")
}

pub fn image_format() -> Text {
    Text::new(
        "：不是飞书支持的图片格式。可以用 JPG、PNG、WEBP、GIF、BMP、ICO、TIFF、HEIC。",
        ": it is of no format that Feishu takes. JPG, PNG, WEBP, GIF, BMP, ICO, TIFF and HEIC are fine.",
    )
}

pub fn image_sides(width: usize, height: usize, side_max: usize) -> Text {
    Text::new(
        format!("：有 {width}×{height} 像素，飞书最多 {side_max}×{side_max}。请缩小后重发。"),
        format!(
            ": it has {width}×{height} pixels, Feishu takes {side_max}×{side_max}. Make it smaller and send it again."
        ),
    )
}

pub fn foreign_image(path: &str, key: &str) -> Text {
    let key = harmless(key);
    nothing_proposed(
        &format!(
            "卡片「{path}」处的图片（{key}）不是本应用上传的，飞书不会发送。请去掉这张图片，或改用富文本：把图片直接贴在消息里。"
        ),
        &format!(
            "the image at “{path}” of the card ({key}) was not uploaded by this app, so Feishu would not send it. Remove it, or use a rich text with the image pasted into it."
        ),
    )
}

/// A card that Feishu would refuse.
pub fn card_refused(fault: &CardFault) -> Text {
    let why = lint::fault(fault);
    nothing_proposed(&why.zh, &format!("this card{}", why.en.strip_prefix("This card").unwrap_or(&why.en)))
}

pub fn too_long(too_long: TooLong) -> Text {
    let TooLong { bytes, bytes_max } = too_long;
    nothing_proposed(
        &format!(
            "内容太长：请求体 {bytes} 字节（约 {} KB），飞书最多 {bytes_max} 字节（{} KB）。请缩短内容，或把正文放进文档后发链接。",
            bytes.div_ceil(1024),
            bytes_max / 1024
        ),
        &format!(
            "the content is too long: {bytes} bytes (about {} KB), Feishu takes {bytes_max} ({} KB). Shorten it, or put it into a document and send the link.",
            bytes.div_ceil(1024),
            bytes_max / 1024
        ),
    )
}
