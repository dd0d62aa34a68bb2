//! `ninerouter account …`: what accounts there are, how they stand, and what can be done to them.

mod add;
mod show;

use serde_json::{Map, Value, json};

pub(super) use add::ways;
pub(super) use show::{short_id, state};

use super::{Session, sign_in};
use crate::cli::args::{
    AccountColumns, AccountCommand, AccountRemoveArgs, AccountSetArgs, ClearLocksArgs,
};
use crate::cli::client::{Access, Client, Failed, account_name, escape};
use crate::cli::fields::Fields;
use crate::cli::input;
use crate::cli::output::count;

/// Runs one of them.
///
/// # Errors
/// Why it did not do its work.
pub fn run(session: &Session, command: AccountCommand) -> Result<(), Failed> {
    let access = match &command {
        AccountCommand::List(_) | AccountCommand::Show(_) => Access::Read,
        _ => Access::Write,
    };
    session.with(access, |client| match &command {
        AccountCommand::Add(args) => add::add(session, client, args),
        AccountCommand::List(args) => show::list(session, client, args),
        AccountCommand::Show(args) => show::show(session, client, &args.account),
        AccountCommand::Set(args) => set(session, client, args),
        AccountCommand::SetKey(args) => set_key(session, client, &args.account),
        AccountCommand::Test(args) => test(session, client, &args.accounts),
        AccountCommand::Refresh(args) => each(session, client, &args.accounts, refresh),
        AccountCommand::Reconnect(args) => {
            let account = client.account(&args.account.account)?;
            sign_in::reconnect(session, client, &account, args.means)
        }
        AccountCommand::Enable(args) => {
            each(session, client, &args.accounts, |client, account| switch(client, account, true))
        }
        AccountCommand::Disable(args) => {
            each(session, client, &args.accounts, |client, account| switch(client, account, false))
        }
        AccountCommand::Remove(args) => remove(session, client, args),
        AccountCommand::ClearLocks(args) => clear_locks(session, client, args),
        AccountCommand::TryAgain(args) => {
            each(session, client, std::slice::from_ref(&args.account), |client, account| {
                client.post(&path(account, "/try-again"), &json!({}))
            })
        }
    })
}

fn path(account: &Value, action: &str) -> String {
    format!("/api/accounts/{}{action}", escape(account.text("/id")))
}

/// Does the same to each account and shows what became of it; the first failure ends it.
fn each(
    session: &Session,
    client: &Client,
    wanted: &[String],
    act: impl Fn(&Client, &Value) -> Result<Value, Failed>,
) -> Result<(), Failed> {
    let accounts = wanted.iter().map(|w| client.account(w)).collect::<Result<Vec<_>, _>>()?;
    let mut done = Vec::with_capacity(accounts.len());
    for account in &accounts {
        let changed = act(client, account)?;
        // Some actions answer with a result of their own: the account as it is now is what counts.
        let now = if changed.get("state").is_some() {
            changed
        } else {
            client.get(&path(account, ""))?
        };
        if !session.out.is_json() && !session.out.is_quiet() {
            crate::cli::output::print(&format!("{}: {}\n", account_name(&now), state(&now)));
        }
        done.push(now);
    }
    if session.out.is_json() {
        match done.as_slice() {
            [one] => session.out.json(one),
            several => session.out.json(&json!({ "data": several })),
        }
    }
    Ok(())
}

fn switch(client: &Client, account: &Value, on: bool) -> Result<Value, Failed> {
    client.patch(&path(account, ""), &json!({ "enabled": on }))
}

/// New tokens where there are any, then the quota.
fn refresh(client: &Client, account: &Value) -> Result<Value, Failed> {
    if account.flag("/secrets/refreshable") || account.text("/ownership") == "follow" {
        client.post(&path(account, "/refresh"), &json!({}))?;
    }
    match client.post(&path(account, "/quota/refresh"), &json!({})) {
        // No quota that could be asked for, or asked for just now: no failure.
        Err(Failed::Refused(refusal)) if matches!(refusal.status, 409 | 422 | 429 | 501) => {}
        other => drop(other?),
    }
    client.get(&path(account, ""))
}

fn test(session: &Session, client: &Client, wanted: &[String]) -> Result<(), Failed> {
    let accounts = wanted.iter().map(|w| client.account(w)).collect::<Result<Vec<_>, _>>()?;
    let mut results = Vec::with_capacity(accounts.len());
    for account in &accounts {
        let result = client.post(&path(account, "/test"), &json!({}))?;
        if !session.out.is_json() {
            crate::cli::output::print(&format!(
                "{}: {}\n",
                account_name(account),
                verdict(&result)
            ));
        }
        results.push(result);
    }
    let all_well = results.iter().all(|result| result.flag("/ok"));
    if session.out.is_json() {
        match results.as_slice() {
            [one] => session.out.json(one),
            several => session.out.json(&json!({ "data": several })),
        }
    }
    if all_well { Ok(()) } else { Err(Failed::Said(crate::cli::client::NO)) }
}

/// A test's result in words.
#[must_use]
pub fn verdict(result: &Value) -> String {
    let took = result.int("/ms").map(|ms| format!(" ({} ms)", count(ms))).unwrap_or_default();
    if result.flag("/ok") {
        return format!("works{took}");
    }
    let class = result.text("/class").replace('_', " ");
    match (result.text("/message"), class.as_str()) {
        ("", "") => format!("does not work{took}"),
        ("", class) => format!("does not work: {class}{took}"),
        (message, _) => format!("does not work: {message}{took}"),
    }
}

fn set(session: &Session, client: &Client, args: &AccountSetArgs) -> Result<(), Failed> {
    let mut body = columns(client, &args.columns)?;
    if let Some(label) = &args.label {
        body.insert("label".into(), label.as_str().into());
    }
    if let Some(on) = args.refresh_enabled {
        body.insert("refresh_enabled".into(), on.into());
    }
    if body.is_empty() {
        return Err(Failed::Usage(
            "nothing to change was given\n  `ninerouter account set --help` lists what can be set."
                .to_owned(),
        ));
    }
    let account = client.account(&args.account.account)?;
    let changed = client.patch(&path(&account, ""), &body.into())?;
    session.out.done(&changed, || format!("Account {} is changed.\n", account_name(&changed)));
    Ok(())
}

fn set_key(session: &Session, client: &Client, wanted: &str) -> Result<(), Failed> {
    let account = client.account(wanted)?;
    let key = input::secret(&format!("New key of {} (not shown): ", account_name(&account)), true)?;
    let changed = client.post(&path(&account, "/secret"), &json!({"api_key": key.expose()}))?;
    session.out.done(&changed, || format!("Account {} has its new key.\n", account_name(&account)));
    Ok(())
}

fn remove(session: &Session, client: &Client, args: &AccountRemoveArgs) -> Result<(), Failed> {
    let account = client.account(&args.account.account)?;
    let name = account_name(&account);
    input::confirm(&format!("Remove {name} and its credential?"), session.yes)?;
    let body = args.force.then(|| json!({"force": true}));
    match client.delete(&path(&account, ""), body.as_ref()) {
        Err(Failed::Refused(refusal)) if refusal.code() == "in_use" && !session.out.is_json() => {
            return Err(Failed::Usage(format!("{refusal}\n  --force removes it all the same.")));
        }
        other => drop(other?),
    }
    session.out.done(&account, || format!("Account {name} is removed.\n"));
    Ok(())
}

fn clear_locks(session: &Session, client: &Client, args: &ClearLocksArgs) -> Result<(), Failed> {
    let account = client.account(&args.account.account)?;
    let body = args.scope.as_ref().map_or_else(|| json!({}), |scope| json!({ "scope": scope }));
    let now = client.post(&path(&account, "/clear-locks"), &body)?;
    session.out.done(&now, || format!("{}: {}\n", account_name(&account), state(&now)));
    Ok(())
}

/// The chosen columns as members of a request.
pub(super) fn columns(
    client: &Client,
    given: &AccountColumns,
) -> Result<Map<String, Value>, Failed> {
    let mut body = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    };
    let list = |list: &[String]| (!list.is_empty()).then(|| json!(list));
    put("priority", given.priority.map(Value::from));
    put("weight", given.weight.map(Value::from));
    put("max_concurrent", given.max_concurrent.map(Value::from));
    put("tags", list(&given.tags));
    put("tier", given.tier.as_deref().map(Value::from));
    put("allowed_models", list(&given.allow_models));
    put("excluded_models", list(&given.exclude_models));
    put("min_remaining_percent", given.min_remaining.map(Value::from));
    put("allow_overage", given.allow_overage.map(Value::from));
    put("notes", given.notes.as_deref().map(Value::from));
    if let Some(choice) = &given.proxy {
        put("proxy", Some(super::proxy::choice(client, choice)?));
    }
    Ok(body)
}
