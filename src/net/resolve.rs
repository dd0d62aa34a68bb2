//! Names to addresses: the system's resolver behind a trait, a time-out and a short cache.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

use super::error::{DnsFailure, NetError};

/// Longest time an answer is used again (SEC-OUT-3).
const KEEP: Duration = Duration::from_secs(30);
/// Names kept.
const NAMES: u64 = 1024;

/// A lookup under way.
pub type Lookup<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;

/// Turns a host name into addresses.
pub trait Resolve: Send + Sync + 'static {
    /// All addresses of `host`, in the order they should be tried.
    fn resolve<'a>(&'a self, host: &'a str) -> Lookup<'a>;
}

/// The operating system's resolver, asked on the blocking pool.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> Lookup<'a> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// A resolver with its memory. Answers are judged each time they are used, whoever asked first.
pub(super) struct Names {
    resolver: Arc<dyn Resolve>,
    answers: Cache<Arc<str>, Arc<[IpAddr]>>,
}

impl Names {
    pub(super) fn new(resolver: Arc<dyn Resolve>) -> Self {
        let answers = Cache::builder().max_capacity(NAMES).time_to_live(KEEP).build();
        Self { resolver, answers }
    }

    pub(super) async fn addresses(
        &self,
        host: &str,
        limit: Duration,
    ) -> Result<Arc<[IpAddr]>, NetError> {
        if let Some(known) = self.answers.get(host) {
            return Ok(known);
        }
        let found = match tokio::time::timeout(limit, self.resolver.resolve(host)).await {
            Ok(Ok(found)) if !found.is_empty() => found,
            Ok(Ok(_)) => return Err(NetError::Dns(DnsFailure::NotFound)),
            Ok(Err(error)) => {
                tracing::debug!(%error, "name lookup failed");
                return Err(NetError::Dns(DnsFailure::NotFound));
            }
            Err(_elapsed) => return Err(NetError::Dns(DnsFailure::TimedOut)),
        };
        let found: Arc<[IpAddr]> = found.into();
        self.answers.insert(Arc::from(host), Arc::clone(&found));
        Ok(found)
    }

    /// Nobody answered there: ask again next time.
    pub(super) fn forget(&self, host: &str) {
        self.answers.invalidate(host);
    }
}
