//! The account actor: state machine over one account's credential, locks and in-flight count.
//!
//! Its view lives in the router's table (same thread); this actor is the only writer of its row.
//! No request body and no response ever passes through it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tracing::{info, warn};

use crate::actors::lease::{Lease, Outcome, Report};
use crate::actors::live::LiveEvent;
use crate::actors::router::{Nudge, Router};
use crate::actors::shared::Shared;
use crate::actors::table::SharedTable;
use crate::clock::UnixMs;
use crate::id::AccountId;
use crate::provider::credential::Credential;
use crate::routing::account::{AccountConfig, AccountView, AuthState};
use crate::routing::choose::{Ineligible, eligible};
use crate::routing::classify::{Class, Classified};
use crate::routing::ladder::{self, FailureMemory};
use crate::routing::lock::Lock;
use crate::routing::target::Target;
use crate::store::hot_state::{HotState, StoredAuth};

/// Mailbox capacity of an account (REL-ACT-3).
const MAILBOX: usize = 1_024;
/// Hot state is written at most this often; the first write after a quiet time is immediate.
const WRITE_GAP: Duration = Duration::from_secs(1);
/// After a quota reset passed, one probe per this many milliseconds until a success (accounts §7.3.3).
const PROBE_GAP_MS: i64 = 250;

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

/// Writes what is not written yet and answers when it is on disk.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Flush;

/// Ends leases that nobody reported in time (accounts §0.2).
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Reclaim {
    /// Leases granted before this instant are reclaimed, Unix ms.
    pub granted_before: UnixMs,
}

/// The operator removed the account: no new lease; secrets are wiped with the actor.
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
    last_probe: UnixMs,
    dead: &'static str,
    dead_since: UnixMs,
    writes: Writes,
    retired: bool,
}

/// A lease that is out.
#[derive(Debug)]
struct Held {
    granted_at: UnixMs,
    target: Arc<Target>,
}

/// Progress of the coalesced writes of hot state.
#[derive(Debug, Default)]
struct Writes {
    dirty: bool,
    scheduled: bool,
    running: bool,
    waiters: Vec<tokio::sync::oneshot::Sender<()>>,
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
            last_probe: 0,
            dead: "secrets_unreadable",
            dead_since: 0,
            writes: Writes::default(),
            retired: false,
        }
    }

    fn change(&self, change: impl FnOnce(&mut AccountView)) {
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
        eligible(now, view, target).map_err(Denied::Ineligible)?;
        // A window has reset and nobody has seen it serve yet: no herd (accounts §7.3.3).
        let unproven = view.locks.iter().any(|lock| {
            lock.class == Class::QuotaExhausted
                && lock.until <= now
                && target.is_covered(&lock.scope)
        });
        if unproven && now - self.last_probe < PROBE_GAP_MS {
            return Err(Denied::Ineligible(Ineligible::Busy));
        }
        Ok(())
    }

    fn grant(
        &mut self,
        now: UnixMs,
        target: Arc<Target>,
        own: Addr<Self>,
    ) -> Result<Lease, Denied> {
        let credential = self.credential.clone().ok_or(Denied::Gone)?;
        self.last_probe = now;
        self.next_lease += 1;
        self.leases.insert(self.next_lease, Held { granted_at: now, target });
        let in_flight = u32::try_from(self.leases.len()).unwrap_or(u32::MAX);
        // A lease going out frees nothing: the row changes, but nobody needs a nudge.
        self.table.borrow_mut().update(self.id, |view| {
            view.in_flight = in_flight;
            view.last_used_at = now;
        });
        Ok(Lease::new(self.next_lease, own, Arc::clone(&self.config), credential))
    }

    fn succeeded(&mut self, now: UnixMs, held: &Held, ctx: &mut Context<Self>) {
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
            self.persist(ctx);
        }
    }

    fn failed(&mut self, now: UnixMs, why: &Classified, ctx: &mut Context<Self>) {
        if self.retired {
            return;
        }
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
        match filed {
            ladder::Outcome::Unchanged => return,
            ladder::Outcome::Locked(lock) => warn!(
                account.id = %self.id, provider = %self.config.provider, scope = %lock.scope,
                class = why.class.as_str(), rule = why.rule, until = lock.until,
                "account locked: {}", lock.reason
            ),
            ladder::Outcome::Dead(reason) => {
                (self.dead, self.dead_since) = (reason.as_str(), now);
                warn!(
                    account.id = %self.id, provider = %self.config.provider, rule = why.rule,
                    "account needs the operator: {}", reason.as_str()
                );
            }
        }
        self.persist(ctx);
    }

    /// Writes hot state: at once when the last write is a while ago, else when the gap has passed.
    fn persist(&mut self, ctx: &mut Context<Self>) {
        self.writes.dirty = true;
        if self.writes.running || self.writes.scheduled {
            return;
        }
        self.write_now(ctx);
    }

    fn write_now(&mut self, ctx: &mut Context<Self>) {
        let Some((hot, locks)) = self.hot_state() else { return };
        self.writes.dirty = false;
        self.writes.running = true;
        let (store, id) = (self.shared.store.clone(), self.id);
        let work = tokio::task::spawn_blocking(move || store.save_locks(id, &locks, &hot));
        ctx.spawn(work.into_actor(self).map(|done, act, ctx| {
            act.writes.running = false;
            match done {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    warn!(account.id = %act.id, %error, "account state not saved; retrying");
                    act.writes.dirty = true;
                }
                // The blocking task panicked or the pool is gone: the next change writes again.
                Err(error) => warn!(account.id = %act.id, %error, "account state not saved"),
            }
            if act.writes.waiters.is_empty() {
                act.writes.scheduled = true;
                ctx.run_later(WRITE_GAP, |act, ctx| {
                    act.writes.scheduled = false;
                    if act.writes.dirty && !act.writes.running {
                        act.write_now(ctx);
                    }
                });
            } else if act.writes.dirty {
                act.write_now(ctx);
            } else {
                for waiter in act.writes.waiters.drain(..) {
                    // A caller that no longer waits needs no answer.
                    let _gone = waiter.send(());
                }
            }
        }));
    }

    fn hot_state(&self) -> Option<(HotState, Vec<Lock>)> {
        let table = self.table.borrow();
        let view = table.view(self.id)?;
        let auth = match view.auth {
            AuthState::Ok => StoredAuth::Ok,
            AuthState::Expired { next_try } => StoredAuth::Expired { next_try },
            AuthState::Dead => {
                StoredAuth::Dead { reason: self.dead.to_owned(), since: self.dead_since }
            }
        };
        let last_used_at = (view.last_used_at > 0).then_some(view.last_used_at);
        Some((HotState { auth, last_used_at, ..HotState::default() }, view.locks.clone()))
    }
}

impl Actor for Account {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
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

impl Handler<Report> for Account {
    type Result = ();

    fn handle(&mut self, msg: Report, ctx: &mut Self::Context) {
        let Some(held) = self.leases.remove(&msg.lease_id) else { return }; // reclaimed before
        let now = self.shared.clock.now_ms();
        match &msg.outcome {
            Outcome::Success => self.succeeded(now, &held, ctx),
            Outcome::Failed(why) => self.failed(now, why, ctx),
            Outcome::Aborted => {}
        }
        let in_flight = u32::try_from(self.leases.len()).unwrap_or(u32::MAX);
        self.change(|view| view.in_flight = in_flight);
        if self.retired && self.leases.is_empty() {
            ctx.stop();
        }
    }
}

impl Handler<Reconfigure> for Account {
    type Result = ();

    fn handle(&mut self, msg: Reconfigure, _ctx: &mut Self::Context) {
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
    }
}

impl Handler<Flush> for Account {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Flush, ctx: &mut Self::Context) -> Self::Result {
        if !self.writes.dirty && !self.writes.running {
            return Box::pin(std::future::ready(()));
        }
        let (waiter, done) = tokio::sync::oneshot::channel();
        self.writes.waiters.push(waiter);
        if !self.writes.running {
            self.write_now(ctx);
        }
        Box::pin(async move {
            // The actor went away: nothing is left that could be written.
            drop(done.await);
        })
    }
}

impl Handler<Reclaim> for Account {
    type Result = ();

    fn handle(&mut self, msg: Reclaim, _ctx: &mut Self::Context) {
        let before = self.leases.len();
        self.leases.retain(|_, held| held.granted_at >= msg.granted_before);
        if self.leases.len() < before {
            let lost = before - self.leases.len();
            warn!(account.id = %self.id, lost, "leases reclaimed that nobody reported");
            let in_flight = u32::try_from(self.leases.len()).unwrap_or(u32::MAX);
            self.change(|view| view.in_flight = in_flight);
        }
    }
}

impl Handler<Retire> for Account {
    type Result = ();

    fn handle(&mut self, _: Retire, ctx: &mut Self::Context) {
        self.retired = true;
        if self.leases.is_empty() {
            ctx.stop();
        }
    }
}
