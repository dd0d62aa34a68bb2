//! `allOf`, `anyOf`, `oneOf`: several schemas become one.

use serde_json::{Map, Value};

use super::Cleaner;
use super::keywords::{describe, kind_of};

/// Merges a schema that holds as well: properties and demands add up, of all else the first wins.
pub(super) fn merge_all(map: &mut Map<String, Value>, branch: Map<String, Value>) {
    for (key, value) in branch {
        match (key.as_str(), map.get_mut(&key), value) {
            ("properties", Some(Value::Object(properties)), Value::Object(more)) => {
                for (name, schema) in more {
                    properties.entry(name).or_insert(schema);
                }
            }
            ("required", Some(Value::Array(names)), Value::Array(more)) => {
                for name in more {
                    if !names.contains(&name) {
                        names.push(name);
                    }
                }
            }
            ("description", Some(Value::String(text)), Value::String(more)) => {
                if !text.contains(&more) {
                    text.push(' ');
                    text.push_str(&more);
                }
            }
            (_, Some(_), _) => {}
            (_, None, value) => {
                map.insert(key, value);
            }
        }
    }
}

impl Cleaner {
    /// Settles `anyOf` and `oneOf`, then the keywords.
    pub(super) fn alternatives(
        &mut self,
        mut map: Map<String, Value>,
        depth: usize,
    ) -> Map<String, Value> {
        let any = map.shift_remove("anyOf");
        let one = map.shift_remove("oneOf");
        let Some(Value::Array(branches)) = any.or(one) else { return self.keywords(map, depth) };
        let mut nullable = false;
        let mut kept = Vec::new();
        for branch in branches {
            let Value::Object(branch) = branch else { continue };
            let branch = self.flat(branch, depth);
            if is_null(&branch) {
                nullable = true;
            } else if says_a_kind(&branch) {
                kept.push(branch);
            }
        }
        if nullable {
            map.insert("nullable".into(), true.into());
        }
        if kept.len() < 2 {
            if let Some(only) = kept.pop() {
                let mut only = only;
                only.extend(map);
                return self.alternatives(only, depth);
            }
            return self.keywords(map, depth);
        }
        if let Some(values) = values_of(&kept) {
            let kind = kept.first().and_then(|branch| branch.get("type")).cloned();
            if let Some(kind) = kind {
                map.entry("type").or_insert(kind);
            }
            map.insert("enum".into(), values.into());
            return self.keywords(map, depth);
        }
        let kinds: Vec<String> = kept.iter().map(kind_of).collect();
        let scalar = |kind: &String| kind != "object" && kind != "array";
        let alike = kinds.windows(2).all(|pair| matches!(pair, [a, b] if a == b));
        if !(alike && kinds.iter().all(scalar))
            && self.subset.any_of
            && !self.subset.reduced
            && depth > 0
        {
            return self.any_of(kept, nullable || map.get("nullable") == Some(&true.into()), depth);
        }
        if !alike {
            let mut told: Vec<&str> = kinds.iter().map(String::as_str).collect();
            told.dedup();
            describe(&mut map, &format!("Accepts: {}", told.join(" | ")));
        }
        let rank = |kind: &str| match kind {
            "object" => 0,
            "array" => 1,
            _ => 2,
        };
        let best = kinds.iter().enumerate().min_by_key(|(_, kind)| rank(kind));
        let mut best = kept.swap_remove(best.map_or(0, |(at, _)| at));
        if let Some(Value::String(own)) = best.shift_remove("description") {
            let text = map.get("description").and_then(Value::as_str).unwrap_or_default();
            if text.starts_with("Accepts: ") {
                map.insert("description".into(), format!("{own} {text}").into());
            } else if text.is_empty() {
                map.insert("description".into(), own.into());
            }
        }
        best.extend(map);
        self.alternatives(best, depth)
    }

    /// `anyOf`, which takes no siblings.
    fn any_of(
        &mut self,
        branches: Vec<Map<String, Value>>,
        nullable: bool,
        depth: usize,
    ) -> Map<String, Value> {
        let mut cleaned = Vec::new();
        for branch in branches {
            let mut branch = self.alternatives(branch, depth.saturating_add(1));
            if nullable && cleaned.is_empty() {
                branch.insert("nullable".into(), true.into());
            }
            let branch = Value::Object(branch);
            if !cleaned.contains(&branch) {
                cleaned.push(branch);
            }
        }
        match <[Value; 1]>::try_from(cleaned) {
            Ok([Value::Object(only)]) => only,
            Ok(_) => Map::new(),
            Err(several) => std::iter::once(("anyOf".to_owned(), several.into())).collect(),
        }
    }
}

fn is_null(branch: &Map<String, Value>) -> bool {
    let null_type = branch.get("type").and_then(Value::as_str);
    null_type.is_some_and(|kind| kind.eq_ignore_ascii_case("null"))
        || branch.get("const") == Some(&Value::Null)
        || matches!(branch.get("enum"), Some(Value::Array(values)) if values.iter().all(Value::is_null))
}

/// Whether a branch is a schema of its own, not merely a demand on the one around it.
fn says_a_kind(branch: &Map<String, Value>) -> bool {
    let kinds = ["type", "properties", "items", "prefixItems", "enum", "const", "anyOf", "oneOf"];
    kinds.iter().any(|key| branch.contains_key(*key))
}

/// The values of branches that are nothing but values.
fn values_of(branches: &[Map<String, Value>]) -> Option<Vec<Value>> {
    let scalar = |value: &Value| !value.is_object() && !value.is_array();
    let mut values = Vec::new();
    for branch in branches {
        match (branch.get("const"), branch.get("enum")) {
            (Some(value), _) if scalar(value) => values.push(value.clone()),
            (None, Some(Value::Array(members))) if members.iter().all(scalar) => {
                values.extend(members.iter().cloned());
            }
            _ => return None,
        }
    }
    Some(values)
}
