//! Access log lines: escaping, and lines of tunnels that are kept half rendered until the tunnel ends.

use super::clock;
use super::error_log::ErrorSink;
use super::log_file::{self, LogFile};
use crate::exchange::access::Seats;
use crate::io::clock::{Stamp, now};
use culvert_conf::config::Escape;
use culvert_engine::variable::Builtin;
use culvert_engine::websocket::{Cause, Close, EndedBy, Summary};
use std::sync::Arc;

/// Appends a variable's value as `escape` has it; `None` is a value that does not exist.
pub(crate) fn write_escaped(value: Option<&[u8]>, escape: Escape, out: &mut Vec<u8>) {
    match (escape, value) {
        (Escape::Default, None) => out.push(b'-'),
        (_, None) => {}
        (Escape::None, Some(value)) => out.extend_from_slice(value),
        (Escape::Default, Some(value)) => value.iter().for_each(|&b| match b {
            b'"' | b'\\' | 0..32 | 127.. => out.extend_from_slice(format!("\\x{b:02X}").as_bytes()),
            _ => out.push(b),
        }),
        (Escape::Json, Some(value)) => value.iter().for_each(|&b| write_json(b, out)),
    }
}

/// Appends a byte as it stands in a string of JSON.
pub(crate) fn write_json(byte: u8, out: &mut Vec<u8>) {
    match byte {
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        8 => out.extend_from_slice(b"\\b"),
        12 => out.extend_from_slice(b"\\f"),
        0..32 => out.extend_from_slice(format!("\\u{byte:04X}").as_bytes()),
        _ => out.push(byte),
    }
}

/// A value of a tunnel's log line that is not known before the tunnel ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Late {
    BodyBytesSent,
    BytesSent,
    ConnectionTime,
    Msec,
    RequestCompletion,
    RequestTime,
    TimeIso8601,
    TimeLocal,
    UpstreamBytesReceived,
    UpstreamBytesSent,
    UpstreamResponseTime,
    /// What only the frames tell.
    WebSocket(WebSocketFact),
}

/// A fact about a WebSocket that its end knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WebSocketFact {
    BytesReceived,
    BytesSent,
    CloseCause,
    CloseCode,
    CloseReason,
    ClosedBy,
    MessagesReceived,
    MessagesSent,
    PingRtt,
    Violations,
}

impl WebSocketFact {
    /// Appends the fact. False where there is none, which logs print as `-`.
    fn append(self, summary: &Summary, out: &mut Vec<u8>) -> bool {
        let number =
            |number: u64, out: &mut Vec<u8>| out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        let word = |word: Option<&str>, out: &mut Vec<u8>| {
            out.extend_from_slice(word.unwrap_or_default().as_bytes());
            word.is_some()
        };
        match self {
            WebSocketFact::BytesReceived => number(summary.client.payload_bytes, out),
            WebSocketFact::BytesSent => number(summary.server.payload_bytes, out),
            WebSocketFact::MessagesReceived => number(summary.client.messages, out),
            WebSocketFact::MessagesSent => number(summary.server.messages, out),
            WebSocketFact::Violations => number(summary.violations.count.into(), out),
            WebSocketFact::CloseCause => return word(summary.cause.map(Cause::as_str), out),
            WebSocketFact::ClosedBy => return word(summary.ended_by.map(EndedBy::as_str), out),
            WebSocketFact::CloseCode => match first_close(summary) {
                Some(close) => number(close.code.into(), out),
                None => number(ABNORMAL, out),
            },
            WebSocketFact::CloseReason => match first_close(summary).filter(|close| !close.reason.is_empty()) {
                Some(close) => out.extend_from_slice(&close.reason),
                None => return false,
            },
            WebSocketFact::PingRtt => match summary.client.pings.or(summary.server.pings) {
                Some(pings) => clock::write_millis(out, pings.last.as_millis()),
                None => return false,
            },
        }
        true
    }
}

/// What browsers report where no Close came (RFC 6455 section 7.1.5).
const ABNORMAL: u64 = 1006;

/// The Close of whoever ended the WebSocket.
fn first_close(summary: &Summary) -> Option<&Close> {
    let (client, server) = (&summary.client, &summary.server);
    match summary.ended_by {
        Some(EndedBy::Client) => client.close.as_ref(),
        Some(EndedBy::Server) => server.close.as_ref(),
        Some(EndedBy::Gateway) => client.gateway_close.as_ref().or(server.gateway_close.as_ref()),
        None => None,
    }
}

impl Late {
    /// The late value of a variable; `None` for one that is known when the tunnel opens.
    pub(crate) fn of(builtin: Builtin) -> Option<Late> {
        Some(match builtin {
            Builtin::BodyBytesSent => Late::BodyBytesSent,
            Builtin::BytesSent => Late::BytesSent,
            Builtin::ConnectionTime => Late::ConnectionTime,
            Builtin::Msec => Late::Msec,
            Builtin::RequestCompletion => Late::RequestCompletion,
            Builtin::RequestTime => Late::RequestTime,
            Builtin::TimeIso8601 => Late::TimeIso8601,
            Builtin::TimeLocal => Late::TimeLocal,
            Builtin::UpstreamBytesReceived => Late::UpstreamBytesReceived,
            Builtin::UpstreamBytesSent => Late::UpstreamBytesSent,
            Builtin::UpstreamResponseTime => Late::UpstreamResponseTime,
            Builtin::WebsocketBytesReceived => Late::WebSocket(WebSocketFact::BytesReceived),
            Builtin::WebsocketBytesSent => Late::WebSocket(WebSocketFact::BytesSent),
            Builtin::WebsocketCloseCause => Late::WebSocket(WebSocketFact::CloseCause),
            Builtin::WebsocketCloseCode => Late::WebSocket(WebSocketFact::CloseCode),
            Builtin::WebsocketCloseReason => Late::WebSocket(WebSocketFact::CloseReason),
            Builtin::WebsocketClosedBy => Late::WebSocket(WebSocketFact::ClosedBy),
            Builtin::WebsocketMessagesReceived => Late::WebSocket(WebSocketFact::MessagesReceived),
            Builtin::WebsocketMessagesSent => Late::WebSocket(WebSocketFact::MessagesSent),
            Builtin::WebsocketPingRtt => Late::WebSocket(WebSocketFact::PingRtt),
            Builtin::WebsocketViolations => Late::WebSocket(WebSocketFact::Violations),
            _ => return None,
        })
    }

    /// Its place in [`LATE`].
    fn to_byte(self) -> u8 {
        LATE.iter().position(|late| *late == self).map_or(TEXT_FOLLOWS, |at| at as u8)
    }

    fn from_byte(byte: u8) -> Option<Late> {
        LATE.get(usize::from(byte)).copied()
    }

    /// Whether the variable has one value for each upstream server that was tried.
    pub(crate) fn is_per_try(self) -> bool {
        matches!(self, Late::UpstreamBytesReceived | Late::UpstreamBytesSent | Late::UpstreamResponseTime)
    }
}

/// What a part of a [`Line`] ends with where no late value follows.
const TEXT_FOLLOWS: u8 = u8::MAX;

/// All late values, so that a byte can stand for one.
const LATE: [Late; 21] = [
    Late::BodyBytesSent,
    Late::BytesSent,
    Late::ConnectionTime,
    Late::Msec,
    Late::RequestCompletion,
    Late::RequestTime,
    Late::TimeIso8601,
    Late::TimeLocal,
    Late::UpstreamBytesReceived,
    Late::UpstreamBytesSent,
    Late::UpstreamResponseTime,
    Late::WebSocket(WebSocketFact::BytesReceived),
    Late::WebSocket(WebSocketFact::BytesSent),
    Late::WebSocket(WebSocketFact::CloseCause),
    Late::WebSocket(WebSocketFact::CloseCode),
    Late::WebSocket(WebSocketFact::CloseReason),
    Late::WebSocket(WebSocketFact::ClosedBy),
    Late::WebSocket(WebSocketFact::MessagesReceived),
    Late::WebSocket(WebSocketFact::MessagesSent),
    Late::WebSocket(WebSocketFact::PingRtt),
    Late::WebSocket(WebSocketFact::Violations),
];

/// A tunnel's log line: its text, and where late values belong in it. Kept for hours, so it holds no spare room, and is in
/// one piece.
#[derive(Debug)]
pub(crate) struct Line {
    file: Arc<LogFile>,
    escape: Escape,
    /// Again and again: the length of a text in two bytes, the text, and what follows it, as [`Late::to_byte`] has it.
    parts: Box<[u8]>,
}

/// A [`Line`] in the making.
#[derive(Debug, Default)]
pub(crate) struct LineBuilder {
    /// The parts that are complete.
    parts: Vec<u8>,
    /// The text of the next one.
    text: Vec<u8>,
}

impl LineBuilder {
    /// The finished line, for `file`; `escape` is for the late values.
    pub(crate) fn build(self, file: Arc<LogFile>, escape: Escape) -> Line {
        Line { file, escape, parts: self.parts_built() }
    }

    fn parts_built(mut self) -> Box<[u8]> {
        self.end_part(None);
        self.parts.into()
    }

    /// Appends what is known.
    pub(crate) fn push_text(&mut self, text: &[u8]) {
        self.text.extend_from_slice(text);
    }

    /// Appends a place for what is not.
    pub(crate) fn push_late(&mut self, late: Late) {
        self.end_part(Some(late));
    }

    /// Ends a part: what follows its text is a late value, or more text.
    fn end_part(&mut self, late: Option<Late>) {
        let mut texts = self.text.chunks(u16::MAX.into()).peekable();
        loop {
            let text = texts.next().unwrap_or_default();
            let is_last = texts.peek().is_none();
            self.parts.extend_from_slice(&(text.len() as u16).to_be_bytes());
            self.parts.extend_from_slice(text);
            self.parts.push(late.filter(|_| is_last).map_or(TEXT_FOLLOWS, Late::to_byte));
            if is_last {
                break;
            }
        }
        self.text.clear();
    }
}

impl Line {
    fn write(&self, record: &Record, outcome: &TunnelOutcome) {
        log_file::append(&self.file, |out| {
            each_part(&self.parts, |text, late| {
                out.extend_from_slice(text);
                if let Some(late) = late {
                    record.write_late(late, outcome, self.escape, out);
                }
            });
        });
    }
}

/// Gives each text and the late value behind it.
fn each_part(mut parts: &[u8], mut take: impl FnMut(&[u8], Option<Late>)) {
    while let [high, low, rest @ ..] = parts {
        let (text, rest) = rest.split_at(u16::from_be_bytes([*high, *low]).into());
        let (then, rest) = rest.split_first().expect("the builder ends each part with this byte");
        take(text, Late::from_byte(*then));
        parts = rest;
    }
}

/// What a tunnel has to tell when it ends.
#[derive(Debug, Clone, Default)]
pub(crate) struct TunnelOutcome {
    /// Bytes sent to the client, the 101 included.
    pub(crate) client_sent: u64,
    /// Bytes received from the upstream server, its 101 included.
    pub(crate) upstream_received: u64,
    /// Bytes sent to the upstream server, the handshake included.
    pub(crate) upstream_sent: u64,
    /// What the frames told, where they were looked at.
    pub(crate) summary: Option<Summary>,
}

/// What a tunnel keeps of its handshake: the values that its end needs, and nothing of the configuration.
#[derive(Debug)]
pub(crate) struct Record {
    /// Its access log lines.
    pub(crate) lines: Box<[Line]>,
    /// Where its errors go.
    pub(crate) error_sink: Arc<ErrorSink>,
    /// The tail of its error log lines.
    pub(crate) circumstances: Box<str>,
    /// `$connection`.
    pub(crate) connection: u64,
    /// When the request began.
    pub(crate) began: Stamp,
    /// Where `limit_conn` counts it.
    pub(crate) _seats: Seats,
    /// For so many milliseconds the connection had been open by then.
    pub(crate) open_before: u32,
    /// So many milliseconds later the last try began.
    pub(crate) tried_after: u32,
    /// Bytes of the 101's head.
    pub(crate) head_bytes: u32,
}

impl Record {
    /// Writes the access log lines.
    pub(crate) fn tell(&self, outcome: &TunnelOutcome) {
        for line in &self.lines {
            line.write(self, outcome);
        }
    }

    fn write_late(&self, late: Late, outcome: &TunnelOutcome, escape: Escape, out: &mut Vec<u8>) {
        let number =
            |number: u64, out: &mut Vec<u8>| out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        let lasted = now().duration_since(self.began.into()).as_millis();
        match late {
            Late::BodyBytesSent => number(outcome.client_sent.saturating_sub(self.head_bytes.into()), out),
            Late::BytesSent => number(outcome.client_sent, out),
            Late::ConnectionTime => clock::write_millis(out, lasted + u128::from(self.open_before)),
            Late::Msec => clock::msec(out),
            Late::RequestCompletion => out.extend_from_slice(b"OK"),
            Late::RequestTime => clock::write_millis(out, lasted),
            Late::TimeIso8601 => clock::time_iso8601(out),
            Late::TimeLocal => clock::time_local(out),
            Late::UpstreamBytesReceived => number(outcome.upstream_received, out),
            Late::UpstreamBytesSent => number(outcome.upstream_sent, out),
            Late::UpstreamResponseTime => clock::write_millis(out, lasted.saturating_sub(self.tried_after.into())),
            Late::WebSocket(fact) => {
                let mut value = Vec::new();
                let found = outcome.summary.as_ref().is_some_and(|summary| fact.append(summary, &mut value));
                write_escaped(found.then_some(&value[..]), escape, out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use culvert_engine::variable::TABLE;

    #[test]
    fn every_late_value_has_a_byte_of_its_own() {
        let late: Vec<_> = TABLE.iter().filter_map(|row| Late::of(row.builtin)).collect();
        assert!(!late.is_empty());
        for late in late {
            assert_eq!(Late::from_byte(late.to_byte()), Some(late));
        }
        assert_eq!(Late::from_byte(TEXT_FOLLOWS), None);
    }

    #[test]
    fn a_line_keeps_texts_of_any_length() {
        let long = vec![b'x'; 3 * usize::from(u16::MAX) + 1];
        let mut line = LineBuilder::default();
        for late in [Late::RequestCompletion, Late::RequestCompletion] {
            line.push_text(&long);
            line.push_late(late);
        }
        line.push_late(Late::RequestCompletion);
        line.push_text(&long[..usize::from(u16::MAX)]);
        let line = line.parts_built();
        let mut out = Vec::new();
        each_part(&line, |text, late| {
            out.extend_from_slice(text);
            out.extend_from_slice(if late.is_some() { b"OK" } else { b"" });
        });
        let expected = [&long[..], b"OK", &long, b"OK", b"OK", &long[..usize::from(u16::MAX)]].concat();
        assert!(out == expected, "{} bytes, {} expected", out.len(), expected.len());
    }
}
