//! An account's credential from token to token: real actors, a real store, a simulated vendor on a real socket.

use std::time::Duration;

use actix::prelude::*;
use ninerouter_dialect::Dialect;
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::*;
use crate::actors::checkout::{Checked, Checkout, Journey, Verdict};
use crate::actors::desk::RouterDesk;
use crate::actors::exchanges::{Unrenewed, Why};
use crate::actors::refresher::{Refresher, Tick};
use crate::actors::router::{Find, Reconcile};
use crate::actors::snapshot::{Fixed, Snapshot};
use crate::actors::testing::{Poison, opened};
use crate::cli::start::share;
use crate::clock::Clock;
use crate::demo::authority::{Authority, Hold, Issued, Person, Place, Scripted};
use crate::routing::account::{AccountKind, Ownership, ShownAuth};
use crate::routing::affinity::SessionKeys;
use crate::routing::classify::Next;
use crate::routing::instant::{HOUR, SECOND};
use crate::routing::lock::Scope;
use crate::routing::resolve::resolve;
use crate::routing::verdict::Cooldown;
use crate::secret::Secret;
use crate::store::secrets::{self, NewSecrets};
use crate::store::tests::alter;
use crate::store::{Stamp, Store, accounts};

const PATIENCE: Duration = Duration::from_secs(20);
const MODEL: &str = "claude/claude-sonnet-5";
const NOW: UnixMs = 1_790_000_000_000;

/// What an account is now.
#[derive(Debug, Message)]
#[rtype(result = "Seen")]
struct Look;

#[derive(Clone, Debug)]
struct Seen {
    auth: StoredAuth,
    view: AccountView,
    due: Option<UnixMs>,
    generation: u64,
}

impl Handler<Look> for Account {
    type Result = MessageResult<Look>;

    fn handle(&mut self, _: Look, _: &mut Self::Context) -> Self::Result {
        MessageResult(Seen {
            auth: self.hot.auth.clone(),
            view: self.table.borrow().view(self.id).unwrap().clone(),
            due: self.renewal.due.get(),
            generation: self.generation(),
        })
    }
}

struct World {
    _folder: TempDir,
    shared: Arc<Shared>,
    fixed: Arc<Fixed>,
    router: Addr<Router>,
    vendor: Authority,
    clock: Clock,
}

impl World {
    /// Claude accounts of the given configurations, each with tokens that end after `life_ms`.
    fn start(configs: Vec<AccountConfig>, left_ms: i64) -> Self {
        let clock = Clock::manual(NOW);
        let vendor = Authority::start(&clock).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (store, fixed) = opened(folder.path(), &clock, vendor.overrides());
        for config in &configs {
            put(&store, config);
            let issued = vendor.issue(&Person::new(&config.label));
            sign_in(&store, config.id, &issued, clock.now_ms() + left_ms);
        }
        let (snapshot, sources) = Snapshot::load(&store, &fixed).unwrap();
        let shared = share(store, snapshot, &sources, clock.clone()).unwrap();
        let router = Router::start_on(&Arbiter::current(), Arc::clone(&shared), sources);
        Self { _folder: folder, shared, fixed, router, vendor, clock }
    }

    /// One account called `one`.
    fn one(left_ms: i64) -> (Self, AccountId) {
        let config = config("one");
        let id = config.id;
        (Self::start(vec![config], left_ms), id)
    }

    async fn reload(&self) {
        let (snapshot, accounts) = Snapshot::load(&self.shared.store, &self.fixed).unwrap();
        self.shared.snapshot.store(Arc::new(snapshot));
        self.router.send(Reconcile { accounts }).await.unwrap();
    }

    fn ask(&self) -> (Request<Router, Checkout>, DropGuard) {
        let snapshot = self.shared.snapshot.load();
        let resolved = resolve(MODEL, &snapshot.names, &snapshot.catalog, None).unwrap();
        let journey = Journey::new(resolved, Dialect::Anth, SessionKeys::default());
        let caller = CancellationToken::new();
        let guard = caller.clone().drop_guard();
        let deadline = self.clock.now() + Duration::from_secs(60);
        (self.router.send(Checkout { journey: Box::new(journey), deadline, caller }), guard)
    }

    async fn answer(&self) -> Checked {
        let (asked, _caller) = self.ask();
        tokio::time::timeout(PATIENCE, asked).await.unwrap().unwrap()
    }

    async fn lease(&self) -> Lease {
        lease(self.answer().await)
    }

    async fn addr(&self, id: AccountId) -> Addr<Account> {
        self.router.send(Find { account: id }).await.unwrap().unwrap()
    }

    async fn look(&self, id: AccountId) -> Seen {
        self.addr(id).await.send(Look).await.unwrap()
    }

    /// Waits until the account is as wanted. An actor that is being started again says nothing.
    async fn until(&self, id: AccountId, holds: impl Fn(&Seen) -> bool) -> Seen {
        let waited = async {
            loop {
                let addr = self.router.send(Find { account: id }).await.unwrap();
                if let Some(addr) = addr
                    && let Ok(seen) = addr.send(Look).await
                    && holds(&seen)
                {
                    return seen;
                }
                tokio::task::yield_now().await;
            }
        };
        match tokio::time::timeout(PATIENCE, waited).await {
            Ok(seen) => seen,
            Err(_) => panic!("it never came: {:?}", self.look(id).await),
        }
    }

    async fn refresh(&self, id: AccountId) -> Result<Renewed, Unrenewed> {
        self.addr(id).await.send(RefreshNow { force: true }).await.unwrap()
    }

    fn stored_refresh_token(&self, id: AccountId) -> String {
        let store = &self.shared.store;
        let token = store.read(|conn| secrets::refresh_token(conn, store.sealer(), id)).unwrap();
        token.unwrap().expose().to_owned()
    }

    fn stored_generation(&self, id: AccountId) -> u64 {
        self.shared.store.credential(id).unwrap().generation
    }
}

fn config(label: &str) -> AccountConfig {
    AccountConfig {
        max_concurrent: Some(1_000),
        ..AccountConfig::new("claude".into(), AccountKind::OAuth, label.to_owned())
    }
}

fn put(store: &Store, config: &AccountConfig) {
    let stamp = Stamp::operator(NOW);
    store.write(|conn| accounts::upsert(conn, store.sealer(), config, None, stamp)).unwrap();
}

/// Stores a sign-in, over whatever is there.
fn sign_in(store: &Store, id: AccountId, issued: &Issued, expires_at: UnixMs) {
    let secret = |text: &str| Some(Secret::new(text.to_owned()));
    let new = NewSecrets {
        access_token: secret(&issued.access_token),
        refresh_token: secret(&issued.refresh_token),
        expires_at: Some(Some(expires_at)),
        ..NewSecrets::default()
    };
    store
        .write(|conn| {
            let old = secrets::credential(conn, store.sealer(), id)?.generation;
            // Had a life of eight hours, so that the usual lead counts.
            let had = expires_at - 8 * HOUR;
            secrets::update(conn, store.sealer(), id, old, &new, had)
        })
        .unwrap();
}

fn lease(checked: Checked) -> Lease {
    match checked.verdict {
        Verdict::Lease(lease) => *lease,
        other => panic!("{other:?}, {:?}", checked.journey.skips),
    }
}

fn is_nobody(checked: &Checked) -> bool {
    matches!(checked.verdict, Verdict::Exhausted)
}

fn refused() -> Outcome {
    failure(Class::AuthExpired, Cooldown::Steps(&[120_000]))
}

fn failure(class: Class, cooldown: Cooldown) -> Outcome {
    Outcome::Failed(Box::new(Classified {
        class,
        scope: Some(Scope::All),
        until: None,
        retry_same_after_ms: None,
        retry_same_max: 0,
        next: Next::NextAccount,
        penalize: true,
        cooldown,
        lower_concurrency: false,
        learned_window: None,
        rule: "test",
        status: Some(401),
        code: None,
        message: String::new(),
    }))
}

fn run(test: impl Future<Output = ()>) {
    System::new().block_on(test);
}

const INVALID_GRANT: &str = r#"{"error":"invalid_grant"}"#;

#[test]
fn two_hundred_requests_on_an_expired_token_cause_one_refresh() {
    run(async {
        let (world, id) = World::one(-SECOND);
        let asked: Vec<_> = (0..200).map(|_| world.ask()).collect();
        let mut leases = Vec::new();
        for (answer, _caller) in asked {
            leases.push(lease(answer.await.unwrap()));
        }
        let counts = world.vendor.counts();
        assert_eq!((counts.token_calls, counts.refreshes), (1, 1));
        assert!(leases.iter().all(|lease| lease.credential.generation == 2));
        assert_eq!(world.stored_generation(id), 2, "stored before it is used");
        assert_eq!(world.look(id).await.view.in_flight, 200);
        drop(leases);
        assert_eq!(world.until(id, |seen| seen.view.in_flight == 0).await.auth, StoredAuth::Ok);
    });
}

#[test]
fn a_token_that_still_lives_is_used_while_the_next_one_comes() {
    run(async {
        let (world, id) = World::one(10 * MINUTE);
        world.vendor.hold(Place::Token, Hold::Request);
        assert_eq!(world.lease().await.credential.generation, 1, "nobody waits");
        let seen = world.until(id, |seen| seen.view.shown.auth == ShownAuth::Refreshing).await;
        assert_eq!(seen.due, None);
        world.vendor.hold(Place::Token, Hold::Off);
        let seen = world.until(id, |seen| seen.generation == 2).await;
        assert_eq!(seen.view.shown.expires_at, Some(NOW + 8 * HOUR));
        assert!(seen.due.is_some_and(|due| due > NOW + 7 * HOUR));
        assert_eq!(world.vendor.counts().token_calls, 1);
    });
}

#[test]
fn a_rotated_token_is_the_next_one_to_be_redeemed() {
    run(async {
        let (world, id) = World::one(-SECOND);
        for generation in 2..6 {
            assert_eq!(world.lease().await.credential.generation, generation);
            world.clock.advance(Duration::from_secs(9 * 3_600));
        }
        let counts = world.vendor.counts();
        assert_eq!((counts.refreshes, counts.reuses, counts.refused_refreshes), (4, 0, 0));
        assert_eq!(world.look(id).await.auth, StoredAuth::Ok);
    });
}

#[test]
fn an_actor_that_dies_during_a_refresh_neither_loses_nor_redeems_twice() {
    run(async {
        let (world, id) = World::one(-SECOND);
        world.vendor.hold(Place::Token, Hold::Reply);
        let (waiting, _caller) = world.ask();
        let waiting = actix_rt::spawn(waiting);
        let vendor_called = || world.vendor.counts().token_calls == 1;
        while !vendor_called() {
            tokio::task::yield_now().await;
        }
        let first = world.addr(id).await;
        assert!(first.send(Poison).await.is_err());
        assert!(is_nobody(&waiting.await.unwrap().unwrap()), "told at once");
        // The next actor joins what runs.
        world.until(id, |seen| seen.view.shown.auth == ShownAuth::Refreshing).await;
        let (again, _caller) = world.ask();
        let again = actix_rt::spawn(again);
        world.until(id, |seen| seen.view.in_flight == 1).await;
        world.vendor.hold(Place::Token, Hold::Off);
        assert_eq!(lease(again.await.unwrap().unwrap()).credential.generation, 2);
        let counts = world.vendor.counts();
        assert_eq!((counts.token_calls, counts.refreshes, counts.reuses), (1, 1, 0));
        // And the one that dies after the refresh finds what it brought.
        assert!(world.addr(id).await.send(Poison).await.is_err());
        world.until(id, |seen| seen.generation == 2).await;
        world.clock.advance(Duration::from_secs(9 * 3_600));
        assert_eq!(world.lease().await.credential.generation, 3);
        assert_eq!(world.vendor.counts().reuses, 0);
    });
}

#[test]
fn what_each_answer_of_the_token_endpoint_does_to_an_expired_account() {
    run(async {
        enum Then {
            Expired(i64),
            Dead(&'static str),
        }
        let minute = MINUTE;
        let rows: [(Scripted, Then); 12] = [
            (Scripted::reply(500, ""), Then::Expired(minute)),
            (Scripted::reply(408, "{}"), Then::Expired(minute)),
            (
                Scripted::reply(200, "<html>").header("content-type", "text/html"),
                Then::Expired(minute),
            ),
            (Scripted::reply(200, r#"{"token_type":"Bearer"}"#), Then::Expired(minute)),
            (Scripted::reply(200, "x".repeat(70_000)), Then::Expired(minute)),
            (Scripted::reply(302, "").header("location", "/v1/oauth/token"), Then::Expired(minute)),
            (Scripted::reply(429, "{}").header("retry-after", "40"), Then::Expired(40 * SECOND)),
            (Scripted::reply(429, "{}").header("retry-after", "1"), Then::Expired(5 * SECOND)),
            (Scripted::reply(429, "{}").header("retry-after", "4000"), Then::Expired(5 * minute)),
            (Scripted::reply(400, INVALID_GRANT), Then::Dead("invalid_grant")),
            (
                Scripted::reply(401, r#"{"error":{"code":"refresh_token_reused"}}"#),
                Then::Dead("refresh_token_reused"),
            ),
            (Scripted::reply(401, r#"{"error":"invalid_client"}"#), Then::Dead("client")),
        ];
        for (at, (script, then)) in rows.into_iter().enumerate() {
            let (world, id) = World::one(-SECOND);
            world.vendor.script(Place::Token, [script]);
            let failed = world.refresh(id).await.unwrap_err();
            let seen = world.look(id).await;
            match then {
                Then::Expired(pause) => {
                    let next_try = Some(NOW + pause);
                    assert_eq!(seen.auth, StoredAuth::Expired { next_try }, "row {at}");
                    assert!(is_nobody(&world.answer().await), "row {at}");
                    assert_eq!(world.vendor.counts().token_calls, 1, "left alone: row {at}");
                    assert_eq!(seen.due, next_try);
                    world.clock.advance(Duration::from_millis(pause.unsigned_abs()));
                    assert_eq!(world.lease().await.credential.generation, 2, "row {at}");
                }
                Then::Dead(reason) => {
                    let dead = StoredAuth::Dead { reason: reason.to_owned(), since: NOW };
                    assert_eq!(seen.auth, dead, "row {at}");
                    assert_eq!(failed.why, Why::Dead(reason));
                    world.clock.advance(Duration::from_secs(3_600));
                    assert!(is_nobody(&world.answer().await), "row {at}");
                    assert_eq!(world.vendor.counts().token_calls, 1, "never a loop: row {at}");
                    assert_eq!(seen.due, None);
                }
            }
            let shown = seen.view.shown.last_error.clone().unwrap();
            assert!(!shown["message"].as_str().unwrap().is_empty());
        }
    });
}

#[test]
fn pauses_grow_and_a_waiting_request_has_failures_repeated() {
    run(async {
        let (world, id) = World::one(-SECOND);
        for minutes in [1, 2, 5, 5] {
            world.vendor.script(Place::Token, [Scripted::reply(500, "")]);
            world.refresh(id).await.unwrap_err();
            let next_try = Some(world.clock.now_ms() + minutes * MINUTE);
            assert_eq!(world.look(id).await.auth, StoredAuth::Expired { next_try });
        }
        world.clock.advance(Duration::from_secs(300));
        world.vendor.script(Place::Token, [Scripted::reply(502, "")]);
        let before = world.vendor.counts().token_calls;
        assert_eq!(world.lease().await.credential.generation, 2, "served after one repetition");
        assert_eq!(world.vendor.counts().token_calls, before + 2);
    });
}

#[test]
fn a_pause_set_before_the_clock_was_set_back_ends() {
    run(async {
        let (world, id) = World::one(-SECOND);
        // The account that a clock an hour ahead left behind.
        let auth = StoredAuth::Expired { next_try: Some(NOW + HOUR) };
        let hot = HotState { auth, ..HotState::default() };
        world.shared.store.save_locks(id, &[], &hot).unwrap();
        assert!(world.addr(id).await.send(Poison).await.is_err());
        world.until(id, |seen| matches!(seen.auth, StoredAuth::Expired { .. })).await;
        assert!(is_nobody(&world.answer().await));
        world.addr(id).await.send(Sweep { granted_before: None }).await.unwrap();
        assert_eq!(world.lease().await.credential.generation, 2);
    });
}

#[test]
fn a_call_outside_of_a_lease_gets_a_living_token_or_none() {
    run(async {
        let (world, id) = World::one(10 * MINUTE);
        let addr = world.addr(id).await;
        assert!(addr.send(Show).await.unwrap().is_some());
        world.clock.advance(Duration::from_secs(600));
        assert!(addr.send(Show).await.unwrap().is_none());
        assert_eq!(world.vendor.counts().token_calls, 0, "and no refresh");
    });
}

#[test]
fn a_finished_refresh_token_leaves_the_access_token_in_use_until_it_is_refused_or_over() {
    run(async {
        for refused_by_upstream in [true, false] {
            let (world, id) = World::one(10 * MINUTE);
            world.vendor.script(Place::Token, [Scripted::reply(400, INVALID_GRANT)]);
            world.refresh(id).await.unwrap_err();
            let seen = world.look(id).await;
            let until = NOW + 10 * MINUTE;
            let expiring = StoredAuth::Expiring { until, reason: "invalid_grant".to_owned() };
            assert_eq!(seen.auth, expiring);
            assert_eq!(seen.view.shown.auth, ShownAuth::Expiring { until });
            let mut held = world.lease().await;
            if refused_by_upstream {
                assert!(!held.renew(PATIENCE).await);
            } else {
                world.clock.advance(Duration::from_secs(600));
                assert!(is_nobody(&world.answer().await));
            }
            let seen = world.look(id).await;
            assert!(
                matches!(seen.auth, StoredAuth::Dead { ref reason, .. } if reason == "invalid_grant")
            );
            assert_eq!(world.vendor.counts().token_calls, 1);
        }
    });
}

#[test]
fn a_refused_token_is_refreshed_once_and_older_generations_get_the_newest() {
    run(async {
        let (world, id) = World::one(5 * HOUR);
        let mut leases = Vec::new();
        for _ in 0..10 {
            leases.push(world.lease().await);
        }
        for held in &mut leases {
            assert!(held.renew(PATIENCE).await);
            assert_eq!(held.credential.generation, 2);
        }
        assert_eq!(world.vendor.counts().token_calls, 1);
        // What the old token brought is no news any more; what the new one brings is.
        let (mut old, new) = (leases.pop().unwrap(), leases.pop().unwrap());
        drop(leases);
        world.refresh(id).await.unwrap();
        new.report(refused());
        assert!(world.look(id).await.view.locks.is_empty(), "of generation 2, now it is 3");
        assert!(old.renew(PATIENCE).await);
        old.report(refused());
        assert_eq!(world.look(id).await.view.locks.len(), 1);
    });
}

#[test]
fn a_new_sign_in_wins_over_everything_older() {
    run(async {
        let (world, id) = World::one(-SECOND);
        world.vendor.script(Place::Token, [Scripted::reply(400, INVALID_GRANT)]);
        world.refresh(id).await.unwrap_err();
        assert!(is_nobody(&world.answer().await));
        let again = world.vendor.issue(&Person::new("one"));
        sign_in(&world.shared.store, id, &again, NOW + 8 * HOUR);
        world.reload().await;
        let late = world.lease().await;
        assert_eq!(late.credential.generation, 2);
        assert_eq!(world.look(id).await.auth, StoredAuth::Ok);
        late.report(failure(Class::QuotaExhausted, Cooldown::Quota { wide_jitter: false }));
        assert_eq!(world.look(id).await.view.locks.len(), 1);
        assert!(world.look(id).await.view.shown.quota.is_some());

        // A refresh that is overtaken by a sign-in keeps nothing of its own.
        let addr = world.addr(id).await;
        assert_eq!(addr.send(ClearLocks { scope: Some(Scope::All) }).await.unwrap(), 1);
        let (held, spent) = (world.lease().await, world.lease().await);
        world.vendor.hold(Place::Token, Hold::Reply);
        let running = addr.send(RefreshNow { force: true });
        let running = actix_rt::spawn(running);
        while world.vendor.counts().token_calls < 2 {
            tokio::task::yield_now().await;
        }
        let third = world.vendor.issue(&Person::new("one"));
        sign_in(&world.shared.store, id, &third, NOW + 8 * HOUR);
        world.reload().await;
        world.vendor.hold(Place::Token, Hold::Off);
        let renewed = running.await.unwrap().unwrap().unwrap();
        assert_eq!(renewed.generation, 3);
        assert_eq!(world.stored_refresh_token(id), third.refresh_token);
        held.report(failure(
            Class::AccountBanned,
            Cooldown::Dead(crate::routing::verdict::Dead::Banned),
        ));
        spent.report(failure(Class::QuotaExhausted, Cooldown::Quota { wide_jitter: false }));
        let seen = world.look(id).await;
        assert_eq!((seen.auth, seen.generation), (StoredAuth::Ok, 3), "an old report kills nobody");
        assert!(seen.view.locks.is_empty() && seen.view.shown.quota.is_none(), "nor locks it");

        // An older generation read from the store does not replace a newer one.
        world.refresh(id).await.unwrap();
        let (_, accounts) = Snapshot::load(&world.shared.store, &world.fixed).unwrap();
        world.refresh(id).await.unwrap();
        world.router.send(Reconcile { accounts }).await.unwrap();
        assert_eq!(world.look(id).await.generation, 5);
    });
}

#[test]
fn tokens_that_cannot_be_written_are_used_kept_and_written_later() {
    run(async {
        let (world, id) = World::one(-SECOND);
        let store = &world.shared.store;
        alter(
            store,
            "create trigger full before update on account_secrets begin select raise(abort, 'no room'); end",
        );
        assert_eq!(world.lease().await.credential.generation, 2);
        assert_eq!(world.stored_generation(id), 1);
        assert_eq!(world.shared.exchanges.unsaved_accounts(), [id]);
        // A reload, and even the death of the actor, do not bring the old ones back.
        world.reload().await;
        assert_eq!(world.look(id).await.generation, 2);
        assert!(world.addr(id).await.send(Poison).await.is_err());
        world.until(id, |seen| seen.generation == 2).await;
        // The next refresh redeems what is in memory.
        world.clock.advance(Duration::from_secs(9 * 3_600));
        assert_eq!(world.lease().await.credential.generation, 3);
        assert_eq!(world.vendor.counts().reuses, 0);
        alter(store, "drop trigger full");
        let deadline = Clock::System.now() + PATIENCE;
        assert!(world.shared.exchanges.settle(deadline).await, "a stop waits for it");
        assert_eq!(world.stored_generation(id), 3);
        world.clock.advance(Duration::from_secs(9 * 3_600));
        assert_eq!(world.lease().await.credential.generation, 4);
        assert_eq!((world.vendor.counts().reuses, world.stored_generation(id)), (0, 4));
    });
}

#[test]
fn a_stop_waits_for_a_running_exchange() {
    run(async {
        let (world, id) = World::one(-SECOND);
        world.vendor.hold(Place::Token, Hold::Reply);
        let running = world.addr(id).await.send(RefreshNow { force: true });
        let running = actix_rt::spawn(running);
        while world.vendor.counts().token_calls == 0 {
            tokio::task::yield_now().await;
        }
        let soon = Clock::System.now() + Duration::from_millis(50);
        assert!(!world.shared.exchanges.settle(soon).await, "not longer than it may");
        world.vendor.hold(Place::Token, Hold::Off);
        assert!(world.shared.exchanges.settle(Clock::System.now() + PATIENCE).await);
        assert_eq!(world.stored_generation(id), 2);
        running.await.unwrap().unwrap().unwrap();
    });
}

#[test]
fn a_removed_account_does_not_come_back() {
    run(async {
        let (world, id) = World::one(-SECOND);
        world.vendor.hold(Place::Token, Hold::Reply);
        let running = world.addr(id).await.send(RefreshNow { force: true });
        let running = actix_rt::spawn(running);
        while world.vendor.counts().token_calls == 0 {
            tokio::task::yield_now().await;
        }
        world.shared.store.write(|conn| accounts::delete(conn, id)).unwrap();
        world.reload().await;
        world.vendor.hold(Place::Token, Hold::Off);
        assert_eq!(running.await.unwrap().unwrap().unwrap_err().why, Why::Removed);
        assert!(world.router.send(Find { account: id }).await.unwrap().is_none());
        assert!(world.shared.store.credential(id).is_err());
        assert!(is_nobody(&world.answer().await));
    });
}

#[test]
fn a_followed_file_is_read_again_and_its_token_never_redeemed() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".credentials.json");
        let follows = AccountConfig {
            ownership: Ownership::Follow,
            follow_path: Some(path.display().to_string()),
            ..config("one")
        };
        let id = follows.id;
        let world = World::start(vec![follows], -SECOND);
        assert!(is_nobody(&world.answer().await), "no file yet");
        let seen = world.look(id).await;
        assert_eq!(seen.auth, StoredAuth::Expired { next_try: Some(NOW + MINUTE) });
        let told = seen.view.shown.last_error.clone().unwrap()["message"].to_string();
        assert!(told.contains("run the official CLI once, or sign in"), "{told}");

        let write =
            |issued: &Issued| std::fs::write(&path, world.vendor.credentials_file(issued)).unwrap();
        let first = world.vendor.issue(&Person::new("one"));
        write(&first);
        world.clock.advance(Duration::from_secs(60));
        let mut held = world.lease().await;
        assert_eq!(held.credential.bearer().unwrap().expose(), first.access_token);
        // Refused by the upstream: the official CLI may have a newer one.
        let second = world.vendor.issue(&Person::new("one"));
        write(&second);
        assert!(held.renew(PATIENCE).await);
        assert_eq!(held.credential.bearer().unwrap().expose(), second.access_token);
        assert!(!held.renew(PATIENCE).await, "nothing newer in the file");
        assert_eq!(world.vendor.counts().token_calls, 0);
        assert_ne!(world.stored_refresh_token(id), second.refresh_token);
    });
}

#[test]
fn tokens_without_a_way_to_the_next_one_end_with_their_time() {
    run(async {
        let switched_off = AccountConfig { refresh_enabled: false, ..config("one") };
        let imported = AccountConfig { kind: AccountKind::Imported, ..config("two") };
        for one in [switched_off, imported] {
            let id = one.id;
            let world = World::start(vec![one.clone()], 10 * MINUTE);
            drop(world.lease().await);
            assert_eq!(world.look(id).await.due, None);
            assert!(!world.look(id).await.view.shown.refreshable);
            world.clock.advance(Duration::from_secs(600));
            assert!(is_nobody(&world.answer().await));
            assert_eq!(world.look(id).await.auth, StoredAuth::Expired { next_try: None });
            assert_eq!(world.refresh(id).await.unwrap_err().why, Why::NoWay);
            assert_eq!(world.vendor.counts().token_calls, 0);
            if one.kind == AccountKind::OAuth {
                put(&world.shared.store, &AccountConfig { refresh_enabled: true, ..one });
                world.reload().await;
                assert_eq!(world.lease().await.credential.generation, 2);
            }
        }
    });
}

#[test]
fn a_dead_account_is_tried_once_more_when_people_say_so() {
    run(async {
        let (world, id) = World::one(-SECOND);
        let dead = |seen: &Seen| matches!(seen.auth, StoredAuth::Dead { .. });
        world.vendor.script(Place::Token, [(); 2].map(|()| Scripted::reply(400, INVALID_GRANT)));
        world.refresh(id).await.unwrap_err();
        let addr = world.addr(id).await;
        addr.send(TryAgain).await.unwrap().unwrap_err();
        assert!(dead(&world.look(id).await));
        let refused = addr.send(RefreshNow { force: true }).await.unwrap().unwrap_err();
        assert!(refused.text.contains("sign in again"), "{}", refused.text);
        assert_eq!(world.vendor.counts().token_calls, 2);
        assert_eq!(addr.send(TryAgain).await.unwrap().unwrap().generation, 2);
        assert_eq!(world.look(id).await.auth, StoredAuth::Ok);
        assert_eq!(world.lease().await.credential.generation, 2);
    });
}

#[test]
fn a_token_as_short_as_the_one_before_is_not_refreshed_in_a_loop() {
    run(async {
        let (world, id) = World::one(-SECOND);
        world.vendor.set_expires_in(Some(1));
        for _ in 0..5 {
            assert_eq!(world.lease().await.credential.generation, 2, "clamped to a minute");
        }
        assert_eq!(world.vendor.counts().token_calls, 1);
        world.vendor.set_expires_in(None);
        world.clock.advance(Duration::from_secs(30));
        assert_eq!(world.lease().await.credential.generation, 3);
        let seen = world.look(id).await;
        assert_eq!(
            seen.view.shown.expires_at,
            Some(NOW + 30 * SECOND + 8 * HOUR),
            "the usual life"
        );
    });
}

#[test]
fn five_hundred_accounts_are_refreshed_ahead_of_their_end_a_few_at_a_time() {
    run(async {
        let configs: Vec<_> = (0..500).map(|n| config(&format!("a{n}"))).collect();
        let ids: Vec<_> = configs.iter().map(|config| config.id).collect();
        let off = ids[7];
        let mut configs = configs;
        configs[7].enabled = false;
        let world = World::start(configs, 20 * MINUTE);
        let desk = RouterDesk::new(Arbiter::current(), world.router.clone());
        let refresher = Refresher::new(Arc::clone(&world.shared), Arc::new(desk)).start();
        // All of them are inside the lead, and none begins at the start: they are spread.
        let due_now = async || {
            let mut due = 0;
            for id in &ids {
                due += usize::from(
                    world.look(*id).await.due.is_some_and(|at| at <= world.clock.now_ms()),
                );
            }
            due
        };
        assert!(due_now().await < 50);
        let end = Clock::System.now() + 6 * PATIENCE;
        while world.vendor.counts().refreshes < 499 {
            assert!(Clock::System.now() < end, "{:?}", world.vendor.counts());
            let before = world.vendor.counts().refreshes;
            refresher.send(Tick).await.unwrap();
            // One host: at most one begins per look.
            for _ in 0..200 {
                tokio::task::yield_now().await;
            }
            assert!(world.vendor.counts().refreshes <= before + 2);
            world.clock.advance(Duration::from_secs(2));
        }
        let counts = world.vendor.counts();
        assert_eq!((counts.reuses, counts.token_peak), (0, 1));
        assert_eq!(world.stored_generation(off), 1, "switched off");
        world.until(ids[499], |seen| seen.generation == 2).await;
    });
}
