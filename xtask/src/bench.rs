//! `cargo xtask bench`: what a round trip through Culvert costs, next to nginx on the same machine in the same minute.
//!
//! Both proxies run one worker with the same configuration file, in front of the same backend, driven by the same
//! generator. They take turns (A B A B …), so that whatever the machine is doing hits both. What is compared is the CPU
//! time of the proxy's own processes, user and system, per round trip: it doesn't depend on how fast the load comes. Each
//! measurement is bounded in time, and so is their number.

mod backend;
mod cpu;
mod frame;
mod load;
mod peer;
mod report;
mod row;

use crate::command::{self, cargo};
use crate::root;
use anyhow::{Context, Result, anyhow, bail};
use load::Sample;
use peer::{Peer, Running};
use row::Row;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

const HELP: &str = "\
Usage: cargo xtask bench [ROW]... [--rounds N] [--seconds S] [--check] [--list]

Measures Culvert against nginx, interleaved, and prints the CPU time per round trip, or
the memory per idle socket, the medians over all rounds, and their ratio.

  ROW            only these rows; --list shows what there is
  --rounds N     how often each proxy is measured per row (default: 5, at most 50)
  --seconds S    how long each measurement takes (default: 3, at most 60)
  --peers A,B    who is compared, the first with the others (default: culvert,nginx)
  --check        fails when a ratio is above its target
";

/// How often and how long at most: a bench must end by itself.
const ROUNDS_MAX: usize = 50;
const SECONDS_MAX: f64 = 60.0;

/// What one run of the bench does.
struct Plan {
    rows: Vec<&'static Row>,
    peers: Vec<Peer>,
    rounds: usize,
    window: Duration,
    check: bool,
}

/// Runs the bench.
pub(crate) fn run(words: Vec<String>) -> Result<()> {
    let Some(plan) = read(words)? else { return Ok(()) };
    if plan.peers.iter().any(|peer| peer.name == "culvert") {
        command::run(&mut cargo(&["build", "--release", "--package", "culvert"]))?;
    }
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let backend = runtime.block_on(backend::start()).context("the backend did not start")?;
    let directory = tempfile::Builder::new().prefix("culvert-bench-").tempdir()?;
    let start = |peer: &Peer| peer.start(directory.path(), backend);
    let running: Vec<Running> = plan.peers.iter().map(start).collect::<Result<_>>()?;
    cpu::keep_off_the_proxies_core();
    let mut within = true;
    for row in &plan.rows {
        let samples = measure(&plan, row, &running, &start, &runtime)?;
        within &= report::print(row, &plan.peers, &samples);
    }
    match within || !plan.check {
        true => Ok(()),
        false => bail!("a ratio is above its target"),
    }
}

/// All rounds of one row: for each peer, its samples.
fn measure(
    plan: &Plan,
    row: &Row,
    running: &[Running],
    start: &impl Fn(&Peer) -> Result<Running>,
    runtime: &Runtime,
) -> Result<Vec<Vec<Sample>>> {
    println!("\n{}: {}", row.name, row.what);
    let mut samples = vec![Vec::new(); running.len()];
    for round in 1..=plan.rounds {
        for ((nth, peer), samples) in running.iter().enumerate().zip(&mut samples) {
            // Memory is weighed in a process of its own: one that was loaded before has room left over.
            let fresh = matches!(row.load, row::Load::Idle { .. }).then(|| start(&plan.peers[nth])).transpose()?;
            let peer = fresh.as_ref().unwrap_or(peer);
            let sample = runtime
                .block_on(load::drive(&row.load, peer, plan.window))
                .with_context(|| format!("{} under {}", peer.name, row.name))?;
            println!("  round {round}/{}  {:<8} {sample}", plan.rounds, peer.name);
            samples.push(sample);
        }
    }
    Ok(samples)
}

/// Reads the words; `None` when there is nothing left to do.
fn read(words: Vec<String>) -> Result<Option<Plan>> {
    use lexopt::prelude::*;
    let mut parser = lexopt::Parser::from_args(words);
    let (mut rounds, mut seconds, mut check, mut rows) = (5_usize, 3.0_f64, false, Vec::new());
    let mut peers = "culvert,nginx".to_owned();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("rounds") => rounds = parser.value()?.parse()?,
            Long("seconds") => seconds = parser.value()?.parse()?,
            Long("peers") => peers = parser.value()?.string()?,
            Long("check") => check = true,
            Long("list") => {
                row::ALL.iter().for_each(|row| println!("{:<16} {}", row.name, row.what));
                return Ok(None);
            }
            Short('h') | Long("help") => {
                print!("{HELP}");
                return Ok(None);
            }
            Value(name) => rows.push(row::named(&name.string()?)?),
            other => return Err(other.unexpected().into()),
        }
    }
    if !(1..=ROUNDS_MAX).contains(&rounds) || !(0.1..=SECONDS_MAX).contains(&seconds) {
        bail!("between 1 and {ROUNDS_MAX} rounds of 0.1 to {SECONDS_MAX} seconds are possible");
    }
    if rows.is_empty() {
        rows = row::ALL.iter().collect();
    }
    let peers = peers.split(',').map(Peer::named).collect::<Result<_>>()?;
    Ok(Some(Plan { rows, peers, rounds, window: Duration::from_secs_f64(seconds), check }))
}

/// A free loopback address for a proxy. Nothing holds it until the proxy does, which is soon.
fn free_address() -> Result<SocketAddr> {
    let probe = std::net::TcpListener::bind("127.0.0.1:0").map_err(|error| anyhow!("no free port: {error}"))?;
    Ok(probe.local_addr()?)
}

/// The configuration that all peers run, with its words filled in.
fn configuration(name: &str, directory: &std::path::Path, listen: SocketAddr, backend: SocketAddr) -> Result<String> {
    let path = root().join("bench/peers/nginx.conf");
    let text = std::fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
    Ok(text
        .replace("{name}", name)
        .replace("{directory}", &directory.display().to_string())
        .replace("{listen}", &listen.to_string())
        .replace("{backend}", &backend.to_string()))
}
