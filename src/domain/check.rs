//! A look at a deployment: what is fine, what is not, and how bad that is. [`crate::view::check`] has the words and the
//! clicks.

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::ids::{OpenId, Timestamp};

mod previous;

pub use previous::{Previous, Use};

/// A difference of clocks that is worth a line. Pushes are refused that seem to come from more than ten minutes ahead, as
/// they do on a clock that is behind, or from more than a day ago. Source: interface "HTTP".
pub const CLOCK_WARNS: Duration = Duration::from_secs(30);
const BEHIND_FAILS: Duration = Duration::from_secs(600);
const AHEAD_FAILS: Duration = Duration::from_secs(24 * 3600);

/// How soon the console wants its answer when an address is saved. Source: contract "challenge", 1 s.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Fine,
    /// Nobody can tell from outside.
    Unverified,
    /// Broadcasts go out; something else does not work, or will not.
    Warning,
    /// Would stop a broadcast.
    Failure,
}

/// What was looked at, in the order in which it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    Credentials,
    Clock,
    Bot,
    Scopes,
    Contacts,
    People,
    Redirect,
    Address,
    Encryption,
    Rotation,
    Store,
    TimeZone,
    Policy,
    Sending,
}

impl Level {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Unverified => "unverified",
            Self::Warning => "warning",
            Self::Failure => "failure",
        }
    }
}

impl Subject {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Credentials => "credentials",
            Self::Clock => "clock",
            Self::Bot => "bot",
            Self::Scopes => "scopes",
            Self::Contacts => "contacts",
            Self::People => "people",
            Self::Redirect => "redirect",
            Self::Address => "address",
            Self::Encryption => "encryption",
            Self::Rotation => "rotation",
            Self::Store => "store",
            Self::TimeZone => "timezone",
            Self::Policy => "policy",
            Self::Sending => "sending",
        }
    }
}

impl Serialize for Level {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Serialize for Subject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Why nobody answered at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// The name is not known, or nobody listens.
    NoConnection,
    /// Somebody answers, whose certificate is not trusted.
    Certificate,
    /// A connection, and no whole answer in time.
    NoAnswer,
    /// An answer that is not the platform's.
    Nonsense,
}

/// A scope of the app's own identity, and what is missed without it.
#[derive(Debug, PartialEq, Eq)]
pub struct Need {
    pub scope: &'static str,
    /// Larger scopes that contain it.
    pub or: &'static [&'static str],
    /// Whether broadcasts stop without it.
    pub essential: bool,
}

const fn need(scope: &'static str, or: &'static [&'static str], essential: bool) -> Need {
    Need { scope, or, essential }
}

/// Contains both the reading of messages and the sending of them. Source: the scope lists of the `im/v1` pages.
const MESSAGES: &[&str] = &["im:message"];
const CONTACTS: &[&str] =
    &["contact:contact:readonly", "contact:contact:access_as_app", "contact:contact:readonly_as_app"];
const IN_GROUPS: &[&str] = &[
    "im:message.group_at_msg",
    "im:message.group_at_msg.include_bot:readonly",
    "im:message.group_msg",
    "im:message.group_msg:readonly",
];

/// What the bot uses. Source: contract "console set-up checklist"; the same list stands in `deploy/console.md`.
pub const NEEDS: [Need; 18] = [
    need("im:message:send_as_bot", MESSAGES, true),
    need("im:message:send_multi_users", &[], true),
    need("im:message:send_multi_depts", &[], true),
    need("im:message.p2p_msg:readonly", &["im:message.p2p_msg"], true),
    need("contact:contact.base:readonly", CONTACTS, true),
    need("contact:department.base:readonly", CONTACTS, true),
    need("contact:department.organize:readonly", CONTACTS, true),
    need("im:message.group_at_msg:readonly", IN_GROUPS, false),
    need("im:message:readonly", MESSAGES, false),
    need("im:message.group_msg", &[], false),
    need("im:resource", &[], false),
    need("contact:user.base:readonly", CONTACTS, false),
    need("contact:user.department:readonly", CONTACTS, false),
    need("contact:user.employee:readonly", CONTACTS, false),
    need("contact:user.employee_id:readonly", CONTACTS, false),
    need("contact:user.id:readonly", &[], false),
    need("contact:group:readonly", &[], false),
    need("auth:user_access_token:read", &[], false),
];

/// What the platform says of the scopes that the app asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scopes {
    pub granted: Vec<String>,
    /// Asked for; no admin has agreed, or no version with them was published.
    pub waiting: Vec<String>,
}

impl Scopes {
    /// Whether something is granted that does for `need`.
    pub fn meet(&self, need: &Need) -> bool {
        let does = |scope: &String| *scope == need.scope || need.or.contains(&scope.as_str());
        self.granted.iter().any(does)
    }

    pub fn awaits(&self, need: &Need) -> bool {
        self.waiting.iter().any(|scope| scope == need.scope)
    }
}

/// How the database was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    Ready {
        version: i64,
    },
    /// Not there, or empty: the first start makes it.
    New,
    /// The next start brings it up to date.
    Older {
        found: i64,
        known: i64,
    },
    /// Of a newer program.
    Newer {
        found: i64,
        known: i64,
    },
    Broken {
        said: String,
    },
}

/// What one knock at a public address came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Knock {
    /// As the platform wants it, after so long.
    Answered(Duration),
    /// 200, and something else than what was asked for: another program, or a page.
    OtherAnswer,
    /// Sent on to another address, which the platform does not follow.
    Moved,
    /// 401: another Encrypt Key or Verification Token than this program's, or the body arrived changed.
    Distrusted,
    Status(u16),
    Silent(Silence),
}

/// One line of the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    SignedIn,
    /// Feishu refused a question about `subject`.
    Refused {
        subject: Subject,
        code: i64,
        scopes: Vec<String>,
    },
    /// Feishu did not answer a question about `subject`.
    Silent {
        subject: Subject,
        why: Silence,
    },
    /// The rest of the platform was not looked at, since the app cannot sign in.
    NotLookedAt,
    Clock {
        ahead_ms: i64,
    },
    ClockUnknown,
    Bot {
        name: String,
    },
    /// `activate_status` of `bot/v3/info`, other than 2.
    BotNotEnabled {
        status: u64,
    },
    Scopes {
        granted: usize,
    },
    ScopeMissing {
        need: &'static Need,
        waiting: bool,
    },
    AllMembers {
        departments: usize,
    },
    SomeMembers {
        departments: usize,
        people: usize,
        groups: usize,
    },
    NoMembers,
    People {
        admins: usize,
        approvers: usize,
    },
    /// Named in the settings or the policy, and not known to this app, or outside of its contact range.
    /// `too_few` others: nobody could propose, or not enough could approve.
    UnknownPeople {
        ids: Vec<OpenId>,
        too_few: bool,
    },
    NoPublicUrl,
    RedirectListed {
        uri: String,
    },
    /// The page leads to a login before it says anything.
    RedirectUnproven {
        uri: String,
    },
    RedirectNotListed {
        uri: String,
    },
    UserScopesNotEnabled,
    ConsentPageSilent {
        why: Silence,
    },
    ConsentRefused {
        status: u16,
    },
    Address {
        url: String,
        knock: Knock,
    },
    /// A challenge was answered and a signed push was not trusted: something on the way changes the body.
    BodyRewritten {
        url: String,
    },
    Sealed,
    PlainText,
    Previous(Previous),
    Store(Database),
    TimeZone {
        name: String,
        now: Timestamp,
    },
    /// `trouble`: what is wrong with the file now, while the rules of before are in force.
    Policy {
        file: bool,
        trouble: Option<String>,
        required: u32,
    },
    SendingUnproven,
}

impl Finding {
    pub fn subject(&self) -> Subject {
        match self {
            Self::SignedIn | Self::NotLookedAt => Subject::Credentials,
            Self::Refused { subject, .. } | Self::Silent { subject, .. } => *subject,
            Self::Clock { .. } | Self::ClockUnknown => Subject::Clock,
            Self::Bot { .. } | Self::BotNotEnabled { .. } => Subject::Bot,
            Self::Scopes { .. } | Self::ScopeMissing { .. } => Subject::Scopes,
            Self::AllMembers { .. } | Self::SomeMembers { .. } | Self::NoMembers => Subject::Contacts,
            Self::People { .. } | Self::UnknownPeople { .. } => Subject::People,
            Self::RedirectListed { .. }
            | Self::RedirectUnproven { .. }
            | Self::RedirectNotListed { .. }
            | Self::UserScopesNotEnabled
            | Self::ConsentPageSilent { .. }
            | Self::ConsentRefused { .. } => Subject::Redirect,
            Self::NoPublicUrl | Self::Address { .. } | Self::BodyRewritten { .. } => Subject::Address,
            Self::Sealed | Self::PlainText => Subject::Encryption,
            Self::Previous(_) => Subject::Rotation,
            Self::Store(_) => Subject::Store,
            Self::TimeZone { .. } => Subject::TimeZone,
            Self::Policy { .. } => Subject::Policy,
            Self::SendingUnproven => Subject::Sending,
        }
    }

    pub fn level(&self) -> Level {
        match self {
            Self::SignedIn
            | Self::Bot { .. }
            | Self::Scopes { .. }
            | Self::AllMembers { .. }
            | Self::People { .. }
            | Self::RedirectListed { .. }
            | Self::Sealed
            | Self::TimeZone { .. }
            | Self::Policy { trouble: None, .. } => Level::Fine,
            Self::ClockUnknown
            | Self::NotLookedAt
            | Self::SendingUnproven
            | Self::RedirectUnproven { .. }
            | Self::ConsentPageSilent { .. } => Level::Unverified,
            Self::SomeMembers { .. }
            | Self::NoPublicUrl
            | Self::PlainText
            | Self::UserScopesNotEnabled
            | Self::RedirectNotListed { .. }
            | Self::ConsentRefused { .. }
            | Self::Policy { trouble: Some(_), .. }
            // What may be read; whom may be sent to is another setting.
            | Self::NoMembers
            | Self::UnknownPeople { too_few: false, .. } => Level::Warning,
            Self::UnknownPeople { too_few: true, .. } | Self::BotNotEnabled { .. } | Self::BodyRewritten { .. } => {
                Level::Failure
            }
            // Whoever cannot be asked about scopes and contacts may still be sent to.
            Self::Refused { subject: Subject::Scopes | Subject::People, .. } => Level::Warning,
            Self::Silent { subject: Subject::Scopes | Subject::People, .. } => Level::Unverified,
            Self::Refused { .. } | Self::Silent { .. } => Level::Failure,
            Self::ScopeMissing { need, .. } if need.essential => Level::Failure,
            Self::ScopeMissing { .. } => Level::Warning,
            Self::Clock { ahead_ms } => {
                let off = Duration::from_millis(ahead_ms.unsigned_abs());
                match if *ahead_ms < 0 { BEHIND_FAILS } else { AHEAD_FAILS } {
                    fails if off >= fails => Level::Failure,
                    _ if off >= CLOCK_WARNS => Level::Warning,
                    _ => Level::Fine,
                }
            }
            Self::Address { knock: Knock::Answered(took), .. } if *took > ANSWER_WITHIN => Level::Warning,
            Self::Address { knock: Knock::Answered(_), .. } => Level::Fine,
            Self::Address { .. } => Level::Failure,
            Self::Previous(previous) => previous.level(),
            Self::Store(Database::Ready { .. } | Database::New | Database::Older { .. }) => Level::Fine,
            Self::Store(Database::Newer { .. } | Database::Broken { .. }) => Level::Failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_larger_scope_does_for_a_smaller_one_and_not_the_other_way_round() {
        let granted = |scope: &str| Scopes { granted: vec![scope.into()], waiting: vec![] };
        let send = &NEEDS[0];
        assert!(granted("im:message").meet(send) && granted("im:message:send_as_bot").meet(send));
        assert!(!granted("im:message:readonly").meet(send) && !Scopes::default().meet(send));
    }

    #[test]
    fn a_clock_that_is_behind_loses_pushes_sooner_than_one_that_is_ahead() {
        for (seconds, level) in [
            (0, Level::Fine),
            (29, Level::Fine),
            (-29, Level::Fine),
            (30, Level::Warning),
            (-30, Level::Warning),
            (-600, Level::Failure),
            (86_399, Level::Warning),
            (86_400, Level::Failure),
        ] {
            assert_eq!(Finding::Clock { ahead_ms: seconds * 1000 }.level(), level, "{seconds}");
        }
    }
}
