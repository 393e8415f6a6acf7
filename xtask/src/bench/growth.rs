//! How cost grows with the number of tunnels.

use super::Bench;
use super::load::{self, Steady};
use super::peer::{Kind, Peer, Running, Start};
use super::statistics::{Line, fit_through_origin, median};
use anyhow::{Context, Result};
use std::time::Duration;

/// How many tunnels are open when it is measured.
const TUNNELS: [usize; 4] = [1000, 2000, 4000, 8000];

/// Each tunnel sends so many messages of 32 bytes in a second while the CPU time is taken.
pub(super) const MESSAGES_PER_SECOND: u32 = 1;

const ROUNDS_MAX: usize = 3;
const WINDOW_MAX: Duration = Duration::from_millis(1500);

/// A proxy's cost at several numbers of tunnels, medians.
pub(super) struct Course {
    /// Which proxy.
    pub(super) kind: Kind,
    /// With how many workers.
    pub(super) workers: usize,
    /// Its costs.
    pub(super) points: Vec<Point>,
}

/// The cost of so many tunnels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    /// How many.
    pub(super) tunnels: usize,
    /// The memory that they add, in MB.
    pub(super) memory: f64,
    /// The CPU time of a second in which each sends its messages, in ms.
    pub(super) cpu: f64,
}

impl Course {
    /// Memory per tunnel in KB, if it grows in a line.
    pub(super) fn memory_line(&self) -> Line {
        fit_through_origin(
            &self.points.iter().map(|point| (point.tunnels as f64, point.memory * 1e3)).collect::<Vec<_>>(),
        )
    }

    /// CPU time per message in µs, if it grows in a line.
    pub(super) fn cpu_line(&self) -> Line {
        let messages = |point: &Point| point.tunnels as f64 * f64::from(MESSAGES_PER_SECOND);
        fit_through_origin(&self.points.iter().map(|point| (messages(point), point.cpu * 1e3)).collect::<Vec<_>>())
    }
}

/// How many measurements there are.
pub(super) fn steps(rounds: usize, peers: &[Kind]) -> usize {
    (peers.iter().filter(|kind| **kind != Kind::CulvertRaw).count() + 1) * rounds.min(ROUNDS_MAX)
}

/// Measures every proxy with one worker, and Culvert with two as well.
pub(super) fn measure(bench: &Bench) -> Result<Vec<Course>> {
    bench
        .progress
        .line("\ngrowth: memory, and CPU with one message of 32 bytes per tunnel and second, by the number of tunnels");
    let peers = bench.peers.iter().filter(|peer| peer.kind != Kind::CulvertRaw);
    let mut runners: Vec<(&Peer, usize)> = peers.map(|peer| (peer, 1)).collect();
    runners.extend(bench.peers.iter().find(|peer| peer.kind == Kind::Culvert).map(|peer| (peer, 2)));
    let mut rounds = vec![Vec::new(); runners.len()];
    for _ in 0..bench.rounds.min(ROUNDS_MAX) {
        for ((peer, workers), rounds) in runners.iter().zip(&mut rounds) {
            bench.progress.begins(&format!("growth of {}, {workers} worker(s)", peer.kind.title()));
            let running = bench.ground.start(peer, Start { workers: *workers, logged: true, ..Start::default() })?;
            let points = bench.runtime.block_on(measure_once(bench, &running));
            rounds.push(points.with_context(|| format!("{} with {workers} workers", peer.kind.title()))?);
            bench.progress.advances();
        }
    }
    let courses = runners.iter().zip(rounds).map(|((peer, workers), rounds)| middle(peer.kind, *workers, &rounds));
    Ok(courses.inspect(|course| print(bench, course)).collect())
}

async fn measure_once(bench: &Bench, running: &Running) -> Result<Vec<Point>> {
    let _before = load::open(running.address, load::SOCKETS_BEFORE).await?;
    load::settle().await;
    let before = running.memory()?;
    let mut steady = Steady::new(32);
    let mut points = Vec::new();
    for tunnels in TUNNELS.into_iter().filter(|tunnels| *tunnels <= bench.tunnels_max) {
        steady.read_from(load::open(running.address, tunnels - steady.sockets()).await?);
        load::settle().await;
        let memory = running.memory()?.saturating_sub(before) as f64 / 1e6;
        let per_second = u32::try_from(tunnels)? * MESSAGES_PER_SECOND;
        let sample = steady.measure(running, per_second, bench.window.min(WINDOW_MAX)).await?;
        let cpu = sample.cpu.as_secs_f64() * 1e3 / sample.answers as f64 * f64::from(per_second);
        points.push(Point { tunnels, memory, cpu });
    }
    Ok(points)
}

/// The medians of the rounds.
fn middle(kind: Kind, workers: usize, rounds: &[Vec<Point>]) -> Course {
    let points = rounds[0].iter().enumerate().map(|(nth, point)| Point {
        tunnels: point.tunnels,
        memory: median(rounds.iter().map(|points| points[nth].memory)),
        cpu: median(rounds.iter().map(|points| points[nth].cpu)),
    });
    Course { kind, workers, points: points.collect() }
}

fn print(bench: &Bench, course: &Course) {
    let points =
        course.points.iter().map(|point| format!("{}: {:.1} MB {:.1} ms/s", point.tunnels, point.memory, point.cpu));
    let points: Vec<String> = points.collect();
    bench.progress.line(&format!("  {:<8} {} worker(s)  {}", course.kind.name(), course.workers, points.join("  ")));
    let (memory, cpu) = (course.memory_line(), course.cpu_line());
    bench.progress.line(&format!(
        "    lines: {:.2} KB per tunnel (off by {:.1} % at most), {:.1} µs per message (off by {:.1} % at most)",
        memory.slope,
        memory.deviation * 100.0,
        cpu.slope,
        cpu.deviation * 100.0
    ));
}
