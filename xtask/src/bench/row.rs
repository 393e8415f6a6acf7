//! What is measured: one row of the table each.

use anyhow::{Result, anyhow};

/// A row: a load, and what it may cost.
pub(super) struct Row {
    /// How it is called on the command line.
    pub(super) name: &'static str,
    /// What it is, for people.
    pub(super) what: &'static str,
    /// What the generator does.
    pub(super) load: Load,
    /// The first peer's CPU time per round trip may be so many times the best other's.
    pub(super) target: f64,
}

/// What the generator does, as fast as the answers come.
pub(super) enum Load {
    /// This many WebSockets send a binary message of so many bytes each and wait for its echo.
    Echo { sockets: usize, message_bytes: usize },
    /// This many connections send a small GET each and wait for its answer.
    Http { connections: usize },
}

/// All rows, in the order of the table.
pub(super) static ALL: [Row; 2] = [
    Row {
        name: "echo-32",
        what: "64 WebSockets, each echoing messages of 32 bytes as fast as they come back",
        load: Load::Echo { sockets: 64, message_bytes: 32 },
        target: 1.1,
    },
    Row {
        name: "http-keepalive",
        what: "64 keep-alive connections, each sending small plain requests one after the other",
        load: Load::Http { connections: 64 },
        target: 1.1,
    },
];

/// Finds a row.
pub(super) fn named(name: &str) -> Result<&'static Row> {
    ALL.iter().find(|row| row.name == name).ok_or_else(|| anyhow!("there is no row \"{name}\" (see --list)"))
}
