//! What observations of quota do to the accounts: gates, locks, what is stored.

use super::*;
use crate::actors::account::{PollFailure, QuotaPolled};
use crate::provider::quota::document::Source;
use crate::provider::quota::window::Window;
use crate::provider::quota::{Document, Overage, Reading};
use crate::routing::gate::Level;
use crate::routing::ladder;

fn window(used: f64, resets_at: Option<UnixMs>) -> Window {
    Window::new("5h", "Session (5 h)", Scope::All).percent(Some(used)).resets(resets_at)
}

/// As headers of an answer tell it now.
fn told(world: &World, windows: Vec<Window>) -> Reading {
    let now = world.shared.clock.now_ms();
    let mut reading = Reading::new(Source::Headers, now);
    let dated = windows.into_iter().map(|window| Window { observed_at: now, ..window });
    reading.windows = dated.collect();
    reading
}

/// The same from a usage page.
fn page(at: UnixMs, windows: Vec<Window>) -> Reading {
    let mut reading = Reading::new(Source::Endpoint, at);
    let dated =
        windows.into_iter().map(|w| Window { observed_at: at, source: Source::Endpoint, ..w });
    reading.windows = dated.collect();
    reading
}

async fn polled(
    account: &Addr<Account>,
    generation: u64,
    outcome: Result<Reading, PollFailure>,
) -> Option<Arc<Document>> {
    account.send(QuotaPolled { generation, outcome }).await.unwrap()
}

async fn generation(world: &World, label: &str) -> u64 {
    let (_, account) = world.account(label).await;
    let shown = account.send(crate::actors::account::Show).await.unwrap();
    shown.unwrap().credential.generation
}

#[test]
fn headers_move_traffic_on_and_one_probe_at_a_time_brings_it_back() {
    run(async {
        let world = World::start(&[("one", 9), ("two", 9)]);
        let (one, _) = world.account("one").await;
        let (two, _) = world.account("two").await;
        let first = world.lease().await;
        assert_eq!(first.account.id, one);
        let reset = world.shared.clock.now_ms() + 400;
        first.observe(told(&world, vec![window(100.0, Some(reset))]));
        // Told before the request ends.
        world.until(|seen| view_of(seen, one).gates.iter().any(|g| g.level == Level::Spent)).await;
        first.report(Outcome::Success);
        assert_eq!(world.lease().await.account.id, two);
        let probe = loop {
            let lease = world.lease().await;
            if lease.account.id == one {
                break lease;
            }
        };
        assert!(world.shared.clock.now_ms() >= reset);
        assert_eq!(world.lease().await.account.id, two, "no herd");
        probe.report(Outcome::Success);
        world.until(|seen| view_of(seen, one).gates.is_empty()).await;
        let leases = [world.lease().await, world.lease().await];
        assert!(leases.iter().all(|lease| lease.account.id == one), "open again");
    });
}

#[test]
fn the_usage_page_opens_a_lock_and_a_failed_look_changes_nothing() {
    run(async {
        let world = World::start(&[("one", 9)]);
        let (one, account) = world.account("one").await;
        let own = generation(&world, "one").await;
        world.lease().await.report(used_up(&world, 3_600_000));
        world.until(|seen| !view_of(seen, one).locks.is_empty()).await;
        let failed = PollFailure { message: "status 503".to_owned(), refused: false };
        let document = polled(&account, own, Err(failed)).await.unwrap();
        assert!(document.stale && document.windows[0].is_spent(world.shared.clock.now_ms()));
        assert_eq!(view_of(&world.peek().await, one).locks.len(), 1);
        // Asked within the two minutes that such pages lag behind.
        let now = world.shared.clock.now_ms();
        polled(&account, own, Ok(page(now, vec![window(10.0, None)]))).await.unwrap();
        assert_eq!(view_of(&world.peek().await, one).locks.len(), 1);
        let later = now + 120_000;
        // Another credential's look, come late.
        let stale = polled(&account, own + 1, Ok(page(later, vec![window(10.0, None)]))).await;
        assert_eq!(stale, None);
        assert_eq!(view_of(&world.peek().await, one).locks.len(), 1);
        polled(&account, own, Ok(page(later, vec![window(10.0, None)]))).await.unwrap();
        assert_eq!(view_of(&world.peek().await, one).locks, []);
        assert_eq!(world.lease().await.account.id, one);
    });
}

#[test]
fn a_window_without_a_reset_is_locked_like_any_unknown_exhaustion() {
    run(async {
        let world = World::start(&[("one", 9)]);
        let (one, account) = world.account("one").await;
        let own = generation(&world, "one").await;
        let now = world.shared.clock.now_ms();
        polled(&account, own, Ok(page(now, vec![window(100.0, None)]))).await.unwrap();
        let seen = world.peek().await;
        let lock = &view_of(&seen, one).locks[0];
        assert_eq!(&*lock.reason, ladder::REASON_QUOTA_UNKNOWN);
        assert!((lock.until - now - 15 * 60_000).abs() < 5_000);
    });
}

#[test]
fn overage_locks_until_the_reset_unless_it_is_allowed() {
    run(async {
        let world = World::start(&[("one", 9)]);
        let (one, _) = world.account("one").await;
        let reset = world.shared.clock.now_ms() + 3_600_000;
        let beyond = || Reading {
            overage: Some(Overage { scope: Scope::All, until: Some(reset) }),
            ..told(&world, vec![Window { overage: true, ..window(100.0, Some(reset)) }])
        };
        let first = world.lease().await;
        first.observe(beyond());
        assert!(first.in_overage());
        first.report(Outcome::Success);
        let seen = world.until(|seen| !view_of(seen, one).locks.is_empty()).await;
        let lock = &view_of(&seen, one).locks[0];
        assert_eq!((&*lock.reason, lock.until), (ladder::REASON_OVERAGE, reset));
        // The operator permits it: the guard goes, and the window no longer keeps away.
        let allowed =
            AccountConfig { allow_overage: Some(true), ..(*view_of(&seen, one).config).clone() };
        world
            .shared
            .store
            .write(|conn| {
                accounts::upsert(
                    conn,
                    world.shared.store.sealer(),
                    &allowed,
                    None,
                    Stamp::operator(0),
                )
            })
            .unwrap();
        world.reload().await;
        assert_eq!(view_of(&world.peek().await, one).locks, []);
        let second = world.lease().await;
        second.observe(beyond());
        second.report(Outcome::Success);
        assert_eq!(world.lease().await.account.id, one);
    });
}

#[test]
fn quota_survives_the_actor_and_the_process() {
    run(async {
        let world = World::start(&[("one", 9), ("two", 9)]);
        let (one, account) = world.account("one").await;
        let reset = world.shared.clock.now_ms() + 3_600_000;
        let lease = world.lease().await;
        lease.observe(told(&world, vec![window(100.0, Some(reset))]));
        lease.report(Outcome::Success);
        world.until(|seen| !view_of(seen, one).gates.is_empty()).await;
        world.router.send(FlushAll).await.unwrap();
        let hot = world.shared.store.account_state(one).unwrap().hot;
        assert_eq!(hot.quota, crate::store::hot_state::StoredQuota::Exhausted);
        drop(account.try_send(Poison));
        world.until(|seen| seen.addrs[&one].connected() && seen.addrs[&one] != account).await;
        let seen = world.until(|seen| !view_of(seen, one).gates.is_empty()).await;
        assert_eq!(view_of(&seen, one).gates[0].resets_at, Some(reset));
        let (_, sources) = Snapshot::load(&world.shared.store, &world.fixed).unwrap();
        let source = sources.iter().find(|source| source.view.config.id == one).unwrap();
        assert_eq!(source.view.gates[0].level, Level::Spent, "the next process starts with it");
        assert_eq!(source.view.shown.quota.as_ref().unwrap().windows[0].resets_at, Some(reset));
    });
}
