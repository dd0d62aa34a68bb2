//! What a request may cost, set aside before it is sent: limits of its key, and budgets that count it whatever serves it.

use std::sync::Arc;

use ninerouter_dialect::ErrorKind;

use crate::actors::budgets::{Amount, Blocked, Reservation};
use crate::actors::checkout::Journey;
use crate::actors::shared::Shared;
use crate::actors::snapshot::Snapshot;
use crate::auth::key::KeyRecord;
use crate::auth::limits::KeyPermit;
use crate::auth::refusal::Refusal as Denial;
use crate::clock::UnixMs;
use crate::gateway::reply::Refusal;
use crate::routing::account::Tier;
use crate::routing::budget::{BudgetScope, BudgetWindow};
use crate::routing::outcome::human_duration;
use crate::routing::resolve::Resolved;
use crate::routing::target::Target;

/// Takes the request's share of its key's limits and of the budgets of everything, its key and its combo. Those of
/// providers and accounts are the router's, per attempt.
///
/// # Errors
/// The refusal to render.
pub(super) fn set_aside(
    shared: &Shared,
    snapshot: &Snapshot,
    key: Option<&Arc<KeyRecord>>,
    journey: &Journey,
) -> Result<(Option<KeyPermit>, Option<Reservation>), Box<Refusal>> {
    let now = shared.clock.now_ms();
    let permit = key.map(|key| {
        let estimate = if key.limits_money() { paid(journey, snapshot) } else { 0 };
        shared.limits.reserve(key, estimate, now)
    });
    let permit = permit.transpose().map_err(|no| Box::new(Refusal::from(Denial::from(no))))?;
    let combo = journey.combo().map(|combo| combo.id);
    let budget = shared
        .budgets
        .reserve_request(key.map(|key| key.id), combo, || amount(journey, snapshot), now)
        .map_err(|blocked| Box::new(refusal(&blocked, now)))?;
    Ok((permit, budget))
}

fn paid(journey: &Journey, snapshot: &Snapshot) -> i64 {
    let first = first(journey, snapshot);
    let paid = first.and_then(|(to, tier)| snapshot.price(&to, tier, journey.estimate).paid);
    paid.unwrap_or(0)
}

fn amount(journey: &Journey, snapshot: &Snapshot) -> Amount {
    let first = first(journey, snapshot);
    let amount = first.map(|(to, tier)| snapshot.estimate(&to, tier, journey.estimate));
    amount.unwrap_or_default()
}

/// Where the request goes first; an attempt elsewhere is estimated anew.
fn first(journey: &Journey, snapshot: &Snapshot) -> Option<(Arc<Target>, Tier)> {
    let target = match &journey.resolved {
        Resolved::Target(target) => Arc::clone(target),
        resolved @ Resolved::Combo { .. } => snapshot.leaves(resolved).into_iter().next()?,
    };
    let tier = snapshot.tier(&target.provider, None);
    Some((target, tier))
}

/// A budget that counts the request whatever serves it is used up (endpoints §5).
fn refusal(blocked: &Blocked, now: UnixMs) -> Refusal {
    let whose = match blocked.scope {
        BudgetScope::ApiKey(_) => "of this API key",
        BudgetScope::Combo(_) => "of this combo",
        BudgetScope::All | BudgetScope::Provider(_) | BudgetScope::Account(_) => "of this router",
    };
    let window = match blocked.window {
        BudgetWindow::FiveHours => "5 hours",
        BudgetWindow::Day => "the day",
        BudgetWindow::Week => "the week",
        BudgetWindow::Month => "the month",
        BudgetWindow::Total => "all time",
    };
    let wait_ms = blocked.until.saturating_sub(now).max(1);
    let wait = human_duration(wait_ms);
    let message = format!(
        "the spending limit {whose} for {window} is reached; try again in {wait}, or have it raised"
    );
    Refusal::new(ErrorKind::Quota, message)
        .code("budget_exceeded")
        .retry_after(wait_ms.unsigned_abs().div_ceil(1_000))
}
