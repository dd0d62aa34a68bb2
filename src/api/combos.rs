//! Combos: named fallback chains. Entries are always sent whole.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value, json};

use crate::actors::snapshot::Snapshot;
use crate::api::call::{Call, Reply};
use crate::api::error::ApiError;
use crate::api::explain::{Standing, Standings};
use crate::api::keys::no_more;
use crate::api::merge::{members, merged};
use crate::api::page::{self, found};
use crate::api::{Api, managed};
use crate::config::apply::{Meaning, Names};
use crate::config::file;
use crate::id::{ComboId, EntryId};
use crate::routing::account::Tier;
use crate::routing::combo::{Combo, Entry};
use crate::store::combos::{self, ComboRow};
use crate::store::usage::{self, Dimension, Filter, Totals};
use crate::store::{Stamp, accounts};

const WHAT: &str = "combo";
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// Figures of the last day, by combo id.
type Days = HashMap<String, Totals>;

/// Strategies the specification names and this version does not have.
const LATER: [&str; 8] = [
    "random",
    "shuffle-deck",
    "least-used",
    "p2c",
    "cheapest",
    "fastest",
    "largest-context",
    "quota-aware",
];

pub(super) async fn list(api: &Api, call: Call) -> Result<Reply, ApiError> {
    call.only_query(&page::QUERY)?;
    let rows = api.read(combos::list).await?;
    let fits = rows.iter().filter(|row| {
        let description = row.description.as_deref().unwrap_or_default();
        found(&call, &[&row.combo.name, description])
    });
    let page = page::cut(&call, fits.map(|row| (row.combo.name.to_string(), row)))?;
    let standings = api.standings(page.items.iter().map(|row| &row.combo)).await?;
    let day = api.combo_days(None).await?;
    let data = page.items.iter().map(|row| object(row, &standings, &day)).collect();
    Ok(page.reply(data))
}

pub(super) async fn show(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let id: ComboId = call.id(WHAT)?;
    Ok(Reply::ok(api.combo(id).await?))
}

pub(super) async fn create(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let dry_run = call.flag("dry_run")?;
    let given = merged(Map::new(), call.object()?);
    let (row, warnings) = api.checked(given, None).await?;
    if dry_run {
        return Ok(Reply::ok(plan("add", &row, &warnings)));
    }
    let id = row.combo.id;
    let now = api.shared().clock.now_ms();
    api.write(move |conn| combos::upsert(conn, &row, Stamp::operator(now)).map(Ok)).await?;
    api.reload().await?;
    Ok(Reply::created(with_warnings(api.combo(id).await?, &warnings)))
}

pub(super) async fn change(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let id: ComboId = call.id(WHAT)?;
    let dry_run = call.flag("dry_run")?;
    let mut patch = call.object()?;
    let rev = call.rev(&mut patch)?;
    let old = api.combo_row(id).await?;
    managed(WHAT, old.managed_by)?;
    let current = api.combo(id).await?;
    if rev.is_some_and(|rev| rev != old.rev) {
        return Err(ApiError::conflict(current));
    }
    let given = merged(input_of(&old), patch);
    let (new, warnings) = api.checked(given, Some(&old)).await?;
    if dry_run {
        return Ok(Reply::ok(plan("change", &new, &warnings)));
    }
    let seen = old.rev;
    let now = api.shared().clock.now_ms();
    api.write(move |conn| {
        match combos::find(conn, id)? {
            None => return Ok(Err(ApiError::not_found(WHAT, &id.to_string()))),
            Some(stored) if stored.rev != seen => return Ok(Err(ApiError::conflict(current))),
            Some(_) => {}
        }
        combos::upsert(conn, &new, Stamp::operator(now)).map(Ok)
    })
    .await?;
    api.reload().await?;
    Ok(Reply::ok(with_warnings(api.combo(id).await?, &warnings)))
}

pub(super) async fn remove(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let id: ComboId = call.id(WHAT)?;
    let mut body = call.object()?;
    let rev = call.rev(&mut body)?;
    let force = match body.remove("force") {
        None | Some(Value::Null) => false,
        Some(value) => {
            value.as_bool().ok_or_else(|| ApiError::invalid("force", "must be true or false"))?
        }
    };
    no_more(&body)?;
    let row = api.combo_row(id).await?;
    managed(WHAT, row.managed_by)?;
    if rev.is_some_and(|rev| rev != row.rev) {
        return Err(ApiError::conflict(api.combo(id).await?));
    }
    let name = row.combo.name.to_string();
    api.write(move |conn| {
        let users = users(&combos::list(conn)?, &name);
        if !users.is_empty() && !force {
            let message = format!(
                "other combos contain `{name}`; take it out of them first, or send `force`: they then skip it"
            );
            return Ok(Err(ApiError::in_use(message, users)));
        }
        combos::delete(conn, id).map(Ok)
    })
    .await?;
    api.reload().await?;
    Ok(Reply::gone())
}

/// Combos with an entry that names this one.
fn users(all: &[ComboRow], name: &str) -> Vec<Value> {
    let names =
        |entry: &Entry| entry.target.strip_prefix("combo:").unwrap_or(&entry.target) == name;
    all.iter()
        .filter(|row| *row.combo.name != *name && row.combo.entries.iter().any(names))
        .map(|row| json!({"kind": WHAT, "id": row.combo.id.to_string(), "name": &*row.combo.name}))
        .collect()
}

impl Api {
    async fn combo_row(&self, id: ComboId) -> Result<ComboRow, ApiError> {
        let row = self.read(move |conn| combos::find(conn, id)).await?;
        row.ok_or_else(|| ApiError::not_found(WHAT, &id.to_string()))
    }

    async fn combo(&self, id: ComboId) -> Result<Value, ApiError> {
        let row = self.combo_row(id).await?;
        let standings = self.standings([&row.combo]).await?;
        let day = self.combo_days(Some(id)).await?;
        Ok(object(&row, &standings, &day))
    }

    /// Figures of the last day, by combo.
    async fn combo_days(&self, only: Option<ComboId>) -> Result<Days, ApiError> {
        let to = self.shared().clock.now_ms();
        let combo_id = only.map(|id| id.to_string());
        let filter = Filter { from: to - DAY_MS, to, combo_id, ..Filter::default() };
        let day = self.read(move |conn| usage::by(conn, &filter, Dimension::Combo)).await?;
        Ok(day.into_iter().map(|((id, _), totals)| (id, totals)).collect())
    }

    /// A combo as it is to be stored, and what works but not as hoped for.
    async fn checked(
        &self,
        mut given: Map<String, Value>,
        old: Option<&ComboRow>,
    ) -> Result<(ComboRow, Vec<String>), ApiError> {
        for member in ["strategy", "tier_inner"] {
            let word = given.get(member).and_then(Value::as_str).unwrap_or_default();
            if LATER.contains(&word) {
                let message = format!(
                    "strategy `{word}` is not in this version; use fallback, round-robin, weighted or tier"
                );
                return Err(ApiError::new(501, "not_implemented", message)
                    .field(member, "not in this version"));
            }
        }
        let ids = take_entry_ids(&mut given)?;
        let spec = file::combo(&Value::Object(given))?;
        let mut row = spec.row;
        let snapshot = self.shared().snapshot.load_full();
        if spec.default_strategy {
            row.combo.strategy = snapshot.settings.combo_strategy_default;
        }
        if let Some(old) = old {
            row.combo.id = old.combo.id;
        }
        keep_entry_ids(&mut row.combo.entries, &ids, old);
        let pins: Vec<_> = row.combo.entries.iter().map(|entry| entry.account_id).collect();
        let known = self
            .read(move |conn| {
                pins.into_iter()
                    .map(|pin| {
                        Ok(match pin {
                            None => true,
                            Some(id) => accounts::find(conn, id)?.is_some(),
                        })
                    })
                    .collect::<Result<Vec<bool>, _>>()
            })
            .await?;
        if let Some(index) = known.iter().position(|known| !known) {
            let path = format!("entries[{index}].account_id");
            return Err(ApiError::invalid(&path, "there is no account with this id"));
        }
        let rows = self.read(combos::list).await?;
        let warnings = check_targets(&snapshot, &rows, &row.combo)?;
        Ok((row, warnings))
    }
}

/// What every entry means, and that the combo does not contain itself.
fn check_targets(
    snapshot: &Snapshot,
    stored: &[ComboRow],
    combo: &Combo,
) -> Result<Vec<String>, ApiError> {
    let targets = |combo: &Combo| {
        let entries = combo.entries.iter().filter(|entry| entry.enabled);
        (combo.name.to_string(), entries.map(|entry| entry.target.clone()).collect())
    };
    let others = stored.iter().map(|row| &row.combo).filter(|other| other.id != combo.id);
    let combos: BTreeMap<String, Vec<String>> = others.chain([combo]).map(targets).collect();
    let names = names(snapshot, combos);
    let mut warnings = Vec::new();
    for (index, entry) in combo.entries.iter().enumerate() {
        match names.meaning(&entry.target) {
            Ok(Meaning::Combo(_) | Meaning::Model) => {}
            Ok(Meaning::Unlisted { provider, near }) => {
                let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                warnings.push(format!(
                    "`{provider}` does not list the model of `{}`{near}",
                    entry.target
                ));
            }
            Err(why) => return Err(ApiError::invalid(&format!("entries[{index}].target"), why)),
        }
    }
    if let Err(why) = names.check_nesting(&combo.name) {
        return Err(ApiError::invalid("entries", format!("combo `{}` {why}", combo.name)));
    }
    if names.aliases.contains_key(&*combo.name) {
        warnings.push(format!("an alias is also called `{}`; the combo wins", combo.name));
    } else if snapshot.catalog.infer(&combo.name).next().is_some() {
        warnings.push(format!("`{}` is also the name of a model; the combo wins", combo.name));
    }
    Ok(warnings)
}

/// All names as they are now, with these combos.
pub(super) fn names(snapshot: &Snapshot, combos: BTreeMap<String, Vec<String>>) -> Names<'_> {
    Names {
        catalog: &snapshot.catalog,
        combos,
        aliases: snapshot.names.aliases.iter().cloned().collect(),
        takes_unknown: snapshot.settings.unknown_model_provider.is_some(),
    }
}

/// Entries may carry the `id` they were read with: it is what conversations are bound to.
fn take_entry_ids(given: &mut Map<String, Value>) -> Result<Vec<Option<EntryId>>, ApiError> {
    let Some(Value::Array(entries)) = given.get_mut("entries") else { return Ok(Vec::new()) };
    let mut ids = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter_mut().enumerate() {
        let id = entry.as_object_mut().and_then(|entry| entry.remove("id"));
        ids.push(match id {
            None | Some(Value::Null) => None,
            Some(id) => {
                let id = id.as_str().and_then(|text| text.parse().ok());
                let path = format!("entries[{index}].id");
                Some(id.ok_or_else(|| {
                    ApiError::invalid(&path, "is no id; leave it out for a new entry")
                })?)
            }
        });
    }
    Ok(ids)
}

/// An entry keeps the id it was sent with, if it is one of this combo, else that of an old one with its target.
fn keep_entry_ids(entries: &mut [Entry], sent: &[Option<EntryId>], old: Option<&ComboRow>) {
    let mut free: Vec<&Entry> =
        old.map(|row| row.combo.entries.iter().collect()).unwrap_or_default();
    for (entry, sent) in entries.iter_mut().zip(sent) {
        if let Some(at) = free.iter().position(|old| Some(old.id) == *sent) {
            entry.id = free.remove(at).id;
        }
    }
    for (entry, _) in entries.iter_mut().zip(sent).filter(|(_, sent)| sent.is_none()) {
        if let Some(at) = free.iter().position(|old| old.target == entry.target) {
            entry.id = free.remove(at).id;
        }
    }
}

/// The members of a combo that a caller can set, as it may send them.
fn input_of(row: &ComboRow) -> Map<String, Value> {
    let combo = &row.combo;
    let entry = |entry: &Entry| {
        json!({
            "id": entry.id.to_string(),
            "target": entry.target,
            "weight": entry.weight,
            "tier": entry.tier.map(Tier::as_str),
            "enabled": entry.enabled,
            "account_id": entry.account_id.map(|id| id.to_string()),
            "tags": entry.tags,
        })
    };
    members(json!({
        "name": &*combo.name,
        "description": row.description,
        "enabled": combo.enabled,
        "strategy": combo.strategy.as_str(),
        "tier_inner": combo.tier_inner.as_str(),
        "entries": combo.entries.iter().map(entry).collect::<Vec<_>>(),
        "sticky": {"enabled": combo.sticky_enabled, "ttl_s": combo.sticky_ttl_s},
        "rr_sticky_count": combo.rr_sticky_count,
        "max_attempts": combo.max_attempts,
        "deadline_ms": combo.deadline_ms,
        "fallback_on_policy": combo.fallback_on_policy,
        "capability_filter": combo.capability_filter,
        "report_real_model": row.report_real_model,
    }))
}

fn object(row: &ComboRow, standings: &Standings, day: &Days) -> Value {
    let combo = &row.combo;
    let mut object = input_of(row);
    if let Some(Value::Array(entries)) = object.get_mut("entries") {
        for (shown, entry) in entries.iter_mut().zip(&combo.entries) {
            let standing = standings.entry(combo.id, entry.id);
            if let Value::Object(shown) = shown {
                shown.insert("state".to_owned(), Standing::to_json(standing, entry.enabled));
            }
        }
    }
    let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
    put("id", combo.id.to_string().into());
    put("serving_now", standings.serving(combo.id).into());
    let idle = Totals::default();
    let day = day.get(&combo.id.to_string()).unwrap_or(&idle);
    let figures =
        json!({"requests": day.requests, "failed": day.failed, "list_umicro": day.list_umicro});
    put("stats_24h", figures);
    put("managed_by", row.managed_by.map(|owner| owner.as_str()).into());
    put("rev", row.rev.into());
    Value::Object(object)
}

/// What a change would do, for `dry_run`.
fn plan(action: &str, row: &ComboRow, warnings: &[String]) -> Value {
    let mut combo = input_of(row);
    combo.insert("id".to_owned(), row.combo.id.to_string().into());
    json!({"dry_run": true, "action": action, "combo": combo, "warnings": warnings})
}

fn with_warnings(mut object: Value, warnings: &[String]) -> Value {
    if let Value::Object(members) = &mut object
        && !warnings.is_empty()
    {
        members.insert("warnings".to_owned(), warnings.to_vec().into());
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::combo::Strategy;

    fn row(targets: &[&str]) -> ComboRow {
        let entries = json!({"name": "x", "entries": targets, "strategy": "fallback"});
        file::combo(&entries).unwrap().row
    }

    #[test]
    fn an_entry_keeps_its_id_by_id_or_by_target() {
        let old = row(&["a/1", "b/2", "c/3"]);
        let id = |at: usize| old.combo.entries[at].id;
        let mut new = row(&["c/3", "b/9", "a/1"]);
        keep_entry_ids(
            &mut new.combo.entries,
            &[None, Some(id(1)), Some(EntryId::new())],
            Some(&old),
        );
        let entries = &new.combo.entries;
        assert_eq!((entries[0].id, entries[1].id), (id(2), id(1)));
        assert_ne!(entries[2].id, id(0), "an id of another combo is not taken over");
    }

    #[test]
    fn what_is_shown_can_be_sent_back() {
        let mut old = row(&["a/1", "b/2"]);
        old.combo.strategy = Strategy::Weighted;
        old.combo.sticky_enabled = Some(false);
        old.combo.deadline_ms = Some(5_000);
        let mut given = input_of(&old);
        let ids = take_entry_ids(&mut given).unwrap();
        let given = merged(Map::new(), given);
        let mut again = file::combo(&Value::Object(given)).unwrap().row;
        again.combo.id = old.combo.id;
        keep_entry_ids(&mut again.combo.entries, &ids, Some(&old));
        assert_eq!(again, old);
    }
}
