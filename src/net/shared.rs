//! What all workers share: time-outs, trust roots, resolver with its cache.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::RootCertStore;

use super::blocked::{Blocked, BlockedListener};
use super::resolve::{Names, Resolve, SystemResolver};
use super::tls::{TlsConfigs, system_roots};
use crate::provider::proxy::ProxyUrl;

/// Settings of outgoing connections (security §17).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NetSettings {
    /// Name to addresses.
    pub resolve: Duration,
    /// First SYN to the end of the TLS handshake.
    pub connect: Duration,
    /// Catalog hosts may resolve into 198.18/15 over TLS.
    pub allow_fake_ip: bool,
    /// Proxies look up names, because they cannot be looked up here.
    pub proxy_resolves_names: bool,
    /// The proxies that are configured. Connections through any other one are used once and not kept.
    pub proxies: Vec<Arc<ProxyUrl>>,
}

impl Default for NetSettings {
    fn default() -> Self {
        Self {
            resolve: Duration::from_secs(3),
            connect: Duration::from_secs(10),
            allow_fake_ip: false,
            proxy_resolves_names: false,
            proxies: Vec::new(),
        }
    }
}

/// The TLS library refused to start.
#[derive(Debug, thiserror::Error)]
#[error("tls cannot be set up: {0}")]
pub struct NetSetupError(#[from] rustls::Error);

/// Shared by the clients of all workers.
pub struct NetShared {
    settings: ArcSwap<NetSettings>,
    pub(super) names: Names,
    pub(super) tls: TlsConfigs,
    pub(super) blocked: BlockedListener,
}

impl fmt::Debug for NetShared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetShared").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl NetShared {
    /// With the system's resolver and trust roots. Reads certificate files: call it at start.
    ///
    /// # Errors
    /// When the TLS library cannot be set up.
    pub fn new(settings: NetSettings) -> Result<Arc<Self>, NetSetupError> {
        Self::with(settings, Arc::new(SystemResolver), system_roots())
    }

    /// With a resolver and trust roots of the caller's choice.
    ///
    /// # Errors
    /// As [`NetShared::new`].
    pub fn with(
        settings: NetSettings,
        resolver: Arc<dyn Resolve>,
        roots: RootCertStore,
    ) -> Result<Arc<Self>, NetSetupError> {
        Ok(Arc::new(Self {
            settings: ArcSwap::from_pointee(settings),
            names: Names::new(resolver),
            tls: TlsConfigs::new(roots)?,
            blocked: BlockedListener::default(),
        }))
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> Arc<NetSettings> {
        self.settings.load_full()
    }

    /// Has somebody told of every request that the outbound guard refuses, whichever client was to send it. To be called
    /// once, at start; the listener must not block.
    pub fn on_blocked(&self, listener: impl Fn(&Blocked<'_>) + Send + Sync + 'static) {
        self.blocked.set(Box::new(listener));
    }

    /// Replaces the settings; connections made from now on follow them.
    pub fn update(&self, settings: NetSettings) {
        self.settings.store(Arc::new(settings));
    }
}
