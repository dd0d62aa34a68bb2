//! How long the choice of an account takes: 10, 100 and 1,000 accounts of one provider, by strategy.
//!
//! `cargo bench --bench choose [NAME]`, beside a look at every account that decides nothing.

#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use ninerouter::provider::catalog::Catalog;
use ninerouter::routing::account::{AccountConfig, AccountKind, AccountView, AuthState};
use ninerouter::routing::choose::{AccountStrategy, ChooseCx, Cursors, choose};
use ninerouter::routing::classify::Class;
use ninerouter::routing::gate::{Gate, Level, Reserve};
use ninerouter::routing::lock::{Lock, Scope};
use ninerouter::routing::target::{Target, Wishes};

const NOW: i64 = 1_782_907_200_000;
const SIZES: [usize; 3] = [10, 100, 1_000];
const STRATEGIES: [AccountStrategy; 5] = [
    AccountStrategy::Priority,
    AccountStrategy::RoundRobin,
    AccountStrategy::Weighted,
    AccountStrategy::LeastUsed,
    AccountStrategy::QuotaBalanced,
];
/// How many of ten accounts are locked.
const STATES: [(&str, usize); 3] = [("all free", 0), ("9 of 10 locked", 9), ("all locked", 10)];

fn choices(c: &mut Criterion) {
    let catalog = Catalog::builtin().unwrap();
    let provider = catalog.by_prefix("openai").unwrap();
    let target = Target::new(provider, "gpt-5.5", Wishes::default()).unwrap();
    for (state, locked) in STATES {
        let mut group = c.benchmark_group(state);
        for size in SIZES {
            let views = accounts(size, locked);
            for strategy in STRATEGIES {
                let mut cursors = Cursors::default();
                group.bench_function(BenchmarkId::new(strategy.as_str(), size), |b| {
                    b.iter(|| {
                        choose(ChooseCx {
                            reserve: Reserve { percent: 5, soft: true },
                            now: NOW,
                            views: black_box(&views),
                            target: &target,
                            strategy,
                            sticky_count: 3,
                            cursors: &mut cursors,
                            tried: &[],
                            affinity: None,
                            pin: None,
                            tags: &[],
                            over_budget: &[],
                        })
                    });
                });
            }
            group.bench_function(BenchmarkId::new("yardstick: least in flight", size), |b| {
                b.iter(|| black_box(&views).iter().min_by_key(|view| view.in_flight));
            });
        }
        group.finish();
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
        has_served: true,
        asked: 0,
        shown: Arc::default(),
    }
}

criterion_group! {
    name = choice;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(300))
        .sample_size(20);
    targets = choices
}
criterion_main!(choice);
