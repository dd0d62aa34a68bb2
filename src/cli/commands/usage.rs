//! `ninerouter usage`: requests, tokens and money of the last days.

use serde_json::{Value, json};

use super::Session;
use crate::cli::args::UsageArgs;
use crate::cli::client::{Access, Client, Failed, query};
use crate::cli::fields::Fields;
use crate::cli::output::{Align, Cell, Table, Tone, count, money, percent, tokens};

const DAY_MS: i64 = 86_400_000;

/// Runs it.
///
/// # Errors
/// Why it did not do its work.
pub fn run(session: &Session, args: &UsageArgs) -> Result<(), Failed> {
    session.with(Access::Read, |client| usage(session, client, args))
}

fn usage(session: &Session, client: &Client, args: &UsageArgs) -> Result<(), Failed> {
    let now = client.clock().now_ms();
    let from = now.saturating_sub(i64::from(args.days).saturating_mul(DAY_MS));
    let (from, to) = (from.to_string(), now.to_string());
    let span = [("from", Some(from.as_str())), ("to", Some(to.as_str()))];
    let summary = client.get(&format!("/api/usage/summary{}", query(&span)))?;
    let by = [("by", Some(args.by.as_str())), span[0], span[1]];
    let table = client.get(&format!("/api/usage/table{}", query(&by)))?;
    let all = json!({"summary": summary, "table": table});
    session.out.result(&all, || describe(&summary, rows(&table), args, session.out.has_colour()));
    Ok(())
}

/// The rows, whether they stand in `data`, in `rows` or alone.
fn rows(table: &Value) -> &[Value] {
    ["/data", "/rows", ""]
        .into_iter()
        .map(|at| table.list(at))
        .find(|rows| !rows.is_empty())
        .unwrap_or_default()
}

fn describe(summary: &Value, rows: &[Value], args: &UsageArgs, colour: bool) -> String {
    let days = crate::cli::output::counted(i64::from(args.days), "day");
    let requests = summary.int("/requests").unwrap_or_default();
    if requests == 0 {
        return format!("No requests in the last {days}.\n");
    }
    let int = |at: &str| summary.int(at).unwrap_or_default();
    let failed = match int("/failed") {
        0 => String::new(),
        n => format!(" ({} failed)", count(n)),
    };
    let mut text = format!(
        "Last {days}: {}{failed}, {} tokens in, {} out\nPaid {}, list price {}, saved {}\n",
        crate::cli::output::counted(requests, "request"),
        tokens(int("/input_tokens")),
        tokens(int("/output_tokens")),
        money(int("/paid_umicro")),
        money(int("/list_umicro")),
        money(int("/saved_umicro")),
    );
    let unpriced = int("/unpriced_requests");
    if unpriced > 0 {
        text.push_str(&format!("{} have no price and count as $0.00\n", count(unpriced)));
    }
    let head = match args.by.as_str() {
        "provider" => "PROVIDER",
        "account" => "ACCOUNT",
        "key" => "KEY",
        "combo" => "COMBO",
        _ => "MODEL",
    };
    let columns = [
        (head, Align::Left),
        ("REQUESTS", Align::Right),
        ("FAILED", Align::Right),
        ("IN", Align::Right),
        ("OUT", Align::Right),
        ("PAID", Align::Right),
        ("LIST PRICE", Align::Right),
        ("SHARE", Align::Right),
    ];
    let mut table = Table::new(&columns, colour);
    for row in rows {
        let int = |at: &str| row.int(at).unwrap_or_default();
        let label = [row.text("/label"), row.text("/id")].into_iter().find(|l| !l.is_empty());
        let failed = int("/failed");
        let share = row.number("/share_percent").map(percent);
        table.row([
            label.unwrap_or("(none)").into(),
            count(int("/requests")).into(),
            Cell::new(if failed > 0 { count(failed) } else { String::new() }, Tone::Warn),
            tokens(int("/input_tokens")).into(),
            tokens(int("/output_tokens")).into(),
            money(int("/paid_umicro")).into(),
            money(int("/list_umicro")).into(),
            share.unwrap_or_default().into(),
        ]);
    }
    format!("{text}\n{table}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_told_in_sum_and_by_line() {
        let summary = json!({"requests": 1_200, "failed": 3, "input_tokens": 1_500_000, "output_tokens": 20_000,
            "paid_umicro": 0, "list_umicro": 4_500_000, "saved_umicro": 4_500_000, "unpriced_requests": 2});
        let table = json!({"data": [{"id": "glm/glm-4.7", "requests": 1_200, "failed": 3, "input_tokens": 1_500_000,
            "output_tokens": 20_000, "paid_umicro": 0, "list_umicro": 4_500_000}]});
        let args = UsageArgs { days: 7, by: "model".to_owned() };
        assert_eq!(
            describe(&summary, rows(&table), &args, false),
            "Last 7 days: 1,200 requests (3 failed), 1.50M tokens in, 20.0k out\n\
             Paid $0.00, list price $4.50, saved $4.50\n2 have no price and count as $0.00\n\n\
             MODEL        REQUESTS  FAILED     IN    OUT   PAID  LIST PRICE\n\
             glm/glm-4.7     1,200       3  1.50M  20.0k  $0.00       $4.50\n"
        );
        assert_eq!(
            describe(&json!({"requests": 0}), &[], &args, false),
            "No requests in the last 7 days.\n"
        );
    }
}
