//! Answers one checkout: goes through the plan's entries until an account gives a lease, or waits for a place.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use tracing::warn;

use super::{ASK, Desk};
use crate::actors::account::{Account, Acquire, Denied};
use crate::actors::breakers::{Admitted, Probe};
use crate::actors::checkout::{Checked, Checkout, Journey, Skip, SkipReason, Verdict};
use crate::actors::lease::Lease;
use crate::actors::snapshot::Snapshot;
use crate::actors::table::Group;
use crate::actors::waiting::{Places, Ticket, Waiter, WaitingRoom, Wish};
use crate::clock::UnixMs;
use crate::id::AccountId;
use crate::provider::endpoint;
use crate::routing::account::AccountView;
use crate::routing::choose::{Choice, ChooseCx, Ineligible, choose, eligible, is_wanted};
use crate::routing::plan::{self, Plan, PlannedEntry};
use crate::routing::resolve::{ResolveError, Resolved};

/// Longest wait for a free place at a provider (accounts §7.2).
const WAIT_FOR_PLACE: Duration = Duration::from_secs(10);
/// Accounts named per entry when nobody there could serve; those that recover first.
const NAMED_PER_ENTRY: usize = 8;

/// How a walk through the entries ended.
enum Walk {
    Lease(Box<Lease>),
    /// Somebody could serve but has no place now.
    Full(Full),
    Nobody,
}

/// Entries whose accounts are taken.
#[derive(Default)]
struct Full {
    /// Their places in the plan.
    entries: Vec<usize>,
    /// A probe of an account may go at this instant, Unix ms.
    probe_at: Option<UnixMs>,
    /// Some account of the entry that is looked at now is taken.
    here: bool,
}

/// What one look at the present entry says.
enum Look {
    Ask(AccountId, Addr<Account>),
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

/// Where a checkout began: each walk starts there.
struct Mark {
    position: usize,
    tried_here: u32,
    skips: usize,
}

impl Mark {
    fn of(journey: &Journey) -> Self {
        let Journey { position, tried_here, ref skips, .. } = *journey;
        Self { position, tried_here, skips: skips.len() }
    }

    fn rewind(&self, journey: &mut Journey) {
        journey.go_to(self.position);
        journey.tried_here = self.tried_here;
        journey.skips.truncate(self.skips);
    }
}

impl Desk {
    pub(super) async fn serve(&self, msg: Checkout) -> Checked {
        let Checkout { mut journey, deadline, caller } = msg;
        if journey.plan.is_none() {
            match self.plan(&journey) {
                Ok(plan) => journey.plan = Some(plan),
                Err(error) => return Checked { journey, verdict: Verdict::NoPlan(error) },
            }
        }
        let wait_until = deadline.min(self.shared.clock.now() + WAIT_FOR_PLACE);
        let mark = Mark::of(&journey);
        let full = match self.walk(&mut journey, None).await {
            Walk::Full(full) => full,
            Walk::Lease(lease) => return Checked { journey, verdict: Verdict::Lease(lease) },
            Walk::Nobody => return Checked { journey, verdict: Verdict::Exhausted },
        };
        let waiter = self.state.borrow_mut().waiting.enter(caller);
        let verdict = self.wait_for_place(&mut journey, &mark, full, &waiter, wait_until).await;
        self.state.borrow_mut().waiting.leave(waiter.ticket);
        // A place it was called for and did not take is the next one's.
        for provider in providers(&journey) {
            self.call_waiters(&provider);
        }
        Checked { journey, verdict }
    }

    /// Waits and walks again until there is an answer.
    async fn wait_for_place(
        &self,
        journey: &mut Journey,
        mark: &Mark,
        mut full: Full,
        waiter: &Waiter,
        until: Instant,
    ) -> Verdict {
        loop {
            if !self.wait(journey, mark, &full, waiter, until).await {
                return Verdict::Busy;
            }
            mark.rewind(journey);
            match self.walk(journey, Some(waiter.ticket)).await {
                Walk::Full(still) => full = still,
                Walk::Lease(lease) => return Verdict::Lease(lease),
                Walk::Nobody => return Verdict::Exhausted,
            }
        }
    }

    /// Waits for a call, or for the first account to recover. False when the time is over, the room is full or the
    /// caller is gone.
    async fn wait(
        &self,
        journey: &Journey,
        mark: &Mark,
        full: &Full,
        waiter: &Waiter,
        until: Instant,
    ) -> bool {
        let clock = &self.shared.clock;
        if waiter.caller.is_cancelled() || clock.now() >= until || !self.sit(journey, full, waiter)
        {
            return false;
        }
        let now = clock.now_ms();
        let locked = journey.skips.iter().skip(mark.skips).filter_map(|skip| skip.until);
        let recovers_at = locked.chain(full.probe_at).filter(|at| *at > now).min();
        let left = until.saturating_duration_since(clock.now());
        let pause = recovers_at.map_or(left, |at| {
            // A moment more: at the instant itself the lock still holds.
            left.min(Duration::from_millis((at - now).unsigned_abs() + 1))
        });
        tokio::select! {
            () = waiter.bell.notified() => true,
            () = waiter.caller.cancelled() => false,
            () = tokio::time::sleep(pause) => pause < left,
        }
    }

    /// Takes a seat at every full provider. False when there is none.
    fn sit(&self, journey: &Journey, full: &Full, waiter: &Waiter) -> bool {
        let entries = journey.plan.as_ref().map_or(&[][..], |plan| &plan.entries);
        let mut seated = Vec::new();
        {
            let room = &mut self.state.borrow_mut().waiting;
            room.leave(waiter.ticket);
            let full = full.entries.iter().filter_map(|at| Some((*at, entries.get(*at)?)));
            for (at, entry) in full {
                let wish = Wish {
                    entry: Arc::clone(entry),
                    pin: journey.pinned.or(entry.pin),
                    tried: journey.tried_at(at),
                };
                let provider = &entry.target.provider.id;
                if room.sit(provider, waiter, wish) && !seated.contains(provider) {
                    seated.push(Arc::clone(provider));
                }
            }
        }
        // A place that became free during the walk called nobody who was not seated yet.
        for provider in &seated {
            self.call_waiters(provider);
        }
        !seated.is_empty()
    }

    /// Calls those who wait for a provider and for whom a place is free now.
    pub(super) fn call_waiters(&self, provider: &Arc<str>) {
        let state = self.state.borrow();
        if state.waiting.is_empty(provider) {
            return;
        }
        let table = self.table.borrow();
        let Some(group) = table.group(provider) else { return };
        let snapshot = self.shared.snapshot.load();
        let now = self.shared.clock.now_ms();
        let left = snapshot.provider_in_flight(provider).saturating_sub(group.in_flight());
        let strategy = snapshot.account_strategy(provider);
        state.waiting.ring(provider, left, group.views().iter(), |view, wish| {
            let Wish { entry, pin, tried } = wish;
            is_wanted(view, strategy, tried, *pin, &entry.tags)
                && eligible(now, view, &entry.target).is_ok()
        });
    }

    /// Free places of a provider after those who came before; `None` when nobody waits there.
    fn places(
        &self,
        room: &WaitingRoom,
        snapshot: &Snapshot,
        group: &Group,
        provider: &Arc<str>,
        ticket: Option<Ticket>,
    ) -> Option<Places> {
        if room.is_empty(provider) {
            return None;
        }
        let now = self.shared.clock.now_ms();
        let left = snapshot.provider_in_flight(provider).saturating_sub(group.in_flight());
        let strategy = snapshot.account_strategy(provider);
        let fits = |view: &AccountView, wish: &Wish| {
            let Wish { entry, pin, tried } = wish;
            is_wanted(view, strategy, tried, *pin, &entry.tags)
                && eligible(now, view, &entry.target).is_ok()
        };
        Some(room.places(provider, ticket, left, group.views().iter(), fits))
    }

    /// Orders the entries; the only place where rotations advance.
    fn plan(&self, journey: &Journey) -> Result<Plan, ResolveError> {
        let snapshot = self.shared.snapshot.load();
        let now = self.shared.clock.now_ms();
        let sticky = match &journey.resolved {
            Resolved::Combo { combo, .. } => {
                let bound = |session| self.shared.affinity.entry(session, combo.id);
                journey.session.iter().find_map(bound)
            }
            Resolved::Target(_) => None,
        };
        let table = self.table.borrow();
        let usable = |entry: &PlannedEntry| {
            let target = &entry.target;
            !self.shared.breakers.refuses(&target.provider.id, &target.canonical)
                && table.group(&entry.target.provider.id).is_some_and(|group| {
                    group.views().iter().any(|view| eligible(now, view, &entry.target).is_ok())
                })
        };
        let rotation = &mut self.state.borrow_mut().rotation;
        let (names, catalog) = (&snapshot.names, &snapshot.catalog);
        let mut plan = plan::plan(&journey.resolved, names, catalog, rotation, sticky, &usable)?;
        if !journey.needs.is_empty() {
            plan.put_last(|entry| plan::lacks(catalog, &entry.target, journey.needs));
        }
        Ok(plan)
    }

    /// Goes through the entries from the present one on.
    async fn walk(&self, journey: &mut Journey, ticket: Option<Ticket>) -> Walk {
        let mut full = Full::default();
        while let Some(entry) = journey.entry().cloned() {
            self.reach(journey);
            match self.look(journey, &entry, ticket, &mut full) {
                Look::Ask(id, account) => {
                    let Some(probe) = self.admit(journey, &entry) else {
                        // Another request took the probe since the look.
                        self.skip(journey, None, SkipReason::BreakerOpen, None);
                        journey.next_entry();
                        continue;
                    };
                    match self.ask(&entry, &account, probe).await {
                        Ok(lease) => {
                            journey.takes(id);
                            return Walk::Lease(Box::new(lease));
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
    fn look(
        &self,
        journey: &mut Journey,
        entry: &PlannedEntry,
        ticket: Option<Ticket>,
        full: &mut Full,
    ) -> Look {
        let snapshot = self.shared.snapshot.load();
        let target = &entry.target;
        let provider = &target.provider.id;
        if let Some(reason) = self.hindrance(journey, entry) {
            self.skip(journey, None, reason, None);
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
        let choice = choose(ChooseCx {
            now: self.shared.clock.now_ms(),
            views: group.views(),
            target,
            strategy: snapshot.account_strategy(provider),
            sticky_count: snapshot.sticky_count(provider),
            cursors: &mut state.cursors,
            tried: &journey.excluded,
            affinity,
            pin: journey.pinned.or(entry.pin),
            tags: &entry.tags,
        });
        match choice {
            Choice::Account(id) if places.is_some_and(|places| !places.has(id)) => {
                full.here = true;
                journey.excluded.push(id);
                Look::Again
            }
            Choice::Account(id) => self.fits(journey, entry, group, id),
            Choice::None { reasons } => {
                for (_, why) in &reasons {
                    full.note(why);
                }
                self.note_reasons(journey, reasons);
                Look::Leave
            }
        }
    }

    /// Execution tiers A and B need an upstream that speaks the client's dialect.
    fn fits(
        &self,
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
        if picked.and_then(|e| e.wire.dialect()) == Some(journey.dialect) {
            return Look::Ask(id, addr.clone());
        }
        let wire = picked.map_or("another format", |e| e.wire.as_words());
        journey.excluded.push(id);
        self.skip(journey, Some(id), SkipReason::NeedsTranslation { wire }, None);
        Look::Again
    }

    /// What rules an entry out before any account is looked at.
    fn hindrance(&self, journey: &Journey, entry: &PlannedEntry) -> Option<SkipReason> {
        let target = &entry.target;
        let combo_name = journey.combo().map(|combo| combo.name.as_ref());
        if let Some(key) = &journey.key
            && !key.may_use(&target.provider.id, &target.key, combo_name)
        {
            return Some(SkipReason::Forbidden);
        }
        // A single model is tried once even while its breaker is open (accounts §5.6).
        if combo_name.is_some()
            && self.shared.breakers.refuses(&target.provider.id, &target.canonical)
        {
            return Some(SkipReason::BreakerOpen);
        }
        let over = journey.context_over?;
        let live = &self.shared.live_models;
        let window = live.model(&target.provider.id, &target.model).and_then(|m| m.ctx);
        let window = window.or_else(|| target.provider.model(&target.model)?.ctx);
        let hopeless = window.map_or(journey.unknown_context_tried, |window| window <= over);
        hopeless.then_some(SkipReason::ContextTooSmall)
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

    async fn ask(
        &self,
        entry: &PlannedEntry,
        account: &Addr<Account>,
        probe: Option<Probe>,
    ) -> Result<Lease, Refusal> {
        let target = Arc::clone(&entry.target);
        match account.send(Acquire { target }).timeout(ASK).await {
            Ok(Ok(lease)) => Ok(lease.with_probe(probe)),
            Ok(Err(denied)) => Err(Refusal::Denied(denied)),
            Err(error) => {
                warn!(%error, "an account did not answer");
                Err(Refusal::Silent)
            }
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
            | Ineligible::ExpiredToken { .. }
            | Ineligible::Excluded => {}
        }
    }
}

/// Every provider of the plan, once.
fn providers(journey: &Journey) -> Vec<Arc<str>> {
    let mut found: Vec<Arc<str>> = Vec::new();
    for entry in journey.plan.iter().flat_map(|plan| &plan.entries) {
        let provider = &entry.target.provider.id;
        if !found.contains(provider) {
            found.push(Arc::clone(provider));
        }
    }
    found
}
