//! Which endpoint a method and a path mean: normalisation, aliases, catalogue (endpoints §3, §8).

mod alias;
mod endpoint;
mod path;

use std::borrow::Cow;

pub use ninerouter_dialect::ErrorShape;
use thiserror::Error;

use alias::{Base, Rooted, under};
use endpoint::{Action, CODE_ASSIST, ROWS, Verbs, action};
pub use endpoint::{Class, Endpoint, GemAction};
use path::{decode_tail, normalise};

/// Why a path is refused with 400.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Error)]
pub enum BadPath {
    /// The target is not a path from the root.
    #[error("the request path must begin with `/`")]
    NotAbsolute,
    /// `.` or `..` as a segment, also when encoded.
    #[error("the request path has a `.` or `..` segment")]
    DotSegment,
    /// `\` or `%5C`.
    #[error("the request path has a backslash")]
    Backslash,
    /// A control character, also when encoded.
    #[error("the request path has a control character")]
    Control,
    /// A broken percent sequence, or bytes that are not UTF-8.
    #[error("the request path is not correctly percent-encoded UTF-8")]
    Encoding,
    /// `%2F` outside a model id.
    #[error("the request path has an encoded `/` outside a model id")]
    EncodedSlash,
    /// `//` outside the inference API.
    #[error("the request path has an empty segment")]
    EmptySegment,
}

/// A request that some handler answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Matched {
    /// What is asked for.
    pub endpoint: Endpoint,
    /// The path it was asked by, for the usage row: canonical, or the alias as it came.
    pub entrypoint: Cow<'static, str>,
    /// How errors look. Model lists and unknown paths under `/v1` depend on the request's
    /// headers as well: [`looks_anthropic`].
    pub shape: ErrorShape,
    /// Azure paths name a deployment: the model of a body that names none.
    pub default_model: Option<String>,
}

impl Matched {
    /// True where `?key=` may hold the API key: `/v1beta` and its aliases (SEC-AK-4).
    #[must_use]
    pub fn accepts_query_key(&self) -> bool {
        self.shape == ErrorShape::Gem && self.endpoint != Endpoint::NotYet(CODE_ASSIST)
    }
}

/// The answer of [`route`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RouteResult {
    /// A handler answers. HEAD arrives here as well where it follows GET.
    Match(Matched),
    /// OPTIONS on a known path: 204, CORS headers if the class is `Inference`.
    Options {
        /// The methods of the route.
        methods: &'static str,
        /// Its class.
        class: Class,
    },
    /// HEAD on `/` or an inference path: 200, empty, no key, executes nothing.
    Head,
    /// 404.
    NotFound(ErrorShape),
    /// 405.
    MethodNotAllowed {
        /// The `Allow` header.
        allow: &'static str,
        /// How the error looks.
        shape: ErrorShape,
        /// Class of the path.
        class: Class,
    },
    /// 400.
    Bad {
        /// What is wrong with the path.
        reason: BadPath,
    },
    /// 426 at once: Codex then goes on with plain HTTP.
    Upgrade426,
}

/// Finds the endpoint. `raw_path` is the path as sent; a query is ignored.
#[must_use]
pub fn route(method: &str, raw_path: &str, has_websocket_upgrade: bool) -> RouteResult {
    let raw_path = raw_path.split_once('?').map_or(raw_path, |(path, _query)| path);
    // The common case needs no normalisation: a canonical path is what it is.
    if let Some(found) = canonical(raw_path) {
        return decide(found, method, has_websocket_upgrade);
    }
    match locate(method, raw_path) {
        Ok(Ok(found)) => decide(found, method, has_websocket_upgrade),
        Ok(Err(shape)) => RouteResult::NotFound(shape),
        Err(reason) => RouteResult::Bad { reason },
    }
}

/// Every route without parameters: its methods, its path, its class.
pub fn fixed() -> impl Iterator<Item = (&'static str, &'static str, Class)> {
    ROWS.iter().map(|row| (row.verbs.allow(), row.path, row.endpoint.class()))
}

/// True when a model list, or an error on an unknown path, takes the Anthropic shape
/// (endpoints §3, §4.5). `header` looks a header up by its lower-case name.
pub fn looks_anthropic<'a>(header: impl Fn(&str) -> Option<&'a str>) -> bool {
    let agent_is_anthropic =
        |agent: &str| agent.starts_with("claude-") || agent.starts_with("anthropic");
    header("anthropic-version").is_some()
        || (header("x-api-key").is_some()
            && header("user-agent").is_some_and(|a| agent_is_anthropic(&a.to_ascii_lowercase())))
}

/// An endpoint before the method is looked at.
struct Found {
    matched: Matched,
    verbs: Verbs,
    /// The path ends in a model id, where `%2F` is allowed.
    model_tail: bool,
}

impl Found {
    fn new(endpoint: Endpoint, verbs: Verbs, shape: ErrorShape) -> Self {
        let matched =
            Matched { endpoint, entrypoint: Cow::Borrowed(""), shape, default_model: None };
        Self { matched, verbs, model_tail: false }
    }

    fn with_model_tail(mut self) -> Self {
        self.model_tail = true;
        self
    }
}

/// A located endpoint, or the shape of its 404.
type Located = Result<Found, ErrorShape>;

fn canonical(path: &str) -> Option<Found> {
    row(|row| row.path == path)
}

fn row(wanted: impl Fn(&endpoint::Row) -> bool) -> Option<Found> {
    let row = ROWS.iter().find(|row| wanted(row))?;
    let mut found = Found::new(row.endpoint.clone(), row.verbs, row.shape);
    found.matched.entrypoint = Cow::Borrowed(row.path);
    Some(found)
}

fn locate(method: &str, raw_path: &str) -> Result<Located, BadPath> {
    let normal = normalise(raw_path)?;
    let gem_action = split_action(&normal.path).is_some();
    let rooted = alias::resolve(&normal.path, gem_action);
    let located = find(rooted, &normal.path, method)?;
    let inference = located.as_ref().is_ok_and(|f| f.matched.endpoint.class() == Class::Inference);
    // Two narrow exceptions for inference paths, none for the others (endpoints §8 rule 1).
    if normal.encoded_slash && !located.as_ref().is_ok_and(|f| f.model_tail) {
        return Err(BadPath::EncodedSlash);
    }
    if normal.collapsed && located.is_ok() && !inference {
        return Err(BadPath::EmptySegment);
    }
    Ok(located.map(|mut found| {
        found.matched.entrypoint = entrypoint(&found, &normal.path);
        found
    }))
}

fn find(at: Rooted<'_>, path: &str, method: &str) -> Result<Located, BadPath> {
    if let Some(found) = row(|row| row.base == at.base && row.rest == at.rest) {
        return Ok(Ok(found));
    }
    match at.base {
        Base::Top => find_top(at.rest, path),
        Base::V1 => find_v1(at.rest, method),
        Base::Beta => find_beta(at.rest, method),
    }
}

fn find_top(rest: &str, path: &str) -> Result<Located, BadPath> {
    let whole = || path.to_owned();
    if under(rest, "dashboard").is_some() {
        let endpoint = Endpoint::Dashboard { path: whole() };
        return Ok(Ok(Found::new(endpoint, Verbs::Any, ErrorShape::Chat)));
    }
    if under(rest, "assets").is_some_and(|file| !file.is_empty()) {
        let endpoint = Endpoint::Asset { path: whole() };
        return Ok(Ok(Found::new(endpoint, Verbs::Get, ErrorShape::Chat)));
    }
    if let Some(provider) = under(rest, "oauth/callback").filter(|tail| !tail.contains('/')) {
        let provider = Some(provider.to_owned()).filter(|provider| !provider.is_empty());
        let Some(provider) = provider else { return Ok(Err(ErrorShape::Chat)) };
        let endpoint = Endpoint::Callback { provider: Some(provider) };
        return Ok(Ok(Found::new(endpoint, Verbs::Get, ErrorShape::Chat)));
    }
    if under(rest, "api").is_some() {
        let endpoint = Endpoint::Management { path: whole() };
        return Ok(Ok(Found::new(endpoint, Verbs::Any, ErrorShape::Chat)));
    }
    if under(rest, "morphllm").is_some_and(|tail| !tail.is_empty()) {
        let endpoint = Endpoint::NotYet("Morph");
        return Ok(Ok(Found::new(endpoint, Verbs::Any, ErrorShape::Chat)));
    }
    if let Some(deployment) = azure_deployment(rest) {
        let mut found = Found::new(Endpoint::ChatCompletions, Verbs::Post, ErrorShape::Chat);
        found.matched.default_model = Some(decode_tail(deployment)?);
        return Ok(Ok(found));
    }
    // The Vertex SDKs' own version, for its own path only.
    if let Some(tail) = under(rest, "v1beta1").filter(|tail| vertex_tail(tail).is_some())
        && let Some(found) = gem_action(tail)?
    {
        return Ok(Ok(found));
    }
    Ok(Err(unknown_top_shape(rest)))
}

fn unknown_top_shape(rest: &str) -> ErrorShape {
    if rest.starts_with("v1internal") || under(rest, "v1beta1").is_some() {
        ErrorShape::Gem
    } else if under(rest, "ollama").is_some() {
        ErrorShape::Ollama
    } else {
        ErrorShape::Chat
    }
}

fn find_v1(rest: &str, method: &str) -> Result<Located, BadPath> {
    if let Some(found) = gem_action(rest)? {
        return Ok(Ok(found));
    }
    if let Some(tail) = under(rest, "models").filter(|tail| !tail.is_empty()) {
        if method == "POST" && tail.contains(':') {
            return Ok(Err(ErrorShape::Gem));
        }
        let endpoint = Endpoint::Model { id: decode_tail(tail)? };
        return Ok(Ok(Found::new(endpoint, Verbs::Get, ErrorShape::Chat).with_model_tail()));
    }
    if let Some(tail) = under(rest, "responses") {
        return Ok(response_item(tail));
    }
    if under(rest, "messages/batches").is_some() {
        return Ok(Ok(Found::new(Endpoint::MessagesBatches, Verbs::Any, ErrorShape::Anth)));
    }
    let is_messages = under(rest, "messages").is_some();
    Ok(Err(if is_messages { ErrorShape::Anth } else { ErrorShape::Chat }))
}

fn find_beta(rest: &str, method: &str) -> Result<Located, BadPath> {
    if let Some(found) = gem_action(rest)? {
        return Ok(Ok(found));
    }
    let Some(tail) = under(rest, "models").filter(|tail| !tail.is_empty()) else {
        return Ok(Err(ErrorShape::Gem));
    };
    // No action, or an unknown one, on POST is 404 (endpoints §4.8).
    if method == "POST" {
        return Ok(Err(ErrorShape::Gem));
    }
    let endpoint = Endpoint::GemModel { id: gem_model(tail)? };
    Ok(Ok(Found::new(endpoint, Verbs::Get, ErrorShape::Gem).with_model_tail()))
}

fn response_item(tail: &str) -> Located {
    let (id, part) = tail.split_once('/').map_or((tail, None), |(id, part)| (id, Some(part)));
    let id = id.to_owned();
    let (endpoint, verbs) = match part {
        None => (Endpoint::ResponsesItem { id }, Verbs::GetDelete),
        Some("input_items") => (Endpoint::ResponsesInputItems { id }, Verbs::Get),
        Some("cancel") => (Endpoint::ResponsesCancel { id }, Verbs::Post),
        Some(_) => return Err(ErrorShape::Chat),
    };
    Ok(Found::new(endpoint, verbs, ErrorShape::Chat))
}

/// `{model}:{action}` with a known action; `models/` before the model is optional.
fn gem_action(rest: &str) -> Result<Option<Found>, BadPath> {
    let models = || rest.strip_prefix("models/");
    let tail = vertex_tail(rest).or_else(models).unwrap_or(rest);
    let Some((model, action)) = split_action(tail) else { return Ok(None) };
    let model = gem_model(model)?;
    if model.is_empty() {
        return Ok(None);
    }
    let endpoint = match action {
        Action::Served(action) => Endpoint::GemAction { model, action },
        Action::NotYet(name) => Endpoint::NotYet(name),
    };
    Ok(Some(Found::new(endpoint, Verbs::Post, ErrorShape::Gem).with_model_tail()))
}

/// Splits at the last `:` (some clients encode it), if a known action follows.
fn split_action(path: &str) -> Option<(&str, Action)> {
    let plain = path.rsplit_once(':');
    let encoded = || path.rsplit_once("%3A").or_else(|| path.rsplit_once("%3a"));
    let known = |(model, word)| action(word).map(|action| (model, action));
    plain.and_then(known).or_else(|| encoded().and_then(known))
}

fn gem_model(tail: &str) -> Result<String, BadPath> {
    let model = decode_tail(tail)?;
    Ok(match model.strip_prefix("models/") {
        Some(bare) => bare.to_owned(),
        None => model,
    })
}

/// `projects/{p}/locations/{l}/publishers/google/models/{m}:{action}` → `{m}:{action}`.
fn vertex_tail(rest: &str) -> Option<&str> {
    let (project, rest) = rest.strip_prefix("projects/")?.split_once('/')?;
    let (location, rest) = rest.strip_prefix("locations/")?.split_once('/')?;
    let tail = rest.strip_prefix("publishers/google/models/")?;
    let is_plain = |segment: &str| !segment.is_empty() && !segment.contains('%');
    (is_plain(project) && is_plain(location)).then_some(tail)
}

/// `openai/deployments/{d}/chat/completions` → `{d}`.
fn azure_deployment(rest: &str) -> Option<&str> {
    let (deployment, tail) = rest.strip_prefix("openai/deployments/")?.split_once('/')?;
    (!deployment.is_empty() && tail == "chat/completions").then_some(deployment)
}

/// The canonical path where it was used, else the alias as it came (cut: it lands in a row).
fn entrypoint(found: &Found, path: &str) -> Cow<'static, str> {
    const LONGEST: usize = 200;
    let canonical = &found.matched.entrypoint;
    if !canonical.is_empty() && canonical == path {
        return canonical.clone();
    }
    Cow::Owned(path.chars().take(LONGEST).collect())
}

fn decide(found: Found, method: &str, has_websocket_upgrade: bool) -> RouteResult {
    let Found { matched, verbs, .. } = found;
    let class = matched.endpoint.class();
    match method {
        "OPTIONS" => RouteResult::Options { methods: verbs.allow(), class },
        "HEAD" if class == Class::Inference || matched.endpoint == Endpoint::Root => {
            RouteResult::Head
        }
        _ if verbs.contains(method) => RouteResult::Match(matched),
        "GET" if has_websocket_upgrade && matched.endpoint == Endpoint::Responses => {
            RouteResult::Upgrade426
        }
        _ => RouteResult::MethodNotAllowed { allow: verbs.allow(), shape: matched.shape, class },
    }
}

#[cfg(test)]
mod tests;
