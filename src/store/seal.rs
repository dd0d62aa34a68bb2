//! Secrets at rest: `nrx1` texts under data keys, which the master key wraps (SEC-KEY-1).

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use diesel::dsl::exists;
use diesel::prelude::*;
use zeroize::Zeroizing;

use crate::clock::UnixMs;
use crate::secret::Secret;
use crate::store::error::StoreError;
use crate::store::master_key::{self, INFO_KEK, KeyOrigin, MasterKey};
use crate::store::schema::{account_secrets, data_keys, oauth_flows, proxies, settings};
use crate::store::sqlite;

const PREFIX: &str = "nrx1.";
const NONCE: usize = 24;

/// The cell a secret belongs to. Part of what is authenticated, so that a text moved to another row
/// does not open.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Table.
    pub table: &'static str,
    /// Column.
    pub column: &'static str,
    /// Primary key of the row.
    pub row: &'a str,
}

impl Place<'_> {
    fn aad(&self) -> Vec<u8> {
        [self.table, "\u{1f}", self.column, "\u{1f}", self.row].concat().into_bytes()
    }

    fn unsealable(&self) -> StoreError {
        StoreError::Unsealable { table: self.table, column: self.column, id: self.row.to_owned() }
    }
}

/// Seals and opens the secret columns. Cheap to clone.
#[derive(Clone)]
pub struct Sealer(Arc<State>);

enum State {
    /// Data keys by id; new texts use `active`.
    Ready { keys: HashMap<i64, Zeroizing<[u8; 32]>>, active: i64 },
    /// The master key is not the one the data keys were wrapped with (SEC-KEY-3).
    Unreadable,
}

impl Sealer {
    /// Unwraps the data keys of an open database; makes the first one in a new database.
    ///
    /// # Errors
    ///
    /// The database fails, or the system gives no random bytes. A wrong or lost master key is no
    /// error: the sealer then refuses each call with [`StoreError::SecretsUnreadable`].
    pub fn load(
        conn: &mut SqliteConnection,
        master: &MasterKey,
        now: UnixMs,
    ) -> Result<Self, StoreError> {
        let kek = Zeroizing::new(master.derive(INFO_KEK));
        let ready = unwrap_keys(conn, &kek)?;
        if let Some(state) = ready {
            return Ok(Self(Arc::new(state)));
        }
        if master.origin() == KeyOrigin::Lost || sealed_rows_exist(conn)? {
            return Ok(Self::unreadable());
        }
        // Nothing is sealed yet: data keys of another master key protect nothing.
        let key = Zeroizing::new(master_key::random()?);
        let wrapped = encrypt(&kek, &wrap_place(FIRST).aad(), key.as_slice())?;
        diesel::delete(data_keys::table).execute(conn)?;
        diesel::insert_into(data_keys::table)
            .values((
                data_keys::id.eq(FIRST),
                data_keys::wrapped.eq(wrapped),
                data_keys::created_at.eq(now),
            ))
            .execute(conn)?;
        Ok(Self(Arc::new(State::Ready { keys: HashMap::from([(FIRST, key)]), active: FIRST })))
    }

    /// As [`Sealer::load`], without making a key: for connections that only read.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub fn load_existing(
        conn: &mut SqliteConnection,
        master: &MasterKey,
    ) -> Result<Self, StoreError> {
        let kek = Zeroizing::new(master.derive(INFO_KEK));
        Ok(unwrap_keys(conn, &kek)?.map_or_else(Self::unreadable, |state| Self(Arc::new(state))))
    }

    /// False when stored secrets cannot be read with the master key given.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(*self.0, State::Ready { .. })
    }

    /// Seals `plain` for its cell.
    ///
    /// # Errors
    ///
    /// The sealer is not ready, or the system gives no random bytes.
    pub fn seal(&self, place: Place<'_>, plain: &[u8]) -> Result<String, StoreError> {
        let State::Ready { keys, active } = &*self.0 else {
            return Err(StoreError::SecretsUnreadable);
        };
        let key = keys.get(active).ok_or(StoreError::SecretsUnreadable)?;
        let sealed = encrypt(key, &place.aad(), plain)?;
        let mut text = String::with_capacity(PREFIX.len() + 4 + sealed.len() * 4 / 3 + 4);
        text.push_str(PREFIX);
        text.push_str(&active.to_string());
        text.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(&sealed, &mut text);
        Ok(text)
    }

    /// Opens what [`Sealer::seal`] made for the same cell.
    ///
    /// # Errors
    ///
    /// The sealer is not ready; or the text is damaged, or was made for another cell.
    pub fn open(&self, place: Place<'_>, sealed: &str) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let State::Ready { keys, .. } = &*self.0 else {
            return Err(StoreError::SecretsUnreadable);
        };
        let plain = split(sealed).and_then(|(id, body)| {
            let key = keys.get(&id)?;
            let body = BASE64_URL_SAFE_NO_PAD.decode(body).ok()?;
            decrypt(key, &place.aad(), &body)
        });
        plain.ok_or_else(|| place.unsealable())
    }

    /// As [`Sealer::open`], for text.
    ///
    /// # Errors
    ///
    /// As [`Sealer::open`]; also when the content is no UTF-8.
    pub fn open_text(&self, place: Place<'_>, sealed: &str) -> Result<Secret, StoreError> {
        let plain = self.open(place, sealed)?;
        let text = std::str::from_utf8(&plain).ok().map(|t| Secret::new(t.to_owned()));
        text.ok_or_else(|| place.unsealable())
    }

    fn unreadable() -> Self {
        Self(Arc::new(State::Unreadable))
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("ready", &self.is_ready()).finish_non_exhaustive()
    }
}

/// True when the data folder has a database with sealed values, or one that cannot be asked.
pub(crate) fn has_sealed_rows(data_dir: &Path) -> bool {
    let path = data_dir.join(super::DATABASE);
    let is_empty = std::fs::metadata(&path).map_or(true, |m| m.len() == 0);
    if is_empty {
        return false;
    }
    // Not readable = not known to be empty: the careful answer is yes.
    let Some(path) = path.to_str() else { return true };
    SqliteConnection::establish(path).map_or(true, |mut conn| {
        let asked = sqlite::prepare_reader(&mut conn)
            .and_then(|()| sqlite::user_version(&mut conn))
            .map_err(StoreError::from)
            .and_then(
                |version| if version == 0 { Ok(false) } else { sealed_rows_exist(&mut conn) },
            );
        asked.unwrap_or(true)
    })
}

const FIRST: i64 = 1;

/// Every table that has an `enc` column must be asked here.
fn sealed_rows_exist(conn: &mut SqliteConnection) -> Result<bool, StoreError> {
    let of_accounts = account_secrets::table.filter(
        account_secrets::access_token
            .is_not_null()
            .or(account_secrets::refresh_token.is_not_null())
            .or(account_secrets::id_token.is_not_null())
            .or(account_secrets::api_key.is_not_null())
            .or(account_secrets::extra.is_not_null()),
    );
    let of_settings = settings::table.filter(settings::secret.is_not_null());
    Ok(diesel::select(exists(of_accounts)).get_result(conn)?
        || diesel::select(exists(of_settings)).get_result(conn)?
        || diesel::select(exists(oauth_flows::table.select(oauth_flows::id))).get_result(conn)?
        || diesel::select(exists(proxies::table.select(proxies::id))).get_result(conn)?)
}

/// `None` when the master key opens no data key (or there is none).
fn unwrap_keys(conn: &mut SqliteConnection, kek: &[u8; 32]) -> Result<Option<State>, StoreError> {
    let rows: Vec<(i64, Vec<u8>, Option<UnixMs>)> = data_keys::table
        .select((data_keys::id, data_keys::wrapped, data_keys::retired_at))
        .order(data_keys::id)
        .load(conn)?;
    let mut keys = HashMap::new();
    let mut active = None;
    for (id, wrapped, retired_at) in rows {
        let Some(plain) = decrypt(kek, &wrap_place(id).aad(), &wrapped) else { continue };
        let Ok(key) = <[u8; 32]>::try_from(plain.as_slice()) else { continue };
        keys.insert(id, Zeroizing::new(key));
        if retired_at.is_none() {
            active = Some(id);
        }
    }
    Ok(active.map(|active| State::Ready { keys, active }))
}

/// Data keys are bound to their id only: `<table>␟<column>␟<id>` as for every other cell.
fn wrap_place(id: i64) -> OwnedPlace {
    OwnedPlace(id.to_string())
}

struct OwnedPlace(String);

impl OwnedPlace {
    fn aad(&self) -> Vec<u8> {
        Place { table: "data_keys", column: "wrapped", row: &self.0 }.aad()
    }
}

fn split(sealed: &str) -> Option<(i64, &str)> {
    let (id, body) = sealed.strip_prefix(PREFIX)?.split_once('.')?;
    Some((id.parse().ok()?, body))
}

fn encrypt(key: &[u8; 32], aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, StoreError> {
    let mut nonce = [0u8; NONCE];
    getrandom::fill(&mut nonce)?;
    let sealed = XChaCha20Poly1305::new(key.into())
        .encrypt(&XNonce::from(nonce), Payload { msg: plain, aad })
        // The cipher fails only beyond 256 GiB.
        .map_err(|_too_long| StoreError::invalid("account_secrets", "", "secret too long"))?;
    let mut out = Vec::with_capacity(NONCE + sealed.len());
    out.extend_from_slice(&nonce);
    out.extend_from_slice(&sealed);
    Ok(out)
}

fn decrypt(key: &[u8; 32], aad: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, body) = sealed.split_first_chunk::<NONCE>()?;
    XChaCha20Poly1305::new(key.into())
        .decrypt(&XNonce::from(*nonce), Payload { msg: body, aad })
        .ok()
        .map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sealer() -> Sealer {
        let keys = HashMap::from([(1, Zeroizing::new([3u8; 32]))]);
        Sealer(Arc::new(State::Ready { keys, active: 1 }))
    }

    const HERE: Place<'static> =
        Place { table: "account_secrets", column: "api_key", row: "row-1" };

    #[test]
    fn t_key_02_a_text_moved_to_another_cell_does_not_open() {
        let sealed = sealer().seal(HERE, b"sk-1").unwrap();
        assert_eq!(sealer().open(HERE, &sealed).unwrap().as_slice(), b"sk-1");
        for other in [
            Place { row: "row-2", ..HERE },
            Place { column: "access_token", ..HERE },
            Place { table: "settings", ..HERE },
        ] {
            assert!(matches!(sealer().open(other, &sealed), Err(StoreError::Unsealable { .. })));
        }
    }

    #[test]
    fn t_key_07_a_flipped_bit_is_an_error_and_no_panic() {
        let sealed = sealer().seal(HERE, b"sk-1").unwrap();
        assert!(sealed.starts_with("nrx1.1."));
        for at in 0..sealed.len() {
            for bit in 0..7 {
                let mut bytes = sealed.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                let text = String::from_utf8(bytes).unwrap();
                assert!(sealer().open(HERE, &text).is_err(), "byte {at}, bit {bit}");
            }
        }
        for text in ["", "nrx1.", "nrx1.1", "nrx1.1.", "nrx1.x.y", "nrx1.2.AAAA"] {
            assert!(sealer().open(HERE, text).is_err(), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn t_key_08_what_is_sealed_opens_unchanged(
            plain in proptest::collection::vec(any::<u8>(), 0..65_536),
        ) {
            let sealed = sealer().seal(HERE, &plain).unwrap();
            prop_assert_eq!(sealer().open(HERE, &sealed).unwrap().to_vec(), plain);
        }

        #[test]
        fn opening_any_text_never_panics(text in "\\PC{0,80}") {
            prop_assert!(sealer().open(HERE, &text).is_err());
        }
    }

    #[test]
    fn two_sealings_of_one_text_differ() {
        assert_ne!(sealer().seal(HERE, b"x").unwrap(), sealer().seal(HERE, b"x").unwrap());
    }
}
