//! The house stands as its plan says: reads every file in `src` and holds floors and purity.
//!
//! Each rule is a function from a file to what is wrong with it, and is shown a bad snippet first: a rule that cannot
//! fail holds nothing. Only code counts: comments, the insides of texts and unit tests are taken away before.

use std::fs;
use std::path::Path;

/// Rooms by floor. A room calls its own floor or below. Source: `src/lib.rs`.
const FLOORS: [(&str, u8); 11] = [
    ("domain", 0),
    ("view", 1),
    ("feishu", 2),
    ("store", 2),
    ("app", 3),
    ("web", 4),
    ("config", 5),
    ("bot", 5),
    ("audit", 5),
    ("check", 5),
    ("main", 5),
];

/// Neighbours who have not met.
const STRANGERS: [[&str; 2]; 2] = [["feishu", "store"], ["store", "feishu"]];

/// What settings may become: values, and the key made of them.
const CONFIG_MAY_NAME: [&str; 2] = ["domain", "app::secrets"];

/// Lines of a file, unit tests at its foot not counted. Source: the house style, where 400 is a smell.
const LINES_MAX: usize = 400;

/// Files that may be longer, and why. None is, today.
const LONGER: [(&str, &str); 0] = [];

/// One file of `src`, stripped to its code.
struct File {
    /// Below `src`, with `/`.
    path: String,
    code: String,
    /// What people read: the same lines with their texts.
    said: String,
}

impl File {
    fn new(path: &str, source: &str) -> Self {
        let code = code_of(source);
        // Unit tests sit at the foot; nothing follows them.
        let end = code.find("#[cfg(test)]").unwrap_or(code.len());
        let lines = code[..end].lines().count();
        let said = source.lines().take(lines).filter(|line| !line.trim_start().starts_with("//"));
        Self { path: path.into(), code: code[..end].into(), said: said.collect::<Vec<_>>().join("\n") }
    }

    /// The room this file belongs to: `app` for `app/inbox.rs`, `config` for `config.rs`.
    fn room(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// How many `super::` lead from this file to the root.
    fn depth(&self) -> usize {
        let rest = self.path.strip_suffix("/mod.rs").or(self.path.strip_suffix(".rs")).unwrap_or(&self.path);
        rest.split('/').count()
    }

    fn is_in(&self, rooms: &[&str]) -> bool {
        rooms.contains(&self.room())
    }

    /// Paths below the root that this file names, such as `domain::ids::Timestamp`.
    fn names(&self) -> Vec<String> {
        let to_root = "super::".repeat(self.depth());
        let mut found = vec![];
        for root in ["crate::", "feishu_broadcast::", to_root.as_str()] {
            for (at, _) in self.code.match_indices(root) {
                if self.code[..at].ends_with("super::") || self.code[..at].ends_with(is_of_a_word) {
                    continue;
                }
                found.extend(branches(&self.code[at + root.len()..]));
            }
        }
        found
    }

    /// Whether a word stands in the code, not as a part of another.
    fn says(&self, word: &str) -> bool {
        self.code.match_indices(word).any(|(at, _)| {
            !self.code[..at].ends_with(is_of_a_word) && !self.code[at + word.len()..].starts_with(is_of_a_word)
        })
    }
}

fn is_of_a_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The path that stands here, or each of a group in braces.
fn branches(code: &str) -> Vec<String> {
    let Some(group) = code.strip_prefix('{') else {
        let end = code.find(|c: char| !is_of_a_word(c) && c != ':').unwrap_or(code.len());
        let head = code[..end].trim_end_matches(':');
        // `app::{press, stranger}` names two rooms of one.
        return match code[end..].strip_prefix('{') {
            Some(_) if code[..end].ends_with("::") => {
                branches(&code[end..]).into_iter().map(|tail| format!("{head}::{tail}")).collect()
            }
            _ => vec![head.to_owned()],
        };
    };
    let (mut depth, mut start, mut items) = (0, 0, vec![]);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                items.push(group[start..at].trim());
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    items.into_iter().filter(|item| !item.is_empty()).flat_map(branches).collect()
}

/// The source without comments and with empty texts; lines stay where they are.
fn code_of(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let hashes = rest.strip_prefix('r').map_or(0, |after| after.len() - after.trim_start_matches('#').len());
        let raw = rest.starts_with('r') && rest[1 + hashes..].starts_with('"') && !code.ends_with(is_of_a_word);
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if raw {
            let end = format!("\"{}", "#".repeat(hashes));
            let from = 2 + hashes;
            rest[from..].find(&end).map_or(rest.len(), |at| from + at + end.len())
        } else if c == '"' {
            quoted(rest)
        } else if c == '\'' {
            letter(rest)
        } else {
            0
        };
        if skipped == 0 {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            code.extend(rest[..skipped].chars().filter(|c| *c == '\n'));
            rest = &rest[skipped..];
        }
    }
    code
}

/// Bytes of the text that begins here.
fn quoted(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// Bytes of the letter that begins here; 0 for a lifetime.
fn letter(rest: &str) -> usize {
    let mut letters = rest.char_indices().skip(1);
    match letters.next() {
        Some((_, '\\')) => rest[3..].find('\'').map_or(0, |at| at + 4),
        Some(_) => letters.next().filter(|(_, c)| *c == '\'').map_or(0, |(at, _)| at + 1),
        None => 0,
    }
}

fn floor_of(room: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == room).map(|(_, floor)| *floor)
}

/// Names nothing above, and no neighbour it has not met.
fn floors(file: &File) -> Vec<String> {
    // The root shows the rooms to the outside and calls none.
    if file.path == "lib.rs" {
        return vec![];
    }
    let Some(own) = floor_of(file.room()) else { return vec![format!("{} is a room on no floor", file.room())] };
    let wrong = |path: &String| {
        let room = path.split("::").next().unwrap_or_default();
        let config_may = CONFIG_MAY_NAME.iter().any(|may| path == may || path.starts_with(&format!("{may}::")));
        match floor_of(room) {
            None => Some("which is no room"),
            Some(floor) if floor > own => Some("which is above"),
            Some(_) if STRANGERS.contains(&[file.room(), room]) => Some("whom it has not met"),
            Some(_) if file.room() == "config" && room != "config" && !config_may => Some("which settings do not need"),
            Some(_) => None,
        }
        .map(|why| format!("names {path}, {why}"))
    };
    file.names().iter().filter_map(wrong).collect()
}

/// Values and sentences wait for nobody and know nothing of wires, tables, clocks or machines.
fn purity(file: &File) -> Vec<String> {
    if !file.is_in(&["domain", "view"]) {
        return vec![];
    }
    let outside =
        ["async", "await", "Future", "tokio", "futures_util", "sqlx", "reqwest", "actix_web", "tracing", "metrics"];
    let machine =
        ["SystemTime", "Instant", "getrandom", "std::fs", "std::net", "std::process", "std::thread", "println"];
    let says = outside.iter().chain(&machine).filter(|word| file.says(word));
    says.map(|word| format!("says {word}, and is pure")).collect()
}

/// Time and chance come in through one door.
fn clock(file: &File) -> Vec<String> {
    // A stopwatch tells how long a call took, and cannot tell what time it is.
    let stopwatches = ["feishu/client.rs", "feishu/pages.rs", "feishu/setup.rs", "feishu/token.rs"];
    let stopwatch = [&stopwatches[..], &["store/in_use.rs", "store/mod.rs", "web/feishu.rs"]]
        .concat()
        .contains(&file.path.as_str());
    let words = ["SystemTime", "getrandom", "Zoned::now", "Timestamp::now", "OsRng", "Instant::now", "thread_rng"];
    let says = words.iter().filter(|word| {
        let allowed = file.path == "app/clock.rs" || (stopwatch && **word == "Instant::now");
        !allowed && file.says(word)
    });
    says.map(|word| format!("says {word}, which only app/clock.rs may")).collect()
}

/// An invariant is stated, and the environment is read once.
fn manners(file: &File) -> Vec<String> {
    let mut wrong = vec![];
    if file.code.contains(".unwrap()") {
        wrong.push("says unwrap, which states nothing".to_owned());
    }
    if !file.is_in(&["config", "main"]) && ["std::env", "env::var", "env::vars"].iter().any(|word| file.says(word)) {
        wrong.push("reads the environment, which only the settings do".to_owned());
    }
    for word in ["todo!", "unimplemented!", "dbg!"] {
        if file.code.contains(word) {
            wrong.push(format!("says {word}"));
        }
    }
    wrong
}

/// A file can be read in one sitting.
fn length(file: &File) -> Vec<String> {
    let lines = file.code.lines().count();
    let allowed = lines <= LINES_MAX || LONGER.iter().any(|(path, _)| *path == file.path);
    if allowed { vec![] } else { vec![format!("has {lines} lines")] }
}

/// What the bot counts, in English: after a number only `view::count` writes it, which knows how to say one.
const COUNTED: &str = "admins, approvals, approvers, batches, broadcasts, characters, copies, departments, hours, \
                       images, invalid ids, letters, lines, messages, minutes, people, rows, seconds, targets, times";

/// One is not many, in every sentence.
fn numbers(file: &File) -> Vec<String> {
    if !file.is_in(&["view"]) || file.path == "view/number.rs" {
        return vec![];
    }
    let bare = |word: &&str| {
        let after_a_number = format!("}} {word}");
        let mut places = file.said.split(&after_a_number).skip(1);
        places.any(|after| !after.starts_with(is_of_a_word) && !after.starts_with(".csv"))
    };
    COUNTED.split(", ").chain(["(s)"]).filter(bare).map(|word| format!("writes {word} after any number")).collect()
}

/// A rule of the house: what is wrong with a file.
type Rule = fn(&File) -> Vec<String>;

const RULES: [Rule; 6] = [floors, purity, clock, manners, length, numbers];

/// Every file of `src` that is not only tests.
fn house() -> Vec<File> {
    fn walk(directory: &Path, root: &Path, files: &mut Vec<File>) {
        for entry in fs::read_dir(directory).expect("src is there").flatten() {
            let path = entry.path();
            let name = path.strip_prefix(root).expect("below src").display().to_string();
            if path.is_dir() && !path.ends_with("tests") {
                walk(&path, root, files);
            } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
                files.push(File::new(&name, &fs::read_to_string(&path).expect("our source is UTF-8")));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![];
    walk(&root, &root, &mut files);
    files
}

#[test]
fn every_file_keeps_the_rules_of_the_house() {
    let files = house();
    assert!(files.len() > 50 && files.iter().map(|file| file.names().len()).sum::<usize>() > 100, "reads too little");
    let wrong: Vec<String> = files
        .iter()
        .flat_map(|file| RULES.iter().flat_map(|rule| rule(file)).map(|what| format!("{} {what}", file.path)))
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_room_is_on_the_plan() {
    for file in house().iter().filter(|file| file.path != "lib.rs") {
        assert!(floor_of(file.room()).is_some(), "{} stands on no floor", file.path);
    }
    let map =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).expect("our source is UTF-8");
    for (room, floor) in FLOORS {
        let on_the_map = map.lines().any(|line| line.starts_with(&format!("//! | {floor} |")) && line.contains(room));
        assert!(on_the_map, "{room} is not on floor {floor} of the map in lib.rs");
    }
}

#[track_caller]
fn check(rule: Rule, path: &str, source: &str, expect: &[&str]) {
    let found = rule(&File::new(path, source));
    assert_eq!(found.len(), expect.len(), "{path}: {source}: {found:?}");
    for (found, expect) in found.iter().zip(expect) {
        assert!(found.contains(expect), "{found} is not about {expect}");
    }
}

#[test]
fn a_call_upstairs_is_found_however_it_is_written() {
    check(floors, "domain/plan.rs", "use crate::view::Text;", &["view::Text, which is above"]);
    check(floors, "domain/plan.rs", "use crate::{domain::ids, app::{App, Step}};", &["app::App", "app::Step"]);
    check(floors, "domain/deep/plan.rs", "fn f() { super::super::super::store::open() }", &["store::open"]);
    check(floors, "view/mod.rs", "use super::feishu::event::Event;", &["feishu::event::Event"]);
    check(floors, "app/mod.rs", "fn f() -> crate::web::Rooms {}", &["web::Rooms"]);
    check(floors, "app/mod.rs", "use crate::config::Config;", &["config::Config"]);
    check(floors, "store/inbox.rs", "use crate::feishu::event::Event;", &["whom it has not met"]);
    check(floors, "feishu/mod.rs", "pub(in crate::store) fn f() {}", &["whom it has not met"]);
    check(
        floors,
        "config.rs",
        "use crate::app::App;\nuse crate::app::secrets::Secrets;",
        &["app::App, which settings"],
    );
    check(floors, "config.rs", "use super::store::Store;", &["store::Store, which settings"]);
    check(floors, "attic.rs", "fn f() {}", &["on no floor"]);
    check(floors, "app/mod.rs", "use crate::attic::Box;", &["which is no room"]);
}

#[test]
fn a_call_on_the_same_floor_or_below_is_fine() {
    check(floors, "app/mod.rs", "use crate::{domain, store::{Store, inbox}, feishu::Feishu, view::text};", &[]);
    check(floors, "app/inbox.rs", "use super::{App, web}; use super::stranger;", &[]);
    check(floors, "main.rs", "use feishu_broadcast::bot::Bot; use feishu_broadcast::config::Cli;", &[]);
    check(floors, "domain/a.rs", "// crate::app\n/* crate::web */ const A: &str = \"crate::store\";", &[]);
    check(floors, "domain/a.rs", "fn f() {}\n#[cfg(test)]\nmod tests { use crate::app::App; }", &[]);
}

#[test]
fn whoever_waits_or_looks_outside_in_a_pure_room_is_found() {
    check(purity, "domain/a.rs", "pub async fn f() {}", &["async"]);
    check(purity, "domain/a.rs", "use std::time::{Duration, Instant};", &["Instant"]);
    check(purity, "view/a.rs", "use tokio::sync::Mutex;", &["tokio"]);
    check(purity, "view/a.rs", "use sqlx::Row; use reqwest::Url;", &["sqlx", "reqwest"]);
    check(purity, "domain/a.rs", "/// Nothing async here.\nfn instant_reply() { \"tokio\" }", &[]);
    check(purity, "app/a.rs", "pub async fn f() {}", &[]);
}

#[test]
fn a_second_clock_and_a_second_die_are_found() {
    check(clock, "app/pace.rs", "let now = SystemTime::now();", &["SystemTime"]);
    check(clock, "store/mod.rs", "getrandom::fill(&mut bytes)", &["getrandom"]);
    check(clock, "app/letters.rs", "let now = jiff::Zoned::now();", &["Zoned::now"]);
    check(clock, "app/letters.rs", "let began = Instant::now();", &["Instant::now"]);
    check(clock, "feishu/client.rs", "let began = Instant::now(); SystemTime::now();", &["SystemTime"]);
    check(clock, "app/clock.rs", "SystemTime::now(); getrandom::fill(bytes)", &[]);
}

#[test]
fn bad_manners_are_found() {
    check(manners, "app/a.rs", "x.unwrap();", &["unwrap"]);
    check(manners, "app/a.rs", "x.unwrap_or_default(); y.expect(\"a reason\");", &[]);
    check(manners, "app/a.rs", "std::env::var(\"HOME\")", &["environment"]);
    check(manners, "config.rs", "std::env::var_os(name); env!(\"CARGO_PKG_VERSION\")", &[]);
    check(manners, "app/a.rs", "concat!(\"bot/\", env!(\"CARGO_PKG_VERSION\"))", &[]);
    check(manners, "app/a.rs", "todo!()", &["todo!"]);
    check(manners, "app/a.rs", "fn f() {}\n#[cfg(test)]\nmod tests { fn g() { x.unwrap() } }", &[]);
}

#[test]
fn a_number_before_many_that_may_be_one_is_found() {
    check(numbers, "view/a.rs", "format!(\"{n} people wait\")", &["people"]);
    check(numbers, "view/a.rs", "format!(\"to {} (s)\", n)", &["(s)"]);
    check(numbers, "view/a.rs", "// {n} people\nformat!(\"{} wait\", count(n, \"person\"))", &[]);
    check(numbers, "view/a.rs", "format!(\"broadcast {id} targets.csv\")", &[]);
    check(numbers, "app/a.rs", "format!(\"{n} people\")", &[]);
}

#[test]
fn a_file_that_grew_too_long_is_found_and_its_tests_do_not_count() {
    check(length, "app/a.rs", &"fn f() {}\n".repeat(401), &["401 lines"]);
    check(length, "app/a.rs", &"// why\n".repeat(401), &["401 lines"]);
    let tests = format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", "fn f() {}\n".repeat(400), "fn g() {}\n".repeat(400));
    check(length, "app/a.rs", &tests, &[]);
}

#[test]
fn texts_and_letters_are_told_from_code() {
    assert_eq!(code_of("a(\"x \\\" // y\") // z\nb"), "a() \nb");
    assert_eq!(code_of("r#\"crate::app \"quoted\" \"# c"), " c");
    assert_eq!(
        code_of("fn f<'a>(c: &'a str) { c == '\"' || c == '\\'' || c == '、' }"),
        "fn f<'a>(c: &'a str) { c ==  || c ==  || c ==  }"
    );
    assert_eq!(code_of("/* a\nb */c"), "\nc");
    assert_eq!(code_of("for \"x\" in b\"y\""), "for  in b");
}
