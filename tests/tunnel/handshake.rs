//! How a tunnel comes to be, or does not.

use super::*;

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
