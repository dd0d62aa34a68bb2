//! `ninerouter budget …`: spending limits.

use serde_json::{Map, Value, json};

use super::Session;
use super::account::short_id;
use crate::cli::args::{BudgetCommand, BudgetSetArgs};
use crate::cli::client::{Access, Client, Failed, What, escape, pick};
use crate::cli::fields::Fields;
use crate::cli::input;
use crate::cli::output::{Align, Cell, Table, Tone, count, money, relative};

const BUDGET: What = What { noun: "budget", listing: "ninerouter budget list" };

/// Runs one of them.
///
/// # Errors
/// Why it did not do its work.
pub fn run(session: &Session, command: BudgetCommand) -> Result<(), Failed> {
    let access = if matches!(command, BudgetCommand::List) { Access::Read } else { Access::Write };
    session.with(access, |client| match &command {
        BudgetCommand::List => list(session, client),
        BudgetCommand::Set(args) => set(session, client, args),
        BudgetCommand::Rm(args) => remove(session, client, &args.budget),
    })
}

fn list(session: &Session, client: &Client) -> Result<(), Failed> {
    let all = client.list("/api/budgets")?;
    session.out.result(&all, || {
        let budgets = all.list("/data");
        if budgets.is_empty() {
            return "There are no budgets. Set one with: ninerouter budget set all --window month --usd 20\n".to_owned();
        }
        let columns = [
            ("BUDGET", Align::Left),
            ("SPENT", Align::Right),
            ("RESERVED", Align::Right),
            ("LIMIT", Align::Right),
            ("RESETS", Align::Left),
            ("AT LIMIT", Align::Left),
            ("ID", Align::Left),
        ];
        let mut table = Table::new(&columns, session.out.has_colour());
        let now = client.clock().now_ms();
        let ids: Vec<&str> = budgets.iter().map(|budget| budget.text("/id")).collect();
        let names = Names::read(client);
        for budget in budgets {
            let reserved = budget.int("/reserved_umicro").filter(|n| *n > 0);
            let action = if budget.pointer("/enabled").and_then(Value::as_bool) == Some(false) {
                Cell::new("off", Tone::Dim)
            } else {
                budget.text("/action").into()
            };
            table.row([
                names.budget(budget).into(),
                Cell::new(spent(budget), tone(budget)),
                reserved.map(money).unwrap_or_default().into(),
                limit(budget).into(),
                budget.int("/resets_at").map(|at| relative(at, now)).unwrap_or_default().into(),
                action,
                Cell::new(short_id(budget.text("/id"), &ids), Tone::Dim),
            ]);
        }
        table.to_string()
    });
    Ok(())
}

/// Names of what budgets may limit, for reading and for finding them.
struct Names {
    accounts: Value,
    keys: Value,
}

impl Names {
    /// Without names the ids have to do.
    fn read(client: &Client) -> Self {
        let list = |path| client.list(path).unwrap_or_default();
        Self { accounts: list("/api/accounts"), keys: list("/api/keys") }
    }

    /// `provider:glm/month`, as it is typed.
    fn budget(&self, budget: &Value) -> String {
        let id = budget.text("/scope_id");
        let by_id = |all: &Value| all.list("/data").iter().find(|x| x.text("/id") == id).cloned();
        let scope = match budget.text("/scope") {
            "all" => "all".to_owned(),
            "account" => by_id(&self.accounts).map_or_else(
                || format!("account:{id}"),
                |a| format!("account:{}", crate::cli::client::account_name(&a)),
            ),
            "api_key" => by_id(&self.keys)
                .map_or_else(|| format!("key:{id}"), |key| format!("key:{}", key.text("/name"))),
            scope => format!("{scope}:{id}"),
        };
        format!("{scope}/{}", budget.text("/window"))
    }
}

/// What is counted, in the units that are limited.
fn amounts(budget: &Value, money_at: &str, tokens_at: &str, requests_at: &str) -> String {
    let mut parts = Vec::new();
    if budget.int("/limit_umicro").is_some() {
        parts.push(money(budget.int(money_at).unwrap_or_default()));
    }
    if budget.int("/limit_tokens").is_some() {
        parts.push(format!("{} tokens", count(budget.int(tokens_at).unwrap_or_default())));
    }
    if budget.int("/limit_requests").is_some() {
        parts.push(format!("{} requests", count(budget.int(requests_at).unwrap_or_default())));
    }
    parts.join(", ")
}

fn spent(budget: &Value) -> String {
    amounts(budget, "/spent/umicro", "/spent/tokens", "/spent/requests")
}

fn limit(budget: &Value) -> String {
    amounts(budget, "/limit_umicro", "/limit_tokens", "/limit_requests")
}

fn tone(budget: &Value) -> Tone {
    let pairs = [
        ("/spent/umicro", "/limit_umicro"),
        ("/spent/tokens", "/limit_tokens"),
        ("/spent/requests", "/limit_requests"),
    ];
    let reached = |share: i64| {
        pairs.iter().any(|(spent, limit)| {
            budget.int(limit).is_some_and(|limit| {
                i128::from(budget.int(spent).unwrap_or_default()) * 100
                    >= i128::from(limit) * i128::from(share)
            })
        })
    };
    match (reached(100), reached(80)) {
        (true, _) => Tone::Bad,
        (false, true) => Tone::Warn,
        (false, false) => Tone::Plain,
    }
}

/// Scope and id in the API's words.
fn scope(client: &Client, given: &str) -> Result<(&'static str, String), Failed> {
    let (kind, name) = given.split_once(':').unwrap_or((given, ""));
    let id = |object: Value| object.text("/id").to_owned();
    Ok(match (kind, name) {
        ("all", "") => ("all", String::new()),
        ("provider", name) if !name.is_empty() => {
            ("provider", id(super::provider::find(client, name)?))
        }
        ("account", name) if !name.is_empty() => ("account", id(client.account(name)?)),
        ("key", name) if !name.is_empty() => ("api_key", id(client.key(name)?)),
        ("combo", name) if !name.is_empty() => ("combo", id(client.combo(name)?)),
        _ => {
            return Err(Failed::Usage(format!(
                "`{given}` is no scope\n  Use `all`, `provider:ID`, `account:ACCOUNT`, `key:KEY` or `combo:NAME`."
            )));
        }
    })
}

fn set(session: &Session, client: &Client, args: &BudgetSetArgs) -> Result<(), Failed> {
    let (scope, scope_id) = scope(client, &args.scope)?;
    let mut body = Map::new();
    body.insert("limit_umicro".to_owned(), json!(args.usd.map(|usd| usd.0)));
    body.insert("limit_tokens".to_owned(), json!(args.tokens));
    body.insert("limit_requests".to_owned(), json!(args.requests));
    body.insert("action".to_owned(), args.action.as_str().into());
    if let Some(tz) = &args.tz {
        body.insert("tz".to_owned(), tz.as_str().into());
    }
    let all = client.list("/api/budgets")?;
    let same = |budget: &&Value| {
        budget.text("/scope") == scope
            && budget.text("/scope_id") == scope_id
            && budget.text("/window") == args.window
    };
    let budget = match all.list("/data").iter().find(same) {
        Some(known) => {
            client.patch(&format!("/api/budgets/{}", escape(known.text("/id"))), &body.into())?
        }
        None => {
            body.retain(|_, value| !value.is_null());
            body.insert("scope".to_owned(), scope.into());
            body.insert("scope_id".to_owned(), scope_id.into());
            body.insert("window".to_owned(), args.window.as_str().into());
            client.post("/api/budgets", &body.into())?
        }
    };
    session.out.done(&budget, || {
        format!(
            "Budget {}/{}: {} of {} spent.\n",
            args.scope,
            args.window,
            spent(&budget),
            limit(&budget)
        )
    });
    Ok(())
}

fn remove(session: &Session, client: &Client, wanted: &str) -> Result<(), Failed> {
    let all = client.list("/api/budgets")?;
    let names = Names::read(client);
    let budget = pick(all.list("/data"), wanted, BUDGET, |budget| vec![names.budget(budget)])?;
    let name = names.budget(budget);
    input::confirm(&format!("Remove the budget {name}?"), session.yes)?;
    client.delete(&format!("/api/budgets/{}", escape(budget.text("/id"))), None)?;
    session.out.done(budget, || format!("Budget {name} is removed.\n"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_told_in_the_units_it_limits() {
        let budget = json!({"scope": "api_key", "scope_id": "k1", "window": "month", "limit_umicro": 5_000_000,
            "limit_requests": 100, "spent": {"umicro": 4_200_000, "tokens": 5, "requests": 3}});
        assert_eq!(spent(&budget), "$4.20, 3 requests");
        assert_eq!(limit(&budget), "$5.00, 100 requests");
        assert_eq!(tone(&budget), Tone::Warn);
        let names =
            Names { accounts: Value::Null, keys: json!({"data": [{"id": "k1", "name": "guest"}]}) };
        assert_eq!(names.budget(&budget), "key:guest/month");
        let full = json!({"limit_tokens": 5, "spent": {"tokens": 5}});
        assert_eq!(tone(&full), Tone::Bad);
    }
}
