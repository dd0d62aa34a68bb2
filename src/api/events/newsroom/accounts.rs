//! Accounts whose view or quota changed, and what hangs on them: providers, combos.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::mem;
use std::time::{Duration, Instant};

use serde_json::Value;
use tracing::debug;

use crate::actors::live::channel::Interest;
use crate::actors::live::topic::Topic;
use crate::api::accounts::{Known, Stored, quota_of};
use crate::api::error::ApiError;
use crate::api::events::newsroom::Newsroom;
use crate::clock::UnixMs;
use crate::id::AccountId;

/// Pause between two events of an account.
const ACCOUNT: Duration = Duration::from_millis(500);
/// Figures of the last day are read again after this.
const FIGURES: Duration = Duration::from_secs(2);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    changed: HashSet<AccountId>,
    quotas: HashSet<AccountId>,
    /// Every one may have changed, and others may be stored than are known here.
    all: bool,
    /// What is stored, until that changes.
    stored: Option<Stored>,
    figures_at: Option<Instant>,
    commits: u64,
    providers: BTreeSet<String>,
    combos: bool,
    /// How each account stood when it was last looked at.
    standings: HashMap<AccountId, Standing>,
}

#[derive(Debug)]
struct Standing {
    word: String,
    /// Then it stands otherwise, without anybody saying so; Unix ms.
    until: Option<UnixMs>,
}

impl Accounts {
    pub(super) fn changed(&mut self, id: AccountId) {
        self.changed.insert(id);
    }

    pub(super) fn quota_changed(&mut self, id: AccountId) {
        self.changed.insert(id);
        self.quotas.insert(id);
    }

    pub(super) fn all_changed(&mut self) {
        self.all = true;
    }

    /// Providers whose counts may have changed.
    pub(super) fn providers(&self) -> Vec<String> {
        self.providers.iter().cloned().collect()
    }

    pub(super) fn told_provider(&mut self, id: &str) {
        self.providers.remove(id);
    }

    /// Usage rows were committed since the figures were read, and it is time to read them again.
    fn are_figures_old(&self, commits: u64, now: Instant) -> bool {
        let at = self.figures_at;
        commits != self.commits && at.is_none_or(|at| now.saturating_duration_since(at) >= FIGURES)
    }

    pub(super) fn are_combos_stale(&self) -> bool {
        self.combos
    }

    pub(super) fn told_combos(&mut self) {
        self.combos = false;
    }
}

impl Newsroom {
    pub(super) async fn tell_accounts(&mut self, now: Instant, interest: &Interest) {
        let wanted = [Topic::Acct, Topic::Quota, Topic::Prov, Topic::Combo];
        if !wanted.into_iter().any(|topic| interest.has(topic)) {
            self.accounts = Accounts::default();
            return;
        }
        let ours = &mut self.accounts;
        if mem::take(&mut ours.all) {
            ours.stored = None;
            ours.combos = true;
        }
        // A lock that runs out or a window that resets does so by the clock alone.
        let now_ms = self.api.shared().clock.now_ms();
        for (id, standing) in &mut ours.standings {
            if standing.until.is_some_and(|until| until <= now_ms) {
                standing.until = None;
                ours.changed.insert(*id);
            }
        }
        let are_figures_old = ours.are_figures_old(self.api.shared().ledger.commits(), now);
        if ours.stored.is_some() && ours.changed.is_empty() && !are_figures_old {
            return;
        }
        if let Err(error) = self.look_at_accounts(now, interest).await {
            debug!(error = %error.message, "live events: accounts cannot be looked at; the next look is soon");
        }
    }

    async fn look_at_accounts(
        &mut self,
        now: Instant,
        interest: &Interest,
    ) -> Result<(), ApiError> {
        let views = self.api.account_views().await?;
        let fresh = match self.accounts.stored.take() {
            Some(stored) => {
                let commits = self.api.shared().ledger.commits();
                if self.accounts.are_figures_old(commits, now) {
                    (self.accounts.commits, self.accounts.figures_at) = (commits, Some(now));
                    let (stored, others) = stored.with_day(self.api.account_days(None).await?);
                    self.accounts.changed.extend(others);
                    stored
                } else {
                    stored
                }
            }
            None => {
                self.accounts.commits = self.api.shared().ledger.commits();
                self.accounts.figures_at = Some(now);
                let stored = self.api.stored_accounts(None).await?;
                let ours = &mut self.accounts;
                ours.changed.extend(stored.rows.iter().map(|row| row.config.id));
                ours.providers
                    .extend(stored.rows.iter().map(|row| row.config.provider.to_string()));
                stored
            }
        };
        let known = Known::new(views, fresh);
        let shared = self.api.shared().clone();
        for id in mem::take(&mut self.accounts.quotas) {
            if interest.has(Topic::Quota)
                && let Some(quota) = quota_of(shared.clock.now_ms(), known.views.get(&id))
            {
                shared.live.channel().tell(Topic::Quota, None, quota);
            }
        }
        for id in mem::take(&mut self.accounts.changed) {
            let row = known.stored.rows.iter().find(|row| row.config.id == id);
            let Some(row) = row else { continue };
            if !self.pace.is_due(Topic::Acct, &id.to_string(), ACCOUNT, now) {
                self.accounts.changed.insert(id);
                continue;
            }
            let object = self.api.account_object(row, &known);
            let word = object.pointer("/state/status").and_then(Value::as_str).unwrap_or_default();
            let until = object.pointer("/state/until").and_then(Value::as_i64);
            let standing = Standing { word: word.to_owned(), until };
            let before = self.accounts.standings.insert(id, standing);
            if before.is_none_or(|before| before.word != word) {
                self.accounts.providers.insert(row.config.provider.to_string());
                self.accounts.combos = true;
            }
            if interest.covers(Topic::Acct, &id.to_string()) {
                self.tell_if_new(Topic::Acct, Some(id.to_string()), object);
            }
        }
        self.accounts.stored = Some(known.stored);
        Ok(())
    }
}
