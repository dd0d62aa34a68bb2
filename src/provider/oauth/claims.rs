//! Claims of a JWT, decoded and never verified: it came straight from the token endpoint (accounts §1.1).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::clock::UnixMs;

/// The payload of a JWT. `None` for anything else: opaque tokens are the rule.
///
/// What it says is a label, never a reason to allow something.
#[must_use]
pub fn claims(token: &str) -> Option<Map<String, Value>> {
    let mut parts = token.split('.');
    let (_header, payload) = (parts.next()?, parts.next()?);
    parts.next()?;
    let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&payload).ok()
}

/// When a JWT ends, Unix ms.
#[must_use]
pub fn expiry(token: &str) -> Option<UnixMs> {
    let seconds = claims(token)?.get("exp")?.as_i64().filter(|exp| *exp > 0)?;
    seconds.checked_mul(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(payload: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn the_expiry_of_a_jwt_is_read_and_nothing_else_is_one() {
        assert_eq!(expiry(&jwt(r#"{"exp":1790000000}"#)), Some(1_790_000_000_000));
        assert_eq!(
            expiry(&format!("e30.{}==.x", URL_SAFE_NO_PAD.encode(r#"{"exp":7}"#))),
            Some(7_000)
        );
        for other in ["", "sk-ant-oat01-x", "a.b", "a.b.c", &jwt("[]"), &jwt(r#"{"exp":"7"}"#)] {
            assert_eq!(expiry(other), None, "{other}");
        }
        assert_eq!(expiry(&jwt(r#"{"exp":9223372036854775807}"#)), None);
    }
}
