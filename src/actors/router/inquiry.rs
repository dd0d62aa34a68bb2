//! Questions of the operator: how the accounts stand, and what a request for a model would meet. Nothing here moves
//! a rotation or reaches an upstream.

use std::rc::Rc;
use std::sync::Arc;

use actix::prelude::*;
use ninerouter_dialect::{Dialect, Needs};

use super::walk::{Full, Look};
use super::{Desk, Router};
use crate::actors::checkout::{Journey, SkipReason};
use crate::auth::key::KeyRecord;
use crate::clock::UnixMs;
use crate::id::{AccountId, EntryId};
use crate::routing::account::{AccountView, Tier};
use crate::routing::affinity::SessionKeys;
use crate::routing::choose::{Ineligible, eligible, is_wanted};
use crate::routing::plan::{self, PlannedEntry};
use crate::routing::resolve::{ResolveError, Resolved, Target};

/// What every account last said of itself, by provider, priority and label.
#[derive(Debug, Message)]
#[rtype(result = "Vec<AccountView>")]
pub struct Views;

/// What a request would meet now, in the order in which it would be tried.
#[derive(Debug, Message)]
#[rtype(result = "Result<Explained, ResolveError>")]
pub struct Explain {
    /// What is asked for.
    pub resolved: Resolved,
    /// Dialect of the client.
    pub dialect: Dialect,
    /// What the request needs of a model.
    pub needs: Needs,
    /// The client's key, when what it may use matters.
    pub key: Option<Arc<KeyRecord>>,
    /// Accounts that are taken for used up.
    pub pretend_out: Vec<AccountId>,
}

/// The answer to [`Explain`].
#[derive(Clone, Debug)]
pub struct Explained {
    /// Candidates, first to last; an entry without any account is one without `account`.
    pub order: Vec<Candidate>,
    /// Targets of entries that mean nothing at present.
    pub unusable: Vec<String>,
}

/// One account for one entry.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Stored entry; `None` when the model was named directly.
    pub entry: Option<EntryId>,
    /// What it would be asked.
    pub target: Arc<Target>,
    /// Price class of the entry.
    pub tier: Tier,
    /// The account and its label.
    pub account: Option<(AccountId, String)>,
    /// Why it is passed over; `None` = it could serve.
    pub skip: Option<String>,
    /// When it may be used again, Unix ms.
    pub until: Option<UnixMs>,
}

impl Handler<Views> for Router {
    type Result = MessageResult<Views>;

    fn handle(&mut self, _: Views, _: &mut Self::Context) -> Self::Result {
        let table = self.desk.table.borrow();
        let mut views: Vec<AccountView> =
            table.ids().filter_map(|id| table.view(id)).cloned().collect();
        views.sort_by(|a, b| {
            let key = |view: &AccountView| {
                (Arc::clone(&view.config.provider), view.config.priority, view.config.id)
            };
            key(a).cmp(&key(b))
        });
        MessageResult(views)
    }
}

impl Handler<Explain> for Router {
    type Result = MessageResult<Explain>;

    fn handle(&mut self, msg: Explain, _: &mut Self::Context) -> Self::Result {
        MessageResult(Rc::clone(&self.desk).explain(msg))
    }
}

impl Desk {
    /// Looks at every entry as a request would, without taking anybody's turn.
    fn explain(&self, ask: Explain) -> Result<Explained, ResolveError> {
        let Explain { resolved, dialect, needs, key, pretend_out } = ask;
        let mut journey = Journey::new(resolved, dialect, SessionKeys::default());
        (journey.needs, journey.key) = (needs, key);
        let plan = {
            let snapshot = self.shared.snapshot.load();
            let state = self.state.borrow();
            let (names, catalog) = (&snapshot.names, &snapshot.catalog);
            let usable = |entry: &PlannedEntry| self.could_serve(entry);
            let mut plan =
                plan::preview(&journey.resolved, names, catalog, &state.rotation, &usable)?;
            if !needs.is_empty() {
                plan.put_last(|entry| plan::lacks(catalog, &entry.target, needs));
            }
            plan
        };
        let unusable = plan.unusable.clone();
        journey.plan = Some(plan);
        // The choice of a fresh request moves the accounts' turns: they are put back.
        let turns = self.state.borrow().cursors.clone();
        let mut order = Vec::new();
        while let Some(entry) = journey.entry().cloned() {
            self.explain_entry(&mut journey, &entry, &pretend_out, &mut order);
            self.state.borrow_mut().cursors.clone_from(&turns);
            journey.next_entry();
        }
        Ok(Explained { order, unusable })
    }

    fn explain_entry(
        &self,
        journey: &mut Journey,
        entry: &PlannedEntry,
        pretend_out: &[AccountId],
        order: &mut Vec<Candidate>,
    ) {
        let candidate = |account, skip, until| Candidate {
            entry: entry.entry_id,
            target: Arc::clone(&entry.target),
            tier: entry.tier,
            account,
            skip,
            until,
        };
        let first_skip = journey.skips.len();
        let first = order.len();
        let mut full = Full::default();
        loop {
            match self.look(journey, entry, None, &mut full) {
                Look::Ask(id, _) => {
                    journey.excluded.push(id);
                    if !pretend_out.contains(&id) {
                        journey.tried_here += 1;
                        order.push(candidate(self.labelled(id), None, None));
                    }
                }
                Look::Again => {}
                Look::Leave => break,
            }
        }
        for skip in journey.skips.iter().skip(first_skip) {
            let account = skip.account.map(|id| (id, skip.label.clone().unwrap_or_default()));
            order.push(candidate(account, Some(skip.reason.to_string()), skip.until));
        }
        // Those that a request passes over without a word.
        let listed: Vec<AccountId> = order
            .iter()
            .skip(first)
            .filter_map(|candidate| candidate.account.as_ref().map(|(id, _)| *id))
            .collect();
        let is_barred = order.iter().skip(first).any(|candidate| candidate.account.is_none());
        let table = self.table.borrow();
        let Some(group) = table.group(&entry.target.provider.id).filter(|_| !is_barred) else {
            return;
        };
        let snapshot = self.shared.snapshot.load();
        let strategy = snapshot.account_strategy(&entry.target.provider.id);
        let now = self.shared.clock.now_ms();
        for view in group.views().iter().filter(|view| !listed.contains(&view.config.id)) {
            let id = view.config.id;
            let (skip, until) = if pretend_out.contains(&id) {
                ("taken for used up".to_owned(), None)
            } else if !is_wanted(view, strategy, &[], entry.pin, &entry.tags) {
                (SkipReason::Ineligible(Ineligible::Excluded).to_string(), None)
            } else {
                match eligible(now, view, &entry.target) {
                    Err(why) => (why.to_string(), why.until()),
                    Ok(()) if full.is_here() => (SkipReason::Busy.to_string(), None),
                    Ok(()) => ("further than `max_accounts_per_entry`".to_owned(), None),
                }
            };
            let account = Some((id, view.config.label.clone()));
            order.push(candidate(account, Some(skip), until));
        }
    }

    fn labelled(&self, id: AccountId) -> Option<(AccountId, String)> {
        self.table.borrow().view(id).map(|view| (id, view.config.label.clone()))
    }
}
