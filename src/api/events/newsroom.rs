//! The maker of events: gathers notices, looks at what they are about, and tells it at the pace of dashboard §1.3.
//!
//! It has a thread of its own, so that what pages want to see never stands in the way of a request, and ends when
//! nobody listens any more.

mod accounts;
mod pace;
mod requests;

use std::collections::HashSet;
use std::mem;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{debug, error};

use crate::actors::live::LiveEvent;
use crate::actors::live::channel::Interest;
use crate::actors::live::topic::Topic;
use crate::api::call::Request;
use crate::api::events::newsroom::accounts::Accounts;
use crate::api::events::newsroom::pace::Pace;
use crate::api::events::newsroom::requests::Requests;
use crate::api::{Api, Service};
use crate::auth::audit::Caller;
use crate::log::console;

/// How often notices are gathered: the shortest pause between two events of a kind.
const TICK: Duration = Duration::from_millis(250);

/// Lines of the console in one event.
const LINES: usize = 100;

const SHELL: Duration = Duration::from_secs(1);
const STATS: Duration = Duration::from_secs(2);
const INFLIGHT: Duration = Duration::from_millis(500);
const COMBO: Duration = Duration::from_secs(2);
const PROVIDER: Duration = Duration::from_secs(1);
const ALERTS: Duration = Duration::from_millis(500);
const JOB: Duration = Duration::from_millis(250);

/// Starts making events; `notices` hears of everything from before now on.
pub(super) fn begin(service: Service, notices: Receiver<LiveEvent>) {
    let channel = service.shared.live.channel().clone();
    let work = move || {
        let over = Over(service.clone());
        actix_rt::System::new().block_on(Newsroom::new(Api::new(service), notices).run());
        drop(over);
    };
    if let Err(error) = thread::Builder::new().name("live-events".into()).spawn(work) {
        error!(%error, "pages stay still: the system gives no thread for live events");
        channel.abandon();
    }
}

/// Says so when the maker ends, also by a panic: the next who asks begins anew.
struct Over(Service);

impl Drop for Over {
    fn drop(&mut self) {
        if thread::panicking() {
            error!("the maker of live events died; the next page starts it again");
            self.0.shared.live.channel().abandon();
        }
    }
}

struct Newsroom {
    api: Api,
    notices: Receiver<LiveEvent>,
    pace: Pace,
    accounts: Accounts,
    requests: Requests,
    /// Objects that somebody said have changed.
    dirty: HashSet<(Topic, String)>,
    /// Topics without objects that have.
    stale: HashSet<Topic>,
    /// Batches of usage rows that are in the figures told last.
    commits: u64,
    /// The newest line of the console that was told.
    line: u64,
}

impl Newsroom {
    fn new(api: Api, notices: Receiver<LiveEvent>) -> Self {
        let commits = api.shared().ledger.commits();
        Self {
            api,
            notices,
            pace: Pace::default(),
            accounts: Accounts::default(),
            requests: Requests::default(),
            dirty: HashSet::new(),
            stale: HashSet::new(),
            commits,
            line: console().newest(),
        }
    }

    async fn run(mut self) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let shared = self.api.shared().clone();
            let now = shared.clock.now();
            let channel = shared.live.channel();
            channel.drop_stalled(now);
            if channel.rests(now) {
                return;
            }
            let interest = channel.interest(now);
            self.gather(&interest);
            self.tell(now, &interest).await;
        }
    }

    /// Takes in what was noticed since the last time.
    fn gather(&mut self, interest: &Interest) {
        loop {
            match self.notices.try_recv() {
                Ok(notice) => self.note(notice, interest),
                Err(TryRecvError::Lagged(missed)) => {
                    debug!(missed, "live events: notices were missed, every page looks anew");
                    self.api.shared().live.channel().interrupt();
                    self.note(LiveEvent::Configuration, interest);
                }
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    fn note(&mut self, notice: LiveEvent, interest: &Interest) {
        let mut object = |topic, id: String| self.dirty.insert((topic, id));
        match notice {
            LiveEvent::Account(id) => self.accounts.changed(id),
            LiveEvent::Quota(id) => self.accounts.quota_changed(id),
            LiveEvent::RequestFinished(record) if interest.has(Topic::Req) => {
                self.requests.finished(&record);
            }
            LiveEvent::RequestFinished(_) => {}
            LiveEvent::Alerts
            | LiveEvent::BudgetThreshold { .. }
            | LiveEvent::BudgetBlocked { .. } => {
                self.stale.insert(Topic::Alerts);
            }
            LiveEvent::SignIn(id) => {
                object(Topic::Connect, id.to_string());
            }
            LiveEvent::Job(id) => {
                object(Topic::Job, id);
            }
            LiveEvent::Configuration => {
                self.accounts.all_changed();
                self.stale.insert(Topic::Alerts);
            }
        }
    }

    async fn tell(&mut self, now: Instant, interest: &Interest) {
        self.tell_requests(now, interest);
        self.tell_lines(interest);
        self.tell_accounts(now, interest).await;
        self.tell_providers(now, interest).await;
        self.tell_combos(now, interest).await;
        self.tell_objects(now, interest).await;
        if self.api.shared().ledger.commits() != self.commits {
            self.stale.insert(Topic::Stats);
        }
        if interest.has(Topic::Stats)
            && self.stale.contains(&Topic::Stats)
            && self.pace.is_due(Topic::Stats, "", STATS, now)
        {
            self.stale.remove(&Topic::Stats);
            self.commits = self.api.shared().ledger.commits();
            self.tell_answer(Topic::Stats, None, "/api/usage/summary?period=today").await;
        }
        if interest.has(Topic::Alerts)
            && self.stale.contains(&Topic::Alerts)
            && self.pace.is_due(Topic::Alerts, "", ALERTS, now)
        {
            self.stale.remove(&Topic::Alerts);
            self.tell_answer(Topic::Alerts, None, "/api/alerts").await;
        }
        if interest.has(Topic::Shell) && self.pace.is_due(Topic::Shell, "", SHELL, now) {
            self.tell_shell().await;
        }
    }

    fn tell_requests(&mut self, now: Instant, interest: &Interest) {
        let shared = self.api.shared().clone();
        let channel = shared.live.channel();
        let wants_list =
            interest.has(Topic::Inflight) && self.pace.is_due(Topic::Inflight, "", INFLIGHT, now);
        if !wants_list && !interest.has(Topic::Req) {
            self.requests.forget();
            return;
        }
        let running = shared.live.running().list();
        if interest.has(Topic::Req) {
            self.requests.tell(&running, channel);
        }
        if wants_list {
            let list = running.iter().map(|request| super::rows::in_flight(request)).collect();
            self.tell_if_new(Topic::Inflight, None, list);
        }
    }

    fn tell_lines(&mut self, interest: &Interest) {
        if !interest.has(Topic::Log) {
            self.line = console().newest();
            return;
        }
        loop {
            let lines = console().after(self.line, LINES);
            let Some(last) = lines.last() else { return };
            self.line = last.id;
            let told = lines.iter().map(|line| line.to_json()).collect();
            self.api.shared().live.channel().tell(Topic::Log, None, told);
        }
    }

    /// Providers and combos that hang on accounts whose standing changed.
    async fn tell_providers(&mut self, now: Instant, interest: &Interest) {
        for id in self.accounts.providers() {
            if !interest.covers(Topic::Prov, &id) {
                self.accounts.told_provider(&id);
            } else if self.pace.is_due(Topic::Prov, &id, PROVIDER, now) {
                self.accounts.told_provider(&id);
                let path = format!("/api/providers/{}", encoded(&id));
                self.tell_answer(Topic::Prov, Some(id), &path).await;
            }
        }
    }

    async fn tell_combos(&mut self, now: Instant, interest: &Interest) {
        if !self.accounts.are_combos_stale() || !self.pace.is_due(Topic::Combo, "", COMBO, now) {
            return;
        }
        self.accounts.told_combos();
        if !interest.has(Topic::Combo) {
            return;
        }
        let mut cursor = String::new();
        loop {
            let path = format!("/api/combos?limit=500&cursor={cursor}");
            let Some(mut page) = self.answer(&path).await else { return };
            let Some(Value::Array(combos)) = page.get_mut("data").map(Value::take) else { return };
            for combo in combos {
                let id = combo.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
                if interest.covers(Topic::Combo, &id) {
                    self.tell_if_new(Topic::Combo, Some(id), combo);
                }
            }
            match page.get("next").and_then(Value::as_str) {
                Some(next) => cursor = next.to_owned(),
                None => return,
            }
        }
    }

    /// Jobs and sign-ins.
    async fn tell_objects(&mut self, now: Instant, interest: &Interest) {
        for (topic, id) in mem::take(&mut self.dirty) {
            if !interest.covers(topic, &id) {
                continue;
            }
            let pause = if topic == Topic::Job { JOB } else { Duration::ZERO };
            if !self.pace.is_due(topic, &id, pause, now) {
                self.dirty.insert((topic, id));
                continue;
            }
            let path = match topic {
                Topic::Job => format!("/api/jobs/{}", encoded(&id)),
                _ => format!("/api/accounts/connect/sessions/{}", encoded(&id)),
            };
            self.tell_answer(topic, Some(id), &path).await;
        }
    }

    async fn tell_shell(&mut self) {
        let Some(status) = self.answer("/api/status").await else { return };
        let part = |name: &str| status.get(name).cloned().unwrap_or_default();
        // In whole minutes: by the second it would be news every second.
        let uptime = status.get("uptime_s").and_then(Value::as_i64).unwrap_or_default();
        let shell = json!({
            "accounts": part("accounts"),
            "in_flight": part("in_flight"),
            "alerts": part("alerts"),
            "redis": part("redis"),
            "capture": part("capture"),
            "uptime_s": uptime - uptime % 60,
        });
        self.tell_if_new(Topic::Shell, None, shell);
    }

    /// Tells what a route of the API answers.
    async fn tell_answer(&mut self, topic: Topic, object: Option<String>, path: &str) {
        if let Some(mut answer) = self.answer(path).await {
            // A list is told as the list, without its paging.
            let told = answer.get_mut("data").map(Value::take).unwrap_or(answer);
            self.tell_if_new(topic, object, told);
        }
    }

    fn tell_if_new(&mut self, topic: Topic, object: Option<String>, data: Value) {
        if self.pace.is_new(topic, object.as_deref().unwrap_or_default(), &data) {
            self.api.shared().live.channel().tell(topic, object, data);
        }
    }

    /// What the API answers to the router itself; `None` when it refuses.
    async fn answer(&self, path: &str) -> Option<Value> {
        let reply = self.api.call(Request::new("GET", path, Caller::system()), "live-events").await;
        if reply.status != 200 {
            debug!(path, status = reply.status, "live events: nothing to tell");
            return None;
        }
        reply.into_json()
    }
}

/// A part of a path.
fn encoded(part: &str) -> String {
    percent_encoding::utf8_percent_encode(part, percent_encoding::NON_ALPHANUMERIC).to_string()
}
