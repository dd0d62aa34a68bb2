//! A call of a token endpoint, ready to be sent: JSON or form, without a trace of it in `Debug`.

use std::fmt;

use bytes::Bytes;
use serde_json::{Map, Value};
use url::form_urlencoded;
use zeroize::Zeroizing;

use crate::provider::catalog::TokenEncoding;
use crate::provider::header::USER_AGENT;

/// A POST to a token endpoint. Its answer is bounded by [`super::reply::MAX_BODY`].
#[derive(Clone, PartialEq, Eq)]
pub struct TokenCall {
    /// Whole URL.
    pub url: String,
    /// Names in lower case, with their values.
    pub headers: Vec<(String, String)>,
    /// Wiped when it is dropped.
    pub body: Bytes,
}

impl fmt::Debug for TokenCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCall").field("url", &self.url).finish_non_exhaustive()
    }
}

impl TokenCall {
    /// A call with these fields as its body.
    #[must_use]
    pub fn new(url: &str, encoding: TokenEncoding, fields: &[(&str, &str)]) -> Self {
        let (kind, body) = match encoding {
            TokenEncoding::Json => ("application/json", json(fields)),
            TokenEncoding::Form => ("application/x-www-form-urlencoded", form(fields)),
        };
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Self {
            url: url.to_owned(),
            headers: vec![
                header("content-type", kind),
                header("accept", "application/json"),
                header("user-agent", USER_AGENT),
            ],
            body: Bytes::from_owner(Zeroizing::new(body)),
        }
    }
}

fn json(fields: &[(&str, &str)]) -> Vec<u8> {
    let object: Map<String, Value> =
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
    Value::Object(object).to_string().into_bytes()
}

fn form(fields: &[(&str, &str)]) -> Vec<u8> {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_encoded_and_never_shown() {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", "a+b/c \"d\"")];
        let call = TokenCall::new("https://x.example/t", TokenEncoding::Json, &fields);
        assert_eq!(
            &call.body[..],
            br#"{"grant_type":"refresh_token","refresh_token":"a+b/c \"d\""}"#
        );
        assert_eq!(call.headers[0].1, "application/json");
        let call = TokenCall::new("https://x.example/t", TokenEncoding::Form, &fields);
        assert_eq!(&call.body[..], b"grant_type=refresh_token&refresh_token=a%2Bb%2Fc+%22d%22");
        assert_eq!(format!("{call:?}"), r#"TokenCall { url: "https://x.example/t", .. }"#);
    }
}
