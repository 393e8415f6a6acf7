//! What a user of the `websocket_…` directives sees: conversations frame by frame, on a clock that moves when told to.

mod closing;
mod handshakes;
mod heartbeat;
mod limits;
mod passing;
mod rates;
mod validation;

use crate::world::{End, World};
use culvert_engine::websocket::{Header, Opcode, apply_mask};
use std::time::Duration;

/// A frame as an application means it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Frame {
    fin: bool,
    rsv: u8,
    opcode: u8,
    payload: Vec<u8>,
}

impl Frame {
    fn new(opcode: u8, payload: impl Into<Vec<u8>>) -> Frame {
        Frame { fin: true, rsv: 0, opcode, payload: payload.into() }
    }

    fn text(text: impl Into<Vec<u8>>) -> Frame {
        Frame::new(1, text)
    }

    fn binary(length: usize) -> Frame {
        Frame::new(2, crate::world::noise(length))
    }

    fn more(payload: impl Into<Vec<u8>>) -> Frame {
        Frame::new(0, payload)
    }

    fn ping(payload: impl Into<Vec<u8>>) -> Frame {
        Frame::new(9, payload)
    }

    fn pong(payload: impl Into<Vec<u8>>) -> Frame {
        Frame::new(10, payload)
    }

    fn close(code: u16, reason: &str) -> Frame {
        Frame::new(8, [&code.to_be_bytes()[..], reason.as_bytes()].concat())
    }

    /// More frames of its message follow.
    fn unfinished(self) -> Frame {
        Frame { fin: false, ..self }
    }

    fn with_bits(self, rsv: u8) -> Frame {
        Frame { rsv, ..self }
    }

    /// The bytes as a client sends them.
    fn masked(&self) -> Vec<u8> {
        self.encode(Some([0xa1, 0xb2, 0xc3, 0xd4]))
    }

    /// The bytes as a server sends them.
    fn plain(&self) -> Vec<u8> {
        self.encode(None)
    }

    fn encode(&self, mask: Option<[u8; 4]>) -> Vec<u8> {
        let header = Header {
            fin: self.fin,
            rsv: self.rsv,
            opcode: Opcode(self.opcode),
            masked: mask.is_some(),
            payload_len: self.payload.len() as u64,
            mask: mask.unwrap_or_default(),
        };
        let (head, length) = header.encode();
        let mut payload = self.payload.clone();
        apply_mask(&mut payload, header.mask, 0);
        [&head[..length], &payload].concat()
    }

    /// The frame at the start of `bytes`, whether it is masked, and how long it is on the wire.
    fn decode(bytes: &[u8]) -> Option<(Frame, bool, usize)> {
        let (header, start) = Header::decode(bytes)?;
        let end = start + usize::try_from(header.payload_len).ok()?;
        let mut payload = bytes.get(start..end)?.to_vec();
        apply_mask(&mut payload, header.mask, 0);
        Some((Frame { fin: header.fin, rsv: header.rsv, opcode: header.opcode.0, payload }, header.masked, end))
    }
}

/// An open WebSocket and the gateway between its ends.
struct Room {
    browser: End,
    backend: End,
    world: World,
}

/// Tells of a WebSocket: how it ended, who ended it and why, messages and bytes from and to the client, violations.
const TOLD: &str = "log_format told '$websocket_close_code ($websocket_close_reason) $websocket_closed_by \
    $websocket_close_cause $websocket_messages_received/$websocket_bytes_received \
    $websocket_messages_sent/$websocket_bytes_sent $websocket_violations';";

/// A location with these directives in front of one backend.
fn site(directives: &str) -> String {
    format!(
        "upstream chat {{ server backend-1; }} {TOLD} access_log access.log told;
         server {{ location / {{ proxy_pass http://chat; {directives} }} }}"
    )
}

/// A WebSocket through a location with these directives.
#[track_caller]
fn room(directives: &str) -> Room {
    join(World::new(&site(directives)))
}

#[track_caller]
fn join(world: World) -> Room {
    let (browser, backend) = world.upgrade("/");
    Room { browser, backend, world }
}

/// The same with pipes that hold so many bytes.
#[track_caller]
fn narrow_room(directives: &str, browser_bytes: usize, backend_bytes: usize) -> Room {
    join(World::with_pipes(&site(directives), browser_bytes, backend_bytes))
}

impl Room {
    /// The client sends a frame, which reaches the server as it is.
    #[track_caller]
    fn goes_up(&mut self, frame: &Frame) {
        self.browser.says(frame.masked());
        self.backend.hears(frame.masked());
    }

    /// The server sends a frame, which reaches the client as it is.
    #[track_caller]
    fn goes_down(&mut self, frame: &Frame) {
        self.backend.says(frame.plain());
        self.browser.hears(frame.plain());
    }

    /// Both ends hear a Close of the gateway's, and nothing else.
    #[track_caller]
    fn hear_closes(&mut self, browser: (u16, &str), backend: (u16, &str)) {
        assert_eq!(heard(&mut self.browser), [Frame::close(browser.0, browser.1)]);
        assert_eq!(heard(&mut self.backend), [Frame::close(backend.0, backend.1)]);
    }

    /// Both ends answer the gateway's Close, which ends it all.
    #[track_caller]
    fn echo(&mut self) {
        self.browser.says(Frame::new(8, []).masked());
        self.browser.hears_nothing();
        self.backend.says(Frame::new(8, []).plain());
        self.browser.is_closed();
        self.backend.is_closed();
    }

    /// Both ends hear nothing, and nothing has ended.
    #[track_caller]
    fn is_quiet(&mut self) {
        self.browser.hears_nothing();
        self.backend.hears_nothing();
    }

    /// The only line of the access log.
    #[track_caller]
    fn told(&self) -> String {
        let lines = self.world.access_log();
        assert_eq!(lines.len(), 1, "{lines:?}");
        lines[0].clone()
    }

    fn passes(&self, seconds: u64) {
        self.world.passes(Duration::from_secs(seconds));
    }
}

/// Everything that this end hears now: whole frames, masked if it is the server.
#[track_caller]
fn heard(end: &mut End) -> Vec<Frame> {
    let bytes = end.hears_all();
    let (mut rest, mut frames) = (&bytes[..], Vec::new());
    while let Some((frame, masked, length)) = Frame::decode(rest) {
        assert_eq!(masked, end.name() != "browser", "{}: the mask of {frame:?}", end.name());
        frames.push(frame);
        rest = &rest[length..];
    }
    assert!(rest.is_empty(), "{}: {:?} is no whole frame", end.name(), rest.escape_ascii().to_string());
    frames
}

/// Exactly one ping comes now; its payload.
#[track_caller]
fn pinged(end: &mut End) -> Vec<u8> {
    let frames = heard(end);
    assert!(matches!(&frames[..], [Frame { opcode: 9, fin: true, rsv: 0, .. }]), "{}: {frames:?}", end.name());
    frames[0].payload.clone()
}
