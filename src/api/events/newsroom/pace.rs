//! When something was told last, and what it was: no event comes too soon after its predecessor, and none repeats it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::actors::live::topic::Topic;

/// Objects that are remembered; beyond that the pace of all begins anew.
const MOST: usize = 20_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Pace {
    at: HashMap<(Topic, String), Instant>,
    told: HashMap<(Topic, String), Value>,
}

impl Pace {
    /// Whether an event may be told now; if so, the next one may come after `pause`.
    pub(super) fn is_due(
        &mut self,
        topic: Topic,
        object: &str,
        pause: Duration,
        now: Instant,
    ) -> bool {
        let key = (topic, object.to_owned());
        let due =
            self.at.get(&key).is_none_or(|last| now.saturating_duration_since(*last) >= pause);
        if due {
            if self.at.len() >= MOST {
                self.at.clear();
            }
            self.at.insert(key, now);
        }
        due
    }

    /// Whether this differs from what was told of the object last.
    pub(super) fn is_new(&mut self, topic: Topic, object: &str, data: &Value) -> bool {
        let key = (topic, object.to_owned());
        if self.told.get(&key) == Some(data) {
            return false;
        }
        if self.told.len() >= MOST {
            self.told.clear();
        }
        self.told.insert(key, data.clone());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn an_event_waits_for_its_pause_and_says_something_new() {
        let clock = Clock::manual(0);
        let mut pace = Pace::default();
        let pause = Duration::from_millis(500);
        assert!(pace.is_due(Topic::Acct, "a", pause, clock.now()));
        clock.advance(Duration::from_millis(499));
        assert!(!pace.is_due(Topic::Acct, "a", pause, clock.now()));
        assert!(
            pace.is_due(Topic::Acct, "b", pause, clock.now()),
            "others have a pace of their own"
        );
        clock.advance(Duration::from_millis(1));
        assert!(pace.is_due(Topic::Acct, "a", pause, clock.now()));
        assert!(pace.is_new(Topic::Acct, "a", &1.into()));
        assert!(!pace.is_new(Topic::Acct, "a", &1.into()));
        assert!(pace.is_new(Topic::Acct, "a", &2.into()));
    }
}
