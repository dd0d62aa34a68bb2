//! Upkeep: pruning of old rows and of what the sign-in remembers, daily backups, checkpoints, the service manager's
//! watchdog, the log of late rows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use sd_notify::NotifyState;
use tracing::{error, info, warn};

use crate::actors::desk::RouterDesk;
use crate::actors::router::{ClockSet, CountAccounts};
use crate::actors::shared::Shared;
use crate::auth::audit::{Caller, Event, EventName};
use crate::auth::login_limit::SWEEP_EVERY;
use crate::clock::UnixMs;
use crate::log;
use crate::store::backup::{Backup, Reason};
use crate::store::retention::Retention;
use crate::store::{Store, StoreError};

/// How often the log is folded into the database file when it has grown.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(60);
/// How often old rows are looked for. Nightly would do; hourly keeps each run short.
const PRUNE_EVERY: Duration = Duration::from_secs(60 * 60);

/// How often it is looked at what was switched on for a while, and at the clock.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The wall clock may run apart from the monotonic one by this much between two looks (REL-CLK-1).
const JUMP_MS: i64 = 60_000;
/// How often it is looked whether the last daily backup is a day old.
const BACKUP_LOOK_EVERY: Duration = Duration::from_secs(60 * 60);
/// A daily backup is due this long after the last one. Less than a day: looks are not on the minute.
const BACKUP_AFTER_MS: i64 = 23 * 60 * 60 * 1_000 + 30 * 60 * 1_000;

/// How often it is looked whether the database was found damaged.
const DAMAGE_LOOK_EVERY: Duration = Duration::from_secs(5);
/// With a damaged database requests are served so long from what is in memory.
const SERVED_DAMAGED_MS: i64 = 10 * 60 * 1_000;

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
    /// The two clocks at the last look.
    looked: (Instant, UnixMs),
    backing_up: bool,
    /// Since when the database is known to be damaged.
    damaged_since: Option<UnixMs>,
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
        let looked = (shared.clock.now(), shared.clock.now_ms());
        Self {
            shared,
            desk,
            background,
            managed,
            pruning: false,
            looked,
            backing_up: false,
            damaged_since: None,
        }
        .start()
    }

    /// What was switched on for a while is switched off; a clock that was set is told of.
    fn look(&mut self) {
        let (now, wall) = (self.shared.clock.now(), self.shared.clock.now_ms());
        log::return_if_due(wall);
        if let Some(ended) = self.shared.capture.end_if_due(wall) {
            info!("bodies are no longer captured: the time is over");
            let event = Event::ok(EventName::DebugLoggingOff).with("mode", ended.mode.as_str());
            self.shared.audit.record(&Caller::system(), event.with("why", "its time is over"));
        }
        let passed = i64::try_from(now.saturating_duration_since(self.looked.0).as_millis());
        let delta = wall.saturating_sub(self.looked.1).saturating_sub(passed.unwrap_or(i64::MAX));
        if delta.abs() > JUMP_MS {
            warn!(delta_ms = delta, "the wall clock was set, or this machine slept");
            let event = Event::ok(EventName::ClockJump).with("delta", delta);
            self.shared.audit.record(&Caller::system(), event);
            // With a full mailbox the router's own sweep does it, a minute later at most.
            drop(self.desk.addr().try_send(ClockSet));
        }
        self.looked = (now, wall);
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

    /// Attempts that no longer count and sessions that are over go, so that memory and table stay small (SEC-LIM-2).
    fn sweep(&mut self, ctx: &mut Context<Self>) {
        let shared = Arc::clone(&self.shared);
        let work = tokio::task::spawn_blocking(move || shared.login.sweep());
        ctx.spawn(work.into_actor(self).map(|done, _, _| {
            if let Ok(Err(error)) = done {
                warn!(%error, "sessions that are over could not be removed");
            }
        }));
    }

    /// Makes the day's backup when the last one is a day old, and removes those that are too many.
    fn back_up(&mut self, ctx: &mut Context<Self>) {
        let snapshot = self.shared.snapshot.load();
        if !snapshot.settings.backup_daily || std::mem::replace(&mut self.backing_up, true) {
            return;
        }
        let keep = usize::try_from(snapshot.settings.backup_keep).unwrap_or(usize::MAX);
        let (store, now) = (self.shared.store.clone(), self.shared.clock.now_ms());
        let work = tokio::task::spawn_blocking(move || daily_backup(&store, keep, now));
        ctx.spawn(work.into_actor(self).map(|done, act, _| {
            act.backing_up = false;
            match done {
                Ok(Ok(None)) => {}
                Ok(Ok(Some(backup))) => {
                    let event = Event::ok(EventName::BackupCreated);
                    let event = event.with("name", backup.name).with("bytes", backup.bytes);
                    act.shared.audit.record(&Caller::system(), event);
                }
                Ok(Err(error)) => {
                    warn!(%error, "the daily backup failed; it is tried again in an hour");
                    let event = Event::failed(EventName::BackupCreated);
                    let event = event.with("error", error.to_string());
                    act.shared.audit.record(&Caller::system(), event);
                }
                // The task panicked: the next hour tries again.
                Err(error) => {
                    warn!(%error, "the daily backup failed; it is tried again in an hour");
                }
            }
        }));
    }

    /// A database that is damaged is written to no more; what is in memory is served for a while, so that somebody can
    /// act, then the router ends (REL-DB-6).
    fn watch_damage(&mut self, _: &mut Context<Self>) {
        if !self.shared.store.is_damaged() && !self.shared.ledger.is_damaged() {
            return;
        }
        let now = self.shared.clock.now_ms();
        let since = *self.damaged_since.get_or_insert_with(|| {
            error!(
                "the database is damaged: nothing is written any more, and in ten minutes the router ends; stop it \
                 and restore a backup (`ninerouter restore`)"
            );
            now
        });
        if now - since >= SERVED_DAMAGED_MS {
            self.shared.drain.ask_stop();
        }
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

/// Makes a daily backup when none is younger than a day.
fn daily_backup(store: &Store, keep: usize, now: UnixMs) -> Result<Option<Backup>, StoreError> {
    let daily = Reason::Daily.text();
    let newest = store.backups()?.into_iter().find(|backup| backup.reason == daily);
    // One of the future was made with a wrong clock.
    let is_recent = |made_at: UnixMs| (made_at..made_at + BACKUP_AFTER_MS).contains(&now);
    if newest.is_some_and(|newest| is_recent(newest.created_at)) {
        return Ok(None);
    }
    let made = store.back_up(&Reason::Daily)?;
    store.drop_old_backups(keep)?;
    Ok(Some(made))
}

impl Actor for Upkeep {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let watchdog = sd_notify::watchdog_enabled().map(|limit| limit / 2);
        if self.managed {
            self.report(ctx);
            ctx.run_interval(watchdog.unwrap_or(REPORT_EVERY).min(REPORT_EVERY), Self::report);
        }
        ctx.run_interval(SWEEP_EVERY, Self::sweep);
        ctx.run_interval(LOOK_EVERY, |act, _| act.look());
        ctx.run_interval(DAMAGE_LOOK_EVERY, Self::watch_damage);
        if self.background {
            ctx.run_interval(CHECKPOINT_EVERY, Self::checkpoint);
            self.prune(ctx);
            ctx.run_interval(PRUNE_EVERY, Self::prune);
            // Not at the start: whoever starts may be about to restore.
            ctx.run_interval(BACKUP_LOOK_EVERY, Self::back_up);
        }
    }
}

impl Handler<Stop> for Upkeep {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::testing::opened;
    use crate::clock::Clock;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    #[test]
    fn a_backup_is_made_once_a_day_and_the_newest_are_kept() {
        let clock = Clock::manual(1_790_000_000_000);
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = opened(folder.path(), &clock, Vec::new());
        let asked = store.back_up(&Reason::Manual).unwrap();
        let names = || -> Vec<String> {
            store.backups().unwrap().into_iter().map(|backup| backup.name).collect()
        };
        for day in 0..4 {
            let made = daily_backup(&store, 2, clock.now_ms()).unwrap();
            assert!(made.is_some_and(|backup| backup.verified), "day {day}");
            clock.advance(DAY / 2);
            assert_eq!(daily_backup(&store, 2, clock.now_ms()).unwrap(), None, "day {day}");
            clock.advance(DAY / 2);
        }
        let names = names();
        assert_eq!(names.len(), 3, "{names:?}");
        assert!(names.contains(&asked.name), "other kinds stay: {names:?}");
    }
}
