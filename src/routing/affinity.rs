//! Which conversation a request belongs to (accounts §6.5).

use ninerouter_dialect::SessionHints;
use sha2::{Digest, Sha256};

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

impl SessionKeys {
    /// Bound by one key alone.
    #[must_use]
    pub fn only(key: SessionKey) -> Self {
        Self { primary: Some(key), content: None }
    }

    /// The keys there are, the strongest first.
    pub fn iter(self) -> impl Iterator<Item = SessionKey> {
        self.primary.into_iter().chain(self.content)
    }
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
}
