//! Numbers of identity cards and bank cards, told from order numbers by what their makers built into them.

/// Weights of the first 17 digits of a resident's number, and the check characters by remainder. Source: GB 11643-1999.
const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
const CHECKS: [char; 11] = ['1', '0', 'X', '9', '8', '7', '6', '5', '4', '3', '2'];

/// The first two digits of a resident's number. Source: GB/T 2260; 81 to 83 are residence permits of people from Hong
/// Kong, Macao and Taiwan, 91 those of foreigners.
const PROVINCES: [u32; 36] = [
    11, 12, 13, 14, 15, 21, 22, 23, 31, 32, 33, 34, 35, 36, 37, 41, 42, 43, 44, 45, 46, 50, 51, 52, 53, 54, 61, 62, 63,
    64, 65, 71, 81, 82, 83, 91,
];

/// Years in which somebody with a number may have been born. There is no clock here, so the end is far.
const BIRTH_YEARS: std::ops::RangeInclusive<u32> = 1900..=2099;

/// Words before a number that make it one of an order. A tenth of all such numbers pass the check of bank cards.
const ORDER_WORDS: [&str; 12] =
    ["单号", "订单", "流水", "编号", "运单", "快递", "物流", "合同", "发票", "工单", "批次", "单据"];

/// Characters before a number in which such a word counts.
const ORDER_WORD_CHARS: usize = 12;

/// The longest number that is looked at, blanks between its groups included.
const DIGITS_MAX: usize = 19;

/// A run of digits, or of groups of them with one blank or hyphen between.
struct Run {
    /// Where its first character stands.
    from: usize,
    groups: Vec<String>,
    /// The character before and the one after.
    neighbours: [Option<char>; 2],
}

/// The numbers of a text that belong to people, each with its first characters.
pub fn find(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().map(half_width).collect();
    let mut found = vec![];
    for run in runs(&chars) {
        let sizes: Vec<usize> = run.groups.iter().map(String::len).collect();
        let in_groups = matches!(sizes.as_slice(), [6, 8, 4] | [4, 4, 4, 4] | [4, 4, 4, 4, 1..=3]);
        let numbers = if in_groups { vec![run.groups.concat()] } else { run.groups.clone() };
        let belongs =
            |number: &&String| is_resident(number) || (is_bank_card(number) && !is_called_otherwise(&chars, &run));
        found.extend(numbers.iter().filter(belongs).map(|number| super::mask(number)));
    }
    found
}

/// People's phones write digits of either width.
fn half_width(c: char) -> char {
    match c {
        '０'..='９' => char::from_digit(u32::from(c) - u32::from('０'), 10).unwrap_or(c),
        'Ｘ' => 'X',
        other => other,
    }
}

fn runs(chars: &[char]) -> Vec<Run> {
    let mut runs = vec![];
    let mut at = 0;
    while let Some(c) = chars.get(at) {
        if !c.is_ascii_digit() {
            at += 1;
            continue;
        }
        let from = at;
        let mut groups = vec![String::new()];
        loop {
            match (chars.get(at).copied(), chars.get(at + 1).copied()) {
                (Some(c), _) if c.is_ascii_digit() => push(&mut groups, c),
                // The check character of a resident's number.
                (Some(c @ ('X' | 'x')), after) if !after.is_some_and(of_a_word) && ends_seventeen(&groups) => {
                    push(&mut groups, c.to_ascii_uppercase());
                }
                (Some(' ' | '-' | '\u{A0}'), Some(after)) if after.is_ascii_digit() => groups.push(String::new()),
                _ => break,
            }
            at += 1;
        }
        let before = from.checked_sub(1).and_then(|before| chars.get(before)).copied();
        let after = chars.get(at).copied();
        // Digits glued to letters are part of a name: an emptied group is the number of nobody.
        if before.is_some_and(of_a_word) {
            groups.first_mut().map(String::clear);
        }
        if after.is_some_and(of_a_word) {
            groups.last_mut().map(String::clear);
        }
        runs.push(Run { from, groups, neighbours: [before, after] });
    }
    runs
}

/// Digits beyond what any number has are dropped, but for one, which makes it too long.
fn push(groups: &mut [String], c: char) {
    if let Some(group) = groups.last_mut().filter(|group| group.len() <= DIGITS_MAX) {
        group.push(c);
    }
}

fn ends_seventeen(groups: &[String]) -> bool {
    groups.last().is_some_and(|group| group.len() == 17 || (group.len() == 3 && groups.len() >= 3))
}

fn of_a_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// A resident's number: a province, a day of birth and a check character that fit.
fn is_resident(number: &str) -> bool {
    let digits: Vec<u32> = number.chars().filter_map(|c| c.to_digit(10)).collect();
    let chars: Vec<char> = number.chars().collect();
    let (Some(body), 18) = (digits.get(..17), chars.len()) else { return false };
    if !chars.iter().take(17).all(char::is_ascii_digit) {
        return false;
    }
    let value = |from: usize, to: usize| body.iter().take(to).skip(from).fold(0, |value, digit| value * 10 + digit);
    let sum: u32 = body.iter().zip(WEIGHTS).map(|(digit, weight)| digit * weight).sum();
    let check = CHECKS.iter().cycle().nth((sum % 11) as usize);
    PROVINCES.contains(&value(0, 2)) && is_a_day(value(6, 10), value(10, 12), value(12, 14)) && check == chars.last()
}

fn is_a_day(year: u32, month: u32, day: u32) -> bool {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 0,
    };
    BIRTH_YEARS.contains(&year) && (1..=days).contains(&day)
}

/// A bank card: a prefix in use and the check digit of ISO/IEC 7812. Prefixes: 62 UnionPay (16 to 19 digits); with 16
/// digits 4 Visa, 51 to 55 Mastercard, 3528 to 3589 JCB. Mastercard's newer 2221 to 2720 are left out: numbers that
/// begin with a date of these years look the same.
fn is_bank_card(number: &str) -> bool {
    let prefix: u32 = number.get(..4).and_then(|prefix| prefix.parse().ok()).unwrap_or_default();
    let in_use = match number.len() {
        16 => matches!(prefix, 6200..=6299 | 4000..=4999 | 5100..=5599 | 3528..=3589),
        17..=19 => matches!(prefix, 6200..=6299),
        _ => false,
    };
    let digits: Option<Vec<u32>> = number.chars().rev().map(|c| c.to_digit(10)).collect();
    let sum = digits.unwrap_or_default().iter().enumerate().fold(0, |sum, (n, digit)| {
        let doubled = digit * 2;
        sum + if n % 2 == 0 { *digit } else { doubled / 10 + doubled % 10 }
    });
    in_use && sum > 0 && sum % 10 == 0
}

/// A part of an address, a decimal or a longer number, or called an order.
fn is_called_otherwise(chars: &[char], run: &Run) -> bool {
    let [before, after] = run.neighbours;
    let before_runs = before.is_some_and(|c| matches!(c, '-' | '/' | '=' | '.' | '#' | '&' | '+' | '%'));
    let after_runs = after.is_some_and(|c| matches!(c, '/' | '=' | '&' | '%'));
    let start = run.from.saturating_sub(ORDER_WORD_CHARS);
    let lead: String = chars.get(start..run.from).unwrap_or_default().iter().collect();
    before_runs || after_runs || ORDER_WORDS.iter().any(|word| lead.contains(word))
}
