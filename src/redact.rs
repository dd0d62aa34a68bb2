//! Takes secrets out of text: headers, URLs, error texts, log lines (SEC-LOG-2).
//!
//! Types come first (`Secret` has no text), names second ([`redact_header_value`], members and query
//! parameters of a text), patterns third ([`redact_text`]). Linear in the length of the text, idempotent. What an
//! upstream may quote of a call's own secrets is taken out by comparison ([`Known`]).

mod known;
mod media;
mod rules;

use std::borrow::Cow;
use std::sync::LazyLock;

use hmac::{Hmac, KeyInit as _, Mac as _};
use regex::Regex;
use serde_json::Value;

pub use known::Known;
pub use media::{holds_media_mark, media_mark, without_media};
use rules::{RULES, Searched};
use sha2::Sha256;

/// In place of a secret.
const MASK: &str = "[redacted]";
/// In place of one too short for [`MASK`]: redaction must not blow up a text.
const SHORT_MASK: &str = "***";
/// Base64 of at least this length is cut.
const LONG_BASE64: usize = 200;
/// Rounds after the first, at most: keeps the time linear.
const MORE_ROUNDS: usize = 3;

/// True for names of headers, members and parameters whose value is secret. `-` and `_` are equal, case is ignored.
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    const WHOLE: [&str; 15] = [
        "authorization",
        "proxy_authorization",
        "cookie",
        "set_cookie",
        "x_api_key",
        "api_key",
        "apikey",
        "x_goog_api_key",
        "x_csrf_token",
        "private_key",
        "client_assertion",
        "code_verifier",
        "device_code",
        "sas",
        "sig",
    ];
    const WITHIN: [&str; 6] =
        ["token", "secret", "password", "passphrase", "credential", "api_key"];
    let name = name.to_ascii_lowercase().replace('-', "_");
    WHOLE.contains(&name.as_str())
        || name == "code"
        || name == "signature"
        || name.starts_with("session")
        || name.starts_with("x_internal_")
        || WITHIN.iter().any(|part| name.contains(part))
}

/// True for names of query parameters whose value is secret.
#[must_use]
pub fn is_secret_parameter(name: &str) -> bool {
    name.eq_ignore_ascii_case("key") || is_secret_name(name)
}

/// Value of a header as logs may show it. Secret ones become `[redacted:<length>:<hash>]`; the hash is keyed per
/// process, so that two lines can be compared and nothing can be guessed from one.
#[must_use]
pub fn redact_header_value(name: &str, value: &str) -> String {
    if is_secret_name(name) { redact_value(value) } else { redact_text(value).into_owned() }
}

/// `[redacted:<length>:<hash>]`; a value that is one already stays.
#[must_use]
pub fn redact_value(value: &str) -> String {
    static MARK: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"^\[redacted(:[0-9]+(:[0-9a-f]{8})?)?\]$").ok());
    if MARK.as_ref().is_some_and(|mark| mark.is_match(value)) {
        return value.to_owned();
    }
    match keyed_hash(value) {
        Some(hash) => format!("[redacted:{}:{hash}]", value.len()),
        None => format!("[redacted:{}]", value.len()),
    }
}

fn keyed_hash(value: &str) -> Option<String> {
    keyed_hash_of(value.as_bytes())
}

fn keyed_hash_of(value: &[u8]) -> Option<String> {
    static KEY: LazyLock<Option<[u8; 32]>> = LazyLock::new(|| {
        let mut key = [0; 32];
        getrandom::fill(&mut key).ok().map(|()| key)
    });
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY.as_ref()?).ok()?;
    mac.update(value);
    let [a, b, c, d, ..] = <[u8; 32]>::from(mac.finalize().into_bytes());
    Some(format!("{a:02x}{b:02x}{c:02x}{d:02x}"))
}

/// Replaces everything in `text` that looks like a secret.
#[must_use]
pub fn redact_text(text: &str) -> Cow<'_, str> {
    let Some(mut text) = redact_once(text) else { return Cow::Borrowed(text) };
    // What was taken out may leave something behind that only now looks like a secret.
    for _ in 0..MORE_ROUNDS {
        let Some(again) = redact_once(&text) else { break };
        text = again;
    }
    Cow::Owned(text)
}

/// One round of all rules; `None` when nothing was found.
fn redact_once(text: &str) -> Option<String> {
    let mut text = Cow::Borrowed(text);
    let mut searched = Searched::of(&text);
    for rule in &RULES {
        if let Cow::Owned(changed) = rule.apply(&text, &searched) {
            searched = Searched::of(&changed);
            text = Cow::Owned(changed);
        }
    }
    if let Cow::Owned(cut) = cut_base64(&text) {
        text = Cow::Owned(cut);
    }
    match text {
        Cow::Owned(changed) => Some(changed),
        Cow::Borrowed(_) => None,
    }
}

/// The same for every text in a JSON value. A member with a secret's name loses its whole text; numbers stay, they count
/// tokens and tell codes of errors.
#[must_use]
pub fn redact_json(value: Value) -> Value {
    match value {
        Value::String(text) => match redact_text(&text) {
            Cow::Borrowed(_) => Value::String(text),
            Cow::Owned(clean) => Value::String(clean),
        },
        Value::Array(items) => items.into_iter().map(redact_json).collect(),
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| {
                let clean = if is_secret_name(&name) { hide(value) } else { redact_json(value) };
                (name, clean)
            })
            .collect(),
        other => other,
    }
}

/// Every text in a value that has a secret's name.
fn hide(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(redact_value(&text)),
        Value::Array(items) => items.into_iter().map(hide).collect(),
        Value::Object(members) => {
            members.into_iter().map(|(name, value)| (name, hide(value))).collect()
        }
        other => other,
    }
}

/// True when something in `value` stands for a secret that was taken out.
#[must_use]
pub fn is_redacted(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains("[redacted"),
        Value::Array(items) => items.iter().any(is_redacted),
        Value::Object(members) => members.values().any(is_redacted),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// True when [`redact_text`] would find a secret. Long base64 alone is none.
#[must_use]
pub fn contains_secret(text: &str) -> bool {
    let searched = Searched::of(text);
    RULES.iter().any(|rule| matches!(rule.apply(text, &searched), Cow::Owned(_)))
}

/// A mask that is no longer than what it hides, or short. Masks hide as themselves.
fn mask(secret: &str) -> &'static str {
    if secret.len() < MASK.len() { SHORT_MASK } else { MASK }
}

/// Cuts runs of base64 that are longer than any word: pictures, sounds, encrypted state.
fn cut_base64(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let (mut copied, mut start) = (0, 0);
    let bytes = text.as_bytes();
    let is_base64 =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'_' | b'-' | b'=');
    for (at, byte) in bytes.iter().copied().chain([b' ']).enumerate() {
        if is_base64(byte) {
            continue;
        }
        if at - start >= LONG_BASE64 {
            // A run is ASCII, so both ends are character boundaries.
            out.push_str(text.get(copied..start).unwrap_or_default());
            out.push_str("[base64 cut]");
            copied = at;
        }
        start = at + 1;
    }
    if copied == 0 && out.is_empty() {
        return Cow::Borrowed(text);
    }
    out.push_str(text.get(copied..).unwrap_or_default());
    Cow::Owned(out)
}

#[cfg(test)]
mod tests;
