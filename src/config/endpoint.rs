//! Endpoint overrides of the operator: `NINEROUTER_ENDPOINT_<PROVIDER>_<ROLE>` (accounts §0.6).

use crate::config::kind::web_url;

/// Names of roles, and which one a variable means.
const ROLES: &[(&str, Role)] = &[
    ("AUTHORIZE", Role::Authorize),
    ("TOKEN", Role::Token),
    ("DEVICE", Role::Device),
    ("USERINFO", Role::Userinfo),
    ("PROFILE", Role::Profile),
    ("PROJECT", Role::Project),
    ("ONBOARD", Role::Onboard),
    ("QUOTA", Role::Quota),
    ("COPILOT_TOKEN", Role::CopilotToken),
    ("API", Role::Api),
    ("REFRESH", Role::Refresh),
    ("REGISTER", Role::Register),
];

/// Which of a provider's URLs is replaced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Sign-in page.
    Authorize,
    /// Token endpoint.
    Token,
    /// Device code endpoint.
    Device,
    /// Who signed in.
    Userinfo,
    /// Profile of the plan.
    Profile,
    /// Project look-up.
    Project,
    /// Onboarding call.
    Onboard,
    /// Quota.
    Quota,
    /// Copilot's short-lived token.
    CopilotToken,
    /// Base URL of all inference endpoints.
    Api,
    /// Refresh endpoint, where it is not the token endpoint.
    Refresh,
    /// Client registration.
    Register,
}

/// One override.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EndpointOverride {
    /// Catalog id in the form of variable names: upper case, every other character `_`.
    pub provider: String,
    /// Which URL.
    pub role: Role,
    /// Canonical replacement.
    pub url: String,
    /// Name of the variable, for messages.
    pub variable: String,
}

impl EndpointOverride {
    /// True when it is about the provider with this catalog id.
    #[must_use]
    pub fn is_for(&self, provider_id: &str) -> bool {
        self.provider == variable_form(provider_id)
    }
}

/// A catalog id as it stands in variable names: `gemini-cli` is `GEMINI_CLI`.
#[must_use]
pub fn variable_form(provider_id: &str) -> String {
    provider_id
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
        .collect()
}

/// Provider and role in the rest of a variable's name after the prefix; the longest role name wins.
#[must_use]
pub fn split(rest: &str) -> Option<(&str, Role)> {
    let mut best: Option<(&str, Role)> = None;
    for (name, role) in ROLES {
        let provider = rest.strip_suffix(name).and_then(|rest| rest.strip_suffix('_'));
        if let Some(provider) = provider.filter(|p| !p.is_empty())
            && best.is_none_or(|(shortest, _)| provider.len() < shortest.len())
        {
            best = Some((provider, *role));
        }
    }
    best
}

/// Names of all roles, for messages.
#[must_use]
pub fn role_names() -> String {
    let names: Vec<&str> = ROLES.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}

/// Reads the URL of an override.
#[must_use]
pub fn read_url(text: &str) -> Option<String> {
    web_url(text.trim()).map(|url| url.as_str().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_split_into_provider_and_role() {
        for (rest, want) in [
            ("GLM_API", Some(("GLM", Role::Api))),
            ("GEMINI_CLI_TOKEN", Some(("GEMINI_CLI", Role::Token))),
            ("GITHUB_COPILOT_TOKEN", Some(("GITHUB", Role::CopilotToken))),
            ("MY_API_API", Some(("MY_API", Role::Api))),
            ("API", None),
            ("_API", None),
            ("GLM_APIS", None),
            ("GLM", None),
        ] {
            assert_eq!(split(rest), want, "{rest}");
        }
        assert_eq!(variable_form("gemini-cli"), "GEMINI_CLI");
        assert_eq!(variable_form("glm.cn"), "GLM_CN");
    }

    #[test]
    fn urls_are_plain_web_addresses() {
        for (text, want) in [
            ("http://127.0.0.1:4001/v1/", Some("http://127.0.0.1:4001/v1")),
            ("https://mock.example", Some("https://mock.example")),
            ("https://u:p@mock.example", None),
            ("https://mock.example/#x", None),
            ("file:///etc/passwd", None),
            ("mock.example", None),
        ] {
            assert_eq!(read_url(text).as_deref(), want, "{text}");
        }
    }
}
