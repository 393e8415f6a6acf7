//! The rounds of a row: the proxies take turns.

use super::Bench;
use super::load::Load;
use super::options::Options;
use super::peer::{Kind, Peer};
use super::row::Row;
use super::sample::{Quantity, Sample};
use super::statistics::median;
use anyhow::{Context, Result};

/// A row with what was measured.
pub(super) struct Measured {
    /// Which row.
    pub(super) row: &'static Row,
    /// Each peer's samples.
    pub(super) samples: Vec<(Kind, Vec<Sample>)>,
    /// How many sockets were idle, where fewer than the row says.
    pub(super) sockets: usize,
    /// Whether a measurement failed.
    pub(super) failed: bool,
}

impl Measured {
    /// The median over a peer's samples.
    pub(super) fn median(&self, kind: Kind, quantity: Quantity) -> Option<f64> {
        let samples = self.samples.iter().find(|(of, _)| *of == kind).map(|(_, samples)| samples)?;
        Some(median(samples.iter().map(|sample| quantity.of(sample)))).filter(|value| !value.is_nan())
    }
}

/// All rounds of one row. A proxy that fails is said to have failed, and the others go on: the run may be a long one.
pub(super) fn measure(bench: &Bench, row: &'static Row, options: &Options) -> Measured {
    let peers: Vec<_> = bench.peers.iter().filter(|peer| row.concerns(peer.kind)).collect();
    let mut samples: Vec<_> = peers.iter().map(|peer| (peer.kind, Vec::new())).collect();
    let sockets = options.sockets.unwrap_or(row.load.connections()).min(bench.tunnels_max);
    let load = row.load.with_idle_sockets(sockets);
    bench.progress.line(&format!("\n{}: {}", row.name, row.what));
    let (rounds, mut failed) = (options.rounds_of(row), false);
    for round in 0..rounds {
        for turn in 0..peers.len() {
            // Who begins changes from round to round.
            let nth = (turn + round) % peers.len();
            let sample = measure_once(bench, row, &load, peers[nth]);
            let shown = match &sample {
                Ok(sample) => show(row, sample),
                Err(error) => format!("failed: {error:#}"),
            };
            bench.progress.line(&format!("  round {}/{rounds}  {:<12} {shown}", round + 1, peers[nth].kind.name()));
            failed |= sample.is_err();
            samples[nth].1.extend(sample);
            bench.progress.advances();
        }
    }
    Measured { row, samples, sockets, failed }
}

fn measure_once(bench: &Bench, row: &Row, load: &Load, peer: &Peer) -> Result<Sample> {
    bench.progress.begins(&format!("{} of {}", row.name, peer.kind.title()));
    let running = bench.ground.start(peer, row.start())?;
    bench.runtime.block_on(load.measure(&running, bench.window)).with_context(|| running.complaint())
}

fn show(row: &Row, sample: &Sample) -> String {
    let figures = row.figures.iter().map(|figure| figure.quantity.show(figure.quantity.of(sample)));
    format!("{}  ({})", figures.collect::<Vec<_>>().join("  "), sample.pace())
}
