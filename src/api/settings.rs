//! Settings: all of them with where each value comes from, and changes of several at once.

use std::sync::Arc;

use serde_json::Value;

use crate::api::call::{Call, Reply};
use crate::api::error::ApiError;
use crate::api::{Api, blocking};
use crate::config::stored_settings::{self, PatchError};

pub(super) async fn show(api: &Api, call: Call) -> Result<Reply, ApiError> {
    call.only_query(&[])?;
    Ok(Reply::ok(api.settings().await?))
}

pub(super) async fn change(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let mut changes = call.object()?;
    let rev = call.rev(&mut changes)?;
    let store = api.shared().store.clone();
    let options = Arc::clone(&api.service.options);
    let patched = blocking(move || {
        stored_settings::patch(&store, &options, &changes, rev).map_err(ApiError::from)
    })
    .await?;
    if !patched.changed.is_empty() {
        api.reload().await?;
    }
    let mut now = api.settings().await?;
    if let Value::Object(members) = &mut now {
        members.insert("changed".to_owned(), patched.changed.into());
        members.insert("restart_needed".to_owned(), patched.restart.into());
        members.insert("without_effect".to_owned(), patched.without_effect.into());
    }
    Ok(Reply::ok(now))
}

impl Api {
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
            PatchError::Conflict => Self::new(409, "conflict", message),
            PatchError::Store(error) => error.into(),
        }
    }
}
