//! A client that writes frames by hand (RFC 9113 section 4), good and bad ones.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How long anything may take that is due at once.
const SOON: Duration = Duration::from_secs(10);

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// END_STREAM, and ACK of SETTINGS and PING.
pub(crate) const END_STREAM: u8 = 1;
/// END_HEADERS.
pub(crate) const END_HEADERS: u8 = 4;

/// The kinds of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Data,
    Headers,
    Reset,
    Settings,
    Ping,
    GoAway,
    WindowUpdate,
    Continuation,
    Other,
}

const KINDS: [(Kind, u8); 8] = [
    (Kind::Data, 0),
    (Kind::Headers, 1),
    (Kind::Reset, 3),
    (Kind::Settings, 4),
    (Kind::Ping, 6),
    (Kind::GoAway, 7),
    (Kind::WindowUpdate, 8),
    (Kind::Continuation, 9),
];

/// A frame as it came.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: Kind,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The error code of a GOAWAY or a RST_STREAM.
    pub(crate) fn code(&self) -> u32 {
        let at = if self.kind == Kind::GoAway { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().expect("four bytes"))
    }
}

/// A frame's bytes.
pub(crate) fn frame(kind: Kind, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let number = KINDS.iter().find(|(known, _)| *known == kind).expect("only known kinds are sent").1;
    let length = u32::try_from(payload.len()).expect("a frame is short").to_be_bytes();
    [&length[1..], &[number, flags], &stream.to_be_bytes(), payload].concat()
}

/// A field that no table learns, as its bytes are.
pub(crate) fn field(name: &str, value: &str) -> Vec<u8> {
    [&[0][..], &string(name), &string(value)].concat()
}

/// A string without Huffman coding (RFC 7541 section 5.2).
pub(crate) fn string(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut length = text.len();
    if length < 127 {
        bytes.push(length as u8);
    } else {
        bytes.push(127);
        length -= 127;
        while length >= 128 {
            bytes.push((length % 128) as u8 | 128);
            length /= 128;
        }
        bytes.push(length as u8);
    }
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

/// The pseudo-headers of a request.
pub(crate) fn pseudo(method: &str, path: &str) -> Vec<u8> {
    let fields = [(":method", method), (":scheme", "http"), (":authority", "culvert.test"), (":path", path)];
    fields.iter().flat_map(|(name, value)| field(name, value)).collect()
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Connection {
    /// Connects, and sends the preface with empty settings.
    pub(crate) fn open(address: SocketAddr) -> Connection {
        Connection::open_with(address, &[])
    }

    /// The same, with settings.
    pub(crate) fn open_with(address: SocketAddr, settings: &[(u16, u32)]) -> Connection {
        let stream = TcpStream::connect(address).expect("the gateway listens");
        stream.set_nodelay(true).expect("it is a TCP socket");
        let mut connection = Connection { stream, unread: Vec::new() };
        let payload: Vec<u8> =
            settings.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
        connection.sends(&[PREFACE, &frame(Kind::Settings, 0, 0, &payload)].concat());
        connection
    }

    /// Sends bytes, which are taken.
    #[track_caller]
    pub(crate) fn sends(&mut self, bytes: &[u8]) {
        self.stream.set_write_timeout(Some(SOON)).expect("the timeout is not zero");
        self.stream.write_all(bytes).expect("the gateway reads");
    }

    /// Sends `bytes` again and again and throws away what comes, until the gateway ends the connection or `bytes_max` were
    /// taken. How many were.
    pub(crate) fn floods(&mut self, bytes: &[u8], bytes_max: usize) -> usize {
        self.floods_with(bytes_max, || bytes.to_vec())
    }

    /// The same with bytes that differ each time.
    pub(crate) fn floods_with(&mut self, bytes_max: usize, mut next: impl FnMut() -> Vec<u8>) -> usize {
        let ended = self.stream.try_clone().expect("a socket can be cloned");
        let drain = std::thread::spawn(move || {
            let (mut ended, mut rest) = (ended, [0; 65536]);
            ended.set_read_timeout(Some(SOON)).expect("the timeout is not zero");
            while let Ok(1..) = ended.read(&mut rest) {}
        });
        let mut sent = 0;
        self.stream.set_write_timeout(Some(SOON)).expect("the timeout is not zero");
        while sent < bytes_max && !drain.is_finished() {
            let bytes = next();
            if self.stream.write_all(&bytes).is_err() {
                break;
            }
            sent += bytes.len();
        }
        if sent < bytes_max {
            drain.join().expect("it only reads");
        }
        sent
    }

    /// `GET path` on stream `stream`.
    #[track_caller]
    pub(crate) fn get(&mut self, stream: u32, path: &str) {
        self.sends(&frame(Kind::Headers, END_HEADERS | END_STREAM, stream, &pseudo("GET", path)));
    }

    /// Asks for a WebSocket on stream `stream`.
    #[track_caller]
    pub(crate) fn connects(&mut self, stream: u32, path: &str) {
        let block = [pseudo("CONNECT", path), field(":protocol", "websocket"), field("sec-websocket-version", "13")];
        self.sends(&frame(Kind::Headers, END_HEADERS, stream, &block.concat()));
    }

    /// The next frame; `None` at the end of the connection.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Option<Frame> {
        let deadline = Instant::now() + SOON;
        loop {
            if let Some(frame) = self.take() {
                return Some(frame);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no frame came in time");
            self.stream.set_read_timeout(Some(left)).expect("the timeout is not zero");
            let mut bytes = [0; 65536];
            match self.stream.read(&mut bytes) {
                Ok(0) => return None,
                Ok(length) => self.unread.extend_from_slice(&bytes[..length]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no frame came: {error}"),
            }
        }
    }

    fn take(&mut self) -> Option<Frame> {
        let head: [u8; 9] = self.unread.get(..9)?.try_into().expect("nine bytes");
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let payload = self.unread.get(9..9 + length)?.to_vec();
        self.unread.drain(..9 + length);
        let kind = KINDS.iter().find(|(_, number)| *number == head[3]).map_or(Kind::Other, |(kind, _)| *kind);
        let stream = u32::from_be_bytes(head[5..].try_into().expect("four bytes"));
        Some(Frame { kind, flags: head[4], stream, payload })
    }

    /// The next frame of this kind.
    #[track_caller]
    pub(crate) fn hears(&mut self, kind: Kind) -> Frame {
        loop {
            let next = self.next().unwrap_or_else(|| panic!("the connection ended before a frame {kind:?}"));
            if next.kind == kind {
                return next;
            }
        }
    }

    /// The body of a response to its end.
    #[track_caller]
    pub(crate) fn hears_body(&mut self, stream: u32) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let next = self.next().expect("the response ends before the connection");
            if next.stream != stream {
                continue;
            }
            assert_ne!(next.kind, Kind::Reset, "reset with {}", next.code());
            if next.kind == Kind::Data {
                body.extend_from_slice(&next.payload);
            }
            if matches!(next.kind, Kind::Data | Kind::Headers) && next.flags & END_STREAM != 0 {
                return body;
            }
        }
    }

    /// The connection's end, with the code of the GOAWAY before it, if there was one.
    #[track_caller]
    pub(crate) fn hears_the_end(&mut self) -> Option<u32> {
        let mut code = None;
        while let Some(next) = self.next() {
            if next.kind == Kind::GoAway {
                code = Some(next.code());
            }
        }
        code
    }
}
