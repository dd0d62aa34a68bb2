//! The members of one JSON object, as written: what the decoders of this dialect read from.

use std::borrow::Cow;

use crate::ir::{Ext, RawJson, Str};
use crate::{Dialect, json};

/// One object. Values stay text until somebody asks for them. `null` counts as absent.
#[derive(Default)]
pub(crate) struct Object<'a> {
    /// The whole object as written.
    text: &'a str,
    /// Few, so a list is faster than a map.
    members: Vec<(Cow<'a, str>, &'a str)>,
}

impl<'a> Object<'a> {
    /// The members of `text`; `None` when it is no object.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let mut members = Vec::new();
        json::each_member(text, |member| {
            if member.value != "null" {
                members.push((member.key, member.value));
            }
            std::ops::ControlFlow::Continue(())
        })
        .ok()?;
        Some(Self { text, members })
    }

    /// The whole object as written.
    pub(crate) fn as_written(&self) -> RawJson {
        raw_json(self.text)
    }

    /// A member as written; the last one when the key is repeated.
    pub(crate) fn raw(&self, key: &str) -> Option<&'a str> {
        self.members.iter().rev().find(|(name, _)| name == key).map(|(_, value)| *value)
    }

    /// A string member, borrowed where it holds no escapes.
    pub(crate) fn word(&self, key: &str) -> Option<Cow<'a, str>> {
        self.raw(key).and_then(json::string)
    }

    /// A string member.
    pub(crate) fn text(&self, key: &str) -> Option<Str> {
        self.word(key).map(str_of)
    }

    /// A string member that says something.
    pub(crate) fn name(&self, key: &str) -> Option<Str> {
        self.text(key).filter(|text| !text.trim().is_empty())
    }

    /// A whole number that is not negative.
    pub(crate) fn number(&self, key: &str) -> Option<u32> {
        self.raw(key)?.parse().ok()
    }

    /// `true` or `false`.
    pub(crate) fn flag(&self, key: &str) -> Option<bool> {
        flag(self.raw(key)?)
    }

    /// A member of any type.
    pub(crate) fn json(&self, key: &str) -> Option<RawJson> {
        self.raw(key).map(raw_json)
    }

    /// An object member.
    pub(crate) fn object(&self, key: &str) -> Option<Object<'a>> {
        self.raw(key).and_then(Self::parse)
    }

    /// The elements of an array member; none when it is anything else.
    pub(crate) fn elements(&self, key: &str) -> Vec<&'a str> {
        self.raw(key).map(elements).unwrap_or_default()
    }

    /// The members that are not in `known`, for the neutral form to carry along.
    pub(crate) fn others(&self, known: &[&str]) -> Ext {
        let mut ext = Ext::default();
        for (key, value) in &self.members {
            if !known.contains(&&**key) {
                ext.push(Dialect::Resp, &**key, raw_json(value));
            }
        }
        ext
    }
}

/// The elements of an array as written; none when the text is anything else.
pub(crate) fn elements(text: &str) -> Vec<&str> {
    let mut elements = Vec::new();
    json::visit_elements(text, |element| elements.push(element));
    elements
}

/// Text that was found as one JSON value before.
pub(crate) fn raw_json(text: &str) -> RawJson {
    RawJson::parse(text).unwrap_or_else(|_| RawJson::from(&serde_json::Value::Null))
}

/// `true` or `false`.
pub(crate) fn flag(raw: &str) -> Option<bool> {
    match raw {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// Shared text of a string that may be borrowed.
pub(crate) fn str_of(text: Cow<'_, str>) -> Str {
    match text {
        Cow::Borrowed(text) => text.into(),
        Cow::Owned(text) => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read_leniently_and_unknown_ones_kept() {
        let object =
            Object::parse(r#"{"a":"x\ny","n":3,"b":true,"z":null,"o":{"k":1.0},"a":"last"}"#)
                .unwrap();
        assert_eq!(object.text("a").as_deref(), Some("last"));
        assert_eq!((object.number("n"), object.flag("b")), (Some(3), Some(true)));
        assert_eq!((object.text("n"), object.number("a"), object.raw("z")), (None, None, None));
        let others = object.others(&["a", "n", "b"]);
        assert_eq!(others.get(Dialect::Resp, "o").map(RawJson::get), Some(r#"{"k":1.0}"#));
        assert_eq!(others.iter().count(), 1);
        assert!(Object::parse("[1]").is_none() && Object::parse("{").is_none());
    }
}
