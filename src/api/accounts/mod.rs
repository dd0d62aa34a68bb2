//! Accounts: what they are, how they stand, and what an operator does to them.

pub(super) mod actions;
pub(super) mod change;
mod check;
pub(super) mod connect;
pub(super) mod input;
pub(in crate::api) mod many;
mod object;
pub(super) mod status;

pub(super) use object::{proxy_object, quota_of};

use std::collections::HashMap;

use serde_json::Value;

use crate::actors::router::Views;
use crate::api::Api;
use crate::api::call::{Call, Reply};
use crate::api::error::ApiError;
use crate::api::page::{self, found};
use crate::api::providers::provider_named;
use crate::clock::UnixMs;
use crate::id::AccountId;
use crate::routing::account::AccountView;
use crate::store::accounts::{self, AccountRow};
use crate::store::usage::{self, Dimension, Filter, Totals};
use crate::store::{Connection, Sealer, StoreError, secrets};

pub(super) const WHAT: &str = "account";
const DAY_MS: i64 = 86_400_000;

pub(super) async fn list(api: &Api, call: Call) -> Result<Reply, ApiError> {
    call.only_query(&[&page::QUERY[..], &["provider", "status", "tag"]].concat())?;
    let wanted = match call.query("provider") {
        Some(name) => {
            let snapshot = api.shared().snapshot.load();
            Some(provider_named(&snapshot, name)?.id.to_string())
        }
        None => None,
    };
    let fits = |row: &AccountRow| {
        let (config, about) = (&row.config, &row.about);
        let email = about.email.as_deref().unwrap_or_default();
        wanted.as_ref().is_none_or(|id| **id == *config.provider)
            && call.query("tag").is_none_or(|tag| config.tags.iter().any(|own| own == tag))
            && found(&call, &[&config.provider, &config.label, email])
    };
    let key = |row: &AccountRow| {
        format!("{} {:03} {}", row.config.provider, row.config.priority, row.config.id)
    };
    let rows = api.read(accounts::list).await?;
    let mut items: Vec<_> = rows.into_iter().filter(fits).map(|row| (key(&row), row)).collect();
    let bare = Known::new(api.account_views().await?, Stored::default());
    if let Some(word) = call.query("status") {
        items.retain(|(_, row)| {
            let object = api.account_object(row, &bare);
            object.pointer("/state/status").is_some_and(|own| own == word)
        });
    }
    let mut page = page::cut(&call, items)?;
    // Keys are opened for those that are shown.
    let stored = api.stored(std::mem::take(&mut page.items)).await?;
    let known = Known { stored, ..bare };
    let data = known.stored.rows.iter().map(|row| api.account_object(row, &known)).collect();
    Ok(page.reply(data))
}

pub(super) async fn show(api: &Api, call: Call) -> Result<Reply, ApiError> {
    call.only_query(&[])?;
    Ok(Reply::ok(api.account(call.id(WHAT)?).await?))
}

/// What the database knows of accounts.
#[derive(Debug, Default)]
pub(super) struct Stored {
    pub(super) rows: Vec<AccountRow>,
    last4: HashMap<AccountId, String>,
    day: HashMap<String, Totals>,
}

impl Stored {
    /// The same with newer figures of the last day, and the accounts whose figures are others.
    pub(super) fn with_day(self, day: HashMap<String, Totals>) -> (Self, Vec<AccountId>) {
        let requests = |day: &HashMap<String, Totals>, id: AccountId| {
            day.get(&id.to_string()).map_or(0, |totals| totals.requests)
        };
        let ids = self.rows.iter().map(|row| row.config.id);
        let others = ids.filter(|id| requests(&self.day, *id) != requests(&day, *id)).collect();
        (Self { day, ..self }, others)
    }
}

/// What is known of accounts.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) views: HashMap<AccountId, AccountView>,
    pub(super) stored: Stored,
}

impl Known {
    pub(super) fn new(views: Vec<AccountView>, stored: Stored) -> Self {
        let views = views.into_iter().map(|view| (view.config.id, view)).collect();
        Self { views, stored }
    }
}

impl Api {
    /// The account object of an id.
    pub(super) async fn account(&self, id: AccountId) -> Result<Value, ApiError> {
        let known = self.accounts(Some(id)).await?;
        let row = known.stored.rows.first();
        let row = row.ok_or_else(|| ApiError::not_found(WHAT, &id.to_string()))?;
        Ok(self.account_object(row, &known))
    }

    pub(super) async fn account_row(&self, id: AccountId) -> Result<AccountRow, ApiError> {
        let row = self.read(move |conn| accounts::find(conn, id)).await?;
        row.ok_or_else(|| ApiError::not_found(WHAT, &id.to_string()))
    }

    async fn accounts(&self, only: Option<AccountId>) -> Result<Known, ApiError> {
        let views = self.account_views().await?;
        Ok(Known::new(views, self.stored_accounts(only).await?))
    }

    /// What the actors say.
    pub(super) async fn account_views(&self) -> Result<Vec<AccountView>, ApiError> {
        self.ask(Views).await
    }

    /// What the database says.
    pub(super) async fn stored_accounts(
        &self,
        only: Option<AccountId>,
    ) -> Result<Stored, ApiError> {
        let rows = match only {
            Some(id) => {
                self.read(move |conn| accounts::find(conn, id)).await?.into_iter().collect()
            }
            None => self.read(accounts::list).await?,
        };
        self.stored(rows).await
    }

    /// What the database says of these.
    async fn stored(&self, rows: Vec<AccountRow>) -> Result<Stored, ApiError> {
        let now = self.shared().clock.now_ms();
        let sealer = self.shared().store.sealer().clone();
        let only = match rows.as_slice() {
            [only] => Some(only.config.id),
            _ => None,
        };
        self.read(move |conn| {
            let mut last4 = HashMap::new();
            for row in &rows {
                let id = row.config.id;
                last4.extend(last_of(conn, &sealer, id)?.map(|last| (id, last)));
            }
            Ok(Stored { rows, last4, day: day(conn, only, now)? })
        })
        .await
    }

    /// Figures of the last day, by account.
    pub(super) async fn account_days(
        &self,
        only: Option<AccountId>,
    ) -> Result<HashMap<String, Totals>, ApiError> {
        let now = self.shared().clock.now_ms();
        self.read(move |conn| day(conn, only, now)).await
    }

    /// The account object of a row.
    pub(super) fn account_object(&self, row: &AccountRow, known: &Known) -> Value {
        let id = row.config.id;
        let Stored { last4, day, .. } = &known.stored;
        let parts = object::Parts {
            row,
            view: known.views.get(&id),
            last4: last4.get(&id).map(String::as_str),
            day: day.get(&id.to_string()),
        };
        object::object(self.shared().clock.now_ms(), &parts, &self.shared().snapshot.load())
    }
}

fn day(
    conn: &mut Connection,
    only: Option<AccountId>,
    now: UnixMs,
) -> Result<HashMap<String, Totals>, StoreError> {
    let account_id = only.map(|id| id.to_string());
    let filter = Filter { from: now - DAY_MS, to: now, account_id, ..Filter::default() };
    let day = usage::by(conn, &filter, Dimension::Account)?;
    Ok(day.into_iter().map(|((id, _), totals)| (id, totals)).collect())
}

/// The end of an account's key. A key that is hardly longer shows nothing; one that cannot be read, neither.
fn last_of(
    conn: &mut Connection,
    sealer: &Sealer,
    id: AccountId,
) -> Result<Option<String>, StoreError> {
    const LEAST: usize = 12;
    let credential = match secrets::credential(conn, sealer, id) {
        Ok(credential) => credential,
        Err(StoreError::SecretsUnreadable | StoreError::Unsealable { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let shown = credential.api_key.map(|key| {
        let text: Vec<char> = key.expose().chars().collect();
        let from = if text.len() < LEAST { text.len() } else { text.len() - 4 };
        text.into_iter().skip(from).collect()
    });
    Ok(shown)
}
