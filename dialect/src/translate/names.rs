//! Names of tools, fitted to what a target takes and found again in its answers (translation §2.5).

use std::collections::{BTreeSet, HashMap, HashSet};

use super::ids::digest;
use super::{Envelope, Target};
use crate::Dialect;
use crate::ir::Str;

/// Hex digits that tell cut names apart, with the underscore before them.
const SUFFIX: usize = 9;

/// Which names a target takes. All of them are ASCII.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NameRules {
    /// Characters beside letters, digits and `_`.
    extra: &'static [u8],
    /// The first character must be a letter or `_`.
    letter_first: bool,
    max: usize,
}

impl NameRules {
    /// The rules of a target.
    pub fn of(target: &Target) -> Self {
        match target.dialect {
            Dialect::Chat | Dialect::Resp => Self { extra: b"-", letter_first: false, max: 64 },
            Dialect::Anth if target.envelope == Envelope::Kiro => {
                Self { extra: b"-", letter_first: false, max: 64 }
            }
            Dialect::Anth => Self { extra: b"-", letter_first: false, max: 128 },
            // Claude behind Code Assist has its own rules beside Google's.
            Dialect::Gem if target.is_code_assist_claude() => {
                Self { extra: b"-", letter_first: true, max: 64 }
            }
            Dialect::Gem => Self { extra: b".:-", letter_first: true, max: 64 },
        }
    }

    fn takes(&self, byte: u8) -> bool {
        byte.is_ascii_alphanumeric() || byte == b'_' || self.extra.contains(&byte)
    }

    fn starts(&self, byte: u8) -> bool {
        self.takes(byte) && (!self.letter_first || byte.is_ascii_alphabetic() || byte == b'_')
    }

    fn is_legal(&self, name: &str) -> bool {
        name.len() <= self.max
            && name.bytes().all(|byte| self.takes(byte))
            && name.bytes().next().is_some_and(|byte| self.starts(byte))
    }

    /// The name with each illegal character replaced; it may still be too long.
    fn spelled(&self, name: &str) -> String {
        let legal = |c: char| u8::try_from(c).is_ok_and(|byte| self.takes(byte));
        let mut out: String = name.chars().map(|c| if legal(c) { c } else { '_' }).collect();
        if !out.bytes().next().is_some_and(|byte| self.starts(byte)) {
            out.insert(0, '_');
        }
        out
    }
}

/// Names of one request as the client and as the target spell them. No two names become one.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct NameMap(HashMap<Str, Str>);

impl NameMap {
    /// Fits all names of a request. Legal names stay; the order of the names does not matter.
    pub fn new<'a>(rules: NameRules, names: impl IntoIterator<Item = &'a Str>) -> Self {
        let names: BTreeSet<&Str> = names.into_iter().filter(|name| !name.is_empty()).collect();
        let mut used: HashSet<Str> =
            names.iter().filter(|name| rules.is_legal(name)).map(|name| (**name).clone()).collect();
        let mut map = HashMap::new();
        for name in names.into_iter().filter(|name| !rules.is_legal(name)) {
            let mut fitted = rules.spelled(name);
            if fitted.len() > rules.max || used.contains(fitted.as_str()) {
                fitted.truncate(rules.max.saturating_sub(SUFFIX));
                fitted = format!("{fitted}_{}", digest(&[name.as_bytes()], 8));
            }
            let fitted = Str::from(fitted);
            used.insert(fitted.clone());
            map.insert(name.clone(), fitted);
        }
        Self(map)
    }

    /// The target's spelling.
    pub fn get(&self, name: &Str) -> Str {
        self.0.get(name).unwrap_or(name).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitted(dialect: Dialect, names: &[&str]) -> Vec<String> {
        let names: Vec<Str> = names.iter().map(|name| Str::from(*name)).collect();
        let map = NameMap::new(NameRules::of(&Target::new(dialect, "m")), &names);
        names.iter().map(|name| map.get(name).to_string()).collect()
    }

    #[test]
    fn t053_t056_names_are_spelled_as_the_target_takes_them() {
        for (dialect, name, want) in [
            (Dialect::Gem, "my tool!", "my_tool_"),
            (Dialect::Gem, "1st", "_1st"),
            (Dialect::Chat, "1st", "1st"),
            (Dialect::Gem, "a.b:c", "a.b:c"),
            (Dialect::Anth, "a.b", "a_b"),
            (Dialect::Gem, "-x", "_-x"),
            (Dialect::Chat, "wetter_für", "wetter_f_r"),
        ] {
            assert_eq!(fitted(dialect, &[name]), [want], "{dialect:?}");
        }
    }

    #[test]
    fn t054_long_names_stay_different() {
        let (a, b) = (format!("{}aaaa", "x".repeat(76)), format!("{}bbbb", "x".repeat(76)));
        let names = fitted(Dialect::Chat, &[&a, &b]);
        assert!(names.iter().all(|name| name.len() == 64));
        assert_ne!(names[0], names[1]);
        assert_eq!(fitted(Dialect::Anth, &[&a]), [a.as_str()]);
    }

    #[test]
    fn t055_a_legal_name_is_never_displaced() {
        let names = fitted(Dialect::Chat, &["a.b", "a_b", "a b"]);
        assert_eq!(names[1], "a_b");
        assert!(names[0].starts_with("a_b_") && names[0].len() == 12, "{names:?}");
        assert_ne!(names[0], names[2]);
        let mut turned = fitted(Dialect::Chat, &["a b", "a_b", "a.b"]);
        turned.reverse();
        assert_eq!(turned, names);
    }
}
