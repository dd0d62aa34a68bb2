//! Whole files: what is read, and where mistakes are reported.

use serde_json::json;

use super::*;
use crate::provider::node::NodeType;
use crate::routing::account::{AccountKind, Tier};
use crate::routing::combo::Strategy;

fn toml(text: &str) -> Result<ConfigFile, Vec<FileError>> {
    parse(Path::new("nr.toml"), text.as_bytes(), NetworkPolicy::Public)
}

/// The errors of a file as `line:column message`.
fn errors(text: &str) -> Vec<String> {
    let errors = toml(text).map(|_| ()).expect_err(text);
    errors.iter().map(|e| format!("{}:{} {}", e.line, e.column, e.message)).collect()
}

const SPECIMEN: &str = r#"prune = false                      # true: what is managed by this file and no longer named is removed
[settings]                         # keys of api.md, snake_case or camelCase
require_api_key = true
account_strategy = "priority"
timeouts.headStreamMs = 1500
[[nodes]]
name = "My cloud"
prefix = "mine"
type = "openai-compatible"
api_type = "chat"
base_url = "https://llm.example.org/v1"
[[accounts]]
provider = "glm"                   # catalog id, prefix, or node prefix
label = "plan"                     # (provider, label) identifies the account
api_key = "env:GLM_KEY"            # secrets by reference
[[combos]]
name = "my-coding-stack"
strategy = "fallback"
entries = ["cc/claude-opus-4-6", "glm/glm-4.7", { target = "if/kimi-k2-thinking", weight = 2 }]
[aliases]
fast = "glm/glm-4.7"
"gemini-*-flash" = "fast"
[[keys]]
name = "laptop"
key = "file:/run/secrets/laptop-key"
usd_month = "20.00"
expires_at = 2027-01-31T12:00:00Z
[[prices]]
provider = "mine"
model = "big-1"
input = "1.50"
output = 6
[[models]]
provider = "mine"
id = "big-1"
ctx = 200_000
[providers.glm]
tier = "cheap"
strategy = "round-robin"
"#;

#[test]
fn the_specimen_of_the_specification_is_read() {
    let file = toml(SPECIMEN).unwrap();
    let settings: Vec<_> = file.settings.iter().map(|s| s.value.clone()).collect();
    assert!(settings.contains(&("require_api_key", json!(true))));
    assert!(settings.contains(&("timeouts.head_stream_ms", json!(1500))));
    let node = &file.nodes[0].value.node;
    assert_eq!((node.prefix.as_str(), node.node_type), ("mine", NodeType::OpenAiChat));
    let account = &file.accounts[0].value;
    assert_eq!(account.api_key, Some(SecretRef::Env("GLM_KEY".into())));
    assert_eq!((account.config.kind, account.config.priority), (AccountKind::ApiKey, 1));
    let combo = &file.combos[0].value.row.combo;
    assert_eq!((combo.strategy, combo.entries.len()), (Strategy::Fallback, 3));
    assert_eq!((combo.entries[2].weight, combo.max_attempts), (2, 12));
    assert_eq!(file.aliases[1].value, ("gemini-*-flash".to_owned(), "fast".to_owned()));
    let key = &file.keys[0].value;
    assert_eq!(key.text, SecretRef::File("/run/secrets/laptop-key".into()));
    assert_eq!(key.row.usd_month, Some(20_000_000));
    assert_eq!(key.row.expires_at, Some(1_801_396_800_000));
    assert_eq!(
        (file.prices[0].value.input, file.prices[0].value.output),
        (Some(1_500_000), Some(6_000_000))
    );
    assert_eq!(file.models[0].value.ctx, Some(200_000));
    assert_eq!(file.providers[0].value.row.tier, Some(Tier::Cheap));
    assert_eq!(file.warnings, []);
}

#[test]
fn mistakes_name_line_column_and_remedy() {
    for (text, want) in [
        ("[[nodes]]\nprefix = 5\n", "2:1 `prefix`: got a number, expected a text"),
        ("[[accounts]]\nlabel = 'x'\napi_key = 'env:K'\n", "1:1 `provider` is missing"),
        (
            "[[accounts]]\nprovider = 'glm'\nlabel = 'x'\napi_key = 'sk-live-0123'\n",
            "4:1 `api_key`: must be a reference, `env:NAME` or `file:/path`; a secret itself does not belong into this file",
        ),
        (
            "[[accounts]]\nprovider = 'glm'\nlabel = 'x'\nkind = 'oauth'\n",
            "4:1 `kind`: sign-ins are no part of a config file; connect the account in the dashboard",
        ),
        (
            "[[accounts]]\nprovider = 'glm'\nlabel = 'x'\n",
            "1:1 `api_key` is missing; for upstreams without a key write `kind` = \"none\"",
        ),
        (
            "[[accounts]]\nprovider = 'glm'\nlabel = 'x'\napi_key = 'env:K'\npriority = 1000\n",
            "5:1 `priority`: got a number outside its range, expected 1 to 999",
        ),
        (
            "[[accounts]]\nprovider = 'glm'\nlabel = 'x'\napi_key = 'env:K'\npriorty = 1\n",
            "5:1 unknown member `priorty`; did you mean `priority`?",
        ),
        (
            "[[combos]]\nname = 'a b'\nentries = ['x/y']\n",
            "2:1 `name`: use 1 to 64 of letters, digits, dot, underscore and dash",
        ),
        (
            "[[combos]]\nname = 'c'\nentries = [\n 'x/y',\n { target = 'x/y', weigth = 1 },\n]\n",
            "5:20 unknown member `weigth`; did you mean `weight`?",
        ),
        ("[[combos]]\nname = 'c'\nentries = []\n", "3:1 `entries`: a combo has 1 to 64 entries"),
        (
            "[[combos]]\nname = 'c'\nstrategy = 'cheapest'\nentries = ['x/y']\n",
            "3:1 `strategy`: this strategy is not supported yet by this version",
        ),
        (
            "[[combos]]\nname = 'c'\nstrategy = 'weigthed'\nentries = ['x/y']\n",
            "3:1 `strategy`: got a text of 8 characters, expected one of `fallback`, `priority`, `round-robin`, `weighted`, `tier`; did you mean `weighted`?",
        ),
        (
            "[settings]\nsticky_cuont = 3\n",
            "2:1 `sticky_cuont`: is no setting; did you mean `sticky_count`?",
        ),
        (
            "[settings.timeouts]\nhead_ms = 0\n",
            "2:1 `head_ms`: got a number, expected a whole number from 1 to 86400000",
        ),
        (
            "[settings]\nport = 3000\n",
            "2:1 `port`: cannot stand in a config file; set it by a flag or the environment",
        ),
        (
            "[settings]\nstickyCount = 3\nsticky_count = 3\n",
            "3:1 `sticky_count`: is given twice; keep one spelling",
        ),
        (
            "[settings]\ncooldown_base_s = 400\n",
            "2:1 setting `cooldown_base_s`: is above `cooldown_max_s`; raise that one too",
        ),
        (
            "[[budgets]]\nscope = 'all'\nwindow = 'day'\n",
            "1:1 a budget needs `limit_usd`, `limit_tokens` or `limit_requests`",
        ),
        (
            "[[budgets]]\nscope = 'provider'\nwindow = 'day'\nlimit_tokens = 1\n",
            "1:1 `id` is missing: which provider is meant?",
        ),
        (
            "[[budgets]]\nscope = 'all'\nwindow = 'day'\nlimit_tokens = 1\ntz = 'Mars/Base'\n",
            "5:1 `tz`: is no time zone; expected an IANA name such as `Europe/Berlin`",
        ),
        (
            "[[budgets]]\nscope = 'all'\nwindow = 'year'\nlimit_tokens = 1\n",
            "3:1 `window`: got a text of 4 characters, expected one of `5h`, `day`, `week`, `month`, `total`",
        ),
        ("[[proxies]]\nname = 'p'\n", "1:1 `url` is missing"),
        (
            "[[proxies]]\nname = 'p'\nurl = 'http://me:pw@x'\n",
            "3:1 `url`: a URL with user or password is a secret",
        ),
        (
            "[[proxies]]\nname = 'direct'\nurl = 'http://x'\n",
            "2:1 `name`: stands for a way of going out",
        ),
        (
            "[[accounts]]\nprovider = 'glm'\nlabel = 'x'\napi_key = 'env:K'\nproxy = { mode = 'proxy' }\n",
            "5:1 `proxy`: `name` is missing",
        ),
        (
            "[settings]\nmetrics_token = 'literal-token'\n",
            "2:1 `metrics_token`: must be a reference",
        ),
        (
            "[[acounts]]\nx = 1\n",
            "1:3 `acounts`: is no section of a config file; did you mean `accounts`?",
        ),
        (
            "accounts = 'x'\n",
            "1:1 `accounts`: got a text of 1 characters, expected a list: [[accounts]]",
        ),
        ("[aliases]\nfast = 1\n", "2:1 `fast`: got a number, expected a model id"),
        ("prune = 'yes'\n", "1:1 `prune`: got a text of 3 characters, expected true or false"),
        (
            "[[keys]]\nname = 'k'\nkey = 'env:K'\nscopes = ['admin']\n",
            "4:11 got a text of 5 characters, expected one of `inference`, `models`, `usage:own`",
        ),
        (
            "[[keys]]\nname = 'k'\nkey = 'env:K'\nallowed_cidrs = ['::1', '10.0.0.0/33']\n",
            "4:25 is neither an address nor a range such as `10.0.0.0/8`",
        ),
        (
            "[[keys]]\nname = 'k'\nkey = 'env:K'\nusd_day = '1,50'\n",
            "4:1 `usd_day`: got a text of 4 characters, expected US dollars such as \"20.00\", at most 6 digits behind the point",
        ),
        (
            "[[keys]]\nname = 'k'\nkey = 'env:K'\n[[keys]]\nkey = 'env:L'\nname = 'k'\n",
            "6:1 `name`: is the same as that of the one in line 1",
        ),
        (
            "[[models]]\nprovider = 'glm'\nid = 'm'\ncaps = ['tools', 'smell']\n",
            "4:18 unknown capability: got a text of 5 characters, expected one of ",
        ),
    ] {
        let found = errors(text);
        assert!(
            found.len() == 1 && found[0].starts_with(want),
            "{text}\n{found:#?}\nwanted {want}"
        );
    }
}

#[test]
fn every_mistake_is_reported_in_the_order_of_the_file() {
    let found = errors(
        "[settings]\nsticky_count = 0\n[[nodes]]\nname = ''\nprefix = 'p'\ntype = 'x'\nbase_url = 'u'\n\
         [[keys]]\nname = 'k'\nkey = 'literal'\n",
    );
    let lines: Vec<_> = found.iter().map(|e| e.split(':').next().unwrap().to_owned()).collect();
    assert_eq!(lines, ["2", "4", "6", "10"], "{found:#?}");
}

#[test]
fn no_message_holds_a_value_that_may_be_a_secret() {
    for text in [
        "[[accounts]]\nprovider = 'glm'\nlabel = 'x'\napi_key = 'sk-live-0123'\n",
        "[[accounts]]\nprovider = 'glm'\nlabel = 'x'\napi_key = 'env:K'\npriority = 'sk-live-0123'\n",
        "[[keys]]\nname = 'k'\nkey = ['sk-live-0123']\n",
        "[[keys]]\nname = 'k'\nkey = 'env:K'\nscopes = ['sk-live-0123']\n",
        "[settings]\nlog_format = 'sk-live-0123'\n",
        "[[nodes]]\nname = 'n'\nprefix = 'n'\nbase_url = 'u'\ntype = 'sk-live-0123'\n",
    ] {
        for error in errors(text) {
            assert!(!error.contains("sk-live"), "{error}");
        }
    }
}

#[test]
fn keys_of_later_versions_warn() {
    let file = toml("[settings]\nlocale = 'de'\nmetrics_enabled = true\n").unwrap();
    let lines: Vec<_> = file.warnings.iter().map(|w| w.line).collect();
    assert_eq!(lines, [2, 3]);
    assert!(file.warnings[0].message.contains("`locale` has no effect yet"));
}

#[test]
fn json_is_read_with_the_same_names() {
    let text = r#"{"settings": {"stickyCount": 2}, "accounts": [
        {"provider": "ollama-local", "label": "here", "kind": "none"}], "aliases": {"a": "b/c"}}"#;
    let file = parse(Path::new("nr.json"), text.as_bytes(), NetworkPolicy::Public).unwrap();
    assert_eq!(file.settings[0].value, ("sticky_count", json!(2)));
    assert_eq!(file.accounts[0].value.config.kind, AccountKind::None);
    let bad = r#"{"accounts": [
        {"provider": "glm", "label": "x", "api_key": "secret"}]}"#;
    let errors = parse(Path::new("nr.json"), bad.as_bytes(), NetworkPolicy::Public).unwrap_err();
    assert_eq!((errors[0].line, errors[0].column), (2, 43));
}

#[test]
fn nodes_take_the_default_network() {
    let text = "[[nodes]]\nname = 'n'\nprefix = 'n'\ntype = 'openai-compatible'\nbase_url = 'http://127.0.0.1:1'\n";
    let file = parse(Path::new("x.toml"), text.as_bytes(), NetworkPolicy::Loopback).unwrap();
    assert_eq!(file.nodes[0].value.node.network, NetworkPolicy::Loopback);
}

#[test]
fn a_missing_file_is_named() {
    let errors = read(Path::new("/nonexistent/nr.toml"), NetworkPolicy::Public).unwrap_err();
    assert!(errors[0].to_string().starts_with("/nonexistent/nr.toml: cannot be read"));
}
