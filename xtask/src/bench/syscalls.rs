//! How many system calls a round trip takes, counted by strace.

use super::Bench;
use super::load;
use super::peer::{Kind, Running, Start};
use crate::command::find;
use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The loads: sockets, and how many messages of 32 bytes each of them sends, one after the other.
pub(super) const LOADS: [(usize, u64); 2] = [(1, 2000), (64, 100)];

/// How long strace may take to attach.
const ATTACH_TIMEOUT: Duration = Duration::from_secs(5);

/// A proxy's system calls per round trip, by name, for each of the loads.
pub(super) type Syscalls = Vec<(Kind, Vec<BTreeMap<String, f64>>)>;

/// How many measurements there are.
pub(super) fn steps(peers: usize) -> usize {
    peers * LOADS.len()
}

/// Counts for each peer; nothing where there is no strace.
pub(super) fn measure(bench: &Bench) -> Result<Option<Syscalls>> {
    bench.progress.line("\nsyscalls: system calls per 32-byte round trip, by strace");
    if find("strace").is_none() {
        bench.progress.line("  strace is not installed here");
        return Ok(None);
    }
    let mut all = Vec::new();
    for peer in &bench.peers {
        let mut counts = Vec::new();
        for (sockets, messages) in LOADS {
            bench.progress.begins(&format!("system calls of {}", peer.kind.title()));
            let running = bench.ground.start(peer, Start { workers: 1, logged: false, ..Start::default() })?;
            let counted = bench.runtime.block_on(count(bench, &running, sockets, messages));
            let counted = match counted.with_context(|| format!("system calls of {}", peer.kind.title())) {
                Ok(counted) => counted,
                Err(error) => {
                    bench.progress.line(&format!("  not counted: {error:#}"));
                    return Ok(None);
                }
            };
            let total: f64 = counted.values().sum();
            bench.progress.line(&format!(
                "  {:<12} {sockets:>2} sockets  {total:.2}  {}",
                peer.kind.name(),
                show(&counted)
            ));
            counts.push(counted);
            bench.progress.advances();
        }
        all.push((peer.kind, counts));
    }
    Ok(Some(all))
}

/// The most frequent ones, in words.
pub(super) fn show(counted: &BTreeMap<String, f64>) -> String {
    let mut counted: Vec<_> = counted.iter().filter(|(_, number)| **number >= 0.005).collect();
    counted.sort_by(|left, right| right.1.total_cmp(left.1));
    counted.iter().map(|(name, number)| format!("{name} {number:.2}")).collect::<Vec<_>>().join(", ")
}

async fn count(bench: &Bench, running: &Running, sockets: usize, messages: u64) -> Result<BTreeMap<String, f64>> {
    let warm = load::open(running.address, sockets).await?;
    let open = load::exchange(warm, 10, 32).await?;
    let table = bench.ground.file("strace.txt");
    let processes = running.processes()?;
    let mut strace = Command::new("strace");
    strace.args(["-c", "-f", "-o"]).arg(&table).stdout(Stdio::null()).stderr(Stdio::null());
    for process in &processes {
        strace.args(["-p", &process.to_string()]);
    }
    let mut strace = strace.spawn().context("could not start strace")?;
    let counted = async {
        wait_until_traced(&mut strace, &processes)?;
        load::exchange(open, messages, 32).await
    };
    let still_open = counted.await;
    interrupt(&mut strace)?;
    drop(still_open?);
    let round_trips = (sockets as u64 * messages) as f64;
    let counts = read_table(&std::fs::read_to_string(&table)?);
    ensure!(!counts.is_empty(), "strace counted nothing");
    Ok(counts.into_iter().map(|(name, calls)| (name, calls as f64 / round_trips)).collect())
}

fn wait_until_traced(strace: &mut Child, processes: &[u32]) -> Result<()> {
    let deadline = Instant::now() + ATTACH_TIMEOUT;
    let traced = |process: &u32| {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        status.lines().any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0"))
    };
    while !processes.iter().all(traced) {
        ensure!(strace.try_wait()?.is_none(), "strace could not attach");
        ensure!(Instant::now() < deadline, "strace did not attach in {ATTACH_TIMEOUT:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Lets strace detach and write its table.
fn interrupt(strace: &mut Child) -> Result<()> {
    let pid = i32::try_from(strace.id()).ok().and_then(Pid::from_raw).context("strace has no number")?;
    kill_process(pid, Signal::INT)?;
    strace.wait()?;
    Ok(())
}

/// The lines of `strace -c`: share, seconds, µs per call, calls, errors if there were any, name.
fn read_table(table: &str) -> BTreeMap<String, u64> {
    let calls = table.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (name, calls) = (*words.last()?, words.get(3)?.parse().ok()?);
        words[0].parse::<f64>().ok().filter(|_| name != "total" && words.len() >= 5)?;
        Some((name.to_owned(), calls))
    });
    calls.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_straces_is_read_with_and_without_errors() {
        let table = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.000600           1       400           sendto
 40.00    0.000400           1       401         3 recvfrom
------ ----------- ----------- --------- --------- ----------------
100.00    0.001000           1       801         3 total
";
        let counts = read_table(table);
        assert_eq!(counts, [("sendto".to_owned(), 400), ("recvfrom".to_owned(), 401)].into());
    }
}
