//! Circuit breakers of all targets: per provider and model, and per provider's host. Shared by every thread.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::UnixMs;
use crate::routing::breaker::{Admission, HostBreaker, HostResult, ProviderModelBreaker};

/// Breakers kept; beyond it the closed ones are forgotten.
const MOST: usize = 10_000;

/// All breakers. The lock is held for nanoseconds, never across an await.
#[derive(Debug, Default)]
pub struct Breakers(Mutex<All>);

#[derive(Debug, Default)]
struct All {
    models: HashMap<u64, ProviderModelBreaker>,
    hosts: HashMap<u64, HostBreaker>,
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
    fn lock(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until when a target is refused; `None` when it may be tried. Takes no probe.
    #[must_use]
    pub fn refused_until(&self, provider: &str, model: &str, now: UnixMs) -> Option<UnixMs> {
        let all = self.lock();
        let model = all.models.get(&place(provider, model)).and_then(|b| b.refused_until(now));
        let host = all.hosts.get(&place(provider, "")).and_then(|b| b.refused_until(now));
        model.max(host)
    }

    /// Asks for an attempt; a half-open breaker lets one probe through. False = skip the target.
    #[must_use]
    pub fn admit(&self, provider: &str, model: &str, now: UnixMs) -> bool {
        let mut all = self.lock();
        let refused = |admission| matches!(admission, Admission::Refused { .. });
        if all.hosts.get_mut(&place(provider, "")).is_some_and(|b| refused(b.admit(now))) {
            return false;
        }
        !all.models.get_mut(&place(provider, model)).is_some_and(|b| refused(b.admit(now)))
    }

    /// Files how an attempt ended.
    pub fn record(&self, provider: &str, model: &str, ended: Ended, now: UnixMs) {
        let (model, host) = (place(provider, model), place(provider, ""));
        let mut all = self.lock();
        match ended {
            Ended::Served => {
                all.models.remove(&model);
            }
            Ended::Failed { .. } => {
                if all.models.len() >= MOST {
                    all.models.retain(|_, b| b.refused_until(now).is_some());
                }
                all.models.entry(model).or_default().failed(now);
            }
            Ended::Answered | Ended::Abandoned => {
                if let Some(breaker) = all.models.get_mut(&model) {
                    breaker.abandon(now);
                }
            }
        }
        let result = match ended {
            Ended::Served | Ended::Answered => HostResult::Answered,
            Ended::Failed { host } => host,
            Ended::Abandoned => {
                if let Some(breaker) = all.hosts.get_mut(&host) {
                    breaker.abandon(now);
                }
                return;
            }
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
    use super::*;

    const FAILED: Ended = Ended::Failed { host: HostResult::ServerError };

    #[test]
    fn five_failures_close_the_way_and_one_probe_opens_it() {
        let breakers = Breakers::default();
        for _ in 0..5 {
            assert!(breakers.admit("p", "m", 0));
            breakers.record("p", "m", FAILED, 0);
        }
        assert_eq!(breakers.refused_until("p", "m", 1), Some(10_000));
        assert!(!breakers.admit("p", "m", 1));
        assert!(breakers.admit("p", "other", 1), "another model of the provider goes on");
        assert!(breakers.admit("p", "m", 10_001), "the probe");
        assert!(!breakers.admit("p", "m", 10_001), "only one");
        breakers.record("p", "m", Ended::Served, 10_002);
        assert!(breakers.admit("p", "m", 10_003));
    }

    #[test]
    fn a_host_that_never_answers_is_skipped_for_every_model() {
        let breakers = Breakers::default();
        for n in 0..10 {
            let model = format!("m{n}");
            let ended = Ended::Failed { host: HostResult::TransportFailure };
            breakers.record("p", &model, ended, 0);
        }
        assert!(!breakers.admit("p", "new", 1));
        assert!(breakers.admit("q", "new", 1));
    }
}
