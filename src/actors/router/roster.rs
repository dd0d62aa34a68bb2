//! Brings the account actors in line with what is stored: start, change, retire, restart.

use std::cell::Cell;
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;

use actix::prelude::*;
use tracing::warn;

use super::Desk;
use crate::actors::account::{Account, AccountSeed, Reconfigure, Retire, Ties};
use crate::actors::snapshot::AccountSource;
use crate::actors::table::Row;
use crate::id::AccountId;
use crate::routing::ladder;
use crate::store::AccountState;

/// A change an account actor has not taken yet.
pub(super) type Change = (AccountId, Request<Account, Reconfigure>);

impl Desk {
    /// Starts, changes and retires account actors until they are what is stored.
    pub(super) fn reconcile(&self, accounts: Vec<AccountSource>) -> Vec<Change> {
        let stored: HashSet<_> = accounts.iter().map(|a| a.view.config.id).collect();
        let gone: Vec<_> = self.table.borrow().ids().filter(|id| !stored.contains(id)).collect();
        for id in gone {
            self.retire(id);
            self.forget(id);
        }
        let changes = accounts.into_iter().filter_map(|source| self.install(source)).collect();
        let providers = self.state.borrow().waiting.providers();
        for provider in providers {
            self.call_waiters(&provider);
        }
        changes
    }

    /// Ends an actor: its running leases finish, it grants no new one and touches the table no more.
    fn retire(&self, id: AccountId) {
        let Some(row) = self.table.borrow_mut().remove(id) else { return };
        // Beyond a full mailbox: else it would write into the row of its successor. One message per actor.
        #[expect(clippy::disallowed_methods, reason = "the last message of an actor, sent once")]
        row.addr.do_send(Retire);
    }

    /// Forgets what was remembered of an account that is no more.
    fn forget(&self, id: AccountId) {
        let state = &mut *self.state.borrow_mut();
        state.sources.remove(&id);
        state.restarts.remove(&id);
        state.cursors.forget(id);
        self.shared.affinity.forget(id);
        self.shared.exchanges.forget(id);
    }

    fn install(&self, source: AccountSource) -> Option<Change> {
        let id = source.view.config.id;
        let running = {
            let table = self.table.borrow();
            let same_place =
                table.view(id).is_some_and(|v| v.config.provider == source.view.config.provider);
            table.addr(id).filter(|addr| same_place && addr.connected()).cloned()
        };
        self.state.borrow_mut().sources.insert(id, source.clone());
        let Some(addr) = running else {
            self.retire(id);
            self.start(source);
            return None;
        };
        let change = Reconfigure {
            config: source.view.config,
            credential: source.credential,
            max_concurrent: source.view.max_concurrent,
            missing_params: source.view.missing_params,
        };
        Some((id, addr.send(change)))
    }

    fn start(&self, source: AccountSource) {
        let AccountSource { mut view, credential, hot } = source;
        ladder::shorten_future(&mut view.locks, self.shared.clock.now_ms());
        let (nudge_open, refresh_due) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(None)));
        let seed =
            AccountSeed { id: view.config.id, config: Arc::clone(&view.config), credential, hot };
        let ties = Ties {
            table: Rc::clone(&self.table),
            router: self.router.clone(),
            nudge_open: Rc::clone(&nudge_open),
            refresh_due: Rc::clone(&refresh_due),
            clients: self.clients.clone(),
        };
        let actor = Account::new(seed, Arc::clone(&self.shared), ties);
        // It runs when this thread is free again: the row is there before the actor writes into it.
        let addr = actor.start();
        self.table.borrow_mut().put(view, Row { addr, nudge_open, refresh_due });
    }

    /// Starts an account again whose actor died: configuration as last loaded, everything else from the store.
    pub(super) fn restart(&self, id: AccountId, stored: AccountState) {
        let source = self.state.borrow().sources.get(&id).cloned();
        let Some(mut source) = source else { return };
        // A reload was faster.
        if self.table.borrow().addr(id).is_some_and(Addr::connected) {
            return;
        }
        let AccountState { credential, hot, locks } = stored;
        source.view.auth = hot.auth_state(credential.is_some());
        source.view.last_used_at = hot.last_used_at.unwrap_or(0);
        source.view.locks = locks;
        // Locks of the last second may not be written yet: the row the dead actor left behind has them.
        if let Some(row) = self.table.borrow().view(id) {
            for lock in &row.locks {
                ladder::merge(&mut source.view.locks, lock.clone());
            }
        }
        if credential.is_none() {
            warn!(account.id = %id, "credential cannot be read; the account is not used");
        }
        source.credential = credential.map(Arc::new);
        source.hot = hot;
        let provider = Arc::clone(&source.view.config.provider);
        self.start(source);
        self.call_waiters(&provider);
    }
}
