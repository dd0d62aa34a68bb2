//! Circuit breakers: per provider and model (accounts §5.6), and per host (REL-UP-8). State machines without a clock.

use std::collections::VecDeque;

use crate::routing::instant::{MINUTE, SECOND};

/// Milliseconds of one clock, whichever: a monotonic one, so that a clock that is set opens or closes nothing.
pub type Millis = i64;

/// Tells one probe from the next.
pub type ProbeId = u64;

/// What a breaker says to an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admission {
    /// Go on.
    Pass,
    /// Go on as the one probe, named by the id: report success, failure or [`abandon`](ProviderModelBreaker::abandon).
    Probe,
    /// Skip the target at once.
    Refused {
        /// When the next probe may go, ms of the same clock.
        until: Millis,
    },
}

/// How an attempt ended, as far as the host is concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HostResult {
    /// An answer below 500.
    Answered,
    /// An answer of 500 and above.
    ServerError,
    /// No answer: connect, TLS, time-out, reset, broken protocol.
    TransportFailure,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Closed,
    Open {
        until: Millis,
    },
    /// One probe is under way since then.
    Probing {
        since: Millis,
        id: ProbeId,
    },
}

/// A probe that reported nothing for this long is taken for lost.
const PROBE_LOST_MS: i64 = 5 * MINUTE;

impl State {
    fn admit(&mut self, now: Millis, id: ProbeId) -> Admission {
        match *self {
            Self::Closed => Admission::Pass,
            Self::Open { until } if until > now => Admission::Refused { until },
            Self::Probing { since, .. } if now.saturating_sub(since) < PROBE_LOST_MS => {
                Admission::Refused { until: now.saturating_add(SECOND) }
            }
            Self::Open { .. } | Self::Probing { .. } => {
                *self = Self::Probing { since: now, id };
                Admission::Probe
            }
        }
    }

    /// The probe `id` ended without a verdict: the next may go at once.
    fn abandon(&mut self, now: Millis, id: ProbeId) {
        if matches!(*self, Self::Probing { id: running, .. } if running == id) {
            *self = Self::Open { until: now };
        }
    }

    fn refused_until(self, now: Millis) -> Option<Millis> {
        match self {
            Self::Closed => None,
            Self::Open { until } => (until > now).then_some(until),
            Self::Probing { since, .. } => {
                (now.saturating_sub(since) < PROBE_LOST_MS).then(|| now.saturating_add(SECOND))
            }
        }
    }
}

/// Breaker of one model at one provider: capacity trouble that is no account's fault.
#[derive(Clone, Debug)]
pub struct ProviderModelBreaker {
    state: State,
    /// Instants of the latest failures, oldest first.
    failures: VecDeque<Millis>,
    /// How often it opened without a success in between.
    openings: u8,
}

impl Default for ProviderModelBreaker {
    fn default() -> Self {
        Self { state: State::Closed, failures: VecDeque::new(), openings: 0 }
    }
}

impl ProviderModelBreaker {
    /// Five failures, from one account or from several …
    const FAILURES: usize = 5;
    /// … within this time open it.
    const WINDOW_MS: i64 = MINUTE;
    const FIRST_MS: i64 = 10 * SECOND;
    const LONGEST_MS: i64 = 2 * MINUTE;

    /// Asks for an attempt. Combos skip the entry when refused; a request for this one model tries it anyway.
    pub fn admit(&mut self, now: Millis, id: ProbeId) -> Admission {
        self.state.admit(now, id)
    }

    /// Until when attempts are refused, without taking the probe.
    #[must_use]
    pub fn refused_until(&self, now: Millis) -> Option<Millis> {
        self.state.refused_until(now)
    }

    /// Files an `overloaded` or `transient` failure.
    pub fn failed(&mut self, now: Millis) {
        match self.state {
            State::Probing { .. } => self.open(now),
            // Requests that were under way when it opened say nothing new.
            State::Open { .. } => {}
            State::Closed => {
                self.failures.push_back(now);
                let is_old = |at: &Millis| now.saturating_sub(*at) >= Self::WINDOW_MS;
                while self.failures.front().is_some_and(is_old) {
                    self.failures.pop_front();
                }
                if self.failures.len() >= Self::FAILURES {
                    self.open(now);
                }
            }
        }
    }

    /// Files a success.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// The probe ended without a verdict: the client left, or the request itself was wrong.
    pub fn abandon(&mut self, now: Millis, id: ProbeId) {
        self.state.abandon(now, id);
    }

    fn open(&mut self, now: Millis) {
        let factor = 1_i64.checked_shl(u32::from(self.openings.min(30))).unwrap_or(i64::MAX);
        let length = Self::FIRST_MS.saturating_mul(factor).min(Self::LONGEST_MS);
        self.openings = self.openings.saturating_add(1);
        self.failures.clear();
        self.state = State::Open { until: now.saturating_add(length) };
    }
}

/// Breaker of one provider's host: the transport.
#[derive(Clone, Debug)]
pub struct HostBreaker {
    state: State,
    /// Transport failures since the last answer.
    in_a_row: u32,
    /// Results of the last 30 s: when, and whether it failed.
    recent: VecDeque<(Millis, bool)>,
    /// How many of them failed.
    failures: usize,
}

impl Default for HostBreaker {
    fn default() -> Self {
        Self { state: State::Closed, in_a_row: 0, recent: VecDeque::new(), failures: 0 }
    }
}

impl HostBreaker {
    const IN_A_ROW: u32 = 10;
    /// At least this many results of the window …
    const SAMPLE: usize = 20;
    /// … which is this long.
    const WINDOW_MS: i64 = 30 * SECOND;
    const OPEN_MS: i64 = 15 * SECOND;
    /// Results kept; a busy host needs no more to be judged.
    const KEPT: usize = 1_000;

    /// Asks for an attempt; refused = skip the target, do not fail the request.
    pub fn admit(&mut self, now: Millis, id: ProbeId) -> Admission {
        self.state.admit(now, id)
    }

    /// Until when attempts are refused, without taking the probe.
    #[must_use]
    pub fn refused_until(&self, now: Millis) -> Option<Millis> {
        self.state.refused_until(now)
    }

    /// Files how an attempt ended.
    pub fn record(&mut self, result: HostResult, now: Millis) {
        let failed = match result {
            HostResult::Answered => false,
            HostResult::ServerError | HostResult::TransportFailure => true,
        };
        match self.state {
            State::Probing { .. } if failed => self.open(now),
            State::Probing { .. } => *self = Self::default(),
            State::Open { .. } => {}
            State::Closed => self.count(result, failed, now),
        }
    }

    /// The probe ended without a verdict.
    pub fn abandon(&mut self, now: Millis, id: ProbeId) {
        self.state.abandon(now, id);
    }

    fn count(&mut self, result: HostResult, failed: bool, now: Millis) {
        // A 5xx proves that the transport works; it counts for the share below only.
        self.in_a_row = match result {
            HostResult::TransportFailure => self.in_a_row.saturating_add(1),
            HostResult::Answered | HostResult::ServerError => 0,
        };
        self.recent.push_back((now, failed));
        self.failures += usize::from(failed);
        let is_old = |(at, _): &(Millis, bool)| now.saturating_sub(*at) >= Self::WINDOW_MS;
        while self.recent.len() > Self::KEPT || self.recent.front().is_some_and(is_old) {
            let oldest = self.recent.pop_front();
            self.failures -= usize::from(oldest.is_some_and(|(_, failed)| failed));
        }
        let half = self.failures.saturating_mul(2) >= self.recent.len();
        if self.in_a_row >= Self::IN_A_ROW || (self.recent.len() >= Self::SAMPLE && half) {
            self.open(now);
        }
    }

    fn open(&mut self, now: Millis) {
        self.state = State::Open { until: now.saturating_add(Self::OPEN_MS) };
        self.in_a_row = 0;
        self.failures = 0;
        self.recent.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Millis = 1_000_000;

    #[test]
    fn five_failures_within_a_minute_open_the_model_breaker() {
        let mut breaker = ProviderModelBreaker::default();
        for at in [0, 15_000, 30_000, 45_000, 60_000] {
            breaker.failed(T + at);
        }
        assert_eq!(breaker.admit(T + 60_000, 1), Admission::Pass, "the first one is too old");
        breaker.failed(T + 60_001);
        assert_eq!(breaker.admit(T + 60_002, 1), Admission::Refused { until: T + 70_001 });
        assert_eq!(breaker.refused_until(T + 60_002), Some(T + 70_001));
    }

    #[test]
    fn success_forgets_earlier_failures() {
        let mut breaker = ProviderModelBreaker::default();
        for _ in 0..4 {
            breaker.failed(T);
        }
        breaker.succeeded();
        breaker.failed(T);
        assert_eq!(breaker.admit(T, 1), Admission::Pass);
    }

    #[test]
    fn one_probe_decides_and_each_failed_one_doubles_the_wait() {
        let mut breaker = ProviderModelBreaker::default();
        let mut now = T;
        for _ in 0..5 {
            breaker.failed(now);
        }
        for seconds in [10, 20, 40, 80, 120, 120] {
            let until = now + seconds * 1_000;
            assert_eq!(breaker.admit(until - 1, 1), Admission::Refused { until });
            now = until;
            assert_eq!(breaker.refused_until(now), None);
            assert_eq!(breaker.admit(now, 1), Admission::Probe);
            assert!(matches!(breaker.admit(now, 1), Admission::Refused { .. }), "one probe only");
            breaker.failed(now);
        }
        now += 120_000;
        assert_eq!(breaker.admit(now, 1), Admission::Probe);
        breaker.succeeded();
        assert_eq!(breaker.admit(now, 1), Admission::Pass);
    }

    #[test]
    fn an_abandoned_or_lost_probe_does_not_close_the_way_for_ever() {
        let mut breaker = ProviderModelBreaker::default();
        for _ in 0..5 {
            breaker.failed(T);
        }
        assert_eq!(breaker.admit(T + 10_000, 1), Admission::Probe);
        breaker.abandon(T + 11_000, 7);
        assert!(matches!(breaker.admit(T + 11_000, 1), Admission::Refused { .. }), "not its probe");
        breaker.abandon(T + 11_000, 1);
        assert_eq!(breaker.admit(T + 11_000, 1), Admission::Probe);
        assert!(matches!(breaker.admit(T + 12_000, 1), Admission::Refused { .. }));
        assert_eq!(breaker.admit(T + 11_000 + PROBE_LOST_MS, 1), Admission::Probe);
    }

    #[test]
    fn late_failures_of_an_open_breaker_change_nothing() {
        let mut breaker = ProviderModelBreaker::default();
        for i in 0..50 {
            breaker.failed(T + i);
        }
        assert_eq!(breaker.refused_until(T + 50), Some(T + 4 + 10_000));
    }

    #[test]
    fn ten_transport_failures_in_a_row_open_the_host() {
        let mut host = HostBreaker::default();
        for _ in 0..9 {
            host.record(HostResult::TransportFailure, T);
        }
        host.record(HostResult::ServerError, T);
        for _ in 0..9 {
            host.record(HostResult::TransportFailure, T);
        }
        assert_eq!(host.admit(T, 1), Admission::Pass, "an answer breaks the row");
        let mut host = HostBreaker::default();
        for _ in 0..10 {
            host.record(HostResult::TransportFailure, T);
        }
        assert_eq!(host.admit(T, 1), Admission::Refused { until: T + 15_000 });
        assert_eq!(host.admit(T + 15_000, 1), Admission::Probe);
        host.record(HostResult::Answered, T + 15_001);
        assert_eq!(host.admit(T + 15_001, 1), Admission::Pass);
    }

    #[test]
    fn half_of_twenty_results_within_thirty_seconds_open_the_host() {
        let run = |failed: usize, spacing: i64| {
            let mut host = HostBreaker::default();
            let mut now = T;
            for i in 0..20 {
                now += spacing;
                let result =
                    if i < failed { HostResult::ServerError } else { HostResult::Answered };
                host.record(result, now);
            }
            host.refused_until(now).is_some()
        };
        assert!(run(10, 100));
        assert!(!run(9, 100));
        assert!(!run(10, 2_000), "spread over 40 s, fewer than twenty are in the window");
    }

    #[test]
    fn answers_below_500_never_count_as_failures() {
        let mut host = HostBreaker::default();
        for _ in 0..5_000 {
            host.record(HostResult::Answered, T);
        }
        assert_eq!(host.admit(T, 1), Admission::Pass);
        assert!(host.recent.len() <= HostBreaker::KEPT + 1);
    }

    #[test]
    fn a_failed_host_probe_opens_for_another_fifteen_seconds() {
        let mut host = HostBreaker::default();
        for _ in 0..10 {
            host.record(HostResult::TransportFailure, T);
        }
        assert_eq!(host.admit(T + 15_000, 1), Admission::Probe);
        host.record(HostResult::ServerError, T + 16_000);
        assert_eq!(host.admit(T + 16_000, 1), Admission::Refused { until: T + 31_000 });
        assert_eq!(host.admit(T + 31_000, 1), Admission::Probe);
        host.abandon(T + 31_001, 1);
        assert_eq!(host.admit(T + 31_001, 1), Admission::Probe);
    }
}
