//! Configuration as stored, brought to everybody who works with it: the one way a change takes effect.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use tokio::sync::Mutex;
use tracing::{error, warn};

use crate::actors::audit::AuditSettings;
use crate::actors::desk::RouterDesk;
use crate::actors::discovery::{self, Discovery};
use crate::actors::live::LiveEvent;
use crate::actors::router::Reconcile;
use crate::actors::shared::Shared;
use crate::actors::snapshot::{AccountSource, Fixed, Snapshot};
use crate::auth::audit::Caller;
use crate::config::settings::Settings;

/// Longest wait for the accounts to take a new configuration.
const RECONCILE: Duration = Duration::from_secs(30);
/// Longest wait for usage rows that new budgets count.
const FLUSH: Duration = Duration::from_secs(5);

/// Called with the settings of each new snapshot; blocking.
pub type Adopted = Box<dyn Fn(&Settings) + Send + Sync>;

/// Reads again what start-up decided, with the config file into the store; blocking. `None` = nothing changed.
pub type Reread = Arc<dyn Fn() -> Result<Option<Arc<Fixed>>, String> + Send + Sync>;

/// Brings a change of what is stored into effect. Whoever writes configuration writes it to the store and then
/// awaits [`Configured::reload`]. One per process; usable from every thread with a runtime.
pub struct Configured {
    shared: Arc<Shared>,
    desk: Arc<RouterDesk>,
    discovery: Option<Addr<Discovery>>,
    adopted: Arc<Adopted>,
    one_at_a_time: Mutex<()>,
}

/// Model lists that are fetched after a change.
#[derive(Clone, Copy)]
enum Lists {
    /// Those of accounts that have none: a command that makes a key must not have every upstream asked.
    New,
    /// All of them: files may have changed where any of them comes from.
    All,
}

impl fmt::Debug for Configured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Configured").finish_non_exhaustive()
    }
}

impl Configured {
    /// Over the process's shared state. `adopted` is for what only the caller knows of (the log's level).
    #[must_use]
    pub fn new(
        shared: Arc<Shared>,
        desk: Arc<RouterDesk>,
        discovery: Option<Addr<Discovery>>,
        adopted: Adopted,
    ) -> Self {
        Self {
            shared,
            desk,
            discovery,
            adopted: Arc::new(adopted),
            one_at_a_time: Mutex::default(),
        }
    }

    /// Reads again what is stored and has everybody take it. When it resolves, the next request sees the change.
    ///
    /// # Errors
    /// The store or the catalog cannot be read: the old configuration stays (REL-RUN-4).
    pub async fn reload(&self) -> Result<(), String> {
        self.take(|| Ok(None), Lists::New).await
    }

    /// The same, after blocking work that changes the store or what start-up decided (`.env` files, the config
    /// file).
    ///
    /// # Errors
    /// As [`Configured::reload`], or what `prepare` says.
    pub async fn reload_after<F>(&self, prepare: F) -> Result<(), String>
    where
        F: FnOnce() -> Result<Option<Arc<Fixed>>, String> + Send + 'static,
    {
        self.take(prepare, Lists::All).await
    }

    async fn take<F>(&self, prepare: F, lists: Lists) -> Result<(), String>
    where
        F: FnOnce() -> Result<Option<Arc<Fixed>>, String> + Send + 'static,
    {
        let _guard = self.one_at_a_time.lock().await;
        let (shared, adopted) = (Arc::clone(&self.shared), Arc::clone(&self.adopted));
        let read = tokio::task::spawn_blocking(move || {
            let fixed = prepare()?.unwrap_or_else(|| Arc::clone(&shared.snapshot.load().fixed));
            adopt(&shared, &fixed, &adopted)
        });
        let accounts = read.await.map_err(|error| error.to_string())??;
        let reconcile = Reconcile { accounts };
        if let Err(error) = self.desk.addr().send(reconcile).timeout(RECONCILE).await {
            error!(%error, "accounts did not take the new configuration");
        }
        self.shared.live.publish_with(|| LiveEvent::Configuration);
        if let Some(discovery) = &self.discovery {
            // A full mailbox holds the same message already.
            match lists {
                Lists::New => drop(discovery.try_send(discovery::Look)),
                Lists::All => drop(discovery.try_send(discovery::Refresh)),
            }
        }
        Ok(())
    }
}

/// Makes what is stored now the snapshot of the process. Blocking.
fn adopt(
    shared: &Arc<Shared>,
    fixed: &Arc<Fixed>,
    adopted: &Adopted,
) -> Result<Vec<AccountSource>, String> {
    let (mut snapshot, accounts) =
        Snapshot::load(&shared.store, fixed).map_err(|error| error.to_string())?;
    let flush = || {
        if let Err(error) = shared.ledger.flush(FLUSH) {
            warn!(%error, "new budgets may miss what was spent in the last seconds");
        }
    };
    shared
        .budgets
        .adopt(&snapshot, &shared.store, shared.clock.now_ms(), flush)
        .map_err(|error| error.to_string())?;
    snapshot.names.live = shared.live_models.clone();
    // Lists of accounts that were removed go with them.
    shared.live_models.replace(discovery::stored(&shared.store, &accounts));
    let settings = &snapshot.settings;
    adopted(settings);
    shared.capture.set_limit(settings.request_log_bytes);
    shared.audit.switch(&Caller::system(), AuditSettings::of(settings));
    let wide = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    shared.in_flight.set_limit(wide(settings.limits.in_flight));
    shared.bodies.set_limit(wide(settings.limits.bodies_in_memory));
    shared.net.update(snapshot.net_settings());
    shared.limits.retain(&snapshot.keys.iter().map(|key| key.id).collect());
    shared.snapshot.store(Arc::new(snapshot));
    Ok(accounts)
}
