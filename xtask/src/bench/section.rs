//! What is measured beside the rows of the table.

use super::peer::Kind;
use super::{growth, instructions, sizes, syscalls};

/// A part of the bench with a shape of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    /// CPU by message size.
    Sizes,
    /// Memory and CPU by number of tunnels.
    Growth,
    /// System calls per round trip.
    Syscalls,
    /// Instructions per round trip.
    Instructions,
    /// The kernel's memory per socket.
    Kernel,
}

impl Section {
    /// All of them, in the order in which they run.
    pub(super) const ALL: [Section; 5] =
        [Section::Sizes, Section::Growth, Section::Syscalls, Section::Instructions, Section::Kernel];

    /// Its name on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Section::Sizes => "sizes",
            Section::Growth => "growth",
            Section::Syscalls => "syscalls",
            Section::Instructions => "instructions",
            Section::Kernel => "kernel",
        }
    }

    /// What it is, for people.
    pub(super) fn what(self) -> &'static str {
        match self {
            Section::Sizes => "the proxy's CPU time per round trip for messages of 16 B to 1 MiB",
            Section::Growth => "memory and CPU at 1,000 to 8,000 tunnels, Culvert also with two workers",
            Section::Syscalls => "system calls per 32-byte round trip (strace)",
            Section::Instructions => "user-space instructions per 32-byte round trip (callgrind)",
            Section::Kernel => "the kernel's own memory for each socket of 8,000 idle tunnels",
        }
    }

    /// How many measurements it takes.
    pub(super) fn steps(self, rounds: usize, peers: &[Kind]) -> usize {
        match self {
            Section::Sizes => sizes::steps(rounds, peers.len()),
            Section::Growth => growth::steps(rounds, peers),
            Section::Syscalls => syscalls::steps(peers.len()),
            Section::Instructions => instructions::steps(peers.iter().filter(|kind| **kind != Kind::Caddy).count()),
            Section::Kernel => 1,
        }
    }
}
