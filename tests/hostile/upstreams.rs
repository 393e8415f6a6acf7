//! Upstreams that break off or answer nonsense.

use super::*;

/// What the gateway answers to `GET /up` if its upstream sends `bytes` and ends.
fn answer_to(world: &World, bytes: &[u8]) -> (String, Vec<u8>) {
    let server = Server::bind(world.at(9001));
    let mut client = Peer::dials(world.at(8080));
    client.sends(b"GET /up HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let mut upstream = server.accepts();
    upstream.tries_to_send(bytes);
    drop(upstream);
    let head = client.reads_head();
    (head, client.reads_to_end())
}

#[test]
fn an_upstream_without_a_valid_head_gives_502() {
    let world = site("");
    for (what, bytes, fact) in [
        ("nothing", &b""[..], "upstream prematurely closed connection while reading response header from upstream"),
        ("half a status line", b"HTTP/1.1 20", "upstream prematurely closed connection while reading response header"),
        ("half a head", b"HTTP/1.1 200 OK\r\nContent-Le", "upstream prematurely closed connection while reading"),
        ("no HTTP", b"220 smtp.example ESMTP\r\n\r\n", "upstream sent "),
        ("a header without a name", b"HTTP/1.1 200 OK\r\n: x\r\n\r\n", "upstream sent invalid header"),
        ("a status beyond three digits", b"HTTP/1.1 2000 OK\r\n\r\n", "upstream sent "),
        (
            "two lengths",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
            "upstream sent duplicate header line",
        ),
        (
            "a length that is none",
            b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nx",
            "upstream sent invalid \"Content-Length\" header",
        ),
        ("a NUL", b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n", "upstream sent invalid header"),
    ] {
        let (head, _) = answer_to(&world, bytes);
        assert!(head.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{what}: {head}");
        world.error_log_shows(fact);
        std::fs::write(world.dir().join("error.log"), "").expect("the log is ours");
    }
    is_unharmed(&world);
}

#[test]
fn a_head_beyond_the_buffer_gives_502() {
    let world = site("");
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 0\r\n\r\n", "x".repeat(1 << 20));
    let (head, _) = answer_to(&world, long.as_bytes());
    assert!(head.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{head}");
    world.error_log_shows("upstream sent too big header while reading response header from upstream");
    is_unharmed(&world);
}

#[test]
fn an_upstream_that_ends_inside_a_body_leaves_the_client_with_an_unfinished_one() {
    let world = site("");
    let (head, body) = answer_to(&world, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("Content-Length: 10\r\n"), "{head}");
    assert_eq!(body, b"12345");
    world.error_log_shows("upstream prematurely closed connection while reading upstream");

    let (head, body) = answer_to(&world, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n5\r\n12");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(!String::from_utf8_lossy(&body).ends_with("0\r\n\r\n"), "the cut body looks whole");
    is_unharmed(&world);
}

#[test]
fn an_upstream_whose_chunks_are_none_leaves_the_client_with_an_unfinished_body() {
    let world = site("");
    let server = Server::bind(world.at(9001));
    let mut client = Peer::dials(world.at(8080));
    client.sends(b"GET /up HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    server.accepts().sends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\nxyz\r\n");
    let answer = client.reads_to_end();
    let answer = String::from_utf8_lossy(&answer);
    assert!(
        answer.starts_with("HTTP/1.1 502 ") || !answer.ends_with("0\r\n\r\n"),
        "the cut body looks whole: {answer}"
    );
    world.error_log_shows("upstream sent invalid chunked response");
    is_unharmed(&world);
}

#[test]
fn a_response_that_drips_passes_as_long_as_proxy_read_timeout_lets_it() {
    let world = site("proxy_read_timeout 1s; proxy_buffering off;");
    let server = Server::bind(world.at(9001));
    let mut client = Peer::dials(world.at(8080));
    client.sends(b"GET /up HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let mut upstream = server.accepts();
    upstream.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
    client.reads_head();
    for byte in b"drop" {
        upstream.sends(&[*byte]);
        assert_eq!(client.reads(1), [*byte]);
        client.hears_nothing_for(Duration::from_millis(500));
    }
    assert_eq!(client.reads_to_end(), b"");
    world.error_log_shows("upstream timed out (110: Connection timed out) while reading upstream");
}
