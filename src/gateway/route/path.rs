//! The one normalisation of a request path, before anything is classified (SEC-ROUTE-2).

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::BadPath;

/// A path after normalisation, with what the exceptions for inference paths need to know.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Normal<'a> {
    /// Begins with `/`, has no empty and no dot segment, no trailing `/` (but for the root).
    pub(super) path: Cow<'a, str>,
    /// A run of `/` was collapsed: right for inference paths only.
    pub(super) collapsed: bool,
    /// `%2F` occurs, still encoded: right inside a model tail only.
    pub(super) encoded_slash: bool,
}

/// Decodes unreserved characters once and refuses what would let two readers of the same path
/// disagree.
pub(super) fn normalise(raw: &str) -> Result<Normal<'_>, BadPath> {
    if !raw.starts_with('/') {
        return Err(BadPath::NotAbsolute);
    }
    let mut normal = if is_plain(raw) {
        Normal { path: Cow::Borrowed(raw), collapsed: false, encoded_slash: false }
    } else {
        rewrite(raw)?
    };
    if has_dot_segment(&normal.path) {
        return Err(BadPath::DotSegment);
    }
    drop_trailing_slash(&mut normal.path);
    Ok(normal)
}

/// Decodes the model part of a path: once, to UTF-8, without dot segments (the id may end up in
/// the path of an upstream URL).
pub(super) fn decode_tail(tail: &str) -> Result<String, BadPath> {
    let text = percent_decode_str(tail).decode_utf8().map_err(|_invalid| BadPath::Encoding)?;
    if text.split('/').any(is_dots) {
        return Err(BadPath::DotSegment);
    }
    Ok(text.into_owned())
}

fn is_plain(raw: &str) -> bool {
    let mut before = 0;
    for byte in raw.bytes() {
        if matches!(byte, b'%' | b'\\') || is_control(byte) || (byte == b'/' && before == b'/') {
            return false;
        }
        before = byte;
    }
    true
}

fn rewrite(raw: &str) -> Result<Normal<'_>, BadPath> {
    let mut out = Vec::with_capacity(raw.len());
    let (mut collapsed, mut encoded_slash) = (false, false);
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => return Err(BadPath::Backslash),
            b'/' if out.last() == Some(&b'/') => collapsed = true,
            b'%' => {
                let (high, low) = (bytes.next(), bytes.next());
                match hex_pair(high, low)? {
                    b'\\' => return Err(BadPath::Backslash),
                    code if is_control(code) => return Err(BadPath::Control),
                    code if is_unreserved(code) => out.push(code),
                    code => {
                        encoded_slash |= code == b'/';
                        out.push(b'%');
                        out.extend(high.into_iter().chain(low));
                    }
                }
            }
            byte if is_control(byte) => return Err(BadPath::Control),
            byte => out.push(byte),
        }
    }
    let path = String::from_utf8(out).map_err(|_invalid| BadPath::Encoding)?;
    Ok(Normal { path: Cow::Owned(path), collapsed, encoded_slash })
}

fn drop_trailing_slash(path: &mut Cow<'_, str>) {
    if path.len() > 1 && path.ends_with('/') {
        match path {
            Cow::Borrowed(text) => *text = text.strip_suffix('/').unwrap_or(text),
            Cow::Owned(text) => drop(text.pop()),
        }
    }
}

fn has_dot_segment(path: &str) -> bool {
    // Cheap test first: nearly no path has a segment that begins with a dot.
    memchr::memmem::find(path.as_bytes(), b"/.").is_some() && path.split('/').any(is_dots)
}

fn is_dots(segment: &str) -> bool {
    matches!(segment, "." | "..")
}

fn is_control(byte: u8) -> bool {
    byte.is_ascii_control()
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn hex_pair(high: Option<u8>, low: Option<u8>) -> Result<u8, BadPath> {
    let digit = |byte: Option<u8>| byte.and_then(|b| char::from(b).to_digit(16));
    let (Some(high), Some(low)) = (digit(high), digit(low)) else {
        return Err(BadPath::Encoding);
    };
    u8::try_from(high * 16 + low).map_err(|_never| BadPath::Encoding)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(raw: &str) -> Result<String, BadPath> {
        normalise(raw).map(|n| n.path.into_owned())
    }

    #[test]
    fn unreserved_characters_are_decoded_once_and_only_once() {
        for (raw, want) in [
            ("/v1/models", "/v1/models"),
            ("/api/%6beys", "/api/keys"),
            ("/%2561pi/keys", "/%2561pi/keys"),
            ("/v1/models/", "/v1/models"),
            ("//v1//models//", "/v1/models"),
            ("/", "/"),
            ("//", "/"),
            ("/v1/models/a%2Fb", "/v1/models/a%2Fb"),
            ("/v1/models/a%3ab", "/v1/models/a%3ab"),
            ("/a/...", "/a/..."),
            ("/a/.hidden", "/a/.hidden"),
        ] {
            assert_eq!(path(raw).as_deref(), Ok(want), "{raw}");
        }
    }

    #[test]
    fn ambiguous_paths_are_refused() {
        for (raw, want) in [
            ("/v1/../v1/models", BadPath::DotSegment),
            ("/v1/./models", BadPath::DotSegment),
            ("/v1/%2e%2E/models", BadPath::DotSegment),
            ("/v1/models/..", BadPath::DotSegment),
            ("/v1/models/.", BadPath::DotSegment),
            ("/a%5cb", BadPath::Backslash),
            ("/a\\b", BadPath::Backslash),
            ("/a%00", BadPath::Control),
            ("/a%0d%0ab", BadPath::Control),
            ("/a%7f", BadPath::Control),
            ("/a\u{1}", BadPath::Control),
            ("/a%", BadPath::Encoding),
            ("/a%4", BadPath::Encoding),
            ("/a%zz", BadPath::Encoding),
            ("*", BadPath::NotAbsolute),
            ("", BadPath::NotAbsolute),
            ("http://a/login", BadPath::NotAbsolute),
        ] {
            assert_eq!(path(raw), Err(want), "{raw:?}");
        }
    }

    #[test]
    fn a_model_tail_cannot_climb() {
        assert_eq!(decode_tail("gc%2Fgemini-2.5-pro").as_deref(), Ok("gc/gemini-2.5-pro"));
        assert_eq!(decode_tail("a%252Fb").as_deref(), Ok("a%2Fb"));
        assert_eq!(decode_tail("gc%2F..%2Fx"), Err(BadPath::DotSegment));
        assert_eq!(decode_tail("%ff"), Err(BadPath::Encoding));
    }

    proptest! {
        #[test]
        fn normalising_never_panics_and_is_stable(raw in "/[a-z%0-9./\\\\A-F~:é-]{0,40}") {
            if let Ok(first) = normalise(&raw) {
                prop_assert!(first.path.starts_with('/'));
                prop_assert!(!first.path.contains("//"));
                prop_assert!(!first.path.split('/').any(is_dots));
                // A second pass may decode again (`%2561`), which is why it never happens; it
                // must at least find nothing else to change when nothing is encoded.
                if !first.path.contains('%') {
                    let again = normalise(&first.path).map(|n| n.path.into_owned());
                    prop_assert_eq!(again.as_deref(), Ok(first.path.as_ref()));
                }
            }
        }
    }
}
