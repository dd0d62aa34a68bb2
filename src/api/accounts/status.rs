//! The one word for how an account stands (accounts §0.3, dashboard §4.2). The axes behind it stay beside it: a word
//! is for people, a program reads the axes.

use serde_json::{Value, json};

use crate::actors::snapshot::Snapshot;
use crate::clock::UnixMs;
use crate::provider::quota::{Rhythm, Status as Standing, Window};
use crate::routing::account::{AccountView, ShownAuth};
use crate::routing::classify::Class;
use crate::routing::lock::{Lock, Scope};

/// A word, a sentence, and the instant at which it is to be looked at again, Unix ms.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::api) struct Status {
    pub(in crate::api) word: &'static str,
    pub(in crate::api) text: String,
    pub(in crate::api) until: Option<UnixMs>,
}

/// How a quota stands, over its windows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::api) enum Quota {
    Unknown,
    Ok,
    Low,
    Exhausted,
}

impl Quota {
    pub(in crate::api) fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Ok => "ok",
            Self::Low => "low",
            Self::Exhausted => "exhausted",
        }
    }
}

/// How an account stands at `now`.
pub(in crate::api) fn of(now: UnixMs, view: &AccountView, reserve: u8) -> Status {
    let status = |word, text: &str, until| Status { word, text: text.to_owned(), until };
    if !view.config.enabled {
        return status("off", "You turned this off", None);
    }
    match &view.shown.auth {
        ShownAuth::Dead { reason, .. } => {
            let text = format!("{}; sign in again or replace the credential", in_words(reason));
            return status("sign_in_again", &text, None);
        }
        ShownAuth::Expired { next_try: Some(at) } => {
            return status("token_expired", "a new token is asked for again", Some(*at));
        }
        ShownAuth::Expired { next_try: None } => {
            return status(
                "token_expired",
                "there is no way to a new token; sign in or import again",
                None,
            );
        }
        ShownAuth::Ok | ShownAuth::Refreshing | ShownAuth::Expiring { .. } => {}
    }
    if view.faulted {
        return status(
            "unstable",
            "its actor failed again and again; it is started again soon",
            None,
        );
    }
    if view.missing_params {
        return status("unstable", "a mandatory parameter has no value; set it in `params`", None);
    }
    let open: Vec<&Lock> = view.locks.iter().filter(|lock| lock.until > now).collect();
    let whole = open.iter().filter(|lock| lock.scope == Scope::All).max_by_key(|lock| lock.until);
    if let Some(lock) = whole {
        let word =
            if lock.class == Class::QuotaExhausted { "out_of_quota" } else { "cooling_down" };
        return status(word, &lock.reason, Some(lock.until));
    }
    let quota = quota(now, view);
    if quota == Quota::Exhausted {
        return status("out_of_quota", "its quota is used up", resets(now, view));
    }
    let kept = view.gates.iter().find(|gate| {
        gate.reservable && gate.scope == Scope::All && !gate.has_reset(now) && gate.left <= reserve
    });
    if let Some(gate) = kept.filter(|_| reserve > 0) {
        let text = format!("the last {reserve} % are kept in reserve");
        return status("reserved", &text, gate.resets_at);
    }
    if !open.is_empty() {
        let scopes: Vec<String> = open.iter().map(|lock| lock.scope.to_string()).collect();
        let until = open.iter().map(|lock| lock.until).min();
        return status("partly_blocked", &scopes.join(", "), until);
    }
    if let ShownAuth::Expiring { until } = view.shown.auth {
        return status("expires_soon", "the sign-in ends; sign in again", Some(until));
    }
    match quota {
        Quota::Low => status("low", "little of its quota is left", resets(now, view)),
        Quota::Unknown if view.last_used_at == 0 => status("unused", "Eligible; no data yet", None),
        Quota::Unknown | Quota::Ok | Quota::Exhausted => status("ready", "", None),
    }
}

/// The quota axis from the windows that count for the whole account. One that has reset says nothing any more.
pub(in crate::api) fn quota(now: UnixMs, view: &AccountView) -> Quota {
    let worst = windows(view)
        .filter(|window| window.resets_at.is_none_or(|at| at > now))
        .map(|window| window.status)
        .max();
    match worst {
        Some(Standing::Exhausted) => Quota::Exhausted,
        Some(Standing::Critical | Standing::Low) => Quota::Low,
        Some(Standing::Ok) => Quota::Ok,
        Some(Standing::Unknown) | None => Quota::Unknown,
    }
}

/// When the tightest window of the whole account resets.
fn resets(now: UnixMs, view: &AccountView) -> Option<UnixMs> {
    let tight = windows(view).filter(|window| window.status >= Standing::Low);
    tight.filter_map(|window| window.resets_at).filter(|at| *at > now).max()
}

fn windows(view: &AccountView) -> impl Iterator<Item = &Window> {
    let all = view.shown.quota.as_deref().map(|quota| quota.windows.as_slice());
    let plan = |window: &&Window| window.scope == Scope::All && window.rhythm == Rhythm::Plan;
    all.unwrap_or_default().iter().filter(plan)
}

/// Percent of each window an account keeps in reserve (accounts §4.7).
pub(in crate::api) fn reserve(view: &AccountView, snapshot: &Snapshot) -> u8 {
    let usual = || snapshot.reserve(&view.config.provider).percent;
    view.config.min_remaining_percent.unwrap_or_else(usual)
}

fn in_words(reason: &str) -> &str {
    match reason {
        "revoked" => "the sign-in was revoked",
        "key_rejected" => "the vendor refuses the key",
        "banned" => "the vendor suspended the account",
        "verify" => "the vendor wants the owner to verify the account",
        "retired" => "the vendor ended this service",
        "secrets_unreadable" => "its credential cannot be read with this master key",
        other => other,
    }
}

/// How many accounts stand how, in the five groups of `GET /api/status`.
pub(in crate::api) fn counts(now: UnixMs, views: &[AccountView], snapshot: &Snapshot) -> Value {
    let (mut ready, mut low, mut out, mut attention, mut off) = (0, 0, 0, 0, 0);
    for view in views {
        let group = match of(now, view, reserve(view, snapshot)).word {
            "off" => &mut off,
            "sign_in_again" | "token_expired" | "expires_soon" => &mut attention,
            "out_of_quota" | "cooling_down" => &mut out,
            "low" | "reserved" => &mut low,
            _ => &mut ready,
        };
        *group += 1;
    }
    json!({"ready": ready, "low": low, "out": out, "attention": attention, "off": off})
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::provider::quota::Document;
    use crate::routing::account::{AccountConfig, AccountKind, AuthState, Shown};
    use crate::routing::gate::{Gate, Level};

    const NOW: UnixMs = 1_800_000_000_000;

    fn view() -> AccountView {
        AccountView {
            config: Arc::new(AccountConfig::new("claude".into(), AccountKind::OAuth, "a".into())),
            auth: AuthState::Ok,
            locks: Vec::new(),
            in_flight: 0,
            max_concurrent: 8,
            missing_params: false,
            faulted: false,
            gates: Vec::new(),
            last_used_at: 0,
            has_served: false,
            asked: 0,
            shown: Arc::new(Shown::default()),
        }
    }

    fn lock(scope: Scope, class: Class, until: UnixMs) -> Lock {
        Lock { scope, until, reason: "why".into(), class, level: 0, set_at: NOW }
    }

    fn shown(change: impl Fn(&mut Shown)) -> Arc<Shown> {
        let mut shown = Shown::default();
        change(&mut shown);
        Arc::new(shown)
    }

    fn word(change: impl Fn(&mut AccountView)) -> &'static str {
        let mut view = view();
        change(&mut view);
        of(NOW, &view, 10).word
    }

    #[test]
    fn the_word_follows_the_order_of_the_axes() {
        let later = NOW + 60_000;
        let dead = || shown(|s| s.auth = ShownAuth::Dead { reason: "revoked".into(), since: 1 });
        let quota = |status: Standing, scope: Scope| {
            let mut window = Window::new("5h", "Session", scope);
            (window.status, window.resets_at) = (status, Some(later));
            let mut document = Document::empty(view().config.id, "claude");
            document.windows = vec![window];
            shown(|s| s.quota = Some(Arc::new(document.clone())))
        };
        assert_eq!(word(|_| {}), "unused");
        assert_eq!(word(|v| v.last_used_at = 1), "ready");
        assert_eq!(word(|v| v.shown = dead()), "sign_in_again");
        assert_eq!(
            word(|v| {
                v.shown = dead();
                Arc::make_mut(&mut v.config).enabled = false;
            }),
            "off"
        );
        let kept = Gate {
            scope: Scope::All,
            level: Level::Open,
            left: 10,
            reservable: true,
            resets_at: Some(later),
            since: NOW,
        };
        let expired = |next_try| shown(|s| s.auth = ShownAuth::Expired { next_try });
        assert_eq!(word(|v| v.shown = expired(Some(later))), "token_expired");
        let all = |class| lock(Scope::All, class, later);
        assert_eq!(word(|v| v.locks = vec![all(Class::RateLimited)]), "cooling_down");
        assert_eq!(word(|v| v.locks = vec![all(Class::QuotaExhausted)]), "out_of_quota");
        assert_eq!(word(|v| v.shown = quota(Standing::Exhausted, Scope::All)), "out_of_quota");
        assert_eq!(
            word(|v| v.shown = quota(Standing::Exhausted, Scope::Family("opus".into()))),
            "unused"
        );
        assert_eq!(word(|v| v.shown = quota(Standing::Critical, Scope::All)), "low");
        assert_eq!(word(|v| v.shown = quota(Standing::Ok, Scope::All)), "ready");
        assert_eq!(word(|v| v.gates = vec![kept.clone()]), "reserved");
        // A lock on one model never turns the whole account red.
        let model = lock(Scope::Model("m".into()), Class::RateLimited, later);
        assert_eq!(word(|v| v.locks = vec![model.clone()]), "partly_blocked");
        let over = lock(Scope::All, Class::RateLimited, NOW);
        assert_eq!(word(|v| v.locks = vec![over.clone()]), "unused");
        let expiring = shown(|s| s.auth = ShownAuth::Expiring { until: later });
        assert_eq!(word(|v| v.shown = Arc::clone(&expiring)), "expires_soon");
    }
}
