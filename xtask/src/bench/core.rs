//! Which core runs what, and how many descriptors there may be.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{sched_getaffinity, sched_setaffinity};

/// The core that a proxy of one worker has to itself; the load runs on the others.
pub(super) const PROXYS_CORE: usize = 0;

/// Descriptors for all that is no tunnel: logs, listeners, libraries, and the sockets that are open before any is counted.
const DESCRIPTORS_BESIDE: u64 = 1200;

/// Whether there are enough cores to give the proxy one.
pub(super) fn can_be_divided() -> bool {
    sched_getaffinity(None).is_ok_and(|cores| cores.count() > 1 && cores.is_set(PROXYS_CORE))
}

/// Moves the calling thread off the proxy's core. Without that the scheduler moves everything about, and how often a
/// wake-up crosses cores is most of the noise.
pub(super) fn keep_off_the_proxys() {
    if !can_be_divided() {
        return;
    }
    if let Ok(mut cores) = sched_getaffinity(None) {
        cores.unset(PROXYS_CORE);
        // Refused, the thread stays where it was: noisier, not wrong.
        let _ = sched_setaffinity(None, &cores);
    }
}

/// Takes as many descriptors as this process may, for itself and the proxies that it starts, and says how many tunnels
/// that is enough for: each takes two in the proxy, and two in the process that is both client and backend.
pub(super) fn tunnels_max() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok();
    let descriptors = if raised { maximum } else { current };
    let tunnels = descriptors.unwrap_or(u64::MAX).saturating_sub(DESCRIPTORS_BESIDE) / 2;
    usize::try_from(tunnels).unwrap_or(usize::MAX)
}
