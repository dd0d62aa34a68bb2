//! Lists: filtered, cut into pages, with an opaque cursor (`api.md` §1).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::api::call::{Call, Reply};
use crate::api::error::ApiError;

/// Items of a page when the caller names no number.
const USUAL: usize = 50;
/// Items of a page at most.
const MOST: usize = 500;

/// Members of the query every list knows.
pub(super) const QUERY: [&str; 3] = ["limit", "cursor", "q"];

/// A page of `items`, each with the key it is sorted by. A cursor names the last key that was shown, so an item
/// that comes or goes between two pages shifts nothing.
///
/// # Errors
/// 422 when limit or cursor cannot be read.
pub(super) fn page(
    call: &Call,
    items: impl IntoIterator<Item = (String, Value)>,
) -> Result<Reply, ApiError> {
    let mut page = cut(call, items)?;
    let data = std::mem::take(&mut page.items);
    Ok(page.reply(data))
}

/// A page before its items are looked at any closer: what an item costs is spent on those that are shown.
pub(super) struct Page<T> {
    /// What is shown.
    pub items: Vec<T>,
    next: Option<String>,
    total: usize,
}

impl<T> Page<T> {
    /// The page with its items as callers see them.
    pub(super) fn reply(self, data: Vec<Value>) -> Reply {
        Reply::ok(json!({"data": data, "next": self.next, "total": self.total}))
    }
}

/// The page of `items`, each with the key it is sorted by, that the query asks for.
///
/// # Errors
/// As [`page`].
pub(super) fn cut<T>(
    call: &Call,
    items: impl IntoIterator<Item = (String, T)>,
) -> Result<Page<T>, ApiError> {
    let limit = limit(call)?;
    let after = call.query("cursor").map(read_cursor).transpose()?;
    let items: Vec<(String, T)> = items.into_iter().collect();
    let total = items.len();
    let start = match &after {
        None => 0,
        // The key itself may be gone: go on behind where it stood.
        Some(key) => match items.iter().position(|(own, _)| own == key) {
            Some(at) => at + 1,
            None => items.iter().position(|(own, _)| own > key).unwrap_or(total),
        },
    };
    let shown: Vec<(String, T)> = items.into_iter().skip(start).take(limit).collect();
    let next = match shown.last() {
        Some((key, _)) if start + shown.len() < total => Some(URL_SAFE_NO_PAD.encode(key)),
        _ => None,
    };
    let items = shown.into_iter().map(|(_, item)| item).collect();
    Ok(Page { items, next, total })
}

/// Where a page of a stored list begins and how long it is. The store reads one row more than `limit`, which tells
/// whether another page follows.
pub(super) struct Cut {
    /// Rows of the page.
    pub limit: usize,
    /// Key of the last row that was shown.
    after: Option<String>,
}

impl Cut {
    /// As the query says.
    ///
    /// # Errors
    /// 422 when limit or cursor cannot be read.
    pub(super) fn of(call: &Call) -> Result<Self, ApiError> {
        let after = call.query("cursor").map(read_cursor).transpose()?;
        Ok(Self { limit: limit(call)?, after })
    }

    /// The key, where keys are numbers.
    ///
    /// # Errors
    /// 422 when it is none.
    pub(super) fn number(&self) -> Result<Option<i64>, ApiError> {
        self.after.as_deref().map(|key| key.parse().map_err(|_no_number| bad_cursor())).transpose()
    }

    /// The key, where it is a time and an id.
    ///
    /// # Errors
    /// 422 when it is none.
    pub(super) fn moment(&self) -> Result<Option<(i64, String)>, ApiError> {
        let read = |key: &str| {
            let (at, id) = key.split_once(' ')?;
            Some((at.parse().ok()?, id.to_owned()))
        };
        self.after.as_deref().map(|key| read(key).ok_or_else(bad_cursor)).transpose()
    }
}

/// A page of rows that the store has cut, each with its key.
pub(super) fn keyset(cut: &Cut, rows: impl IntoIterator<Item = (String, Value)>) -> Reply {
    let mut data = Vec::new();
    let mut last = None;
    let mut next = None;
    for (key, value) in rows {
        if data.len() == cut.limit {
            next = last.take().map(|key: String| URL_SAFE_NO_PAD.encode(key));
            break;
        }
        data.push(value);
        last = Some(key);
    }
    Reply::ok(json!({"data": data, "next": next}))
}

fn limit(call: &Call) -> Result<usize, ApiError> {
    let Some(text) = call.query("limit") else { return Ok(USUAL) };
    let number = text.parse().ok().filter(|n| (1..=MOST).contains(n));
    number.ok_or_else(|| ApiError::invalid("limit", format!("must be a number from 1 to {MOST}")))
}

fn bad_cursor() -> ApiError {
    ApiError::invalid("cursor", "is none of this list; begin without one")
}

fn read_cursor(text: &str) -> Result<String, ApiError> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok();
    let key = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    key.ok_or_else(bad_cursor)
}

/// True when the search text of the query stands in one of `texts`, without regard to case.
pub(super) fn found(call: &Call, texts: &[&str]) -> bool {
    let Some(wanted) = call.query("q") else { return true };
    let wanted = wanted.to_lowercase();
    texts.iter().any(|text| text.to_lowercase().contains(&wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(query: &[(&str, &str)]) -> Call {
        let query = query.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Call { query, ..Call::default() }
    }

    fn items(names: &[&str]) -> Vec<(String, Value)> {
        names.iter().map(|name| ((*name).to_owned(), Value::from(*name))).collect()
    }

    fn body(reply: Reply) -> Value {
        reply.into_json().unwrap()
    }

    #[test]
    fn pages_follow_each_other_without_gap_or_repetition() {
        let first = body(page(&call(&[("limit", "2")]), items(&["a", "b", "c"])).unwrap());
        assert_eq!((&first["data"], &first["total"]), (&json!(["a", "b"]), &json!(3)));
        let cursor = first["next"].as_str().unwrap().to_owned();
        let rest = call(&[("limit", "2"), ("cursor", &cursor)]);
        let second = body(page(&rest, items(&["a", "b", "c"])).unwrap());
        assert_eq!((&second["data"], &second["next"]), (&json!(["c"]), &Value::Null));
        // What the cursor named is gone.
        let second = body(page(&rest, items(&["a", "c"])).unwrap());
        assert_eq!(second["data"], json!(["c"]));
    }

    #[test]
    fn bad_limits_and_cursors_are_refused() {
        for query in [("limit", "0"), ("limit", "501"), ("limit", "x"), ("cursor", "???")] {
            assert_eq!(page(&call(&[query]), items(&[])).unwrap_err().status, 422, "{query:?}");
        }
    }
}
