//! The account actor: state machine over one account's credential, locks and in-flight count.
//!
//! Its view lives in the router's table (same thread); this actor is the only writer of its row.
//! No request body and no response ever passes through it.

mod save;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use actix::prelude::*;
use tracing::{info, warn};

use crate::actors::account::save::Saving;
use crate::actors::lease::{Lease, Outcome, Report};
use crate::actors::live::LiveEvent;
use crate::actors::router::{Counting, Nudge, Router};
use crate::actors::shared::Shared;
use crate::actors::table::SharedTable;
use crate::clock::UnixMs;
use crate::id::AccountId;
use crate::provider::credential::Credential;
use crate::routing::account::{AccountConfig, AccountView, AuthState};
use crate::routing::choose::{Ineligible, eligible};
use crate::routing::classify::Classified;
use crate::routing::instant::MINUTE;
use crate::routing::ladder::{self, FailureMemory};
use crate::routing::target::Target;
use crate::store::hot_state::{HotState, StoredAuth};

/// Mailbox capacity of an account (REL-ACT-3).
const MAILBOX: usize = 1_024;
/// A lock that ends later than this is written at once (`storage.md` §3.2).
const LONG_LOCK_MS: i64 = 5 * MINUTE;

/// Why an account gives no lease now.
#[derive(Clone, Debug)]
pub enum Denied {
    /// Its state says no.
    Ineligible(Ineligible),
    /// The account is being removed.
    Gone,
}

/// Asks for permission to use the account for one attempt.
#[derive(Debug, Message)]
#[rtype(result = "Result<Lease, Denied>")]
pub struct Acquire {
    /// What it is wanted for.
    pub target: Arc<Target>,
}

/// Asks for what a call outside of any lease needs; it takes no place and is reported by nobody.
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

/// The actor. See the module's text.
#[derive(Debug)]
pub struct Account {
    id: AccountId,
    config: Arc<AccountConfig>,
    credential: Option<Arc<Credential>>,
    shared: Arc<Shared>,
    table: SharedTable,
    router: Addr<Router>,
    nudge_open: std::rc::Rc<std::cell::Cell<bool>>,
    leases: HashMap<u64, Held>,
    next_lease: u64,
    memory: FailureMemory,
    /// What is stored beside the view: why the account is dead, last success and failure, quota.
    hot: HotState,
    saving: Saving,
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
}

impl Account {
    /// A new actor over a row that is already in the table.
    #[must_use]
    pub fn new(
        seed: AccountSeed,
        shared: Arc<Shared>,
        table: SharedTable,
        router: Addr<Router>,
        nudge_open: std::rc::Rc<std::cell::Cell<bool>>,
    ) -> Self {
        Self {
            id: seed.id,
            config: seed.config,
            credential: seed.credential,
            shared,
            table,
            router,
            nudge_open,
            leases: HashMap::new(),
            next_lease: 0,
            memory: FailureMemory::default(),
            hot: seed.hot,
            saving: Saving::default(),
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
        self.leases.insert(self.next_lease, Held { granted_at: now, granted, target });
        let in_flight = self.in_flight();
        // A lease going out frees nothing: the row changes, but nobody needs a nudge.
        self.table.borrow_mut().update(self.id, |view| {
            view.in_flight = in_flight;
            view.last_used_at = now;
        });
        Ok(Lease::new(self.next_lease, own, Arc::clone(&self.config), credential))
    }

    fn in_flight(&self) -> u32 {
        u32::try_from(self.leases.len()).unwrap_or(u32::MAX)
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
        });
        if cleared {
            info!(account.id = %self.id, model = %target.canonical, "account serves again");
            self.save(ctx, false);
        }
    }

    fn failed(&mut self, now: UnixMs, why: &Classified, ctx: &mut Context<Self>) {
        let rules = self.shared.snapshot.load().ladder(&self.config.provider);
        let jitter = self.shared.jitter();
        let memory = &mut self.memory;
        let mut filed = ladder::Outcome::Unchanged;
        self.table.borrow_mut().update(self.id, |view| {
            filed = ladder::apply(&mut view.locks, memory, why, now, jitter, &rules);
            if let ladder::Outcome::Dead(_) = filed {
                view.auth = AuthState::Dead;
            }
            ladder::prune(&mut view.locks, now);
        });
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
                let reason = reason.as_str();
                self.hot.auth = StoredAuth::Dead { reason: reason.to_owned(), since: now };
                warn!(
                    account.id = %self.id, provider = %self.config.provider, rule = why.rule,
                    "account needs the operator: {reason}"
                );
                true
            }
        };
        // No message: it may quote the request.
        self.hot.last_error = Some(serde_json::json!({
            "at": now, "class": why.class.as_str(), "rule": why.rule, "status": why.status,
        }));
        self.save(ctx, urgent);
    }
}

impl Actor for Account {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
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
    /// `Response`, because an account with a sign-in refreshes its token here before it grants.
    type Result = Response<Result<Lease, Denied>>;

    fn handle(&mut self, msg: Acquire, ctx: &mut Self::Context) -> Self::Result {
        let now = self.shared.clock.now_ms();
        let granted =
            self.judge(now, &msg.target).and_then(|()| self.grant(now, msg.target, ctx.address()));
        Response::reply(granted)
    }
}

impl Handler<Show> for Account {
    type Result = MessageResult<Show>;

    fn handle(&mut self, _: Show, _: &mut Self::Context) -> Self::Result {
        let credential = self.credential.clone();
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
        match &msg.outcome {
            Outcome::Success => self.succeeded(now, &held, ctx),
            Outcome::Failed(why) => self.failed(now, why, ctx),
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
        let replaced = match (&self.credential, &msg.credential) {
            (Some(old), Some(new)) => old.bearer() != new.bearer(),
            (None, None) => false,
            _ => true,
        };
        self.config = Arc::clone(&msg.config);
        let readable = msg.credential.is_some();
        self.credential = msg.credential;
        if replaced {
            self.memory = FailureMemory::default();
            self.hot.auth = StoredAuth::Ok;
        }
        self.change(|view| {
            view.config = msg.config;
            view.max_concurrent = msg.max_concurrent;
            view.missing_params = msg.missing_params;
            if replaced {
                // A new credential starts clean (accounts §0.1, reconnect).
                view.locks.clear();
                view.auth = if readable { AuthState::Ok } else { AuthState::Dead };
            }
        });
        if replaced && readable {
            self.save(ctx, true);
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
        // Leases that run have their own.
        self.credential = None;
        if self.leases.is_empty() {
            ctx.stop();
        }
    }
}
