//! Which CORS headers an inference reply carries: none, unless the operator lists origins
//! (SEC-CORS-1, endpoints §9).

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

/// `cors_allow_origins`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum CorsPolicy {
    /// No CORS headers at all.
    #[default]
    Off,
    /// `*`
    Any,
    /// These origins, exactly.
    Listed(Vec<String>),
}

/// The headers to add to a reply.
pub type CorsHeaders = Vec<(HeaderName, HeaderValue)>;

const ALLOWED_HEADERS: &str = "authorization, content-type, x-api-key, x-goog-api-key, \
     anthropic-version, anthropic-beta, openai-organization, openai-project, x-request-id";
const ALSO_ON_REQUEST: [&str; 3] =
    ["anthropic-dangerous-direct-browser-access", "openai-beta", "x-goog-api-client"];
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "x-request-id, x-ninerouter-provider, x-ninerouter-model, retry-after",
);
/// A browser asks for a dozen or so; more is no SDK.
const MOST_REQUESTED: usize = 32;

impl CorsPolicy {
    /// Takes the setting as `config` has checked it: exact origins in lower case without a
    /// trailing `/`; `*` only while every request needs a key.
    #[must_use]
    pub fn new(origins: &[String]) -> Self {
        if origins.is_empty() {
            Self::Off
        } else if origins.iter().any(|origin| origin == "*") {
            Self::Any
        } else {
            Self::Listed(origins.to_vec())
        }
    }

    /// The headers of an ordinary reply to a request with these headers.
    #[must_use]
    pub fn reply_headers(&self, request: &HeaderMap) -> CorsHeaders {
        let mut out = self.allow_origin(request);
        if out.iter().any(|(name, _value)| name == "access-control-allow-origin") {
            out.push((HeaderName::from_static("access-control-expose-headers"), EXPOSED));
        }
        out
    }

    /// The headers of the 204 that answers OPTIONS. `methods` are those of the route.
    #[must_use]
    pub fn preflight_headers(&self, request: &HeaderMap, methods: &'static str) -> CorsHeaders {
        let mut out = self.allow_origin(request);
        if !out.iter().any(|(name, _value)| name == "access-control-allow-origin") {
            return out;
        }
        // No access-control-allow-private-network: the question stays unanswered on purpose.
        let name = HeaderName::from_static;
        out.push((name("access-control-allow-methods"), HeaderValue::from_static(methods)));
        if let Ok(headers) = HeaderValue::from_str(&allowed_headers(request)) {
            out.push((name("access-control-allow-headers"), headers));
        }
        out.push((name("access-control-max-age"), HeaderValue::from_static("600")));
        out
    }

    fn allow_origin(&self, request: &HeaderMap) -> CorsHeaders {
        let listed = match self {
            Self::Off => return Vec::new(),
            Self::Any => None,
            Self::Listed(listed) => Some(listed),
        };
        let vary = (HeaderName::from_static("vary"), HeaderValue::from_static("origin"));
        let mut lines = request.get_all("origin");
        let (Some(origin), None) = (lines.next(), lines.next()) else { return vec![vary] };
        let value = match listed {
            None => HeaderValue::from_static("*"),
            Some(list) if list.iter().any(|one| one.as_bytes() == origin.as_bytes()) => {
                origin.clone()
            }
            Some(_) => return vec![vary],
        };
        vec![(HeaderName::from_static("access-control-allow-origin"), value), vary]
    }
}

/// The fixed list, and of the requested names those that SDKs in a browser add.
fn allowed_headers(request: &HeaderMap) -> String {
    let mut out = ALLOWED_HEADERS.to_owned();
    let requested = request
        .get_all("access-control-request-headers")
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .take(MOST_REQUESTED);
    for name in requested {
        let is_name = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let is_sdk = name.starts_with("x-stainless-") || ALSO_ON_REQUEST.contains(&name.as_str());
        if is_name && is_sdk {
            out.push_str(", ");
            out.push_str(&name);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::candidate::tests::headers;

    fn find(out: &CorsHeaders, name: &str) -> Option<String> {
        let (_, value) = out.iter().find(|(n, _)| n == name)?;
        Some(value.to_str().unwrap().to_owned())
    }

    fn listed() -> CorsPolicy {
        CorsPolicy::new(&["https://good.example".into(), "http://localhost:3000".into()])
    }

    #[test]
    fn t_cors_01_default_none() {
        let request = headers(&[("origin", "https://good.example")]);
        let off = CorsPolicy::new(&[]);
        assert!(off.reply_headers(&request).is_empty());
        assert!(off.preflight_headers(&request, "POST").is_empty());
    }

    #[test]
    fn t_cors_02_a_listed_origin_and_near_misses() {
        for (origin, want) in [
            ("https://good.example", true),
            ("http://localhost:3000", true),
            ("https://good.example.evil.test", false),
            ("http://good.example", false),
            ("https://good.example:444", false),
            ("https://sub.good.example", false),
            ("null", false),
            ("", false),
        ] {
            let out = listed().reply_headers(&headers(&[("origin", origin)]));
            let allowed = find(&out, "access-control-allow-origin");
            assert_eq!(allowed.as_deref(), want.then_some(origin), "{origin}");
            assert_eq!(find(&out, "vary").as_deref(), Some("origin"), "{origin}");
            assert!(find(&out, "access-control-allow-credentials").is_none());
        }
    }

    #[test]
    fn e008_preflight_names_methods_and_headers() {
        let request = headers(&[
            ("origin", "https://good.example"),
            ("access-control-request-private-network", "true"),
            ("access-control-request-headers", "Content-Type, X-Stainless-OS, x-evil, openai-beta"),
        ]);
        let out = listed().preflight_headers(&request, "POST");
        assert_eq!(find(&out, "access-control-allow-methods").as_deref(), Some("POST"));
        assert_eq!(find(&out, "access-control-max-age").as_deref(), Some("600"));
        let allowed = find(&out, "access-control-allow-headers").unwrap();
        assert!(allowed.starts_with("authorization, content-type, x-api-key"));
        assert!(allowed.ends_with("x-request-id, x-stainless-os, openai-beta"), "{allowed}");
        assert!(find(&out, "access-control-allow-private-network").is_none());
    }

    #[test]
    fn any_origin_is_answered_with_a_star() {
        let any = CorsPolicy::new(&["*".into()]);
        let out = any.reply_headers(&headers(&[("origin", "https://x.example")]));
        assert_eq!(find(&out, "access-control-allow-origin").as_deref(), Some("*"));
        assert!(find(&any.reply_headers(&headers(&[])), "access-control-allow-origin").is_none());
    }
}
