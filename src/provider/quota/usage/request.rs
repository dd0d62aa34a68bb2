//! How an account's usage endpoint is asked: only ever at the address the registry names (accounts §0.6).

use ninerouter_dialect::{Dialect, Peek};
use serde_json::json;

use super::Style;
use crate::provider::beside::{self, BesideCx};
use crate::provider::catalog::{Auth, Endpoint, Provider, Scheme, Support};
use crate::provider::head::headers;
use crate::provider::request::ShapeError;
use crate::provider::url::url;
use crate::provider::value::{Values, param};

/// Anthropic's sign-in tokens begin like this; keys have no usage page.
const OAUTH_TOKEN: &str = "sk-ant-oat";

/// A usage request, ready to be sent.
#[derive(Clone, PartialEq, Eq)]
pub struct UsageRequest {
    /// Canonical URL.
    pub url: String,
    /// Header names in lower case, with their values.
    pub headers: Vec<(String, String)>,
    /// JSON to POST; `None` = GET.
    pub body: Option<String>,
    /// How the answer is read.
    pub style: Style,
}

impl std::fmt::Debug for UsageRequest {
    // header values hold the credential
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UsageRequest").field("style", &self.style).finish_non_exhaustive()
    }
}

/// Whether an account of the provider has a usage endpoint that this router reads.
#[must_use]
pub fn has_usage(provider: &Provider) -> bool {
    provider.support == Support::Full && Style::of(provider).is_some()
}

/// How an account's usage endpoint is asked; `None` = it has none.
///
/// # Errors
/// When the account lacks a value the URL or the credential needs. No other host is asked instead.
pub fn usage_request(cx: &BesideCx<'_>) -> Result<Option<UsageRequest>, ShapeError> {
    let provider = cx.provider;
    let style = Style::of(provider).filter(|_| has_usage(provider));
    let Some((style, template)) = style.zip(provider.apis.usage.as_deref()) else {
        return Ok(None);
    };
    let token = cx.credential.access_token.as_ref().is_some_and(|token| !token.is_empty());
    let looks_so = || {
        let bearer = cx.credential.bearer();
        bearer.is_some_and(|secret| secret.expose().trim().starts_with(OAUTH_TOKEN))
    };
    if style == Style::Claude && !token && !looks_so() {
        return Ok(None);
    }
    let (mut endpoint, _) = beside::endpoint(provider, template);
    sign_in(style, &mut endpoint);
    let project = param(provider, cx.account, cx.credential, "project");
    let arn = param(provider, cx.account, cx.credential, "profile_arn");
    if style == Style::Kiro {
        endpoint.query = Some(kiro_query(arn.as_deref()));
    }
    let peek = Peek::default();
    let shape = cx.shape(&endpoint, endpoint.dialect().unwrap_or(Dialect::Chat), "", &peek);
    let values = Values::of(&shape);
    let (url, _) = url(&shape, &values)?;
    let mut headers = headers(&shape, &values, &[])?;
    let body = style.is_google().then(|| match &project {
        Some(project) => json!({ "project": project }).to_string(),
        None => "{}".to_owned(),
    });
    headers.retain(|(name, _)| match name.as_str() {
        "content-type" => body.is_some(),
        // what the chat call accepts
        "accept" => false,
        _ => true,
    });
    headers.push(("accept".to_owned(), "application/json".to_owned()));
    Ok(Some(UsageRequest { url, headers, body, style }))
}

/// Usage pages that take the credential another way than chat does.
fn sign_in(style: Style, endpoint: &mut Endpoint) {
    const HEADER: &str = "authorization";
    let instead = match style {
        // The GitHub token, not the short-lived one of chat.
        Style::Copilot => Auth { scheme: Scheme::Token, ..Auth::raw(HEADER) },
        Style::Zai => Auth::raw(HEADER),
        Style::MiniMax | Style::MiniMaxRemains => Auth::bearer(),
        Style::Claude
        | Style::Codex
        | Style::GeminiCli
        | Style::Antigravity
        | Style::Kiro
        | Style::Kimi
        | Style::DeepSeek
        | Style::OpenRouter
        | Style::Moonshot
        | Style::Vercel
        | Style::Ollama => return,
    };
    (endpoint.auth, endpoint.also_auth) = (instead, None);
}

fn kiro_query(profile_arn: Option<&str>) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("origin", "AI_EDITOR");
    query.append_pair("resourceType", "AGENTIC_REQUEST");
    query.append_pair("isEmailRequired", "true");
    if let Some(arn) = profile_arn {
        query.append_pair("profileArn", arn);
    }
    query.finish()
}
