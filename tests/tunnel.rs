//! What a tunnel promises to the two streams that it joins: every byte, in order, however they are cut; the end of
//! either side carried across; its time-outs kept to the moment; and no more memory than a slow reader deserves.

use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::{Duration, Instant};

use culvert_testkit::websocket::{Frame, Peer, Server, handshake, switching};
use culvert_testkit::{World, world};

/// A location that sends everything to one upstream, with more directives of the test's own.
fn site(directives: &str) -> String {
    format!(
        "map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
         server {{
             listen {{address}}:8080;
             location / {{
                 proxy_pass http://{{address}}:9001;
                 proxy_http_version 1.1;
                 proxy_set_header Upgrade $http_upgrade;
                 proxy_set_header Connection $connection_upgrade;
                 {directives}
             }}
         }}"
    )
}

fn tunnel(directives: &str) -> (World, Server, Peer, Peer) {
    let world = world!(&site(directives));
    let server = Server::bind(world.at(9001));
    let (client, upstream) = server.upgrade(world.at(8080), "/room");
    (world, server, client, upstream)
}

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
fn a_frame_in_the_same_packet_as_the_handshake_arrives() {
    let world = world!(&site(""));
    let server = Server::bind(world.at(9001));
    for length in [5, 3_000, 300_000] {
        let early = Frame::binary(vec![b'x'; length]);
        let mut client = Peer::asks_and_says(world.at(8080), "/", "", &early.encode(Some([9, 8, 7, 6])));
        let mut upstream = server.accepts();
        upstream.sends(switching("").as_bytes());
        client.is_switched();
        assert_eq!(upstream.hears(), early);
    }
}

#[test]
fn a_handshake_of_http_1_0_opens_no_tunnel() {
    let world = world!("server { listen {address}:8080; location / { proxy_pass http://{address}:9001; } }");
    let server = Server::bind(world.at(9001));
    let mut client = Peer::dials(world.at(8080));
    client.sends(handshake("a", "/", "").replace("HTTP/1.1", "HTTP/1.0").as_bytes());
    let mut upstream = server.accepts();
    assert_eq!(upstream.header("Upgrade"), None, "{}", upstream.head());
    upstream.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert!(client.reads_head().starts_with("HTTP/1.1 200 OK\r\n"), "{}", client.head());
}

#[test]
fn an_interim_response_before_the_101_does_no_harm() {
    let world = world!(&site(""));
    let server = Server::bind(world.at(9001));
    let mut client = Peer::asks(world.at(8080), "/", "");
    let mut upstream = server.accepts();
    upstream.sends(&[b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", switching("").as_bytes()].concat());
    client.is_switched();
    client.says(&Frame::text("hello"));
    upstream.hears_text("hello");
}

#[test]
fn a_kept_alive_connection_may_become_a_tunnel() {
    let world = world!(&site(""));
    let server = Server::bind(world.at(9001));
    let mut client = Peer::dials(world.at(8080));
    client.sends(b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut upstream = server.accepts();
    upstream.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    client.reads_head();
    assert_eq!(client.reads(2), b"ok");
    client.sends(handshake("a", "/", "").as_bytes());
    // The first upstream connection may be asked again or not; the recipe closes it.
    let mut upstream = server.accepts();
    upstream.sends(switching("").as_bytes());
    client.is_switched();
    client.says(&Frame::text("hello"));
    upstream.hears_text("hello");
}

#[test]
fn a_refused_client_may_ask_again_on_its_connection() {
    let world = world!(&site(""));
    let server = Server::bind(world.at(9001));
    let mut client = Peer::asks(world.at(8080), "/", "");
    server.accepts().sends(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
    assert!(client.reads_head().starts_with("HTTP/1.1 401 "), "{}", client.head());
    client.sends(handshake("a", "/", "Authorization: Basic eDp5\r\n").as_bytes());
    let mut upstream = server.accepts();
    assert_eq!(upstream.header("Authorization"), Some("Basic eDp5"));
    upstream.sends(switching("").as_bytes());
    client.is_switched();
}

#[test]
fn a_frame_in_the_same_packet_as_the_101_arrives() {
    let world = world!(&site(""));
    let server = Server::bind(world.at(9001));
    for length in [5, 3_000, 300_000] {
        let early = Frame::binary(vec![b'x'; length]);
        let mut client = Peer::asks(world.at(8080), "/", "");
        let mut upstream = server.accepts();
        upstream.sends(&[switching("").as_bytes(), &early.encode(None)].concat());
        client.is_switched();
        assert_eq!(client.hears(), early);
    }
}

#[test]
fn a_101_and_the_end_in_one_packet_reach_the_client() {
    let world = world!(&site(""));
    let server = Server::bind(world.at(9001));
    let mut client = Peer::asks(world.at(8080), "/", "");
    let mut upstream = server.accepts();
    upstream.sends(&[switching("").as_bytes(), &Frame::close(1013, "later").encode(None)].concat());
    drop(upstream);
    client.is_switched();
    assert_eq!(client.hears(), Frame::close(1013, "later"));
    client.hears_the_end();
}

#[test]
fn a_handshake_may_come_one_byte_a_packet() {
    let world = world!(&site(""));
    let server = Server::bind(world.at(9001));
    let mut client = Peer::dials(world.at(8080));
    for byte in handshake("example.org", "/", "").bytes() {
        client.sends(&[byte]);
    }
    let mut upstream = server.accepts();
    for byte in switching("").bytes() {
        upstream.sends(&[byte]);
    }
    client.is_switched();
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
    assert!(growth < 4 << 20, "the gateway grew by {growth} bytes");
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
    assert!(growth < 4 << 20, "the gateway grew by {growth} bytes");
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

#[test]
fn a_refused_handshake_reaches_the_client_as_it_is() {
    let world = world!(&site(""));
    let server = Server::bind(world.at(9001));
    let mut client = Peer::asks(world.at(8080), "/", "Connection-Id: 7\r\n");
    let mut upstream = server.accepts();
    upstream.sends(b"HTTP/1.1 403 Not For You\r\nX-Reason: full\r\nContent-Type: text/plain\r\nContent-Length: 11\r\n\r\nno sockets\n");
    let head = client.reads_head();
    assert!(head.starts_with("HTTP/1.1 403 Not For You\r\n"), "{head}");
    assert_eq!(client.header("X-Reason"), Some("full"));
    assert_eq!(client.header("Content-Type"), Some("text/plain"));
    assert_eq!(client.header("Content-Length"), Some("11"));
    assert_eq!(client.reads(11), b"no sockets\n");
}

#[test]
fn a_dead_upstream_gives_502() {
    let world = world!(&site(""));
    let mut client = Peer::asks(world.at(8080), "/", "");
    assert!(client.reads_head().starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{}", client.head());
    world.error_log_shows("connect() failed (111: Connection refused) while connecting to upstream");
}

/// Two servers that the balancer asks in turn.
fn two_upstreams(directives: &str) -> World {
    world!(&format!(
        "upstream backends {{ server {{address}}:9001; server {{address}}:9002; }}
         server {{
             listen {{address}}:8080;
             location / {{
                 proxy_pass http://backends;
                 proxy_http_version 1.1;
                 proxy_set_header Upgrade $http_upgrade;
                 proxy_set_header Connection upgrade;
                 {directives}
             }}
         }}"
    ))
}

#[test]
fn a_handshake_to_a_dead_server_is_tried_on_the_next() {
    let world = two_upstreams("");
    let live = Server::bind(world.at(9002));
    for _ in 0..4 {
        let (mut client, mut upstream) = live.upgrade(world.at(8080), "/");
        client.says(&Frame::text("hello"));
        upstream.hears_text("hello");
    }
}

#[test]
fn all_servers_dead_gives_502() {
    let world = two_upstreams("");
    for _ in 0..3 {
        let mut client = Peer::asks(world.at(8080), "/", "");
        assert!(client.reads_head().starts_with("HTTP/1.1 502 "), "{}", client.head());
    }
    world.error_log_shows("no live upstreams while connecting to upstream");
}

#[test]
fn a_silent_upstream_gives_504_after_the_others_were_tried() {
    let world = two_upstreams("proxy_read_timeout 1s;");
    let servers = [Server::bind(world.at(9001)), Server::bind(world.at(9002))];
    let start = Instant::now();
    let mut client = Peer::asks(world.at(8080), "/", "");
    let _first = servers[0].accepts();
    let _second = servers[1].accepts();
    assert!(client.reads_head().starts_with("HTTP/1.1 504 Gateway Time-out\r\n"), "{}", client.head());
    assert_within(start.elapsed(), Duration::from_secs(2));
    world.error_log_shows("upstream timed out (110: Connection timed out) while reading response header from upstream");
}

#[test]
fn a_handshake_that_a_silent_server_left_unanswered_is_tried_on_the_next() {
    let world = two_upstreams("proxy_read_timeout 1s;");
    let servers = [Server::bind(world.at(9001)), Server::bind(world.at(9002))];
    let mut client = Peer::asks(world.at(8080), "/", "");
    let _silent = servers[0].accepts();
    let mut upstream = servers[1].accepts();
    upstream.sends(switching("").as_bytes());
    client.is_switched();
    client.says(&Frame::text("hello"));
    upstream.hears_text("hello");
}

#[test]
fn a_server_that_drops_the_handshake_is_passed_over() {
    let world = two_upstreams("");
    let servers = [Server::bind(world.at(9001)), Server::bind(world.at(9002))];
    let mut client = Peer::asks(world.at(8080), "/", "");
    drop(servers[0].accepts());
    let mut upstream = servers[1].accepts();
    upstream.sends(switching("").as_bytes());
    client.is_switched();
}

#[test]
fn an_upstream_behind_a_unix_socket_is_reached() {
    let world = world!(
        "server { listen {address}:8080; location / { proxy_pass http://unix:{dir}/chat.sock:/; \
         proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; } }"
    );
    let listener = std::os::unix::net::UnixListener::bind(world.dir().join("chat.sock")).expect("the name is free");
    // The gateway's workers need not be the user that the test runs as.
    let open = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(world.dir().join("chat.sock"), open).expect("the socket is ours");
    let answering = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the gateway connects");
        std::io::Write::write_all(&mut stream, switching("").as_bytes()).expect("the gateway reads");
        std::io::Write::write_all(&mut stream, &Frame::text("from a file").encode(None)).expect("the gateway reads");
        let mut rest = Vec::new();
        std::io::Read::read_to_end(&mut stream, &mut rest).expect("the gateway ends");
        String::from_utf8_lossy(&rest).into_owned()
    });
    let mut client = Peer::connect(world.at(8080), "/room?x=1");
    client.hears_text("from a file");
    drop(client);
    let request = answering.join().expect("the server did not panic");
    assert!(request.starts_with("GET /room?x=1 HTTP/1.1\r\n"), "{request}");
}

/// Timers may be late on a busy machine, never early.
#[track_caller]
fn assert_within(elapsed: Duration, expected: Duration) {
    assert!(elapsed >= expected - Duration::from_millis(50), "{elapsed:?} is before {expected:?}");
    assert!(elapsed < expected + Duration::from_secs(3), "{elapsed:?} is long after {expected:?}");
}
