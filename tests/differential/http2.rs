//! A client that speaks HTTP/2 in clear text, and sends whatever a case says, well formed or not.
//!
//! A case is a request, or several with `@stream` between them, which are sent one after another on one connection:
//!
//! ```text
//! POST /path                 the pseudo-headers; `:scheme` is http, `:authority` localhost
//! :authority: other          another value for one of them; `-` leaves it away
//! name: value
//!
//! body                       behind an empty line: one DATA frame
//! @trailers
//! name: value
//! ```
//!
//! After `@literal` all fields are sent as they stand, pseudo-headers as well. What comes is shown as responses and, at
//! the end, `[reset N]`, `[goaway N]` and what became of the connection.

use crate::case::unescape;
use culvert_testkit::{Body, Client, Head, Response};
use std::time::Duration;

/// One request.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    body: Vec<u8>,
    trailers: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Stream {
    pub(crate) fn method(&self) -> String {
        let method = self.fields.iter().find(|(name, _)| name == b":method");
        method.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
    }
}

/// Reads a case's lines.
pub(crate) fn streams(lines: &[&str], place: &str) -> Vec<Stream> {
    lines.split(|line| *line == "@stream").map(|lines| stream(lines, place)).collect()
}

fn stream(lines: &[&str], place: &str) -> Stream {
    let (lines, trailers) = match lines.iter().position(|line| *line == "@trailers") {
        Some(at) => (&lines[..at], &lines[at + 1..]),
        None => (lines, &[][..]),
    };
    let blank = lines.iter().position(|line| line.is_empty()).unwrap_or(lines.len());
    let (head, body) = (&lines[..blank], lines.get(blank + 1..).unwrap_or_default());
    let mut body: Vec<u8> = body.iter().flat_map(|line| unescape(line)).collect();
    body.truncate(body.len() - if body.ends_with(b"\r\n") { 2 } else { 0 });
    let fields = match head.split_first() {
        Some((&"@literal", fields)) => fields.iter().map(|line| field(line, place)).collect(),
        Some((line, fields)) => with_pseudo(line, fields.iter().map(|line| field(line, place)).collect(), place),
        None => panic!("{place}: a stream without a request"),
    };
    Stream { fields, body, trailers: trailers.iter().map(|line| field(line, place)).collect() }
}

type Field = (Vec<u8>, Vec<u8>);

fn field(line: &str, place: &str) -> Field {
    let bytes = unescape(&format!("{line}\\"));
    let colon = bytes.iter().skip(1).position(|byte| *byte == b':').map(|at| at + 1);
    let colon = colon.unwrap_or_else(|| panic!("{place}: no field: {line:?}"));
    let value = &bytes[colon + 1..];
    (bytes[..colon].to_vec(), value.strip_prefix(b" ").unwrap_or(value).to_vec())
}

fn with_pseudo(line: &str, fields: Vec<Field>, place: &str) -> Vec<Field> {
    let (method, path) = line.split_once(' ').unwrap_or_else(|| panic!("{place}: no request line: {line:?}"));
    let defaults = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "localhost")];
    let (pseudo, rest): (Vec<Field>, Vec<Field>) = fields.into_iter().partition(|(name, _)| name.starts_with(b":"));
    let mut all = Vec::new();
    for (name, value) in defaults {
        match pseudo.iter().find(|(other, _)| other == name.as_bytes()) {
            Some((_, value)) if value == b"-" => {}
            Some(field) => all.push(field.clone()),
            None => all.push((name.into(), unescape(&format!("{value}\\")))),
        }
    }
    all.into_iter().chain(rest).collect()
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// SETTINGS_INITIAL_WINDOW_SIZE of a megabyte: no case is about windows.
const WINDOW: [u8; 6] = [0, 4, 0, 16, 0, 0];

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// Sends the requests and reads their answers: responses, and how the connection ended.
pub(crate) fn converse(mut client: Client, streams: &[Stream], patience: Duration) -> (Vec<Response>, String) {
    client.patience(patience);
    client.try_send([PREFACE, &frame(SETTINGS, 0, 0, &WINDOW), &frame(WINDOW_UPDATE, 0, 0, &[0, 16, 0, 0])].concat());
    let mut connection = Connection {
        client,
        decoder: loona_hpack::Decoder::new(),
        block: Vec::new(),
        endings: Vec::new(),
        over: false,
    };
    let mut responses = Vec::new();
    for (id, stream) in (1..).step_by(2).zip(streams) {
        if connection.over {
            break;
        }
        connection.client.try_send(request(id, stream));
        responses.extend(connection.response(id));
    }
    connection.end();
    (responses, connection.endings.join(" "))
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame is short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn request(id: u32, stream: &Stream) -> Vec<u8> {
    let ends = |is_last: bool| if is_last { END_STREAM } else { 0 };
    let (has_body, has_trailers) = (!stream.body.is_empty(), !stream.trailers.is_empty());
    let mut bytes = head(id, &stream.fields, ends(!has_body && !has_trailers));
    let mut pieces = stream.body.chunks(16_384).peekable();
    while let Some(piece) = pieces.next() {
        bytes.extend(frame(DATA, ends(pieces.peek().is_none() && !has_trailers), id, piece));
    }
    if has_trailers {
        bytes.extend(head(id, &stream.trailers, END_STREAM));
    }
    bytes
}

/// HEADERS and as many CONTINUATIONs as it takes.
fn head(id: u32, fields: &[Field], flags: u8) -> Vec<u8> {
    let block: Vec<u8> =
        fields.iter().flat_map(|(name, value)| [&[0][..], &text(name), &text(value)].concat()).collect();
    let mut pieces = block.chunks(16_384).peekable();
    let (mut bytes, mut kind, mut flags) = (Vec::new(), HEADERS, flags);
    while let Some(piece) = pieces.next() {
        let last = if pieces.peek().is_none() { END_HEADERS } else { 0 };
        bytes.extend(frame(kind, flags | last, id, piece));
        (kind, flags) = (CONTINUATION, 0);
    }
    bytes
}

/// A string without Huffman coding (RFC 7541 section 5.2).
fn text(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match bytes.len().checked_sub(127) {
        None => out.push(bytes.len() as u8),
        Some(mut rest) => {
            out.push(127);
            while rest >= 128 {
                out.push((rest % 128) as u8 | 128);
                rest /= 128;
            }
            out.push(rest as u8);
        }
    }
    out.extend_from_slice(bytes);
    out
}

struct Connection {
    client: Client,
    decoder: loona_hpack::Decoder<'static>,
    /// A head whose end has not come.
    block: Vec<u8>,
    endings: Vec<String>,
    over: bool,
}

/// A frame as it came.
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Connection {
    fn frame(&mut self) -> Option<Frame> {
        let wire = self.client.wire();
        let read = wire.take(9).and_then(|head| {
            let Some(head) = head else { return Ok(None) };
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let payload = wire.take(length)?;
            let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
            Ok(payload.map(|payload| Frame { kind: head[3], flags: head[4], stream, payload }))
        });
        let ending = match read {
            Ok(Some(frame)) => return Some(frame),
            Ok(None) => "[closed]",
            Err(error) if error.kind() == std::io::ErrorKind::TimedOut => "[silent]",
            Err(_) => "[broken]",
        };
        self.endings.push(ending.into());
        self.over = true;
        None
    }

    /// What is not about one stream.
    fn take(&mut self, frame: &Frame) {
        let code = |at: usize| frame.payload.get(at + 3).copied().unwrap_or(0);
        let told = match frame.kind {
            PING if frame.flags & ACK == 0 => {
                self.client.try_send(self::frame(PING, ACK, 0, &frame.payload));
                return;
            }
            SETTINGS if frame.flags & ACK == 0 => {
                self.client.try_send(self::frame(SETTINGS, ACK, 0, &[]));
                return;
            }
            GOAWAY => format!("[goaway {}]", code(4)),
            // Behind a whole response it says that no more of the request is wanted, which it may or may not (RFC 9113 section 8.1).
            RESET if code(0) == 0 => return,
            RESET => format!("[reset {}]", code(0)),
            _ => return,
        };
        if self.endings.last() != Some(&told) {
            self.endings.push(told);
        }
    }

    /// The responses in a stream: interim ones, and the final one.
    fn response(&mut self, id: u32) -> Vec<Response> {
        let mut responses: Vec<Response> = Vec::new();
        while let Some(frame) = self.frame() {
            let is_ours = frame.stream == id;
            match frame.kind {
                HEADERS | CONTINUATION => {
                    // Neither gateway pads or weighs its heads.
                    self.block.extend_from_slice(&frame.payload);
                    if frame.flags & END_HEADERS != 0 {
                        let fields = self.decode();
                        take_fields(&mut responses, fields);
                    }
                }
                DATA if is_ours => {
                    if let Some(response) = responses.last_mut() {
                        response.body.bytes.extend_from_slice(&frame.payload);
                    }
                }
                _ => self.take(&frame),
            }
            let ends = matches!(frame.kind, HEADERS | DATA) && frame.flags & END_STREAM != 0;
            if is_ours && (ends || frame.kind == RESET) {
                if let Some(response) = responses.last_mut() {
                    response.body.complete = ends;
                }
                return responses;
            }
        }
        responses
    }

    fn decode(&mut self) -> Vec<(String, String)> {
        let block = std::mem::take(&mut self.block);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut fields = Vec::new();
        let decoded = self.decoder.decode_with_cb(&block, |name, value| fields.push((text(&name), text(&value))));
        assert!(decoded.is_ok(), "a head that is none: {decoded:?}");
        fields
    }

    /// Hears the end: whatever comes before a PING is answered, or before the connection is closed after a GOAWAY.
    fn end(&mut self) {
        self.client.try_send(frame(PING, 0, 0, b"the end!"));
        while !self.over {
            let Some(frame) = self.frame() else { return };
            let is_answer = frame.kind == PING && frame.flags & ACK != 0;
            if is_answer && !self.endings.iter().any(|ending| ending.starts_with("[goaway")) {
                self.endings.push("[open]".into());
                return;
            }
            self.take(&frame);
        }
    }
}

/// A head, or trailers where there is a final one already.
fn take_fields(responses: &mut Vec<Response>, fields: Vec<(String, String)>) {
    let status = fields.iter().find(|(name, _)| name == ":status").map(|(_, status)| status.clone());
    match (status, responses.last_mut()) {
        (None, Some(response)) => response.body.trailers = fields,
        (status, _) => {
            let headers = fields.into_iter().filter(|(name, _)| name != ":status").collect();
            let start_line = format!("HTTP/2 {}", status.unwrap_or_default());
            responses.push(Response { head: Head { start_line, headers, raw: Vec::new() }, body: Body::default() });
        }
    }
}
