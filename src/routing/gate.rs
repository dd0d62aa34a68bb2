//! What quota windows mean for routing: which scopes of an account are used up, and how much is left elsewhere.

use crate::clock::UnixMs;
use crate::provider::quota::window::{Rhythm, Status};
use crate::provider::quota::{Document, Source, Window};
use crate::routing::lock::Scope;
use crate::routing::target::Target;

/// How a gate stands while its window has not reset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    /// There is something left.
    Open,
    /// A throttle is used up: others are asked first.
    Thin,
    /// The plan is used up: refused until the reset.
    Spent,
}

/// One quota window as a choice of account sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gate {
    /// What it covers.
    pub scope: Scope,
    /// How it stands.
    pub level: Level,
    /// Percent left, rounded up.
    pub left: u8,
    /// An allowance of the plan, of which a part may be kept in reserve.
    pub reservable: bool,
    /// When it resets, Unix ms. It may have passed.
    pub resets_at: Option<UnixMs>,
    /// When it was seen, Unix ms.
    pub since: UnixMs,
}

impl Gate {
    /// True when its reset has passed: its numbers say nothing any more.
    #[must_use]
    pub fn has_reset(&self, now: UnixMs) -> bool {
        self.resets_at.is_some_and(|at| at <= now)
    }
}

/// The gates of a document. Windows nobody knows anything of make none: unknown is eligible.
///
/// A used-up window without a reset makes an open gate: a lock of the re-probe ladder stands for it. Nor do windows
/// that only an error told: that error set a lock. With `allow_overage` use beyond the plan goes on.
#[must_use]
pub fn gates(document: &Document, allow_overage: bool) -> Vec<Gate> {
    document.windows.iter().filter_map(|window| gate(window, allow_overage)).collect()
}

fn gate(window: &Window, allow_overage: bool) -> Option<Gate> {
    let left = window.percent_left()?;
    let paid_for = window.overage && allow_overage;
    let spent = window.status == Status::Exhausted && !paid_for;
    let level = match (spent, window.rhythm, window.resets_at) {
        (true, Rhythm::Throttle, Some(_)) => Level::Thin,
        (true, Rhythm::Plan, Some(_)) => Level::Spent,
        _ => Level::Open,
    };
    if window.source == Source::Error {
        return None;
    }
    Some(Gate {
        scope: window.scope.clone(),
        level,
        left,
        reservable: window.rhythm == Rhythm::Plan && !window.unlimited && !paid_for,
        resets_at: window.resets_at,
        since: window.observed_at,
    })
}

/// Percent left in the window that binds for the target, and when that one resets; `None` = nothing is known.
#[must_use]
pub fn binding(now: UnixMs, gates: &[Gate], target: &Target) -> Option<(u8, Option<UnixMs>)> {
    let known = gates.iter().filter(|gate| !gate.has_reset(now) && target.is_covered(&gate.scope));
    // Of two that are equally tight the later reset binds longer.
    let tightest = known.min_by_key(|gate| (gate.left, std::cmp::Reverse(gate.resets_at)))?;
    Some((tightest.left, tightest.resets_at))
}

/// What is kept in reserve.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Reserve {
    /// Percent of every plan window, where the account has no number of its own.
    pub percent: u8,
    /// The reserve is used when nothing else is left.
    pub soft: bool,
}

/// Why an account is passed over although it could serve.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Held {
    /// What is left is kept in reserve until then, Unix ms (`None` = unknown).
    Reserved(Option<UnixMs>),
    /// A throttle is used up until then, Unix ms.
    Thin(UnixMs),
}

/// Whether others are asked before this account. `own` is the account's own reserve.
#[must_use]
pub fn held(
    now: UnixMs,
    gates: &[Gate],
    target: &Target,
    own: Option<u8>,
    reserve: Reserve,
) -> Option<Held> {
    let percent = own.unwrap_or(reserve.percent);
    let mut thin = None;
    for gate in gates {
        let counts = gate.level == Level::Thin || (percent > 0 && gate.reservable);
        if !counts || gate.has_reset(now) || !target.is_covered(&gate.scope) {
            continue;
        }
        if percent > 0 && gate.reservable && gate.left <= percent {
            return Some(Held::Reserved(gate.resets_at));
        }
        if let (Level::Thin, Some(at)) = (gate.level, gate.resets_at) {
            thin = thin.max(Some(at));
        }
    }
    thin.map(Held::Thin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::AccountId;
    use crate::provider::catalog::Catalog;
    use crate::routing::target::Wishes;

    const NOW: UnixMs = 1_790_000_000_000;
    const RESET: UnixMs = NOW + 3_600_000;

    fn target(model: &str) -> Target {
        let catalog = Catalog::builtin().unwrap();
        Target::new(catalog.by_prefix("cc").unwrap(), model, Wishes::default()).unwrap()
    }

    fn family(name: &str) -> Scope {
        Scope::Family(name.to_owned())
    }

    fn plan(scope: Scope, used: f64) -> Window {
        Window::new("w", "W", scope).percent(Some(used)).resets(Some(RESET))
    }

    fn throttle(used: f64) -> Window {
        Window { rhythm: Rhythm::Throttle, ..plan(Scope::All, used) }
    }

    fn gates_of(windows: Vec<Window>) -> Vec<Gate> {
        let mut document = Document::empty(AccountId::new(), "claude");
        document.windows = windows;
        gates(&document, false)
    }

    #[test]
    fn the_tightest_window_that_covers_the_model_binds() {
        let gates = gates_of(vec![plan(Scope::All, 30.0), plan(family("opus"), 90.0)]);
        assert_eq!(binding(NOW, &gates, &target("claude-opus-4-6")), Some((10, Some(RESET))));
        assert_eq!(binding(NOW, &gates, &target("claude-sonnet-4-6")), Some((70, Some(RESET))));
        assert_eq!(binding(RESET, &gates, &target("claude-sonnet-4-6")), None, "it has reset");
        assert_eq!(binding(NOW, &[], &target("claude-sonnet-4-6")), None);
    }

    #[test]
    fn levels_follow_rhythm_reset_and_overage() {
        let level = |window: Window| gates_of(vec![window]).pop().map(|gate| gate.level);
        assert_eq!(level(plan(Scope::All, 99.0)), Some(Level::Open));
        assert_eq!(level(plan(Scope::All, 100.0)), Some(Level::Spent));
        assert_eq!(level(throttle(100.0)), Some(Level::Thin));
        assert_eq!(level(plan(Scope::All, 100.0).resets(None)), Some(Level::Open));
        let told = Window { source: Source::Error, ..plan(Scope::All, 100.0) };
        assert_eq!(level(told), None);
        assert_eq!(level(plan(Scope::All, 100.0).percent(None)), None);
        let mut document = Document::empty(AccountId::new(), "claude");
        document.windows = vec![Window { overage: true, ..plan(Scope::All, 100.0) }];
        assert_eq!(gates(&document, false)[0].level, Level::Spent);
        assert_eq!(gates(&document, true)[0].level, Level::Open);
    }

    #[test]
    fn the_reserve_is_the_accounts_own_else_the_wider_one() {
        let gates = gates_of(vec![plan(family("opus"), 90.0)]);
        let (opus, sonnet) = (target("claude-opus-4-6"), target("claude-sonnet-4-6"));
        let reserve = |percent| Reserve { percent, soft: true };
        let table = [
            (&opus, None, 0, None),
            (&opus, None, 9, None),
            (&opus, None, 10, Some(Held::Reserved(Some(RESET)))),
            (&opus, Some(0), 50, None),
            (&opus, Some(10), 0, Some(Held::Reserved(Some(RESET)))),
            (&sonnet, None, 50, None),
        ];
        for (target, own, percent, want) in table {
            assert_eq!(held(NOW, &gates, target, own, reserve(percent)), want, "{own:?} {percent}");
            assert_eq!(held(RESET, &gates, target, own, reserve(percent)), None);
        }
    }

    #[test]
    fn throttles_have_no_reserve_but_are_spared_when_used_up() {
        let sonnet = target("claude-sonnet-4-6");
        let reserve = Reserve { percent: 50, soft: false };
        let thin = gates_of(vec![throttle(100.0)]);
        assert_eq!(held(NOW, &thin, &sonnet, None, reserve), Some(Held::Thin(RESET)));
        let low = gates_of(vec![throttle(99.0)]);
        assert_eq!(held(NOW, &low, &sonnet, None, reserve), None);
    }
}
