//! `cargo xtask bench`: what Culvert costs, next to nginx, HAProxy and Caddy on the same machine in the same minutes.
//!
//! All proxies say the same in their own languages (`bench/peers`), have one worker and the same backend behind them, and
//! are driven by the same generator. They take turns, each sample with a process of its own, so that whatever the machine
//! is doing hits all of them. What is compared is the CPU time and the memory of the proxy's own processes. Each
//! measurement is bounded in time, and so is their number.

mod backend;
mod big;
mod certificate;
mod configuration;
mod core;
mod findings;
mod frame;
mod growth;
mod instructions;
mod kernel;
mod load;
mod machine;
mod options;
mod peer;
mod plots;
mod process;
mod progress;
mod report;
mod results;
mod row;
mod rows;
mod sample;
mod section;
mod sizes;
mod statistics;
mod syscalls;

use crate::command::{self, cargo};
use crate::setup;
use anyhow::{Context, Result, bail, ensure};
use core::Cores;
use findings::Findings;
use options::Options;
use peer::{Ground, Kind, Peer};
use progress::Progress;
use rustix::fs::{FlockOperation, flock};
use section::Section;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::time::Duration;
use tokio::net::UnixDatagram;
use tokio::runtime::{Builder, Runtime};

/// All that a measurement needs.
struct Bench {
    peers: Vec<Peer>,
    rounds: usize,
    window: Duration,
    ground: Ground,
    runtime: Runtime,
    progress: Progress,
    tunnels_max: usize,
}

/// Runs the bench.
pub(crate) fn run(words: Vec<String>) -> Result<()> {
    let Some(options) = options::read(words.clone())? else { return Ok(()) };
    if cfg!(debug_assertions) {
        // The generator has to be faster than what it measures.
        let release = ["run", "--quiet", "--release", "--package", "xtask", "--", "bench"];
        return Err(cargo(&release).args(words).exec()).context("could not run the bench as a release build");
    }
    let _alone = alone()?;
    setup::install_peers();
    let peers = find_peers(&options)?;
    let directory = tempfile::Builder::new().prefix("culvert-bench-").tempdir()?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let tunnels_max = core::tunnels_max();
    let cores = if options.one_core { Cores::share() } else { Cores::divide() };
    let backends = runtime.block_on(backend::start()).context("the backend did not start")?;
    certificate::write(directory.path())?;
    let ground = Ground::new(directory.path(), backends, cores);
    runtime.block_on(async { swallow_logs(&ground) })?;
    let kinds: Vec<Kind> = peers.iter().map(|peer| peer.kind).collect();
    let progress = Progress::new(options.steps(&kinds));
    let bench = Bench { peers, rounds: options.rounds, window: options.window, ground, runtime, progress, tunnels_max };
    bench.measure(&options)
}

impl Bench {
    fn measure(&self, options: &Options) -> Result<()> {
        let mut findings = Findings {
            rounds: self.rounds,
            window: self.window,
            kinds: self.peers.iter().map(|peer| peer.kind).collect(),
            ..Findings::default()
        };
        let (mut within, mut failed) = (true, false);
        for row in &options.rows {
            let row = rows::measure(self, row, options);
            within &= report::print(&self.progress, &row);
            failed |= row.failed;
            findings.rows.push(row);
        }
        for section in &options.sections {
            self.measure_section(*section, &mut findings)?;
        }
        if options.write {
            findings.write(&self.peers)?;
        }
        ensure!(!failed, "a measurement failed");
        ensure!(within || !options.check, "a figure is above its target");
        Ok(())
    }

    fn measure_section(&self, section: Section, findings: &mut Findings) -> Result<()> {
        match section {
            Section::Sizes => findings.sizes = sizes::measure(self)?,
            Section::Growth => findings.growth = growth::measure(self)?,
            Section::Syscalls => findings.syscalls = syscalls::measure(self)?.unwrap_or_default(),
            Section::Instructions => findings.instructions = instructions::measure(self)?.unwrap_or_default(),
            Section::Kernel => findings.kernel = kernel::measure(self)?,
        }
        Ok(())
    }
}

/// Makes sure that no other bench runs: they would measure each other. Dropping the file lets the next one in.
fn alone() -> Result<File> {
    let path = std::env::temp_dir().join("culvert-bench.lock");
    let file = File::create(&path).with_context(|| format!("could not create {}", path.display()))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(_) => bail!("another bench is running, and the two would measure each other"),
    }
}

/// The peers that are asked for and there.
fn find_peers(options: &Options) -> Result<Vec<Peer>> {
    let mut peers = Vec::new();
    for words in &options.peers {
        match Peer::named(words)? {
            Some(peer) => peers.push(peer),
            None => println!("{words} is not installed here and left out"),
        }
    }
    if let Some(program) = &options.culvert {
        peers.iter_mut().filter(|peer| peer.kind.is_culvert()).for_each(|peer| peer.program.clone_from(program));
    }
    if peers.iter().any(|peer| peer.program == Kind::built_culvert()) {
        command::run(&mut cargo(&["build", "--release", "--package", "culvert"]))?;
    }
    match peers.is_empty() {
        true => bail!("none of the peers is installed"),
        false => Ok(peers),
    }
}

/// Reads what HAProxy logs, and forgets it.
fn swallow_logs(ground: &Ground) -> Result<()> {
    let socket = UnixDatagram::bind(ground.log_socket()).context("no socket for logs")?;
    tokio::spawn(async move {
        let mut line = [0; 2048];
        while socket.recv(&mut line).await.is_ok() {}
    });
    Ok(())
}
