//! The waiting room: requests that wait, first come first served, for a free place at a provider.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tokio::sync::oneshot;

/// Waiters per provider; one more is refused at once (accounts §7.2).
const SEATS: usize = 100;

/// Queues by provider.
#[derive(Debug, Default)]
pub struct WaitingRoom {
    queues: HashMap<Arc<str>, VecDeque<oneshot::Sender<()>>>,
}

impl WaitingRoom {
    /// True when somebody waits for this provider. Queues of gone callers are cleared on the way.
    pub fn is_occupied(&mut self, provider: &str) -> bool {
        let Some(queue) = self.queues.get_mut(provider) else { return false };
        while queue.front().is_some_and(oneshot::Sender::is_closed) {
            queue.pop_front();
        }
        !queue.is_empty()
    }

    /// Takes a seat at the end, or at the head for one that was called and found the place taken.
    ///
    /// `None` when the room is full.
    pub fn sit(&mut self, provider: &Arc<str>, at_head: bool) -> Option<oneshot::Receiver<()>> {
        let queue = self.queues.entry(Arc::clone(provider)).or_default();
        queue.retain(|seat| !seat.is_closed());
        if queue.len() >= SEATS {
            return None;
        }
        let (seat, call) = oneshot::channel();
        if at_head {
            queue.push_front(seat);
        } else {
            queue.push_back(seat);
        }
        Some(call)
    }

    /// Calls the head of the queue, skipping callers that are gone. False when nobody waits.
    pub fn call_next(&mut self, provider: &str) -> bool {
        let Some(queue) = self.queues.get_mut(provider) else { return false };
        while let Some(seat) = queue.pop_front() {
            if seat.send(()).is_ok() {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_is_called_first_and_gone_callers_are_skipped() {
        let provider: Arc<str> = "p".into();
        let mut room = WaitingRoom::default();
        let first = room.sit(&provider, false);
        let mut second = room.sit(&provider, false).unwrap();
        let mut third = room.sit(&provider, false).unwrap();
        drop(first);
        assert!(room.call_next("p"));
        assert!(second.try_recv().is_ok());
        assert!(third.try_recv().is_err());
        assert!(room.is_occupied("p"));
        drop(third);
        assert!(!room.is_occupied("p"));
        assert!(!room.call_next("p"));
    }

    #[test]
    fn full_room_refuses() {
        let provider: Arc<str> = "p".into();
        let mut room = WaitingRoom::default();
        let seats: Vec<_> = (0..SEATS).map(|_| room.sit(&provider, false)).collect();
        assert!(seats.iter().all(Option::is_some));
        assert!(room.sit(&provider, false).is_none());
    }
}
