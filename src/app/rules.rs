//! The rules in force: those of the start, until the policy file says something else.
//!
//! The file is read again every few seconds. One that cannot be read, or holds a rule that cannot work, changes nothing:
//! the rules before it stay, the log says so once, a metric says so as long as it lasts, and so does `/whoami` to admins.
//! Whoever decides something takes the rules once and decides by these: they may be replaced at any time.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::{App, Step};
use crate::domain::policy::Policy;

/// Bytes of a policy file; one of all rules there may be is smaller.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// How the text of a policy file becomes rules. The error is one line that names what is wrong, and where.
pub type ReadRules = Box<dyn Fn(&str) -> Result<Policy, String> + Send + Sync>;

/// The policy file, and how its text becomes rules.
pub struct RulesFile {
    pub path: PathBuf,
    /// As it was at the start.
    pub text: String,
    pub read: ReadRules,
}

/// The rules in force.
pub struct Rules {
    policy: RwLock<Arc<Policy>>,
    file: Option<File>,
    /// Those by which everything pending was looked at last; none since the start.
    looked_by: Mutex<Option<Arc<Policy>>>,
}

struct File {
    path: PathBuf,
    read: ReadRules,
    seen: Mutex<Seen>,
}

/// What was found in the place of the file the last time.
struct Seen {
    found: Result<String, String>,
    /// What is wrong with it; the rules in force are older.
    trouble: Option<String>,
}

impl Rules {
    pub fn new(policy: Policy, file: Option<RulesFile>) -> Self {
        let file = file.map(|RulesFile { path, text, read }| File {
            path,
            read,
            seen: Mutex::new(Seen { found: Ok(text), trouble: None }),
        });
        Self { policy: RwLock::new(Arc::new(policy)), file, looked_by: Mutex::new(None) }
    }

    /// The rules in force now.
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the rules in force by whatever they are at that moment.
    pub fn change(&self, change: impl FnOnce(&Policy) -> Policy) {
        let mut policy = self.policy.write().unwrap_or_else(PoisonError::into_inner);
        *policy = Arc::new(change(&policy));
    }

    /// The rules in force, where what is pending was not looked at by these very rules yet.
    pub fn new_to_pending(&self) -> Option<Arc<Policy>> {
        let looked_by = self.looked_by.lock().unwrap_or_else(PoisonError::into_inner);
        Some(self.policy()).filter(|policy| looked_by.as_ref() != Some(policy))
    }

    /// Everything that is pending was looked at by these rules.
    pub fn held_to(&self, policy: Arc<Policy>) {
        *self.looked_by.lock().unwrap_or_else(PoisonError::into_inner) = Some(policy);
    }

    /// Whether the finer rules come from a file.
    pub fn has_file(&self) -> bool {
        self.file.is_some()
    }

    /// Why the rules in force are not those of the file as it is now.
    pub fn trouble(&self) -> Option<String> {
        self.file.as_ref().and_then(|file| file.seen().trouble.clone())
    }
}

impl File {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks at the policy file, and takes what is new in it.
pub async fn step(app: &App) -> Step {
    let Some(file) = &app.rules.file else { return Step::Idle };
    let path = file.path.clone();
    // A disk that does not answer must not keep the other steps waiting.
    let found = match tokio::task::spawn_blocking(move || text_of(&path)).await {
        Ok(found) => found,
        Err(error) => Err(error.to_string()),
    };
    let mut seen = file.seen();
    if seen.found == found {
        return Step::Idle;
    }
    let read = found.clone().and_then(|text| (file.read)(&text));
    seen.found = found;
    let outcome = match read {
        Ok(policy) => {
            seen.trouble = None;
            app.rules.change(|before| policy.with_rolls(before.rolls().clone()));
            tracing::info!(file = %file.path.display(), "the rules of the policy file changed");
            "taken"
        }
        Err(why) => {
            tracing::error!(file = %file.path.display(), why, "POLICY_FILE cannot be used as it is now; the rules before it stay in force");
            seen.trouble = Some(why);
            "refused"
        }
    };
    metrics::counter!("feishu_broadcast_policy_changes_total", "outcome" => outcome).increment(1);
    metrics::gauge!("feishu_broadcast_policy_refused").set(if seen.trouble.is_some() { 1.0 } else { 0.0 });
    Step::Worked
}

fn text_of(path: &std::path::Path) -> Result<String, String> {
    let shown = |error: std::io::Error| format!("it cannot be read: {error}");
    let length = std::fs::metadata(path).map_err(shown)?.len();
    if length > FILE_BYTES_MAX {
        return Err(format!("it is larger than {FILE_BYTES_MAX} bytes"));
    }
    std::fs::read_to_string(path).map_err(shown)
}
