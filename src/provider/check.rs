//! What every catalog must fulfil, whoever wrote it (providers §10).

use std::collections::HashSet;

use toml::{Table, Value};

use crate::provider::entry::Provider;
use crate::provider::model::{Model, ModelKind};
use crate::provider::overlay::InferRule;
use crate::provider::sign_in::ValidateMethod;
use crate::provider::transport::{Auth, Endpoint, Scheme};

/// Placeholders that are known without `params` (header of the catalog file).
const PLACEHOLDERS: [&str; 18] = [
    "model",
    "uuid",
    "unix_ms",
    "version",
    "os",
    "arch",
    "hostname",
    "public_url",
    "session_id",
    "device_id",
    "initiator",
    "if_vision:true",
    "hmac_sha256_hex",
    "access_token",
    "code",
    "voice",
    "kind",
    "location_host",
];

/// One thing that is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// Path of the key.
    pub key: String,
    /// What is wrong.
    pub message: String,
}

/// Everything that is wrong with a set of providers.
#[must_use]
pub fn all(providers: &[Provider], infer: &[InferRule]) -> Vec<Finding> {
    let mut found = Vec::new();
    unique_names(providers, &mut found);
    for provider in providers {
        one(provider, &mut Report { at: format!("provider.{}", provider.id), found: &mut found });
    }
    for (n, rule) in infer.iter().enumerate() {
        for id in &rule.providers {
            if !providers.iter().any(|p| *p.id == **id) {
                let key = format!("infer_provider[{n}].providers");
                found.push(Finding { key, message: format!("`{id}` is no provider") });
            }
        }
    }
    found
}

/// The first value that looks like a credential: they belong into accounts, never into a catalog.
#[must_use]
pub fn secrets(at: &str, table: &Table) -> Option<Finding> {
    table.iter().find_map(|(key, value)| secret_in(&format!("{at}.{key}"), value))
}

fn secret_in(at: &str, value: &Value) -> Option<Finding> {
    match value {
        Value::String(text) if looks_secret(text) => Some(Finding {
            key: at.to_owned(),
            message: "looks like a credential; put it into an account".to_owned(),
        }),
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(n, v)| secret_in(&format!("{at}[{n}]"), v))
        }
        Value::Table(table) => secrets(at, table),
        Value::String(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Boolean(_)
        | Value::Datetime(_) => None,
    }
}

/// True for text that holds a token; a prefix in a sentence (`sk-sp-`) is none.
fn looks_secret(text: &str) -> bool {
    [("GOCSPX-", 10), ("sk-", 20), ("ghu_", 20), ("gho_", 20), ("ghp_", 20), ("AIza", 30)]
        .into_iter()
        .any(|(mark, least)| {
            text.match_indices(mark).any(|(at, _)| {
                let before = text.get(..at).and_then(|t| t.chars().next_back());
                let after = text.get(at + mark.len()..).unwrap_or("");
                let body = after.bytes().take_while(|b| token_byte(*b)).count();
                body >= least && !before.is_some_and(|c| c.is_ascii_alphanumeric())
            })
        })
}

fn token_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'-' || b == b'_'
}

struct Report<'a> {
    at: String,
    found: &'a mut Vec<Finding>,
}

impl Report<'_> {
    fn say(&mut self, key: &str, message: impl Into<String>) {
        let key = if key.is_empty() { self.at.clone() } else { format!("{}.{key}", self.at) };
        self.found.push(Finding { key, message: message.into() });
    }
}

fn unique_names(providers: &[Provider], found: &mut Vec<Finding>) {
    let mut ids = HashSet::new();
    let mut aliases = HashSet::new();
    for provider in providers {
        let mut report = Report { at: format!("provider.{}", provider.id), found };
        if !ids.insert(provider.id.to_ascii_lowercase()) {
            report.say("id", "another provider has this id");
        }
        for alias in &provider.aliases {
            if !aliases.insert(alias.to_ascii_lowercase()) {
                report.say("aliases", format!("`{alias}` is taken"));
            }
        }
    }
}

fn one(provider: &Provider, report: &mut Report<'_>) {
    names(provider, report);
    params(provider, report);
    if provider.kinds.contains(&ModelKind::Chat) && provider.endpoints.is_empty() {
        report.say("endpoint", "missing; a chat provider needs one");
    }
    if provider.endpoints.is_empty() && provider.apis.auth.is_none() {
        report.say("apis.auth", "missing; without endpoint it says where the key goes");
    }
    if let Some(auth) = &provider.apis.auth {
        auth_rule("apis.auth", auth, report);
    }
    for (n, endpoint) in provider.endpoints.iter().enumerate() {
        endpoint_rules(provider, n, endpoint, report);
    }
    for (key, url) in provider.apis.urls() {
        url_rules(provider, &format!("apis.{key}"), url, report);
    }
    let validate = &provider.validate;
    match &validate.url {
        Some(url) => url_rules(provider, "validate.url", url, report),
        None if validate.method == ValidateMethod::Probe => {
            report.say("validate.url", "missing; a probe needs one");
        }
        None => {}
    }
    let mut seen = HashSet::new();
    for (n, model) in provider.models.iter().enumerate() {
        model_rules(provider, &format!("catalog.models[{n}]"), model, report);
        if !seen.insert(model.id.as_str()) {
            report
                .say(&format!("catalog.models[{n}].id"), format!("`{}` is listed twice", model.id));
        }
    }
}

fn names(provider: &Provider, report: &mut Report<'_>) {
    if !is_name(&provider.id) {
        report.say("id", "use a to z, 0 to 9, dot, dash, underscore");
    }
    if provider.aliases.is_empty() {
        report.say("aliases", "empty; the first one is the prefix of its models");
    }
    if !provider.aliases.iter().any(|a| *a == *provider.id) {
        report.say("aliases", "must contain the id");
    }
    for alias in provider.aliases.iter().filter(|a| !is_name(a)) {
        report.say("aliases", format!("`{alias}`: use a to z, 0 to 9, dot, dash, underscore"));
    }
}

fn is_name(text: &str) -> bool {
    text.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        && text.bytes().all(|b| {
            b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_')
        })
}

fn params(provider: &Provider, report: &mut Report<'_>) {
    let mut seen = HashSet::new();
    for (n, param) in provider.params.iter().enumerate() {
        let at = format!("params[{n}].name");
        if !is_name(&param.name) {
            report.say(&at, "use a to z, 0 to 9, dot, dash, underscore");
        }
        if PLACEHOLDERS.contains(&param.name.as_str()) {
            report.say(&at, format!("`{}` is a placeholder with a fixed meaning", param.name));
        }
        if !seen.insert(param.name.as_str()) {
            report.say(&at, format!("`{}` is listed twice", param.name));
        }
    }
}

fn endpoint_rules(provider: &Provider, n: usize, endpoint: &Endpoint, report: &mut Report<'_>) {
    let at = format!("endpoint[{n}]");
    if provider.endpoints.iter().take(n).any(|e| e.name == endpoint.name) {
        report.say(&format!("{at}.name"), format!("`{}` is used twice", endpoint.name));
    }
    url_rules(provider, &format!("{at}.base_url"), &endpoint.base_url, report);
    for url in &endpoint.fallback_base_urls {
        url_rules(provider, &format!("{at}.fallback_base_urls"), url, report);
    }
    if endpoint.base_url.ends_with('/') || endpoint.base_url.contains(['?', '#']) {
        report.say(&format!("{at}.base_url"), "no slash at the end, no query, no fragment");
    }
    let paths = [
        ("path", Some(&endpoint.path)),
        ("stream_path", endpoint.stream_path.as_ref()),
        ("count_tokens", endpoint.count_tokens.as_ref()),
        ("compact_path", endpoint.compact_path.as_ref()),
    ];
    for (key, path) in paths {
        let Some(path) = path else { continue };
        if !path.starts_with('/') || path.contains(['?', '#']) {
            report.say(&format!("{at}.{key}"), "begin it with a slash; the query has its own key");
        }
        placeholders(provider, &format!("{at}.{key}"), path, report);
    }
    for (key, query) in [("query", &endpoint.query), ("stream_query", &endpoint.stream_query)] {
        if let Some(query) = query {
            placeholders(provider, &format!("{at}.{key}"), query, report);
        }
    }
    for (m, header) in endpoint.headers.iter().enumerate() {
        let at = format!("{at}.headers[{m}]");
        if !is_header_name(&header.name) {
            report.say(&format!("{at}.name"), format!("`{}` is no header name", header.name));
        }
        placeholders(provider, &format!("{at}.value"), &header.value, report);
    }
    auth_rule(&format!("{at}.auth"), &endpoint.auth, report);
}

fn auth_rule(at: &str, auth: &Auth, report: &mut Report<'_>) {
    if !is_header_name(&auth.header) {
        report.say(&format!("{at}.header"), format!("`{}` is no header name", auth.header));
    }
    if (auth.scheme == Scheme::Literal) != auth.value.is_some() {
        report.say(&format!("{at}.value"), "goes with scheme literal, and only with it");
    }
}

/// True for a token of RFC 9110.
pub(super) fn is_header_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// C1 of SEC §9.1: https only; local upstreams and bases the account supplies are judged when used.
fn url_rules(provider: &Provider, at: &str, url: &str, report: &mut Report<'_>) {
    let allowed = url.starts_with("https://")
        || url.starts_with('{')
        || (provider.local && url.starts_with("http://"));
    if !allowed && !provider.overridden {
        report.say(at, format!("`{url}` is no https URL"));
    }
    placeholders(provider, at, url, report);
}

fn placeholders(provider: &Provider, at: &str, text: &str, report: &mut Report<'_>) {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('{') {
        let Some((name, tail)) = after.split_once('}') else {
            report.say(at, "a `{` without `}`");
            return;
        };
        let known = PLACEHOLDERS.contains(&name) || provider.params.iter().any(|p| p.name == name);
        if !known {
            report.say(at, format!("`{{{name}}}` is neither a placeholder nor one of its params"));
        }
        rest = tail;
    }
}

fn model_rules(provider: &Provider, at: &str, model: &Model, report: &mut Report<'_>) {
    if model.id.trim().is_empty() || model.id.trim() != model.id {
        report.say(&format!("{at}.id"), "empty, or with spaces at an end");
    }
    if let (Some(out), Some(ctx)) = (model.out, model.ctx)
        && out > ctx
    {
        report.say(&format!("{at}.out"), format!("{out} is more than ctx {ctx}"));
    }
    for wire in &model.wires {
        if !provider.endpoints.iter().any(|e| e.wire == *wire) {
            report.say(&format!("{at}.wires"), format!("no endpoint has the wire {wire:?}"));
        }
    }
    if let Some(name) = &model.endpoint
        && provider.endpoint(name).is_none()
    {
        report.say(&format!("{at}.endpoint"), format!("no endpoint is called `{name}`"));
    }
}
