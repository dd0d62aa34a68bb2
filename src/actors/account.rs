//! The account actor: state machine over one account's credential, locks and in-flight count.
//!
//! Its view lives in the router's table (same thread); this actor is the only writer of its row.
//! No request body and no response ever passes through it.

mod auth;
mod quota;
mod renewal;
mod save;

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use actix::prelude::*;
use tokio::sync::oneshot;
use tracing::{info, warn};

use crate::actors::account::auth::Readiness;
use crate::actors::account::renewal::Renewals;
pub use crate::actors::account::renewal::{
    AuthFailed, ClearLocks, RefreshDue, RefreshNow, Renewal, Renewed, TryAgain,
};
use crate::actors::account::save::Saving;
use crate::actors::lease::{Lease, Outcome, Report};
use crate::actors::live::LiveEvent;
use crate::actors::router::{Counting, Nudge, Router};
use crate::actors::shared::Shared;
use crate::actors::table::SharedTable;
use crate::clock::UnixMs;
use crate::id::AccountId;
use crate::net::Clients;
use crate::provider::credential::Credential;
use crate::provider::quota::Document;
use crate::routing::account::{AccountConfig, AccountView};
use crate::routing::choose::{Ineligible, eligible};
use crate::routing::classify::{Class, Classified};
use crate::routing::freshness;
use crate::routing::instant::MINUTE;
use crate::routing::ladder::{self, FailureMemory};
use crate::routing::target::Target;
use crate::store::hot_state::{HotState, StoredAuth};

pub use quota::{Observed, PollFailure, QuotaPolled};

/// Mailbox capacity of an account (REL-ACT-3).
const MAILBOX: usize = 1_024;
/// While no more than this part of the places is taken, nobody waits for one.
const FEW_TAKEN: u32 = 4;
/// A lock that ends later than this is written at once (`storage.md` §3.2).
const LONG_LOCK_MS: i64 = 5 * MINUTE;
/// Why an account is dead whose secrets were sealed under another master key (SEC-KEY-3).
const UNREADABLE: &str = "secrets_unreadable";

/// Why an account gives no lease now.
#[derive(Clone, Debug)]
pub enum Denied {
    /// Its state says no.
    Ineligible(Ineligible),
    /// The account is being removed.
    Gone,
}

/// A lease, now or when a new token is there.
#[derive(Debug)]
pub enum Acquired {
    /// Now.
    Lease(Lease),
    /// The token is being refreshed. The place is taken meanwhile; who no longer wants it drops the receiver.
    Later(oneshot::Receiver<Result<Lease, Denied>>),
}

/// Asks for permission to use the account for one attempt.
#[derive(Debug, Message)]
#[rtype(result = "Result<Acquired, Denied>")]
pub struct Acquire {
    /// What it is wanted for.
    pub target: Arc<Target>,
}

/// Asks for what a call outside of any lease needs; it takes no place and is reported by nobody. `None` while the
/// account has no token that lives: nothing is refreshed for it.
#[derive(Debug, Message)]
#[rtype(result = "Option<Counting>")]
pub struct Show;

/// Replaces configuration and credential (configuration reload). Running leases go on.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Reconfigure {
    /// New configuration.
    pub config: Arc<AccountConfig>,
    /// New credential; `None` when it cannot be read (SEC-KEY-3).
    pub credential: Option<Arc<Credential>>,
    /// Ceiling of leases, defaults resolved.
    pub max_concurrent: u32,
    /// A mandatory parameter has no value.
    pub missing_params: bool,
}

/// Writes what is not written yet; true when everything is on disk.
#[derive(Debug, Message)]
#[rtype(result = "bool")]
pub struct Flush;

/// Now and then: ends leases that nobody reported in time (accounts §0.2), and shortens locks that a clock set since
/// would keep for ever (REL-CLK-1).
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Sweep {
    /// Leases granted before this instant are reclaimed; `None` = no lease is too old.
    pub granted_before: Option<Instant>,
}

/// The account was removed, or another actor takes its place: no new lease, and its row is no longer its own. The
/// actor's secrets go with the last lease.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Retire;

/// What an account starts from.
#[derive(Debug)]
pub struct AccountSeed {
    /// First view; put into the table by the router before the actor starts.
    pub id: AccountId,
    /// Configuration.
    pub config: Arc<AccountConfig>,
    /// Credential, when it could be read.
    pub credential: Option<Arc<Credential>>,
    /// Hot state as stored.
    pub hot: HotState,
}

/// What connects an account to the router of its thread.
#[derive(Debug)]
pub struct Ties {
    /// The table its row is in.
    pub table: SharedTable,
    /// Nudged when the row changed.
    pub router: Addr<Router>,
    /// Set while a nudge is on its way.
    pub nudge_open: Rc<Cell<bool>>,
    /// When the background is to refresh its token, Unix ms; the account writes it.
    pub refresh_due: Rc<Cell<Option<UnixMs>>>,
    /// Clients of the thread.
    pub clients: Clients,
}

/// The actor. See the module's text.
#[derive(Debug)]
pub struct Account {
    id: AccountId,
    config: Arc<AccountConfig>,
    credential: Option<Arc<Credential>>,
    shared: Arc<Shared>,
    table: SharedTable,
    router: Addr<Router>,
    nudge_open: Rc<Cell<bool>>,
    clients: Clients,
    leases: HashMap<u64, Held>,
    next_lease: u64,
    memory: FailureMemory,
    /// What is stored beside the view: why the account is dead, last success and failure, quota.
    hot: HotState,
    /// What is known of its quota; shared with what people see.
    quota: Option<Arc<Document>>,
    saving: Saving,
    renewal: Renewals,
    /// First generation of the present sign-in: what older ones report is no news (accounts §7.3.5).
    since_generation: u64,
    retired: bool,
}

/// A lease that is out.
#[derive(Debug)]
struct Held {
    /// Unix ms, to compare with locks.
    granted_at: UnixMs,
    /// The same on the monotonic clock: a clock that is set reclaims nothing.
    granted: Instant,
    target: Arc<Target>,
    /// Of the credential it goes out with.
    generation: u64,
}

impl Account {
    /// A new actor over a row that is already in the table.
    #[must_use]
    pub fn new(seed: AccountSeed, shared: Arc<Shared>, ties: Ties) -> Self {
        let Ties { table, router, nudge_open, refresh_due, clients } = ties;
        Self {
            id: seed.id,
            config: seed.config,
            credential: seed.credential,
            shared,
            table,
            router,
            nudge_open,
            clients,
            leases: HashMap::new(),
            next_lease: 0,
            memory: FailureMemory::default(),
            quota: Self::stored_quota(&seed.hot),
            hot: seed.hot,
            saving: Saving::default(),
            renewal: Renewals::new(refresh_due),
            since_generation: 0,
            retired: false,
        }
    }

    fn change(&self, change: impl FnOnce(&mut AccountView)) {
        if self.retired {
            return;
        }
        self.table.borrow_mut().update(self.id, change);
        self.nudge();
        self.shared.live.publish_with(|| LiveEvent::Account(self.id));
    }

    /// Tells the router that this row changed; one nudge at a time is on its way.
    #[expect(clippy::disallowed_methods, reason = "the one open view nudge (design §5.9)")]
    fn nudge(&self) {
        if !self.nudge_open.replace(true) {
            self.router.do_send(Nudge { account: self.id });
        }
    }

    fn judge(&self, now: UnixMs, target: &Target) -> Result<(), Denied> {
        if self.retired {
            return Err(Denied::Gone);
        }
        let table = self.table.borrow();
        let view = table.view(self.id).ok_or(Denied::Gone)?;
        eligible(now, view, target).map_err(Denied::Ineligible)
    }

    fn grant(
        &mut self,
        now: UnixMs,
        target: Arc<Target>,
        own: Addr<Self>,
    ) -> Result<Lease, Denied> {
        let credential = self.credential.clone().ok_or(Denied::Gone)?;
        self.next_lease += 1;
        let granted = self.shared.clock.now();
        let generation = credential.generation;
        let held = Held { granted_at: now, granted, target, generation };
        self.leases.insert(self.next_lease, held);
        let in_flight = self.in_flight();
        // A lease going out frees nothing: the row changes, but nobody needs a nudge.
        let mut places = 0;
        self.table.borrow_mut().update(self.id, |view| {
            view.in_flight = in_flight;
            view.last_used_at = now;
            places = view.max_concurrent;
        });
        let lease = Lease::new(self.next_lease, own, Arc::clone(&self.config), credential);
        Ok(lease.one_of_many(in_flight <= places / FEW_TAKEN))
    }

    /// Leases that are out, and requests that wait for a new token with a place of their own.
    fn in_flight(&self) -> u32 {
        let places = self.leases.len().saturating_add(self.renewal.places());
        u32::try_from(places).unwrap_or(u32::MAX)
    }

    /// Nobody needs a nudge for places that are taken.
    fn count_places(&self) {
        if !self.retired {
            let in_flight = self.in_flight();
            self.table.borrow_mut().update(self.id, |view| view.in_flight = in_flight);
        }
    }

    fn succeeded(&mut self, now: UnixMs, held: &Held, ctx: &mut Context<Self>) {
        self.hot.last_ok_at = Some(now);
        let memory = &mut self.memory;
        let target = &held.target;
        let mut cleared = false;
        self.table.borrow_mut().update(self.id, |view| {
            cleared = ladder::on_success(
                &mut view.locks,
                memory,
                &target.canonical,
                &target.families,
                held.granted_at,
                now,
            );
            view.has_served = true;
            Arc::make_mut(&mut view.shown).last_ok_at = Some(now);
        });
        let refuted = self.served(held, now);
        if cleared || refuted {
            info!(account.id = %self.id, model = %target.canonical, "account serves again");
            self.save(ctx, false);
        }
    }

    fn failed(&mut self, now: UnixMs, held: &Held, why: &Classified, ctx: &mut Context<Self>) {
        if self.is_stale(held, why) {
            info!(
                account.id = %self.id, class = why.class.as_str(),
                "a failure of a credential that was replaced since is passed over"
            );
            return;
        }
        let rules = self.shared.snapshot.load().ladder(&self.config.provider);
        let jitter = self.shared.jitter();
        let memory = &mut self.memory;
        let mut filed = ladder::Outcome::Unchanged;
        self.table.borrow_mut().update(self.id, |view| {
            filed = ladder::apply(&mut view.locks, memory, why, now, jitter, &rules);
            ladder::prune(&mut view.locks, now);
        });
        self.exhausted(why, now);
        let urgent = match filed {
            ladder::Outcome::Unchanged => return,
            ladder::Outcome::Locked(lock) => {
                warn!(
                    account.id = %self.id, provider = %self.config.provider, scope = %lock.scope,
                    class = why.class.as_str(), rule = why.rule, until = lock.until,
                    "account locked: {}", lock.reason
                );
                lock.until.saturating_sub(now) > LONG_LOCK_MS
            }
            ladder::Outcome::Dead(reason) => {
                self.die(reason.as_str(), ctx);
                true
            }
        };
        // No message: it may quote the request.
        self.hot.last_error = Some(serde_json::json!({
            "at": now, "class": why.class.as_str(), "rule": why.rule, "status": why.status,
        }));
        self.show();
        self.save(ctx, urgent);
    }

    /// A report on another credential than the present one. After a new sign-in it says nothing; after a refresh it
    /// still tells of quotas, but nothing of the token (accounts §7.3.5).
    fn is_stale(&self, held: &Held, why: &Classified) -> bool {
        let of_the_credential = match why.class {
            Class::AuthExpired | Class::AuthDead | Class::AccountBanned => true,
            Class::QuotaExhausted
            | Class::RateLimited
            | Class::Overloaded
            | Class::Transient
            | Class::ModelUnavailable
            | Class::BadRequest
            | Class::ContextTooLong
            | Class::ContentPolicy
            | Class::ClientNotPermitted
            | Class::PaymentRequired
            | Class::Entitlement
            | Class::EndpointMismatch
            | Class::ClientCancelled
            | Class::Unknown => false,
        };
        !self.is_present(held) || (of_the_credential && held.generation < self.generation())
    }

    /// True for a lease of the present sign-in, whatever refreshes came between.
    fn is_present(&self, held: &Held) -> bool {
        held.generation >= self.since_generation
    }
}

impl Account {
    /// True when what is stored is another sign-in than the one in use. An older generation never is, nor what a
    /// refresh of this process stored (accounts §7.3.5).
    fn is_news(&self, stored: Option<&Credential>) -> bool {
        let (own, stored) = match (&self.credential, stored) {
            (Some(own), Some(stored)) => (own, stored),
            (None, None) => return false,
            (Some(_), None) | (None, Some(_)) => return true,
        };
        let exchanges = &self.shared.exchanges;
        // While tokens are not written, what is stored is compared with what they replace.
        let replaces = exchanges.unsaved(self.id).map_or(own.generation, |(_, base)| base);
        stored.generation > replaces && !exchanges.brought(self.id, stored.generation)
    }
}

impl Actor for Account {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        // Tokens that could not be written yet are newer than what the store gave.
        if let Some((newest, _)) = self.shared.exchanges.unsaved(self.id)
            && newest.generation > self.generation()
        {
            self.credential = Some(newest);
            self.hot.auth = StoredAuth::Ok;
        }
        if matches!(&self.hot.auth, StoredAuth::Dead { reason, .. } if reason == UNREADABLE) {
            // It was; whether it still is, the credential itself says.
            self.hot.auth = StoredAuth::Ok;
        }
        self.look_for_way();
        // The exchange of an actor that died goes on: it is joined, and nothing is redeemed twice.
        if let Some(running) = self.shared.exchanges.running(self.id) {
            self.follow_exchange(running, ctx);
        }
        self.plan_refresh();
        let routed = self.hot.auth_state(self.credential.is_some());
        self.table.borrow_mut().update(self.id, |view| view.auth = routed);
        self.show();
        // An actor that starts again has a row of the last configuration.
        if self.quota.is_some() {
            self.apply_overage_setting();
        }
    }
}

impl Drop for Account {
    /// An actor that panicked tells the router, which starts it again (REL-ACT-1).
    fn drop(&mut self) {
        if !self.retired {
            self.nudge();
        }
    }
}

impl Handler<Acquire> for Account {
    type Result = MessageResult<Acquire>;

    fn handle(&mut self, msg: Acquire, ctx: &mut Self::Context) -> Self::Result {
        MessageResult(self.acquire(msg.target, ctx))
    }
}

impl Handler<Show> for Account {
    type Result = MessageResult<Show>;

    fn handle(&mut self, _: Show, _: &mut Self::Context) -> Self::Result {
        let serves = match self.readiness(self.shared.clock.now_ms()) {
            Readiness::Ready | Readiness::Aging => true,
            Readiness::Short | Readiness::Expired(_) | Readiness::Finished => false,
        };
        let credential = self.credential.clone().filter(|_| serves);
        let account = Arc::clone(&self.config);
        MessageResult(credential.map(|credential| Counting { account, credential }))
    }
}

impl Handler<Report> for Account {
    type Result = ();

    fn handle(&mut self, msg: Report, ctx: &mut Self::Context) {
        let Some(held) = self.leases.remove(&msg.lease_id) else { return }; // reclaimed before
        if self.retired {
            if self.leases.is_empty() {
                ctx.stop();
            }
            return;
        }
        let now = self.shared.clock.now_ms();
        let present = self.is_present(&held);
        // First what its headers said: what the outcome proves is about what was known before.
        if let Some(reading) = msg.reading.filter(|_| present) {
            self.observe(*reading, ctx);
        }
        match &msg.outcome {
            Outcome::Success if present => self.succeeded(now, &held, ctx),
            Outcome::Success => {}
            Outcome::Failed(why) => self.failed(now, &held, why, ctx),
            Outcome::Aborted => {}
        }
        let in_flight = self.in_flight();
        self.change(|view| view.in_flight = in_flight);
    }
}

impl Handler<Reconfigure> for Account {
    type Result = ();

    fn handle(&mut self, msg: Reconfigure, ctx: &mut Self::Context) {
        if self.retired {
            return;
        }
        let replaced = self.is_news(msg.credential.as_deref());
        self.config = Arc::clone(&msg.config);
        if replaced {
            self.take_sign_in(msg.credential);
        } else if let Some(credential) = msg.credential
            && credential.generation > self.generation()
        {
            // The result of an exchange, read from the store before the exchange told it.
            self.credential = Some(credential);
        }
        self.look_for_way();
        let readable = self.credential.is_some();
        let routed = self.hot.auth_state(readable);
        self.change(|view| {
            view.config = msg.config;
            view.max_concurrent = msg.max_concurrent;
            view.missing_params = msg.missing_params;
            view.auth = routed;
        });
        self.plan_refresh();
        self.show();
        if replaced {
            self.renew_quota();
        } else {
            self.apply_overage_setting();
        }
        if replaced && readable {
            self.save(ctx, true);
            self.answer_waiters(ctx);
        }
    }
}

impl Handler<Flush> for Account {
    type Result = ResponseFuture<bool>;

    fn handle(&mut self, _: Flush, ctx: &mut Self::Context) -> Self::Result {
        let saved = self.saved(ctx);
        // The actor went away: nothing is left that could be written.
        Box::pin(async move { saved.await.unwrap_or(false) })
    }
}

impl Handler<Sweep> for Account {
    type Result = ();

    fn handle(&mut self, msg: Sweep, ctx: &mut Self::Context) {
        let before = self.leases.len();
        if let Some(oldest) = msg.granted_before {
            self.leases.retain(|_, held| held.granted >= oldest);
        }
        if self.leases.len() < before {
            let lost = before - self.leases.len();
            warn!(account.id = %self.id, lost, "leases reclaimed that nobody reported");
            let in_flight = self.in_flight();
            self.change(|view| view.in_flight = in_flight);
        }
        if self.retired {
            if self.leases.is_empty() {
                ctx.stop();
            }
            return;
        }
        let now = self.shared.clock.now_ms();
        if let StoredAuth::Expired { next_try: Some(at) } = self.hot.auth
            && freshness::is_of_another_clock(at, now)
        {
            self.set_auth(StoredAuth::Expired { next_try: Some(now) }, ctx);
        }
        let mut shortened = false;
        self.table.borrow_mut().update(self.id, |view| {
            shortened = ladder::shorten_future(&mut view.locks, now);
        });
        if shortened {
            info!(account.id = %self.id, "the clock was set back: locks keep their length from now");
            self.save(ctx, false);
            self.nudge();
        }
    }
}

impl Handler<Retire> for Account {
    type Result = ();

    fn handle(&mut self, _: Retire, ctx: &mut Self::Context) {
        self.retired = true;
        self.renewal.retire();
        // Leases that run have their own.
        self.credential = None;
        if self.leases.is_empty() {
            ctx.stop();
        }
    }
}

#[cfg(test)]
mod tests;
