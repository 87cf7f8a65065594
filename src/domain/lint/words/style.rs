//! Marks of style in a text that Feishu delivers as it is typed. Source: contract 7.3, "no `<b><i><u><s>`".

use std::sync::LazyLock;

use regex::Regex;

/// A tag of style that is also closed; one alone may be a comparison.
static TAGS: LazyLock<Regex> = LazyLock::new(|| {
    let pairs = ["b", "i", "u", "s", "strong", "em", "del"].map(|tag| format!("(?i-u:<{tag}>)[^<]+(?i-u:</{tag}>)"));
    Regex::new(&pairs.join("|")).expect("a literal pattern")
});

/// An image of Markdown.
static IMAGE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"!\[[^\]\n]*\]\([^) \t\n]+\)").expect("a literal pattern"));

/// Tags and pairs of `**` or `~~` with words between them.
pub fn styles(text: &str) -> Vec<String> {
    let tags = TAGS.find_iter(text).map(|found| found.as_str().to_owned());
    let pairs = text.lines().flat_map(|line| pair(line, '*').into_iter().chain(pair(line, '~')));
    tags.chain(pairs).collect()
}

/// Headings, code fences, rules of tables and images, one of each line.
pub fn markdown(text: &str) -> Vec<String> {
    text.lines()
        .filter(|line| is_heading(line) || is_fence(line) || is_table_rule(line) || IMAGE.is_match(line))
        .map(str::to_owned)
        .collect()
}

/// The first pair of two marks around words of one line: `**重要**`. Three marks and more hide a number: `138****5678`.
fn pair(line: &str, mark: char) -> Option<String> {
    let chars: Vec<char> = line.chars().collect();
    let is = |at: Option<usize>| at.and_then(|at| chars.get(at)) == Some(&mark);
    let blank = |at: Option<usize>| at.and_then(|at| chars.get(at)).is_none_or(|c| c.is_whitespace());
    let exactly_two = |at: usize| is(Some(at)) && is(Some(at + 1)) && !is(Some(at + 2)) && !is(at.checked_sub(1));
    let mut open: Option<usize> = None;
    for at in (0..chars.len()).filter(|at| exactly_two(*at)) {
        match open {
            Some(from) if !blank(at.checked_sub(1)) => return Some(chars.iter().take(at + 2).skip(from).collect()),
            _ if !blank(Some(at + 2)) => open = Some(at),
            _ => {}
        }
    }
    None
}

/// `# 标题`, up to six of them, and a blank.
fn is_heading(line: &str) -> bool {
    let words = line.trim_start_matches('#');
    (1..=6).contains(&(line.len() - words.len())) && words.starts_with(' ') && !words.trim().is_empty()
}

fn is_fence(line: &str) -> bool {
    line.trim_start().starts_with("```")
}

/// `|---|---|` below the head of a table.
fn is_table_rule(line: &str) -> bool {
    let line = line.trim();
    line.starts_with('|') && line.contains("---") && line.chars().all(|c| matches!(c, '|' | '-' | ':' | ' '))
}
