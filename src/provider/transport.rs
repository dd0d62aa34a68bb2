//! One transport of a provider: its wire, its paths, its headers, where the credential goes.

use ninerouter_dialect::Dialect;
use ninerouter_dialect::translate::Envelope;
use serde::{Deserialize, Deserializer};

/// What an upstream is called with and answers, envelopes included.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wire {
    /// Chat completions.
    OpenaiChat,
    /// Responses.
    OpenaiResponses,
    /// Anthropic messages.
    AnthropicMessages,
    /// Gemini API.
    Gemini,
    /// Gemini on Vertex AI.
    VertexGemini,
    /// Gemini inside the Code Assist envelope.
    GeminiCliEnvelope,
    /// Gemini inside the Antigravity envelope.
    AntigravityEnvelope,
    /// Responses with the Codex backend's rules.
    CodexResponses,
    /// Kiro's event stream.
    KiroEventstream,
    /// Ollama's own chat.
    OllamaChat,
    /// Cursor's protobuf.
    CursorConnect,
}

impl Wire {
    /// For people.
    #[must_use]
    pub fn as_words(self) -> &'static str {
        match self {
            Self::OpenaiChat => "OpenAI Chat Completions",
            Self::OpenaiResponses => "OpenAI Responses",
            Self::AnthropicMessages => "Anthropic Messages",
            Self::Gemini => "Gemini",
            Self::VertexGemini => "Gemini on Vertex AI",
            Self::GeminiCliEnvelope => "Gemini Code Assist",
            Self::AntigravityEnvelope => "Antigravity",
            Self::CodexResponses => "Codex",
            Self::KiroEventstream => "Kiro event stream",
            Self::OllamaChat => "Ollama",
            Self::CursorConnect => "Cursor",
        }
    }

    /// The dialect a client's body can be sent in as it is; `None` for envelopes and private protocols.
    #[must_use]
    pub fn dialect(self) -> Option<Dialect> {
        match self {
            Self::OpenaiChat => Some(Dialect::Chat),
            Self::OpenaiResponses => Some(Dialect::Resp),
            Self::AnthropicMessages => Some(Dialect::Anth),
            Self::Gemini | Self::VertexGemini => Some(Dialect::Gem),
            Self::GeminiCliEnvelope
            | Self::AntigravityEnvelope
            | Self::CodexResponses
            | Self::KiroEventstream
            | Self::OllamaChat
            | Self::CursorConnect => None,
        }
    }

    /// The dialect inside the wire, for choosing between endpoints (providers §1.4).
    #[must_use]
    pub fn nearest_dialect(self) -> Option<Dialect> {
        match self {
            Self::GeminiCliEnvelope | Self::AntigravityEnvelope => Some(Dialect::Gem),
            Self::CodexResponses => Some(Dialect::Resp),
            Self::OpenaiChat
            | Self::OpenaiResponses
            | Self::AnthropicMessages
            | Self::Gemini
            | Self::VertexGemini
            | Self::KiroEventstream
            | Self::OllamaChat
            | Self::CursorConnect => self.dialect(),
        }
    }
}

/// How the credential is written into its header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// `Bearer <t>`.
    Bearer,
    /// `<t>`.
    Raw,
    /// `Token <t>`.
    Token,
    /// `Key <t>`.
    Key,
    /// A fixed value.
    Literal,
    /// Nothing is sent.
    None,
}

/// Where the credential goes.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Auth {
    /// Header name, lower case.
    #[serde(deserialize_with = "lower_case")]
    pub header: String,
    /// How it is written.
    pub scheme: Scheme,
    /// The fixed value of [`Scheme::Literal`].
    pub value: Option<String>,
    /// The header is left out when the account has no key.
    #[serde(default)]
    pub optional: bool,
}

impl Auth {
    /// `authorization: Bearer`.
    #[must_use]
    pub fn bearer() -> Self {
        Self::of("authorization", Scheme::Bearer)
    }

    /// The key alone in the header `name`.
    #[must_use]
    pub fn raw(name: &str) -> Self {
        Self::of(name, Scheme::Raw)
    }

    /// No credential.
    #[must_use]
    pub fn none() -> Self {
        Self::of("authorization", Scheme::None)
    }

    /// The same, left out when the account has no key.
    #[must_use]
    pub fn or_nothing(self) -> Self {
        Self { optional: true, ..self }
    }

    fn of(header: &str, scheme: Scheme) -> Self {
        Self { header: header.to_ascii_lowercase(), scheme, value: None, optional: false }
    }
}

/// A header an endpoint wants.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct HeaderRule {
    /// Header name, lower case.
    #[serde(deserialize_with = "lower_case")]
    pub name: String,
    /// Value, may hold placeholders.
    pub value: String,
    /// The endpoint refuses or misbehaves without it.
    #[serde(default)]
    pub required: bool,
    /// The value is sent as it is: braces in an operator's header are no placeholders.
    #[serde(skip)]
    pub literal: bool,
}

/// One transport of a provider.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Endpoint {
    /// Unique inside the provider.
    pub name: String,
    /// What it is called with.
    pub wire: Wire,
    /// Scheme, host and leading path; may hold placeholders.
    pub base_url: String,
    /// Path of a call.
    pub path: String,
    /// Query of a call.
    pub query: Option<String>,
    /// Path of a streaming call, when it differs.
    pub stream_path: Option<String>,
    /// Query of a streaming call, when it differs.
    pub stream_query: Option<String>,
    /// Path that counts tokens.
    pub count_tokens: Option<String>,
    /// Path that compacts a conversation.
    pub compact_path: Option<String>,
    /// Further hosts, tried in order.
    #[serde(default)]
    pub fallback_base_urls: Vec<String>,
    /// Where the credential goes.
    pub auth: Auth,
    /// A second header with the same credential: Anthropic-compatible hosts differ in which one they read.
    #[serde(skip)]
    pub also_auth: Option<Auth>,
    /// Put before the credential unless already there.
    pub token_prefix: Option<String>,
    /// Headers it wants.
    #[serde(default)]
    pub headers: Vec<HeaderRule>,
    /// It only streams.
    #[serde(default)]
    pub force_stream: bool,
    /// Only models that name it use it.
    #[serde(skip)]
    pub fixed_only: bool,
    /// Text for people.
    pub note: Option<String>,
}

/// Endpoint names that are used only when the account selects them.
const SELECTED_ONLY: [&str; 5] = ["general", "express", "openai_compat", "v1", "agent"];

impl Endpoint {
    /// A transport that has a wire, an address and a path, and nothing else.
    pub(super) fn bare(wire: Wire, base_url: &str, path: &str, auth: Auth) -> Self {
        Self {
            name: "default".to_owned(),
            wire,
            base_url: base_url.to_owned(),
            path: path.to_owned(),
            query: None,
            stream_path: None,
            stream_query: None,
            count_tokens: None,
            compact_path: None,
            fallback_base_urls: Vec::new(),
            auth,
            also_auth: None,
            token_prefix: None,
            headers: Vec::new(),
            force_stream: false,
            fixed_only: false,
            note: None,
        }
    }

    /// The dialect a client's body can be sent in as it is.
    #[must_use]
    pub fn dialect(&self) -> Option<Dialect> {
        if self.is_event_stream_framed() { None } else { self.wire.dialect() }
    }

    /// The dialect a body can be written in for it, and what is wrapped around; `None` for protocols that
    /// this router does not speak.
    #[must_use]
    pub fn speaks(&self) -> Option<(Dialect, Envelope)> {
        let envelope = match self.wire {
            Wire::VertexGemini => Envelope::Vertex,
            Wire::OpenaiChat
            | Wire::OpenaiResponses
            | Wire::AnthropicMessages
            | Wire::Gemini
            | Wire::GeminiCliEnvelope
            | Wire::AntigravityEnvelope
            | Wire::CodexResponses
            | Wire::KiroEventstream
            | Wire::OllamaChat
            | Wire::CursorConnect => Envelope::Plain,
        };
        Some((self.dialect()?, envelope))
    }

    /// True when it is used only by accounts that name it.
    #[must_use]
    pub fn is_selected_only(&self) -> bool {
        SELECTED_ONLY.contains(&self.name.as_str())
    }

    /// True when a URL or a required header needs the value `name`.
    #[must_use]
    pub fn uses(&self, name: &str) -> bool {
        let holds = |text: &str| {
            text.contains(&format!("{{{name}}}"))
                || (name == "location" && text.contains("{location_host}"))
        };
        [Some(&self.base_url), Some(&self.path), self.query.as_ref(), self.stream_path.as_ref()]
            .into_iter()
            .flatten()
            .any(|text| holds(text))
            || self.headers.iter().any(|h| h.required && !h.literal && holds(&h.value))
    }

    /// Bedrock's invoke wraps Anthropic events into AWS frames (providers §3.17).
    fn is_event_stream_framed(&self) -> bool {
        self.stream_path.as_deref().is_some_and(|p| p.ends_with("/invoke-with-response-stream"))
    }
}

fn lower_case<'de, D: Deserializer<'de>>(d: D) -> Result<String, D::Error> {
    String::deserialize(d).map(|s| s.to_ascii_lowercase())
}
