//! How many source ports lead to one backend. An address of ours has about 28,000 of them for each backend's address, and
//! a fleet of WebSockets uses them up; the next connection then fails with an error that explains little, so a line in the
//! log says it before.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::time::Instant;

/// The connections of this process to one address.
#[derive(Debug)]
pub(crate) struct Ports {
    live: AtomicU32,
    /// When it was last warned about, in seconds since the first such ledger; 0: never.
    warned_at: AtomicU64,
}

/// One open connection, for as long as it lives.
#[derive(Debug)]
pub(crate) struct PortUse(Arc<Ports>);

/// More than four fifths of the ports are in use: how many of how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scarce {
    /// Live connections.
    pub(crate) used: u32,
    /// All ports that the kernel chooses from.
    pub(crate) all: u32,
}

/// A backend is warned about at most so often.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

static LEDGER: LazyLock<Mutex<HashMap<SocketAddr, Weak<Ports>>>> = LazyLock::new(Mutex::default);
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);
/// `net.ipv4.ip_local_port_range`, which holds for IPv6 too.
static RANGE: LazyLock<u32> = LazyLock::new(|| {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    range_of(&text).unwrap_or(USUAL_RANGE)
});

/// Linux has 32768 to 60999 unless told otherwise.
const USUAL_RANGE: u32 = 28_232;

fn range_of(text: &str) -> Option<u32> {
    let mut ends = text.split_whitespace().map(|end| end.parse::<u32>().ok());
    let (first, last) = (ends.next()??, ends.next()??);
    last.checked_sub(first).map(|more| more + 1)
}

/// The connections to `address`, whichever upstreams make them.
pub(super) fn to(address: SocketAddr) -> Arc<Ports> {
    let mut ledger = LEDGER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = ledger.get(&address).and_then(Weak::upgrade) {
        return known;
    }
    if ledger.len() == ledger.capacity() {
        ledger.retain(|_, ports| ports.strong_count() > 0);
    }
    let ports = Arc::new(Ports { live: AtomicU32::new(0), warned_at: AtomicU64::new(0) });
    ledger.insert(address, Arc::downgrade(&ports));
    ports
}

/// An address of a backend and the ports that lead there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Towards {
    /// The address.
    pub(crate) address: SocketAddr,
    /// Live connections.
    pub(crate) used: u32,
    /// All ports that the kernel chooses from.
    pub(crate) all: u32,
}

impl Towards {
    /// Whether so many are in use that the log is told.
    pub(crate) fn is_scarce(&self) -> bool {
        is_scarce(self.used, self.all)
    }
}

/// All addresses that somebody may connect to, in order.
pub(crate) fn all() -> Vec<Towards> {
    let ledger = LEDGER.lock().unwrap_or_else(PoisonError::into_inner);
    let of = |(address, ports): (&SocketAddr, &Weak<Ports>)| {
        let used = ports.upgrade()?.live.load(Ordering::Relaxed);
        Some(Towards { address: *address, used, all: *RANGE })
    };
    let mut all: Vec<Towards> = ledger.iter().filter_map(of).collect();
    all.sort_by_key(|towards| towards.address);
    all
}

impl Ports {
    /// Counts one more connection. The second value says that they become scarce, once a minute.
    pub(super) fn take(self: &Arc<Ports>) -> (PortUse, Option<Scarce>) {
        let used = self.live.fetch_add(1, Ordering::Relaxed) + 1;
        let scarce = if is_scarce(used, *RANGE) && self.may_warn(Instant::now()) {
            Some(Scarce { used, all: *RANGE })
        } else {
            None
        };
        (PortUse(self.clone()), scarce)
    }

    fn may_warn(&self, now: Instant) -> bool {
        // One second is added so that the first moment is not "never".
        let second = now.saturating_duration_since(*EPOCH).as_secs() + 1;
        let warned_at = self.warned_at.load(Ordering::Relaxed);
        let is_due = warned_at == 0 || second >= warned_at + WARNING_INTERVAL.as_secs();
        // Of several threads that see it at once, one says it.
        is_due && self.warned_at.compare_exchange(warned_at, second, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

/// Whether more than 80 % are in use.
fn is_scarce(used: u32, all: u32) -> bool {
    u64::from(used) * 5 > u64::from(all) * 4
}

impl Drop for PortUse {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_to_one_address_are_counted_together_until_they_end() {
        let address = SocketAddr::from(([192, 0, 2, 77], 4711));
        let (first, again) = (to(address), to(address));
        assert!(Arc::ptr_eq(&first, &again));
        let (one, _) = first.take();
        let (two, scarce) = again.take();
        assert_eq!((first.live.load(Ordering::Relaxed), scarce), (2, None));
        let listed = all().into_iter().find(|towards| towards.address == address).expect("it is known");
        assert_eq!((listed.used, listed.all, listed.is_scarce()), (2, *RANGE, false));
        drop((one, two));
        assert_eq!(again.live.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn four_fifths_of_the_ports_are_scarce() {
        assert_eq!(range_of("32768\t60999\n"), Some(USUAL_RANGE));
        assert_eq!(range_of("60999 32768"), None);
        assert!(!is_scarce(80, 100));
        assert!(is_scarce(81, 100));
    }

    #[test]
    fn a_backend_is_warned_about_once_a_minute() {
        let ports = to(SocketAddr::from(([192, 0, 2, 78], 4711)));
        let now = Instant::now();
        assert!(ports.may_warn(now));
        assert!(!ports.may_warn(now + Duration::from_secs(59)));
        assert!(ports.may_warn(now + Duration::from_secs(61)));
    }
}
