//! All keys in memory: an immutable map that is replaced on every change (SEC-AK-2).

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use super::key::{KeyHasher, KeyRecord, Lookup};

/// The keys of one moment.
pub struct KeyRing {
    current: KeyHasher,
    previous: Option<KeyHasher>,
    map: HashMap<Lookup, Arc<KeyRecord>>,
}

impl KeyRing {
    /// `current` and `previous` are the key material for lookups; `previous` keeps keys alive
    /// that were made before the material changed (`API_KEY_SECRET_PREVIOUS`).
    pub fn new(
        current: &[u8; 32],
        previous: Option<&[u8; 32]>,
        records: impl IntoIterator<Item = KeyRecord>,
    ) -> Self {
        Self {
            current: KeyHasher::new(current),
            previous: previous.map(KeyHasher::new),
            map: records.into_iter().map(|key| (key.lookup, Arc::new(key))).collect(),
        }
    }

    /// The same hashing material with other keys.
    #[must_use]
    pub fn with_records(&self, records: impl IntoIterator<Item = KeyRecord>) -> Self {
        Self {
            current: self.current.clone(),
            previous: self.previous.clone(),
            map: records.into_iter().map(|key| (key.lookup, Arc::new(key))).collect(),
        }
    }

    /// The key with this text, valid or not.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<Arc<KeyRecord>> {
        // A probe on a keyed value: no comparison here depends on the secret.
        let probe = |hasher: &KeyHasher| self.map.get(&hasher.mac(text)).cloned();
        probe(&self.current).or_else(|| self.previous.as_ref().and_then(probe))
    }

    /// A conversation's id as usage rows show it: keyed like the keys themselves, and never equal to the
    /// lookup value of one.
    #[must_use]
    pub fn session_mac(&self, session: &[u8; 16]) -> Lookup {
        self.current.mac_of(&[b"session\x1f", session])
    }

    /// All keys, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<KeyRecord>> {
        self.map.values()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// True on a fresh install. Never means "open" (security §7.3).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing").field("keys", &self.map.len()).finish_non_exhaustive()
    }
}

/// The ring that all workers read.
#[derive(Debug)]
pub struct SharedKeyRing(ArcSwap<KeyRing>);

impl SharedKeyRing {
    /// Shares `ring`.
    #[must_use]
    pub fn new(ring: KeyRing) -> Self {
        Self(ArcSwap::from_pointee(ring))
    }

    /// The ring of now; hold it for one request at most.
    #[must_use]
    pub fn load(&self) -> Guard<Arc<KeyRing>> {
        self.0.load()
    }

    /// Puts another ring in place: the next request sees it (SEC-AK-8).
    pub fn replace(&self, ring: KeyRing) {
        self.0.store(Arc::new(ring));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::key::lookup_mac;
    use crate::id::KeyId;

    fn record(material: &[u8; 32], text: &str) -> KeyRecord {
        KeyRecord::unlimited(KeyId::new(), text.into(), lookup_mac(material, text))
    }

    #[test]
    fn t_ak_08_previous_material_keeps_old_keys_alive() {
        let (old, new) = ([1; 32], [2; 32]);
        let records = || vec![record(&old, "old-key-text"), record(&new, "new-key-text")];
        let ring = KeyRing::new(&new, Some(&old), records());
        assert_eq!(ring.find("old-key-text").unwrap().name, "old-key-text");
        assert_eq!(ring.find("new-key-text").unwrap().name, "new-key-text");
        let ring = KeyRing::new(&new, None, records());
        assert!(ring.find("old-key-text").is_none());
        assert!(ring.find("new-key-text").is_some());
    }

    #[test]
    fn replacing_the_ring_is_seen_at_once() {
        let material = [3; 32];
        let shared = SharedKeyRing::new(KeyRing::new(&material, None, []));
        assert!(shared.load().is_empty());
        let next = shared.load().with_records([record(&material, "some-key-text")]);
        shared.replace(next);
        assert!(shared.load().find("some-key-text").is_some());
        assert_eq!(format!("{:?}", *shared.load()), "KeyRing { keys: 1, .. }");
    }
}
