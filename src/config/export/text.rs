//! TOML line by line: order and blank lines are ours, quoting is the library's.

use std::collections::BTreeSet;

use serde_json::Value;

/// A file in the making.
#[derive(Debug, Default)]
pub(super) struct Writer(String);

impl Writer {
    /// Begins `[name]`, or `[[name]]`.
    pub(super) fn head(&mut self, path: &[&str], is_list: bool) {
        let path: Vec<String> = path.iter().map(|key| quoted(key)).collect();
        let path = path.join(".");
        self.0 += &if is_list { format!("\n[[{path}]]\n") } else { format!("\n[{path}]\n") };
    }

    /// A member. Nothing for null, and nothing for an empty list: both mean that it is absent.
    pub(super) fn line(&mut self, key: &str, value: impl Into<Value>) {
        let value = value.into();
        let is_empty = value.as_array().is_some_and(Vec::is_empty);
        if let Some(value) = toml(&value).filter(|_| !is_empty) {
            self.0 += &format!("{key} = {value}\n");
        }
    }

    /// A list, also when it is empty.
    pub(super) fn list<T: Clone + Into<Value>>(&mut self, key: &str, list: &[T]) {
        let list: Vec<Value> = list.iter().cloned().map(Into::into).collect();
        if let Some(list) = toml(&Value::Array(list)) {
            self.0 += &format!("{key} = {list}\n");
        }
    }

    /// A member of a group in a group.
    pub(super) fn path(&mut self, keys: &[&str], value: impl Into<Value>) {
        let keys: Vec<String> = keys.iter().map(|key| quoted(key)).collect();
        self.line(&keys.join("."), value);
    }

    /// As [`Writer::line`], for a key that may need quotes.
    pub(super) fn named(&mut self, key: &str, value: impl Into<Value>) {
        self.line(&quoted(key), value);
    }

    /// A member that is written only when it is not what its absence means.
    pub(super) fn unless<T: Into<Value> + PartialEq>(&mut self, usual: T, key: &str, value: T) {
        if value != usual {
            self.line(key, value);
        }
    }

    /// A line for people.
    pub(super) fn note(&mut self, text: &str) {
        self.0 += &format!("\n# {text}\n");
    }
}

/// Names of the variables that hold what the file does not.
#[derive(Debug, Default)]
pub(super) struct Variables {
    names: BTreeSet<String>,
    list: Vec<(String, String)>,
}

impl Variables {
    /// A reference for the secret of `what`, made of `parts`; no two are the same.
    pub(super) fn refer(&mut self, parts: &[&str], what: String) -> String {
        let mut name = String::new();
        for c in parts.join("_").chars() {
            let c = if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
            if !(c == '_' && name.ends_with('_')) {
                name.push(c);
            }
        }
        let name = name.trim_matches('_').to_owned();
        let name =
            if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name };
        let free = (1_u32..).map(|n| if n == 1 { name.clone() } else { format!("{name}_{n}") });
        let name = free.into_iter().find(|name| !self.names.contains(name)).unwrap_or(name);
        self.names.insert(name.clone());
        let reference = format!("env:{name}");
        self.list.push((name, what));
        reference
    }
}

/// The whole file, with a head that tells what it needs and what is not in it.
pub(super) fn headed(
    file: &Writer,
    variables: &Variables,
    signed_in: usize,
    revoked: usize,
) -> String {
    let mut text = String::from("# Config file of NineRouter, exported from what is stored.\n");
    if !variables.list.is_empty() {
        text +=
            "# It holds no secrets. Set these variables, or write `file:/path` in their places:\n";
    }
    for (name, what) in &variables.list {
        text += &format!("#   {name:<32} {what}\n");
    }
    if signed_in > 0 {
        let accounts = if signed_in == 1 { "account" } else { "accounts" };
        text +=
            &format!("# Not in it: {signed_in} signed-in {accounts}, which are runtime data.\n");
    }
    if revoked > 0 {
        let keys = if revoked == 1 { "key" } else { "keys" };
        text += &format!("# Not in it: {revoked} revoked {keys}.\n");
    }
    text + &file.0
}

/// A key as TOML takes it.
fn quoted(key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !key.is_empty() && key.chars().all(bare) {
        return key.to_owned();
    }
    toml::Value::from(key).to_string()
}

/// A value in one line; `None` = null.
fn toml(value: &Value) -> Option<toml::Value> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(b) => (*b).into(),
        Value::Number(n) => match n.as_i64() {
            Some(n) => n.into(),
            None => n.as_f64()?.into(),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(list) => toml::Value::Array(list.iter().filter_map(toml).collect()),
        Value::Object(map) => {
            let members = map.iter().filter_map(|(key, value)| Some((key.clone(), toml(value)?)));
            toml::Value::Table(members.collect())
        }
    })
}

/// US dollars as the file takes them: exact, and with cents.
pub(super) fn usd(umicro: i64) -> String {
    let umicro = umicro.unsigned_abs();
    let (whole, fraction) = (umicro / 1_000_000, umicro % 1_000_000);
    let digits = format!("{fraction:06}");
    let kept = digits.trim_end_matches('0');
    format!("{whole}.{kept:0<2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_exact() {
        for (umicro, want) in [
            (20_000_000, "20.00"),
            (1_500_000, "1.50"),
            (1, "0.000001"),
            (0, "0.00"),
            (i64::MAX, "9223372036854.775807"),
        ] {
            assert_eq!(usd(umicro), want);
        }
    }

    #[test]
    fn variables_are_names_and_differ() {
        let mut variables = Variables::default();
        let mut refer = |parts: &[&str]| variables.refer(parts, String::new());
        assert_eq!(refer(&["glm", "my plan", "api_key"]), "env:GLM_MY_PLAN_API_KEY");
        assert_eq!(refer(&["glm", "my-plan", "api_key"]), "env:GLM_MY_PLAN_API_KEY_2");
        assert_eq!(refer(&["9r", "é", "key"]), "env:_9R_KEY");
    }
}
