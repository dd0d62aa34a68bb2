//! Patterns over model ids: `*` is any run of characters, `?` one, case does not matter.

use std::fmt;

/// A pattern as the operator wrote it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Glob(Box<str>);

impl Glob {
    /// Takes the pattern; it is compared in lower case.
    #[must_use]
    pub fn new(pattern: &str) -> Self {
        Self(pattern.trim().to_ascii_lowercase().into_boxed_str())
    }

    /// True when the whole of `text` fits.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        matches(self.0.as_bytes(), text.as_bytes())
    }

    /// True for patterns that name a provider: `glm/*`.
    #[must_use]
    pub fn has_slash(&self) -> bool {
        self.0.contains('/')
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Greedy match with one point to fall back to: the last star. Never worse than pattern × text.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(byte) = text.get(t) {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(want) if *want == b'?' || *want == byte.to_ascii_lowercase() => {
                // A `?` stands for a character, not for a byte of one.
                t += if *want == b'?' { char_len(text, t) } else { 1 };
                p += 1;
            }
            _ => match star {
                Some((star_p, star_t)) => {
                    star = Some((star_p, star_t + 1));
                    p = star_p + 1;
                    t = star_t + 1;
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).is_none_or(|rest| rest.iter().all(|b| *b == b'*'))
}

fn char_len(text: &[u8], at: usize) -> usize {
    let following = text.get(at + 1..).unwrap_or_default();
    1 + following.iter().take_while(|b| (**b & 0b1100_0000) == 0b1000_0000).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_cover_the_whole_text_and_ignore_case() {
        for (pattern, text, want) in [
            ("glm/*", "glm/glm-4.7", true),
            ("GLM/*", "glm/GLM-4.7", true),
            ("*claude*", "cc/claude-opus-4", true),
            ("glm-4.?", "glm-4.7", true),
            ("glm-4.?", "glm-4.", false),
            ("?", "é", true),
            ("??", "é", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("*", "", true),
            ("", "", true),
            ("", "x", false),
            ("gpt-4o", "gpt-4o-mini", false),
            ("**", "anything/at all", true),
        ] {
            assert_eq!(Glob::new(pattern).matches(text), want, "{pattern} {text}");
        }
    }

    proptest! {
        #[test]
        fn a_text_fits_itself_and_star(text in "[a-z0-9/:.-]{0,30}", cut in 0_usize..30) {
            prop_assert!(Glob::new(&text).matches(&text.to_uppercase()));
            let (left, right) = text.split_at(cut.min(text.len()));
            let split = [left, "*", right].concat();
            prop_assert!(Glob::new(&split).matches(&text));
            let longer = text.clone() + "!";
            prop_assert!(!Glob::new(&longer).matches(&text));
        }
    }
}
