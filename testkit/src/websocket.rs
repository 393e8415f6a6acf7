//! A raw RFC 6455 peer for tests at the level of bytes: it builds its own frames, so that a test decides where a
//! message is cut, what shares a packet with the handshake and in the middle of which frame a connection ends.
//! Both sides are plain blocking sockets, and every wait has a deadline.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// How long a peer waits for anything before its test fails.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The key that every handshake of this module offers (RFC 6455 section 1.3), and the accept value that belongs to it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// One frame as it is on the wire, less its mask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Whether it ends its message.
    pub fin: bool,
    /// The three reserved bits as a number from 0 to 7.
    pub reserved: u8,
    /// RFC 6455 section 5.2: 0 continuation, 1 text, 2 binary, 8 close, 9 ping, 10 pong.
    pub opcode: u8,
    /// The payload, unmasked.
    pub payload: Vec<u8>,
}

impl Frame {
    /// A final frame of any opcode.
    pub fn new(opcode: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self { fin: true, reserved: 0, opcode, payload: payload.into() }
    }

    /// A whole text message.
    pub fn text(text: &str) -> Self {
        Self::new(1, text)
    }

    /// A whole binary message.
    pub fn binary(payload: impl Into<Vec<u8>>) -> Self {
        Self::new(2, payload)
    }

    /// A close frame with its code and reason.
    pub fn close(code: u16, reason: &str) -> Self {
        Self::new(8, [&code.to_be_bytes()[..], reason.as_bytes()].concat())
    }

    /// The same frame as one that more frames of its message follow.
    #[must_use]
    pub fn unfinished(self) -> Self {
        Self { fin: false, ..self }
    }

    /// The bytes on the wire, masked if a mask is given.
    pub fn encode(&self, mask: Option<[u8; 4]>) -> Vec<u8> {
        let masked = if mask.is_some() { 0x80 } else { 0 };
        let mut bytes = vec![u8::from(self.fin) << 7 | self.reserved << 4 | self.opcode];
        match self.payload.len() {
            short @ 0..=125 => bytes.push(masked | short as u8),
            medium @ 126..=0xFFFF => {
                bytes.push(masked | 126);
                bytes.extend((medium as u16).to_be_bytes());
            }
            long => {
                bytes.push(masked | 127);
                bytes.extend((long as u64).to_be_bytes());
            }
        }
        let mask_bytes = mask.unwrap_or_default();
        bytes.extend(mask.iter().flatten());
        bytes.extend(self.payload.iter().zip(mask_bytes.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes
    }

    /// Takes one frame off the front of `bytes` once it is there in full.
    fn take(bytes: &mut Vec<u8>) -> Option<Self> {
        let [first, second] = *bytes.first_chunk::<2>()?;
        let (length, mut at) = match second & 0x7F {
            126 => (usize::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?)), 4),
            127 => (u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?) as usize, 10),
            short => (usize::from(short), 2),
        };
        let mask: [u8; 4] = if second & 0x80 == 0 {
            [0; 4]
        } else {
            at += 4;
            *bytes.get(at - 4..)?.first_chunk()?
        };
        let payload = bytes.get(at..at + length)?.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
        let frame =
            Self { fin: first & 0x80 != 0, reserved: first >> 4 & 7, opcode: first & 15, payload: payload.collect() };
        bytes.drain(..at + length);
        Some(frame)
    }
}

/// The request head of a handshake to `target`; `extra` lines end in CR LF.
pub fn handshake(host: &str, target: &str, extra: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{extra}\r\n"
    )
}

/// The head of the 101 that answers [`handshake`]; `extra` lines end in CR LF.
pub fn switching(extra: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {ACCEPT}\r\n{extra}\r\n"
    )
}

/// One end of a WebSocket (or of the connection that may become one).
#[derive(Debug)]
pub struct Peer {
    stream: TcpStream,
    unread: Vec<u8>,
    mask: Option<[u8; 4]>,
    head: String,
}

impl Peer {
    /// Connects and opens a WebSocket; anything but a valid 101 fails the test.
    pub fn connect(address: SocketAddr, target: &str) -> Self {
        let mut peer = Self::asks(address, target, "");
        peer.is_switched();
        peer
    }

    /// Connects and sends a handshake with `extra` header lines, and waits for nothing.
    pub fn asks(address: SocketAddr, target: &str, extra: &str) -> Self {
        Self::asks_and_says(address, target, extra, &[])
    }

    /// As [`Self::asks`], with `bytes` behind the handshake in the same write.
    pub fn asks_and_says(address: SocketAddr, target: &str, extra: &str, bytes: &[u8]) -> Self {
        let mut peer = Self::dials(address);
        peer.sends(&[handshake(&address.to_string(), target, extra).as_bytes(), bytes].concat());
        peer
    }

    /// Connects as a client that has sent nothing yet.
    pub fn dials(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap_or_else(|error| {
            panic!("cannot connect to {address}: {error}");
        });
        Self::over(stream, Some([0x37, 0xFA, 0x21, 0x3D]))
    }

    fn over(stream: TcpStream, mask: Option<[u8; 4]>) -> Self {
        stream.set_nodelay(true).expect("a connected socket takes TCP_NODELAY");
        stream.set_write_timeout(Some(PATIENCE)).expect("the timeout is not zero");
        Self { stream, unread: Vec::new(), mask, head: String::new() }
    }

    /// Reads the answer to the handshake, which has to be a 101 with the accept value of our key.
    pub fn is_switched(&mut self) {
        let head = self.reads_head();
        let accept = format!("sec-websocket-accept: {ACCEPT}").to_ascii_lowercase();
        assert!(head.starts_with("HTTP/1.1 101 "), "no 101 but {head:?}");
        assert!(head.to_ascii_lowercase().contains(&accept), "no valid Sec-WebSocket-Accept in {head:?}");
    }

    /// Reads one HTTP head (its empty line included) and keeps what follows for [`Self::hears`].
    pub fn reads_head(&mut self) -> String {
        let deadline = Instant::now() + PATIENCE;
        let end = loop {
            if let Some(at) = self.unread.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(self.fills(deadline), "the connection ended inside a head: {:?}", self.lossy());
        };
        self.head = self.unread.drain(..end).map(char::from).collect();
        self.head.clone()
    }

    /// The head that this peer has read last.
    pub fn head(&self) -> &str {
        &self.head
    }

    /// The value of a header of that head.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Sends one frame (masked if this is the client's side).
    pub fn says(&mut self, frame: &Frame) {
        let bytes = frame.encode(self.mask);
        self.sends(&bytes);
    }

    /// The bytes that [`Self::says`] would send.
    pub fn encodes(&self, frame: &Frame) -> Vec<u8> {
        frame.encode(self.mask)
    }

    /// Sends bytes as they are.
    pub fn sends(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap_or_else(|error| panic!("cannot send {} bytes: {error}", bytes.len()));
    }

    /// Sends bytes that the other side may refuse to take because it has gone: a test of bad manners.
    pub fn tries_to_send(&mut self, bytes: &[u8]) {
        // The error is the expected outcome of some of these tests; what counts is what is heard afterwards.
        let _ = self.stream.write_all(bytes);
    }

    /// Waits for the next frame.
    pub fn hears(&mut self) -> Frame {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(frame) = Frame::take(&mut self.unread) {
                return frame;
            }
            assert!(self.fills(deadline), "the connection ended inside a frame: {:?}", self.lossy());
        }
    }

    /// What comes within `time`, if anything does.
    pub fn hears_within(&mut self, time: Duration) -> Heard {
        let deadline = Instant::now() + time;
        loop {
            if let Some(frame) = Frame::take(&mut self.unread) {
                return Heard::Frame(frame);
            }
            match self.reads_once(deadline) {
                Got::Bytes => {}
                Got::End => return Heard::End,
                Got::Nothing => return Heard::Nothing,
            }
        }
    }

    /// Waits for one whole text message in one frame.
    pub fn hears_text(&mut self, expected: &str) {
        assert_eq!(self.hears(), Frame::text(expected));
    }

    /// Reads `length` bytes as they are.
    pub fn reads(&mut self, length: usize) -> Vec<u8> {
        let deadline = Instant::now() + PATIENCE;
        while self.unread.len() < length {
            assert!(self.fills(deadline), "the connection ended after {:?}", self.lossy());
        }
        self.unread.drain(..length).collect()
    }

    /// Reads until the other side ends; a reset counts as an end.
    pub fn reads_to_end(&mut self) -> Vec<u8> {
        let deadline = Instant::now() + PATIENCE;
        while self.fills(deadline) {}
        std::mem::take(&mut self.unread)
    }

    /// As [`Self::reads_to_end`]; none if the end does not come within `time`.
    pub fn reads_to_end_within(&mut self, time: Duration) -> Option<Vec<u8>> {
        let deadline = Instant::now() + time;
        loop {
            match self.reads_once(deadline) {
                Got::Bytes => {}
                Got::End => return Some(std::mem::take(&mut self.unread)),
                Got::Nothing => return None,
            }
        }
    }

    /// The other side has ended (or ends in time) and said nothing more.
    pub fn hears_the_end(&mut self) {
        let rest = self.reads_to_end();
        assert!(rest.is_empty(), "heard before the end: {:?}", String::from_utf8_lossy(&rest));
    }

    /// Nothing arrives and nothing ends within `time`.
    pub fn hears_nothing_for(&mut self, time: Duration) {
        let deadline = Instant::now() + time;
        assert!(self.unread.is_empty(), "heard {:?}", self.lossy());
        match self.reads_once(deadline) {
            Got::Nothing => {}
            Got::End => panic!("the connection ended within {time:?}"),
            Got::Bytes => panic!("heard {:?}", self.lossy()),
        }
    }

    /// Says that no more will be sent, and goes on listening.
    pub fn ends_writing(&self) {
        self.stream.shutdown(Shutdown::Write).expect("the connection is open");
    }

    /// Drops the connection with a reset instead of a FIN.
    pub fn resets(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("SO_LINGER takes zero");
    }

    /// Writes `chunk` over and over until the other side has taken nothing for `patience`, and tells how much it took.
    pub fn floods(&mut self, chunk: &[u8], bytes_max: usize, patience: Duration) -> usize {
        self.stream.set_write_timeout(Some(patience)).expect("the timeout is not zero");
        let mut written = 0;
        while written < bytes_max {
            match self.stream.write(&chunk[written % chunk.len()..]) {
                Ok(length) => written += length,
                Err(error) if is_timeout(&error) => break,
                Err(error) => panic!("the flood ended after {written} bytes: {error}"),
            }
        }
        self.stream.set_write_timeout(Some(PATIENCE)).expect("the timeout is not zero");
        written
    }

    /// Goes on writing into a stalled connection; true as soon as the other side has closed it, false after `patience`.
    pub fn floods_until_the_end(&mut self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        self.stream.set_write_timeout(Some(Duration::from_millis(100))).expect("the timeout is not zero");
        while Instant::now() < deadline {
            match self.stream.write(&[0; 65_536]) {
                Ok(_) => {}
                Err(error) if is_timeout(&error) => {}
                Err(_) => return true,
            }
        }
        false
    }

    /// The socket itself, for its address or its options.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Reads once; false at the end of the connection.
    fn fills(&mut self, deadline: Instant) -> bool {
        match self.reads_once(deadline) {
            Got::Bytes => true,
            Got::End => false,
            Got::Nothing => panic!("nothing came in time; so far: {:?}", self.lossy()),
        }
    }

    fn reads_once(&mut self, deadline: Instant) -> Got {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        self.stream.set_read_timeout(Some(left)).expect("the timeout is not zero");
        let mut buffer = [0; 65_536];
        match self.stream.read(&mut buffer) {
            Ok(0) => Got::End,
            Ok(length) => {
                self.unread.extend_from_slice(&buffer[..length]);
                Got::Bytes
            }
            Err(error) if is_timeout(&error) => Got::Nothing,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Got::End,
            Err(error) => panic!("cannot read: {error}"),
        }
    }

    fn lossy(&self) -> String {
        let shown = &self.unread[..self.unread.len().min(500)];
        String::from_utf8_lossy(shown).into_owned()
    }
}

/// What [`Peer::hears_within`] heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A whole frame.
    Frame(Frame),
    /// The other side has ended.
    End,
    /// Nothing, or not yet a whole frame.
    Nothing,
}

/// What one read gave.
enum Got {
    Bytes,
    End,
    Nothing,
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// A listening upstream whose connections the test answers by hand.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
}

impl Server {
    /// Listens on `address`.
    pub fn bind(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).unwrap_or_else(|error| panic!("cannot bind {address}: {error}"));
        listener.set_nonblocking(true).expect("a listener can be non-blocking");
        Self { listener }
    }

    /// Waits for the next connection and reads the head of its request.
    pub fn accepts(&self) -> Peer {
        let mut peer = self.accepts_silently();
        peer.reads_head();
        peer
    }

    /// Waits for the next connection and reads nothing.
    pub fn accepts_silently(&self) -> Peer {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(peer) = self.accepts_now() {
                return peer;
            }
            assert!(Instant::now() < deadline, "nobody connected in time");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// The next connection if it is there already.
    pub fn accepts_now(&self) -> Option<Peer> {
        match self.listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).expect("a connected socket can block");
                Some(Peer::over(stream, None))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("cannot accept: {error}"),
        }
    }

    /// Opens one WebSocket through the gateway at `gateway` and gives its two ends: the client's and the upstream's.
    pub fn upgrade(&self, gateway: SocketAddr, target: &str) -> (Peer, Peer) {
        let mut client = Peer::asks(gateway, target, "");
        let mut upstream = self.accepts();
        upstream.sends(switching("").as_bytes());
        client.is_switched();
        (client, upstream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_of_every_length_class_comes_back_as_it_was() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            for mask in [None, Some([1, 2, 3, 4])] {
                let frame = Frame::binary(vec![7; length]).unfinished();
                let mut bytes = frame.encode(mask);
                assert_eq!(Frame::take(&mut bytes).as_ref(), Some(&frame));
                assert!(bytes.is_empty());
            }
        }
    }

    #[test]
    fn half_a_frame_is_no_frame() {
        let mut bytes = Frame::text("hello").encode(Some([1, 2, 3, 4]));
        bytes.pop();
        assert_eq!(Frame::take(&mut bytes), None);
    }
}
