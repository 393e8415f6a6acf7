//! What the configuration asks for the process itself: its priority, its core dumps, its directory, the CPUs of its threads.

use crate::observe::error_log::os_error;
use culvert_conf::config::{Config, CpuAffinity};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{Pid, chdir};
use std::path::Path;

/// Puts in force what can only be had at the start, before privileges are given up. Each error is nginx's message; none is
/// worth not starting for.
pub(super) fn prepare(config: &Config) -> Vec<String> {
    let main = &config.main;
    let priority = (main.worker_priority != 0).then(|| set_priority(main.worker_priority));
    let dumps = main.worker_rlimit_core.map(limit_dumps);
    [priority, dumps].into_iter().flatten().filter_map(Result::err).collect()
}

fn set_priority(nice: i32) -> Result<(), String> {
    rustix::process::setpriority_process(None, nice)
        .map_err(|error| format!("[alert] setpriority({nice}) failed ({})", os_error(&error.into())))
}

fn limit_dumps(bytes: u64) -> Result<(), String> {
    let failed =
        |error: nix::Error| format!("[alert] setrlimit(RLIMIT_CORE, {bytes}) failed ({})", os_error(&error.into()));
    let (_, hard) = getrlimit(Resource::RLIMIT_CORE).map_err(failed)?;
    setrlimit(Resource::RLIMIT_CORE, bytes, hard.max(bytes)).map_err(failed)
}

/// Goes where the gateway shall work.
pub(super) fn enter_directory(config: &Config) -> Result<(), String> {
    config.main.working_directory.as_deref().map_or(Ok(()), enter)
}

/// Once privileges are given up: the kernel takes a process that has changed its user for one that must not be dumped.
pub(super) fn settle(config: &Config) -> Result<(), String> {
    match config.main.worker_rlimit_core {
        None => Ok(()),
        Some(_) => nix::sys::prctl::set_dumpable(true)
            .map_err(|error| format!("[emerg] prctl(PR_SET_DUMPABLE) failed ({})", os_error(&error.into()))),
    }
}

fn enter(directory: &Path) -> Result<(), String> {
    chdir(directory)
        .map_err(|error| format!("[emerg] chdir(\"{}\") failed ({})", directory.display(), os_error(&error.into())))
}

/// The CPUs of worker thread number `index`; `None`: the kernel decides.
pub(super) fn cpus(affinity: &CpuAffinity, index: usize) -> Option<Vec<usize>> {
    match affinity {
        CpuAffinity::Anywhere => None,
        CpuAffinity::Auto(mask) => {
            let mut usable = usable();
            if let Some(mask) = mask {
                usable.retain(|cpu| mask.contains(cpu));
            }
            let cpu = usable.get(index % usable.len().max(1))?;
            Some(vec![*cpu])
        }
        CpuAffinity::Masks(masks) => masks.get(index).or(masks.last()).cloned().filter(|mask| !mask.is_empty()),
    }
}

fn usable() -> Vec<usize> {
    let all = sched_getaffinity(Pid::from_raw(0)).unwrap_or_default();
    (0..CpuSet::count()).filter(|&cpu| all.is_set(cpu).unwrap_or(false)).collect()
}

/// Binds the calling thread.
pub(super) fn bind_to(cpus: &[usize]) -> Result<(), String> {
    let mut set = CpuSet::new();
    let bound = cpus.iter().try_for_each(|&cpu| set.set(cpu)).and_then(|()| sched_setaffinity(Pid::from_raw(0), &set));
    bound.map_err(|error| format!("sched_setaffinity() failed ({})", os_error(&error.into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_mask_holds_for_all_further_threads() {
        let masks = CpuAffinity::Masks(vec![vec![0], vec![1, 2], vec![]]);
        assert_eq!([0, 1, 2, 3].map(|index| cpus(&masks, index)), [Some(vec![0]), Some(vec![1, 2]), None, None]);
        assert_eq!(cpus(&CpuAffinity::Masks(vec![vec![1]]), 7), Some(vec![1]));
    }

    #[test]
    fn auto_deals_out_the_cpus_that_the_process_may_use() {
        let all = usable();
        assert!(!all.is_empty());
        assert_eq!(cpus(&CpuAffinity::Auto(None), 0), Some(vec![all[0]]));
        assert_eq!(cpus(&CpuAffinity::Auto(None), all.len()), Some(vec![all[0]]));
        assert_eq!(cpus(&CpuAffinity::Auto(Some(vec![all[0]])), 1), Some(vec![all[0]]));
        assert_eq!(cpus(&CpuAffinity::Auto(Some(Vec::new())), 0), None);
        assert_eq!(cpus(&CpuAffinity::Anywhere, 0), None);
    }
}
