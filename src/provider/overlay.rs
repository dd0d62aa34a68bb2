//! Reading catalog files: the built-in one, and the operator's laid over it by provider id.

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use crate::provider::check;
use crate::provider::entry::Provider;
use crate::provider::model::ModelPattern;
use crate::provider::overrides::OverrideError;
use crate::provider::price::PricePattern;

/// The only layout this program reads.
const SCHEMA_VERSION: i64 = 1;
/// Name of the built-in catalog in messages. No file has it: those of the operator end in `.toml`.
pub(super) const BUILTIN_NAME: &str = "built-in catalog";
const BUILTIN: &str = include_str!("../../assets/providers.toml");

/// A catalog file, or an override, that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CatalogError {
    /// The file is not TOML.
    #[error("{file}: line {line}: {message}")]
    Syntax {
        /// File it is in.
        file: String,
        /// First line is 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// A key has a value that cannot be used.
    #[error("{file}: `{key}`: {message}")]
    Entry {
        /// File it is in.
        file: String,
        /// Path of the key: `provider.<id>.endpoint[0].wire`.
        key: String,
        /// What is wrong.
        message: String,
    },
    /// The patterns of all files are together too large.
    #[error("the patterns of the catalog files cannot be compiled: {0}")]
    Patterns(String),
    /// An endpoint override cannot be used.
    #[error(transparent)]
    Override(#[from] OverrideError),
}

/// Providers of bare model names that begin with a prefix.
#[derive(Clone, PartialEq, Eq, Debug, serde::Deserialize)]
pub struct InferRule {
    /// How the name begins.
    pub prefix: String,
    /// Provider ids, preferred first.
    pub providers: Vec<String>,
}

/// What the files say together.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// Tables of the providers, in the order of `providers`; only when other files are to be laid over them.
    tables: Vec<Table>,
    is_laid_over: bool,
    pub(super) providers: Vec<Provider>,
    pub(super) model_patterns: Vec<ModelPattern>,
    pub(super) price_patterns: Vec<PricePattern>,
    pub(super) infer: Vec<InferRule>,
    pub(super) unknown_keys: Vec<String>,
}

/// The lists of a file beside its providers.
struct Lists {
    model_patterns: Vec<ModelPattern>,
    price_patterns: Vec<PricePattern>,
    infer: Vec<InferRule>,
}

impl Files {
    /// The built-in catalog alone. It is read table by table, and of each only the result is kept: for the whole file the
    /// parser would need thirty times its size at once, and the process would not give it back.
    pub(super) fn builtin(is_laid_over: bool) -> Result<Self, CatalogError> {
        let mut files = Self { is_laid_over, ..Self::default() };
        let mut seen = Vec::new();
        for (n, part) in parts(BUILTIN).enumerate() {
            let top = parse(BUILTIN_NAME, part)?;
            if n == 0 {
                check_version(BUILTIN_NAME, &top)?;
            }
            let lists = files.read(BUILTIN_NAME, top, &mut seen)?;
            files.model_patterns.extend(lists.model_patterns);
            files.price_patterns.extend(lists.price_patterns);
            files.infer.extend(lists.infer);
        }
        files.judged(BUILTIN_NAME)
    }

    /// Lays one file over what is there: tables of a provider merge key by key, lists are replaced,
    /// new providers are added. Patterns and infer rules of the file come before the present ones,
    /// because the first that fits counts.
    pub(super) fn laid_over(mut self, file: &str, text: &str) -> Result<Self, CatalogError> {
        debug_assert!(self.is_laid_over, "the tables below were not kept");
        let top = parse(file, text)?;
        check_version(file, &top)?;
        let lists = self.read(file, top, &mut Vec::new())?;
        prepend(&mut self.model_patterns, lists.model_patterns);
        prepend(&mut self.price_patterns, lists.price_patterns);
        prepend(&mut self.infer, lists.infer);
        self.judged(file)
    }

    /// Takes in the providers of a file, or of a part of one; its other lists come back.
    fn read(
        &mut self,
        file: &str,
        mut top: Table,
        seen: &mut Vec<String>,
    ) -> Result<Lists, CatalogError> {
        for (n, entry) in array(file, &mut top, "provider")?.into_iter().enumerate() {
            let Value::Table(table) = entry else {
                return Err(bad(file, format!("provider[{n}]"), "must be a table"));
            };
            self.lay_provider(file, n, table, seen)?;
        }
        let unknown = &mut self.unknown_keys;
        let lists = Lists {
            model_patterns: typed_list(file, &mut top, "model_pattern", unknown)?,
            price_patterns: typed_list(file, &mut top, "price_pattern", unknown)?,
            infer: typed_list(file, &mut top, "infer_provider", unknown)?,
        };
        for key in top.keys() {
            if !["schema_version", "as_of", "currency", "price_unit"].contains(&key.as_str()) {
                unknown.push(format!("{file}: {key}"));
            }
        }
        Ok(lists)
    }

    /// The same, when it makes sense together.
    fn judged(self, file: &str) -> Result<Self, CatalogError> {
        match check::all(&self.providers, &self.infer).into_iter().next() {
            Some(finding) => Err(bad(file, finding.key, finding.message)),
            None => Ok(self),
        }
    }

    fn lay_provider(
        &mut self,
        file: &str,
        n: usize,
        table: Table,
        seen: &mut Vec<String>,
    ) -> Result<(), CatalogError> {
        let Some(id) = table.get("id").and_then(Value::as_str).map(str::to_owned) else {
            return Err(bad(
                file,
                format!("provider[{n}].id"),
                "missing; each provider needs an id",
            ));
        };
        if seen.contains(&id) {
            return Err(bad(file, format!("provider.{id}"), "listed twice in this file"));
        }
        // A test looks through the built-in one: at each start it would take longer than to read it.
        let foreign = file != BUILTIN_NAME;
        if let Some(finding) = foreign.then(|| secrets(&id, &table)).flatten() {
            return Err(bad(file, finding.key, finding.message));
        }
        let at = self.tables.iter().position(|t| t.get("id").and_then(Value::as_str) == Some(&id));
        let merged = match at.and_then(|at| self.tables.get_mut(at)) {
            Some(base) => {
                merge(base, table);
                base.clone()
            }
            None => {
                self.tables.extend(self.is_laid_over.then(|| table.clone()));
                table
            }
        };
        let mut provider: Provider =
            typed(file, &format!("provider.{id}"), Value::Table(merged), &mut self.unknown_keys)?;
        provider.complete();
        match at.and_then(|at| self.providers.get_mut(at)) {
            Some(slot) => *slot = provider,
            None => self.providers.push(provider),
        }
        seen.push(id);
        Ok(())
    }
}

fn merge(base: &mut Table, over: Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(inner)), Value::Table(more)) => merge(inner, more),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

fn prepend<T>(list: &mut Vec<T>, first: Vec<T>) {
    list.splice(0..0, first);
}

fn parse(file: &str, text: &str) -> Result<Table, CatalogError> {
    text.parse::<Table>().map_err(|e| {
        let upto = e.span().map_or(0, |s| s.start);
        let before = text.get(..upto).unwrap_or("");
        CatalogError::Syntax {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            message: first_line(e.message()),
        }
    })
}

fn secrets(id: &str, table: &Table) -> Option<check::Finding> {
    check::secrets(&format!("provider.{id}"), table)
}

/// A file of many tables in lists, cut before each of them; what stands above the first comes with it.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        // `[[name]]` with a dot belongs to the list before it.
        let next = rest.match_indices("\n[[").map(|(at, _)| at + 1).find(|at| {
            let line = rest.get(*at..).and_then(|from| from.lines().next());
            line.is_some_and(|line| !line.contains('.'))
        });
        let (part, after) = rest.split_at_checked(next.unwrap_or(rest.len())).unwrap_or((rest, ""));
        rest = after;
        (!part.is_empty()).then_some(part)
    })
}

fn check_version(file: &str, top: &Table) -> Result<(), CatalogError> {
    match top.get("schema_version") {
        Some(Value::Integer(SCHEMA_VERSION)) => Ok(()),
        // an overlay may leave it out
        None if file != BUILTIN_NAME => Ok(()),
        Some(_) | None => Err(bad(file, "schema_version".to_owned(), "must be 1")),
    }
}

fn array(file: &str, top: &mut Table, key: &str) -> Result<Vec<Value>, CatalogError> {
    match top.remove(key) {
        None => Ok(Vec::new()),
        Some(Value::Array(items)) => Ok(items),
        Some(_) => Err(bad(file, key.to_owned(), "must be a list of tables: write [[…]]")),
    }
}

fn typed_list<T: DeserializeOwned>(
    file: &str,
    top: &mut Table,
    key: &str,
    unknown: &mut Vec<String>,
) -> Result<Vec<T>, CatalogError> {
    array(file, top, key)?
        .into_iter()
        .enumerate()
        .map(|(n, value)| typed(file, &format!("{key}[{n}]"), value, unknown))
        .collect()
}

fn typed<T: DeserializeOwned>(
    file: &str,
    key: &str,
    value: Value,
    unknown: &mut Vec<String>,
) -> Result<T, CatalogError> {
    if file == BUILTIN_NAME {
        // A test reads it with the places of its values: at each start that takes half a megabyte of code.
        return T::deserialize(value)
            .map_err(|e| bad(file, key.to_owned(), first_line(e.message())));
    }
    placed(file, key, value, unknown)
}

/// The same, knowing where in the file each value stands.
fn placed<T: DeserializeOwned>(
    file: &str,
    key: &str,
    value: Value,
    unknown: &mut Vec<String>,
) -> Result<T, CatalogError> {
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(value, &mut track);
    let mut note = |path: serde_ignored::Path<'_>| unknown.push(format!("{file}: {key}.{path}"));
    serde_ignored::deserialize(tracked, &mut note).map_err(|e| {
        let path = track.path().to_string();
        let key = if path == "." { key.to_owned() } else { format!("{key}.{path}") };
        bad(file, key, first_line(e.message()))
    })
}

fn bad(file: &str, key: String, message: impl Into<String>) -> CatalogError {
    CatalogError::Entry { file: file.to_owned(), key, message: message.into() }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or("").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_builtin_catalog_read_in_parts_is_the_whole_one() {
        let whole = parse(BUILTIN_NAME, BUILTIN).unwrap();
        let mut joined = Table::new();
        for (key, value) in parts(BUILTIN).flat_map(|part| parse(BUILTIN_NAME, part).unwrap()) {
            match (joined.get_mut(&key), value) {
                (Some(Value::Array(known)), Value::Array(more)) => known.extend(more),
                (_, value) => drop(joined.insert(key, value)),
            }
        }
        assert_eq!(joined, whole);
        assert!(whole["provider"].as_array().unwrap().len() > 70);
    }

    #[test]
    fn every_key_of_the_builtin_catalog_is_known() {
        let mut unknown = Vec::new();
        let mut whole = parse(BUILTIN_NAME, BUILTIN).unwrap();
        for value in array(BUILTIN_NAME, &mut whole, "provider").unwrap() {
            placed::<Provider>(BUILTIN_NAME, "provider", value, &mut unknown).unwrap();
        }
        for value in array(BUILTIN_NAME, &mut whole, "model_pattern").unwrap() {
            placed::<ModelPattern>(BUILTIN_NAME, "model_pattern", value, &mut unknown).unwrap();
        }
        for value in array(BUILTIN_NAME, &mut whole, "price_pattern").unwrap() {
            placed::<PricePattern>(BUILTIN_NAME, "price_pattern", value, &mut unknown).unwrap();
        }
        for value in array(BUILTIN_NAME, &mut whole, "infer_provider").unwrap() {
            placed::<InferRule>(BUILTIN_NAME, "infer_provider", value, &mut unknown).unwrap();
        }
        assert_eq!(unknown, Vec::<String>::new());
    }

    #[test]
    fn the_builtin_catalog_holds_no_secret() {
        let whole = parse(BUILTIN_NAME, BUILTIN).unwrap();
        for provider in whole["provider"].as_array().unwrap() {
            let table = provider.as_table().unwrap();
            let id = table["id"].as_str().unwrap();
            assert!(secrets(id, table).is_none(), "{id}");
        }
    }
}
