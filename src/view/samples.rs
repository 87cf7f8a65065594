//! What is said when somebody wants to see a content as it will arrive, or to send to ids that were invalid.

use super::{Text, advice, count, result};
use crate::domain::audience::Covered;
use crate::domain::ids::BroadcastId;

/// Targets that are named in one sentence.
const NAMED_MAX: usize = 5;

pub fn button() -> Text {
    Text::new("发给我看看", "Send it to me")
}

pub fn coming() -> Text {
    Text::new("马上发给你，和收件人看到的一样。", "On its way to you, just as the recipients will see it.")
}

/// Samples one person may ask for of one broadcast.
pub fn enough(most: i64) -> Text {
    Text::new(
        format!("这条群发已经给你发过 {most} 次了，请看之前的消息。"),
        format!("You have had this one {} already; please look at the messages above.", count(most, "time")),
    )
}

pub fn you_are_out_of_reach(broadcast: &BroadcastId) -> Text {
    Text::new(
        format!(
            "群发 {broadcast} 的样例没有发到你这里：你不在机器人的可用范围内。请管理员在开发者后台加入并发布版本。"
        ),
        format!(
            "The sample of broadcast {broadcast} did not reach you: you are outside the bot's availability. Ask the operator to add you in the developer console and publish."
        ),
    )
}

/// Feishu would not take it for the moment, often enough.
pub fn not_possible(broadcast: &BroadcastId) -> Text {
    Text::new(
        format!("群发 {broadcast} 的样例没有发出：飞书暂时不收（已试多次）。请过几分钟再点一次「发给我看看」。"),
        format!(
            "The sample of broadcast {broadcast} was not sent: Feishu does not take it for the moment, tried several times. Press “Send it to me” again in a few minutes."
        ),
    )
}

pub fn refused(broadcast: &BroadcastId, code: i64, scopes: &[String]) -> Text {
    let mut lines = vec![advice(code)];
    lines.extend(result::scopes(scopes.iter().map(String::as_str)));
    let why = Text::lines(&lines);
    Text::new(
        format!(
            "群发 {broadcast} 的样例没有发出，飞书拒绝（{code}）：{}\n正式发送多半也会这样，请先处理，再批准或重新发起。",
            why.zh
        ),
        format!(
            "The sample of broadcast {broadcast} was not sent; Feishu refused it ({code}): {}\nThe broadcast would probably meet the same: mend this before it is approved, or propose it anew.",
            why.en
        ),
    )
}

pub fn unknown(broadcast: &BroadcastId) -> Text {
    Text::new(
        format!("群发 {broadcast} 的样例可能已经发给你，也可能没有：飞书没有给出结果。没收到就再点一次。"),
        format!(
            "The sample of broadcast {broadcast} may have been sent to you or not: Feishu gave no answer. Press again if nothing has come."
        ),
    )
}

pub fn repair_button(ids: usize) -> Text {
    Text::new(
        format!("核对 {ids} 个无效 ID 并补发"),
        format!("Check {} and send to those valid now", count(ids, "invalid id")),
    )
}

pub fn looking(ids: usize) -> Text {
    Text::new(
        format!("正在核对 {ids} 个无效 ID，现在能查到的会作为新的群发，照常审批。"),
        format!(
            "Checking {}; those that can be found now become a new broadcast, to be approved as usual.",
            count(ids, "invalid id")
        ),
    )
}

pub fn nothing_to_repair() -> Text {
    Text::new("没有要补发的无效 ID 了。", "There are no invalid ids left to send to.")
}

pub fn none_repaired(broadcast: &BroadcastId, ids: usize) -> Text {
    Text::new(
        format!("群发 {broadcast} 的 {ids} 个无效 ID 现在仍然查不到，没有发起补发。处理好之后再点一次。"),
        format!(
            "The {} of broadcast {broadcast}: none can be found yet, so nothing was proposed. Press again once that is mended.",
            count(ids, "invalid id")
        ),
    )
}

/// `fresh` of `ids` are valid now. `twice`: among them are departments, whose people may have got it by other targets.
pub fn repaired(broadcast: &BroadcastId, next: &BroadcastId, fresh: usize, ids: usize, twice: bool) -> Text {
    let said = Text::new(
        format!(
            "群发 {broadcast} 的 {ids} 个无效 ID 里，现在能查到 {fresh} 个，已为它们发起新的群发 {next}，内容相同，请照常审批。"
        ),
        format!(
            "Of the {} of broadcast {broadcast}, {fresh} can be found now: broadcast {next} was proposed to them with the same content, and asks for approval as usual.",
            count(ids, "invalid id")
        ),
    );
    if !twice {
        return said;
    }
    let note = Text::new(
        "其中有部门：部门里的人如果上次已经作为别的目标收到过，这次会再收到一次。",
        "There are departments among them: people in these who got it by another target get it once more.",
    );
    Text::lines(&[said, note])
}

/// Those that are valid now lie in what was reached, so there is nobody to send to.
pub fn all_covered(broadcast: &BroadcastId, covered: &[Covered]) -> Text {
    let named = covered.iter().take(NAMED_MAX).map(|covered| covered.named.as_str()).collect::<Vec<_>>();
    let (zh, en) = (named.join("、"), named.join(", "));
    Text::new(
        format!("群发 {broadcast} 的无效 ID 里，现在有效的（{zh}）已经通过别的目标收到了，不需要补发。"),
        format!(
            "Of the invalid ids of broadcast {broadcast}, those that are valid now ({en}) have got it by another target; nothing is to be sent."
        ),
    )
}

/// The app lacks what it takes to look.
pub fn not_allowed_to_look(broadcast: &BroadcastId, code: i64, scopes: &[String]) -> Text {
    let mut lines = vec![advice(code)];
    lines.extend(result::scopes(scopes.iter().map(String::as_str)));
    let why = Text::lines(&lines);
    Text::new(
        format!("没能核对群发 {broadcast} 的无效 ID，飞书拒绝（{code}）：{}", why.zh),
        format!("The invalid ids of broadcast {broadcast} could not be checked; Feishu refused ({code}): {}", why.en),
    )
}

pub fn cannot_look(broadcast: &BroadcastId) -> Text {
    Text::new(
        format!("没能核对群发 {broadcast} 的无效 ID：飞书暂时没有给出答复。请稍后再点一次。"),
        format!(
            "The invalid ids of broadcast {broadcast} could not be checked: Feishu gives no answer. Press again later."
        ),
    )
}
