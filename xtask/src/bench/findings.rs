//! All that a run found.

use super::growth::Course;
use super::instructions::Instructions;
use super::kernel::Kernel;
use super::machine;
use super::peer::{Kind, Peer};
use super::rows::Measured;
use super::sizes::Sizes;
use super::syscalls::Syscalls;
use super::{plots, results};
use crate::root;
use anyhow::{Context, Result};
use std::fs;
use std::time::Duration;

/// What was measured; what was not asked for, or can't be measured here, is empty.
#[derive(Default)]
pub(super) struct Findings {
    /// How often each was measured.
    pub(super) rounds: usize,
    /// For how long.
    pub(super) window: Duration,
    /// Who was there.
    pub(super) kinds: Vec<Kind>,
    /// The rows of the table.
    pub(super) rows: Vec<Measured>,
    /// CPU by message size.
    pub(super) sizes: Sizes,
    /// Cost by number of tunnels.
    pub(super) growth: Vec<Course>,
    /// System calls per round trip.
    pub(super) syscalls: Syscalls,
    /// Instructions per round trip.
    pub(super) instructions: Instructions,
    /// The kernel's memory.
    pub(super) kernel: Option<Kernel>,
}

impl Findings {
    /// How many idle sockets there were, if not as many as there should have been.
    pub(super) fn fewer_sockets(&self) -> Option<usize> {
        let idle = |row: &&Measured| row.row.load.is_idle();
        let fewer = self.rows.iter().filter(idle).find(|row| row.sockets < row.row.load.connections());
        fewer.map(|row| row.sockets)
    }

    /// Writes `bench/RESULTS.md` and the plots.
    pub(super) fn write(&self, peers: &[Peer]) -> Result<()> {
        let path = root().join("bench/RESULTS.md");
        let text = results::markdown(self, &machine::facts(peers));
        fs::write(&path, text).with_context(|| format!("could not write {}", path.display()))?;
        println!("\nwrote {}", path.display());
        results::write_into_readme(self)?;
        for path in plots::draw(self, &root().join("docs/pictures"))? {
            println!("wrote {}", path.display());
        }
        Ok(())
    }
}
