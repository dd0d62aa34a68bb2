//! Notices that configuration changed on disk, by looking (cli-and-deploy §7.5).

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tracing::warn;

/// Pause between two looks. The files are few and small; looking also works where the system gives no
/// notice (network folders, bind mounts, swapped links).
const LOOK: Duration = Duration::from_secs(2);
/// A change is taken when nothing moved for so long: editors write in several steps.
const SETTLE: Duration = Duration::from_millis(500);

/// Tells the state of the files as one number. Blocking.
pub type Fingerprint = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Watches the files of the configuration.
pub(super) struct Watch {
    fingerprint: Fingerprint,
    seen: Option<u64>,
    look_every: Duration,
    settle: Duration,
}

impl Watch {
    /// Counts changes from the first look on.
    pub(super) fn new(fingerprint: Fingerprint) -> Self {
        Self { fingerprint, seen: None, look_every: LOOK, settle: SETTLE }
    }

    /// Waits for a change that has settled. May be dropped and called again.
    pub(super) async fn changed(&mut self) {
        loop {
            let now = self.look().await;
            let seen = *self.seen.get_or_insert(now);
            if now != seen && self.settled(now).await {
                return;
            }
            sleep(self.look_every).await;
        }
    }

    /// True when the files rest at something new.
    async fn settled(&mut self, mut last: u64) -> bool {
        loop {
            sleep(self.settle).await;
            let now = self.look().await;
            if now == last {
                return self.seen.replace(now) != Some(now);
            }
            last = now;
        }
    }

    async fn look(&self) -> u64 {
        let fingerprint = Arc::clone(&self.fingerprint);
        match tokio::task::spawn_blocking(move || fingerprint()).await {
            Ok(now) => now,
            Err(error) => {
                warn!(%error, "the configuration files could not be looked at");
                self.seen.unwrap_or_default()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use tokio::sync::Notify;

    use super::*;

    /// Sees these states one look after the other, and the last one from then on. True = a change was told
    /// before all of them had been looked at twice.
    async fn told(states: &'static [u64]) -> bool {
        let (looks, seen_all) = (AtomicUsize::new(0), Arc::new(Notify::new()));
        let done = Arc::clone(&seen_all);
        let look = move || {
            let at = looks.fetch_add(1, SeqCst);
            if at > 2 * states.len() {
                done.notify_one();
            }
            states[at.min(states.len() - 1)]
        };
        let mut watch = Watch::new(Arc::new(look));
        (watch.look_every, watch.settle) = (Duration::ZERO, Duration::ZERO);
        tokio::select! {
            () = watch.changed() => true,
            () = seen_all.notified() => false,
        }
    }

    #[actix_web::test]
    async fn a_change_is_told_when_it_rests() {
        assert!(!told(&[1]).await, "nothing changed");
        assert!(told(&[1, 1, 2]).await);
        assert!(told(&[1, 2, 3, 4, 4]).await, "still being written, then at rest");
        assert!(!told(&[1, 2, 1]).await, "there and back again");
    }
}
