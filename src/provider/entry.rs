//! One catalog entry: the typed shape of a provider and its endpoints.

use std::collections::HashMap;
use std::sync::Arc;

use ninerouter_dialect::Dialect;
use serde::{Deserialize, Deserializer};

use crate::provider::family::ErrorFamily;
use crate::provider::model::{Model, ModelKind};
use crate::provider::node::NetworkPolicy;
use crate::provider::overrides::Role;
use crate::provider::profile::{Profile, Quirk};
use crate::routing::account::Tier;

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

/// State of the upstream itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpstreamStatus {
    /// Works.
    Active,
    /// Works for some accounts only.
    Limited,
    /// Terms restrict use by other clients.
    Restricted,
    /// Shut down.
    Retired,
}

/// Whether calls to the provider can be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Support {
    /// Yes.
    Full,
    /// Entry only.
    Optional,
}

/// How an account gets its credential.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthKind {
    /// Browser sign-in.
    OauthPkce,
    /// Device code.
    OauthDevice,
    /// A key pasted by the operator.
    ApiKey,
    /// From another program's files.
    Import,
    /// Nothing needed.
    None,
}

/// Form of a pasted credential.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialForm {
    /// A token nobody looks into.
    #[default]
    Opaque,
    /// A Google key file, or an express key.
    ServiceAccountJson,
}

/// A value each account supplies.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Param {
    /// Name, used as `{name}`.
    pub name: String,
    /// Text for people.
    pub label: String,
    /// Nothing works without it.
    #[serde(default)]
    pub required: bool,
    /// Used when the account has none; empty = no default.
    #[serde(default)]
    pub default: String,
}

/// How a new credential is checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValidateMethod {
    /// A request to the given URL.
    Probe,
    /// The smallest chat call.
    ChatPing,
    /// The smallest embedding call.
    EmbedPing,
    /// Trust the expiry.
    TokenExpiry,
    /// There is a token.
    TokenExists,
    /// Mint a token.
    ServiceAccount,
    /// Not at all.
    None,
}

/// How a new credential is checked, with its URL.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Validate {
    /// The method.
    pub method: ValidateMethod,
    /// HTTP method of a probe.
    pub http: Option<String>,
    /// URL of a probe.
    pub url: Option<String>,
    /// Which statuses count, for people.
    pub ok: Option<String>,
}

/// Absolute URLs besides chat. Absent = not supported.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Apis {
    /// List of models.
    pub models: Option<String>,
    /// Which of them count, for people.
    pub models_filter: Option<String>,
    /// Embeddings.
    pub embeddings: Option<String>,
    /// Image generation.
    pub images: Option<String>,
    /// Image edits.
    pub images_edit: Option<String>,
    /// Speech.
    pub speech: Option<String>,
    /// Transcriptions.
    pub transcriptions: Option<String>,
    /// Ordering of documents.
    pub rerank: Option<String>,
    /// Compaction.
    pub compact: Option<String>,
    /// Quota.
    pub usage: Option<String>,
    /// Where the credential goes, for providers without endpoint.
    pub auth: Option<Auth>,
}

impl Apis {
    /// The URLs without an override role of their own: all but `usage`, whose role is QUOTA.
    pub(super) fn plain_urls_mut(&mut self) -> impl Iterator<Item = &mut String> {
        [
            &mut self.models,
            &mut self.embeddings,
            &mut self.images,
            &mut self.images_edit,
            &mut self.speech,
            &mut self.transcriptions,
            &mut self.rerank,
            &mut self.compact,
        ]
        .into_iter()
        .flatten()
    }

    /// Every URL with its key.
    pub(super) fn urls(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("models", &self.models),
            ("embeddings", &self.embeddings),
            ("images", &self.images),
            ("images_edit", &self.images_edit),
            ("speech", &self.speech),
            ("transcriptions", &self.transcriptions),
            ("rerank", &self.rerank),
            ("compact", &self.compact),
            ("usage", &self.usage),
        ]
        .into_iter()
        .filter_map(|(key, url)| url.as_deref().map(|u| (key, u)))
    }
}

/// Flow of a sign-in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OAuthFlow {
    /// Browser with PKCE.
    Pkce,
    /// Browser without PKCE.
    AuthorizationCode,
    /// Device code.
    Device,
    /// Device code with PKCE.
    DevicePkce,
    /// A vendor's own device flow.
    DeviceCustom,
    /// AWS SSO device flow.
    AwsSsoDevice,
}

/// Body of a token call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenEncoding {
    /// JSON.
    Json,
    /// Form.
    Form,
}

/// Facts of a provider's sign-in.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct OAuth {
    /// Flow.
    pub flow: OAuthFlow,
    /// Public client id.
    pub client_id: Option<String>,
    /// The operator supplies a client secret.
    #[serde(default)]
    pub client_secret_required: bool,
    /// Where the browser goes.
    pub authorize_url: Option<String>,
    /// Where a device code comes from.
    pub device_url: Option<String>,
    /// Where a device code is exchanged, when not at the token URL.
    pub exchange_url: Option<String>,
    /// Where tokens come from.
    pub token_url: String,
    /// Where tokens are refreshed, when not at the token URL.
    pub refresh_url: Option<String>,
    /// Where a client is registered.
    pub register_url: Option<String>,
    /// Where the account's facts come from.
    pub userinfo_url: Option<String>,
    /// Where the browser comes back.
    pub redirect_uri: Option<String>,
    /// Scopes, space separated.
    pub scopes: Option<String>,
    /// Further parameters of the authorize URL.
    pub extra_params: Option<String>,
    /// Body of a token call.
    pub token_encoding: TokenEncoding,
    /// Refresh when less than this is left, seconds.
    pub refresh_lead_s: u32,
    /// Text for people.
    pub note: Option<String>,
}

/// Rhythm of a quota window.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuotaKind {
    /// From first use, for some hours.
    Rolling,
    /// Every day at one time.
    Daily,
    /// Every week.
    Weekly,
    /// Every month.
    Monthly,
    /// A balance that runs out.
    Balance,
    /// Told by response headers.
    Headers,
    /// None.
    None,
}

/// What a quota counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuotaUnit {
    /// Requests.
    Requests,
    /// Tokens.
    Tokens,
    /// Percent.
    Percent,
    /// Credits.
    Credits,
    /// Money.
    Currency,
    /// Neurons.
    Neurons,
}

/// Where the state of a quota is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuotaSource {
    /// The usage URL.
    Api,
    /// Response headers.
    Headers,
    /// A calendar.
    Schedule,
    /// A documented number, for display only.
    Estimate,
}

/// One quota window.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Quota {
    /// Rhythm.
    pub kind: QuotaKind,
    /// What it counts.
    pub unit: Option<QuotaUnit>,
    /// Length of a rolling window.
    pub hours: Option<u32>,
    /// Allowance.
    pub limit: Option<u64>,
    /// What it covers; absent = the whole account.
    pub scope: Option<String>,
    /// Where its state is read.
    pub source: Option<QuotaSource>,
    /// Time of day of the reset, `HH:MM`.
    pub at: Option<String>,
    /// IANA zone, `UTC` or `local`.
    pub tz: Option<String>,
    /// Day of the month.
    pub day: Option<u8>,
    /// Text for people.
    pub note: Option<String>,
}

/// A provider: static facts of one upstream.
#[derive(Clone, PartialEq, Debug, Deserialize)]
pub struct Provider {
    /// Stable key of database and logs.
    #[serde(deserialize_with = "shared_text")]
    pub id: Arc<str>,
    /// Display name.
    pub name: String,
    /// Accepted prefixes of model ids; the first is the canonical one.
    pub aliases: Vec<String>,
    /// Price class.
    #[serde(deserialize_with = "tier")]
    pub tier: Tier,
    /// State of the upstream.
    pub upstream_status: UpstreamStatus,
    /// Whether calls can be made.
    pub support: Support,
    /// Text for the card.
    pub status_note: Option<String>,
    /// Text before connecting.
    pub risk_notice: Option<String>,
    /// Text for the card.
    pub notes: Option<String>,
    /// How accounts get credentials, preferred first.
    pub auth: Vec<AuthKind>,
    /// Form of a pasted credential.
    #[serde(default)]
    pub credential: CredentialForm,
    /// What it offers.
    pub kinds: Vec<ModelKind>,
    /// Two letters for the dashboard.
    pub badge: String,
    /// Order in lists, low first.
    pub priority: u32,
    /// Has a free allowance.
    #[serde(default)]
    pub free_quota: bool,
    /// Runs on the operator's machine or network.
    #[serde(default)]
    pub local: bool,
    /// Ids not in the catalog are sent as they are.
    #[serde(default)]
    pub passthrough_models: bool,
    /// Accounts may store their own base URL.
    #[serde(default)]
    pub base_url_override: bool,
    /// HTTP/2 is asked for.
    #[serde(default)]
    pub h2: bool,
    /// Link of the dashboard.
    pub signup_url: Option<String>,
    /// Link of the dashboard.
    pub key_url: Option<String>,
    /// Rules of this upstream.
    #[serde(default)]
    pub quirks: Vec<Quirk>,
    /// Flags of the wire `openai_chat`.
    #[serde(default)]
    pub profile: Profile,
    /// Suffixes accepted on any id and stripped before sending.
    #[serde(default)]
    pub virtual_suffixes: Vec<String>,
    /// Values each account supplies.
    #[serde(default)]
    pub params: Vec<Param>,
    /// How a new credential is checked.
    pub validate: Validate,
    /// URLs besides chat.
    #[serde(default)]
    pub apis: Apis,
    /// Sign-in.
    pub oauth: Option<OAuth>,
    /// Transports; the first is the default.
    #[serde(rename = "endpoint", default)]
    pub endpoints: Vec<Endpoint>,
    /// Quota windows.
    #[serde(rename = "quota", default)]
    pub quotas: Vec<Quota>,
    /// Models.
    #[serde(rename = "catalog", default, deserialize_with = "models")]
    pub models: Vec<Model>,
    /// True for an operator's node.
    #[serde(skip)]
    pub node: bool,
    /// Addresses it may have.
    #[serde(skip)]
    pub network: NetworkPolicy,
    /// Plain http to a public address is allowed.
    #[serde(skip)]
    pub insecure_http: bool,
    /// The operator's environment replaces its URLs.
    #[serde(skip)]
    pub overridden: bool,
    /// Replaced URLs of roles the catalog has no field for.
    #[serde(skip)]
    pub role_urls: Vec<(Role, String)>,
    /// Whose error vocabulary it speaks.
    #[serde(skip)]
    pub family: ErrorFamily,
    #[serde(skip)]
    pub(super) by_id: HashMap<String, usize>,
    #[serde(skip)]
    pub(super) by_lower_id: HashMap<String, usize>,
}

impl Provider {
    /// The canonical prefix of model ids.
    #[must_use]
    pub fn prefix(&self) -> &str {
        self.aliases.first().map_or(&*self.id, String::as_str)
    }

    /// The model `id` names: the exact spelling first, then without case.
    #[must_use]
    pub fn model(&self, id: &str) -> Option<&Model> {
        let at = match self.by_id.get(id) {
            Some(at) => Some(at),
            None => self.by_lower_id.get(id.to_ascii_lowercase().as_str()),
        };
        at.and_then(|at| self.models.get(*at))
    }

    /// The endpoint called `name`.
    #[must_use]
    pub fn endpoint(&self, name: &str) -> Option<&Endpoint> {
        self.endpoints.iter().find(|e| e.name == name)
    }

    /// True when ids outside the catalog are sent as they are.
    #[must_use]
    pub fn takes_any_model(&self) -> bool {
        self.node || self.passthrough_models
    }

    /// True when `quirk` applies.
    #[must_use]
    pub fn has_quirk(&self, quirk: Quirk) -> bool {
        self.quirks.contains(&quirk)
    }

    /// True when accounts may hold a plain key.
    #[must_use]
    pub fn takes_api_key(&self) -> bool {
        self.auth.contains(&AuthKind::ApiKey)
    }

    /// A provider that has a name and nothing else.
    pub(super) fn bare(id: &str, name: &str) -> Self {
        Self {
            id: id.into(),
            name: name.to_owned(),
            aliases: Vec::new(),
            tier: Tier::Paid,
            upstream_status: UpstreamStatus::Active,
            support: Support::Full,
            status_note: None,
            risk_notice: None,
            notes: None,
            auth: Vec::new(),
            credential: CredentialForm::Opaque,
            kinds: Vec::new(),
            badge: String::new(),
            priority: u32::MAX,
            free_quota: false,
            local: false,
            passthrough_models: false,
            base_url_override: false,
            h2: false,
            signup_url: None,
            key_url: None,
            quirks: Vec::new(),
            profile: Profile::default(),
            virtual_suffixes: Vec::new(),
            params: Vec::new(),
            validate: Validate { method: ValidateMethod::None, http: None, url: None, ok: None },
            apis: Apis::default(),
            oauth: None,
            endpoints: Vec::new(),
            quotas: Vec::new(),
            models: Vec::new(),
            node: false,
            network: NetworkPolicy::default(),
            insecure_http: false,
            overridden: false,
            role_urls: Vec::new(),
            family: ErrorFamily::default(),
            by_id: HashMap::new(),
            by_lower_id: HashMap::new(),
        }
    }

    /// Fills what is computed from the entry itself.
    pub(super) fn complete(&mut self) {
        if self.local {
            self.network = NetworkPolicy::PrivateAndLoopback;
        }
        self.family = family(&self.id);
        for endpoint in &mut self.endpoints {
            let named = |m: &Model| m.endpoint.as_deref() == Some(endpoint.name.as_str());
            endpoint.fixed_only = self.models.iter().any(named);
        }
        self.index_models();
    }

    pub(super) fn index_models(&mut self) {
        self.by_id = self.models.iter().enumerate().map(|(i, m)| (m.id.clone(), i)).collect();
        self.by_lower_id.clear();
        for (i, model) in self.models.iter().enumerate() {
            // of ids that differ only in case the first listed one is meant
            self.by_lower_id.entry(model.id.to_ascii_lowercase()).or_insert(i);
        }
    }
}

/// Whose error vocabulary a catalog provider speaks.
fn family(id: &str) -> ErrorFamily {
    match id {
        "claude" | "anthropic" => ErrorFamily::Anthropic,
        "codex" => ErrorFamily::Codex,
        "gemini" | "gemini-cli" | "antigravity" | "vertex" | "vertex-partner" => {
            ErrorFamily::Google
        }
        "github" => ErrorFamily::Copilot,
        "kiro" => ErrorFamily::Kiro,
        "qwen" | "alicode" | "alicode-intl" | "dashscope" => ErrorFamily::Qwen,
        "iflow" => ErrorFamily::IFlow,
        "cursor" => ErrorFamily::Cursor,
        "glm" | "glm-cn" => ErrorFamily::Zai,
        "minimax" | "minimax-cn" => ErrorFamily::MiniMax,
        "kimi" | "kimi-coding" | "moonshot" => ErrorFamily::Kimi,
        "openai" => ErrorFamily::OpenAi,
        "deepseek" => ErrorFamily::DeepSeek,
        "openrouter" => ErrorFamily::OpenRouter,
        "xai" => ErrorFamily::XAi,
        "groq" => ErrorFamily::Groq,
        "azure" => ErrorFamily::Azure,
        _ => ErrorFamily::Generic,
    }
}

fn shared_text<'de, D: Deserializer<'de>>(d: D) -> Result<Arc<str>, D::Error> {
    String::deserialize(d).map(Arc::from)
}

fn lower_case<'de, D: Deserializer<'de>>(d: D) -> Result<String, D::Error> {
    String::deserialize(d).map(|s| s.to_ascii_lowercase())
}

fn models<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Model>, D::Error> {
    #[derive(Deserialize)]
    struct List {
        #[serde(default)]
        models: Vec<Model>,
    }
    List::deserialize(d).map(|list| list.models)
}

fn tier<'de, D: Deserializer<'de>>(d: D) -> Result<Tier, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Word {
        Subscription,
        Cheap,
        Paid,
        Free,
    }
    Ok(match Word::deserialize(d)? {
        Word::Subscription => Tier::Subscription,
        Word::Cheap => Tier::Cheap,
        Word::Paid => Tier::Paid,
        Word::Free => Tier::Free,
    })
}
