//! A look at the whole deployment: the platform's side of the app, our own addresses, the database. It changes nothing
//! and sends nothing to anybody.
//!
//! The same look answers `feishu-broadcast check`, before the bot runs or beside it, and `/check` in a chat.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use url::Url;

use super::asked::Request;
use super::authorize::redirect_uri;
use super::clock::Clock;
use super::rotation::Arrivals;
use super::secrets::Secrets;
use super::{App, Trouble};
use crate::domain::check::{Database, Finding, Knock, NEEDS, Previous, Subject};
use crate::domain::ids::{OpenId, Timestamp};
use crate::domain::keys::Generation;
use crate::domain::policy::{People, Policy};
use crate::feishu::Feishu;
use crate::feishu::contacts::ROOT_OUT_OF_RANGE;
use crate::feishu::crypto::BLOCK_BYTES;
use crate::feishu::envelope::Door;
use crate::feishu::error::CallError;
use crate::feishu::oauth::SCOPES;
use crate::feishu::people::{PEOPLE_IDS_MAX, PersonIdKind};
use crate::feishu::setup::{ConsentPage, ContactRange};
use crate::view::check::{Console, in_chat, line};

/// Enabled. Source: contract "bot identity".
const ENABLED: u64 = 2;

/// This open_id belongs to another app. Source: "Generic error codes".
const OTHER_APPS_ID: i64 = 99_992_361;

/// What is looked at.
pub struct Site<'a> {
    pub feishu: &'a Feishu,
    pub door: &'a Door,
    /// What came in at the door; `None` where another process is looked at.
    pub arrivals: Option<&'a Arrivals>,
    /// Whether `SECRET_KEY` is being changed.
    pub secret_key_rotates: bool,
    pub clock: &'a dyn Clock,
    pub policy: &'a Policy,
    /// Whether the rules are of a file, and what is wrong with it now.
    pub policy_file: bool,
    pub policy_trouble: Option<String>,
    pub public_url: Option<&'a Url>,
    pub zone: &'a TimeZone,
    pub database: Database,
}

/// `/check`: the look, a line each.
pub async fn check(request: &Request<'_>) -> Result<(), Trouble> {
    let app = request.app;
    let policy = app.policy();
    let found = look(&Site {
        feishu: &app.feishu,
        door: &app.door,
        arrivals: Some(&app.arrivals),
        secret_key_rotates: app.secrets.are_rotating(),
        clock: app.clock.as_ref(),
        policy: &policy,
        policy_file: app.rules.has_file(),
        policy_trouble: app.rules.trouble(),
        public_url: app.public_url.as_ref(),
        zone: &app.zone,
        database: app.store.look().await,
    })
    .await;
    let console = console(app);
    let lines: Vec<_> = found.iter().map(|finding| line(finding, &console, &app.zone)).collect();
    request.finish_privately(&in_chat(&lines)).await
}

fn console(app: &App) -> Console {
    Console::of(app.feishu.open_url(), app.feishu.app_id())
}

/// Looks at everything, in the order of [`Subject`].
pub async fn look(site: &Site<'_>) -> Vec<Finding> {
    let mut found = vec![];
    let app_secret = signs_in(site, &mut found).await;
    if app_secret.is_some() {
        bot(site, &mut found).await;
        scopes(site, &mut found).await;
        contacts(site, &mut found).await;
        people(site, &mut found).await;
    } else {
        found.push(Finding::NotLookedAt);
    }
    match site.public_url {
        Some(public_url) => {
            consent(site, public_url, &mut found).await;
            addresses(site, public_url, &mut found).await;
        }
        None => found.push(Finding::NoPublicUrl),
    }
    found.push(if site.door.encrypt_key.is_some() { Finding::Sealed } else { Finding::PlainText });
    rotation(site, app_secret, &mut found);
    found.push(Finding::Store(site.database.clone()));
    let name = site.zone.iana_name().unwrap_or("UTC").to_owned();
    found.push(Finding::TimeZone { name, now: site.clock.now() });
    let (file, trouble) = (site.policy_file, site.policy_trouble.clone());
    found.push(Finding::Policy { file, trouble, required: site.policy.approvals_required() });
    found.push(Finding::SendingUnproven);
    found
}

/// What a call that failed says about `subject`.
fn failed(subject: Subject, error: &CallError) -> Finding {
    match error.silence() {
        Some(why) => Finding::Silent { subject, why },
        None => Finding::Refused { subject, code: error.code().unwrap_or_default(), scopes: error.scopes().to_vec() },
    }
}

/// With which of the app's secrets.
async fn signs_in(site: &Site<'_>, found: &mut Vec<Finding>) -> Option<Generation> {
    match site.feishu.sign_in().await {
        Err(error) => {
            found.push(failed(Subject::Credentials, &error));
            None
        }
        Ok((dated, signed_in)) => {
            let generation = signed_in.as_ref().ok().copied();
            found.push(match signed_in {
                Ok(_) => Finding::SignedIn,
                Err(error) => failed(Subject::Credentials, &error),
            });
            found.push(match dated {
                Some(platform) => Finding::Clock { ahead_ms: site.clock.now().0.saturating_sub(platform.0) },
                None => Finding::ClockUnknown,
            });
            generation
        }
    }
}

async fn bot(site: &Site<'_>, found: &mut Vec<Finding>) {
    found.push(match site.feishu.bot_info(site.clock.now()).await {
        Ok(bot) => match bot.activate_status {
            Some(status) if status != ENABLED => Finding::BotNotEnabled { status },
            Some(_) | None => Finding::Bot { name: bot.app_name },
        },
        Err(error) => failed(Subject::Bot, &error),
    });
}

async fn scopes(site: &Site<'_>, found: &mut Vec<Finding>) {
    let scopes = match site.feishu.granted_scopes(site.clock.now()).await {
        Ok(scopes) => scopes,
        Err(error) => return found.push(failed(Subject::Scopes, &error)),
    };
    let missing: Vec<_> = NEEDS.iter().filter(|need| !scopes.meet(need)).collect();
    if missing.is_empty() {
        found.push(Finding::Scopes { granted: scopes.granted.len() });
    }
    found.extend(missing.into_iter().map(|need| Finding::ScopeMissing { need, waiting: scopes.awaits(need) }));
}

/// Only whose range is everybody may list the root.
async fn contacts(site: &Site<'_>, found: &mut Vec<Finding>) {
    let top = site.feishu.top_departments(site.clock.now()).await;
    found.push(match top {
        Ok(top) => Finding::AllMembers { departments: top.len() },
        Err(error) if error.code() == Some(ROOT_OUT_OF_RANGE) => {
            match site.feishu.contact_range(site.clock.now()).await {
                Ok(range) if range == ContactRange::default() => Finding::NoMembers,
                Ok(ContactRange { departments, people, groups }) => {
                    Finding::SomeMembers { departments, people, groups }
                }
                Err(error) => failed(Subject::Contacts, &error),
            }
        }
        Err(error) => failed(Subject::Contacts, &error),
    });
}

async fn people(site: &Site<'_>, found: &mut Vec<Finding>) {
    let (admins, approvers) = (&site.policy.admins().named, &site.policy.approvers().named);
    let named: BTreeSet<&OpenId> = admins.union(approvers).collect();
    let mut unknown = vec![];
    for ids in named.into_iter().collect::<Vec<_>>().chunks(PEOPLE_IDS_MAX) {
        match strangers_of(site.feishu, site.clock.now(), ids).await {
            Ok(strangers) => unknown.extend(strangers),
            Err(error) => return found.push(failed(Subject::People, &error)),
        }
    }
    found.push(if unknown.is_empty() {
        Finding::People { admins: admins.len(), approvers: approvers.len() }
    } else {
        let left = |people: &People| people.named.iter().filter(|person| !unknown.contains(*person)).count();
        let required = usize::try_from(site.policy.approvals_required()).unwrap_or(usize::MAX);
        // Of lists that Feishu keeps it is not known here who is on them.
        let nobody = site.policy.admins().listed.is_empty() && left(site.policy.admins()) == 0;
        let too_few = site.policy.approvers().listed.is_empty() && left(site.policy.approvers()) < required;
        Finding::UnknownPeople { too_few: nobody || too_few, ids: unknown }
    });
}

/// Those whom this app does not know. One id of another app makes all of a call fail: then each is asked for alone.
async fn strangers_of(feishu: &Feishu, now: Timestamp, ids: &[&OpenId]) -> Result<Vec<OpenId>, CallError> {
    let texts: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
    match feishu.people(now, PersonIdKind::Open, &texts).await {
        Ok(Some(people)) => {
            let known: BTreeSet<OpenId> = people.into_iter().filter_map(|person| person.open_id).collect();
            return Ok(ids.iter().filter(|id| !known.contains(**id)).map(|id| (*id).clone()).collect());
        }
        Ok(None) => {}
        Err(error) if error.code() == Some(OTHER_APPS_ID) => {}
        Err(error) => return Err(error),
    }
    let mut strangers = vec![];
    for id in ids {
        match feishu.person(now, PersonIdKind::Open, id.as_str()).await {
            Ok(Some(_)) => {}
            Ok(None) => strangers.push((*id).clone()),
            Err(error) if error.code() == Some(OTHER_APPS_ID) => strangers.push((*id).clone()),
            Err(error) => return Err(error),
        }
    }
    Ok(strangers)
}

async fn consent(site: &Site<'_>, public_url: &Url, found: &mut Vec<Finding>) {
    let uri = redirect_uri(public_url);
    let state = hex::encode(random::<32>(site.clock));
    let challenge = Secrets::pkce_challenge(&hex::encode(random::<32>(site.clock)).into());
    let link = site.feishu.authorize_url(&uri, &state, &challenge, &SCOPES);
    found.push(match site.feishu.consent_page(link).await {
        ConsentPage::Open => Finding::RedirectListed { uri },
        ConsentPage::Elsewhere => Finding::RedirectUnproven { uri },
        ConsentPage::RedirectNotListed => Finding::RedirectNotListed { uri },
        ConsentPage::ScopesNotEnabled => Finding::UserScopesNotEnabled,
        ConsentPage::Refused(status) => Finding::ConsentRefused { status },
        ConsentPage::Silent(why) => Finding::ConsentPageSilent { why },
    });
}

/// Keys whose previous value is set as well.
fn rotation(site: &Site<'_>, app_secret: Option<Generation>, found: &mut Vec<Finding>) {
    let mut previous = Arrivals::tell(site.arrivals, site.door, site.clock.now());
    if let (true, Some(generation)) = (site.feishu.secret_rotates(), app_secret) {
        previous.push(Previous::AppSecret { needed: generation == Generation::Previous });
    }
    previous.extend(site.secret_key_rotates.then_some(Previous::SecretKey));
    found.extend(previous.into_iter().map(Finding::Previous));
}

/// Both routes with the console's challenge; and where that is answered, one signed push, since a challenge bears no
/// signature and arrives through a proxy that changes bodies.
async fn addresses(site: &Site<'_>, public_url: &Url, found: &mut Vec<Finding>) {
    for route in ["feishu/event", "feishu/card"] {
        let Ok(url) = public_url.join(route) else { continue };
        let challenge = hex::encode(random::<16>(site.clock));
        let knock = site.feishu.knock(site.door, url.clone(), &challenge, random::<BLOCK_BYTES>(site.clock)).await;
        if !matches!(knock, Knock::Answered(_)) {
            found.push(Finding::Address { url: url.to_string(), knock });
            continue;
        }
        let nonce = hex::encode(random::<16>(site.clock));
        let iv = random::<BLOCK_BYTES>(site.clock);
        let pushed = site.feishu.push_through(site.door, url.clone(), &nonce, iv, site.clock.now()).await;
        found.push(match pushed {
            None | Some(Knock::Answered(_)) => Finding::Address { url: url.clone().into(), knock },
            Some(Knock::Distrusted) => Finding::BodyRewritten { url: url.clone().into() },
            Some(knock) => Finding::Address { url: url.clone().into(), knock },
        });
        // As the console would that has not been told of the present values.
        if let Some(before) = site.door.previous() {
            let challenge = hex::encode(random::<16>(site.clock));
            let iv = random::<BLOCK_BYTES>(site.clock);
            let knock = site.feishu.knock(&before, url.clone(), &challenge, iv).await;
            if !matches!(knock, Knock::Answered(_)) {
                found.push(Finding::Previous(Previous::NotTaken { url: url.into() }));
            }
        }
    }
}

fn random<const N: usize>(clock: &dyn Clock) -> [u8; N] {
    let mut bytes = [0; N];
    clock.random(&mut bytes);
    bytes
}
