//! The model list of an upstream: how it is asked for, and what its answer says (providers §6).

use std::borrow::Cow;

use ninerouter_dialect::{Dialect, Peek};
use url::Url;

use crate::provider::catalog::{Auth, Endpoint, Provider, Support, Wire};
use crate::provider::credential::Credential;
use crate::provider::head::headers;
use crate::provider::request::{Call, Moment, ShapeCx, ShapeError};
use crate::provider::url::url;
use crate::provider::value::Values;
use crate::routing::account::AccountConfig;

mod parse;

pub use parse::{LiveModel, NotAList, Page, parse};

/// Ids of one list at most.
pub const MAX_MODELS: usize = 10_000;
/// Pages of one list at most.
pub const MAX_PAGES: usize = 50;

/// Whose list is asked for.
#[derive(Clone, Copy, Debug)]
pub struct ListCx<'a> {
    /// The provider.
    pub provider: &'a Provider,
    /// The account.
    pub account: &'a AccountConfig,
    /// Its secrets.
    pub credential: &'a Credential,
    /// Headers the operator set for the provider.
    pub extra_headers: &'a [(String, String)],
    /// Facts of the moment.
    pub moment: Moment<'a>,
}

/// What is peculiar to one provider's list.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ListStyle {
    /// `has_more` and `last_id` lead to the next page (Anthropic).
    pub pages_by_id: bool,
    /// Prices are USD per token; elsewhere the unit is anybody's guess.
    pub priced_per_token: bool,
    /// Only models without a price are offered (OpenCode Zen).
    pub free_only: bool,
}

/// A list request, ready to be sent with GET.
#[derive(Clone, PartialEq, Eq)]
pub struct ListRequest {
    /// Canonical URL of the first page.
    pub url: String,
    /// Header names in lower case, with their values.
    pub headers: Vec<(String, String)>,
    /// How the answer is read.
    pub style: ListStyle,
}

impl std::fmt::Debug for ListRequest {
    // header values hold the credential
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ListRequest").field("style", &self.style).finish_non_exhaustive()
    }
}

/// True when the provider has a list this router can read.
#[must_use]
pub fn has_list(provider: &Provider) -> bool {
    // Antigravity's list is a call in its own envelope (providers §3.4).
    let readable = &*provider.id != "antigravity";
    provider.apis.models.is_some() && provider.support == Support::Full && readable
}

/// How the first page of an account's list is asked for; `None` = the provider has no list.
///
/// # Errors
/// When the account lacks a value the URL or the credential needs. No other host is asked instead.
pub fn list_request(cx: &ListCx<'_>) -> Result<Option<ListRequest>, ShapeError> {
    let Some(template) = cx.provider.apis.models.as_deref().filter(|_| has_list(cx.provider))
    else {
        return Ok(None);
    };
    let endpoint = list_endpoint(cx.provider, template);
    let peek = Peek::default();
    let shape = ShapeCx {
        provider: cx.provider,
        endpoint: &endpoint,
        upstream_model: "",
        facts: None,
        effort: None,
        long_context: false,
        account: cx.account,
        credential: cx.credential,
        dialect: endpoint.dialect().unwrap_or(Dialect::Chat),
        betas: &[],
        call: Call::Generate,
        stream: false,
        client_headers: &|_| None,
        client_query: None,
        peek: &peek,
        session_id: None,
        supports_stream_usage: false,
        extra_headers: cx.extra_headers,
        moment: cx.moment,
    };
    let values = Values::of(&shape);
    let (url, _) = url(&shape, &values)?;
    let mut headers = headers(&shape, &values, &[])?;
    // there is no body
    headers.retain(|(name, _)| name != "content-type");
    Ok(Some(ListRequest { url, headers, style: style(cx.provider, endpoint.wire) }))
}

/// The URL of a further page.
#[must_use]
pub fn next_page(first: &str, (name, token): &(&str, String)) -> Option<String> {
    let mut url = Url::parse(first).ok()?;
    url.query_pairs_mut().append_pair(name, token);
    Some(url.into())
}

/// The transport the list belongs to, with the list's address in place of its own: base URL, headers
/// and credential then follow the same rules as any call.
fn list_endpoint(provider: &Provider, template: &str) -> Endpoint {
    let (address, query) = template.split_once('?').unwrap_or((template, ""));
    let near = nearest(provider, address);
    let mut endpoint = near.cloned().unwrap_or_else(|| {
        let auth = provider.apis.auth.clone().unwrap_or_else(Auth::none);
        Endpoint::bare(Wire::OpenaiChat, "", "", auth)
    });
    let own_base = near.map(|e| e.base_url.as_str()).filter(|base| !base.is_empty());
    let (base, path) = match own_base.and_then(|base| Some((base, address.strip_prefix(base)?))) {
        Some((base, path)) if path.starts_with('/') => (base, path),
        Some(_) | None => split_origin(address),
    };
    let (base, path) = (base.to_owned(), path.to_owned());
    endpoint.query = full_query(provider, endpoint.wire, query);
    (endpoint.base_url, endpoint.path) = (base, path);
    (endpoint.stream_path, endpoint.stream_query) = (None, None);
    endpoint
}

/// The endpoint whose address has most in common with the list's; the first of equals. Providers with
/// two hosts or two kinds of paths sign in differently at each.
fn nearest<'a>(provider: &'a Provider, address: &str) -> Option<&'a Endpoint> {
    let common = |e: &Endpoint| {
        let own = e.base_url.bytes().chain(e.path.bytes());
        own.zip(address.bytes()).take_while(|(a, b)| a == b).count()
    };
    provider.endpoints.iter().rev().max_by_key(|e| common(e))
}

/// Scheme and host (or the placeholder that stands for them), and the path.
fn split_origin(address: &str) -> (&str, &str) {
    let host = address.find("://").map_or(0, |at| at + 3);
    let path = address.get(host..).and_then(|rest| rest.find('/')).map(|at| host + at);
    path.and_then(|at| address.split_at_checked(at)).unwrap_or((address, ""))
}

/// The catalog's query, and a request for long pages where a page is short by default.
fn full_query(provider: &Provider, wire: Wire, query: &str) -> Option<String> {
    let long: Cow<'_, str> = match (&*provider.id, wire) {
        ("anthropic" | "claude", _) => "limit=1000".into(),
        ("cohere", _) => "page_size=1000".into(),
        (_, Wire::Gemini) => "pageSize=1000".into(),
        _ => "".into(),
    };
    let both: Vec<&str> = [query, &*long].into_iter().filter(|part| !part.is_empty()).collect();
    (!both.is_empty()).then(|| both.join("&"))
}

fn style(provider: &Provider, wire: Wire) -> ListStyle {
    ListStyle {
        pages_by_id: wire == Wire::AnthropicMessages,
        priced_per_token: matches!(
            &*provider.id,
            "openrouter" | "kilocode" | "kilo-gateway" | "vercel-ai-gateway"
        ),
        free_only: &*provider.id == "opencode",
    }
}

#[cfg(test)]
mod tests;
