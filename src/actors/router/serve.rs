//! Answers one checkout: plans, walks, and waits for a place where all are taken.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Desk;
use super::walk::{Full, Walk};
use crate::actors::checkout::{Checked, Checkout, Journey, Verdict};
use crate::actors::snapshot::Snapshot;
use crate::actors::table::Group;
use crate::actors::waiting::{Places, Ticket, Waiter, WaitingRoom, Wish};
use crate::clock::UnixMs;
use crate::routing::account::AccountView;
use crate::routing::choose::{AccountStrategy, is_eligible, is_wanted};
use crate::routing::plan::{self, Plan, PlannedEntry};
use crate::routing::resolve::{ResolveError, Resolved};

/// Longest wait for a free place at a provider (accounts §7.2).
const WAIT_FOR_PLACE: Duration = Duration::from_secs(10);

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
        let left = snapshot.provider_in_flight(provider).saturating_sub(group.in_flight());
        let fits = fits(self.shared.clock.now_ms(), snapshot.account_strategy(provider));
        state.waiting.ring(provider, left, group.views().iter(), fits);
    }

    /// Free places of a provider after those who came before; `None` when nobody waits there.
    pub(super) fn places(
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
        let left = snapshot.provider_in_flight(provider).saturating_sub(group.in_flight());
        let fits = fits(self.shared.clock.now_ms(), snapshot.account_strategy(provider));
        Some(room.places(provider, ticket, left, group.views().iter(), fits))
    }

    /// Whether some account could serve an entry now.
    pub(super) fn could_serve(&self, entry: &PlannedEntry) -> bool {
        let target = &entry.target;
        let now = self.shared.clock.now_ms();
        let table = self.table.borrow();
        !self.shared.breakers.refuses(&target.provider.id, &target.canonical)
            && table.group(&target.provider.id).is_some_and(|group| {
                group.views().iter().any(|view| is_eligible(now, view, target))
            })
    }

    /// Orders the entries; the only place where rotations advance.
    fn plan(&self, journey: &Journey) -> Result<Plan, ResolveError> {
        let snapshot = self.shared.snapshot.load();
        let sticky = match &journey.resolved {
            Resolved::Combo { combo, .. } => {
                let bound = |session| self.shared.affinity.entry(session, combo.id);
                journey.session.iter().find_map(bound)
            }
            Resolved::Target(_) => None,
        };
        let usable = |entry: &PlannedEntry| self.could_serve(entry);
        let rotation = &mut self.state.borrow_mut().rotation;
        let (names, catalog) = (&snapshot.names, &snapshot.catalog);
        let mut plan = plan::plan(&journey.resolved, names, catalog, rotation, sticky, &usable)?;
        if !journey.needs.is_empty() {
            plan.put_last(|entry| plan::lacks(catalog, &entry.target, journey.needs));
        }
        Ok(plan)
    }
}

/// Whether an account could serve what somebody waits for.
fn fits(now: UnixMs, strategy: AccountStrategy) -> impl Fn(&AccountView, &Wish) -> bool {
    move |view, Wish { entry, pin, tried }| {
        is_wanted(view, strategy, tried, *pin, &entry.tags) && is_eligible(now, view, &entry.target)
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
