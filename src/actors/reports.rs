//! Reports of successes, sent together.
//!
//! To wake the control plane costs a worker more than its thread then does with the news. So a worker holds back what
//! nobody waits for: until it asks for its next lease, which wakes that thread anyway, and for `LONGEST` at most.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use actix::Addr;
use tokio::sync::Notify;

use crate::actors::account::Account;
use crate::actors::lease::Report;

/// How long a report waits for company.
const LONGEST: Duration = Duration::from_millis(2);

thread_local! {
    static HELD: Held = Held::default();
}

/// What this thread holds back.
#[derive(Default)]
struct Held {
    /// Somebody sees to it that what is held goes out.
    tended: Cell<bool>,
    reports: RefCell<Vec<(Addr<Account>, Report)>>,
    /// Told when something is held that was not before.
    begun: Rc<Notify>,
}

/// From now on this thread, a worker's, holds reports back. Its runtime runs the task that sends what stays behind.
pub fn hold_here() {
    let begun = HELD.with(|held| {
        // A thread may have several workers: one for its clients, one for requests of the router's own.
        let is_new = !held.tended.replace(true);
        is_new.then(|| Rc::clone(&held.begun))
    });
    let Some(begun) = begun else { return };
    actix::spawn(async move {
        let _last = Last;
        loop {
            begun.notified().await;
            tokio::time::sleep(LONGEST).await;
            send_held();
        }
    });
}

/// The end of a worker: nothing is held any more.
struct Last;

impl Drop for Last {
    fn drop(&mut self) {
        let _ended = HELD.try_with(|held| held.tended.set(false));
        send_held();
    }
}

/// Sends a report: at once, or `may_wait`.
pub(super) fn send(owner: Addr<Account>, report: Report, may_wait: bool) {
    let mut now = Some((owner, report));
    if may_wait {
        // A thread that ends holds nothing.
        let _ended = HELD.try_with(|held| {
            if held.tended.get() {
                let mut reports = held.reports.borrow_mut();
                if reports.is_empty() {
                    held.begun.notify_one();
                }
                reports.extend(now.take());
            }
        });
    }
    if let Some((owner, report)) = now {
        tell(&owner, report);
    }
}

/// Sends what this thread holds back.
pub fn send_held() {
    let taken = HELD.try_with(|held| std::mem::take(&mut *held.reports.borrow_mut()));
    for (owner, report) in taken.unwrap_or_default() {
        tell(&owner, report);
    }
}

#[expect(clippy::disallowed_methods, reason = "lease reports are bounded by leases (REL-ACT-3)")]
fn tell(owner: &Addr<Account>, report: Report) {
    owner.do_send(report);
}
