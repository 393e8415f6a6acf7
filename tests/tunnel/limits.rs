//! Time-outs, slow readers, and what they cost.

use super::*;

#[test]
fn a_stalled_tunnel_delivers_everything_before_its_end() {
    let (_world, _server, mut client, mut upstream) = tunnel("");
    let taken = upstream.floods(&[b'x'; 65_536], 1 << 30, Duration::from_millis(500));
    upstream.ends_writing();
    assert_eq!(client.reads_to_end().len(), taken);
}

#[test]
fn a_client_that_vanishes_while_its_upstream_floods_ends_the_flood() {
    let (_world, _server, client, mut upstream) = tunnel("");
    upstream.floods(&[b'x'; 65_536], 1 << 30, Duration::from_millis(500));
    client.resets();
    assert!(upstream.floods_until_the_end(Duration::from_secs(10)), "the upstream was read on");
}

#[test]
fn a_silent_tunnel_ends_after_proxy_read_timeout_and_not_before() {
    let (world, _server, mut client, mut upstream) = tunnel("proxy_read_timeout 1s;");
    for _ in 0..4 {
        upstream.says(&Frame::text("alive"));
        client.hears_text("alive");
        client.hears_nothing_for(Duration::from_millis(600));
    }
    upstream.says(&Frame::text("the last"));
    let last = Instant::now();
    client.hears_text("the last");
    client.hears_the_end();
    assert_within(last.elapsed(), Duration::from_secs(1));
    upstream.hears_the_end();
    world.error_log_shows("upstream timed out (110: Connection timed out) while proxying upgraded connection");
}

#[test]
fn a_half_closed_tunnel_ends_after_proxy_read_timeout_too() {
    let (_world, _server, client, mut upstream) = tunnel("proxy_read_timeout 1s;");
    let start = Instant::now();
    client.ends_writing();
    upstream.hears_the_end();
    let mut client = client;
    client.hears_the_end();
    assert_within(start.elapsed(), Duration::from_secs(1));
}

#[test]
fn what_the_client_says_keeps_a_tunnel_open_as_well() {
    let (_world, _server, mut client, mut upstream) = tunnel("proxy_read_timeout 1s;");
    for _ in 0..4 {
        client.says(&Frame::text("alive"));
        upstream.hears_text("alive");
        upstream.hears_nothing_for(Duration::from_millis(600));
    }
}

#[test]
fn an_upstream_that_takes_nothing_is_cut_after_proxy_send_timeout() {
    let (world, _server, mut client, mut upstream) = tunnel("proxy_send_timeout 1s;");
    thread::scope(|scope| {
        // The client writes until it is stalled or cut; which of the two it notices first does not matter.
        scope.spawn(|| client.floods_until_the_end(Duration::from_secs(5)));
        world.error_log_shows("upstream timed out (110: Connection timed out) while proxying upgraded connection");
        upstream.reads_to_end();
    });
}

#[test]
fn a_slow_reader_stalls_its_writer_and_costs_the_gateway_no_memory() {
    let (world, server, mut client, mut upstream) = tunnel("");
    let (mut other_client, mut other_upstream) = server.upgrade(world.at(8080), "/other");
    let before = world.allocated_bytes();
    let message = Frame::binary(vec![b'x'; 1 << 20]).encode(None);
    let taken = upstream.floods(&message, 1 << 30, Duration::from_millis(500));
    let growth = world.allocated_bytes().saturating_sub(before);
    assert!(taken < 64 << 20, "{taken} bytes were taken for a reader that reads nothing");
    assert!(growth < GROWTH_BYTES_MAX, "the gateway grew by {growth} bytes");
    other_upstream.says(&Frame::text("unharmed"));
    other_client.hears_text("unharmed");
    // Everything that was taken is delivered once the reader reads again.
    let mut left = taken;
    while left > 0 {
        let length = left.min(1 << 20);
        let bytes = client.reads(length);
        assert_eq!(bytes.len(), length);
        left -= length;
    }
}

#[test]
fn a_slow_upstream_stalls_its_client_and_costs_the_gateway_no_memory() {
    let (world, _server, mut client, mut upstream) = tunnel("");
    let before = world.allocated_bytes();
    let taken = client.floods(&[b'x'; 65_536], 1 << 30, Duration::from_millis(500));
    let growth = world.allocated_bytes().saturating_sub(before);
    assert!(taken < 64 << 20, "{taken} bytes were taken for a reader that reads nothing");
    assert!(growth < GROWTH_BYTES_MAX, "the gateway grew by {growth} bytes");
    assert_eq!(upstream.reads(taken).len(), taken);
}

/// What the gateway's processor time grows by while nothing happens that it could do anything about.
fn idle_cost(world: &mut World) -> Duration {
    let before = world.gateway().cpu_time();
    thread::sleep(Duration::from_millis(700));
    world.gateway().cpu_time() - before
}

#[test]
fn an_idle_a_half_closed_and_a_stalled_tunnel_cost_no_processor_time() {
    let mut world = world!(&site(""));
    let server = Server::bind(world.at(9001));
    let _idle = server.upgrade(world.at(8080), "/");
    assert!(idle_cost(&mut world) < Duration::from_millis(100), "an idle tunnel keeps the gateway busy");

    let (half_client, mut half_upstream) = server.upgrade(world.at(8080), "/");
    half_client.ends_writing();
    // nginx carries no half-close and is done with this one.
    half_upstream.hears_the_end();
    assert!(idle_cost(&mut world) < Duration::from_millis(100), "a half-closed tunnel keeps the gateway busy");

    let (_stalled_client, mut stalled_upstream) = server.upgrade(world.at(8080), "/");
    stalled_upstream.floods(&[b'x'; 65_536], 1 << 30, Duration::from_millis(500));
    assert!(idle_cost(&mut world) < Duration::from_millis(100), "a stalled tunnel keeps the gateway busy");
    stalled_upstream.ends_writing();
    assert!(idle_cost(&mut world) < Duration::from_millis(100), "a stalled tunnel at its end keeps the gateway busy");
}
