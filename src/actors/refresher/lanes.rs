//! How many background refreshes run at once, and how far apart those of one token host are (accounts §3.3).

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::id::AccountId;
use crate::provider::oauth::family::Spacing;

/// Refreshes at once, over all hosts.
const AT_ONCE: usize = 4;
/// Hosts that nobody called for this long are forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);

/// Somebody who wants to be refreshed.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Whose token.
    pub account: AccountId,
    /// Host of the token endpoint.
    pub host: &'a str,
    /// Distance there.
    pub spacing: Spacing,
}

/// The lanes.
#[derive(Debug, Default)]
pub struct Lanes {
    running: HashMap<AccountId, String>,
    /// When the next refresh at a host may begin.
    free_at: HashMap<String, Instant>,
}

impl Lanes {
    /// Takes a lane at `now`; false when there is none for this one. `jitter` is any number.
    pub fn enter(&mut self, candidate: &Candidate<'_>, now: Instant, jitter: u32) -> bool {
        let Candidate { account, host, spacing } = *candidate;
        let taken = self.running.len() >= AT_ONCE
            || self.running.contains_key(&account)
            || self.running.values().any(|running| running == host)
            || self.free_at.get(host).is_some_and(|at| *at > now);
        if taken {
            return false;
        }
        let spread = u32::try_from(spacing.spread.as_millis()).unwrap_or(u32::MAX);
        let more = Duration::from_millis((jitter % spread.saturating_add(1).max(1)).into());
        self.free_at.retain(|_, at| now.saturating_duration_since(*at) < FORGOTTEN_AFTER);
        self.free_at.insert(host.to_owned(), now + spacing.gap + more);
        self.running.insert(account, host.to_owned());
        true
    }

    /// Gives a lane back.
    pub fn leave(&mut self, account: AccountId) {
        self.running.remove(&account);
    }

    /// Refreshes that run.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    const SPACING: Spacing =
        Spacing { gap: Duration::from_millis(1_500), spread: Duration::from_millis(200) };

    #[test]
    fn five_hundred_at_once_keep_to_four_and_to_the_distance_of_their_host() {
        let clock = Clock::manual(0);
        let hosts: Vec<String> = (0..6).map(|n| format!("host{n}")).collect();
        let mut waiting: Vec<(AccountId, &String)> =
            (0..500).map(|n| (AccountId::new(), &hosts[n % hosts.len()])).collect();
        let mut lanes = Lanes::default();
        let mut begun: HashMap<&String, Vec<Instant>> = HashMap::new();
        // Each refresh takes three looks.
        let mut running: Vec<(AccountId, u32)> = Vec::new();
        let mut looks: u32 = 0;
        while !waiting.is_empty() || !running.is_empty() {
            looks += 1;
            assert!(looks < 2_000, "{} still wait", waiting.len());
            running.retain_mut(|(account, left)| {
                *left -= 1;
                if *left == 0 {
                    lanes.leave(*account);
                }
                *left > 0
            });
            waiting.retain(|(account, host)| {
                let candidate = Candidate { account: *account, host, spacing: SPACING };
                let enters = lanes.enter(&candidate, clock.now(), looks.wrapping_mul(77));
                if enters {
                    begun.entry(host).or_default().push(clock.now());
                    running.push((*account, 3));
                }
                !enters
            });
            assert!(lanes.running() <= 4 && lanes.running() == running.len());
            clock.advance(Duration::from_secs(1));
        }
        assert_eq!(begun.values().map(Vec::len).sum::<usize>(), 500);
        for times in begun.values() {
            for pair in times.windows(2) {
                assert!(pair[1] - pair[0] >= SPACING.gap, "{:?}", pair[1] - pair[0]);
            }
        }
    }

    #[test]
    fn a_host_is_used_by_one_at_a_time_and_an_account_once() {
        let clock = Clock::manual(0);
        let mut lanes = Lanes::default();
        let (a, b) = (AccountId::new(), AccountId::new());
        let at = |account, host| Candidate { account, host, spacing: SPACING };
        assert!(lanes.enter(&at(a, "one"), clock.now(), 0));
        clock.advance(Duration::from_secs(60));
        assert!(!lanes.enter(&at(a, "two"), clock.now(), 0), "it runs already");
        assert!(!lanes.enter(&at(b, "one"), clock.now(), 0), "the host is in use");
        lanes.leave(a);
        assert!(lanes.enter(&at(b, "one"), clock.now(), u32::MAX));
        lanes.leave(b);
        clock.advance(Duration::from_millis(1_499));
        assert!(!lanes.enter(&at(a, "one"), clock.now(), 0));
        clock.advance(Duration::from_millis(201));
        assert!(lanes.enter(&at(a, "one"), clock.now(), 0));
    }
}
