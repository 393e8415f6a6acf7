//! What a location wants of its WebSockets.

use super::frame::{Header, Opcode};
use std::time::Duration;

/// One of the two sides of a tunnel: who sent something, or whom something is sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Who opened the WebSocket.
    Client,
    /// The upstream's server.
    Server,
}

impl Side {
    /// Both.
    pub const BOTH: [Side; 2] = [Side::Client, Side::Server];

    /// The other one.
    pub fn other(self) -> Side {
        match self {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        }
    }
}

/// What a location wants of its WebSockets. All of them share one. The default wants nothing: frames are only counted.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Policy {
    /// Pings to a side that is quiet.
    pub ping: Option<Ping>,
    /// The most that a message may have, in bytes as they are sent (compressed, where they are). More: Close 1009.
    pub message_bytes_max: Option<u64>,
    /// The most that a frame may have. More: Close 1009.
    pub frame_bytes_max: Option<u64>,
    /// The most frames that a message may consist of. More: Close 1008.
    pub fragments_max: Option<u32>,
    /// Messages from client to server; its pings and unasked pongs count like messages.
    pub messages_rate: Option<Rate>,
    /// Bytes from client to server, headers included.
    pub bytes_rate: Option<Rate>,
    /// What happens over either rate.
    pub over_rate: OverRate,
    /// The frames that may pass. Others: Close 1008.
    pub opcodes: Opcodes,
    /// How long a WebSocket may live. Then: Close 1001.
    pub age_max: Option<Duration>,
    /// By how much of `age_max`, from 0 to 1, a socket's age may fall short of it: each draws its own.
    pub age_jitter: f64,
    /// How long the client may send nothing (pongs to the gateway's own pings are nothing). Then: Close 1001.
    pub idle_client: Option<Duration>,
    /// How long the server may send nothing. Then: Close 1001.
    pub idle_server: Option<Duration>,
    /// What is done about bytes that RFC 6455 forbids.
    pub validation: Validation,
    /// How long the gateway waits for the echo of its own Close. `None`: 5 seconds.
    pub close_wait: Option<Duration>,
}

impl Policy {
    /// Whether there is nothing to keep but the counters.
    pub(super) fn is_plain(&self) -> bool {
        *self == Policy::default()
    }

    /// Whether a frame can be refused for its header. Then a header that came in part has to wait for its rest, so that a
    /// Close can take the frame's place.
    pub(super) fn refuses_frames(&self) -> bool {
        self.message_bytes_max.is_some()
            || self.frame_bytes_max.is_some()
            || self.fragments_max.is_some()
            || self.opcodes != Opcodes::ALL
            || self.validation == Validation::Enforce
            || self.messages_rate.is_some() && self.over_rate == OverRate::Close
    }

    /// How long `side` may be idle.
    pub(super) fn idle(&self, side: Side) -> Option<Duration> {
        match side {
            Side::Client => self.idle_client,
            Side::Server => self.idle_server,
        }
    }
}

/// Pings that the gateway sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ping {
    /// A side that sent nothing for so long is pinged.
    pub interval: Duration,
    /// A side that then sends nothing for so long is dead.
    pub timeout: Duration,
}

/// How much may pass, on average and at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// So much in a second; at least 1.
    pub per_second: u64,
    /// So much more at once.
    pub burst: u64,
}

/// What happens to a client that sends more than a rate allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OverRate {
    /// It is read no faster than that.
    #[default]
    Slow,
    /// Close 1008.
    Close,
}

/// What is done about bytes that RFC 6455 forbids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Validation {
    /// Nothing: they pass, and nobody looks.
    #[default]
    Off,
    /// They pass, are counted, and each kind is reported once.
    Report,
    /// They don't pass: Close 1002 or 1007.
    Enforce,
}

/// A set of opcodes. Continuations and Close are always in it: the first belong to a message whose opcode was looked at, and
/// without the second no socket could end well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opcodes(u16);

impl Opcodes {
    /// All, reserved ones included: whether those may be used is a matter of [`Validation`].
    pub const ALL: Opcodes = Opcodes(u16::MAX);

    /// Only these.
    pub fn only(opcodes: impl IntoIterator<Item = Opcode>) -> Opcodes {
        let always = Opcodes(1 << Opcode::CONTINUATION.0 | 1 << Opcode::CLOSE.0);
        opcodes.into_iter().fold(always, |set, opcode| Opcodes(set.0 | 1 << (opcode.0 & 15)))
    }

    /// Whether `opcode` is one of them.
    pub fn contains(self, opcode: Opcode) -> bool {
        self.0 & 1 << (opcode.0 & 15) != 0
    }
}

impl Default for Opcodes {
    fn default() -> Opcodes {
        Opcodes::ALL
    }
}

/// Whether every peer would take this control frame for what its opcode says.
pub(super) fn is_sound_control(header: &Header, from: Side) -> bool {
    header.fin && header.rsv == 0 && header.payload_len <= 125 && header.masked == (from == Side::Client)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_only_counts() {
        let policy = Policy::default();
        assert!(policy.is_plain() && !policy.refuses_frames());
        assert!(!Policy { validation: Validation::Report, ..policy }.is_plain());
    }

    #[test]
    fn a_set_of_opcodes_always_has_what_a_socket_cannot_do_without() {
        let text = Opcodes::only([Opcode::TEXT]);
        assert!(text.contains(Opcode::TEXT) && text.contains(Opcode::CLOSE) && text.contains(Opcode::CONTINUATION));
        assert!(!text.contains(Opcode::BINARY) && !text.contains(Opcode::PING) && !text.contains(Opcode(11)));
        assert!((0..16).all(|opcode| Opcodes::ALL.contains(Opcode(opcode))));
    }

    #[test]
    fn what_can_refuse_a_frame_makes_headers_wait() {
        let slow = Policy { messages_rate: Some(Rate { per_second: 1, burst: 0 }), ..Policy::default() };
        assert!(!slow.refuses_frames());
        assert!(Policy { over_rate: OverRate::Close, ..slow.clone() }.refuses_frames());
        assert!(Policy { opcodes: Opcodes::only([]), ..slow }.refuses_frames());
    }
}
