//! The live-events hub: one bounded broadcast ring that pages and feeds subscribe to.
//!
//! A slow subscriber loses its oldest events (it learns how many) and never holds up a publisher.

use std::sync::Arc;

use tokio::sync::broadcast::{self, Receiver, Sender};

use crate::id::{AccountId, BudgetId};
use crate::store::usage::RequestStatus;

/// Events kept for a subscriber that lags.
const RING: usize = 1_024;

/// Something that changed and that a watcher may want to show.
#[derive(Clone, Debug)]
pub enum LiveEvent {
    /// An account's view changed.
    Account(AccountId),
    /// What is known of an account's quota changed.
    Quota(AccountId),
    /// A request ended; `request_id` names its usage row.
    RequestFinished {
        /// Id of the usage row.
        request_id: Arc<str>,
        /// How it ended.
        status: RequestStatus,
    },
    /// Spending crossed a percentage of a budget; told once per window.
    BudgetThreshold {
        /// The budget.
        budget: BudgetId,
        /// Percent of its tightest limit.
        percent: u8,
    },
    /// A budget refused its first request of this window.
    BudgetBlocked {
        /// The budget.
        budget: BudgetId,
    },
    /// Settings, nodes, accounts, combos, aliases or keys were replaced.
    Configuration,
}

/// Handle to the hub. Clones share one ring.
#[derive(Clone, Debug)]
pub struct LiveEvents {
    sender: Sender<LiveEvent>,
}

impl Default for LiveEvents {
    fn default() -> Self {
        Self { sender: broadcast::channel(RING).0 }
    }
}

impl LiveEvents {
    /// Tells every subscriber; `event` is built only when there is one.
    pub fn publish_with(&self, event: impl FnOnce() -> LiveEvent) {
        if self.sender.receiver_count() > 0 {
            // An error means the last subscriber left in between: nobody to tell.
            drop(self.sender.send(event()));
        }
    }

    /// Starts watching from now on.
    #[must_use]
    pub fn subscribe(&self) -> Receiver<LiveEvent> {
        self.sender.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lagging_subscriber_loses_its_oldest_events_and_is_told() {
        let hub = LiveEvents::default();
        let mut seat = hub.subscribe();
        for _ in 0..RING + 5 {
            hub.publish_with(|| LiveEvent::Configuration);
        }
        assert!(matches!(seat.try_recv(), Err(broadcast::error::TryRecvError::Lagged(5))));
        assert!(matches!(seat.try_recv(), Ok(LiveEvent::Configuration)));
    }

    #[test]
    fn nothing_is_built_when_nobody_watches() {
        LiveEvents::default().publish_with(|| unreachable!("no subscriber"));
    }
}
