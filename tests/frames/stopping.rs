//! A graceful stop says goodbye between frames.

use super::*;

const GOODBYE: &str = "the gateway stops";

#[test]
fn a_graceful_stop_closes_both_sides_waits_for_the_echoes_and_ends() {
    let (mut world, _server, mut client, mut upstream) = tunnel_in("worker_shutdown_timeout 300ms;", "");
    let start = Instant::now();
    world.gateway().signal(Signal::SIGQUIT);
    assert_eq!(client.hears(), Frame::close(1001, GOODBYE));
    assert!(start.elapsed() >= Duration::from_millis(250), "closed after {:?}", start.elapsed());
    assert_eq!(upstream.hears(), Frame::close(1001, GOODBYE));
    upstream.says(&Frame::close(1001, ""));
    // One side has answered; the end waits for the other.
    client.hears_nothing_for(Duration::from_millis(300));
    assert_eq!(world.gateway().process().exited(), None);
    client.says(&Frame::close(1001, ""));
    ends_with_a_fin(&client);
    ends_with_a_fin(&upstream);
    assert_eq!(world.waits_for_the_end(SOON).code(), Some(0));
    assert_eq!(world.access_log_lines(1), ["1001 (the gateway stops) gateway drain 0/0 0/0"]);
}

#[test]
fn a_graceful_stop_waits_for_no_echo_longer_than_websocket_close_timeout() {
    let (mut world, _server, mut client, mut upstream) =
        tunnel_in("worker_shutdown_timeout 100ms;", "websocket_close_timeout 700ms;");
    world.gateway().signal(Signal::SIGQUIT);
    assert_eq!(client.hears(), Frame::close(1001, GOODBYE));
    let start = Instant::now();
    assert_eq!(upstream.hears(), Frame::close(1001, GOODBYE));
    client.hears_the_end();
    assert!(start.elapsed() >= Duration::from_millis(600), "ended after {:?}", start.elapsed());
    upstream.hears_the_end();
    assert_eq!(world.waits_for_the_end(SOON).code(), Some(0));
}

#[test]
fn a_graceful_stop_waits_for_the_end_of_a_large_frame() {
    let (mut world, _server, mut client, mut upstream) = tunnel_in("worker_shutdown_timeout 100ms;", "");
    let frame = Frame::binary(vec![b'x'; 3 << 20]);
    let wire = frame.encode(None);
    upstream.sends(&wire[..1 << 20]);
    assert_eq!(client.reads(1 << 20), wire[..1 << 20]);
    world.gateway().signal(Signal::SIGQUIT);
    assert_eq!(upstream.hears(), Frame::close(1001, GOODBYE));
    client.hears_nothing_for(Duration::from_millis(300));
    thread::scope(|scope| {
        scope.spawn(|| upstream.sends(&wire[1 << 20..]));
        assert_eq!(client.reads(2 << 20).len(), 2 << 20);
        client.reads(wire.len() - (3 << 20));
    });
    assert_eq!(client.hears(), Frame::close(1001, GOODBYE));
    client.says(&Frame::close(1001, ""));
    upstream.says(&Frame::close(1001, ""));
    ends_with_a_fin(&client);
    ends_with_a_fin(&upstream);
    assert_eq!(world.waits_for_the_end(SOON).code(), Some(0));
}

#[test]
fn a_graceful_stop_says_goodbye_to_real_peers() {
    let mut world = world!(&site_in("worker_shutdown_timeout 200ms;", ""));
    let echo = Echo::start(world.at(9001), &["--deflate"]);
    let clients: Vec<_> = (0..3).map(|_| Client::open(&url(&world), &["--deflate"])).collect();
    world.gateway().signal(Signal::SIGQUIT);
    let goodbye = json!({"event": "close", "code": 1001, "reason": GOODBYE});
    for client in &clients {
        assert_eq!(client.until("close"), goodbye);
        assert_eq!(echo.until("close"), goodbye);
    }
    // They answer, so nobody waits for `websocket_close_timeout`.
    assert_eq!(world.waits_for_the_end(Duration::from_secs(3)).code(), Some(0));
}

#[test]
fn a_graceful_stop_ends_raw_tunnels_as_they_are() {
    let (mut world, _server, mut client, mut upstream) =
        tunnel_in("worker_shutdown_timeout 200ms;", "websocket_frames off;");
    world.gateway().signal(Signal::SIGQUIT);
    client.hears_the_end();
    upstream.hears_the_end();
    assert_eq!(world.waits_for_the_end(SOON).code(), Some(0));
}
