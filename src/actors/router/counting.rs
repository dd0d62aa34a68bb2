//! Whose credential a token count may be asked with: no lease, no place, no turn is taken (translation §2.12).

use std::rc::Rc;
use std::sync::Arc;

use actix::prelude::*;

use super::{ASK, Desk, Router};
use crate::actors::account::{Account, Show};
use crate::provider::credential::Credential;
use crate::provider::endpoint;
use crate::routing::account::AccountConfig;
use crate::routing::choose::{Ineligible, eligible};
use crate::routing::target::Target;
use ninerouter_dialect::Dialect;

/// Asks for an account that could serve `target` and whose transport has a counter.
#[derive(Debug, Message)]
#[rtype(result = "Option<Counting>")]
pub struct ForCounting {
    /// What the count is for.
    pub target: Arc<Target>,
    /// Dialect of the client.
    pub dialect: Dialect,
}

/// An account and its credential of this moment. Nothing is reported of what is done with them.
#[derive(Clone, Debug)]
pub struct Counting {
    /// The account.
    pub account: Arc<AccountConfig>,
    /// Its credential.
    pub credential: Arc<Credential>,
}

impl Handler<ForCounting> for Router {
    type Result = ResponseFuture<Option<Counting>>;

    fn handle(&mut self, msg: ForCounting, _: &mut Self::Context) -> Self::Result {
        let desk = Rc::clone(&self.desk);
        Box::pin(async move {
            let account = desk.counter(&msg)?;
            account.send(Show).timeout(ASK).await.ok().flatten()
        })
    }
}

impl Desk {
    /// The first account by priority; that all its places are taken does not matter.
    fn counter(&self, ask: &ForCounting) -> Option<Addr<Account>> {
        let target = &ask.target;
        let table = self.table.borrow();
        let group = table.group(&target.provider.id)?;
        let now = self.shared.clock.now_ms();
        let model = target.provider.model(&target.model);
        let counts = |config: &AccountConfig| {
            let pinned = config.endpoint.as_deref();
            endpoint::counter(&target.provider, model, ask.dialect, pinned).is_some()
        };
        let view = group
            .views()
            .iter()
            .filter(|view| matches!(eligible(now, view, target), Ok(()) | Err(Ineligible::Busy)))
            .filter(|view| counts(&view.config))
            .min_by_key(|view| (view.config.priority, view.config.id))?;
        group.addr(view.config.id).cloned()
    }
}
