//! Access log lines: escaping, and lines of tunnels that are kept half rendered until the tunnel ends.

use super::clock;
use super::error_log::ErrorSink;
use super::log_file::{self, LogFile};
use culvert_conf::config::Escape;
use culvert_engine::variable::Builtin;
use std::sync::Arc;
use tokio::time::Instant;

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

fn write_json(byte: u8, out: &mut Vec<u8>) {
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
            _ => return None,
        })
    }

    /// Whether the variable has one value for each upstream server that was tried.
    pub(crate) fn is_per_try(self) -> bool {
        matches!(self, Late::UpstreamBytesReceived | Late::UpstreamBytesSent | Late::UpstreamResponseTime)
    }
}

/// A tunnel's log line: its text, and where late values belong in it.
#[derive(Debug)]
pub(crate) struct Line {
    file: Arc<LogFile>,
    text: Vec<u8>,
    late: Vec<(u32, Late)>,
}

impl Line {
    /// An empty line for `file`.
    pub(crate) fn new(file: Arc<LogFile>) -> Line {
        Line { file, text: Vec::new(), late: Vec::new() }
    }

    /// Appends what is known.
    pub(crate) fn push_text(&mut self, text: &[u8]) {
        self.text.extend_from_slice(text);
    }

    /// Appends a place for what is not.
    pub(crate) fn push_late(&mut self, late: Late) {
        let at = u32::try_from(self.text.len()).expect("a log line is bounded by the request head");
        self.late.push((at, late));
    }

    fn write(&self, record: &Record, outcome: &TunnelOutcome) {
        log_file::append(&self.file, |out| {
            let mut written = 0;
            for &(at, late) in &self.late {
                out.extend_from_slice(&self.text[written..at as usize]);
                written = at as usize;
                record.write_late(late, outcome, out);
            }
            out.extend_from_slice(&self.text[written..]);
        });
    }
}

/// What a tunnel has to tell when it ends.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TunnelOutcome {
    /// Bytes sent to the client, the 101 included.
    pub(crate) client_sent: u64,
    /// Bytes received from the upstream server, its 101 included.
    pub(crate) upstream_received: u64,
    /// Bytes sent to the upstream server, the handshake included.
    pub(crate) upstream_sent: u64,
}

/// What a tunnel keeps of its handshake: the values that its end needs, and nothing of the configuration.
#[derive(Debug)]
pub(crate) struct Record {
    /// Its access log lines.
    pub(crate) lines: Box<[Line]>,
    /// Where its errors go.
    pub(crate) error_sink: ErrorSink,
    /// The tail of its error log lines.
    pub(crate) circumstances: Box<str>,
    /// `$connection`.
    pub(crate) connection: u64,
    pub(crate) client_opened: Instant,
    pub(crate) began: Instant,
    pub(crate) try_began: Instant,
    /// Bytes of the 101's head.
    pub(crate) head_bytes: u64,
}

impl Record {
    /// Writes the access log lines.
    pub(crate) fn tell(&self, outcome: &TunnelOutcome) {
        for line in &self.lines {
            line.write(self, outcome);
        }
    }

    fn write_late(&self, late: Late, outcome: &TunnelOutcome, out: &mut Vec<u8>) {
        let number =
            |number: u64, out: &mut Vec<u8>| out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        let seconds = |since: Instant, out: &mut Vec<u8>| clock::write_millis(out, since.elapsed().as_millis());
        match late {
            Late::BodyBytesSent => number(outcome.client_sent.saturating_sub(self.head_bytes), out),
            Late::BytesSent => number(outcome.client_sent, out),
            Late::ConnectionTime => seconds(self.client_opened, out),
            Late::Msec => clock::msec(out),
            Late::RequestCompletion => out.extend_from_slice(b"OK"),
            Late::RequestTime => seconds(self.began, out),
            Late::TimeIso8601 => clock::time_iso8601(out),
            Late::TimeLocal => clock::time_local(out),
            Late::UpstreamBytesReceived => number(outcome.upstream_received, out),
            Late::UpstreamBytesSent => number(outcome.upstream_sent, out),
            Late::UpstreamResponseTime => seconds(self.try_began, out),
        }
    }
}
