//! Large frames, which move inside the kernel: they come out as they went in, whatever stands between them.

use super::*;

/// What is spliced, what is not, and what is just at the bound.
const LENGTHS: [usize; 12] = [70_000, 0, 16_384, 16_383, 65_536, 125, 300_000, 1, 20_000, 1_000_000, 40_000, 40_000];

fn frames() -> Vec<Frame> {
    let payload = |length: usize, nth: usize| (0..length).map(|at| (at * 7 + nth) as u8).collect::<Vec<u8>>();
    LENGTHS.iter().enumerate().map(|(nth, &length)| Frame::binary(payload(length, nth))).collect()
}

/// Sends `wire` in pieces of these lengths, again and again, while `hears` has the other side listen.
fn send_in_pieces(from: &mut Peer, wire: &[u8], pieces: &[usize], hears: impl FnOnce()) {
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut rest = wire;
            for piece in pieces.iter().cycle() {
                let (now, later) = rest.split_at(rest.len().min(*piece));
                from.sends(now);
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
        });
        hears();
    });
}

#[test]
fn frames_of_all_sizes_in_all_portions_pass_unchanged_and_are_counted() {
    let frames = frames();
    let payload_bytes: usize = LENGTHS.iter().sum();
    for directives in
        ["", "websocket_ping 1h; websocket_max_message_size 2m;", "websocket_byte_rate 100m/s burst=100m;"]
    {
        let (world, _server, mut client, mut upstream) = tunnel(directives);
        let portions: [&[usize]; 6] =
            [&[usize::MAX], &[1, 70_020], &[13, 200_000], &[65_483, 67], &[16_390, 3, 100_000], &[1_448]];
        for pieces in portions {
            for up in [true, false] {
                let (from, to) = if up { (&mut client, &mut upstream) } else { (&mut upstream, &mut client) };
                let wire: Vec<u8> = frames.iter().flat_map(|frame| from.encodes(frame)).collect();
                send_in_pieces(from, &wire, pieces, || {
                    for (nth, frame) in frames.iter().enumerate() {
                        assert!(to.hears() == *frame, "{directives}: frame {nth} in pieces of {pieces:?}");
                    }
                });
            }
        }
        client.says(&Frame::close(1000, ""));
        upstream.hears();
        upstream.says(&Frame::close(1000, ""));
        client.hears();
        drop((client, upstream));
        let (messages, bytes) = (LENGTHS.len() * portions.len(), payload_bytes * portions.len());
        let counted = format!("{messages}/{bytes} {messages}/{bytes}");
        assert_eq!(world.access_log_lines(1), [format!("1000 (-) client close {counted}")]);
    }
}

#[test]
fn a_large_frame_over_the_limit_is_refused_though_many_passed_before_it() {
    let (world, _server, mut client, mut upstream) = tunnel("websocket_max_frame_size 100k;");
    for _ in 0..20 {
        client.says(&Frame::binary(vec![7; 90_000]));
        assert_eq!(upstream.hears().payload.len(), 90_000);
    }
    client.says(&Frame::binary(vec![7; 120_000]));
    let told = upstream.hears();
    assert_eq!((told.opcode, &told.payload[..2]), (8, &1001_u16.to_be_bytes()[..]));
    let told = client.hears();
    assert_eq!((told.opcode, &told.payload[..2]), (8, &1009_u16.to_be_bytes()[..]));
    drop((client, upstream));
    let lines = world.access_log_lines(1);
    assert!(lines[0].starts_with("1009 ") && lines[0].ends_with(" gateway limit 20/1800000 0/0"), "{lines:?}");
}

#[test]
fn a_reader_that_rests_within_large_frames_gets_them_all() {
    let (_world, _server, mut client, mut upstream) = tunnel("");
    let frames: Vec<Frame> = (0..200).map(|nth| Frame::binary(vec![nth as u8; 64 << 10])).collect();
    let wire: Vec<u8> = frames.iter().flat_map(|frame| upstream.encodes(frame)).collect();
    thread::scope(|scope| {
        scope.spawn(|| upstream.sends(&wire));
        // 13 MB are more than the sockets on the way take, so the gateway meets one that takes nothing, again and again.
        let mut received = Vec::with_capacity(wire.len());
        while received.len() < wire.len() {
            let length = (wire.len() - received.len()).min(500_000);
            received.extend(client.reads(length));
            thread::yield_now();
        }
        assert!(received == wire, "the bytes changed on their way");
    });
}

#[test]
fn a_stream_that_ends_or_breaks_within_a_large_frame_ends_the_tunnel() {
    for breaks in [false, true] {
        let (world, _server, mut client, mut upstream) = tunnel("");
        let wire = client.encodes(&Frame::binary(vec![1; 100_000]));
        for _ in 0..3 {
            client.sends(&wire);
            assert_eq!(upstream.hears().payload.len(), 100_000);
        }
        client.sends(&wire[..50_000]);
        assert!(upstream.reads(50_000) == wire[..50_000]);
        if breaks {
            client.resets();
        } else {
            drop(client);
        }
        assert_eq!(upstream.reads_to_end(), b"");
        drop(upstream);
        let lines = world.access_log_lines(1);
        let cause = if breaks { "reset" } else { "eof" };
        assert!(lines[0].contains(&format!(" client {cause} ")), "{lines:?}");
    }
}
