//! The call that turns a code into tokens (RFC 6749 §4.1.3, accounts §1.1).

use crate::provider::catalog::OAuth;
use crate::provider::oauth::call::TokenCall;
use crate::provider::oauth::client::Client;
use crate::provider::oauth::connect::SignIn;
use crate::provider::oauth::family::Family;
use crate::secret::Secret;

/// What an exchange is made from.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    /// Facts of the catalog.
    pub oauth: &'a OAuth,
    /// How the vendor's sign-in differs.
    pub sign_in: &'a SignIn,
    /// How its token endpoint differs.
    pub family: &'a Family,
    /// Who asks.
    pub client: &'a Client,
    /// As it came back.
    pub code: &'a Secret,
    /// Of the challenge in the authorize address.
    pub verifier: &'a Secret,
    /// As in the authorize address.
    pub redirect_uri: &'a str,
    /// As in the authorize address.
    pub state: &'a str,
}

impl Exchange<'_> {
    /// The call, after so many of the vendor's addresses knew no such path. `None` = there is no further one.
    #[must_use]
    pub fn call(&self, addresses_tried: usize) -> Option<TokenCall> {
        let url = self.family.url_after(&self.oauth.token_url, addresses_tried)?;
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", self.code.expose()),
            ("redirect_uri", self.redirect_uri),
            ("client_id", self.client.id.as_str()),
            ("code_verifier", self.verifier.expose()),
        ];
        if self.sign_in.state_in_exchange {
            fields.push(("state", self.state));
        }
        if let Some(secret) = &self.client.secret {
            fields.push(("client_secret", secret.expose()));
        }
        Some(TokenCall::new(url, self.oauth.token_encoding, &fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::catalog::Catalog;

    #[test]
    fn claude_is_sent_json_with_state_and_its_further_addresses_follow() {
        let catalog = Catalog::builtin().unwrap();
        let provider = catalog.by_id("claude").unwrap();
        let client = Client::of(provider, None, None).unwrap();
        let (code, verifier) = (Secret::new("c-1".into()), Secret::new("v-1".into()));
        let exchange = Exchange {
            oauth: provider.oauth.as_ref().unwrap(),
            sign_in: SignIn::of(provider).unwrap(),
            family: Family::of(provider).unwrap(),
            client: &client,
            code: &code,
            verifier: &verifier,
            redirect_uri: "http://localhost:1/callback",
            state: "st",
        };
        let call = exchange.call(0).unwrap();
        assert_eq!(call.url, "https://platform.claude.com/v1/oauth/token");
        let body: serde_json::Value = serde_json::from_slice(&call.body).unwrap();
        let want = serde_json::json!({"grant_type": "authorization_code", "code": "c-1",
            "redirect_uri": "http://localhost:1/callback", "code_verifier": "v-1", "state": "st",
            "client_id": "9d1c250a-e61b-44d9-88ed-5944d1962f5e"});
        assert_eq!(body, want);
        assert_eq!(exchange.call(1).unwrap().url, "https://api.anthropic.com/v1/oauth/token");
        assert!(exchange.call(3).is_none());
    }
}
