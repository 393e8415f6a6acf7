//! `websocket_validation`.

use super::*;
use crate::world::{SWITCHING, handshake};

/// What a side sends that RFC 6455 forbids: the bytes that are good, the rest, and what it is told.
struct Offence {
    by_server: bool,
    before: Vec<u8>,
    bytes: Vec<u8>,
    told: (u16, &'static str),
}

fn offence(bytes: impl Into<Vec<u8>>, code: u16, reason: &'static str) -> Offence {
    Offence { by_server: false, before: Vec::new(), bytes: bytes.into(), told: (code, reason) }
}

fn by_server(bytes: impl Into<Vec<u8>>, code: u16, reason: &'static str) -> Offence {
    Offence { by_server: true, ..offence(bytes, code, reason) }
}

fn after(before: Frame, offence: Offence) -> Offence {
    Offence { before: if offence.by_server { before.plain() } else { before.masked() }, ..offence }
}

fn offences() -> Vec<Offence> {
    let text = Frame::text("hello");
    let mut all = vec![
        offence(text.plain(), 1002, "wrong masking"),
        offence(Frame::close(1000, "").plain(), 1002, "wrong masking"),
        by_server(text.masked(), 1002, "wrong masking"),
        by_server(Frame::ping("x").masked(), 1002, "wrong masking"),
        offence(Frame::new(3, "x").masked(), 1002, "reserved opcode"),
        by_server(Frame::new(15, "x").plain(), 1002, "reserved opcode"),
        offence(Frame::new(9, [0; 126]).masked(), 1002, "bad control frame"),
        by_server(Frame::ping("x").unfinished().plain(), 1002, "bad control frame"),
        offence(Frame::more("x").masked(), 1002, "bad continuation"),
        by_server(Frame::more("x").unfinished().plain(), 1002, "bad continuation"),
        after(Frame::text("x").unfinished(), offence(text.masked(), 1002, "bad continuation")),
        after(Frame::text("x").unfinished(), by_server(text.plain(), 1002, "bad continuation")),
        offence(*b"\x82\xfe\x00\x01MASKx", 1002, "bad length"),
        by_server(*b"\x82\x7f\0\0\0\0\0\0\xff\xff", 1002, "bad length"),
        by_server(*b"\x82\x7f\x80\0\0\0\0\0\0\0", 1002, "bad length"),
        offence(Frame::new(8, "x").masked(), 1002, "bad close code"),
        offence(Frame::close(1006, "").masked(), 1002, "bad close code"),
        by_server(Frame::close(1005, "").plain(), 1002, "bad close code"),
        by_server(Frame::close(999, "x").plain(), 1002, "bad close code"),
        offence(Frame::close(5000, "x").masked(), 1002, "bad close code"),
        offence(Frame::new(8, *b"\x03\xe8\xff").masked(), 1007, "close reason is not UTF-8"),
        offence(Frame::text(*b"caf\xe9").masked(), 1007, "text is not UTF-8"),
        by_server(Frame::text(*b"\xf4\x90\x80\x80").plain(), 1007, "text is not UTF-8"),
        by_server(Frame::text(*b"cut \xf0\x9f").plain(), 1007, "text is not UTF-8"),
        after(Frame::text(*b"\xf0\x9f").unfinished(), offence(Frame::more("x").masked(), 1007, "text is not UTF-8")),
        after(
            Frame::text("x").unfinished(),
            offence(Frame::more(*b"\xed\xa0\x80").masked(), 1007, "text is not UTF-8"),
        ),
    ];
    for bits in [1, 2, 4, 7] {
        all.push(offence(text.clone().with_bits(bits).masked(), 1002, "reserved bits set"));
        all.push(by_server(Frame::ping("").with_bits(bits).plain(), 1002, "reserved bits set"));
    }
    all
}

impl Room {
    fn offends(&mut self, offence: &Offence, piece: usize) {
        let offender = if offence.by_server { &mut self.backend } else { &mut self.browser };
        for piece in offence.bytes.chunks(piece) {
            offender.says(piece);
        }
    }

    #[track_caller]
    fn is_told(&mut self, offence: &Offence) {
        match offence.by_server {
            true => self.hear_closes((1011, "server was disconnected"), offence.told),
            false => self.hear_closes(offence.told, (1001, "client was disconnected")),
        }
    }

    fn goes_before(&mut self, offence: &Offence) {
        let (from, to) = match offence.by_server {
            true => (&mut self.backend, &mut self.browser),
            false => (&mut self.browser, &mut self.backend),
        };
        from.says(&offence.before);
        to.hears(&offence.before);
    }
}

#[test]
fn every_offence_closes_where_the_rules_are_enforced() {
    for offence in offences() {
        let mut room = room("websocket_validation enforce;");
        room.goes_before(&offence);
        room.offends(&offence, usize::MAX);
        room.is_told(&offence);
        let (code, reason) = offence.told;
        room.world.log_says(&format!("{reason} while proxying upgraded connection"));
        // Some offenders are within a frame without end and can't answer.
        room.passes(5);
        room.browser.is_closed();
        room.backend.is_closed();
        let code = if offence.by_server { 1011 } else { code };
        let reason = if offence.by_server { "server was disconnected" } else { reason };
        let told = room.told();
        assert!(told.starts_with(&format!("{code} ({reason}) gateway protocol ")), "{told}");
        assert!(told.ends_with(" 1"), "{told}");
    }
}

#[test]
fn an_offence_in_a_header_or_close_is_refused_byte_by_byte_too() {
    for offence in offences().into_iter().filter(|offence| offence.told.1 != "text is not UTF-8") {
        let mut room = room("websocket_validation enforce;");
        room.goes_before(&offence);
        room.offends(&offence, 1);
        room.is_told(&offence);
    }
}

#[test]
fn every_offence_passes_and_is_reported_where_that_is_wanted() {
    for offence in offences() {
        let mut room = room("websocket_validation report;");
        room.goes_before(&offence);
        room.offends(&offence, usize::MAX);
        if offence.by_server {
            room.browser.hears(&offence.bytes);
        } else {
            room.backend.hears(&offence.bytes);
        }
        room.is_quiet();
        room.world.log_says(&format!("{} while proxying upgraded connection", offence.told.1));
        room.browser.half_closes();
        room.backend.half_closes();
        room.browser.is_closed();
        let told = room.told();
        assert!(!told.contains("gateway"), "{told}");
        assert!(told.ends_with(" 1"), "{told}");
    }
}

#[test]
fn no_offence_is_looked_at_by_default() {
    for offence in offences() {
        let mut room = room("");
        room.goes_before(&offence);
        room.offends(&offence, usize::MAX);
        if offence.by_server {
            room.browser.hears(&offence.bytes);
        } else {
            room.backend.hears(&offence.bytes);
        }
        room.is_quiet();
    }
}

#[test]
fn each_kind_of_offence_is_logged_once() {
    let mut room = room("websocket_validation report;");
    for _ in 0..50 {
        room.goes_up(&Frame::text("x").with_bits(1));
        room.goes_down(&Frame::new(11, "x"));
    }
    room.goes_up(&Frame::close(1000, ""));
    room.goes_down(&Frame::close(1000, ""));
    room.browser.half_closes();
    room.backend.half_closes();
    room.browser.is_closed();
    assert_eq!(room.told(), "1000 (-) client close 50/50 0/0 100");
    assert_eq!(room.world.error_lines("reserved bits set"), 1);
    assert_eq!(room.world.error_lines("reserved opcode"), 1);
}

#[test]
fn good_frames_of_every_kind_pass_where_the_rules_are_enforced() {
    let mut room = room("websocket_validation enforce;");
    let text = "grüße 🌍, 你好";
    let frames = [
        Frame::text(text),
        Frame::text(""),
        Frame::binary(125),
        Frame::binary(126),
        Frame::binary(50_000),
        Frame::text(&text.as_bytes()[..4]).unfinished(),
        Frame::ping([b'x'; 125]),
        Frame::more(&text.as_bytes()[4..11]).unfinished(),
        Frame::more("").unfinished(),
        Frame::pong(""),
        Frame::more(&text.as_bytes()[11..]),
        Frame::binary(3).unfinished(),
        Frame::more([0xff; 3]),
        Frame::close(1000, text),
    ];
    let up: Vec<u8> = frames.iter().flat_map(Frame::masked).collect();
    let down: Vec<u8> = frames.iter().flat_map(Frame::plain).collect();
    for (up, down) in up.chunks(999).zip(down.chunks(999)) {
        room.browser.says(up);
        room.backend.says(down);
    }
    room.browser.says(&up[up.chunks(999).zip(down.chunks(999)).map(|(up, _)| up.len()).sum()..]);
    room.backend.hears(up);
    room.browser.hears(down);
    room.is_quiet();
}

#[test]
fn bad_text_in_a_long_frame_is_noticed_where_it_comes() {
    let mut room = room("websocket_validation enforce;");
    let mut payload = vec![b'x'; 30_000];
    payload[20_000] = 0xff;
    let wire = Frame::text(payload).plain();
    room.backend.says(&wire[..15_000]);
    room.browser.hears(&wire[..15_000]);
    room.backend.says(&wire[15_000..]);
    // The client is within the frame and can't be told; the server is.
    room.browser.hears_nothing();
    assert_eq!(heard(&mut room.backend), [Frame::close(1007, "text is not UTF-8")]);
    room.backend.says(Frame::new(8, []).plain());
    room.browser.is_closed();
    room.backend.is_closed();
    assert!(room.told().contains(" gateway protocol "), "{}", room.told());
}

/// A WebSocket whose 101 has this line.
#[track_caller]
fn negotiated(directives: &str, line: &str) -> Room {
    let world = World::new(&site(directives));
    let mut browser = world.connect();
    browser.says(handshake("/").replace("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"));
    let mut backend = world.accept();
    backend.hears_head();
    backend.says(SWITCHING.replace("\r\n\r\n", &format!("\r\n{line}\r\n\r\n")));
    assert!(browser.hears_head().contains(line));
    Room { browser, backend, world }
}

#[test]
fn compressed_messages_pass_where_compression_was_negotiated() {
    for line in [
        "Sec-WebSocket-Extensions: permessage-deflate",
        "sec-websocket-extensions: x-other, Permessage-Deflate; server_max_window_bits=10",
    ] {
        let mut room = negotiated("websocket_validation enforce;", line);
        // Not UTF-8, which compressed text need not be.
        room.goes_up(&Frame::text(*b"\xf2\x48\xcd").with_bits(4).unfinished());
        room.goes_up(&Frame::more(*b"\xff\xff"));
        room.goes_down(&Frame::new(2, *b"\xf2\x48\xcd").with_bits(4));
        room.goes_down(&Frame::text("small ones may go uncompressed"));
        room.browser.says(Frame::text("x").with_bits(2).masked());
        room.hear_closes((1002, "reserved bits set"), (1001, "client was disconnected"));
    }
}

#[test]
fn compression_marks_neither_continuations_nor_control_frames() {
    let extension = "Sec-WebSocket-Extensions: permessage-deflate";
    let bad = [Frame::ping("").with_bits(4), Frame::close(1000, "").with_bits(4)];
    for frame in bad {
        let mut room = negotiated("websocket_validation enforce;", extension);
        room.browser.says(frame.masked());
        room.hear_closes((1002, "reserved bits set"), (1001, "client was disconnected"));
    }
    let mut room = negotiated("websocket_validation enforce;", extension);
    room.goes_down(&Frame::text("x").with_bits(4).unfinished());
    room.backend.says(Frame::more("y").with_bits(4).plain());
    room.hear_closes((1011, "server was disconnected"), (1002, "reserved bits set"));
}

#[test]
fn a_client_that_answers_its_refusal_ends_it_at_once() {
    let mut room = room("websocket_validation enforce;");
    room.browser.says(Frame::new(5, "x").masked());
    room.hear_closes((1002, "reserved opcode"), (1001, "client was disconnected"));
    room.echo();
}
