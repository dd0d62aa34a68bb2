//! Custom nodes: providers the operator adds by base URL.

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
}
