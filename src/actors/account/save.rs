//! Coalesced writes of an account's hot state and locks (`storage.md` §3.2).

use std::time::Duration;

use actix::prelude::*;
use tokio::sync::oneshot;
use tracing::{info, warn};

use super::{Account, UNREADABLE};
use crate::routing::lock::Lock;
use crate::store::hot_state::{HotState, StoredAuth};

/// Written at most this often; the first write after a quiet time is immediate.
const GAP: Duration = Duration::from_secs(1);
/// Pause after the database refused (REL-DB-5).
const RETRY: Duration = Duration::from_secs(5);

/// Progress of the writes.
#[derive(Debug, Default)]
pub(super) struct Saving {
    /// Something changed since the last write began.
    dirty: bool,
    /// What changed must not wait for the gap.
    urgent: bool,
    scheduled: bool,
    running: bool,
    failing: bool,
    waiters: Vec<oneshot::Sender<bool>>,
}

impl Account {
    /// Writes hot state: at once when it is urgent or the last write is a while ago, else when the gap has passed.
    pub(super) fn save(&mut self, ctx: &mut Context<Self>, urgent: bool) {
        self.saving.dirty = true;
        self.saving.urgent |= urgent;
        if !self.saving.running && (!self.saving.scheduled || (urgent && !self.saving.failing)) {
            self.write(ctx);
        }
    }

    /// Resolves to true when everything of this moment is on disk, to false when the database refused it.
    pub(super) fn saved(&mut self, ctx: &mut Context<Self>) -> oneshot::Receiver<bool> {
        let (waiter, done) = oneshot::channel();
        if self.saving.dirty || self.saving.running {
            self.saving.waiters.push(waiter);
            if !self.saving.running {
                self.write(ctx);
            }
        } else {
            // Nobody can have let go of the receiver yet.
            let _sent = waiter.send(true);
        }
        done
    }

    fn write(&mut self, ctx: &mut Context<Self>) {
        if self.retired {
            return;
        }
        let Some((hot, locks)) = self.hot_state() else { return };
        (self.saving.dirty, self.saving.urgent, self.saving.running) = (false, false, true);
        let (store, id) = (self.shared.store.clone(), self.id);
        let work = tokio::task::spawn_blocking(move || store.save_locks(id, &locks, &hot));
        ctx.spawn(work.into_actor(self).map(|done, act, ctx| {
            act.saving.running = false;
            match done {
                Ok(Ok(())) => act.written(ctx),
                Ok(Err(error)) => act.refused(ctx, &error),
                // The blocking task panicked, or its pool is gone.
                Err(error) => act.refused(ctx, &error),
            }
        }));
    }

    fn written(&mut self, ctx: &mut Context<Self>) {
        if std::mem::take(&mut self.saving.failing) {
            info!(account.id = %self.id, "account state is saved again");
        }
        if self.saving.dirty && (self.saving.urgent || !self.saving.waiters.is_empty()) {
            return self.write(ctx);
        }
        self.answer(true);
        self.schedule(ctx, GAP);
    }

    fn refused(&mut self, ctx: &mut Context<Self>, error: &dyn std::error::Error) {
        self.saving.dirty = true;
        if !std::mem::replace(&mut self.saving.failing, true) {
            warn!(account.id = %self.id, %error, "account state not saved; retrying");
        }
        // Whoever waits for the disk is told at once: a stop must not hang on it.
        self.answer(false);
        self.schedule(ctx, RETRY);
    }

    fn answer(&mut self, saved: bool) {
        for waiter in self.saving.waiters.drain(..) {
            // A caller that no longer waits needs no answer.
            let _gone = waiter.send(saved);
        }
    }

    fn schedule(&mut self, ctx: &mut Context<Self>, pause: Duration) {
        if std::mem::replace(&mut self.saving.scheduled, true) {
            return;
        }
        ctx.run_later(pause, |act, ctx| {
            act.saving.scheduled = false;
            if act.saving.dirty && !act.saving.running {
                act.write(ctx);
            }
        });
    }

    fn hot_state(&self) -> Option<(HotState, Vec<Lock>)> {
        let table = self.table.borrow();
        let view = table.view(self.id)?;
        let auth = match &self.hot.auth {
            _ if self.credential.is_none() => StoredAuth::Dead {
                reason: UNREADABLE.to_owned(),
                since: self.shared.clock.now_ms(),
            },
            known => known.clone(),
        };
        let last_used_at = (view.last_used_at > 0).then_some(view.last_used_at);
        let hot = HotState { auth, last_used_at, ..self.hot.clone() };
        Some((self.with_quota(hot), view.locks.clone()))
    }
}
