//! The keywords of one schema, its alternatives settled.

use serde_json::{Map, Value};

use super::{Cleaner, string};

/// What the subset takes, in the order in which it is written.
const TAKEN: [&str; 21] = [
    "type",
    "format",
    "title",
    "description",
    "nullable",
    "enum",
    "items",
    "properties",
    "propertyOrdering",
    "required",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "example",
    "default",
];
/// What Code Assist takes.
const REDUCED: [&str; 7] =
    ["type", "description", "nullable", "enum", "items", "properties", "required"];
/// Constraints that are told in words where they are not taken.
const TOLD: [&str; 9] = [
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "pattern",
    "format",
    "default",
];
/// The most that such words come to, bytes.
const MAX_TOLD: usize = 200;

/// Whether a name is a keyword of JSON Schema that can hold an object.
pub(super) fn is_keyword(key: &str) -> bool {
    matches!(
        key,
        "properties"
            | "items"
            | "$defs"
            | "definitions"
            | "additionalProperties"
            | "not"
            | "if"
            | "then"
            | "else"
            | "patternProperties"
            | "dependentSchemas"
            | "propertyNames"
            | "contains"
            | "default"
            | "example"
            | "const"
            | "discriminator"
            | "xml"
            | "externalDocs"
    ) || key.starts_with("x-")
}

/// Adds a sentence to a description.
pub(super) fn describe(map: &mut Map<String, Value>, sentence: &str) {
    let text = map.get("description").and_then(Value::as_str).unwrap_or_default();
    if !text.contains(sentence) {
        let text = if text.is_empty() { sentence.to_owned() } else { format!("{text} {sentence}") };
        map.insert("description".into(), text.into());
    }
}

/// The kind of a schema, guessed where it does not say.
pub(super) fn kind_of(map: &Map<String, Value>) -> String {
    match map.get("type") {
        Some(Value::String(kind)) => kind.to_ascii_lowercase(),
        Some(Value::Array(kinds)) => best_kind(&names(kinds)),
        _ if map.contains_key("properties") => "object".to_owned(),
        _ if map.contains_key("items") || map.contains_key("prefixItems") => "array".to_owned(),
        _ => match map.get("const") {
            Some(Value::Bool(_)) => "boolean".to_owned(),
            Some(Value::Number(number)) if number.is_f64() => "number".to_owned(),
            Some(Value::Number(_)) => "integer".to_owned(),
            _ => "string".to_owned(),
        },
    }
}

/// Names of types but `null`.
fn names(kinds: &[Value]) -> Vec<String> {
    let names = kinds.iter().filter_map(Value::as_str).map(str::to_ascii_lowercase);
    names.filter(|kind| kind != "null").collect()
}

fn best_kind(kinds: &[String]) -> String {
    let find = |kind: &str| kinds.iter().find(|other| *other == kind);
    let best = find("object").or_else(|| find("array")).or_else(|| kinds.first());
    best.map_or_else(|| "string".to_owned(), Clone::clone)
}

impl Cleaner {
    /// Cleans the keywords, and the schemas below.
    pub(super) fn keywords(
        &mut self,
        mut map: Map<String, Value>,
        depth: usize,
    ) -> Map<String, Value> {
        settle_type(&mut map);
        settle_values(&mut map);
        let kind = kind_of(&map);
        settle_format(&mut map, &kind);
        settle_bounds(&mut map, &kind);
        self.items(&mut map, &kind, depth);
        self.properties(&mut map, &kind, depth);
        if self.subset.reduced {
            tell_constraints(&mut map);
        }
        let taken: &[&str] = if self.subset.reduced { &REDUCED } else { &TAKEN };
        let taken = taken.iter().filter_map(|key| Some(((*key).to_owned(), map.remove(*key)?)));
        let out: Map<String, Value> = taken.filter(|(key, value)| fits(key, value)).collect();
        if out.is_empty() { string() } else { out }
    }

    fn items(&mut self, map: &mut Map<String, Value>, kind: &str, depth: usize) {
        let prefix = map.remove("prefixItems");
        let items = map.remove("items").filter(|items| !items.is_boolean()).or(prefix);
        if kind != "array" {
            return;
        }
        let below = depth.saturating_add(1);
        let item = match items {
            // A tuple: the best of its schemas stands for all.
            Some(Value::Array(tuple)) if tuple.is_empty() => string(),
            Some(Value::Array(tuple)) => {
                let mut any = Map::new();
                any.insert("anyOf".into(), Value::Array(tuple));
                let kept = std::mem::take(&mut self.subset.any_of);
                let item = self.schema(Value::Object(any), below);
                self.subset.any_of = kept;
                item
            }
            Some(items) => self.schema(items, below),
            None => string(),
        };
        map.insert("items".into(), Value::Object(item));
    }

    fn properties(&mut self, map: &mut Map<String, Value>, kind: &str, depth: usize) {
        let mut required: Vec<String> = Vec::new();
        if let Some(Value::Array(names)) = map.remove("required") {
            required.extend(names.into_iter().filter_map(|name| match name {
                Value::String(name) => Some(name),
                _ => None,
            }));
        }
        let properties = match map.remove("properties") {
            Some(Value::Object(properties)) => properties,
            _ => Map::new(),
        };
        if kind != "object" {
            return;
        }
        let mut cleaned = Map::new();
        for (name, mut schema) in properties {
            if schema == Value::Bool(false) {
                continue;
            }
            if let Value::Object(schema) = &mut schema
                && let Some(Value::Bool(demanded)) = schema.get("required")
            {
                if *demanded {
                    required.push(name.clone());
                }
                schema.shift_remove("required");
            }
            let schema = self.schema(schema, depth.saturating_add(1));
            cleaned.insert(name, Value::Object(schema));
        }
        let mut kept: Vec<Value> = Vec::new();
        for name in required {
            let demanded =
                cleaned.get(&name).is_some_and(|schema| schema.get("nullable").is_none());
            let name = Value::from(name);
            if demanded && !kept.contains(&name) {
                kept.push(name);
            }
        }
        if let Some(Value::Array(order)) = map.get_mut("propertyOrdering") {
            order.retain(|name| name.as_str().is_some_and(|name| cleaned.contains_key(name)));
        }
        if !cleaned.is_empty() {
            map.insert("properties".into(), Value::Object(cleaned));
        }
        if !kept.is_empty() {
            map.insert("required".into(), Value::Array(kept));
        }
    }
}

/// Whether a keyword has a value of the type that Google wants.
fn fits(key: &str, value: &Value) -> bool {
    match key {
        "nullable" => *value == true,
        "title" | "description" | "format" | "pattern" => value.is_string(),
        "minimum" | "maximum" => value.is_number(),
        "minItems" | "maxItems" | "minProperties" | "maxProperties" | "minLength" | "maxLength" => {
            value.is_u64() || value.as_str().is_some_and(|text| text.parse::<u64>().is_ok())
        }
        _ => true,
    }
}

/// One type, `null` said as `nullable`.
fn settle_type(map: &mut Map<String, Value>) {
    let kind = match map.get("type") {
        Some(Value::Array(kinds)) => {
            let nullable = kinds
                .iter()
                .any(|kind| kind.as_str().is_some_and(|k| k.eq_ignore_ascii_case("null")));
            let names = names(kinds);
            if nullable {
                map.insert("nullable".into(), true.into());
            }
            if names.len() > 1 {
                describe(map, &format!("Accepts: {}", names.join(" | ")));
            }
            if names.is_empty() { kind_of(map) } else { best_kind(&names) }
        }
        _ => kind_of(map),
    };
    let kind = if kind == "null" {
        map.insert("nullable".into(), true.into());
        "string".to_owned()
    } else {
        kind
    };
    map.insert("type".into(), kind.into());
}

/// `const` and `enum`. Google lists strings alone; of other types the members are told in words.
fn settle_values(map: &mut Map<String, Value>) {
    if let Some(value) = map.remove("const") {
        map.entry("enum").or_insert_with(|| Value::Array(vec![value]));
    }
    let Some(Value::Array(members)) = map.remove("enum") else { return };
    if members.iter().any(Value::is_null) {
        map.insert("nullable".into(), true.into());
    }
    let text = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        other => Some(other.to_string()),
    };
    let mut words: Vec<String> = Vec::new();
    for word in members.iter().filter_map(text) {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    if words.is_empty() {
        return;
    }
    if map.get("type").is_none_or(|kind| kind == "string") {
        map.insert("type".into(), "string".into());
        map.insert("enum".into(), words.into());
    } else {
        describe(map, &format!("Allowed: {}", words.join(", ")));
    }
}

fn settle_format(map: &mut Map<String, Value>, kind: &str) {
    let Some(format) = map.get("format") else { return };
    let Value::String(format) = format else {
        map.shift_remove("format");
        return;
    };
    let taken = match kind {
        "string" => matches!(format.as_str(), "enum" | "date-time"),
        "integer" => matches!(format.as_str(), "int32" | "int64"),
        "number" => matches!(format.as_str(), "float" | "double"),
        _ => false,
    };
    if !taken {
        let hint = format!("format: {format}");
        map.shift_remove("format");
        if hint.len() <= MAX_TOLD {
            describe(map, &hint);
        }
    }
}

/// Bounds that exclude become bounds that include, where that is exact.
fn settle_bounds(map: &mut Map<String, Value>, kind: &str) {
    for (exclusive, inclusive, step) in
        [("exclusiveMinimum", "minimum", 1_i64), ("exclusiveMaximum", "maximum", -1)]
    {
        let Some(bound) = map.remove(exclusive) else { continue };
        let exact = bound.as_i64().filter(|_| kind == "integer").and_then(|n| n.checked_add(step));
        if let Some(bound) = exact {
            map.entry(inclusive).or_insert_with(|| bound.into());
        }
    }
}

/// Tells in words what the reduced subset does not take.
fn tell_constraints(map: &mut Map<String, Value>) {
    let mut told = String::new();
    for key in TOLD {
        let Some(value) = map.get(key) else { continue };
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let word = format!("{key}: {value}");
        if told.len().saturating_add(word.len()).saturating_add(2) <= MAX_TOLD {
            if !told.is_empty() {
                told.push_str(", ");
            }
            told.push_str(&word);
        }
    }
    if !told.is_empty() {
        describe(map, &told);
    }
}
