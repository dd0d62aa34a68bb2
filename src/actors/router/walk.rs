//! One walk through the plan's entries, until an account gives a lease.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{ASK, Desk};
use crate::actors::account::{Account, Acquire, Acquired, Denied};
use crate::actors::breakers::{Admitted, Probe};
use crate::actors::budgets::Reservation;
use crate::actors::checkout::{Journey, Skip, SkipReason};
use crate::actors::lease::Lease;
use crate::actors::snapshot::Snapshot;
use crate::actors::table::{Group, SharedTable};
use crate::actors::waiting::{Places, Ticket};
use crate::clock::UnixMs;
use crate::id::AccountId;
use crate::provider::endpoint;
use crate::routing::account::AccountView;
use crate::routing::choose::{Choice, ChooseCx, Ineligible, choose};
use crate::routing::plan::PlannedEntry;

/// Accounts named per entry when nobody there could serve; those that recover first.
const NAMED_PER_ENTRY: usize = 8;

/// Longest wait for a token that is being refreshed (accounts §3.2).
const REFRESH_WAIT: Duration = Duration::from_secs(30);

/// For whom a walk is made.
pub(super) struct Asker {
    /// When the request ends.
    pub(super) deadline: Instant,
    /// Fires when nobody wants an answer any more.
    pub(super) caller: CancellationToken,
}

/// How a walk through the entries ended.
pub(super) enum Walk {
    Lease(Box<Lease>),
    /// Somebody could serve but has no place now.
    Full(Full),
    Nobody,
}

/// Entries whose accounts are taken.
#[derive(Default)]
pub(super) struct Full {
    /// Their places in the plan.
    pub(super) entries: Vec<usize>,
    /// A probe of an account may go at this instant, Unix ms.
    pub(super) probe_at: Option<UnixMs>,
    /// Some account of the entry that is looked at now is taken.
    here: bool,
}

/// What one look at the present entry says.
pub(super) enum Look {
    Ask(AccountId, Addr<Account>, Option<Reservation>),
    /// An account was ruled out; look once more.
    Again,
    /// Nobody here can serve now.
    Leave,
}

/// Why an account that was asked gave no lease.
enum Refusal {
    Denied(Denied),
    Silent,
}

/// One of the requests in [`AccountView::asked`].
struct Asking {
    table: SharedTable,
    id: AccountId,
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.table.borrow_mut().update(self.id, |view| view.asked = view.asked.saturating_sub(1));
    }
}

impl Desk {
    /// Goes through the entries from the present one on.
    pub(super) async fn walk(
        &self,
        journey: &mut Journey,
        asker: &Asker,
        ticket: Option<Ticket>,
    ) -> Walk {
        let mut full = Full::default();
        while let Some(entry) = journey.entry().cloned() {
            if asker.caller.is_cancelled() {
                return Walk::Nobody;
            }
            self.reach(journey);
            match self.look(journey, &entry, ticket, &mut full) {
                Look::Ask(id, account, reservation) => {
                    let Some(probe) = self.admit(journey, &entry) else {
                        // Another request took the probe since the look.
                        self.skip(journey, None, SkipReason::BreakerOpen, None);
                        journey.next_entry();
                        continue;
                    };
                    let _asking = self.asking(id);
                    match self.ask(&entry, &account, asker, probe).await {
                        Ok(lease) => {
                            journey.takes(id);
                            return Walk::Lease(Box::new(lease.with_reservation(reservation)));
                        }
                        Err(refusal) => self.note_refusal(journey, id, refusal, &mut full),
                    }
                }
                Look::Again => {}
                Look::Leave => {
                    if std::mem::take(&mut full.here) {
                        full.entries.push(journey.position);
                        self.skip(journey, None, SkipReason::Busy, None);
                    }
                    journey.next_entry();
                }
            }
        }
        if full.entries.is_empty() { Walk::Nobody } else { Walk::Full(full) }
    }

    /// Consumes the rotation step of the combos this entry stands in (accounts §6.2).
    fn reach(&self, journey: &mut Journey) {
        if let Some(plan) = &mut journey.plan {
            plan.reached(journey.position, &mut self.state.borrow_mut().rotation);
        }
    }

    /// Looks for an account of `entry` that may serve; records why there is none.
    pub(super) fn look(
        &self,
        journey: &mut Journey,
        entry: &PlannedEntry,
        ticket: Option<Ticket>,
        full: &mut Full,
    ) -> Look {
        let snapshot = self.shared.snapshot.load();
        let target = &entry.target;
        let provider = &target.provider.id;
        if let Some((reason, until)) = self.hindrance(journey, entry) {
            self.skip(journey, None, reason, until);
            return Look::Leave;
        }
        if journey.tried_here >= snapshot.settings.max_accounts_per_entry {
            return Look::Leave;
        }
        let table = self.table.borrow();
        let Some(group) = table.group(provider) else {
            self.skip(journey, None, SkipReason::NoAccount, None);
            return Look::Leave;
        };
        let state = &mut *self.state.borrow_mut();
        let places = self.places(&state.waiting, &snapshot, group, provider, ticket);
        if group.in_flight() >= snapshot.provider_in_flight(provider)
            || places.as_ref().is_some_and(Places::are_gone)
        {
            full.here = true;
            return Look::Leave;
        }
        let bound = |session| self.shared.affinity.account(session, provider, &target.canonical);
        let affinity = journey.session.iter().find_map(bound);
        let now = self.shared.clock.now_ms();
        let over_budget = self.shared.budgets.blocked_accounts(now);
        let choice = choose(ChooseCx {
            now,
            views: group.views(),
            target,
            strategy: snapshot.account_strategy(provider),
            sticky_count: snapshot.sticky_count(provider),
            reserve: snapshot.reserve(provider),
            cursors: &mut state.cursors,
            tried: &journey.excluded,
            affinity,
            pin: journey.pinned.or(entry.pin),
            tags: &entry.tags,
            over_budget: &over_budget,
        });
        match choice {
            Choice::Account(id) if places.is_some_and(|places| !places.has(id)) => {
                full.here = true;
                journey.excluded.push(id);
                Look::Again
            }
            Choice::Account(id) => self.is_reached(&snapshot, journey, entry, group, id),
            Choice::None { reasons } => {
                for (_, why) in &reasons {
                    full.note(why);
                }
                self.note_reasons(journey, reasons);
                Look::Leave
            }
        }
    }

    /// The account must be reached by a protocol that the router speaks, and not through a proxy that failed.
    fn is_reached(
        &self,
        snapshot: &Snapshot,
        journey: &mut Journey,
        entry: &PlannedEntry,
        group: &Group,
        id: AccountId,
    ) -> Look {
        let Some((view, addr)) = group.view(id).zip(group.addr(id)) else { return Look::Leave };
        let provider = &entry.target.provider;
        let picked = endpoint::pick(
            provider,
            provider.model(&entry.target.model),
            journey.dialect,
            view.config.endpoint.as_deref(),
        );
        if let Some(endpoint) = picked.filter(|e| e.speaks().is_some()) {
            let hop = || snapshot.hop(&view.config, provider, endpoint);
            let fails = |hop| journey.is_failed(&hop, &provider.id);
            if !journey.has_failed_hops() || !hop().is_some_and(fails) {
                return self.afford(journey, entry, view, addr);
            }
            journey.excluded.push(id);
            self.skip(journey, Some(id), SkipReason::ProxyFailed, None);
            return Look::Again;
        }
        let wire = picked.map_or("another format", |e| e.wire.as_words());
        journey.excluded.push(id);
        self.skip(journey, Some(id), SkipReason::PrivateProtocol { wire }, None);
        Look::Again
    }

    /// Sets aside what the attempt may cost in the budgets of provider and account.
    fn afford(
        &self,
        journey: &mut Journey,
        entry: &PlannedEntry,
        view: &AccountView,
        addr: &Addr<Account>,
    ) -> Look {
        let target = &entry.target;
        let id = view.config.id;
        let estimate = || {
            let snapshot = self.shared.snapshot.load();
            let own = entry.tier_override.or(view.config.tier);
            snapshot.estimate(target, snapshot.tier(&target.provider, own), journey.estimate)
        };
        let now = self.shared.clock.now_ms();
        match self.shared.budgets.reserve_target(&target.provider.id, id, estimate, now) {
            Ok(reservation) => Look::Ask(id, addr.clone(), reservation),
            // Another request took the rest of the budget since the look.
            Err(blocked) => {
                journey.excluded.push(id);
                self.skip(journey, Some(id), SkipReason::Budget, Some(blocked.until));
                Look::Again
            }
        }
    }

    /// What rules an entry out before any account is looked at, and until when that is known to last.
    fn hindrance(
        &self,
        journey: &Journey,
        entry: &PlannedEntry,
    ) -> Option<(SkipReason, Option<UnixMs>)> {
        let target = &entry.target;
        let combo_name = journey.combo().map(|combo| combo.name.as_ref());
        if let Some(key) = &journey.key
            && !key.may_use(&target.provider.id, &target.key, combo_name)
        {
            return Some((SkipReason::Forbidden, None));
        }
        // A single model is tried once even while its breaker is open (accounts §5.6).
        if combo_name.is_some()
            && self.shared.breakers.refuses(&target.provider.id, &target.canonical)
        {
            return Some((SkipReason::BreakerOpen, None));
        }
        let now = self.shared.clock.now_ms();
        if let Some(blocked) = self.shared.budgets.provider_blocked(&target.provider.id, now) {
            return Some((SkipReason::Budget, Some(blocked.until)));
        }
        let over = journey.context_over?;
        let live = &self.shared.live_models;
        let window = live.model(&target.provider.id, &target.model).and_then(|m| m.ctx);
        let window = window.or_else(|| target.provider.model(&target.model)?.ctx);
        let hopeless = window.map_or(journey.unknown_context_tried, |window| window <= over);
        hopeless.then_some((SkipReason::ContextTooSmall, None))
    }

    /// Asks the breakers. A half-open one lets one probe through; a request for one model goes on without it.
    fn admit(&self, journey: &Journey, entry: &PlannedEntry) -> Option<Option<Probe>> {
        let target = &entry.target;
        match self.shared.breakers.admit(&target.provider.id, &target.canonical) {
            Admitted::Pass => Some(None),
            Admitted::Probe(probe) => Some(Some(probe)),
            Admitted::Refused => journey.combo().is_none().then_some(None),
        }
    }

    /// A request that asks for a lease of an account that has never served is seen by those that choose meanwhile.
    fn asking(&self, id: AccountId) -> Option<Asking> {
        let mut is_new = false;
        self.table.borrow_mut().update(id, |view| {
            is_new = !view.has_served;
            view.asked = view.asked.saturating_add(u32::from(is_new));
        });
        is_new.then(|| Asking { table: Rc::clone(&self.table), id })
    }

    async fn ask(
        &self,
        entry: &PlannedEntry,
        account: &Addr<Account>,
        asker: &Asker,
        probe: Option<Probe>,
    ) -> Result<Lease, Refusal> {
        let target = Arc::clone(&entry.target);
        let lease = match account.send(Acquire { target }).timeout(ASK).await {
            Ok(Ok(Acquired::Lease(lease))) => lease,
            Ok(Ok(Acquired::Later(later))) => self.renewed(later, asker).await?,
            Ok(Err(denied)) => return Err(Refusal::Denied(denied)),
            Err(error) => {
                warn!(%error, "an account did not answer");
                return Err(Refusal::Silent);
            }
        };
        Ok(lease.with_probe(probe))
    }

    /// Waits while the account's token is refreshed: not longer than a refresh may take, nor than anybody wants it.
    async fn renewed(
        &self,
        later: oneshot::Receiver<Result<Lease, Denied>>,
        asker: &Asker,
    ) -> Result<Lease, Refusal> {
        let until = asker.deadline.min(self.shared.clock.now() + REFRESH_WAIT);
        tokio::select! {
            answer = later => match answer {
                Ok(answer) => answer.map_err(Refusal::Denied),
                // Its actor died; the refresh goes on, and the next actor joins it.
                Err(_actor_is_gone) => Err(Refusal::Silent),
            },
            () = tokio::time::sleep_until(until.into()) => Err(Refusal::Silent),
            () = asker.caller.cancelled() => Err(Refusal::Silent),
        }
    }

    /// Records a refusal: the account's state moved since the look.
    fn note_refusal(
        &self,
        journey: &mut Journey,
        id: AccountId,
        refusal: Refusal,
        full: &mut Full,
    ) {
        journey.excluded.push(id);
        match refusal {
            Refusal::Denied(Denied::Ineligible(why)) => {
                full.note(&why);
                self.note_reasons(journey, vec![(id, why)]);
            }
            Refusal::Denied(Denied::Gone) => {}
            Refusal::Silent => self.skip(journey, Some(id), SkipReason::Unavailable, None),
        }
    }

    /// Records why accounts could not serve: those that recover first, `NAMED_PER_ENTRY` at most.
    fn note_reasons(&self, journey: &mut Journey, mut reasons: Vec<(AccountId, Ineligible)>) {
        let until = |why: &Ineligible| why.until().unwrap_or(UnixMs::MAX);
        reasons.retain(|(_, why)| {
            !matches!(why, Ineligible::Excluded | Ineligible::Busy | Ineligible::Probing { .. })
        });
        reasons.sort_by_key(|(_, why)| until(why));
        for (id, why) in reasons.into_iter().take(NAMED_PER_ENTRY) {
            let until = why.until();
            self.skip(journey, Some(id), SkipReason::Ineligible(why), until);
        }
    }

    fn skip(
        &self,
        journey: &mut Journey,
        account: Option<AccountId>,
        reason: SkipReason,
        until: Option<UnixMs>,
    ) {
        let label = account
            .and_then(|id| self.table.borrow().view(id).map(|view| view.config.label.clone()));
        let at = self.shared.clock.now_ms();
        journey.skips.push(Skip { entry: journey.position, account, label, reason, until, at });
    }
}

impl Full {
    /// Some account of the entry that was looked at last is taken.
    pub(super) fn is_here(&self) -> bool {
        self.here
    }

    fn note(&mut self, why: &Ineligible) {
        match why {
            Ineligible::Busy => self.here = true,
            Ineligible::Probing { next } => {
                self.here = true;
                self.probe_at = self.probe_at.into_iter().chain(*next).min();
            }
            Ineligible::Disabled
            | Ineligible::Dead
            | Ineligible::Faulted
            | Ineligible::Locked { .. }
            | Ineligible::ModelNotAllowed
            | Ineligible::MissingParams
            | Ineligible::Reserved { .. }
            | Ineligible::ExpiredToken { .. }
            | Ineligible::OverBudget { .. }
            | Ineligible::Excluded => {}
        }
    }
}
