//! Which accounts the background is to refresh now, and the address of one account.

use actix::prelude::*;

use super::Router;
use crate::actors::account::Account;
use crate::clock::UnixMs;
use crate::id::AccountId;
use crate::provider::oauth::family::{Family, Spacing};
use crate::provider::oauth::refresh;

/// The actor of an account, for what people ask of it. `None` = there is no such account.
#[derive(Debug, Message)]
#[rtype(result = "Option<Addr<Account>>")]
pub struct Find {
    /// The account.
    pub account: AccountId,
}

/// Accounts whose refresh is due, the most urgent first.
#[derive(Debug, Message)]
#[rtype(result = "Vec<Due>")]
pub struct DueRefreshes;

/// An account whose refresh is due.
#[derive(Clone, Debug)]
pub struct Due {
    /// Which.
    pub account: AccountId,
    /// Its actor.
    pub addr: Addr<Account>,
    /// Since when, Unix ms.
    pub since: UnixMs,
    /// Host of its token endpoint.
    pub host: String,
    /// Distance that refreshes at that host keep.
    pub spacing: Spacing,
}

impl Handler<Find> for Router {
    type Result = Option<Addr<Account>>;

    fn handle(&mut self, msg: Find, _: &mut Self::Context) -> Self::Result {
        self.desk.table.borrow().addr(msg.account).cloned()
    }
}

impl Handler<DueRefreshes> for Router {
    type Result = MessageResult<DueRefreshes>;

    fn handle(&mut self, _: DueRefreshes, _: &mut Self::Context) -> Self::Result {
        let snapshot = self.desk.shared.snapshot.load();
        let now = self.desk.shared.clock.now_ms();
        let table = self.desk.table.borrow();
        let due = |account| {
            let row = table.row(account)?;
            let since = row.refresh_due.get().filter(|since| *since <= now)?;
            let provider = snapshot.catalog.by_id(&table.view(account)?.config.provider)?;
            let spacing = Family::of(provider)?.spacing;
            let host = refresh::host(provider)?;
            Some(Due { account, addr: row.addr.clone(), since, host, spacing })
        };
        let mut all: Vec<Due> = table.ids().filter_map(due).collect();
        all.sort_by_key(|due| (due.since, due.account));
        MessageResult(all)
    }
}
