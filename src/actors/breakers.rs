//! Circuit breakers of all targets: per provider and model, and per provider's host. Shared by every thread.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::clock::Clock;
use crate::routing::breaker::{
    Admission, HostBreaker, HostResult, Millis, ProbeId, ProviderModelBreaker,
};

/// Breakers kept; beyond it the closed ones are forgotten.
const MOST: usize = 10_000;

/// All breakers. Clones share them. The lock is held for nanoseconds, never across an await.
#[derive(Clone, Debug)]
pub struct Breakers {
    all: Arc<Mutex<All>>,
    clock: Clock,
    /// Where their time begins; monotonic (REL-CLK-1).
    start: Instant,
}

#[derive(Debug, Default)]
struct All {
    models: HashMap<u64, ProviderModelBreaker>,
    hosts: HashMap<u64, HostBreaker>,
    probes: ProbeId,
}

/// What the breakers say to an attempt.
#[derive(Debug)]
pub enum Admitted {
    /// Go on.
    Pass,
    /// Go on as the one probe.
    Probe(Probe),
    /// Skip the target.
    Refused,
}

/// The one probe of a half-open breaker. Dropped before [`Breakers::record`] heard of the attempt, it lets the next
/// probe go: the client left, the account gave no lease, or the request itself was wrong.
#[derive(Debug)]
pub struct Probe {
    breakers: Breakers,
    id: ProbeId,
    model: Option<u64>,
    host: Option<u64>,
}

impl Drop for Probe {
    fn drop(&mut self) {
        let now = self.breakers.now();
        let mut all = self.breakers.lock();
        if let Some(breaker) = self.model.and_then(|place| all.models.get_mut(&place)) {
            breaker.abandon(now, self.id);
        }
        if let Some(breaker) = self.host.and_then(|place| all.hosts.get_mut(&place)) {
            breaker.abandon(now, self.id);
        }
    }
}

/// How an attempt ended, as far as breakers are concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// The upstream served.
    Served,
    /// Overloaded or transient; `host` says whether the host answered at all.
    Failed {
        /// What the host did.
        host: HostResult,
    },
    /// The upstream answered with an error that says nothing about its health.
    Answered,
    /// Nobody knows.
    Abandoned,
}

impl Breakers {
    /// Closed ones.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let start = clock.now();
        Self { all: Arc::default(), clock, start }
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Millis {
        let since = self.clock.now().saturating_duration_since(self.start);
        Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
    }

    /// Whether a target is to be skipped now. Takes no probe.
    #[must_use]
    pub fn refuses(&self, provider: &str, model: &str) -> bool {
        let now = self.now();
        let all = self.lock();
        let model = all.models.get(&place(provider, model)).and_then(|b| b.refused_until(now));
        let host = all.hosts.get(&place(provider, "")).and_then(|b| b.refused_until(now));
        model.max(host).is_some()
    }

    /// Asks for an attempt; a half-open breaker lets one probe through.
    #[must_use]
    pub fn admit(&self, provider: &str, model: &str) -> Admitted {
        let now = self.now();
        let (model, host) = (place(provider, model), place(provider, ""));
        let mut all = self.lock();
        all.probes = all.probes.wrapping_add(1);
        let id = all.probes;
        let by_host = all.hosts.get_mut(&host).map_or(Admission::Pass, |b| b.admit(now, id));
        if matches!(by_host, Admission::Refused { .. }) {
            return Admitted::Refused;
        }
        let by_model = all.models.get_mut(&model).map_or(Admission::Pass, |b| b.admit(now, id));
        drop(all);
        let probe = Probe {
            breakers: self.clone(),
            id,
            model: (by_model == Admission::Probe).then_some(model),
            host: (by_host == Admission::Probe).then_some(host),
        };
        match by_model {
            // Gives back what the host's breaker may have let through.
            Admission::Refused { .. } => Admitted::Refused,
            Admission::Pass if probe.host.is_none() => Admitted::Pass,
            Admission::Pass | Admission::Probe => Admitted::Probe(probe),
        }
    }

    /// Files how an attempt ended.
    pub fn record(&self, provider: &str, model: &str, ended: Ended) {
        let now = self.now();
        let (model, host) = (place(provider, model), place(provider, ""));
        let mut all = self.lock();
        let result = match ended {
            Ended::Served => {
                all.models.remove(&model);
                HostResult::Answered
            }
            Ended::Failed { host } => {
                if all.models.len() >= MOST {
                    all.models.retain(|_, b| b.refused_until(now).is_some());
                }
                all.models.entry(model).or_default().failed(now);
                host
            }
            Ended::Answered => HostResult::Answered,
            Ended::Abandoned => return,
        };
        all.hosts.entry(host).or_default().record(result, now);
    }
}

/// One number for provider and model: the maps need no strings.
fn place(provider: &str, model: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (provider, model).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const FAILED: Ended = Ended::Failed { host: HostResult::ServerError };

    fn start() -> (Clock, Breakers) {
        let clock = Clock::manual(0);
        let breakers = Breakers::new(clock.clone());
        (clock, breakers)
    }

    fn probe(breakers: &Breakers, model: &str) -> Option<Probe> {
        match breakers.admit("p", model) {
            Admitted::Probe(probe) => Some(probe),
            Admitted::Pass | Admitted::Refused => None,
        }
    }

    fn passes(breakers: &Breakers, provider: &str, model: &str) -> bool {
        matches!(breakers.admit(provider, model), Admitted::Pass)
    }

    #[test]
    fn five_failures_close_the_way_and_one_probe_opens_it() {
        let (clock, breakers) = start();
        for _ in 0..5 {
            assert!(passes(&breakers, "p", "m"));
            breakers.record("p", "m", FAILED);
        }
        assert!(breakers.refuses("p", "m"));
        assert!(matches!(breakers.admit("p", "m"), Admitted::Refused));
        assert!(passes(&breakers, "p", "other"), "another model of the provider goes on");
        clock.advance(Duration::from_secs(10));
        assert!(!breakers.refuses("p", "m"));
        let first = probe(&breakers, "m").unwrap();
        assert!(matches!(breakers.admit("p", "m"), Admitted::Refused), "only one");
        breakers.record("p", "m", Ended::Served);
        drop(first);
        assert!(passes(&breakers, "p", "m"));
    }

    #[test]
    fn a_probe_that_nobody_reports_lets_the_next_go() {
        let (clock, breakers) = start();
        for _ in 0..5 {
            breakers.record("p", "m", FAILED);
        }
        clock.advance(Duration::from_secs(10));
        let lost = probe(&breakers, "m").unwrap();
        // Somebody else's answer frees nothing.
        breakers.record("p", "m", Ended::Answered);
        assert!(breakers.refuses("p", "m"));
        drop(lost);
        let next = probe(&breakers, "m").unwrap();
        breakers.record("p", "m", FAILED);
        drop(next);
        assert!(breakers.refuses("p", "m"), "a failed probe closes the way again");
    }

    #[test]
    fn a_host_that_never_answers_is_skipped_for_every_model() {
        let (_clock, breakers) = start();
        for n in 0..10 {
            let ended = Ended::Failed { host: HostResult::TransportFailure };
            breakers.record("p", &format!("m{n}"), ended);
        }
        assert!(breakers.refuses("p", "new"));
        assert!(passes(&breakers, "q", "new"));
    }

    #[test]
    fn a_refused_model_gives_the_probe_of_its_host_back() {
        let (clock, breakers) = start();
        for _ in 0..10 {
            breakers.record("p", "m", Ended::Failed { host: HostResult::TransportFailure });
        }
        clock.advance(Duration::from_secs(15));
        // Both are half-open; `m` opens again for 20 s, the host for 15 s.
        drop(probe(&breakers, "m"));
        let both = probe(&breakers, "m").unwrap();
        breakers.record("p", "m", FAILED);
        drop(both);
        clock.advance(Duration::from_secs(15));
        assert!(matches!(breakers.admit("p", "m"), Admitted::Refused));
        assert!(probe(&breakers, "other").is_some(), "the host's probe is still to be had");
    }
}
