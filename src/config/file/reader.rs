//! From a document to the objects of a config file; gathers every mistake instead of stopping at the first.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::config::file::document::{Document, FileError, Step, Trail};
use crate::config::file::secret_ref::SecretRef;
use crate::config::file::{
    At, ConfigFile, NamedText, ProviderSpec, account, budget, combo, key, model, node, proxy,
};
use crate::config::keys::{self, Since};
use crate::config::kind::{self, class_of};
use crate::config::settings::{self, Settings};
use crate::provider::node::NetworkPolicy;

/// Sections, in the order they are explained.
const SECTIONS: &[&str] = &[
    "prune",
    "settings",
    "nodes",
    "accounts",
    "combos",
    "aliases",
    "keys",
    "models",
    "prices",
    "providers",
    "budgets",
    "proxies",
];

/// Most mistakes that are gathered.
const MOST_ERRORS: usize = 100;

pub(super) struct Reader {
    document: Document,
    errors: Vec<FileError>,
    warnings: Vec<FileError>,
}

pub(super) fn understand(
    document: Document,
    outbound_default: NetworkPolicy,
) -> Result<ConfigFile, Vec<FileError>> {
    let sections = document.value().clone();
    let mut reader = Reader { document, errors: Vec::new(), warnings: Vec::new() };
    reader.refuse_sections(&sections);
    let prune = match sections.get("prune") {
        None => false,
        Some(Value::Bool(prune)) => *prune,
        Some(other) => {
            let message = format!("got {}, expected true or false", class_of(other));
            reader.fail(&Trail::default().key("prune"), message);
            false
        }
    };
    let (settings, texts) = reader.settings(sections.get("settings"));
    let proxies = reader.objects(&sections, "proxies", proxy::read);
    let nodes = reader.objects(&sections, "nodes", |r, trail, object| {
        node::read(r, trail, object, outbound_default)
    });
    let accounts = reader.objects(&sections, "accounts", account::read);
    let combos = reader.objects(&sections, "combos", combo::read);
    let aliases = reader.aliases(sections.get("aliases"));
    let keys = reader.objects(&sections, "keys", |r, trail, object| key::read(r, trail, &object));
    let models = reader.objects(&sections, "models", model::read_model);
    let prices = reader.objects(&sections, "prices", model::read_price);
    let providers = reader.providers(sections.get("providers"));
    let budgets = reader.objects(&sections, "budgets", budget::read);

    reader.refuse_twice(&proxies, |p| p.name.to_ascii_lowercase(), "name");
    reader.refuse_twice(&nodes, |n| n.node.prefix.to_ascii_lowercase(), "prefix");
    reader.refuse_twice(
        &accounts,
        |a| (a.config.provider.to_ascii_lowercase(), a.config.label.to_ascii_lowercase()),
        "label",
    );
    reader.refuse_twice(&combos, |c| c.row.combo.name.to_ascii_lowercase(), "name");
    reader.refuse_twice(&keys, |k| k.row.name.clone(), "name");
    reader.refuse_twice(&models, |m| (m.provider.to_ascii_lowercase(), m.model.clone()), "id");
    reader.refuse_twice(&prices, |p| (p.provider.to_ascii_lowercase(), p.model.clone()), "model");

    reader.refuse_twice(&budgets, |b| (b.scope, b.scope_id.clone(), b.window), "window");

    let Reader { document, mut errors, mut warnings } = reader;
    warnings.sort_by_key(|w| (w.line, w.column));
    if !errors.is_empty() {
        errors.sort_by_key(|e| (e.line, e.column));
        errors.truncate(MOST_ERRORS);
        return Err(errors);
    }
    Ok(ConfigFile {
        document,
        prune,
        settings,
        texts,
        proxies,
        nodes,
        accounts,
        combos,
        aliases,
        keys,
        models,
        prices,
        providers,
        budgets,
        warnings,
    })
}

/// Reads one object that stands alone; paths of mistakes begin at it.
pub(super) fn one<O: DeserializeOwned, T>(
    value: &Value,
    read: impl FnOnce(&mut Reader, &Trail, O) -> Option<T>,
) -> Result<T, Vec<FileError>> {
    let document = Document::without_text();
    let mut reader = Reader { document, errors: Vec::new(), warnings: Vec::new() };
    let root = Trail::default();
    let object = reader.object(&root, value);
    match object.and_then(|object| read(&mut reader, &root, object)) {
        Some(object) if reader.errors.is_empty() => Ok(object),
        Some(_) | None => Err(reader.errors),
    }
}

impl Reader {
    /// Notes a mistake.
    pub(super) fn fail(&mut self, trail: &Trail, message: impl Display) {
        let what = match trail.0.last() {
            Some(Step::Key(key)) => format!("`{key}`: {message}"),
            Some(Step::Item(_)) | None => message.to_string(),
        };
        self.errors.push(self.document.error(trail, what));
    }

    /// Notes something that works, but not as hoped for.
    pub(super) fn warn(&mut self, trail: &Trail, message: impl Into<String>) {
        self.warnings.push(self.document.error(trail, message));
    }

    /// One object, with the place of what does not fit.
    pub(super) fn object<T: DeserializeOwned>(
        &mut self,
        trail: &Trail,
        value: &Value,
    ) -> Option<T> {
        let error = match serde_path_to_error::deserialize(value) {
            Ok(object) => return Some(object),
            Err(error) => error,
        };
        let mut at = trail.clone();
        let mut wrong = Some(value);
        for segment in error.path() {
            use serde_path_to_error::Segment;
            match segment {
                Segment::Map { key } => {
                    wrong = wrong.and_then(|v| v.get(key));
                    at = at.key(key);
                }
                Segment::Seq { index } => {
                    wrong = wrong.and_then(|v| v.get(index));
                    at = at.item(*index);
                }
                Segment::Enum { .. } | Segment::Unknown => {}
            }
        }
        let message = error.inner().to_string();
        let mistake = self.document.error(&at, explain(&message, &at, wrong));
        let unknown_member = message.starts_with("unknown field ");
        self.errors.push(FileError { unknown_member, ..mistake });
        None
    }

    /// A word of a closed set.
    pub(super) fn choice<T: Copy>(
        &mut self,
        trail: &Trail,
        word: &str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let found = choices.iter().find(|(name, _)| *name == word).map(|(_, value)| *value);
        if found.is_none() {
            let names: Vec<String> = choices.iter().map(|(name, _)| format!("`{name}`")).collect();
            let near = keys::nearest(word, choices.iter().map(|(name, _)| *name));
            let near = near.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
            let got = class_of(&word.into());
            self.fail(trail, format!("got {got}, expected one of {}{near}", names.join(", ")));
        }
        found
    }

    /// As [`Reader::choice`], where the member may be absent.
    pub(super) fn optional_choice<T: Copy>(
        &mut self,
        trail: &Trail,
        word: Option<&String>,
        choices: &[(&str, T)],
    ) -> Option<T> {
        word.and_then(|word| self.choice(trail, word, choices))
    }

    /// A number in a range; out of it, the nearest end and a mistake.
    pub(super) fn within<T>(&mut self, trail: &Trail, number: T, min: T, max: T) -> T
    where
        T: Ord + Copy + Display,
    {
        if number < min || number > max {
            self.fail(trail, format!("got a number outside its range, expected {min} to {max}"));
        }
        number.clamp(min, max)
    }

    /// A text of one line with 1 to `max` characters.
    pub(super) fn line(&mut self, trail: &Trail, text: &str, max: usize) -> String {
        let text = text.trim();
        if let Err(misfit) = (kind::Kind::Text { max }).check(&text.into()) {
            self.fail(trail, misfit);
        }
        text.to_owned()
    }

    /// A secret by reference.
    pub(super) fn secret(&mut self, trail: &Trail, text: &str) -> Option<SecretRef> {
        match SecretRef::parse(text, &self.folder()) {
            Ok(reference) => Some(reference),
            Err(why) => {
                self.fail(trail, why);
                None
            }
        }
    }

    fn folder(&self) -> PathBuf {
        let folder = self.document.file().parent().map(PathBuf::from).unwrap_or_default();
        std::path::absolute(&folder).unwrap_or(folder)
    }

    fn refuse_sections(&mut self, sections: &serde_json::Map<String, Value>) {
        for name in sections.keys() {
            let trail = Trail::default().key(name);
            if !SECTIONS.contains(&name.as_str()) {
                let near = keys::nearest(name, SECTIONS.iter().copied());
                let near = near.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
                self.fail(&trail, format!("is no section of a config file{near}"));
            }
        }
    }

    /// The objects of a section that is a list of tables.
    fn objects<O: DeserializeOwned, T>(
        &mut self,
        sections: &serde_json::Map<String, Value>,
        section: &str,
        read: impl Fn(&mut Self, &Trail, O) -> Option<T>,
    ) -> Vec<At<T>> {
        let trail = Trail::default().key(section);
        let list = match sections.get(section) {
            None => return Vec::new(),
            Some(Value::Array(list)) => list,
            Some(other) => {
                let message = format!("got {}, expected a list: [[{section}]]", class_of(other));
                self.fail(&trail, message);
                return Vec::new();
            }
        };
        let mut objects = Vec::with_capacity(list.len());
        for (index, value) in list.iter().enumerate() {
            let trail = trail.item(index);
            let Some(object) = self.object(&trail, value) else { continue };
            if let Some(value) = read(self, &trail, object) {
                objects.push(At { trail, value });
            }
        }
        objects
    }

    fn table<'a>(
        &mut self,
        section: &str,
        value: Option<&'a Value>,
    ) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
        let table = match value {
            Some(Value::Object(table)) => Some(table),
            None => None,
            Some(other) => {
                let message = format!("got {}, expected a table: [{section}]", class_of(other));
                self.fail(&Trail::default().key(section), message);
                None
            }
        };
        table.into_iter().flatten()
    }

    #[expect(clippy::type_complexity, reason = "two lists of the one section")]
    fn settings(
        &mut self,
        section: Option<&Value>,
    ) -> (Vec<At<(&'static str, Value)>>, Vec<At<(String, NamedText)>>) {
        let root = Trail::default().key("settings");
        let mut settings: Vec<At<(&'static str, Value)>> = Vec::new();
        let mut texts: Vec<At<(String, NamedText)>> = Vec::new();
        let mut given = BTreeMap::new();
        for (name, value) in self.table("settings", section) {
            let one = BTreeMap::from([(name.clone(), value.clone())]);
            for (name, value) in settings::flatten(&one) {
                let trail = setting_trail(&root, self.document.value(), &name);
                if let Some(key) = text_key(&name) {
                    if let Some(text) = self.text(&trail, &key, &value) {
                        texts.push(At { trail, value: (key, text) });
                    }
                    continue;
                }
                if let Some(setting) = self.setting(&trail, &name, &value, &settings) {
                    given.insert(name, value);
                    settings.push(At { trail, value: setting });
                }
            }
        }
        // Rules over several settings; stored ones of the operator are looked at when it is planned.
        for error in Settings::from_map(&given).err().unwrap_or_default() {
            let at = settings.iter().find(|s| s.value.0 == error.key());
            let trail = at.map_or(root.clone(), |s| s.trail.clone());
            self.errors.push(self.document.error(&trail, error.to_string()));
        }
        self.refuse_twice(&texts, |(key, _)| key.clone(), "");
        (settings, texts)
    }

    /// A secret by reference; the id of a client as it is.
    fn text(&mut self, trail: &Trail, key: &str, value: &Value) -> Option<NamedText> {
        let Some(text) = value.as_str() else {
            self.fail(trail, format!("got {}, expected a text", class_of(value)));
            return None;
        };
        if key.ends_with(".client_id") {
            return Some(NamedText::Plain(self.line(trail, text, 1_024)));
        }
        self.secret(trail, text).map(NamedText::Secret)
    }

    fn setting(
        &mut self,
        trail: &Trail,
        name: &str,
        value: &Value,
        known: &[At<(&'static str, Value)>],
    ) -> Option<(&'static str, Value)> {
        let Some(key) = keys::setting(name) else {
            let near = keys::nearest_setting(name);
            let near = near.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
            self.fail(trail, format!("is no setting{near}"));
            return None;
        };
        if known.iter().any(|other| other.value.0 == key.name) {
            self.fail(trail, "is given twice; keep one spelling");
            return None;
        }
        if matches!(key.name, "port" | "host" | "workers") {
            // Needed before any file or database is read.
            let by = if key.name == "workers" { "" } else { "a flag or " };
            self.fail(
                trail,
                format!("cannot stand in a config file; set it by {by}the environment"),
            );
            return None;
        }
        if key.since == Since::Later {
            self.warn(trail, format!("`{}` has no effect yet in this version", key.name));
        }
        if value.is_null() {
            return Some((key.name, Value::Null));
        }
        match key.kind.check(value) {
            Ok(value) => Some((key.name, value)),
            Err(misfit) => {
                self.fail(trail, misfit);
                None
            }
        }
    }

    fn aliases(&mut self, section: Option<&Value>) -> Vec<At<(String, String)>> {
        let root = Trail::default().key("aliases");
        let mut aliases = Vec::new();
        for (alias, target) in self.table("aliases", section) {
            let trail = root.key(alias);
            let Some(target) = target.as_str().map(str::trim).filter(|t| !t.is_empty()) else {
                let message = format!("got {}, expected a model id", class_of(target));
                self.fail(&trail, message);
                continue;
            };
            let plain = !alias.trim().is_empty()
                && alias.len() <= 256
                && !alias.chars().any(|c| c.is_control() || c.is_whitespace());
            if !plain {
                self.fail(&trail, "an alias is 1 to 256 characters without blanks");
                continue;
            }
            aliases.push(At { trail, value: (alias.clone(), target.to_owned()) });
        }
        aliases
    }

    fn providers(&mut self, section: Option<&Value>) -> Vec<At<ProviderSpec>> {
        let root = Trail::default().key("providers");
        let mut providers = Vec::new();
        for (id, value) in self.table("providers", section) {
            let trail = root.key(id);
            let Some(object) = self.object(&trail, value) else { continue };
            if let Some(value) = model::read_provider(self, &trail, id, object) {
                providers.push(At { trail, value });
            }
        }
        providers
    }

    fn refuse_twice<T, K: PartialEq>(
        &mut self,
        objects: &[At<T>],
        identity: impl Fn(&T) -> K,
        member: &str,
    ) {
        for (index, object) in objects.iter().enumerate() {
            let name = identity(&object.value);
            let first = objects.iter().take(index).find(|o| identity(&o.value) == name);
            if let Some(first) = first {
                let line = self.document.error(&first.trail, "").line;
                let message = format!("is the same as that of the one in line {line}");
                self.fail(&object.trail.key(member), message);
            }
        }
    }
}

/// Settings may be written as dotted keys or as groups; `a.b` then stands below `a`.
fn setting_trail(root: &Trail, document: &serde_json::Map<String, Value>, name: &str) -> Trail {
    let settings = document.get("settings").and_then(Value::as_object);
    if settings.is_some_and(|s| s.contains_key(name)) {
        return root.key(name);
    }
    name.split('.').fold(root.clone(), |trail, part| trail.key(part))
}

/// The name under which a secret setting, or a client of a provider's sign-in, is stored.
fn text_key(name: &str) -> Option<String> {
    let secret = keys::setting(name).filter(|key| key.is_secret());
    let client = || settings::is_oauth_key(name).then(|| keys::snake_case(name));
    secret.map(|key| key.name.to_owned()).or_else(client)
}

/// What serde says, in words for operators and without the value.
fn explain(message: &str, at: &Trail, value: Option<&Value>) -> String {
    let member = match at.0.last() {
        Some(Step::Key(key)) => format!("`{key}`: "),
        Some(Step::Item(_)) | None => String::new(),
    };
    if let Some(rest) = message.strip_prefix("unknown field ") {
        let (field, expected) = rest.split_once(", expected ").unwrap_or((rest, ""));
        let candidates = expected.split('`').skip(1).step_by(2);
        let near = keys::nearest(field.trim_matches('`'), candidates);
        let near = near.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
        return format!("unknown member {field}{near}");
    }
    if let Some(field) = message.strip_prefix("missing field ") {
        return format!("{field} is missing");
    }
    match message.split_once(", expected ") {
        Some((_, expected)) => {
            let got = value.map_or_else(|| "something else".to_owned(), class_of);
            format!("{member}got {got}, expected {}", type_in_words(expected))
        }
        None => format!("{member}{message}"),
    }
}

fn type_in_words(expected: &str) -> String {
    match expected {
        "u8" => "a whole number from 0 to 255".into(),
        "u16" => "a whole number from 0 to 65535".into(),
        "u32" => "a whole number from 0 to 4294967295".into(),
        "i64" => "a whole number".into(),
        "a string" => "a text".into(),
        "a boolean" => "true or false".into(),
        "a sequence" => "a list".into(),
        "a map" => "a table".into(),
        other if other.starts_with("struct ") => "a table".into(),
        other => other.into(),
    }
}
