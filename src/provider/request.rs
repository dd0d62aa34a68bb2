//! One upstream call, shaped: URL, headers and body edits for a chosen account (providers §1.5).

use std::fmt;

use ninerouter_dialect::{BodyEdit, Dialect, Peek};

use crate::clock::UnixMs;
use crate::provider::base_url::BaseUrlError;
use crate::provider::catalog::{Endpoint, ModelFacts, Param, Provider};
use crate::provider::credential::Credential;
use crate::provider::edit::{EditCx, demanded, set, set_member};
use crate::provider::effort::Effort;
use crate::provider::endpoint::selected;
use crate::provider::head::headers;
use crate::provider::profile::Quirk;
use crate::provider::think::{ThinkCx, ThinkEdits, think_edits};
use crate::provider::url::url;
use crate::provider::value::{Values, param};
use crate::routing::account::AccountConfig;

/// What is asked of the endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Call {
    /// An answer.
    #[default]
    Generate,
    /// The number of tokens of a prompt.
    CountTokens,
    /// A shorter form of a conversation (Responses).
    Compact,
}

/// Facts of this router and of the moment, for placeholders.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moment<'a> {
    /// Now.
    pub now: UnixMs,
    /// Random bytes, fresh for each attempt.
    pub nonce: [u8; 16],
    /// Public address of this router, when set.
    pub public_url: Option<&'a str>,
    /// Name of this machine, when known.
    pub hostname: Option<&'a str>,
}

/// Everything one attempt is shaped from.
pub struct ShapeCx<'a> {
    /// Where it goes.
    pub provider: &'a Provider,
    /// By which transport.
    pub endpoint: &'a Endpoint,
    /// Id sent upstream.
    pub upstream_model: &'a str,
    /// What is known of the model.
    pub facts: Option<ModelFacts<'a>>,
    /// Effort the model id asked for.
    pub effort: Option<Effort>,
    /// The id was written with `[1m]`.
    pub long_context: bool,
    /// Whose account.
    pub account: &'a AccountConfig,
    /// Its secrets.
    pub credential: &'a Credential,
    /// The dialect of the body: the client's, or the one it was translated into.
    pub dialect: Dialect,
    /// Tokens that the body needs in `anthropic-beta`.
    pub betas: &'a [&'static str],
    /// What is asked.
    pub call: Call,
    /// The answer shall stream, whatever the body says.
    pub stream: bool,
    /// A header of the client by lower-case name; of several with one name, joined by `, `.
    pub client_headers: &'a dyn Fn(&str) -> Option<&'a str>,
    /// The client's query, without `?`.
    pub client_query: Option<&'a str>,
    /// What is known of the body.
    pub peek: &'a Peek,
    /// The conversation (providers §2), not yet bound to the account.
    pub session_id: Option<&'a str>,
    /// False while the upstream is known to refuse `stream_options`.
    pub supports_stream_usage: bool,
    /// Headers the operator set for the provider.
    pub extra_headers: &'a [(String, String)],
    /// Facts of the moment.
    pub moment: Moment<'a>,
}

impl fmt::Debug for ShapeCx<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShapeCx")
            .field("provider", &self.provider.id)
            .field("endpoint", &self.endpoint.name)
            .field("upstream_model", &self.upstream_model)
            .field("account", &self.account.id)
            .finish_non_exhaustive()
    }
}

/// A call ready to be sent, all but its body.
#[derive(Clone, PartialEq, Eq)]
pub struct Shaped {
    /// Canonical URL: as the parser writes it.
    pub url: String,
    /// Header names in lower case, with their values.
    pub headers: Vec<(String, String)>,
    /// Edits of the body; empty = only the model is spliced in (tier A).
    pub edits: Vec<BodyEdit>,
    /// The model in the body; `None` = the body has none, or none is wanted there.
    pub body_model: Option<String>,
    /// The usage chunk was asked for by the router: the client does not get it.
    pub hide_usage_chunk: bool,
    /// A clean end of the stream after content is the end.
    pub eof_is_end: bool,
}

impl fmt::Debug for Shaped {
    // header values hold the credential
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Shaped")
            .field("url", &self.url)
            .field("headers", &names)
            .field("edits", &self.edits)
            .field("body_model", &self.body_model)
            .field("hide_usage_chunk", &self.hide_usage_chunk)
            .field("eof_is_end", &self.eof_is_end)
            .finish()
    }
}

/// Why a call cannot be shaped. None of them is the client's fault; the account or entry is passed
/// over.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ShapeError {
    /// The endpoint speaks another dialect, or an envelope.
    #[error("endpoint `{endpoint}` of `{provider}` does not take {dialect} bodies")]
    Dialect {
        /// Provider.
        provider: String,
        /// Its endpoint.
        endpoint: String,
        /// The dialect of the body.
        dialect: &'static str,
    },
    /// The endpoint has no such call.
    #[error("endpoint `{endpoint}` of `{provider}` has no such call")]
    NoSuchCall {
        /// Provider.
        provider: String,
        /// Its endpoint.
        endpoint: String,
    },
    /// The account lacks a value the URL or a required header needs.
    #[error("the account has no value for `{0}`; edit the account")]
    MissingParam(String),
    /// A value cannot stand where it is needed.
    #[error("the account's value for `{0}` cannot be used there; edit the account")]
    BadParam(String),
    /// The model id cannot be part of the URL.
    #[error("the model id cannot be part of a URL")]
    BadModel,
    /// The account has no usable credential.
    #[error("the account has no usable credential for `{0}`")]
    MissingCredential(String),
    /// The base URL cannot be used.
    #[error("base url of the account: {0}")]
    BaseUrl(#[from] BaseUrlError),
    /// Plain http to an upstream that is neither local nor the operator's own.
    #[error("`{0}` is not reached over plain http; use https")]
    Insecure(String),
}

/// Shapes one call.
///
/// # Errors
/// When the account, the endpoint and the request do not fit together. Nothing falls back to
/// another host or another credential.
pub fn shape(cx: &ShapeCx<'_>) -> Result<Shaped, ShapeError> {
    if cx.endpoint.speaks().map(|(dialect, _)| dialect) != Some(cx.dialect) {
        return Err(ShapeError::Dialect {
            provider: cx.provider.id.to_string(),
            endpoint: cx.endpoint.name.clone(),
            dialect: cx.dialect.as_str(),
        });
    }
    let values = Values::of(cx);
    let (url, path) = url(cx, &values)?;
    let think = thinking(cx);
    let betas = [cx.betas, &think.betas].concat();
    let headers = headers(cx, &values, &betas)?;
    let (edits, body_model, hide_usage_chunk) = body(cx, &path, think.edits);
    Ok(Shaped {
        url,
        headers,
        edits,
        body_model,
        hide_usage_chunk,
        eof_is_end: cx.provider.profile.eof_is_end,
    })
}

/// Names of values the account lacks and cannot be called without: it is not eligible then
/// (accounts §0.3).
#[must_use]
pub fn missing_params<'a>(
    provider: &'a Provider,
    account: &AccountConfig,
    credential: &Credential,
) -> Vec<&'a str> {
    let chosen = selected(provider, account, credential).and_then(|name| provider.endpoint(name));
    let endpoint = chosen.or(provider.endpoints.first());
    // A selected endpoint, or one whose base the operator replaced, may need less than the entry says.
    let entry_decides = chosen.is_none() && !provider.overridden;
    let needed = |p: &&Param| {
        let used = endpoint.is_some_and(|e| e.uses(&p.name)) && p.name != "deployment";
        used || (p.required && entry_decides)
    };
    provider
        .params
        .iter()
        .filter(needed)
        .filter(|p| param(provider, account, credential, &p.name).is_none())
        .map(|p| p.name.as_str())
        .collect()
}

fn thinking(cx: &ShapeCx<'_>) -> ThinkEdits {
    let Some(effort) = cx.effort.filter(|_| cx.call != Call::Compact) else {
        return ThinkEdits::default();
    };
    think_edits(
        effort,
        &ThinkCx {
            dialect: cx.dialect,
            model: cx.upstream_model,
            facts: cx.facts,
            style: cx.provider.profile.reasoning_style,
            max_tokens: cx.peek.max_tokens,
            tools: cx.peek.tools,
        },
    )
}

/// Edits in the order they apply: what the provider demands, then the effort, then the usage
/// injection. The model comes first, so that a demand may take it away again.
fn body(
    cx: &ShapeCx<'_>,
    path: &str,
    think: Vec<BodyEdit>,
) -> (Vec<BodyEdit>, Option<String>, bool) {
    let mut edits = demanded(&EditCx {
        provider: cx.provider,
        dialect: cx.dialect,
        model: cx.upstream_model,
        think: cx.facts.and_then(|f| f.think),
        tools: cx.peek.tools,
        path,
    });
    edits.extend(think);
    // Gemini's path says it, and a count or a shorter form never streams.
    let says_otherwise = cx.peek.stream != cx.stream && cx.call == Call::Generate;
    if says_otherwise && cx.dialect != Dialect::Gem {
        edits.push(set("stream", cx.stream.to_string()));
    }
    let hide_usage_chunk = asks_for_usage(cx);
    if hide_usage_chunk {
        // T009: the member is set inside the client's own object, or an object is made
        edits.push(set_member("stream_options", "include_usage", "true".to_owned()));
    }
    let model = match cx.dialect {
        // the model is in the URL; the body goes out as it came
        Dialect::Gem => None,
        Dialect::Chat | Dialect::Resp | Dialect::Anth => Some(body_model(cx)),
    };
    let removed = edits.iter().any(|e| matches!(e, BodyEdit::Remove { key } if key == "model"));
    let model = model.filter(|_| !removed);
    if let Some(model) = &model
        && !edits.is_empty()
    {
        edits.insert(0, set("model", serde_json::Value::from(model.as_str()).to_string()));
    }
    (edits, model, hide_usage_chunk)
}

/// Streams of the chat dialect report usage only when asked (translation §1.3).
fn asks_for_usage(cx: &ShapeCx<'_>) -> bool {
    let wanted = cx.provider.profile.supports_stream_usage
        || cx.provider.has_quirk(Quirk::StreamIncludeUsage);
    cx.dialect == Dialect::Chat
        && cx.call == Call::Generate
        && cx.stream
        && wanted
        && cx.supports_stream_usage
        && !cx.peek.include_usage
}

/// Azure's newer paths name the deployment in the body (providers §3.16).
fn body_model(cx: &ShapeCx<'_>) -> String {
    let by_deployment = &*cx.provider.id == "azure" && !cx.endpoint.path.contains("{deployment}");
    let deployment = by_deployment
        .then(|| param(cx.provider, cx.account, cx.credential, "deployment"))
        .flatten();
    deployment.map_or_else(|| cx.upstream_model.to_owned(), |d| d.into_owned())
}

#[cfg(test)]
mod tests;
