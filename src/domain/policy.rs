//! Who may do what: the one place that decides, for commands and for presses on cards alike.
//!
//! It fails closed. A deed is allowed because a line below allows it; whatever nobody thought of is denied. A person
//! is an `open_id`, never a name. Rights that hang on a broadcast (its author's) are checked where the broadcast is
//! known, by [`Deed::Press`]: a `/cancel K7M2QX` is asked about twice, first as the command, then as a press on K7M2QX.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

use crate::domain::command::CommandName;
use crate::domain::ids::{DepartmentId, OpenId};
use crate::domain::quiet::QuietHours;

mod people;
mod rules;
mod terms;

pub use people::{Listed, People, Rolls};
pub use rules::{ApproverRule, AuthorRule, Authors, Kind, Place, Rules, SizeRule};
pub use terms::{Canary, Refusal, Share, Strayed, Terms, Tier, heads_of};

/// What a person is to this bot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Roles {
    pub admin: bool,
    pub approver: bool,
}

impl Roles {
    /// Whether the bot serves this person at all.
    pub fn is_stranger(self) -> bool {
        self == Roles::default()
    }

    /// Whether this person may give that command.
    ///
    /// # Errors
    /// Strangers are never served; approvers who are no admins only look.
    pub fn may_use(self, command: CommandName) -> Result<(), Denied> {
        match command {
            _ if self.admin => Ok(()),
            _ if !self.approver => Err(Denied::Stranger),
            CommandName::Status | CommandName::List | CommandName::WhoAmI | CommandName::Help => Ok(()),
            CommandName::Broadcast
            | CommandName::Cancel
            | CommandName::Recall
            | CommandName::Departments
            | CommandName::Login
            | CommandName::Logout
            | CommandName::Check => Err(Denied::AdminsOnly),
        }
    }
}

/// What a button does. The names are what cards carry in `action`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    Pick,
    Approve,
    Reject,
    Confirm,
    Cancel,
    Recall,
    Resend,
    Settle,
    Refresh,
    Preview,
    Schedule,
    Correct,
    Edit,
}

impl Action {
    /// All actions there are.
    pub const ALL: [Action; 13] = [
        Action::Pick,
        Action::Approve,
        Action::Reject,
        Action::Confirm,
        Action::Cancel,
        Action::Recall,
        Action::Resend,
        Action::Settle,
        Action::Refresh,
        Action::Preview,
        Action::Schedule,
        Action::Correct,
        Action::Edit,
    ];

    /// Reads the `action` of a card's value, exactly as this program writes it.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == text)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Action::Pick => "pick",
            Action::Approve => "approve",
            Action::Reject => "reject",
            Action::Confirm => "confirm",
            Action::Cancel => "cancel",
            Action::Recall => "recall",
            Action::Resend => "resend",
            Action::Settle => "settle",
            Action::Refresh => "refresh",
            Action::Preview => "preview",
            Action::Schedule => "schedule",
            Action::Correct => "correct",
            Action::Edit => "edit",
        }
    }
}

/// Something a person wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed<'a> {
    Command(CommandName),
    /// A press on a card, or a command that names a broadcast.
    Press {
        action: Action,
        of: Asked<'a>,
    },
}

/// What decides who has a say in a broadcast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked<'a> {
    pub author: &'a OpenId,
    /// Approvals that were asked for when it was proposed; 0: the author decides.
    pub required: u32,
    /// People it reaches; `None` where that is not known.
    pub heads: Option<u64>,
    /// The departments of which each holds the whole audience.
    pub inside: &'a BTreeSet<DepartmentId>,
}

/// Why a person may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Denied {
    /// Neither admin nor approver: not served at all.
    Stranger,
    AdminsOnly,
    ApproversOnly,
    /// An approver, but for other departments than this one goes to.
    OtherDepartments,
    /// Proposed when the author could decide alone, which the rules do not allow any more.
    NowApproved,
    AuthorOnly,
    AuthorAndApproversOnly,
    /// Approvals never count the author's own.
    OwnBroadcast,
    /// The author asked as an admin and is none any more.
    NoLongerAdmin,
}

/// A set of rules that could never work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    #[error("there are no admins, so nobody could use the bot")]
    NoAdmins,
    #[error("{required} approvals are required, but at most {possible} people could give them")]
    TooManyApprovals { required: u32, possible: usize },
    #[error("the only approver is the only admin, and nobody approves their own broadcast")]
    NobodyElseApproves,
}

/// The rules of this deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    admins: People,
    approvers: People,
    approvals_required: u32,
    approval_ttl: Duration,
    /// Those of the policy file.
    rules: Rules,
    /// Who is on the lists that are kept in Feishu.
    rolls: Rolls,
}

impl Policy {
    /// Puts the rules together. Without `approvals_required` it is 1 if there are approvers, else 0.
    ///
    /// # Errors
    /// If there is no admin, or no admin at all could ever get the approvals that are required. Where lists in Feishu
    /// say who they are, that is only known later, and is checked for each broadcast.
    pub fn new(
        admins: impl Into<People>,
        approvers: impl Into<People>,
        approvals_required: Option<u32>,
        approval_ttl: Duration,
    ) -> Result<Self, PolicyError> {
        let (admins, approvers) = (admins.into(), approvers.into());
        if admins.is_empty() {
            return Err(PolicyError::NoAdmins);
        }
        let required = approvals_required.unwrap_or(u32::from(!approvers.is_empty()));
        let (rules, rolls) = (Rules::default(), Rolls::default());
        let policy = Self { admins, approvers, approvals_required: required, approval_ttl, rules, rolls };
        match policy.possible_approvals([]) {
            Some(possible) if usize::try_from(required).is_ok_and(|required| required > possible) => {
                Err(match possible == 0 && !policy.approvers.is_empty() {
                    true => PolicyError::NobodyElseApproves,
                    false => PolicyError::TooManyApprovals { required, possible },
                })
            }
            _ => Ok(policy),
        }
    }

    /// The same, with the rules of a file in the place of those before.
    pub fn with_rules(self, rules: Rules) -> Self {
        Self { rules, ..self }
    }

    /// The same, with lists as Feishu told them.
    pub fn with_rolls(self, rolls: Rolls) -> Self {
        Self { rolls, ..self }
    }

    pub fn rolls(&self) -> &Rolls {
        &self.rolls
    }

    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// All lists in Feishu that anything here hangs on.
    pub fn lists(&self) -> BTreeSet<&Listed> {
        let authors = self.rules.authors.iter().filter_map(|rule| match &rule.who {
            Authors::These(people) => Some(people),
            Authors::Others => None,
        });
        let people = [&self.admins, &self.approvers, &self.rules.everyone].into_iter();
        let people = people.chain(authors).chain(self.rules.approvers.iter().map(|rule| &rule.who));
        people.flat_map(|people| &people.listed).collect()
    }

    /// How many could approve at the most, with these further approvers: for the admin for whom most others are left,
    /// since nobody approves their own. `None` where lists in Feishu say who they are.
    pub fn possible_approvals<'a>(&'a self, more: impl IntoIterator<Item = &'a People>) -> Option<usize> {
        let mut approvers: BTreeSet<&OpenId> = BTreeSet::new();
        for people in [&self.approvers].into_iter().chain(more) {
            if !people.listed.is_empty() {
                return None;
            }
            approvers.extend(&people.named);
        }
        if !self.admins.listed.is_empty() {
            return Some(approvers.len());
        }
        let others = |admin: &OpenId| approvers.len() - usize::from(approvers.contains(admin));
        Some(self.admins.named.iter().map(others).max().unwrap_or(0))
    }

    /// Whether this person may address the whole company.
    pub fn may_address_everyone(&self, person: &OpenId) -> bool {
        self.rolls.include(&self.rules.everyone, person) && self.roles(person).admin
    }

    /// Distinct approvers that the settings ask for, where the file has no rules by size.
    pub fn approvals_required(&self) -> u32 {
        self.approvals_required
    }

    /// Distinct approvers needed for so many people, never counting the author. 0: the author decides on the card.
    pub fn approvals_for(&self, heads: Option<u64>) -> u32 {
        self.of_size(heads).approvals
    }

    /// How long a broadcast may wait for its approvals.
    pub fn approval_ttl(&self) -> Duration {
        self.approval_ttl
    }

    /// When nothing may leave.
    pub fn quiet(&self) -> Option<&QuietHours> {
        self.rules.quiet.as_ref()
    }

    pub fn approvers(&self) -> &People {
        &self.approvers
    }

    pub fn admins(&self) -> &People {
        &self.admins
    }

    /// Those who may approve a broadcast: all approvers, and for one that stays inside of a department with approvers of
    /// its own, these too. Never the author.
    pub fn approvers_of(&self, asked: &Asked<'_>) -> BTreeSet<&OpenId> {
        let mut approvers = self.rolls.all(&self.approvers);
        for rule in self.rules.approvers.iter().filter(|rule| !rule.departments.is_disjoint(asked.inside)) {
            approvers.extend(self.rolls.all(&rule.who));
        }
        approvers.remove(asked.author);
        approvers
    }

    /// The departments for whose broadcasts this person is a further approver.
    pub fn approves_for(&self, person: &OpenId) -> BTreeSet<DepartmentId> {
        let own = self.rules.approvers.iter().filter(|rule| self.rolls.include(&rule.who, person));
        own.flat_map(|rule| rule.departments.iter().cloned()).collect()
    }

    /// Whether this person is among [`Policy::approvers_of`], or is its author and an approver.
    fn approves(&self, person: &OpenId, asked: &Asked<'_>) -> bool {
        let own =
            |rule: &&ApproverRule| !rule.departments.is_disjoint(asked.inside) && self.rolls.include(&rule.who, person);
        self.rolls.include(&self.approvers, person) || self.rules.approvers.iter().any(|rule| own(&rule))
    }

    /// Whether an approval that this person gave still counts.
    pub fn still_counts(&self, person: &OpenId, asked: &Asked<'_>) -> bool {
        person != asked.author && self.approves(person, asked)
    }

    pub fn roles(&self, person: &OpenId) -> Roles {
        let own = self.rules.approvers.iter().any(|rule| self.rolls.include(&rule.who, person));
        Roles {
            admin: self.rolls.include(&self.admins, person),
            approver: own || self.rolls.include(&self.approvers, person),
        }
    }

    /// Whether `person` may do that.
    ///
    /// # Errors
    /// Says why not.
    pub fn may(&self, person: &OpenId, deed: &Deed<'_>) -> Result<(), Denied> {
        match deed {
            Deed::Command(command) => self.roles(person).may_use(*command),
            Deed::Press { action, of } => self.may_press(person, *action, of),
        }
    }

    fn may_press(&self, person: &OpenId, action: Action, asked: &Asked<'_>) -> Result<(), Denied> {
        let (roles, is_author) = (self.roles(person), person == asked.author);
        // Taking back stays the author's: who may not send any more must still be able to stop. As long as the bot serves
        // them at all, that is: a press or a word of somebody without any role is turned away before this is asked.
        if is_author && matches!(action, Action::Cancel | Action::Recall) {
            return Ok(());
        }
        if roles.is_stranger() {
            return Err(if is_author { Denied::NoLongerAdmin } else { Denied::Stranger });
        }
        let approves = self.approves(person, asked);
        let elsewhere = |otherwise: Denied| if roles.approver { Denied::OtherDepartments } else { otherwise };
        // Rules that ask for approvals by now count; those that ask for none any more do not.
        let others_decide = asked.required > 0 || self.approvals_for(asked.heads) > 0;
        match action {
            Action::Approve | Action::Reject if others_decide => match (approves, is_author) {
                (true, false) => Ok(()),
                (true, true) => Err(Denied::OwnBroadcast),
                (false, true) if asked.required == 0 && roles.admin => Err(Denied::NowApproved),
                (false, true) if roles.approver => Err(Denied::OwnBroadcast),
                (false, _) => Err(elsewhere(Denied::ApproversOnly)),
            },
            Action::Approve | Action::Reject => author_and_admin(roles, is_author),
            Action::Pick
            | Action::Confirm
            | Action::Resend
            | Action::Settle
            | Action::Schedule
            | Action::Correct
            | Action::Edit => author_and_admin(roles, is_author),
            Action::Cancel => Err(Denied::AuthorOnly),
            // To oneself, and nobody else.
            Action::Preview if is_author => author_and_admin(roles, is_author),
            Action::Recall | Action::Preview => match approves {
                true => Ok(()),
                false => Err(elsewhere(Denied::AuthorAndApproversOnly)),
            },
            Action::Refresh => roles.admin.then_some(()).ok_or(Denied::AdminsOnly),
        }
    }
}

fn author_and_admin(roles: Roles, is_author: bool) -> Result<(), Denied> {
    match (is_author, roles.admin) {
        (true, true) => Ok(()),
        (true, false) => Err(Denied::NoLongerAdmin),
        (false, _) => Err(Denied::AuthorOnly),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Action::*;
    use Denied::*;

    fn id(text: &str) -> OpenId {
        OpenId::new(text).expect("a plain id")
    }

    fn ids(list: &[&str]) -> BTreeSet<OpenId> {
        list.iter().map(|text| id(text)).collect()
    }

    /// `both` is admin and approver.
    fn policy(approvals: u32) -> Policy {
        let ttl = Duration::from_secs(60);
        Policy::new(ids(&["admin", "both"]), ids(&["approver", "both"]), Some(approvals), ttl).expect("two approvers")
    }

    /// What `nobody`, `admin`, `approver` and `both` get, first as the author, then on a broadcast of somebody else.
    fn check(approvals: u32, action: Action, as_author: [Result<(), Denied>; 4], else_: [Result<(), Denied>; 4]) {
        let somebody = id("somebody");
        for (i, person) in ["nobody", "admin", "approver", "both"].map(id).iter().enumerate() {
            let policy = policy(approvals);
            let inside = BTreeSet::new();
            let asked = |author| Asked { author, required: approvals, heads: Some(1), inside: &inside };
            let own = Deed::Press { action, of: asked(person) };
            assert_eq!(policy.may(person, &own), as_author[i], "{approvals} {person} {action:?} own");
            let other = Deed::Press { action, of: asked(&somebody) };
            assert_eq!(policy.may(person, &other), else_[i], "{approvals} {person} {action:?} other");
        }
    }

    const OWN_AS_ADMIN: [Result<(), Denied>; 4] = [Err(NoLongerAdmin), Ok(()), Err(NoLongerAdmin), Ok(())];
    const NOT_THE_AUTHOR: [Result<(), Denied>; 4] = [Err(Stranger), Err(AuthorOnly), Err(AuthorOnly), Err(AuthorOnly)];

    #[test]
    fn approvers_decide_and_never_the_author() {
        for action in [Approve, Reject] {
            for approvals in [1, 2] {
                check(
                    approvals,
                    action,
                    [Err(NoLongerAdmin), Err(ApproversOnly), Err(OwnBroadcast), Err(OwnBroadcast)],
                    [Err(Stranger), Err(ApproversOnly), Ok(()), Ok(())],
                );
            }
        }
    }

    #[test]
    fn without_approvals_the_author_decides_alone() {
        for action in [Approve, Reject] {
            check(0, action, OWN_AS_ADMIN, NOT_THE_AUTHOR);
        }
    }

    #[test]
    fn choices_that_lead_to_sending_are_the_authors_while_admin() {
        for action in [Pick, Confirm, Resend, Settle, Schedule, Correct, Edit] {
            for approvals in [0, 1, 2] {
                check(approvals, action, OWN_AS_ADMIN, NOT_THE_AUTHOR);
            }
        }
    }

    #[test]
    fn cancelling_is_the_authors_always_and_nobody_elses() {
        for approvals in [0, 1, 2] {
            check(approvals, Cancel, [Ok(()); 4], NOT_THE_AUTHOR);
        }
    }

    #[test]
    fn recalling_is_the_authors_and_the_approvers() {
        let no = Err(AuthorAndApproversOnly);
        for approvals in [0, 1, 2] {
            check(approvals, Recall, [Ok(()); 4], [Err(Stranger), no, Ok(()), Ok(())]);
        }
    }

    #[test]
    fn refreshing_is_any_admins() {
        for approvals in [0, 1, 2] {
            check(
                approvals,
                Refresh,
                [Err(NoLongerAdmin), Ok(()), Err(AdminsOnly), Ok(())],
                [Err(Stranger), Ok(()), Err(AdminsOnly), Ok(())],
            );
        }
    }

    #[test]
    fn commands_are_the_admins_and_looking_is_the_approvers() {
        use CommandName as C;
        let policy = policy(1);
        for command in C::ALL {
            let looks = [C::Status, C::List, C::WhoAmI, C::Help].contains(&command);
            let deed = Deed::Command(command);
            assert_eq!(policy.may(&id("nobody"), &deed), Err(Stranger), "{command:?}");
            assert_eq!(policy.may(&id("admin"), &deed), Ok(()), "{command:?}");
            assert_eq!(policy.may(&id("both"), &deed), Ok(()), "{command:?}");
            assert_eq!(policy.may(&id("approver"), &deed).is_ok(), looks, "{command:?}");
        }
    }

    #[test]
    fn actions_are_read_exactly() {
        for action in Action::ALL {
            assert_eq!(Action::parse(action.as_str()), Some(action));
        }
        for text in ["", "Approve", "approve ", "delete"] {
            assert_eq!(Action::parse(text), None, "{text}");
        }
    }

    #[test]
    fn one_approval_is_asked_for_when_there_are_approvers() {
        let made = |approvers: &[&str]| Policy::new(ids(&["a"]), ids(approvers), None, Duration::ZERO);
        assert_eq!(made(&["b"]).expect("fine").approvals_required(), 1);
        assert_eq!(made(&[]).expect("fine").approvals_required(), 0);
    }

    #[test]
    fn rules_that_cannot_work_are_refused() {
        let made = |admins: &[&str], n| Policy::new(ids(admins), ids(&["b", "c"]), Some(n), Duration::ZERO).err();
        assert_eq!(made(&["a"], 2), None);
        assert_eq!(made(&["a"], 3), Some(PolicyError::TooManyApprovals { required: 3, possible: 2 }));
        assert_eq!(made(&[], 1), Some(PolicyError::NoAdmins));
    }

    #[test]
    fn an_approver_who_is_the_author_does_not_count() {
        let made = |admins: &[&str], approvers: &[&str], n| Policy::new(ids(admins), ids(approvers), n, Duration::ZERO);
        let too_many = |required, possible| Some(PolicyError::TooManyApprovals { required, possible });
        assert_eq!(made(&["a"], &["a", "b"], Some(1)).err(), None);
        assert_eq!(made(&["a"], &["a", "b"], Some(2)).err(), too_many(2, 1));
        // One admin for whom it can work is enough.
        assert_eq!(made(&["a", "c"], &["a", "b"], Some(2)).err(), None);
        assert_eq!(made(&["a", "b"], &["a", "b"], Some(1)).err(), None);
        assert_eq!(made(&["a", "b"], &["a", "b"], Some(2)).err(), too_many(2, 1));
        assert_eq!(made(&["a"], &[], Some(1)).err(), too_many(1, 0));
        for n in [None, Some(1), Some(2)] {
            assert_eq!(made(&["a"], &["a"], n).err(), Some(PolicyError::NobodyElseApproves));
        }
        assert_eq!(made(&["a"], &["a"], Some(0)).expect("nobody is asked").approvals_required(), 0);
    }

    #[test]
    fn the_author_is_not_among_the_own_approvers() {
        let (policy, inside) = (policy(1), BTreeSet::new());
        let approvers = |author: &str| {
            let asked = Asked { author: &id(author), required: 1, heads: None, inside: &inside };
            policy.approvers_of(&asked).into_iter().cloned().collect::<BTreeSet<OpenId>>()
        };
        assert_eq!(approvers("both"), ids(&["approver"]));
        assert_eq!(approvers("admin"), ids(&["approver", "both"]));
    }
}
