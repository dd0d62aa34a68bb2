//! Table `sessions`: browsers that are signed in. A row is the authority; the cookie only names it (SEC-SES-1).

use diesel::prelude::*;

use crate::clock::UnixMs;
use crate::store::error::StoreError;
use crate::store::schema::sessions;

const TABLE: &str = "sessions";

/// A session as stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionRow {
    /// SHA-256 of the session id.
    pub sid_hash: [u8; 32],
    /// When the password was entered.
    pub created_at: UnixMs,
    /// Last request, to the minute.
    pub last_seen_at: UnixMs,
    /// Over then, whatever happens.
    pub expires_at: UnixMs,
    /// Over when the generation of `auth_state` is another one.
    pub generation: i64,
    /// Part of the CSRF token.
    pub csrf_salt: [u8; 16],
    /// Client address at the beginning.
    pub ip: String,
    /// SHA-256 of `User-Agent`.
    pub ua_hash: [u8; 32],
    /// Browser and system, for people.
    pub ua_family: String,
    /// It began with a default password or a set-up code, and none was chosen since.
    pub must_change: bool,
    /// Until when the password counts as freshly entered.
    pub sudo_until: Option<UnixMs>,
    /// When somebody ended it from elsewhere.
    pub revoked_at: Option<UnixMs>,
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = sessions)]
struct Raw {
    sid_hash: Vec<u8>,
    created_at: UnixMs,
    last_seen_at: UnixMs,
    expires_at: UnixMs,
    generation: i64,
    csrf_salt: Vec<u8>,
    ip: String,
    ua_hash: Vec<u8>,
    ua_family: String,
    must_change: bool,
    sudo_until: Option<UnixMs>,
    revoked_at: Option<UnixMs>,
}

/// The session whose id has this hash.
///
/// # Errors
///
/// The database fails, or the row cannot be read.
pub fn find(
    conn: &mut SqliteConnection,
    sid_hash: &[u8; 32],
) -> Result<Option<SessionRow>, StoreError> {
    let raw: Option<Raw> = sessions::table
        .find(sid_hash.as_slice())
        .select(Raw::as_select())
        .first(conn)
        .optional()?;
    raw.map(row).transpose()
}

/// Every row, the last used first. There are fifty live ones at most.
///
/// # Errors
///
/// The database fails, or a row cannot be read.
pub fn list(conn: &mut SqliteConnection) -> Result<Vec<SessionRow>, StoreError> {
    let raws: Vec<Raw> = sessions::table
        .order((sessions::last_seen_at.desc(), sessions::sid_hash))
        .select(Raw::as_select())
        .load(conn)?;
    raws.into_iter().map(row).collect()
}

/// Stores a new session.
///
/// # Errors
///
/// The database fails.
pub fn insert(conn: &mut SqliteConnection, session: &SessionRow) -> Result<(), StoreError> {
    let raw = Raw {
        sid_hash: session.sid_hash.to_vec(),
        created_at: session.created_at,
        last_seen_at: session.last_seen_at,
        expires_at: session.expires_at,
        generation: session.generation,
        csrf_salt: session.csrf_salt.to_vec(),
        ip: session.ip.clone(),
        ua_hash: session.ua_hash.to_vec(),
        ua_family: session.ua_family.clone(),
        must_change: session.must_change,
        sudo_until: session.sudo_until,
        revoked_at: session.revoked_at,
    };
    diesel::insert_into(sessions::table).values(raw).execute(conn)?;
    Ok(())
}

/// Notes a request of the session; an earlier instant than the stored one changes nothing.
///
/// # Errors
///
/// The database fails.
pub fn touch(
    conn: &mut SqliteConnection,
    sid_hash: &[u8; 32],
    now: UnixMs,
) -> Result<(), StoreError> {
    let older = sessions::table.find(sid_hash.as_slice()).filter(sessions::last_seen_at.lt(now));
    diesel::update(older).set(sessions::last_seen_at.eq(now)).execute(conn)?;
    Ok(())
}

/// Ends a session from elsewhere; its row stays for a while to say so. True = it was there and not ended yet.
///
/// # Errors
///
/// The database fails.
pub fn revoke(
    conn: &mut SqliteConnection,
    sid_hash: &[u8; 32],
    now: UnixMs,
) -> Result<bool, StoreError> {
    let live = sessions::table.find(sid_hash.as_slice()).filter(sessions::revoked_at.is_null());
    Ok(diesel::update(live).set(sessions::revoked_at.eq(now)).execute(conn)? > 0)
}

/// Removes a session. True = it was there.
///
/// # Errors
///
/// The database fails.
pub fn delete(conn: &mut SqliteConnection, sid_hash: &[u8; 32]) -> Result<bool, StoreError> {
    Ok(diesel::delete(sessions::table.find(sid_hash.as_slice())).execute(conn)? > 0)
}

/// Removes what nobody can use any more: rows past their end, rows idle since before `idle_since`, and rows of
/// another generation than `generation`. Returns how many.
///
/// # Errors
///
/// The database fails.
pub fn prune(
    conn: &mut SqliteConnection,
    now: UnixMs,
    idle_since: UnixMs,
    generation: i64,
) -> Result<usize, StoreError> {
    let over = sessions::expires_at
        .le(now)
        .or(sessions::last_seen_at.lt(idle_since))
        .or(sessions::generation.ne(generation));
    Ok(diesel::delete(sessions::table.filter(over)).execute(conn)?)
}

fn row(raw: Raw) -> Result<SessionRow, StoreError> {
    fn sized<const N: usize>(id: &str, column: &str, bytes: &[u8]) -> Result<[u8; N], StoreError> {
        let wrong = |_wrong_length| {
            StoreError::corrupt(TABLE, id, ["`", column, "` has the wrong length"].concat())
        };
        bytes.try_into().map_err(wrong)
    }
    let id = "a session";
    Ok(SessionRow {
        sid_hash: sized(id, "sid_hash", &raw.sid_hash)?,
        created_at: raw.created_at,
        last_seen_at: raw.last_seen_at,
        expires_at: raw.expires_at,
        generation: raw.generation,
        csrf_salt: sized(id, "csrf_salt", &raw.csrf_salt)?,
        ip: raw.ip,
        ua_hash: sized(id, "ua_hash", &raw.ua_hash)?,
        ua_family: raw.ua_family,
        must_change: raw.must_change,
        sudo_until: raw.sudo_until,
        revoked_at: raw.revoked_at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::new_store;

    fn session(number: u8, last_seen_at: UnixMs) -> SessionRow {
        SessionRow {
            sid_hash: [number; 32],
            created_at: 1,
            last_seen_at,
            expires_at: 1_000,
            generation: 0,
            csrf_salt: [7; 16],
            ip: "192.0.2.1".into(),
            ua_hash: [8; 32],
            ua_family: "Firefox on Linux".into(),
            must_change: true,
            sudo_until: Some(5),
            revoked_at: None,
        }
    }

    #[test]
    fn a_session_comes_back_as_it_was_stored() {
        let (_dir, store) = new_store();
        store
            .write(|conn| {
                insert(conn, &session(1, 10))?;
                assert_eq!(find(conn, &[1; 32])?, Some(session(1, 10)));
                touch(conn, &[1; 32], 20)?;
                touch(conn, &[1; 32], 15)?;
                assert_eq!(find(conn, &[1; 32])?.unwrap().last_seen_at, 20);
                assert!(revoke(conn, &[1; 32], 30)? && !revoke(conn, &[1; 32], 31)?);
                assert_eq!(find(conn, &[1; 32])?.unwrap().revoked_at, Some(30));
                assert!(delete(conn, &[1; 32])? && !delete(conn, &[1; 32])?);
                Ok(())
            })
            .unwrap();
    }

    #[test]
    fn what_is_over_is_pruned() {
        let (_dir, store) = new_store();
        store
            .write(|conn| {
                insert(conn, &session(1, 500))?;
                insert(conn, &session(2, 100))?;
                insert(conn, &SessionRow { expires_at: 600, ..session(3, 550) })?;
                insert(conn, &SessionRow { generation: 1, ..session(4, 550) })?;
                assert_eq!(prune(conn, 600, 200, 0)?, 3);
                let left: Vec<_> = list(conn)?.into_iter().map(|row| row.sid_hash).collect();
                assert_eq!(left, [[1; 32]]);
                Ok(())
            })
            .unwrap();
    }
}
