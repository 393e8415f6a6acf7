//! Why a probe failed, in nginx's words.

use std::fmt;

/// What a probe was doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Opening the connection.
    Connecting,
    /// Sending the request or the handshake.
    Sending,
    /// Waiting for the head of the response.
    ReadingHead,
    /// Waiting for its body.
    ReadingBody,
    /// Looking at the status.
    Status,
    /// Looking at a header.
    Header,
    /// Looking at the body.
    Body,
    /// Looking at the variables of `require`.
    Variables,
    /// Looking at the answer to a WebSocket handshake.
    Handshake,
    /// Waiting for a pong.
    Pong,
    /// Waiting for the echo of a Close.
    Closing,
}

impl Stage {
    /// What stands in log lines after `while`.
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Connecting => "connecting to upstream",
            Stage::Sending => "sending request to upstream",
            Stage::ReadingHead => "reading response header from upstream",
            Stage::ReadingBody => "reading upstream",
            Stage::Status => "checking status code",
            Stage::Header => "checking header",
            Stage::Body => "checking body",
            Stage::Variables => "checking variables",
            Stage::Handshake => "checking websocket handshake",
            Stage::Pong => "waiting for websocket pong",
            Stage::Closing => "closing websocket",
        }
    }
}

/// A probe that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What it was doing.
    pub stage: Stage,
    /// What was wrong, such as `upstream timed out`.
    pub detail: String,
}

impl Failure {
    /// A failure of this kind.
    pub fn new(stage: Stage, detail: impl Into<String>) -> Failure {
        Failure { stage, detail: detail.into() }
    }

    /// The line for the error log that tells what was wrong with one probe.
    pub fn log_line(&self, context: &Context) -> String {
        format!("{} while {}, {context}", self.detail, self.stage.as_str())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} while {}", self.detail, self.stage.as_str())
    }
}

/// The end of log lines about a check: which check, which peer, which upstream.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The name of the `match` block, or nothing.
    pub check: &'a str,
    /// The peer's address.
    pub peer: &'a str,
    /// The upstream's name.
    pub upstream: &'a str,
    /// The port that was asked, where it is not the peer's own.
    pub port: Option<u16>,
}

impl fmt::Display for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "health check \"{}\" of peer {} in upstream \"{}\"", self.check, self.peer, self.upstream)?;
        self.port.map_or(Ok(()), |port| write!(f, ", port {port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_the_fault_the_peer_and_the_upstream() {
        let failure = Failure::new(Stage::ReadingHead, "upstream timed out (110: Connection timed out)");
        let context = Context { check: "welcome", peer: "10.0.0.1:80", upstream: "chat", port: Some(81) };
        assert_eq!(
            failure.log_line(&context),
            "upstream timed out (110: Connection timed out) while reading response header from upstream, \
             health check \"welcome\" of peer 10.0.0.1:80 in upstream \"chat\", port 81"
        );
    }
}
