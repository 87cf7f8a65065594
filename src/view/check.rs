//! What a look at a deployment found, a line each, with the page of the console and the click.
//!
//! Menus are named as `deploy/console.md` names them.

use std::time::Duration;

use jiff::tz::TimeZone;
use serde::Serialize;
use url::Url;

use super::{Text, advice, count, duration, moment};
use crate::domain::check::{CLOCK_WARNS, Database, Finding, Knock, Level, Previous, Silence, Subject};

mod address;
mod previous;
mod scopes;

/// Where the console of this app is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Console {
    app: String,
}

impl Console {
    pub fn of(open_url: &Url, app_id: &str) -> Self {
        Self { app: format!("{}/app/{app_id}", open_url.as_str().trim_end_matches('/')) }
    }

    fn page(&self, finding: &Finding) -> Option<String> {
        if finding.level() == Level::Fine {
            return None;
        }
        let page = match finding {
            // Whatever was asked, it is the way out that is not allowed.
            Finding::Refused { code: 99_991_401, .. } => "safe",
            // That is for the tenant's admin, in another console.
            Finding::Refused { code: 99_991_662 | 99_991_673 | 212_100, .. } => return None,
            Finding::BotNotEnabled { status: 0 } => "version",
            Finding::BotNotEnabled { .. } => return None,
            Finding::UserScopesNotEnabled => "auth",
            Finding::ScopeMissing { waiting: true, .. } => "version",
            _ => match finding.subject() {
                Subject::Credentials => "baseinfo",
                Subject::Bot => "bot",
                Subject::Scopes | Subject::Contacts => "auth",
                Subject::Redirect => "safe",
                Subject::Encryption => "event",
                Subject::Rotation => match finding {
                    Finding::Previous(Previous::Door { .. }) => "event",
                    Finding::Previous(Previous::AppSecret { .. }) => "baseinfo",
                    _ => return None,
                },
                Subject::Address if matches!(finding, Finding::Address { knock: Knock::Distrusted, .. }) => "event",
                Subject::Address
                | Subject::Clock
                | Subject::People
                | Subject::Store
                | Subject::TimeZone
                | Subject::Policy
                | Subject::Sending => return None,
            },
        };
        // What was not answered is not mended in the console.
        let silent = matches!(finding, Finding::Silent { .. } | Finding::ConsentPageSilent { .. });
        (!silent).then(|| format!("{}/{page}", self.app))
    }
}

/// A line of the result as a program reads it.
#[derive(Debug, Serialize)]
pub struct Line {
    pub subject: Subject,
    pub level: Level,
    pub zh: String,
    pub en: String,
    /// The page of the console.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<String>,
}

/// A finding as a line.
pub fn line(finding: &Finding, console: &Console, zone: &TimeZone) -> Line {
    let Text { zh, en } = sentence(finding, zone);
    Line { subject: finding.subject(), level: finding.level(), zh, en, page: console.page(finding) }
}

/// All of it for a chat: what it comes to, the worst first, and what is fine in one line.
pub fn in_chat(lines: &[Line]) -> Text {
    let mut said = vec![sum(lines)];
    for (level, mark) in [(Level::Failure, "❌"), (Level::Warning, "⚠️"), (Level::Unverified, "❔")] {
        said.extend(lines.iter().filter(|line| line.level == level).map(|line| {
            let page = line.page.as_ref().map(|page| format!(" {page}")).unwrap_or_default();
            Text::new(format!("{mark} {}{page}", line.zh), format!("{mark} {}{page}", line.en))
        }));
    }
    let wrong = |subject: Subject| lines.iter().any(|line| line.subject == subject && line.level > Level::Fine);
    let mut fine: Vec<Text> = vec![];
    for line in lines.iter().filter(|line| !wrong(line.subject)) {
        let topic = topic(line.subject);
        if !fine.contains(&topic) {
            fine.push(topic);
        }
    }
    if !fine.is_empty() {
        let (zh, en): (Vec<_>, Vec<_>) = fine.into_iter().map(|topic| (topic.zh, topic.en.to_lowercase())).unzip();
        said.push(Text::new(format!("✅ 正常：{}", zh.join("、")), format!("✅ Fine: {}", en.join(", "))));
    }
    Text::lines(&said)
}

/// What all of it comes to.
pub fn sum(lines: &[Line]) -> Text {
    let of = |level: Level| lines.iter().filter(|line| line.level == level).count();
    let (failures, warnings, unverified) = (of(Level::Failure), of(Level::Warning), of(Level::Unverified));
    let also = Text::new(
        format!("{warnings} 处警告，{unverified} 处无法从外面验证"),
        format!("{}, {unverified} that cannot be told from outside", count(warnings, "warning")),
    );
    match failures {
        0 => Text::new(
            format!("没有会挡住群发的问题；{}。", also.zh),
            format!("Nothing stops a broadcast; {}.", also.en),
        ),
        _ => Text::new(
            format!("{failures} 处会挡住群发；{}。", also.zh),
            format!("{} would stop a broadcast; {}.", count(failures, "failure"), also.en),
        ),
    }
}

fn sentence(finding: &Finding, zone: &TimeZone) -> Text {
    match finding {
        Finding::SignedIn => {
            Text::new("飞书接受 App ID 和 App Secret。", "Feishu accepts the App ID and the App Secret.")
        }
        Finding::Refused { subject, code, scopes } => refused(*subject, *code, scopes),
        Finding::Silent { subject, why } => silent(*subject, *why),
        Finding::NotLookedAt => Text::new(
            "应用无法登录，所以机器人、权限、通讯录和人员都没有检查。",
            "The app cannot sign in, so bot, scopes, contacts and people were not looked at.",
        ),
        Finding::Clock { ahead_ms } => clock(*ahead_ms),
        Finding::ClockUnknown => {
            Text::new("飞书的应答没有日期，无法比较时钟。", "Feishu's answer bears no date to compare clocks with.")
        }
        Finding::Bot { name } => {
            Text::new(format!("机器人「{name}」已启用。"), format!("The bot “{name}” is enabled."))
        }
        Finding::BotNotEnabled { status } => bot_status(*status),
        Finding::Scopes { granted } => Text::new(
            format!("用到的权限都已开通（共 {granted} 项）。"),
            format!("Every scope that is used is granted ({granted} in all)."),
        ),
        Finding::ScopeMissing { need, waiting } => scopes::missing(need, *waiting),
        Finding::AllMembers { departments } => Text::new(
            format!("通讯录权限范围是全部成员，一级部门 {departments} 个。"),
            format!("The contact range is all members: {} at the top.", count(*departments, "department")),
        ),
        Finding::SomeMembers { departments, people, groups } => Text::new(
            format!(
                "通讯录权限范围只有 {departments} 个部门（含下级）、{people} 人、{groups} 个用户组：别的部门没有路径和人数，也不能由机器人读取。权限管理 → 通讯录权限范围。"
            ),
            format!(
                "The contact range holds {} (and what is below), {} and {} only: others show no path and no headcount. Permissions → contact range.",
                count(*departments, "department"),
                count(*people, "person"),
                count(*groups, "user group")
            ),
        ),
        Finding::NoMembers => Text::new(
            "通讯录权限范围是空的，机器人看不到任何部门和人。权限管理 → 通讯录权限范围，选「全部成员」，然后发布版本。",
            "The contact range is empty: the bot sees nobody. Permissions → contact range → all members, then publish a version.",
        ),
        Finding::People { admins, approvers } => Text::new(
            format!("管理员 {admins} 人、审批人 {approvers} 人，飞书都认识。"),
            format!("{} and {}, all known to Feishu.", count(*admins, "admin"), count(*approvers, "approver")),
        ),
        Finding::UnknownPeople { ids, too_few } => {
            let few = match too_few {
                true => Text::new("其余的人不够发起或审批。", " Too few others are left to propose or to approve."),
                false => Text::default(),
            };
            let ids = ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            Text::new(
                format!(
                    "设置或规则里的这些 open_id，本应用不认识，或不在通讯录权限范围内：{ids}。open_id 每个应用不同，请本人给机器人发 /whoami 核对。{}",
                    few.zh
                ),
                format!(
                    "These open_ids of the settings or rules are not known to this app, or outside of its contact range: {ids}. Each app has open_ids of its own: let them write /whoami to the bot.{}",
                    few.en
                ),
            )
        }
        Finding::NoPublicUrl => Text::new(
            "没有设置 PUBLIC_URL：不能 /login，也就不能按名称查部门；外网地址也没有检查。",
            "PUBLIC_URL is not set: there is no /login, so departments are not found by name; the public address was not looked at.",
        ),
        Finding::RedirectListed { uri } => Text::new(
            format!("授权页接受重定向 URL {uri}。"),
            format!("The consent page takes the redirect URL {uri}."),
        ),
        Finding::RedirectUnproven { uri } => Text::new(
            format!(
                "授权页要先登录，从外面看不出重定向 URL 是否在列表里。核对 安全设置 → 重定向 URL：{uri}，或者 /login 试一次。"
            ),
            format!(
                "The consent page wants a login first, so nobody can tell from outside whether the redirect URL is listed. Compare Security Settings → Redirect URLs: {uri}, or try /login."
            ),
        ),
        Finding::RedirectNotListed { uri } => Text::new(
            format!("重定向 URL 不在应用的列表里，/login 会失败。安全设置 → 重定向 URL，添加 {uri}，一字不差。"),
            format!(
                "The redirect URL is not in the app's list, so /login fails. Security Settings → Redirect URLs, add {uri}, letter for letter."
            ),
        ),
        Finding::UserScopesNotEnabled => Text::new(
            "用户身份的权限没有全部开通，/login 会失败。权限管理，用户身份：contact:contact.base:readonly、contact:department.base:readonly、contact:department.organize:readonly、offline_access，然后发布版本。",
            "Not every scope of the user identity is enabled, so /login fails. Permissions, user identity: contact:contact.base:readonly, contact:department.base:readonly, contact:department.organize:readonly, offline_access; then publish a version.",
        ),
        Finding::ConsentPageSilent { why } => {
            let Text { zh, en } = because(*why);
            Text::new(
                format!("从这里打不开授权页：{zh}。打开它的是管理员的浏览器，请在那里试 /login。"),
                format!(
                    "The consent page does not open from here: {en}. The admins' browsers open it: try /login there."
                ),
            )
        }
        Finding::ConsentRefused { status } => Text::new(
            format!("授权页应答 HTTP {status}：核对 FEISHU_APP_ID 和 FEISHU_ACCOUNTS_URL。"),
            format!("The consent page answers HTTP {status}: compare FEISHU_APP_ID and FEISHU_ACCOUNTS_URL."),
        ),
        Finding::Address { url, knock } => address::answered(url, knock),
        Finding::BodyRewritten { url } => address::changed(url),
        Finding::Sealed => Text::new("事件是加密并签名的。", "Events are encrypted and signed."),
        Finding::PlainText => Text::new(
            "没有 Encrypt Key：事件不加密也不签名，只靠 Verification Token。事件与回调 → 加密策略，设一个 Encrypt Key → FEISHU_ENCRYPT_KEY。",
            "There is no Encrypt Key: events are neither encrypted nor signed, only the Verification Token tells them. Events & Callbacks → Encryption Strategy, set an Encrypt Key → FEISHU_ENCRYPT_KEY.",
        ),
        Finding::Previous(previous) => previous::said(previous),
        Finding::Store(database) => store(database),
        Finding::TimeZone { name, now } => Text::new(
            format!("时间按 {name} 显示，现在是 {}。", moment(*now, zone)),
            format!("Times are shown for {name}, where it is {} now.", moment(*now, zone)),
        ),
        Finding::Policy { trouble: Some(trouble), .. } => Text::new(
            format!("规则文件读不懂，仍按原来的规则：{trouble}"),
            format!("The policy file cannot be read, the rules of before are in force: {trouble}"),
        ),
        Finding::Policy { file, required, trouble: None } => Text::new(
            format!("{}，默认需要 {required} 个审批。", if *file { "规则文件读得懂" } else { "没有规则文件" }),
            format!(
                "{}; {} by default.",
                if *file { "The policy file is in force" } else { "No policy file" },
                count(*required, "approval")
            ),
        ),
        Finding::SendingUnproven => Text::new(
            "群发给人和部门，只有真的发一次才能证明：先给自己发一条。",
            "Sending to people and departments is proved by sending alone: send one to yourself first.",
        ),
    }
}

fn refused(subject: Subject, code: i64, scopes: &[String]) -> Text {
    let Text { zh, en } = advice(code);
    let named = if scopes.is_empty() { String::new() } else { format!(" ({})", scopes.join(", ")) };
    Text::new(
        format!("{}：飞书拒绝，错误码 {code}。{zh}{named}", topic(subject).zh),
        format!("{}: Feishu refuses with code {code}. {en}{named}", topic(subject).en),
    )
}

fn silent(subject: Subject, why: Silence) -> Text {
    let Text { zh, en } = because(why);
    Text::new(
        format!("{}：问不到飞书，{zh}。", topic(subject).zh),
        format!("{}: Feishu cannot be asked: {en}.", topic(subject).en),
    )
}

fn topic(subject: Subject) -> Text {
    match subject {
        Subject::Credentials => Text::new("登录", "Sign-in"),
        Subject::Bot => Text::new("机器人", "Bot"),
        Subject::Scopes => Text::new("权限", "Scopes"),
        Subject::Contacts => Text::new("通讯录", "Contacts"),
        Subject::People => Text::new("管理员和审批人", "Admins and approvers"),
        Subject::Clock => Text::new("时钟", "Clock"),
        Subject::Redirect => Text::new("授权页", "Consent page"),
        Subject::Address => Text::new("外网地址", "Public address"),
        Subject::Encryption => Text::new("加密", "Encryption"),
        Subject::Rotation => Text::new("更换密钥", "Key rotation"),
        Subject::Store => Text::new("数据库", "Database"),
        Subject::TimeZone => Text::new("时区", "Time zone"),
        Subject::Policy => Text::new("规则", "Rules"),
        Subject::Sending => Text::new("群发", "Sending"),
    }
}

fn because(why: Silence) -> Text {
    match why {
        Silence::NoConnection => Text::new(
            "连不上（DNS、防火墙、端口，或需要代理 HTTPS_PROXY）",
            "no connection (DNS, firewall, port, or a proxy is needed: HTTPS_PROXY)",
        ),
        Silence::Certificate => Text::new(
            "证书不被信任（证书不全或过期，或公司代理换了证书：把它的 CA 加到系统里或 SSL_CERT_FILE）",
            "the certificate is not trusted (incomplete or expired, or a company proxy put its own there: add its CA to the system's or SSL_CERT_FILE)",
        ),
        Silence::NoAnswer => Text::new("没有及时应答", "no answer in time"),
        Silence::Nonsense => Text::new(
            "应答不是飞书的（FEISHU_OPEN_URL 或中间的代理）",
            "the answer is not Feishu's (FEISHU_OPEN_URL, or a proxy between)",
        ),
    }
}

fn clock(ahead_ms: i64) -> Text {
    let off = Duration::from_millis(ahead_ms.unsigned_abs());
    let Text { zh, en } = duration(off);
    if off < CLOCK_WARNS {
        return Text::new(format!("本机时钟与飞书相差 {zh}。"), format!("This machine's clock is {en} off Feishu's."));
    }
    if ahead_ms < 0 {
        return Text::new(
            format!("本机时钟比飞书慢 {zh}，慢 10 分钟以上事件会被拒绝：启用 NTP（timedatectl set-ntp true）。"),
            format!(
                "This machine's clock is {en} behind Feishu's; from 10 minutes on events are refused: use NTP (timedatectl set-ntp true)."
            ),
        );
    }
    Text::new(
        format!("本机时钟比飞书快 {zh}，定时的群发会提前：启用 NTP（timedatectl set-ntp true）。"),
        format!(
            "This machine's clock is {en} ahead of Feishu's, so what is scheduled leaves early: use NTP (timedatectl set-ntp true)."
        ),
    )
}

/// Source: contract "bot identity".
fn bot_status(status: u64) -> Text {
    let (zh, en) = match status {
        0 => ("还没有启用：创建版本并发布", "not enabled yet: create a version and publish it"),
        1 => ("被企业停用：管理后台 → 应用管理 → 启用", "disabled by the tenant: admin console → apps → enable"),
        3 => (
            "已安装，等待启用：管理后台 → 应用管理 → 启用",
            "installed and to be enabled: admin console → apps → enable",
        ),
        4 => (
            "升级后等待启用：管理后台 → 应用审核 → 通过",
            "upgraded and to be enabled: admin console → app review → approve",
        ),
        5 => ("许可已过期：联系企业管理员", "its license has expired: ask the tenant's admin"),
        6 => ("套餐已到期或降级：联系企业管理员", "the plan has expired or was lowered: ask the tenant's admin"),
        _ => ("没有启用", "not enabled"),
    };
    Text::new(format!("机器人{zh}（状态 {status}）。"), format!("The bot is {en} (status {status})."))
}

fn store(database: &Database) -> Text {
    match database {
        Database::Ready { version } => Text::new(
            format!("数据库是当前版本（{version}）。"),
            format!("The database is of this version ({version})."),
        ),
        Database::New => {
            Text::new("还没有数据库，首次启动时建立。", "There is no database yet; the first start makes it.")
        }
        Database::Older { found, known } => Text::new(
            format!("数据库是版本 {found}，下次启动时升到 {known}。先备份，见 deploy/backup.md。"),
            format!(
                "The database is of version {found}; the next start brings it to {known}. Back it up first, see deploy/backup.md."
            ),
        ),
        Database::Newer { found, known } => Text::new(
            format!(
                "数据库的版本 {found} 比本程序认识的 {known} 新：用原来的新版程序，或恢复升级前的备份（deploy/backup.md）。"
            ),
            format!(
                "The database is of version {found}, newer than this program knows ({known}): use the newer program, or restore the backup of before (deploy/backup.md)."
            ),
        ),
        Database::Broken { said } => Text::new(
            format!("打不开数据库，核对 DATABASE_URL：{said}"),
            format!("The database cannot be opened, compare DATABASE_URL: {said}"),
        ),
    }
}
