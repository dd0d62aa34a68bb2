//! The audit log: takes events from every thread and never holds anybody up.

use tracing::info;

use crate::auth::audit::{Caller, Event};

/// Handle to the audit log. Cheap to share.
#[derive(Debug, Default)]
pub struct Audit {}

impl Audit {
    /// Notes an event. Never waits.
    pub fn record(&self, caller: &Caller, event: Event) {
        info!(
            event = event.name.as_str(),
            outcome = event.outcome.as_str(),
            actor = caller.actor(),
            client.ip = caller.client_ip.map(tracing::field::display),
            detail = %serde_json::Value::Object(event.detail),
            "audit"
        );
    }
}
