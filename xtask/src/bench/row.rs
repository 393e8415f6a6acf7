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
    /// What its cost is counted in.
    pub(super) unit: &'static str,
    /// The first peer's cost may be so many times the best other's.
    pub(super) target: f64,
}

/// What the generator does; what has answers, as fast as they come.
pub(super) enum Load {
    /// This many WebSockets send a binary message of so many bytes each and wait for its echo.
    Echo { sockets: usize, message_bytes: usize },
    /// This many WebSockets open, on a location with an access log, and say nothing.
    Idle { sockets: usize },
    /// This many connections send a small GET each and wait for its answer.
    Http { connections: usize },
}

/// All rows, in the order of the table.
pub(super) static ALL: [Row; 3] = [
    Row {
        name: "echo-32",
        what: "64 WebSockets, each echoing messages of 32 bytes as fast as they come back",
        load: Load::Echo { sockets: 64, message_bytes: 32 },
        unit: "µs",
        target: 1.1,
    },
    Row {
        name: "http-keepalive",
        what: "64 keep-alive connections, each sending small plain requests one after the other",
        load: Load::Http { connections: 64 },
        unit: "µs",
        target: 1.1,
    },
    Row {
        name: "idle-memory",
        what: "1,500 idle WebSockets, access log on: the proxy's own memory (PSS) for each",
        load: Load::Idle { sockets: 1500 },
        unit: "KB",
        target: 0.25,
    },
];

/// Finds a row.
pub(super) fn named(name: &str) -> Result<&'static Row> {
    ALL.iter().find(|row| row.name == name).ok_or_else(|| anyhow!("there is no row \"{name}\" (see --list)"))
}
