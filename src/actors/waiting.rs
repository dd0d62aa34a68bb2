//! The waiting room: requests that wait, first come first served, for a free place at a provider.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::id::AccountId;
use crate::routing::account::AccountView;
use crate::routing::plan::PlannedEntry;

/// Waiters per provider; one more is refused at once (accounts §7.2).
const SEATS: usize = 100;

/// Order of arrival: the smaller one came first. Kept until the request is served.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Ticket(u64);

/// What a waiter would take.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Entry whose provider is full.
    pub entry: Arc<PlannedEntry>,
    /// Only this account.
    pub pin: Option<AccountId>,
    /// Accounts it has tried.
    pub tried: Vec<AccountId>,
}

/// One request in one queue. A request may sit in the queues of several providers.
#[derive(Debug)]
struct Seat {
    ticket: Ticket,
    wish: Wish,
    bell: Rc<Notify>,
    caller: CancellationToken,
}

/// A request that waits: it keeps ticket and bell from queue to queue.
#[derive(Debug)]
pub struct Waiter {
    /// Order of arrival.
    pub ticket: Ticket,
    /// Rung when a place may be free.
    pub bell: Rc<Notify>,
    /// Cancelled when the caller is gone.
    pub caller: CancellationToken,
}

/// Queues by provider.
#[derive(Debug, Default)]
pub struct WaitingRoom {
    queues: HashMap<Arc<str>, VecDeque<Seat>>,
    tickets: u64,
}

/// Free places of a provider, and who comes first for them.
#[derive(Debug)]
pub struct Places {
    /// Places of the provider as a whole.
    left: u32,
    /// Free places by account.
    open: Vec<(AccountId, u32)>,
}

impl Places {
    /// True when nobody more can be served by this provider.
    #[must_use]
    pub fn are_gone(&self) -> bool {
        self.left == 0
    }

    /// True when the account has a place that nobody is before.
    #[must_use]
    pub fn has(&self, account: AccountId) -> bool {
        self.left > 0 && self.open.iter().any(|(id, free)| *id == account && *free > 0)
    }
}

impl WaitingRoom {
    /// A waiter that sits nowhere yet.
    pub fn enter(&mut self, caller: CancellationToken) -> Waiter {
        self.tickets = self.tickets.saturating_add(1);
        Waiter { ticket: Ticket(self.tickets), bell: Rc::new(Notify::new()), caller }
    }

    /// True when nobody waits for the provider.
    #[must_use]
    pub fn is_empty(&self, provider: &str) -> bool {
        self.queues.get(provider).is_none_or(VecDeque::is_empty)
    }

    /// Seats that are taken.
    #[cfg(test)]
    pub(crate) fn seats(&self) -> usize {
        self.queues.values().map(VecDeque::len).sum()
    }

    /// Providers somebody waits for.
    #[must_use]
    pub fn providers(&self) -> Vec<Arc<str>> {
        self.queues.keys().map(Arc::clone).collect()
    }

    /// Takes a seat in the order of tickets. False when the queue is full.
    pub fn sit(&mut self, provider: &Arc<str>, waiter: &Waiter, wish: Wish) -> bool {
        let queue = self.queues.entry(Arc::clone(provider)).or_default();
        queue.retain(|seat| !seat.caller.is_cancelled());
        if queue.len() >= SEATS {
            return false;
        }
        let at = queue.partition_point(|seat| seat.ticket <= waiter.ticket);
        let seat = Seat {
            ticket: waiter.ticket,
            wish,
            bell: Rc::clone(&waiter.bell),
            caller: waiter.caller.clone(),
        };
        queue.insert(at, seat);
        true
    }

    /// Gives up every seat of a ticket.
    pub fn leave(&mut self, ticket: Ticket) {
        self.queues.retain(|_, queue| {
            queue.retain(|seat| seat.ticket != ticket);
            !queue.is_empty()
        });
    }

    /// What the waiters with a smaller ticket than `before` (`None` = all) leave of a provider's free places: each
    /// takes, in order, the first that fits its wish. Callers that are gone take none (REL-CAN-5).
    ///
    /// `left` is what the provider as a whole may take, `views` its accounts.
    pub fn places<'a>(
        &self,
        provider: &str,
        before: Option<Ticket>,
        left: u32,
        views: impl Iterator<Item = &'a AccountView>,
        fits: impl Fn(&AccountView, &Wish) -> bool,
    ) -> Places {
        self.assign(provider, before, left, views, fits, |_| {})
    }

    /// Rings those for whom a place is free, first come first served.
    pub fn ring<'a>(
        &self,
        provider: &str,
        left: u32,
        views: impl Iterator<Item = &'a AccountView>,
        fits: impl Fn(&AccountView, &Wish) -> bool,
    ) {
        self.assign(provider, None, left, views, fits, |seat| seat.bell.notify_one());
    }

    fn assign<'a>(
        &self,
        provider: &str,
        before: Option<Ticket>,
        mut left: u32,
        views: impl Iterator<Item = &'a AccountView>,
        fits: impl Fn(&AccountView, &Wish) -> bool,
        take: impl Fn(&Seat),
    ) -> Places {
        let free = |view: &AccountView| view.max_concurrent.saturating_sub(view.in_flight);
        let mut open: Vec<(&AccountView, u32)> =
            views.map(|view| (view, free(view))).filter(|(_, free)| *free > 0).collect();
        let seats = self.queues.get(provider).into_iter().flatten();
        for seat in seats.take_while(|seat| before.is_none_or(|ticket| seat.ticket < ticket)) {
            if left == 0 {
                break;
            }
            if seat.caller.is_cancelled() {
                continue;
            }
            let place = open.iter_mut().find(|(view, free)| *free > 0 && fits(view, &seat.wish));
            if let Some((_, free)) = place {
                *free -= 1;
                left -= 1;
                take(seat);
            }
        }
        Places { left, open: open.into_iter().map(|(view, free)| (view.config.id, free)).collect() }
    }
}

#[cfg(test)]
mod tests;
