//! What every thread shares: the configuration snapshot, counters, maps and handles. Cheap to clone as `Arc`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use moka::sync::Cache;
use tokio_util::sync::CancellationToken;

use crate::actors::affinity::Affinity;
use crate::actors::audit::Audit;
use crate::actors::breakers::Breakers;
use crate::actors::budgets::Budgets;
use crate::actors::capture::Capture;
use crate::actors::exchanges::Exchanges;
use crate::actors::ledger::Ledger;
use crate::actors::live::LiveEvents;
use crate::actors::quota_poller::QuotaPolls;
use crate::actors::revoked::RevokedKeys;
use crate::actors::snapshot::Snapshot;
use crate::auth::failed::FailedKeys;
use crate::auth::limits::Limits;
use crate::auth::load::Capacity;
use crate::auth::login::Login;
use crate::clock::{Clock, UnixMs};
use crate::net::NetShared;
use crate::provider::request::Moment;
use crate::routing::live::LiveModels;
use crate::store::Store;

/// State shared between the data plane and the control plane.
#[derive(Debug)]
pub struct Shared {
    /// The one source of time.
    pub clock: Clock,
    /// Database handle; blocking: only on the blocking pool or the Ledger's thread.
    pub store: Store,
    /// Everything configured, replaced as a whole.
    pub snapshot: ArcSwap<Snapshot>,
    /// Limits of API keys.
    pub limits: Limits,
    /// Spending limits.
    pub budgets: Budgets,
    /// Ends the streams of keys that are revoked at once.
    pub revoked: RevokedKeys,
    /// Failed keys per client address.
    pub failed_keys: FailedKeys,
    /// Who is signed in to the dashboard, and how one gets in.
    pub login: Login,
    /// Inference requests in flight.
    pub in_flight: Capacity,
    /// Bytes of request bodies held.
    pub bodies: Capacity,
    /// Upstream models that refuse `stream_options`.
    pub stream_usage: StreamUsage,
    /// Models upstreams list beyond the catalog, by provider. Every snapshot's names see the same.
    pub live_models: LiveModels,
    /// Circuit breakers.
    pub breakers: Breakers,
    /// Which account a conversation last used.
    pub affinity: Affinity,
    /// Token exchanges that run, and tokens that are not written yet.
    pub exchanges: Exchanges,
    /// Live events.
    pub live: LiveEvents,
    /// The audit log.
    pub audit: Audit,
    /// Bodies of requests, while they are captured.
    pub capture: Capture,
    /// Questions for usage endpoints.
    pub quota_polls: QuotaPolls,
    /// Usage rows.
    pub ledger: Ledger,
    /// TLS configuration, resolver and name cache of outbound connections.
    pub net: Arc<NetShared>,
    /// Progress of a stop.
    pub drain: Drain,
    /// Seed of the jitter that keeps accounts from recovering in step.
    pub jitter_seed: AtomicU32,
}

impl Shared {
    /// A number for jitter; quality does not matter, only that accounts differ.
    #[must_use]
    pub fn jitter(&self) -> u32 {
        let x = self.jitter_seed.fetch_add(0x9E37_79B9, Ordering::Relaxed);
        let x = (x ^ (x >> 16)).wrapping_mul(0x85EB_CA6B);
        let x = (x ^ (x >> 13)).wrapping_mul(0xC2B2_AE35);
        x ^ (x >> 16)
    }

    /// Facts of this moment, for a call that is shaped now.
    #[must_use]
    pub fn moment<'a>(&self, snapshot: &'a Snapshot) -> Moment<'a> {
        Moment {
            now: self.clock.now_ms(),
            nonce: self.nonce(),
            public_url: snapshot.settings.base_url.as_ref().map(url::Url::as_str),
            hostname: Some(&snapshot.fixed.found.host_name),
        }
    }

    /// Bytes that differ from attempt to attempt; for ids, not for secrets.
    #[must_use]
    pub fn nonce(&self) -> [u8; 16] {
        *uuid::Uuid::new_v4().as_bytes()
    }
}

/// Memory of upstream models that refused the injected `stream_options` (translation §1.3).
#[derive(Clone, Debug)]
pub struct StreamUsage(Cache<(Arc<str>, String), ()>);

impl Default for StreamUsage {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self(Cache::builder().max_capacity(10_000).time_to_live(DAY).build())
    }
}

impl StreamUsage {
    /// Whether the field may be injected.
    #[must_use]
    pub fn allows(&self, provider: &Arc<str>, model: &str) -> bool {
        self.0.entry_count() == 0 || !self.0.contains_key(&(Arc::clone(provider), model.to_owned()))
    }

    /// Remembers a refusal for a day.
    pub fn refuse(&self, provider: &Arc<str>, model: &str) {
        self.0.insert((Arc::clone(provider), model.to_owned()), ());
        self.0.run_pending_tasks();
    }
}

/// Progress of a graceful stop (REL-RUN-3).
#[derive(Debug, Default)]
pub struct Drain {
    draining: AtomicBool,
    cut: CancellationToken,
    stop: CancellationToken,
    ready_at: AtomicI64,
}

impl Drain {
    /// From now on new requests are refused.
    pub fn begin(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// True once a stop has begun.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Ends what still runs: streams get an error event and are closed.
    pub fn cut(&self) {
        self.cut.cancel();
    }

    /// Fires when running streams must end.
    #[must_use]
    pub fn cut_token(&self) -> &CancellationToken {
        &self.cut
    }

    /// Asks the server to stop as SIGTERM does: whoever watches over it starts it again.
    pub fn ask_stop(&self) {
        self.stop.cancel();
    }

    /// Fires when a stop was asked for from inside.
    #[must_use]
    pub fn stop_token(&self) -> &CancellationToken {
        &self.stop
    }

    /// Everything is up and listening.
    pub fn set_ready(&self, now: UnixMs) {
        self.ready_at.store(now, Ordering::Release);
    }

    /// True when everything is up and no stop has begun.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready_at.load(Ordering::Acquire) != 0 && !self.is_draining()
    }
}
