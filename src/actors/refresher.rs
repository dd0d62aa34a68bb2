//! The background refresher: renews tokens ahead of their end, a few at a time (accounts §3.3).
//!
//! When an account is due is the account's own word (`refresh_due` of its row); the router lists those that are, and
//! [`lanes`] says who may go now. Requests that need a token do not wait for this lane.

pub mod lanes;

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tracing::{debug, warn};

use crate::actors::account::RefreshDue;
use crate::actors::desk::RouterDesk;
use crate::actors::refresher::lanes::{Candidate, Lanes};
use crate::actors::router::{Due, DueRefreshes};
use crate::actors::shared::Shared;
use crate::id::AccountId;

/// The first look comes this long after the start: clients come first.
const SETTLE: Duration = Duration::from_secs(10);
/// And then every second.
const TICK: Duration = Duration::from_secs(1);
/// The router answers within this time (security §17, actor ask).
const ASK: Duration = Duration::from_secs(2);
/// An exchange is bounded; an account that says nothing for longer frees its lane.
const LONGEST: Duration = Duration::from_secs(150);

/// The actor. Lives on the control thread.
#[derive(Debug)]
pub struct Refresher {
    shared: Arc<Shared>,
    desk: Arc<RouterDesk>,
    lanes: Lanes,
    asking: bool,
}

/// Looks for what is due. Sent by the timer; tests send it themselves.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Tick;

/// Ends the actor. What runs goes on.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Stop;

impl Refresher {
    /// Starts it, with its timer, on the calling thread's arbiter.
    #[must_use]
    pub fn launch(shared: Arc<Shared>, desk: Arc<RouterDesk>) -> Addr<Self> {
        let refresher = Self::new(shared, desk);
        Self::create(move |ctx| {
            ctx.run_later(SETTLE, |act, ctx| {
                act.look(ctx);
                ctx.run_interval(TICK, Self::look);
            });
            refresher
        })
    }

    /// Without a timer.
    #[must_use]
    pub fn new(shared: Arc<Shared>, desk: Arc<RouterDesk>) -> Self {
        Self { shared, desk, lanes: Lanes::default(), asking: false }
    }

    /// Asks who is due. Nothing begins once a stop has.
    fn look(&mut self, ctx: &mut Context<Self>) {
        if self.shared.drain.is_draining() || std::mem::replace(&mut self.asking, true) {
            return;
        }
        let ask = self.desk.addr().send(DueRefreshes).timeout(ASK);
        ctx.spawn(ask.into_actor(self).map(|due, act, ctx| {
            act.asking = false;
            match due {
                Ok(due) => act.start(&due, ctx),
                // A router that is restarting: the next look asks again.
                Err(error) => debug!(%error, "the router did not say which tokens are due"),
            }
        }));
    }

    fn start(&mut self, due: &[Due], ctx: &mut Context<Self>) {
        let now = self.shared.clock.now();
        for due in due {
            let candidate =
                Candidate { account: due.account, host: &due.host, spacing: due.spacing };
            if self.lanes.enter(&candidate, now, self.shared.jitter()) {
                let (account, ask) = (due.account, due.addr.send(RefreshDue).timeout(LONGEST));
                ctx.spawn(ask.into_actor(self).map(move |done, act, _| act.done(account, done)));
            }
        }
    }

    fn done(&mut self, account: AccountId, done: Result<(), MailboxError>) {
        self.lanes.leave(account);
        if let Err(error) = done {
            warn!(account.id = %account, %error, "an account did not say how its refresh ended");
        }
    }
}

impl Actor for Refresher {
    type Context = Context<Self>;
}

impl Handler<Tick> for Refresher {
    type Result = ();

    fn handle(&mut self, _: Tick, ctx: &mut Self::Context) {
        self.look(ctx);
    }
}

impl Handler<Stop> for Refresher {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        ctx.stop();
    }
}
