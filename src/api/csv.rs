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
    let text = if is_formula(text) { format!("'{text}") } else { text.clone() };
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

/// Rows of cells, with the lines they begin at, from 1. What [`cell`] wrote is read as it was; blank lines are no rows.
///
/// # Errors
/// The line at which a quoted cell begins that has no end, or goes on behind its end.
pub(super) fn parse(text: &str) -> Result<Vec<(usize, Vec<String>)>, usize> {
    let mut rows = Vec::new();
    let (mut line, mut begun) = (1, 1);
    let (mut row, mut cell) = (Vec::new(), String::new());
    let mut chars = text.strip_prefix('\u{feff}').unwrap_or(text).chars().peekable();
    while let Some(next) = chars.next() {
        match next {
            '"' if cell.is_empty() => {
                let opened = line;
                loop {
                    match chars.next() {
                        Some('"') if chars.next_if_eq(&'"').is_some() => cell.push('"'),
                        Some('"') => break,
                        Some(other) => {
                            line += usize::from(other == '\n');
                            cell.push(other);
                        }
                        None => return Err(opened),
                    }
                }
                if !matches!(chars.peek(), None | Some(',' | '\r' | '\n')) {
                    return Err(opened);
                }
            }
            ',' => row.push(plain(std::mem::take(&mut cell))),
            '\n' => {
                end(&mut rows, begun, &mut row, &mut cell);
                line += 1;
                begun = line;
            }
            '\r' if chars.peek() == Some(&'\n') => {}
            other => cell.push(other),
        }
    }
    end(&mut rows, begun, &mut row, &mut cell);
    Ok(rows)
}

fn end(
    rows: &mut Vec<(usize, Vec<String>)>,
    line: usize,
    row: &mut Vec<String>,
    cell: &mut String,
) {
    if row.is_empty() && cell.trim().is_empty() {
        cell.clear();
        return;
    }
    row.push(plain(std::mem::take(cell)));
    rows.push((line, std::mem::take(row)));
}

/// Without the apostrophe that keeps a spreadsheet from calculating.
fn plain(cell: String) -> String {
    match cell.strip_prefix('\'') {
        Some(text) if is_formula(text) => text.to_owned(),
        Some(_) | None => cell,
    }
}

fn is_formula(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@', '\t', '\r'])
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

    #[test]
    fn what_was_written_is_read_again() {
        let cells = ["plain", "a,b", "say \"hi\"\nthere", "=1+2", "@cf/x", "", "'quoted'"];
        let row: Vec<String> = cells.iter().map(|text| cell(&json!(text))).collect();
        let text = format!("\u{feff}a,b\r\n\r\n{}\r\nlast,", row.join(","));
        let rows = parse(&text).unwrap();
        assert_eq!(rows[0], (1, vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(rows[1], (3, cells.map(str::to_owned).to_vec()));
        assert_eq!(rows[2], (5, vec!["last".to_owned(), String::new()]), "the line break counts");
        assert_eq!(parse(""), Ok(Vec::new()));
        assert_eq!(parse("a\n\"open"), Err(2));
        assert_eq!(parse("\"a\"b"), Err(1));
    }
}
