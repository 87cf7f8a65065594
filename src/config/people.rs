//! Who may use the bot and who may approve, from the settings and from the policy file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::values::duration;
use super::{Settings, WrongSetting, given, rules, wrong};
use crate::domain::policy::{People, Policy, PolicyError};

/// How long an approval may take at the least and at the most: cards can be updated for 14 days.
/// Source: contract "facts that decide the version".
const APPROVAL_TTL_MAX: Duration = Duration::from_secs(14 * 24 * 3600);

/// The file with the finer rules, and the settings that they are added to.
pub struct PolicyFile {
    pub path: PathBuf,
    /// As it was read at the start.
    pub text: String,
    settings: Policy,
}

impl PolicyFile {
    fn read(path: &str, settings: Policy) -> Result<(Policy, Self), WrongSetting> {
        const EXAMPLE: &str = "/etc/feishu-broadcast/policy.toml";
        let text = std::fs::read_to_string(path)
            .map_err(|error| wrong("POLICY_FILE", format!("“{path}” cannot be read: {error}"), EXAMPLE))?;
        let file = Self { path: Path::new(path).to_owned(), text, settings };
        let policy = file.apply(&file.text).map_err(|why| wrong("POLICY_FILE", format!("“{path}”: {why}"), EXAMPLE))?;
        Ok((policy, file))
    }

    /// The settings with the rules of a newer text.
    ///
    /// # Errors
    /// One line that names what is wrong, and where.
    pub fn apply(&self, text: &str) -> Result<Policy, String> {
        rules::apply(self.settings.clone(), text)
    }
}

impl Settings {
    /// Who may do what, and the file that says more about it.
    pub(super) fn policy(&self) -> Result<(Policy, Option<PolicyFile>), WrongSetting> {
        const EXAMPLE: &str = "ou_18eac85d35a26f989317ad4f02e8bbbb,ou_461cf042d9eedaa60d445f26dc747d5e";
        let admins = people("BROADCAST_ADMINS", &self.broadcast_admins, EXAMPLE)?;
        if admins.is_empty() {
            return Err(wrong("BROADCAST_ADMINS", "is missing", EXAMPLE));
        }
        let approvers = people("BROADCAST_APPROVERS", &self.broadcast_approvers, EXAMPLE)?;
        let required = given(&self.approvals_required)
            .map(|text| {
                text.parse::<u32>()
                    .map_err(|_| wrong("APPROVALS_REQUIRED", format!("“{text}” is no whole number from 0 up"), "1"))
            })
            .transpose()?;
        let ttl = given(&self.approval_ttl).unwrap_or("24h");
        let ttl = duration(ttl)
            .filter(|ttl| *ttl <= APPROVAL_TTL_MAX)
            .ok_or_else(|| wrong("APPROVAL_TTL", format!("“{ttl}” is no duration from 1s to 14d"), "24h"))?;
        let policy = Policy::new(admins, approvers, required, ttl).map_err(|error| match error {
            PolicyError::NoAdmins => wrong("BROADCAST_ADMINS", "is missing", EXAMPLE),
            PolicyError::TooManyApprovals { required, possible } => wrong(
                "APPROVALS_REQUIRED",
                format!(
                    "{required} approvals are asked for, but of BROADCAST_APPROVERS only {possible} could approve: nobody approves their own broadcast"
                ),
                if possible == 0 { "0" } else { "1" },
            ),
            PolicyError::NobodyElseApproves => wrong(
                "BROADCAST_APPROVERS",
                "names only the one admin, so 0 people could approve: nobody approves their own broadcast (or set APPROVALS_REQUIRED=0)",
                EXAMPLE,
            ),
        })?;
        match given(&self.policy_file) {
            Some(path) => PolicyFile::read(path, policy).map(|(policy, file)| (policy, Some(file))),
            None => Ok((policy, None)),
        }
    }
}

fn people(name: &'static str, setting: &Option<String>, example: &'static str) -> Result<People, WrongSetting> {
    let mut people = People::default();
    let words = given(setting).unwrap_or_default().split([',', '，']).map(str::trim);
    for word in words.filter(|word| !word.is_empty()) {
        if !people.add(word) {
            let what = format!("“{word}” is no open_id (ou_…), department (od-…) or user group (group:g…)");
            return Err(wrong(name, what, example));
        }
    }
    Ok(people)
}
