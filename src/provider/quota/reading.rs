//! What one answer told of an account's quota.

use crate::clock::UnixMs;
use crate::provider::quota::document::{Credits, Source};
use crate::provider::quota::window::{Status, Window};
use crate::routing::lock::Scope;

/// One observation.
#[derive(Clone, PartialEq, Debug)]
pub struct Reading {
    /// Who told it.
    pub source: Source,
    /// As of when, Unix ms. For a usage endpoint: when it was asked, so that a slow answer is an old one.
    pub observed_at: UnixMs,
    /// Name of the plan.
    pub plan: Option<String>,
    /// What it says of windows. Windows it does not name stay as they are.
    pub windows: Vec<Window>,
    /// What it says of credits.
    pub credits: Option<Credits>,
    /// The answer was served beyond the plan, at extra cost (accounts §4.6).
    pub overage: Option<Overage>,
}

/// Use beyond the plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Overage {
    /// What is billed.
    pub scope: Scope,
    /// When the plan serves again, Unix ms.
    pub until: Option<UnixMs>,
}

impl Reading {
    /// An observation that says nothing yet.
    #[must_use]
    pub fn new(source: Source, observed_at: UnixMs) -> Self {
        Self { source, observed_at, plan: None, windows: Vec::new(), credits: None, overage: None }
    }

    /// Takes windows in, dated.
    pub(super) fn take(&mut self, windows: impl IntoIterator<Item = Window>) {
        let (source, observed_at) = (self.source, self.observed_at);
        self.windows.extend(windows.into_iter().map(|window| Window {
            observed_at,
            source,
            ..window
        }));
    }

    /// True when nothing was told.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty() && self.plan.is_none() && self.credits.is_none()
    }

    /// True when the next request should know of it at once: a window near its end, or use that costs extra.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        self.overage.is_some() || self.windows.iter().any(|w| w.status >= Status::Critical)
    }

    /// The use beyond the plan that `spent` windows show: the one that lasts longest.
    pub(super) fn overage_of<'w>(spent: impl Iterator<Item = &'w Window>) -> Option<Overage> {
        let longest = spent.max_by_key(|window| (window.scope == Scope::All, window.resets_at))?;
        Some(Overage { scope: longest.scope.clone(), until: longest.resets_at })
    }
}
