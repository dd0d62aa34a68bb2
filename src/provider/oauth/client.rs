//! Whom the router is for a token endpoint: client id and secret (accounts §1.1, SEC-OA-7).

use crate::provider::catalog::Provider;
use crate::secret::Secret;

/// What the operator set for a provider: `oauth.<provider>.client_id` and `.client_secret`, or
/// `NINEROUTER_OAUTH_<PROVIDER>_CLIENT_ID` and `…_CLIENT_SECRET`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OperatorClient {
    /// An OAuth app of the operator's own.
    pub client_id: Option<String>,
    /// Its secret, or the one that comes with the official client.
    pub client_secret: Option<Secret>,
}

/// Client id and secret as they go out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Client {
    /// Public.
    pub id: String,
    /// For clients that have one.
    pub secret: Option<Secret>,
}

/// Something only the operator can supply.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ClientError {
    /// The provider has no sign-in.
    #[error("`{0}` has no sign-in")]
    NoSignIn(String),
    /// Neither the catalog nor the operator names one.
    #[error("no OAuth client id for `{0}`; set `oauth.{0}.client_id`")]
    NoId(String),
    /// The vendor wants a secret, and none is shipped.
    #[error(
        "`{0}` needs a client secret, which is not shipped; set `oauth.{0}.client_secret`, or \
         NINEROUTER_OAUTH_{1}_CLIENT_SECRET in the environment"
    )]
    NoSecret(String, String),
}

impl Client {
    /// The client for a provider: the one `own` to an account, else the operator's values, else the catalog's. The
    /// operator's secret belongs to another client than an account's own.
    ///
    /// # Errors
    /// See [`ClientError`]; its text names the setting.
    pub fn of(
        provider: &Provider,
        operator: Option<&OperatorClient>,
        own: Option<&str>,
    ) -> Result<Self, ClientError> {
        let id = || provider.id.to_string();
        let facts = provider.oauth.as_ref().ok_or_else(|| ClientError::NoSignIn(id()))?;
        let own = own.map(str::trim).filter(|own| !own.is_empty()).map(str::to_owned);
        let set = operator.and_then(|o| o.client_id.clone()).filter(|c| !c.trim().is_empty());
        let secret = operator.filter(|_| own.is_none()).and_then(|o| o.client_secret.clone());
        let secret = secret.filter(|secret| !secret.is_empty());
        let client_id = own.or(set).or_else(|| facts.client_id.clone());
        let client_id = client_id.ok_or_else(|| ClientError::NoId(id()))?;
        if facts.client_secret_required && secret.is_none() {
            return Err(ClientError::NoSecret(id(), variable_part(&provider.id)));
        }
        Ok(Self { id: client_id, secret })
    }
}

/// A provider's id as names of variables spell it: `gemini-cli` → `GEMINI_CLI`.
#[must_use]
pub fn variable_part(provider: &str) -> String {
    let spelled = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    provider.chars().map(spelled).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::catalog::Catalog;

    #[test]
    fn the_operators_client_wins_and_a_missing_secret_is_named() {
        let catalog = Catalog::builtin().unwrap();
        let claude = catalog.by_id("claude").unwrap();
        let google = catalog.by_id("gemini-cli").unwrap();
        let shipped = Client::of(claude, None, None).unwrap();
        assert_eq!(shipped.id, "9d1c250a-e61b-44d9-88ed-5944d1962f5e");
        let own = OperatorClient {
            client_id: Some("mine".into()),
            client_secret: Some(Secret::new("s".into())),
        };
        assert_eq!(Client::of(claude, Some(&own), None).unwrap().id, "mine");
        assert!(Client::of(google, Some(&own), None).unwrap().secret.is_some());
        let accounts_own = Client::of(claude, Some(&own), Some("another")).unwrap();
        assert_eq!(accounts_own, Client { id: "another".into(), secret: None });
        let text = Client::of(google, None, None).unwrap_err().to_string();
        assert!(text.contains("`oauth.gemini-cli.client_secret`"), "{text}");
        assert!(text.contains("NINEROUTER_OAUTH_GEMINI_CLI_CLIENT_SECRET"), "{text}");
        let openai = catalog.by_id("openai").unwrap();
        assert_eq!(Client::of(openai, None, None), Err(ClientError::NoSignIn("openai".into())));
    }
}
