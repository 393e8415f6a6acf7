//! Limits of size, number, kind and age.

use super::*;

const CLIENT_LEFT: (u16, &str) = (1001, "client was disconnected");
const SERVER_LEFT: (u16, &str) = (1011, "server was disconnected");

#[test]
fn a_message_of_exactly_the_limit_passes_and_one_more_byte_closes() {
    let mut room = room("websocket_max_message_size 1000;");
    room.goes_up(&Frame::binary(1_000));
    room.goes_down(&Frame::binary(1_000));
    room.browser.says(Frame::binary(1_001).masked());
    room.hear_closes((1009, "message too big"), CLIENT_LEFT);
    room.echo();
    assert_eq!(room.told(), "1009 (message too big) gateway limit 1/1000 1/1000 1");
}

#[test]
fn a_message_in_fragments_is_as_long_as_all_of_them() {
    let mut room = room("websocket_max_message_size 1000;");
    for _ in 0..3 {
        room.goes_up(&Frame::binary(400).unfinished());
        room.goes_up(&Frame::more([0; 400]).unfinished());
        room.goes_up(&Frame::ping([0; 100]));
        room.goes_up(&Frame::more([0; 200]));
    }
    room.goes_up(&Frame::binary(600).unfinished());
    room.browser.says(Frame::more([0; 401]).masked());
    room.hear_closes((1009, "message too big"), CLIENT_LEFT);
    room.echo();
    assert_eq!(room.told(), "1009 (message too big) gateway limit 3/3600 0/0 1");
}

#[test]
fn a_server_over_the_limit_is_told_and_the_client_learns_that_it_failed() {
    let mut room = room("websocket_max_message_size 1k;");
    room.goes_down(&Frame::binary(1_000).unfinished());
    room.backend.says(Frame::more([0; 25]).plain());
    room.hear_closes(SERVER_LEFT, (1009, "message too big"));
    room.echo();
    assert!(room.told().contains(" gateway limit "), "{}", room.told());
}

#[test]
fn a_big_frame_is_refused_by_its_header_however_it_comes() {
    for piece in [1, 2, 3, 5, 100] {
        let mut room = room("websocket_max_frame_size 1000;");
        let wire = Frame::binary(70_000).masked();
        let mut sent = 0;
        while sent < 14 {
            room.browser.says(&wire[sent..sent + piece]);
            sent += piece;
        }
        room.hear_closes((1009, "frame too big"), CLIENT_LEFT);
        // The rest of it is swallowed, or a client that only then reads would see a reset.
        room.browser.says(&wire[sent..60_000]);
        room.browser.says(&wire[60_000..]);
        room.echo();
    }
}

#[test]
fn a_length_of_2_to_the_63_is_over_every_limit() {
    for limit in ["websocket_max_message_size 1m;", "websocket_max_frame_size 1m;"] {
        let mut room = room(limit);
        room.browser.says(b"\x82\xff\x80\0\0\0\0\0\0\0MASK");
        let reason = if limit.contains("frame") { "frame too big" } else { "message too big" };
        room.hear_closes((1009, reason), CLIENT_LEFT);
        // The frame has no end, so no echo can be seen any more.
        room.backend.says(Frame::new(8, []).plain());
        room.passes(5);
        room.browser.is_closed();
    }
}

#[test]
fn lengths_that_add_up_to_more_than_64_bits_are_over_the_limit() {
    let mut room = room("websocket_max_message_size 1g;");
    room.goes_up(&Frame::binary(10).unfinished());
    room.browser.says(b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xffMASK");
    room.hear_closes((1009, "message too big"), CLIENT_LEFT);
}

#[test]
fn endless_continuations_are_cut_off() {
    let mut room = room("websocket_max_fragments 100;");
    room.goes_up(&Frame::text("").unfinished());
    for _ in 0..99 {
        room.goes_up(&Frame::more("").unfinished());
        room.goes_up(&Frame::ping(""));
    }
    room.browser.says(Frame::more("").masked());
    room.hear_closes((1008, "too many fragments"), CLIENT_LEFT);
    room.echo();
    assert_eq!(room.told(), "1008 (too many fragments) gateway limit 0/0 0/0 1");
}

#[test]
fn fragments_are_counted_from_the_server_too() {
    let mut room = room("websocket_max_fragments 2;");
    room.goes_down(&Frame::text("a").unfinished());
    room.goes_down(&Frame::more("b"));
    room.goes_down(&Frame::text("a").unfinished());
    room.goes_down(&Frame::more("b").unfinished());
    room.backend.says(Frame::more("c").plain());
    room.hear_closes(SERVER_LEFT, (1008, "too many fragments"));
}

#[test]
fn only_the_named_opcodes_pass() {
    for from_server in [false, true] {
        let mut room = room("websocket_opcodes text ping pong;");
        for frame in [Frame::text("a").unfinished(), Frame::ping("b"), Frame::more("c"), Frame::pong("d")] {
            room.goes_up(&frame);
            room.goes_down(&frame);
        }
        let frame = Frame::binary(10);
        if from_server {
            room.backend.says(frame.plain());
            room.hear_closes(SERVER_LEFT, (1008, "opcode not allowed"));
        } else {
            room.browser.says(frame.masked());
            room.hear_closes((1008, "opcode not allowed"), CLIENT_LEFT);
        }
        room.echo();
    }
}

#[test]
fn a_close_passes_whatever_is_allowed() {
    let mut room = room("websocket_opcodes text;");
    room.goes_up(&Frame::close(1000, ""));
    room.goes_down(&Frame::close(1000, ""));
}

#[test]
fn what_was_sent_before_the_frame_that_is_refused_arrives() {
    let mut room = room("websocket_max_frame_size 1k;");
    let (good, bad) = (Frame::text("good"), Frame::binary(2_000));
    room.browser.says([good.masked(), good.masked(), bad.masked(), good.masked()].concat());
    assert_eq!(heard(&mut room.backend), [good.clone(), good.clone(), Frame::close(1001, "client was disconnected")]);
    // The other direction is over as well.
    room.backend.says(good.plain());
    assert_eq!(heard(&mut room.browser), [Frame::close(1009, "frame too big")]);
    room.echo();
}

#[test]
fn a_close_waits_for_the_end_of_the_frame_that_goes_the_other_way() {
    let mut room = room("websocket_max_frame_size 10k;");
    let wire = Frame::binary(8_000).plain();
    room.backend.says(&wire[..5_000]);
    room.browser.hears(&wire[..5_000]);
    room.browser.says(Frame::binary(11_000).masked());
    assert_eq!(heard(&mut room.backend), [Frame::close(1001, "client was disconnected")]);
    room.browser.hears_nothing();
    room.backend.says([&wire[5_000..], &Frame::text("never heard").plain()].concat());
    room.browser.hears(&wire[5_000..]);
    assert_eq!(heard(&mut room.browser), [Frame::close(1009, "frame too big")]);
    room.echo();
}

#[test]
fn a_location_inherits_its_limits_and_may_lift_them() {
    let world = World::new(&format!(
        "upstream chat {{ server backend-1; }} {TOLD} access_log access.log told; websocket_max_frame_size 100;
         server {{
             location /inherits {{ proxy_pass http://chat; }}
             location /lifts {{ proxy_pass http://chat; websocket_max_frame_size 0; }}
         }}"
    ));
    let (mut browser, mut backend) = world.upgrade("/lifts");
    browser.says(Frame::binary(200).masked());
    backend.hears(Frame::binary(200).masked());
    let (mut browser, _backend) = world.upgrade("/inherits");
    browser.says(Frame::binary(200).masked());
    assert_eq!(heard(&mut browser), [Frame::close(1009, "frame too big")]);
}

#[test]
fn a_socket_is_closed_at_its_maximum_age() {
    let mut room = room("websocket_max_age 10s;");
    for _ in 0..9 {
        room.passes(1);
        room.goes_up(&Frame::text("busy"));
        room.goes_down(&Frame::text("busy"));
    }
    room.world.passes(Duration::from_millis(999));
    room.is_quiet();
    room.world.passes(Duration::from_millis(1));
    room.hear_closes((1001, "maximum age"), (1001, "maximum age"));
    room.echo();
    assert_eq!(room.told(), "1001 (maximum age) gateway age 9/36 9/36 0");
}

#[test]
fn jitter_spreads_the_ends_within_its_bounds() {
    let world = World::new(&site("websocket_max_age 100s jitter=20%; proxy_read_timeout 1h;"));
    let mut sockets: Vec<_> = (0..200).map(|_| world.upgrade("/")).collect();
    world.passes(Duration::from_millis(79_999));
    assert!(sockets.iter_mut().all(|(browser, _)| heard(browser).is_empty()));
    let mut closed = vec![0; 20];
    for second in &mut closed {
        world.passes(Duration::from_secs(1));
        *second = sockets.iter_mut().filter_map(|(browser, _)| heard(browser).pop()).count();
    }
    world.passes(Duration::from_millis(1));
    let last = sockets.iter_mut().filter_map(|(browser, _)| heard(browser).pop()).count();
    assert_eq!(closed.iter().sum::<usize>() + last, 200);
    assert!(closed.iter().filter(|&&count| count > 0).count() > 10, "they end together: {closed:?}");
}

#[test]
fn a_side_that_is_idle_for_too_long_is_closed_whatever_the_other_one_says() {
    let mut room = room("websocket_idle_timeout client=10s; websocket_ping 4s;");
    room.goes_up(&Frame::text("first and last"));
    for second in 1..10 {
        room.passes(1);
        room.backend.says(Frame::text("talk").plain());
        let mut frames = heard(&mut room.browser);
        assert_eq!(frames.pop(), Some(Frame::text("talk")));
        // Answers to the gateway's pings are no talk.
        for ping in frames {
            assert!(second >= 4);
            room.browser.says(Frame::pong(ping.payload).masked());
        }
        room.backend.hears_nothing();
    }
    room.passes(1);
    room.hear_closes((1001, "idle"), (1001, "idle"));
    room.echo();
    assert_eq!(room.told(), "1001 (idle) gateway idle 1/14 9/36 0");
}

#[test]
fn a_quiet_server_may_be_limited_alone() {
    let mut room = room("websocket_idle_timeout server=10s;");
    for _ in 0..5 {
        room.passes(9);
        room.goes_down(&Frame::text("tick"));
    }
    for _ in 0..3 {
        room.passes(3);
        room.goes_up(&Frame::text("hello?"));
    }
    room.passes(1);
    room.hear_closes((1001, "idle"), (1001, "idle"));
}
