//! What people paste after they agreed: an address, its query, or the bare code. Total: any text is read or refused.

use percent_encoding::percent_decode_str;

use crate::secret::Secret;

/// Longest text that can be one of the forms.
const LONGEST: usize = 8 * 1024;
/// Parameters of an authorize address: no vendor sends them back.
const OF_THE_LINK: [&str; 3] = ["client_id", "response_type", "code_challenge"];

/// What a pasted text, or a callback's query, says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Pasted {
    /// A code, with the state that came with it.
    Code {
        /// Exchanged once.
        code: Secret,
        /// `None` = the text has none.
        state: Option<String>,
    },
    /// The vendor says no.
    Error {
        /// `access_denied` …
        error: String,
        /// The vendor's words.
        description: Option<String>,
        /// `None` = the text has none.
        state: Option<String>,
    },
}

/// Why a text is none of the forms.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadPaste {
    /// Nothing there.
    #[error("nothing was pasted; paste the address the browser ended up at, or the code it shows")]
    Empty,
    /// The address of the vendor's page itself.
    #[error("you pasted the sign-in link; paste the address you ended up at after you approved")]
    SignInLink,
    /// An address without a code.
    #[error(
        "there is no code in what was pasted; paste the whole address the browser ended up at, or \
         the code it shows"
    )]
    NoCode,
    /// Longer than any of them.
    #[error("what was pasted is too long to be an address or a code")]
    TooLong,
}

/// Reads a pasted text: a URL, a query, `code=…&state=…`, `host/path?code=…`, a bare code, `code#state`, a URL with
/// its parameters in the fragment, or a URL of another scheme.
///
/// # Errors
/// See [`BadPaste`].
pub fn parse(input: &str) -> Result<Pasted, BadPaste> {
    if input.len() > LONGEST {
        return Err(BadPaste::TooLong);
    }
    // Terminals wrap long lines; neither addresses nor codes hold blanks.
    let text: String = input.chars().filter(|c| !c.is_whitespace() && !c.is_control()).collect();
    let text = stripped(&text);
    if text.is_empty() {
        return Err(BadPaste::Empty);
    }
    let (main, fragment) = text.split_once('#').unwrap_or((text, ""));
    let query = main.split_once('?').map(|(_, query)| query);
    let is_address = query.is_some() || main.contains("://");
    let names_parameters = main.split('&').any(|pair| {
        let name = pair.split_once('=').map_or("", |(name, _)| name);
        matches!(name, "code" | "state" | "error" | "error_description" | "iss")
            || OF_THE_LINK.contains(&name)
    });
    if !is_address && !names_parameters {
        if fragment.contains("code=") || fragment.contains("error=") {
            return read(&[fragment]);
        }
        return bare(main, fragment);
    }
    read(&[query.unwrap_or(if is_address { "" } else { main }), fragment])
}

/// Reads the query of a callback.
///
/// # Errors
/// [`BadPaste::NoCode`] when it holds neither a code nor an error.
pub fn parse_query(query: &str) -> Result<Pasted, BadPaste> {
    if query.len() > LONGEST {
        return Err(BadPaste::TooLong);
    }
    read(&[query])
}

/// The first `state` of a callback's query.
#[must_use]
pub fn state_of(query: &str) -> Option<String> {
    parameter(&[query], "state")
}

fn read(parts: &[&str]) -> Result<Pasted, BadPaste> {
    let state = parameter(parts, "state");
    if let Some(code) = parameter(parts, "code") {
        // An authorize address of some vendors has a `code` of its own: `code=true`.
        if OF_THE_LINK.iter().any(|name| parameter(parts, name).is_some()) {
            return Err(BadPaste::SignInLink);
        }
        return Ok(with_state(&code, state));
    }
    if let Some(error) = parameter(parts, "error") {
        let description = parameter(parts, "error_description");
        return Ok(Pasted::Error { error, description, state });
    }
    if OF_THE_LINK.iter().any(|name| parameter(parts, name).is_some()) {
        return Err(BadPaste::SignInLink);
    }
    Err(BadPaste::NoCode)
}

fn bare(main: &str, fragment: &str) -> Result<Pasted, BadPaste> {
    let code = decoded(main);
    if code.is_empty() {
        return Err(BadPaste::NoCode);
    }
    let state = Some(decoded(fragment)).filter(|state| !state.is_empty());
    Ok(with_state(&code, state))
}

/// `code#state` within a code: what stands right of `#` wins.
fn with_state(code: &str, state: Option<String>) -> Pasted {
    let (code, own) = code.split_once('#').unwrap_or((code, ""));
    let state = Some(own.to_owned()).filter(|own| !own.is_empty()).or(state);
    Pasted::Code { code: Secret::new(code.to_owned()), state }
}

/// The first non-empty parameter of that name, decoded once; `+` stays `+`.
fn parameter(parts: &[&str], wanted: &str) -> Option<String> {
    parts.iter().flat_map(|part| part.split('&')).find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        (name == wanted && !value.is_empty()).then(|| decoded(value))
    })
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn stripped(mut text: &str) -> &str {
    const PAIRS: [(char, char); 4] = [('"', '"'), ('\'', '\''), ('<', '>'), ('`', '`')];
    while let Some(inner) =
        PAIRS.iter().find_map(|(open, close)| text.strip_prefix(*open)?.strip_suffix(*close))
    {
        text = inner;
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn code(text: &str, state: Option<&str>) -> Result<Pasted, BadPaste> {
        Ok(Pasted::Code { code: Secret::new(text.into()), state: state.map(str::to_owned) })
    }

    #[test]
    fn every_form_is_read() {
        let both = code("c+1/2", Some("st_1"));
        for text in [
            "http://localhost:20128/callback?code=c+1/2&state=st_1",
            "  \"http://localhost:20128/callback?code=c%2B1%2F2&state=st_1\"\n",
            "<https://x.example/cb?state=st_1&code=c+1/2&scope=a%20b>",
            "?code=c+1/2&state=st_1",
            "code=c+1/2&state=st_1",
            "state=st_1&code=c+1/2",
            "localhost:20128/callback?code=c+1/2&state=st_1",
            "c+1/2#st_1",
            "c%2B1%2F2%23st_1",
            "https://x.example/cb#code=c+1/2&state=st_1",
            "#code=c+1/2&state=st_1",
            "https://x.example/cb?state=st_1#code=c+1/2",
            "kiro://kiro.kiroAgent/authenticate-success?code=c+1/2&state=st_1",
            "http://localhost:20128/call\n back?code=c+1/2&sta\r\nte=st_1",
            "https://x.example/cb?code=c+1/2%23st_1&state=other",
        ] {
            assert_eq!(parse(text), both, "{text:?}");
        }
        assert_eq!(parse("c+1/2"), code("c+1/2", None));
        assert_eq!(parse("'abc=='"), code("abc==", None));
        assert_eq!(parse("code=abc"), code("abc", None));
        assert_eq!(parse("abc#"), code("abc", None));
        // decoded once
        assert_eq!(parse("code=a%252Fb"), code("a%2Fb", None));
    }

    #[test]
    fn refusals_of_the_vendor_and_of_the_paste_are_told_apart() {
        let denied = Pasted::Error {
            error: "access_denied".into(),
            description: Some("No <b>thanks</b>".into()),
            state: Some("s".into()),
        };
        let text = "http://localhost:1/callback?error=access_denied&error_description=No%20%3Cb%3Ethanks%3C/b%3E&state=s";
        assert_eq!(parse(text), Ok(denied));
        let link =
            "https://claude.ai/oauth/authorize?code=true&client_id=x&response_type=code&state=s";
        assert_eq!(parse(link), Err(BadPaste::SignInLink));
        assert_eq!(parse("https://x.example/a?client_id=x"), Err(BadPaste::SignInLink));
        for text in ["", "  \n", "\"\"", "<>"] {
            assert_eq!(parse(text), Err(BadPaste::Empty), "{text:?}");
        }
        for text in
            ["https://claude.ai/", "http://localhost:1/callback", "?x=1", "#", "?code=", "state=a"]
        {
            assert_eq!(parse(text), Err(BadPaste::NoCode), "{text:?}");
        }
        assert_eq!(parse(&"x".repeat(LONGEST + 1)), Err(BadPaste::TooLong));
    }

    #[test]
    fn query_of_a_callback() {
        assert_eq!(parse_query("code=a&state=b"), code("a", Some("b")));
        assert_eq!(state_of("code=a&state=b%2Bc"), Some("b+c".into()));
        assert_eq!(parse_query("state=b"), Err(BadPaste::NoCode));
        assert_eq!(state_of(""), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,120}") {
            let _read_or_refused = parse(&text);
        }

        #[test]
        fn any_code_survives_the_address_bar(raw in "[A-Za-z0-9_~.+/-]{1,60}", state in "[A-Za-z0-9_-]{1,43}") {
            let query = format!("http://localhost:1/callback?code={}&state={state}",
                percent_encoding::utf8_percent_encode(&raw, percent_encoding::NON_ALPHANUMERIC));
            prop_assert_eq!(parse(&query), code(&raw, Some(&state)));
        }
    }
}
