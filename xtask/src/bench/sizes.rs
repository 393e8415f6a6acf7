//! What a round trip costs by the size of its message.

use super::Bench;
use super::load::Load;
use super::peer::{Kind, Start};
use super::sample::Quantity;
use super::statistics::median;
use anyhow::{Context, Result};
use std::time::Duration;

/// The sizes, in bytes.
const MESSAGE_BYTES: [usize; 7] = [16, 256, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20];

/// How many sockets echo.
pub(super) const SOCKETS: usize = 8;

/// The shape of a curve needs less than a figure of the table.
const ROUNDS_MAX: usize = 3;
const WINDOW_MAX: Duration = Duration::from_secs(1);

/// What was measured: for each peer, the µs of CPU for each size.
pub(super) type Sizes = Vec<(Kind, Vec<(usize, f64)>)>;

/// How many measurements there are.
pub(super) fn steps(rounds: usize, peers: usize) -> usize {
    MESSAGE_BYTES.len() * rounds.min(ROUNDS_MAX) * peers
}

/// Measures all sizes.
pub(super) fn measure(bench: &Bench) -> Result<Sizes> {
    let mut sizes: Sizes = bench.peers.iter().map(|peer| (peer.kind, Vec::new())).collect();
    bench.progress.line("\nsizes: the proxy's CPU time per round trip, by the size of the message");
    for message_bytes in MESSAGE_BYTES {
        let costs = measure_size(bench, message_bytes)?;
        let shown: Vec<String> = sizes
            .iter()
            .zip(&costs)
            .map(|((kind, _), cost)| format!("{} {}", kind.name(), Quantity::CpuPerAnswer.show(*cost)))
            .collect();
        bench.progress.line(&format!("  {:<8} {}", show_bytes(message_bytes), shown.join("  ")));
        for ((_, points), cost) in sizes.iter_mut().zip(costs) {
            points.push((message_bytes, cost));
        }
    }
    Ok(sizes)
}

/// Each peer's median for one size.
fn measure_size(bench: &Bench, message_bytes: usize) -> Result<Vec<f64>> {
    let load = Load::Echo { sockets: SOCKETS, message_bytes };
    let mut samples = vec![Vec::new(); bench.peers.len()];
    for _ in 0..bench.rounds.min(ROUNDS_MAX) {
        for (peer, samples) in bench.peers.iter().zip(&mut samples) {
            bench.progress.begins(&format!("{} messages through {}", show_bytes(message_bytes), peer.kind.title()));
            let running = bench.ground.start(peer, Start { workers: 1, logged: false, ..Start::default() })?;
            let sample = bench.runtime.block_on(load.measure(&running, bench.window.min(WINDOW_MAX)));
            let sample = sample.with_context(|| format!("{} with {message_bytes} bytes", peer.kind.title()))?;
            samples.push(Quantity::CpuPerAnswer.of(&sample));
            bench.progress.advances();
        }
    }
    Ok(samples.into_iter().map(median).collect())
}

/// A size for people.
pub(super) fn show_bytes(bytes: usize) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}
