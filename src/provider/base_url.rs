//! Base URLs as people paste them, and what is made of them (providers §1.5, SEC §9.2).

use url::Url;

/// Last path parts people paste along with a base URL.
const PASTED_TAILS: [&str; 4] = ["/chat/completions", "/messages", "/responses", "/embeddings"];

/// A base URL that cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BaseUrlError {
    /// The parser refuses it, or it has no host.
    #[error("not a URL; write https://host/path")]
    Malformed,
    /// Neither http nor https.
    #[error("only http and https are possible")]
    Scheme,
    /// A user or a password stands before the host.
    #[error("user and password belong into the account, not into the URL")]
    UserInfo,
    /// There is a `?` or a `#`.
    #[error("a base URL has no query and no fragment")]
    QueryOrFragment,
}

/// The canonical form: as the WHATWG parser writes it, without slash at the end and without a
/// pasted endpoint. Nothing is added; `/v1` least of all.
///
/// # Errors
/// When it is no plain http or https URL.
pub fn canonical(raw: &str) -> Result<String, BaseUrlError> {
    // The parser drops tabs and line breaks inside; a URL that holds some is a paste gone wrong.
    if raw.trim().chars().any(char::is_control) {
        return Err(BaseUrlError::Malformed);
    }
    let url = Url::parse(raw.trim()).ok().ok_or(BaseUrlError::Malformed)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(BaseUrlError::Scheme);
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(BaseUrlError::Malformed);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(BaseUrlError::UserInfo);
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(BaseUrlError::QueryOrFragment);
    }
    let text = String::from(url);
    let mut text = text.trim_end_matches('/');
    // until nothing is left to cut: saving a saved URL changes nothing
    while let Some(cut) = PASTED_TAILS.iter().find_map(|tail| text.strip_suffix(tail)) {
        text = cut.trim_end_matches('/');
    }
    Ok(text.to_owned())
}

/// Drops from the end of `base` what the endpoint's path begins with: people paste `…/v1` where the
/// catalog's path already starts with `/v1`.
#[must_use]
pub fn without_overlap<'a>(base: &'a str, path: &str) -> &'a str {
    let ends = path.char_indices().skip(1).filter(|(_, c)| *c == '/').map(|(at, _)| at);
    ends.filter_map(|at| path.get(..at))
        .filter_map(|head| base.strip_suffix(head))
        // the longest common run leaves the shortest base; a base is never cut into its host
        .filter(|cut| cut.split_once("://").is_some_and(|(_, host)| !host.is_empty()))
        .min_by_key(|cut| cut.len())
        .unwrap_or(base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pasted_urls_become_one_form() {
        let cases = [
            ("https://h.example", "https://h.example"),
            (" https://h.example/ ", "https://h.example"),
            ("https://H.example/v1//", "https://h.example/v1"),
            ("https://h.example/v1/chat/completions", "https://h.example/v1"),
            ("https://h.example/v1/chat/completions/", "https://h.example/v1"),
            ("https://h.example/v1/messages", "https://h.example/v1"),
            ("https://h.example:8443/a/b/responses", "https://h.example:8443/a/b"),
            ("https://h.example:443/v1", "https://h.example/v1"),
            ("http://2130706433:1234/v1", "http://127.0.0.1:1234/v1"),
            ("https://h.example/chat", "https://h.example/chat"),
            ("https://h.example/messages/responses/", "https://h.example"),
        ];
        for (raw, want) in cases {
            assert_eq!(canonical(raw).as_deref(), Ok(want), "{raw}");
        }
    }

    #[test]
    fn urls_that_are_no_base_are_refused() {
        let cases = [
            ("", BaseUrlError::Malformed),
            ("h.example/v1", BaseUrlError::Malformed),
            ("https://", BaseUrlError::Malformed),
            ("https://h.example/a\nb", BaseUrlError::Malformed),
            ("ftp://h.example", BaseUrlError::Scheme),
            ("file:///etc/passwd", BaseUrlError::Scheme),
            ("https://u@h.example", BaseUrlError::UserInfo),
            ("https://u:p@h.example", BaseUrlError::UserInfo),
            ("https://h.example?x=1", BaseUrlError::QueryOrFragment),
            ("https://h.example/#a", BaseUrlError::QueryOrFragment),
        ];
        for (raw, want) in cases {
            assert_eq!(canonical(raw), Err(want), "{raw}");
        }
    }

    #[test]
    fn a_version_that_is_in_both_is_sent_once() {
        let path = "/v1/chat/completions";
        assert_eq!(without_overlap("http://h:1/v1", path), "http://h:1");
        assert_eq!(without_overlap("http://h:1/x/v1", path), "http://h:1/x");
        assert_eq!(without_overlap("http://h:1/v2", path), "http://h:1/v2");
        assert_eq!(without_overlap("http://h:1/xv1", path), "http://h:1/xv1");
        assert_eq!(without_overlap("http://h:1", path), "http://h:1");
        assert_eq!(without_overlap("http://v1", "/v1/x"), "http://v1");
    }
}
