//! One request that somebody follows from inside: its attempts as they begin and end, and the row it leaves.

use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::store::usage::{AttemptRow, UsageRecord};

/// Steps that wait to be heard: more than the rows that a request may leave, twice told.
const WAITING: usize = 256;

/// What happened to the request.
#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    /// An upstream is asked. How it ends is not known yet: its outcome means nothing.
    Began(AttemptRow),
    /// An attempt ended, or a target was passed over. Told again when an attempt that served breaks later.
    Ended(AttemptRow),
    /// The request is over.
    Over(Box<UsageRecord>),
}

/// Whoever follows a request. Clones tell the same one; what nobody hears any more is dropped.
#[derive(Clone, Debug)]
pub struct Follower(Sender<Step>);

impl Follower {
    /// A follower, and what it hears.
    #[must_use]
    pub fn new() -> (Self, Receiver<Step>) {
        let (tell, hear) = channel(WAITING);
        (Self(tell), hear)
    }

    /// Tells of a step. The request never waits for its follower.
    pub fn tell(&self, step: Step) {
        // Whoever has left does not want to know.
        drop(self.0.try_send(step));
    }
}
