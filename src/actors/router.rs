//! The router actor: supervises the accounts and answers every `Checkout` with a lease or the reasons
//! why there is none.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use tracing::{error, info, warn};

use crate::actors::account::{
    Account, AccountSeed, Acquire, Denied, Flush, Reclaim, Reconfigure, Retire,
};
use crate::actors::checkout::{Checked, Checkout, Journey, Skip, SkipReason, Verdict};
use crate::actors::lease::Lease;
use crate::actors::shared::Shared;
use crate::actors::snapshot::AccountSource;
use crate::actors::table::{Row, SharedTable, Table};
use crate::actors::waiting::WaitingRoom;
use crate::clock::UnixMs;
use crate::id::AccountId;
use crate::provider::endpoint;
use crate::routing::account::AccountConfig;
use crate::routing::choose::{Choice, ChooseCx, Cursors, Ineligible, choose, eligible};
use crate::routing::plan::{self, Plan, PlannedEntry, Rotation};
use crate::routing::resolve::{ResolveError, Resolved};

/// Mailbox capacity of the router (REL-ACT-3): every in-flight request has at most one question open.
const MAILBOX: usize = 4_096;
/// Longest wait for a free place at a provider (accounts §7.2).
const WAIT_FOR_PLACE: Duration = Duration::from_secs(10);
/// An account whose window has just reset is probed this often (accounts §7.3.3); those who wait for it
/// look again as often.
const PROBE_GAP: Duration = Duration::from_millis(250);
/// An account answers within this time (security §17, actor ask).
const ASK: Duration = Duration::from_secs(2);
/// Restarts of one account's actor within [`RESTART_WINDOW`] before it is left alone (REL-ACT-2).
const RESTARTS: usize = 5;
const RESTART_WINDOW: Duration = Duration::from_secs(60);
const FAULTED_FOR: Duration = Duration::from_secs(5 * 60);
/// How often leaked leases are looked for.
const RECLAIM_EVERY: Duration = Duration::from_secs(60);
/// Accounts named per entry when nobody there could serve; those that recover first.
const NAMED_PER_ENTRY: usize = 8;

/// An account's row changed.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Nudge {
    /// Account whose row changed.
    pub account: AccountId,
}

/// Brings the account actors in line with what is stored now.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Reconcile {
    /// Every stored account.
    pub accounts: Vec<AccountSource>,
}

/// Answers when every account has written its state.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct FlushAll;

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
}

#[derive(Debug, Default)]
struct State {
    rotation: Rotation,
    cursors: Cursors,
    waiting: WaitingRoom,
    restarts: HashMap<AccountId, VecDeque<Instant>>,
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
                shared,
                table: Rc::new(RefCell::new(Table::default())),
                state: RefCell::default(),
                router: ctx.address(),
            };
            Self { desk: Rc::new(desk), loaded: accounts }
        })
    }
}

impl Actor for Router {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.desk.reconcile(std::mem::take(&mut self.loaded));
        ctx.run_interval(RECLAIM_EVERY, |router, _| router.desk.reclaim());
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

impl Handler<Nudge> for Router {
    type Result = ();

    fn handle(&mut self, msg: Nudge, _: &mut Self::Context) {
        self.desk.nudged(msg.account);
    }
}

impl Handler<Reconcile> for Router {
    type Result = ();

    fn handle(&mut self, msg: Reconcile, _: &mut Self::Context) {
        self.desk.reconcile(msg.accounts);
    }
}

impl Handler<FlushAll> for Router {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: FlushAll, _: &mut Self::Context) -> Self::Result {
        let accounts: Vec<_> = {
            let table = self.desk.table.borrow();
            table.ids().filter_map(|id| table.addr(id).cloned()).collect()
        };
        Box::pin(async move {
            for account in accounts {
                if let Err(error) = account.send(Flush).timeout(ASK).await {
                    warn!(%error, "an account could not save its state");
                }
            }
        })
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

/// How a walk through the entries ended.
enum Walk {
    Lease(Box<Lease>),
    /// Somebody could serve but has no place now; `probing`: it is a matter of time, not of places.
    Full {
        first: usize,
        probing: bool,
    },
    Nobody,
}

/// What one look at the present entry says.
enum Look {
    Ask(AccountId, Addr<Account>),
    /// An account was ruled out; look once more.
    Again,
    Full {
        probing: bool,
    },
    Nobody,
}

/// Why an account that was asked gave no lease.
enum Refusal {
    Denied(Denied),
    Silent,
}

impl Desk {
    async fn serve(&self, msg: Checkout) -> Checked {
        let mut journey = msg.journey;
        if journey.plan.is_none() {
            match self.plan(&journey) {
                Ok(plan) => journey.plan = Some(plan),
                Err(error) => return Checked { journey, verdict: Verdict::NoPlan(error) },
            }
        }
        let clock = &self.shared.clock;
        let wait_until = msg.deadline.min(clock.now() + WAIT_FOR_PLACE);
        let (start, skips) = (journey.position, journey.skips.len());
        let mut called = false;
        loop {
            match self.walk(&mut journey, called).await {
                Walk::Lease(lease) => {
                    return Checked { journey, verdict: Verdict::Lease(lease) };
                }
                Walk::Nobody => return Checked { journey, verdict: Verdict::Exhausted },
                Walk::Full { first, probing } => {
                    // Places were taken: wait at the first full entry, then look at all again.
                    let left = wait_until.saturating_duration_since(clock.now());
                    journey.position = first;
                    if left.is_zero() || !self.wait(&journey, called, probing, left).await {
                        return Checked { journey, verdict: Verdict::Busy };
                    }
                    called = true;
                    journey.position = start;
                    journey.skips.truncate(skips);
                    let tried = &journey.tried;
                    journey.excluded.retain(|id| tried.contains(id));
                }
            }
        }
    }

    /// Orders the entries; the only place where rotations advance.
    fn plan(&self, journey: &Journey) -> Result<Plan, ResolveError> {
        let snapshot = self.shared.snapshot.load();
        let now = self.shared.clock.now_ms();
        let sticky = match (&journey.resolved, journey.session) {
            (Resolved::Combo { combo, .. }, Some(session)) => {
                self.shared.affinity.entry(session, combo.id)
            }
            (Resolved::Combo { .. } | Resolved::Target(_), _) => None,
        };
        let table = self.table.borrow();
        let usable = |entry: &PlannedEntry| {
            let target = &entry.target;
            let breakers = &self.shared.breakers;
            breakers.refused_until(&target.provider.id, &target.canonical, now).is_none()
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
    async fn walk(&self, journey: &mut Journey, called: bool) -> Walk {
        let mut full = None;
        let mut probing = false;
        while let Some(entry) = journey.entry().cloned() {
            self.reach(journey);
            match self.look(journey, &entry, called) {
                Look::Ask(id, account) => match self.ask(&entry, &account).await {
                    Ok(lease) => {
                        journey.tried_here += 1;
                        journey.tried.push(id);
                        journey.excluded.push(id);
                        return Walk::Lease(Box::new(lease));
                    }
                    Err(refusal) => {
                        journey.excluded.push(id);
                        probing |= self.has_places(id);
                        if self.note_refusal(journey, id, &account, refusal) {
                            full = full.or(Some(journey.position));
                        }
                    }
                },
                Look::Again => {}
                Look::Full { probing: here } => {
                    probing |= here;
                    full = full.or(Some(journey.position));
                    journey.next_entry();
                }
                Look::Nobody => journey.next_entry(),
            }
        }
        full.map_or(Walk::Nobody, |first| Walk::Full { first, probing })
    }

    /// An account that refuses although it has places is being probed: that is a matter of time.
    fn has_places(&self, id: AccountId) -> bool {
        let table = self.table.borrow();
        table.view(id).is_some_and(|view| view.in_flight < view.max_concurrent)
    }

    /// Consumes the rotation step of the combos this entry stands in (accounts §6.2).
    fn reach(&self, journey: &mut Journey) {
        if let Some(plan) = &mut journey.plan {
            plan.reached(journey.position, &mut self.state.borrow_mut().rotation);
        }
    }

    /// Looks for an account of `entry` that may serve; records why there is none.
    fn look(&self, journey: &mut Journey, entry: &PlannedEntry, called: bool) -> Look {
        let snapshot = self.shared.snapshot.load();
        let target = &entry.target;
        if let Some(reason) = self.hindrance(journey, entry) {
            self.skip(journey, None, reason, None);
            return Look::Nobody;
        }
        if journey.tried_here >= snapshot.settings.max_accounts_per_entry {
            return Look::Nobody;
        }
        let now = self.shared.clock.now_ms();
        let table = self.table.borrow();
        let Some(group) = table.group(&target.provider.id) else {
            self.skip(journey, None, SkipReason::NoAccount, None);
            return Look::Nobody;
        };
        let state = &mut *self.state.borrow_mut();
        let queued = !called && state.waiting.is_occupied(&target.provider.id);
        if queued || group.in_flight() >= snapshot.provider_in_flight(&target.provider.id) {
            return Look::Full { probing: false };
        }
        let affinity = journey.session.and_then(|session| {
            self.shared.affinity.account(session, &target.provider.id, &target.canonical)
        });
        let choice = choose(ChooseCx {
            now,
            views: group.views(),
            target,
            strategy: snapshot.account_strategy(&target.provider.id),
            sticky_count: snapshot.sticky_count(&target.provider.id),
            cursors: &mut state.cursors,
            tried: &journey.excluded,
            affinity,
            pin: journey.pinned.or(entry.pin),
            tags: &entry.tags,
        });
        match choice {
            Choice::Account(id) => self.fits(journey, entry, group, id),
            Choice::None { reasons } => {
                let busy = |id| group.view(id).map(|view| view.in_flight < view.max_concurrent);
                let full: Vec<_> = reasons
                    .iter()
                    .filter(|(_, why)| matches!(why, Ineligible::Busy))
                    .filter_map(|(id, _)| busy(*id))
                    .collect();
                self.note_reasons(journey, reasons);
                // Busy with places left: a window that has just reset is being probed.
                let probing = full.contains(&true);
                if full.is_empty() { Look::Nobody } else { Look::Full { probing } }
            }
        }
    }

    /// Execution tiers A and B need an upstream that speaks the client's dialect.
    fn fits(
        &self,
        journey: &mut Journey,
        entry: &PlannedEntry,
        group: &crate::actors::table::Group,
        id: AccountId,
    ) -> Look {
        let Some((view, addr)) = group.view(id).zip(group.addr(id)) else { return Look::Nobody };
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
        let now = self.shared.clock.now_ms();
        let breakers = &self.shared.breakers;
        if combo_name.is_some()
            && breakers.refused_until(&target.provider.id, &target.canonical, now).is_some()
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

    async fn ask(&self, entry: &PlannedEntry, account: &Addr<Account>) -> Result<Lease, Refusal> {
        let target = Arc::clone(&entry.target);
        let now = self.shared.clock.now_ms();
        // Takes the probe of a half-open breaker; a request for one model goes on without it.
        let _probe = self.shared.breakers.admit(&target.provider.id, &target.canonical, now);
        match account.send(Acquire { target }).timeout(ASK).await {
            Ok(answer) => answer.map_err(Refusal::Denied),
            Err(error) => {
                warn!(%error, "an account did not answer");
                Err(Refusal::Silent)
            }
        }
    }

    /// Records a refusal. True when the account may have a place soon.
    fn note_refusal(
        &self,
        journey: &mut Journey,
        id: AccountId,
        account: &Addr<Account>,
        refusal: Refusal,
    ) -> bool {
        match refusal {
            Refusal::Denied(Denied::Ineligible(Ineligible::Busy)) => true,
            Refusal::Denied(Denied::Ineligible(why)) => {
                self.note_reasons(journey, vec![(id, why)]);
                false
            }
            Refusal::Denied(Denied::Gone) => false,
            Refusal::Silent => {
                self.skip(journey, Some(id), SkipReason::Unavailable, None);
                if !account.connected() {
                    self.respawn(id);
                }
                false
            }
        }
    }

    /// Records why accounts could not serve: those that recover first, `NAMED_PER_ENTRY` at most.
    fn note_reasons(&self, journey: &mut Journey, mut reasons: Vec<(AccountId, Ineligible)>) {
        let until = |why: &Ineligible| why.until().unwrap_or(UnixMs::MAX);
        reasons.retain(|(_, why)| !matches!(why, Ineligible::Excluded | Ineligible::Busy));
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

    /// Waits for a place. False when the time is over or the room is full.
    async fn wait(&self, journey: &Journey, called: bool, probing: bool, left: Duration) -> bool {
        let Some(entry) = journey.entry() else { return false };
        if probing {
            tokio::time::sleep(PROBE_GAP.min(left)).await;
            return true;
        }
        let provider = &entry.target.provider.id;
        let Some(call) = self.state.borrow_mut().waiting.sit(provider, called) else {
            return false;
        };
        tokio::time::timeout(left, call).await.is_ok_and(|called| called.is_ok())
    }

    /// A row changed: if it shows a free place, the head of the waiting room is called.
    fn nudged(&self, account: AccountId) {
        let now = self.shared.clock.now_ms();
        let table = self.table.borrow();
        let Some(row) = table.row(account) else { return };
        row.nudge_open.set(false);
        let Some(view) = table.view(account) else { return };
        let free = view.in_flight < view.max_concurrent
            && !view
                .locks
                .iter()
                .any(|l| l.until > now && l.scope == crate::routing::lock::Scope::All);
        if free {
            self.state.borrow_mut().waiting.call_next(&view.config.provider);
        }
    }

    /// Starts, changes and retires account actors until they are what is stored.
    fn reconcile(&self, accounts: Vec<AccountSource>) {
        let stored: HashSet<_> = accounts.iter().map(|a| a.view.config.id).collect();
        let gone: Vec<_> = self.table.borrow().ids().filter(|id| !stored.contains(id)).collect();
        for id in gone {
            self.retire(id);
        }
        for source in accounts {
            self.install(source);
        }
    }

    fn retire(&self, id: AccountId) {
        self.state.borrow_mut().sources.remove(&id);
        self.shared.affinity.forget(id);
        let Some(row) = self.table.borrow_mut().remove(id) else { return };
        if let Err(error) = row.addr.try_send(Retire) {
            warn!(account.id = %id, %error, "removed account did not take its notice");
        }
    }

    fn install(&self, source: AccountSource) {
        let id = source.view.config.id;
        let running = {
            let table = self.table.borrow();
            let same_place =
                table.view(id).is_some_and(|v| v.config.provider == source.view.config.provider);
            table.addr(id).filter(|addr| same_place && addr.connected()).cloned()
        };
        self.state.borrow_mut().sources.insert(id, source.clone());
        let Some(addr) = running else {
            self.start_account(source);
            return;
        };
        let change = Reconfigure {
            config: source.view.config,
            credential: source.credential,
            max_concurrent: source.view.max_concurrent,
            missing_params: source.view.missing_params,
        };
        if let Err(error) = addr.try_send(change) {
            warn!(account.id = %id, %error, "account did not take its new configuration");
        }
    }

    fn start_account(&self, source: AccountSource) {
        let nudge_open = Rc::new(Cell::new(false));
        let seed = AccountSeed {
            id: source.view.config.id,
            config: Arc::clone(&source.view.config),
            credential: source.credential,
        };
        let actor = Account::new(
            seed,
            Arc::clone(&self.shared),
            Rc::clone(&self.table),
            self.router.clone(),
            Rc::clone(&nudge_open),
        );
        // The row must exist before the actor can write into it.
        let addr = actor.start();
        self.table.borrow_mut().put(source.view, Row { addr, nudge_open });
    }

    /// Starts a dead account's actor again from the store, unless it died too often (REL-ACT-2).
    fn respawn(&self, id: AccountId) {
        let now = self.shared.clock.now();
        let source = {
            let state = &mut *self.state.borrow_mut();
            let deaths = state.restarts.entry(id).or_default();
            while deaths.front().is_some_and(|at| now.duration_since(*at) > FAULTED_FOR) {
                deaths.pop_front();
            }
            let recent =
                deaths.iter().filter(|at| now.duration_since(**at) <= RESTART_WINDOW).count();
            if recent >= RESTARTS || deaths.len() > RESTARTS {
                error!(account.id = %id, "account faulted: its actor died {RESTARTS} times in a minute; next try in 5 minutes");
                None
            } else {
                deaths.push_back(now);
                state.sources.get(&id).cloned()
            }
        };
        let Some(mut source) = source else { return };
        info!(account.id = %id, "account actor restarted");
        // Configuration comes from the last load; locks from the row the dead actor left behind, which
        // is at least as new as what it had written.
        if let Some(view) = self.table.borrow().view(id) {
            source.view.locks.clone_from(&view.locks);
            source.view.auth = view.auth;
        }
        source.view.in_flight = 0;
        self.start_account(source);
    }

    fn reclaim(&self) {
        let timeouts = &self.shared.snapshot.load().settings.timeouts;
        // Not by time when one of the two totals is switched off (accounts §0.2).
        let Some(longest) = timeouts.longest_lease() else { return };
        let now = self.shared.clock.now_ms();
        let granted_before = now - i64::try_from(longest.as_millis()).unwrap_or(i64::MAX / 2);
        let table = self.table.borrow();
        for addr in table.ids().filter_map(|id| table.addr(id)) {
            // A full mailbox gets its sweep the next time.
            drop(addr.try_send(Reclaim { granted_before }));
        }
    }
}
