//! Settings: read once, checked once. From here on they are values that cannot be wrong.
//!
//! They come from flags, the environment and a `.env` in the working directory, in this order. A missing or wrong one
//! stops the start with one line that names it, says what is wrong and shows a right one.

use std::net::SocketAddr;

use clap::{Args, CommandFactory, FromArgMatches, Parser};
use jiff::tz::TimeZone;
use secrecy::SecretString;
use tracing_subscriber::EnvFilter;
use url::Url;

use crate::app::secrets::Secrets;
use crate::domain::audit::chain::ChainKey;
use crate::domain::keys::Rotating;
use crate::domain::policy::Policy;

mod commands;
mod keys;
mod people;
mod rules;
mod values;

pub use commands::{Audit, Command};
pub use people::PolicyFile;
use values::{address, origin};

#[derive(Parser)]
#[command(name = "feishu-broadcast", version, about, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub settings: Settings,
}

impl Cli {
    /// From settings by their names, `FEISHU_APP_ID` and so on, and from nothing else: the environment of whoever
    /// starts a playground or a test does not count.
    ///
    /// # Errors
    /// A name that is no setting.
    pub fn from_settings<N: AsRef<str>, V: AsRef<str>>(
        settings: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, clap::Error> {
        let flag =
            |(name, value): (N, V)| format!("--{}={}", name.as_ref().to_lowercase().replace('_', "-"), value.as_ref());
        let args = std::iter::once("feishu-broadcast".to_owned()).chain(settings.into_iter().map(flag));
        let deaf = Self::command().mut_args(|arg| arg.env(None::<&str>));
        Self::from_arg_matches(&deaf.try_get_matches_from(args)?)
    }
}

/// The settings as text, not yet checked. Values are hidden in `--help`: some of them are secrets.
#[derive(Args)]
pub struct Settings {
    /// The custom app's id, cli_… [required]
    #[arg(long, env, global = true, hide_env_values = true)]
    feishu_app_id: Option<String>,
    /// The custom app's secret [required]
    #[arg(long, env, global = true, hide_env_values = true)]
    feishu_app_secret: Option<String>,
    /// The app's secret of before, tried where Feishu refuses the present one [default: none]
    #[arg(long, env, global = true, hide_env_values = true)]
    feishu_app_secret_previous: Option<String>,
    /// From the console's encryption strategy [required, unless FEISHU_ALLOW_PLAINTEXT=true]
    #[arg(long, env, global = true, hide_env_values = true)]
    feishu_encrypt_key: Option<String>,
    /// The Encrypt Key of before, taken as well while it is being changed [default: none]
    #[arg(long, env, global = true, hide_env_values = true)]
    feishu_encrypt_key_previous: Option<String>,
    /// Permits running without an Encrypt Key [default: false]
    #[arg(long, env, global = true, hide_env_values = true, num_args = 0..=1, default_missing_value = "true")]
    feishu_allow_plaintext: Option<String>,
    /// From the same page of the console [required]
    #[arg(long, env, global = true, hide_env_values = true)]
    feishu_verification_token: Option<String>,
    /// The Verification Token of before, taken as well while it is being changed [default: none]
    #[arg(long, env, global = true, hide_env_values = true)]
    feishu_verification_token_previous: Option<String>,
    /// feishu or lark: picks the two origins below [default: feishu]
    #[arg(long, env, global = true, hide_env_values = true)]
    feishu_platform: Option<String>,
    /// Origin of the Open API [default: https://open.feishu.cn]
    #[arg(long, env, global = true, hide_env_values = true)]
    feishu_open_url: Option<String>,
    /// Origin of the OAuth authorize page [default: https://accounts.feishu.cn]
    #[arg(long, env, global = true, hide_env_values = true)]
    feishu_accounts_url: Option<String>,
    /// Who may use the bot, comma-separated: open_ids (ou_…), departments (od-…), user groups (group:g…) [required]
    #[arg(long, env, global = true, hide_env_values = true)]
    broadcast_admins: Option<String>,
    /// Who may approve, written in the same way [default: empty]
    #[arg(long, env, global = true, hide_env_values = true)]
    broadcast_approvers: Option<String>,
    /// Distinct approvers needed, never counting the author; with 0 the author confirms on the card
    /// [default: 1 if there are approvers, else 0]
    #[arg(long, env, global = true, hide_env_values = true)]
    approvals_required: Option<String>,
    /// A pending broadcast older than this expires, e.g. 15m, 24h, 7d [default: 24h]
    #[arg(long, env, global = true, hide_env_values = true)]
    approval_ttl: Option<String>,
    /// TOML file with finer rules: who may author what, approvals by size, quiet hours; read again when it changes
    /// [default: none]
    #[arg(long, env, global = true, hide_env_values = true)]
    policy_file: Option<String>,
    /// HTTP listener [default: 127.0.0.1:8080]
    #[arg(long, env, global = true, hide_env_values = true)]
    listen_addr: Option<String>,
    /// Listener of /metrics; empty turns it off [default: 127.0.0.1:9090]
    #[arg(long, env, global = true, hide_env_values = true)]
    metrics_addr: Option<String>,
    /// The https origin under which Feishu and browsers reach the bot [required for /login]
    #[arg(long, env, global = true, hide_env_values = true)]
    public_url: Option<String>,
    /// Where everything is kept [default: sqlite://feishu-broadcast.db]
    #[arg(long, env, global = true, hide_env_values = true)]
    database_url: Option<String>,
    /// base64 of 32 bytes: seals user tokens at rest, signs login links and the audit chain
    /// [default: derived from the app secret]
    #[arg(long, env, global = true, hide_env_values = true)]
    secret_key: Option<String>,
    /// The SECRET_KEY of before, while it is being changed: what it sealed opens, what it signed counts; or the word
    /// derived, where there was none [default: none, or derived from the app secret of before]
    #[arg(long, env, global = true, hide_env_values = true)]
    secret_key_previous: Option<String>,
    /// How times are shown [default: Asia/Shanghai]
    #[arg(long, env, global = true, hide_env_values = true)]
    timezone: Option<String>,
    /// pretty or json [default: pretty on a terminal, else json]
    #[arg(long, env, global = true, hide_env_values = true)]
    log_format: Option<String>,
    /// Levels of the log, e.g. debug or info,feishu_broadcast::feishu=debug [default: info]
    #[arg(long, env, global = true, hide_env_values = true)]
    rust_log: Option<String>,
}

/// Checked settings. No `Debug`: it would be one `{:?}` away from a log.
pub struct Config {
    pub app_id: String,
    pub app_secret: Rotating<SecretString>,
    pub encrypt_key: Option<Rotating<SecretString>>,
    pub verification_token: Rotating<SecretString>,
    pub open_url: Url,
    pub accounts_url: Url,
    pub policy: Policy,
    /// Where the finer rules come from, to be read again when they change.
    pub policy_file: Option<PolicyFile>,
    pub listen_addr: SocketAddr,
    pub metrics_addr: Option<SocketAddr>,
    pub public_url: Option<Url>,
    pub database_url: String,
    pub secrets: Secrets,
    /// What the audit chain is signed with.
    pub chain: Rotating<ChainKey>,
    pub zone: TimeZone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Pretty,
    Json,
}

/// One line: the setting, what is wrong with it, a right value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {wrong}; example: {name}={example}")]
pub struct WrongSetting {
    pub name: &'static str,
    pub wrong: String,
    pub example: &'static str,
}

fn wrong(name: &'static str, wrong: impl Into<String>, example: &'static str) -> WrongSetting {
    // A value that is quoted may hold a line break, and this is one line.
    let wrong = wrong.into().replace(char::is_control, " ");
    WrongSetting { name, wrong, example }
}

impl Settings {
    /// How the log is written; checked apart, because everything else is reported through it.
    ///
    /// # Errors
    /// A word that is neither.
    pub fn log_format(&self, terminal: bool) -> Result<LogFormat, WrongSetting> {
        match given(&self.log_format) {
            None => Ok(if terminal { LogFormat::Pretty } else { LogFormat::Json }),
            Some("pretty") => Ok(LogFormat::Pretty),
            Some("json") => Ok(LogFormat::Json),
            Some(_) => Err(wrong("LOG_FORMAT", "is neither pretty nor json", "json")),
        }
    }

    /// What is logged, `otherwise` where nothing is set; checked apart for the same reason.
    ///
    /// # Errors
    /// Something that is no list of levels.
    pub fn log_levels(&self, otherwise: &str) -> Result<EnvFilter, WrongSetting> {
        let levels = given(&self.rust_log).unwrap_or(otherwise);
        EnvFilter::try_new(levels).map_err(|_| wrong("RUST_LOG", format!("“{levels}” is no list of levels"), "info"))
    }

    /// Where the bot listens; checked apart, because asking it whether it is well takes nothing else.
    ///
    /// # Errors
    /// Something that is no address with a port.
    pub fn listen_addr(&self) -> Result<SocketAddr, WrongSetting> {
        address("LISTEN_ADDR", given(&self.listen_addr).unwrap_or("127.0.0.1:8080"), "127.0.0.1:8080")
    }

    /// Checks everything.
    ///
    /// # Errors
    /// The first setting that is missing or wrong. Values of secrets are never repeated.
    pub fn check(&self) -> Result<Config, WrongSetting> {
        let app_id = required(&self.feishu_app_id, "FEISHU_APP_ID", "cli_a1b2c3d4e5f6")?;
        if !app_id.starts_with("cli_") {
            return Err(wrong("FEISHU_APP_ID", "does not begin with cli_", "cli_a1b2c3d4e5f6"));
        }
        let app_secret = self.app_secret()?;
        let encrypt_key = self.encrypt_key()?;
        let verification_token = self.verification_token()?;
        let (open, accounts) = match given(&self.feishu_platform) {
            None | Some("feishu") => ("https://open.feishu.cn", "https://accounts.feishu.cn"),
            Some("lark") => ("https://open.larksuite.com", "https://accounts.larksuite.com"),
            Some(_) => return Err(wrong("FEISHU_PLATFORM", "is neither feishu nor lark", "feishu")),
        };
        let open_url =
            origin("FEISHU_OPEN_URL", given(&self.feishu_open_url).unwrap_or(open), "https://open.feishu.cn")?;
        let accounts_url = origin(
            "FEISHU_ACCOUNTS_URL",
            given(&self.feishu_accounts_url).unwrap_or(accounts),
            "https://accounts.feishu.cn",
        )?;
        let (policy, policy_file) = self.policy()?;
        let listen_addr = self.listen_addr()?;
        // Set to nothing is off; not set at all is the default.
        let metrics_addr = match self.metrics_addr.as_deref().map(str::trim) {
            Some("") => None,
            other => Some(address("METRICS_ADDR", other.unwrap_or("127.0.0.1:9090"), "127.0.0.1:9090")?),
        };
        let public_url = given(&self.public_url)
            .map(|url| origin("PUBLIC_URL", url, "https://broadcast.example.com"))
            .transpose()?;
        let key = self.secret_key(&app_id, &app_secret)?;
        Ok(Config {
            database_url: self.database_url()?,
            zone: self.zone()?,
            app_id,
            app_secret,
            encrypt_key,
            verification_token,
            open_url,
            accounts_url,
            policy,
            policy_file,
            listen_addr,
            metrics_addr,
            public_url,
            secrets: Secrets::new(&key),
            chain: key.map(Secrets::chain_key),
        })
    }

    /// Where the database is.
    ///
    /// # Errors
    /// An address of neither kind, or one in memory.
    pub fn database_url(&self) -> Result<String, WrongSetting> {
        const EXAMPLE: &str = "sqlite://feishu-broadcast.db";
        match given(&self.database_url).unwrap_or(EXAMPLE) {
            url if url.starts_with("sqlite:") && url.contains(":memory:") => {
                Err(wrong("DATABASE_URL", "is in memory, where nothing survives a stop", EXAMPLE))
            }
            url if url.starts_with("sqlite:") => Ok(url.to_owned()),
            url if url.starts_with("postgres:") || url.starts_with("postgresql:") => Ok(url.to_owned()),
            _ => Err(wrong("DATABASE_URL", "begins with neither sqlite: nor postgres:", EXAMPLE)),
        }
    }

    fn zone(&self) -> Result<TimeZone, WrongSetting> {
        let name = given(&self.timezone).unwrap_or("Asia/Shanghai");
        TimeZone::get(name)
            .map_err(|_| wrong("TIMEZONE", format!("“{name}” is no time zone of the IANA database"), "Asia/Shanghai"))
    }
}

/// A setting that says something; blanks around it do not count, nor does an empty one.
fn given(setting: &Option<String>) -> Option<&str> {
    setting.as_deref().map(str::trim).filter(|text| !text.is_empty())
}

fn required(setting: &Option<String>, name: &'static str, example: &'static str) -> Result<String, WrongSetting> {
    given(setting).map(str::to_owned).ok_or_else(|| wrong(name, "is missing", example))
}

#[cfg(test)]
mod tests {
    use super::values::duration;
    use super::*;

    /// Settings from flags alone, as little as starts a bot plus `more`.
    fn check(more: &[&str]) -> Result<Config, WrongSetting> {
        let mut args = vec![
            "feishu-broadcast",
            "--feishu-app-id=cli_1",
            "--feishu-app-secret=s3cret",
            "--feishu-encrypt-key=k3y",
            "--feishu-verification-token=t0ken",
            "--broadcast-admins=ou_1",
        ];
        args.extend(more);
        Cli::try_parse_from(args).expect("known flags").settings.check()
    }

    fn name_of_wrong(more: &[&str]) -> &'static str {
        check(more).err().expect("refused").name
    }

    #[test]
    fn the_least_starts_with_the_defaults() {
        let config = check(&[]).expect("enough");
        assert_eq!(config.open_url.as_str(), "https://open.feishu.cn/");
        assert_eq!(config.listen_addr.to_string(), "127.0.0.1:8080");
        assert_eq!(config.policy.approvals_required(), 0);
        assert_eq!(config.database_url, "sqlite://feishu-broadcast.db");
    }

    #[test]
    fn lark_has_its_own_origins_and_each_can_be_replaced() {
        let config = check(&["--feishu-platform=lark", "--feishu-open-url=http://127.0.0.1:9"]).expect("right");
        assert_eq!(config.open_url.as_str(), "http://127.0.0.1:9/");
        assert_eq!(config.accounts_url.as_str(), "https://accounts.larksuite.com/");
    }

    #[test]
    fn every_wrong_setting_is_named() {
        for (flag, name) in [
            ("--feishu-app-id=1", "FEISHU_APP_ID"),
            ("--feishu-app-secret= ", "FEISHU_APP_SECRET"),
            ("--feishu-encrypt-key=", "FEISHU_ENCRYPT_KEY"),
            ("--feishu-allow-plaintext=yes", "FEISHU_ALLOW_PLAINTEXT"),
            ("--feishu-verification-token=", "FEISHU_VERIFICATION_TOKEN"),
            ("--feishu-platform=slack", "FEISHU_PLATFORM"),
            ("--feishu-open-url=http://open.feishu.cn", "FEISHU_OPEN_URL"),
            ("--feishu-accounts-url=nowhere", "FEISHU_ACCOUNTS_URL"),
            ("--broadcast-admins=", "BROADCAST_ADMINS"),
            ("--broadcast-admins=ou_1,王芳", "BROADCAST_ADMINS"),
            ("--broadcast-approvers=on_1", "BROADCAST_APPROVERS"),
            ("--broadcast-approvers=ou_1", "BROADCAST_APPROVERS"),
            ("--approvals-required=2", "APPROVALS_REQUIRED"),
            ("--approvals-required=-1", "APPROVALS_REQUIRED"),
            ("--approval-ttl=24", "APPROVAL_TTL"),
            ("--approval-ttl=15d", "APPROVAL_TTL"),
            ("--listen-addr=8080", "LISTEN_ADDR"),
            ("--metrics-addr=x", "METRICS_ADDR"),
            ("--public-url=http://bot.example.com", "PUBLIC_URL"),
            ("--public-url=https://bot.example.com/path", "PUBLIC_URL"),
            ("--database-url=mysql://x", "DATABASE_URL"),
            ("--database-url=sqlite::memory:", "DATABASE_URL"),
            ("--secret-key=AAAA", "SECRET_KEY"),
            ("--timezone=Mars/Olympus", "TIMEZONE"),
        ] {
            // A flag given twice is refused by the parser, so the right one is left out first.
            let key = flag.split('=').next().expect("a flag");
            let mut args = vec!["feishu-broadcast"];
            let right = [
                "--feishu-app-id=cli_1",
                "--feishu-app-secret=s3cret",
                "--feishu-encrypt-key=k3y",
                "--feishu-verification-token=t0ken",
                "--broadcast-admins=ou_1",
            ];
            args.extend(right.iter().filter(|other| !other.starts_with(&format!("{key}="))));
            args.push(flag);
            let error = Cli::try_parse_from(args).expect("known flags").settings.check().err().expect(flag);
            assert_eq!(error.name, name, "{flag}");
            let line = error.to_string();
            assert!(!line.contains('\n') && line.contains("example: "), "{line}");
        }
    }

    #[test]
    fn flags_stand_before_or_after_the_command_word() {
        for args in [["feishu-broadcast", "serve", "--timezone=UTC"], ["feishu-broadcast", "--timezone=UTC", "serve"]] {
            let cli = Cli::try_parse_from(args).expect("known flags");
            assert_eq!(cli.command, Some(Command::Serve));
            assert_eq!(cli.settings.timezone.as_deref(), Some("UTC"));
        }
    }

    #[test]
    fn settings_by_name_ignore_the_environment() {
        let deaf = Cli::command().mut_args(|arg| arg.env(None::<&str>));
        assert!(deaf.get_arguments().all(|arg| arg.get_env().is_none()));
        let cli = Cli::from_settings([("TIMEZONE", "UTC"), ("METRICS_ADDR", "")]).expect("known names");
        assert_eq!(cli.settings.timezone.as_deref(), Some("UTC"));
        assert_eq!(cli.settings.metrics_addr.as_deref(), Some(""));
        assert!(Cli::from_settings([("TIMEZON", "UTC")]).is_err());
    }

    #[test]
    fn without_metrics_and_with_plain_text_by_wish() {
        assert_eq!(check(&["--metrics-addr="]).expect("right").metrics_addr, None);
        assert_eq!(name_of_wrong(&["--approval-ttl=0s"]), "APPROVAL_TTL");
    }

    #[test]
    fn durations_are_read_as_the_interface_writes_them() {
        let seconds = |text| duration(text).map(|duration| duration.as_secs());
        assert_eq!(
            [seconds("2s"), seconds("15m"), seconds("24h"), seconds("7d")],
            [Some(2), Some(900), Some(86_400), Some(604_800)]
        );
        assert_eq!([seconds("0s"), seconds("7"), seconds("d"), seconds("七d"), seconds("-1s")], [None; 5]);
    }
}
