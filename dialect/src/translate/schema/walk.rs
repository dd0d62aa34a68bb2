//! Visits the schemas inside a schema, and nothing that is data.

use serde_json::{Map, Value};

/// Keywords whose value is a schema, or a list of them.
const SCHEMAS: [&str; 15] = [
    "items",
    "prefixItems",
    "additionalItems",
    "unevaluatedItems",
    "contains",
    "additionalProperties",
    "unevaluatedProperties",
    "propertyNames",
    "anyOf",
    "oneOf",
    "allOf",
    "not",
    "if",
    "then",
    "else",
];
/// Keywords whose value maps names to schemas.
const MAPS: [&str; 5] =
    ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];

/// Calls `f` for each schema, outermost first.
pub(super) fn each_schema(value: &mut Value, f: &mut dyn FnMut(&mut Map<String, Value>)) {
    let Value::Object(schema) = value else { return };
    f(schema);
    for (key, value) in schema.iter_mut() {
        if SCHEMAS.contains(&key.as_str()) {
            match value {
                Value::Array(list) => list.iter_mut().for_each(|value| each_schema(value, f)),
                value => each_schema(value, f),
            }
        } else if MAPS.contains(&key.as_str())
            && let Value::Object(map) = value
        {
            map.values_mut().for_each(|value| each_schema(value, f));
        }
    }
}

/// Turns Gemini's spelling of schemas into JSON Schema: `STRING`, `nullable`, numbers as text (T082).
pub(super) fn lower_case_types(value: &mut Value) {
    each_schema(value, &mut |schema| {
        let Some(Value::String(kind)) = schema.get("type") else { return };
        if !kind.bytes().next().is_some_and(|byte| byte.is_ascii_uppercase()) {
            return;
        }
        let kind = Value::from(kind.to_ascii_lowercase());
        let nullable = schema.remove("nullable").is_some_and(|nullable| nullable == true);
        schema.shift_remove("propertyOrdering");
        for key in
            ["minItems", "maxItems", "minProperties", "maxProperties", "minLength", "maxLength"]
        {
            if let Some(Value::String(text)) = schema.get(key)
                && let Ok(number) = text.parse::<u64>()
            {
                schema.insert(key.into(), number.into());
            }
        }
        let kind = if nullable { Value::Array(vec![kind, "null".into()]) } else { kind };
        schema.insert("type".into(), kind);
    });
}

/// Drops the keywords that `parametersJsonSchema` refuses.
pub(super) fn drop_foreign_keywords(value: &mut Value) {
    each_schema(value, &mut |schema| {
        schema
            .retain(|key, _| !matches!(key.as_str(), "$schema" | "$id") && !key.starts_with("x-"));
    });
}

/// Drops what closes objects, and demands that no property meets.
pub(super) fn open_objects(value: &mut Value) {
    each_schema(value, &mut |schema| {
        schema.shift_remove("additionalProperties");
        let Some(required) = schema.get("required") else { return };
        let named = |name: &Value| {
            let properties = schema.get("properties").and_then(Value::as_object);
            properties.zip(name.as_str()).is_some_and(|(map, name)| map.contains_key(name))
        };
        let kept: Vec<Value> =
            required.as_array().into_iter().flatten().filter(|name| named(name)).cloned().collect();
        if kept.is_empty() {
            schema.shift_remove("required");
        } else {
            schema.insert("required".into(), kept.into());
        }
    });
}
