//! Which conversation a request belongs to, and the account or entry it is bound to (accounts §6.5).

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use ninerouter_dialect::SessionHints;
use sha2::{Digest, Sha256};

use crate::clock::UnixMs;
use crate::id::KeyId;

/// A conversation of one API key. A hash: the client's own ids are not kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SessionKey(pub(crate) [u8; 16]);

/// The keys a request is bound by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SessionKeys {
    /// From an id the client sent, else from the content, else from its request id.
    pub primary: Option<SessionKey>,
    /// From the content, when `primary` is stronger. Bound too: the client may begin to send ids later.
    pub content: Option<SessionKey>,
}

/// Where a key comes from. Part of the hash, so that equal texts of different origin do not meet.
#[derive(Clone, Copy, Debug)]
enum Origin {
    Id,
    Content,
    RequestId,
    Response,
}

/// Headers whose value names a conversation, strongest first; the body's hints stand between them.
const CLAUDE_HEADER: &str = "x-claude-code-session-id";
const SESSION_HEADERS: [&str; 5] =
    ["session-id", "session_id", "x-session-id", "x-session-affinity", "x-amp-thread-id"];
/// Unique per request with many clients: the last resort.
const REQUEST_HEADER: &str = "x-client-request-id";

/// The key of a request: the strongest there is.
#[must_use]
pub fn session_key<'a>(
    headers: &dyn Fn(&str) -> Option<&'a str>,
    hints: &SessionHints,
    key_id: Option<KeyId>,
) -> Option<SessionKey> {
    session_keys(headers, hints, key_id).primary
}

/// All keys of a request.
#[must_use]
pub fn session_keys<'a>(
    headers: &dyn Fn(&str) -> Option<&'a str>,
    hints: &SessionHints,
    key_id: Option<KeyId>,
) -> SessionKeys {
    let header = |name: &str| headers(name).filter(|value| is_valid(value));
    let hint = |value: &'_ Option<String>| value.clone().filter(|text| is_valid(text));
    let sent = header(CLAUDE_HEADER)
        .map(str::to_owned)
        .or_else(|| hint(&hints.claude_session))
        .or_else(|| SESSION_HEADERS.iter().find_map(|name| header(name)).map(str::to_owned))
        .or_else(|| hint(&hints.prompt_cache_key))
        .or_else(|| hint(&hints.conversation))
        .or_else(|| hint(&hints.session_id));
    let strong = sent.map(|id| key(Origin::Id, &id, key_id));
    let content = hints.content.as_deref().filter(|text| !text.is_empty());
    let content = content.map(|text| key(Origin::Content, text, key_id));
    let last_resort = || header(REQUEST_HEADER).map(|id| key(Origin::RequestId, id, key_id));
    match (strong, content) {
        (Some(primary), content) => SessionKeys { primary: Some(primary), content },
        (None, Some(content)) => SessionKeys { primary: Some(content), content: None },
        (None, None) => SessionKeys { primary: last_resort(), content: None },
    }
}

impl SessionKey {
    /// The key under which a Responses reply is bound to the account that gave it: `previous_response_id`
    /// works nowhere else.
    #[must_use]
    pub fn of_response(key_id: Option<KeyId>, response_id: &str) -> Self {
        key(Origin::Response, response_id, key_id)
    }
}

/// Printable ASCII, 1–256 characters, no space at either end.
fn is_valid(value: &str) -> bool {
    const LONGEST: usize = 256;
    (1..=LONGEST).contains(&value.len())
        && value.bytes().all(|b| (b' '..=b'~').contains(&b))
        && !value.starts_with(' ')
        && !value.ends_with(' ')
}

/// Two API keys never share a conversation: the key's id is part of the hash.
fn key(origin: Origin, text: &str, key_id: Option<KeyId>) -> SessionKey {
    let mut hash = Sha256::new();
    hash.update(match origin {
        Origin::Id => b"i",
        Origin::Content => b"c",
        Origin::RequestId => b"r",
        Origin::Response => b"a",
    });
    match key_id {
        Some(id) => hash.update(id.as_bytes()),
        None => hash.update([0_u8; 16]),
    }
    hash.update(text.as_bytes());
    let mut out = [0_u8; 16];
    out.iter_mut().zip(hash.finalize()).for_each(|(to, from)| *to = from);
    SessionKey(out)
}

/// Bindings with a sliding life, the longest unused ones dropped first.
#[derive(Debug)]
pub struct Bindings<K, V> {
    map: HashMap<K, Bound<V>>,
    /// Every use, oldest first; entries whose tick is no longer the binding's are stale.
    uses: VecDeque<(u64, K)>,
    tick: u64,
    capacity: usize,
}

#[derive(Debug)]
struct Bound<V> {
    value: V,
    expires_at: UnixMs,
    tick: u64,
}

/// Most bindings kept at once (accounts §6.5).
pub const MAX_BINDINGS: usize = 10_000;

impl<K: Hash + Eq + Clone, V: PartialEq + Copy> Default for Bindings<K, V> {
    fn default() -> Self {
        Self::with_capacity(MAX_BINDINGS)
    }
}

impl<K: Hash + Eq + Clone, V: PartialEq + Copy> Bindings<K, V> {
    /// At most `capacity` bindings.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self { map: HashMap::new(), uses: VecDeque::new(), tick: 0, capacity: capacity.max(1) }
    }

    /// What `key` is bound to; using it starts its life anew.
    pub fn get(&mut self, key: &K, now: UnixMs, ttl_ms: i64) -> Option<V> {
        let bound = self.map.get_mut(key)?;
        if bound.expires_at <= now {
            self.map.remove(key);
            return None;
        }
        self.tick = self.tick.wrapping_add(1);
        bound.expires_at = now.saturating_add(ttl_ms);
        bound.tick = self.tick;
        let value = bound.value;
        self.used(key.clone());
        Some(value)
    }

    /// Binds `key` to `value`.
    pub fn bind(&mut self, key: K, value: V, now: UnixMs, ttl_ms: i64) {
        self.tick = self.tick.wrapping_add(1);
        let bound = Bound { value, expires_at: now.saturating_add(ttl_ms), tick: self.tick };
        self.map.insert(key.clone(), bound);
        self.used(key);
        while self.map.len() > self.capacity {
            let Some((tick, oldest)) = self.uses.pop_front() else { break };
            if self.map.get(&oldest).is_some_and(|bound| bound.tick == tick) {
                self.map.remove(&oldest);
            }
        }
    }

    /// Unbinds `key` only while it is bound to `value`: a late failure must not undo a newer binding.
    pub fn unbind_if(&mut self, key: &K, value: &V) {
        if self.map.get(key).is_some_and(|bound| bound.value == *value) {
            self.map.remove(key);
        }
    }

    /// Drops every binding to `value` (its account or entry is gone).
    pub fn forget(&mut self, value: &V) {
        self.map.retain(|_, bound| bound.value != *value);
    }

    /// Bindings held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// True when nothing is bound.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    fn used(&mut self, key: K) {
        self.uses.push_back((self.tick, key));
        // Stale uses pile up with every hit; sweeping at four times the capacity keeps it cheap.
        if self.uses.len() > self.capacity.saturating_mul(4).max(16) {
            let map = &self.map;
            self.uses.retain(|(tick, key)| map.get(key).is_some_and(|b| b.tick == *tick));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(headers: &[(&str, &str)], hints: &SessionHints, id: Option<KeyId>) -> SessionKeys {
        let headers: Vec<(String, String)> =
            headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let get =
            |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
        session_keys(&get, hints, id)
    }

    fn only(text: &str) -> Option<SessionKey> {
        Some(key(Origin::Id, text, None))
    }

    #[test]
    fn the_strongest_id_wins() {
        let some = |text: &str| Some(text.to_owned());
        let mut hints = SessionHints {
            claude_session: some("claude"),
            prompt_cache_key: some("cache"),
            conversation: some("conversation"),
            session_id: some("session"),
            content: some("system user"),
        };
        let mut headers = vec![
            ("x-client-request-id", "request"),
            ("x-session-id", "x-session"),
            ("session_id", "codex-old"),
            ("session-id", "codex"),
            ("x-claude-code-session-id", "header"),
        ];
        let expect = |headers: &[(&str, &str)], hints: &SessionHints, want: &str| {
            assert_eq!(keys(headers, hints, None).primary, only(want), "{want}");
        };
        expect(&headers, &hints, "header");
        headers.pop();
        expect(&headers, &hints, "claude");
        hints.claude_session = None;
        expect(&headers, &hints, "codex");
        headers.pop();
        expect(&headers, &hints, "codex-old");
        headers.pop();
        expect(&headers, &hints, "x-session");
        headers.pop();
        expect(&headers, &hints, "cache");
        hints.prompt_cache_key = None;
        expect(&headers, &hints, "conversation");
        hints.conversation = None;
        expect(&headers, &hints, "session");
        hints.session_id = None;
        let content = key(Origin::Content, "system user", None);
        assert_eq!(keys(&headers, &hints, None).primary, Some(content));
        hints.content = None;
        let request = key(Origin::RequestId, "request", None);
        assert_eq!(keys(&headers, &hints, None).primary, Some(request));
        assert_eq!(keys(&[], &hints, None), SessionKeys::default());
    }

    #[test]
    fn the_content_is_bound_beside_a_stronger_id() {
        let hints = SessionHints { content: Some("s u".into()), ..SessionHints::default() };
        let both = keys(&[("session-id", "x")], &hints, None);
        let alone = keys(&[], &hints, None);
        assert_eq!(both.content, alone.primary);
        assert_eq!(alone.content, None);
    }

    #[test]
    fn values_that_are_no_ids_are_passed_over() {
        let long = "x".repeat(257);
        for bad in ["", " a", "a ", "é", "a\tb", long.as_str()] {
            let found = keys(
                &[("session-id", bad), ("x-session-id", "ok")],
                &SessionHints::default(),
                None,
            );
            assert_eq!(found.primary, only("ok"), "{bad:?}");
        }
        let longest = "x".repeat(256);
        let found = keys(&[("session-id", &longest)], &SessionHints::default(), None);
        assert_eq!(found.primary, only(&longest));
    }

    #[test]
    fn two_api_keys_never_share_a_conversation() {
        let (a, b) = (KeyId::new(), KeyId::new());
        let of = |id| keys(&[("session-id", "same")], &SessionHints::default(), id).primary;
        assert_ne!(of(Some(a)), of(Some(b)));
        assert_ne!(of(Some(a)), of(None));
        assert_eq!(of(Some(a)), of(Some(a)));
        assert_ne!(Some(SessionKey::of_response(Some(a), "same")), of(Some(a)));
    }

    #[test]
    fn a_binding_slides_and_expires() {
        let mut bindings = Bindings::default();
        bindings.bind("k", 1, 0, 100);
        assert_eq!(bindings.get(&"k", 99, 100), Some(1));
        assert_eq!(bindings.get(&"k", 198, 100), Some(1));
        assert_eq!(bindings.get(&"k", 298, 100), None);
        assert!(bindings.is_empty());
    }

    #[test]
    fn a_late_failure_does_not_undo_a_newer_binding() {
        let mut bindings = Bindings::default();
        bindings.bind("k", 1, 0, 100);
        bindings.bind("k", 2, 0, 100);
        bindings.unbind_if(&"k", &1);
        assert_eq!(bindings.get(&"k", 1, 100), Some(2));
        bindings.unbind_if(&"k", &2);
        assert_eq!(bindings.get(&"k", 1, 100), None);
    }

    #[test]
    fn the_longest_unused_binding_goes_first() {
        let mut bindings = Bindings::with_capacity(3);
        for key in 0..3 {
            bindings.bind(key, key, 0, 100);
        }
        bindings.get(&0, 1, 100);
        bindings.bind(3, 3, 1, 100);
        assert_eq!(bindings.get(&1, 2, 100), None);
        assert_eq!([0, 2, 3].map(|k| bindings.get(&k, 2, 100)), [Some(0), Some(2), Some(3)]);
    }

    #[test]
    fn memory_stays_bounded_under_many_uses_and_keys() {
        let mut bindings = Bindings::with_capacity(10);
        for i in 0..10_000_u32 {
            bindings.bind(i, i, 0, 100);
            bindings.get(&i, 1, 100);
            bindings.get(&(i / 2), 1, 100);
        }
        assert!(bindings.len() <= 10 && bindings.uses.len() <= 41);
        bindings.forget(&9_999);
        assert_eq!(bindings.len(), 9);
    }
}
