//! What the tests of several actors begin with.

use std::path::Path;
use std::sync::Arc;

use actix::prelude::*;

use crate::actors::account::Account;
use crate::actors::snapshot::{Fixed, KeySecret};
use crate::auth::login::LoginSecrets;
use crate::auth::session::SessionKeys;
use crate::clock::Clock;
use crate::config::settings::Found;
use crate::provider::overrides::EndpointOverride;
use crate::store::{MasterKey, Store, StoreOptions};

/// Kills the account's actor that handles it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Poison;

impl Handler<Poison> for Account {
    type Result = ();

    fn handle(&mut self, _: Poison, _: &mut Self::Context) {
        panic!("poisoned by a test");
    }
}

/// Kills the account's actor that handles it, and has it say this as it dies.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Spill(pub(crate) String);

impl Handler<Spill> for Account {
    type Result = ();

    fn handle(&mut self, msg: Spill, _: &mut Self::Context) {
        panic!("{}", msg.0);
    }
}

/// Holds up the mailbox of the account's actor until the sender is gone.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Stall(pub(crate) tokio::sync::oneshot::Receiver<()>);

impl Handler<Stall> for Account {
    type Result = ();

    fn handle(&mut self, msg: Stall, ctx: &mut Self::Context) {
        // The sender says nothing: it goes.
        ctx.wait(async move { drop(msg.0.await) }.into_actor(self));
    }
}

/// An empty store in `folder`, and what start-up would decide over it.
pub(crate) fn opened(
    folder: &Path,
    clock: &Clock,
    endpoints: Vec<EndpointOverride>,
) -> (Store, Arc<Fixed>) {
    let data_dir = folder.join("data");
    let key = MasterKey::load_or_create(&data_dir, None).unwrap();
    let options = StoreOptions {
        data_dir: data_dir.clone(),
        app_version: "0.1.0".to_owned(),
        clock: clock.clone(),
        read_only: false,
        fresh: false,
    };
    let store = Store::open(&options, &key).unwrap();
    let fixed = Fixed {
        locked: Default::default(),
        found: Found::default(),
        endpoints,
        proxies: Default::default(),
        oauth_clients: Default::default(),
        data_dir,
        loopback_only: true,
        demo: false,
        key_secret: KeySecret { current: [1; 32], previous: None },
        login: LoginSecrets {
            keys: SessionKeys { current: [2; 32], previous: None, csrf: [3; 32] },
            initial_password: None,
        },
    };
    (store, Arc::new(fixed))
}
