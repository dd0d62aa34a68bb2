//! A store that a config file made, exported and applied again.

use std::collections::HashMap;
use std::path::Path;

use super::*;
use crate::auth::key::KeyHasher;
use crate::config::apply::{Plan, Surroundings, apply};
use crate::config::file;
use crate::config::settings::Found;
use crate::provider::node::NetworkPolicy;
use crate::secret::Secret;
use crate::store::Stamp;
use crate::store::tests::new_store;

const NOW: i64 = 1_800_000_000_000;

const FULL: &str = r#"
[settings]
account_strategy = "round-robin"
timeouts.head_ms = 1500
ip_whitelist = ["10.0.0.0/8"]
outbound_proxy_url = "env:OUT"
oauth.claude.client_id = "our-client"
oauth.claude.client_secret = "env:CLIENT"
[[proxies]]
name = "office"
url = "http://proxy.example.org:3128"
no_proxy = ["localhost", ".example.net"]
[[proxies]]
name = "abroad"
url = "env:ABROAD"
enabled = false
[[nodes]]
name = "My \"cloud\""
prefix = "mine"
type = "openai-compatible"
api_type = "responses"
base_url = "https://llm.example.org/v1"
auth_style = "header"
auth_header = "x-key"
headers = [{ name = "x-a", value = "1" }]
model_source = "manual"
[[accounts]]
provider = "glm"
label = "plan"
api_key = "env:GLM_KEY"
priority = 3
tags = ["work"]
tier = "cheap"
proxy = "office"
min_remaining_percent = 10
allow_overage = true
notes = "of the team\nsince May"
[[accounts]]
provider = "mine"
label = "own one"
api_key = "env:OTHER_KEY"
proxy = { mode = "direct" }
[[combos]]
name = "stack"
strategy = "weighted"
entries = ["glm/glm-4.7", { target = "mine/big-1", weight = 3, tags = ["a"] }]
sticky = { enabled = false, ttl_s = 60 }
deadline_ms = 1000
[aliases]
fast = "glm/glm-4.7(high)"
"gemini-*" = "fast"
[[keys]]
name = "laptop"
key = "env:LAPTOP"
allowed_models = []
allowed_combos = ["stack"]
rpm = 60
usd_day = "5.00"
expires_at = 1900000000000
[[models]]
provider = "mine"
id = "big-1"
ctx = 200000
caps = ["tools"]
[[prices]]
provider = "mine"
model = "big-1"
input = "1.50"
output = 6
note = "of June"
[providers.glm]
tier = "paid"
strategy = "weighted"
headers = [{ name = "x-b", value = "2" }]
retry_statuses = [418]
proxy = "abroad"
[[budgets]]
scope = "provider"
id = "mine"
window = "month"
limit_usd = "20.00"
[[budgets]]
scope = "account"
id = "glm/plan"
window = "5h"
limit_tokens = 1000
action = "warn"
notify_at = []
[[budgets]]
scope = "all"
window = "day"
limit_requests = 7
tz = "Europe/Berlin"
enabled = false
"#;

fn given() -> HashMap<String, &'static str> {
    let all = [
        ("OUT", "http://me:pass-word-1@out.example.org:1"),
        ("CLIENT", "client-secret-1"),
        ("ABROAD", "socks5h://me:pass-word-2@abroad.example.org"),
        ("GLM_KEY", "glm-secret-1"),
        ("OTHER_KEY", "glm-secret-2"),
        ("LAPTOP", "laptop-key-0123"),
    ];
    all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn take(store: &Store, text: &str, secrets: &HashMap<String, &'static str>) -> Plan {
    let file = file::parse(Path::new("nr.toml"), text.as_bytes(), NetworkPolicy::Public);
    let file = file.unwrap_or_else(|errors| panic!("{errors:?}\n{text}"));
    let lookup = |name: &str| secrets.get(name).map(|text| Secret::new((*text).to_owned()));
    let around = Surroundings {
        overlays: &[],
        endpoints: &[],
        locked: &Default::default(),
        sources: &Default::default(),
        found: &Found::default(),
        lookup: &lookup,
        hasher: &KeyHasher::new(&[9; 32]),
        now: NOW,
        prune: false,
    };
    apply(store, &file, &around).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// The secrets under the names that the exported file gives them: each name says what it is of.
fn renamed(text: &str) -> HashMap<String, &'static str> {
    let secrets = given();
    let mut found = HashMap::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("#   ")) {
        let (name, what) = line.split_once(' ').unwrap();
        let of = match what.trim() {
            "setting `outbound_proxy_url`" => "OUT",
            "setting `oauth.claude.client_secret`" => "CLIENT",
            "URL of proxy `abroad`" => "ABROAD",
            "API key of account `glm/plan`" => "GLM_KEY",
            "API key of account `mine/own one`" => "OTHER_KEY",
            "text of the router's key `laptop`" => "LAPTOP",
            other => panic!("{other}"),
        };
        found.insert(name.to_owned(), secrets[of]);
    }
    assert_eq!(found.len(), secrets.len(), "{text}");
    found
}

#[test]
fn what_is_exported_changes_nothing_when_it_is_applied_and_makes_the_same_store_anew() {
    let (_dir, store) = new_store();
    let made = take(&store, FULL, &given());
    assert!(!made.is_empty());
    let text = export(&store).unwrap();
    for secret in given().values() {
        assert!(!text.contains(secret), "{text}");
    }
    assert!(!text.contains("pass-word"), "{text}");
    let secrets = renamed(&text);
    let again = take(&store, &text, &secrets);
    assert!(again.is_empty(), "{again}\n{text}");
    assert_eq!(again.unchanged, made.changes.len(), "nothing is missing: {text}");

    let (_dir, other) = new_store();
    take(&other, &text, &secrets);
    assert_eq!(export(&other).unwrap(), text);
}

#[test]
fn objects_of_the_operator_change_their_owner_alone() {
    let (_dir, store) = new_store();
    take(&store, FULL, &given());
    // As if the operator had made them.
    store
        .write(|conn| {
            for row in combos::list(conn)? {
                combos::upsert(conn, &row, Stamp::operator(NOW))?;
            }
            for row in budgets::list(conn)? {
                budgets::upsert(conn, &row, Stamp::operator(NOW))?;
            }
            Ok(())
        })
        .unwrap();
    let text = export(&store).unwrap();
    let plan = take(&store, &text, &renamed(&text));
    assert_eq!(plan.changes.len(), 4);
    assert!(plan.changes.iter().all(|c| c.members == ["managed_by"]), "{plan}");
}

#[test]
fn what_a_file_cannot_hold_is_told() {
    let (_dir, store) = new_store();
    assert_eq!(
        export(&store).unwrap(),
        "# Config file of NineRouter, exported from what is stored.\n"
    );
    take(&store, FULL, &given());
    store
        .write(|conn| {
            let glm = accounts::find_by_label(conn, "glm", "plan")?.unwrap();
            accounts::delete(conn, glm.config.id)?;
            let mut key = api_keys::list(conn)?.remove(0);
            key.revoked_at = Some(NOW);
            api_keys::upsert(conn, &key, Stamp::operator(NOW))
        })
        .unwrap();
    let text = export(&store).unwrap();
    assert!(text.contains("# Not in it: 1 revoked key."), "{text}");
    assert!(text.contains("# A budget (account, 5h) is left out"), "{text}");
    assert!(!text.contains("[[keys]]"), "{text}");
}
