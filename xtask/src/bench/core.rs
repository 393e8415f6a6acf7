//! Which core runs what, and how many descriptors there may be.

use crate::command::find;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The core that a proxy of one worker has to itself; the load runs on the others.
const PROXYS_CORE: usize = 0;

/// Descriptors for all that is no tunnel: logs, listeners, libraries, and the sockets that are open before any is counted.
const DESCRIPTORS_BESIDE: u64 = 1200;

/// How the cores of this machine are divided between the proxies and the load.
pub(super) struct Cores {
    /// All that there are for this process, as `taskset` lists them; `None` where they can't be divided.
    all: Option<String>,
}

impl Cores {
    /// Moves the calling thread, which is the load, off the core that a proxy of one worker has to itself. Without that the
    /// scheduler moves everything about, and how often a wake-up crosses cores is most of the noise.
    pub(super) fn divide() -> Cores {
        let Ok(mut cores) = sched_getaffinity(None) else { return Cores { all: None } };
        let all: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|&core| cores.is_set(core)).collect();
        let possible = all.len() > 1 && all[0] == PROXYS_CORE && find("taskset").is_some();
        cores.unset(PROXYS_CORE);
        if !possible || sched_setaffinity(None, &cores).is_err() {
            return Cores { all: None };
        }
        Cores { all: Some(all.iter().map(usize::to_string).collect::<Vec<_>>().join(",")) }
    }

    /// Puts the calling thread, and all that it will start, on one core.
    pub(super) fn share() -> Cores {
        if let Ok(cores) = sched_getaffinity(None)
            && let Some(last) = (0..CpuSet::MAX_CPU).rev().find(|&core| cores.is_set(core))
        {
            let mut one = CpuSet::new();
            one.set(last);
            // Refused, they are where the scheduler puts them: noisier, not wrong.
            let _ = sched_setaffinity(None, &one);
        }
        Cores { all: None }
    }

    /// The words that start a proxy where it is to run: on its own core if it has one worker, anywhere otherwise. What the
    /// load starts would else inherit the load's cores.
    pub(super) fn of_proxy(&self, workers: usize) -> Vec<String> {
        let Some(all) = &self.all else { return Vec::new() };
        let cores = if workers == 1 { PROXYS_CORE.to_string() } else { all.clone() };
        vec!["taskset".to_owned(), "-c".to_owned(), cores]
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
