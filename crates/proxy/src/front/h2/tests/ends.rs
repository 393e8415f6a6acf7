//! How connections end.

use super::{Peer, site};
use crate::world::{World, ok};
use std::time::Duration;

const PAGE: &str = "location / { return 200 page; }";

#[test]
fn an_idle_connection_ends_after_keepalive_timeout() {
    let world = World::new(&format!("server {{ http2 on; keepalive_timeout 5s; {PAGE} }}"));
    let mut peer = Peer::connect(&world);
    assert_eq!(peer.gets(&world, "/").hears(&world).0, 200);
    world.passes(Duration::from_millis(4_900));
    assert!(peer.end(&world).is_none());
    world.passes(Duration::from_millis(200));
    peer.end(&world).expect("it has ended").expect("in good order");
}

#[test]
fn a_connection_that_never_asks_ends_after_client_header_timeout() {
    let world = World::new(&format!("server {{ http2 on; client_header_timeout 5s; {PAGE} }}"));
    let peer = Peer::connect(&world);
    world.passes(Duration::from_millis(5_100));
    peer.end(&world).expect("it has ended").expect("in good order");
    let mut slow = world.connect();
    slow.says("PRI * ");
    world.passes(Duration::from_millis(5_100));
    slow.is_closed();
}

#[test]
fn a_connection_carries_keepalive_requests_and_no_more() {
    let world = World::new(&format!("server {{ http2 on; keepalive_requests 3; {PAGE} }}"));
    let mut peer = Peer::connect(&world);
    for _ in 0..3 {
        assert_eq!(peer.gets(&world, "/").hears(&world).0, 200);
    }
    peer.end(&world).expect("it has ended").expect("in good order");
}

#[test]
fn an_old_connection_ends_at_its_next_request() {
    let world = World::new(&format!("server {{ http2 on; keepalive_time 1m; {PAGE} }}"));
    let mut peer = Peer::connect(&world);
    assert_eq!(peer.gets(&world, "/").hears(&world).0, 200);
    world.passes(Duration::from_secs(61));
    assert_eq!(peer.gets(&world, "/").hears(&world).0, 200);
    peer.end(&world).expect("it has ended").expect("in good order");
}

#[test]
fn a_drain_lets_streams_finish_and_idle_connections_go() {
    let world = site("");
    let (mut busy, mut idle) = (Peer::connect(&world), Peer::connect(&world));
    let asked = idle.gets(&world, "/");
    world.accept().says(ok("page"));
    assert_eq!(asked.hears(&world).0, 200);
    let asked = busy.gets(&world, "/");
    let mut backend = world.accept();
    backend.hears_head();
    world.drains();
    idle.end(&world).expect("it has ended").expect("in good order");
    assert!(busy.end(&world).is_none());
    backend.says(ok("late"));
    assert_eq!(asked.hears(&world), (200, "late".into()));
    busy.end(&world).expect("it has ended").expect("in good order");
    world.passes(Duration::from_secs(2));
    assert!(world.has_ended());
}

#[test]
fn a_drain_waits_for_websockets() {
    let world = site("");
    let mut peer = Peer::connect(&world);
    let (mut tunnel, mut backend) = peer.opens_websocket(&world, "/");
    world.drains();
    world.passes(Duration::from_secs(30));
    assert!(!world.has_ended());
    backend.says([0x81, 2, b'h', b'i']);
    tunnel.hears(&world, &[0x81, 2, b'h', b'i']);
    tunnel.ends_sending(&world);
    backend.closes();
    tunnel.ends(&world).expect("END_STREAM");
    world.passes(Duration::from_secs(2));
    assert!(world.has_ended());
}

#[test]
fn what_only_begins_like_http_2_is_http_1() {
    let world = World::new(&format!("server {{ http2 on; {PAGE} }}"));
    let mut browser = world.connect();
    browser.says("P");
    browser.says("OST / HTTP/1.1\r\nHost: culvert.test\r\nContent-Length: 0\r\n\r\n");
    assert!(browser.hears_head().starts_with("HTTP/1.1 200 "));
    let mut browser = world.connect();
    browser.says("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n");
    assert!(browser.hears_head().starts_with("HTTP/1.1 400 "));
}

#[test]
fn http_2_is_not_spoken_where_it_is_off() {
    let world = World::new(&format!("server {{ {PAGE} }}"));
    let mut browser = world.connect();
    browser.says("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert!(browser.hears_head().starts_with("HTTP/1.1 400 "));
}

#[test]
fn frames_without_end_and_without_use_end_the_connection() {
    let world = World::new(&format!("server {{ http2 on; {PAGE} }}"));
    let mut flood = world.connect();
    flood.says("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    let pings = b"\0\0\x08\x06\0\0\0\0\0flooding".repeat(1_000);
    let mut sent = 0;
    while sent < 20 << 20 && !flood.has_heard_the_end() {
        sent += flood.tries_to_say(&pings);
        drop(flood.hears_all());
    }
    assert!(sent < 6 << 20, "{sent} bytes of pings were answered");
    world.log_says("http2 flood detected");
}
