//! Requests and responses.

use super::peer::request;
use super::{Peer, site};
use crate::world::{World, noise, ok};
use bytes::Bytes;
use http::{HeaderValue, Method, header};
use std::time::Duration;

#[test]
fn a_request_is_passed_on_in_the_words_of_http_1() {
    let world = site("proxy_set_header Host $host; proxy_http_version 1.1;");
    let mut peer = Peer::connect(&world);
    let mut wanted = request(Method::GET, "/a%20b?c=d");
    wanted.headers_mut().append("cookie", HeaderValue::from_static("a=1"));
    wanted.headers_mut().append("x-thing", HeaderValue::from_static("one"));
    wanted.headers_mut().append("cookie", HeaderValue::from_static("b=2"));
    let asked = peer.asks(&world, wanted, true);
    let mut backend = world.accept();
    assert_eq!(
        backend.hears_head(),
        "GET /a%20b?c=d HTTP/1.1\r\nHost: culvert.test\r\nConnection: close\r\nx-thing: one\r\ncookie: a=1; b=2\r\n\r\n"
    );
    backend.says("HTTP/1.1 200 OK\r\nX-Answer: Yes\r\nKeep-Alive: timeout=5\r\nContent-Length: 2\r\n\r\nhi");
    let mut answered = asked.hears_head(&world);
    assert_eq!(answered.head.headers()["x-answer"], "Yes");
    assert!(!answered.head.headers().contains_key("connection") && !answered.head.headers().contains_key("keep-alive"));
    assert_eq!(answered.hears_all(&world), b"hi");
    assert_eq!(world.access_log(), ["200 GET /a%20b?c=d HTTP/2.0 HTTP/2.0 h2c 1 2 OK"]);
}

#[test]
fn streams_are_answered_in_whatever_order_their_backends_answer() {
    let world = site("");
    let mut peer = Peer::connect(&world);
    let (first, second) = (peer.gets(&world, "/1"), peer.gets(&world, "/2"));
    let (mut one, mut two) = (world.accept(), world.accept());
    assert!(one.hears_head().starts_with("GET /1 "));
    two.hears_head();
    two.says(ok("two"));
    assert_eq!(second.hears(&world), (200, "two".into()));
    one.says(ok("one"));
    assert_eq!(first.hears(&world), (200, "one".into()));
    assert_eq!(world.access_log()[1], "200 GET /1 HTTP/2.0 HTTP/2.0 h2c 1 3 OK");
}

#[test]
fn a_body_without_a_length_is_sent_on_with_one_where_it_fits() {
    let world = site("");
    let mut peer = Peer::connect(&world);
    let mut asked = peer.asks(&world, request(Method::POST, "/"), false);
    asked.says(&world, b"hello ", false);
    world.nobody_arrives();
    asked.says(&world, b"there", true);
    let mut backend = world.accept();
    assert!(backend.hears_head().contains("\r\nContent-Length: 11\r\n"));
    backend.hears("hello there");
    backend.says(ok("thanks"));
    assert_eq!(asked.hears(&world), (200, "thanks".into()));
}

#[test]
fn a_body_that_is_too_large_is_refused_and_the_connection_goes_on() {
    let world = site("client_max_body_size 10;");
    let mut peer = Peer::connect(&world);
    let mut wanted = request(Method::POST, "/");
    wanted.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("11"));
    assert_eq!(peer.asks(&world, wanted, false).hears(&world).0, 413);
    let mut asked = peer.asks(&world, request(Method::POST, "/"), false);
    asked.says(&world, b"hello there", false);
    assert_eq!(asked.hears(&world).0, 413);
    let asked = peer.gets(&world, "/");
    world.accept().says(ok("fine"));
    assert_eq!(asked.hears(&world), (200, "fine".into()));
    world.log_says("client intended to send too large");
}

#[test]
fn a_large_response_waits_for_the_clients_window_and_stalls_no_other_stream() {
    let world = site("proxy_buffers 4 4k;");
    let mut peer = Peer::connect(&world);
    let body = noise(1_000_000);
    let stalled = peer.gets(&world, "/large");
    let mut large = world.accept();
    large.hears_head();
    large.says(format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()));
    let mut sent = large.says_what_fits(&body);
    assert!(sent < 300_000, "the gateway has taken {sent} bytes that nobody reads");
    let other = peer.gets(&world, "/small");
    world.accept().says(ok("small"));
    assert_eq!(other.hears(&world).0, 200);
    let mut answered = stalled.hears_head(&world);
    let mut heard = Vec::new();
    while heard.len() < body.len() {
        let next = world.runs(async { answered.body.data().await.expect("more comes").expect("the stream is whole") });
        answered.body.flow_control().release_capacity(next.len()).expect("so much was taken");
        heard.extend_from_slice(&next);
        sent += large.tries_to_say(&body[sent..]);
    }
    assert!(heard == body);
}

#[test]
fn trailers_are_passed_on_where_they_are_welcome() {
    let world = site("proxy_http_version 1.1; proxy_pass_trailers on;");
    let mut peer = Peer::connect(&world);
    for welcome in [true, false] {
        let mut wanted = request(Method::GET, "/");
        if welcome {
            wanted.headers_mut().insert("te", HeaderValue::from_static("trailers"));
        }
        let asked = peer.asks(&world, wanted, true);
        let mut backend = world.accept();
        backend.hears_head();
        backend.says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 7\r\n\r\n");
        let mut answered = asked.hears_head(&world);
        assert_eq!(answered.hears_all(&world), b"hi");
        let trailers = answered.hears_trailers(&world);
        assert_eq!(trailers.is_some_and(|trailers| trailers["x-sum"] == "7"), welcome);
    }
}

#[test]
fn a_response_without_a_body_ends_with_its_head() {
    let world = World::new("server { http2 on; location / { return 204; } location /page { return 200 text; } }");
    let mut peer = Peer::connect(&world);
    assert!(peer.gets(&world, "/").hears_head(&world).body.is_end_stream());
    let head = peer.asks(&world, request(Method::HEAD, "/page"), true).hears_head(&world);
    assert_eq!(head.head.headers()[header::CONTENT_LENGTH], "4");
    assert!(head.body.is_end_stream());
}

#[test]
fn a_response_that_breaks_off_is_reset() {
    let world = site("");
    let mut peer = Peer::connect(&world);
    let asked = peer.gets(&world, "/");
    let mut backend = world.accept();
    backend.hears_head();
    backend.says("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    backend.closes();
    let mut answered = asked.hears_head(&world);
    let mut heard = Vec::new();
    let error = world.runs(async {
        loop {
            match answered.body.data().await.expect("it has no good end") {
                Ok(bytes) => heard.extend_from_slice(&bytes),
                Err(error) => return error,
            }
        }
    });
    assert_eq!((&heard[..], error.reason()), (&b"half"[..], Some(h2::Reason::INTERNAL_ERROR)));
    world.log_says("upstream prematurely closed connection");
}

#[test]
fn a_cancelled_request_lets_its_backend_go() {
    let world = site("");
    let mut peer = Peer::connect(&world);
    let mut asked = peer.gets(&world, "/");
    let mut backend = world.accept();
    backend.hears_head();
    asked.send.send_reset(h2::Reason::CANCEL);
    world.runs(async {});
    backend.hears_the_end();
    assert_eq!(world.access_log(), ["499 GET / HTTP/2.0 HTTP/2.0 h2c 1 0 "]);
}

#[test]
fn a_client_that_takes_nothing_for_send_timeout_loses_its_stream_alone() {
    let world = site("send_timeout 5s; proxy_buffers 4 4k;");
    let mut peer = Peer::connect(&world);
    let stalled = peer.gets(&world, "/");
    let mut backend = world.accept();
    backend.hears_head();
    backend.says("HTTP/1.1 200 OK\r\n\r\n");
    backend.says_what_fits(noise(500_000));
    world.passes(Duration::from_secs(6));
    backend.is_closed();
    let mut answered = stalled.hears_head(&world);
    let error = world.runs(async {
        loop {
            if let Err(error) = answered.body.data().await.expect("it has no good end") {
                return error;
            }
        }
    });
    assert_eq!(error.reason(), Some(h2::Reason::INTERNAL_ERROR));
    let asked = peer.gets(&world, "/");
    world.accept().says(ok("fine"));
    assert_eq!(asked.hears(&world), (200, "fine".into()));
}

#[test]
fn a_client_that_stops_sending_its_body_loses_its_stream_alone() {
    let world = site("client_body_timeout 5s;");
    let mut peer = Peer::connect(&world);
    let mut asked = peer.asks(&world, request(Method::POST, "/"), false);
    asked.says(&world, b"half", false);
    world.passes(Duration::from_secs(6));
    let error = asked.outcome(&world).expect("it is over").err().expect("without an answer, as over HTTP/1");
    assert_eq!(error.reason(), Some(h2::Reason::INTERNAL_ERROR));
    assert_eq!(world.access_log(), ["408 POST / HTTP/2.0 HTTP/2.0 h2c 1 0 "]);
}

#[test]
fn a_head_that_is_longer_than_its_buffers_gets_a_400() {
    let world = World::new("server { http2 on; large_client_header_buffers 2 1k; location / { return 204; } }");
    let mut peer = Peer::connect(&world);
    let mut wanted = request(Method::GET, "/");
    wanted.headers_mut().insert("x-long", HeaderValue::from_maybe_shared(Bytes::from(vec![b'x'; 1100])).expect("text"));
    assert_eq!(peer.asks(&world, wanted, true).hears(&world).0, 400);
    assert_eq!(peer.gets(&world, &format!("/{}", "x".repeat(1100))).hears(&world).0, 414);
    assert_eq!(peer.gets(&world, "/").hears(&world).0, 204);
    world.log_says("client sent too large request");
}

#[test]
fn bad_requests_are_answered_one_by_one() {
    let world = World::new("server { http2 on; location / { return 204; } }");
    let mut peer = Peer::connect(&world);
    let status = |peer: &mut Peer, change: &dyn Fn(&mut http::Request<()>)| {
        let mut wanted = request(Method::GET, "/");
        change(&mut wanted);
        peer.asks(&world, wanted, true).hears(&world).0
    };
    assert_eq!(status(&mut peer, &|wanted| *wanted.method_mut() = Method::from_bytes(b"get").expect("a token")), 400);
    assert_eq!(status(&mut peer, &|wanted| *wanted.method_mut() = Method::TRACE), 405);
    let other_host = |wanted: &mut http::Request<()>| {
        wanted.headers_mut().insert("host", HeaderValue::from_static("other.test"));
    };
    assert_eq!(status(&mut peer, &other_host), 400);
    world.log_says("client sent duplicate host header");
    let same_host = |wanted: &mut http::Request<()>| {
        wanted.headers_mut().insert("host", HeaderValue::from_static("culvert.test"));
    };
    assert_eq!(status(&mut peer, &same_host), 204);
}

#[test]
fn a_client_that_waits_for_permission_to_send_gets_it() {
    let world = site("");
    let mut peer = Peer::connect(&world);
    let mut wanted = request(Method::POST, "/");
    wanted.headers_mut().insert("expect", HeaderValue::from_static("100-continue"));
    let mut asked = peer.asks(&world, wanted, false);
    assert!(asked.is_invited(&world));
    asked.says(&world, b"body", true);
    let mut backend = world.accept();
    assert!(!backend.hears_head().contains("expect"));
    backend.hears("body");
    backend.says(ok("thanks"));
    assert_eq!(asked.hears(&world), (200, "thanks".into()));
}
