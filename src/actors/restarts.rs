//! How often the actor of one account may be started again (REL-ACT-2).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Restarts within [`WINDOW`] before an account is left alone for [`FAULTED_FOR`].
const RESTARTS: usize = 5;
const WINDOW: Duration = Duration::from_secs(60);
const FAULTED_FOR: Duration = Duration::from_secs(5 * 60);

/// What may be done about an actor that is dead.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Revival {
    /// Start it.
    Start,
    /// It died too often just now: an alarm is due, and nothing is started for five minutes.
    Fault,
    /// Nothing: it is being started, or left alone.
    Wait,
}

/// Deaths of one account's actor.
#[derive(Debug, Default)]
pub struct Restarts {
    recent: VecDeque<Instant>,
    faulted_until: Option<Instant>,
    starting: bool,
}

impl Restarts {
    /// Asks for a restart of a dead actor. After [`Revival::Start`] say [`Restarts::started`].
    pub fn ask(&mut self, now: Instant) -> Revival {
        if self.starting || self.faulted_until.is_some_and(|until| until > now) {
            return Revival::Wait;
        }
        self.faulted_until = None;
        while self.recent.front().is_some_and(|at| now.saturating_duration_since(*at) >= WINDOW) {
            self.recent.pop_front();
        }
        if self.recent.len() >= RESTARTS {
            self.recent.clear();
            self.faulted_until = now.checked_add(FAULTED_FOR);
            return Revival::Fault;
        }
        self.recent.push_back(now);
        self.starting = true;
        Revival::Start
    }

    /// The actor runs again, or could not be started.
    pub fn started(&mut self) {
        self.starting = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn the_sixth_death_within_a_minute_faults_for_five_minutes() {
        let clock = Clock::manual(0);
        let mut restarts = Restarts::default();
        for _ in 0..5 {
            assert_eq!(restarts.ask(clock.now()), Revival::Start);
            restarts.started();
            clock.advance(Duration::from_secs(10));
        }
        assert_eq!(restarts.ask(clock.now()), Revival::Fault);
        clock.advance(FAULTED_FOR - Duration::from_secs(1));
        assert_eq!(restarts.ask(clock.now()), Revival::Wait, "told once");
        clock.advance(Duration::from_secs(1));
        assert_eq!(restarts.ask(clock.now()), Revival::Start);
    }

    #[test]
    fn deaths_that_are_far_apart_never_fault() {
        let clock = Clock::manual(0);
        let mut restarts = Restarts::default();
        for _ in 0..100 {
            assert_eq!(restarts.ask(clock.now()), Revival::Start);
            restarts.started();
            clock.advance(Duration::from_secs(12));
        }
    }

    #[test]
    fn one_restart_at_a_time() {
        let now = Clock::manual(0).now();
        let mut restarts = Restarts::default();
        assert_eq!(restarts.ask(now), Revival::Start);
        assert_eq!(restarts.ask(now), Revival::Wait);
        restarts.started();
        assert_eq!(restarts.ask(now), Revival::Start);
    }
}
