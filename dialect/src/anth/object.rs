//! A JSON object taken apart: fields are taken out by name, and what nobody took is unknown.

use std::borrow::Cow;
use std::ops::ControlFlow;

use crate::ir::{Ext, RawJson, Str};
use crate::translate::{WarningKind, Warnings};
use crate::{Dialect, json, usage};

/// The members that were not taken yet, in source order.
#[derive(Default)]
pub(super) struct Object<'a>(Vec<(Cow<'a, str>, &'a str)>);

impl<'a> Object<'a> {
    /// Takes an object apart; `None` for anything else.
    pub(super) fn read(raw: &'a str) -> Option<Self> {
        let mut members = Vec::new();
        json::each_member(raw, |member| {
            members.push((member.key, member.value));
            ControlFlow::Continue(())
        })
        .ok()?;
        Some(Self(members))
    }

    /// Takes out a field; the last one when the key is repeated. `null` is as good as absent.
    pub(super) fn take(&mut self, key: &str) -> Option<&'a str> {
        let mut found = None;
        self.0.retain(|(name, value)| {
            let hit = name == key;
            if hit {
                found = Some(*value);
            }
            !hit
        });
        found.filter(|value| *value != "null")
    }

    /// A field that stays; the last one when the key is repeated.
    pub(super) fn peek(&self, key: &str) -> Option<&'a str> {
        self.0.iter().rev().find(|(name, _)| name == key).map(|(_, value)| *value)
    }

    /// Takes out a text.
    pub(super) fn text(&mut self, key: &str) -> Option<Cow<'a, str>> {
        self.take(key).and_then(json::string)
    }

    /// Takes out a text, to keep.
    pub(super) fn string(&mut self, key: &str) -> Option<Str> {
        self.text(key).map(|text| match text {
            Cow::Borrowed(text) => text.into(),
            Cow::Owned(text) => text.into(),
        })
    }

    /// Takes out a truth value.
    pub(super) fn flag(&mut self, key: &str) -> Option<bool> {
        match self.take(key)? {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// Takes out a count.
    pub(super) fn count(&mut self, key: &str) -> Option<u32> {
        let count = usage::lenient_tokens(self.take(key)?)?;
        Some(u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// Takes out a value as it is.
    pub(super) fn raw(&mut self, key: &str) -> Option<RawJson> {
        self.take(key).and_then(|raw| RawJson::parse(raw).ok())
    }

    /// Takes out a field with `read`; one that it cannot read is dropped with a warning.
    pub(super) fn or_warn<T>(
        &mut self,
        key: &str,
        warnings: &mut Warnings,
        read: impl FnOnce(&'a str) -> Option<T>,
    ) -> Option<T> {
        let raw = self.take(key)?;
        let value = read(raw);
        if value.is_none() {
            warnings.push(WarningKind::Dropped, key, "it has the wrong type");
        }
        value
    }

    /// Whether all fields were taken.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What nobody took.
    pub(super) fn into_ext(self) -> Ext {
        let mut ext = Ext::default();
        for (key, value) in self.0 {
            if let Ok(value) = RawJson::parse(value) {
                ext.push(Dialect::Anth, key.into_owned(), value);
            }
        }
        ext
    }

    /// What nobody took, as an object.
    pub(super) fn into_raw(self) -> Option<RawJson> {
        let members: Vec<String> =
            self.0.iter().map(|(key, value)| format!("{}:{value}", json::quote(key))).collect();
        RawJson::parse(format!("{{{}}}", members.join(","))).ok()
    }
}

/// A number that JSON can hold.
pub(super) fn number(raw: &str) -> Option<f64> {
    raw.parse::<f64>().ok().filter(|number| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_taken_once_and_the_rest_is_unknown() {
        let mut object =
            Object::read(r#"{"a":"x\n","b":null,"c":3.0,"d":{"e":1.0},"a":"y"}"#).unwrap();
        assert_eq!(object.string("a").as_deref(), Some("y"));
        assert_eq!(object.take("a"), None);
        assert_eq!(object.take("b"), None);
        assert_eq!(object.count("c"), Some(3));
        let ext = object.into_ext();
        assert_eq!(ext.iter().count(), 1);
        assert_eq!(ext.get(Dialect::Anth, "d").map(RawJson::get), Some(r#"{"e":1.0}"#));
        assert!(Object::read("[1]").is_none());
    }

    #[test]
    fn what_has_the_wrong_type_is_dropped_with_a_warning() {
        let mut warnings = Warnings::default();
        let mut object = Object::read(r#"{"top_p":"x","n":1,"rest":[1]}"#).unwrap();
        assert_eq!(object.or_warn("top_p", &mut warnings, number), None);
        assert_eq!(object.or_warn("n", &mut warnings, number), Some(1.0));
        assert_eq!(warnings.as_slice().len(), 1);
        assert_eq!(object.into_raw().unwrap().get(), r#"{"rest":[1]}"#);
    }
}
