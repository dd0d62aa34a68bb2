//! Places of the parts of a JSON text that is known to be valid.

use crate::config::file::document::{Places, Step};

/// Places of everything in `text`, and the first key that one object has twice.
pub(super) fn find(text: &str) -> (Places, Option<(usize, String)>) {
    let mut scanner = Scanner { bytes: text.as_bytes(), text, at: 0, twice: None };
    let places = scanner.value();
    (places, scanner.twice)
}

struct Scanner<'a> {
    bytes: &'a [u8],
    text: &'a str,
    at: usize,
    twice: Option<(usize, String)>,
}

impl Scanner<'_> {
    /// Depth is bounded by the parser that accepted the text before.
    fn value(&mut self) -> Places {
        self.skip_blanks();
        let at = self.at;
        let parts = match self.peek() {
            Some(b'{') => self.members(),
            Some(b'[') => self.items(),
            Some(b'"') => {
                self.string();
                Vec::new()
            }
            _ => {
                while self.peek().is_some_and(|b| !b",]}".contains(&b) && !is_blank(b)) {
                    self.at += 1;
                }
                Vec::new()
            }
        };
        Places { at, parts }
    }

    fn members(&mut self) -> Vec<(Step, Places)> {
        let mut parts = Vec::new();
        self.at += 1;
        while self.next_part(b'}') {
            let at = self.at;
            let key = self.string();
            self.skip_blanks();
            self.at += 1; // the colon
            let mut part = self.value();
            part.at = at;
            let step = Step::Key(key);
            if self.twice.is_none()
                && parts.iter().any(|(known, _)| *known == step)
                && let Step::Key(key) = &step
            {
                self.twice = Some((at, key.clone()));
            }
            parts.push((step, part));
        }
        parts
    }

    fn items(&mut self) -> Vec<(Step, Places)> {
        let mut parts = Vec::new();
        self.at += 1;
        while self.next_part(b']') {
            let item = self.value();
            parts.push((Step::Item(parts.len()), item));
        }
        parts
    }

    /// Goes to the next member or item; false behind the closing bracket.
    fn next_part(&mut self, end: u8) -> bool {
        loop {
            self.skip_blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b) if b == end => {
                    self.at += 1;
                    return false;
                }
                Some(_) => return true,
                None => return false,
            }
        }
    }

    /// Reads a string literal and gives its text.
    fn string(&mut self) -> String {
        let start = self.at;
        self.at += 1;
        while let Some(b) = self.peek() {
            self.at += match b {
                b'\\' => 2,
                _ => 1,
            };
            if b == b'"' {
                break;
            }
        }
        let literal = self.text.get(start..self.at).unwrap_or_default();
        serde_json::from_str(literal).unwrap_or_default()
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(is_blank) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[\"\\\\,{}\\[\\]:a ä]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map("[\"\\\\,{}:a ]{0,4}", inner, 0..5)
                    .prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    fn count(value: &Value) -> usize {
        match value {
            Value::Array(list) => 1 + list.iter().map(count).sum::<usize>(),
            Value::Object(map) => 1 + map.values().map(count).sum::<usize>(),
            _ => 1,
        }
    }

    fn count_places(places: &Places) -> usize {
        1 + places.parts.iter().map(|(_, part)| count_places(part)).sum::<usize>()
    }

    proptest! {
        #[test]
        fn every_part_of_any_text_is_found(value in json()) {
            for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
                let (places, twice) = find(&text);
                prop_assert_eq!(count_places(&places), count(&value));
                prop_assert_eq!(twice, None);
            }
        }
    }
}
