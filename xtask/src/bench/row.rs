//! What is measured: the rows of the bench, each with the figures that it yields.

use super::load::Load;
use super::peer::{Kind, Start};
use super::sample::Quantity;
use anyhow::{Result, anyhow};

/// A row: a load, and the figures that are read off it.
pub(super) struct Row {
    /// How it is called on the command line.
    pub(super) name: &'static str,
    /// What it is, for people.
    pub(super) what: &'static str,
    /// What the generator does.
    pub(super) load: Load,
    /// Whether the access log is on.
    pub(super) logged: bool,
    /// Whether it makes a difference that frames are looked at.
    pub(super) frames: bool,
    /// What comes out of it.
    pub(super) figures: &'static [Figure],
}

impl Row {
    /// Whether it says anything about this proxy: what has no frames is the same with and without looking at them, and the
    /// large configuration is written in nginx's language alone.
    pub(super) fn concerns(&self, kind: Kind) -> bool {
        match &self.load {
            // Nobody else at hand takes WebSockets as streams.
            Load::StreamIdleMemory { .. } => kind == Kind::Culvert,
            load if load.is_tls() => matches!(kind, Kind::Culvert | Kind::Nginx | Kind::Haproxy),
            load if load.is_big() && !kind.is_culvert() && kind != Kind::Nginx => false,
            _ => self.frames || kind != Kind::CulvertRaw,
        }
    }

    /// How the proxies are started for it.
    pub(super) fn start(&self) -> Start {
        let streams = matches!(self.load, Load::StreamIdleMemory { .. });
        Start { workers: 1, logged: self.logged, big: self.load.is_big(), tls: self.load.is_tls(), streams }
    }
}

/// One line of the table.
pub(super) struct Figure {
    /// What it is, for people.
    pub(super) what: &'static str,
    /// Which part of a sample it is.
    pub(super) quantity: Quantity,
    /// What it has to be.
    pub(super) target: Target,
}

/// What a figure of Culvert's has to be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target {
    /// At most this, in the figure's unit.
    AtMost(f64),
    /// At most so many times that of the better one of nginx and HAProxy.
    OfTheBetter(f64),
    /// At most so many times nginx's.
    OfNginx(f64),
    /// Whatever it is.
    None,
}

/// All rows, in the order of the table.
pub(super) static ALL: [Row; 13] = [
    Row {
        name: "idle-memory",
        what: "8,000 idle WebSockets, access log on: the proxy's own memory (PSS) for each",
        load: Load::IdleMemory { sockets: 8000 },
        logged: true,
        frames: true,
        figures: &[Figure {
            what: "user memory (PSS) per idle tunnel, access log on",
            quantity: Quantity::MemoryPerSocket,
            target: Target::AtMost(1.0),
        }],
    },
    Row {
        name: "echo-32",
        what: "64 WebSockets, each echoing messages of 32 bytes as fast as they come back",
        load: Load::Echo { sockets: 64, message_bytes: 32 },
        logged: false,
        frames: true,
        figures: &[Figure {
            what: "CPU per 32-byte echo round trip, 64 sockets, saturated",
            quantity: Quantity::CpuPerAnswer,
            target: Target::OfTheBetter(0.90),
        }],
    },
    Row {
        name: "echo-steady",
        what: "1,000 WebSockets with 5,000 messages/s of 32 bytes between them, evenly paced",
        load: Load::Steady { sockets: 1000, messages_per_second: 5000, message_bytes: 32 },
        logged: false,
        frames: true,
        figures: &[
            Figure {
                what: "CPU per round trip, 1,000 sockets at 5,000 messages/s",
                quantity: Quantity::CpuPerAnswer,
                target: Target::OfTheBetter(0.85),
            },
            Figure {
                what: "median latency at 5,000 messages/s",
                quantity: Quantity::Latency { share: 0.5 },
                target: Target::None,
            },
            Figure {
                what: "p99 latency at 5,000 messages/s",
                quantity: Quantity::Latency { share: 0.99 },
                target: Target::OfTheBetter(1.0),
            },
        ],
    },
    Row {
        name: "echo-64k",
        what: "8 WebSockets, each echoing messages of 64 KiB as fast as they come back",
        load: Load::Echo { sockets: 8, message_bytes: 64 << 10 },
        logged: false,
        frames: true,
        figures: &[Figure {
            what: "CPU per 64 KiB round trip, 8 sockets",
            quantity: Quantity::CpuPerAnswer,
            target: Target::OfTheBetter(0.50),
        }],
    },
    Row {
        name: "handshake",
        what: "16 at a time: a WebSocket opens, gets its 101, and closes with a Close frame either way",
        load: Load::Handshake { at_once: 16 },
        logged: false,
        frames: true,
        figures: &[Figure {
            what: "CPU per handshake (open and close)",
            quantity: Quantity::CpuPerAnswer,
            target: Target::OfTheBetter(0.90),
        }],
    },
    Row {
        name: "idle-cpu",
        what: "8,000 idle WebSockets, access log on: the proxy's CPU time in 10 seconds",
        load: Load::IdleCpu { sockets: 8000 },
        logged: true,
        frames: true,
        figures: &[Figure {
            what: "CPU while 8,000 tunnels idle for 10 s",
            quantity: Quantity::Cpu,
            target: Target::AtMost(2.0),
        }],
    },
    Row {
        name: "http-keepalive",
        what: "64 keep-alive connections, each sending small plain requests one after the other",
        load: Load::Http { connections: 64 },
        logged: false,
        frames: false,
        figures: &[Figure {
            what: "CPU per keep-alive HTTP request",
            quantity: Quantity::CpuPerAnswer,
            target: Target::OfNginx(1.0),
        }],
    },
    Row {
        name: "big-config",
        what: "the same through 500 servers, 200 locations each with expressions, maps of 10,000 entries, 20 header rules",
        load: Load::HttpBig { connections: 64 },
        logged: false,
        frames: false,
        figures: &[Figure {
            what: "CPU per HTTP request through a configuration of 100,000 locations",
            quantity: Quantity::CpuPerAnswer,
            target: Target::OfNginx(1.0),
        }],
    },
    Row {
        name: "tls-idle-memory",
        what: "8,000 idle WebSockets over TLS, access log on: the proxy's own memory (PSS) for each",
        load: Load::TlsIdleMemory { sockets: 8000 },
        logged: true,
        frames: true,
        figures: &[Figure {
            what: "user memory (PSS) per idle TLS tunnel, access log on",
            quantity: Quantity::MemoryPerSocket,
            target: Target::AtMost(5.0),
        }],
    },
    Row {
        name: "tls-handshake",
        what: "16 at a time: a full TLS 1.3 handshake (ECDSA P-256), a WebSocket's 101, and Close frames either way",
        load: Load::TlsHandshake { at_once: 16 },
        logged: false,
        frames: true,
        figures: &[Figure {
            what: "CPU per full TLS 1.3 handshake plus upgrade",
            quantity: Quantity::CpuPerAnswer,
            target: Target::OfTheBetter(0.50),
        }],
    },
    Row {
        name: "tls-echo-32",
        what: "64 WebSockets over TLS, each echoing messages of 32 bytes as fast as they come back",
        load: Load::TlsEcho { sockets: 64, message_bytes: 32 },
        logged: false,
        frames: true,
        figures: &[Figure {
            what: "CPU per 32-byte round trip over TLS",
            quantity: Quantity::CpuPerAnswer,
            target: Target::OfTheBetter(0.85),
        }],
    },
    Row {
        name: "tls-echo-64k",
        what: "8 WebSockets over TLS, each echoing messages of 64 KiB as fast as they come back",
        load: Load::TlsEcho { sockets: 8, message_bytes: 64 << 10 },
        logged: false,
        frames: true,
        figures: &[Figure {
            what: "CPU per 64 KiB round trip over TLS",
            quantity: Quantity::CpuPerAnswer,
            target: Target::OfTheBetter(0.60),
        }],
    },
    Row {
        name: "h2-idle-memory",
        what: "8,000 idle WebSockets as streams of HTTP/2, 100 on a connection, access log on: memory (PSS) for each",
        load: Load::StreamIdleMemory { sockets: 8000 },
        logged: true,
        frames: true,
        figures: &[Figure {
            what: "user memory (PSS) per idle WebSocket stream over HTTP/2, 100 on a connection",
            quantity: Quantity::MemoryPerSocket,
            target: Target::AtMost(2.5),
        }],
    },
];

/// Finds a row.
pub(super) fn named(name: &str) -> Result<&'static Row> {
    ALL.iter().find(|row| row.name == name).ok_or_else(|| anyhow!("there is no row \"{name}\" (see --list)"))
}
