//! Model ids and what they mean, table by table (providers §1.1, §10).

use proptest::prelude::*;

use super::*;
use crate::id::ComboId;
use crate::provider::effort::{Effort, Level};
use crate::provider::models::LiveModel;
use crate::routing::combo::Strategy;
use crate::routing::live::LiveList;

fn combo(name: &str) -> Combo {
    Combo {
        id: ComboId::new(),
        name: name.into(),
        enabled: true,
        strategy: Strategy::Fallback,
        tier_inner: Strategy::Fallback,
        entries: Vec::new(),
        sticky_enabled: None,
        sticky_ttl_s: 3_600,
        rr_sticky_count: 1,
        max_attempts: 12,
        deadline_ms: None,
        fallback_on_policy: false,
        capability_filter: true,
    }
}

fn names() -> Names {
    let aliases = [
        ("fast", "gh/gpt-5-mini"),
        ("team", "stack"),
        ("second", "fast"),
        ("careful", "cc/claude-opus-4-6(high)"),
        ("pool", "combo:stack"),
        ("gemini-*-flash-lite", "gh/gpt-5-mini"),
        ("gemini-*", "cc/claude-opus-4-6"),
        ("a", "b"),
        ("b", "c"),
        ("c", "a"),
        ("d1", "d2"),
        ("d2", "d3"),
        ("d3", "d4"),
        ("d4", "d5"),
        ("d5", "d6"),
        ("d6", "fast"),
        ("claude-sonnet-4-5", "fast"),
        ("*", "cc/claude-opus-4-6"),
    ];
    let mut off = combo("off");
    off.enabled = false;
    let aliases = aliases.map(|(a, t)| (a.to_owned(), t.to_owned()));
    let without_star = aliases.into_iter().filter(|(a, _)| a != "*");
    Names::new([combo("stack"), combo("claude-opus-4-6"), off], without_star)
}

fn catalog() -> Catalog {
    Catalog::builtin().unwrap()
}

/// `provider upstream` or `combo:name`, with effort and `[1m]` when asked for.
fn meaning(id: &str) -> String {
    match resolve(id, &names(), &catalog(), None) {
        Ok(Resolved::Combo { combo, wishes }) => format!("combo:{}{}", combo.name, shown(wishes)),
        Ok(Resolved::Target(t)) => {
            let wishes = Wishes { effort: t.effort, long_context: t.long_context };
            format!("{} {}{}", t.provider.id, t.upstream_model, shown(wishes))
        }
        Err(error) => error.code().to_owned(),
    }
}

fn shown(wishes: Wishes) -> String {
    let effort = wishes.effort.map(|effort| match effort {
        Effort::Level(level) => format!(" {}", level.as_str()),
        other => format!(" {other:?}"),
    });
    format!("{}{}", effort.unwrap_or_default(), if wishes.long_context { " 1m" } else { "" })
}

#[test]
fn ids_mean_what_the_grammar_says() {
    let table = [
        // providers §10
        ("cc/claude-opus-4-6", "claude claude-opus-4-6"),
        ("CC/claude-opus-4.6", "claude claude-opus-4-6"),
        ("claude/claude-opus-4-6(high)", "claude claude-opus-4-6 high"),
        ("openrouter/anthropic/claude-opus-4.6", "openrouter anthropic/claude-opus-4.6"),
        ("cx/gpt-5.3-codex-high", "codex gpt-5.3-codex high"),
        ("cx/gpt-5.3-codex-high(low)", "codex gpt-5.3-codex low"),
        ("cx/gpt-5.1-codex-max", "codex gpt-5.1-codex-max"),
        ("cx/gpt-5.5-review", "codex gpt-5.5"),
        ("kr/claude-sonnet-4.5-thinking-agentic", "kiro claude-sonnet-4.5"),
        ("gh/claude-4.5-sonnet", "github claude-sonnet-4.5"),
        ("minimax/minimax-m2.1", "minimax MiniMax-M2.1"),
        ("or/foo(bar)", "openrouter foo(bar)"),
        ("nope/x", "model_not_found"),
        ("cc/claude-opus-4-6[1m]", "claude claude-opus-4-6 1m"),
        ("cc/claude-opus-4-6[1m](low)", "claude claude-opus-4-6 low 1m"),
        // names of this program and of the dialect
        ("9router/cc/claude-opus-4-6", "claude claude-opus-4-6"),
        ("NineRouter/stack", "combo:stack"),
        ("9router/9router/stack", "model_not_found"),
        ("models/stack", "combo:stack"),
        ("models/cc/claude-opus-4-6", "claude claude-opus-4-6"),
        // combos before aliases before models
        ("stack", "combo:stack"),
        ("stack(high)", "combo:stack high"),
        ("STACK", "model_not_found"),
        ("off", "model_not_found"),
        ("claude-opus-4-6", "combo:claude-opus-4-6"),
        ("anthropic/stack", "combo:stack"),
        ("anthropic/fast", "github gpt-5-mini"),
        ("anthropic/claude-opus-4-6", "anthropic claude-opus-4-6"),
        // aliases
        ("fast", "github gpt-5-mini"),
        ("second", "github gpt-5-mini"),
        ("team", "combo:stack"),
        ("pool(low)", "combo:stack low"),
        ("careful", "claude claude-opus-4-6 high"),
        ("careful(low)", "claude claude-opus-4-6 low"),
        ("careful[1m]", "claude claude-opus-4-6 high 1m"),
        ("claude-sonnet-4-5", "github gpt-5-mini"),
        ("gemini-2.5-flash-lite", "github gpt-5-mini"),
        ("gemini-2.5-pro", "claude claude-opus-4-6"),
        ("gemini/gemini-2.5-pro", "gemini gemini-2.5-pro"),
        ("a", "alias_cycle"),
        ("d1", "alias_cycle"),
        ("d2", "alias_cycle"),
        ("d3", "github gpt-5-mini"),
        // nothing
        ("", "model_not_found"),
        ("cc/", "model_not_found"),
        ("/", "model_not_found"),
        ("cc/no-such-model", "model_not_found"),
        ("some-unknown-thing", "model_not_found"),
        ("(high)", "model_not_found"),
    ];
    for (id, want) in table {
        assert_eq!(meaning(id), want, "{id}");
    }
}

#[test]
fn a_pattern_for_everything_does_not_turn_in_a_circle() {
    let names = Names::new([], [("*".to_owned(), "cc/claude-opus-4-6".to_owned())]);
    let found = resolve("whatever", &names, &catalog(), None).unwrap();
    assert!(matches!(found, Resolved::Target(t) if t.key == "cc/claude-opus-4-6"));
}

#[test]
fn bare_names_go_to_the_first_provider_with_an_account() {
    let none = Names::new([], []);
    let provider = |id: &str, served: &[&str]| {
        let names = none.clone().with_served(served.iter().map(|s| Arc::from(*s)));
        match resolve(id, &names, &catalog(), None) {
            Ok(Resolved::Target(target)) => Some(target.provider.id.to_string()),
            Ok(Resolved::Combo { .. }) => panic!(),
            Err(_) => None,
        }
    };
    assert_eq!(provider("claude-opus-4-6", &["claude"]).as_deref(), Some("claude"));
    assert_eq!(provider("claude-opus-4-6", &["claude", "anthropic"]).as_deref(), Some("anthropic"));
    assert_eq!(provider("Claude-Opus-4.6", &["claude"]).as_deref(), Some("claude"));
    assert_eq!(provider("claude-opus-4-6", &["openai"]), None);
    assert_eq!(provider("llama-9", &["openai"]), None);
}

#[test]
fn the_default_provider_takes_whole_ids_of_unknown_prefix() {
    let none = Names::new([], []);
    let catalog = catalog();
    let default = |id: &str, provider: &str| resolve(id, &none, &catalog, Some(provider));
    let Ok(Resolved::Target(t)) = default("vendor/model:free", "openrouter") else { panic!() };
    assert_eq!((t.key.as_str(), &*t.provider.id), ("openrouter/vendor/model:free", "openrouter"));
    // It outranks the rules for bare names, but no known prefix.
    let Ok(Resolved::Target(t)) = default("claude-opus-4-6", "openrouter") else { panic!() };
    assert_eq!(&*t.provider.id, "openrouter");
    let Ok(Resolved::Target(t)) = default("cc/claude-opus-4-6", "openrouter") else { panic!() };
    assert_eq!(&*t.provider.id, "claude");
    assert!(default("vendor/model", "no-such-provider").is_err());
    assert!(default("vendor/model", "claude").is_err(), "it does not take any id");
}

#[test]
fn an_unknown_name_says_what_it_could_have_been() {
    let said = |id: &str| resolve(id, &names(), &catalog(), None).unwrap_err().to_string();
    let near = |id: &str| match resolve(id, &names(), &catalog(), None) {
        Err(ResolveError::NotFound { near, .. }) => near,
        _ => panic!(),
    };
    assert!(said("nope/x").contains("no provider has the prefix `nope`"));
    assert_eq!(near("stak"), ["stack"]);
    assert_eq!(near("stuck")[0], "stack");
    assert!(near("cc/claude-opsu-4-6").contains(&"cc/claude-opus-4-6".to_owned()));
    assert!(near("openrouterr/x/y").contains(&"openrouter/x/y".to_owned()));
    assert!(near("zzzzzzzzzzzzzz").is_empty());
    assert!(near(&"x".repeat(100_000)).is_empty());
    assert!(said("stak").ends_with("did you mean `stack`?"), "{}", said("stak"));
    assert!(said("a").contains("a → b → c → a"), "{}", said("a"));
}

#[test]
fn tiers_left_out_of_the_order_come_last() {
    let names = Names::new([], []).with_tier_order(&[Tier::Free, Tier::Subscription]);
    assert_eq!(names.tier_order, [Tier::Free, Tier::Subscription, Tier::Cheap, Tier::Paid]);
}

proptest! {
    #[test]
    fn no_id_makes_it_panic(id in ".{0,40}") {
        drop(resolve(&id, &names(), &catalog_once(), Some("openrouter")));
    }

    #[test]
    fn a_suffix_never_changes_who_serves(
        level in proptest::sample::select(Level::ALL.to_vec()), long in any::<bool>()
    ) {
        let id = format!("cc/claude-opus-4-6({}){}", level.as_str(), if long { "[1m]" } else { "" });
        let Ok(Resolved::Target(t)) = resolve(&id, &names(), &catalog_once(), None) else {
            return Err(TestCaseError::fail("no target"));
        };
        prop_assert_eq!(t.upstream_model.as_str(), "claude-opus-4-6");
        prop_assert_eq!(t.effort, Some(Effort::Level(level)));
        prop_assert_eq!(t.long_context, long);
    }
}

fn catalog_once() -> Arc<Catalog> {
    static ONCE: std::sync::LazyLock<Arc<Catalog>> =
        std::sync::LazyLock::new(|| Arc::new(Catalog::builtin().unwrap()));
    Arc::clone(&ONCE)
}

#[test]
fn a_model_of_the_live_list_alone_is_found_in_its_own_spelling() {
    let (names, catalog) = (Names::new([], []), catalog());
    let model = |id: &str| LiveModel { id: id.to_owned(), ..LiveModel::default() };
    let list = |ids: &[&str]| LiveList::new(ids.iter().map(|id| model(id)));
    names.live.set(&"openai".into(), list(&["gpt-99", "Big-Model"]));
    names.live.set(&"claude".into(), list(&["claude-opus-9-1"]));
    names.live.set(&"github".into(), list(&["claude-opus-9.1"]));
    let table = [
        ("openai/gpt-99", Some("gpt-99")),
        ("openai/big-model", Some("Big-Model")),
        ("openai/gpt-98", None),
        ("cc/claude-opus-9.1", Some("claude-opus-9-1")),
        ("gh/claude-opus-9-1", Some("claude-opus-9.1")),
        ("gh/claude-opus-9.1", Some("claude-opus-9.1")),
    ];
    for (id, want) in table {
        let found = match resolve(id, &names, &catalog, None) {
            Ok(Resolved::Target(target)) => Some(target.upstream_model.clone()),
            Ok(Resolved::Combo { .. }) | Err(_) => None,
        };
        assert_eq!(found.as_deref(), want, "{id}");
    }
}
