//! Connections to servers that are kept for another request, and those that are not.

use crate::world::{End, World, ok, request};
use std::time::Duration;

const KEEPING: &str = "upstream app { server backend-1; keepalive 4; keepalive_timeout 30s; keepalive_requests 3; }
    server { location / { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ''; } }";

/// A browser asks, a backend that is connected to already answers.
fn asks_again(browser: &mut End, backend: &mut End) {
    browser.says(request("GET /again"));
    assert!(backend.hears_head().starts_with("GET /again "));
    backend.says(ok("again"));
    assert_eq!(browser.hears_response().body, b"again");
}

#[test]
fn an_upstream_connection_is_used_again() {
    let world = World::new(KEEPING);
    let (mut browser, mut backend) = world.request("GET /");
    backend.says(ok("first"));
    browser.hears_response();
    asks_again(&mut browser, &mut backend);
    let mut other = world.connect();
    asks_again(&mut other, &mut backend);
    world.nobody_arrives();
}

#[test]
fn an_upstream_connection_carries_keepalive_requests_and_no_more() {
    let world = World::new(KEEPING);
    let (mut browser, mut backend) = world.request("GET /");
    backend.says(ok("first"));
    browser.hears_response();
    asks_again(&mut browser, &mut backend);
    asks_again(&mut browser, &mut backend);
    backend.is_closed();
    browser.says(request("GET /fresh"));
    assert!(world.accept().hears_head().starts_with("GET /fresh "));
}

#[test]
fn an_idle_upstream_connection_is_closed_after_its_keepalive_timeout() {
    let world = World::new(KEEPING);
    let (mut browser, mut backend) = world.request("GET /");
    backend.says(ok("first"));
    browser.hears_response();
    world.passes(Duration::from_secs(29));
    backend.hears_nothing();
    // The pool looks once a second.
    world.passes(Duration::from_secs(2));
    backend.is_closed();
}

#[test]
fn a_kept_connection_that_went_stale_is_replaced_unseen_for_a_get() {
    let world = World::new(KEEPING);
    let (mut browser, mut backend) = world.request("GET /");
    backend.says(ok("first"));
    browser.hears_response();
    backend.closes();
    browser.says(request("GET /second"));
    let mut fresh = world.accept();
    assert!(fresh.hears_head().starts_with("GET /second "));
    fresh.says(ok("second"));
    assert_eq!(browser.hears_response().body, b"second");
    world.log_may_say("while reading response header from upstream");
    world.log_may_say("while sending request to upstream");
}

#[test]
fn a_request_that_a_kept_connection_lost_is_repeated_for_a_get_and_not_for_a_post() {
    let world = World::new(KEEPING);
    for (method, repeated) in [("GET", true), ("POST", false)] {
        let (mut browser, mut backend) = world.request("GET /");
        backend.says(ok("first"));
        browser.hears_response();
        browser.says(format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"));
        backend.hears_head();
        backend.hears("hi");
        backend.closes();
        if repeated {
            let mut fresh = world.accept();
            fresh.hears_head();
            fresh.says("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
            assert_eq!(browser.hears_response().body, b"ok");
        } else {
            world.nobody_arrives();
            assert_eq!(browser.hears_response().status, 502);
        }
    }
    world.log_says("upstream prematurely closed connection while reading response header from upstream");
}

#[test]
fn an_upstream_connection_with_unasked_bytes_is_not_used_again() {
    let world = World::new(KEEPING);
    let (mut browser, mut backend) = world.request("GET /");
    backend.says(ok("first") + "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison");
    assert_eq!(browser.hears_response().body, b"first");
    backend.is_closed();
    browser.says(request("GET /second"));
    assert!(world.accept().hears_head().starts_with("GET /second "));
}

#[test]
fn without_keepalive_each_request_has_a_connection_of_its_own() {
    let world = World::new(&KEEPING.replace("keepalive 4; keepalive_timeout 30s; keepalive_requests 3;", ""));
    let (mut browser, mut backend) = world.request("GET /");
    backend.says(ok("first"));
    browser.hears_response();
    backend.is_closed();
    browser.says(request("GET /second"));
    world.accept().hears_head();
}

#[test]
fn a_response_without_a_body_leaves_its_connection_good_for_another_request() {
    let world = World::new(KEEPING);
    let (mut browser, mut backend) = world.request("HEAD /");
    backend.says("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    assert!(browser.hears_head().contains("\r\nContent-Length: 1000\r\n"));
    browser.says(request("GET /not-modified"));
    backend.hears_head();
    backend.says("HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n");
    assert!(browser.hears_head().starts_with("HTTP/1.1 304 "));
    asks_again(&mut browser, &mut backend);
    world.nobody_arrives();
}

#[test]
fn an_upstream_connection_that_is_to_be_closed_is_not_kept() {
    for response in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ] {
        let world = World::new(KEEPING);
        let (mut browser, mut backend) = world.request("GET /");
        backend.says(response);
        assert_eq!(browser.hears_response().body, b"ok");
        backend.is_closed();
        browser.says(request("GET /second"));
        world.accept().hears_head();
    }
}

#[test]
fn a_connection_that_has_not_taken_the_whole_request_is_not_used_again() {
    let config = KEEPING.replace("location / {", "location / { proxy_request_buffering off;");
    let world = World::new(&config);
    let mut browser = world.connect();
    browser.says("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\nonly a part");
    let mut backend = world.accept();
    backend.hears_head();
    backend.says(ok("early"));
    assert_eq!(browser.hears_response().body, b"early");
    backend.hears("only a part");
    backend.is_closed();
    browser.closes();
    let mut next = world.connect();
    next.says(request("GET /second"));
    world.accept().hears_head();
}

#[test]
fn no_more_connections_idle_than_keepalive_allows() {
    let world = World::new(&KEEPING.replace("keepalive 4;", "keepalive 2;"));
    let mut pairs: Vec<_> = (0..3).map(|_| world.request("GET /")).collect();
    for (browser, backend) in &mut pairs {
        backend.says(ok("at once"));
        browser.hears_response();
    }
    let kept = pairs.iter_mut().map(|(_, backend)| !backend.has_heard_the_end());
    assert_eq!(kept.collect::<Vec<_>>(), [false, true, true], "the one that idled longest made room");
}

#[test]
fn a_kept_connection_that_went_stale_is_replaced_whatever_proxy_next_upstream_says() {
    let off = KEEPING.replace("proxy_pass", "proxy_next_upstream off; proxy_pass");
    let world = World::new(&off.replace("server backend-1;", "server backend-1; server backend-2 backup;"));
    let (mut browser, mut backend) = world.request("GET /");
    backend.says(ok("first"));
    browser.hears_response();
    browser.says(request("GET /second"));
    backend.hears_head();
    backend.closes();
    let mut fresh = world.accept_at("backend-1");
    assert!(fresh.hears_head().starts_with("GET /second "));
    fresh.says(ok("second"));
    assert_eq!(browser.hears_response().body, b"second");
}
