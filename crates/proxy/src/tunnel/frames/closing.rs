//! The end of a WebSocket: what is told of it, and how the gateway goes about one of its own.

use super::*;
use crate::tunnel::task::{close_all, reopen};

impl Room {
    /// The gateway says goodbye to its tunnels, as at the end of `worker_shutdown_timeout`.
    fn drains(&self) {
        close_all();
        self.world.passes(Duration::ZERO);
        reopen();
    }
}

const GOODBYE: (u16, &str) = (1001, "the gateway stops");

#[test]
fn a_close_by_the_client_is_told_with_its_code_and_reason() {
    let mut room = room("");
    room.goes_up(&Frame::text("hello"));
    room.goes_down(&Frame::text("welcome").unfinished());
    room.goes_down(&Frame::more(", you"));
    room.goes_up(&Frame::close(4001, "seen enough"));
    room.goes_down(&Frame::close(1000, "as you like"));
    room.backend.half_closes();
    room.browser.hears_the_end();
    room.browser.half_closes();
    room.backend.is_closed();
    assert_eq!(room.told(), "4001 (seen enough) client close 1/5 1/12 0");
}

#[test]
fn a_close_by_the_server_is_told_with_its_code_and_reason() {
    let mut room = room("");
    room.goes_down(&Frame::close(1013, "later"));
    room.goes_up(&Frame::close(1013, ""));
    room.backend.half_closes();
    room.browser.half_closes();
    room.backend.is_closed();
    assert_eq!(room.told(), "1013 (later) server close 0/0 0/0 0");
}

#[test]
fn a_close_without_a_code_is_a_1005() {
    let mut room = room("");
    room.goes_up(&Frame::new(8, []));
    room.goes_down(&Frame::new(8, []));
    room.browser.half_closes();
    room.backend.half_closes();
    room.backend.is_closed();
    assert_eq!(room.told(), "1005 (-) client close 0/0 0/0 0");
}

#[test]
fn a_reason_cannot_break_out_of_its_line() {
    let mut room = room("");
    room.goes_up(&Frame::close(1000, "a\"b\\c\nd"));
    room.browser.half_closes();
    room.backend.half_closes();
    room.backend.is_closed();
    assert_eq!(room.told(), "1000 (a\\x22b\\x5Cc\\x0Ad) client close 0/0 0/0 0");
}

#[test]
fn an_end_without_a_close_is_a_1006() {
    for by_server in [false, true] {
        let mut room = room("");
        room.goes_down(&Frame::text("hello"));
        let (first, second) = match by_server {
            true => (&mut room.backend, &mut room.browser),
            false => (&mut room.browser, &mut room.backend),
        };
        first.half_closes();
        second.hears_the_end();
        second.half_closes();
        first.is_closed();
        let who = if by_server { "server" } else { "client" };
        assert_eq!(room.told(), format!("1006 (-) {who} eof 0/0 1/5 0"));
    }
}

#[test]
fn a_timeout_is_told_and_nobody_gets_a_close() {
    let mut room = room("proxy_read_timeout 5s;");
    room.goes_up(&Frame::text("hello"));
    room.passes(5);
    room.browser.is_closed();
    room.backend.is_closed();
    room.world.log_says("upstream timed out");
    let told = room.told();
    assert!(told.starts_with("1006 (-) ") && told.ends_with(" timeout 1/5 0/0 0"), "{told}");
}

#[test]
fn sides_that_have_closed_may_leave_their_streams_open_for_a_little_while_only() {
    let mut room = room("");
    room.goes_up(&Frame::close(1000, ""));
    room.goes_down(&Frame::close(1000, ""));
    room.world.passes(Duration::from_millis(4_999));
    room.is_quiet();
    room.world.passes(Duration::from_millis(1));
    room.browser.is_closed();
    room.backend.is_closed();
    assert_eq!(room.told(), "1000 (-) client close 0/0 0/0 0");
}

#[test]
fn a_drain_closes_both_sides_waits_for_their_echoes_and_ends() {
    let mut room = room("");
    room.goes_up(&Frame::text("hello"));
    room.drains();
    room.hear_closes(GOODBYE, GOODBYE);
    // What crosses the Close on its way is not passed on any more.
    room.browser.says(Frame::text("one more").masked());
    room.backend.says(Frame::text("one more").plain());
    room.is_quiet();
    room.backend.says(Frame::close(1001, "").plain());
    room.is_quiet();
    room.browser.says(Frame::close(1001, "").masked());
    room.browser.is_closed();
    room.backend.is_closed();
    assert_eq!(room.told(), "1001 (the gateway stops) gateway drain 1/5 0/0 0");
}

#[test]
fn a_drain_waits_for_echoes_no_longer_than_websocket_close_timeout() {
    for (directive, millis) in [("", 5_000), ("websocket_close_timeout 800ms;", 800)] {
        let mut room = room(directive);
        room.drains();
        room.hear_closes(GOODBYE, GOODBYE);
        room.world.passes(Duration::from_millis(millis - 1));
        room.is_quiet();
        room.world.passes(Duration::from_millis(1));
        room.browser.is_closed();
        room.backend.is_closed();
    }
}

#[test]
fn a_drain_speaks_between_frames() {
    let mut room = room("");
    let wire = Frame::binary(10_000).plain();
    room.backend.says(&wire[..1]);
    room.browser.hears(&wire[..1]);
    room.drains();
    assert_eq!(heard(&mut room.backend), [Frame::close(GOODBYE.0, GOODBYE.1)]);
    room.browser.hears_nothing();
    room.backend.says(&wire[1..9_000]);
    room.browser.hears(&wire[1..9_000]);
    room.passes(3);
    room.backend.says(&wire[9_000..]);
    room.backend.says(Frame::text("not this").plain());
    room.browser.hears(&wire[9_000..]);
    assert_eq!(heard(&mut room.browser), [Frame::close(GOODBYE.0, GOODBYE.1)]);
    room.echo();
}

#[test]
fn a_drain_within_an_open_message_is_a_close_between_its_fragments() {
    let mut room = room("");
    room.goes_down(&Frame::text("to be").unfinished());
    room.drains();
    room.hear_closes(GOODBYE, GOODBYE);
    room.echo();
}

#[test]
fn a_drain_sends_no_second_close() {
    let mut room = room("");
    room.goes_up(&Frame::close(1000, "bye"));
    room.drains();
    room.backend.hears_nothing();
    assert_eq!(heard(&mut room.browser), [Frame::close(GOODBYE.0, GOODBYE.1)]);
    room.backend.says(Frame::close(1000, "").plain());
    room.browser.is_closed();
    room.backend.is_closed();
    assert_eq!(room.told(), "1000 (bye) client close 0/0 0/0 0");
}

#[test]
fn a_drain_tells_what_waits_for_a_slow_reader_first() {
    let mut room = narrow_room("websocket_close_timeout 1m; send_timeout 2m;", 1024, 64 * 1024);
    let wire = Frame::binary(50_000).plain();
    room.backend.says(&wire);
    room.drains();
    assert_eq!(heard(&mut room.backend), [Frame::close(GOODBYE.0, GOODBYE.1)]);
    room.backend.says(Frame::new(8, []).plain());
    let mut got = Vec::new();
    while got.len() < wire.len() {
        let sip = room.browser.sips(700);
        assert!(!sip.is_empty(), "only {} bytes came", got.len());
        got.extend(sip);
        room.world.passes(Duration::from_millis(100));
    }
    got.extend(room.browser.hears_all());
    assert!(got[..wire.len()] == wire);
    assert_eq!(got[wire.len()..], Frame::close(GOODBYE.0, GOODBYE.1).plain());
    room.browser.says(Frame::new(8, []).masked());
    room.browser.is_closed();
}

/// All that a reader of small sips hears in the end, a sip in half a second.
fn sipped(room: &mut Room, sip: usize, most: usize) -> Vec<u8> {
    let mut got = Vec::new();
    for _ in 0..most {
        got.extend(room.browser.sips(sip));
        room.world.passes(Duration::from_millis(500));
    }
    got.extend(room.browser.hears_all());
    got
}

#[test]
fn a_slow_reader_hears_the_last_of_it_after_both_sides_have_closed() {
    let mut room = narrow_room("", 1024, 64 * 1024);
    room.goes_up(&Frame::close(1000, ""));
    let wire = [Frame::binary(50_000).plain(), Frame::close(1000, "").plain()].concat();
    room.backend.says(&wire);
    room.backend.half_closes();
    let got = sipped(&mut room, 1_000, 60);
    assert!(got == wire, "{} of {} bytes came", got.len(), wire.len());
}

#[test]
fn a_slow_reader_that_is_refused_hears_what_waited_for_it_and_why() {
    let mut room = narrow_room("websocket_validation enforce;", 1024, 64 * 1024);
    let wire = Frame::binary(50_000).plain();
    room.backend.says(&wire);
    room.browser.says(Frame::new(7, "x").masked());
    room.browser.half_closes();
    assert_eq!(heard(&mut room.backend), [Frame::close(1001, "client was disconnected")]);
    room.backend.says(Frame::new(8, []).plain());
    let got = sipped(&mut room, 20_000, 4);
    let expected = [wire, Frame::close(1002, "reserved opcode").plain()].concat();
    assert!(got == expected, "{} of {} bytes came", got.len(), expected.len());
}

#[test]
fn a_drain_of_a_client_over_its_rate_waits_for_no_more_than_its_rest() {
    let mut room = room("websocket_message_rate 1r/s;");
    room.browser.says(Frame::text("a").masked().repeat(100));
    let passed = heard(&mut room.backend).len();
    room.drains();
    room.hear_closes(GOODBYE, GOODBYE);
    room.browser.says(Frame::new(8, []).masked());
    room.backend.says(Frame::new(8, []).plain());
    room.passes(1);
    room.browser.is_closed();
    room.backend.is_closed();
    assert_eq!(room.told(), format!("1001 (the gateway stops) gateway drain {passed}/{passed} 0/0 0"));
}

#[test]
fn a_drain_ends_a_raw_tunnel_at_once() {
    let mut room = room("websocket_frames off;");
    room.goes_up(&Frame::text("hello"));
    room.drains();
    room.browser.is_closed();
    room.backend.is_closed();
}

#[test]
fn a_close_to_a_client_that_has_ended_its_stream_still_goes_out() {
    let mut room = room("websocket_validation enforce;");
    room.browser.says(Frame::new(7, "x").masked());
    room.browser.half_closes();
    assert_eq!(heard_before_the_end(&mut room.browser), [Frame::close(1002, "reserved opcode")]);
}

fn heard_before_the_end(end: &mut End) -> Vec<Frame> {
    end.has_heard_the_end();
    heard(end)
}

#[test]
fn the_format_named_websocket_tells_the_whole_story() {
    let config = site("").replace("access.log told", "access.log websocket");
    let mut room = join(World::new(&config));
    room.goes_up(&Frame::text("hello"));
    room.passes(2);
    room.goes_up(&Frame::close(1000, ""));
    room.goes_down(&Frame::close(1000, ""));
    room.browser.half_closes();
    room.backend.half_closes();
    room.backend.is_closed();
    let told = room.told();
    assert!(told.starts_with("192.0.2.1 [") && told.contains("\"GET / HTTP/1.1\" 101 "), "{told}");
    assert!(told.contains(" age=2.000 received=1/5 sent=0/0 code=1000 by=client cause=close rtt=- "), "{told}");
}

#[test]
fn the_opening_of_a_socket_is_logged_where_that_is_wanted() {
    let quiet = room("");
    assert_eq!(quiet.world.error_lines("opened"), 0);
    drop(quiet);
    let talkative = room("websocket_log_open on;");
    assert_eq!(talkative.world.error_lines("[info]"), 1);
}
