//! Google's subset of OpenAPI: what its `parameters` and `responseSchema` take (translation §2.5).

mod branches;
mod keywords;

use serde_json::{Map, Value, json};

use super::PLACEHOLDER;
use super::pointer::{name, resolve};
use branches::merge_all;

/// Deeper references are not followed.
const MAX_DEPTH: usize = 32;
/// The most that copies of referenced schemas may come to, bytes.
const MAX_COPIES: usize = 512 * 1024;

/// Which subset.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Debug)]
pub struct GeminiSubset {
    /// `anyOf` is taken, alone in its schema.
    pub any_of: bool,
    /// Only types, descriptions, enums, items and properties are taken (Code Assist).
    pub reduced: bool,
    /// The root must have a property, and demand it.
    pub placeholder: bool,
}

/// Cleans one schema. Cleaning what is clean changes nothing (T084).
pub(super) fn clean(schema: Value, subset: GeminiSubset) -> Value {
    let mut cleaner = Cleaner { root: schema.clone(), subset, followed: Vec::new(), copied: 0 };
    let mut root = cleaner.schema(wrapped(schema), 0);
    let is_object = root.get("type").is_some_and(|kind| kind == "object");
    if subset.placeholder && is_object && !root.contains_key("properties") {
        let unused = json!({ PLACEHOLDER: { "type": "string", "description": "leave empty" } });
        root.insert("properties".into(), unused);
        root.insert("required".into(), json!([PLACEHOLDER]));
    }
    Value::Object(root)
}

/// Some clients send bare properties without a schema around them.
fn wrapped(schema: Value) -> Value {
    match schema {
        Value::Object(map)
            if !map.is_empty()
                && map
                    .iter()
                    .all(|(key, value)| value.is_object() && !keywords::is_keyword(key)) =>
        {
            json!({ "type": "object", "properties": map })
        }
        schema => schema,
    }
}

struct Cleaner {
    root: Value,
    subset: GeminiSubset,
    /// References that are being followed.
    followed: Vec<String>,
    copied: usize,
}

impl Cleaner {
    /// Cleans the schema at one position.
    fn schema(&mut self, value: Value, depth: usize) -> Map<String, Value> {
        // `true`, `{}` and nonsense: anything goes, and text can say anything.
        let Value::Object(map) = value else { return string() };
        if map.is_empty() {
            return string();
        }
        let mark = self.followed.len();
        let flat = self.flat(map, depth);
        let cleaned = self.alternatives(flat, depth);
        self.followed.truncate(mark);
        cleaned
    }

    /// A schema with references followed and `allOf`, `if` … merged into it. What it followed stays on
    /// the list until its caller is done with its children.
    fn flat(&mut self, mut map: Map<String, Value>, depth: usize) -> Map<String, Value> {
        while let Some(reference) = map.shift_remove("$ref") {
            let Value::String(reference) = reference else { continue };
            let target = self.copy(&reference, depth);
            let Some(mut target) = target else { return self.hint(&reference, map) };
            self.followed.push(reference);
            // Siblings of a reference win.
            target.extend(map);
            map = target;
        }
        if let Some(Value::Array(all)) = map.shift_remove("allOf") {
            for branch in all {
                if let Value::Object(branch) = branch {
                    let branch = self.flat(branch, depth);
                    merge_all(&mut map, branch);
                }
            }
        }
        map.shift_remove("if");
        for key in ["then", "else"] {
            if let Some(Value::Object(branch)) = map.shift_remove(key) {
                let mut branch = self.flat(branch, depth);
                // What holds under a condition is possible, never demanded.
                let properties = branch.shift_remove("properties");
                merge_all(
                    &mut map,
                    properties.map(|p| ("properties".to_owned(), p)).into_iter().collect(),
                );
            }
        }
        map
    }

    fn copy(&mut self, reference: &str, depth: usize) -> Option<Map<String, Value>> {
        let known = self.followed.iter().any(|followed| followed == reference);
        if known || depth > MAX_DEPTH || self.followed.len() > MAX_DEPTH {
            return None;
        }
        let target = resolve(&self.root, reference)?;
        let Value::Object(map) = target else { return Some(string()) };
        self.copied = self.copied.saturating_add(size(target));
        (self.copied <= MAX_COPIES).then(|| map.clone())
    }

    /// What stands for a schema that is not copied.
    fn hint(&self, reference: &str, mut siblings: Map<String, Value>) -> Map<String, Value> {
        let kind = resolve(&self.root, reference).and_then(|target| target.get("type"));
        let primitive = kind.filter(|kind| {
            let scalars = ["string", "number", "integer", "boolean"];
            kind.as_str().is_some_and(|kind| scalars.contains(&&*kind.to_ascii_lowercase()))
        });
        let mut map = Map::new();
        map.insert("type".into(), primitive.cloned().unwrap_or_else(|| "object".into()));
        let described = siblings.shift_remove("description");
        let see = format!("See: {}", name(reference));
        map.insert("description".into(), described.unwrap_or_else(|| see.into()));
        map
    }
}

/// Bytes of a value, roughly.
fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => text.len().saturating_add(2),
        Value::Array(items) => {
            items.iter().fold(2_usize, |sum, item| sum.saturating_add(size(item)))
        }
        Value::Object(map) => map.iter().fold(2_usize, |sum, (key, value)| {
            sum.saturating_add(key.len()).saturating_add(4).saturating_add(size(value))
        }),
    }
}

fn string() -> Map<String, Value> {
    let mut map = Map::new();
    map.insert("type".into(), "string".into());
    map
}
