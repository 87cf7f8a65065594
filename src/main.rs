//! The program: reads the settings once, starts the bot, waits for a signal, stops politely.

use std::fmt::Display;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use feishu_broadcast::app::clock::SystemClock;
use feishu_broadcast::bot::{Bot, Loops};
use feishu_broadcast::check::{self, Form};
use feishu_broadcast::config::{Audit, Cli, Command, LogFormat, WrongSetting};
use feishu_broadcast::domain::language::Language;
use feishu_broadcast::{audit, web};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Exit code for a wrong or missing setting. Source: interface "the program".
const WRONG_SETTING: u8 = 2;

fn main() -> ExitCode {
    // Before anything reads the environment, and before there is a second thread. No file is fine.
    // Only the working directory's: a file further up belongs to something else.
    match read_env_file() {
        Ok(warnings) => warnings.iter().for_each(|line| eprintln!("{line}")),
        Err(line) => {
            eprintln!("{line}");
            return ExitCode::from(WRONG_SETTING);
        }
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => match usage_line(&error) {
            Some(line) => {
                eprintln!("{line}");
                return ExitCode::from(WRONG_SETTING);
            }
            None => error.exit(),
        },
    };
    let log = cli.settings.log_format(std::io::stderr().is_terminal());
    // What a look finds is its output; the same again in a log helps nobody.
    let levels = match &cli.command {
        Some(Command::Check { .. }) => "off",
        _ => "info,actix_server=warn",
    };
    match log.and_then(|format| Ok((format, cli.settings.log_levels(levels)?))) {
        Ok((format, levels)) => start_log(format, levels),
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(WRONG_SETTING);
        }
    }
    match cli.command.clone().unwrap_or(Command::Serve) {
        Command::Serve => serve(&cli),
        Command::Healthcheck => healthcheck(&cli),
        Command::Audit { what } => read_audit(&cli, what),
        Command::Check { json } => look(&cli, json),
    }
}

/// Puts the `.env` of the working directory into the environment; returns what the operator should be warned of.
///
/// # Errors
/// One line that says where the file is wrong. It never repeats what stands there: that may be a secret.
fn read_env_file() -> Result<Vec<String>, String> {
    let text = match std::fs::read(".env") {
        Ok(bytes) => String::from_utf8(bytes).map_err(|error| {
            let before = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
            format!(".env: line {}: is not UTF-8", 1 + before.filter(|byte| **byte == b'\n').count())
        })?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(format!(".env: cannot be read: {}", error.kind())),
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    // The environment cannot hold one, and setting it would be a panic.
    if let Some(at) = text.lines().position(|line| line.contains('\0')) {
        return Err(env_line(text, at, "holds a NUL byte"));
    }
    if dotenvy::from_read(text.as_bytes()).is_err() {
        // The error repeats a part of the line, and does not say which one it is: it follows the longest beginning
        // that can be read. A quote may go over several lines, so that a shorter one may be wrong by itself.
        let ends = text.split_inclusive('\n').scan(0, |end, line| {
            *end += line.len();
            Some(*end)
        });
        let reads = |end: usize| {
            text.get(..end).is_some_and(|begin| dotenvy::from_read_iter(begin.as_bytes()).all(|item| item.is_ok()))
        };
        let wrong = ends.enumerate().filter(|(_, end)| reads(*end)).map(|(at, _)| at + 1).last().unwrap_or(0);
        return Err(env_line(text, wrong, "is not NAME='value'"));
    }
    let replaced = text.lines().enumerate().filter(|(_, line)| setting_of(line).is_some() && is_substituted(line));
    Ok(replaced
        .map(|(at, _)| env_line(text, at, "a $ outside single quotes stands for another variable and is replaced"))
        .collect())
}

/// What is wrong with a line of the `.env`, counted from 0, and how a right one looks.
fn env_line(text: &str, at: usize, wrong: &str) -> String {
    let number = at + 1;
    match text.lines().nth(at).and_then(setting_of) {
        Some(name) => format!(".env: line {number}: {name}: {wrong}; example: {name}='value'"),
        None => format!(".env: line {number}: {wrong}; example: APPROVAL_TTL='24h'"),
    }
}

/// The setting on a line of the `.env`. Only a name we know: any other word may be a piece of a secret.
fn setting_of(line: &str) -> Option<String> {
    let (name, _) = line.split_once('=')?;
    let name = name.trim().trim_start_matches("export ").trim();
    let command = Cli::command();
    let known = command.get_arguments().filter_map(clap::Arg::get_env).any(|known| known == name);
    known.then(|| name.to_owned())
}

/// Whether the value on this line holds a `$` that is neither in single quotes, nor escaped, nor in a comment.
fn is_substituted(line: &str) -> bool {
    let value = line.split_once('=').map_or("", |(_, value)| value);
    let (mut quote, mut before) = (None, ' ');
    for letter in value.chars() {
        match (quote, letter) {
            (None, '#') if before.is_whitespace() => return false,
            (None, '\'' | '"') if before != '\\' => quote = Some(letter),
            (Some(open), _) if open == letter && (letter == '\'' || before != '\\') => quote = None,
            (None | Some('"'), '$') if before != '\\' => return true,
            _ => {}
        }
        before = letter;
    }
    false
}

/// One line for a command line that cannot be read at all; `None` where help or version was asked for.
fn usage_line(error: &clap::Error) -> Option<String> {
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        | ErrorKind::MissingSubcommand => return None,
        ErrorKind::InvalidUtf8 => {
            let command = Cli::command();
            let mut names = command.get_arguments().filter_map(clap::Arg::get_env);
            if let Some(name) = names.find(|name| std::env::var_os(name).is_some_and(|value| value.to_str().is_none()))
            {
                return Some(format!("{}: is not UTF-8", name.display()));
            }
        }
        _ => {}
    }
    let said = error.to_string();
    let lines = said.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let words: Vec<&str> = lines.filter(|line| !line.is_empty() && !line.starts_with("For more")).collect();
    Some(format!("{}; see feishu-broadcast --help", words.join("; ").trim_start_matches("error: ")))
}

fn start_log(format: LogFormat, levels: EnvFilter) {
    let log = tracing_subscriber::fmt().with_env_filter(levels).with_writer(std::io::stderr);
    match format {
        LogFormat::Pretty => log.compact().init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}

/// Checks or prints the audit chain.
fn read_audit(cli: &Cli, what: Audit) -> ExitCode {
    let settings = || -> Result<_, WrongSetting> {
        let key = match &what {
            Audit::Verify { .. } => Some(cli.settings.chain_keys()?),
            Audit::Export => None,
        };
        Ok((cli.settings.database_url()?, key))
    };
    let (url, key) = match settings() {
        Ok(settings) => settings,
        Err(error) => return wrong_setting(&error),
    };
    let anchor = match what {
        Audit::Verify { anchor } => anchor,
        Audit::Export => None,
    };
    to_its_end(async {
        match key {
            Some(key) => audit::verify(&url, &key, anchor).await.map(|finding| {
                println!("{finding}");
                finding.is_whole()
            }),
            None => audit::export(&url, &mut std::io::stdout().lock()).await.map(|()| true),
        }
    })
}

/// Looks at the deployment.
fn look(cli: &Cli, json: bool) -> ExitCode {
    let config = match cli.settings.check() {
        Ok(config) => config,
        Err(error) => return wrong_setting(&error),
    };
    let form = if json { Form::Json } else { Form::Lines(language()) };
    to_its_end(check::check(&config, &SystemClock, form, &mut std::io::stdout().lock()))
}

/// Runs a command that ends by itself, and says whether it found all well.
fn to_its_end<E: Display>(work: impl Future<Output = Result<bool, E>>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("the runtime could not be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(work) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn wrong_setting(error: &WrongSetting) -> ExitCode {
    eprintln!("{error}");
    ExitCode::from(WRONG_SETTING)
}

/// English where the locale says so; containers have none, and the bot speaks Chinese first.
fn language() -> Language {
    let locale = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(|name| {
        let value = std::env::var(name).ok()?;
        (!value.is_empty()).then_some(value)
    });
    if locale.is_some_and(|locale| locale.starts_with("en")) { Language::En } else { Language::Zh }
}

/// How long the database may keep a statement waiting before the program ends and leaves it to its supervisor to start it
/// anew. As long as the outcome of a call is tried to be written: until then waiting costs least.
const DATABASE_SILENT_MAX: Duration = Duration::from_secs(600);

fn serve(cli: &Cli) -> ExitCode {
    let config = match cli.settings.check() {
        Ok(config) => config,
        Err(error) => return wrong_setting(&error),
    };
    // Without a listener nobody would ever read what was measured.
    let metrics = config.metrics_addr.map(|_| web::measures::install()).transpose();
    let metrics = match metrics {
        Ok(metrics) => metrics,
        Err(error) => {
            eprintln!("metrics could not be set up: {error}");
            return ExitCode::FAILURE;
        }
    };
    // For the loops and the store; the HTTP servers bring their own. More threads than cores only get in each other's way.
    let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(2));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("the runtime could not be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(async {
        let metrics_addr = config.metrics_addr;
        let mut bot = match Bot::start(config, Arc::new(SystemClock), metrics, Loops::Running).await {
            Ok(bot) => bot,
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::FAILURE;
            }
        };
        tracing::info!(
            address = %bot.address(),
            metrics = metrics_addr.map(|address| address.to_string()).unwrap_or_default(),
            version = env!("CARGO_PKG_VERSION"),
            "ready"
        );
        let code = tokio::select! {
            told = until_told_to_stop() => {
                if let Err(error) = told {
                    tracing::error!(%error, "signals cannot be received");
                    return ExitCode::FAILURE;
                }
                ExitCode::SUCCESS
            }
            () = bot.hung(DATABASE_SILENT_MAX) => {
                tracing::error!("the database has not answered for ten minutes and keeps the connection open; start again");
                ExitCode::FAILURE
            }
        };
        tracing::info!("stopping: no new work, what has begun finishes");
        if bot.stop().await {
            tracing::info!("stopped");
        } else {
            tracing::warn!("stopped with work unfinished; it is in the store and goes on at the next start");
        }
        code
    })
}

/// Asks the bot of these settings whether it is ready.
fn healthcheck(cli: &Cli) -> ExitCode {
    let address = match cli.settings.listen_addr() {
        Ok(address) => address,
        Err(error) => return wrong_setting(&error),
    };
    match web::health::ask(address) {
        Ok(()) => ExitCode::SUCCESS,
        Err(unwell) => {
            eprintln!("{unwell}");
            ExitCode::FAILURE
        }
    }
}

async fn until_told_to_stop() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
