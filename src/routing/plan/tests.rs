//! Combos flattened: strategies, nesting, rotation, stickiness.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::*;
use crate::id::ComboId;

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| Catalog::builtin().unwrap());

/// Names of three targets by letter, each of another price class.
fn model(letter: &str) -> &str {
    match letter {
        "a" => "cc/claude-opus-4-6",
        "b" => "glm/glm-4.7",
        "c" => "openai/gpt-5.5",
        "d" => "openrouter/x/y",
        other => other,
    }
}

fn entry(target: &str) -> Entry {
    Entry {
        id: EntryId::new(),
        target: model(target).to_owned(),
        weight: 1,
        tier: None,
        enabled: true,
        account_id: None,
        tags: Vec::new(),
    }
}

fn combo(name: &str, strategy: Strategy, targets: &[&str]) -> Combo {
    Combo {
        id: ComboId::new(),
        name: name.into(),
        enabled: true,
        strategy,
        tier_inner: Strategy::Fallback,
        entries: targets.iter().map(|target| entry(target)).collect(),
        sticky_enabled: Some(false),
        sticky_ttl_s: 3_600,
        rr_sticky_count: 1,
        max_attempts: 12,
        deadline_ms: None,
        fallback_on_policy: false,
        capability_filter: true,
    }
}

/// Combos and where their rotations stand.
struct Bench {
    names: Names,
    rotation: Rotation,
}

fn bench(combos: impl IntoIterator<Item = Combo>) -> Bench {
    Bench { names: Names::new(combos, []), rotation: Rotation::default() }
}

impl Bench {
    fn ask(&self, id: &str) -> Resolved {
        resolve(id, &self.names, &CATALOG, None).unwrap()
    }

    fn plan_with(
        &mut self,
        id: &str,
        sticky: Option<EntryId>,
        usable: &dyn Fn(&PlannedEntry) -> bool,
    ) -> Plan {
        let asked = self.ask(id);
        plan(&asked, &self.names, &CATALOG, &mut self.rotation, sticky, usable).unwrap()
    }

    fn plan(&mut self, id: &str) -> Plan {
        self.plan_with(id, None, &|_| true)
    }

    /// Models of the next request, in order.
    fn next(&mut self, id: &str) -> Vec<String> {
        models(&self.plan(id))
    }

    /// First models of the next `n` requests.
    fn firsts(&mut self, id: &str, n: usize) -> Vec<String> {
        (0..n).map(|_| self.next(id).swap_remove(0)).collect()
    }
}

fn models(plan: &Plan) -> Vec<String> {
    for (place, entry) in plan.entries.iter().enumerate() {
        assert_eq!(usize::from(entry.index), place);
    }
    let letter = |key: &str| {
        let known = ["a", "b", "c", "d"].into_iter().find(|letter| model(letter) == key);
        known.unwrap_or(key).to_owned()
    };
    plan.entries.iter().map(|entry| letter(&entry.target.key)).collect()
}

#[test]
fn a_single_model_is_a_plan_of_one() {
    let mut bench = bench([]);
    let plan = bench.plan("cc/claude-opus-4-6");
    assert!(plan.combo.is_none() && plan.entries[0].entry_id.is_none());
    assert_eq!((models(&plan), plan.entries[0].tier), (vec!["a".to_owned()], Tier::Subscription));
}

#[test]
fn fallback_keeps_the_listed_order_and_skips_what_is_off() {
    let mut stack = combo("s", Strategy::Fallback, &["c", "a", "b", "c"]);
    stack.entries[1].enabled = false;
    assert_eq!(bench([stack]).next("s"), ["c", "b"], "duplicates keep the first");
}

#[test]
fn the_same_model_pinned_to_another_account_is_no_duplicate() {
    let mut stack = combo("s", Strategy::Fallback, &["a", "a"]);
    stack.entries[1].account_id = Some(AccountId::new());
    assert_eq!(bench([stack]).next("s"), ["a", "a"]);
}

#[test]
fn round_robin_rotates_the_start_by_its_count() {
    let mut one = bench([combo("s", Strategy::RoundRobin, &["a", "b", "c"])]);
    assert_eq!(one.next("s"), ["a", "b", "c"]);
    assert_eq!(one.next("s"), ["b", "c", "a"]);
    assert_eq!(one.next("s"), ["c", "a", "b"]);
    assert_eq!(one.next("s"), ["a", "b", "c"]);
    let mut stack = combo("s", Strategy::RoundRobin, &["a", "b"]);
    stack.rr_sticky_count = 3;
    assert_eq!(bench([stack]).firsts("s", 8), ["a", "a", "a", "b", "b", "b", "a", "a"]);
}

#[test]
fn round_robin_is_fair_over_ten_thousand_requests() {
    for stay in [1, 4] {
        let mut stack = combo("s", Strategy::RoundRobin, &["a", "b", "c"]);
        stack.rr_sticky_count = stay;
        let mut counts: HashMap<String, usize> = HashMap::new();
        for first in bench([stack]).firsts("s", 10_000) {
            *counts.entry(first).or_default() += 1;
        }
        assert!(counts.values().all(|n| n.abs_diff(3_333) <= 4), "{counts:?}");
    }
}

#[test]
fn an_edited_combo_begins_anew() {
    let stack = combo("s", Strategy::RoundRobin, &["a", "b", "c"]);
    let mut bench = bench([stack.clone()]);
    assert_eq!(bench.firsts("s", 2), ["a", "b"]);
    let mut edited = stack;
    edited.entries.insert(0, entry("d"));
    bench.names = Names::new([edited.clone()], []);
    assert_eq!(bench.firsts("s", 2), ["d", "a"]);
    bench.rotation.reset(edited.id);
    assert_eq!(bench.firsts("s", 1), ["d"]);
}

#[test]
fn weighted_shares_are_exact_and_the_rest_goes_by_weight() {
    let mut stack = combo("s", Strategy::Weighted, &["a", "b", "c", "d"]);
    for (entry, weight) in stack.entries.iter_mut().zip([1, 5, 2, 0]) {
        entry.weight = weight;
    }
    let mut bench = bench([stack]);
    assert_eq!(bench.next("s"), ["b", "c", "a", "d"]);
    let mut counts: HashMap<String, i64> = HashMap::new();
    for first in bench.firsts("s", 7_999) {
        *counts.entry(first).or_default() += 1;
    }
    // 8 000 requests with the one above: 1/8, 5/8, 2/8 within 1 %.
    for (letter, want) in [("a", 1_000), ("b", 5_000), ("c", 2_000)] {
        assert!((counts[letter] - want).abs() <= 10, "{counts:?}");
    }
    assert!(!counts.contains_key("d"), "weight 0 is never first");
}

#[test]
fn weighted_gives_turns_only_to_entries_that_can_serve() {
    let mut bench = bench([combo("s", Strategy::Weighted, &["a", "b"])]);
    let only_b = |entry: &PlannedEntry| entry.target.key == model("b");
    for _ in 0..4 {
        assert_eq!(models(&bench.plan_with("s", None, &only_b)), ["b", "a"]);
    }
    // Nobody can: the order is by weight and no turn is taken.
    assert_eq!(models(&bench.plan_with("s", None, &|_| false)), ["a", "b"]);
}

#[test]
fn tiers_follow_their_order_and_rotate_inside() {
    let mut stack = combo("s", Strategy::Tier, &["c", "b", "a", "d"]);
    stack.entries[3].tier = Some(Tier::Subscription);
    let mut one = bench([stack.clone()]);
    assert_eq!(one.next("s"), ["a", "d", "b", "c"]);
    stack.tier_inner = Strategy::RoundRobin;
    one = bench([stack.clone()]);
    assert_eq!(one.next("s"), ["a", "d", "b", "c"]);
    assert_eq!(one.next("s"), ["d", "a", "b", "c"]);
    assert_eq!(one.next("s"), ["a", "d", "b", "c"]);
    one = bench([stack]);
    one.names = one.names.with_tier_order(&[Tier::Paid, Tier::Cheap]);
    assert_eq!(one.next("s")[0], "c");
    let plan = one.plan("s");
    let d = plan.entries.iter().find(|e| e.target.key == model("d")).unwrap();
    assert_eq!((d.tier, d.tier_override), (Tier::Subscription, Some(Tier::Subscription)));
}

#[test]
fn nested_combos_are_spliced_in_place() {
    let inner = combo("inner", Strategy::Fallback, &["b", "c"]);
    let outer = combo("outer", Strategy::Fallback, &["a", "combo:inner", "d"]);
    assert_eq!(bench([inner, outer]).next("outer"), ["a", "b", "c", "d"]);
}

#[test]
fn a_nested_rotation_goes_on_only_when_it_is_reached() {
    let inner = combo("inner", Strategy::RoundRobin, &["b", "c"]);
    let outer = combo("outer", Strategy::Fallback, &["a", "combo:inner"]);
    let mut bench = bench([inner, outer]);
    for _ in 0..3 {
        assert_eq!(bench.next("outer"), ["a", "b", "c"], "nobody reached it");
    }
    let mut plan = bench.plan("outer");
    plan.reached(0, &mut bench.rotation);
    plan.reached(1, &mut bench.rotation);
    plan.reached(2, &mut bench.rotation);
    plan.reached(1, &mut bench.rotation);
    plan.reached(99, &mut bench.rotation);
    assert_eq!(bench.next("outer"), ["a", "c", "b"], "one step for one request");
    // In first place it is reached at once.
    assert_eq!(bench.firsts("inner", 3), ["c", "b", "c"]);
}

#[test]
fn looking_moves_nothing() {
    let bench = bench([combo("s", Strategy::RoundRobin, &["a", "b"])]);
    let asked = bench.ask("s");
    for _ in 0..3 {
        let seen = preview(&asked, &bench.names, &CATALOG, &bench.rotation, &|_| true).unwrap();
        assert_eq!(models(&seen), ["a", "b"]);
        assert_eq!(leaves(&asked, &bench.names, &CATALOG).len(), 2);
    }
}

#[test]
fn circles_depth_and_unknown_targets_are_left_out_and_named() {
    let x = combo("x", Strategy::Fallback, &["combo:y", "a"]);
    let y = combo("y", Strategy::Fallback, &["combo:x", "b"]);
    let mut circle = bench([x, y]);
    let plan = circle.plan("x");
    assert_eq!(
        (models(&plan), plan.unusable),
        (vec!["b".into(), "a".into()], vec!["combo:x".into()])
    );
    let deep = (0..8).map(|i| {
        let next = format!("combo:n{}", i + 1);
        combo(&format!("n{i}"), Strategy::Fallback, &[&next, &format!("openrouter/m{i}")])
    });
    let mut deep = bench(deep);
    let plan = deep.plan("n0");
    assert_eq!(plan.entries.len(), MAX_DEPTH);
    assert_eq!(plan.unusable, ["combo:n5"]);
    let mut odd = bench([combo("s", Strategy::Fallback, &["nope/x", "combo:none", "a"])]);
    let plan = odd.plan("s");
    assert_eq!((models(&plan), plan.unusable.len()), (vec!["a".to_owned()], 2));
}

#[test]
fn a_combo_without_meaning_is_an_error_that_names_it() {
    for targets in [&["nope/x"][..], &[]] {
        let bench = bench([combo("empty", Strategy::RoundRobin, targets)]);
        let asked = bench.ask("empty");
        let mut rotation = Rotation::default();
        let error =
            plan(&asked, &bench.names, &CATALOG, &mut rotation, None, &|_| true).unwrap_err();
        assert_eq!(error, ResolveError::EmptyCombo { name: "empty".into() });
        assert!(leaves(&asked, &bench.names, &CATALOG).is_empty());
    }
}

#[test]
fn a_plan_has_at_most_sixty_four_entries() {
    let many: Vec<String> = (0..100).map(|i| format!("openrouter/m{i}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let mut bench = bench([combo("s", Strategy::Fallback, &many)]);
    assert_eq!(bench.next("s").len(), MAX_ENTRIES);
}

#[test]
fn a_bound_conversation_comes_first_and_takes_no_turn() {
    let mut stack = combo("s", Strategy::RoundRobin, &["a", "b", "c"]);
    stack.sticky_enabled = None;
    let bound = Some(stack.entries[1].id);
    let mut one = bench([stack.clone()]);
    for _ in 0..3 {
        assert_eq!(models(&one.plan_with("s", bound, &|_| true)), ["b", "a", "c"]);
    }
    // Unusable: the normal order, and a turn.
    let not_b = |entry: &PlannedEntry| entry.target.key != model("b");
    assert_eq!(models(&one.plan_with("s", bound, &not_b)), ["a", "b", "c"]);
    assert_eq!(models(&one.plan_with("s", None, &|_| true)), ["b", "c", "a"]);
    // Switched off, or by default off (`fallback`): every request starts at the top.
    stack.sticky_enabled = Some(false);
    assert_eq!(models(&bench([stack.clone()]).plan_with("s", bound, &|_| true))[0], "a");
    (stack.sticky_enabled, stack.strategy) = (None, Strategy::Fallback);
    assert_eq!(models(&bench([stack]).plan_with("s", bound, &|_| true))[0], "a");
}

#[test]
fn suffixes_on_the_combo_apply_to_entries_without_their_own() {
    use crate::provider::effort::{Effort, Level};
    let stack = combo(
        "s",
        Strategy::Fallback,
        &["cc/claude-opus-4-6(low)", "openai/gpt-5.5", "combo:t(max)"],
    );
    let inner = combo("t", Strategy::Fallback, &["or/x"]);
    let plan = bench([stack, inner]).plan("s(high)[1m]");
    let efforts: Vec<_> = plan.entries.iter().map(|e| e.target.effort).collect();
    let level = |level| Some(Effort::Level(level));
    assert_eq!(efforts, [level(Level::Low), level(Level::High), level(Level::Max)]);
    assert!(plan.entries.iter().all(|e| e.target.long_context));
}

#[test]
fn pins_and_tags_of_an_outer_entry_reach_the_inner_ones() {
    let account = AccountId::new();
    let inner = combo("inner", Strategy::Fallback, &["a", "b"]);
    let mut outer = combo("outer", Strategy::Fallback, &["combo:inner"]);
    outer.entries[0].tags = vec!["eu".into()];
    outer.entries[0].account_id = Some(account);
    let plan = bench([inner, outer]).plan("outer");
    assert!(plan.entries.iter().all(|e| e.pin == Some(account) && e.tags == ["eu"]));
}

#[test]
fn entries_that_lack_a_capability_go_last_and_stay() {
    let mut bench = bench([combo("s", Strategy::Fallback, &["glm/glm-4.7", "d", "a"])]);
    let mut plan = bench.plan("s");
    let vision = Needs { vision: true, ..Needs::default() };
    plan.put_last(|entry| lacks(&CATALOG, &entry.target, vision));
    // GLM 4.7 is listed without vision; the unlisted one is given the benefit of the doubt.
    assert_eq!(models(&plan), ["d", "a", "b"]);
    plan.put_last(|_| true);
    assert_eq!(plan.entries.len(), 3);
}

#[test]
fn a_schema_is_lacking_where_the_upstream_refuses_it() {
    let schema = Needs { json_schema: true, ..Needs::default() };
    let mut provider = CATALOG.by_id("openai").unwrap().as_ref().clone();
    for refuses in [false, true] {
        provider.profile.no_response_schema = refuses;
        let target = Target::new(&Arc::new(provider.clone()), "gpt-4o", Wishes::default()).unwrap();
        assert_eq!(lacks(&CATALOG, &target, schema), refuses);
        assert!(!lacks(&CATALOG, &target, Needs::default()));
    }
}
