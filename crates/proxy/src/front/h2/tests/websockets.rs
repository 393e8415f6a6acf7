//! Extended CONNECT: streams as tunnels (RFC 8441).

use super::peer::{Tunnel, request, switching};
use super::{Peer, site};
use crate::world::{End, World, noise};
use http::Method;
use std::time::Duration;

/// A text frame as a client sends it (RFC 6455 section 5.2), with a mask that changes nothing.
fn masked(text: &str) -> Vec<u8> {
    [&[0x81, 0x80 | text.len() as u8, 0, 0, 0, 0], text.as_bytes()].concat()
}

/// A text frame as a server sends it.
fn plain(text: &str) -> Vec<u8> {
    [&[0x81, text.len() as u8], text.as_bytes()].concat()
}

fn close(code: u16, reason: &str) -> Vec<u8> {
    [&[0x88, 2 + reason.len() as u8], &code.to_be_bytes()[..], reason.as_bytes()].concat()
}

fn opened(world: &World) -> (Peer, Tunnel, End) {
    let mut peer = Peer::connect(world);
    let (tunnel, backend) = peer.opens_websocket(world, "/room");
    (peer, tunnel, backend)
}

#[test]
fn an_extended_connect_becomes_the_handshake_of_rfc_6455() {
    let world = site("");
    let mut peer = Peer::connect(&world);
    assert!(peer.is_offered_websockets());
    let mut wanted = request(Method::CONNECT, "/room?a=b");
    wanted.extensions_mut().insert(h2::ext::Protocol::from_static("websocket"));
    for (name, value) in
        [("sec-websocket-version", "13"), ("sec-websocket-protocol", "chat"), ("origin", "http://culvert.test")]
    {
        wanted.headers_mut().insert(name, value.parse().expect("text"));
    }
    let asked = peer.asks(&world, wanted, false);
    let mut backend = world.accept();
    let head = backend.hears_head();
    assert!(head.starts_with("GET /room?a=b HTTP/1.1\r\n"), "{head}");
    for line in
        ["Connection: Upgrade", "Upgrade: websocket", "sec-websocket-version: 13", "sec-websocket-protocol: chat"]
    {
        assert_eq!(head.matches(&format!("\r\n{line}\r\n")).count(), 1, "{line} in {head}");
    }
    backend.says(switching(&head).replace("\r\n\r\n", "\r\nSec-WebSocket-Protocol: chat\r\n\r\n"));
    let answered = asked.hears_head(&world);
    assert_eq!(answered.head.status(), 200);
    let headers = answered.head.headers();
    assert_eq!(headers["sec-websocket-protocol"], "chat");
    for name in ["connection", "upgrade", "sec-websocket-accept", "content-length"] {
        assert!(!headers.contains_key(name), "{headers:?}");
    }
    drop((answered, backend));
    assert_eq!(world.access_log(), ["101 GET /room?a=b HTTP/2.0 HTTP/2.0 h2c 1 0 OK"]);
    world.log_may_say("");
}

#[test]
fn the_recipe_of_nginx_serves_streams_as_well() {
    let world =
        site("proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;");
    let (_peer, mut tunnel, mut backend) = opened(&world);
    tunnel.says(&world, &masked("hello"));
    backend.hears(masked("hello"));
    backend.says(plain("hi"));
    tunnel.hears(&world, &plain("hi"));
}

#[test]
fn bytes_pass_both_ways_in_any_pieces() {
    let world = site("");
    let (_peer, mut tunnel, mut backend) = opened(&world);
    let message = [&[0x82, 0x7e, 0xff, 0xff][..], &noise(0xffff)].concat();
    for piece in message.chunks(10_000) {
        backend.says(piece);
    }
    tunnel.hears(&world, &message);
    for byte in masked("byte by byte") {
        tunnel.says(&world, &[byte]);
    }
    backend.hears(masked("byte by byte"));
}

#[test]
fn a_stream_that_nobody_reads_stops_its_backend_and_no_other_stream() {
    let world = site("");
    let mut peer = Peer::connect(&world);
    let (mut slow, mut far) = peer.opens_websocket(&world, "/slow");
    let (mut quick, mut near) = peer.opens_websocket(&world, "/quick");
    let payload = noise(4_000_000);
    let mut header = vec![0x82, 0x7f];
    header.extend_from_slice(&(payload.len() as u64).to_be_bytes());
    far.says(&header);
    let mut sent = far.says_what_fits(&payload);
    assert!(sent < 1_000_000, "the gateway holds {sent} bytes");
    near.says(plain("quick"));
    quick.hears(&world, &plain("quick"));
    quick.says(&world, &masked("quicker"));
    near.hears(masked("quicker"));
    slow.hears(&world, &header);
    let mut heard = 0;
    while heard < payload.len() {
        let step = 20_000.min(payload.len() - heard);
        if sent < payload.len() {
            sent += far.says_what_fits(&payload[sent..]);
        }
        slow.hears_part(&world, &payload[heard..], step, &mut heard);
    }
}

#[test]
fn a_backend_that_reads_nothing_stops_its_stream_and_no_other() {
    let world = site("");
    let mut peer = Peer::connect(&world);
    let (mut slow, mut far) = peer.opens_websocket(&world, "/slow");
    let (mut quick, mut near) = peer.opens_websocket(&world, "/quick");
    let payload = noise(1_000_000);
    let mut frame = vec![0x82, 0xff];
    frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(&payload);
    let sent = slow.says_what_fits(&world, &frame);
    assert!(sent < 500_000, "the gateway takes {sent} bytes");
    quick.says(&world, &masked("quick"));
    near.hears(masked("quick"));
    let (mut heard, mut sent) = (Vec::new(), sent);
    while heard.len() < frame.len() {
        heard.extend(far.sips(30_000));
        sent += slow.says_what_fits(&world, &frame[sent..]);
    }
    assert!(heard == frame);
}

#[test]
fn half_closes_are_passed_on_both_ways() {
    let world = site("websocket_frames off;");
    let (_peer, mut tunnel, mut backend) = opened(&world);
    tunnel.ends_sending(&world);
    backend.hears_the_end();
    backend.says("still here");
    tunnel.hears(&world, b"still here");
    backend.half_closes();
    tunnel.ends(&world).expect("END_STREAM");

    let (_peer, mut tunnel, mut backend) = opened(&world);
    backend.half_closes();
    tunnel.ends(&world).expect("END_STREAM");
    tunnel.says(&world, b"still here");
    backend.hears("still here");
    tunnel.ends_sending(&world);
    backend.hears_the_end();
}

#[test]
fn a_reset_ends_the_backend_s_connection_even_after_a_half_close() {
    let world = site("");
    let (_peer, mut tunnel, mut backend) = opened(&world);
    tunnel.resets(&world);
    backend.is_closed();
    let (_peer, mut tunnel, mut backend) = opened(&world);
    tunnel.ends_sending(&world);
    backend.hears_the_end();
    tunnel.resets(&world);
    backend.is_closed();
}

#[test]
fn a_client_that_vanishes_ends_all_its_websockets() {
    let world = site("");
    let (peer, tunnel, mut backend) = opened(&world);
    drop((peer, tunnel));
    backend.hears_the_end();
}

#[test]
fn a_close_ends_the_stream_in_good_order() {
    let world = site("");
    let (_peer, mut tunnel, mut backend) = opened(&world);
    tunnel.says(&world, &[0x88, 0x82, 0, 0, 0, 0, 3, 232]);
    backend.hears([0x88, 0x82, 0, 0, 0, 0, 3, 232]);
    backend.says(close(1000, ""));
    backend.closes();
    tunnel.hears(&world, &close(1000, ""));
    tunnel.ends(&world).expect("END_STREAM, not a reset");
}

#[test]
fn the_limits_of_a_location_hold_for_streams() {
    let world = site("websocket_max_message_size 5;");
    let (_peer, mut tunnel, mut backend) = opened(&world);
    tunnel.says(&world, &masked("hello there"));
    let mut heard = Vec::new();
    tunnel.hears_some(&world, &mut heard);
    assert_eq!(&heard[..4], [&[0x88, heard[1]], &1009_u16.to_be_bytes()[..]].concat());
    tunnel.says(&world, &[0x88, 0x82, 0, 0, 0, 0, 3, 241]);
    drop(backend.hears_all());
    drop(backend);
}

#[test]
fn a_heartbeat_goes_into_the_stream_and_its_silence_ends_it() {
    let world = site("websocket_ping 10s timeout=5s;");
    let (_peer, mut tunnel, mut backend) = opened(&world);
    world.passes(Duration::from_secs(10));
    let mut heard = Vec::new();
    tunnel.hears_some(&world, &mut heard);
    assert_eq!(heard[0], 0x89, "{heard:?}");
    world.passes(Duration::from_secs(15));
    drop(backend.hears_all());
    world.log_may_say("");
    backend.is_closed();
}

#[test]
fn where_no_location_serves_websockets_none_are_offered() {
    let world = World::new("server { http2 on; location / { return 204; } }");
    let mut peer = Peer::connect(&world);
    assert_eq!(peer.gets(&world, "/").hears(&world).0, 204);
    assert!(!peer.is_offered_websockets());
}

#[test]
fn a_location_that_serves_none_says_so() {
    let world = World::new(
        "server { http2 on; location / { proxy_pass http://backend-1; } location /page { return 200 page; }
                  location /plain { proxy_pass http://backend-1; proxy_websocket off; } }",
    );
    let mut peer = Peer::connect(&world);
    assert_eq!(peer.asks_for_websocket(&world, "/page").hears(&world).0, 501);
    assert_eq!(peer.asks_for_websocket(&world, "/plain").hears(&world).0, 501);
    let mut other = request(Method::CONNECT, "/");
    other.extensions_mut().insert(h2::ext::Protocol::from_static("connect-udp"));
    assert_eq!(peer.asks(&world, other, false).hears(&world).0, 501);
    world.nobody_arrives();
}

#[test]
fn a_backend_s_refusal_is_passed_on_and_its_other_answers_are_not() {
    let world = site("");
    let mut peer = Peer::connect(&world);
    let mut answer = |answer: &str| {
        let asked = peer.asks_for_websocket(&world, "/");
        let mut backend = world.accept();
        backend.hears_head();
        backend.says(answer);
        asked.hears(&world).0
    };
    assert_eq!(answer("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"), 403);
    assert_eq!(answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"), 502);
    assert_eq!(answer(crate::world::SWITCHING), 502, "the key is not the one that was accepted");
    world.log_says("upstream answered a WebSocket's handshake without 101");
    world.log_says("upstream sent a 101 that accepts no WebSocket");
}

#[test]
fn an_idle_websocket_outlives_the_idle_connection() {
    let world = site("keepalive_timeout 5s; proxy_read_timeout 1h;");
    let (_peer, mut tunnel, mut backend) = opened(&world);
    world.passes(Duration::from_secs(3000));
    tunnel.says(&world, &masked("awake"));
    backend.hears(masked("awake"));
}

#[test]
fn a_reload_leaves_websockets_alone_and_holds_for_the_next_request() {
    let world = site("");
    let (mut peer, mut tunnel, mut backend) = opened(&world);
    world.reloads("server { http2 on; location / { return 204; } }");
    assert_eq!(peer.gets(&world, "/").hears(&world).0, 204);
    tunnel.says(&world, &masked("hello"));
    backend.hears(masked("hello"));
}
