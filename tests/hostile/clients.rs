//! Clients that are slow, greedy, unintelligible or gone.

use super::*;

#[test]
fn a_client_that_sends_one_byte_a_while_is_cut_after_client_header_timeout() {
    let world = site("client_header_timeout 1s;");
    let mut client = Peer::dials(world.at(8080));
    let start = Instant::now();
    let request = b"GET / HTTP/1.1\r\nHost: a-rather-long-name.example\r\n\r\n";
    let mut bytes = request.iter();
    let answer = loop {
        client.tries_to_send(&[*bytes.next().expect("the request is longer than the client's patience")]);
        if let Some(answer) = client.reads_to_end_within(Duration::from_millis(150)) {
            break answer;
        }
    };
    let elapsed = start.elapsed();
    assert!(elapsed >= Duration::from_millis(950) && elapsed < Duration::from_secs(3), "cut after {elapsed:?}");
    assert_eq!(String::from_utf8_lossy(&answer), "");
    assert!(world.access_log_lines(1)[0].contains(" 408 "));
    is_unharmed(&world);
}

#[test]
fn a_client_that_says_nothing_is_cut_after_client_header_timeout() {
    let world = site("client_header_timeout 500ms;");
    let mut client = Peer::dials(world.at(8080));
    client.hears_nothing_for(Duration::from_millis(400));
    client.hears_the_end();
}

#[test]
fn a_body_that_stops_coming_is_cut_after_client_body_timeout() {
    let world = site("client_body_timeout 1s;");
    let mut client = Peer::dials(world.at(8080));
    let start = Instant::now();
    client.sends(b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n123");
    client.reads_to_end();
    let elapsed = start.elapsed();
    assert!(elapsed >= Duration::from_millis(950) && elapsed < Duration::from_secs(4), "cut after {elapsed:?}");
    assert!(world.access_log_lines(1)[0].contains(" 408 "));
    is_unharmed(&world);
}

#[test]
fn a_kept_alive_connection_is_closed_after_keepalive_timeout() {
    let world = site("keepalive_timeout 500ms;");
    let mut client = Client::connect(world.at(8080));
    assert_eq!(client.get("/").status(), 200);
    let start = Instant::now();
    client.is_closed();
    assert!(start.elapsed() >= Duration::from_millis(450), "{:?}", start.elapsed());
}

/// Requests of a megabyte, none of which is to be read to its end, and the status of each.
fn send_megabytes(world: &World) {
    let long = "x".repeat(1 << 20);
    for (what, request, status) in [
        ("a request line", format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), "414 Request-URI Too Large"),
        ("a header", format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n"), "400 Bad Request"),
        ("many headers", format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(200_000)), "400 Bad Request"),
        ("a header without an end", format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}"), "400 Bad Request"),
    ] {
        let mut client = Peer::dials(world.at(8080));
        client.tries_to_send(request.as_bytes());
        let answer = client.reads_to_end();
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{what}: {answer}");
    }
}

#[test]
fn a_header_of_a_megabyte_is_refused() {
    let world = site("");
    // The first round fills the buffers that a worker keeps.
    send_megabytes(&world);
    let before = world.allocated_bytes();
    (0..20).for_each(|_| send_megabytes(&world));
    let growth = world.allocated_bytes().saturating_sub(before);
    assert!(growth < GROWTH_BYTES_MAX, "the gateway grew by {growth} bytes");
    is_unharmed(&world);
}

#[test]
fn a_body_over_the_limit_is_refused() {
    let world = site("client_max_body_size 1k;");
    let server = Server::bind(world.at(9001));
    for (what, head) in [
        ("declared", "POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n"),
        ("in chunks", "POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n"),
    ] {
        let mut client = Peer::dials(world.at(8080));
        client.tries_to_send(format!("{head}{}", "x".repeat(1_500)).as_bytes());
        let answer = client.reads_head();
        assert!(answer.starts_with("HTTP/1.1 413 Request Entity Too Large\r\n"), "{what}: {answer}");
        assert_eq!(client.header("Connection"), Some("close"), "{what}: {answer}");
    }
    assert!(server.accepts_now().is_none(), "the upstream was asked");
    world.error_log_shows("client intended to send too large body: 2000 bytes");
    is_unharmed(&world);
}

#[test]
fn garbage_is_refused() {
    let world = site("");
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"\0\0\0\0\0\0\r\n\r\n",
        b"\xff\xfe\r\n\r\n",
        b"SSH-2.0-x\r\n",
    ] {
        let mut client = Peer::dials(world.at(8080));
        client.tries_to_send(garbage);
        client.ends_writing();
        let answer = client.reads_to_end();
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400 "), "{}", String::from_utf8_lossy(&answer));
    }
    is_unharmed(&world);
}

#[test]
fn a_thousand_pipelined_requests_are_answered_in_order() {
    let world =
        world!("keepalive_requests 2000; server { listen {address}:8080; location / { return 200 '$arg_n,'; } }");
    let mut client = Peer::dials(world.at(8080));
    let requests: String = (0..1_000).map(|n| format!("GET /?n={n} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    let last = "GET /?n=last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    client.sends((requests + last).as_bytes());
    let answers = client.reads_to_end();
    let answers = String::from_utf8_lossy(&answers);
    let bodies: Vec<&str> = answers.split("\r\n\r\n").skip(1).filter_map(|part| part.split(',').next()).collect();
    let expected: Vec<String> = (0..1_000).map(|n| n.to_string()).chain(["last".to_owned()]).collect();
    assert_eq!(bodies, expected);
}

#[test]
fn a_client_that_vanishes_ends_its_upstream_request() {
    let world = site("");
    let server = Server::bind(world.at(9001));
    let mut client = Peer::dials(world.at(8080));
    client.sends(b"GET /up HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut upstream = server.accepts();
    drop(client);
    upstream.hears_the_end();
    assert!(world.access_log_lines(1)[0].contains(" 499 "));
}

#[test]
fn a_client_that_vanishes_inside_a_response_ends_it() {
    let world = site("");
    let server = Server::bind(world.at(9001));
    let mut client = Peer::dials(world.at(8080));
    client.sends(b"GET /up HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut upstream = server.accepts();
    upstream.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
    upstream.sends(&[b'x'; 65_536]);
    client.reads_head();
    client.resets();
    assert!(upstream.floods_until_the_end(Duration::from_secs(10)), "the upstream was read on");
    is_unharmed(&world);
}

#[test]
fn five_hundred_half_requests_stop_nobody() {
    let world = site("");
    let half: Vec<Peer> = (0..500)
        .map(|_| {
            let mut client = Peer::dials(world.at(8080));
            client.sends(b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ");
            client
        })
        .collect();
    is_unharmed(&world);
    drop(half);
    is_unharmed(&world);
}

#[test]
fn a_reader_that_takes_nothing_is_cut_after_send_timeout() {
    let world = site("send_timeout 1s; proxy_buffering off;");
    let server = Server::bind(world.at(9001));
    let mut client = Peer::dials(world.at(8080));
    client.sends(b"GET /up HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut upstream = server.accepts();
    upstream.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
    assert!(upstream.floods_until_the_end(Duration::from_secs(15)), "the response outlived send_timeout");
    is_unharmed(&world);
}
