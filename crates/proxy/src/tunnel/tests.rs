use crate::io::scratch::SCRATCH_BYTES;
use crate::world::{SWITCHING, World, handshake, noise};
use std::time::Duration;

const CHAT: &str = "upstream chat { server backend-1; }
    log_format tunnel '$status $bytes_sent $body_bytes_sent $upstream_bytes_sent $upstream_bytes_received $request_time $request';
    access_log access.log tunnel;
    server { location / { proxy_pass http://chat; proxy_read_timeout 2s; } }";

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn a_silent_tunnel_ends_after_proxy_read_timeout() {
    let world = World::new(CHAT);
    let (mut browser, mut backend) = world.upgrade("/room");
    browser.says("hello");
    backend.hears("hello");
    world.passes(millis(1_999));
    browser.hears_nothing();
    world.passes(millis(1));
    browser.is_closed();
    backend.is_closed();
    world.log_says(
        "upstream timed out (110: Connection timed out) while proxying upgraded connection, client: 192.0.2.1",
    );
}

#[test]
fn what_the_server_sends_moves_the_deadline() {
    let world = World::new(CHAT);
    let (mut browser, mut backend) = world.upgrade("/room");
    for _ in 0..5 {
        world.passes(millis(1_500));
        backend.says("tick");
        browser.hears("tick");
    }
    world.passes(millis(1_999));
    browser.hears_nothing();
    world.passes(millis(1));
    browser.is_closed();
    world.log_says("upstream timed out");
}

#[test]
fn what_the_client_sends_moves_the_deadline() {
    let world = World::new(CHAT);
    let (mut browser, mut backend) = world.upgrade("/room");
    for _ in 0..5 {
        world.passes(millis(1_500));
        browser.says("tick");
        backend.hears("tick");
    }
    world.passes(millis(1_999));
    backend.hears_nothing();
    world.passes(millis(1));
    backend.is_closed();
    world.log_says("upstream timed out");
}

#[test]
fn messages_cross_in_both_directions_at_once() {
    let world = World::new(CHAT);
    let (mut browser, mut backend) = world.upgrade("/room");
    for nth in 0..20 {
        browser.says(format!("question {nth}"));
        backend.says(format!("answer {nth}"));
        backend.hears(format!("question {nth}"));
        browser.hears(format!("answer {nth}"));
    }
}

#[test]
fn a_server_that_takes_nothing_ends_the_tunnel_after_proxy_send_timeout() {
    let config = "upstream chat { server backend-1; }
        server { location / { proxy_pass http://chat; proxy_send_timeout 3s; proxy_read_timeout 1h; } }";
    let world = World::with_pipes(config, 1024, 1024);
    let (mut browser, mut backend) = world.upgrade("/room");
    let taken = browser.says_what_fits(noise(1 << 20));
    assert!(taken < 1 << 20);
    world.passes(millis(2_999));
    assert!(!browser.has_heard_the_end());
    world.passes(millis(1));
    browser.is_closed();
    assert!(noise(1 << 20).starts_with(&backend.hears_all()));
    assert!(backend.has_heard_the_end());
    world.log_says("upstream timed out (110: Connection timed out) while proxying upgraded connection");
}

#[test]
fn a_client_that_takes_nothing_ends_the_tunnel_after_send_timeout() {
    let config = "upstream chat { server backend-1; }
        server { location / { proxy_pass http://chat; send_timeout 3s; proxy_read_timeout 1h; } }";
    let world = World::with_pipes(config, 1024, 1024);
    let (mut browser, mut backend) = world.upgrade("/room");
    let taken = backend.says_what_fits(noise(1 << 20));
    assert!(taken < 1 << 20);
    world.passes(millis(2_999));
    assert!(!backend.has_heard_the_end());
    world.passes(millis(1));
    backend.is_closed();
    assert!(noise(1 << 20).starts_with(&browser.hears_all()));
    world.log_says("client timed out (110: Connection timed out) while proxying upgraded connection");
}

#[test]
fn a_slow_reader_that_takes_a_little_now_and_then_keeps_its_tunnel() {
    let config = "upstream chat { server backend-1; }
        server { location / { proxy_pass http://chat; send_timeout 3s; proxy_read_timeout 1h; } }";
    let world = World::with_pipes(config, 1024, 1024);
    let (mut browser, mut backend) = world.upgrade("/room");
    let sent = noise(64 * 1024);
    let (mut taken, mut heard) = (0, Vec::new());
    while heard.len() < sent.len() {
        taken += backend.says_what_fits(&sent[taken..]);
        world.passes(millis(2_900));
        heard.extend(browser.sips(512));
    }
    assert_eq!((taken, heard), (sent.len(), sent));
}

#[test]
fn a_stalled_reader_stops_the_reads_of_its_peer_and_loses_nothing() {
    let (client_pipe, server_pipe) = (1 << 20, 4096);
    let config = "upstream chat { server backend-1; } server { location / { proxy_pass http://chat; } }";
    let world = World::with_pipes(config, client_pipe, server_pipe);
    let (mut browser, mut backend) = world.upgrade("/room");
    let sent = noise(4 << 20);
    let mut taken = browser.says_what_fits(&sent);
    let held = taken - client_pipe - server_pipe;
    assert!(held <= SCRATCH_BYTES, "{held} bytes are held for a server that takes nothing");
    world.passes(Duration::from_secs(10));
    assert_eq!(browser.says_what_fits(&sent[taken..]), 0);
    let mut heard = Vec::new();
    while heard.len() < sent.len() {
        heard.extend(backend.hears_all());
        taken += browser.says_what_fits(&sent[taken..]);
    }
    assert!(heard == sent, "the bytes arrive as they were sent");
}

#[test]
fn a_stalled_direction_does_not_stop_the_other() {
    let config = "upstream chat { server backend-1; } server { location / { proxy_pass http://chat; } }";
    let world = World::with_pipes(config, 1024, 1024);
    let (mut browser, mut backend) = world.upgrade("/room");
    let sent = noise(16 * 1024);
    let taken = browser.says_what_fits(&sent);
    assert!(taken < sent.len());
    for _ in 0..10 {
        backend.says("still here");
        browser.hears("still here");
    }
    backend.hears(&sent[..taken]);
}

#[test]
fn what_the_server_still_sends_after_the_clients_end_arrives() {
    let world = World::new(CHAT);
    let (mut browser, mut backend) = world.upgrade("/room");
    browser.says("last words");
    browser.half_closes();
    backend.hears("last words");
    backend.hears_the_end();
    world.passes(millis(1_000));
    backend.says("a long answer");
    browser.hears("a long answer");
    backend.half_closes();
    browser.is_closed();
    backend.is_closed();
}

#[test]
fn what_the_client_still_sends_after_the_servers_end_arrives() {
    let world = World::new(CHAT);
    let (mut browser, mut backend) = world.upgrade("/room");
    backend.says("bye");
    backend.half_closes();
    browser.hears("bye");
    browser.hears_the_end();
    browser.says("wait, one more thing");
    backend.hears("wait, one more thing");
    browser.closes();
    backend.is_closed();
}

#[test]
fn the_end_of_a_direction_waits_for_the_bytes_before_it() {
    let config = "upstream chat { server backend-1; } server { location / { proxy_pass http://chat; } }";
    let world = World::with_pipes(config, 64 * 1024, 1024);
    let (mut browser, mut backend) = world.upgrade("/room");
    let sent = noise(60_000);
    browser.says(&sent);
    browser.half_closes();
    backend.hears(&sent);
    backend.hears_the_end();
    backend.says("thanks");
    browser.hears("thanks");
}

#[test]
fn bytes_behind_the_handshake_go_through_the_tunnel() {
    let world = World::new(CHAT);
    let mut browser = world.connect();
    browser.says(handshake("/room") + "eager");
    let mut backend = world.accept();
    backend.hears_head();
    backend.hears_nothing();
    backend.says(SWITCHING);
    browser.hears_head();
    backend.hears("eager");
    browser.says(" and more");
    backend.hears(" and more");
}

#[test]
fn bytes_behind_the_101_go_through_the_tunnel() {
    let world = World::new(CHAT);
    let mut browser = world.connect();
    browser.says(handshake("/room"));
    let mut backend = world.accept();
    backend.hears_head();
    backend.says(SWITCHING.to_owned() + "welcome");
    browser.hears_head();
    browser.hears("welcome");
    backend.says(" again");
    browser.hears(" again");
}

#[test]
fn a_101_that_comes_byte_by_byte_opens_the_tunnel_at_its_last() {
    let world = World::new(CHAT);
    let mut browser = world.connect();
    browser.says(handshake("/room"));
    let mut backend = world.accept();
    backend.hears_head();
    for byte in SWITCHING.as_bytes() {
        browser.hears_nothing();
        world.passes(millis(1));
        backend.says([*byte]);
    }
    browser.hears_head();
    browser.says("in");
    backend.hears("in");
}

#[test]
fn a_handshake_reaches_the_server_without_the_boilerplate() {
    let world = World::new(CHAT);
    let mut browser = world.connect();
    browser.says(handshake("/room"));
    let mut backend = world.accept();
    let head = backend.hears_head();
    for line in ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="] {
        assert_eq!(head.matches(&format!("\r\n{line}\r\n")).count(), 1, "{line} in {head}");
    }
    assert!(head.starts_with("GET /room HTTP/1.1\r\n"), "{head}");
}

#[test]
fn a_refused_handshake_reaches_the_client_as_it_is_and_is_no_tunnel() {
    let world = World::new(CHAT);
    let mut browser = world.connect();
    browser.says(handshake("/room"));
    let mut backend = world.accept();
    backend.hears_head();
    backend.says("HTTP/1.1 403 Forbidden\r\nContent-Length: 8\r\nX-Why: closed\r\n\r\nstay out");
    let response = browser.hears_response();
    assert_eq!((response.status, &response.body[..]), (403, &b"stay out"[..]));
    assert_eq!(response.header("x-why"), Some("closed"));
    browser.says(handshake("/other"));
    let mut second = world.accept();
    assert!(second.hears_head().starts_with("GET /other "));
}

#[test]
fn a_tunnel_is_logged_when_it_ends_with_its_bytes_and_duration() {
    let world = World::new(CHAT);
    let mut browser = world.connect();
    browser.says(handshake("/room"));
    let mut backend = world.accept();
    let request = backend.hears_head();
    backend.says(SWITCHING);
    let head = browser.hears_head();
    browser.says("hello");
    world.passes(millis(1_500));
    backend.says("goodbye");
    browser.hears("goodbye");
    assert_eq!(world.access_log(), [""; 0], "nothing is logged while it lives");
    browser.closes();
    backend.hears("hello");
    backend.closes();
    let expected =
        format!("101 {} 7 {} {} 1.500 GET /room HTTP/1.1", head.len() + 7, request.len() + 5, SWITCHING.len() + 7,);
    assert_eq!(world.access_log(), [expected]);
}

#[test]
fn a_client_that_vanishes_ends_the_tunnel() {
    let world = World::new(CHAT);
    let (browser, mut backend) = world.upgrade("/room");
    browser.closes();
    backend.hears_the_end();
    backend.says_what_fits("anybody?");
    backend.is_closed();
    world.log_says("client connection failed");
}

#[test]
fn a_server_that_vanishes_ends_the_tunnel() {
    let world = World::new(CHAT);
    let (mut browser, backend) = world.upgrade("/room");
    backend.closes();
    browser.hears_the_end();
    browser.says_what_fits("anybody?");
    browser.is_closed();
    world.log_says("while proxying upgraded connection");
}

#[test]
fn a_thousand_tunnels_leave_nothing_behind() {
    let world = World::new(CHAT);
    let mut tunnels: Vec<_> = (0..1_000).map(|nth| world.upgrade(&format!("/{nth}"))).collect();
    assert_eq!(world.gateway().live_picks(), 1_000);
    for (nth, (browser, backend)) in tunnels.iter_mut().enumerate() {
        browser.says(nth.to_string());
        backend.hears(nth.to_string());
    }
    drop(tunnels);
    assert_eq!(world.access_log().len(), 1_000);
}
