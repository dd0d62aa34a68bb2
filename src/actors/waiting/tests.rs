//! Who gets which place, in which order.

use super::*;
use crate::provider::catalog::Catalog;
use crate::routing::account::{AccountConfig, AccountKind, AuthState};
use crate::routing::plan::{self, Rotation};
use crate::routing::resolve::{Names, resolve};

fn entry() -> Arc<PlannedEntry> {
    let (names, catalog) = (Names::new([], []), Catalog::builtin().unwrap());
    let resolved = resolve("openai/gpt-5.5", &names, &catalog, None).unwrap();
    let rotation = &mut Rotation::default();
    let plan = plan::plan(&resolved, &names, &catalog, rotation, None, &|_| true).unwrap();
    Arc::clone(&plan.entries[0])
}

fn view(max_concurrent: u32, in_flight: u32) -> AccountView {
    AccountView {
        config: Arc::new(AccountConfig::new("p".into(), AccountKind::ApiKey, String::new())),
        auth: AuthState::Ok,
        locks: Vec::new(),
        in_flight,
        max_concurrent,
        missing_params: false,
        faulted: false,
        gates: Vec::new(),
        last_used_at: 0,
        has_served: false,
        asked: 0,
        shown: Arc::default(),
    }
}

/// Only the pin decides.
fn fits(view: &AccountView, wish: &Wish) -> bool {
    wish.pin.is_none_or(|pin| pin == view.config.id)
}

struct Room {
    room: WaitingRoom,
    provider: Arc<str>,
    entry: Arc<PlannedEntry>,
}

fn room() -> Room {
    Room { room: WaitingRoom::default(), provider: "p".into(), entry: entry() }
}

impl Room {
    fn enter(&mut self, pin: Option<AccountId>) -> Waiter {
        let waiter = self.room.enter(CancellationToken::new());
        assert!(self.sit(&waiter, pin));
        waiter
    }

    fn sit(&mut self, waiter: &Waiter, pin: Option<AccountId>) -> bool {
        let wish = Wish { entry: Arc::clone(&self.entry), pin, tried: Vec::new() };
        self.room.sit(&self.provider, waiter, wish)
    }

    /// Which of the waiters are rung.
    fn ring(&self, left: u32, views: &[AccountView], waiters: &[&Waiter]) -> Vec<bool> {
        self.room.ring("p", left, views.iter(), fits);
        waiters.iter().map(|waiter| is_rung(waiter)).collect()
    }
}

/// Takes the ring.
fn is_rung(waiter: &Waiter) -> bool {
    let mut bell = std::pin::pin!(waiter.bell.notified());
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    bell.as_mut().poll(&mut cx).is_ready()
}

#[test]
fn as_many_are_rung_as_there_are_places_first_come_first_served() {
    let mut room = room();
    let waiters: Vec<_> = (0..4).map(|_| room.enter(None)).collect();
    let all: Vec<_> = waiters.iter().collect();
    // Two places of one account, one of another.
    let views = [view(3, 1), view(1, 1), view(2, 1)];
    assert_eq!(room.ring(u32::MAX, &views, &all), [true, true, true, false]);
    assert_eq!(
        room.ring(2, &views, &all),
        [true, true, false, false],
        "the provider's own ceiling"
    );
    assert_eq!(room.ring(0, &views, &all), [false; 4]);
}

#[test]
fn who_cannot_use_a_place_holds_up_nobody() {
    let mut room = room();
    let (free, taken) = (view(1, 0), view(1, 1));
    let first = room.enter(Some(taken.config.id));
    let second = room.enter(None);
    assert_eq!(room.ring(u32::MAX, &[free, taken], &[&first, &second]), [false, true]);
}

#[test]
fn callers_that_are_gone_are_skipped_and_hold_no_seat() {
    let mut room = room();
    let (gone, stays) = (room.enter(None), room.enter(None));
    gone.caller.cancel();
    assert_eq!(room.ring(u32::MAX, &[view(1, 0)], &[&gone, &stays]), [false, true]);
    let _third = room.enter(None);
    assert_eq!(room.room.seats(), 2);
}

#[test]
fn a_full_queue_refuses_until_somebody_leaves() {
    let mut room = room();
    let waiters: Vec<_> = (0..SEATS).map(|_| room.enter(None)).collect();
    let late = room.room.enter(CancellationToken::new());
    assert!(!room.sit(&late, None));
    room.room.leave(waiters[7].ticket);
    assert!(room.sit(&late, None));
    for waiter in waiters.iter().chain([&late]) {
        room.room.leave(waiter.ticket);
    }
    assert!(room.room.is_empty("p"));
    assert!(room.room.providers().is_empty(), "empty queues are not kept");
}

#[test]
fn who_found_the_place_taken_keeps_its_turn() {
    let mut room = room();
    let (first, second) = (room.enter(None), room.enter(None));
    room.room.leave(first.ticket);
    room.sit(&first, None);
    assert_eq!(room.ring(u32::MAX, &[view(1, 0)], &[&first, &second]), [true, false]);
}

#[test]
fn newcomers_take_what_those_before_them_leave() {
    let mut room = room();
    let views = [view(2, 1), view(1, 0)];
    let first = room.enter(None);
    let (one, other) = (views[0].config.id, views[1].config.id);
    let places = room.room.places("p", None, u32::MAX, views.iter(), fits);
    assert!(!places.has(one), "the waiter's");
    assert!(places.has(other) && !places.are_gone());
    let places = room.room.places("p", None, 1, views.iter(), fits);
    assert!(places.are_gone() && !places.has(other));
    // The first in the queue has nobody before it.
    let places = room.room.places("p", Some(first.ticket), 1, views.iter(), fits);
    assert!(places.has(one));
}
