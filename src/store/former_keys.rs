//! Table `former_keys`: texts of router keys that were rotated and stay valid for a while.

use diesel::prelude::*;

use crate::clock::UnixMs;
use crate::id::KeyId;
use crate::store::column::Cell;
use crate::store::error::StoreError;
use crate::store::schema::former_keys;

const TABLE: &str = "former_keys";

/// The text a key had before its rotation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FormerKey {
    /// The key it belongs to: limits and usage are counted there.
    pub key: KeyId,
    /// Keyed MAC of the old text.
    pub lookup: [u8; 32],
    /// First characters, for people.
    pub prefix: String,
    /// Last four characters, for people.
    pub last4: String,
    /// Not valid from this instant on, Unix ms.
    pub until: UnixMs,
}

/// Every former text; some may be past their end.
///
/// # Errors
///
/// The database fails, or a row cannot be read.
pub fn list(conn: &mut SqliteConnection) -> Result<Vec<FormerKey>, StoreError> {
    type Row = (String, Vec<u8>, String, String, UnixMs);
    let rows: Vec<Row> = former_keys::table
        .order(former_keys::key_id)
        .select((
            former_keys::key_id,
            former_keys::lookup,
            former_keys::prefix,
            former_keys::last4,
            former_keys::until,
        ))
        .load(conn)?;
    let row = |(id, lookup, prefix, last4, until): Row| {
        let lookup = <[u8; 32]>::try_from(lookup.as_slice())
            .map_err(|_wrong_length| StoreError::corrupt(TABLE, &id, "`lookup` is not 32 bytes"))?;
        let key = Cell { table: TABLE, id: &id }.id("key_id", &id)?;
        Ok(FormerKey { key, lookup, prefix, last4, until })
    };
    rows.into_iter().map(row).collect()
}

/// Keeps the text a key had until now.
///
/// # Errors
///
/// The key has one already, does not exist, or the database fails.
pub fn insert(
    conn: &mut SqliteConnection,
    former: &FormerKey,
    now: UnixMs,
) -> Result<(), StoreError> {
    diesel::insert_into(former_keys::table)
        .values((
            former_keys::key_id.eq(former.key.to_string()),
            former_keys::lookup.eq(former.lookup.to_vec()),
            former_keys::prefix.eq(&former.prefix),
            former_keys::last4.eq(&former.last4),
            former_keys::until.eq(former.until),
            former_keys::created_at.eq(now),
        ))
        .execute(conn)?;
    Ok(())
}

/// Forgets the former text of a key. True = there was one.
///
/// # Errors
///
/// The database fails.
pub fn delete(conn: &mut SqliteConnection, key: KeyId) -> Result<bool, StoreError> {
    Ok(diesel::delete(former_keys::table.find(key.to_string())).execute(conn)? > 0)
}
