//! Merge patches (RFC 7386): absent = keep, null = back to the default.

use serde_json::{Map, Value};

/// `base` with the members of `patch`. A null takes a member out, so that its default counts; objects in objects
/// are merged the same way, lists are replaced whole.
#[must_use]
pub(super) fn merged(
    mut base: Map<String, Value>,
    patch: Map<String, Value>,
) -> Map<String, Value> {
    for (name, value) in patch {
        match value {
            Value::Null => {
                base.remove(&name);
            }
            Value::Object(inner) => {
                let old = match base.remove(&name) {
                    Some(Value::Object(old)) => old,
                    _ => Map::new(),
                };
                base.insert(name, merged(old, inner).into());
            }
            plain @ (Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
                base.insert(name, plain);
            }
        }
    }
    base
}

/// The members of a JSON object; empty for other values.
#[must_use]
pub(super) fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn absent_keeps_and_null_removes() {
        let base = members(json!({"a": 1, "b": {"x": 1, "y": 2}, "c": [1]}));
        let patch =
            members(json!({"a": null, "b": {"x": null, "z": 3}, "c": [2], "d": {"e": null}}));
        assert_eq!(
            Value::from(merged(base, patch)),
            json!({"b": {"y": 2, "z": 3}, "c": [2], "d": {}})
        );
    }
}
