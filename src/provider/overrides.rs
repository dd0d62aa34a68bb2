//! Endpoint overrides of the operator's environment: a URL per provider and role (accounts §0.6).

use url::Url;

use crate::provider::entry::Provider;
use crate::provider::node::NetworkPolicy;
use crate::provider::sign_in::OAuth;

/// What a URL of a provider is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    /// Where the browser goes to sign in.
    Authorize,
    /// Where tokens come from.
    Token,
    /// Where a device code comes from.
    Device,
    /// Where the account's facts come from.
    UserInfo,
    /// Where the plan comes from.
    Profile,
    /// Where the project comes from.
    Project,
    /// Where a project is made.
    Onboard,
    /// Where quota is read.
    Quota,
    /// Where a Copilot token comes from.
    CopilotToken,
    /// Where inference goes.
    Api,
    /// Where tokens are refreshed.
    Refresh,
    /// Where a client is registered.
    Register,
}

impl Role {
    const ALL: [(&'static str, Self); 12] = [
        // longer names first: `COPILOT_TOKEN` also ends with `TOKEN`
        ("COPILOT_TOKEN", Self::CopilotToken),
        ("AUTHORIZE", Self::Authorize),
        ("TOKEN", Self::Token),
        ("DEVICE", Self::Device),
        ("USERINFO", Self::UserInfo),
        ("PROFILE", Self::Profile),
        ("PROJECT", Self::Project),
        ("ONBOARD", Self::Onboard),
        ("QUOTA", Self::Quota),
        ("API", Self::Api),
        ("REFRESH", Self::Refresh),
        ("REGISTER", Self::Register),
    ];

    /// The name in the environment variable.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, role)| *role == self).map_or("", |(name, _)| name)
    }
}

/// One override.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EndpointOverride {
    /// Catalog id, or its spelling in the variable (`GEMINI_CLI`).
    pub provider: String,
    /// What is replaced.
    pub role: Role,
    /// The operator's URL.
    pub url: String,
}

impl EndpointOverride {
    /// Reads the part of the variable's name after `NINEROUTER_ENDPOINT_`.
    ///
    /// # Errors
    /// When the name ends in no role, or names no provider.
    pub fn from_name(name: &str, url: &str) -> Result<Self, OverrideError> {
        let split = Role::ALL.iter().find_map(|(word, role)| {
            let provider = name.strip_suffix(word)?.strip_suffix('_')?;
            (!provider.is_empty()).then_some((provider, *role))
        });
        let Some((provider, role)) = split else {
            return Err(OverrideError::Name(name.to_owned()));
        };
        Ok(Self { provider: provider.to_owned(), role, url: url.trim().to_owned() })
    }

    /// True when it is meant for `id`: equal, or equal after upper-casing with `_` for every other
    /// character.
    #[must_use]
    pub fn is_for(&self, id: &str) -> bool {
        let spelled =
            |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        self.provider == id || id.chars().map(spelled).eq(self.provider.chars())
    }
}

/// An override that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OverrideError {
    /// The variable's name has no role at its end.
    #[error(
        "`NINEROUTER_ENDPOINT_{0}` names no role; end it with _API, _TOKEN, _AUTHORIZE, _DEVICE, \
         _USERINFO, _PROFILE, _PROJECT, _ONBOARD, _QUOTA, _COPILOT_TOKEN, _REFRESH or _REGISTER"
    )]
    Name(String),
    /// No provider has that id.
    #[error("endpoint override for `{0}`: no such provider; use a catalog id in upper case")]
    Provider(String),
    /// The value is no http URL.
    #[error("endpoint override {role} of `{provider}`: `{url}` is no http or https URL ({why})")]
    Url {
        /// Provider of the override.
        provider: String,
        /// Its role.
        role: &'static str,
        /// The value.
        url: String,
        /// What is wrong.
        why: &'static str,
    },
}

/// Replaces what `change` names. The provider then counts as the operator's own (SEC §9.1).
///
/// # Errors
/// When the URL cannot be used.
pub(super) fn apply(
    provider: &mut Provider,
    change: &EndpointOverride,
) -> Result<(), OverrideError> {
    let url = checked(provider, change)?;
    provider.overridden = true;
    provider.network = NetworkPolicy::PrivateAndLoopback;
    provider.insecure_http = true;
    match change.role {
        Role::Api => replace_api(provider, &url),
        Role::Quota => provider.apis.usage = Some(url),
        Role::Authorize => with_oauth(provider, |o| o.authorize_url = Some(url)),
        Role::Token => with_oauth(provider, |o| o.token_url = url),
        Role::Device => with_oauth(provider, |o| o.device_url = Some(url)),
        Role::UserInfo => with_oauth(provider, |o| o.userinfo_url = Some(url)),
        Role::Refresh => with_oauth(provider, |o| o.refresh_url = Some(url)),
        Role::Register => with_oauth(provider, |o| o.register_url = Some(url)),
        Role::Profile | Role::Project | Role::Onboard | Role::CopilotToken => {
            provider.role_urls.retain(|(role, _)| *role != change.role);
            provider.role_urls.push((change.role, url));
        }
    }
    Ok(())
}

fn replace_api(provider: &mut Provider, base: &str) {
    for endpoint in &mut provider.endpoints {
        base.clone_into(&mut endpoint.base_url);
        // the vendor's further hosts are not the operator's
        endpoint.fallback_base_urls.clear();
    }
    for url in provider.apis.plain_urls_mut() {
        *url = format!("{base}{}", after_origin(url));
    }
    // a key is checked where it is used
    if let Some(url) = &mut provider.validate.url {
        *url = format!("{base}{}", after_origin(url));
    }
}

/// Path and query of a URL that may begin with a placeholder.
fn after_origin(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("")
}

fn with_oauth(provider: &mut Provider, change: impl FnOnce(&mut OAuth)) {
    if let Some(oauth) = &mut provider.oauth {
        change(oauth);
    }
}

fn checked(provider: &Provider, change: &EndpointOverride) -> Result<String, OverrideError> {
    let bad = |why| OverrideError::Url {
        provider: provider.id.to_string(),
        role: change.role.as_str(),
        url: change.url.clone(),
        why,
    };
    let url = Url::parse(&change.url).ok().ok_or_else(|| bad("not a URL"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad("other scheme"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad("user and password belong into the account"));
    }
    if url.fragment().is_some() {
        return Err(bad("no fragment allowed"));
    }
    if change.role == Role::Api && url.query().is_some() {
        return Err(bad("no query allowed in a base URL"));
    }
    // the parser's output, never the operator's spelling (SEC §9.2)
    Ok(String::from(url).trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_names_split_at_the_role() {
        let cases = [
            ("GEMINI_CLI_API", Some(("GEMINI_CLI", Role::Api))),
            ("GITHUB_COPILOT_TOKEN", Some(("GITHUB", Role::CopilotToken))),
            ("CLAUDE_TOKEN", Some(("CLAUDE", Role::Token))),
            ("API", None),
            ("_API", None),
            ("OPENAI_CHAT", None),
        ];
        for (name, want) in cases {
            let got = EndpointOverride::from_name(name, "http://x");
            match want {
                Some((provider, role)) => {
                    let got = got.unwrap();
                    assert_eq!((got.provider.as_str(), got.role), (provider, role));
                }
                None => assert_eq!(got, Err(OverrideError::Name(name.into()))),
            }
        }
    }

    #[test]
    fn provider_names_match_in_their_environment_spelling() {
        let over = EndpointOverride::from_name("GEMINI_CLI_API", "http://x").unwrap();
        assert!(over.is_for("gemini-cli"));
        assert!(!over.is_for("gemini"));
        let by_id =
            EndpointOverride { provider: "glm-cn".into(), role: Role::Api, url: "http://x".into() };
        assert!(by_id.is_for("glm-cn"));
        assert!(!by_id.is_for("glm"));
    }

    #[test]
    fn urls_after_their_origin() {
        assert_eq!(after_origin("https://a.example/v1/models?x=1"), "/v1/models?x=1");
        assert_eq!(after_origin("{base_url}/api/tags"), "/api/tags");
        assert_eq!(after_origin("https://a.example"), "");
    }
}
