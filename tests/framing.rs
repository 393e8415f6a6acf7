//! Requests whose framing two readers could understand in two ways: each is answered with an error, its connection is
//! closed, and its upstream never sees a byte of it, nor of what was hidden behind it.

use culvert_testkit::websocket::{Peer, Server};
use culvert_testkit::{World, world};

/// What a smuggled request would ask for.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// What is wrong, the request, and the status that it gets.
type Case = (&'static str, &'static [u8], u16);

/// A head is refused as soon as it is complete (RFC 9112 sections 2.2, 5.1, 5.2 and 6.3, RFC 9110 section 8.6).
const HEADS: &[Case] = &[
    ("two different lengths", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
    ("the same length twice", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
    ("a list of lengths", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 4\r\n\r\nabcd", 400),
    ("a list of one length", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc", 400),
    ("an empty length", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\nabc", 400),
    ("a length with a plus", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc", 400),
    ("a length with a minus", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\nabc", 400),
    ("a hexadecimal length", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc", 400),
    ("a length with a fraction", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3.0\r\n\r\nabc", 400),
    ("a length with a space in it", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3 3\r\n\r\nabc", 400),
    ("a length beyond 64 bits", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551619\r\n\r\nabc", 400),
    (
        "a length and chunks",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "chunks and a length",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        400,
    ),
    ("chunks in HTTP/1.0", b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("chunks in chunks", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 501),
    (
        "two transfer encodings",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        400,
    ),
    ("an unknown encoding", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
    ("an encoding in disguise", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400),
    ("a bare line feed after a header", b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400),
    ("a bare line feed after the request line", b"GET / HTTP/1.1\nHost: a\r\n\r\n", 400),
    ("bare line feeds for an end", b"GET / HTTP/1.1\r\nHost: a\n\n", 400),
    ("a bare carriage return in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: y\rz\r\n\r\n", 400),
    ("a bare carriage return in the request line", b"GET /\r HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("a bare carriage return for an end", b"GET / HTTP/1.1\r\nHost: a\r\n\rX: y\r\n\r\n", 400),
    ("a space before a colon", b"GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", 400),
    ("a space before the length's colon", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 3\r\n\r\nabc", 400),
    ("a tab before a colon", b"GET / HTTP/1.1\r\nHost: a\r\nX\t: y\r\n\r\n", 400),
    ("a folded header", b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n", 400),
    ("a header folded with a tab", b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\tz\r\n\r\n", 400),
    ("a fold before the first header", b"GET / HTTP/1.1\r\n X: y\r\nHost: a\r\n\r\n", 400),
    ("a header without a colon", b"GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", 400),
    ("a header without a name", b"GET / HTTP/1.1\r\nHost: a\r\n: y\r\n\r\n", 400),
    ("a NUL in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: y\0z\r\n\r\n", 400),
    ("a NUL in a name", b"GET / HTTP/1.1\r\nHost: a\r\nX\0: y\r\n\r\n", 400),
    ("a NUL in the target", b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("no host", b"GET / HTTP/1.1\r\n\r\n", 400),
    ("two hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    ("a host with a slash", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    ("a method in lower case", b"get / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("no target", b"GET HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("a relative target", b"GET x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("a space in the target", b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("a version that never was", b"GET / HTTP/3.7\r\nHost: a\r\n\r\n", 505),
    ("a version in lower case", b"GET / http/1.1\r\nHost: a\r\n\r\n", 400),
    ("another protocol", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n", 400),
    ("an escape that is none", b"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("an escaped NUL", b"GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("a way out of the root", b"GET /../x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
];

/// Bodies in chunks that are none (RFC 9112 section 7.1).
const CHUNKS: &[Case] = &[
    ("a size that is no number", b"g\r\nabc\r\n0\r\n\r\n", 400),
    ("no size", b"\r\nabc\r\n0\r\n\r\n", 400),
    ("a size with a sign", b"+3\r\nabc\r\n0\r\n\r\n", 400),
    ("a negative size", b"-3\r\nabc\r\n0\r\n\r\n", 400),
    ("a size with a prefix", b"0x3\r\nabc\r\n0\r\n\r\n", 400),
    ("a size beyond 64 bits", b"10000000000000003\r\nabc\r\n0\r\n\r\n", 400),
    ("a chunk that is longer than its size", b"3\r\nabcd\r\n0\r\n\r\n", 400),
    ("a chunk that ends in a bare line feed", b"3\r\nabc\n0\r\n\r\n", 400),
    ("a size that ends in a bare line feed", b"3\nabc\r\n0\r\n\r\n", 400),
    ("a size that ends in a bare carriage return", b"3\rabc\r\n0\r\n\r\n", 400),
    ("an extension with a bare line feed", b"3;x\ny\r\nabc\r\n0\r\n\r\n", 400),
];

fn site() -> World {
    world!("server { listen {address}:8080; location / { proxy_pass http://{address}:9001; proxy_http_version 1.1; } }")
}

#[test]
fn ambiguous_heads_are_refused_and_their_connections_closed() {
    let world = site();
    let upstream = Server::bind(world.at(9001));
    let mut wrong = Vec::new();
    for (what, head, status) in HEADS {
        check(&world, what, &[head, HIDDEN.as_bytes()].concat(), *status, &mut wrong);
        if upstream.accepts_now().is_some() {
            wrong.push(format!("{what}: the upstream was asked"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), HEADS.len(), wrong.join("\n"));
}

#[test]
fn bodies_that_are_no_chunks_are_refused_and_their_connections_closed() {
    let world = site();
    let upstream = Server::bind(world.at(9001));
    let mut wrong = Vec::new();
    for (what, chunks, status) in CHUNKS {
        let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        check(&world, what, &[&head[..], chunks, HIDDEN.as_bytes()].concat(), *status, &mut wrong);
        if upstream.accepts_now().is_some() {
            wrong.push(format!("{what}: the upstream was asked"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), CHUNKS.len(), wrong.join("\n"));
}

/// Sends the bytes, which have to be answered once, with that status and a closed connection.
fn check(world: &World, what: &str, bytes: &[u8], status: u16, wrong: &mut Vec<String>) {
    let mut client = Peer::dials(world.at(8080));
    client.tries_to_send(bytes);
    let Some(answer) = client.reads_to_end_within(std::time::Duration::from_secs(3)) else {
        return wrong.push(format!("{what}: the connection stays open"));
    };
    let answer = String::from_utf8_lossy(&answer);
    if !answer.starts_with(&format!("HTTP/1.1 {status} ")) {
        let line = answer.lines().next().unwrap_or("nothing");
        wrong.push(format!("{what}: {line}"));
    }
    if answer.matches("HTTP/1.1 ").count() > 1 {
        wrong.push(format!("{what}: more than one answer"));
    }
}

#[test]
fn what_is_unusual_but_clear_is_served() {
    let world = world!("server { listen {address}:8080; location / { return 200 ok; } }");
    for (what, request) in [
        ("no space after a colon", &b"GET / HTTP/1.1\r\nHost:a\r\nX:y\r\n\r\n"[..]),
        ("spaces around a value", b"GET / HTTP/1.1\r\nHost:  a \t \r\n\r\n"),
        ("an empty value", b"GET / HTTP/1.1\r\nHost: a\r\nX:\r\n\r\n"),
        ("an empty line before the request", b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("an absolute target", b"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("header names in any case", b"GET / HTTP/1.1\r\nhOST: a\r\n\r\n"),
        ("HTTP/1.0 without a host", b"GET / HTTP/1.0\r\n\r\n"),
        ("bytes beyond ASCII in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: \xc3\xa9\xff\r\n\r\n"),
    ] {
        let mut client = Peer::dials(world.at(8080));
        client.sends(request);
        let head = client.reads_head();
        assert!(head.starts_with("HTTP/1.1 200 "), "{what}: {head}");
    }
}
