//! How accounts of a provider get and prove their credential.

use serde::{Deserialize, Serialize};

/// How an account gets its credential.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
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
