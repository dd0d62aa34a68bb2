//! One catalog entry: the typed shape of a provider.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};

use crate::provider::apis::Apis;
use crate::provider::family::ErrorFamily;
use crate::provider::model::{Model, ModelKind};
use crate::provider::node::NetworkPolicy;
use crate::provider::overrides::Role;
use crate::provider::profile::{Profile, Quirk};
use crate::provider::quota::Quota;
use crate::provider::sign_in::{AuthKind, CredentialForm, OAuth, Param, Validate, ValidateMethod};
use crate::provider::transport::Endpoint;
use crate::routing::account::Tier;

/// State of the upstream itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
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
