//! An account's quota: what answers and the usage page told of it, and what that means for routing (accounts §4).

use std::sync::Arc;

use actix::prelude::*;
use tracing::{info, warn};

use super::{Account, Held};
use crate::clock::UnixMs;
use crate::provider::quota::Document;
use crate::provider::quota::document::Source;
use crate::provider::quota::merge::{self, Change};
use crate::provider::quota::reading::{Overage, Reading};
use crate::provider::quota::window::{Rhythm, Status};
use crate::routing::classify::{Class, Classified};
use crate::routing::gate::gates;
use crate::routing::ladder::{self, REASON_OVERAGE};
use crate::routing::lock::Scope;
use crate::store::hot_state::{HotState, StoredQuota};

/// Told by response headers before the request ends, because the next request should know it at once.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Observed {
    /// The lease under which they were said.
    pub lease_id: u64,
    /// What the headers said.
    pub reading: Reading,
}

/// What a look at the usage endpoint brought; answers with the document as it is then. `None`: the credential has been
/// replaced since the look began, so that it says nothing of this account any more (accounts §7.3.5).
#[derive(Debug, Message)]
#[rtype(result = "Option<Arc<Document>>")]
pub struct QuotaPolled {
    /// Generation of the credential that was used.
    pub generation: u64,
    /// The reading, or why there is none.
    pub outcome: Result<Reading, PollFailure>,
}

/// Why the usage endpoint could not be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PollFailure {
    /// For people.
    pub message: String,
    /// The credential may not read it, also after a refresh.
    pub refused: bool,
}

impl Account {
    /// What was stored of the quota.
    pub(super) fn stored_quota(hot: &HotState) -> Option<Arc<Document>> {
        hot.quota_detail.as_ref().and_then(Document::of_stored).map(Arc::new)
    }

    /// Hot state with the quota of now.
    pub(super) fn with_quota(&self, hot: HotState) -> HotState {
        let Some(document) = &self.quota else { return hot };
        let quota = match document.status(self.shared.clock.now_ms()) {
            Status::Unknown => StoredQuota::Unknown,
            Status::Ok => StoredQuota::Ok,
            Status::Low | Status::Critical => StoredQuota::Low,
            Status::Exhausted => StoredQuota::Exhausted,
        };
        HotState {
            quota,
            quota_detail: Some(document.to_store()),
            quota_observed_at: Some(document.observed_at),
            ..hot
        }
    }

    /// Takes an observation in: windows, locks that it refutes or demands, the guard against use beyond the plan.
    pub(super) fn observe(&mut self, reading: Reading, ctx: &mut Context<Self>) {
        let now = self.shared.clock.now_ms();
        let overage = reading.overage.clone();
        let opened = reading.source == Source::Endpoint && self.open(&reading);
        let observed_at = reading.observed_at;
        let change = merge::merge(self.document(), reading, now);
        if change == Change::None && !opened && overage.is_none() {
            return;
        }
        let locked = self.lock_spent(observed_at, now);
        let guarded = overage.is_some_and(|overage| self.guard(&overage, now));
        self.show_quota();
        if change == Change::Notable || opened || locked || guarded {
            self.save(ctx, guarded);
        }
    }

    /// Notes that an error called a scope used up.
    pub(super) fn exhausted(&mut self, why: &Classified, now: UnixMs) {
        let (Class::QuotaExhausted, Some(scope)) = (why.class, &why.scope) else { return };
        merge::exhausted(self.document(), scope, why.until, now);
        self.show_quota();
        if why.until.is_none() {
            // The usage page may know when it ends (accounts §4.4).
            self.shared.quota_polls.wish(self.id);
        }
    }

    /// A request was served: what that refutes. True when a lock went.
    pub(super) fn served(&mut self, held: &Held, now: UnixMs) -> bool {
        let Some(document) = &mut self.quota else { return false };
        let covers = |scope: &Scope| held.target.is_covered(scope);
        let stands = |window: &crate::provider::quota::Window| {
            window.status == Status::Exhausted && covers(&window.scope)
        };
        // Most requests find nothing to change, and copy nothing.
        if !document.windows.iter().any(stands) {
            return false;
        }
        let mut freed = Vec::new();
        let changed =
            merge::served(Arc::make_mut(document), covers, held.granted_at, now, &mut freed);
        let mut unlocked = false;
        if !freed.is_empty() {
            self.table.borrow_mut().update(self.id, |view| {
                let before = view.locks.len();
                view.locks.retain(|lock| {
                    !(lock.class == Class::QuotaExhausted
                        && lock.set_at < held.granted_at
                        && freed.contains(&lock.scope))
                });
                unlocked = view.locks.len() != before;
            });
        }
        if changed {
            self.show_quota();
        }
        unlocked
    }

    /// A new credential may be another plan: its quota is unknown until somebody tells (accounts §0.1).
    pub(super) fn renew_quota(&mut self) {
        self.quota = None;
        self.show_quota();
        self.shared.quota_polls.wish(self.id);
    }

    /// People say that a scope serves again: what said otherwise is forgotten.
    pub(super) fn forget_quota(&mut self, scope: Option<&Scope>) {
        if let Some(document) = &mut self.quota {
            merge::forget(Arc::make_mut(document), scope);
            self.show_quota();
        }
    }

    /// The operator may have changed what use beyond the plan is worth.
    pub(super) fn apply_overage_setting(&mut self) {
        if self.shared.snapshot.load().allows_overage(&self.config) {
            self.table.borrow_mut().update(self.id, |view| {
                view.locks.retain(|lock| *lock.reason != *REASON_OVERAGE);
            });
        }
        self.show_quota();
    }

    fn document(&mut self) -> &mut Document {
        let empty = || Arc::new(Document::empty(self.id, &self.config.provider));
        Arc::make_mut(self.quota.get_or_insert_with(empty))
    }

    /// Writes the row's gates, and what people see.
    fn show_quota(&mut self) {
        if self.retired {
            return;
        }
        let allows = self.shared.snapshot.load().allows_overage(&self.config);
        let quota = self.quota.clone();
        let gates = quota.as_ref().map(|document| gates(document, allows)).unwrap_or_default();
        self.table.borrow_mut().update(self.id, |view| {
            view.gates = gates;
            Arc::make_mut(&mut view.shown).quota = quota;
        });
        self.nudge();
        self.shared.live.publish_with(|| crate::actors::live::LiveEvent::Quota(self.id));
    }

    /// Removes quota locks that the usage page refutes. True when one went.
    fn open(&mut self, reading: &Reading) -> bool {
        let mut opened = false;
        self.table.borrow_mut().update(self.id, |view| {
            let before = view.locks.len();
            view.locks
                .retain(|lock| lock.class != Class::QuotaExhausted || !merge::opens(reading, lock));
            opened = view.locks.len() != before;
        });
        if opened {
            info!(account.id = %self.id, "the usage page shows room again: unlocked");
        }
        opened
    }

    /// Locks the scopes of plan windows that were just seen used up without a reset. True when one was locked.
    fn lock_spent(&mut self, observed_at: UnixMs, now: UnixMs) -> bool {
        let allows = self.shared.snapshot.load().allows_overage(&self.config);
        let Some(document) = &self.quota else { return false };
        let spent = document.windows.iter().filter(|window| {
            window.observed_at == observed_at
                && window.source != Source::Error
                && window.rhythm == Rhythm::Plan
                && window.status == Status::Exhausted
                && window.resets_at.is_none()
                && !(window.overage && allows)
        });
        let mut set = Vec::new();
        self.table.borrow_mut().update(self.id, |view| {
            set.extend(spent.filter_map(|w| ladder::spent(&mut view.locks, &w.scope, now)));
        });
        for lock in &set {
            warn!(
                account.id = %self.id, provider = %self.config.provider, scope = %lock.scope,
                until = lock.until, "account locked: {}", lock.reason
            );
        }
        !set.is_empty()
    }

    /// Keeps an account from being used at extra cost, unless the operator wants it. True when it was locked.
    fn guard(&mut self, overage: &Overage, now: UnixMs) -> bool {
        if self.shared.snapshot.load().allows_overage(&self.config) {
            return false;
        }
        let mut set = None;
        self.table.borrow_mut().update(self.id, |view| {
            set = ladder::guard_overage(&mut view.locks, &overage.scope, overage.until, now);
        });
        if let Some(lock) = &set {
            warn!(
                account.id = %self.id, provider = %self.config.provider, scope = %lock.scope,
                until = lock.until,
                "the plan is used up and the vendor bills for more: locked until the reset; `allow_overage` permits it"
            );
        }
        set.is_some()
    }
}

impl Handler<Observed> for Account {
    type Result = ();

    fn handle(&mut self, msg: Observed, ctx: &mut Self::Context) {
        let present = self.leases.get(&msg.lease_id).is_some_and(|held| self.is_present(held));
        if present && !self.retired {
            self.observe(msg.reading, ctx);
        }
    }
}

impl Handler<QuotaPolled> for Account {
    type Result = Option<Arc<Document>>;

    fn handle(&mut self, msg: QuotaPolled, ctx: &mut Self::Context) -> Self::Result {
        // A refresh meanwhile is the same sign-in; a new sign-in may be another plan.
        let present = self.since_generation..=self.generation();
        if self.retired || !present.contains(&msg.generation) {
            return None;
        }
        match msg.outcome {
            Ok(reading) => self.observe(reading, ctx),
            Err(failure) => {
                let (message, refused) = (failure.message, failure.refused);
                merge::failed(self.document(), &message, refused);
                self.show_quota();
                self.save(ctx, false);
            }
        }
        self.quota.clone()
    }
}
