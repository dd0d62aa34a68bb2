//! How long the choice of an account takes: 10, 100 and 1,000 accounts of one provider, by strategy.
//!
//! `cargo bench --bench choose`. Prints µs per choice and the ratio to ten accounts; nothing is judged.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench fails by panicking and prints what it found"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use ninerouter::clock::Clock;
use ninerouter::provider::catalog::Catalog;
use ninerouter::routing::account::{AccountConfig, AccountKind, AccountView, AuthState};
use ninerouter::routing::choose::{AccountStrategy, ChooseCx, Cursors, choose};
use ninerouter::routing::classify::Class;
use ninerouter::routing::gate::{Gate, Level, Reserve};
use ninerouter::routing::lock::{Lock, Scope};
use ninerouter::routing::target::{Target, Wishes};

const NOW: i64 = 1_782_907_200_000;
const SIZES: [usize; 3] = [10, 100, 1_000];
/// Time spent on each case.
const EACH: Duration = Duration::from_millis(300);

fn main() {
    let catalog = Catalog::builtin().unwrap();
    let provider = catalog.by_prefix("openai").unwrap();
    let target = Target::new(provider, "gpt-5.5", Wishes::default()).unwrap();
    let strategies = [
        AccountStrategy::Priority,
        AccountStrategy::RoundRobin,
        AccountStrategy::Weighted,
        AccountStrategy::LeastUsed,
        AccountStrategy::QuotaBalanced,
    ];
    // How many of ten accounts are locked.
    let states = [("all free", 0), ("9 of 10 locked", 9), ("all locked", 10)];
    println!("{:<16} {:<16} {:>9} {:>9} {:>9}   1000:10", "µs per choice", "", 10, 100, 1_000);
    for (state, locked) in states {
        for strategy in strategies {
            let times = SIZES.map(|size| micros(&accounts(size, locked), &target, strategy));
            println!(
                "{:<16} {:<16} {:>9.2} {:>9.2} {:>9.2}   {:>6.1}",
                state,
                strategy.as_str(),
                times[0],
                times[1],
                times[2],
                times[2] / times[0],
            );
        }
    }
}

/// Mean time of one choice.
fn micros(views: &[AccountView], target: &Target, strategy: AccountStrategy) -> f64 {
    let clock = Clock::System;
    let mut cursors = Cursors::default();
    let (begun, mut rounds) = (clock.now(), 0_u32);
    loop {
        for _ in 0..100 {
            black_box(choose(ChooseCx {
                reserve: Reserve { percent: 5, soft: true },
                now: NOW,
                views: black_box(views),
                target,
                strategy,
                sticky_count: 3,
                cursors: &mut cursors,
                tried: &[],
                affinity: None,
                pin: None,
                tags: &[],
                over_budget: &[],
            }));
        }
        rounds += 100;
        let spent = clock.now().duration_since(begun);
        if spent >= EACH {
            return spent.as_secs_f64() * 1e6 / f64::from(rounds);
        }
    }
}

fn accounts(size: usize, locked_of_ten: usize) -> Vec<AccountView> {
    (0..size).map(|n| account(n % 10 < locked_of_ten)).collect()
}

fn account(locked: bool) -> AccountView {
    let lock = Lock {
        scope: Scope::All,
        until: NOW + 60_000,
        reason: "quota exhausted".into(),
        class: Class::QuotaExhausted,
        level: 0,
        set_at: NOW - 1_000,
    };
    AccountView {
        config: Arc::new(AccountConfig {
            allowed_models: vec!["gpt-*".to_owned()],
            excluded_models: vec!["*-preview".to_owned()],
            created_at: NOW,
            ..AccountConfig::new("openai".into(), AccountKind::ApiKey, "bench".to_owned())
        }),
        auth: AuthState::Ok,
        locks: if locked { vec![lock] } else { Vec::new() },
        in_flight: 3,
        max_concurrent: 80,
        missing_params: false,
        faulted: false,
        gates: vec![Gate {
            scope: Scope::All,
            level: Level::Open,
            left: 50,
            reservable: true,
            resets_at: Some(NOW + 3_600_000),
            since: NOW - 1_000,
        }],
        last_used_at: NOW - 1_000,
        shown: Arc::default(),
    }
}
