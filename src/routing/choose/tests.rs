//! The choice of an account, table by table.

use super::*;
use crate::provider::catalog::Catalog;
use crate::routing::account::{AccountConfig, AccountKind};
use crate::routing::gate::Gate;
use crate::routing::lock::{Lock, Scope};
use crate::routing::target::Wishes;

const NOW: UnixMs = 1_782_907_200_000;

fn target() -> Target {
    let catalog = Catalog::builtin().unwrap();
    Target::new(catalog.by_prefix("cc").unwrap(), "claude-opus-4-6", Wishes::default()).unwrap()
}

fn view(priority: u16) -> AccountView {
    AccountView {
        config: Arc::new(AccountConfig {
            priority,
            created_at: NOW,
            ..AccountConfig::new("claude".into(), AccountKind::ApiKey, String::new())
        }),
        auth: AuthState::Ok,
        locks: Vec::new(),
        in_flight: 0,
        max_concurrent: 8,
        missing_params: false,
        faulted: false,
        gates: Vec::new(),
        last_used_at: 0,
        has_served: true,
        asked: 0,
        shown: Arc::default(),
    }
}

fn with(view: &AccountView, change: impl FnOnce(&mut AccountConfig)) -> AccountView {
    let mut config = (*view.config).clone();
    change(&mut config);
    AccountView { config: Arc::new(config), ..view.clone() }
}

fn lock(scope: Scope, until: UnixMs, class: Class) -> Lock {
    Lock { scope, until, reason: "x".into(), class, level: 0, set_at: NOW - 60_000 }
}

fn gate(left: u8) -> Gate {
    Gate {
        scope: Scope::All,
        level: Level::Open,
        left,
        reservable: true,
        resets_at: None,
        since: NOW - 60_000,
    }
}

fn ask(target: &Target, strategy: AccountStrategy) -> Ask<'_> {
    Ask {
        now: NOW,
        target,
        strategy,
        sticky_count: 3,
        reserve: Reserve::default(),
        last_resort: false,
        tried: &[],
        affinity: None,
        pin: None,
        tags: &[],
        over_budget: &[],
    }
}

fn pick(views: &[AccountView], ask: &Ask<'_>, cursors: &mut Cursors) -> Option<usize> {
    match choose_among(views, ask, cursors) {
        Choice::Account(id) => views.iter().position(|v| v.config.id == id),
        Choice::None { .. } => None,
    }
}

fn picks(views: &[AccountView], ask: &Ask<'_>, cursors: &mut Cursors, n: usize) -> Vec<usize> {
    (0..n).map(|_| pick(views, ask, cursors).unwrap()).collect()
}

#[test]
fn each_reason_against_an_account_is_named() {
    let target = target();
    let base = view(1);
    let model = || Scope::Model("claude-opus-4-6".into());
    let locked = |scope, until| AccountView {
        locks: vec![lock(scope, until, Class::RateLimited)],
        ..base.clone()
    };
    let is_locked = |until| {
        Err(Ineligible::Locked {
            until,
            class: Class::RateLimited,
            reason: "x".into(),
            set_at: NOW - 60_000,
        })
    };
    let expired = |next_try| AccountView { auth: AuthState::Expired { next_try }, ..base.clone() };
    let table = [
        (base.clone(), Ok(())),
        (with(&base, |c| c.enabled = false), Err(Ineligible::Disabled)),
        (AccountView { auth: AuthState::Dead, ..base.clone() }, Err(Ineligible::Dead)),
        (expired(None), Err(Ineligible::ExpiredToken { next_try: None })),
        (expired(Some(NOW + 1)), Err(Ineligible::ExpiredToken { next_try: Some(NOW + 1) })),
        (expired(Some(NOW)), Ok(())),
        (AccountView { missing_params: true, ..base.clone() }, Err(Ineligible::MissingParams)),
        (AccountView { in_flight: 8, ..base.clone() }, Err(Ineligible::Busy)),
        (AccountView { in_flight: 7, ..base.clone() }, Ok(())),
        (locked(Scope::All, NOW + 1), is_locked(NOW + 1)),
        (locked(Scope::All, NOW), Ok(())),
        (locked(model(), NOW + 1), is_locked(NOW + 1)),
        (locked(Scope::Model("claude-sonnet-4-5".into()), NOW + 1), Ok(())),
        (locked(Scope::Family("opus".into()), NOW + 1), is_locked(NOW + 1)),
        (locked(Scope::Family("sonnet".into()), NOW + 1), Ok(())),
        (locked(Scope::Feature("fast".into()), NOW + 1), Ok(())),
        (
            with(&base, |c| c.allowed_models = vec!["*sonnet*".into()]),
            Err(Ineligible::ModelNotAllowed),
        ),
        (with(&base, |c| c.allowed_models = vec!["claude-opus-*".into()]), Ok(())),
        (
            with(&base, |c| c.excluded_models = vec!["CC/*".into()]),
            Err(Ineligible::ModelNotAllowed),
        ),
        (with(&base, |c| c.excluded_models = vec!["*haiku*".into()]), Ok(())),
    ];
    for (i, (view, want)) in table.into_iter().enumerate() {
        assert_eq!(eligible(NOW, &view, &target), want, "row {i}");
    }
}

#[test]
fn the_lock_that_stays_longest_is_the_reason() {
    let mut one = view(1);
    one.locks = vec![
        lock(Scope::All, NOW + 5, Class::RateLimited),
        lock(Scope::Family("opus".into()), NOW + 9, Class::QuotaExhausted),
    ];
    let found = eligible(NOW, &one, &target());
    assert!(matches!(found, Err(Ineligible::Locked { until, .. }) if until == NOW + 9));
}

#[test]
fn a_window_without_known_reset_is_probed_by_one_request_at_a_time() {
    let target = target();
    let mut one = view(1);
    one.locks = vec![lock(Scope::All, NOW - 1_000, Class::QuotaExhausted)];
    one.locks[0].reason = REASON_QUOTA_UNKNOWN.into();
    (one.last_used_at, one.in_flight) = (NOW - 500, 1);
    assert_eq!(eligible(NOW, &one, &target), Err(Ineligible::Probing { next: None }));
    one.in_flight = 0;
    assert_eq!(eligible(NOW, &one, &target), Ok(()));
}

#[test]
fn after_a_reset_probes_keep_their_distance_until_one_succeeds() {
    let target = target();
    let mut one = view(1);
    one.locks = vec![lock(Scope::Family("opus".into()), NOW - 1_000, Class::QuotaExhausted)];
    let at = |one: &AccountView, used| {
        eligible(NOW, &AccountView { last_used_at: used, ..one.clone() }, &target)
    };
    assert_eq!(at(&one, NOW - 250), Ok(()));
    assert_eq!(at(&one, NOW - 249), Err(Ineligible::Probing { next: Some(NOW + 1) }));
    assert_eq!(at(&one, NOW), Err(Ineligible::Probing { next: Some(NOW + 250) }));
    assert_eq!(at(&one, NOW + 3_600_000), Ok(()), "the clock was set back");
    // A throttle that ran out needs no probe, and success has removed the other.
    one.locks[0].class = Class::RateLimited;
    assert_eq!(at(&one, NOW), Ok(()));
}

#[test]
fn an_account_whose_actor_is_given_up_is_not_asked() {
    let one = AccountView { faulted: true, ..view(1) };
    assert_eq!(eligible(NOW, &one, &target()), Err(Ineligible::Faulted));
}

#[test]
fn priority_burns_one_account_before_the_next() {
    let target = target();
    let mut views = vec![view(2), view(1), view(1), view(3)];
    let ask = ask(&target, AccountStrategy::Priority);
    let mut cursors = Cursors::default();
    assert_eq!(picks(&views, &ask, &mut cursors, 3), [1, 1, 1]);
    views[1].locks = vec![lock(Scope::All, NOW + 1, Class::QuotaExhausted)];
    views[2].in_flight = 8;
    assert_eq!(pick(&views, &ask, &mut cursors), Some(0));
    // An expired token that may be refreshed now comes last, whatever its priority.
    views[1].locks.clear();
    views[1].auth = AuthState::Expired { next_try: Some(NOW) };
    views[2].in_flight = 0;
    assert_eq!(pick(&views, &ask, &mut cursors), Some(2));
}

#[test]
fn affinity_outranks_a_recovered_higher_priority() {
    let target = target();
    let mut views = vec![view(1), view(2)];
    let bound = views[1].config.id;
    let mut ask = ask(&target, AccountStrategy::RoundRobin);
    ask.affinity = Some(bound);
    let mut cursors = Cursors::default();
    assert_eq!(picks(&views, &ask, &mut cursors, 5), [1; 5]);
    views[1].locks = vec![lock(Scope::All, NOW + 1, Class::RateLimited)];
    assert_eq!(pick(&views, &ask, &mut cursors), Some(0));
}

#[test]
fn pins_tags_and_tried_accounts_are_respected() {
    let target = target();
    let views = vec![
        view(1),
        with(&view(2), |c| c.tags = vec!["eu".into(), "team".into()]),
        with(&view(3), |c| c.tags = vec!["eu".into()]),
    ];
    let base = ask(&target, AccountStrategy::Priority);
    let mut cursors = Cursors::default();
    let tags = ["eu".to_owned(), "team".to_owned()];
    assert_eq!(pick(&views, &Ask { tags: &tags, ..base }, &mut cursors), Some(1));
    let pin = Some(views[2].config.id);
    assert_eq!(pick(&views, &Ask { pin, ..base }, &mut cursors), Some(2));
    let tried = [views[0].config.id, views[1].config.id];
    assert_eq!(pick(&views, &Ask { tried: &tried, ..base }, &mut cursors), Some(2));
    // A pinned account that was tried leaves nobody; affinity never overrides a pin.
    let spent = Ask { pin: Some(tried[0]), tried: &tried, affinity: pin, ..base };
    let Choice::None { reasons } = choose_among(&views, &spent, &mut cursors) else { panic!() };
    assert!(reasons.iter().all(|(_, why)| *why == Ineligible::Excluded));
    assert_eq!(reasons.len(), 3);
}

#[test]
fn round_robin_stays_for_its_count_and_then_moves_on() {
    let target = target();
    let views = vec![view(1), view(1), view(1), view(9)];
    let mut cursors = Cursors::default();
    let ask = ask(&target, AccountStrategy::RoundRobin);
    assert_eq!(picks(&views, &ask, &mut cursors, 10), [0, 0, 0, 1, 1, 1, 2, 2, 2, 0]);
}

#[test]
fn a_recovering_account_re_enters_the_ring_at_its_place() {
    let target = target();
    let mut views = vec![view(1), view(1), view(1)];
    let mut cursors = Cursors::default();
    let ask = Ask { sticky_count: 1, ..ask(&target, AccountStrategy::RoundRobin) };
    assert_eq!(pick(&views, &ask, &mut cursors), Some(0));
    views[1].locks = vec![lock(Scope::All, NOW + 1, Class::RateLimited)];
    assert_eq!(picks(&views, &ask, &mut cursors, 3), [2, 0, 2]);
    views[1].locks.clear();
    assert_eq!(picks(&views, &ask, &mut cursors, 4), [0, 1, 2, 0]);
}

#[test]
fn a_second_choice_of_one_request_takes_nobodys_turn() {
    let target = target();
    let views = vec![view(1), view(1), view(1)];
    let mut cursors = Cursors::default();
    let ask = Ask { sticky_count: 2, ..ask(&target, AccountStrategy::RoundRobin) };
    assert_eq!(pick(&views, &ask, &mut cursors), Some(0));
    let tried = [views[0].config.id];
    assert_eq!(pick(&views, &Ask { tried: &tried, ..ask }, &mut cursors), Some(1));
    assert_eq!(picks(&views, &ask, &mut cursors, 3), [0, 1, 1]);
}

#[test]
fn an_account_over_its_budget_is_left_out_and_its_turns_are_shared_fairly() {
    let target = target();
    let views = [view(1), view(1), view(1)];
    let over = [(views[0].config.id, NOW + 9)];
    let mut cursors = Cursors::default();
    let ask =
        Ask { over_budget: &over, sticky_count: 1, ..ask(&target, AccountStrategy::RoundRobin) };
    assert_eq!(picks(&views, &ask, &mut cursors, 4), [1, 2, 1, 2]);
    let Choice::None { reasons } = choose_among(&views[..1], &ask, &mut cursors) else {
        panic!("its only account is over its budget");
    };
    assert_eq!(reasons, [(views[0].config.id, Ineligible::OverBudget { until: NOW + 9 })]);
    assert_eq!(reasons[0].1.until(), Some(NOW + 9));
}

#[test]
fn nobody_starves_under_round_robin() {
    // accounts §7.3.4: over n requests each of k accounts gets n/k within sticky_count.
    let target = target();
    for sticky in [1, 3, 7] {
        for k in 1..=7_usize {
            let views: Vec<AccountView> = (0..k).map(|_| view(1)).collect();
            let mut cursors = Cursors::default();
            let ask = Ask { sticky_count: sticky, ..ask(&target, AccountStrategy::RoundRobin) };
            let n = 1_000;
            let mut counts = vec![0_usize; k];
            for i in picks(&views, &ask, &mut cursors, n) {
                counts[i] += 1;
            }
            let slack = usize::try_from(sticky).unwrap();
            assert!(counts.iter().all(|c| c.abs_diff(n / k) <= slack), "{k} {sticky} {counts:?}");
        }
    }
}

#[test]
fn the_ring_is_kept_per_canonical_model() {
    let catalog = Catalog::builtin().unwrap();
    let provider = catalog.by_prefix("cc").unwrap();
    let of = |model| {
        let (model, wishes) = Wishes::split(model);
        Target::new(provider, model, wishes).unwrap()
    };
    let views = vec![view(1), view(1)];
    let mut cursors = Cursors::default();
    let (a, b) = (of("claude-opus-4-6"), of("claude-opus-4.6(high)"));
    let round = |t| Ask { sticky_count: 1, ..ask(t, AccountStrategy::RoundRobin) };
    assert_eq!(pick(&views, &round(&a), &mut cursors), Some(0));
    assert_eq!(pick(&views, &round(&b), &mut cursors), Some(1), "a variant shares the ring");
}

#[test]
fn weighted_gives_smooth_exact_shares_and_nothing_to_weight_zero() {
    let target = target();
    let views: Vec<AccountView> =
        [5, 1, 1, 0].into_iter().map(|w| with(&view(1), |c| c.weight = w)).collect();
    let mut cursors = Cursors::default();
    let ask = ask(&target, AccountStrategy::Weighted);
    assert_eq!(picks(&views, &ask, &mut cursors, 7), [0, 0, 1, 0, 2, 0, 0]);
    let mut counts = [0; 4];
    for i in picks(&views, &ask, &mut cursors, 7_000) {
        counts[i] += 1;
    }
    assert_eq!(counts, [5_000, 1_000, 1_000, 0]);
    let only = [with(&view(1), |c| c.weight = 0)];
    assert_eq!(pick(&only, &ask, &mut cursors), None);
    let pin = Some(only[0].config.id);
    assert_eq!(pick(&only, &Ask { pin, ..ask }, &mut cursors), Some(0), "a pin is no share");
}

/// Two requests learn how a new account stands; the others of the burst go where something is known, or less is asked.
#[test]
fn a_burst_does_not_follow_into_an_account_that_has_never_served() {
    let target = target();
    let new = |in_flight| AccountView { in_flight, has_served: false, ..view(1) };
    let second = AccountView { has_served: false, ..view(2) };
    let mut cursors = Cursors::default();
    for strategy in
        [AccountStrategy::Priority, AccountStrategy::RoundRobin, AccountStrategy::Weighted]
    {
        let ask = ask(&target, strategy);
        for (in_flight, want) in [(0, 0), (1, 0), (2, 1), (7, 1)] {
            let asked = AccountView { asked: in_flight, ..new(0) };
            for first in [new(in_flight), asked] {
                let got = pick(&[first, second.clone()], &ask, &mut cursors);
                assert_eq!(got, Some(want), "{strategy:?} {in_flight}");
            }
        }
        // Once it has served it has all its places, and nobody waits where nothing else is free.
        let served = AccountView { has_served: true, ..new(7) };
        assert_eq!(pick(&[served, second.clone()], &ask, &mut cursors), Some(0));
        let busy = AccountView { in_flight: 8, ..second.clone() };
        assert_eq!(pick(&[new(7), busy], &ask, &mut cursors), Some(0));
        let both = [new(3), AccountView { in_flight: 2, ..second.clone() }];
        assert_eq!(pick(&both, &ask, &mut cursors), Some(0));
    }
}

#[test]
fn least_used_compares_flight_then_window_then_age() {
    let target = target();
    let ask = ask(&target, AccountStrategy::LeastUsed);
    let mut cursors = Cursors::default();
    let mut views = vec![view(1), view(1), view(1)];
    views[0].in_flight = 2;
    (views[1].gates, views[2].gates) = (vec![gate(40)], vec![gate(60)]);
    assert_eq!(pick(&views, &ask, &mut cursors), Some(2));
    views[1].gates = vec![gate(60)];
    (views[1].last_used_at, views[2].last_used_at) = (NOW - 9, NOW - 1);
    assert_eq!(pick(&views, &ask, &mut cursors), Some(1));
}

#[test]
fn quota_balanced_takes_the_fullest_and_of_near_equals_the_sooner_reset() {
    let target = target();
    let ask = ask(&target, AccountStrategy::QuotaBalanced);
    let mut cursors = Cursors::default();
    let table = [
        ([(50, 10), (80, 90), (20, 1)], 1),
        ([(50, 10), (55, 90), (20, 1)], 0),
        ([(50, 10), (56, 90), (20, 1)], 1),
        ([(100, 50), (95, 40), (96, 60)], 1),
    ];
    for (rows, want) in table {
        let views: Vec<AccountView> = rows
            .into_iter()
            .map(|(percent, reset)| AccountView {
                gates: vec![Gate { resets_at: Some(NOW + reset), ..gate(percent) }],
                ..view(1)
            })
            .collect();
        assert_eq!(pick(&views, &ask, &mut cursors), Some(want), "{rows:?}");
    }
    // No snapshot yet is no reason to get no traffic.
    let views = vec![AccountView { gates: vec![gate(50)], ..view(1) }, view(1)];
    assert_eq!(pick(&views, &ask, &mut cursors), Some(1));
}

#[test]
fn a_window_that_binds_for_another_family_does_not_count() {
    let opus = target();
    let catalog = Catalog::builtin().unwrap();
    let claude = catalog.by_prefix("cc").unwrap();
    let sonnet = Target::new(claude, "claude-sonnet-4-6", Wishes::default()).unwrap();
    let mut cursors = Cursors::default();
    let family = |left| Gate { scope: Scope::Family("opus".into()), ..gate(left) };
    let views = [
        AccountView { gates: vec![gate(60), family(10)], ..view(1) },
        AccountView { gates: vec![gate(40), family(90)], ..view(1) },
    ];
    for strategy in [AccountStrategy::LeastUsed, AccountStrategy::QuotaBalanced] {
        assert_eq!(pick(&views, &ask(&opus, strategy), &mut cursors), Some(1), "{strategy:?}");
        assert_eq!(pick(&views, &ask(&sonnet, strategy), &mut cursors), Some(0), "{strategy:?}");
    }
}

#[test]
fn a_spent_window_keeps_its_scope_away_until_the_reset_and_then_lets_probes_in() {
    let opus = target();
    let catalog = Catalog::builtin().unwrap();
    let claude = catalog.by_prefix("cc").unwrap();
    let sonnet = Target::new(claude, "claude-sonnet-4-6", Wishes::default()).unwrap();
    let spent = Gate {
        scope: Scope::Family("opus".into()),
        level: Level::Spent,
        left: 0,
        resets_at: Some(NOW + 1_000),
        ..gate(0)
    };
    let view = AccountView { gates: vec![spent], ..view(1) };
    assert_eq!(eligible(NOW, &view, &sonnet), Ok(()));
    let Err(Ineligible::Locked { until, class, .. }) = eligible(NOW + 999, &view, &opus) else {
        panic!("not locked")
    };
    assert_eq!((until, class), (NOW + 1_000, Class::QuotaExhausted));
    assert_eq!(eligible(NOW + 1_000, &view, &opus), Ok(()), "the first probe");
    let probed = AccountView { last_used_at: NOW + 1_000, ..view };
    let next = Some(NOW + 1_250);
    assert_eq!(eligible(NOW + 1_249, &probed, &opus), Err(Ineligible::Probing { next }));
    assert_eq!(eligible(NOW + 1_250, &probed, &opus), Ok(()));
}

#[test]
fn what_is_reserved_or_thin_is_asked_last() {
    let target = target();
    let mut cursors = Cursors::default();
    let thin = Gate { level: Level::Thin, reservable: false, resets_at: Some(NOW + 9), ..gate(0) };
    let views = [
        AccountView { gates: vec![gate(5)], ..view(1) },
        AccountView { gates: vec![thin], ..view(2) },
        view(3),
    ];
    let soft = Reserve { percent: 10, soft: true };
    let firm = Reserve { percent: 10, soft: false };
    let ask = Ask { reserve: soft, ..ask(&target, AccountStrategy::Priority) };
    assert_eq!(pick(&views, &ask, &mut cursors), Some(2));
    assert_eq!(
        pick(&views[..2], &ask, &mut cursors),
        Some(0),
        "by priority when nothing else is left"
    );
    assert_eq!(pick(&views[..2], &Ask { reserve: firm, ..ask }, &mut cursors), Some(1));
    assert_eq!(pick(&views[..1], &Ask { reserve: firm, ..ask }, &mut cursors), None);
    let Choice::None { reasons } =
        choose_among(&views[..1], &Ask { reserve: firm, ..ask }, &mut cursors)
    else {
        panic!("chosen")
    };
    assert_eq!(reasons[0].1, Ineligible::Reserved { until: None });
    // A binding of the conversation is no reason to go below the reserve.
    let affinity = Some(views[0].config.id);
    assert_eq!(pick(&views, &Ask { affinity, ..ask }, &mut cursors), Some(2));
    assert!(may_serve(NOW, &views[0], &target, soft) && !may_serve(NOW, &views[0], &target, firm));
    let none = Reserve { percent: 0, soft: true };
    assert_eq!(pick(&views, &Ask { reserve: none, ..ask }, &mut cursors), Some(0));
}

#[test]
fn nobody_to_choose_lists_every_account_and_why() {
    let target = target();
    let views = [with(&view(1), |c| c.enabled = false), AccountView { in_flight: 8, ..view(1) }];
    let mut cursors = Cursors::default();
    let ask = ask(&target, AccountStrategy::Priority);
    let Choice::None { reasons } = choose_among(&views, &ask, &mut cursors) else { panic!() };
    let why: Vec<Ineligible> = reasons.into_iter().map(|(_, why)| why).collect();
    assert_eq!(why, [Ineligible::Disabled, Ineligible::Busy]);
    let Choice::None { reasons } = choose_among(&[], &ask, &mut cursors) else { panic!() };
    assert!(reasons.is_empty());
}

#[test]
fn model_names_of_clients_do_not_grow_the_cursors_without_end() {
    let mut target = target();
    let views = vec![view(1)];
    let mut cursors = Cursors::default();
    for i in 0..MAX_MODELS * 2 + 5 {
        target.canonical = format!("m{i}");
        pick(&views, &ask(&target, AccountStrategy::RoundRobin), &mut cursors);
    }
    assert!(cursors.rings.values().map(HashMap::len).sum::<usize>() <= MAX_MODELS);
}

#[test]
fn the_public_question_is_the_same_question() {
    let target = target();
    let views = [view(2), view(1)];
    let choice = choose(ChooseCx {
        now: NOW,
        views: &views,
        target: &target,
        strategy: AccountStrategy::Priority,
        sticky_count: 3,
        reserve: Reserve::default(),
        cursors: &mut Cursors::default(),
        tried: &[],
        affinity: None,
        pin: None,
        tags: &[],
        over_budget: &[],
    });
    assert_eq!(choice, Choice::Account(views[1].config.id));
}

#[test]
fn reasons_know_when_they_end() {
    let table = [
        (Ineligible::Dead, None, "needs a new credential"),
        (Ineligible::ExpiredToken { next_try: Some(7) }, Some(7), "token expired"),
        (
            Ineligible::Locked {
                until: 9,
                class: Class::RateLimited,
                reason: "rate limited".into(),
                set_at: 1,
            },
            Some(9),
            "rate limited",
        ),
    ];
    for (why, until, text) in table {
        assert_eq!((why.until(), why.to_string()), (until, text.to_owned()));
    }
}

#[test]
fn the_quick_answer_and_the_reason_agree() {
    let target = target();
    let auths = [
        AuthState::Ok,
        AuthState::Dead,
        AuthState::Expired { next_try: None },
        AuthState::Expired { next_try: Some(NOW) },
        AuthState::Expired { next_try: Some(NOW + 1) },
    ];
    let locks = [
        vec![],
        vec![lock(Scope::All, NOW + 1, Class::RateLimited)],
        vec![lock(Scope::Model("other".into()), NOW + 1, Class::RateLimited)],
        vec![lock(Scope::Family("opus".into()), NOW - 1, Class::QuotaExhausted)],
    ];
    let models: [&[&str]; 3] = [&[], &["claude-*"], &["gpt-*"]];
    let (mut yes, mut no) = (0, 0);
    for auth in auths {
        for locks in &locks {
            for models in models {
                for bits in 0..16_u32 {
                    let bit = |n: u32| bits & (1 << n) != 0;
                    let one = with(&view(1), |config| {
                        config.enabled = bit(0);
                        config.allowed_models = models.iter().map(|m| (*m).to_owned()).collect();
                    });
                    let one = AccountView {
                        auth,
                        locks: locks.clone(),
                        missing_params: bit(1),
                        faulted: bit(2),
                        in_flight: if bit(3) { 8 } else { 1 },
                        last_used_at: NOW - 10,
                        ..one
                    };
                    let quick = is_eligible(NOW, &one, &target);
                    assert_eq!(quick, eligible(NOW, &one, &target).is_ok(), "{one:?}");
                    if quick { yes += 1 } else { no += 1 }
                }
            }
        }
    }
    assert!(yes > 0 && no > 0);
}
