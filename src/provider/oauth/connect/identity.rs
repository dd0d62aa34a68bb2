//! Whose tokens they are: what decides "the same account again" (accounts §0.1). A label, never a permission.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::Object;
use crate::secret::Secret;

/// Longest text of a vendor that is taken over.
const LONGEST: usize = 200;

/// What a vendor says of the owner of tokens.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Identity {
    /// Equal for the same account; `None` = it cannot be told.
    pub key: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// Name of the organization.
    pub organization: Option<String>,
    /// Name of the plan.
    pub plan: Option<String>,
}

impl Identity {
    /// What is not known here, from another source.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            key: self.key.or(other.key),
            email: self.email.or(other.email),
            organization: self.organization.or(other.organization),
            plan: self.plan.or(other.plan),
        }
    }

    /// Identity of a long-lived token that says nothing else: its SHA-256, as for API keys.
    #[must_use]
    pub fn of_token(token: &Secret) -> Self {
        let digest = Sha256::digest(token.expose().as_bytes());
        let key: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Self { key: Some(format!("token:{key}")), ..Self::default() }
    }
}

/// A member that is a text, without control characters and within bounds.
pub(super) fn text(object: &Object, name: &str) -> Option<String> {
    let text = object.get(name).and_then(Value::as_str)?;
    let plain: String = text.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
    let plain = plain.trim();
    (!plain.is_empty()).then(|| plain.to_owned())
}
