//! `websocket_message_rate` and `websocket_byte_rate`.

use super::*;

/// The time in which all of what was sent came through, looked at every 100 ms, and what came through by then each time.
fn follow(room: &mut Room, wire: &[u8]) -> Vec<usize> {
    let (mut got, mut steps) = (room.backend.hears_all(), Vec::new());
    steps.push(got.len());
    while got.len() < wire.len() && steps.len() < 1_000 && !room.backend.has_heard_the_end() {
        room.world.passes(Duration::from_millis(100));
        got.extend(room.backend.hears_all());
        steps.push(got.len());
    }
    got.extend(room.backend.hears_all());
    assert!(got == wire, "{} of {} bytes arrive as they were sent", got.len(), wire.len());
    // A client that rests is not read: its end is noticed after the rest.
    room.passes(1);
    steps
}

#[test]
fn messages_over_the_rate_are_late_and_none_is_lost() {
    let mut room = room("websocket_message_rate 10r/s burst=5;");
    let frame = Frame::text("hello").masked();
    let wire = frame.repeat(100);
    room.browser.says(&wire);
    for (step, bytes) in follow(&mut room, &wire).into_iter().enumerate() {
        let messages = bytes / frame.len();
        assert!(messages <= 16 + step, "{messages} messages within {step}00 ms");
    }
    assert!(!room.browser.has_heard_the_end());
}

#[test]
fn messages_one_by_one_are_held_to_the_rate() {
    let mut room = room("websocket_message_rate 120r/m;");
    let frame = Frame::text("hello").masked();
    let mut got = 0;
    for step in 0..100 {
        room.browser.says(&frame);
        got += room.backend.hears_all().len() / frame.len();
        assert!(got <= 3 + step / 5, "{got} messages within {step}00 ms");
        room.world.passes(Duration::from_millis(100));
    }
    assert!(got >= 20, "only {got} messages in ten seconds");
    room.passes(60);
}

#[test]
fn a_flood_of_pings_is_held_to_the_rate_of_messages() {
    let mut room = room("websocket_message_rate 10r/s; websocket_over_rate close;");
    let flood = Frame::ping("boo").masked().repeat(1_000);
    room.browser.says(flood);
    let heard_up = heard(&mut room.backend);
    assert_eq!(heard_up.len(), 11, "{heard_up:?}");
    assert_eq!(heard_up[10], Frame::close(1001, "client was disconnected"));
    assert_eq!(heard(&mut room.browser), [Frame::close(1008, "too many messages")]);
    room.echo();
    assert_eq!(room.told(), "1008 (too many messages) gateway rate 0/0 0/0 1");
}

#[test]
fn fragments_are_not_messages_of_their_own() {
    let mut room = room("websocket_message_rate 2r/s; websocket_over_rate close;");
    room.goes_up(&Frame::text("a").unfinished());
    for _ in 0..50 {
        room.goes_up(&Frame::more("b").unfinished());
    }
    room.goes_up(&Frame::more("c"));
    room.goes_up(&Frame::text("second"));
    room.browser.says(Frame::text("third").masked());
    room.hear_closes((1008, "too many messages"), (1001, "client was disconnected"));
}

#[test]
fn bytes_over_the_rate_are_late_and_none_is_lost() {
    let mut room = room("websocket_byte_rate 1k/s burst=4k; proxy_read_timeout 1h;");
    let wire = Frame::binary(20_000).masked();
    room.browser.says(&wire);
    for (step, bytes) in follow(&mut room, &wire).into_iter().enumerate() {
        let allowed = 5 * 1024 + step * 1024 / 10 + 1024;
        assert!(bytes <= allowed, "{bytes} bytes within {step}00 ms, {allowed} are allowed");
    }
}

#[test]
fn a_steady_client_within_the_rate_is_never_late() {
    let mut room = room("websocket_byte_rate 1k/s; websocket_message_rate 10r/s;");
    for _ in 0..200 {
        room.goes_up(&Frame::binary(90));
        room.world.passes(Duration::from_millis(100));
    }
}

#[test]
fn the_server_is_under_no_rate() {
    let mut room = room("websocket_byte_rate 1k/s; websocket_message_rate 1r/s; websocket_over_rate close;");
    for _ in 0..100 {
        room.goes_down(&Frame::binary(1_000));
    }
}

#[test]
fn bytes_over_the_rate_close_where_that_is_wanted() {
    let mut room = room("websocket_byte_rate 1k/s; websocket_over_rate close;");
    room.goes_up(&Frame::binary(1_000));
    room.browser.says(Frame::binary(100).masked());
    room.hear_closes((1008, "too many bytes"), (1001, "client was disconnected"));
    room.echo();
    assert!(room.told().starts_with("1008 (too many bytes) gateway rate 1/1000 "), "{}", room.told());
}

#[test]
fn a_client_over_its_rate_is_neither_idle_nor_dead() {
    let mut room = room("websocket_byte_rate 100/s; websocket_ping 5s timeout=5s; websocket_idle_timeout client=8s;");
    let wire = Frame::binary(4_000).masked();
    room.browser.says(&wire);
    let mut got = Vec::new();
    for _ in 0..39 {
        room.passes(1);
        room.backend.says(Frame::text("alive").plain());
        got.extend(room.backend.hears_all());
        room.browser.hears_all();
        assert!(!room.browser.has_heard_the_end());
    }
    assert!(wire.starts_with(&got[..got.len().min(wire.len())]));
    room.passes(5);
    assert!(!heard(&mut room.browser).iter().any(|frame| frame.opcode == 8));
}

#[test]
fn a_client_over_its_rate_is_not_timed_out_for_its_silence() {
    let mut room = room("websocket_byte_rate 100/s; proxy_read_timeout 5s;");
    let frame = Frame::binary(2_000).masked();
    room.browser.says(&frame);
    room.browser.says(&frame);
    let wire = frame.repeat(2);
    let steps = follow(&mut room, &wire);
    assert!(steps.len() > 150, "all came within {}00 ms", steps.len());
}

#[test]
fn the_end_of_a_client_over_its_rate_comes_behind_all_that_it_said() {
    let mut room = room("websocket_message_rate 1r/s;");
    let wire = [Frame::text("a").masked().repeat(10), Frame::close(1000, "done").masked()].concat();
    room.browser.says(&wire);
    room.browser.half_closes();
    follow(&mut room, &wire);
    room.backend.says(Frame::close(1000, "").plain());
    room.backend.half_closes();
    room.passes(30);
    room.browser.hears(Frame::close(1000, "").plain());
    room.browser.is_closed();
    assert_eq!(room.told(), "1000 (done) client close 10/10 0/0 0");
}
