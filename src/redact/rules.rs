//! The patterns that secrets are known by. Each is compiled when a text first holds what no match of it can lack: most log
//! lines hold nothing of the kind, and compiled patterns cost a megabyte.

use std::borrow::Cow;
use std::sync::OnceLock;

use memchr::memmem;
use regex::{Captures, Regex};

use super::{is_secret_name, is_secret_parameter, mask};

/// One kind of secret. Each is looked for in a pass of its own: in one alternation, a long candidate that
/// fails at its end would be scanned again behind every short match inside it.
pub(super) struct Rule {
    pattern: &'static str,
    keep: Keep,
    /// Of each of these, in lower case, a match holds one.
    holds: &'static [&'static [&'static str]],
    compiled: OnceLock<Option<Regex>>,
}

/// What stays of a match.
#[derive(Clone, Copy)]
enum Keep {
    Nothing,
    /// Groups 1 and 3; group 2 is the secret.
    Around,
    /// As `Around`, when group `name` is the name of a secret parameter.
    AroundNamedParameter,
    /// As `Around`, when group `name` is the name of a secret member.
    AroundNamedMember,
}

/// A text with what decides whether a rule has to look at it.
pub(super) struct Searched {
    /// In lower case. `None`: not all of it is ASCII, where letters have more than one lower case.
    lower: Option<String>,
}

impl Searched {
    pub(super) fn of(text: &str) -> Self {
        Self { lower: text.is_ascii().then(|| text.to_ascii_lowercase()) }
    }

    fn holds(&self, all: &[&[&str]]) -> bool {
        let Some(lower) = &self.lower else { return true };
        let has = |part: &&str| memmem::find(lower.as_bytes(), part.as_bytes()).is_some();
        all.iter().all(|any| any.iter().any(has))
    }
}

pub(super) static RULES: [Rule; 19] = {
    use Keep::{Around, AroundNamedMember, AroundNamedParameter, Nothing};
    [
        rule(
            r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)",
            Nothing,
            &[&["-----begin "], &["private key-----"]],
        ),
        // Not `code`: every error body has one. OAuth codes travel in queries, which are below.
        rule(
            r#"(?s)(?<one>"(?<name>[A-Za-z0-9_.-]{1,64})"\s*:\s*")(?<two>(?:[^"\\]|\\.)+)(?<three>")"#,
            AroundNamedMember,
            &[&["\":", "\" ", "\"\t", "\"\n", "\"\r", "\"\x0b", "\"\x0c"], &[":"]],
        ),
        rule(
            r#"(?<one>[?&](?<name>[A-Za-z0-9_.-]{1,64})=)(?<two>[^&\s"'<>]+)(?<three>)"#,
            AroundNamedParameter,
            &[&["?", "&"], &["="]],
        ),
        // The same inside a text that is itself a member: quotes are escaped there.
        rule(
            r#"(?<one>\\"(?<name>[A-Za-z0-9_.-]{1,64})\\"\s*:\s*\\")(?<two>[^"\\]+)(?<three>)"#,
            AroundNamedMember,
            &[&["\\\""], &[":"]],
        ),
        // Headers and form bodies as error texts quote them. Not every name with `token` in it: most count tokens.
        rule(
            r#"(?i)(?<one>\b(?:x-api-key|api-key|x-goog-api-key|(?:proxy-)?authorization)\s*:\s*(?:basic\s+|bearer\s+)?)(?<two>[^\s,;"'<>]{4,})(?<three>)"#,
            Around,
            &[&["api-key", "authorization"], &[":"]],
        ),
        rule(
            r#"(?i)(?<one>\bcookie\s*:\s*)(?<two>[^\r\n"=;]{1,128}=[^\r\n"]+)(?<three>)"#,
            Around,
            &[&["cookie"], &["="]],
        ),
        rule(
            r#"(?i)(?<one>\b(?:client_secret|client_assertion|refresh_token|access_token|id_token|code_verifier|device_code|password|passphrase|api_?key)=)(?<two>[^&\s"'<>]+)(?<three>)"#,
            Around,
            &[&[
                "client_secret=",
                "client_assertion=",
                "_token=",
                "code_verifier=",
                "device_code=",
                "password=",
                "passphrase=",
                "api_key=",
                "apikey=",
            ]],
        ),
        rule(r"(?<one>://)(?<two>[^/@\s]+)(?<three>@)", Around, &[&["://"], &["@"]]),
        rule(r"(?i)(?<one>bearer\s+)(?<two>\S{8,})(?<three>)", Around, &[&["bearer"]]),
        rule(r"AIza[0-9A-Za-z_-]{35}", Nothing, &[&["aiza"]]),
        rule(r"ya29\.[0-9A-Za-z_-]{20,}", Nothing, &[&["ya29."]]),
        rule(r"1//[0-9A-Za-z_-]{20,}", Nothing, &[&["1//"]]),
        rule(r"gh[opusr]_[A-Za-z0-9]{20,}", Nothing, &[&["gho_", "ghp_", "ghu_", "ghs_", "ghr_"]]),
        rule(r"github_pat_[0-9A-Za-z_]{20,}", Nothing, &[&["github_pat_"]]),
        rule(r"glpat-[0-9A-Za-z_-]{16,}", Nothing, &[&["glpat-"]]),
        rule(r"xox[abpr]-[0-9A-Za-z_-]{10,}", Nothing, &[&["xox"]]),
        rule(r"(?:AKIA|ASIA)[0-9A-Z]{16}", Nothing, &[&["akia", "asia"]]),
        rule(r"eyJ[0-9A-Za-z_-]{8,}\.[0-9A-Za-z_-]{8,}\.[0-9A-Za-z_-]{4,}", Nothing, &[&["eyj"]]),
        // `sk-ant-…`, `sk-proj-…`, our own `sk-nr1-…`; not `task-…`. Last, because of the boundary.
        rule(r"\bsk-[A-Za-z0-9_-]{16,}", Nothing, &[&["sk-"]]),
    ]
};

const fn rule(
    pattern: &'static str,
    keep: Keep,
    holds: &'static [&'static [&'static str]],
) -> Rule {
    Rule { pattern, keep, holds, compiled: OnceLock::new() }
}

impl Rule {
    /// `text` without this kind of secret; borrowed when it holds none. `searched` is made of `text`.
    pub(super) fn apply<'t>(&self, text: &'t str, searched: &Searched) -> Cow<'t, str> {
        if searched.holds(self.holds) { self.replaced(text) } else { Cow::Borrowed(text) }
    }

    fn replaced<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let Some(pattern) = self.regex() else { return Cow::Borrowed(text) };
        let mut changed = false;
        let replaced = pattern.replace_all(text, |found: &Captures<'_>| {
            let put = self.replacement(found);
            changed |= found.get(0).is_some_and(|whole| whole.as_str() != put);
            put
        });
        if changed { replaced } else { Cow::Borrowed(text) }
    }

    /// A pattern that does not compile is found by the tests.
    fn regex(&self) -> Option<&Regex> {
        self.compiled.get_or_init(|| Regex::new(self.pattern).ok()).as_ref()
    }

    fn replacement(&self, found: &Captures<'_>) -> String {
        let part = |name: &str| found.name(name).map_or("", |part| part.as_str());
        let whole = || found.get(0).map_or("", |whole| whole.as_str());
        let hidden = match self.keep {
            Keep::Nothing => return mask(whole()).to_owned(),
            Keep::Around => true,
            Keep::AroundNamedParameter => is_secret_parameter(part("name")),
            Keep::AroundNamedMember => {
                let name = part("name");
                is_secret_name(name) && !name.eq_ignore_ascii_case("code")
            }
        };
        if hidden {
            format!("{}{}{}", part("one"), mask(part("two")), part("three"))
        } else {
            whole().to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn all_patterns_compile() {
        for rule in &RULES {
            assert!(rule.regex().is_some(), "{}", rule.pattern);
        }
    }

    /// Pieces of what the patterns look for, whole and broken.
    const PIECES: [&str; 40] = [
        "-----BEGIN RSA PRIVATE KEY-----",
        "-----END RSA PRIVATE KEY-----",
        "\"api_key\"",
        "\"access_token\"",
        "\\\"password\\\"",
        "\\\"",
        "\"",
        ":",
        " ",
        "\u{b}",
        "\n",
        "?key=",
        "&token=",
        "x-api-key",
        "X-Goog-Api-Key",
        "Authorization",
        "basic ",
        "Bearer",
        "Cookie: a=b",
        "cookie",
        "client_secret=",
        "Refresh_Token=",
        "apikey=",
        "https://",
        "user:word",
        "@host/",
        "AIza",
        "ya29.",
        "1//",
        "ghp_",
        "github_pat_",
        "glpat-",
        "xoxb-",
        "AKIA",
        "eyJ",
        ".",
        "sk-",
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
        "=",
        "\u{212a}ey",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn what_a_match_must_hold_is_in_every_match(
            parts in prop::collection::vec(prop::sample::select(PIECES.to_vec()), 0..10),
        ) {
            let text = parts.concat();
            let searched = Searched::of(&text);
            for rule in &RULES {
                prop_assert_eq!(rule.apply(&text, &searched), rule.replaced(&text), "{}", rule.pattern);
            }
        }
    }
}
