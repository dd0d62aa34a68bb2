//! Claude's only demand: the root is an object without alternatives. The rest passes untouched.

use serde_json::{Map, Value, json};

use super::pointer::resolve;

/// Roots that refer to each other further than this are given up.
const HOPS: usize = 8;

/// The schema with an object at its root.
pub(super) fn object_root(value: Value) -> Value {
    let Value::Object(mut root) = value else {
        return json!({ "type": "object", "properties": {} });
    };
    let whole = Value::Object(root.clone());
    if let Some(Value::String(reference)) = root.remove("$ref") {
        for (key, value) in follow(&whole, &reference, 0) {
            if !root.contains_key(&key) {
                root.insert(key, value);
            }
        }
    }
    for (keyword, all) in [("allOf", true), ("anyOf", false), ("oneOf", false)] {
        let Some(Value::Array(branches)) = root.shift_remove(keyword) else { continue };
        let objects: Vec<Map<String, Value>> =
            branches.into_iter().filter_map(|branch| object(&whole, branch)).collect();
        merge(&mut root, objects, all);
    }
    if root.get("type").is_none_or(|kind| kind != "object") {
        root.insert("type".into(), "object".into());
    }
    Value::Object(root)
}

fn follow(whole: &Value, reference: &str, hops: usize) -> Map<String, Value> {
    match resolve(whole, reference).and_then(Value::as_object) {
        Some(target) => match target.get("$ref") {
            Some(Value::String(next)) if hops < HOPS => follow(whole, next, hops.saturating_add(1)),
            _ => target.clone(),
        },
        None => Map::new(),
    }
}

/// A branch that can be an object.
fn object(whole: &Value, branch: Value) -> Option<Map<String, Value>> {
    let Value::Object(branch) = branch else { return None };
    let branch = match branch.get("$ref") {
        Some(Value::String(reference)) => follow(whole, reference, 0),
        _ => branch,
    };
    let is_object = match branch.get("type") {
        None => true,
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "object"),
        Some(kind) => kind == "object",
    };
    is_object.then_some(branch)
}

/// `all`: every branch holds. Otherwise one of them does, and only what all demand is demanded.
fn merge(root: &mut Map<String, Value>, branches: Vec<Map<String, Value>>, all: bool) {
    let mut demanded: Option<Vec<Value>> = None;
    for mut branch in branches {
        let required = match branch.remove("required") {
            Some(Value::Array(required)) => required,
            _ => Vec::new(),
        };
        demanded = Some(match demanded {
            None => required,
            Some(mut so_far) if all => {
                so_far.extend(required);
                so_far
            }
            Some(so_far) => so_far.into_iter().filter(|name| required.contains(name)).collect(),
        });
        if let Some(Value::Object(properties)) = branch.remove("properties") {
            let slot = root.entry("properties").or_insert_with(|| json!({}));
            if let Value::Object(slot) = slot {
                for (name, schema) in properties {
                    slot.entry(name).or_insert(schema);
                }
            }
        }
        if all {
            for (key, value) in branch {
                root.entry(key).or_insert(value);
            }
        }
    }
    let Some(demanded) = demanded.filter(|names| !names.is_empty()) else { return };
    let slot = root.entry("required").or_insert_with(|| json!([]));
    if let Value::Array(required) = slot {
        for name in demanded {
            if !required.contains(&name) {
                required.push(name);
            }
        }
    }
}
