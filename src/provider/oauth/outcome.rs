//! What an answer of a token endpoint means (accounts §3.4).

use crate::clock::UnixMs;
use crate::provider::oauth::codes::Codes;
use crate::provider::oauth::family::Family;
use crate::provider::oauth::reply::{self, NotTokens, Tokens};
use crate::redact::redact_text;
use crate::routing::instant::{self, MINUTE, SECOND};

/// A throttled endpoint is left alone for at least …
const SHORTEST_THROTTLE_MS: i64 = 5 * SECOND;
/// … and at most this long; when it does not say how long, for a minute.
const LONGEST_THROTTLE_MS: i64 = 5 * MINUTE;
const USUAL_THROTTLE_MS: i64 = MINUTE;
/// Longest text of a vendor that is shown.
const LONGEST_TEXT: usize = 200;

/// Codes that end a refresh token.
const PERMANENT: &[&str] = &[
    "invalid_grant",
    "refresh_token_reused",
    "refresh_token_expired",
    "refresh_token_invalidated",
    "token_revoked",
    "bad_refresh_token",
    "InvalidGrantException",
    "ExpiredTokenException",
];
/// Codes that name the client, not the token.
const CONFIGURATION: &[&str] = &[
    "InvalidClientException",
    "invalid_client",
    "unauthorized_client",
    "deleted_client",
    "expired_client_registration",
];
/// Codes of a policy of the account's organisation.
const POLICY: &[&str] = &["access_denied", "admin_policy_enforced"];
/// Codes that name a fault in our own request.
const OURS: &[&str] = &["invalid_scope", "invalid_request"];

/// An answer, as far as it matters.
#[derive(Clone, Copy, Debug)]
pub struct TokenAnswer<'a> {
    /// HTTP status.
    pub status: u16,
    /// Value of `retry-after`.
    pub retry_after: Option<&'a str>,
    /// Value of `retry-after-ms`.
    pub retry_after_ms: Option<&'a str>,
    /// The body, as far as it was read.
    pub body: &'a [u8],
    /// When it arrived, Unix ms.
    pub now: UnixMs,
}

/// What follows from a failure.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FailureKind {
    /// It may work later; a valid access token stays in use.
    Transient,
    /// Not to be called before this instant, Unix ms.
    Throttled(UnixMs),
    /// The refresh token is finished: the code.
    Permanent(&'static str),
    /// Client id, secret or registration is wrong; only the operator can mend it.
    Configuration,
    /// The account's organisation forbids it.
    Policy,
    /// Our request was at fault: once more without `scope`, then as [`FailureKind::Transient`], with a warning.
    Ours,
    /// No such path: the vendor's next address, when it has one.
    NoSuchPath,
}

/// A refresh that gave no tokens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// What follows.
    pub kind: FailureKind,
    /// Status; `None` = no answer.
    pub status: Option<u16>,
    /// Cause in words for the operator. Redacted.
    pub text: String,
}

impl Failure {
    /// Nothing came that is an answer: network, time-out, a body cut off.
    #[must_use]
    pub fn unanswered(why: &str) -> Self {
        Self { kind: FailureKind::Transient, status: None, text: redact_text(why).into_owned() }
    }
}

/// Reads an answer.
///
/// # Errors
/// Whatever is no new token, classified.
pub fn judge(family: &Family, answer: &TokenAnswer<'_>) -> Result<Tokens, Failure> {
    let status = answer.status;
    let failed = |kind, text: String| Failure { kind, status: Some(status), text };
    let says = |what: &str| format!("the token endpoint answered {status}{what}");
    let object = reply::object(answer.body);
    let codes = object.as_ref().map(Codes::read).unwrap_or_default();
    if (200..=299).contains(&status) {
        let read = reply::parse(answer.body, answer.now, family.default_life_ms);
        return match read {
            Ok(tokens) => Ok(tokens),
            // GitHub sends its errors with 200.
            Err(NotTokens::NoAccessToken) if codes.first().is_some() => {
                Err(failed(named(&codes).unwrap_or(FailureKind::Transient), said(&codes, &says)))
            }
            Err(error) => Err(failed(FailureKind::Transient, error.to_string())),
        };
    }
    let kind = match status {
        429 => FailureKind::Throttled(throttled_until(answer)),
        404 | 405 => named(&codes).unwrap_or(FailureKind::NoSuchPath),
        400..=499 if status != 408 => match named(&codes) {
            Some(kind) => kind,
            // A page in front of the endpoint refuses nobody for good.
            None if family.refusal_is_final && matches!(status, 401 | 403) && object.is_ok() => {
                FailureKind::Permanent("refused")
            }
            None => FailureKind::Transient,
        },
        // 3xx is not followed; 5xx may be over soon.
        _ => FailureKind::Transient,
    };
    Err(failed(kind, said(&codes, &says)))
}

/// What the codes of a body mean.
fn named(codes: &Codes) -> Option<FailureKind> {
    if let Some(code) = codes.among(PERMANENT) {
        return Some(FailureKind::Permanent(code));
    }
    if codes.among(CONFIGURATION).is_some() || names_registration(codes) {
        return Some(FailureKind::Configuration);
    }
    if codes.among(POLICY).is_some() {
        return Some(FailureKind::Policy);
    }
    codes.among(OURS).map(|_| FailureKind::Ours)
}

/// AWS names an expired client registration in words only.
fn names_registration(codes: &Codes) -> bool {
    let says = |text: &String| text.to_ascii_lowercase().contains("expired client registration");
    codes.text.as_ref().is_some_and(says)
}

fn said(codes: &Codes, says: &dyn Fn(&str) -> String) -> String {
    let mut what = codes.first().map(|code| format!(" ({code})")).unwrap_or_default();
    if let Some(text) = codes.text.as_deref().filter(|text| !text.trim().is_empty()) {
        let plain: String = text.chars().filter(|c| !c.is_control()).take(LONGEST_TEXT).collect();
        what.push_str(": ");
        what.push_str(&redact_text(&plain));
    }
    says(&what)
}

fn throttled_until(answer: &TokenAnswer<'_>) -> UnixMs {
    let now = answer.now;
    let millis = answer.retry_after_ms.and_then(|value| instant::decimal(value.trim(), 1));
    let seconds = || instant::decimal(answer.retry_after?.trim(), SECOND);
    let date = || Some(instant::date(answer.retry_after?)?.saturating_sub(now));
    let wait = millis.or_else(seconds).or_else(date).unwrap_or(USUAL_THROTTLE_MS);
    now.saturating_add(wait.clamp(SHORTEST_THROTTLE_MS, LONGEST_THROTTLE_MS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::catalog::Catalog;

    const NOW: UnixMs = 1_790_000_000_000;

    fn of(provider: &str, status: u16, body: &str) -> Result<Tokens, Failure> {
        let catalog = Catalog::builtin().unwrap();
        let family = Family::of(catalog.by_id(provider).unwrap()).unwrap();
        let answer = TokenAnswer {
            status,
            retry_after: None,
            retry_after_ms: None,
            body: body.as_bytes(),
            now: NOW,
        };
        judge(family, &answer)
    }

    fn kind(provider: &str, status: u16, body: &str) -> FailureKind {
        of(provider, status, body).unwrap_err().kind
    }

    /// Rows of accounts §3.4.
    #[test]
    fn every_row_of_the_table() {
        use FailureKind::{Configuration, NoSuchPath, Ours, Permanent, Policy, Transient};
        let invalid_grant =
            r#"{"error":"invalid_grant","error_description":"Refresh token not found or invalid"}"#;
        let rows = [
            // transient
            ("claude", 500, "", Transient),
            ("claude", 502, invalid_grant, Transient),
            ("claude", 408, "{}", Transient),
            ("claude", 200, "<!doctype html><title>Just a moment</title>", Transient),
            ("claude", 200, "{}", Transient),
            ("claude", 200, "[]", Transient),
            ("claude", 403, "<html>cf-ray</html>", Transient),
            ("claude", 302, "", Transient),
            ("claude", 401, "", Transient),
            ("claude", 400, "not json", Transient),
            // permanent
            ("claude", 400, invalid_grant, Permanent("invalid_grant")),
            ("claude", 401, invalid_grant, Permanent("invalid_grant")),
            (
                "claude",
                400,
                r#"{"type":"error","error":{"type":"invalid_grant","message":"x"}}"#,
                Permanent("invalid_grant"),
            ),
            (
                "codex",
                401,
                r#"{"error":{"code":"refresh_token_reused","type":"invalid_request_error","message":"x"}}"#,
                Permanent("refresh_token_reused"),
            ),
            (
                "codex",
                400,
                r#"{"error":{"code":"refresh_token_expired"}}"#,
                Permanent("refresh_token_expired"),
            ),
            (
                "codex",
                400,
                r#"{"error":"x","code":"refresh_token_invalidated"}"#,
                Permanent("refresh_token_invalidated"),
            ),
            ("codex", 401, r#"{"error":{"code":"token_revoked"}}"#, Permanent("token_revoked")),
            (
                "github",
                200,
                r#"{"error":"bad_refresh_token","error_description":"x"}"#,
                Permanent("bad_refresh_token"),
            ),
            (
                "qwen",
                400,
                r#"{"__type":"com.amazon#InvalidGrantException","message":"x"}"#,
                Permanent("InvalidGrantException"),
            ),
            (
                "qwen",
                400,
                r#"{"__type":"ExpiredTokenException"}"#,
                Permanent("ExpiredTokenException"),
            ),
            ("kimi-coding", 401, "{}", Permanent("refused")),
            ("xai", 403, r#"{"error":"whatever"}"#, Permanent("refused")),
            ("xai", 403, "<html>", Transient),
            // configuration
            ("qwen", 401, r#"{"__type":"InvalidClientException"}"#, Configuration),
            (
                "qwen",
                400,
                r#"{"error":"x","message":"Expired client registration"}"#,
                Configuration,
            ),
            ("gemini-cli", 401, r#"{"error":"invalid_client"}"#, Configuration),
            ("gemini-cli", 401, r#"{"error":"unauthorized_client"}"#, Configuration),
            ("gemini-cli", 401, r#"{"error":"deleted_client"}"#, Configuration),
            // ours
            ("claude", 400, r#"{"error":"invalid_scope"}"#, Ours),
            ("claude", 400, r#"{"error":"invalid_request"}"#, Ours),
            // policy
            ("gemini-cli", 403, r#"{"error":"access_denied"}"#, Policy),
            ("gemini-cli", 403, r#"{"error":"admin_policy_enforced"}"#, Policy),
            // another address
            ("claude", 404, "", NoSuchPath),
            ("claude", 405, "<html>", NoSuchPath),
        ];
        for (provider, status, body, want) in rows {
            assert_eq!(kind(provider, status, body), want, "{provider} {status} {body}");
        }
        let tokens =
            of("claude", 200, r#"{"access_token":"A","refresh_token":"","expires_in":"60"}"#)
                .unwrap();
        assert!(tokens.refresh_token.is_none());
    }

    #[test]
    fn a_throttled_endpoint_is_left_alone_as_long_as_it_says_within_bounds() {
        let wait = |retry_after, retry_after_ms| {
            let answer =
                TokenAnswer { status: 429, retry_after, retry_after_ms, body: b"{}", now: NOW };
            match judge(&super::super::claude::FAMILY, &answer).unwrap_err().kind {
                FailureKind::Throttled(until) => until - NOW,
                other => panic!("{other:?}"),
            }
        };
        for (value, want) in [
            (Some("30"), 30 * SECOND),
            (Some("0"), 5 * SECOND),
            (Some("-3"), 5 * SECOND),
            (Some("86400"), 5 * MINUTE),
            (Some("1e99"), MINUTE),
            (Some("soon"), MINUTE),
            (None, MINUTE),
        ] {
            let got = wait(value, None);
            // Numbers that are none fall back, or to the nearest bound.
            let near =
                matches!(value, Some("-3" | "1e99")) && (5 * SECOND..=5 * MINUTE).contains(&got);
            assert!(got == want || near, "{value:?}: {got}");
        }
        assert_eq!(wait(Some("9"), Some("7500")), 7_500);
        let date = jiff::Timestamp::from_millisecond(NOW + 90 * SECOND).unwrap();
        let date = date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        assert_eq!(wait(Some(&date), None), 90 * SECOND);
    }

    #[test]
    fn texts_for_the_operator_name_the_code_and_no_token() {
        let body = r#"{"error":"invalid_grant","error_description":"sk-ant-ort01-SECRETSECRETSECRETSECRET is unknown"}"#;
        let text = of("claude", 400, body).unwrap_err().text;
        assert!(text.contains("400 (invalid_grant)") && !text.contains("SECRETSECRET"), "{text}");
        let text = of("claude", 400, r#"{"error":"<script>alert(1)</script>"}"#).unwrap_err().text;
        assert_eq!(text, "the token endpoint answered 400");
    }
}
