//! Calls beside chat: model lists, usage pages. They follow the rules of the chat call they stand next to.

use ninerouter_dialect::{Dialect, Peek};

use crate::provider::catalog::{Auth, Endpoint, Provider, Wire};
use crate::provider::credential::Credential;
use crate::provider::request::{Call, Moment, ShapeCx};
use crate::routing::account::AccountConfig;

/// For whom a call beside chat is made.
#[derive(Clone, Copy, Debug)]
pub struct BesideCx<'a> {
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

impl<'a> BesideCx<'a> {
    /// The call as the rules of chat take it: without a client, and nothing known of a body but `peek`.
    pub(super) fn shape(
        &self,
        endpoint: &'a Endpoint,
        dialect: Dialect,
        upstream_model: &'a str,
        peek: &'a Peek,
    ) -> ShapeCx<'a> {
        ShapeCx {
            provider: self.provider,
            endpoint,
            upstream_model,
            facts: None,
            effort: None,
            long_context: false,
            account: self.account,
            credential: self.credential,
            dialect,
            betas: &[],
            call: Call::Generate,
            stream: false,
            client_headers: &|_| None,
            client_query: None,
            peek,
            session_id: None,
            supports_stream_usage: false,
            extra_headers: self.extra_headers,
            moment: self.moment,
        }
    }
}

/// The transport a URL of `[provider.apis]` belongs to, with that address in place of its own, and the URL's query: base
/// URL, headers and credential then follow the same rules as any call.
pub(super) fn endpoint<'t>(provider: &Provider, template: &'t str) -> (Endpoint, &'t str) {
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
    (endpoint.base_url, endpoint.path) = (base, path);
    (endpoint.stream_path, endpoint.stream_query) = (None, None);
    endpoint.query = (!query.is_empty()).then(|| query.to_owned());
    (endpoint, query)
}

/// The endpoint whose address has most in common with the other's; the first of equals. Providers with two hosts or two
/// kinds of paths sign in differently at each.
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
