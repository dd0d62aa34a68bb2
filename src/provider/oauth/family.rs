//! What differs between vendors' token endpoints, as data.

use std::time::Duration;

use crate::provider::catalog::Provider;
use crate::provider::oauth::follow::{Followed, NotFollowed};
use crate::provider::oauth::{claude, google};
use crate::routing::instant::HOUR;

/// Which `scope` goes out with a refresh.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RefreshScope {
    /// None: the endpoint keeps what was granted (RFC 6749 §6).
    None,
    /// What was granted at the sign-in, when it is known. Never less: a narrowed scope loses the refresh token.
    Granted,
    /// Always this one.
    Fixed(&'static str),
}

/// Distance between two background refreshes at one token host (accounts §3.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spacing {
    /// At least this.
    pub gap: Duration,
    /// And up to this much more.
    pub spread: Duration,
}

/// Reads another program's credential file.
pub type FileParser = fn(&[u8]) -> Result<Followed, NotFollowed>;

/// How a vendor's token endpoint differs from others.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Life of an access token whose answer names none, ms; `None` = unknown.
    pub default_life_ms: Option<i64>,
    /// The vendor's token URLs in the order they are tried; the next one only after 404 or 405.
    pub urls: &'static [&'static str],
    /// 401 and 403 end the refresh token whatever the body says.
    pub refusal_is_final: bool,
    /// What goes out as `scope`.
    pub scope: RefreshScope,
    /// Distance between background refreshes.
    pub spacing: Spacing,
    /// What a finished refresh token may mean at this vendor beside, for people.
    pub finished_help: Option<&'static str>,
    /// Reader of the official CLI's file, when there is one.
    pub file: Option<FileParser>,
}

/// RFC 6749 as it stands.
pub(super) const STANDARD: Family = Family {
    default_life_ms: None,
    urls: &[],
    refusal_is_final: false,
    scope: RefreshScope::None,
    spacing: Spacing { gap: Duration::from_millis(1_500), spread: Duration::from_millis(200) },
    finished_help: None,
    file: None,
};

const CODEX: Family = Family {
    default_life_ms: Some(10 * 24 * HOUR),
    scope: RefreshScope::Fixed("openid profile email"),
    ..STANDARD
};
const QWEN: Family = Family { default_life_ms: Some(6 * HOUR), ..STANDARD };
/// Kimi and xAI: a refusal of any wording is final (accounts §3.1).
const STRICT: Family = Family { refusal_is_final: true, ..STANDARD };

impl Family {
    /// The family of a provider. `None` = its tokens are not refreshed by this router: it has no sign-in, or a
    /// token call of its own shape.
    #[must_use]
    pub fn of(provider: &Provider) -> Option<&'static Self> {
        provider.oauth.as_ref()?;
        match &*provider.id {
            "claude" => Some(&claude::FAMILY),
            "codex" => Some(&CODEX),
            "gemini-cli" | "antigravity" => Some(&google::FAMILY),
            "qwen" => Some(&QWEN),
            "kimi-coding" | "xai" => Some(&STRICT),
            // Registered clients, Basic authorisation, camel-case bodies, no refresh at all.
            "kiro" | "iflow" | "cline" | "kilocode" => None,
            _ => Some(&STANDARD),
        }
    }

    /// Where a call goes that was to go to `url`: there, then the vendor's further addresses. An address of the
    /// operator's own has none.
    #[must_use]
    pub fn url_after<'a>(&self, url: &'a str, tried: usize) -> Option<&'a str>
    where
        'static: 'a,
    {
        if tried == 0 {
            return Some(url);
        }
        self.urls.contains(&url).then_some(())?;
        self.urls.iter().copied().filter(|other| *other != url).nth(tried - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::catalog::Catalog;

    #[test]
    fn only_the_vendors_own_address_has_further_ones() {
        let own = "https://platform.claude.com/v1/oauth/token";
        let asked = |url, tried| claude::FAMILY.url_after(url, tried);
        assert_eq!(asked(own, 0), Some(own));
        assert_eq!(asked(own, 1), Some("https://api.anthropic.com/v1/oauth/token"));
        assert_eq!(asked(own, 2), Some("https://console.anthropic.com/v1/oauth/token"));
        assert_eq!(asked(own, 3), None);
        let mine = "http://127.0.0.1:4001/token";
        assert_eq!((asked(mine, 0), asked(mine, 1)), (Some(mine), None));
    }

    #[test]
    fn every_sign_in_of_the_catalog_is_known_to_be_refreshed_or_not() {
        let catalog = Catalog::builtin().unwrap();
        let family = |id: &str| Family::of(catalog.by_id(id).unwrap());
        assert_eq!(family("claude").unwrap().default_life_ms, Some(8 * HOUR));
        assert!(family("xai").unwrap().refusal_is_final);
        assert!(family("kiro").is_none());
        assert!(family("openai").is_none(), "no sign-in, no refresh");
    }
}
