//! Files against a real store.

use std::collections::HashMap;
use std::path::Path;

use super::*;
use crate::clock::Clock;
use crate::config::file::parse;
use crate::provider::node::NetworkPolicy;
use crate::store::master_key::{KeyOrigin, MasterKey};
use crate::store::{Owner, StoreOptions, accounts, aliases, api_keys, combos, nodes, settings};

struct Bench {
    _dir: tempfile::TempDir,
    store: Store,
    secrets: HashMap<&'static str, &'static str>,
    locked: BTreeMap<&'static str, Value>,
    sources: BTreeMap<&'static str, Source>,
    hasher: KeyHasher,
}

const NOW: UnixMs = 1_800_000_000_000;

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions {
            data_dir: dir.path().to_owned(),
            app_version: "0.0.0".into(),
            clock: Clock::manual(NOW),
            read_only: false,
            fresh: false,
        };
        let key = MasterKey::from_bytes([7; 32], KeyOrigin::Environment);
        Self {
            store: Store::open(&options, &key).unwrap(),
            _dir: dir,
            secrets: HashMap::from([
                ("GLM_KEY", "glm-secret-1"),
                ("OTHER_KEY", "glm-secret-2"),
                ("LAPTOP", "laptop-key-0123"),
                ("PHONE", "phone-key-0123"),
                ("SHORT", "short"),
            ]),
            locked: BTreeMap::new(),
            sources: BTreeMap::new(),
            hasher: KeyHasher::new(&[9; 32]),
        }
    }

    fn with<T>(&self, prune: bool, run: impl FnOnce(&Surroundings<'_>) -> T) -> T {
        let lookup =
            |name: &str| self.secrets.get(name).map(|text| Secret::new((*text).to_owned()));
        run(&Surroundings {
            overlays: &[],
            endpoints: &[],
            locked: &self.locked,
            sources: &self.sources,
            found: &Found::default(),
            lookup: &lookup,
            hasher: &self.hasher,
            now: NOW,
            prune,
        })
    }

    fn apply(&self, text: &str, prune: bool) -> Result<Plan, ApplyError> {
        let file = parse(Path::new("nr.toml"), text.as_bytes(), NetworkPolicy::Public).unwrap();
        self.with(prune, |around| apply(&self.store, &file, around))
    }

    fn preview(&self, text: &str) -> Plan {
        let file = parse(Path::new("nr.toml"), text.as_bytes(), NetworkPolicy::Public).unwrap();
        self.with(false, |around| preview(&self.store, &file, around)).unwrap()
    }

    fn errors(&self, text: &str) -> Vec<String> {
        match self.apply(text, false) {
            Err(ApplyError::File(errors)) => {
                errors.iter().map(|e| format!("{}:{} {}", e.line, e.column, e.message)).collect()
            }
            other => panic!("{text}: {other:?}"),
        }
    }
}

fn shown(plan: &Plan) -> Vec<String> {
    let show = |c: &Change| {
        format!("{} {} {} [{}]", c.action.as_str(), c.kind, c.name, c.members.join(","))
    };
    plan.changes.iter().map(show).collect()
}

const FULL: &str = r#"
[settings]
require_api_key = true
timeouts.head_ms = 1500
[[nodes]]
name = "My cloud"
prefix = "mine"
type = "openai-compatible"
base_url = "https://llm.example.org/v1/chat/completions"
[[accounts]]
provider = "glm"
label = "plan"
api_key = "env:GLM_KEY"
[[accounts]]
provider = "mine"
label = "own"
api_key = "env:OTHER_KEY"
[[combos]]
name = "stack"
entries = ["cc/claude-opus-4-6", "glm/glm-4.7", { target = "combo:cheap", weight = 1 }]
[[combos]]
name = "cheap"
strategy = "round-robin"
entries = ["mine/big-1", "fast"]
[aliases]
fast = "glm/glm-4.7(high)"
[[keys]]
name = "laptop"
key = "env:LAPTOP"
rpm = 60
[[prices]]
provider = "mine"
model = "big-1"
input = "1.50"
[[models]]
provider = "mine"
id = "big-1"
[providers.glm]
tier = "cheap"
"#;

#[test]
fn c18_a_file_is_applied_once_and_then_changes_nothing() {
    let bench = Bench::new();
    let plan = bench.apply(FULL, false).unwrap();
    assert_eq!(
        shown(&plan),
        [
            "add setting require_api_key []",
            "add setting timeouts.head_ms []",
            "add node mine []",
            "add provider glm []",
            "add account glm/plan []",
            "add account mine/own []",
            "add model mine/big-1 []",
            "add price mine/big-1 []",
            "add combo stack []",
            "add combo cheap []",
            "add alias fast []",
            "add key laptop []",
        ]
    );
    assert_eq!(plan.warnings, []);
    let again = bench.apply(FULL, true).unwrap();
    assert_eq!(shown(&again), [""; 0]);
    assert_eq!((again.unchanged, again.kept.len()), (12, 0));
    assert_eq!(again.to_string(), "no changes, 12 unchanged\n");

    let store = &bench.store;
    let loaded = store.load().unwrap();
    assert_eq!(loaded.nodes[0].base_url, "https://llm.example.org/v1");
    let node = loaded.nodes[0].id.clone();
    assert!(node.starts_with("openai-compatible-chat-"), "{node}");
    let own = loaded.accounts.iter().find(|a| a.config.label == "own").unwrap();
    assert_eq!((&*own.config.provider, own.managed_by), (node.as_str(), Some(Owner::ConfigFile)));
    let credential = store.credential(own.config.id).unwrap();
    assert_eq!(credential.api_key.unwrap().expose(), "glm-secret-2");
    assert_eq!(loaded.keys[0].lookup, bench.hasher.mac("laptop-key-0123"));
    assert_eq!(
        (loaded.keys[0].prefix.as_str(), loaded.keys[0].last4.as_str()),
        ("laptop-k", "0123")
    );
    assert_eq!(loaded.settings["timeouts.head_ms"], 1500);
}

#[test]
fn changes_name_members_and_keep_ids() {
    let bench = Bench::new();
    bench.apply(FULL, false).unwrap();
    let before = bench.store.load().unwrap();
    let changed = FULL
        .replace("label = \"plan\"", "label = \"Plan\"\npriority = 5")
        .replace("env:GLM_KEY", "env:OTHER_KEY")
        .replace("\"cc/claude-opus-4-6\", ", "")
        .replace("rpm = 60", "rpm = 61")
        .replace("\"env:LAPTOP\"", "\"env:PHONE\"")
        .replace("prefix = \"mine\"", "prefix = \"mine\"\nnetwork = \"private\"");
    assert_eq!(
        shown(&bench.preview(&changed)),
        [
            "change node mine [network]",
            "change account glm/Plan [label,api_key,priority]",
            "change combo stack [entries]",
            "change key laptop [key,rpm]",
        ]
    );
    assert_eq!(bench.store.load().unwrap().combos, before.combos, "a preview changes nothing");
    bench.apply(&changed, false).unwrap();
    let after = bench.store.load().unwrap();
    let stack = |loaded: &crate::store::Loaded| {
        loaded.combos.iter().find(|c| &*c.name == "stack").unwrap().clone()
    };
    assert_eq!(stack(&before).id, stack(&after).id);
    assert_eq!(
        stack(&before).entries[1].id,
        stack(&after).entries[0].id,
        "sessions are bound to it"
    );
    assert_eq!(after.keys[0].id, before.keys[0].id);
    assert_eq!(after.keys[0].lookup, bench.hasher.mac("phone-key-0123"));
    assert_eq!(after.nodes[0].id, before.nodes[0].id);
    assert_eq!(shown(&bench.preview(&changed)), [""; 0]);
}

#[test]
fn c18_prune_removes_what_an_earlier_file_made_and_nothing_else() {
    let bench = Bench::new();
    bench.apply(FULL, false).unwrap();
    let by_hand = Stamp::operator(NOW);
    bench
        .store
        .write(|conn| {
            aliases::set(conn, "mine-too", "glm/glm-4.7", by_hand)?;
            settings::set(conn, "sticky_count", &7.into(), by_hand)
        })
        .unwrap();
    let less = "[[accounts]]\nprovider = 'glm'\nlabel = 'plan'\napi_key = 'env:GLM_KEY'\n";
    let kept = bench.apply(less, false).unwrap();
    assert_eq!((shown(&kept).len(), kept.kept.len(), kept.unchanged), (0, 11, 1));
    let plan = bench.apply(less, true).unwrap();
    assert_eq!(plan.changes.len(), 11);
    assert!(plan.changes.iter().all(|c| c.action == Action::Remove), "{plan}");
    let loaded = bench.store.load().unwrap();
    assert_eq!((loaded.nodes.len(), loaded.combos.len(), loaded.keys.len()), (0, 0, 0));
    assert_eq!(loaded.accounts.len(), 1);
    assert_eq!(loaded.aliases, [("mine-too".to_owned(), "glm/glm-4.7".to_owned())]);
    assert_eq!(loaded.settings.len(), 1);
    // `prune = true` in the file means the same.
    assert_eq!(bench.apply(&format!("prune = true\n{less}"), false).unwrap().changes, []);
}

#[test]
fn objects_of_the_operator_are_taken_over_by_name() {
    let bench = Bench::new();
    bench
        .store
        .write(|conn| aliases::set(conn, "fast", "glm/glm-4.7", Stamp::operator(NOW)))
        .unwrap();
    let plan = bench.apply("[aliases]\nfast = 'glm/glm-4.7'\n", false).unwrap();
    assert_eq!(shown(&plan), ["change alias fast [managed_by]"]);
    let owner = bench.store.read(aliases::list).unwrap()[0].managed_by;
    assert_eq!(owner, Some(Owner::ConfigFile));
}

#[test]
fn references_that_lead_nowhere_are_found_with_their_place() {
    let node = |url: &str, network: &str| {
        let object = "[[nodes]]\nname = 'n'\nprefix = 'n'\ntype = 'openai-compatible'\n";
        format!("{object}base_url = '{url}'\nnetwork = '{network}'\n")
    };
    let bench = Bench::new();
    let account = "[[accounts]]\nprovider = 'glm'\nlabel = 'p'\n";
    for (text, want) in [
        ("[[accounts]]\nprovider = 'gml'\nlabel = 'p'\napi_key = 'env:GLM_KEY'\n".to_owned(),
            "2:1 there is no provider or node `gml`; did you mean `glm`?"),
        (format!("{account}api_key = 'env:NOWHERE'\n"), "4:1 `api_key`: `env:NOWHERE`: that variable is not set"),
        (format!("{account}api_key = 'file:/nonexistent/x'\n"), "4:1 `api_key`: `file:/nonexistent/x`: No such file"),
        (format!("{account}kind = 'none'\n"), "2:1 accounts of `glm` need a credential"),
        (format!("{account}api_key = 'env:GLM_KEY'\nendpoint = 'zzz'\n"), "5:1 `glm` has the endpoints "),
        (format!("{account}api_key = 'env:GLM_KEY'\nparams = {{ color = 'red' }}\n"),
            "5:12 `glm` has no parameter `color`"),
        ("[[accounts]]\nprovider = 'antigravity'\nlabel = 'p'\napi_key = 'env:GLM_KEY'\n".to_owned(),
            "2:1 `antigravity` takes no API key; connect it in the dashboard"),
        ("[[combos]]\nname = 'c'\nentries = ['glm/glm-4.7', 'gml/glm-4.7']\n".to_owned(),
            "3:27 no provider or node has the prefix `gml`; did you mean `glm/glm-4.7`?"),
        ("[[combos]]\nname = 'c'\nentries = ['combo:d']\n".to_owned(), "3:12 there is no combo `d`"),
        ("[[combos]]\nname = 'c'\nentries = ['qqqq']\n".to_owned(), "3:12 `qqqq` is no model id, alias or combo"),
        ("[[combos]]\nname = 'c'\nentries = ['combo:c']\n".to_owned(), "3:1 combo `c` contains itself: c → c"),
        ("[aliases]\na = 'b'\nb = 'a'\n".to_owned(), "2:1 aliases lead in a circle"),
        ("[[nodes]]\nname = 'n'\nprefix = 'glm'\ntype = 'openai-compatible'\nbase_url = 'https://x.example'\n".to_owned(),
            "3:1 prefix `glm` belongs to `glm`; choose another one"),
        ("[[nodes]]\nname = 'n'\nprefix = 'n'\ntype = 'openai-compatible'\nbase_url = 'http://x.example'\n".to_owned(),
            "5:1 base url: plain http sends the key in clear"),
        (node("https://127.0.0.1/v1", "public"), "5:1 base url: the host is a loopback address"),
        (node("https://2130706433/v1", "public"), "5:1 base url: the host is a loopback address"),
        (node("https://10.1.2.3/v1", "loopback"), "5:1 base url: the host is a private address"),
        (node("http://169.254.169.254/v1", "private"), "5:1 base url: the host is a metadata address"),
        (node("https://metadata.google.internal/v1", "private"), "5:1 base url: the host is a metadata service"),
        ("[[keys]]\nname = 'k'\nkey = 'env:SHORT'\n".to_owned(), "3:1 `key`: `env:SHORT`: a key has 8 to 256"),
        ("[[keys]]\nname = 'k'\nkey = 'env:LAPTOP'\n[[keys]]\nname = 'l'\nkey = 'env:LAPTOP'\n".to_owned(),
            "6:1 `key`: another key of this file has the same text"),
        ("[settings]\nunknown_model_provider = 'gml'\n".to_owned(), "2:1 there is no provider or node `gml`"),
        ("[providers.gml]\ntier = 'cheap'\n".to_owned(), "1:12 there is no provider or node `gml`"),
        (format!("{account}api_key = 'env:GLM_KEY'\n[[accounts]]\nprovider = 'GLM'\nlabel = 'P'\napi_key = 'env:GLM_KEY'\n"),
            "7:1 `label`: is the same as that of the one in line 1"),
    ] {
        let Ok(file) = parse(Path::new("nr.toml"), text.as_bytes(), NetworkPolicy::Public) else {
            continue_if_found(&text, want);
            continue;
        };
        drop(file);
        let found = bench.errors(&text);
        assert!(found[0].starts_with(want), "{text}\n{found:#?}\nwanted {want}");
    }
    let plan = bench.preview("[[combos]]\nname = 'c'\nentries = ['glm/glm-4.77', 'glm/glm-4.7']\n");
    assert_eq!(plan.warnings.len(), 1);
    let warning = plan.warnings[0].to_string();
    assert_eq!(
        warning,
        "nr.toml:3:12: `glm` does not list the model of `glm/glm-4.77`; did you mean `glm/glm-4.7`?"
    );
}

fn continue_if_found(text: &str, want: &str) {
    let errors = parse(Path::new("x"), text.as_bytes(), NetworkPolicy::Public).unwrap_err();
    let found = format!("{}:{} {}", errors[0].line, errors[0].column, errors[0].message);
    assert!(found.starts_with(want), "{text}\n{found}\nwanted {want}");
}

#[test]
fn one_mistake_changes_nothing_at_all() {
    let bench = Bench::new();
    let text = format!("{FULL}\n[[keys]]\nname = 'gone'\nkey = 'env:NOWHERE'\n");
    assert!(matches!(bench.apply(&text, false), Err(ApplyError::File(_))));
    let loaded = bench.store.load().unwrap();
    assert!(loaded.nodes.is_empty() && loaded.settings.is_empty() && loaded.keys.is_empty());
}

#[test]
fn a_sign_in_is_never_replaced_by_a_key() {
    use crate::routing::account::{AccountConfig, AccountKind};
    let bench = Bench::new();
    let file = "[[accounts]]\nprovider = 'kimi'\nlabel = 'p'\napi_key = 'env:GLM_KEY'\n";
    bench.apply(file, false).unwrap();
    bench
        .store
        .write(|conn| {
            let row = accounts::list(conn)?.remove(0);
            let config = AccountConfig { kind: AccountKind::OAuth, ..row.config };
            accounts::upsert(conn, bench.store.sealer(), &config, None, Stamp::operator(NOW))
        })
        .unwrap();
    let errors = bench.errors(file);
    assert_eq!(errors, ["3:1 is that of a signed-in account; choose another label"]);
}

#[test]
fn another_kind_of_credential_is_another_account() {
    let bench = Bench::new();
    let keyed = "[[accounts]]\nprovider = 'ollama-local'\nlabel = 'p'\napi_key = 'env:GLM_KEY'\n";
    bench.apply(keyed, false).unwrap();
    let before = bench.store.load().unwrap().accounts[0].config.id;
    let bare = "[[accounts]]\nprovider = 'ollama-local'\nlabel = 'p'\nkind = 'none'\n";
    let plan = bench.apply(bare, false).unwrap();
    assert_eq!(shown(&plan), ["change account ollama-local/p [kind,api_key]"]);
    let after = bench.store.load().unwrap().accounts[0].config.id;
    assert_ne!(before, after);
    assert!(bench.store.credential(after).unwrap().api_key.is_none());
}

#[test]
fn a_revoked_key_stays_revoked_until_its_text_changes() {
    let bench = Bench::new();
    let file = "[[keys]]\nname = 'k'\nkey = 'env:LAPTOP'\n";
    bench.apply(file, false).unwrap();
    bench
        .store
        .write(|conn| {
            let mut row = api_keys::list(conn)?.remove(0);
            row.revoked_at = Some(NOW);
            api_keys::upsert(conn, &row, Stamp::config_file(NOW))
        })
        .unwrap();
    let plan = bench.apply(&file.replace("key = ", "rpm = 5\nkey = "), false).unwrap();
    assert!(plan.warnings[0].message.contains("is revoked and stays so"));
    assert_eq!(bench.store.load().unwrap().keys[0].revoked_at, Some(NOW));
    bench.apply(&file.replace("LAPTOP", "PHONE"), false).unwrap();
    assert_eq!(bench.store.load().unwrap().keys[0].revoked_at, None);
}

#[test]
fn a_removed_combo_that_another_one_needs_is_an_error() {
    let bench = Bench::new();
    let inner = "[[combos]]\nname = 'inner'\nentries = ['glm/glm-4.7']\n";
    bench.apply(inner, false).unwrap();
    bench
        .store
        .write(|conn| {
            let mut row = combos::list(conn)?.remove(0);
            row.combo.id = crate::id::ComboId::new();
            row.combo.name = "outer".into();
            for entry in &mut row.combo.entries {
                entry.id = crate::id::EntryId::new();
                entry.target = "combo:inner".to_owned();
            }
            combos::upsert(conn, &row, Stamp::operator(NOW))
        })
        .unwrap();
    let Err(ApplyError::File(errors)) = bench.apply("prune = true\n", false) else { panic!() };
    assert!(errors[0].message.contains("combo `outer` uses it"), "{errors:?}");
}

#[test]
fn a_node_with_accounts_of_the_operator_is_not_removed() {
    let bench = Bench::new();
    bench.apply(FULL, false).unwrap();
    bench
        .store
        .write(|conn| {
            let mut row =
                accounts::list(conn)?.into_iter().find(|a| a.config.label == "own").unwrap();
            row.config.id = crate::id::AccountId::new();
            row.config.label = "by hand".to_owned();
            accounts::upsert(conn, bench.store.sealer(), &row.config, None, Stamp::operator(NOW))
        })
        .unwrap();
    let Err(ApplyError::File(errors)) = bench.apply("prune = true\n", false) else { panic!() };
    assert!(errors[0].message.contains("account `by hand` hangs on it"), "{errors:?}");
    assert_eq!(bench.store.read(nodes::list).unwrap().len(), 1);
}

#[test]
fn settings_of_flags_and_environment_win_and_are_told() {
    let mut bench = Bench::new();
    bench.locked.insert("sticky_count", 9.into());
    bench.sources.insert("sticky_count", Source::Process);
    let plan = bench.apply("[settings]\nsticky_count = 3\n", false).unwrap();
    assert_eq!(plan.warnings[0].message, "`sticky_count` is set by the environment, which wins");
}

#[test]
fn conflicts_with_stored_settings_are_found() {
    let bench = Bench::new();
    bench
        .store
        .write(|conn| settings::set(conn, "cooldown_max_s", &10.into(), Stamp::operator(NOW)))
        .unwrap();
    let errors = bench.errors("[settings]\ncooldown_base_s = 20\n");
    assert!(errors[0].starts_with("2:1 setting `cooldown_base_s`: is above"), "{errors:?}");
}

#[test]
fn a_combo_without_strategy_takes_the_setting() {
    use crate::routing::combo::Strategy;
    let bench = Bench::new();
    let combo = "[[combos]]\nname = 'c'\nentries = ['glm/glm-4.7']\n";
    bench.apply(combo, false).unwrap();
    assert_eq!(bench.store.load().unwrap().combos[0].strategy, Strategy::Fallback);
    let weighted = format!("[settings]\ncombo_strategy_default = 'weighted'\n{combo}");
    let plan = bench.apply(&weighted, false).unwrap();
    assert_eq!(
        shown(&plan),
        ["add setting combo_strategy_default []", "change combo c [strategy]"]
    );
    assert_eq!(bench.store.load().unwrap().combos[0].strategy, Strategy::Weighted);
}

#[test]
fn null_puts_a_setting_back_to_its_default() {
    let bench = Bench::new();
    bench
        .store
        .write(|conn| settings::set(conn, "sticky_count", &9.into(), Stamp::operator(NOW)))
        .unwrap();
    let text = br#"{"settings": {"stickyCount": null}}"#;
    let file = parse(Path::new("x.json"), text, NetworkPolicy::Public).unwrap();
    let plan = bench.with(false, |around| apply(&bench.store, &file, around)).unwrap();
    assert_eq!(shown(&plan), ["remove setting sticky_count []"]);
    assert!(bench.store.load().unwrap().settings.is_empty());
    let again = bench.with(false, |around| apply(&bench.store, &file, around)).unwrap();
    assert_eq!((again.changes.len(), again.unchanged), (0, 1));
}

#[test]
fn validation_needs_neither_store_nor_secrets_and_says_which_are_missing() {
    let bench = Bench::new();
    let text =
        FULL.replace("env:GLM_KEY", "env:NOT_HERE").replace("env:LAPTOP", "file:/nonexistent/k");
    let file = parse(Path::new("nr.toml"), text.as_bytes(), NetworkPolicy::Public).unwrap();
    let warnings = bench.with(false, |around| validate(&file, around)).unwrap();
    let told: Vec<&str> = warnings.iter().map(|warning| warning.message.as_str()).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[0], "`api_key`: `env:NOT_HERE`: that variable is not set");
    assert!(told[1].starts_with("`key`: `file:/nonexistent/k`: "), "{told:?}");
    let bad = text.replace("provider = \"glm\"", "provider = \"gml\"");
    let file = parse(Path::new("nr.toml"), bad.as_bytes(), NetworkPolicy::Public).unwrap();
    assert_eq!(bench.with(false, |around| validate(&file, around)).unwrap_err().len(), 1);
}

#[test]
fn plans_are_readable_by_people_and_machines() {
    let bench = Bench::new();
    bench.apply(FULL, false).unwrap();
    let plan = bench.preview(
        "[[keys]]\nname = 'laptop'\nkey = 'env:LAPTOP'\n[aliases]\nquick = 'glm/glm-4.7'\n",
    );
    let text = plan.to_string();
    assert!(
        text.starts_with(
            "  add     alias     quick\n  change  key       laptop                   rpm\n"
        ),
        "{text}"
    );
    assert!(text.contains(
        "  keep    combo     stack                    no longer named; --prune removes it\n"
    ));
    assert!(text.ends_with("2 changes, 0 unchanged\n"), "{text}");
    let json = plan.to_json();
    assert_eq!(json["changes"][1]["members"], serde_json::json!(["rpm"]));
    assert_eq!(json["kept"].as_array().unwrap().len(), 11);
}

const BUDGETS: &str = r#"
[[budgets]]
scope = "provider"
id = "mine"
window = "month"
limit_usd = "20.00"
[[budgets]]
scope = "account"
id = "glm/Plan"
window = "5h"
limit_tokens = 1000
action = "warn"
[[budgets]]
scope = "combo"
id = "cheap"
window = "week"
limit_requests = 5
notify_at = [90, 10]
[[budgets]]
scope = "api_key"
id = "laptop"
window = "total"
limit_umicro = 7
tz = "Europe/Berlin"
[[budgets]]
scope = "all"
window = "day"
limit_usd = 1.5
enabled = false
"#;

#[test]
fn budgets_find_what_they_count_and_stay_the_same() {
    let bench = Bench::new();
    let text = [FULL, BUDGETS].concat();
    let plan = bench.apply(&text, false).unwrap();
    let made: Vec<String> =
        plan.changes.iter().filter(|c| c.kind == "budget").map(|c| c.name.clone()).collect();
    assert_eq!(
        made,
        [
            "provider mine, month",
            "account glm/plan, 5h",
            "combo cheap, week",
            "api_key laptop, total",
            "all, day"
        ]
    );
    let rows = || bench.store.read(crate::store::budgets::list).unwrap();
    let before = rows();
    let combo = before.iter().find(|row| row.budget.scope.as_str() == "combo").unwrap();
    assert_eq!(combo.budget.notify_at, [10, 90]);
    assert_eq!(combo.managed_by, Some(Owner::ConfigFile));
    let again = bench.apply(&text, false).unwrap();
    assert!(again.is_empty(), "{again}");
    let raised = text.replace("20.00", "30.00").replace("id = \"cheap\"", "id = \"stack\"");
    let plan = bench.apply(&raised, true).unwrap();
    assert_eq!(
        shown(&plan),
        [
            "change budget provider mine, month [limit_usd]",
            "add budget combo stack, week []",
            "remove budget combo cheap, week []"
        ]
    );
    let ids = |rows: &[crate::store::budgets::BudgetRow]| {
        let of_provider = rows.iter().find(|row| row.budget.scope.as_str() == "provider");
        of_provider.map(|row| (row.budget.id, row.rev))
    };
    let (id, rev) = ids(&before).unwrap();
    assert_eq!(ids(&rows()), Some((id, rev + 1)));
    for (wrong, message) in [
        ("id = \"mine\"\nwindow = \"month\"", "there is no provider or node"),
        ("id = \"cheap\"", "there is no combo"),
        ("id = \"laptop\"", "there is no API key"),
        ("id = \"glm/Plan\"", "an account is written `provider/label`"),
    ] {
        let text = text.replace(wrong, &wrong.replacen("id = \"", "id = \"no-", 1));
        let errors = bench.errors(&text);
        assert!(errors.len() == 1 && errors[0].contains(message), "{errors:?}");
    }
}

const PROXIES: &str = r#"
[[proxies]]
name = "office"
url = "http://proxy.example.org:3128"
no_proxy = ["localhost", ".example.net"]
[[proxies]]
name = "abroad"
url = "env:ABROAD"
[[accounts]]
provider = "glm"
label = "through"
api_key = "env:OTHER_KEY"
proxy = "Office"
[providers.glm]
proxy = { mode = "proxy", name = "abroad" }
"#;

#[test]
fn accounts_and_providers_go_through_the_proxies_they_name() {
    use crate::routing::account::ProxyChoice;
    use crate::store::proxies;

    let mut bench = Bench::new();
    bench.secrets.insert("ABROAD", "socks5://me:pass-word@abroad.example.org");
    let plan = bench.apply(PROXIES, false).unwrap();
    assert!(!plan.to_string().contains("pass-word"), "{plan}");
    let rows = bench.store.read(proxies::list).unwrap();
    let id = |name: &str| rows.iter().find(|row| row.name == name).unwrap().id.to_string();
    let loaded = bench.store.load().unwrap();
    assert_eq!(loaded.accounts[0].config.proxy, ProxyChoice::Proxy(id("office")));
    assert_eq!(loaded.provider_overrides[0].proxy, ProxyChoice::Proxy(id("abroad")));
    assert!(bench.apply(PROXIES, false).unwrap().is_empty());
    // A new password is a change; a proxy in use goes last, after those that went through it.
    bench.secrets.insert("ABROAD", "socks5://me:other-word@abroad.example.org");
    let direct = PROXIES.replace("\"Office\"", "\"direct\"");
    let from = direct.find("[[proxies]]\nname = \"abroad\"").unwrap();
    let fewer = direct.get(from..).unwrap().to_owned();
    assert_eq!(
        shown(&bench.apply(&fewer, true).unwrap()),
        [
            "change proxy abroad [url]",
            "remove proxy office []",
            "change account glm/through [proxy]"
        ]
    );
    let errors = bench.errors(&fewer.replace("name = \"abroad\" }", "name = \"nowhere\" }"));
    assert!(errors[0].contains("there is no proxy `nowhere`"), "{errors:?}");
    // What the operator made still goes through it.
    bench
        .store
        .write(|conn| {
            let mut row = accounts::find_by_label(conn, "glm", "through")?.unwrap();
            row.config.proxy = ProxyChoice::Proxy(id("abroad"));
            let stamp = Stamp::operator(NOW);
            accounts::upsert(conn, bench.store.sealer(), &row.config, None, stamp)
        })
        .unwrap();
    match bench.apply("[settings]\n", true) {
        Err(ApplyError::File(errors)) => {
            let told = errors[0].to_string();
            assert!(
                told.contains("proxy `abroad` is no longer named, but account `glm/through`"),
                "{told}"
            );
        }
        other => panic!("{other:?}"),
    }
}
