//! How values of the domain are written in columns: names of closed sets, lists, numbers, ids.

use std::str::FromStr;

use serde_json::Value;

use crate::clock::UnixMs;
use crate::provider::node::{AuthStyle, NetworkPolicy, NodeType};
use crate::routing::account::{AccountKind, Ownership, ProxyChoice, Tier};
use crate::routing::classify::Class;
use crate::routing::combo::Strategy;
use crate::store::error::StoreError;

/// Who writes an object, and when: fills `managed_by`, `created_at`, `updated_at`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    /// Unix ms.
    pub now: UnixMs,
    /// Who owns the object from now on; `None` = the operator.
    pub managed_by: Option<Owner>,
}

/// Who, if not the operator, owns an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// The config file: read-only in the dashboard.
    ConfigFile,
}

impl Stamp {
    /// A change by the operator.
    #[must_use]
    pub fn operator(now: UnixMs) -> Self {
        Self { now, managed_by: None }
    }

    /// A change by the config file.
    #[must_use]
    pub fn config_file(now: UnixMs) -> Self {
        Self { now, managed_by: Some(Owner::ConfigFile) }
    }

    pub(crate) fn managed_by(self) -> Option<String> {
        self.managed_by.map(|owner| owner.as_str().to_owned())
    }
}

impl Owner {
    /// The text in the column.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConfigFile => "config_file",
        }
    }

    fn from_text(text: &str) -> Option<Self> {
        (text == Self::ConfigFile.as_str()).then_some(Self::ConfigFile)
    }
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0x0f)]).collect()
}

/// Which cell a value was read from, for the message when it cannot be understood.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell<'a> {
    pub(crate) table: &'static str,
    pub(crate) id: &'a str,
}

impl Cell<'_> {
    fn corrupt(&self, column: &str, what: &str) -> StoreError {
        StoreError::corrupt(self.table, self.id, [what, " in `", column, "`"].concat())
    }

    /// A value of a closed set.
    pub(crate) fn name<T>(
        &self,
        column: &str,
        text: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<T, StoreError> {
        read(text).ok_or_else(|| self.corrupt(column, "unknown name"))
    }

    /// As [`Cell::name`], where the column may be empty.
    pub(crate) fn optional_name<T>(
        &self,
        column: &str,
        text: Option<&str>,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, StoreError> {
        text.map(|text| self.name(column, text, read)).transpose()
    }

    pub(crate) fn owner(&self, text: Option<&str>) -> Result<Option<Owner>, StoreError> {
        self.optional_name("managed_by", text, Owner::from_text)
    }

    pub(crate) fn proxy(&self, mode: &str, id: Option<&str>) -> Result<ProxyChoice, StoreError> {
        match (mode, id) {
            ("inherit", _) => Ok(ProxyChoice::Inherit),
            ("direct", _) => Ok(ProxyChoice::Direct),
            ("proxy", Some(id)) => Ok(ProxyChoice::Proxy(id.to_owned())),
            _ => Err(self.corrupt("proxy_mode", "no proxy")),
        }
    }

    pub(crate) fn id<T: FromStr>(&self, column: &str, text: &str) -> Result<T, StoreError> {
        text.parse().map_err(|_not_an_id| self.corrupt(column, "no id"))
    }

    pub(crate) fn number<T: TryFrom<i64>>(
        &self,
        column: &str,
        value: i64,
    ) -> Result<T, StoreError> {
        T::try_from(value).map_err(|_out_of_range| self.corrupt(column, "number out of range"))
    }

    pub(crate) fn optional_number<T: TryFrom<i64>>(
        &self,
        column: &str,
        value: Option<i64>,
    ) -> Result<Option<T>, StoreError> {
        value.map(|value| self.number(column, value)).transpose()
    }

    /// A list of texts.
    pub(crate) fn list(&self, column: &str, text: &str) -> Result<Vec<String>, StoreError> {
        self.json_as(column, text)
    }

    pub(crate) fn optional_list(
        &self,
        column: &str,
        text: Option<&str>,
    ) -> Result<Option<Vec<String>>, StoreError> {
        text.map(|text| self.list(column, text)).transpose()
    }

    /// A list of name-value pairs: `[["x-a","1"],…]`.
    pub(crate) fn pairs(
        &self,
        column: &str,
        text: &str,
    ) -> Result<Vec<(String, String)>, StoreError> {
        self.json_as(column, text)
    }

    /// A list of numbers.
    pub(crate) fn numbers<T: serde::de::DeserializeOwned>(
        &self,
        column: &str,
        text: &str,
    ) -> Result<Vec<T>, StoreError> {
        self.json_as(column, text)
    }

    pub(crate) fn json(&self, column: &str, text: &str) -> Result<Value, StoreError> {
        self.json_as(column, text)
    }

    /// An object of texts, in its order.
    pub(crate) fn object(
        &self,
        column: &str,
        text: &str,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let object: serde_json::Map<String, Value> = self.json_as(column, text)?;
        Ok(object.into_iter().map(|(key, value)| (key, text_of(value))).collect())
    }

    fn json_as<T: serde::de::DeserializeOwned>(
        &self,
        column: &str,
        text: &str,
    ) -> Result<T, StoreError> {
        // The parser's own message may quote the value: not passed on.
        serde_json::from_str(text).map_err(|_value_may_be_private| self.corrupt(column, "bad JSON"))
    }
}

/// A JSON value as text: strings as they are, others as JSON.
pub(crate) fn text_of(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other @ (Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::Array(_)
        | Value::Object(_)) => other.to_string(),
    }
}

pub(crate) fn list_text(list: &[String]) -> String {
    Value::from(list.to_vec()).to_string()
}

pub(crate) fn pairs_text(pairs: &[(String, String)]) -> String {
    let rows = pairs.iter().map(|(k, v)| Value::from(vec![k.clone(), v.clone()]));
    Value::Array(rows.collect()).to_string()
}

pub(crate) fn object_text(pairs: &[(String, String)]) -> String {
    let object = pairs.iter().map(|(k, v)| (k.clone(), Value::from(v.clone())));
    Value::Object(object.collect()).to_string()
}

pub(crate) fn proxy_mode(choice: &ProxyChoice) -> &'static str {
    match choice {
        ProxyChoice::Inherit => "inherit",
        ProxyChoice::Direct => "direct",
        ProxyChoice::Proxy(_) => "proxy",
    }
}

pub(crate) fn proxy_id(choice: &ProxyChoice) -> Option<String> {
    match choice {
        ProxyChoice::Inherit | ProxyChoice::Direct => None,
        ProxyChoice::Proxy(id) => Some(id.clone()),
    }
}

/// Declares the column's names of a closed set: `to` is exhaustive, `from` reads them back.
macro_rules! names {
    ($type:ty, $to:ident, $from:ident, { $($variant:ident => $text:literal,)+ }) => {
        pub(crate) fn $to(value: $type) -> &'static str {
            match value {
                $(<$type>::$variant => $text,)+
            }
        }

        pub(crate) fn $from(text: &str) -> Option<$type> {
            match text {
                $($text => Some(<$type>::$variant),)+
                _ => None,
            }
        }
    };
}

/// As `names!`, for sets that are only written.
macro_rules! names_written {
    ($type:ty, $to:ident, { $($variant:ident => $text:literal,)+ }) => {
        pub(crate) fn $to(value: $type) -> &'static str {
            match value {
                $(<$type>::$variant => $text,)+
            }
        }
    };
}

pub(crate) use {names, names_written};

names!(AccountKind, kind_text, kind_from, {
    OAuth => "oauth",
    ApiKey => "api_key",
    Imported => "imported",
    ServiceAccount => "service_account",
    None => "none",
});

names!(Ownership, ownership_text, ownership_from, {
    Own => "own",
    Copy => "copy",
    Follow => "follow",
});

names!(Tier, tier_text, tier_from, {
    Subscription => "subscription",
    Cheap => "cheap",
    Paid => "paid",
    Free => "free",
});

names!(Strategy, strategy_text, strategy_from, {
    Fallback => "fallback",
    RoundRobin => "round-robin",
    Weighted => "weighted",
    Tier => "tier",
});

names!(Class, class_text, class_from, {
    AuthExpired => "auth_expired",
    AuthDead => "auth_dead",
    QuotaExhausted => "quota_exhausted",
    RateLimited => "rate_limited",
    Overloaded => "overloaded",
    Transient => "transient",
    ModelUnavailable => "model_unavailable",
    BadRequest => "bad_request",
    ContextTooLong => "context_too_long",
    ContentPolicy => "content_policy",
    ClientNotPermitted => "client_not_permitted",
    PaymentRequired => "payment_required",
    AccountBanned => "account_banned",
    Entitlement => "entitlement",
    EndpointMismatch => "endpoint_mismatch",
    ClientCancelled => "client_cancelled",
    Unknown => "unknown",
});

/// The two columns `type`, `api_type`.
pub(crate) fn node_type_text(value: NodeType) -> (&'static str, Option<&'static str>) {
    match value {
        NodeType::OpenAiChat => ("openai-compatible", Some("chat")),
        NodeType::OpenAiResponses => ("openai-compatible", Some("responses")),
        NodeType::Anthropic => ("anthropic-compatible", None),
        NodeType::Gemini => ("gemini-compatible", None),
        NodeType::Embedding => ("embedding", None),
    }
}

pub(crate) fn node_type_from(node_type: &str, api_type: Option<&str>) -> Option<NodeType> {
    match (node_type, api_type) {
        ("openai-compatible", Some("chat")) => Some(NodeType::OpenAiChat),
        ("openai-compatible", Some("responses")) => Some(NodeType::OpenAiResponses),
        ("anthropic-compatible", None) => Some(NodeType::Anthropic),
        ("gemini-compatible", None) => Some(NodeType::Gemini),
        ("embedding", None) => Some(NodeType::Embedding),
        _ => None,
    }
}

/// `None` for the policy no node may have.
pub(crate) fn network_text(value: NetworkPolicy) -> Option<&'static str> {
    match value {
        NetworkPolicy::Public => Some("public"),
        NetworkPolicy::Private => Some("private"),
        NetworkPolicy::Loopback => Some("loopback"),
        NetworkPolicy::PrivateAndLoopback => None,
    }
}

pub(crate) fn network_from(text: &str) -> Option<NetworkPolicy> {
    match text {
        "public" => Some(NetworkPolicy::Public),
        "private" => Some(NetworkPolicy::Private),
        "loopback" => Some(NetworkPolicy::Loopback),
        _ => None,
    }
}

/// The two columns `auth_style`, `auth_header`.
pub(crate) fn auth_style_text(value: Option<&AuthStyle>) -> (Option<&'static str>, Option<&str>) {
    match value {
        None => (None, None),
        Some(AuthStyle::Bearer) => (Some("bearer"), None),
        Some(AuthStyle::XApiKey) => (Some("x-api-key"), None),
        Some(AuthStyle::None) => (Some("none"), None),
        Some(AuthStyle::Header(name)) => (Some("header"), Some(name)),
    }
}

pub(crate) fn auth_style_from(style: &str, header: Option<&str>) -> Option<AuthStyle> {
    match (style, header) {
        ("bearer", None) => Some(AuthStyle::Bearer),
        ("x-api-key", None) => Some(AuthStyle::XApiKey),
        ("none", None) => Some(AuthStyle::None),
        ("header", Some(name)) => Some(AuthStyle::Header(name.to_owned())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_names_are_those_of_routing() {
        for text in ["auth_expired", "rate_limited", "unknown", "endpoint_mismatch"] {
            let class = class_from(text).unwrap();
            assert_eq!((class.as_str(), class_text(class)), (text, text));
        }
    }

    #[test]
    fn a_bad_value_names_table_row_and_column_and_not_the_value() {
        let cell = Cell { table: "accounts", id: "a-1" };
        let error = cell.list("tags", "sk-secret").unwrap_err().to_string();
        assert_eq!(error, "table `accounts`, row `a-1`: bad JSON in `tags`");
        let error = cell.number::<u16>("priority", 70_000).unwrap_err().to_string();
        assert_eq!(error, "table `accounts`, row `a-1`: number out of range in `priority`");
    }

    #[test]
    fn lists_pairs_and_objects_are_read_as_written() {
        let cell = Cell { table: "t", id: "" };
        let list = vec!["a\"b".to_owned(), String::new()];
        assert_eq!(cell.list("c", &list_text(&list)).unwrap(), list);
        let pairs = vec![("z".to_owned(), "1".to_owned()), ("a".to_owned(), "ü".to_owned())];
        assert_eq!(cell.pairs("c", &pairs_text(&pairs)).unwrap(), pairs);
        assert_eq!(cell.object("c", &object_text(&pairs)).unwrap(), pairs);
    }
}
