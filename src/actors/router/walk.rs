//! One walk through the plan's entries, until an account gives a lease.

use std::sync::Arc;

use actix::prelude::*;
use tracing::warn;

use super::{ASK, Desk};
use crate::actors::account::{Account, Acquire, Denied};
use crate::actors::breakers::{Admitted, Probe};
use crate::actors::checkout::{Journey, Skip, SkipReason};
use crate::actors::lease::Lease;
use crate::actors::snapshot::Snapshot;
use crate::actors::table::Group;
use crate::actors::waiting::{Places, Ticket};
use crate::clock::UnixMs;
use crate::id::AccountId;
use crate::provider::endpoint;
use crate::routing::choose::{Choice, ChooseCx, Ineligible, choose};
use crate::routing::plan::PlannedEntry;

/// Accounts named per entry when nobody there could serve; those that recover first.
const NAMED_PER_ENTRY: usize = 8;

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

impl Desk {
    /// Goes through the entries from the present one on.
    pub(super) async fn walk(&self, journey: &mut Journey, ticket: Option<Ticket>) -> Walk {
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
                return Look::Ask(id, addr.clone());
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
            | Ineligible::ExpiredToken { .. }
            | Ineligible::Excluded => {}
        }
    }
}
