//! The limit on failed API keys per client: guesses are slowed down, valid keys are never
//! refused (SEC-AK-7).

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use governor::clock::Clock as GovernorClock;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::clock::Clock;

/// Failures per minute and client that get an ordinary answer.
const PER_MINUTE: NonZeroU32 = NonZeroU32::MIN.saturating_add(29);
/// Every so many failures the clients that were quiet for a minute are forgotten.
const SWEEP_EVERY: u32 = 1024;
/// With more clients than this on record, new ones share one record: memory stays bounded.
const MOST_CLIENTS: usize = 65_536;

type Keyed = RateLimiter<IpAddr, DashMapStateStore<IpAddr>, MonoClock, NoOpMiddleware<Instant>>;

/// Counts failed keys per client.
pub struct FailedKeys {
    limiter: Keyed,
    clock: MonoClock,
    since_sweep: AtomicU32,
}

impl FailedKeys {
    /// A limiter on the given clock.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let clock = MonoClock(clock);
        let limiter = RateLimiter::dashmap_with_clock(Quota::per_minute(PER_MINUTE), clock.clone());
        Self { limiter, clock, since_sweep: AtomicU32::new(0) }
    }

    /// Counts one failed key.
    ///
    /// # Errors
    /// Seconds to wait, when the client has failed too often.
    pub fn count(&self, client: IpAddr) -> Result<(), u32> {
        self.sweep_now_and_then();
        let who = if self.limiter.len() < MOST_CLIENTS { site(client) } else { CROWD };
        self.limiter.check_key(&who).map_err(|not_until| {
            let wait = not_until.wait_time_from(self.clock.now());
            u32::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u32::MAX).max(1)
        })
    }

    fn sweep_now_and_then(&self) {
        if self.since_sweep.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            self.limiter.retain_recent();
        }
    }
}

impl fmt::Debug for FailedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FailedKeys").field("clients", &self.limiter.len()).finish_non_exhaustive()
    }
}

const CROWD: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// One IPv6 subscriber has a whole /64.
pub(super) fn site(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

/// The monotonic side of the injected clock, as governor wants it.
#[derive(Clone, Debug)]
pub(super) struct MonoClock(Clock);

impl MonoClock {
    pub(super) fn new(clock: Clock) -> Self {
        Self(clock)
    }
}

impl GovernorClock for MonoClock {
    type Instant = Instant;

    fn now(&self) -> Self::Instant {
        self.0.now()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn thirty_failures_are_answered_and_the_next_one_waits() {
        let clock = Clock::manual(0);
        let failed = FailedKeys::new(clock.clone());
        for _ in 0..30 {
            assert_eq!(failed.count(ip("203.0.113.5")), Ok(()));
        }
        assert_eq!(failed.count(ip("203.0.113.5")), Err(2));
        assert_eq!(failed.count(ip("203.0.113.6")), Ok(()), "another client is not concerned");
        clock.advance(Duration::from_secs(60));
        assert_eq!(failed.count(ip("203.0.113.5")), Ok(()));
    }

    #[test]
    fn one_ipv6_site_is_one_client() {
        let failed = FailedKeys::new(Clock::manual(0));
        for host in 0..30 {
            assert_eq!(failed.count(ip(&format!("2001:db8::{host:x}"))), Ok(()));
        }
        assert!(failed.count(ip("2001:db8::ffff")).is_err());
        assert_eq!(failed.count(ip("2001:db8:0:1::1")), Ok(()));
    }

    #[test]
    fn quiet_clients_are_forgotten() {
        let clock = Clock::manual(0);
        let failed = FailedKeys::new(clock.clone());
        for n in 0..SWEEP_EVERY - 1 {
            let client = IpAddr::from(Ipv4Addr::from_bits(0x0a00_0000 + n));
            assert_eq!(failed.count(client), Ok(()));
        }
        clock.advance(Duration::from_secs(61));
        assert_eq!(failed.count(ip("203.0.113.5")), Ok(()));
        assert_eq!(failed.limiter.len(), 1, "the 1 024th failure sweeps, then counts itself");
    }
}
