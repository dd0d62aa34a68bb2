//! Reading the API's objects: members by JSON pointer, absent ones as their empty value.

use serde_json::Value;

/// Members of a JSON value by pointer (`/state/text`).
pub(crate) trait Fields {
    /// A text; empty when absent or of another type.
    fn text(&self, at: &str) -> &str;
    /// A whole number.
    fn int(&self, at: &str) -> Option<i64>;
    /// A number.
    fn number(&self, at: &str) -> Option<f64>;
    /// A switch; off when absent.
    fn flag(&self, at: &str) -> bool;
    /// A list; empty when absent.
    fn list(&self, at: &str) -> &[Value];
    /// The texts of a list.
    fn texts(&self, at: &str) -> Vec<&str>;
}

impl Fields for Value {
    fn text(&self, at: &str) -> &str {
        self.pointer(at).and_then(Value::as_str).unwrap_or_default()
    }

    fn int(&self, at: &str) -> Option<i64> {
        self.pointer(at).and_then(Value::as_i64)
    }

    fn number(&self, at: &str) -> Option<f64> {
        self.pointer(at).and_then(Value::as_f64)
    }

    fn flag(&self, at: &str) -> bool {
        self.pointer(at).and_then(Value::as_bool).unwrap_or_default()
    }

    fn list(&self, at: &str) -> &[Value] {
        self.pointer(at).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    fn texts(&self, at: &str) -> Vec<&str> {
        self.list(at).iter().filter_map(Value::as_str).collect()
    }
}
