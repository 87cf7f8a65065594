//! Secrets, by the forms that their makers gave them, and by what people write before them.

use std::sync::LazyLock;

use regex::Regex;

use super::mask;

/// Keys and tokens with a form of their own. Each is what its maker documents; lengths are the shortest in use.
///
/// In order: private keys (RFC 7468); AWS and Alibaba Cloud access keys; GitHub, GitLab and Slack tokens; keys of
/// model providers (`sk-`) and of Google; JSON web tokens (RFC 7519), user tokens of Feishu among them; tenant, user
/// and app tokens of Feishu (contract 1.2), the address of a Feishu custom bot; the header that carries a token.
static FORMS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    [
        r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----",
        r"(?-u:\b)(?:AKIA|ASIA)[0-9A-Z]{16}(?-u:\b)",
        r"(?-u:\b)LTAI[0-9A-Za-z]{12,26}(?-u:\b)",
        r"(?-u:\b)(?:gh[pousr]_[0-9A-Za-z]{20,255}|github_pat_[0-9A-Za-z_]{22,255})",
        r"(?-u:\b)(?:glpat-[0-9A-Za-z_-]{20,64}|xox[abeoprs]-[0-9A-Za-z-]{10,255})",
        r"(?-u:\b)sk-(?:[a-z]{2,12}[0-9]{0,2}-){0,2}[0-9A-Za-z_]{20,255}",
        r"(?-u:\b)AIza[0-9A-Za-z_-]{35}",
        r"(?-u:\b)eyJ[0-9A-Za-z_-]{8,}\.[0-9A-Za-z_-]{8,}\.[0-9A-Za-z_-]{8,}",
        r"(?-u:\b)[tuac]-[0-9A-Za-z_]{20,255}",
        r"open-apis/bot/v2/hook/[0-9A-Za-z-]{16,64}",
        r#"(?i-u:authorization)["']?[ \t]{0,4}[:=：][ \t]{0,4}["']?(?i-u:bearer|basic)[ \t]{1,4}[0-9A-Za-z._~+/-]{6,}={0,2}"#,
        r"(?-u:\b)(?i-u:bearer)[ \t]{1,4}[0-9A-Za-z._~+/-]{16,}={0,2}",
    ]
    .iter()
    .map(|form| Regex::new(form).expect("a literal pattern"))
    .collect()
});

/// Forms of [`FORMS`] that ordinary words could have: they count only with a digit in them.
const NEEDS_A_DIGIT: [&str; 6] = ["t-", "u-", "a-", "c-", "sk-", "bearer"];

/// What people write before a secret, and the secret. An English name may stand in quotes, as in JSON; a value is a
/// run of printable ASCII, for `密码：工号后六位` gives nothing away.
static LABELLED: LazyLock<Regex> = LazyLock::new(|| {
    let english = r"(?i-u:app_?secret|client_?secret|api_?key|access_?key|secret_?key|access_?token|refresh_?token|passwd|password|passphrase)";
    let pattern = format!(
        r#"(?P<label>{english}["'”]?|密码|口令|密钥)(?P<sign>[ \t]{{0,4}}(?:[是为]?[:=：＝]|[是为]|[ \t](?i-u:is)[ \t])[ \t]{{0,4}})["'“]?(?P<value>[!#-&(-~]{{4,200}})"#
    );
    Regex::new(&pattern).expect("a literal pattern")
});

/// What makes a password one for everyone, or none at all, where it stands right before the word: that of a meeting
/// or a live stream, and the places where one changes it.
const HARMLESS_BEFORE: [&str; 13] =
    ["会议", "入会", "参会", "会场", "直播", "观看", "修改", "重置", "找回", "更改", "忘记", "无", "免"];

/// What programs write behind a name that says something about a secret.
const SWITCHES: [&str; 5] = ["true", "false", "null", "none", "undefined"];

/// Letters in a row that are no word of English any more.
const LONGEST_WORD: usize = 20;

/// Words of an invitation to a meeting. A short number called a password after them opens the meeting.
const MEETING_WORDS: [&str; 6] = ["会议", "入会", "直播", "meeting", "zoom", "webinar"];

/// Characters before a password in which such a word counts: an invitation is a few lines long.
const MEETING_WORD_CHARS: usize = 160;

/// Digits of a meeting's password.
const MEETING_DIGITS_MAX: usize = 8;

/// The secrets of a text, each with its label and its first characters.
pub fn find(text: &str) -> Vec<String> {
    let mut found: Vec<(usize, usize, String)> = vec![];
    for form in FORMS.iter() {
        for hit in form.find_iter(text).filter(|hit| is_secret(hit.as_str())) {
            found.push((hit.start(), hit.end(), shown(hit.as_str())));
        }
    }
    for hit in LABELLED.captures_iter(text) {
        let (Some(all), Some(label), Some(sign), Some(value)) =
            (hit.get(0), hit.name("label"), hit.name("sign"), hit.name("value"))
        else {
            continue;
        };
        let before = text.get(..all.start()).unwrap_or_default();
        if is_given_away(before, label.as_str(), sign.as_str(), value.as_str()) {
            found.push((
                all.start(),
                all.end(),
                format!("{}{}{}", label.as_str(), sign.as_str(), mask(value.as_str())),
            ));
        }
    }
    found.sort();
    // One secret may have two forms: the one that begins first stands for both.
    let mut end = 0;
    found.retain(|(from, to, _)| {
        let kept = *from >= end;
        end = end.max(*to);
        kept
    });
    found.into_iter().map(|(_, _, shown)| shown).collect()
}

/// The head of a private key is no secret and says what it is; of an address the last part is.
fn shown(hit: &str) -> String {
    match hit.rsplit_once('/') {
        _ if hit.starts_with("-----BEGIN") => hit.trim_matches('-').to_owned() + "…",
        Some((address, secret)) if address.ends_with("hook") => format!("…/hook/{}", mask(secret)),
        _ => mask(hit),
    }
}

fn is_secret(hit: &str) -> bool {
    let lower = hit.to_ascii_lowercase();
    !NEEDS_A_DIGIT.iter().any(|begin| lower.starts_with(begin)) || hit.bytes().any(|byte| byte.is_ascii_digit())
}

/// Whether what follows a label is a secret rather than an explanation.
fn is_given_away(before: &str, label: &str, sign: &str, value: &str) -> bool {
    let value = value.trim_end_matches(['.', ',', ';', ')', '>', '!']);
    if value.len() < 4 || is_no_value(value) {
        return false;
    }
    let words_only = value.chars().all(|c| c.is_ascii_alphabetic() || matches!(c, '-' | '/'));
    if label.is_ascii() {
        // "Password: required" explains; "password=required" and `"password": "required"` are how machines write it.
        let by_machine = sign.contains(['=', '＝']) || label.ends_with('"') || value.len() >= LONGEST_WORD;
        return !words_only || by_machine;
    }
    // "密码为Feishu账号": a word of a sentence.
    let sentence = words_only && !sign.contains([':', '=', '：', '＝']);
    !sentence && !HARMLESS_BEFORE.iter().any(|word| before.ends_with(word)) && !opens_a_meeting(before, value)
}

/// Stars instead of a password, a gap for one, where to set one, how long one has to be.
fn is_no_value(value: &str) -> bool {
    let masked = value.chars().all(|c| matches!(c, '*' | 'x' | 'X' | '.' | '-' | '_' | '#' | '?'));
    let gap = value.starts_with(['{', '<', '$', '[', '%']);
    let length = |part: &str| (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    let range = value.split_once(['-', '~']).is_some_and(|(from, to)| length(from) && length(to));
    masked || gap || range || value.contains("://") || SWITCHES.contains(&value.to_ascii_lowercase().as_str())
}

fn opens_a_meeting(before: &str, value: &str) -> bool {
    if value.len() > MEETING_DIGITS_MAX || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    let lead: Vec<char> = before.chars().rev().take(MEETING_WORD_CHARS).collect();
    let lead = lead.into_iter().rev().collect::<String>().to_lowercase();
    MEETING_WORDS.iter().any(|word| lead.contains(word))
}
