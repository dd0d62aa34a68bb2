//! Upkeep: pruning of old rows, checkpoints, the service manager's watchdog, the log of late rows.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use sd_notify::NotifyState;
use tracing::{info, warn};

use crate::actors::desk::RouterDesk;
use crate::actors::router::CountAccounts;
use crate::actors::shared::Shared;
use crate::store::retention::Retention;

/// How often the log is folded into the database file when it has grown.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(60);
/// How often old rows are looked for. Nightly would do; hourly keeps each run short.
const PRUNE_EVERY: Duration = Duration::from_secs(60 * 60);

/// How often a service manager is told how it stands.
const REPORT_EVERY: Duration = Duration::from_secs(10);
/// Longest wait for the router's answer.
const ANSWER: Duration = Duration::from_secs(2);

/// The actor. Lives on the control thread.
#[derive(Debug)]
pub struct Upkeep {
    shared: Arc<Shared>,
    desk: Arc<RouterDesk>,
    background: bool,
    /// A service manager wants to be told.
    managed: bool,
    pruning: bool,
}

/// Ends the actor.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Stop;

impl Upkeep {
    /// Starts it on the calling thread's arbiter. Without `background` only a service manager,
    /// if there is one (`managed`), is told how it stands.
    #[must_use]
    pub fn launch(
        shared: Arc<Shared>,
        desk: Arc<RouterDesk>,
        background: bool,
        managed: bool,
    ) -> Addr<Self> {
        Self { shared, desk, background, managed, pruning: false }.start()
    }

    fn checkpoint(&mut self, ctx: &mut Context<Self>) {
        let store = self.shared.store.clone();
        let work = tokio::task::spawn_blocking(move || store.checkpoint_if_large());
        ctx.spawn(work.into_actor(self).map(|done, _, _| {
            if let Ok(Err(error)) = done {
                warn!(%error, "the database's log could not be folded in");
            }
        }));
    }

    fn prune(&mut self, ctx: &mut Context<Self>) {
        if std::mem::replace(&mut self.pruning, true) {
            return;
        }
        let (store, now) = (self.shared.store.clone(), self.shared.clock.now_ms());
        let settings = self.shared.snapshot.load();
        let keep = Retention {
            requests_days: settings.settings.usage_retention_days,
            attempts_days: settings.settings.attempt_retention_days,
        };
        let work = tokio::task::spawn_blocking(move || store.prune(now, &keep));
        ctx.spawn(work.into_actor(self).map(|done, act, _| {
            act.pruning = false;
            match done {
                Ok(Ok(pruned)) if pruned.requests + pruned.attempts > 0 => {
                    info!(pruned.requests, pruned.attempts, "old usage rows removed");
                }
                Ok(Ok(_)) => {}
                Ok(Err(error)) => warn!(%error, "old rows could not be removed"),
                // The task panicked: the next hour tries again.
                Err(error) => warn!(%error, "old rows could not be removed"),
            }
        }));
    }

    /// Tells the service manager that the actors answer and the database can be read; a hung process is
    /// restarted by it (cli-and-deploy §7.1). A disk that is full is no hang: restarts would not empty it,
    /// and the router serves on (REL-DB-5).
    fn report(&mut self, ctx: &mut Context<Self>) {
        let store = self.shared.store.clone();
        let read = tokio::task::spawn_blocking(move || store.read(|_| Ok(())).is_ok());
        let ask = self.desk.addr().send(CountAccounts).timeout(ANSWER);
        let in_flight = self.shared.in_flight.used();
        let both = async move { (read.await.unwrap_or(false), ask.await) };
        ctx.spawn(both.into_actor(self).map(move |answer, _, _| {
            if let (true, Ok(accounts)) = answer {
                let status = format!("{accounts} accounts, {in_flight} in flight");
                let state = [NotifyState::Watchdog, NotifyState::Status(&status)];
                if let Err(error) = sd_notify::notify(&state) {
                    warn!(%error, "the service manager could not be told");
                }
            }
        }));
    }
}

impl Actor for Upkeep {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let watchdog = sd_notify::watchdog_enabled().map(|limit| limit / 2);
        if self.managed {
            self.report(ctx);
            ctx.run_interval(watchdog.unwrap_or(REPORT_EVERY).min(REPORT_EVERY), Self::report);
        }
        if self.background {
            ctx.run_interval(CHECKPOINT_EVERY, Self::checkpoint);
            self.prune(ctx);
            ctx.run_interval(PRUNE_EVERY, Self::prune);
        }
    }
}

impl Handler<Stop> for Upkeep {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        ctx.stop();
    }
}
