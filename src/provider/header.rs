//! Header rules: what an operator may set, what of a client may pass, and the list that is sent.

use crate::provider::check::is_header_name;

/// What the router calls itself.
pub const USER_AGENT: &str = concat!("NineRouter/", env!("CARGO_PKG_VERSION"));

/// Headers the router sets itself, or that belong to one connection only.
const NEVER_EXTRA: [&str; 11] = [
    "host",
    "content-length",
    "connection",
    "transfer-encoding",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "accept-encoding",
];

/// Why an operator's header is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HeaderProblem {
    /// The name is no token.
    #[error("not a header name")]
    Name,
    /// The router sets it.
    #[error("set by the router; leave it out")]
    Forbidden,
    /// The credential goes there.
    #[error("the account's key goes there; set authentication to none first")]
    Authorization,
    /// The value has other than visible ASCII.
    #[error("the value may hold visible ASCII only")]
    Value,
}

/// Judges a header the operator sets on a node, a provider or an account (providers §1.5).
///
/// # Errors
/// When it may not be set.
pub fn extra_header(name: &str, value: &str, auth_is_none: bool) -> Result<(), HeaderProblem> {
    if !is_header_name(name) {
        return Err(HeaderProblem::Name);
    }
    let lower = name.to_ascii_lowercase();
    if NEVER_EXTRA.contains(&lower.as_str()) {
        return Err(HeaderProblem::Forbidden);
    }
    if lower == "authorization" && !auth_is_none {
        return Err(HeaderProblem::Authorization);
    }
    if is_sendable(value) { Ok(()) } else { Err(HeaderProblem::Value) }
}

/// True for visible ASCII and spaces between it (endpoints §7).
#[must_use]
pub fn is_sendable(value: &str) -> bool {
    value.bytes().all(|b| matches!(b, 0x20..=0x7e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_the_router_owns_are_refused() {
        let cases = [
            ("x-team", "a b", false, Ok(())),
            ("User-Agent", "Mine/1", false, Ok(())),
            ("Host", "x", false, Err(HeaderProblem::Forbidden)),
            ("content-length", "1", true, Err(HeaderProblem::Forbidden)),
            ("Connection", "close", true, Err(HeaderProblem::Forbidden)),
            ("transfer-encoding", "chunked", true, Err(HeaderProblem::Forbidden)),
            ("accept-encoding", "gzip", true, Err(HeaderProblem::Forbidden)),
            ("Authorization", "Basic x", false, Err(HeaderProblem::Authorization)),
            ("Authorization", "Basic x", true, Ok(())),
            ("a b", "x", false, Err(HeaderProblem::Name)),
            ("", "x", false, Err(HeaderProblem::Name)),
            ("x-a:", "x", false, Err(HeaderProblem::Name)),
            ("x-a", "é", false, Err(HeaderProblem::Value)),
            ("x-a", "a\r\nb: c", false, Err(HeaderProblem::Value)),
        ];
        for (name, value, none, want) in cases {
            assert_eq!(extra_header(name, value, none), want, "{name}: {value}");
        }
    }
}
