//! Settings: all of them with where each value comes from, and changes of several at once.

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::actors::audit::AuditSettings;
use crate::actors::snapshot::Snapshot;
use crate::api::call::{Call, Reply};
use crate::api::error::ApiError;
use crate::api::{Api, blocking};
use crate::auth::audit::{Authority, Caller, Event, EventName};
use crate::config::stored_settings::{self, PatchError, Patched, Requester, needs_sudo};

pub(super) async fn show(api: &Api, call: Call) -> Result<Reply, ApiError> {
    call.only_query(&[])?;
    Ok(Reply::ok(api.settings().await?))
}

/// Class `Admin`; a change of a setting that says who may do what needs the password again (`api.md` §6).
pub(super) async fn change(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let mut changes = call.object()?;
    let rev = call.rev(&mut changes)?;
    let requester = requester(api, &call, &mut changes)?;
    if needs_sudo(&changes) {
        api.require_sudo(&call.caller)?;
    }
    let patched = api.patch_settings(&call.caller, changes, rev, requester).await?;
    let mut now = api.settings().await?;
    if let Value::Object(members) = &mut now {
        members.insert("changed".to_owned(), patched.changed.into());
        members.insert("restart_needed".to_owned(), patched.restart.into());
        members.insert("without_effect".to_owned(), patched.without_effect.into());
    }
    Ok(Reply::ok(now))
}

/// Who asks; takes `confirm` out of the changes. A command is shut out by nothing.
pub(super) fn requester(
    api: &Api,
    call: &Call,
    changes: &mut Map<String, Value>,
) -> Result<Requester, ApiError> {
    let confirmed = match changes.remove("confirm") {
        None | Some(Value::Null) => None,
        Some(value) => match value.as_str().map(str::parse::<IpAddr>) {
            Some(Ok(address)) => Some(address.to_canonical()),
            Some(Err(_)) | None => {
                return Err(ApiError::invalid("confirm", "must be your own address"));
            }
        },
    };
    let is_session = matches!(call.caller.authority, Authority::Session(_));
    let seen = call.caller.client_ip.zip(call.caller.peer_ip).filter(|_| is_session);
    let is_network_open = !api.shared().snapshot.load().fixed.loopback_only;
    Ok(Requester { seen, confirmed, is_network_open })
}

impl Api {
    /// Changes settings, all or nothing, notes it and takes it into use. Who may do so was looked at.
    pub(super) async fn patch_settings(
        &self,
        caller: &Caller,
        changes: Map<String, Value>,
        rev: Option<i64>,
        requester: Requester,
    ) -> Result<Patched, ApiError> {
        let store = self.shared().store.clone();
        let options = Arc::clone(&self.service.options);
        let patched = blocking(move || {
            stored_settings::patch(&store, &options, &changes, rev, &requester)
                .map_err(ApiError::from)
        })
        .await?;
        if !patched.changed.is_empty() {
            self.note_settings(caller, &patched.changed, "api").await;
            self.reload().await?;
        }
        Ok(patched)
    }

    /// Notes which settings were changed, before they take effect: the last event of an audit log that is switched off
    /// says so itself (SEC-AUD-7).
    pub(super) async fn note_settings(&self, caller: &Caller, keys: &[String], source: &str) {
        let named = [
            ("ip_whitelist", EventName::WhitelistChanged),
            ("trusted_prox", EventName::TrustedProxiesChanged),
        ];
        let event_of = |key: &str| {
            let own = named.iter().find(|(prefix, _)| key.starts_with(prefix));
            own.map_or(EventName::SettingsChanged, |(_, name)| *name)
        };
        for name in named.map(|(_, name)| name).into_iter().chain([EventName::SettingsChanged]) {
            let of_it: Vec<_> =
                keys.iter().filter(|key| event_of(key.as_str()) == name).cloned().collect();
            if !of_it.is_empty() {
                let event = Event::ok(name).with("keys", of_it).with("source", source);
                self.shared().audit.record(caller, event);
            }
        }
        if keys.iter().any(|key| key.starts_with("audit_log_")) {
            self.switch_audit(caller).await;
        }
    }

    /// Takes what is stored about the audit log, in the name of the one who changed it.
    async fn switch_audit(&self, caller: &Caller) {
        let shared = Arc::clone(self.shared());
        let read = blocking(move || {
            let fixed = Arc::clone(&shared.snapshot.load().fixed);
            let loaded = Snapshot::load(&shared.store, &fixed).map(|(snapshot, _)| snapshot);
            Ok(loaded.map(|snapshot| AuditSettings::of(&snapshot.settings)).ok())
        });
        if let Ok(Some(settings)) = read.await {
            self.shared().audit.switch(caller, settings);
        }
    }

    async fn settings(&self) -> Result<Value, ApiError> {
        let store = self.shared().store.clone();
        let options = Arc::clone(&self.service.options);
        blocking(move || stored_settings::view(&store, &options).map_err(ApiError::from)).await
    }
}

impl From<PatchError> for ApiError {
    fn from(error: PatchError) -> Self {
        let message = error.to_string();
        match error {
            PatchError::Unknown { key, .. } => Self::unknown_field(&key, message),
            PatchError::Locked { .. } => Self::new(403, "env_locked", message),
            PatchError::Managed { .. } => Self::new(403, "managed_by_config_file", message),
            PatchError::Invalid(wrong) => {
                let error = Self::new(422, "validation_failed", message);
                wrong.into_iter().fold(error, |error, (key, why)| error.field(&key, why))
            }
            PatchError::LockOut { address } => {
                Self::new(409, "lock_out", message).with("address", address.to_string().into())
            }
            PatchError::OpenDashboard => Self::new(409, "conflict", message),
            PatchError::Conflict => Self::new(409, "conflict", message),
            PatchError::Store(error) => error.into(),
        }
    }
}
