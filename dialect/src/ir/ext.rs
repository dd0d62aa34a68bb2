//! Fields that the neutral form has no place for, tagged with the dialect they came from (§2.13).

use super::{RawJson, Str};
use crate::Dialect;

/// One unknown field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExtField {
    /// The dialect in which it was written.
    pub dialect: Dialect,
    /// Its key, unescaped.
    pub key: Str,
    /// Its value.
    pub value: RawJson,
}

/// Unknown fields of one object, in source order.
///
/// An encoder of dialect D writes those of D; all others stay home, except the few that
/// `translate` lists as meaningful across dialects.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Ext(Vec<ExtField>);

impl Ext {
    /// Keeps one more field.
    pub fn push(&mut self, dialect: Dialect, key: impl Into<Str>, value: RawJson) {
        self.0.push(ExtField { dialect, key: key.into(), value });
    }

    /// All fields, in source order.
    pub fn iter(&self) -> impl Iterator<Item = &ExtField> {
        self.0.iter()
    }

    /// The fields that an encoder of `dialect` may write.
    pub fn of(&self, dialect: Dialect) -> impl Iterator<Item = &ExtField> {
        self.0.iter().filter(move |field| field.dialect == dialect)
    }

    /// The value of one field; the last one when the key is repeated.
    pub fn get(&self, dialect: Dialect, key: &str) -> Option<&RawJson> {
        self.of(dialect).filter(|field| field.key == key).last().map(|field| &field.value)
    }

    /// Keeps the fields of a later object too, instead of those of the same key.
    pub(crate) fn update(&mut self, later: Self) {
        let replaced = |old: &ExtField| later.get(old.dialect, &old.key).is_some();
        self.0.retain(|field| !replaced(field));
        self.0.extend(later.0);
    }

    /// Whether nothing was kept.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_given_back_to_their_own_dialect_only() {
        let mut ext = Ext::default();
        let raw = |text: &str| RawJson::parse(text).unwrap();
        ext.push(Dialect::Anth, "speed", raw("\"fast\""));
        ext.push(Dialect::Chat, "route", raw("1"));
        ext.push(Dialect::Anth, "speed", raw("\"slow\""));
        assert_eq!(ext.get(Dialect::Anth, "speed"), Some(&raw("\"slow\"")));
        assert_eq!(ext.get(Dialect::Gem, "speed"), None);
        assert_eq!(ext.of(Dialect::Chat).count(), 1);
        assert_eq!(ext.iter().count(), 3);

        let mut later = Ext::default();
        later.push(Dialect::Anth, "speed", raw("1"));
        later.push(Dialect::Gem, "route", raw("2"));
        ext.update(later);
        assert_eq!(ext.get(Dialect::Anth, "speed"), Some(&raw("1")));
        assert_eq!((ext.of(Dialect::Anth).count(), ext.iter().count()), (1, 3));
    }
}
