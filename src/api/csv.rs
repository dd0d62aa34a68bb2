//! Tables to take away: CSV (RFC 4180) that no spreadsheet takes for a formula.

use serde_json::Value;

use crate::api::call::{Call, Reply};
use crate::api::error::ApiError;

/// Members of a row of usage, in the order of the columns.
pub(super) const COLUMNS: [&str; 15] = [
    "id",
    "label",
    "requests",
    "ok",
    "failed",
    "input_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "paid_umicro",
    "list_umicro",
    "saved_umicro",
    "unpriced_requests",
    "last_used_at",
];

/// Whether `format` of the query asks for CSV.
///
/// # Errors
/// 422 for another word than `json` or `csv`.
pub(super) fn is_wanted(call: &Call) -> Result<bool, ApiError> {
    match call.query("format") {
        None | Some("json") => Ok(false),
        Some("csv") => Ok(true),
        Some(_) => Err(ApiError::invalid("format", "expected json or csv")),
    }
}

/// The rows as a file.
pub(super) fn reply(name: &str, columns: &[&str], rows: &[Value]) -> Reply {
    let mut text = columns.join(",");
    text.push_str("\r\n");
    for row in rows {
        let cells: Vec<String> =
            columns.iter().map(|name| cell(row.get(*name).unwrap_or(&Value::Null))).collect();
        text.push_str(&cells.join(","));
        text.push_str("\r\n");
    }
    Reply::file("text/csv; charset=utf-8", name.to_owned(), text.into())
}

/// One cell. A text that a spreadsheet would calculate begins with an apostrophe.
fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => return String::new(),
        Value::String(text) => text,
        other => return other.to_string(),
    };
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if is_formula { format!("'{text}") } else { text.clone() };
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cells_are_quoted_and_calculate_nothing() {
        for (value, want) in [
            (json!("plain"), "plain"),
            (json!("a,b"), "\"a,b\""),
            (json!("say \"hi\"\n"), "\"say \"\"hi\"\"\n\""),
            (json!("=HYPERLINK(1,2)"), "\"'=HYPERLINK(1,2)\""),
            (json!("@x"), "'@x"),
            (json!(-5), "-5"),
            (json!(null), ""),
        ] {
            assert_eq!(cell(&value), want);
        }
    }
}
