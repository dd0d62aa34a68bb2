//! Load shedding before a body is read: requests in flight, bytes of bodies in memory
//! (security §10, SEC-RES-1).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Default of `limits.in_flight`.
pub const DEFAULT_IN_FLIGHT: u64 = 1024;
/// Default of `limits.bodies_in_memory_mib`, in bytes.
pub const DEFAULT_BODY_BYTES: u64 = 512 << 20;
/// Seconds for `Retry-After` when no request more fits.
pub const IN_FLIGHT_RETRY_S: u32 = 1;
/// Seconds for `Retry-After` when no body more fits.
pub const BODY_RETRY_S: u32 = 2;

/// A capacity that is taken in portions and given back on drop. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Capacity(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    used: AtomicU64,
    most: AtomicU64,
}

/// A portion taken of a [`Capacity`]; returned on drop, however the request ends.
#[derive(Debug)]
#[must_use = "dropping it gives the portion back at once"]
pub struct Portion {
    of: Capacity,
    size: u64,
}

impl Capacity {
    /// A capacity of `most`.
    #[must_use]
    pub fn new(most: u64) -> Self {
        Self(Arc::new(Shared { used: AtomicU64::new(0), most: AtomicU64::new(most) }))
    }

    /// Takes `size`, if it fits.
    pub fn take(&self, size: u64) -> Option<Portion> {
        self.add(size).then(|| Portion { of: self.clone(), size })
    }

    /// What is taken now.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.0.used.load(Ordering::Relaxed)
    }

    /// Changes the limit; what is taken stays taken.
    pub fn set_limit(&self, most: u64) {
        self.0.most.store(most, Ordering::Relaxed);
    }

    fn add(&self, size: u64) -> bool {
        let most = self.0.most.load(Ordering::Relaxed);
        let fits = |used: u64| used.checked_add(size).filter(|sum| *sum <= most);
        self.0.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }
}

impl Portion {
    /// Takes `more` on top, for a body that grows; false when it does not fit.
    #[must_use]
    pub fn grow(&mut self, more: u64) -> bool {
        let fits = self.of.add(more);
        if fits {
            self.size += more;
        }
        fits
    }

    /// Gives back what is above `size`: the body turned out smaller.
    pub fn shrink_to(&mut self, size: u64) {
        let excess = self.size.saturating_sub(size);
        self.of.0.used.fetch_sub(excess, Ordering::Relaxed);
        self.size -= excess;
    }

    /// How much it holds.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }
}

impl Drop for Portion {
    fn drop(&mut self) {
        self.of.0.used.fetch_sub(self.size, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::thread;

    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_and_drop_gives_back() {
        let capacity = Capacity::new(10);
        let mut first = capacity.take(6).unwrap();
        assert!(capacity.take(5).is_none());
        assert!(first.grow(4));
        assert!(!first.grow(1));
        first.shrink_to(3);
        assert_eq!((capacity.used(), first.size()), (3, 3));
        assert!(capacity.take(u64::MAX).is_none());
        drop(first);
        assert_eq!(capacity.used(), 0);
    }

    #[test]
    fn a_panic_gives_back() {
        let capacity = Capacity::new(1);
        let held = capacity.clone();
        let result = catch_unwind(AssertUnwindSafe(|| {
            let _portion = held.take(1);
            panic!("handler");
        }));
        assert!(result.is_err());
        assert_eq!(capacity.used(), 0);
    }

    #[test]
    fn t_res_15_and_24_exactly_the_excess_is_refused() {
        let capacity = Capacity::new(100);
        let taken: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| (0..50).map(|_| capacity.take(1)).collect::<Vec<_>>()))
                .collect();
            threads.into_iter().flat_map(|t| t.join().unwrap()).collect()
        });
        assert_eq!(taken.iter().flatten().count(), 100);
        drop(taken);
        assert_eq!(capacity.used(), 0);
    }

    #[test]
    fn a_lower_limit_applies_to_new_requests() {
        let capacity = Capacity::new(2);
        let (_one, _two) = (capacity.take(1).unwrap(), capacity.take(1).unwrap());
        capacity.set_limit(1);
        assert!(capacity.take(1).is_none());
        assert_eq!(capacity.used(), 2);
    }
}
