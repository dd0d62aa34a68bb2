//! The router's table of account views. Accounts write their own row; the router reads all of them.
//!
//! Everything here lives on the control thread: `Rc` and `Cell`, no locks.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use actix::Addr;

use crate::actors::account::Account;
use crate::clock::UnixMs;
use crate::id::AccountId;
use crate::routing::account::{AccountConfig, AccountView, AuthState};

/// One account as the router sees it.
#[derive(Debug)]
pub struct Row {
    /// Current incarnation of the account's actor.
    pub addr: Addr<Account>,
    /// Set while a nudge of this account is on its way: at most one is open (`design.md` §3).
    pub nudge_open: Rc<Cell<bool>>,
    /// When the background is to refresh its token, Unix ms; `None` = not at all, or it is being refreshed.
    pub refresh_due: Rc<Cell<Option<UnixMs>>>,
}

/// Accounts of one provider: views side by side for the choice, rows beside them.
#[derive(Debug, Default)]
pub struct Group {
    views: Vec<AccountView>,
    rows: Vec<Row>,
}

impl Group {
    /// All views, in a stable order.
    #[must_use]
    pub fn views(&self) -> &[AccountView] {
        &self.views
    }

    /// Leases out over all accounts of the provider.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.views.iter().map(|v| v.in_flight).sum()
    }

    /// View of an account of this group.
    #[must_use]
    pub fn view(&self, id: AccountId) -> Option<&AccountView> {
        self.views.iter().find(|v| v.config.id == id)
    }

    /// Address of an account of this group.
    #[must_use]
    pub fn addr(&self, id: AccountId) -> Option<&Addr<Account>> {
        let at = self.views.iter().position(|v| v.config.id == id)?;
        self.rows.get(at).map(|r| &r.addr)
    }
}

/// All accounts, by provider.
#[derive(Debug, Default)]
pub struct Table {
    groups: HashMap<Arc<str>, Group>,
    places: HashMap<AccountId, (Arc<str>, usize)>,
}

/// The table as shared between the router and the accounts of its thread.
pub type SharedTable = Rc<RefCell<Table>>;

impl Table {
    /// Accounts of a provider; `None` when it has none.
    #[must_use]
    pub fn group(&self, provider: &str) -> Option<&Group> {
        self.groups.get(provider)
    }

    /// Ids of all accounts.
    pub fn ids(&self) -> impl Iterator<Item = AccountId> + '_ {
        self.places.keys().copied()
    }

    /// Providers with an enabled account that is not dead (a cooling one counts).
    #[must_use]
    pub fn served(&self) -> Vec<Arc<str>> {
        let serves = |v: &AccountView| v.config.enabled && v.auth != AuthState::Dead;
        let alive = self.groups.iter().filter(|(_, g)| g.views.iter().any(serves));
        alive.map(|(provider, _)| Arc::clone(provider)).collect()
    }

    /// Accounts that are enabled, not dead and complete, by provider, in a stable order.
    #[must_use]
    pub fn usable(&self) -> Vec<Arc<AccountConfig>> {
        let usable =
            |v: &&AccountView| v.config.enabled && v.auth != AuthState::Dead && !v.missing_params;
        let views = self.groups.values().flat_map(|group| &group.views);
        let mut all: Vec<_> = views.filter(usable).map(|v| Arc::clone(&v.config)).collect();
        all.sort_by(|a, b| (&a.provider, a.priority, a.id).cmp(&(&b.provider, b.priority, b.id)));
        all
    }

    /// Adds an account, or replaces the row of one that was there.
    pub fn put(&mut self, view: AccountView, row: Row) {
        self.remove(view.config.id);
        let provider = Arc::clone(&view.config.provider);
        let id = view.config.id;
        let group = self.groups.entry(Arc::clone(&provider)).or_default();
        self.places.insert(id, (provider, group.views.len()));
        group.views.push(view);
        group.rows.push(row);
    }

    /// Forgets an account.
    pub fn remove(&mut self, id: AccountId) -> Option<Row> {
        let (provider, at) = self.places.remove(&id)?;
        let group = self.groups.get_mut(&provider)?;
        if at >= group.views.len() {
            return None;
        }
        group.views.remove(at);
        let row = group.rows.remove(at);
        for (shifted, view) in group.views.iter().enumerate().skip(at) {
            if let Some(place) = self.places.get_mut(&view.config.id) {
                place.1 = shifted;
            }
        }
        if group.views.is_empty() {
            self.groups.remove(&provider);
        }
        Some(row)
    }

    /// Takes every row out.
    pub fn take_rows(&mut self) -> impl Iterator<Item = Row> + use<> {
        self.places.clear();
        std::mem::take(&mut self.groups).into_values().flat_map(|group| group.rows)
    }

    /// Row of an account.
    #[must_use]
    pub fn row(&self, id: AccountId) -> Option<&Row> {
        let (provider, at) = self.places.get(&id)?;
        self.groups.get(provider)?.rows.get(*at)
    }

    /// Address of an account.
    #[must_use]
    pub fn addr(&self, id: AccountId) -> Option<&Addr<Account>> {
        self.row(id).map(|row| &row.addr)
    }

    /// View of an account.
    #[must_use]
    pub fn view(&self, id: AccountId) -> Option<&AccountView> {
        let (provider, at) = self.places.get(&id)?;
        self.groups.get(provider)?.views.get(*at)
    }

    /// Lets an account change its own view in place.
    pub fn update(&mut self, id: AccountId, change: impl FnOnce(&mut AccountView)) {
        let Some((provider, at)) = self.places.get(&id) else { return };
        if let Some(view) = self.groups.get_mut(provider).and_then(|g| g.views.get_mut(*at)) {
            change(view);
        }
    }
}
