//! The check of a credential: what is asked of the upstream, and what its answer says (providers §4, §5).

use bytes::Bytes;
use ninerouter_dialect::translate::Envelope;
use ninerouter_dialect::{Dialect, Peek, apply_edits, peek};
use serde_json::{Value, json};

use crate::provider::beside;
use crate::provider::beside::BesideCx;
use crate::provider::catalog::Provider;
use crate::provider::endpoint::pick;
use crate::provider::head::headers;
use crate::provider::model::ModelKind;
use crate::provider::models::list_request;
use crate::provider::request::{ShapeError, shape};
use crate::provider::sign_in::ValidateMethod;
use crate::provider::upstream_id::upstream_id;
use crate::provider::url::url;
use crate::provider::value::Values;
use crate::redact::{Known, redact_text};

/// Characters of an upstream's text that are shown.
const SHOWN: usize = 200;

/// A call that shows whether a credential is good.
#[derive(Clone, PartialEq, Eq)]
pub struct Ask {
    /// POST with a body, else GET.
    pub body: Option<Bytes>,
    /// Whole URL.
    pub url: String,
    /// Header names in lower case, with their values.
    pub headers: Vec<(String, String)>,
    /// How the check is called.
    pub method: &'static str,
    how: How,
}

impl std::fmt::Debug for Ask {
    // URL and header values hold the credential
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ask").field("method", &self.method).finish_non_exhaustive()
    }
}

/// How an answer is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum How {
    /// Only the credential matters: 2xx says yes.
    Look,
    /// A real call with as little as possible in it: whatever it says of the call, it took the credential.
    Ping {
        /// A wrong credential gives 404 here.
        also_missing: bool,
    },
}

/// What a check says of a credential.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The upstream takes it.
    Good {
        /// What works, but not as hoped for.
        warning: Option<String>,
    },
    /// The upstream refuses it.
    Refused(String),
    /// Nobody knows.
    Unknown(String),
}

impl Verdict {
    /// The word that is stored with the account.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Good { .. } => "verified",
            Self::Refused(_) => "refused",
            Self::Unknown(_) => "unverified",
        }
    }
}

/// The check of an account's credential: a call, or what is known without one.
///
/// # Errors
/// When the account lacks a value the call needs.
pub fn ask(cx: &BesideCx<'_>) -> Result<Result<Ask, Verdict>, ShapeError> {
    let provider = cx.provider;
    let has_token = cx.credential.access_token.is_some();
    match provider.validate.method {
        // A token that is refreshed proves itself where a list can be read.
        ValidateMethod::TokenExpiry | ValidateMethod::TokenExists | ValidateMethod::None => {
            match list_request(cx)? {
                Some(list) => Ok(Ok(Ask {
                    body: None,
                    url: list.url,
                    headers: list.headers,
                    method: "models",
                    how: How::Look,
                })),
                None if has_token => Ok(Err(by_expiry(cx))),
                None => Ok(Err(Verdict::Unknown("this provider has no check".to_owned()))),
            }
        }
        ValidateMethod::Probe if provider.validate.http.as_deref() != Some("POST") => {
            match provider.validate.url.as_deref() {
                Some(template) => probe(cx, template).map(Ok),
                None => Ok(Err(Verdict::Unknown("this provider has no check".to_owned()))),
            }
        }
        ValidateMethod::Probe | ValidateMethod::ChatPing => ping(cx),
        ValidateMethod::EmbedPing | ValidateMethod::ServiceAccount => Ok(Err(Verdict::Unknown(
            "credentials of this kind are not checked by this version".to_owned(),
        ))),
    }
}

fn by_expiry(cx: &BesideCx<'_>) -> Verdict {
    match cx.credential.expires_at {
        Some(at) if at <= cx.moment.now => Verdict::Refused("the token has run out".to_owned()),
        Some(_) | None => {
            Verdict::Unknown("the token is there; the vendor was not asked".to_owned())
        }
    }
}

fn probe(cx: &BesideCx<'_>, template: &str) -> Result<Ask, ShapeError> {
    let (endpoint, _) = beside::endpoint(cx.provider, template);
    let peek = Peek::default();
    let dialect = endpoint.dialect().unwrap_or(Dialect::Chat);
    let shape = cx.shape(&endpoint, dialect, "", &peek);
    let values = Values::of(&shape);
    let (url, _) = url(&shape, &values)?;
    let mut headers = headers(&shape, &values, &[])?;
    // there is no body
    headers.retain(|(name, _)| name != "content-type");
    Ok(Ask { body: None, url, headers, method: "probe", how: How::Look })
}

/// The smallest call of the first model that answers in text.
fn ping(cx: &BesideCx<'_>) -> Result<Result<Ask, Verdict>, ShapeError> {
    let unknown = |why: &str| Ok(Err(Verdict::Unknown(why.to_owned())));
    let provider = cx.provider;
    let Some(model) = provider.models.iter().find(|m| m.kind == ModelKind::Chat && m.listed) else {
        return unknown("no model of this provider is known that could be asked");
    };
    let pinned = cx.account.endpoint.as_deref();
    let Some(endpoint) = pick(provider, Some(model), Dialect::Chat, pinned) else {
        return unknown("no endpoint of this provider could be asked");
    };
    let Some((dialect, Envelope::Plain)) = endpoint.speaks() else {
        return unknown(
            "this provider is asked in a form of its own, which the check does not write",
        );
    };
    let upstream = upstream_id(provider, &model.id).upstream;
    let body = smallest(dialect, &upstream);
    // A body of ours can be read.
    let peek = peek(dialect, &body).unwrap_or_default();
    let shaped = shape(&cx.shape(endpoint, dialect, &upstream, &peek))?;
    let Ok(edited) = apply_edits(&body, &shaped.edits) else {
        return unknown("the call of the check could not be written");
    };
    let also_missing = provider.validate.ok.as_deref().is_some_and(|ok| ok.contains("404"));
    Ok(Ok(Ask {
        body: Some(edited.parts.concat().into()),
        url: shaped.url,
        headers: shaped.headers,
        method: "chat",
        how: How::Ping { also_missing },
    }))
}

/// The smallest request for an answer in this dialect: one token, or as few as it allows.
#[must_use]
pub fn smallest(dialect: Dialect, model: &str) -> Bytes {
    let body = match dialect {
        Dialect::Chat => {
            json!({"model": model, "messages": [{"role": "user", "content": "ping"}], "max_tokens": 1})
        }
        Dialect::Resp => json!({"model": model, "input": "ping", "max_output_tokens": 16}),
        Dialect::Anth => {
            json!({"model": model, "max_tokens": 1, "messages": [{"role": "user", "content": "ping"}]})
        }
        Dialect::Gem => json!({
            "contents": [{"role": "user", "parts": [{"text": "ping"}]}],
            "generationConfig": {"maxOutputTokens": 1},
        }),
    };
    body.to_string().into()
}

impl Ask {
    /// What the answer says. `body` is the begin of the answer.
    #[must_use]
    pub fn judge(&self, provider: &Provider, status: u16, body: &[u8]) -> Verdict {
        let headers = self.headers.iter().map(|(name, value)| (&**name, &**value));
        let known = Known::of_headers(headers);
        let said = said(body).map(|text| known.text(&text).into_owned());
        let told = || {
            said.clone()
                .map_or(format!("status {status}"), |text| format!("status {status}: {text}"))
        };
        // Google says 400 for a key it does not know.
        let unknown_key = status == 400 && memchr::memmem::find(body, b"API_KEY_INVALID").is_some();
        let refuses = matches!(status, 401 | 403) || unknown_key;
        let is_missing = matches!(self.how, How::Ping { also_missing: true }) && status == 404;
        match (self.how, status) {
            _ if refuses || is_missing => {
                Verdict::Refused(format!("{} refuses the credential ({})", provider.name, told()))
            }
            (_, 200..=299) => Verdict::Good { warning: None },
            (_, 429) => {
                Verdict::Good { warning: Some("the credential is rate limited now".to_owned()) }
            }
            (_, 402) => Verdict::Good { warning: Some("no credit is left on it".to_owned()) },
            (How::Ping { .. }, 400..=499) => Verdict::Good { warning: Some(told()) },
            (How::Look | How::Ping { .. }, _) => {
                Verdict::Unknown(format!("the check was inconclusive ({})", told()))
            }
        }
    }
}

/// The upstream's own words, short and without secrets.
/// What an upstream says of an error, short and without secrets; `None` = nothing that could be read.
#[must_use]
pub fn said(body: &[u8]) -> Option<String> {
    let root: Value = serde_json::from_slice(body).ok()?;
    let error = root.get("error").unwrap_or(&root);
    let text = error.as_str().or_else(|| error.get("message").and_then(Value::as_str))?;
    let plain: String = text.chars().filter(|c| !c.is_control()).take(SHOWN).collect();
    Some(redact_text(&plain).into_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::catalog::Catalog;
    use crate::provider::credential::Credential;
    use crate::provider::request::Moment;
    use crate::routing::account::{AccountConfig, AccountKind};
    use crate::secret::Secret;

    fn asked(id: &str) -> (Catalog, Result<Ask, Verdict>) {
        let catalog = Catalog::builtin().unwrap();
        let provider = catalog.by_id(id).unwrap();
        let account = AccountConfig::new(provider.id.clone(), AccountKind::ApiKey, "a".into());
        let key = Some(Secret::new("sk-live-1".into()));
        let credential = Credential { api_key: key, ..Credential::default() };
        let cx = BesideCx {
            provider,
            account: &account,
            credential: &credential,
            extra_headers: &[],
            moment: Moment::default(),
        };
        let ask = ask(&cx).unwrap();
        (catalog, ask)
    }

    #[test]
    fn a_probe_asks_the_address_of_the_catalog_with_the_key_where_it_belongs() {
        let (_, ask) = asked("deepseek");
        let ask = ask.unwrap();
        assert_eq!((ask.method, ask.body.is_some()), ("probe", false));
        assert_eq!(ask.url, "https://api.deepseek.com/models");
        let bearer = ("authorization".to_owned(), "Bearer sk-live-1".to_owned());
        assert!(ask.headers.contains(&bearer), "{:?}", ask.headers);
        assert!(!format!("{ask:?}").contains("sk-live-1"));
    }

    #[test]
    fn a_ping_is_a_small_call_of_a_listed_model() {
        let (_, ask) = asked("glm");
        let ask = ask.unwrap();
        assert_eq!(ask.method, "chat");
        let body: Value = serde_json::from_slice(ask.body.as_ref().unwrap()).unwrap();
        assert_eq!(body["max_tokens"], 1, "{body}");
        assert!(body["model"].as_str().unwrap().starts_with("glm-"), "{body}");
    }

    #[test]
    fn answers_are_read_by_the_table_of_the_specification() {
        let (catalog, ping) = asked("glm");
        let (_, look) = asked("deepseek");
        let provider = catalog.by_id("deepseek").unwrap();
        let word =
            |ask: &Ask, status, body: &str| ask.judge(provider, status, body.as_bytes()).as_str();
        let (ping, look) = (ping.unwrap(), look.unwrap());
        for (status, body, by_look, by_ping) in [
            (200, "{}", "verified", "verified"),
            (401, "{}", "refused", "refused"),
            (403, "{}", "refused", "refused"),
            (402, "{}", "verified", "verified"),
            (429, "{}", "verified", "verified"),
            (400, r#"{"error":{"status":"API_KEY_INVALID"}}"#, "refused", "refused"),
            (400, "{}", "unverified", "verified"),
            (404, "{}", "unverified", "verified"),
            (500, "{}", "unverified", "unverified"),
        ] {
            assert_eq!(word(&look, status, body), by_look, "{status}");
            assert_eq!(word(&ping, status, body), by_ping, "{status}");
        }
    }

    #[test]
    fn the_upstreams_words_come_short_and_without_secrets() {
        let key = format!("sk-{}", "a".repeat(40));
        let body =
            json!({"error": {"message": format!("bad key {key} {}", "x".repeat(500))}}).to_string();
        let text = said(body.as_bytes()).unwrap();
        assert!(text.chars().count() <= SHOWN + 20 && !text.contains(&key), "{text}");
        assert_eq!(said(b"<html>"), None);
    }
}
