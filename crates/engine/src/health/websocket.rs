//! A probe that does what a client does: opens a WebSocket, asks for a sign of life, and says goodbye.
//!
//! ```text
//!   Handshake ── 101, right accept, right protocol ──► Pong ── our payload came back ──► Closing ── Close ──► passed
//!       │                                                │                                   │
//!       └───────── anything else, or the time is over ───┴───────────────────────────────────┴──► failed
//! ```
//!
//! Messages that the server sends on its own account are passed over, its pings are answered.

use super::{Failure, Stage, WebsocketCheck};
use crate::http1::{ResponseHead, push_line, push_text};
use crate::websocket::{ControlFrame, Header, HeaderParser, Opcode, accept_for, apply_mask, has_token};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::time::{Duration, Instant};

/// The longest answer to a handshake that a probe reads.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// The longest payload of a control frame. RFC 6455 section 5.5.
const CONTROL_BYTES_MAX: u64 = 125;

/// One probe. After each call there may be bytes to send ([`WebsocketProbe::output`]), and a verdict.
#[derive(Debug)]
pub struct WebsocketProbe {
    state: State,
    deadline: Instant,
    pong_timeout: Duration,
    protocol: Option<Box<str>>,
    accept: [u8; 28],
    ping: [u8; 8],
    masks: Masks,
    output: Vec<u8>,
    head: Vec<u8>,
    frames: Frames,
    verdict: Option<Result<(), Failure>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Handshake,
    Pong,
    Closing,
}

/// The frame that is being read.
#[derive(Debug, Default)]
struct Frames {
    parser: HeaderParser,
    current: Option<Header>,
    /// How much of the payload is still to come.
    rest: u64,
    /// The payload of a control frame.
    payload: Vec<u8>,
}

/// Masking keys from one random number; they only have to differ from probe to probe, as nobody else's bytes are sent.
#[derive(Debug)]
struct Masks(u64);

impl WebsocketProbe {
    /// Begins a probe on a connection that is open. `headers` are those of the check with their values; `dice` becomes
    /// the key, the ping's payload and the masks.
    pub fn new<'a>(
        check: &WebsocketCheck,
        host: &str,
        headers: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
        now: Instant,
        dice: [u64; 4],
    ) -> WebsocketProbe {
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&dice[0].to_be_bytes());
        nonce[8..].copy_from_slice(&dice[1].to_be_bytes());
        let key = STANDARD.encode(nonce);
        WebsocketProbe {
            state: State::Handshake,
            deadline: now + check.handshake_timeout,
            pong_timeout: check.pong_timeout,
            protocol: check.protocol.clone(),
            accept: accept_for(key.as_bytes()),
            ping: dice[2].to_be_bytes(),
            masks: Masks(dice[3]),
            output: handshake(check, host, headers, &key),
            head: Vec::new(),
            frames: Frames::default(),
            verdict: None,
        }
    }

    /// What has to be sent now; taken.
    pub fn output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// How it went, once that is known. The connection is not used any more then.
    pub fn verdict(&self) -> Option<&Result<(), Failure>> {
        self.verdict.as_ref()
    }

    /// When to call [`WebsocketProbe::deadline_passed`], unless there is a verdict.
    pub fn deadline(&self) -> Option<Instant> {
        self.verdict.is_none().then_some(self.deadline)
    }

    /// Takes what the peer sent.
    pub fn receive(&mut self, bytes: &[u8], now: Instant) {
        if self.verdict.is_some() {
            return;
        }
        match self.state {
            State::Handshake => {
                let rest = self.read_head(bytes, now);
                self.read_frames(&rest, now);
            }
            State::Pong | State::Closing => self.read_frames(bytes, now),
        }
    }

    /// The peer ended its stream, or the connection broke.
    pub fn end_of_stream(&mut self) {
        self.fail(self.stage(), "upstream prematurely closed connection");
    }

    /// Time has passed.
    pub fn deadline_passed(&mut self, now: Instant) {
        if now >= self.deadline {
            self.fail(self.stage(), "upstream timed out (110: Connection timed out)");
        }
    }

    fn stage(&self) -> Stage {
        match self.state {
            State::Handshake => Stage::ReadingHead,
            State::Pong => Stage::Pong,
            State::Closing => Stage::Closing,
        }
    }

    /// The first verdict stays.
    fn fail(&mut self, stage: Stage, detail: impl Into<String>) {
        self.verdict.get_or_insert_with(|| Err(Failure::new(stage, detail)));
    }

    /// Reads the answer to the handshake; returns what came behind it.
    fn read_head(&mut self, bytes: &[u8], now: Instant) -> Vec<u8> {
        self.head.extend_from_slice(bytes);
        loop {
            match ResponseHead::parse(&self.head, HEAD_BYTES_MAX) {
                Err(error) => self.fail(Stage::ReadingHead, error.describe()),
                Ok(None) => {}
                Ok(Some((head, length))) => {
                    let rest = self.head.split_off(length);
                    if head.status < 200 && head.status != 101 {
                        self.head = rest;
                        continue;
                    }
                    self.judge_head(&head, now);
                    return rest;
                }
            }
            return Vec::new();
        }
    }

    fn judge_head(&mut self, head: &ResponseHead, now: Instant) {
        if let Err(failure) = self.check_head(head) {
            self.verdict.get_or_insert(Err(failure));
            return;
        }
        self.head = Vec::new();
        self.state = State::Pong;
        self.deadline = now + self.pong_timeout;
        let ping = self.ping;
        self.send(Opcode::PING, &ping);
    }

    /// What a client has to check. RFC 6455 section 4.1.
    fn check_head(&self, head: &ResponseHead) -> Result<(), Failure> {
        let headers = &head.headers;
        let says = |name, token: &str| headers.all(name).any(|list| has_token(list, token));
        let failed = |detail: &str| Err(Failure::new(Stage::Handshake, detail));
        let protocol = headers.first("sec-websocket-protocol");
        if head.status != 101 {
            return Err(Failure::new(Stage::Status, format!("unexpected status {}", head.status)));
        }
        if !says("upgrade", "websocket") || !says("connection", "upgrade") {
            return failed("upstream switched to another protocol than websocket");
        }
        if headers.first("sec-websocket-accept") != Some(&self.accept) {
            return failed("upstream sent a wrong \"Sec-WebSocket-Accept\"");
        }
        if headers.first("sec-websocket-extensions").is_some_and(|list| !list.is_empty()) {
            return failed("upstream chose an extension that was not offered");
        }
        match (protocol, self.protocol.as_deref()) {
            (chosen, offered) if chosen == offered.map(str::as_bytes) => Ok(()),
            (None, _) => failed("upstream did not choose the subprotocol"),
            (Some(_), _) => failed("upstream chose a subprotocol that was not offered"),
        }
    }

    fn read_frames(&mut self, mut bytes: &[u8], now: Instant) {
        while self.verdict.is_none() && self.state != State::Handshake {
            match self.frames.read(&mut bytes) {
                Ok(Some((opcode, payload))) => self.control(opcode, &payload, now),
                Ok(None) => return,
                Err(detail) => self.fail(self.stage(), detail),
            }
        }
    }

    fn control(&mut self, opcode: Opcode, payload: &[u8], now: Instant) {
        match opcode {
            Opcode::PING => self.send(Opcode::PONG, payload),
            Opcode::PONG if self.state == State::Pong && payload == self.ping => {
                self.state = State::Closing;
                self.deadline = now + self.pong_timeout;
                self.send(Opcode::CLOSE, &1000_u16.to_be_bytes());
            }
            Opcode::CLOSE if self.state == State::Closing => {
                self.verdict.get_or_insert(Ok(()));
            }
            Opcode::CLOSE => {
                let code = payload.first_chunk::<2>().map_or(1005, |code| u16::from_be_bytes(*code));
                self.fail(Stage::Pong, format!("upstream closed the websocket with {code}"));
            }
            _ => {}
        }
    }

    fn send(&mut self, opcode: Opcode, payload: &[u8]) {
        let frame = ControlFrame::new(opcode, payload, Some(self.masks.roll()));
        self.output.extend_from_slice(frame.bytes());
    }
}

impl Frames {
    /// Reads until a control frame is whole; payloads of messages are passed over. `None`: the bytes are used up.
    fn read(&mut self, bytes: &mut &[u8]) -> Result<Option<(Opcode, Vec<u8>)>, &'static str> {
        loop {
            let header = match self.current {
                Some(header) => header,
                None => {
                    let (used, header) = self.parser.push(bytes);
                    *bytes = &bytes[used..];
                    let Some(header) = header else { return Ok(None) };
                    self.parser.reset();
                    self.begin(header)?
                }
            };
            let length = usize::try_from(self.rest).unwrap_or(usize::MAX).min(bytes.len());
            let (part, rest) = bytes.split_at(length);
            *bytes = rest;
            self.rest -= length as u64;
            if header.opcode.is_control() {
                self.payload.extend_from_slice(part);
            }
            if self.rest > 0 {
                return Ok(None);
            }
            self.current = None;
            if header.opcode.is_control() {
                apply_mask(&mut self.payload, header.mask, 0);
                return Ok(Some((header.opcode, std::mem::take(&mut self.payload))));
            }
        }
    }

    fn begin(&mut self, header: Header) -> Result<Header, &'static str> {
        if header.masked || header.rsv != 0 || header.opcode.is_reserved() {
            return Err("upstream sent an invalid frame");
        }
        if header.opcode.is_control() && (!header.fin || header.payload_len > CONTROL_BYTES_MAX) {
            return Err("upstream sent an invalid control frame");
        }
        (self.current, self.rest) = (Some(header), header.payload_len);
        Ok(header)
    }
}

impl Masks {
    /// A step of the SplitMix64 sequence.
    fn roll(&mut self) -> [u8; 4] {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((mixed >> 32) as u32).to_be_bytes()
    }
}

fn handshake<'a>(
    check: &WebsocketCheck,
    host: &str,
    headers: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
    key: &str,
) -> Vec<u8> {
    let mut out = b"GET ".to_vec();
    push_text(&mut out, check.uri.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    push_line(&mut out, b"Host", host.as_bytes());
    push_line(&mut out, b"Upgrade", b"websocket");
    push_line(&mut out, b"Connection", b"Upgrade");
    push_line(&mut out, b"Sec-WebSocket-Key", key.as_bytes());
    push_line(&mut out, b"Sec-WebSocket-Version", b"13");
    if let Some(protocol) = &check.protocol {
        push_line(&mut out, b"Sec-WebSocket-Protocol", protocol.as_bytes());
    }
    headers.into_iter().for_each(|(name, value)| push_line(&mut out, name, value));
    out.extend_from_slice(b"\r\n");
    out
}

#[cfg(test)]
mod tests;
