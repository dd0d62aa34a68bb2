//! Table `settings`: what differs from the defaults; secret values are sealed.

use std::collections::BTreeMap;

use diesel::prelude::*;
use serde_json::Value;

use crate::secret::Secret;
use crate::store::column::{Cell, Owner, Stamp};
use crate::store::error::StoreError;
use crate::store::schema::settings;
use crate::store::seal::{Place, Sealer};

const TABLE: &str = "settings";

/// A stored setting.
#[derive(Clone, PartialEq, Debug)]
pub struct SettingRow {
    /// Its value; `None` = a secret is stored.
    pub value: Option<Value>,
    /// Who owns it; `None` = the operator.
    pub managed_by: Option<Owner>,
}

/// Every stored setting, by key.
///
/// # Errors
///
/// The database fails, or a row cannot be read.
pub fn list(conn: &mut SqliteConnection) -> Result<BTreeMap<String, SettingRow>, StoreError> {
    let rows: Vec<(String, Option<String>, Option<String>)> = settings::table
        .select((settings::key, settings::value, settings::managed_by))
        .load(conn)?;
    rows.into_iter()
        .map(|(key, value, managed_by)| {
            let cell = Cell { table: TABLE, id: &key };
            let row = SettingRow {
                value: value.map(|text| cell.json("value", &text)).transpose()?,
                managed_by: cell.owner(managed_by.as_deref())?,
            };
            Ok((key, row))
        })
        .collect()
}

/// Stores the value of a setting.
///
/// # Errors
///
/// The database fails.
pub fn set(
    conn: &mut SqliteConnection,
    key: &str,
    value: &Value,
    stamp: Stamp,
) -> Result<(), StoreError> {
    put(conn, key, Some(&value.to_string()), None, stamp)
}

/// Stores the value of a secret setting, sealed.
///
/// # Errors
///
/// The master key is another one, or the database fails.
pub fn set_secret(
    conn: &mut SqliteConnection,
    sealer: &Sealer,
    key: &str,
    value: &Secret,
    stamp: Stamp,
) -> Result<(), StoreError> {
    let sealed = sealer.seal(place(key), value.expose().as_bytes())?;
    put(conn, key, None, Some(&sealed), stamp)
}

/// The value of a secret setting.
///
/// # Errors
///
/// The master key is another one, the value is damaged, or the database fails.
pub fn secret(
    conn: &mut SqliteConnection,
    sealer: &Sealer,
    key: &str,
) -> Result<Option<Secret>, StoreError> {
    let sealed: Option<Option<String>> =
        settings::table.find(key).select(settings::secret).first(conn).optional()?;
    sealed.flatten().map(|text| sealer.open_text(place(key), &text)).transpose()
}

/// Puts a setting back to its default. True = a value was stored.
///
/// # Errors
///
/// The database fails.
pub fn delete(conn: &mut SqliteConnection, key: &str) -> Result<bool, StoreError> {
    Ok(diesel::delete(settings::table.find(key)).execute(conn)? > 0)
}

/// A number that is another one after each change of a setting.
///
/// # Errors
///
/// The database fails.
pub fn revision(conn: &mut SqliteConnection) -> Result<i64, StoreError> {
    type Row = (String, Option<String>, Option<String>, Option<String>);
    let rows: Vec<Row> = settings::table
        .order(settings::key)
        .select((settings::key, settings::value, settings::secret, settings::managed_by))
        .load(conn)?;
    let mut hash = crc32fast::Hasher::new();
    for (key, value, secret, managed_by) in rows {
        for part in [Some(key), value, secret, managed_by] {
            hash.update(part.as_deref().unwrap_or_default().as_bytes());
            hash.update(&[u8::from(part.is_some())]);
        }
    }
    Ok(i64::from(hash.finalize()))
}

fn place(key: &str) -> Place<'_> {
    Place { table: TABLE, column: "secret", row: key }
}

fn put(
    conn: &mut SqliteConnection,
    key: &str,
    value: Option<&str>,
    secret: Option<&str>,
    stamp: Stamp,
) -> Result<(), StoreError> {
    let row = (
        settings::value.eq(value),
        settings::secret.eq(secret),
        settings::updated_at.eq(stamp.now),
        settings::managed_by.eq(stamp.managed_by()),
    );
    diesel::insert_into(settings::table)
        .values((settings::key.eq(key), row.clone()))
        .on_conflict(settings::key)
        .do_update()
        .set(row)
        .execute(conn)?;
    Ok(())
}
