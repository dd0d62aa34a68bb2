//! Column `device`: codes that somebody has still to enter elsewhere (RFC 8628), sealed.

use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use super::{FlowOptions, FlowRow, FlowStatus, Opened, TABLE, opened, raw, table};
use crate::clock::UnixMs;
use crate::id::FlowId;
use crate::provider::oauth::connect::DeviceCode;
use crate::routing::account::ProxyChoice;
use crate::secret::Secret;
use crate::store::column::Cell;
use crate::store::error::StoreError;
use crate::store::seal::{Place, Sealer};

/// A sign-in whose code somebody has still to enter elsewhere.
#[derive(Clone, Debug)]
pub struct Awaited {
    /// The row, `pending`.
    pub row: FlowRow,
    /// The code.
    pub device: DeviceCode,
    /// Of PKCE.
    pub verifier: Secret,
    /// As stored.
    pub options: FlowOptions,
    /// As in [`super::Claimed`].
    pub way: ProxyChoice,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    device_code: String,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: Option<String>,
    interval_ms: i64,
}

/// A sign-in that waits for its code to be entered, without changing it. `None` = it is not pending any more, or is no
/// such sign-in.
///
/// # Errors
///
/// Its secrets cannot be read, or the database fails.
pub fn awaited(
    conn: &mut SqliteConnection,
    sealer: &Sealer,
    id: FlowId,
    now: UnixMs,
) -> Result<Option<Awaited>, StoreError> {
    let Some(raw) = raw(conn, id)? else { return Ok(None) };
    let waits = raw.status == FlowStatus::Pending.as_str() && raw.expires_at > now;
    let Some(device) = raw.device.as_deref().filter(|_| waits) else { return Ok(None) };
    let device = open(sealer, &raw.id, device)?;
    let Opened { row, verifier, options, way } = opened(conn, sealer, &raw)?;
    Ok(Some(Awaited { row, device, verifier, options, way }))
}

/// Sign-ins that wait for a code to be entered: after a restart somebody has to ask for them again.
///
/// # Errors
///
/// The database fails, or a row cannot be read.
pub fn all_awaited(conn: &mut SqliteConnection, now: UnixMs) -> Result<Vec<FlowId>, StoreError> {
    let ids: Vec<String> = table::table
        .filter(table::status.eq(FlowStatus::Pending.as_str()))
        .filter(table::expires_at.gt(now))
        .filter(table::device.is_not_null())
        .select(table::id)
        .load(conn)?;
    ids.iter().map(|id| Cell { table: TABLE, id }.id("id", id)).collect()
}

/// Stores how often the vendor wants to be asked; a sign-in that has ended stays as it is.
///
/// # Errors
///
/// It cannot be sealed, or the database fails.
pub fn set_device(
    conn: &mut SqliteConnection,
    sealer: &Sealer,
    id: FlowId,
    device: &DeviceCode,
) -> Result<(), StoreError> {
    let text = id.to_string();
    let sealed = seal(sealer, &text, device)?;
    let pending = table::table.find(&text).filter(table::status.eq(FlowStatus::Pending.as_str()));
    diesel::update(pending).set(table::device.eq(sealed)).execute(conn)?;
    Ok(())
}

pub(super) fn seal(sealer: &Sealer, id: &str, device: &DeviceCode) -> Result<String, StoreError> {
    let device = Sealed {
        device_code: device.device_code.expose().to_owned(),
        user_code: device.user_code.clone(),
        verification_uri: device.verification_uri.clone(),
        verification_uri_complete: device.verification_uri_complete.clone(),
        interval_ms: device.interval_ms,
    };
    let plain = serde_json::to_vec(&device)
        .map(zeroize::Zeroizing::new)
        .map_err(|_never_for_texts| StoreError::invalid(TABLE, id, "`device` is no JSON"))?;
    sealer.seal(Place { table: TABLE, column: "device", row: id }, &plain)
}

fn open(sealer: &Sealer, id: &str, sealed: &str) -> Result<DeviceCode, StoreError> {
    let plain = sealer.open(Place { table: TABLE, column: "device", row: id }, sealed)?;
    let corrupt = |_holds_secrets| StoreError::corrupt(TABLE, id, "bad JSON in `device`");
    let device: Sealed = serde_json::from_slice(&plain).map_err(corrupt)?;
    Ok(DeviceCode {
        device_code: Secret::new(device.device_code),
        user_code: device.user_code,
        verification_uri: device.verification_uri,
        verification_uri_complete: device.verification_uri_complete,
        interval_ms: device.interval_ms,
    })
}
