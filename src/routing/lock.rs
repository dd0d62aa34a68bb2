//! Locks: scopes of an account that are not used until an instant, and how they merge.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::clock::UnixMs;
use crate::routing::classify::Class;

/// What part of an account a lock covers.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Scope {
    /// The whole account, written `*`.
    All,
    /// One canonical upstream model, written `model:<id>`.
    Model(String),
    /// A family of models, written `family:<name>`.
    Family(String),
    /// A feature of requests, written `feature:<name>`.
    Feature(String),
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Model(m) => write!(f, "model:{m}"),
            Self::Family(x) => write!(f, "family:{x}"),
            Self::Feature(x) => write!(f, "feature:{x}"),
        }
    }
}

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        if s == "*" {
            return Ok(Self::All);
        }
        match s.split_once(':') {
            Some(("model", m)) => Ok(Self::Model(m.to_owned())),
            Some(("family", x)) => Ok(Self::Family(x.to_owned())),
            Some(("feature", x)) => Ok(Self::Feature(x.to_owned())),
            _ => Err(UnknownScope),
        }
    }
}

/// The text names no scope.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a lock scope")]
pub struct UnknownScope;

/// A scope of an account that is not used until `until`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lock {
    /// What it covers.
    pub scope: Scope,
    /// Unix ms; the lock is open while `until > now`.
    pub until: UnixMs,
    /// Short text for people, no secrets: `quota exhausted`, `rate limited` …
    pub reason: Arc<str>,
    /// Error class that set it.
    pub class: Class,
    /// Step on its ladder, 0 = first.
    pub level: u8,
    /// Unix ms.
    pub set_at: UnixMs,
}
