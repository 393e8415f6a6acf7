//! CPU time and memory of the proxies, and which core they have.

use anyhow::{Context, Result};
use rustix::process::Pid;
use rustix::thread::{sched_getaffinity, sched_setaffinity};
use std::collections::HashMap;
use std::fs;
use std::time::Duration;

/// The core that the proxies have to themselves; the load runs on the others.
pub(super) const PROXIES_CORE: usize = 0;

/// Whether there are enough cores to give the proxies one.
pub(super) fn cores_can_be_divided() -> bool {
    let allowed = sched_getaffinity(None).map(|cores| cores.count()).unwrap_or(1);
    let first = sched_getaffinity(None).is_ok_and(|cores| cores.is_set(PROXIES_CORE));
    allowed > 1 && first
}

/// Moves the calling thread off the proxies' core. Without that the scheduler moves everything about, and how often a
/// wake-up crosses cores is most of the noise.
pub(super) fn keep_off_the_proxies_core() {
    if !cores_can_be_divided() {
        return;
    }
    if let Ok(mut cores) = sched_getaffinity(None) {
        cores.unset(PROXIES_CORE);
        // Refused, the thread stays where it was: noisier, not wrong.
        let _ = sched_setaffinity(None, &cores);
    }
}

/// User and system time that a process and its descendants have used so far, all their threads included.
pub(super) fn used_by(process: u32) -> Result<Duration> {
    let processes = processes()?;
    let mut ticks = 0;
    for (&number, usage) in &processes {
        if descends(&processes, number, process) {
            ticks += usage.ticks;
        }
    }
    Ok(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
}

/// The memory that a process and its descendants have to themselves, plus their shares of what they share (PSS), in bytes.
pub(super) fn memory_of(process: u32) -> Result<u64> {
    let processes = processes()?;
    let ours = processes.keys().filter(|number| descends(&processes, **number, process));
    let kilobytes = ours.filter_map(|number| {
        let text = fs::read_to_string(format!("/proc/{number}/smaps_rollup")).ok()?;
        let line = text.lines().find(|line| line.starts_with("Pss:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    });
    Ok(kilobytes.sum::<u64>() * 1024)
}

/// One line of `/proc/PID/stat`, as far as it matters here.
struct Usage {
    parent: u32,
    ticks: u64,
}

fn processes() -> Result<HashMap<u32, Usage>> {
    let mut found = HashMap::new();
    for entry in fs::read_dir("/proc").context("could not list /proc")? {
        let name = entry?.file_name();
        let Some(number) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // A process may end while it is looked at.
        let Ok(line) = fs::read_to_string(format!("/proc/{number}/stat")) else { continue };
        if let Some(usage) = read_usage(&line) {
            found.insert(number, usage);
        }
    }
    Ok(found)
}

/// Fields 4 (parent), 14 and 15 (ticks in user and system mode) of proc_pid_stat(5). Field 2, the name, may hold spaces and
/// brackets, so the fields are counted from its closing one.
fn read_usage(line: &str) -> Option<Usage> {
    let (_, after_name) = line.rsplit_once(')')?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some(Usage { parent: u32::try_from(number(4)?).ok()?, ticks: number(14)? + number(15)? })
}

fn descends(processes: &HashMap<u32, Usage>, mut process: u32, ancestor: u32) -> bool {
    while process != ancestor {
        match processes.get(&process) {
            Some(usage) if usage.parent != 0 => process = usage.parent,
            _ => return false,
        }
    }
    true
}

/// Asks a process to end.
pub(super) fn stop(process: u32) {
    if let Some(pid) = i32::try_from(process).ok().and_then(Pid::from_raw) {
        // It may have ended by itself.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_whatever_the_process_is_called() {
        let line = "42 (a) b (c) S 7 42 42 0 -1 4194560 1 2 3 4 100 23 0 0 20 0 1 0 5 6 7";
        let usage = read_usage(line).expect("it is one");
        assert_eq!((usage.parent, usage.ticks), (7, 123));
    }

    #[test]
    fn this_process_has_used_some_time_and_a_missing_one_none() {
        assert!(used_by(std::process::id()).is_ok());
        assert_eq!(used_by(u32::MAX).expect("/proc can be read"), Duration::ZERO);
    }
}
