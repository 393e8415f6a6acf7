use crate::world::{World, ok, request};
use std::time::Duration;

const HELLO: &str = "log_format short '$status $request_time \"$request\"';
    access_log access.log short;
    server {
        client_header_timeout 5s;
        client_body_timeout 5s;
        keepalive_timeout 10s;
        location / { return 200 hello; }
        location /once { keepalive_timeout 0; return 200 once; }
        location /thrice { keepalive_requests 3; return 200 thrice; }
        location /upload { proxy_pass http://app; }
        location /stream { proxy_pass http://app; proxy_request_buffering off; proxy_http_version 1.1; }
    }
    upstream app { server backend-1; }";

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[test]
fn a_connection_is_kept_for_keepalive_timeout_and_no_longer() {
    let world = World::new(HELLO);
    let mut browser = world.connect();
    for _ in 0..3 {
        browser.says(request("GET /"));
        let response = browser.hears_response();
        assert_eq!((response.status, &response.body[..]), (200, &b"hello"[..]));
        assert_eq!(response.header("connection"), Some("keep-alive"));
        world.passes(Duration::from_millis(9_999));
        browser.hears_nothing();
    }
    world.passes(Duration::from_millis(1));
    browser.is_closed();
}

#[test]
fn a_zero_keepalive_timeout_closes_after_the_response() {
    let world = World::new(HELLO);
    let mut browser = world.connect();
    browser.says(request("GET /once"));
    assert_eq!(browser.hears_response().header("connection"), Some("close"));
    browser.is_closed();
}

#[test]
fn keepalive_requests_bounds_the_requests_of_a_connection() {
    let world = World::new(HELLO);
    let mut browser = world.connect();
    for expected in ["keep-alive", "keep-alive", "close"] {
        browser.says(request("GET /thrice"));
        assert_eq!(browser.hears_response().header("connection"), Some(expected));
    }
    browser.is_closed();
}

#[test]
fn a_client_that_says_nothing_is_let_go_after_client_header_timeout() {
    let world = World::new(HELLO);
    let mut browser = world.connect();
    world.passes(Duration::from_millis(4_999));
    browser.hears_nothing();
    world.passes(Duration::from_millis(1));
    browser.is_closed();
    assert_eq!(world.access_log(), [""; 0]);
}

#[test]
fn a_client_that_sends_one_byte_a_minute_is_not_waited_for() {
    let world = World::new("access_log access.log; server { client_header_timeout 150s; return 200; }");
    let mut browser = world.connect();
    let mut head = request("GET /").into_bytes().into_iter();
    let mut minutes = 0;
    while !browser.has_heard_the_end() {
        browser.says([head.next().expect("the head is longer than anyone's patience")]);
        world.passes(secs(60));
        minutes += 1;
    }
    assert_eq!(minutes, 3, "the deadline is for the whole head, not for each byte");
    browser.is_closed();
    let lines = world.access_log();
    assert!(lines.len() == 1 && lines[0].contains(" 408 0 "), "{lines:?}");
    world.log_says("client timed out (110: Connection timed out) while reading client request headers");
}

#[test]
fn a_body_may_be_slow_but_not_stand_still() {
    let world = World::new(HELLO);
    let mut browser = world.connect();
    browser.says("POST /upload HTTP/1.1\r\nHost: culvert.test\r\nContent-Length: 10\r\n\r\n");
    for byte in b"12345" {
        world.passes(Duration::from_millis(4_999));
        browser.says([*byte]);
        browser.hears_nothing();
    }
    world.passes(secs(5));
    browser.is_closed();
    world.nobody_arrives();
    world.log_says("client timed out (110: Connection timed out) while reading client request body");
    assert_eq!(world.access_log(), ["408 29.995 \"POST /upload HTTP/1.1\""]);
}

#[test]
fn a_streamed_body_may_not_stand_still_either_and_that_is_not_the_servers_fault() {
    let world = World::new(HELLO);
    let mut browser = world.connect();
    browser.says("POST /stream HTTP/1.1\r\nHost: culvert.test\r\nContent-Length: 10\r\n\r\n12345");
    let mut backend = world.accept();
    backend.hears_head();
    backend.hears("12345");
    world.passes(Duration::from_millis(4_999));
    browser.hears_nothing();
    world.passes(Duration::from_millis(1));
    browser.is_closed();
    backend.is_closed();
    world.log_says("client timed out (110: Connection timed out)");
    assert_eq!(world.access_log(), ["408 5.000 \"POST /stream HTTP/1.1\""]);
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let world = World::new(HELLO);
    let mut browser = world.connect();
    browser.says(request("GET /upload") + &request("GET /") + &request("GET /once"));
    let mut backend = world.accept();
    backend.hears_head();
    browser.hears_nothing();
    backend.says(ok("first"));
    let bodies: Vec<_> = (0..3).map(|_| browser.hears_response().body).collect();
    assert_eq!(bodies, [&b"first"[..], b"hello", b"once"]);
    browser.is_closed();
}

#[test]
fn a_head_may_come_byte_by_byte() {
    let world = World::new(HELLO);
    let mut browser = world.connect();
    for byte in request("GET /").bytes() {
        browser.hears_nothing();
        browser.says([byte]);
    }
    assert_eq!(browser.hears_response().status, 200);
}

#[test]
fn the_rest_of_an_unread_body_is_discarded_before_the_next_request() {
    let world = World::new(HELLO);
    let mut browser = world.connect();
    browser.says("POST / HTTP/1.1\r\nHost: culvert.test\r\nContent-Length: 100000\r\n\r\n");
    assert_eq!(browser.hears_response().status, 200);
    browser.says("x".repeat(100_000) + &request("GET /once"));
    assert_eq!(browser.hears_response().body, b"once");
    browser.is_closed();
}

#[test]
fn a_body_over_the_limit_is_refused_and_its_rest_is_swallowed_for_a_while() {
    let world = World::new(
        "server { client_max_body_size 1k; lingering_timeout 2s;
        location / { proxy_pass http://app; } } upstream app { server backend-1; }",
    );
    let mut browser = world.connect();
    browser.says("POST / HTTP/1.1\r\nHost: culvert.test\r\nContent-Length: 4000\r\n\r\n");
    let response = browser.hears_response();
    assert_eq!((response.status, response.header("connection")), (413, Some("close")));
    browser.hears_the_end();
    browser.says("x".repeat(3_000));
    world.passes(Duration::from_millis(1_999));
    browser.says("x");
    world.passes(secs(2));
    browser.is_closed();
    world.nobody_arrives();
    world.log_says("client intended to send too large body: 4000 bytes");
}

#[test]
fn a_client_is_told_to_continue_only_where_its_body_is_wanted() {
    let world = World::new(HELLO);
    let mut browser = world.connect();
    let head = |path: &str| {
        format!("POST {path} HTTP/1.1\r\nHost: culvert.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    };
    browser.says(head("/upload"));
    browser.hears("HTTP/1.1 100 Continue\r\n\r\n");
    world.nobody_arrives();
    browser.says("hello");
    let mut backend = world.accept();
    let request = backend.hears_head();
    assert!(!request.to_lowercase().contains("expect"), "{request}");
    backend.hears("hello");
    backend.says(ok("thanks"));
    assert_eq!(browser.hears_response().body, b"thanks");
    browser.says(head("/"));
    assert_eq!(browser.hears_response().body, b"hello", "a final answer comes at once");
}

#[test]
fn a_client_that_closes_while_it_waits_is_noticed() {
    let world = World::new(HELLO);
    let (browser, mut backend) = world.request("GET /upload");
    world.passes(secs(3));
    browser.closes();
    backend.is_closed();
    assert_eq!(world.access_log(), ["499 3.000 \"GET /upload HTTP/1.1\""]);
}

#[test]
fn a_client_that_leaves_in_the_middle_of_a_head_is_logged_and_forgotten() {
    let world = World::new(HELLO);
    let mut browser = world.connect();
    browser.says("GET /half HT");
    browser.closes();
    let lines = world.access_log();
    assert!(lines.len() == 1 && lines[0].starts_with("400 0.000 \"GET /half"), "{lines:?}");
}

#[test]
fn a_reader_that_stalls_on_a_short_answer_is_let_go_after_send_timeout() {
    let world = World::with_pipes("server { send_timeout 4s; return 200 0123456789; }", 16, 16);
    let mut browser = world.connect();
    browser.says(request("GET /"));
    world.passes(Duration::from_millis(3_999));
    assert!(!browser.sips(1).is_empty());
    world.passes(secs(4));
    let rest = browser.hears_all();
    assert!(!rest.ends_with(b"0123456789"), "{}", rest.escape_ascii());
    browser.is_closed();
}

#[test]
fn a_body_that_nobody_reads_may_not_trickle_for_ever() {
    let world = World::new("server { lingering_time 30s; lingering_timeout 5s; return 200 enough; }");
    let mut browser = world.connect();
    browser.says("POST / HTTP/1.1\r\nHost: culvert.test\r\nContent-Length: 100000\r\n\r\n");
    assert_eq!(browser.hears_response().body, b"enough");
    let mut seconds = 0;
    while browser.tries_to_say("x") == 1 {
        world.passes(secs(4));
        seconds += 4;
        assert!(seconds < 100, "the connection is still open");
    }
    assert!((30..=68).contains(&seconds), "closed after {seconds} s");
    browser.is_closed();
}
