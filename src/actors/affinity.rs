//! Session affinity: which account and which combo entry a conversation last used (accounts §6.5).

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::ops::compute::Op;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::id::{AccountId, ComboId, EntryId};
use crate::routing::affinity::SessionKey;

/// Conversations remembered; the least recently used goes first.
const REMEMBERED: u64 = 10_000;

/// Bounded, sliding memory of conversations. Clones share one map.
#[derive(Clone, Debug)]
pub struct Affinity {
    accounts: Cache<(SessionKey, u64), Bound<AccountId>>,
    entries: Cache<(SessionKey, ComboId), Bound<EntryId>>,
}

/// What a conversation is bound to, and how long after its last use.
#[derive(Clone, Copy, Debug)]
struct Bound<T> {
    to: T,
    ttl: Duration,
}

impl Default for Affinity {
    fn default() -> Self {
        Self { accounts: memory(), entries: memory() }
    }
}

/// Least recently used goes first. The library's own choice weighs how often an entry was used and turns newcomers
/// away from a full map: new conversations would change accounts at every turn.
fn memory<K, T>() -> Cache<K, Bound<T>>
where
    K: Hash + Eq + Send + Sync + 'static,
    T: Copy + Send + Sync + 'static,
{
    Cache::builder()
        .max_capacity(REMEMBERED)
        .eviction_policy(EvictionPolicy::lru())
        .expire_after(Sliding)
        .build()
}

impl Affinity {
    /// Account the conversation last used for this model.
    #[must_use]
    pub fn account(&self, session: SessionKey, provider: &str, model: &str) -> Option<AccountId> {
        Some(self.accounts.get(&(session, place(provider, model)))?.to)
    }

    /// Combo entry the conversation last used.
    #[must_use]
    pub fn entry(&self, session: SessionKey, combo: ComboId) -> Option<EntryId> {
        Some(self.entries.get(&(session, combo))?.to)
    }

    /// Binds a conversation to the account that serves it, until `ttl` after its last use; zero = not at all.
    pub fn bind(
        &self,
        session: SessionKey,
        provider: &str,
        model: &str,
        account: AccountId,
        ttl: Duration,
    ) {
        if !ttl.is_zero() {
            let bound = Bound { to: account, ttl };
            self.accounts.insert((session, place(provider, model)), bound);
        }
    }

    /// Binds a conversation to the combo entry that serves it; `ttl` as in [`Affinity::bind`].
    pub fn bind_entry(&self, session: SessionKey, combo: ComboId, entry: EntryId, ttl: Duration) {
        if !ttl.is_zero() {
            self.entries.insert((session, combo), Bound { to: entry, ttl });
        }
    }

    /// Unbinds a conversation, if it is still bound to `account` (quota or credential failure). One step: a binding
    /// that another request makes meanwhile stays.
    pub fn unbind(&self, session: SessionKey, provider: &str, model: &str, account: AccountId) {
        self.accounts.entry((session, place(provider, model))).and_compute_with(
            |bound| match bound.map(|entry| entry.into_value()) {
                Some(bound) if bound.to == account => Op::Remove,
                Some(_) | None => Op::Nop,
            },
        );
    }

    /// Drops every binding to an account that was removed.
    pub fn forget(&self, account: AccountId) {
        let bound = self.accounts.iter().filter(|(_, bound)| bound.to == account);
        for key in bound.map(|(key, _)| *key).collect::<Vec<_>>() {
            self.accounts.invalidate(&key);
        }
    }
}

/// Each use begins the binding's time anew.
#[derive(Clone, Copy, Debug)]
struct Sliding;

impl<K, T> Expiry<K, Bound<T>> for Sliding {
    fn expire_after_create(&self, _: &K, bound: &Bound<T>, _: Instant) -> Option<Duration> {
        Some(bound.ttl)
    }

    fn expire_after_read(
        &self,
        _: &K,
        bound: &Bound<T>,
        _: Instant,
        _: Option<Duration>,
        _: Instant,
    ) -> Option<Duration> {
        Some(bound.ttl)
    }

    fn expire_after_update(
        &self,
        _: &K,
        bound: &Bound<T>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(bound.ttl)
    }
}

/// One number for provider and model: the map needs no strings.
fn place(provider: &str, model: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (provider, model).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(60);

    fn session(number: u64) -> SessionKey {
        let mut key = [7; 16];
        key[..8].copy_from_slice(&number.to_le_bytes());
        SessionKey(key)
    }

    #[test]
    fn unbind_leaves_a_newer_binding_alone() {
        let memory = Affinity::default();
        let (session, first, second) = (session(0), AccountId::new(), AccountId::new());
        memory.bind(session, "p", "m", first, TTL);
        memory.bind(session, "p", "m", second, TTL);
        memory.unbind(session, "p", "m", first);
        assert_eq!(memory.account(session, "p", "m"), Some(second));
        memory.unbind(session, "p", "m", second);
        assert_eq!(memory.account(session, "p", "m"), None);
    }

    #[test]
    fn a_full_memory_keeps_the_newest_conversations() {
        let memory = Affinity::default();
        let account = AccountId::new();
        // The old ones were used often: that must not keep the new ones out.
        for _ in 0..5 {
            for number in 0..REMEMBERED {
                memory.bind(session(number), "p", "m", account, TTL);
                assert!(memory.account(session(number), "p", "m").is_some());
            }
            memory.accounts.run_pending_tasks();
        }
        let fresh = REMEMBERED..REMEMBERED + 100;
        for number in fresh.clone() {
            memory.bind(session(number), "p", "m", account, TTL);
        }
        memory.accounts.run_pending_tasks();
        assert!(memory.accounts.entry_count() <= REMEMBERED);
        for number in fresh {
            assert_eq!(memory.account(session(number), "p", "m"), Some(account), "{number}");
        }
        assert_eq!(memory.account(session(0), "p", "m"), None, "the oldest made room");
    }

    #[test]
    fn a_removed_account_takes_its_bindings_along() {
        let memory = Affinity::default();
        let (gone, stays) = (AccountId::new(), AccountId::new());
        memory.bind(session(1), "p", "m", gone, TTL);
        memory.bind(session(2), "p", "m", stays, TTL);
        memory.forget(gone);
        assert_eq!(memory.account(session(1), "p", "m"), None);
        assert_eq!(memory.account(session(2), "p", "m"), Some(stays));
    }

    #[test]
    fn a_life_of_zero_binds_nothing() {
        let memory = Affinity::default();
        memory.bind(session(1), "p", "m", AccountId::new(), Duration::ZERO);
        memory.bind_entry(session(1), ComboId::new(), EntryId::new(), Duration::ZERO);
        assert_eq!(memory.account(session(1), "p", "m"), None);
        memory.entries.run_pending_tasks();
        assert_eq!(memory.entries.entry_count(), 0);
    }
}
