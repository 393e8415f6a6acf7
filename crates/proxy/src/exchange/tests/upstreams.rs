//! Which server is asked, how long it is waited for, and who is asked instead.

use crate::world::{End, Mood, World, ok, request};
use std::time::Duration;

const ONE: &str = "log_format tries '$status $upstream_status $upstream_addr $upstream_response_time';
    access_log access.log tries;
    upstream app { server backend-1; }
    server { location / {
        proxy_pass http://app; proxy_connect_timeout 3s; proxy_read_timeout 5s; proxy_send_timeout 4s;
    } }";

const TWO: &str = "log_format tries '$status $upstream_status $upstream_addr $upstream_response_time';
    access_log access.log tries;
    upstream app { server backend-1; server backend-2; }
    server { location / { proxy_pass http://app; proxy_connect_timeout 3s; proxy_read_timeout 5s; } }";

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[test]
fn a_silent_server_gives_504_after_proxy_read_timeout() {
    let world = World::new(ONE);
    let (mut browser, mut backend) = world.request("GET /");
    world.passes(Duration::from_millis(4_999));
    browser.hears_nothing();
    world.passes(Duration::from_millis(1));
    assert_eq!(browser.hears_response().status, 504);
    backend.is_closed();
    world.log_says("upstream timed out (110: Connection timed out) while reading response header from upstream");
    assert_eq!(world.access_log(), ["504 504 backend-1 5.000"]);
}

#[test]
fn a_server_that_can_not_be_connected_to_gives_502() {
    let world = World::new(ONE);
    world.mood("backend-1", Mood::Refusing);
    let mut browser = world.connect();
    browser.says(request("GET /"));
    assert_eq!(browser.hears_response().status, 502);
    world.log_says("connect() failed (111: Connection refused) while connecting to upstream, client: 192.0.2.1");
    assert_eq!(world.access_log(), ["502 502 backend-1 0.000"]);
}

#[test]
fn a_server_that_leaves_a_connect_unanswered_gives_504_after_proxy_connect_timeout() {
    let world = World::new(ONE);
    world.mood("backend-1", Mood::Silent);
    let mut browser = world.connect();
    browser.says(request("GET /"));
    world.passes(Duration::from_millis(2_999));
    browser.hears_nothing();
    world.passes(Duration::from_millis(1));
    assert_eq!(browser.hears_response().status, 504);
    world.log_says("upstream timed out (110: Connection timed out) while connecting to upstream");
}

#[test]
fn the_next_server_is_asked_after_proxy_connect_timeout() {
    let world = World::new(TWO);
    world.mood("backend-1", Mood::Silent);
    let mut browser = world.connect();
    browser.says(request("GET /"));
    world.passes(secs(2));
    world.nobody_arrives();
    world.passes(secs(1));
    let mut second = world.accept_at("backend-2");
    assert!(second.hears_head().starts_with("GET / "));
    second.says(ok("from the second"));
    assert_eq!(browser.hears_response().body, b"from the second");
    world.log_says("upstream timed out (110: Connection timed out) while connecting to upstream");
    assert_eq!(world.access_log(), ["200 504, 200 backend-1, backend-2 3.000, 0.000"]);
    world.log_says("upstream server temporarily disabled while ");
}

#[test]
fn the_next_server_is_asked_where_one_is_silent_or_breaks_off() {
    let world = World::new(TWO);
    let (mut browser, first) = world.request("GET /");
    first.closes();
    let mut second = world.accept_at("backend-2");
    second.hears_head();
    world.passes(secs(5));
    assert_eq!(browser.hears_response().status, 504);
    world.log_says("upstream prematurely closed connection while reading response header from upstream");
    world.log_says("upstream timed out");
    assert_eq!(world.access_log(), ["504 502, 504 backend-1, backend-2 0.000, 5.000"]);
    world.log_says("upstream server temporarily disabled while ");
}

#[test]
fn a_post_that_was_sent_is_not_sent_to_another_server() {
    let world = World::new(TWO);
    let mut browser = world.connect();
    browser.says("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\norder");
    let backend = world.accept();
    backend.closes();
    assert_eq!(browser.hears_response().status, 502);
    world.nobody_arrives();
    world.log_says("upstream prematurely closed connection");
    world.log_says("upstream server temporarily disabled while ");
}

#[test]
fn a_post_that_was_not_sent_is_sent_to_another_server() {
    let world = World::new(TWO);
    world.mood("backend-1", Mood::Refusing);
    let mut browser = world.connect();
    browser.says("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\norder");
    let mut second = world.accept_at("backend-2");
    second.hears_head();
    second.hears("order");
    second.says(ok("done"));
    assert_eq!(browser.hears_response().body, b"done");
    world.log_says("connect() failed (111: Connection refused)");
    world.log_says("upstream server temporarily disabled while ");
}

#[test]
fn a_server_that_failed_is_left_alone_for_fail_timeout() {
    let config = "upstream app { server backend-1 fail_timeout=20s; server backend-2; }
        server { location / { proxy_pass http://app; } }";
    let world = World::new(config);
    world.mood("backend-1", Mood::Refusing);
    let mut browser = world.connect();
    let served_by = |browser: &mut End| {
        browser.says(request("GET /"));
        let mut backend = world.accept();
        backend.hears_head();
        backend.says(ok(""));
        assert_eq!(browser.hears_response().status, 200);
        backend.name().to_owned()
    };
    assert_eq!(served_by(&mut browser), "backend-2");
    world.mood("backend-1", Mood::Open);
    for _ in 0..6 {
        assert_eq!(served_by(&mut browser), "backend-2");
    }
    world.passes(secs(21));
    let after: Vec<_> = (0..6).map(|_| served_by(&mut browser)).collect();
    assert!(after.iter().any(|name| name == "backend-1"), "{after:?}");
    world.log_says("connect() failed (111: Connection refused)");
    world.log_says("upstream server temporarily disabled while ");
}

#[test]
fn a_head_that_comes_in_pieces_is_waited_for() {
    let world = World::new(ONE);
    let (mut browser, mut backend) = world.request("GET /");
    for piece in ["HTTP/1.", "1 200 O", "K\r\nContent-Le", "ngth: 2\r\n\r", "\nhi"] {
        browser.hears_nothing();
        world.passes(Duration::from_millis(900));
        backend.says(piece);
    }
    assert_eq!(browser.hears_response().body, b"hi");
}

#[test]
fn interim_responses_are_for_the_gateway() {
    let world = World::new(ONE);
    let (mut browser, mut backend) = world.request("GET /");
    backend.says("HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n");
    backend.says(ok("final"));
    assert_eq!(browser.hears_response().status, 200);
}

#[test]
fn a_server_that_breaks_off_in_its_body_ends_the_response_short() {
    let world = World::new(ONE);
    let (mut browser, mut backend) = world.request("GET /");
    backend.says("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345");
    backend.closes();
    assert!(browser.hears_head().starts_with("HTTP/1.1 200 "));
    browser.hears("12345");
    browser.is_closed();
    world.log_says("upstream prematurely closed connection while reading upstream");
}

#[test]
fn a_server_that_falls_silent_in_its_body_is_given_up_after_proxy_read_timeout() {
    let world = World::new(ONE);
    let (mut browser, mut backend) = world.request("GET /");
    backend.says("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n1");
    browser.hears_head();
    for byte in b"2345" {
        world.passes(Duration::from_millis(4_900));
        backend.says([*byte]);
    }
    browser.hears("12345");
    world.passes(secs(5));
    browser.is_closed();
    world.log_says("upstream timed out (110: Connection timed out) while reading upstream");
}

#[test]
fn a_server_that_takes_no_request_gives_504_after_proxy_send_timeout() {
    let world = World::with_pipes(ONE, 64 * 1024, 16);
    let mut browser = world.connect();
    browser.says(request("GET /"));
    world.passes(Duration::from_millis(3_999));
    browser.hears_nothing();
    world.passes(Duration::from_millis(1));
    assert_eq!(browser.hears_response().status, 504);
    world.log_says("upstream timed out (110: Connection timed out) while sending request to upstream");
}

#[test]
fn a_status_of_proxy_next_upstream_leads_to_the_next_server_and_the_last_one_is_passed_on() {
    let config = TWO.replace("proxy_pass", "proxy_next_upstream error http_503; proxy_pass");
    let world = World::new(&config);
    let (mut browser, mut first) = world.request("GET /");
    first.says("HTTP/1.1 503 Busy\r\nContent-Length: 5\r\n\r\nfirst");
    let mut second = world.accept_at("backend-2");
    second.hears_head();
    second.says("HTTP/1.1 503 Busy\r\nContent-Length: 6\r\n\r\nsecond");
    let response = browser.hears_response();
    assert_eq!((response.status, &response.body[..]), (503, &b"second"[..]));
    assert_eq!(world.access_log(), ["503 503, 503 backend-1, backend-2 0.000, 0.000"]);
    world.log_says("upstream server temporarily disabled while ");
}

#[test]
fn a_handshake_is_taken_to_the_next_server_too() {
    let world = World::new(TWO);
    world.mood("backend-1", Mood::Refusing);
    let (mut browser, mut backend) = world.upgrade("/room");
    assert_eq!(backend.name(), "backend-2");
    browser.says("hello");
    backend.hears("hello");
    world.log_says("connect() failed (111: Connection refused)");
    world.log_says("upstream server temporarily disabled while ");
}

#[test]
fn a_101_that_nobody_asked_for_is_a_502() {
    let world = World::new(ONE);
    let (mut browser, mut backend) = world.request("GET /");
    backend.says(crate::world::SWITCHING);
    assert_eq!(browser.hears_response().status, 502);
    backend.is_closed();
    world.log_says("upstream sent unexpected 101");
}

#[test]
fn a_client_that_leaves_while_its_server_is_being_connected_to_is_noticed() {
    let world = World::new(ONE);
    world.mood("backend-1", Mood::Silent);
    let mut browser = world.connect();
    browser.says(request("GET /"));
    world.passes(secs(1));
    browser.closes();
    assert_eq!(world.access_log(), ["499 499 backend-1 1.000"]);
}

#[test]
fn a_head_that_is_none_is_a_502() {
    let world = World::new(ONE);
    for answer in ["SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "HTTP/1.1 20x OK\r\n\r\n"] {
        let (mut browser, mut backend) = world.request("GET /");
        backend.says(answer);
        backend.half_closes();
        assert_eq!(browser.hears_response().status, 502, "{answer:?}");
    }
    world.log_may_say("while reading response header from upstream");
}

#[test]
fn a_head_over_proxy_buffer_size_is_a_502() {
    let config = ONE.replace("proxy_pass", "proxy_buffer_size 1k; proxy_pass");
    let world = World::new(&config);
    let (mut browser, mut backend) = world.request("GET /");
    backend.tries_to_say(format!("HTTP/1.1 200 OK\r\nX-Long: {}\r\n\r\n", "x".repeat(5000)));
    assert_eq!(browser.hears_response().status, 502);
    backend.hears_the_end();
    world.log_says("upstream sent too big header while reading response header from upstream");
}

#[test]
fn proxy_next_upstream_timeout_bounds_the_search() {
    let config = TWO.replace("proxy_pass", "proxy_next_upstream_timeout 3s; proxy_pass");
    let world = World::new(&config);
    world.mood("backend-1", Mood::Silent);
    let mut browser = world.connect();
    browser.says(request("GET /"));
    world.passes(secs(3));
    assert_eq!(browser.hears_response().status, 504);
    world.nobody_arrives();
    world.log_says("upstream timed out (110: Connection timed out) while connecting to upstream");
    world.log_says("upstream server temporarily disabled while ");
}
