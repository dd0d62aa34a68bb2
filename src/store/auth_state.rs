//! Table `auth_state`, one row: the administrator's password, and the generation that every session must carry.

use diesel::prelude::*;

use crate::clock::UnixMs;
use crate::secret::Secret;
use crate::store::error::StoreError;
use crate::store::schema::auth_state;

const ROW: i64 = 1;

/// The row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuthState {
    /// PHC string of the password, or a bcrypt hash that was imported; `None` = none was set yet.
    pub password_hash: Option<Secret>,
    /// When it was last set; not moved by a rehash of the same password.
    pub password_changed_at: Option<UnixMs>,
    /// Sessions of another generation are over (SEC-SES-4).
    pub session_gen: i64,
}

/// Reads it.
///
/// # Errors
///
/// The database fails, or the row is missing.
pub fn load(conn: &mut SqliteConnection) -> Result<AuthState, StoreError> {
    type Row = (Option<String>, Option<UnixMs>, i64);
    let (hash, password_changed_at, session_gen): Row = auth_state::table
        .find(ROW)
        .select((
            auth_state::password_hash,
            auth_state::password_changed_at,
            auth_state::session_gen,
        ))
        .first(conn)?;
    Ok(AuthState { password_hash: hash.map(Secret::new), password_changed_at, session_gen })
}

/// Sets another password.
///
/// # Errors
///
/// The database fails.
pub fn set_password(
    conn: &mut SqliteConnection,
    hash: &Secret,
    now: UnixMs,
) -> Result<(), StoreError> {
    diesel::update(auth_state::table.find(ROW))
        .set((auth_state::password_hash.eq(hash.expose()), auth_state::password_changed_at.eq(now)))
        .execute(conn)?;
    Ok(())
}

/// Puts a stronger hash of the same password in the place of `old`. False = another password was set meanwhile.
///
/// # Errors
///
/// The database fails.
pub fn rehash(conn: &mut SqliteConnection, old: &Secret, new: &Secret) -> Result<bool, StoreError> {
    let same = auth_state::table.find(ROW).filter(auth_state::password_hash.eq(old.expose()));
    let changed =
        diesel::update(same).set(auth_state::password_hash.eq(new.expose())).execute(conn)?;
    Ok(changed > 0)
}

/// Begins a new generation: every session of the old one is over.
///
/// # Errors
///
/// The database fails.
pub fn next_generation(conn: &mut SqliteConnection) -> Result<i64, StoreError> {
    diesel::update(auth_state::table.find(ROW))
        .set(auth_state::session_gen.eq(auth_state::session_gen + 1))
        .execute(conn)?;
    Ok(auth_state::table.find(ROW).select(auth_state::session_gen).first(conn)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::new_store;

    #[test]
    fn a_password_is_set_and_rehashed_only_while_it_is_the_same() {
        let (_dir, store) = new_store();
        let hash = |text: &str| Secret::new(text.to_owned());
        store
            .write(|conn| {
                assert_eq!(load(conn)?.password_hash, None);
                set_password(conn, &hash("one"), 7)?;
                assert!(!rehash(conn, &hash("zero"), &hash("stronger"))?);
                assert!(rehash(conn, &hash("one"), &hash("stronger"))?);
                let state = load(conn)?;
                assert_eq!(state.password_hash, Some(hash("stronger")));
                assert_eq!(state.password_changed_at, Some(7));
                assert_eq!((next_generation(conn)?, load(conn)?.session_gen), (1, 1));
                Ok(())
            })
            .unwrap();
    }
}
