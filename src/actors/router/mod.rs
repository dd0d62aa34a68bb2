//! The router actor: supervises the accounts and answers every `Checkout` with a lease or the reasons
//! why there is none.

mod counting;
mod due;
mod inquiry;
mod roster;
mod serve;
mod walk;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tracing::{error, info, warn};

use crate::actors::account::{Account, Flush, Retire, Sweep};
use crate::actors::checkout::{Checked, Checkout};
use crate::actors::outbox::{Question, Questions};
use crate::actors::restarts::{Restarts, Revival};
use crate::actors::shared::Shared;
use crate::actors::snapshot::AccountSource;
use crate::actors::table::{SharedTable, Table};
use crate::actors::waiting::WaitingRoom;
use crate::auth::audit::{Caller, Event, EventName};
use crate::clock::UnixMs;
use crate::id::AccountId;
use crate::net::Clients;
use crate::provider::quota::Document;
use crate::routing::account::AccountConfig;
use crate::routing::choose::Cursors;
use crate::routing::plan::Rotation;

pub use counting::{Counting, ForCounting};
pub use due::{Due, DueRefreshes, Find};
pub use inquiry::{Candidate, Explain, Explained, Views};

/// Mailbox capacity of the router (REL-ACT-3): every in-flight request has at most one question open.
const MAILBOX: usize = 4_096;
/// An account answers within this time (security §17, actor ask).
const ASK: Duration = Duration::from_secs(2);
/// How often leaked leases, dead actors and locks of another clock are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// An account's row changed, or its actor died.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Nudge {
    /// Account whose row changed.
    pub account: AccountId,
}

/// Brings the account actors in line with what is stored now; answers when every actor took its change.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Reconcile {
    /// Every stored account.
    pub accounts: Vec<AccountSource>,
}

/// Answers when every account has written its state, or could not.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct FlushAll;

/// The wall clock was set, or the machine slept: what waits for an instant is looked at again (REL-CLK-1).
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ClockSet;

/// How many accounts there are.
#[derive(Debug, Message)]
#[rtype(result = "usize")]
pub struct CountAccounts;

/// Which providers have an enabled account that is not dead (endpoints §4.5): what model lists show.
#[derive(Debug, Message)]
#[rtype(result = "Vec<Arc<str>>")]
pub struct ServedProviders;

/// Accounts that could be called with their credential: enabled, not dead, no parameter missing. A cooling
/// one counts.
#[derive(Debug, Message)]
#[rtype(result = "Vec<Arc<AccountConfig>>")]
pub struct UsableAccounts;

/// Accounts whose usage page may be looked at: enabled, not dead, no parameter missing.
#[derive(Debug, Message)]
#[rtype(result = "Vec<Pollable>")]
pub struct PollableAccounts;

/// An account, and what decides when its usage page is looked at.
#[derive(Clone, Debug)]
pub struct Pollable {
    /// Its configuration.
    pub config: Arc<AccountConfig>,
    /// Its actor.
    pub addr: Addr<Account>,
    /// Last lease, Unix ms; 0 = never.
    pub last_used_at: UnixMs,
    /// What is known of its quota.
    pub quota: Option<Arc<Document>>,
}

/// The actor. See the module's text.
#[derive(Debug)]
pub struct Router {
    desk: Rc<Desk>,
    loaded: Vec<AccountSource>,
}

/// What the router and the tasks that answer its questions share, on one thread.
#[derive(Debug)]
struct Desk {
    shared: Arc<Shared>,
    table: SharedTable,
    state: RefCell<State>,
    router: Addr<Router>,
    /// Clients of this thread, for token endpoints.
    clients: Clients,
}

#[derive(Debug, Default)]
struct State {
    rotation: Rotation,
    cursors: Cursors,
    waiting: WaitingRoom,
    restarts: HashMap<AccountId, Restarts>,
    sources: HashMap<AccountId, AccountSource>,
}

impl Router {
    /// Starts a router with its accounts on the thread of `arbiter` (the control plane).
    #[must_use]
    pub fn start_on(
        arbiter: &ArbiterHandle,
        shared: Arc<Shared>,
        accounts: Vec<AccountSource>,
    ) -> Addr<Self> {
        Self::start_in_arbiter(arbiter, move |ctx| {
            ctx.set_mailbox_capacity(MAILBOX);
            let desk = Desk {
                clients: Clients::new(Arc::clone(&shared.net)),
                shared,
                table: Rc::new(RefCell::new(Table::default())),
                state: RefCell::default(),
                router: ctx.address(),
            };
            Self { desk: Rc::new(desk), loaded: accounts }
        })
    }

    /// Starts a dead account's actor again from the store, unless it died too often (REL-ACT-2).
    fn revive(&self, id: AccountId, ctx: &mut Context<Self>) {
        let now = self.desk.shared.clock.now();
        let revival = self.desk.state.borrow_mut().restarts.entry(id).or_default().ask(now);
        match revival {
            Revival::Wait => return,
            Revival::Fault => {
                error!(account.id = %id, "account faulted: its actor dies again and again; next try in 5 minutes");
                let event = Event::failed(EventName::ActorRestarted).with("actor", id.to_string());
                let event = event.with("why", "it dies again and again");
                self.desk.shared.audit.record(&Caller::system(), event);
                self.desk.table.borrow_mut().update(id, |view| view.faulted = true);
                return;
            }
            Revival::Start => {}
        }
        let store = self.desk.shared.store.clone();
        let read = tokio::task::spawn_blocking(move || store.account_state(id));
        ctx.spawn(read.into_actor(self).map(move |stored, router, _| {
            if let Some(restarts) = router.desk.state.borrow_mut().restarts.get_mut(&id) {
                restarts.started();
            }
            match stored {
                Ok(Ok(stored)) => {
                    info!(account.id = %id, "account actor restarted");
                    let event = Event::ok(EventName::ActorRestarted).with("actor", id.to_string());
                    let event = event.with("why", "it died");
                    router.desk.shared.audit.record(&Caller::system(), event);
                    router.desk.restart(id, stored);
                }
                // The next sweep tries again.
                Ok(Err(error)) => error!(account.id = %id, %error, "account not restarted"),
                Err(error) => error!(account.id = %id, %error, "account not restarted"),
            }
        }));
    }

    /// Looks for what nobody reported: leaked leases, dead actors, locks of another clock.
    fn sweep(&mut self, ctx: &mut Context<Self>) {
        let shared = &self.desk.shared;
        // Not by time when one of the two totals is switched off (accounts §0.2).
        let longest = shared.snapshot.load().settings.timeouts.longest_lease();
        let granted_before = longest.and_then(|longest| shared.clock.now().checked_sub(longest));
        let mut dead = Vec::new();
        {
            let table = self.desk.table.borrow();
            for (id, addr) in table.ids().filter_map(|id| Some((id, table.addr(id)?))) {
                if addr.connected() {
                    // A full mailbox gets its sweep the next time.
                    drop(addr.try_send(Sweep { granted_before }));
                } else {
                    dead.push(id);
                }
            }
        }
        for id in dead {
            self.revive(id, ctx);
        }
    }
}

impl Actor for Router {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // Nobody has leases yet, and new actors need no answer.
        drop(self.desk.reconcile(std::mem::take(&mut self.loaded)));
        ctx.run_interval(SWEEP_EVERY, Self::sweep);
    }
}

impl Drop for Router {
    /// The next router starts accounts of its own from the store: two actors must not write one row.
    fn drop(&mut self) {
        for row in self.desk.table.borrow_mut().take_rows() {
            // One whose mailbox is full or closed grants nothing without a router, either.
            drop(row.addr.try_send(Retire));
        }
    }
}

impl Handler<Checkout> for Router {
    /// A task of its own: waiting must not hold up the mailbox (REL-ACT-4).
    type Result = ResponseFuture<Checked>;

    fn handle(&mut self, msg: Checkout, _: &mut Self::Context) -> Self::Result {
        let desk = Rc::clone(&self.desk);
        Box::pin(async move { desk.serve(msg).await })
    }
}

impl Handler<Questions> for Router {
    type Result = ();

    /// As for each [`Checkout`].
    fn handle(&mut self, msg: Questions, _: &mut Self::Context) {
        for Question { checkout, answer } in msg.0 {
            let desk = Rc::clone(&self.desk);
            actix::spawn(async move {
                let _gone = answer.send(desk.serve(checkout).await);
            });
        }
    }
}

impl Handler<Nudge> for Router {
    type Result = ();

    fn handle(&mut self, msg: Nudge, ctx: &mut Self::Context) {
        let provider = {
            let table = self.desk.table.borrow();
            let Some(row) = table.row(msg.account) else { return };
            row.nudge_open.set(false);
            row.addr
                .connected()
                .then(|| table.view(msg.account))
                .flatten()
                .map(|view| Arc::clone(&view.config.provider))
        };
        match provider {
            Some(provider) => self.desk.call_waiters(&provider),
            None => self.revive(msg.account, ctx),
        }
    }
}

impl Handler<Reconcile> for Router {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, msg: Reconcile, _: &mut Self::Context) -> Self::Result {
        let changes = self.desk.reconcile(msg.accounts);
        Box::pin(async move {
            // They are all on their way already.
            for (id, change) in changes {
                if let Err(error) = change.timeout(ASK).await {
                    warn!(account.id = %id, %error, "account did not take its new configuration");
                }
            }
        })
    }
}

impl Handler<FlushAll> for Router {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: FlushAll, _: &mut Self::Context) -> Self::Result {
        // All at once, so that a silent account holds up nobody.
        let flushes: Vec<_> = {
            let table = self.desk.table.borrow();
            table.ids().filter_map(|id| table.addr(id)).map(|addr| addr.send(Flush)).collect()
        };
        Box::pin(async move {
            let mut unsaved = 0_usize;
            for flush in flushes {
                if !matches!(flush.timeout(ASK).await, Ok(true)) {
                    unsaved += 1;
                }
            }
            if unsaved > 0 {
                warn!(unsaved, "accounts could not save their state");
            }
        })
    }
}

impl Handler<ClockSet> for Router {
    type Result = ();

    fn handle(&mut self, _: ClockSet, ctx: &mut Self::Context) {
        self.sweep(ctx);
    }
}

impl Handler<CountAccounts> for Router {
    type Result = usize;

    fn handle(&mut self, _: CountAccounts, _: &mut Self::Context) -> usize {
        self.desk.table.borrow().ids().count()
    }
}

impl Handler<ServedProviders> for Router {
    type Result = MessageResult<ServedProviders>;

    fn handle(&mut self, _: ServedProviders, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.desk.table.borrow().served())
    }
}

impl Handler<UsableAccounts> for Router {
    type Result = MessageResult<UsableAccounts>;

    fn handle(&mut self, _: UsableAccounts, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.desk.table.borrow().usable())
    }
}

impl Handler<PollableAccounts> for Router {
    type Result = MessageResult<PollableAccounts>;

    fn handle(&mut self, _: PollableAccounts, _: &mut Self::Context) -> Self::Result {
        let table = self.desk.table.borrow();
        let pollable = |config: Arc<AccountConfig>| {
            let (view, addr) = (table.view(config.id)?, table.addr(config.id)?.clone());
            let quota = view.shown.quota.clone();
            Some(Pollable { addr, last_used_at: view.last_used_at, quota, config })
        };
        MessageResult(table.usable().into_iter().filter_map(pollable).collect())
    }
}

#[cfg(test)]
mod tests;
