//! What people may break on the page: each switch is one way in which the world goes wrong, and a sentence about it.
//!
//! Most arm a fault that is used up by the call it strikes; the switch then falls back by itself, because whether it is
//! on is read from the tenant and remembered nowhere else.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Map, Value, json};

use crate::sandbox::{Fault, Tenant, When, Wire};

/// Batches that are throttled before one passes: enough to be seen waiting, short enough to wait for.
const THROTTLED: u32 = 3;

/// Searches that fail before one works: fewer than the bot tries.
const SEARCHES_FAILED: u32 = 2;

/// One switch of the page.
struct Switch {
    id: &'static str,
    zh: &'static str,
    en: &'static str,
    trouble: Trouble,
}

/// How a switch works.
enum Trouble {
    /// Lies in wait for calls of the bot.
    Armed(fn() -> Fault),
    /// Every token of the app turns invalid; over as soon as the bot has fetched another.
    AppTokens,
    /// Every authorization that people gave turns invalid; over with the next login.
    Grants,
    /// Everything people write is pushed twice from now on.
    Twice,
}

const SWITCHES: [Switch; 8] = [
    Switch {
        id: "lost_answer",
        zh: "下一次批量发送：平台照发了，回答却在路上丢了。机器人不会擅自重发，而是标为「结果未知」，请人决定。",
        en: "The next batch goes out, but the answer is lost on the way. The bot does not send again on a guess: it calls \
             the batch in doubt and asks a person.",
        trouble: Trouble::Armed(|| Fault::lost_answer("batch_send")),
    },
    Switch {
        id: "rate_limit",
        zh: "接下来三次批量发送都被限流（429）。机器人按平台说的时间等，然后自己再发。",
        en: "The next three batch sends are throttled (429). The bot waits as long as the platform says, then sends.",
        trouble: Trouble::Armed(|| Fault::rate("batch_send", THROTTLED)),
    },
    Switch {
        id: "expired_token",
        zh: "应用的令牌突然全部失效。机器人换一个新的，把被拒的那次调用再做一遍。",
        en: "All tokens of the app turn invalid at once. The bot fetches a new one and makes the refused call again.",
        trouble: Trouble::AppTokens,
    },
    Switch {
        id: "gateway",
        zh: "下一次批量发送：网关回了一页 HTML 502。谁也不知道发没发出去，所以也是「结果未知」。",
        en: "The next batch send gets an HTML 502 from the gateway. Nobody can know whether it went out: in doubt as well.",
        trouble: Trouble::Armed(|| Fault::wire("batch_send", When::BeforeAccept, Wire::Html502)),
    },
    Switch {
        id: "missing_scope",
        zh: "下一次批量发送：应用没有给部门发消息的权限。机器人说清楚管理员该去哪里点什么。",
        en: "The next batch send is refused: the app lacks a scope. The bot says what to click, and where.",
        trouble: Trouble::Armed(missing_scope),
    },
    Switch {
        id: "search_fails",
        zh: "接下来两次搜索部门：平台内部错误（2200）。机器人稍等一下自己再试，命令照常往下走。",
        en: "The next two department searches fail inside the platform (2200). The bot waits a little and tries again.",
        trouble: Trouble::Armed(|| Fault::code("departments.search", 500, 2200).times(SEARCHES_FAILED)),
    },
    Switch {
        id: "login_lost",
        zh: "所有人给的搜索授权突然失效。下一次按名字找部门时，机器人请他重新登录，登录后命令自己继续。",
        en: "Every authorization to search turns invalid. The next search asks for a new login, then goes on by itself.",
        trouble: Trouble::Grants,
    },
    Switch {
        id: "twice",
        zh: "从现在起，人们发的每条消息平台都推送两遍。命令仍然只执行一次。",
        en: "From now on the platform pushes every message twice. Commands still run once.",
        trouble: Trouble::Twice,
    },
];

fn missing_scope() -> Fault {
    let violation = json!({"type": "action_privilege_required", "subject": "im:message:send_multi_depts"});
    let body = json!({"code": 99_991_672, "msg": "Access denied. One of the following scopes is required.",
        "error": {"permission_violations": [violation]}});
    Fault::body("batch_send", 400, body)
}

/// The same trouble, whatever is left of it.
fn same(fault: &Fault, other: &Fault) -> bool {
    fault.endpoint == other.endpoint && fault.effect == other.effect
}

/// The switches as the page lists them.
pub fn list(tenant: &Tenant, twice: &AtomicBool) -> Value {
    let state = states(tenant, twice);
    SWITCHES
        .iter()
        .map(|switch| json!({"id": switch.id, "zh": switch.zh, "en": switch.en, "on": state[switch.id]}))
        .collect()
}

/// Which switches are on now, by id.
pub fn states(tenant: &Tenant, twice: &AtomicBool) -> Map<String, Value> {
    tenant.with(|world| {
        SWITCHES
            .iter()
            .map(|switch| {
                let on = match switch.trouble {
                    Trouble::Armed(make) => world.faults.iter().any(|fault| same(fault, &make())),
                    Trouble::AppTokens => {
                        !world.tenant_tokens.is_empty() && world.tenant_tokens.iter().all(|token| token.revoked)
                    }
                    Trouble::Grants => !world.grants.is_empty() && world.grants.iter().all(|grant| grant.revoked),
                    Trouble::Twice => twice.load(Ordering::Relaxed),
                };
                (switch.id.to_owned(), on.into())
            })
            .collect()
    })
}

/// Turns a switch.
///
/// # Errors
/// There is no such switch, or it cannot be turned this way; says so in Chinese and in English.
pub fn turn(tenant: &Tenant, twice: &AtomicBool, id: &str, on: bool) -> Result<(), (&'static str, &'static str)> {
    let switch = SWITCHES.iter().find(|switch| switch.id == id).ok_or(("没有这个开关", "there is no such switch"))?;
    match (&switch.trouble, on) {
        (Trouble::Armed(make), _) => {
            let fault = make();
            tenant.with(|world| {
                world.faults.retain(|other| !same(&fault, other));
                if on {
                    world.faults.push(fault);
                }
            });
        }
        (Trouble::AppTokens, true) => tenant.revoke_app_tokens(),
        (Trouble::Grants, true) => {
            let nobody = tenant.with(|world| {
                world.grants.iter_mut().for_each(|grant| grant.revoked = true);
                world.grants.is_empty()
            });
            if nobody {
                return Err(("还没有人授权过，先发 /login", "nobody has authorized yet: say /login first"));
            }
        }
        (Trouble::AppTokens | Trouble::Grants, false) => {
            return Err(("失效的令牌不会复活，等机器人换新的", "a dead token stays dead until the bot gets another"));
        }
        (Trouble::Twice, _) => twice.store(on, Ordering::Relaxed),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_switch_that_is_turned_on_twice_and_off_once_is_off() {
        let (tenant, twice) = (Tenant::open(crate::sandbox::Company::small()), AtomicBool::new(false));
        for on in [true, true] {
            turn(&tenant, &twice, "rate_limit", on).expect("there is such a switch");
        }
        assert_eq!(states(&tenant, &twice)["rate_limit"], true);
        turn(&tenant, &twice, "rate_limit", false).expect("there is such a switch");
        assert_eq!(states(&tenant, &twice)["rate_limit"], false);
        assert!(tenant.faults().is_empty());
        assert!(turn(&tenant, &twice, "gravity", true).is_err());
        tenant.close().await;
    }

    #[test]
    fn no_two_switches_arm_the_same_fault() {
        let armed: Vec<Fault> = SWITCHES
            .iter()
            .filter_map(|switch| if let Trouble::Armed(make) = switch.trouble { Some(make()) } else { None })
            .collect();
        for (at, fault) in armed.iter().enumerate() {
            assert!(armed[at + 1..].iter().all(|other| !same(fault, other)), "{fault:?}");
        }
    }
}
