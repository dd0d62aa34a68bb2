//! Many accounts at once: a list of keys, one action for several, their order.

use std::collections::BTreeSet;
use std::rc::Rc;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::api::Api;
use crate::api::accounts::actions;
use crate::api::accounts::change::{change, create, remove};
use crate::api::call::{Call, Reply};
use crate::api::error::ApiError;
use crate::api::jobs::{Kind, Outcome, Subject, distinct};
use crate::api::providers::provider_named;
use crate::id::AccountId;
use crate::secret::Secret;
use crate::store::{Stamp, accounts};

/// Accounts of one call at most.
const MOST: usize = 1_000;
/// The largest priority.
const LAST: usize = 999;

const ADD: Kind = Kind { name: "add_keys", parallel: 4 };
const TEST: Kind = Kind { name: "test_accounts", parallel: 4 };

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    provider: String,
    /// `name|key` or `key`, each.
    keys: Vec<String>,
    #[serde(default = "yes")]
    check: bool,
}

fn yes() -> bool {
    true
}

/// One account per line; each is tried by itself, and one that fails leaves the others alone.
pub(in crate::api) async fn bulk(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let wish: Keys = call.typed()?;
    let snapshot = api.shared().snapshot.load_full();
    let provider = provider_named(&snapshot, &wish.provider)
        .map_err(|why| ApiError::invalid("provider", why.message))?;
    let lines = lines(&wish.keys)?;
    let title = format!("Add {} keys to {}", lines.len(), provider.name);
    let (names, lines): (Vec<String>, Vec<Line>) =
        lines.into_iter().map(|line| (line.name(), line)).unzip();
    let pieces = distinct(names).into_iter().zip(lines).collect();
    let (provider, check, caller) = (provider.id.to_string(), wish.check, call.caller);
    // Two lists for one provider are two jobs.
    let subject = Subject { key: AccountId::new().to_string(), provider: Some(provider.clone()) };
    api.start_job(ADD, subject, title, pieces, move |api: Rc<Api>, line: Line| {
        let mut body = Map::new();
        body.insert("provider".to_owned(), provider.clone().into());
        body.insert("check".to_owned(), check.into());
        body.insert("api_key".to_owned(), line.key.expose().into());
        if let Some(label) = line.label {
            body.insert("label".to_owned(), label.into());
        }
        let body = Value::Object(body).to_string().into_bytes();
        let call = Call { body, caller: caller.clone(), ..Call::default() };
        async move {
            match create(&api, call).await {
                Ok(reply) => Ok(warning(reply)),
                Err(why) => Err(why.message),
            }
        }
    })
    .await
}

fn warning(reply: Reply) -> Option<String> {
    let body = reply.into_json()?;
    body.pointer("/check/warning").and_then(Value::as_str).map(str::to_owned)
}

#[derive(Debug)]
struct Line {
    label: Option<String>,
    key: Secret,
}

impl Line {
    /// For people: the label, else the end of the key.
    fn name(&self) -> String {
        if let Some(label) = &self.label {
            return label.clone();
        }
        let key = self.key.expose();
        let chars = key.chars().count();
        let end: String = key.chars().skip(chars.saturating_sub(4)).collect();
        if chars >= 12 { format!("…{end}") } else { "key".to_owned() }
    }
}

/// Blank lines are no keys; a key that stands there twice is one.
fn lines(texts: &[String]) -> Result<Vec<Line>, ApiError> {
    let mut lines: Vec<Line> = Vec::new();
    for text in texts.iter().map(|text| text.trim()).filter(|text| !text.is_empty()) {
        let (label, key) = match text.split_once('|') {
            Some((label, key)) => (Some(label.trim().to_owned()), key.trim()),
            None => (None, text),
        };
        let key = Secret::new(key.to_owned());
        if lines.iter().all(|line| line.key.expose() != key.expose()) {
            lines.push(Line { label: label.filter(|label| !label.is_empty()), key });
        }
    }
    match lines.len() {
        0 => Err(ApiError::invalid("keys", "holds no key; write one per line, or `name|key`")),
        n if n > MOST => Err(ApiError::invalid("keys", format!("holds more than {MOST} keys"))),
        _ => Ok(lines),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch {
    ids: Vec<String>,
    action: Action,
    #[serde(default)]
    set: Map<String, Value>,
    /// With `delete`: also where combos are pinned to the account.
    #[serde(default)]
    force: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    Enable,
    Disable,
    Test,
    Delete,
    Set,
}

/// The same for several accounts; what one of them refuses leaves the others alone.
pub(in crate::api) async fn batch(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let wish: Batch = call.typed()?;
    if wish.ids.is_empty() || wish.ids.len() > MOST {
        return Err(ApiError::invalid("ids", format!("name 1 to {MOST} accounts")));
    }
    if (wish.action == Action::Set) == wish.set.is_empty() {
        let why = "goes with the action `set`, and holds what is to be set";
        return Err(ApiError::invalid("set", why));
    }
    if let Some(name) = wish.set.keys().find(|name| !matches!(name.as_str(), "priority" | "proxy"))
    {
        let path = format!("set.{name}");
        return Err(ApiError::unknown_field(&path, "only `priority` and `proxy` are set for many"));
    }
    let mut ids = wish.ids;
    ids.sort();
    ids.dedup();
    if wish.action == Action::Test {
        return test(api, ids, &call).await;
    }
    let body = match wish.action {
        Action::Enable => json!({"enabled": true}),
        Action::Disable => json!({"enabled": false}),
        Action::Set => Value::Object(wish.set),
        Action::Delete | Action::Test => json!({"force": wish.force}),
    };
    let mut results = Vec::with_capacity(ids.len());
    for id in ids {
        let one = one(&id, &body, &call);
        let done = match wish.action {
            Action::Delete => remove(api, one).await,
            Action::Enable | Action::Disable | Action::Set | Action::Test => change(api, one).await,
        };
        results.push(match done {
            Ok(_) => json!({"id": id, "ok": true}),
            Err(why) => json!({"id": id, "ok": false, "code": why.code, "message": why.message}),
        });
    }
    let ok = results.iter().filter(|result| result["ok"] == true).count();
    Ok(Reply::ok(json!({"ok": ok, "failed": results.len() - ok, "results": results})))
}

/// A call for one of the accounts.
fn one(id: &str, body: &Value, call: &Call) -> Call {
    Call {
        params: [("id", id.to_owned())].into(),
        body: body.to_string().into_bytes(),
        caller: call.caller.clone(),
        ..Call::default()
    }
}

async fn test(api: &Api, ids: Vec<String>, call: &Call) -> Result<Reply, ApiError> {
    let rows = api.read(accounts::list).await?;
    let label = |id: &String| {
        let row = rows.iter().find(|row| row.config.id.to_string() == *id);
        row.map_or_else(
            || id.clone(),
            |row| format!("{}/{}", row.config.provider, row.config.label),
        )
    };
    let title = match ids.len() {
        1 => "Test 1 account".to_owned(),
        many => format!("Test {many} accounts"),
    };
    let mut providers: Vec<String> = rows
        .iter()
        .filter(|row| ids.contains(&row.config.id.to_string()))
        .map(|row| row.config.provider.to_string())
        .collect();
    providers.dedup();
    let provider = providers.pop().filter(|_| providers.is_empty());
    let subject = Subject { key: ids.join(" "), provider };
    let names = distinct(ids.iter().map(label).collect());
    let calls = ids.iter().map(|id| one(id, &json!({}), call));
    let pieces = names.into_iter().zip(calls).collect();
    api.start_job(TEST, subject, title, pieces, |api: Rc<Api>, call: Call| async move {
        tested(&api, call).await
    })
    .await
}

async fn tested(api: &Api, call: Call) -> Outcome {
    let reply = actions::test(api, call).await.map_err(|why| why.message)?;
    let told = reply.into_json().unwrap_or_default();
    let message = told.get("message").and_then(Value::as_str).map(str::to_owned);
    match told.get("ok").and_then(Value::as_bool) {
        Some(true) => Ok(message),
        Some(false) | None => Err(message.unwrap_or_else(|| "the test failed".to_owned())),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    provider: String,
    ids: Vec<String>,
}

/// The accounts of a provider in this order: priorities 1, 2, 3 … Those that are not named keep their place behind them.
pub(in crate::api) async fn reorder(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let mut body = call.object()?;
    let rev = call.rev(&mut body)?;
    let wish: Order = crate::api::call::typed(body)?;
    let snapshot = api.shared().snapshot.load_full();
    let provider = provider_named(&snapshot, &wish.provider)
        .map_err(|why| ApiError::invalid("provider", why.message))?
        .id
        .clone();
    let ids: Vec<AccountId> = wish
        .ids
        .iter()
        .enumerate()
        .map(|(at, text)| {
            let bad = |_no_id| ApiError::invalid(&format!("ids[{at}]"), "is no account's id");
            text.parse().map_err(bad)
        })
        .collect::<Result<_, _>>()?;
    if ids.iter().collect::<BTreeSet<_>>().len() < ids.len() {
        return Err(ApiError::invalid("ids", "names an account twice"));
    }
    let now = api.shared().clock.now_ms();
    let sealer = api.shared().store.sealer().clone();
    api.write(move |conn| {
        let rows = accounts::list(conn)?;
        let own: Vec<_> = rows.into_iter().filter(|row| row.config.provider == provider).collect();
        let newest = own.iter().map(|row| row.rev).max();
        if rev.is_some() && rev != newest {
            return Ok(Err(ApiError::conflict(newest.into())));
        }
        if let Some(at) = ids.iter().position(|id| own.iter().all(|row| row.config.id != *id)) {
            let path = format!("ids[{at}]");
            return Ok(Err(ApiError::invalid(&path, "is no account of this provider")));
        }
        let place = |id: AccountId| ids.iter().position(|named| *named == id);
        let mut order: Vec<_> = own.iter().collect();
        // Those that are not named keep their order among themselves: the sort is stable.
        order.sort_by_key(|row| place(row.config.id).unwrap_or(usize::MAX));
        for (at, row) in order.into_iter().enumerate() {
            let priority = u16::try_from((at + 1).min(LAST)).unwrap_or(u16::MAX);
            if row.config.priority == priority {
                continue;
            }
            if let Some(owner) = row.managed_by {
                return Ok(Err(managed_one(&row.config.label, owner.as_str())));
            }
            let mut config = row.config.clone();
            config.priority = priority;
            accounts::upsert(conn, &sealer, &config, None, Stamp::operator(now))?;
        }
        Ok(Ok(()))
    })
    .await?;
    api.reload().await?;
    let query = [("provider".to_owned(), wish.provider)].into();
    super::list(api, Call { query, caller: call.caller, ..Call::default() }).await
}

fn managed_one(label: &str, owner: &str) -> ApiError {
    let message =
        format!("`{label}` is kept by the {}; change its priority there", owner.replace('_', " "));
    ApiError::new(403, "managed_by_config_file", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_keys_with_or_without_a_name_and_no_key_comes_twice() {
        let texts =
            ["work| sk-a-1234567890 ", "", "sk-b-1234567890", "again|sk-b-1234567890", "|sk-c"];
        let read = lines(&texts.map(str::to_owned)).unwrap();
        let names: Vec<String> = read.iter().map(Line::name).collect();
        assert_eq!(names, ["work", "…7890", "key"]);
        assert!(!format!("{read:?}").contains("sk-"), "{read:?}");
        assert!(lines(&[" ".to_owned()]).is_err());
    }
}
