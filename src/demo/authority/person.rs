//! Somebody with an account at the simulated vendor.

use serde_json::{Value, json};
use uuid::Uuid;

use super::plan::Limits;

/// A person, in one organization, with a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// E-mail address.
    pub email: String,
    /// Id of the account.
    pub account_uuid: String,
    /// Id of the organization.
    pub organization_uuid: String,
    /// Name of the organization.
    pub organization_name: String,
    /// `claude_pro`, `claude_max`, `claude_team`, `claude_enterprise`.
    pub organization_type: String,
    /// Size of the plan.
    pub rate_limit_tier: String,
    /// What the plan allows; taken when the vendor first hears of the person.
    pub limits: Limits,
}

impl Person {
    /// `name@example.com` with ids made from the name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let id = |what: &str| {
            Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("{what}/{name}").as_bytes()).to_string()
        };
        Self {
            email: format!("{name}@example.com"),
            account_uuid: id("account"),
            organization_uuid: id("organization"),
            organization_name: format!("{name}'s Organization"),
            organization_type: "claude_max".to_owned(),
            rate_limit_tier: "default_claude_max_5x".to_owned(),
            limits: Limits::default(),
        }
    }

    /// The same with another plan.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// What tells one identity from another: account and organization.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}|{}", self.account_uuid, self.organization_uuid)
    }

    /// Members of a token reply that name the person.
    pub(super) fn in_token_reply(&self) -> (Value, Value) {
        (
            json!({"uuid": self.account_uuid, "email_address": self.email}),
            json!({"uuid": self.organization_uuid, "name": self.organization_name}),
        )
    }

    /// Body of the profile endpoint.
    pub(super) fn profile(&self) -> Value {
        json!({
            "account": {
                "uuid": self.account_uuid, "email": self.email, "full_name": null,
                "has_claude_max": self.organization_type == "claude_max",
                "has_claude_pro": self.organization_type == "claude_pro",
            },
            "organization": {
                "uuid": self.organization_uuid, "name": self.organization_name,
                "organization_type": self.organization_type,
                "rate_limit_tier": self.rate_limit_tier,
            },
        })
    }
}
