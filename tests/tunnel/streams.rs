//! Every byte in order, and the end of each side carried across.

use super::*;

#[test]
fn frames_flow_both_ways_until_the_client_closes() {
    let (_world, _server, mut client, mut upstream) = tunnel("");
    client.says(&Frame::text("hello"));
    upstream.hears_text("hello");
    upstream.says(&Frame::text("welcome"));
    client.hears_text("welcome");
    client.says(&Frame::close(1000, "done"));
    assert_eq!(upstream.hears(), Frame::close(1000, "done"));
    upstream.says(&Frame::close(1000, "done"));
    assert_eq!(client.hears(), Frame::close(1000, "done"));
    drop(client);
    upstream.hears_the_end();
}

#[test]
fn what_the_client_says_after_the_servers_end_arrives() {
    let (_world, _server, mut client, mut upstream) = tunnel("");
    upstream.says(&Frame::text("last words"));
    upstream.ends_writing();
    client.hears_text("last words");
    client.hears_the_end();
    client.says(&Frame::text("still here"));
    upstream.hears_text("still here");
    client.ends_writing();
    upstream.hears_the_end();
}

#[test]
fn what_the_server_says_after_the_clients_end_arrives() {
    let (_world, _server, mut client, mut upstream) = tunnel("");
    client.says(&Frame::text("last words"));
    client.ends_writing();
    upstream.hears_text("last words");
    upstream.hears_the_end();
    for number in 0..10 {
        upstream.says(&Frame::text(&number.to_string()));
        client.hears_text(&number.to_string());
    }
    drop(upstream);
    client.hears_the_end();
}

#[test]
fn last_words_and_the_end_that_are_there_at_once_both_arrive_and_the_other_direction_goes_on() {
    // What one read takes is 256 KiB; the last one may be full or not.
    for directives in ["", "websocket_frames off;", "websocket_byte_rate 100m/s burst=1m;"] {
        for length in [1, 1_000, 20_000, 262_136, 600_000] {
            let (mut world, _server, client, upstream) = tunnel(directives);
            let mut ends = [client, upstream];
            for _ in 0..2 {
                let [from, to] = &mut ends;
                let words = Frame::binary(vec![7; length]);
                world.gateway().signal(Signal::SIGSTOP);
                // More than the sockets hold needs a reader; the end is then there for the last reads alone.
                thread::scope(|scope| {
                    scope.spawn(|| {
                        from.says(&words);
                        from.ends_writing();
                    });
                    world.gateway().signal(Signal::SIGCONT);
                    assert!(to.hears() == words, "{directives}: {length} bytes changed on their way");
                    to.hears_the_end();
                });
                ends.reverse();
            }
            let lines = world.access_log_lines(1);
            assert_eq!(lines.len(), 1, "{lines:?}");
        }
    }
}

#[test]
fn what_stands_behind_urgent_data_arrives_though_reads_stop_in_front_of_it() {
    for directives in ["", "websocket_frames off;"] {
        let (mut world, _server, mut client, mut upstream) = tunnel(directives);
        world.gateway().signal(Signal::SIGSTOP);
        client.says(&Frame::text("before"));
        rustix::net::send(client.stream(), b"!", rustix::net::SendFlags::OOB).expect("TCP has urgent data");
        client.says(&Frame::text("behind"));
        client.ends_writing();
        world.gateway().signal(Signal::SIGCONT);
        // The urgent byte itself is no part of the stream.
        upstream.hears_text("before");
        upstream.hears_text("behind");
        upstream.hears_the_end();
        upstream.says(&Frame::text("still here"));
        client.hears_text("still here");
    }
}

#[test]
fn a_client_that_vanishes_ends_its_upstream_connection() {
    let (_world, _server, client, mut upstream) = tunnel("");
    client.resets();
    upstream.hears_the_end();
}

#[test]
fn an_upstream_that_vanishes_ends_its_client() {
    let (_world, _server, mut client, upstream) = tunnel("");
    upstream.resets();
    client.hears_the_end();
}

#[test]
fn an_upstream_that_ends_inside_a_frame_leaves_the_client_with_what_it_sent() {
    let (_world, _server, mut client, mut upstream) = tunnel("");
    let whole = upstream.encodes(&Frame::binary(vec![7; 1000]));
    upstream.sends(&whole[..500]);
    drop(upstream);
    assert_eq!(client.reads_to_end(), &whole[..500]);
}

#[test]
fn a_client_that_ends_inside_a_frame_leaves_the_upstream_with_what_it_sent() {
    let (_world, _server, mut client, mut upstream) = tunnel("");
    let whole = client.encodes(&Frame::binary(vec![7; 1000]));
    client.sends(&whole[..500]);
    drop(client);
    assert_eq!(upstream.reads_to_end(), &whole[..500]);
}

#[test]
fn frames_may_come_one_byte_a_packet() {
    let (_world, _server, mut client, mut upstream) = tunnel("");
    let frames = [Frame::text("a").unfinished(), Frame::new(9, "ping"), Frame::new(0, "b"), Frame::text("c")];
    for frame in &frames {
        for byte in client.encodes(frame) {
            client.sends(&[byte]);
        }
        assert_eq!(&upstream.hears(), frame);
    }
}

#[test]
fn reserved_bits_and_unknown_opcodes_pass_untouched() {
    let (_world, _server, mut client, mut upstream) = tunnel("");
    for opcode in [1, 2, 3, 7, 11, 15] {
        let frame = Frame { reserved: 5, ..Frame::new(opcode, vec![opcode; 10]) };
        client.says(&frame);
        assert_eq!(upstream.hears(), frame);
        upstream.says(&frame);
        assert_eq!(client.hears(), frame);
    }
}

#[test]
fn megabytes_flow_in_both_directions_at_once() {
    let (_world, _server, client, upstream) = tunnel("");
    let there = Frame::binary((0..8_000_000_u32).map(|at| (at % 251) as u8).collect::<Vec<_>>());
    let back = Frame::binary((0..8_000_000_u32).map(|at| (at % 241) as u8).collect::<Vec<_>>());
    // Each end writes on a thread of its own while it reads, so that neither waits for the other's reader.
    thread::scope(|scope| {
        for (mut peer, sent, expected) in [(client, &there, &back), (upstream, &back, &there)] {
            let mut writer = peer.stream().try_clone().expect("a socket can be cloned");
            let bytes = peer.encodes(sent);
            scope.spawn(move || std::io::Write::write_all(&mut writer, &bytes).expect("the other side reads"));
            scope.spawn(move || assert!(peer.hears() == *expected, "the payload changed on its way"));
        }
    });
}

#[test]
fn two_hundred_tunnels_keep_their_streams_apart() {
    let world = world!(&site(""));
    let server = Server::bind(world.at(9001));
    let mut pairs: Vec<_> = (0..200).map(|_| server.upgrade(world.at(8080), "/")).collect();
    for (number, (client, upstream)) in pairs.iter_mut().enumerate() {
        client.says(&Frame::text(&format!("client {number}")));
        upstream.says(&Frame::text(&format!("upstream {number}")));
    }
    for (number, (client, upstream)) in pairs.iter_mut().enumerate() {
        upstream.hears_text(&format!("client {number}"));
        client.hears_text(&format!("upstream {number}"));
    }
}

#[test]
fn more_tunnels_that_are_ready_at_once_than_a_worker_is_told_of_at_once_are_all_served() {
    let mut world = world!(&site(""));
    let server = Server::bind(world.at(9001));
    let mut pairs: Vec<_> = (0..300).map(|_| server.upgrade(world.at(8080), "/")).collect();
    for round in 0..20 {
        // A worker that is busy waits otherwise than one that is not: it is made busy before it is stopped.
        let (client, upstream) = &mut pairs[0];
        for _ in 0..50 {
            client.says(&Frame::text("busy"));
            upstream.hears_text("busy");
        }
        world.gateway().signal(Signal::SIGSTOP);
        for (number, (client, _)) in pairs.iter_mut().enumerate() {
            client.says(&Frame::text(&format!("{number} of round {round}")));
        }
        world.gateway().signal(Signal::SIGCONT);
        for (number, (_, upstream)) in pairs.iter_mut().enumerate() {
            upstream.hears_text(&format!("{number} of round {round}"));
        }
    }
}
