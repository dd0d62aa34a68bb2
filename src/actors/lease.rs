//! A lease: permission to use one account for one attempt.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use actix::{Addr, Message};

use crate::actors::account::{Account, AuthFailed, Observed};
use crate::actors::breakers::Probe;
use crate::actors::budgets::Reservation;
use crate::actors::reports;
use crate::provider::credential::Credential;
use crate::provider::quota::Reading;
use crate::routing::account::AccountConfig;
use crate::routing::classify::Classified;

/// An account answers within this time (security §17, actor ask).
const ASK: Duration = Duration::from_secs(2);

/// How an attempt ended, as told to the account.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The upstream served the request.
    Success,
    /// The upstream failed; the class decides what is locked.
    Failed(Box<Classified>),
    /// Nobody knows: the client left, the worker panicked, the attempt was given up.
    Aborted,
}

/// Ends a lease. Sent with `do_send`: the number of leases bounds the number of reports (REL-ACT-3). A success may wait
/// a moment for others, see [`reports`].
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Report {
    /// Lease that ends.
    pub lease_id: u64,
    /// How it went.
    pub outcome: Outcome,
    /// What the answer's headers told of quota.
    pub reading: Option<Box<Reading>>,
}

/// Guard over one in-flight place of an account. Dropped without a report it says `Aborted`.
#[derive(Debug)]
pub struct Lease {
    id: u64,
    owner: Option<Addr<Account>>,
    /// Account that serves.
    pub account: Arc<AccountConfig>,
    /// Its credential of this moment.
    pub credential: Arc<Credential>,
    /// Half-open breakers this attempt decides about. Given back with the lease.
    probe: Option<Probe>,
    /// What is set aside for the attempt in the budgets of provider and account. Given back with the lease unless
    /// somebody took it.
    reservation: Option<Reservation>,
    /// What the answer's headers told of quota and was not told the account yet.
    reading: RefCell<Option<Box<Reading>>>,
    overage: Cell<bool>,
    /// The account has places enough: nobody waits for this one.
    is_one_of_many: bool,
}

impl Lease {
    /// Made by the account alone, one per granted `Acquire`.
    pub(crate) fn new(
        id: u64,
        owner: Addr<Account>,
        account: Arc<AccountConfig>,
        credential: Arc<Credential>,
    ) -> Self {
        Self {
            id,
            owner: Some(owner),
            account,
            credential,
            probe: None,
            reservation: None,
            reading: RefCell::new(None),
            overage: Cell::new(false),
            is_one_of_many: false,
        }
    }

    /// The same lease of an account that has far more places than are taken.
    #[must_use]
    pub(crate) fn one_of_many(mut self, is_one_of_many: bool) -> Self {
        self.is_one_of_many = is_one_of_many;
        self
    }

    /// The same lease, as the probe of a half-open breaker.
    #[must_use]
    pub(crate) fn with_probe(mut self, probe: Option<Probe>) -> Self {
        self.probe = probe;
        self
    }

    /// The same lease, with what is set aside for it.
    #[must_use]
    pub(crate) fn with_reservation(mut self, reservation: Option<Reservation>) -> Self {
        self.reservation = reservation;
        self
    }

    /// What is set aside for the attempt; it is needed until the usage row is written.
    pub fn take_reservation(&mut self) -> Option<Reservation> {
        self.reservation.take()
    }

    /// Says that the upstream refused the token, and waits for a newer one: of another request's refresh, or of one
    /// that begins now. True when the lease has it now; it goes on as before otherwise.
    pub async fn renew(&mut self, patience: Duration) -> bool {
        let Some(owner) = &self.owner else { return false };
        let generation = self.credential.generation;
        let refused = AuthFailed { lease: Some(self.id), generation };
        let Ok(renewal) = owner.send(refused).timeout(ASK.min(patience)).await else {
            return false;
        };
        let newer = renewal.wait(patience).await;
        let renewed = newer.is_some();
        if let Some(newer) = newer {
            self.credential = newer;
        }
        renewed
    }

    /// Takes what the answer's headers told of quota. It goes to the account with the report; what the next request
    /// must know goes at once, because a stream may take long.
    #[expect(
        clippy::disallowed_methods,
        reason = "at most one per call, and calls are bounded by leases (REL-ACT-3)"
    )]
    pub fn observe(&self, reading: Reading) {
        self.overage.set(reading.overage.is_some());
        match &self.owner {
            Some(owner) if reading.is_urgent() => {
                owner.do_send(Observed { lease_id: self.id, reading });
            }
            Some(_) | None => drop(self.reading.replace(Some(Box::new(reading)))),
        }
    }

    /// True when the answer was served beyond the plan, at extra cost (accounts §4.6).
    #[must_use]
    pub fn in_overage(&self) -> bool {
        self.overage.get()
    }

    /// Ends the lease with an outcome.
    pub fn report(mut self, outcome: Outcome) {
        self.tell(outcome);
    }

    fn tell(&mut self, outcome: Outcome) {
        if let Some(owner) = self.owner.take() {
            let may_wait = self.is_one_of_many && matches!(outcome, Outcome::Success);
            let reading = self.reading.take();
            reports::send(owner, Report { lease_id: self.id, outcome, reading }, may_wait);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.tell(Outcome::Aborted);
    }
}
