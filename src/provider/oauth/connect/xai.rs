//! xAI's sign-in for Grok (accounts §1.11): a code that a person enters at its page (RFC 8628).

use serde_json::Value;

use crate::provider::oauth::claims;
use crate::provider::oauth::connect::identity::{Identity, text};
use crate::provider::oauth::connect::{Object, SignIn, StartOption};

/// Device code alone; whose account it is stands in the identity token.
pub const SIGN_IN: SignIn = SignIn {
    redirects: &[],
    device: true,
    options: &[StartOption::ClientId],
    state_in_exchange: false,
    rotates: true,
    profile: None,
    identity,
    token_prefix: None,
    cli: None,
};

fn identity(reply: &Object, _profile: Option<&Object>) -> Identity {
    let token = reply.get("id_token").and_then(Value::as_str);
    let claims = token.and_then(claims::claims).unwrap_or_default();
    Identity {
        key: text(&claims, "sub"),
        email: text(&claims, "email"),
        organization: None,
        plan: None,
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_identity_token_names_the_account() {
        let payload =
            json!({"sub": "user-1", "email": "ada@x.example", "padding": "p".repeat(400)});
        let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload.to_string()));
        let reply = json!({"access_token": "a", "id_token": token});
        let found = identity(reply.as_object().unwrap(), None);
        assert_eq!(found.key.as_deref(), Some("user-1"));
        assert_eq!(found.email.as_deref(), Some("ada@x.example"));
        for odd in [json!({}), json!({"id_token": "no.jwt"}), json!({"id_token": 7})] {
            assert_eq!(identity(odd.as_object().unwrap(), None), Identity::default());
        }
    }
}
