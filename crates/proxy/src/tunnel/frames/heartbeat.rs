//! `websocket_ping`.

use super::*;

const PING: &str = "websocket_ping 30s timeout=10s; websocket_idle_timeout off;";

#[test]
fn a_quiet_client_is_pinged_and_the_server_hears_nothing_of_it() {
    let mut room = room(PING);
    room.world.passes(Duration::from_millis(29_999));
    room.is_quiet();
    room.goes_down(&Frame::text("tick"));
    room.world.passes(Duration::from_millis(1));
    let payload = pinged(&mut room.browser);
    room.backend.hears_nothing();
    room.browser.says(Frame::pong(payload).masked());
    room.is_quiet();
}

#[test]
fn a_ping_to_the_server_is_masked_and_its_pong_swallowed() {
    let mut room = room(PING);
    room.passes(20);
    room.goes_up(&Frame::text("still here"));
    room.passes(10);
    let payload = pinged(&mut room.backend);
    room.browser.hears_nothing();
    room.backend.says(Frame::pong(payload).plain());
    room.is_quiet();
    room.passes(20);
    let payload = pinged(&mut room.browser);
    room.browser.says(Frame::pong(payload).masked());
    room.is_quiet();
}

#[test]
fn the_masks_and_payloads_of_pings_do_not_repeat() {
    let mut room = room(PING);
    let mut seen = std::collections::HashSet::new();
    for _ in 0..20 {
        room.passes(30);
        let to_browser = pinged(&mut room.browser);
        let wire = room.backend.hears_all();
        let (to_backend, masked, length) = Frame::decode(&wire).expect("a ping");
        assert!(masked && length == wire.len() && to_backend.opcode == 9);
        assert!(
            seen.insert(to_browser.clone())
                && seen.insert(to_backend.payload.clone())
                && seen.insert(wire[2..6].to_vec())
        );
        room.browser.says(Frame::pong(to_browser).masked());
        room.backend.says(Frame::pong(to_backend.payload).plain());
    }
}

#[test]
fn an_idle_socket_that_answers_outlives_proxy_read_timeout() {
    let mut room = room("websocket_ping 30s timeout=10s; proxy_read_timeout 5s;");
    for _ in 0..100 {
        room.passes(30);
        let payload = pinged(&mut room.browser);
        room.browser.says(Frame::pong(payload).masked());
        let payload = pinged(&mut room.backend);
        room.backend.says(Frame::pong(payload).plain());
    }
    room.goes_up(&Frame::text("after fifty minutes"));
    room.goes_down(&Frame::text("still there"));
}

#[test]
fn a_client_that_does_not_answer_is_closed_and_the_server_told() {
    let mut room = room(PING);
    room.passes(20);
    room.goes_down(&Frame::text("tick"));
    room.passes(10);
    pinged(&mut room.browser);
    room.world.passes(Duration::from_millis(9_999));
    room.is_quiet();
    room.world.passes(Duration::from_millis(1));
    room.hear_closes((1011, "ping timeout"), (1001, "client was disconnected"));
    room.backend.says(Frame::new(8, []).plain());
    room.browser.is_closed();
    room.backend.is_closed();
    assert_eq!(room.told(), "1011 (ping timeout) gateway ping_timeout 0/0 1/4 0");
}

#[test]
fn a_server_that_does_not_answer_is_closed_and_the_client_told() {
    let mut room = room(PING);
    room.passes(20);
    room.goes_up(&Frame::text("anybody?"));
    room.passes(10);
    pinged(&mut room.backend);
    room.passes(10);
    room.hear_closes((1011, "server was disconnected"), (1011, "ping timeout"));
    room.browser.says(Frame::close(1011, "").masked());
    room.browser.is_closed();
    room.backend.is_closed();
    assert!(room.told().ends_with(" gateway ping_timeout 1/8 0/0 0"), "{}", room.told());
}

#[test]
fn a_dead_side_does_not_keep_the_other_one_waiting_for_ever() {
    let mut room = room(PING);
    room.passes(20);
    room.goes_down(&Frame::text("tick"));
    room.passes(20);
    heard(&mut room.browser);
    heard(&mut room.backend);
    room.world.passes(Duration::from_millis(4_999));
    room.is_quiet();
    room.world.passes(Duration::from_millis(1));
    room.browser.is_closed();
    room.backend.is_closed();
}

#[test]
fn without_a_timeout_the_interval_is_the_timeout() {
    let mut room = room("websocket_ping 30s;");
    room.passes(20);
    room.goes_down(&Frame::text("tick"));
    room.passes(10);
    pinged(&mut room.browser);
    room.passes(20);
    let payload = pinged(&mut room.backend);
    room.backend.says(Frame::pong(payload).plain());
    room.world.passes(Duration::from_millis(9_999));
    room.is_quiet();
    room.world.passes(Duration::from_millis(1));
    room.hear_closes((1011, "ping timeout"), (1001, "client was disconnected"));
}

#[test]
fn pings_keep_their_interval_where_the_timeout_is_longer() {
    let mut room = room("websocket_ping 10s timeout=1h;");
    for _ in 0..10 {
        room.passes(10);
        let (to_browser, to_backend) = (pinged(&mut room.browser), pinged(&mut room.backend));
        room.browser.says(Frame::pong(to_browser).masked());
        room.backend.says(Frame::pong(to_backend).plain());
        room.is_quiet();
    }
}

#[test]
fn the_applications_pings_and_pongs_pass() {
    let mut room = room(PING);
    for payload in ["", "12345678", "a longer one"] {
        room.goes_up(&Frame::ping(payload));
        room.goes_down(&Frame::pong(payload));
        room.goes_down(&Frame::ping(payload));
        room.goes_up(&Frame::pong(payload));
    }
    room.passes(30);
    // Both are asked by the gateway now, and still answer each other.
    let (to_browser, to_backend) = (pinged(&mut room.browser), pinged(&mut room.backend));
    room.goes_up(&Frame::pong("12345678"));
    room.goes_down(&Frame::pong("87654321"));
    room.goes_up(&Frame::ping("mine"));
    room.browser.says(Frame::pong(to_browser.clone()).masked());
    room.backend.says(Frame::pong(to_backend).plain());
    room.is_quiet();
    // The second of two equal pongs answers nothing of the gateway's.
    room.goes_up(&Frame::pong(to_browser));
}

#[test]
fn a_pong_is_found_between_data_and_however_it_is_cut() {
    let mut room = room(PING);
    room.passes(30);
    let payload = pinged(&mut room.browser);
    pinged(&mut room.backend);
    room.passes(1);
    let (before, after) = (Frame::text("before"), Frame::text("after"));
    room.browser.says([before.masked(), Frame::pong(payload).masked(), after.masked()].concat());
    room.backend.hears([before.masked(), after.masked()].concat());
    room.backend.says(Frame::text("alive").plain());
    room.browser.hears(Frame::text("alive").plain());
    room.passes(30);
    let payload = pinged(&mut room.browser);
    for byte in Frame::pong(payload).masked() {
        room.browser.says([byte]);
        assert_eq!(heard(&mut room.backend).iter().filter(|frame| frame.opcode != 9).count(), 0);
    }
    room.goes_up(&Frame::text("on"));
}

#[test]
fn anything_that_a_side_sends_is_an_answer() {
    let mut room = room(PING);
    for _ in 0..10 {
        room.goes_up(&Frame::text("up"));
        room.goes_down(&Frame::text("down"));
        room.passes(30);
        pinged(&mut room.browser);
        pinged(&mut room.backend);
        room.passes(9);
    }
}

#[test]
fn a_ping_waits_for_the_end_of_the_frame_that_is_under_way() {
    let mut room = room("websocket_ping 10s timeout=1h;");
    let frame = Frame::binary(20_000);
    let wire = frame.plain();
    let mut pieces = wire.chunks(1_000);
    room.backend.says(pieces.next().expect("a first piece"));
    room.browser.hears(&wire[..1_000]);
    for piece in pieces {
        room.passes(9);
        room.browser.hears_nothing();
        room.backend.says(piece);
        room.browser.hears(piece);
    }
    // The client was silent for long: its ping comes right behind the frame.
    let payload = pinged(&mut room.browser);
    room.browser.says(Frame::pong(payload).masked());
    // So it is for the server.
    assert!(heard(&mut room.backend).iter().all(|frame| frame.opcode == 9));
    let wire = frame.masked();
    room.browser.says(&wire[..7]);
    room.backend.hears(&wire[..7]);
    room.passes(50);
    room.backend.hears_nothing();
    room.browser.hears_all();
    room.browser.says(&wire[7..]);
    room.backend.hears(&wire[7..]);
}

#[test]
fn a_ping_goes_between_the_fragments_of_a_message() {
    let mut room = room(PING);
    let (first, last) = (Frame::text("to be ").unfinished(), Frame::more("continued"));
    room.goes_down(&first);
    room.passes(30);
    let payload = pinged(&mut room.browser);
    room.browser.says(Frame::pong(payload).masked());
    room.goes_down(&last);
}

#[test]
fn a_server_that_is_not_read_for_a_slow_client_is_not_taken_for_dead() {
    let mut room = narrow_room("websocket_ping 10s timeout=5s; proxy_read_timeout 1h; send_timeout 1h;", 4096, 4096);
    let wire = Frame::binary(2 << 20).plain();
    let (mut taken, mut got) = (0, Vec::new());
    while got.len() < wire.len() {
        taken += room.backend.says_what_fits(&wire[taken..]);
        got.extend(room.browser.sips(100_000));
        // The server would answer its pings, if it were read.
        room.backend.hears_all();
        room.passes(4);
        room.browser.says(Frame::pong("alive").masked());
    }
    assert!(got[..wire.len()] == wire, "the frame arrives as it was sent");
    assert!(!room.browser.has_heard_the_end() && !room.backend.has_heard_the_end());
}

#[test]
fn the_round_trip_is_logged() {
    let config = site("websocket_ping 30s;").replace(TOLD, "log_format told 'rtt $websocket_ping_rtt';");
    let mut room = join(World::new(&config));
    for millis in [250, 40] {
        room.passes(30);
        let (to_browser, to_backend) = (pinged(&mut room.browser), pinged(&mut room.backend));
        room.backend.says(Frame::pong(to_backend).plain());
        room.world.passes(Duration::from_millis(millis));
        room.browser.says(Frame::pong(to_browser).masked());
    }
    room.browser.half_closes();
    room.backend.half_closes();
    room.browser.is_closed();
    assert_eq!(room.told(), "rtt 0.040");
}

#[test]
fn nobody_is_pinged_once_a_side_has_closed() {
    let mut room = room("websocket_ping 10s timeout=5s; proxy_read_timeout 30s;");
    room.goes_up(&Frame::close(1000, "bye"));
    room.passes(25);
    room.is_quiet();
    room.passes(5);
    room.browser.is_closed();
    room.world.log_says("upstream timed out");
    assert_eq!(room.told(), "1000 (bye) client close 0/0 0/0 0");
}
