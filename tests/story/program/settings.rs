//! Settings: where they come from, and what a wrong one gets.

use std::net::TcpListener;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::process::Output;

use super::{SETTINGS, command, enough, run, with};

/// Ended with this code, with nothing on stdout and one line on stderr; returns the line.
#[track_caller]
fn one_line(output: &Output, code: i32) -> String {
    let said = String::from_utf8(output.stderr.clone()).expect("UTF-8");
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(output.stdout.is_empty(), "stdout: {}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(said.lines().count(), 1, "not one line: {said}");
    said.trim_end().to_owned()
}

/// Refused with exit code 2 and a line that names the setting and shows a right value.
#[track_caller]
fn assert_refused(output: &Output, name: &str) -> String {
    let line = one_line(output, 2);
    assert!(line.contains(name), "{name} is not named: {line}");
    assert!(line.contains("example: "), "no example: {line}");
    line
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory of our own")
}

#[test]
fn each_missing_setting_is_named() {
    let here = directory();
    for name in
        ["FEISHU_APP_ID", "FEISHU_APP_SECRET", "FEISHU_ENCRYPT_KEY", "FEISHU_VERIFICATION_TOKEN", "BROADCAST_ADMINS"]
    {
        for value in [None, Some(""), Some("  ")] {
            let line = assert_refused(&run(here.path(), &with(&enough(), name, value), &["serve"]), name);
            assert!(line.starts_with(&format!("{name}: ")), "{line}");
        }
    }
    let files: Vec<_> = std::fs::read_dir(here.path()).expect("ours").flatten().map(|file| file.file_name()).collect();
    assert_eq!(files.len(), 2, "a bot that does not start leaves nothing behind: {files:?}");
}

/// With the example in its place the program finds nothing wrong with that setting any more.
#[track_caller]
fn assert_example_is_right(here: &Path, name: &str, line: &str) {
    // A key that stands in an error message would be everybody's key; a file that is the operator's is not here.
    if ["SECRET_KEY", "POLICY_FILE"].contains(&name) {
        return;
    }
    let (_, example) = line.split_once(&format!("example: {name}=")).expect("shows a value");
    let other = if name == "TIMEZONE" { "LOG_FORMAT" } else { "TIMEZONE" };
    let settings = with(&with(&enough(), name, Some(example)), other, Some("nonsense"));
    let refused = assert_refused(&run(here, &settings, &[]), other);
    assert!(refused.starts_with(other), "the example of `{line}` is wrong: {refused}");
}

#[test]
fn each_wrong_setting_is_named_from_the_environment_and_as_a_flag() {
    let here = directory();
    for (name, wrong) in [
        ("FEISHU_APP_ID", "a1b2"),
        ("FEISHU_ALLOW_PLAINTEXT", "yes"),
        ("FEISHU_APP_SECRET_PREVIOUS", "app-secret-of-the-story"),
        ("FEISHU_ENCRYPT_KEY_PREVIOUS", "encrypt-key-of-the-story"),
        ("FEISHU_VERIFICATION_TOKEN_PREVIOUS", "verification-token-of-the-story"),
        ("FEISHU_PLATFORM", "slack"),
        ("FEISHU_OPEN_URL", "http://open.feishu.cn"),
        ("FEISHU_OPEN_URL", "open.feishu.cn"),
        ("FEISHU_OPEN_URL", "https://open.feishu.cn/open-apis"),
        ("FEISHU_ACCOUNTS_URL", "http://accounts.feishu.cn"),
        ("BROADCAST_ADMINS", "王芳"),
        ("BROADCAST_ADMINS", "ou_1,on_2"),
        ("BROADCAST_ADMINS", ","),
        ("BROADCAST_APPROVERS", "zhou@example.com"),
        ("APPROVALS_REQUIRED", "one"),
        ("APPROVALS_REQUIRED", "-1"),
        ("APPROVALS_REQUIRED", "2"),
        ("APPROVALS_REQUIRED", "4294967296"),
        ("APPROVAL_TTL", "24"),
        ("APPROVAL_TTL", "0s"),
        ("APPROVAL_TTL", "1w"),
        ("APPROVAL_TTL", "99999999999999999999d"),
        ("APPROVAL_TTL", "first line\nsecond line"),
        ("POLICY_FILE", "policy.toml"),
        ("LISTEN_ADDR", "8080"),
        ("LISTEN_ADDR", "127.0.0.1"),
        ("LISTEN_ADDR", "127.0.0.1:99999"),
        ("METRICS_ADDR", "off"),
        ("PUBLIC_URL", "http://bot.example.com"),
        ("PUBLIC_URL", "http://127.0.0.1:8080/oauth"),
        ("PUBLIC_URL", "bot.example.com"),
        ("PUBLIC_URL", "https://bot.example.com/feishu"),
        ("DATABASE_URL", "mysql://localhost/bot"),
        ("DATABASE_URL", "bot.db"),
        ("SECRET_KEY", "hunter2"),
        ("SECRET_KEY", "aHVudGVyMg=="),
        ("TIMEZONE", "Mars/Olympus"),
        ("LOG_FORMAT", "xml"),
        ("RUST_LOG", "feishu_broadcast=loud"),
    ] {
        let flag = format!("--{}={wrong}", name.to_lowercase().replace('_', "-"));
        let from_environment = run(here.path(), &with(&enough(), name, Some(wrong)), &[]);
        let line = assert_refused(&from_environment, name);
        assert!(!["hunter2", "aHVudGVyMg", "of-the-story"].iter().any(|secret| line.contains(secret)), "{line}");
        let from_flag = run(here.path(), &with(&enough(), name, None), &[&flag]);
        assert_eq!(assert_refused(&from_flag, name), line);
        assert_example_is_right(here.path(), name, &line);
    }
}

#[test]
fn approvals_without_approvers_are_refused_and_the_example_is_none() {
    let here = directory();
    let nobody = with(&enough(), "BROADCAST_APPROVERS", Some(""));
    let line =
        assert_refused(&run(here.path(), &with(&nobody, "APPROVALS_REQUIRED", Some("1")), &[]), "APPROVALS_REQUIRED");
    assert!(line.ends_with("APPROVALS_REQUIRED=0"), "{line}");
}

#[test]
fn a_previous_key_beside_none_is_refused() {
    let here = directory();
    let plain = with(&with(&enough(), "FEISHU_ENCRYPT_KEY", None), "FEISHU_ALLOW_PLAINTEXT", Some("true"));
    let settings = with(&plain, "FEISHU_ENCRYPT_KEY_PREVIOUS", Some("hunter2"));
    let line = assert_refused(&run(here.path(), &settings, &[]), "FEISHU_ENCRYPT_KEY_PREVIOUS");
    assert!(line.contains("FEISHU_ENCRYPT_KEY is not") && !line.contains("hunter2"), "{line}");
    let settings = with(&enough(), "SECRET_KEY_PREVIOUS", Some("derived"));
    let line = assert_refused(&run(here.path(), &settings, &[]), "SECRET_KEY_PREVIOUS");
    assert!(line.contains("SECRET_KEY is not"), "{line}");
}

#[test]
fn a_previous_secret_key_is_another_one_or_derived() {
    let here = directory();
    let key = "c3RvcnktdGVsbGVycy1rZWVwLXRoZWlyLXNlY3JldHM=";
    let settings = with(&enough(), "SECRET_KEY", Some(key));
    for (previous, said) in [(key, "is the same as SECRET_KEY"), ("hunter2", "nor the word derived")] {
        let line = assert_refused(
            &run(here.path(), &with(&settings, "SECRET_KEY_PREVIOUS", Some(previous)), &[]),
            "SECRET_KEY_PREVIOUS",
        );
        assert!(line.contains(said) && !line.contains(previous), "{line}");
    }
    let right = with(&with(&settings, "SECRET_KEY_PREVIOUS", Some("derived")), "TIMEZONE", Some("nonsense"));
    assert_refused(&run(here.path(), &right, &[]), "TIMEZONE");
}

#[test]
fn an_admin_alone_cannot_be_the_only_approver() {
    let here = directory();
    let alone = with(&enough(), "BROADCAST_APPROVERS", Some("ou_1"));
    for required in [None, Some("1"), Some("2")] {
        let settings = with(&alone, "APPROVALS_REQUIRED", required);
        let line = assert_refused(&run(here.path(), &settings, &[]), "BROADCAST_APPROVERS");
        assert!(line.starts_with("BROADCAST_APPROVERS: ") && line.contains("0 people"), "{line}");
    }
    // Two approvers, but one of them is always the author.
    let both = with(&enough(), "BROADCAST_APPROVERS", Some("ou_1,ou_2"));
    let settings = with(&both, "APPROVALS_REQUIRED", Some("2"));
    let line = assert_refused(&run(here.path(), &settings, &[]), "APPROVALS_REQUIRED");
    assert!(line.contains("only 1 could approve") && line.ends_with("APPROVALS_REQUIRED=1"), "{line}");
}

#[test]
fn credentials_inside_an_address_are_not_repeated() {
    let here = directory();
    for (name, wrong) in [
        ("FEISHU_OPEN_URL", "http://robot:hunter2@open.feishu.cn"),
        ("FEISHU_OPEN_URL", "https://robot:hunter2@open.feishu.cn"),
        ("PUBLIC_URL", "ftp://robot:hunter2@bot.example.com"),
        ("PUBLIC_URL", "https://robot:hunter2@bot.example.com:nonsense"),
    ] {
        let line = assert_refused(&run(here.path(), &with(&enough(), name, Some(wrong)), &[]), name);
        assert!(!line.contains("hunter2"), "{line}");
    }
}

#[test]
fn a_rule_that_cannot_apply_stops_the_start_with_its_line() {
    let here = directory();
    let settings = with(&enough(), "POLICY_FILE", Some("policy.toml"));
    let line = assert_refused(&run(here.path(), &settings, &[]), "POLICY_FILE");
    assert!(line.contains("cannot be read"), "{line}");
    for (rules, wanted) in [
        ("# nothing\n[everyone]\nauthor = []\n", "line 3: unknown field"),
        ("[everyone\n", "line 1"),
        ("[everyone]\nauthors = [\"ou_nobody\"]\n", "ou_nobody is none of BROADCAST_ADMINS"),
    ] {
        std::fs::write(here.path().join("policy.toml"), rules).expect("ours");
        let line = assert_refused(&run(here.path(), &settings, &[]), "POLICY_FILE");
        assert!(line.contains(wanted), "{line}");
    }
}

#[test]
fn a_database_that_is_not_there_is_said_without_its_password() {
    let here = directory();
    let url = "postgres://bot:hunter2@127.0.0.1:1/bot";
    let line = one_line(&run(here.path(), &with(&enough(), "DATABASE_URL", Some(url)), &[]), 1);
    assert!(line.contains("DATABASE_URL") && !line.contains("hunter2"), "{line}");
}

#[test]
fn the_command_line_itself_may_be_wrong() {
    let here = directory();
    let wrong: [(&[&str], &str); 4] = [
        (&["--approval-ttl"], "APPROVAL_TTL"),
        (&["--approval-ttl=1h", "--approval-ttl=2h"], "--approval-ttl"),
        (&["--feishu-app-secrt=hunter2"], "--feishu-app-secrt"),
        (&["sreve"], "sreve"),
    ];
    for (args, named) in wrong {
        let line = one_line(&run(here.path(), &enough(), args), 2);
        assert!(line.contains(named), "{line}");
        assert!(!line.contains("hunter2"), "{line}");
    }
    let mut broken = command(here.path(), &enough(), &[]);
    broken.env("TIMEZONE", std::ffi::OsString::from_vec(b"Asia/\xff".to_vec()));
    let output = broken.output().expect("the program was built");
    assert!(one_line(&output, 2).contains("TIMEZONE"), "{output:?}");
}

/// Which of the values counted, told by what the program complains about.
#[track_caller]
fn complaint(here: &Path, environment: Option<&str>, args: &[&str]) -> String {
    assert_refused(&run(here, &with(&enough(), "APPROVAL_TTL", environment), args), "APPROVAL_TTL")
}

#[test]
fn a_flag_wins_over_the_environment_which_wins_over_the_env_file() {
    let here = directory();
    std::fs::write(here.path().join(".env"), "# settings\nAPPROVAL_TTL=from-file\n").expect("ours");
    assert!(complaint(here.path(), None, &[]).contains("from-file"));
    assert!(complaint(here.path(), Some("from-environment"), &[]).contains("from-environment"));
    for args in [
        vec!["--approval-ttl=from-flag", "serve"],
        vec!["serve", "--approval-ttl=from-flag"],
        vec!["--approval-ttl", "from-flag", "serve"],
        vec!["serve", "--approval-ttl", "from-flag"],
        vec!["--approval-ttl=from-flag"],
    ] {
        assert!(complaint(here.path(), Some("from-environment"), &args).contains("from-flag"), "{args:?}");
    }
}

#[test]
fn the_env_file_is_that_of_the_working_directory_and_of_no_other() {
    let here = directory();
    let below = here.path().join("below");
    std::fs::create_dir(&below).expect("ours");
    std::fs::write(here.path().join(".env"), "APPROVAL_TTL=from-above\n").expect("ours");
    std::fs::write(below.join(".env"), "APPROVALS_REQUIRED=7\n").expect("ours");
    assert_refused(&run(&below, &enough(), &[]), "APPROVALS_REQUIRED");
    std::fs::remove_file(below.join(".env")).expect("ours");
    // Complains about something else, so the file above was not read.
    assert_refused(&run(&below, &with(&enough(), "TIMEZONE", Some("nowhere")), &[]), "TIMEZONE");
}

#[test]
fn an_env_file_with_a_wrong_line_is_named_and_not_repeated() {
    let here = directory();
    for (broken, place) in [
        ("FEISHU_APP_SECRET hunter2\n", ".env: line 1: "),
        ("# ours\n\nFEISHU_APP_SECRET='hunter2\nTIMEZONE=UTC\n", ".env: line 3: FEISHU_APP_SECRET: "),
        ("TIMEZONE=UTC\r\nFEISHU_ENCRYPT_KEY=hunter2 hunter2\r\n", ".env: line 2: FEISHU_ENCRYPT_KEY: "),
        ("TIMEZONE=UTC\nHUNTER2HUNTER2 hunter2==\n", ".env: line 2: is "),
        ("\u{0}hunter2", ".env: line 1: "),
        ("SECRET_KEY=hunter2\u{0}\n", ".env: line 1: SECRET_KEY: "),
    ] {
        std::fs::write(here.path().join(".env"), broken).expect("ours");
        let line = one_line(&run(here.path(), &enough(), &[]), 2);
        assert!(line.starts_with(place) && line.ends_with('\''), "{line}");
        assert!(!line.to_lowercase().contains("hunter2"), "{line}");
    }
    std::fs::write(here.path().join(".env"), b"TIMEZONE=UTC\nSECRET_KEY=\xff\n").expect("ours");
    let line = one_line(&run(here.path(), &enough(), &[]), 2);
    assert_eq!(line, ".env: line 2: is not UTF-8");
}

#[test]
fn a_dollar_that_would_be_replaced_is_warned_of_and_not_repeated() {
    let here = directory();
    // Stops at once, so that all that is said before can be read.
    let settings = with(&enough(), "FEISHU_PLATFORM", Some("slack"));
    let said = |env: &str| {
        std::fs::write(here.path().join(".env"), env).expect("ours");
        String::from_utf8(run(here.path(), &settings, &[]).stderr).expect("UTF-8")
    };
    for env in ["# $\nSECRET_KEY=hunter2$x\n", "\nSECRET_KEY=\"hunter2${x}\"\n"] {
        let said = said(env);
        assert!(said.starts_with(".env: line 2: SECRET_KEY: ") && said.lines().count() == 2, "{said}");
        assert!(said.contains("example: SECRET_KEY='value'") && !said.contains("hunter2"), "{said}");
    }
    for env in ["SECRET_KEY='hunter2$x'\n", "SECRET_KEY=hunter2\\$x\n", "SECRET_KEY=hunter2 # $5\n", "#SECRET_KEY=$x\n"]
    {
        assert_eq!(said(env).lines().count(), 1, "{env}");
    }
}

#[test]
fn help_documents_every_setting_and_shows_no_value() {
    let here = directory();
    let mut settings: Vec<(String, String)> =
        SETTINGS.iter().map(|name| ((*name).to_owned(), format!("value-of-{name}"))).collect();
    settings.push(("RUST_LOG".into(), "value-of-RUST_LOG".into()));
    for args in [vec!["--help"], vec!["-h"], vec!["serve", "--help"], vec!["help"]] {
        let output = run(here.path(), &settings, &args);
        let said = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(output.status.success(), "{args:?}");
        assert!(!said.contains("value-of-"), "{said}");
        for name in SETTINGS.iter().copied().chain(["RUST_LOG"]) {
            assert!(said.contains(name), "{name} is missing in {args:?}");
            assert!(said.contains(&format!("--{} ", name.to_lowercase().replace('_', "-"))), "{name} has no flag");
        }
        for default in [
            "https://open.feishu.cn",
            "https://accounts.feishu.cn",
            "127.0.0.1:8080",
            "127.0.0.1:9090",
            "24h",
            "sqlite://feishu-broadcast.db",
            "Asia/Shanghai",
        ] {
            assert!(said.contains(default), "the default {default} is missing in {args:?}");
        }
    }
    let version = run(here.path(), &[], &["--version"]);
    assert!(version.status.success() && version.stdout.starts_with(b"feishu-broadcast "));
}

#[test]
fn the_example_file_names_every_setting_and_starts_nothing_by_itself() {
    let example =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(".env.example")).expect("is there");
    let named: Vec<&str> = example
        .lines()
        .filter_map(|line| line.trim_start_matches('#').split_once('='))
        .map(|(name, _)| name)
        .filter(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
        .collect();
    for name in SETTINGS.iter().copied().chain(["RUST_LOG"]) {
        assert_eq!(named.iter().filter(|other| **other == name).count(), 1, "{name} in .env.example");
    }
    for name in named {
        assert!(SETTINGS.contains(&name) || name == "RUST_LOG", "{name} is no setting");
    }
    let here = directory();
    std::fs::write(here.path().join(".env"), &example).expect("ours");
    assert_refused(&run(here.path(), &[], &[]), "FEISHU_APP_ID");
    // With every default spelled out it is still a right file.
    let spelled: Vec<String> = example
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_uppercase()) => rest.to_owned(),
            _ => line.to_owned(),
        })
        .filter(|line| !["POLICY_FILE", "APPROVALS_REQUIRED"].iter().any(|name| line.starts_with(name)))
        .collect();
    std::fs::write(here.path().join(".env"), spelled.join("\n")).expect("ours");
    let settings: Vec<_> = enough().into_iter().filter(|(name, _)| name != "LISTEN_ADDR").collect();
    assert_refused(&run(here.path(), &with(&settings, "TIMEZONE", Some("nowhere")), &[]), "TIMEZONE");
}

#[test]
fn a_port_in_use_is_one_line_that_names_the_setting() {
    let here = directory();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a loopback port is free");
    let address = taken.local_addr().expect("it is bound").to_string();
    for name in ["LISTEN_ADDR", "METRICS_ADDR"] {
        let line = one_line(&run(here.path(), &with(&enough(), name, Some(&address)), &[]), 1);
        assert!(line.starts_with(name) && line.contains(&address), "{line}");
    }
}

#[test]
fn a_database_that_cannot_be_opened_is_one_line_that_names_the_setting() {
    let here = directory();
    std::fs::write(here.path().join("no.db"), "this is no database, it is a text of some length\n".repeat(100))
        .expect("ours");
    for url in ["sqlite:///nowhere/at/all.db", "sqlite://no.db", "sqlite://."] {
        let output = run(here.path(), &with(&enough(), "DATABASE_URL", Some(url)), &[]);
        let line = one_line(&output, 1);
        assert!(line.starts_with("DATABASE_URL: "), "{line}");
    }
}
