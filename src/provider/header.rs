//! Header rules: what an operator may set, what of a client may pass, and the list that is sent.

use crate::provider::check::is_header_name;

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
