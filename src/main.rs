//! The program: reads the settings once, starts the bot, waits for a signal, stops politely.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use feishu_broadcast::app::clock::SystemClock;
use feishu_broadcast::bot::{Bot, Loops};
use feishu_broadcast::config::{Cli, Command, LogFormat};
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Exit code for a wrong or missing setting. Source: interface "the program".
const WRONG_SETTING: u8 = 2;

fn main() -> ExitCode {
    // Before anything reads the environment, and before there is a second thread. No file is fine.
    // Only the working directory's: a file further up belongs to something else.
    if let Err(error) = dotenvy::from_path(".env")
        && !error.not_found()
    {
        // The error would repeat the line, and a line may hold a secret.
        eprintln!(".env: cannot be read or has a line that is not NAME=value");
        return ExitCode::from(WRONG_SETTING);
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
    match log.and_then(|format| Ok((format, cli.settings.log_levels()?))) {
        Ok((format, levels)) => start_log(format, levels),
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(WRONG_SETTING);
        }
    }
    match cli.command.clone().unwrap_or(Command::Serve) {
        Command::Serve => serve(&cli),
        Command::Check | Command::Audit { .. } => {
            eprintln!("this command does not work yet in this version");
            ExitCode::FAILURE
        }
    }
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

fn serve(cli: &Cli) -> ExitCode {
    let config = match cli.settings.check() {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(WRONG_SETTING);
        }
    };
    let metrics = match PrometheusBuilder::new().install_recorder() {
        Ok(metrics) => metrics,
        Err(error) => {
            eprintln!("metrics could not be set up: {error}");
            return ExitCode::FAILURE;
        }
    };
    // One thread for the loops and the store; the HTTP servers bring their own.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("the runtime could not be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(async {
        let metrics_addr = config.metrics_addr;
        let bot = match Bot::start(config, Arc::new(SystemClock), Some(metrics), Loops::Running).await {
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
        if let Err(error) = until_told_to_stop().await {
            tracing::error!(%error, "signals cannot be received");
            return ExitCode::FAILURE;
        }
        tracing::info!("stopping: no new work, what has begun finishes");
        if bot.stop().await {
            tracing::info!("stopped");
        } else {
            tracing::warn!("stopped with work unfinished; it is in the store and goes on at the next start");
        }
        ExitCode::SUCCESS
    })
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
