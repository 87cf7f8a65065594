//! `check`: looks at a deployment from outside and prints what is fine, what is not, and the click that mends it.

use std::io::{self, Write};

use crate::app::check::{Site, look};
use crate::app::clock::Clock;
use crate::bot::{door, feishu};
use crate::config::Config;
use crate::domain::check::Level;
use crate::domain::language::Language;
use crate::store::look::look as look_at_store;
use crate::view::check::{Console, Line, line, sum};

/// Why nothing could be looked at.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    #[error("the HTTPS client could not be set up: {0}")]
    Client(String),
    #[error("the result cannot be written: {0}")]
    Output(#[from] io::Error),
}

/// How the result is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A line each, for people.
    Lines(Language),
    /// A JSON object, for programs.
    Json,
}

/// Looks, prints, and returns whether nothing was found that would stop a broadcast.
///
/// # Errors
/// [`CheckError`]; that something is wrong with the deployment is a finding.
pub async fn check(config: &Config, clock: &dyn Clock, form: Form, out: &mut impl Write) -> Result<bool, CheckError> {
    let console = Console::of(&config.open_url, &config.app_id);
    let feishu = feishu(config).map_err(|error| CheckError::Client(error.to_string()))?;
    let door = door(config);
    let found = look(&Site {
        feishu: &feishu,
        door: &door,
        arrivals: None,
        secret_key_rotates: config.secrets.are_rotating(),
        clock,
        policy: &config.policy,
        policy_file: config.policy_file.is_some(),
        // A file that cannot be read stops the program before it comes here.
        policy_trouble: None,
        public_url: config.public_url.as_ref(),
        zone: &config.zone,
        database: look_at_store(&config.database_url).await,
    })
    .await;
    let lines: Vec<Line> = found.iter().map(|finding| line(finding, &console, &config.zone)).collect();
    let well = found.iter().all(|finding| finding.level() != Level::Failure);
    match form {
        Form::Lines(language) => print(&lines, language, out)?,
        Form::Json => {
            serde_json::to_writer_pretty(&mut *out, &serde_json::json!({ "well": well, "lines": lines }))
                .map_err(io::Error::from)?;
            writeln!(out)?;
        }
    }
    Ok(well)
}

/// Columns that a program can cut as well: level, subject, and the sentence with the console's page behind it.
fn print(lines: &[Line], language: Language, out: &mut impl Write) -> io::Result<()> {
    for line in lines {
        let said = match language {
            Language::Zh => &line.zh,
            Language::En => &line.en,
        };
        let page = line.page.as_ref().map(|page| format!(" {page}")).unwrap_or_default();
        writeln!(out, "{:<10} {:<11} {said}{page}", line.level.as_str(), line.subject.as_str())?;
    }
    writeln!(out, "{}", sum(lines).in_(language))
}
