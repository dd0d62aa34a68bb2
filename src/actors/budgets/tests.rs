//! Reservation, settlement, windows and what is told; with a real store where history counts.

use jiff::Timestamp;

use super::*;
use crate::routing::account::Tier;
use crate::routing::budget::{BudgetLimits, NOTIFY_AT};
use crate::store::Store;
use crate::store::tests::new_store;
use crate::store::usage::{FoldedAggregates, RequestStatus, UsageRecord};

fn ms(text: &str) -> UnixMs {
    text.parse::<Timestamp>().unwrap().as_millisecond()
}

const CENT: i64 = 10_000;

fn budget(scope: BudgetScope, window: BudgetWindow, umicro: i64) -> Budget {
    Budget {
        id: BudgetId::new(),
        scope,
        window,
        limits: BudgetLimits { umicro: Some(umicro), ..BudgetLimits::default() },
        tz: Some("Europe/Berlin".into()),
        action: BudgetAction::Block,
        notify_at: NOTIFY_AT.to_vec(),
        enabled: true,
    }
}

fn glm(window: BudgetWindow, umicro: i64) -> Budget {
    budget(BudgetScope::Provider("glm".into()), window, umicro)
}

struct Rig {
    _dir: tempfile::TempDir,
    store: Store,
    live: LiveEvents,
    budgets: Budgets,
}

impl Rig {
    fn new() -> Self {
        let (dir, store) = new_store();
        let live = LiveEvents::default();
        Self { _dir: dir, store, budgets: Budgets::new(live.clone()), live }
    }

    fn with(budgets: &[Budget], now: UnixMs) -> Self {
        let rig = Self::new();
        rig.set(budgets, now);
        rig
    }

    fn set(&self, budgets: &[Budget], now: UnixMs) {
        self.set_as(budgets, &Notional::default(), now);
    }

    fn set_as(&self, budgets: &[Budget], notional: &Notional, now: UnixMs) {
        let zone = TimeZone::UTC;
        self.budgets.replace(budgets, &zone, notional, &self.store, now, || {}).unwrap();
    }

    /// A finished request: charged, and on disk.
    fn spend(&self, row: RequestRow) {
        self.budgets.charge(&row, row.ts);
        let record = UsageRecord { request: row, attempts: Vec::new() };
        let mut writer = self.store.usage_writer(TimeZone::UTC).unwrap();
        writer.write(&[record], &FoldedAggregates::default()).unwrap();
    }

    fn take(&self, umicro: i64, now: UnixMs) -> Result<Option<Reservation>, Blocked> {
        let amount = Amount { umicro, tokens: 0, requests: 1 };
        self.budgets.reserve_target("glm", AccountId::new(), || amount, now)
    }
}

fn row(provider: &str, umicro: i64, ts: UnixMs) -> RequestRow {
    RequestRow {
        id: BudgetId::new().to_string(),
        ts,
        provider: Some(provider.to_owned()),
        model: Some("m".to_owned()),
        tier: Some(Tier::Cheap),
        status: RequestStatus::Ok,
        input_tokens: 100,
        output_tokens: 20,
        list_cost: Some(umicro),
        paid_cost: Some(umicro),
        ..RequestRow::default()
    }
}

const NOON: &str = "2026-11-24T12:00:00Z";

#[test]
fn what_is_set_aside_counts_until_it_is_given_back() {
    let now = ms(NOON);
    let rig = Rig::with(&[glm(BudgetWindow::Day, CENT)], now);
    let first = rig.take(CENT, now).unwrap();
    let blocked = rig.take(1, now).unwrap_err();
    assert_eq!(blocked.until, now + 2_000, "its estimate may come back at once");
    drop(first);
    let mut second = rig.take(1, now).unwrap().unwrap();
    second.re_estimate(Amount { umicro: CENT, ..Amount::default() });
    assert!(rig.take(1, now).is_err());
    rig.spend(row("glm", CENT, now));
    drop(second);
    let blocked = rig.take(1, now).unwrap_err();
    assert_eq!(blocked.until, ms("2026-11-24T23:00:00Z"), "the end of the day in Berlin");
    assert_eq!(blocked.scope, BudgetScope::Provider("glm".into()));
    assert!(rig.take(1, blocked.until).unwrap().is_some(), "the next day it starts anew");
}

#[test]
fn fifty_at_once_pass_no_more_than_one_beyond_the_limit() {
    let now = ms(NOON);
    let rig = Rig::with(&[glm(BudgetWindow::Month, 10 * CENT)], now);
    let gate = std::sync::Barrier::new(50);
    let passed: Vec<Reservation> = std::thread::scope(|scope| {
        let one = || {
            gate.wait();
            rig.take(CENT, now).ok().flatten()
        };
        let threads: Vec<_> = (0..50).map(|_| scope.spawn(one)).collect();
        threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(passed.len(), 10);
}

#[test]
fn a_refusal_sets_nothing_aside_and_free_budgets_cost_nothing() {
    let now = ms(NOON);
    let account = AccountId::new();
    let own = budget(BudgetScope::Account(account), BudgetWindow::Day, CENT);
    let rig = Rig::with(&[glm(BudgetWindow::Day, 5 * CENT), own.clone()], now);
    let amount = Amount { umicro: CENT, tokens: 0, requests: 1 };
    let take = || rig.budgets.reserve_target("glm", account, || amount, now);
    let held = take().unwrap();
    assert_eq!(take().unwrap_err().scope, own.scope);
    assert_eq!(rig.budgets.blocked_accounts(now).len(), 1);
    assert_eq!(rig.budgets.provider_blocked("glm", now), None);
    drop(held);
    let provider = rig.budgets.table.load().providers["glm"][0].standing(now);
    assert_eq!(provider.reserved, Amount::default(), "the refused one gave back its share");
    let unasked = || unreachable!("no budget counts it");
    assert!(rig.budgets.reserve_target("kimi", AccountId::new(), unasked, now).unwrap().is_none());
    assert!(rig.budgets.reserve_request(None, None, unasked, now).unwrap().is_none());
}

#[test]
fn tokens_and_requests_count_where_the_price_is_unknown() {
    let now = ms(NOON);
    let mut by_tokens = glm(BudgetWindow::Day, CENT);
    by_tokens.limits.tokens = Some(240);
    let rig = Rig::with(&[by_tokens.clone()], now);
    let unpriced = || RequestRow { list_cost: None, paid_cost: None, ..row("glm", 0, now) };
    rig.spend(unpriced());
    assert!(rig.take(0, now).is_ok());
    rig.spend(unpriced());
    assert!(rig.take(0, now).is_err());
    let standing = rig.budgets.standing(by_tokens.id, now).unwrap();
    assert_eq!(standing.spent, Amount { umicro: 0, tokens: 240, requests: 2 });
    rig.spend(RequestRow { provider: None, ..row("", 0, now) });
    assert_eq!(rig.budgets.standing(by_tokens.id, now), Some(standing), "no upstream was asked");
}

#[test]
fn five_hours_roll() {
    let start = ms("2026-11-24T10:00:30Z");
    let rig = Rig::with(&[glm(BudgetWindow::FiveHours, 10)], start);
    let minutes = |n: i64| start + n * 60_000;
    rig.spend(row("glm", 4, minutes(0)));
    rig.spend(row("glm", 4, minutes(90)));
    // An earlier one that ended later.
    rig.spend(row("glm", 4, minutes(60)));
    let blocked = rig.take(0, minutes(100)).unwrap_err();
    assert_eq!(blocked.until, ms("2026-11-24T15:01:00Z"), "the oldest minute leaves");
    assert!(rig.take(0, blocked.until - 1).is_err());
    assert!(rig.take(0, blocked.until).is_ok());
    let slot = rig.budgets.table.load().providers["glm"][0].standing(blocked.until);
    assert_eq!((slot.spent.umicro, slot.resets_at), (8, Some(ms("2026-11-24T16:31:00Z"))));
}

#[test]
fn a_window_across_a_clock_change_is_one_window() {
    // The 25th of October 2026 has 25 hours in Berlin.
    let begin = ms("2026-10-24T22:00:00Z");
    let rig = Rig::with(&[glm(BudgetWindow::Day, CENT)], begin);
    rig.spend(row("glm", CENT, begin));
    let blocked = rig.take(0, begin + 24 * 3_600_000).unwrap_err();
    assert_eq!(blocked.until, begin + 25 * 3_600_000);
    assert!(rig.take(0, blocked.until).is_ok());
    rig.spend(row("glm", CENT, begin + 24 * 3_600_000));
    assert!(rig.take(0, blocked.until).is_ok(), "it began in the day before");
}

#[test]
fn a_restart_finds_what_was_spent_and_a_change_keeps_it() {
    let now = ms("2026-11-24T12:40:00Z");
    let (account, key, combo) = (AccountId::new(), KeyId::new(), ComboId::new());
    let windows = [
        BudgetWindow::FiveHours,
        BudgetWindow::Day,
        BudgetWindow::Week,
        BudgetWindow::Month,
        BudgetWindow::Total,
    ];
    let scopes = [
        BudgetScope::All,
        BudgetScope::Provider("glm".into()),
        BudgetScope::Account(account),
        BudgetScope::Combo(combo),
        BudgetScope::ApiKey(key),
    ];
    let mut all = Vec::new();
    for scope in &scopes {
        for window in windows {
            let mut budget = budget(scope.clone(), window, 1_000 * CENT);
            // Days there begin in the middle of an hour.
            budget.tz = Some("Asia/Kolkata".into());
            all.push(budget);
        }
    }
    let rig = Rig::with(&all, ms("2026-09-01T00:00:00Z"));
    for (umicro, ts) in [
        (1, "2026-09-30T18:00:00Z"),
        (2, "2026-10-31T18:29:59Z"),
        (4, "2026-10-31T18:30:00Z"),
        (8, "2026-11-22T18:29:59Z"),
        (16, "2026-11-22T18:31:00Z"),
        (32, "2026-11-23T18:29:00Z"),
        (64, "2026-11-23T18:30:00Z"),
        (128, "2026-11-24T07:39:59Z"),
        (256, "2026-11-24T07:41:00Z"),
        (512, "2026-11-24T12:30:00Z"),
    ] {
        let ours = RequestRow {
            account_id: Some(account),
            api_key_id: Some(key),
            combo_id: Some(combo),
            ..row("glm", umicro, ms(ts))
        };
        rig.spend(ours);
    }
    rig.spend(row("kimi", 1_024, ms("2026-11-24T12:31:00Z")));
    let standings = |budgets: &Budgets| -> Vec<Amount> {
        all.iter().map(|budget| budgets.standing(budget.id, now).unwrap().spent).collect()
    };
    let before = standings(&rig.budgets);
    let money: Vec<i64> = before.iter().map(|spent| spent.umicro).collect();
    assert_eq!(money[..5], [1_792, 1_984, 2_032, 2_044, 2_047]);
    for scope in 1..5 {
        assert_eq!(money[scope * 5..][..5], [768, 960, 1_008, 1_020, 1_023], "{:?}", scopes[scope]);
    }
    let restarted = Budgets::default();
    let none = Notional::default();
    restarted.replace(&all, &TimeZone::UTC, &none, &rig.store, now, || {}).unwrap();
    assert_eq!(standings(&restarted), before);
    // Another limit, the same window: what is counted and set aside stays, and nothing is read.
    let held = rig.take(5, now).unwrap();
    let mut changed = all.clone();
    changed.iter_mut().for_each(|budget| budget.limits.umicro = Some(1));
    let flush = || unreachable!("nothing is to be read");
    rig.budgets.replace(&changed, &TimeZone::UTC, &none, &rig.store, now, flush).unwrap();
    assert_eq!(standings(&rig.budgets), before);
    assert!(rig.take(0, now).is_err());
    // Another zone: counted anew, and still set aside.
    changed.iter_mut().for_each(|budget| budget.tz = None);
    rig.set(&changed, now);
    let of_glm = rig.budgets.standing(changed[6].id, now).unwrap();
    assert_eq!((of_glm.spent.umicro, of_glm.reserved.umicro), (896, 5), "since midnight UTC");
    drop(held);
    let of_glm = rig.budgets.standing(changed[6].id, now).unwrap();
    assert_eq!(of_glm.reserved, Amount::default());
}

#[test]
fn flat_plans_count_at_list_price_when_told_so() {
    let now = ms(NOON);
    let all = [budget(BudgetScope::All, BudgetWindow::Total, CENT)];
    let rig = Rig::with(&all, now);
    let covered = |notional| RequestRow {
        tier: Some(Tier::Subscription),
        paid_cost: Some(0),
        notional,
        ..row("claude", 7, now)
    };
    rig.spend(covered(false));
    let spent = |rig: &Rig| rig.budgets.standing(all[0].id, now).unwrap().spent.umicro;
    assert_eq!(spent(&rig), 0);
    rig.spend(covered(true));
    assert_eq!(spent(&rig), 7);
    let notional = Notional { usual: false, own: [("claude".to_owned(), true)].into() };
    rig.set_as(&all, &notional, now);
    assert_eq!(spent(&rig), 14, "the setting counts for what was before it");
    rig.set(&all, now);
    assert_eq!(spent(&rig), 0);
}

#[test]
fn thresholds_and_blocks_are_told_once_per_window() {
    let now = ms(NOON);
    let all = [glm(BudgetWindow::Day, 100)];
    let rig = Rig::with(&all, now);
    let mut seat = rig.live.subscribe();
    let mut told = || {
        let mut told = Vec::new();
        while let Ok(event) = seat.try_recv() {
            told.push(match event {
                LiveEvent::BudgetThreshold { percent, .. } => i64::from(percent),
                LiveEvent::BudgetBlocked { .. } => -1,
                LiveEvent::Account(_)
                | LiveEvent::Quota(_)
                | LiveEvent::RequestFinished(_)
                | LiveEvent::Alerts
                | LiveEvent::Job(_)
                | LiveEvent::SignIn(_)
                | LiveEvent::Configuration => 0,
            });
        }
        told
    };
    rig.spend(row("glm", 49, now));
    assert_eq!(told(), Vec::<i64>::new());
    rig.spend(row("glm", 40, now));
    assert_eq!(told(), [50, 80]);
    rig.spend(row("glm", 1, now));
    assert_eq!(told(), Vec::<i64>::new());
    rig.spend(row("glm", 10, now));
    assert!(rig.take(0, now).is_err() && rig.take(0, now).is_err());
    assert_eq!(told(), [100, -1]);
    rig.set(&all, now);
    assert!(rig.take(0, now).is_err());
    assert_eq!(told(), Vec::<i64>::new(), "a reload is no news");
    let tomorrow = now + 86_400_000;
    rig.spend(row("glm", 60, tomorrow));
    assert_eq!(told(), [50]);
    let mut warns = all.clone();
    warns[0].action = BudgetAction::Warn;
    rig.set(&warns, tomorrow);
    rig.spend(row("glm", 60, tomorrow));
    assert_eq!(told(), [80, 100]);
    assert!(rig.take(0, tomorrow).is_ok(), "it only warns");
}

#[test]
fn a_clock_that_steps_back_grants_nothing_twice() {
    let now = ms(NOON);
    let rig = Rig::with(&[glm(BudgetWindow::Day, CENT)], now);
    rig.spend(row("glm", CENT, now));
    assert!(rig.take(0, now - 86_400_000).is_err());
}
