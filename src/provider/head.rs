//! The headers of one call: the router's own, the endpoint's, the allowed ones of the client, the
//! operator's, and the credential last (providers §1.5, endpoints §7).

use std::borrow::Cow;

use ninerouter_dialect::Dialect;

use crate::provider::catalog::{Auth, CredentialForm, Scheme};
use crate::provider::endpoint::is_key_file;
use crate::provider::header::{USER_AGENT, extra_header, is_sendable};
use crate::provider::node::is_anthropic_host;
use crate::provider::request::{ShapeCx, ShapeError};
use crate::provider::template::{Place, fill};
use crate::provider::url::streams_as_events;
use crate::provider::value::Values;

/// Anthropic's sign-in tokens begin like this.
const OAUTH_TOKEN: &str = "sk-ant-oat";
/// Anthropic wants it with a sign-in token, and refuses it with a key.
const OAUTH_BETA: &str = "oauth-2025-04-20";
/// The long prompt window.
const LONG_CONTEXT_BETA: &str = "context-1m-2025-08-07";
/// Betas that belong to Anthropic's own host and client.
const OWN_HOST_BETAS: [&str; 2] = ["oauth-", "claude-code-"];
/// Client headers that pass to any dialect.
const PASS: [&str; 4] = ["idempotency-key", "session_id", "conversation_id", "x-session-id"];

/// A list of headers where a later value replaces an earlier one.
#[derive(Debug, Default)]
struct List(Vec<(String, String)>);

impl List {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// Sets a header; a value that cannot be sent is dropped (endpoints §7: dropped, not 500).
    fn set(&mut self, name: &str, value: &str) {
        let value = value.trim();
        if !is_sendable(value) {
            return;
        }
        match self.0.iter_mut().find(|(n, _)| n == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.0.push((name.to_owned(), value.to_owned())),
        }
    }

    fn remove(&mut self, name: &str) {
        self.0.retain(|(n, _)| n != name);
    }
}

/// How Anthropic's own service is signed in to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Anthropic {
    /// A sign-in token.
    Token,
    /// A key.
    Key,
}

/// Every header of the call.
pub(super) fn headers<'c>(
    cx: &'c ShapeCx<'_>,
    values: &Values<'c, '_>,
    betas: &[&str],
) -> Result<Vec<(String, String)>, ShapeError> {
    let mut list = List(Vec::with_capacity(12));
    list.set("content-type", "application/json");
    let events = streams_as_events(cx);
    list.set("accept", if events { "text/event-stream" } else { "application/json" });
    list.set("user-agent", USER_AGENT);
    for rule in &cx.endpoint.headers {
        if rule.literal {
            list.set(&rule.name, &rule.value);
            continue;
        }
        match fill(&rule.value, Place::Header, &|name| values.get(name)) {
            Ok(value) => list.set(&rule.name, &value),
            // a header whose placeholder is unknown is left out, unless nothing works without it
            Err(_) if !rule.required => {}
            Err(_) => return Err(ShapeError::MissingParam(rule.name.clone())),
        }
    }
    from_client(cx, &mut list);
    if let Some((name, session)) = session_header(cx, values) {
        list.set(name, &session);
    }
    let auth_is_none = cx.endpoint.auth.scheme == Scheme::None;
    for (name, value) in cx.extra_headers {
        // judged again here: rows may be older than the rule
        if extra_header(name, value, auth_is_none).is_ok() {
            list.set(&name.to_ascii_lowercase(), value);
        }
    }
    let anthropic = anthropic_sign_in(cx);
    if cx.dialect == Dialect::Anth {
        merge_betas(cx, anthropic, betas, &mut list);
    }
    credential(cx, anthropic, &mut list)?;
    // REL-UP-3: what arrives is what the tap reads
    list.set("accept-encoding", "identity");
    Ok(list.0)
}

/// The allow-list of endpoints §7; everything else of the client stays here.
fn from_client(cx: &ShapeCx<'_>, list: &mut List) {
    let pass = |list: &mut List, name: &str| {
        if list.get(name).is_none()
            && let Some(value) = (cx.client_headers)(name).filter(|v| !v.trim().is_empty())
        {
            list.set(name, value);
        }
    };
    for name in PASS {
        pass(list, name);
    }
    match cx.dialect {
        Dialect::Anth => {
            // the client's version stands before the catalog's default
            if let Some(value) = (cx.client_headers)("anthropic-version")
                && !value.trim().is_empty()
            {
                list.set("anthropic-version", value);
            }
        }
        Dialect::Chat | Dialect::Resp => {
            pass(list, "openai-beta");
            if &*cx.provider.id == "openai" {
                // when the account has none of its own
                pass(list, "openai-organization");
                pass(list, "openai-project");
            }
        }
        Dialect::Gem => {}
    }
}

/// Vendors that keep a conversation's cache together by a header (providers §3.12, §3.13).
fn session_header<'c>(
    cx: &ShapeCx<'_>,
    values: &Values<'c, '_>,
) -> Option<(&'static str, Cow<'c, str>)> {
    let name = match &*cx.provider.id {
        "xai" => "x-grok-conv-id",
        "opencode-go" => "x-opencode-session",
        _ => return None,
    };
    values.session().map(|session| (name, session))
}

/// `None` for everybody but Anthropic itself. The host an override names plays Anthropic's part.
fn anthropic_sign_in(cx: &ShapeCx<'_>) -> Option<Anthropic> {
    let own = || {
        matches!(&*cx.provider.id, "claude" | "anthropic")
            || (cx.provider.node && is_anthropic_host(&cx.endpoint.base_url))
    };
    if cx.dialect != Dialect::Anth || !own() {
        return None;
    }
    let token = cx.credential.access_token.as_ref().is_some_and(|t| !t.is_empty());
    let looks =
        || cx.credential.bearer().is_some_and(|s| s.expose().trim().starts_with(OAUTH_TOKEN));
    Some(if token || looks() { Anthropic::Token } else { Anthropic::Key })
}

/// The client's list first, then the endpoint's, then what the router's own edits need; no
/// duplicates. Tokens of Anthropic's own host and sign-in go nowhere else.
fn merge_betas(cx: &ShapeCx<'_>, anthropic: Option<Anthropic>, betas: &[&str], list: &mut List) {
    let client = (cx.client_headers)("anthropic-beta").unwrap_or("");
    let rule = list.get("anthropic-beta").unwrap_or("").to_owned();
    let long = if cx.long_context { LONG_CONTEXT_BETA } else { "" };
    let oauth = if anthropic == Some(Anthropic::Token) { OAUTH_BETA } else { "" };
    let own = betas.iter().copied().filter(|_| anthropic.is_some());
    let all = client
        .split(',')
        .chain(rule.split(','))
        .chain([oauth, long])
        .chain(own)
        .map(str::trim)
        .filter(|token| !token.is_empty() && is_sendable(token));
    let mut merged: Vec<&str> = Vec::new();
    for token in all {
        let banned = match anthropic {
            Some(Anthropic::Token) => false,
            Some(Anthropic::Key) => token.starts_with("oauth-"),
            None => OWN_HOST_BETAS.iter().any(|own| token.starts_with(own)),
        };
        if !banned && !merged.contains(&token) {
            merged.push(token);
        }
    }
    if merged.is_empty() {
        list.remove("anthropic-beta");
    } else {
        list.set("anthropic-beta", &merged.join(","));
    }
}

fn credential(
    cx: &ShapeCx<'_>,
    anthropic: Option<Anthropic>,
    list: &mut List,
) -> Result<(), ShapeError> {
    let endpoint = cx.endpoint;
    let token = token(cx);
    // Claude takes a sign-in token as bearer and a key as x-api-key, whatever the entry says
    // (providers §3.1); Azure takes Entra tokens as bearer (§3.16). The key of a node goes where
    // its style says.
    let instead = match anthropic.filter(|_| !cx.provider.node) {
        Some(Anthropic::Token) => Some(Auth::bearer()),
        Some(Anthropic::Key) => Some(Auth::raw("x-api-key")),
        None if &*cx.provider.id == "azure" && is_entra(cx) => Some(Auth::bearer()),
        None => None,
    };
    let first = instead.as_ref().unwrap_or(&endpoint.auth);
    for auth in [Some(first), endpoint.also_auth.as_ref()].into_iter().flatten() {
        let value = match (auth.scheme, token) {
            (Scheme::None, _) => continue,
            (Scheme::Literal, _) => auth.value.clone().unwrap_or_default(),
            (_, None) if auth.optional => continue,
            (_, None) => return Err(ShapeError::MissingCredential(cx.provider.id.to_string())),
            (scheme, Some(token)) => written(scheme, endpoint.token_prefix.as_deref(), token),
        };
        // an unsendable credential must not become a call without one
        if !is_sendable(&value) {
            return Err(ShapeError::MissingCredential(cx.provider.id.to_string()));
        }
        list.set(&auth.header, &value);
    }
    Ok(())
}

fn written(scheme: Scheme, prefix: Option<&str>, token: &str) -> String {
    let prefix = prefix.filter(|p| !token.starts_with(p)).unwrap_or("");
    match scheme {
        Scheme::Bearer => format!("Bearer {prefix}{token}"),
        Scheme::Token => format!("Token {prefix}{token}"),
        Scheme::Key => format!("Key {prefix}{token}"),
        Scheme::Raw | Scheme::Literal | Scheme::None => format!("{prefix}{token}"),
    }
}

/// The text that authenticates. A key file is not sent; its token is minted apart.
fn token<'a>(cx: &ShapeCx<'a>) -> Option<&'a str> {
    let text = cx.credential.bearer()?.expose().trim();
    let file = cx.provider.credential == CredentialForm::ServiceAccountJson && is_key_file(text);
    (!text.is_empty() && !file).then_some(text)
}

/// Entra tokens are JWTs; Azure's keys are not.
fn is_entra(cx: &ShapeCx<'_>) -> bool {
    let minted = cx.credential.access_token.as_ref().is_some_and(|t| !t.is_empty());
    minted || token(cx).is_some_and(|t| t.starts_with("eyJ") && t.matches('.').count() == 2)
}
