//! Session affinity: which account and which combo entry a conversation last used (accounts §6.5).

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use moka::sync::Cache;

use crate::id::{AccountId, ComboId, EntryId};
use crate::routing::affinity::SessionKey;

/// Conversations remembered; the least recently used goes first.
const REMEMBERED: u64 = 10_000;

/// Bounded, sliding memory of conversations. Clones share one map.
#[derive(Clone, Debug)]
pub struct Affinity {
    accounts: Cache<(SessionKey, u64), AccountId>,
    entries: Cache<(SessionKey, ComboId), EntryId>,
}

impl Affinity {
    /// A memory in which a conversation lives for `ttl` after its last use.
    #[must_use]
    pub fn new(ttl: Duration) -> Self {
        Self {
            accounts: Cache::builder().max_capacity(REMEMBERED).time_to_idle(ttl).build(),
            entries: Cache::builder().max_capacity(REMEMBERED).time_to_idle(ttl).build(),
        }
    }

    /// Account the conversation last used for this model.
    #[must_use]
    pub fn account(&self, session: SessionKey, provider: &str, model: &str) -> Option<AccountId> {
        self.accounts.get(&(session, place(provider, model)))
    }

    /// Combo entry the conversation last used.
    #[must_use]
    pub fn entry(&self, session: SessionKey, combo: ComboId) -> Option<EntryId> {
        self.entries.get(&(session, combo))
    }

    /// Binds a conversation to the account that serves it.
    pub fn bind(&self, session: SessionKey, provider: &str, model: &str, account: AccountId) {
        self.accounts.insert((session, place(provider, model)), account);
    }

    /// Binds a conversation to the combo entry that serves it.
    pub fn bind_entry(&self, session: SessionKey, combo: ComboId, entry: EntryId) {
        self.entries.insert((session, combo), entry);
    }

    /// Unbinds a conversation, if it is still bound to `account` (quota or credential failure).
    pub fn unbind(&self, session: SessionKey, provider: &str, model: &str, account: AccountId) {
        let key = (session, place(provider, model));
        if self.accounts.get(&key) == Some(account) {
            self.accounts.invalidate(&key);
        }
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

    #[test]
    fn unbind_leaves_a_newer_binding_alone() {
        let memory = Affinity::new(Duration::from_secs(60));
        let (session, first, second) = (SessionKey([7; 16]), AccountId::new(), AccountId::new());
        memory.bind(session, "p", "m", first);
        memory.bind(session, "p", "m", second);
        memory.unbind(session, "p", "m", first);
        assert_eq!(memory.account(session, "p", "m"), Some(second));
        memory.unbind(session, "p", "m", second);
        assert_eq!(memory.account(session, "p", "m"), None);
    }
}
