//! What a proxy's processes have used: CPU time and memory.

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::HashMap;
use std::fs;
use std::process::Child;
use std::time::{Duration, Instant};

/// How long a process may take to end when it is asked to; under callgrind it writes its counts first.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// The CPU time that the living threads of a process and of its descendants have used so far, in user and system mode.
///
/// The scheduler's own count in nanoseconds (the first number of `/proc/PID/task/TID/schedstat`), since the ticks of
/// `/proc/PID/stat` are 10 ms each.
pub(super) fn cpu_time(process: u32) -> Result<Duration> {
    let nanoseconds = family(process)?.into_iter().flat_map(threads).filter_map(|thread| {
        let text = fs::read_to_string(thread.join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Ok(Duration::from_nanos(nanoseconds.sum()))
}

/// The memory that a process and its descendants have to themselves, plus their shares of what they share (PSS), in bytes.
pub(super) fn memory(process: u32) -> Result<u64> {
    let kilobytes = family(process)?.into_iter().filter_map(|number| {
        let text = fs::read_to_string(format!("/proc/{number}/smaps_rollup")).ok()?;
        let line = text.lines().find(|line| line.starts_with("Pss:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    });
    Ok(kilobytes.sum::<u64>() * 1024)
}

/// A process and its descendants.
pub(super) fn family(process: u32) -> Result<Vec<u32>> {
    let parents = parents()?;
    let mut family: Vec<u32> = parents.keys().copied().filter(|&number| descends(&parents, number, process)).collect();
    family.sort_unstable();
    Ok(family)
}

/// Stops a process that was started here: asks it, and where that is not enough, makes it.
pub(super) fn stop(child: &mut Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // It may have ended by itself.
        let _ = kill_process(pid, Signal::TERM);
    }
    let deadline = Instant::now() + STOP_TIMEOUT;
    while let Ok(None) = child.try_wait() {
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn threads(process: u32) -> Vec<std::path::PathBuf> {
    // A process may end while it is looked at.
    let entries = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

/// Every process there is, and its parent.
fn parents() -> Result<HashMap<u32, u32>> {
    let mut found = HashMap::new();
    for entry in fs::read_dir("/proc").context("could not list /proc")? {
        let name = entry?.file_name();
        let Some(number) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(line) = fs::read_to_string(format!("/proc/{number}/stat")) else { continue };
        if let Some(parent) = parent(&line) {
            found.insert(number, parent);
        }
    }
    Ok(found)
}

/// Field 4 of proc_pid_stat(5). Field 2, the name, may hold spaces and brackets, so the fields are counted from its
/// closing one.
fn parent(line: &str) -> Option<u32> {
    let (_, after_name) = line.rsplit_once(')')?;
    after_name.split_whitespace().nth(1)?.parse().ok()
}

fn descends(parents: &HashMap<u32, u32>, mut process: u32, ancestor: u32) -> bool {
    while process != ancestor {
        match parents.get(&process) {
            Some(&parent) if parent != 0 => process = parent,
            _ => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_whatever_the_process_is_called() {
        assert_eq!(parent("42 (a) b (c) S 7 42 42 0 -1 4194560 1 2 3 4 100 23"), Some(7));
        assert_eq!(parent("42 (a"), None);
    }

    #[test]
    fn this_process_has_used_some_time_and_memory_and_a_missing_one_none() {
        assert!(cpu_time(std::process::id()).is_ok_and(|time| time > Duration::ZERO));
        assert!(memory(std::process::id()).is_ok_and(|bytes| bytes > 0));
        assert_eq!(cpu_time(u32::MAX).expect("/proc can be read"), Duration::ZERO);
    }
}
