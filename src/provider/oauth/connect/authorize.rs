//! The address of a vendor's authorize page, with PKCE (RFC 7636) and state.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest as _, Sha256};

use crate::provider::catalog::OAuth;
use crate::secret::Secret;

/// Everything but what RFC 3986 calls unreserved; a space becomes `%20`, never `+`.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What an authorize page is asked.
#[derive(Clone, Copy, Debug)]
pub struct Authorize<'a> {
    /// Facts of the catalog.
    pub oauth: &'a OAuth,
    /// Who asks.
    pub client_id: &'a str,
    /// Where the browser comes back.
    pub redirect_uri: &'a str,
    /// Known to the router alone.
    pub verifier: &'a Secret,
    /// Ties what comes back to this sign-in.
    pub state: &'a str,
}

impl Authorize<'_> {
    /// The address, with exactly the listed parameters. `None` = the catalog names no page.
    #[must_use]
    pub fn url(&self) -> Option<String> {
        let mut url = self.oauth.authorize_url.clone()?;
        let mut separator = if url.contains('?') { '&' } else { '?' };
        let mut add = |name: &str, value: &str| {
            url.push(separator);
            separator = '&';
            url.push_str(name);
            url.push('=');
            url.extend(utf8_percent_encode(value, ENCODED));
        };
        let extra = self.oauth.extra_params.as_deref().unwrap_or_default();
        for (name, value) in extra.split('&').filter_map(|pair| pair.split_once('=')) {
            add(name, value);
        }
        add("client_id", self.client_id);
        add("response_type", "code");
        add("redirect_uri", self.redirect_uri);
        if let Some(scopes) = &self.oauth.scopes {
            add("scope", scopes);
        }
        add("code_challenge", &challenge(self.verifier));
        add("code_challenge_method", "S256");
        add("state", self.state);
        Some(url)
    }
}

/// Text of 32 random bytes: a verifier, or a state.
#[must_use]
pub fn random_text(random: &[u8; 32]) -> String {
    URL_SAFE_NO_PAD.encode(random)
}

/// S256 of RFC 7636.
#[must_use]
pub fn challenge(verifier: &Secret) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.expose().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::catalog::Catalog;

    #[test]
    fn challenge_of_the_standards_example() {
        let verifier = Secret::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into());
        assert_eq!(challenge(&verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        assert_eq!(random_text(&[0xFB; 32]).len(), 43);
        assert!(!random_text(&[0xFB; 32]).contains(['+', '/', '=']));
    }

    #[test]
    fn claude_is_asked_exactly_what_is_listed() {
        let catalog = Catalog::builtin().unwrap();
        let oauth = catalog.by_id("claude").unwrap().oauth.as_ref().unwrap();
        let verifier = Secret::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into());
        let ask = Authorize {
            oauth,
            client_id: oauth.client_id.as_deref().unwrap(),
            redirect_uri: "http://localhost:20128/callback",
            verifier: &verifier,
            state: "st-1",
        };
        let text = ask.url().unwrap();
        assert!(
            !text.contains('+') && text.contains("user%3Aprofile%20user%3Ainference"),
            "{text}"
        );
        let url = url::Url::parse(&text).unwrap();
        assert_eq!(text.split('?').next().unwrap(), "https://claude.ai/oauth/authorize");
        let pairs: Vec<_> =
            url.query_pairs().map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
        let want = [
            ("code", "true"),
            ("client_id", "9d1c250a-e61b-44d9-88ed-5944d1962f5e"),
            ("response_type", "code"),
            ("redirect_uri", "http://localhost:20128/callback"),
            (
                "scope",
                "user:profile user:inference user:sessions:claude_code user:mcp_servers user:file_upload",
            ),
            ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
            ("code_challenge_method", "S256"),
            ("state", "st-1"),
        ];
        assert_eq!(pairs, want.map(|(n, v)| (n.to_owned(), v.to_owned())));
        assert!(!text.contains(verifier.expose()));
    }
}
