//! Attacks with names, each with a bound on what it costs.

use super::frames::{END_HEADERS, END_STREAM, field, frame, pseudo, string};
use super::*;

/// How much the gateway may grow by: its allocator takes memory in steps of megabytes.
const GROWTH_BYTES_MAX: usize = 12 << 20;

/// The CPU time that an attack may take before it is ended: a multiple of what it takes, far below what it is for.
const CPU_MAX: Duration = Duration::from_secs(4);

/// How much of an attack that is ended at once may be sent: sockets hold some megabytes over loopback.
const TAKEN_BYTES_MAX: usize = 8 << 20;

/// ENHANCE_YOUR_CALM.
const CALM: u32 = 11;

/// Runs an attack, and sees what it has cost.
#[track_caller]
fn costs_little<T>(world: &mut World, attack: impl FnOnce(&World) -> T) -> T {
    is_unharmed(world);
    let (memory, cpu) = (world.allocated_bytes(), world.gateway().process().cpu_time());
    let outcome = attack(world);
    is_unharmed(world);
    let spent = world.gateway().process().cpu_time() - cpu;
    let growth = world.allocated_bytes().saturating_sub(memory);
    assert!(spent < CPU_MAX, "{spent:?} of CPU time");
    assert!(growth < GROWTH_BYTES_MAX, "{growth} bytes");
    outcome
}

/// The numbers of a client's streams.
fn streams() -> impl Iterator<Item = u32> {
    (1..).step_by(2)
}

#[test]
fn a_rapid_reset_is_ended_before_it_costs_a_backend_much() {
    let mut world = site("");
    let server = Server::bind(world.at(9001));
    let sent = costs_little(&mut world, |world| {
        let mut attacker = Connection::open(world.at(8080));
        let mut stream = streams();
        let sent = attacker.floods_with(50 << 20, || {
            let pair = |stream| {
                let head = frame(Kind::Headers, END_HEADERS | END_STREAM, stream, &pseudo("GET", "/up"));
                [head, frame(Kind::Reset, 0, stream, &8_u32.to_be_bytes())].concat()
            };
            stream.by_ref().take(20).flat_map(pair).collect()
        });
        assert!(sent < TAKEN_BYTES_MAX, "{sent} bytes of requests and resets were taken");
        sent
    });
    assert!(sent > 0);
    drop(server);
}

#[test]
fn requests_that_are_cancelled_one_after_the_other_end_the_connection_too() {
    let mut world = site("");
    let server = Server::bind(world.at(9001));
    costs_little(&mut world, |world| {
        let mut attacker = Connection::open(world.at(8080));
        let mut cancelled = 0;
        for stream in streams() {
            let head = frame(Kind::Headers, END_HEADERS | END_STREAM, stream, &pseudo("GET", "/up"));
            attacker.sends(&head);
            let mut upstream = server.accepts_silently();
            let cancel = frame(Kind::Reset, 0, stream, &8_u32.to_be_bytes());
            attacker.sends(&cancel);
            upstream.reads_to_end();
            cancelled += 1;
            assert!(cancelled < 400, "so many requests were cancelled");
            if cancelled > 256 {
                break;
            }
        }
        assert_eq!(attacker.hears_the_end(), Some(CALM));
    });
    world.error_log_shows("client cancelled too many streams");
}

#[test]
fn resets_that_the_gateway_is_made_to_send_are_counted() {
    let mut world = site("");
    costs_little(&mut world, |world| {
        let mut attacker = Connection::open(world.at(8080));
        let mut stream = streams();
        // A WINDOW_UPDATE of zero is a stream error (RFC 9113 section 6.9).
        let sent = attacker.floods_with(20 << 20, || {
            let made = |stream| {
                let head = frame(Kind::Headers, END_HEADERS, stream, &pseudo("POST", "/up"));
                [head, frame(Kind::WindowUpdate, 0, stream, &[0; 4])].concat()
            };
            stream.by_ref().take(20).flat_map(made).collect()
        });
        assert!(sent < TAKEN_BYTES_MAX, "{sent} bytes were taken");
    });
}

#[test]
fn continuations_without_end_are_cut_off() {
    let mut world = site("");
    costs_little(&mut world, |world| {
        let mut attacker = Connection::open(world.at(8080));
        attacker.sends(&frame(Kind::Headers, END_STREAM, 1, &pseudo("GET", "/")));
        let more = frame(Kind::Continuation, 0, 1, &field("x-more", &"x".repeat(1000)));
        let sent = attacker.floods(&more, 100 << 20);
        assert!(sent < TAKEN_BYTES_MAX, "{sent} bytes of a head were taken");
        let mut attacker = Connection::open(world.at(8080));
        attacker.sends(&frame(Kind::Headers, END_STREAM, 1, &pseudo("GET", "/")));
        let sent = attacker.floods(&frame(Kind::Continuation, 0, 1, &[]), 100 << 20);
        assert!(sent < TAKEN_BYTES_MAX, "{sent} bytes of empty frames were taken");
    });
}

#[test]
fn settings_pings_and_other_frames_of_no_use_are_a_flood() {
    let mut world = site("");
    let useless = [
        frame(Kind::Settings, 0, 0, &[]),
        frame(Kind::Settings, 0, 0, &[0, 4, 0, 0, 255, 255]),
        frame(Kind::Ping, 0, 0, b"flooding"),
        frame(Kind::WindowUpdate, 0, 0, &1_u32.to_be_bytes()),
        [&[0, 0, 5, 2, 0, 0, 0, 0, 3][..], &[0, 0, 0, 1, 7]].concat(),
        vec![0, 0, 0, 99, 0, 0, 0, 0, 0],
    ];
    for one in useless {
        costs_little(&mut world, |world| {
            let mut attacker = Connection::open(world.at(8080));
            let sent = attacker.floods(&one.repeat(100), 100 << 20);
            assert!(sent < 20 << 20, "{sent} bytes of {one:?} were taken");
        });
    }
    world.error_log_shows("http2 flood detected");
}

#[test]
fn empty_data_frames_are_a_flood() {
    let mut world = site("client_max_body_size 0;");
    costs_little(&mut world, |world| {
        let mut attacker = Connection::open(world.at(8080));
        attacker.sends(&frame(Kind::Headers, END_HEADERS, 1, &pseudo("POST", "/up")));
        let sent = attacker.floods(&frame(Kind::Data, 0, 1, &[]).repeat(100), 100 << 20);
        assert!(sent < 10 << 20, "{sent} bytes of empty frames were taken");
    });
}

#[test]
fn an_hpack_bomb_stays_small() {
    let mut world = site("");
    costs_little(&mut world, |world| {
        let mut attacker = Connection::open(world.at(8080));
        // One entry of the table, and a thousand references to it (RFC 7541 section 6.1): 4 MB out of 5 KB.
        let entry = [&[0x40][..], &string("x-bomb"), &string(&"x".repeat(4000))].concat();
        let bomb = [pseudo("GET", "/"), entry, vec![0x80 | 62; 1000]].concat();
        attacker.sends(&frame(Kind::Headers, END_HEADERS | END_STREAM, 1, &bomb));
        assert_eq!(attacker.hears_the_end(), Some(CALM));
    });
}

#[test]
fn a_head_that_is_too_long_is_refused_and_a_far_longer_one_ends_the_connection() {
    let mut world = site("");
    costs_little(&mut world, |world| {
        let mut attacker = Connection::open(world.at(8080));
        let long = |fields: usize| [pseudo("GET", "/"), field("x-long", &"x".repeat(4000)).repeat(fields)].concat();
        let send = |attacker: &mut Connection, stream, block: &[u8]| {
            let mut pieces = block.chunks(16_000).peekable();
            attacker.sends(&frame(Kind::Headers, END_STREAM, stream, pieces.next().expect("a block is long")));
            while let Some(piece) = pieces.next() {
                let flags = if pieces.peek().is_none() { END_HEADERS } else { 0 };
                attacker.sends(&frame(Kind::Continuation, flags, stream, piece));
            }
        };
        send(&mut attacker, 1, &long(10));
        assert!(String::from_utf8_lossy(&attacker.hears_body(1)).contains("400 Request Header Or Cookie Too Large"));
        attacker.get(3, "/");
        assert_eq!(attacker.hears_body(3), b"fine");
        send(&mut attacker, 5, &long(100));
        assert_eq!(attacker.hears_the_end(), Some(CALM));
    });
}

#[test]
fn responses_that_nobody_takes_wait_within_bounds_and_end_after_send_timeout() {
    let mut world = site("send_timeout 1s;");
    let server = Server::bind(world.at(9001));
    costs_little(&mut world, |world| {
        // No window at all, and a hundred large responses.
        let mut attacker = Connection::open_with(world.at(8080), &[(4, 0)]);
        let mut upstreams = Vec::new();
        for stream in streams().take(100) {
            attacker.get(stream, "/up");
            let mut upstream = server.accepts();
            upstream.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
            upstream.tries_to_send(&[b'x'; 50_000]);
            upstreams.push(upstream);
        }
        for _ in 0..100 {
            assert_eq!(attacker.hears(Kind::Reset).code(), 2, "INTERNAL_ERROR");
        }
    });
}

#[test]
fn more_streams_than_are_allowed_are_refused() {
    let mut world = site("http2_max_concurrent_streams 10;");
    let server = Server::bind(world.at(9001));
    costs_little(&mut world, |world| {
        let mut attacker = Connection::open(world.at(8080));
        streams().take(11).for_each(|stream| attacker.get(stream, "/up"));
        let refused = attacker.hears(Kind::Reset);
        assert_eq!((refused.stream, refused.code()), (21, 7), "REFUSED_STREAM");
        let mut stream = streams().skip(11);
        let sent = attacker.floods_with(20 << 20, || {
            let head = |stream| frame(Kind::Headers, END_HEADERS | END_STREAM, stream, &pseudo("GET", "/up"));
            stream.by_ref().take(20).flat_map(head).collect()
        });
        assert!(sent < TAKEN_BYTES_MAX, "{sent} bytes of requests were taken");
    });
    drop(server);
}

#[test]
fn a_socket_that_takes_nothing_is_closed_after_send_timeout() {
    let mut world = site("send_timeout 1s;");
    costs_little(&mut world, |world| {
        let mut attacker = Connection::open_with(world.at(8080), &[(4, 0x7fff_ffff)]);
        attacker.sends(&frame(Kind::WindowUpdate, 0, 0, &0x7fff_0000_u32.to_be_bytes()));
        let server = Server::bind(world.at(9001));
        attacker.get(1, "/up");
        let mut upstream = server.accepts();
        upstream.sends(b"HTTP/1.1 200 OK\r\n\r\n");
        assert!(upstream.floods_until_the_end(Duration::from_secs(20)), "the gateway still waits");
    });
    world.error_log_shows("client timed out");
}
