//! The router with its account actors: waiting, restarts, reloads. Real actors, a real store, no network.

use ninerouter_dialect::Dialect;
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::*;
use crate::actors::account::Account;
use crate::actors::checkout::{Journey, Verdict};
use crate::actors::lease::{Lease, Outcome};
use crate::actors::outbox::Outbox;
use crate::actors::snapshot::{Fixed, Snapshot};
use crate::actors::testing::{Poison, opened};
use crate::cli::start::share;
use crate::clock::{Clock, UnixMs};
use crate::routing::account::{AccountKind, AccountView};
use crate::routing::affinity::SessionKeys;
use crate::routing::classify::{Class, Classified, Next};
use crate::routing::lock::Scope;
use crate::routing::resolve::resolve;
use crate::routing::verdict::Cooldown;
use crate::secret::Secret;
use crate::store::tests::alter;
use crate::store::{Stamp, Store, accounts};

mod quota;

/// Longest wait of a test for something that is to happen.
const PATIENCE: Duration = Duration::from_secs(20);
const MODEL: &str = "openai/gpt-5.5";

/// What the router knows of its accounts, and how many wait.
#[derive(Debug)]
struct Peek;

#[derive(Debug)]
struct Seen {
    views: Vec<AccountView>,
    addrs: HashMap<AccountId, Addr<Account>>,
    seats: usize,
}

impl Message for Peek {
    type Result = Seen;
}

impl Handler<Peek> for Router {
    type Result = MessageResult<Peek>;

    fn handle(&mut self, _: Peek, _: &mut Self::Context) -> Self::Result {
        let table = self.desk.table.borrow();
        let addr = |id| Some((id, table.addr(id)?.clone()));
        MessageResult(Seen {
            views: table.ids().filter_map(|id| table.view(id).cloned()).collect(),
            addrs: table.ids().filter_map(addr).collect(),
            seats: self.desk.state.borrow().waiting.seats(),
        })
    }
}

struct World {
    _folder: TempDir,
    shared: Arc<Shared>,
    fixed: Arc<Fixed>,
    router: Addr<Router>,
}

impl World {
    /// Accounts of one provider: label and ceiling of leases.
    fn start(accounts: &[(&str, u32)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (store, fixed) = opened(folder.path(), &Clock::System, Vec::new());
        for (at, (label, most)) in (1_u16..).zip(accounts) {
            put(&store, &config(label, at, *most));
        }
        let (snapshot, sources) = Snapshot::load(&store, &fixed).unwrap();
        let shared = share(store, snapshot, &sources, Clock::System).unwrap();
        let router = Router::start_on(&Arbiter::current(), Arc::clone(&shared), sources);
        Self { _folder: folder, shared, fixed, router }
    }

    async fn reload(&self) {
        let (snapshot, accounts) = Snapshot::load(&self.shared.store, &self.fixed).unwrap();
        self.shared.snapshot.store(Arc::new(snapshot));
        self.router.send(Reconcile { accounts }).await.unwrap();
    }

    fn journey(&self, model: &str) -> Box<Journey> {
        let snapshot = self.shared.snapshot.load();
        let resolved = resolve(model, &snapshot.names, &snapshot.catalog, None).unwrap();
        Box::new(Journey::new(resolved, Dialect::Chat, SessionKeys::default()))
    }

    /// Asks for a lease; dropping the guard is the caller going away.
    fn ask(&self, model: &str) -> (Request<Router, Checkout>, DropGuard) {
        let caller = CancellationToken::new();
        let guard = caller.clone().drop_guard();
        let deadline = self.shared.clock.now() + PATIENCE;
        (self.router.send(Checkout { journey: self.journey(model), deadline, caller }), guard)
    }

    async fn answer(&self, model: &str) -> Checked {
        let (asked, _caller) = self.ask(model);
        asked.await.unwrap()
    }

    async fn lease(&self) -> Lease {
        lease(self.answer(MODEL).await)
    }

    /// A waiter that has its seat.
    async fn waiter(&self, model: &str) -> Waiting {
        let before = self.peek().await.seats;
        let (asked, caller) = self.ask(model);
        let task = actix_rt::spawn(async move { asked.await.unwrap() });
        self.until(|seen| seen.seats == before + 1).await;
        Waiting { task, caller: Some(caller) }
    }

    async fn peek(&self) -> Seen {
        self.router.send(Peek).await.unwrap()
    }

    async fn until(&self, holds: impl Fn(&Seen) -> bool) -> Seen {
        let end = self.shared.clock.now() + PATIENCE;
        loop {
            let seen = self.peek().await;
            if holds(&seen) {
                return seen;
            }
            assert!(self.shared.clock.now() < end, "it never came: {seen:?}");
            tokio::task::yield_now().await;
        }
    }

    async fn account(&self, label: &str) -> (AccountId, Addr<Account>) {
        let seen = self.peek().await;
        let view = seen.views.iter().find(|view| view.config.label == label).unwrap();
        (view.config.id, seen.addrs[&view.config.id].clone())
    }
}

struct Waiting {
    task: actix_rt::task::JoinHandle<Checked>,
    caller: Option<DropGuard>,
}

impl Waiting {
    async fn answer(self) -> Checked {
        tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap()
    }
}

fn config(label: &str, priority: u16, max_concurrent: u32) -> AccountConfig {
    AccountConfig {
        priority,
        max_concurrent: Some(max_concurrent),
        ..AccountConfig::new("openai".into(), AccountKind::ApiKey, label.to_owned())
    }
}

fn put(store: &Store, config: &AccountConfig) {
    let secret = Secret::new(format!("sk-{}", config.label));
    store
        .write(|conn| {
            accounts::upsert(conn, store.sealer(), config, Some(&secret), Stamp::operator(0))
        })
        .unwrap();
}

fn lease(checked: Checked) -> Lease {
    match checked.verdict {
        Verdict::Lease(lease) => *lease,
        other => panic!("{other:?}, {:?}", checked.journey.skips),
    }
}

fn failure(class: Class, cooldown: Cooldown, until: Option<UnixMs>) -> Outcome {
    Outcome::Failed(Box::new(Classified {
        class,
        scope: Some(Scope::All),
        until,
        retry_same_after_ms: None,
        retry_same_max: 0,
        next: Next::NextAccount,
        penalize: true,
        cooldown,
        lower_concurrency: false,
        learned_window: None,
        rule: "test",
        status: Some(429),
        code: None,
        message: String::new(),
    }))
}

/// The account's window is used up for `ms` more.
fn used_up(world: &World, ms: i64) -> Outcome {
    let until = world.shared.clock.now_ms() + ms;
    failure(Class::QuotaExhausted, Cooldown::Quota { wide_jitter: false }, Some(until))
}

fn run(test: impl Future<Output = ()>) {
    System::new().block_on(test);
}

fn view_of(seen: &Seen, id: AccountId) -> &AccountView {
    seen.views.iter().find(|view| view.config.id == id).unwrap()
}

#[test]
fn places_that_become_free_at_once_serve_as_many_waiters_in_order() {
    run(async {
        let world = World::start(&[("one", 2)]);
        let (first, second) = (world.lease().await, world.lease().await);
        let a = world.waiter(MODEL).await;
        let b = world.waiter(MODEL).await;
        let c = world.waiter(MODEL).await;
        // One nudge for both.
        drop((first, second));
        let (a, b) = (lease(a.answer().await), lease(b.answer().await));
        let seen = world.until(|seen| seen.seats == 1).await;
        assert_eq!(seen.views[0].in_flight, 2);
        assert!(!c.task.is_finished());
        drop(a);
        drop((lease(c.answer().await), b));
        world.until(|seen| seen.views[0].in_flight == 0 && seen.seats == 0).await;
    });
}

#[test]
fn questions_that_go_together_are_answered_each_for_itself() {
    run(async {
        let world = World::start(&[("one", 1)]);
        let outbox = Outbox::to(Rc::new(RefCell::new(world.router.clone())));
        let served = async || {
            let caller = CancellationToken::new();
            let _waits = caller.clone().drop_guard();
            let deadline = world.shared.clock.now() + PATIENCE;
            let question = Checkout { journey: world.journey(MODEL), deadline, caller };
            lease(outbox.ask(question, PATIENCE).await.unwrap()).report(Outcome::Success);
        };
        // There is one place: the second gets it when the first gives it back.
        tokio::join!(served(), served());
    });
}

#[test]
fn a_caller_that_is_gone_is_skipped_and_takes_no_place() {
    run(async {
        let world = World::start(&[("one", 1)]);
        let held = world.lease().await;
        let mut gone = world.waiter(MODEL).await;
        let next = world.waiter(MODEL).await;
        gone.caller = None;
        assert!(matches!(gone.answer().await.verdict, Verdict::Busy));
        drop(held);
        let served = lease(next.answer().await);
        assert_eq!(world.peek().await.views[0].in_flight, 1);
        drop(served);
    });
}

#[test]
fn newcomers_do_not_overtake_those_who_wait() {
    run(async {
        let world = World::start(&[("one", 1)]);
        let held = world.lease().await;
        let waits = world.waiter(MODEL).await;
        drop(held);
        let (late, _caller) = world.ask(MODEL);
        let late = actix_rt::spawn(async move { late.await.unwrap() });
        let first = lease(waits.answer().await);
        world.until(|seen| seen.seats == 1).await;
        assert!(!late.is_finished());
        drop(first);
        drop(lease(late.await.unwrap()));
    });
}

#[test]
fn a_waiter_takes_the_account_that_recovers_first() {
    run(async {
        let world = World::start(&[("cools", 1), ("full", 1)]);
        world.lease().await.report(used_up(&world, 1_000));
        let held = world.lease().await;
        assert_eq!(held.account.label, "full");
        let begun = world.shared.clock.now();
        let served = lease(world.answer(MODEL).await);
        assert_eq!(served.account.label, "cools");
        let waited = world.shared.clock.now().duration_since(begun);
        assert!(waited >= Duration::from_millis(500), "it waited for the reset");
        drop(held);
    });
}

#[test]
fn a_dead_account_is_started_again_with_its_locks_and_without_its_leases() {
    run(async {
        let world = World::start(&[("one", 1), ("two", 1)]);
        let (one, addr) = world.account("one").await;
        let limited = world.lease().await;
        assert_eq!(limited.account.id, one);
        limited.report(used_up(&world, 3_600_000));
        // What is not on the disk yet dies with the actor.
        let is_kept = || world.shared.store.account_state(one).unwrap().locks.len() == 1;
        world.until(|seen| view_of(seen, one).locks.len() == 1 && is_kept()).await;
        let (two, second) = world.account("two").await;
        // Full when it dies: nobody asks it, and it must come back all the same.
        let lost = world.lease().await;
        assert_eq!(lost.account.id, two);
        assert!(second.send(Poison).await.is_err());
        assert!(addr.send(Poison).await.is_err());
        let seen = world
            .until(|seen| {
                seen.addrs.values().all(|addr| addr.connected()) && seen.addrs[&one] != addr
            })
            .await;
        let stored = world.shared.store.account_state(one).unwrap();
        assert_eq!(view_of(&seen, one).locks, stored.locks);
        assert_eq!(stored.locks.len(), 1);
        assert_eq!(view_of(&seen, two).in_flight, 0, "leases of the dead actor count as aborted");
        let fresh = world.lease().await;
        assert_eq!(fresh.account.id, two);
        // The report of the dead actor's lease changes nothing.
        lost.report(used_up(&world, 3_600_000));
        let seen = world.peek().await;
        assert_eq!((view_of(&seen, two).in_flight, view_of(&seen, two).locks.len()), (1, 0));
        drop(fresh);
    });
}

#[test]
fn the_sixth_death_within_a_minute_leaves_the_account_alone() {
    run(async {
        let world = World::start(&[("bad", 4), ("good", 4)]);
        let (bad, mut addr) = world.account("bad").await;
        for _ in 0..5 {
            assert!(addr.send(Poison).await.is_err());
            let seen = world.until(|seen| seen.addrs[&bad] != addr).await;
            addr = seen.addrs[&bad].clone();
        }
        assert!(addr.send(Poison).await.is_err());
        let seen = world.until(|seen| view_of(seen, bad).faulted).await;
        assert_eq!(seen.addrs[&bad], addr, "not started again");
        assert_eq!(world.lease().await.account.label, "good");
    });
}

#[test]
fn a_reload_leaves_running_leases_alone_and_shows_new_ones_the_new_entry() {
    run(async {
        let world = World::start(&[("one", 1)]);
        let old = world.lease().await;
        let mut changed = (*old.account).clone();
        (changed.label, changed.max_concurrent) = ("renamed".to_owned(), Some(2));
        let waits = world.waiter(MODEL).await;
        put(&world.shared.store, &changed);
        world.reload().await;
        let new = lease(waits.answer().await);
        assert_eq!((old.account.label.as_str(), new.account.label.as_str()), ("one", "renamed"));
        assert_eq!(world.peek().await.views[0].in_flight, 2);
        drop((old, new));
        world.until(|seen| seen.views[0].in_flight == 0).await;
    });
}

#[test]
fn leases_of_a_removed_account_do_not_count_for_the_one_that_came_back() {
    run(async {
        let world = World::start(&[("one", 4)]);
        let (old, other) = (world.lease().await, world.lease().await);
        let stored = (*old.account).clone();
        let id = stored.id;
        world.shared.store.write(|conn| accounts::delete(conn, id)).unwrap();
        world.reload().await;
        assert!(world.peek().await.views.is_empty());
        assert!(matches!(world.answer(MODEL).await.verdict, Verdict::Exhausted));
        put(&world.shared.store, &stored);
        world.reload().await;
        let new = world.lease().await;
        // What the old incarnation hears is not the new one's affair.
        old.report(used_up(&world, 3_600_000));
        drop(other);
        drop(new);
        let seen = world.until(|seen| seen.views[0].in_flight == 0).await;
        assert!(seen.views[0].locks.is_empty());
        assert!(world.shared.store.account_state(id).unwrap().locks.is_empty());
    });
}

#[test]
fn a_disk_that_refuses_holds_up_no_flush_and_is_tried_again() {
    run(async {
        let world = World::start(&[("one", 1)]);
        alter(&world.shared.store, "ALTER TABLE account_locks RENAME TO hidden");
        let held = world.lease().await;
        let id = held.account.id;
        held.report(used_up(&world, 3_600_000));
        let (_, addr) = world.account("one").await;
        assert!(!addr.send(Flush).await.unwrap(), "the account says that it could not");
        world.router.send(FlushAll).await.unwrap();
        alter(&world.shared.store, "ALTER TABLE hidden RENAME TO account_locks");
        assert!(addr.send(Flush).await.unwrap());
        assert_eq!(world.shared.store.account_state(id).unwrap().locks.len(), 1);
    });
}

#[test]
fn a_lease_that_leaked_is_reclaimed_and_its_late_report_ignored() {
    run(async {
        let world = World::start(&[("one", 1)]);
        let leaked = world.lease().await;
        let (_, addr) = world.account("one").await;
        let now = world.shared.clock.now();
        addr.send(Sweep { granted_before: Some(now - PATIENCE) }).await.unwrap();
        assert_eq!(world.peek().await.views[0].in_flight, 1, "it is not old enough");
        addr.send(Sweep { granted_before: None }).await.unwrap();
        assert_eq!(world.peek().await.views[0].in_flight, 1, "no lease is too old");
        addr.send(Sweep { granted_before: Some(now + PATIENCE) }).await.unwrap();
        assert_eq!(world.peek().await.views[0].in_flight, 0);
        leaked.report(used_up(&world, 3_600_000));
        let fresh = world.lease().await;
        assert_eq!(world.peek().await.views[0].in_flight, 1);
        drop(fresh);
    });
}

#[test]
fn a_new_credential_starts_clean_also_after_a_restart() {
    run(async {
        let world = World::start(&[("one", 1)]);
        let held = world.lease().await;
        let config = (*held.account).clone();
        held.report(used_up(&world, 3_600_000));
        let (_, addr) = world.account("one").await;
        assert!(addr.send(Flush).await.unwrap());
        let other = Secret::new("sk-other".to_owned());
        let store = &world.shared.store;
        store
            .write(|conn| {
                let stamp = Stamp::operator(0);
                accounts::upsert(conn, store.sealer(), &config, Some(&other), stamp)
            })
            .unwrap();
        world.reload().await;
        assert!(addr.send(Flush).await.unwrap());
        assert!(store.account_state(config.id).unwrap().locks.is_empty());
        assert_eq!(world.lease().await.credential.bearer().unwrap(), &other);
    });
}

#[test]
fn a_dead_key_keeps_its_reason_and_a_probe_goes_back_with_its_lease() {
    run(async {
        use crate::actors::breakers::{Admitted, Ended};
        use crate::routing::breaker::HostResult;
        use crate::routing::verdict::Dead;
        use crate::store::hot_state::StoredAuth;

        let world = World::start(&[("one", 1)]);
        let clock = Clock::manual(0);
        let breakers = crate::actors::breakers::Breakers::new(clock.clone());
        for _ in 0..5 {
            breakers.record("p", "m", Ended::Failed { host: HostResult::ServerError });
        }
        clock.advance(Duration::from_secs(10));
        let Admitted::Probe(probe) = breakers.admit("p", "m") else { panic!("half-open") };
        let held = world.lease().await.with_probe(Some(probe));
        assert!(breakers.refuses("p", "m"));
        held.report(failure(Class::AccountBanned, Cooldown::Dead(Dead::Retired), None));
        assert!(!breakers.refuses("p", "m"));

        let (id, addr) = world.account("one").await;
        assert!(addr.send(Flush).await.unwrap());
        world.reload().await;
        assert!(addr.send(Poison).await.is_err());
        world.until(|seen| seen.addrs[&id] != addr).await;
        let stored = world.shared.store.account_state(id).unwrap();
        let StoredAuth::Dead { reason, .. } = stored.hot.auth else { panic!("{:?}", stored.hot) };
        assert_eq!(reason, Dead::Retired.as_str());
        assert!(matches!(world.answer(MODEL).await.verdict, Verdict::Exhausted));
    });
}
