//! The text in a session cookie: a compact JWS, HS256 and nothing else (SEC-SES-1). It proves who issued it; what it is
//! worth, the session's row says.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::clock::UnixMs;
use crate::secret::Secret;

/// Version of the claims.
const VERSION: u8 = 1;
/// A clock that issued a token may have been this far ahead, seconds.
const SKEW_S: i64 = 120;
/// The key before the present one is heeded this long after the start, seconds (SEC-SES-5).
const PREVIOUS_S: i64 = 24 * 60 * 60;
/// Longest token, bytes: ours have about 230.
const LONGEST: usize = 1_024;

/// 128 random bits.
pub(super) type Sid = [u8; 16];

/// What a genuine token says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Claim {
    /// The session's id.
    pub sid: Sid,
    /// When the token was issued, Unix ms.
    pub issued_at: UnixMs,
    /// Generation of `auth_state` it belongs to.
    pub generation: i64,
}

/// Why a token is not believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum BadToken {
    /// No compact JWS of ours, or signed by somebody else.
    #[error("forged")]
    Forged,
    /// Past its end.
    #[error("expired")]
    Expired,
    /// Issued in the future.
    #[error("issued in the future")]
    Future,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    sid: String,
    iat: i64,
    exp: i64,
    r#gen: i64,
    v: u8,
}

/// Signs tokens, and tells genuine ones.
pub(super) struct Tokens {
    signing: EncodingKey,
    current: DecodingKey,
    previous: Option<DecodingKey>,
    started_s: i64,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens([redacted])")
    }
}

impl Tokens {
    /// `previous` is heeded for a day, for tokens that are older than `started_at`.
    pub(super) fn new(current: &[u8], previous: Option<&[u8]>, started_at: UnixMs) -> Self {
        Self {
            signing: EncodingKey::from_secret(current),
            current: DecodingKey::from_secret(current),
            previous: previous.map(DecodingKey::from_secret),
            started_s: seconds(started_at),
        }
    }

    /// A token. `None` when it cannot be signed, which the library knows no reason for.
    pub(super) fn issue(&self, claim: &Claim, expires_at: UnixMs) -> Option<Secret> {
        let claims = Claims {
            sid: BASE64_URL_SAFE_NO_PAD.encode(claim.sid),
            iat: seconds(claim.issued_at),
            exp: seconds(expires_at),
            r#gen: claim.generation,
            v: VERSION,
        };
        encode(&Header::new(Algorithm::HS256), &claims, &self.signing).ok().map(Secret::new)
    }

    /// Reads a token.
    ///
    /// # Errors
    /// Why it is not believed.
    pub(super) fn read(&self, token: &str, now: UnixMs) -> Result<Claim, BadToken> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        let dots = token.bytes().filter(|b| *b == b'.').count();
        if token.len() > LONGEST || dots != 2 || !token.bytes().all(plain) {
            return Err(BadToken::Forged);
        }
        let now_s = seconds(now);
        let claims = match verified(token, &self.current) {
            Some(claims) => claims,
            None => self.by_previous(token, now_s).ok_or(BadToken::Forged)?,
        };
        let sid = BASE64_URL_SAFE_NO_PAD.decode(&claims.sid).ok();
        let sid = sid.and_then(|bytes| Sid::try_from(bytes).ok()).ok_or(BadToken::Forged)?;
        if claims.v != VERSION {
            return Err(BadToken::Forged);
        }
        if claims.iat > now_s.saturating_add(SKEW_S) {
            return Err(BadToken::Future);
        }
        if claims.exp <= now_s {
            return Err(BadToken::Expired);
        }
        let issued_at = claims.iat.saturating_mul(1_000);
        Ok(Claim { sid, issued_at, generation: claims.r#gen })
    }

    /// SEC-SES-5. Whoever knows the old key can sign a token today, but none that was issued before this start.
    fn by_previous(&self, token: &str, now_s: i64) -> Option<Claims> {
        let key = self.previous.as_ref()?;
        if now_s >= self.started_s.saturating_add(PREVIOUS_S) {
            return None;
        }
        verified(token, key).filter(|claims| claims.iat <= self.started_s)
    }
}

/// The claims of a token that `key` signed. Its times are judged elsewhere, on the injected clock.
fn verified(token: &str, key: &DecodingKey) -> Option<Claims> {
    let mut rules = Validation::new(Algorithm::HS256);
    rules.required_spec_claims.clear();
    rules.validate_exp = false;
    rules.validate_aud = false;
    decode::<Claims>(token, key, &rules).ok().map(|data| data.claims)
}

fn seconds(ms: UnixMs) -> i64 {
    ms.div_euclid(1_000)
}

/// What is stored of a session id.
pub(super) fn sid_hash(sid: &Sid) -> [u8; 32] {
    Sha256::digest(sid).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = 1_800_000_000_000;
    const HOUR: i64 = 3_600_000;
    const KEY: &[u8] = &[7; 32];
    const OLD: &[u8] = &[8; 32];

    fn claim(issued_at: UnixMs) -> Claim {
        Claim { sid: [5; 16], issued_at, generation: 3 }
    }

    fn tokens() -> Tokens {
        Tokens::new(KEY, Some(OLD), NOW)
    }

    fn part(json: &str) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(json)
    }

    /// Signs any two parts with HMAC-SHA256, as a forger who knows a key would.
    fn signed(header: &str, claims: &str, key: &[u8]) -> String {
        use hmac::{Hmac, KeyInit, Mac};
        let text = format!("{}.{}", part(header), part(claims));
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(text.as_bytes());
        format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    }

    #[test]
    fn a_token_is_read_back_until_it_ends() {
        let token = tokens().issue(&claim(NOW), NOW + HOUR).unwrap();
        assert!(token.expose().starts_with(&part(r#"{"typ":"JWT","alg":"HS256"}"#)));
        assert_eq!(tokens().read(token.expose(), NOW + HOUR - 1), Ok(claim(NOW)));
        assert_eq!(tokens().read(token.expose(), NOW + HOUR), Err(BadToken::Expired));
        assert_eq!(tokens().read(token.expose(), NOW - 120_000), Ok(claim(NOW)));
        assert_eq!(tokens().read(token.expose(), NOW - 121_000), Err(BadToken::Future));
    }

    #[test]
    fn t_ses_01_forged_tokens_are_not_believed() {
        let exp = NOW / 1_000 + 3_600;
        let iat = NOW / 1_000;
        let claims = format!(
            r#"{{"sid":"{}","iat":{iat},"exp":{exp},"gen":3,"v":1}}"#,
            BASE64_URL_SAFE_NO_PAD.encode([5; 16])
        );
        let hs256 = r#"{"alg":"HS256","typ":"JWT"}"#;
        let good = signed(hs256, &claims, KEY);
        assert_eq!(tokens().read(&good, NOW), Ok(claim(NOW)));
        let unsigned = format!("{}.{}.", part(r#"{"alg":"none","typ":"JWT"}"#), part(&claims));
        let other_version = claims.replace(r#""v":1"#, r#""v":2"#);
        let more = claims.replace(r#""v":1"#, r#""v":1,"admin":true"#);
        let no_end = claims.replace(&format!(r#""exp":{exp},"#), "");
        for (name, token) in [
            ("alg none", unsigned),
            ("a published secret", signed(hs256, &claims, b"9router-default-secret-change-me")),
            ("an RS256 header", signed(r#"{"alg":"RS256","typ":"JWT"}"#, &claims, KEY)),
            ("an HS512 header", signed(r#"{"alg":"HS512","typ":"JWT"}"#, &claims, KEY)),
            ("a cut signature", good.get(..good.len() - 4).unwrap().to_owned()),
            ("no signature", good.get(..=good.rfind('.').unwrap()).unwrap().to_owned()),
            ("one dot more", format!("{good}.")),
            ("one dot more in front", format!(".{good}")),
            ("another version", signed(hs256, &other_version, KEY)),
            ("a claim nobody knows", signed(hs256, &more, KEY)),
            ("no end", signed(hs256, &no_end, KEY)),
            ("a short id", signed(hs256, &claims.replace(claims.get(8..30).unwrap(), "abc"), KEY)),
            ("nothing", String::new()),
            ("dots", "..".to_owned()),
            ("a quote", format!("\"{good}\"")),
            ("too much", format!("{good}{}", "A".repeat(LONGEST))),
        ] {
            assert_eq!(tokens().read(&token, NOW), Err(BadToken::Forged), "{name}");
        }
    }

    #[test]
    fn sec_ses_5_the_previous_key_is_heeded_for_a_day_and_for_old_tokens() {
        let before = Tokens::new(OLD, None, NOW - HOUR);
        let token = before.issue(&claim(NOW - HOUR), NOW + 40 * HOUR).unwrap();
        let token = token.expose();
        assert_eq!(tokens().read(token, NOW + 23 * HOUR), Ok(claim(NOW - HOUR)));
        assert_eq!(tokens().read(token, NOW + 24 * HOUR), Err(BadToken::Forged));
        let fresh = before.issue(&claim(NOW + HOUR), NOW + 9 * HOUR).unwrap();
        assert_eq!(tokens().read(fresh.expose(), NOW + 2 * HOUR), Err(BadToken::Forged));
        let without = Tokens::new(KEY, None, NOW);
        assert_eq!(without.read(token, NOW), Err(BadToken::Forged));
    }
}
