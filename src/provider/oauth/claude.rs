//! Claude's token endpoint and the credential file of Claude Code (accounts §2.2, §3.1).

use serde::Deserialize;

use crate::clock::UnixMs;
use crate::provider::oauth::family::{Family, RefreshScope, STANDARD};
use crate::provider::oauth::follow::{Followed, NotFollowed};
use crate::routing::instant::HOUR;
use crate::secret::Secret;

/// Anthropic's endpoint: JSON bodies, tokens of 8 hours, a refresh token that is new after each use.
pub(super) const FAMILY: Family = Family {
    default_life_ms: Some(8 * HOUR),
    urls: &[
        "https://platform.claude.com/v1/oauth/token",
        "https://api.anthropic.com/v1/oauth/token",
        "https://console.anthropic.com/v1/oauth/token",
    ],
    scope: RefreshScope::Granted,
    file: Some(credentials_file),
    ..STANDARD
};

/// `~/.claude/.credentials.json`. Further members (tokens of tools) are left alone.
#[derive(Deserialize)]
struct File {
    #[serde(rename = "claudeAiOauth")]
    sign_in: Option<SignIn>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SignIn {
    access_token: String,
    refresh_token: Option<String>,
    /// Unix ms.
    expires_at: Option<f64>,
    #[serde(default)]
    scopes: Vec<String>,
    subscription_type: Option<String>,
    rate_limit_tier: Option<String>,
}

/// Reads the credential file of Claude Code, which is also what its macOS keychain entry holds.
///
/// # Errors
/// When it is no such file, or holds no sign-in.
pub fn credentials_file(bytes: &[u8]) -> Result<Followed, NotFollowed> {
    // The parser's own message may quote the file.
    let file: File = serde_json::from_slice(bytes).map_err(|_quotes| NotFollowed::Malformed)?;
    let found = file.sign_in.ok_or(NotFollowed::NoSignIn)?;
    let secret = |text: String| Some(text).filter(|t| !t.trim().is_empty()).map(Secret::new);
    Ok(Followed {
        access_token: secret(found.access_token).ok_or(NotFollowed::NoSignIn)?,
        refresh_token: found.refresh_token.and_then(secret),
        expires_at: found.expires_at.and_then(whole_ms),
        scope: (!found.scopes.is_empty()).then(|| found.scopes.join(" ")),
        plan: found.subscription_type,
        rate_tier: found.rate_limit_tier,
    })
}

#[expect(clippy::cast_possible_truncation, reason = "in range by the check before")]
#[expect(clippy::as_conversions, reason = "no other conversion of a float")]
fn whole_ms(ms: f64) -> Option<UnixMs> {
    // Up to the year 9999; older files wrote fractions.
    (1.0..2.6e14).contains(&ms).then_some(ms as UnixMs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_the_official_cli_is_read() {
        let text = br#"{"claudeAiOauth":{"accessToken":"sk-ant-oat01-A","refreshToken":"sk-ant-ort01-R",
            "expiresAt":1790000000000,"scopes":["user:inference","user:profile"],
            "subscriptionType":"max","rateLimitTier":"default_claude_max_5x"},"mcpOAuth":{"x":{"accessToken":1}}}"#;
        let read = credentials_file(text).unwrap();
        assert_eq!(read.access_token.expose(), "sk-ant-oat01-A");
        assert_eq!(read.refresh_token.unwrap().expose(), "sk-ant-ort01-R");
        assert_eq!(read.expires_at, Some(1_790_000_000_000));
        assert_eq!(read.scope.as_deref(), Some("user:inference user:profile"));
        assert_eq!(read.plan.as_deref(), Some("max"));
        assert_eq!(read.rate_tier.as_deref(), Some("default_claude_max_5x"));
    }

    #[test]
    fn what_is_no_such_file_is_said_to_be_none() {
        for (text, want) in [
            ("", NotFollowed::Malformed),
            ("[]", NotFollowed::Malformed),
            ("{}", NotFollowed::NoSignIn),
            (r#"{"claudeAiOauth":{"accessToken":""}}"#, NotFollowed::NoSignIn),
            (r#"{"claudeAiOauth":{"accessToken":7}}"#, NotFollowed::Malformed),
            (r#"{"claudeAiOauth":{"accessToken":"a","expiresAt":"soon"}}"#, NotFollowed::Malformed),
        ] {
            assert_eq!(credentials_file(text.as_bytes()).unwrap_err(), want, "{text}");
        }
        let odd = br#"{"claudeAiOauth":{"accessToken":"a","refreshToken":"","expiresAt":-5}}"#;
        let read = credentials_file(odd).unwrap();
        assert!(read.refresh_token.is_none() && read.expires_at.is_none() && read.scope.is_none());
    }
}
