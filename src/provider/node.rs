//! Custom nodes: providers the operator adds by base URL (providers §4).

use url::Url;

use crate::provider::base_url::{BaseUrlError, canonical};
use crate::provider::catalog::{
    Auth, AuthKind, Catalog, Endpoint, HeaderRule, ModelKind, Provider, Wire,
};
use crate::provider::family::ErrorFamily;
use crate::provider::header::{HeaderProblem, extra_header};

/// Wire an operator's node speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NodeType {
    /// `{base}/chat/completions`.
    OpenAiChat,
    /// `{base}/responses`.
    OpenAiResponses,
    /// `{base}/messages`.
    Anthropic,
    /// `{base}/models/{model}:…`.
    Gemini,
    /// `{base}/embeddings`.
    Embedding,
}

/// Which addresses a destination may have (security §9.1, class C2). Metadata addresses stay blocked under each.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum NetworkPolicy {
    /// Public addresses only.
    #[default]
    Public,
    /// Public and private ranges.
    Private,
    /// Public, and this machine.
    Loopback,
    /// Public, private and this machine: providers marked `local`, operator's endpoint overrides.
    PrivateAndLoopback,
}

/// How the credential is put on the request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AuthStyle {
    /// `authorization: Bearer`.
    Bearer,
    /// `x-api-key`.
    XApiKey,
    /// Nothing is sent.
    None,
    /// The key in a header of the operator's choice.
    Header(String),
}

/// Where the model list of a node comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ModelSource {
    /// Asked of the node.
    #[default]
    Fetch,
    /// Typed in by the operator.
    Manual,
}

/// A provider the operator added (`storage.md` §3.3, providers §4).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// `openai-compatible-chat-…`.
    pub id: String,
    /// Wire it speaks.
    pub node_type: NodeType,
    /// Display name.
    pub name: String,
    /// Model id prefix, unique.
    pub prefix: String,
    /// Canonical base URL without trailing slash.
    pub base_url: String,
    /// Where the key goes; `None` = default of the type.
    pub auth_style: Option<AuthStyle>,
    /// Extra headers the operator set.
    pub headers: Vec<(String, String)>,
    /// Addresses it may have.
    pub network: NetworkPolicy,
    /// Plain http to a public address is allowed.
    pub insecure_http: bool,
    /// Ask for HTTP/2.
    pub h2: bool,
    /// Where its model list comes from.
    pub model_source: ModelSource,
}

/// Prefixes that mean something else (providers §4).
const RESERVED: [&str; 4] = ["combo", "9router", "ninerouter", "models"];
/// Longest prefix.
const PREFIX_MAX: usize = 32;
/// The host that reads `x-api-key` and takes offence at a second credential.
const ANTHROPIC_HOST: &str = "api.anthropic.com";
/// Version header of an Anthropic-compatible host when the client sends none.
const ANTHROPIC_VERSION: &str = "2023-06-01";

impl NodeType {
    /// The type of a stored row (`type`, `api_type`).
    #[must_use]
    pub fn from_stored(kind: &str, api_type: Option<&str>) -> Option<Self> {
        match (kind, api_type) {
            ("openai-compatible", None | Some("chat")) => Some(Self::OpenAiChat),
            ("openai-compatible", Some("responses")) => Some(Self::OpenAiResponses),
            ("anthropic-compatible", _) => Some(Self::Anthropic),
            ("gemini-compatible", _) => Some(Self::Gemini),
            ("embedding", _) => Some(Self::Embedding),
            _ => None,
        }
    }

    /// Stored `type` and `api_type`.
    #[must_use]
    pub fn stored(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::OpenAiChat => ("openai-compatible", Some("chat")),
            Self::OpenAiResponses => ("openai-compatible", Some("responses")),
            Self::Anthropic => ("anthropic-compatible", None),
            Self::Gemini => ("gemini-compatible", None),
            Self::Embedding => ("embedding", None),
        }
    }

    /// The id of a new node of this type.
    #[must_use]
    pub fn new_id(self, random: &str) -> String {
        match self.stored() {
            (kind, Some(api)) => format!("{kind}-{api}-{random}"),
            (kind, None) => format!("{kind}-{random}"),
        }
    }
}

impl Node {
    /// The node as the rest of the router sees it: a provider like any other.
    #[must_use]
    pub fn to_provider(&self) -> Provider {
        let mut provider = Provider::bare(&self.id, &self.name);
        provider.aliases = vec![self.prefix.clone()];
        provider.auth = vec![AuthKind::ApiKey, AuthKind::None];
        provider.node = true;
        provider.passthrough_models = true;
        provider.network = self.network;
        provider.insecure_http = self.insecure_http;
        provider.h2 = self.h2;
        provider.family = match self.node_type {
            NodeType::OpenAiChat | NodeType::OpenAiResponses | NodeType::Embedding => {
                ErrorFamily::OpenAi
            }
            NodeType::Anthropic => ErrorFamily::Anthropic,
            NodeType::Gemini => ErrorFamily::Google,
        };
        provider.apis.models = match self.model_source {
            ModelSource::Fetch => Some(format!("{}/models", self.base_url)),
            ModelSource::Manual => None,
        };
        if self.node_type == NodeType::Embedding {
            provider.kinds = vec![ModelKind::Embedding];
            provider.apis.embeddings = Some(format!("{}/embeddings", self.base_url));
            provider.apis.auth = Some(self.auths().0);
        } else {
            provider.kinds = vec![ModelKind::Chat];
            provider.endpoints = vec![self.endpoint()];
        }
        provider
    }

    fn endpoint(&self) -> Endpoint {
        let (wire, path) = match self.node_type {
            NodeType::OpenAiResponses => (Wire::OpenaiResponses, "/responses"),
            NodeType::Anthropic => (Wire::AnthropicMessages, "/messages"),
            NodeType::Gemini => (Wire::Gemini, "/models/{model}:generateContent"),
            NodeType::OpenAiChat | NodeType::Embedding => (Wire::OpenaiChat, "/chat/completions"),
        };
        let (auth, also_auth) = self.auths();
        let mut endpoint = Endpoint::bare(wire, &self.base_url, path, auth);
        endpoint.also_auth = also_auth;
        match self.node_type {
            NodeType::Anthropic => {
                endpoint.count_tokens = Some("/messages/count_tokens".to_owned());
                endpoint.headers.push(header("anthropic-version", ANTHROPIC_VERSION));
            }
            NodeType::Gemini => {
                endpoint.stream_path = Some("/models/{model}:streamGenerateContent".to_owned());
                endpoint.stream_query = Some("alt=sse".to_owned());
                endpoint.count_tokens = Some("/models/{model}:countTokens".to_owned());
            }
            NodeType::OpenAiChat | NodeType::OpenAiResponses | NodeType::Embedding => {}
        }
        endpoint.headers.extend(self.headers.iter().map(|(name, value)| header(name, value)));
        endpoint
    }

    /// Where the key goes. All of it is left out when the account has no key.
    fn auths(&self) -> (Auth, Option<Auth>) {
        match &self.auth_style {
            Some(AuthStyle::Bearer) => (Auth::bearer().or_nothing(), None),
            Some(AuthStyle::XApiKey) => (Auth::raw("x-api-key").or_nothing(), None),
            Some(AuthStyle::Header(name)) => (Auth::raw(name).or_nothing(), None),
            Some(AuthStyle::None) => (Auth::none(), None),
            None => match self.node_type {
                NodeType::OpenAiChat | NodeType::OpenAiResponses | NodeType::Embedding => {
                    (Auth::bearer().or_nothing(), None)
                }
                NodeType::Gemini => (Auth::raw("x-goog-api-key").or_nothing(), None),
                NodeType::Anthropic => {
                    let both = !is_anthropic_host(&self.base_url);
                    (Auth::raw("x-api-key").or_nothing(), both.then(|| Auth::bearer().or_nothing()))
                }
            },
        }
    }
}

fn header(name: &str, value: &str) -> HeaderRule {
    HeaderRule {
        name: name.to_ascii_lowercase(),
        value: value.to_owned(),
        required: false,
        literal: true,
    }
}

/// True for Anthropic's own host.
#[must_use]
pub fn is_anthropic_host(url: &str) -> bool {
    Url::parse(url).is_ok_and(|u| u.host_str() == Some(ANTHROPIC_HOST))
}

/// What is wrong with a node that shall be saved.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NodeProblem {
    /// The prefix does not follow the grammar.
    #[error(
        "prefix `{0}`: use 1 to 32 of a to z, 0 to 9, dot, underscore, dash; begin with a letter or digit"
    )]
    PrefixGrammar(String),
    /// The prefix has another meaning.
    #[error("prefix `{0}` is reserved; choose another one")]
    PrefixReserved(String),
    /// A provider or node has it.
    #[error("prefix `{prefix}` belongs to `{owner}`; choose another one")]
    PrefixTaken {
        /// The prefix.
        prefix: String,
        /// Who has it.
        owner: String,
    },
    /// The display name is empty.
    #[error("name is empty")]
    Name,
    /// The base URL cannot be used.
    #[error("base url: {0}")]
    BaseUrl(#[from] BaseUrlError),
    /// Plain http to a public host.
    #[error(
        "base url: plain http sends the key in clear; use https, or allow insecure http for this node"
    )]
    Insecure,
    /// An extra header cannot be used.
    #[error("header `{0}`: {1}")]
    Header(String, HeaderProblem),
}

impl NodeProblem {
    /// The field it is about.
    #[must_use]
    pub fn field(&self) -> &'static str {
        match self {
            Self::PrefixGrammar(_) | Self::PrefixReserved(_) | Self::PrefixTaken { .. } => "prefix",
            Self::Name => "name",
            Self::BaseUrl(_) | Self::Insecure => "base_url",
            Self::Header(..) => "headers",
        }
    }
}

/// Checks a node before it is saved, without any I/O, and returns it in canonical form. `catalog`
/// holds the present nodes; the one with the same id is the one being changed. The address guard is
/// asked apart: it needs to resolve names.
///
/// # Errors
/// Everything that is wrong, in the order of the form.
pub fn validate_node(node: &Node, catalog: &Catalog) -> Result<Node, Vec<NodeProblem>> {
    let mut problems = Vec::new();
    if node.name.trim().is_empty() {
        problems.push(NodeProblem::Name);
    }
    problems.extend(prefix_problem(node, catalog));
    let base_url = match canonical(&node.base_url) {
        Ok(url) => url,
        Err(why) => {
            problems.push(why.into());
            String::new()
        }
    };
    if base_url.starts_with("http://")
        && node.network == NetworkPolicy::Public
        && !node.insecure_http
    {
        problems.push(NodeProblem::Insecure);
    }
    let auth_is_none = node.auth_style == Some(AuthStyle::None);
    for (name, value) in &node.headers {
        if let Err(why) = extra_header(name, value, auth_is_none) {
            problems.push(NodeProblem::Header(name.clone(), why));
        }
    }
    if let Some(AuthStyle::Header(name)) = &node.auth_style
        && let Err(why) = extra_header(name, "x", true)
    {
        problems.push(NodeProblem::Header(name.clone(), why));
    }
    if problems.is_empty() {
        Ok(Node { base_url, name: node.name.trim().to_owned(), ..node.clone() })
    } else {
        Err(problems)
    }
}

fn prefix_problem(node: &Node, catalog: &Catalog) -> Option<NodeProblem> {
    let prefix = &node.prefix;
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let grammar = prefix.len() <= PREFIX_MAX
        && prefix.bytes().next().is_some_and(letter)
        && prefix.bytes().all(|b| letter(b) || matches!(b, b'.' | b'_' | b'-'));
    if !grammar {
        return Some(NodeProblem::PrefixGrammar(prefix.clone()));
    }
    if RESERVED.contains(&prefix.as_str()) {
        return Some(NodeProblem::PrefixReserved(prefix.clone()));
    }
    let owner = catalog.by_prefix(prefix).or_else(|| catalog.by_id(prefix))?;
    (*owner.id != *node.id)
        .then(|| NodeProblem::PrefixTaken { prefix: prefix.clone(), owner: owner.id.to_string() })
}

pub mod trial;

#[cfg(test)]
mod tests;
