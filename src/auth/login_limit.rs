//! The limit on sign-in attempts: five per client in fifteen minutes, counted before a password is looked at
//! (SEC-LIM-1 to SEC-LIM-5). In memory only: a restart forgets it.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::Clock as GovernorClock;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use super::failed::{MonoClock, site};
use crate::clock::Clock;

/// Attempts of a client in [`PERIOD`].
const ATTEMPTS: NonZeroU32 = NonZeroU32::MIN.saturating_add(4);
/// One attempt comes back after this.
const PERIOD: Duration = Duration::from_secs(15 * 60);
/// Attempts of all clients from elsewhere together in [`PERIOD`].
const ATTEMPTS_OF_ALL: usize = 200;
/// With so many clients on record, new ones share one record: memory stays bounded.
const MOST_CLIENTS: usize = 100_000;
/// How often [`LoginLimit::sweep`] is wanted.
pub const SWEEP_EVERY: Duration = Duration::from_secs(5 * 60);

/// A client, how often all records were cleared, and how often its own was: the limiter itself cannot forget a key.
type Key = (IpAddr, u32, u32);
type Keyed = RateLimiter<Key, DashMapStateStore<Key>, MonoClock, NoOpMiddleware<Instant>>;

/// Counts attempts. One for the sign-in form, the set-up code, and the password that is entered again.
pub struct LoginLimit {
    limiter: Keyed,
    clock: MonoClock,
    side: Mutex<Side>,
}

#[derive(Default)]
struct Side {
    /// How often each client's record was cleared, and when last.
    cleared: HashMap<IpAddr, (u32, Instant)>,
    /// How often all records were cleared.
    all_cleared: u32,
    /// Attempts of clients from elsewhere, oldest first.
    recent: VecDeque<Instant>,
}

/// Seconds to wait, 1 to 900.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limited(pub u32);

impl LoginLimit {
    /// A limiter on the given clock.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let clock = MonoClock::new(clock);
        // GCRA with five at once and one more per period: not one per three minutes, which would let ten
        // through in the first period (security §26).
        let quota = Quota::with_period(PERIOD)
            .unwrap_or_else(|| Quota::per_hour(NonZeroU32::MIN))
            .allow_burst(ATTEMPTS);
        let limiter = RateLimiter::dashmap_with_clock(quota, clock.clone());
        Self { limiter, clock, side: Mutex::default() }
    }

    /// Counts an attempt, right or wrong. The limit of all together spares local clients: the operator is not to be
    /// locked out by strangers.
    ///
    /// # Errors
    /// When there were too many; the attempt must then not be looked at.
    pub fn count(&self, client: IpAddr, is_local: bool) -> Result<(), Limited> {
        let now = self.clock.now();
        let key = self.key(client);
        if let Err(not_until) = self.limiter.check_key(&key) {
            return Err(limited(not_until.wait_time_from(now)));
        }
        if is_local { Ok(()) } else { self.count_for_all(now) }
    }

    /// The attempt was right: its client begins anew.
    pub fn clear(&self, client: IpAddr) {
        let now = self.clock.now();
        let mut side = self.side();
        if side.cleared.len() < MOST_CLIENTS {
            let entry = side.cleared.entry(site(client)).or_insert((0, now));
            *entry = (entry.0.wrapping_add(1), now);
        }
    }

    /// Everybody begins anew.
    pub fn clear_all(&self) {
        let mut side = self.side();
        side.all_cleared = side.all_cleared.wrapping_add(1);
        side.recent.clear();
    }

    /// Forgets clients whose attempts have all come back.
    pub fn sweep(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
        let now = self.clock.now();
        // By then every record under an earlier count is as good as new.
        let fresh_after = PERIOD * ATTEMPTS.get();
        let mut side = self.side();
        side.cleared.retain(|_, (_, at)| now.saturating_duration_since(*at) < fresh_after);
        side.cleared.shrink_to_fit();
    }

    fn key(&self, client: IpAddr) -> Key {
        let who = site(client);
        let (all, count) = {
            let side = self.side();
            (side.all_cleared, side.cleared.get(&who).map_or(0, |(count, _)| *count))
        };
        let key = (who, all, count);
        // Asking whether the client is known would cost as much as the record: a full table sends all but the
        // cleared ones to the shared record.
        if self.limiter.len() < MOST_CLIENTS || count > 0 { key } else { (CROWD, all, 0) }
    }

    fn count_for_all(&self, now: Instant) -> Result<(), Limited> {
        let mut side = self.side();
        while side.recent.front().is_some_and(|at| now.saturating_duration_since(*at) >= PERIOD) {
            side.recent.pop_front();
        }
        match side.recent.front() {
            Some(oldest) if side.recent.len() >= ATTEMPTS_OF_ALL => {
                Err(limited(PERIOD.saturating_sub(now.saturating_duration_since(*oldest))))
            }
            _ => {
                side.recent.push_back(now);
                Ok(())
            }
        }
    }

    fn side(&self) -> MutexGuard<'_, Side> {
        self.side.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for LoginLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginLimit").field("clients", &self.limiter.len()).finish_non_exhaustive()
    }
}

/// Whose record those share that have none of their own.
const CROWD: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

fn limited(wait: Duration) -> Limited {
    let seconds = u32::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX);
    Limited(seconds.clamp(1, u32::try_from(PERIOD.as_secs()).unwrap_or(u32::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit() -> (LoginLimit, Clock) {
        let clock = Clock::manual(1_800_000_000_000);
        (LoginLimit::new(clock.clone()), clock)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// How many of `tries` attempts pass.
    fn passed(limit: &LoginLimit, client: &str, tries: usize) -> usize {
        (0..tries).filter(|_| limit.count(ip(client), false).is_ok()).count()
    }

    const HOME: &str = "192.0.2.1";

    #[test]
    fn t_lim_01_the_sixth_attempt_is_refused_and_says_for_how_long() {
        let (limit, clock) = limit();
        assert_eq!(passed(&limit, HOME, 5), 5);
        assert_eq!(limit.count(ip(HOME), false), Err(Limited(900)));
        clock.advance(Duration::from_secs(890));
        assert_eq!(limit.count(ip(HOME), false), Err(Limited(10)));
        assert_eq!(limit.count(ip(HOME), true), Err(Limited(10)), "local clients have it as well");
    }

    #[test]
    fn t_lim_02_addresses_are_counted_alone_and_a_v6_network_as_one() {
        let (limit, _clock) = limit();
        assert_eq!(passed(&limit, HOME, 9), 5);
        assert_eq!(passed(&limit, "192.0.2.2", 9), 5);
        assert_eq!(passed(&limit, "2001:db8::1", 3), 3);
        assert_eq!(passed(&limit, "2001:db8::ffff:1", 9), 2);
        assert_eq!(passed(&limit, "2001:db8:0:1::1", 9), 5);
    }

    #[test]
    fn t_lim_04_one_attempt_comes_back_per_quarter_of_an_hour() {
        let (limit, clock) = limit();
        assert_eq!(passed(&limit, HOME, 9), 5);
        for _ in 0..3 {
            clock.advance(Duration::from_secs(899));
            assert_eq!(passed(&limit, HOME, 1), 0);
            clock.advance(Duration::from_secs(1));
            assert_eq!(passed(&limit, HOME, 9), 1);
        }
    }

    #[test]
    fn t_lim_05_a_sweep_forgets_clients_whose_attempts_came_back() {
        let (limit, clock) = limit();
        passed(&limit, HOME, 1);
        passed(&limit, "192.0.2.2", 5);
        limit.clear(ip("192.0.2.3"));
        // The limiter keeps a record for one period after its last attempt came back.
        clock.advance(PERIOD * 2);
        limit.sweep();
        assert_eq!((limit.limiter.len(), limit.side().cleared.len()), (1, 1));
        clock.advance(PERIOD * 4);
        limit.sweep();
        assert_eq!((limit.limiter.len(), limit.side().cleared.len()), (0, 0));
        assert_eq!(passed(&limit, HOME, 9), 5);
    }

    #[test]
    fn t_lim_06_a_success_clears_the_client_again_and_again() {
        let (limit, clock) = limit();
        for _ in 0..4 {
            assert_eq!(passed(&limit, HOME, 9), 5);
            limit.clear(ip(HOME));
            clock.advance(Duration::from_secs(1));
        }
        limit.sweep();
        assert_eq!(passed(&limit, HOME, 9), 5, "a sweep brings no old record back");
        assert_eq!(passed(&limit, HOME, 9), 0);
    }

    #[test]
    fn when_all_is_cleared_everybody_begins_anew() {
        let (limit, _clock) = limit();
        assert_eq!(passed(&limit, HOME, 9), 5);
        limit.clear(ip("192.0.2.2"));
        assert_eq!(passed(&limit, "192.0.2.2", 9), 5);
        let stranger = |n: u8| ip(&format!("198.51.100.{n}"));
        let strangers = (0..250).filter(|n| limit.count(stranger(*n), false).is_ok()).count();
        assert_eq!(strangers, ATTEMPTS_OF_ALL - 10);
        limit.clear_all();
        for client in [HOME, "192.0.2.2", "198.51.100.249"] {
            assert_eq!(passed(&limit, client, 9), 5, "{client}");
        }
    }

    #[test]
    fn t_lim_07_two_hundred_thousand_addresses_take_bounded_memory() {
        let (limit, clock) = limit();
        for n in 0..200_000_u32 {
            // Whether it is admitted is not what is looked at.
            let _admitted = limit.count(IpAddr::from((0x0a00_0000 + n).to_be_bytes()), true);
        }
        assert!(limit.limiter.len() <= MOST_CLIENTS + 1, "{}", limit.limiter.len());
        assert_eq!(passed(&limit, "203.0.113.9", 1), 0, "the shared record is used up");
        clock.advance(PERIOD * 5);
        limit.sweep();
        assert_eq!(passed(&limit, "203.0.113.9", 9), 5);
    }

    #[test]
    fn sec_lim_3_all_strangers_together_have_two_hundred() {
        let (limit, clock) = limit();
        let stranger = |n: u32| IpAddr::from((0xc633_6400 + n).to_be_bytes());
        let passed = |from: u32, tries: u32| {
            (from..from + tries).filter(|n| limit.count(stranger(*n), false).is_ok()).count()
        };
        assert_eq!(passed(0, 150), 150);
        clock.advance(Duration::from_secs(60));
        assert_eq!(passed(200, 150), 50);
        assert_eq!(limit.count(stranger(900), false), Err(Limited(840)));
        assert!(limit.count(ip("127.0.0.1"), true).is_ok(), "a local client is not among them");
        clock.advance(PERIOD - Duration::from_secs(60));
        assert_eq!(passed(1_000, 300), 150);
    }
}
