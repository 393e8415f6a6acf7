//! When things go wrong: what is promised of slow readers, lies about lengths, floods, a Close that is not the end, and
//! descriptors that run out.

use super::*;
use culvert_testkit::Signal;

/// What a tunnel may hold in one direction for a reader that takes nothing.
const HELD_BYTES_MAX: usize = 256 << 10;

/// An allocator takes memory in steps, and keeps some.
const ALLOCATOR_BYTES: usize = 6 << 20;

/// Everything that looks at frames, with limits that nothing here reaches, and no ping among what is awaited.
const WATCHED: &str = "websocket_validation enforce; websocket_max_message_size 64m; websocket_max_frame_size 64m;
    websocket_max_fragments 1000; websocket_ping 1h; websocket_message_rate 100000r/s;";

/// A WebSocket between two raw peers.
fn tunnel(directives: &str) -> (World, Server, Peer, Peer) {
    let world = world!(&site(directives));
    let server = Server::bind(world.at(9001));
    let (client, upstream) = server.upgrade(world.at(8080), "/room");
    (world, server, client, upstream)
}

/// Writes until both the kernel and the gateway take no more.
fn stalls(peer: &mut Peer, frame: &[u8]) -> usize {
    peer.floods(frame, 1 << 30, Duration::from_millis(300))
}

#[test]
fn slow_readers_cost_no_more_than_256_kib_in_each_direction() {
    const TUNNELS: usize = 40;
    for directives in ["", WATCHED] {
        let world = world!(&format!("worker_processes 1; http {{ {} }}", site(directives)));
        let server = Server::bind(world.at(9001));
        let mut tunnels: Vec<_> = (0..TUNNELS).map(|_| server.upgrade(world.at(8080), "/")).collect();
        let (mut client, mut upstream) = server.upgrade(world.at(8080), "/other");
        let before = world.allocated_bytes();
        let taken: Vec<[usize; 2]> = thread::scope(|scope| {
            let floods: Vec<_> = tunnels
                .iter_mut()
                .map(|(client, upstream)| {
                    scope.spawn(|| {
                        let [up, down] =
                            [&*client, &*upstream].map(|peer| peer.encodes(&Frame::binary(vec![7; 100_000])));
                        [stalls(client, &up), stalls(upstream, &down)]
                    })
                })
                .collect();
            floods.into_iter().map(|flood| flood.join().expect("the flood ends by itself")).collect()
        });
        let growth = world.allocated_bytes().saturating_sub(before);
        let bound = TUNNELS * 2 * HELD_BYTES_MAX + ALLOCATOR_BYTES;
        assert!(growth <= bound, "{directives}: {growth} bytes are held, not {bound}");
        for taken in taken.iter().flatten() {
            assert!((100_000..64 << 20).contains(taken), "{directives}: {taken} bytes were taken");
        }
        // Nobody else notices.
        let start = Instant::now();
        for number in 0..200 {
            client.says(&Frame::text(&number.to_string()));
            upstream.hears_text(&number.to_string());
        }
        assert!(start.elapsed() < Duration::from_secs(2), "200 messages took {:?}", start.elapsed());
        // And what was written arrives when it is read at last.
        let (first, upstream) = &mut tunnels[0];
        let down = taken[0][1] / upstream.encodes(&Frame::binary(vec![7; 100_000])).len();
        for _ in 0..down {
            let heard = first.hears();
            assert!(heard == Frame::binary(vec![7; 100_000]), "a frame with opcode {} came", heard.opcode);
        }
    }
}

/// A frame that says it has 2^63 bytes, and the first few of them.
const ENDLESS: &[u8] = b"\x82\xff\x80\0\0\0\0\0\0\0MASKand so on";

#[test]
fn a_length_of_2_to_the_63_is_refused_where_rules_are_enforced_and_logged() {
    let (world, _server, mut client, mut upstream) = tunnel("websocket_validation enforce;");
    client.sends(ENDLESS);
    assert_eq!(client.hears(), Frame::close(1002, "bad length"));
    assert_eq!(upstream.hears(), Frame::close(1001, "client was disconnected"));
    upstream.says(&Frame::close(1001, ""));
    drop(client);
    assert_eq!(world.access_log_lines(1), ["1002 (bad length) gateway protocol 1"]);
    world.error_log_shows("bad length");
}

#[test]
fn a_length_of_2_to_the_63_passes_where_nothing_is_said_and_is_counted_where_that_is_wanted() {
    for (directives, violations) in [("", 0), ("websocket_validation report;", 1)] {
        let (world, _server, mut client, mut upstream) = tunnel(directives);
        client.sends(ENDLESS);
        assert_eq!(upstream.reads(ENDLESS.len()), ENDLESS, "{directives}");
        drop(client);
        upstream.hears_the_end();
        drop(upstream);
        assert_eq!(world.access_log_lines(1), [format!("1006 (-) client eof {violations}")]);
        if violations > 0 {
            world.error_log_shows("bad length");
        }
    }
}

#[test]
fn endless_continuations_are_cut_off_counted_and_logged() {
    let (world, _server, mut client, mut upstream) = tunnel("websocket_max_fragments 1000;");
    client.says(&Frame::text("a").unfinished());
    let more = client.encodes(&Frame::new(0, "b").unfinished());
    client.tries_to_send(&more.repeat(5_000));
    for number in 0..1_000 {
        assert_eq!(upstream.hears().opcode, u8::from(number == 0));
    }
    assert_eq!(upstream.hears(), Frame::close(1001, "client was disconnected"));
    upstream.says(&Frame::close(1001, ""));
    assert_eq!(client.hears(), Frame::close(1008, "too many fragments"));
    client.says(&Frame::close(1008, ""));
    assert_eq!(world.access_log_lines(1), ["1008 (too many fragments) gateway limit 1"]);
    world.error_log_shows("too many fragments");
}

#[test]
fn a_flood_of_pings_is_refused_counted_and_logged_where_that_is_wanted() {
    let (world, _server, mut client, mut upstream) =
        tunnel("websocket_message_rate 100r/s burst=100; websocket_over_rate close;");
    let ping = client.encodes(&Frame::new(9, "x"));
    client.tries_to_send(&ping.repeat(20_000));
    let mut pings = 0;
    while upstream.hears().opcode == 9 {
        pings += 1;
    }
    // A second's worth and the burst, and what a slow machine leaves time for.
    assert!((200..2_000).contains(&pings), "{pings} pings passed");
    upstream.says(&Frame::close(1001, ""));
    assert_eq!(client.hears(), Frame::close(1008, "too many messages"));
    client.says(&Frame::close(1008, ""));
    let line = world.access_log_lines(1).remove(0);
    assert!(line.starts_with("1008 (too many messages) gateway rate "), "{line}");
    world.error_log_shows("too many messages");
}

#[test]
fn data_behind_a_close_passes_or_not_as_the_location_says_and_is_counted_and_logged() {
    for (directives, passes) in
        [("", true), ("websocket_validation report;", true), ("websocket_validation enforce;", false)]
    {
        let (world, _server, mut client, mut upstream) = tunnel(directives);
        let close = client.encodes(&Frame::close(4000, "bye"));
        let late = client.encodes(&Frame::text("one thing more"));
        client.sends(&[close, late].concat());
        assert_eq!(upstream.hears(), Frame::close(4000, "bye"), "{directives}");
        if passes {
            upstream.hears_text("one thing more");
        }
        upstream.says(&Frame::close(4000, ""));
        assert_eq!(client.hears(), Frame::close(4000, ""));
        drop((client, upstream));
        assert_eq!(world.access_log_lines(1), ["4000 (bye) client close 1"], "{directives}");
        world.error_log_shows("data after close");
    }
}

#[test]
fn out_of_descriptors_it_says_so_once_and_live_tunnels_go_on() {
    let mut world = world!(&format!(
        "worker_processes 1; worker_rlimit_nofile 64; events {{ worker_connections 512; }} http {{ {} }}",
        site("")
    ));
    let server = Server::bind(world.at(9001));
    let mut tunnels: Vec<_> = (0..10).map(|_| server.upgrade(world.at(8080), "/")).collect();
    let crowd: Vec<Peer> = (0..100).map(|_| Peer::dials(world.at(8080))).collect();
    world.error_log_shows("(24: Too many open files)");
    let busy = world.gateway().cpu_time();
    let start = Instant::now();
    let mut messages: u32 = 0;
    // For as long as accepting has rested several times.
    while start.elapsed() < Duration::from_secs(2) {
        for (client, upstream) in &mut tunnels {
            client.says(&Frame::text(&messages.to_string()));
            upstream.hears_text(&messages.to_string());
        }
        messages += 1;
        thread::sleep(Duration::from_millis(50));
    }
    let busy = world.gateway().cpu_time() - busy;
    assert!(busy < Duration::from_millis(500), "the gateway was busy for {busy:?}");
    let said = world.place().read("error.log").matches("Too many open files").count();
    assert_eq!(said, 1, "{}", world.place().read("error.log"));
    drop(crowd);
    // Those who waited are accepted now.
    let (mut client, mut upstream) = server.upgrade(world.at(8080), "/");
    client.says(&Frame::text("late"));
    upstream.hears_text("late");
    assert_eq!(world.ends_by(Signal::SIGTERM, Duration::from_secs(5)).code(), Some(0));
}
