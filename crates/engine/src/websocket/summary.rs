//! What a WebSocket was, for logs and metrics.

use super::policy::Side;
use super::violation::Violations;
use std::time::Duration;

/// Why a WebSocket ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A side sent a Close.
    Close,
    /// A side ended its stream without a Close.
    EndOfStream,
    /// A side's connection broke.
    Reset,
    /// Neither side sent anything, or one took nothing, for longer than a timeout of the tunnel.
    Timeout,
    /// A side did not answer a ping.
    PingTimeout,
    /// A side sent nothing for longer than the location lets it.
    Idle,
    /// It was as old as it may become.
    Age,
    /// A frame over a limit, or of a kind that is not allowed.
    Limit,
    /// More messages or bytes than a rate allows.
    Rate,
    /// Bytes that RFC 6455 forbids.
    Protocol,
    /// The gateway stops, or moves its sockets elsewhere.
    Drain,
}

impl Cause {
    /// The word for logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::Close => "close",
            Cause::EndOfStream => "eof",
            Cause::Reset => "reset",
            Cause::Timeout => "timeout",
            Cause::PingTimeout => "ping_timeout",
            Cause::Idle => "idle",
            Cause::Age => "age",
            Cause::Limit => "limit",
            Cause::Rate => "rate",
            Cause::Protocol => "protocol",
            Cause::Drain => "drain",
        }
    }
}

/// Who ended a WebSocket: the first to do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBy {
    /// The client.
    Client,
    /// The upstream's server.
    Server,
    /// The gateway.
    Gateway,
}

impl EndedBy {
    /// The word for logs.
    pub fn as_str(self) -> &'static str {
        match self {
            EndedBy::Client => "client",
            EndedBy::Server => "server",
            EndedBy::Gateway => "gateway",
        }
    }
}

impl From<Side> for EndedBy {
    fn from(side: Side) -> EndedBy {
        match side {
            Side::Client => EndedBy::Client,
            Side::Server => EndedBy::Server,
        }
    }
}

/// What a Close said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    /// The code; 1005 stands for none, as in RFC 6455 section 7.1.5.
    pub code: u16,
    /// The reason: 123 bytes at most, and UTF-8 only if its sender kept to the RFC.
    pub reason: Vec<u8>,
}

impl Close {
    /// Reads the payload of a Close.
    pub(super) fn from_payload(payload: &[u8]) -> Close {
        match payload {
            [high, low, reason @ ..] => Close { code: u16::from_be_bytes([*high, *low]), reason: reason.to_vec() },
            _ => Close { code: 1005, reason: Vec::new() },
        }
    }
}

/// Times from the gateway's pings to their pongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoundTrips {
    /// The latest.
    pub last: Duration,
    /// The shortest.
    pub min: Duration,
    /// The longest.
    pub max: Duration,
}

/// What one side did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SideSummary {
    /// Messages that it sent whole and that were passed on.
    pub messages: u64,
    /// Bytes of messages that it sent and that were passed on, without headers and control frames.
    pub payload_bytes: u64,
    /// The Close that it sent.
    pub close: Option<Close>,
    /// The Close that the gateway sent to it.
    pub gateway_close: Option<Close>,
    /// How fast it answered the gateway's pings.
    pub pings: Option<RoundTrips>,
}

/// What a WebSocket was.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// What the client did.
    pub client: SideSummary,
    /// What the server did.
    pub server: SideSummary,
    /// Who ended it, if anyone has.
    pub ended_by: Option<EndedBy>,
    /// And why.
    pub cause: Option<Cause>,
    /// What was wrong on the way.
    pub violations: Violations,
}

impl Summary {
    /// What one side did.
    pub fn side(&self, side: Side) -> &SideSummary {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_without_a_code_is_a_1005() {
        assert_eq!(Close::from_payload(b""), Close { code: 1005, reason: Vec::new() });
        assert_eq!(Close::from_payload(b"\x03"), Close { code: 1005, reason: Vec::new() });
        assert_eq!(Close::from_payload(b"\x03\xe9why"), Close { code: 1001, reason: b"why".to_vec() });
    }
}
