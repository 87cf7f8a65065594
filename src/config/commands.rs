//! The words after the program's name.

use clap::Subcommand;

use crate::domain::audit::chain::Anchor;

#[derive(Subcommand, Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Runs the bot: migrates the store, serves HTTP, works until SIGTERM or SIGINT (the default)
    Serve,
    /// Looks at a deployment, before it runs or beside it: credentials, clock, bot, scopes, contacts, redirect URL, public
    /// address, database; names the click that mends it; sends nothing; exits 1 if anything would stop a broadcast.
    /// In Chinese, or in English where LANG is
    Check {
        /// Prints JSON, in both languages
        #[arg(long)]
        json: bool,
    },
    /// Asks the bot that runs here whether it is ready; exit code 0 or 1 (for containers)
    Healthcheck,
    /// Checks or prints the audit chain, beside a running bot as well; needs DATABASE_URL, and to check it SECRET_KEY, or
    /// the app's id and secret where it is derived from them
    Audit {
        #[command(subcommand)]
        what: Audit,
    },
}

#[derive(Subcommand, Clone, Debug, PartialEq, Eq)]
pub enum Audit {
    /// Names the first row that was changed, removed or inserted by hand; exits 1 if there is one
    Verify {
        /// A row and the beginning of its MAC as an earlier check or the log gave it, e.g. 213:9f86d081884c7d65: finds
        /// out as well whether the whole database was put back to an earlier state
        #[arg(long)]
        anchor: Option<Anchor>,
    },
    /// Prints it as JSON Lines, in order
    Export,
}
