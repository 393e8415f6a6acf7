//! What passes untouched: everything by default and in the raw mode, and what others wait for meanwhile.

use super::*;
use crate::io::scratch::SCRATCH_BYTES;
use crate::world::{SWITCHING, handshake, noise};

/// Everything that a location can want at once, with limits that nothing here reaches.
const ALL: &str = "websocket_ping 1h; websocket_validation report; websocket_max_message_size 1g;
    websocket_max_frame_size 1g; websocket_max_fragments 1000000; websocket_max_age 10h; websocket_idle_timeout client=5h;
    websocket_byte_rate 1g/s; websocket_message_rate 1000000r/s;";

#[test]
fn garbage_passes_by_default_and_in_the_raw_mode() {
    for directives in ["", "websocket_frames off;"] {
        let mut room = room(directives);
        let (up, mut down) = (noise(300_000), noise(300_000));
        down.reverse();
        for (up, down) in up.chunks(777).zip(down.chunks(777)) {
            room.browser.says(up);
            room.backend.says(down);
            room.backend.hears(up);
            room.browser.hears(down);
        }
        room.browser.closes();
        room.backend.hears_the_end();
        room.backend.half_closes();
        room.backend.is_closed();
        room.world.log_may_say("client connection failed");
    }
}

#[test]
fn the_raw_mode_knows_nothing_about_frames() {
    let mut room = room("websocket_frames off;");
    room.goes_up(&Frame::text("hello"));
    room.goes_up(&Frame::close(1000, "bye"));
    room.goes_down(&Frame::close(1000, "bye"));
    room.goes_up(&Frame::text("more"));
    room.browser.half_closes();
    room.backend.half_closes();
    room.browser.is_closed();
    assert_eq!(room.told(), "- (-) - - -/- -/- -");
}

#[test]
fn the_raw_mode_drops_what_it_inherits() {
    let config = site("websocket_frames off;");
    let mut room = join(World::new(&format!("websocket_ping 1s; websocket_max_frame_size 1; {config}")));
    room.passes(30);
    room.is_quiet();
    room.goes_up(&Frame::text("longer than one"));
}

#[test]
fn what_is_no_websocket_is_a_stream_of_bytes() {
    let recipe = "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;";
    let world = World::new(&site(&format!("{recipe} websocket_ping 1s; websocket_max_frame_size 1;")));
    let mut browser = world.connect();
    browser.says(handshake("/").replace("Upgrade: websocket", "Upgrade: telnet"));
    let mut backend = world.accept();
    backend.hears_head();
    backend.says(SWITCHING.replace("websocket", "telnet"));
    browser.hears_head();
    for _ in 0..20 {
        world.passes(Duration::from_secs(2));
        browser.says(Frame::text("whatever this is").masked());
        backend.hears(Frame::text("whatever this is").masked());
        browser.hears_nothing();
    }
}

#[test]
fn bytes_pass_one_by_one_as_they_come() {
    let mut room = room("");
    let frames = [Frame::text("hello"), Frame::ping("x"), Frame::binary(200), Frame::close(1000, "bye")];
    for frame in frames {
        for byte in frame.masked() {
            room.browser.says([byte]);
            room.backend.hears([byte]);
        }
        for byte in frame.plain() {
            room.backend.says([byte]);
            room.browser.hears([byte]);
        }
    }
}

#[test]
fn payload_does_not_wait_for_the_end_of_its_frame_whatever_is_wanted() {
    let mut room = room(ALL);
    let wire = Frame::binary(300).masked();
    room.browser.says(&wire[..20]);
    room.backend.hears(&wire[..20]);
    for byte in &wire[20..] {
        room.browser.says([*byte]);
        room.backend.hears([*byte]);
    }
}

#[test]
fn a_length_of_2_to_the_63_passes_by_default_and_what_follows_is_its_payload() {
    let mut room = room("");
    for head in [&b"\x82\xff\x80\0\0\0\0\0\0\0MASK"[..], b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff"] {
        room.browser.says(head);
        room.backend.hears(head);
    }
    for _ in 0..100 {
        room.goes_up(&Frame::close(1000, ""));
    }
    room.goes_down(&Frame::text("unharmed"));
    room.browser.half_closes();
    room.backend.half_closes();
    room.browser.is_closed();
    assert!(room.told().starts_with("1006 (-) client eof 0/"), "{}", room.told());
}

#[test]
fn endless_continuations_and_floods_of_pings_pass_by_default() {
    let mut room = room("");
    room.goes_up(&Frame::text("").unfinished());
    let (more, ping) = (Frame::more("").unfinished(), Frame::ping(""));
    for _ in 0..100 {
        let burst = [more.masked(), ping.masked()].concat().repeat(500);
        room.browser.says(&burst);
        room.backend.hears(&burst);
    }
    room.goes_down(&Frame::text("unharmed"));
    room.browser.half_closes();
    room.backend.half_closes();
    room.browser.is_closed();
    assert_eq!(room.told(), "1006 (-) client eof 0/0 1/8 0");
}

#[test]
fn a_close_and_then_data_passes_by_default_and_is_reported() {
    let mut room = room("");
    room.goes_up(&Frame::close(1000, "bye"));
    room.goes_up(&Frame::text("one more thing"));
    room.goes_up(&Frame::text("and another"));
    room.world.log_says("data after close while proxying upgraded connection");
    room.goes_down(&Frame::text("late"));
    room.goes_down(&Frame::close(1000, "bye"));
    room.browser.half_closes();
    room.backend.half_closes();
    room.browser.is_closed();
    assert_eq!(room.world.error_lines("data after close"), 1);
    let told = room.told();
    assert!(told.starts_with("1000 (bye) client close ") && told.ends_with(" 2"), "{told}");
}

#[test]
fn data_after_a_close_does_not_pass_where_the_rules_are_enforced() {
    let mut room = room("websocket_validation enforce;");
    room.goes_up(&Frame::close(1000, "bye"));
    room.browser.says(Frame::text("one more thing").masked());
    room.is_quiet();
    room.goes_down(&Frame::close(1000, ""));
    room.browser.half_closes();
    room.backend.half_closes();
    room.browser.is_closed();
    assert_eq!(room.told(), "1000 (bye) client close 0/0 0/0 1");
}

#[test]
fn a_slow_reader_stalls_its_writer_whatever_is_wanted() {
    for directives in ["", "websocket_frames off;", ALL] {
        let (client_pipe, server_pipe) = (4096, 1 << 20);
        let mut room = narrow_room(directives, client_pipe, server_pipe);
        let wire = Frame::binary(10_000).plain().repeat(400);
        let mut taken = room.backend.says_what_fits(&wire);
        let held = taken.saturating_sub(client_pipe + server_pipe);
        assert!(held <= SCRATCH_BYTES, "{held} bytes are held for a client that takes nothing");
        room.passes(10);
        assert_eq!(room.backend.says_what_fits(&wire[taken..]), 0);
        room.goes_up(&Frame::text("the other direction goes on"));
        let mut got = Vec::new();
        while got.len() < wire.len() {
            got.extend(room.browser.hears_all());
            taken += room.backend.says_what_fits(&wire[taken..]);
        }
        assert!(got == wire, "the bytes arrive as they were sent");
    }
}

#[test]
fn frames_that_share_a_packet_with_the_handshake_are_frames_too() {
    let world = World::new(&site("websocket_max_frame_size 10;"));
    let mut browser = world.connect();
    browser.says([handshake("/").into_bytes(), Frame::text("early").masked()].concat());
    let mut backend = world.accept();
    backend.hears_head();
    backend.says([SWITCHING.as_bytes(), &Frame::text("welcome").plain(), &Frame::binary(11).plain()].concat());
    browser.hears_head();
    assert_eq!(heard(&mut browser), [Frame::text("welcome"), Frame::close(1011, "server was disconnected")]);
    let up = heard(&mut backend);
    assert_eq!(up.last(), Some(&Frame::close(1009, "frame too big")), "{up:?}");
}
