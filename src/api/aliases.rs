//! Aliases: other names of models and combos.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::call::{Call, Reply};
use crate::api::error::ApiError;
use crate::api::keys::no_more;
use crate::api::page::{self, found, page};
use crate::api::{Api, combos::names, managed};
use crate::config::apply::Meaning;
use crate::store::aliases::{self, AliasRow};
use crate::store::{Connection, Stamp, StoreError};

const WHAT: &str = "alias";
/// Longest name and target, bytes.
const LONGEST: usize = 256;

pub(super) async fn list(api: &Api, call: Call) -> Result<Reply, ApiError> {
    call.only_query(&page::QUERY)?;
    let rows = api.read(aliases::list).await?;
    let shown = rows.iter().filter(|row| found(&call, &[&row.alias, &row.target]));
    page(&call, shown.map(|row| (row.alias.clone(), object(row))))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    target: String,
    rev: Option<i64>,
}

pub(super) async fn put(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let alias = call.param("alias").to_owned();
    let wish: Target = call.typed()?;
    let mut rev_of_head = serde_json::Map::new();
    let rev = wish.rev.or(call.rev(&mut rev_of_head)?);
    if alias.trim() != alias || alias.len() > LONGEST || alias.chars().any(char::is_whitespace) {
        return Err(ApiError::invalid("alias", "an alias is 1 to 256 characters without blanks"));
    }
    let target = wish.target.trim().to_owned();
    if target.is_empty() || target.len() > LONGEST || target.chars().any(char::is_control) {
        return Err(ApiError::invalid("target", "expected a model id, a combo or another alias"));
    }
    let warning = api.meaning_of(&alias, &target)?;
    let now = api.shared().clock.now_ms();
    let name = alias.clone();
    let made = api
        .write(move |conn| {
            let old = find(conn, &name)?;
            if let Err(why) = may_change(old.as_ref(), rev) {
                return Ok(Err(why));
            }
            aliases::set(conn, &name, &target, Stamp::operator(now))?;
            Ok(Ok(old.is_none()))
        })
        .await?;
    api.reload().await?;
    let row = api.read(move |conn| find(conn, &alias)).await?;
    let row = row.ok_or_else(|| ApiError::not_found(WHAT, call.param("alias")))?;
    let mut shown = object(&row);
    if let (Value::Object(members), Some(warning)) = (&mut shown, warning) {
        members.insert("warnings".to_owned(), json!([warning]));
    }
    Ok(if made { Reply::created(shown) } else { Reply::ok(shown) })
}

pub(super) async fn remove(api: &Api, call: Call) -> Result<Reply, ApiError> {
    let alias = call.param("alias").to_owned();
    let mut body = call.object()?;
    let rev = call.rev(&mut body)?;
    no_more(&body)?;
    api.write(move |conn| {
        let Some(old) = find(conn, &alias)? else {
            return Ok(Err(ApiError::not_found(WHAT, &alias)));
        };
        if let Err(why) = may_change(Some(&old), rev) {
            return Ok(Err(why));
        }
        aliases::delete(conn, &alias).map(Ok)
    })
    .await?;
    api.reload().await?;
    Ok(Reply::gone())
}

impl Api {
    /// That a target means something with this alias in place; what works but perhaps not as hoped for.
    fn meaning_of(&self, alias: &str, target: &str) -> Result<Option<String>, ApiError> {
        let snapshot = self.shared().snapshot.load();
        let combos = snapshot.names.combos.values().map(|combo| {
            let entries = combo.entries.iter().filter(|entry| entry.enabled);
            (combo.name.to_string(), entries.map(|entry| entry.target.clone()).collect())
        });
        let combos: BTreeMap<String, Vec<String>> = combos.collect();
        let is_hidden = combos.contains_key(alias);
        let mut names = names(&snapshot, combos);
        names.aliases.insert(alias.to_owned(), target.to_owned());
        match names.meaning(target) {
            Err(why) => Err(ApiError::invalid("target", why)),
            Ok(_) if is_hidden => {
                Ok(Some(format!("a combo is also called `{alias}`; the combo wins")))
            }
            Ok(Meaning::Unlisted { provider, near }) => {
                let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                Ok(Some(format!("`{provider}` does not list the model of `{target}`{near}")))
            }
            Ok(Meaning::Combo(_) | Meaning::Model) => Ok(None),
        }
    }
}

fn find(conn: &mut Connection, alias: &str) -> Result<Option<AliasRow>, StoreError> {
    Ok(aliases::list(conn)?.into_iter().find(|row| row.alias == alias))
}

fn may_change(old: Option<&AliasRow>, rev: Option<i64>) -> Result<(), ApiError> {
    match old {
        None if rev.is_some() => Err(ApiError::conflict(Value::Null)),
        None => Ok(()),
        Some(old) => {
            managed(WHAT, old.managed_by)?;
            match rev {
                Some(rev) if rev != old.rev => Err(ApiError::conflict(object(old))),
                Some(_) | None => Ok(()),
            }
        }
    }
}

fn object(row: &AliasRow) -> Value {
    json!({
        "alias": row.alias,
        "target": row.target,
        "managed_by": row.managed_by.map(|owner| owner.as_str()),
        "rev": row.rev,
    })
}
