//! Live events: what changed, who watches, and which requests run.
//!
//! Three parts, in the order in which news travels. Actors and the data path *notify* ([`LiveEvents::publish_with`]): a
//! notice says that something changed, and is not even built while nobody watches. `api::events` makes *events* of
//! notices, as JSON, and puts them into the [`channel`]; the feeds of browsers and scripts read them there. What runs at
//! this moment is no event: it stands in the table of [`running`], which is looked at while somebody watches. A request
//! of the router's own tells whoever sent it ([`follow`]).

pub mod channel;
pub mod follow;
pub mod running;
pub mod topic;

use std::sync::Arc;

use tokio::sync::broadcast::{self, Receiver, Sender};

use crate::actors::live::channel::Channel;
use crate::actors::live::running::Running;
use crate::clock::UnixMs;
use crate::id::{AccountId, BudgetId, FlowId};
use crate::store::usage::UsageRecord;

/// Notices kept for a subscriber that lags.
const RING: usize = 4_096;

/// Something that changed and that a watcher may want to show.
#[derive(Clone, Debug)]
pub enum LiveEvent {
    /// An account's view changed.
    Account(AccountId),
    /// What is known of an account's quota changed.
    Quota(AccountId),
    /// A request ended.
    RequestFinished(Arc<UsageRecord>),
    /// Alerts opened, changed or closed.
    Alerts,
    /// A long job went on; its id.
    Job(String),
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
    /// A sign-in under way has a new state.
    SignIn(FlowId),
    /// Settings, nodes, accounts, combos, aliases or keys were replaced.
    Configuration,
}

/// Handle to all of it. Clones share one.
#[derive(Clone, Debug)]
pub struct LiveEvents {
    sender: Sender<LiveEvent>,
    channel: Arc<Channel>,
    running: Running,
}

impl Default for LiveEvents {
    fn default() -> Self {
        Self {
            sender: broadcast::channel(RING).0,
            channel: Arc::default(),
            running: Running::default(),
        }
    }
}

impl LiveEvents {
    /// Live events of a process that started at `start`.
    #[must_use]
    pub fn of_process(start: UnixMs) -> Self {
        Self { channel: Arc::new(Channel::new(start)), ..Self::default() }
    }

    /// Notifies whoever watches; `event` is built only when somebody does. A subscriber that lags loses its oldest
    /// notices and learns how many; it never holds up the publisher (F66).
    pub fn publish_with(&self, event: impl FnOnce() -> LiveEvent) {
        if self.sender.receiver_count() > 0 {
            // An error means the last subscriber left in between: nobody to tell.
            drop(self.sender.send(event()));
        }
    }

    /// Notifies whoever makes events for feeds that a request ended. Others hold a receiver all the time and do not ask
    /// for it: while nobody watches, the row is not copied.
    pub fn publish_request(&self, record: impl FnOnce() -> Arc<UsageRecord>) {
        if self.channel.is_made() {
            self.publish_with(|| LiveEvent::RequestFinished(record()));
        }
    }

    /// Starts watching from now on.
    #[must_use]
    pub fn subscribe(&self) -> Receiver<LiveEvent> {
        self.sender.subscribe()
    }

    /// The events of the feeds.
    #[must_use]
    pub fn channel(&self) -> &Arc<Channel> {
        &self.channel
    }

    /// The requests that run.
    #[must_use]
    pub fn running(&self) -> &Running {
        &self.running
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
