//! The model list of an upstream: how it is asked for, and what its answer says (providers §6).

use std::borrow::Cow;

use ninerouter_dialect::{Dialect, Peek};
use url::Url;

use crate::provider::beside::{self, BesideCx};
use crate::provider::catalog::{Endpoint, Provider, Support, Wire};
use crate::provider::head::headers;
use crate::provider::request::ShapeError;
use crate::provider::url::url;
use crate::provider::value::Values;

mod parse;

pub use parse::{LiveModel, NotAList, Page, parse};

/// Ids of one list at most.
pub const MAX_MODELS: usize = 10_000;
/// Pages of one list at most.
pub const MAX_PAGES: usize = 50;

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
pub fn list_request(cx: &BesideCx<'_>) -> Result<Option<ListRequest>, ShapeError> {
    let Some(template) = cx.provider.apis.models.as_deref().filter(|_| has_list(cx.provider))
    else {
        return Ok(None);
    };
    let endpoint = list_endpoint(cx.provider, template);
    let peek = Peek::default();
    let shape = cx.shape(&endpoint, endpoint.dialect().unwrap_or(Dialect::Chat), "", &peek);
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

/// The transport the list belongs to, with the list's address in place of its own.
fn list_endpoint(provider: &Provider, template: &str) -> Endpoint {
    let (mut endpoint, query) = beside::endpoint(provider, template);
    endpoint.query = full_query(provider, endpoint.wire, query);
    endpoint
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
