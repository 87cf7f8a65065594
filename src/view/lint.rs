//! What is wrong with a card, and what in the words may not be meant: where it stands, what is there, what to do.

use crate::domain::content::harmless;
use crate::domain::lint::{
    CardFault, CardFaultKind, Counted, Finding, FindingKind, JsonType, Severity, TextPlace, severity,
};

use super::{Text, count};

/// Values of a list that a sentence names.
const VALUES_SHOWN_MAX: usize = 13;

/// Why a card cannot be sent. Nothing quoted in it can ping anyone.
pub fn fault(fault: &CardFault) -> Text {
    let (place, what, todo) = (place(&fault.path), wrong(fault), mend(fault));
    Text::new(
        harmless(&format!("这张卡片不能发送{}{}{}", place.zh, what.zh, todo.zh)),
        harmless(&format!("This card cannot be sent{} {} {}", place.en, what.en, todo.en)),
    )
}

/// What was found in the words, in one line.
pub fn finding(finding: &Finding) -> Text {
    let what = &finding.excerpt;
    let (zh, en) = match finding.kind {
        FindingKind::Placeholder => (
            format!("有没替换的占位内容「{what}」，收件人会原样看到"),
            format!("A placeholder was not filled in: “{what}”; everyone will see it like this"),
        ),
        FindingKind::Credential => (
            format!("看起来包含密码或密钥（{what}），发出后所有收件人都能看到"),
            format!("This looks like a password or a key ({what}); everyone who gets it can read it"),
        ),
        FindingKind::IdNumber => (
            format!("看起来包含身份证号或银行卡号（{what}），发出后所有收件人都能看到"),
            format!(
                "This looks like the number of an identity or bank card ({what}); everyone who gets it can read it"
            ),
        ),
        FindingKind::EveryoneMention => (
            format!("卡片里含有「{what}」：会提醒所有收件人，或被飞书拒绝"),
            format!("The card says “{what}”: it reminds everyone who gets it, or Feishu refuses it"),
        ),
        FindingKind::EveryoneInText => {
            (format!("「{what}」在群发的文字里不会提醒任何人"), format!("“{what}” reminds nobody in a broadcast text"))
        }
        FindingKind::PersonMention => (
            format!("卡片里 @ 了「{what}」：每位收件人都会看到；如果飞书不认识这个 ID，会拒绝整张卡片"),
            format!(
                "The card mentions “{what}”: everyone sees it, and Feishu refuses the card if it does not know the ID"
            ),
        ),
        FindingKind::StyleDropped => (
            format!("「{what}」的样式不会生效，符号会原样显示；需要样式请改用卡片"),
            format!("The style of “{what}” is not applied; the marks arrive as typed. Use a card for styles"),
        ),
        FindingKind::MarkdownInText => (
            format!("「{what}」是 Markdown，在文本消息里会原样显示；需要排版请改用卡片"),
            format!("“{what}” is Markdown, which arrives as typed in a text. Use a card for layout"),
        ),
    };
    Text::new(harmless(&zh), harmless(&en))
}

fn place(path: &str) -> Text {
    if path.is_empty() {
        return Text::new("。", ".");
    }
    Text::new(format!("，问题在「{path}」："), format!("; the problem is at “{path}”."))
}

/// Where a text breaks.
fn at(at: TextPlace) -> Text {
    let TextPlace { line, column } = at;
    Text::new(format!("第 {line} 行第 {column} 个字符"), format!("line {line}, character {column}"))
}

fn wrong(fault: &CardFault) -> Text {
    let found = &fault.found;
    let (zh, en) = match fault.why {
        CardFaultKind::NotJson { at: place } => {
            let at = at(place);
            (format!("{}不是合法的 JSON：「{found}」。", at.zh), format!("It is no JSON at {}: “{found}”.", at.en))
        }
        CardFaultKind::EndsEarly { at: place } => {
            let at = at(place);
            (format!("JSON 在{}处中断，还没有结束。", at.zh), format!("The JSON breaks off at {}.", at.en))
        }
        CardFaultKind::SmartQuotes { at: place } => {
            let at = at(place);
            (
                format!("{}是中文引号：「{found}」，JSON 只认英文直引号 \"。", at.zh),
                format!("There is a curly quote at {}: 「{found}」; JSON takes only straight ones, \".", at.en),
            )
        }
        CardFaultKind::NotACard => (format!("这不是卡片：{found}。"), format!("This is no card: {found}.")),
        CardFaultKind::Empty => ("卡片里没有任何能看到的内容。".into(), "There is nothing to see on it.".into()),
        CardFaultKind::BesideCard => (
            format!("卡片外面还有「{found}」，不会被采用。"),
            format!("“{found}” stands beside the card and would be ignored."),
        ),
        CardFaultKind::UnknownSchema => (
            format!("卡片版本 {found} 不存在，只有 \"1.0\" 和 \"2.0\"。"),
            format!("There is no card version {found}, only \"1.0\" and \"2.0\"."),
        ),
        CardFaultKind::SchemaMissing => (
            "body 是 2.0 卡片才有的，但没有声明 \"schema\": \"2.0\"。".into(),
            "Only 2.0 cards have a body, and this one does not say \"schema\": \"2.0\".".into(),
        ),
        CardFaultKind::BothVersions => (
            "同时有 elements（1.0）和 body（2.0），只能有一个。".into(),
            "It has elements (1.0) and a body (2.0); only one can be.".into(),
        ),
        CardFaultKind::NeedsBody => (
            "2.0 卡片的 elements 要放在 body 里面。".into(),
            "The elements of a 2.0 card stand inside its body.".into(),
        ),
        CardFaultKind::Missing => ("缺少这个属性，或者是空的。".into(), "It is missing or empty.".into()),
        CardFaultKind::WrongType { wanted } => {
            let wanted = json_type(wanted);
            (format!("应该是{}，现在是 {found}。", wanted.zh), format!("It must be {}, and is {found}.", wanted.en))
        }
        CardFaultKind::UnknownProperty => {
            (format!("2.0 卡片没有属性「{found}」。"), format!("2.0 cards have no property “{found}” there."))
        }
        CardFaultKind::UnknownTag => {
            (format!("没有叫「{found}」的组件。"), format!("There is no component “{found}”."))
        }
        CardFaultKind::OldTag => {
            (format!("2.0 卡片不再支持「{found}」。"), format!("2.0 cards have no “{found}” any more."))
        }
        CardFaultKind::OutsideAction => (
            format!("1.0 卡片的「{found}」不能直接放在最外层。"),
            format!("In a 1.0 card “{found}” cannot stand at the top level."),
        ),
        CardFaultKind::Misplaced => (format!("「{found}」不能放在这里。"), format!("“{found}” cannot stand there.")),
        CardFaultKind::TooDeep => ("嵌套太深。".into(), "It is nested too deep.".into()),
        CardFaultKind::TooMany { what, most } => {
            let what = counted(what);
            (format!("{}有 {found} 个，最多 {most} 个。", what.zh), format!("{found} {}, at most {most}.", what.en))
        }
        CardFaultKind::BadElementId => {
            (format!("element_id「{found}」不合规则。"), format!("“{found}” is no element_id."))
        }
        CardFaultKind::RepeatedElementId => {
            (format!("element_id「{found}」在卡片里出现了两次。"), format!("The element_id “{found}” is there twice."))
        }
        CardFaultKind::NotShared => {
            ("2.0 卡片的 update_multi 只能是 true。".into(), "In a 2.0 card update_multi can only be true.".into())
        }
        CardFaultKind::NoSuchColumn => (
            format!("这一行有「{found}」，但没有这一列。"),
            format!("The row has “{found}”, and no column has that name."),
        ),
        CardFaultKind::BadValue { .. } => (format!("这里不能填 {found}。"), format!("It cannot be {found}.")),
        CardFaultKind::TooLong { most } => (
            format!("文字超过 {most} 个字：「{found}」。"),
            format!("Longer than {}: “{found}”.", count(most, "character")),
        ),
        CardFaultKind::BadLink => (
            format!("链接「{found}」打不开，飞书只接受 http 和 https。"),
            format!("The link “{found}” does not work; Feishu takes http and https only."),
        ),
        CardFaultKind::NeedsOwnFile => (
            "音频必须由本机器人上传，目前做不到。".into(),
            "An audio file must have been uploaded by this bot, which it cannot do.".into(),
        ),
        CardFaultKind::CallsBack => (
            format!("点击后会回传（{found}）。飞书批量发送的卡片不支持回传交互，点了只会报错。"),
            format!(
                "Pressing it calls back ({found}). Feishu does not support that on cards sent in batches; it would only show an error."
            ),
        ),
    };
    Text::new(zh, en)
}

fn mend(fault: &CardFault) -> Text {
    let (zh, en) = match fault.why {
        CardFaultKind::NotJson { .. } => (
            "请检查那里的逗号、引号和括号；看不见的特殊空格也要删掉。",
            "Check the commas, quotes and brackets there; invisible blanks count as well.",
        ),
        CardFaultKind::EndsEarly { .. } => (
            "请检查是否少了括号或引号，或没有复制完整。",
            "A bracket or a quote may be missing, or it was not copied to its end.",
        ),
        CardFaultKind::SmartQuotes { .. } => (
            "请把这些引号都改成 \"；把 JSON 放进代码块再发送可以避免自动替换。",
            "Replace all of them by \"; a code block keeps chat programs from changing them.",
        ),
        CardFaultKind::NotACard => (
            "请粘贴卡片的 JSON：{\"schema\":\"2.0\",\"body\":{\"elements\":[…]}}。",
            "Paste the card's JSON: {\"schema\":\"2.0\",\"body\":{\"elements\":[…]}}.",
        ),
        CardFaultKind::Empty => ("请加上标题或内容。", "Give it a title or some content."),
        CardFaultKind::BesideCard => (
            "收件人写在命令里；这里只留卡片本身。",
            "Recipients belong in the command; leave only the card itself here.",
        ),
        CardFaultKind::UnknownSchema => {
            ("请写成 \"schema\": \"2.0\"，带引号。", "Write \"schema\": \"2.0\", with the quotes.")
        }
        CardFaultKind::SchemaMissing => {
            ("请在最外层加上 \"schema\": \"2.0\"。", "Add \"schema\": \"2.0\" at the top level.")
        }
        CardFaultKind::BothVersions => (
            "2.0 卡片把 elements 移进 body；1.0 卡片删掉 body。",
            "Move the elements into the body (2.0), or drop the body (1.0).",
        ),
        CardFaultKind::NeedsBody => ("请写成 \"body\": {\"elements\": […]}。", "Write \"body\": {\"elements\": […]}."),
        CardFaultKind::Missing => ("请补上。", "Add it."),
        CardFaultKind::WrongType { .. } => ("请改正。", "Correct it."),
        CardFaultKind::UnknownProperty => (
            "请检查拼写，或删掉它：飞书会因此拒绝整张卡片。",
            "Check the spelling or leave it out: Feishu refuses the whole card for it.",
        ),
        CardFaultKind::UnknownTag => ("请检查拼写。", "Check the spelling."),
        CardFaultKind::OldTag => return old_tag(&fault.found),
        CardFaultKind::OutsideAction => {
            ("请放进 {\"tag\":\"action\",\"actions\":[…]}。", "Put it into {\"tag\":\"action\",\"actions\":[…]}.")
        }
        CardFaultKind::Misplaced => (
            "表格只能放在最外层；column_set 的 columns 里只放 column，column 也只能放在那里。",
            "Tables stand at the top level only; columns stand in a column_set, and nothing else does.",
        ),
        CardFaultKind::TooDeep => ("容器最多嵌套五层，请减少层数。", "Containers nest five levels deep; use fewer."),
        CardFaultKind::TooMany { .. } => ("请减少一些，或分成几张卡片。", "Use fewer, or several cards."),
        CardFaultKind::BadElementId => (
            "以字母开头，只用字母、数字和下划线，最多 20 个字符。",
            "It begins with a letter, has letters, digits and underscores, and 20 characters at most.",
        ),
        CardFaultKind::RepeatedElementId => ("请给其中一个换个名字，或删掉。", "Rename or drop one of them."),
        CardFaultKind::NotShared => ("请改成 true，或删掉这个属性。", "Make it true, or leave it out."),
        CardFaultKind::NoSuchColumn => {
            ("请检查拼写，或在 columns 里加上这一列。", "Check the spelling, or add the column to columns.")
        }
        CardFaultKind::BadValue { allowed } => return one_of(allowed),
        CardFaultKind::TooLong { .. } => ("请缩短。", "Shorten it."),
        CardFaultKind::BadLink => ("请写完整的 https:// 地址。", "Write the whole https:// address."),
        CardFaultKind::NeedsOwnFile => ("请改成文字和链接。", "Use words and a link instead."),
        CardFaultKind::CallsBack => (
            "请改成打开链接（open_url 或 url），或删掉它；要收集信息，请用表单链接。",
            "Let it open a link (open_url or url), or drop it; to collect answers, link to a form.",
        ),
    };
    Text::new(zh, en)
}

fn old_tag(tag: &str) -> Text {
    match tag {
        "note" => Text::new(
            "请改用 div，文字设 \"text_size\": \"notation\"、\"text_color\": \"grey\"。",
            "Use a div whose text has \"text_size\": \"notation\" and \"text_color\": \"grey\".",
        ),
        _ => Text::new("按钮请直接放在 elements 或 column 里。", "Put its buttons directly into elements or a column."),
    }
}

fn one_of(allowed: &[&str]) -> Text {
    let shown = allowed.iter().take(VALUES_SHOWN_MAX).copied().collect::<Vec<_>>();
    let more = if allowed.len() > shown.len() { ["等", " and so on"] } else { ["", ""] };
    Text::new(
        format!("可以填：{}{}。", shown.join("、"), more[0]),
        format!("It can be: {}{}.", shown.join(", "), more[1]),
    )
}

fn json_type(wanted: JsonType) -> Text {
    match wanted {
        JsonType::Object => Text::new("对象 {…}", "an object {…}"),
        JsonType::List => Text::new("列表 […]", "a list […]"),
        JsonType::Text => Text::new("文字 \"…\"", "a text \"…\""),
    }
}

fn counted(what: Counted) -> Text {
    match what {
        Counted::Elements => Text::new("组件和文字", "components and texts"),
        Counted::Tables => Text::new("表格", "tables"),
        Counted::HeaderTags => Text::new("标题标签", "tags behind the title"),
        Counted::Columns => Text::new("表格列", "columns of a table"),
    }
}

/// What must be accepted before anyone is asked, each with its mark.
pub fn grave(found: &[Finding]) -> Vec<Text> {
    let grave = found.iter().filter(|finding| severity(finding.kind) == Severity::MustConfirm);
    grave
        .map(|found| {
            let said = finding(found);
            Text::new(format!("⚠️ {}", said.zh), format!("⚠️ {}", said.en))
        })
        .collect()
}

/// The broadcast waits for its author's word about what was found; `approval` is what comes then.
pub fn must_accept(author: bool, approval: bool) -> Text {
    if author {
        let button = accept_button(approval);
        Text::new(
            format!("上面标 ⚠️ 的内容可能不是你想发的。确认无误请点「{}」，否则取消后修改重发。", button.zh),
            format!(
                "What is marked ⚠️ above may not be what you meant. If it is, press “{}”; if not, cancel and send a corrected command.",
                button.en
            ),
        )
    } else {
        Text::new("等发起人确认上面标 ⚠️ 的内容", "Waiting for the author to confirm what is marked ⚠️ above")
    }
}

/// Findings for which a card has no room.
pub fn more_findings(more: usize) -> Text {
    Text::new(format!("……另有 {more} 处"), format!("… and {more} more of the kind"))
}

pub fn accept_button(approval: bool) -> Text {
    if approval {
        Text::new("没问题，提交审批", "It is meant, ask for approval")
    } else {
        Text::new("没问题，就这样发", "It is meant like this")
    }
}

/// What the author agrees to with [`accept_button`].
pub fn accept_confirm() -> Text {
    Text::new(
        "群发出去之后，每位收件人都会看到标 ⚠️ 的内容。确定就这样发吗？",
        "Every recipient will see what is marked ⚠️. Is it to be sent like this?",
    )
}

#[cfg(test)]
mod tests;
