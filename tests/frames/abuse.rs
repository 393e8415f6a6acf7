//! Peers that mean no good: floods, lies about lengths, readers that do not read.

use super::*;

/// Everything that looks at frames, with limits that nothing here reaches.
const ALL: &str = "websocket_validation enforce; websocket_max_message_size 100g; websocket_max_frame_size 100g;
    websocket_max_fragments 100000000; websocket_ping 1h; websocket_message_rate 10000000r/s;";

#[test]
fn a_slow_reader_costs_the_gateway_no_memory_whatever_looks_at_the_frames() {
    for directives in ["", ALL, "websocket_frames off;"] {
        let (world, server, mut client, mut upstream) = tunnel(directives);
        let (mut other_client, mut other_upstream) = server.upgrade(world.at(8080), "/other");
        let before = world.allocated_bytes();
        let message = Frame::binary(vec![b'x'; 100_000]).encode(None);
        let taken = upstream.floods(&message, 1 << 30, Duration::from_millis(500));
        let growth = world.allocated_bytes().saturating_sub(before);
        assert!(taken < 64 << 20, "{taken} bytes were taken for a reader that reads nothing");
        assert!(growth < GROWTH_BYTES_MAX, "the gateway grew by {growth} bytes");
        other_upstream.says(&Frame::text("unharmed"));
        other_client.hears_text("unharmed");
        for _ in 0..taken / message.len() {
            assert_eq!(client.hears().payload.len(), 100_000);
        }
    }
}

/// Sends `burst` so many times, read at the other end as it comes; what the gateway's memory grows by.
fn growth_while(world: &World, client: &mut Peer, upstream: &mut Peer, burst: &[u8], times: usize) -> usize {
    let before = world.allocated_bytes();
    thread::scope(|scope| {
        scope.spawn(|| (0..times).for_each(|_| client.sends(burst)));
        (0..times).for_each(|_| assert_eq!(upstream.reads(burst.len()).len(), burst.len()));
    });
    world.allocated_bytes().saturating_sub(before)
}

#[test]
fn endless_continuations_and_floods_of_pings_cost_no_memory() {
    for directives in ["", ALL] {
        let (world, _server, mut client, mut upstream) = tunnel(directives);
        client.says(&Frame::binary([1]).unfinished());
        upstream.hears();
        let more = client.encodes(&Frame::new(0, [0; 100]).unfinished());
        let ping = client.encodes(&Frame::new(9, "x"));
        let burst = [more, ping].concat().repeat(2_000);
        let growth = growth_while(&world, &mut client, &mut upstream, &burst, 600);
        assert!(growth < GROWTH_BYTES_MAX, "the gateway grew by {growth} bytes");
        upstream.says(&Frame::text("unharmed"));
        client.hears_text("unharmed");
    }
}

#[test]
fn a_flood_of_pings_over_the_rate_stalls() {
    let (world, server, mut client, mut upstream) = tunnel("websocket_message_rate 100r/s burst=100;");
    let (mut other_client, mut other_upstream) = server.upgrade(world.at(8080), "/other");
    let flood = client.encodes(&Frame::new(9, "")).repeat(10_000);
    thread::scope(|scope| {
        // The tunnel is still there in the end, and has not ended meanwhile.
        let reading = scope.spawn(|| upstream.reads_to_end_within(Duration::from_secs(2)));
        let taken = client.floods(&flood, 1 << 30, Duration::from_millis(500));
        assert!(taken < 64 << 20, "{taken} bytes of pings were taken");
        other_client.says(&Frame::text("unharmed"));
        other_upstream.hears_text("unharmed");
        assert_eq!(reading.join().expect("the reader did not panic"), None);
    });
}

#[test]
fn a_client_that_goes_on_after_its_refusal_is_cut_off() {
    let (world, _server, mut client, mut upstream) = tunnel("websocket_max_message_size 1m;");
    let start = Instant::now();
    client.sends(b"\x82\xff\x80\0\0\0\0\0\0\0MASK");
    assert_eq!(client.hears(), Frame::close(1009, "message too big"));
    assert_eq!(upstream.hears(), Frame::close(1001, "client was disconnected"));
    upstream.says(&Frame::close(1001, ""));
    let before = world.allocated_bytes();
    assert!(client.floods_until_the_end(Duration::from_secs(10)), "the client was read on");
    assert!(start.elapsed() >= Duration::from_secs(4), "cut off after {:?}", start.elapsed());
    let growth = world.allocated_bytes().saturating_sub(before);
    assert!(growth < GROWTH_BYTES_MAX, "the gateway grew by {growth} bytes");
    ends_with_a_fin(&upstream);
    let lines = world.access_log_lines(1);
    assert_eq!(lines, ["1009 (message too big) gateway limit 0/0 0/0"]);
}

#[test]
fn garbage_passes_both_ways_by_default_and_in_the_raw_mode() {
    for directives in ["", "websocket_frames off;"] {
        let (world, _server, mut client, mut upstream) = tunnel(directives);
        let garbage: Vec<u8> =
            (0..3_000_000_u64).map(|n| (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect();
        for _ in 0..3 {
            thread::scope(|scope| {
                scope.spawn(|| client.sends(&garbage));
                assert!(upstream.reads(garbage.len()) == garbage);
            });
            thread::scope(|scope| {
                scope.spawn(|| upstream.sends(&garbage));
                assert!(client.reads(garbage.len()) == garbage);
            });
        }
        drop(client);
        upstream.reads_to_end();
        drop(upstream);
        world.access_log_lines(1);
    }
}

#[test]
fn a_ping_never_lands_within_a_frame() {
    let (_world, _server, mut client, mut upstream) = tunnel("websocket_ping 20ms timeout=1m;");
    let frame = Frame::binary((0..=255).collect::<Vec<u8>>().repeat(20));
    let mut pings = 0;
    for round in 0..30 {
        let (from, to) = if round % 2 == 0 { (&mut client, &mut upstream) } else { (&mut upstream, &mut client) };
        let wire = from.encodes(&frame);
        // In pieces with pauses that are longer than the interval of the pings, while the other side is silent.
        for piece in wire.chunks(wire.len() / 3 + 1) {
            from.sends(piece);
            thread::sleep(Duration::from_millis(25));
        }
        let mut heard = to.hears();
        // The answer to a ping that a later one has overtaken passes like any other pong.
        while matches!(heard.opcode, 9 | 10) {
            if heard.opcode == 9 {
                to.says(&Frame::new(10, heard.payload));
                pings += 1;
            }
            heard = to.hears();
        }
        assert!(heard == frame, "a frame with opcode {} came", heard.opcode);
    }
    assert!(pings > 10, "only {pings} pings");
}

#[test]
fn a_fast_writer_and_a_reader_of_small_sips_hear_each_other_with_pings_on() {
    let (_world, _server, mut client, mut upstream) =
        tunnel("websocket_ping 100ms timeout=300ms; websocket_validation enforce;");
    let frame = Frame::binary(vec![7; 50_000]);
    let wire = frame.encode(None);
    thread::scope(|scope| {
        scope.spawn(|| (0..100).for_each(|_| upstream.sends(&wire)));
        let mut frames = 0;
        while frames < 100 {
            let heard = client.hears();
            match heard.opcode {
                9 => client.says(&Frame::new(10, heard.payload)),
                _ => {
                    assert!(heard == frame, "a frame with opcode {} came", heard.opcode);
                    frames += 1;
                    // Slower than the writer, so that it is stalled for longer than a ping's timeout.
                    thread::sleep(Duration::from_millis(10));
                }
            }
        }
    });
}
