//! Signing in with a code that a person enters elsewhere (RFC 8628): two calls, and what their answers mean. Sans-IO.

use serde_json::Value;
use url::Url;

use super::Object;
use crate::provider::catalog::{OAuth, OAuthFlow};
use crate::provider::oauth::call::TokenCall;
use crate::provider::oauth::client::Client;
use crate::provider::oauth::codes::Codes;
use crate::provider::oauth::connect::authorize::challenge;
use crate::provider::oauth::family::Family;
use crate::provider::oauth::outcome::{self, FailureKind, TokenAnswer};
use crate::provider::oauth::reply::{self, Tokens};
use crate::routing::instant::{MINUTE, SECOND};
use crate::secret::Secret;

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// Pause between two questions at least, and when the vendor names none.
const SHORTEST_INTERVAL_MS: i64 = 5 * SECOND;
/// Each `slow_down` adds this for good (RFC 8628 §3.5).
const SLOWER_BY_MS: i64 = 5 * SECOND;
/// Pause after a question that nobody answered, at most.
const LONGEST_RETREAT_MS: i64 = 30 * SECOND;
/// A code lives at most this long here, whatever its vendor says (accounts §1.1).
const LONGEST_LIFE_MS: i64 = 15 * MINUTE;
const SHORTEST_LIFE_MS: i64 = 30 * SECOND;
/// Longest user code a person can be asked to type.
const LONGEST_USER_CODE: usize = 64;

/// What both calls are made from.
#[derive(Clone, Copy, Debug)]
pub struct DeviceAsk<'a> {
    /// Facts of the catalog.
    pub oauth: &'a OAuth,
    /// Who asks.
    pub client: &'a Client,
    /// Known to the router alone; goes out only where the vendor's flow has PKCE.
    pub verifier: &'a Secret,
}

impl DeviceAsk<'_> {
    /// Asks for a code. `None` = the catalog names no place for that.
    #[must_use]
    pub fn code(&self) -> Option<TokenCall> {
        let url = self.oauth.device_url.as_deref()?;
        let mut fields = vec![("client_id", self.client.id.as_str())];
        if let Some(scopes) = &self.oauth.scopes {
            fields.push(("scope", scopes));
        }
        let challenge = self.has_pkce().then(|| challenge(self.verifier));
        if let Some(challenge) = &challenge {
            fields.extend([
                ("code_challenge", challenge.as_str()),
                ("code_challenge_method", "S256"),
            ]);
        }
        Some(TokenCall::new(url, self.oauth.token_encoding, &fields))
    }

    /// Asks whether the person has agreed.
    #[must_use]
    pub fn token(&self, device_code: &Secret) -> TokenCall {
        let mut fields = vec![
            ("grant_type", GRANT),
            ("device_code", device_code.expose()),
            ("client_id", self.client.id.as_str()),
        ];
        if self.has_pkce() {
            fields.push(("code_verifier", self.verifier.expose()));
        }
        if let Some(secret) = &self.client.secret {
            fields.push(("client_secret", secret.expose()));
        }
        TokenCall::new(&self.oauth.token_url, self.oauth.token_encoding, &fields)
    }

    fn has_pkce(&self) -> bool {
        self.oauth.flow == OAuthFlow::DevicePkce
    }
}

/// What a person is shown, and what buys the tokens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeviceCode {
    /// Redeemed once the person has agreed; never leaves the router.
    pub device_code: Secret,
    /// Typed by the person.
    pub user_code: String,
    /// Page where it is typed.
    pub verification_uri: String,
    /// The same page with the code filled in, when the vendor has one.
    pub verification_uri_complete: Option<String>,
    /// Pause between two questions, ms.
    pub interval_ms: i64,
}

/// Why an answer holds no code. The text never quotes it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoCode {
    /// A refusal: the vendor's words, redacted.
    #[error("{0}")]
    Refused(String),
    /// A page, a list, cut JSON, or too much of it.
    #[error("the vendor did not answer with a JSON object")]
    NotAnObject,
    /// A member that is needed and is not there, or is none that can be used.
    #[error("the vendor's answer holds no usable `{0}`")]
    Unusable(&'static str),
}

/// Reads the answer to [`DeviceAsk::code`]: the code, and how long it lives, ms.
///
/// # Errors
/// See [`NoCode`].
pub fn read_code(family: &Family, answer: &TokenAnswer<'_>) -> Result<(DeviceCode, i64), NoCode> {
    let object = reply::object(answer.body);
    let refused = object.as_ref().is_ok_and(|body| Codes::read(body).first().is_some());
    if refused || !(200..=299).contains(&answer.status) {
        // An answer without tokens: only what it says is of interest.
        let said = outcome::judge(family, answer).err().map(|failure| failure.text);
        return Err(NoCode::Refused(said.unwrap_or_default().replace("token endpoint", "vendor")));
    }
    let object = object.map_err(|_no_object| NoCode::NotAnObject)?;
    let text = |name: &str| object.get(name).and_then(Value::as_str).map(str::trim);
    let page = |names: [&str; 2]| names.into_iter().find_map(text).and_then(page);
    let device_code = text("device_code").filter(|code| !code.is_empty());
    let user_code = text("user_code").filter(|code| can_be_typed(code));
    let code = DeviceCode {
        device_code: Secret::new(device_code.ok_or(NoCode::Unusable("device_code"))?.to_owned()),
        user_code: user_code.ok_or(NoCode::Unusable("user_code"))?.to_owned(),
        verification_uri: page(["verification_uri", "verification_url"])
            .ok_or(NoCode::Unusable("verification_uri"))?,
        verification_uri_complete: page(["verification_uri_complete", "verification_url_complete"]),
        interval_ms: interval(&object).unwrap_or(SHORTEST_INTERVAL_MS),
    };
    let life = object.get("expires_in").and_then(reply::seconds);
    let life = life.map_or(LONGEST_LIFE_MS, |seconds| seconds.saturating_mul(SECOND));
    Ok((code, life.clamp(SHORTEST_LIFE_MS, LONGEST_LIFE_MS)))
}

/// A page a person may be sent to: https, or plain http of this computer.
fn page(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let here = || match url.host()? {
        url::Host::Domain(name) => Some(name == "localhost"),
        url::Host::Ipv4(ip) => Some(ip.is_loopback()),
        url::Host::Ipv6(ip) => Some(ip.is_loopback()),
    };
    let safe = url.scheme() == "https" || (url.scheme() == "http" && here() == Some(true));
    let plain = url.username().is_empty() && url.password().is_none();
    (safe && plain).then(|| String::from(url))
}

fn can_be_typed(code: &str) -> bool {
    let length = code.chars().count();
    (1..=LONGEST_USER_CODE).contains(&length)
        && code.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | ' ' | '.'))
}

fn interval(object: &Object) -> Option<i64> {
    let given = object.get("interval").and_then(reply::seconds)?;
    Some(given.saturating_mul(SECOND).clamp(SHORTEST_INTERVAL_MS, LONGEST_LIFE_MS))
}

/// How far the person is, by the answer to [`DeviceAsk::token`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Agreed: here are the tokens.
    Granted(Box<Tokens>),
    /// Not there yet.
    Pending,
    /// Not there yet, and asked too often; the vendor may say how often, ms.
    SlowDown(Option<i64>),
    /// No answer that means anything: network, a page, a fault of the vendor.
    Unclear(String),
    /// It is over: cause and remedy.
    Ended(String),
}

impl Progress {
    /// Reads an answer. What its body says counts before its status: vendors disagree on the status.
    #[must_use]
    pub fn read(family: &Family, answer: &TokenAnswer<'_>) -> Self {
        const KNOWN: &[&str] =
            &["authorization_pending", "slow_down", "expired_token", "access_denied"];
        let object = reply::object(answer.body).unwrap_or_default();
        let codes = Codes::read(&object);
        match codes.among(KNOWN) {
            Some("authorization_pending") => return Self::Pending,
            Some("slow_down") => return Self::SlowDown(interval(&object)),
            Some("expired_token") => {
                let text = "the code expired before anybody entered it; start again";
                return Self::Ended(text.to_owned());
            }
            Some("access_denied") => {
                let text = "you declined at the vendor; start again to connect";
                return Self::Ended(text.to_owned());
            }
            _ => {}
        }
        let failure = match outcome::judge(family, answer) {
            Ok(tokens) => return Self::Granted(Box::new(tokens)),
            Err(failure) => failure,
        };
        match (answer.status, failure.kind) {
            (202, _) => Self::Pending,
            (429, _) => Self::SlowDown(None),
            // A word that is not known here ends it, whatever the status; a page with 200 says nothing.
            (200..=299, FailureKind::Transient) if codes.first().is_none() => {
                Self::Unclear(failure.text)
            }
            (408 | 300..=399 | 500.., _) => Self::Unclear(failure.text),
            _ => Self::Ended(format!("{}; start again", failure.text)),
        }
    }
}

/// When to ask next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    interval_ms: i64,
    unclear: u32,
}

impl Pace {
    /// As the vendor asked for.
    #[must_use]
    pub fn new(interval_ms: i64) -> Self {
        Self { interval_ms: interval_ms.max(SHORTEST_INTERVAL_MS), unclear: 0 }
    }

    /// Pause between two questions that are answered, ms.
    #[must_use]
    pub fn interval_ms(self) -> i64 {
        self.interval_ms
    }

    /// Pause before the next question after this answer, ms.
    pub fn after(&mut self, progress: &Progress) -> i64 {
        self.unclear = match progress {
            Progress::Unclear(_) => self.unclear.saturating_add(1),
            _ => 0,
        };
        if let Progress::SlowDown(given) = progress {
            let slower = self.interval_ms.saturating_add(SLOWER_BY_MS);
            self.interval_ms = slower.max(given.unwrap_or(0));
        }
        let doubled = self.interval_ms.saturating_mul(1 << self.unclear.min(8));
        self.interval_ms.max(doubled.min(LONGEST_RETREAT_MS))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::provider::catalog::Catalog;
    use crate::provider::oauth::client::OperatorClient;

    const NOW: i64 = 1_790_000_000_000;

    fn of(status: u16, body: &[u8]) -> TokenAnswer<'_> {
        TokenAnswer { status, retry_after: None, retry_after_ms: None, body, now: NOW }
    }

    fn family() -> &'static Family {
        Family::of(Catalog::builtin().unwrap().by_id("xai").unwrap()).unwrap()
    }

    fn calls(provider: &str, secret: Option<&str>) -> (TokenCall, TokenCall) {
        let catalog = Catalog::builtin().unwrap();
        let provider = catalog.by_id(provider).unwrap();
        let operator = OperatorClient {
            client_id: None,
            client_secret: secret.map(|secret| Secret::new(secret.into())),
        };
        let client = Client::of(provider, Some(&operator), None).unwrap();
        let verifier = Secret::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into());
        let oauth = provider.oauth.as_ref().unwrap();
        let ask = DeviceAsk { oauth, client: &client, verifier: &verifier };
        (ask.code().unwrap(), ask.token(&Secret::new("dc-1".into())))
    }

    fn form(call: &TokenCall) -> Vec<(String, String)> {
        url::form_urlencoded::parse(&call.body).into_owned().collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn both_calls_hold_exactly_what_the_standard_lists() {
        let (code, token) = calls("xai", None);
        let id = "b1a00492-073a-47ea-816f-4c329264a828";
        let scope = "openid profile email offline_access grok-cli:access api:access";
        assert_eq!(code.url, "https://auth.x.ai/oauth2/device/code");
        assert_eq!(form(&code), pairs(&[("client_id", id), ("scope", scope)]));
        assert_eq!(token.url, "https://auth.x.ai/oauth2/token");
        let want = [("grant_type", GRANT), ("device_code", "dc-1"), ("client_id", id)];
        assert_eq!(form(&token), pairs(&want));
        let (_, with_secret) = calls("xai", Some("shh"));
        assert_eq!(form(&with_secret).last().unwrap().1, "shh");
    }

    #[test]
    fn a_flow_with_pkce_sends_the_challenge_first_and_the_verifier_later() {
        let (code, token) = calls("qwen", None);
        let code = form(&code);
        let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        let want = [("code_challenge", challenge), ("code_challenge_method", "S256")];
        assert_eq!(code[2..], pairs(&want));
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(form(&token).last().unwrap(), &pairs(&[("code_verifier", verifier)])[0]);
    }

    #[test]
    fn a_code_is_read_in_every_spelling_and_bounded() {
        let body = json!({"device_code": "d", "user_code": "WDJB-MJHT", "interval": "7", "expires_in": 1800,
            "verification_uri": "https://x.example/device",
            "verification_uri_complete": "https://x.example/device?user_code=WDJB-MJHT"});
        let (code, life) = read_code(family(), &of(200, body.to_string().as_bytes())).unwrap();
        assert_eq!((code.device_code.expose(), code.user_code.as_str()), ("d", "WDJB-MJHT"));
        assert_eq!(code.verification_uri, "https://x.example/device");
        let complete = "https://x.example/device?user_code=WDJB-MJHT";
        assert_eq!(code.verification_uri_complete.as_deref(), Some(complete));
        assert_eq!((code.interval_ms, life), (7_000, 15 * MINUTE));
        let body = json!({"device_code": "d", "user_code": "1234", "interval": 1, "expires_in": 60,
            "verification_url": "http://127.0.0.1:4001/device"});
        let (code, life) = read_code(family(), &of(200, body.to_string().as_bytes())).unwrap();
        assert_eq!((code.interval_ms, life), (5_000, 60_000));
        assert_eq!(code.verification_uri_complete, None);
        assert!(!format!("{code:?}").contains("\"d\""), "{code:?}");
    }

    #[test]
    fn what_is_no_code_says_why_and_quotes_nothing() {
        let good =
            json!({"device_code": "d", "user_code": "u", "verification_uri": "https://x.example/"});
        let with = |name: &str, value: Value| {
            let mut body = good.clone();
            body[name] = value;
            read_code(family(), &of(200, body.to_string().as_bytes())).map(|_| ()).unwrap_err()
        };
        for (name, value) in [
            ("device_code", json!("")),
            ("device_code", json!(7)),
            ("user_code", json!("<b>x</b>")),
            ("user_code", json!("\u{1b}[31m")),
            ("user_code", json!("A".repeat(65))),
            ("verification_uri", json!("javascript:alert(1)")),
            ("verification_uri", json!("http://x.example/device")),
            ("verification_uri", json!("https://user:pw@x.example/")),
            ("verification_uri", json!(null)),
        ] {
            assert_eq!(with(name, value.clone()), NoCode::Unusable(name), "{value}");
        }
        assert_eq!(read_code(family(), &of(200, b"<html>")), Err(NoCode::NotAnObject));
        let refused = br#"{"error":"invalid_client","error_description":"unknown client"}"#;
        for status in [200, 401] {
            let text = read_code(family(), &of(status, refused)).unwrap_err().to_string();
            assert!(text.contains("invalid_client") && text.contains("unknown client"), "{text}");
            assert!(!text.contains("token endpoint"), "{text}");
        }
        let text = read_code(family(), &of(503, b"")).unwrap_err().to_string();
        assert_eq!(text, "the vendor answered 503");
    }

    #[test]
    fn every_word_of_the_standard_means_what_it_says_with_any_status() {
        let said = |status: u16, body: &str| Progress::read(family(), &of(status, body.as_bytes()));
        for status in [200, 202, 400, 401, 403, 404, 428, 429, 500] {
            assert_eq!(said(status, r#"{"error":"authorization_pending"}"#), Progress::Pending);
            assert_eq!(said(status, r#"{"error":"slow_down"}"#), Progress::SlowDown(None));
            let Progress::Ended(text) = said(status, r#"{"error":"expired_token"}"#) else {
                panic!("{status}")
            };
            assert!(text.contains("expired"), "{text}");
            let Progress::Ended(text) = said(status, r#"{"error":"access_denied"}"#) else {
                panic!("{status}")
            };
            assert!(text.contains("declined"), "{text}");
        }
        let slower = said(400, r#"{"error":"slow_down","interval":42}"#);
        assert_eq!(slower, Progress::SlowDown(Some(42_000)));
    }

    #[test]
    fn other_answers_are_waited_out_or_end_it() {
        use Progress::{Ended, Pending, SlowDown, Unclear};
        let said = |status: u16, body: &str| Progress::read(family(), &of(status, body.as_bytes()));
        assert_eq!(said(202, ""), Pending);
        assert_eq!(said(429, ""), SlowDown(None));
        for (status, body) in
            [(500, ""), (502, "<html>"), (408, "{}"), (302, ""), (200, "<html>"), (200, "{}")]
        {
            assert!(matches!(said(status, body), Unclear(_)), "{status} {body}");
        }
        for (status, body) in [
            (400, r#"{"error":"invalid_grant"}"#),
            (400, r#"{"error":"never_heard_of"}"#),
            (200, r#"{"error":"never_heard_of"}"#),
            (401, r#"{"error":"invalid_client","error_description":"no such client"}"#),
            (403, "<html>"),
            (404, ""),
        ] {
            assert!(matches!(said(status, body), Ended(_)), "{status} {body}");
        }
        let Progress::Granted(tokens) = said(200, r#"{"access_token":"A","expires_in":3600}"#)
        else {
            panic!("no tokens")
        };
        assert_eq!(tokens.access_token.expose(), "A");
    }

    #[test]
    fn pace_grows_for_good_when_told_and_for_a_while_when_nobody_answers() {
        let mut pace = Pace::new(1_000);
        assert_eq!(pace.after(&Progress::Pending), 5_000);
        assert_eq!(pace.after(&Progress::SlowDown(None)), 10_000);
        assert_eq!(pace.after(&Progress::Pending), 10_000, "for good");
        assert_eq!(pace.after(&Progress::SlowDown(Some(12_000))), 15_000, "the larger one");
        assert_eq!(pace.after(&Progress::SlowDown(Some(60_000))), 60_000);
        let unclear = || Progress::Unclear(String::new());
        assert_eq!(pace.after(&unclear()), 60_000, "never faster than asked for");
        let mut pace = Pace::new(5_000);
        let pauses: Vec<i64> = (0..4).map(|_| pace.after(&unclear())).collect();
        assert_eq!(pauses, [10_000, 20_000, 30_000, 30_000]);
        assert_eq!(pace.after(&Progress::Pending), 5_000, "as before");
    }

    proptest! {
        #[test]
        fn no_answer_panics(status in 100_u16..=599, body in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(read_code(family(), &of(status, &body)));
            drop(Progress::read(family(), &of(status, &body)));
        }
    }
}
