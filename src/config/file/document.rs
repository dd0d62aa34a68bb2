//! A TOML or JSON text as one value, with the place of every part of it.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::file::json_places;

/// A part's place in the text, and its parts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Places {
    /// Byte where it begins: of a member its key, else the value.
    pub(super) at: usize,
    /// Of a table its members, of a list its items.
    pub(super) parts: Vec<(Step, Places)>,
}

/// One step from a part to a part of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Member of a table.
    Key(String),
    /// Item of a list, from 0.
    Item(usize),
}

/// Way from the whole document to a part.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Trail(pub Vec<Step>);

impl Trail {
    /// The member `key` of this part.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.with(Step::Key(key.to_owned()))
    }

    /// The item `index` of this part.
    #[must_use]
    pub fn item(&self, index: usize) -> Self {
        self.with(Step::Item(index))
    }

    /// One step further.
    #[must_use]
    pub fn with(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

impl fmt::Display for Trail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if index == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Item(item) => write!(f, "[{item}]")?,
            }
        }
        Ok(())
    }
}

/// Something wrong in a config file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}{}: {message}", .file.display(), place(*.line, *.column))]
pub struct FileError {
    /// The file.
    pub file: PathBuf,
    /// Line, from 1; 0 = the file as a whole.
    pub line: usize,
    /// Character in the line, from 1; 0 = the file as a whole.
    pub column: usize,
    /// What is wrong and what to do. No secrets.
    pub message: String,
    /// Way to the part: `combos[0].entries[1].weight`; empty = the document as a whole.
    pub path: String,
    /// The part is a member that nobody knows.
    pub unknown_member: bool,
}

fn place(line: usize, column: usize) -> String {
    if line == 0 { String::new() } else { format!(":{line}:{column}") }
}

impl FileError {
    /// An error that is about a file as a whole.
    #[must_use]
    pub fn whole(file: &Path, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line: 0,
            column: 0,
            message: message.into(),
            path: String::new(),
            unknown_member: false,
        }
    }
}

/// A config file, read but not yet understood.
#[derive(Clone, Debug)]
pub struct Document {
    file: PathBuf,
    text: String,
    value: Map<String, Value>,
    places: Places,
}

impl Document {
    /// Reads a text. JSON when the name ends in `.json` or the text begins with `{`, else TOML.
    ///
    /// # Errors
    /// The text is not in that format.
    pub fn parse(file: &Path, bytes: &[u8]) -> Result<Self, FileError> {
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(e) => {
                let good = bytes.get(..e.valid_up_to()).unwrap_or_default();
                let good = std::str::from_utf8(good).unwrap_or_default();
                return Err(error_at(file, good, good.len(), "is not UTF-8"));
            }
        };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let is_json = file.extension().is_some_and(|e| e.eq_ignore_ascii_case("json"))
            || text.trim_start().starts_with('{');
        let (value, places) = if is_json { read_json(file, text)? } else { read_toml(file, text)? };
        Ok(Self { file: file.to_owned(), text: text.to_owned(), value, places })
    }

    /// The whole, a table.
    #[must_use]
    pub fn value(&self) -> &Map<String, Value> {
        &self.value
    }

    /// The file it was read from.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// An error at a part; at the nearest part around it when it has none of its own.
    #[must_use]
    pub fn error(&self, trail: &Trail, message: impl Into<String>) -> FileError {
        let mut places = &self.places;
        for step in &trail.0 {
            match places.parts.iter().find(|(name, _)| name == step) {
                Some((_, part)) => places = part,
                None => break,
            }
        }
        let error = error_at(&self.file, &self.text, places.at, message);
        FileError { path: trail.to_string(), ..error }
    }

    /// An object that did not come in a file: errors have a path, but no line.
    #[must_use]
    pub(super) fn without_text() -> Self {
        let (file, text) = (PathBuf::new(), String::new());
        Self { file, text, value: Map::new(), places: Places::default() }
    }
}

fn error_at(file: &Path, text: &str, at: usize, message: impl Into<String>) -> FileError {
    let before = text.get(..at).unwrap_or(text);
    let line = memchr::memchr_iter(b'\n', before.as_bytes()).count() + 1;
    let last = before.rsplit('\n').next().unwrap_or_default();
    let column = last.chars().count() + 1;
    FileError { line, column, ..FileError::whole(file, message) }
}

fn read_json(file: &Path, text: &str) -> Result<(Map<String, Value>, Places), FileError> {
    let value: Value = serde_json::from_str(text).map_err(|e| FileError {
        line: e.line().max(1),
        column: e.column().max(1),
        ..FileError::whole(file, format!("not valid JSON: {}", without_place(&e.to_string())))
    })?;
    let (places, twice) = json_places::find(text);
    if let Some((at, key)) = twice {
        return Err(error_at(file, text, at, format!("`{key}` is given twice in one object")));
    }
    match value {
        Value::Object(map) => Ok((map, places)),
        _ => Err(error_at(file, text, 0, "the file must hold one JSON object")),
    }
}

/// `serde_json` ends its messages in the place, which we say in front.
fn without_place(message: &str) -> &str {
    message.split(" at line ").next().unwrap_or(message)
}

fn read_toml(file: &Path, text: &str) -> Result<(Map<String, Value>, Places), FileError> {
    let table = DeTable::parse(text).map_err(|e| {
        let at = e.span().map_or(0, |span: Range<usize>| span.start);
        error_at(file, text, at, format!("not valid TOML: {}", e.message()))
    })?;
    let mut map = Map::new();
    let places = toml_table(file, text, table.get_ref(), 0, &mut map)?;
    Ok((map, places))
}

fn toml_table(
    file: &Path,
    text: &str,
    table: &DeTable<'_>,
    at: usize,
    map: &mut Map<String, Value>,
) -> Result<Places, FileError> {
    let mut places = Places { at, parts: Vec::with_capacity(table.len()) };
    for (key, value) in table {
        let (value, mut part) = toml_value(file, text, value)?;
        part.at = key.span().start;
        let key: &str = key.get_ref();
        map.insert(key.to_owned(), value);
        places.parts.push((Step::Key(key.to_owned()), part));
    }
    Ok(places)
}

fn toml_value(
    file: &Path,
    text: &str,
    spanned: &Spanned<DeValue<'_>>,
) -> Result<(Value, Places), FileError> {
    let at = spanned.span().start;
    let leaf = Places { at, parts: Vec::new() };
    let wrong = |message: &str| error_at(file, text, at, message);
    Ok(match spanned.get_ref() {
        DeValue::String(s) => (Value::String(s.clone().into_owned()), leaf),
        DeValue::Boolean(b) => (Value::Bool(*b), leaf),
        DeValue::Integer(n) => {
            let number = i64::from_str_radix(n.as_str(), n.radix())
                .map_err(|_too_large| wrong("the number is too large"))?;
            (number.into(), leaf)
        }
        DeValue::Float(n) => {
            let number: f64 =
                n.as_str().parse().map_err(|_odd| wrong("the number cannot be read"))?;
            let number =
                Number::from_f64(number).ok_or_else(|| wrong("the number must be finite"))?;
            (Value::Number(number), leaf)
        }
        DeValue::Datetime(d) => (Value::String(d.to_string()), leaf),
        DeValue::Array(items) => {
            let mut list = Vec::with_capacity(items.len());
            let mut places = leaf;
            for (index, item) in items.iter().enumerate() {
                let (value, part) = toml_value(file, text, item)?;
                list.push(value);
                places.parts.push((Step::Item(index), part));
            }
            (Value::Array(list), places)
        }
        DeValue::Table(table) => {
            let mut map = Map::new();
            let places = toml_table(file, text, table, at, &mut map)?;
            (Value::Object(map), places)
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TOML: &str = "prune = true\n\n[settings]\nsticky_count = 0x10\n\n[[combos]]\nname = 'ä'\nentries = [\n  'a/b',\n  { target = \"c/d\", weight = 2 },\n]\n";
    const JSON: &str = "{\n  \"prune\": true,\n  \"settings\": {\"sticky_count\": 16},\n  \"combos\": [\n    {\"name\": \"ä\", \"entries\": [\"a/b\", {\"target\": \"c/d\", \"weight\": 2}]}\n  ]\n}\n";

    fn place(document: &Document, trail: &Trail) -> (usize, usize) {
        let error = document.error(trail, "");
        (error.line, error.column)
    }

    #[test]
    fn both_formats_give_the_same_value() {
        let toml = Document::parse(Path::new("x.toml"), TOML.as_bytes()).unwrap();
        let json = Document::parse(Path::new("x"), JSON.as_bytes()).unwrap();
        assert_eq!(Value::Object(toml.value().clone()), Value::Object(json.value().clone()));
        assert_eq!(toml.value()["settings"], json!({"sticky_count": 16}));
    }

    #[test]
    fn every_part_has_its_place() {
        let toml = Document::parse(Path::new("x.toml"), TOML.as_bytes()).unwrap();
        let json = Document::parse(Path::new("x.json"), JSON.as_bytes()).unwrap();
        let root = Trail::default();
        let combo = root.key("combos").item(0);
        let entry = combo.key("entries").item(1);
        for (trail, in_toml, in_json) in [
            (root.key("prune"), (1, 1), (2, 3)),
            (root.key("settings").key("sticky_count"), (4, 1), (3, 16)),
            (combo.key("name"), (7, 1), (5, 6)),
            (combo.key("entries").item(0), (9, 3), (5, 31)),
            (entry.key("weight"), (10, 21), (5, 56)),
            (entry.key("missing"), (10, 3), (5, 38)),
        ] {
            assert_eq!(place(&toml, &trail), in_toml, "{trail}");
            assert_eq!(place(&json, &trail), in_json, "{trail}");
        }
        assert_eq!(entry.key("weight").to_string(), "combos[0].entries[1].weight");
    }

    #[test]
    fn syntax_errors_name_line_and_column() {
        for (name, text, want) in [
            ("x.toml", "a = 1\nb = \n", "x.toml:2:"),
            ("x.toml", "a = 1\na = 2\n", "x.toml:2:1: not valid TOML: "),
            ("x.toml", "a = 99999999999999999999\n", "x.toml:1:5: the number is too large"),
            ("x.json", "{\n \"a\": }", "x.json:2:7: not valid JSON: expected value"),
            ("x.json", "{\"a\": 1,\n \"a\": 2}", "x.json:2:2: `a` is given twice in one object"),
            ("x.json", "[1]", "x.json:1:1: the file must hold one JSON object"),
        ] {
            let error = Document::parse(Path::new(name), text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(want), "{error}");
        }
        let error = Document::parse(Path::new("x"), b"a = 1\nb = '\xff'").unwrap_err();
        assert_eq!(error.to_string(), "x:2:6: is not UTF-8");
    }
}
