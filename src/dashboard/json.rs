//! Reading the management API's objects: what is missing reads as nothing.

use serde_json::Value;

/// Members by pointer: `/state/status`.
pub(super) trait Read {
    /// A text; empty when there is none.
    fn text(&self, at: &str) -> &str;
    /// A number.
    fn int(&self, at: &str) -> Option<i64>;
    /// A switch; off when there is none.
    fn is(&self, at: &str) -> bool;
    /// Members of a list.
    fn list(&self, at: &str) -> &[Value];
    /// Texts of a list.
    fn texts(&self, at: &str) -> Vec<String>;
    /// A member; null when there is none.
    fn part(&self, at: &str) -> &Value;
}

static NOTHING: Value = Value::Null;

impl Read for Value {
    fn text(&self, at: &str) -> &str {
        self.pointer(at).and_then(Value::as_str).unwrap_or_default()
    }

    fn int(&self, at: &str) -> Option<i64> {
        self.pointer(at).and_then(Value::as_i64)
    }

    fn is(&self, at: &str) -> bool {
        self.pointer(at).and_then(Value::as_bool).unwrap_or_default()
    }

    fn list(&self, at: &str) -> &[Value] {
        self.pointer(at).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
    }

    fn texts(&self, at: &str) -> Vec<String> {
        self.list(at).iter().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    fn part(&self, at: &str) -> &Value {
        self.pointer(at).unwrap_or(&NOTHING)
    }
}
