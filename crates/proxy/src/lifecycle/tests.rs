use crate::world::{World, ok, request};
use std::time::Duration;

fn site(answer: &str) -> String {
    format!(
        "upstream chat {{ server backend-1; keepalive 2; }}
         server {{
            location / {{ return 200 {answer}; }}
            location /room {{ proxy_pass http://chat; proxy_read_timeout 60s; }}
            location /app {{ proxy_pass http://chat; proxy_http_version 1.1; proxy_set_header Connection ''; }}
         }}"
    )
}

#[test]
fn a_reload_is_seen_by_the_next_request_of_an_old_connection() {
    let world = World::new(&site("old"));
    let mut browser = world.connect();
    browser.says(request("GET /"));
    assert_eq!(browser.hears_response().body, b"old");
    world.reloads(&site("new"));
    browser.says(request("GET /"));
    assert_eq!(browser.hears_response().body, b"new");
}

#[test]
fn a_request_that_runs_keeps_the_configuration_that_it_began_with() {
    let world = World::new(&site("old"));
    let (mut browser, mut backend) = world.request("GET /app");
    world.reloads("server { return 503; }");
    backend.says(ok("served"));
    assert_eq!(browser.hears_response().body, b"served");
    browser.says(request("GET /app"));
    assert_eq!(browser.hears_response().status, 503);
}

#[test]
fn a_reload_is_seen_by_no_live_tunnel() {
    let world = World::new(&site("old"));
    let (mut browser, mut backend) = world.upgrade("/room");
    world.reloads("server { location / { return 503; } }");
    world.passes(Duration::from_secs(59));
    browser.says("still");
    backend.hears("still");
    backend.says("here");
    browser.hears("here");
    world.passes(Duration::from_millis(59_999));
    browser.hears_nothing();
    world.passes(Duration::from_millis(1));
    browser.is_closed();
    world.log_says("upstream timed out");
}

#[test]
fn a_live_tunnel_holds_no_generation() {
    let world = World::new(&site("old"));
    let old = world.gateway().witness();
    let (mut browser, mut backend) = world.upgrade("/room");
    world.reloads(&site("new"));
    assert_eq!(old.strong_count(), 0, "the old generation is freed while its tunnel lives on");
    browser.says("hello");
    backend.hears("hello");
}

#[test]
fn a_drain_closes_idle_connections_and_leaves_tunnels_alone() {
    let world = World::new(&site("here"));
    let (mut browser, mut backend) = world.upgrade("/room");
    let mut idle = world.connect();
    idle.says(request("GET /"));
    idle.hears_response();
    world.drains();
    idle.is_closed();
    world.passes(Duration::from_secs(30));
    browser.says("still");
    backend.hears("still");
    assert!(!world.has_ended());
    browser.closes();
    backend.hears_the_end();
    backend.closes();
    assert!(world.has_ended(), "the last connection ends the worker");
}

#[test]
fn a_drain_lets_requests_finish_and_closes_their_connections() {
    let world = World::new(&site("here"));
    let (mut browser, mut backend) = world.request("GET /app");
    world.drains();
    assert!(!world.has_ended());
    backend.says(ok("finished"));
    assert_eq!(browser.hears_response().body, b"finished");
    browser.is_closed();
    backend.is_closed();
    assert!(world.has_ended());
}

#[test]
fn a_request_that_begins_while_the_worker_drains_is_the_last_of_its_connection() {
    let world = World::new(&site("here"));
    let mut browser = world.connect();
    browser.says("GET / HTTP/1.1\r\nHost: culvert.test\r\n");
    world.drains();
    browser.says("\r\n");
    let response = browser.hears_response();
    assert_eq!((response.header("connection"), &response.body[..]), (Some("close"), &b"here"[..]));
    browser.is_closed();
    assert!(world.has_ended());
}

#[test]
fn a_connection_that_was_accepted_before_the_drain_is_answered_once() {
    let world = World::new(&site("here"));
    let mut fresh = world.connect();
    let mut silent = world.connect();
    world.drains();
    fresh.says(request("GET /"));
    let response = fresh.hears_response();
    assert_eq!((response.header("connection"), &response.body[..]), (Some("close"), &b"here"[..]));
    fresh.is_closed();
    assert!(!world.has_ended());
    // And one that never asks is not waited for longer than ever.
    world.passes(Duration::from_secs(60));
    silent.is_closed();
    assert!(world.has_ended());
}

#[test]
fn a_drain_closes_idle_upstream_connections() {
    let world = World::new(&site("here"));
    let (mut browser, mut backend) = world.request("GET /app");
    backend.says(ok("kept"));
    browser.hears_response();
    backend.hears_nothing();
    world.drains();
    backend.is_closed();
    browser.is_closed();
}

#[test]
fn a_drain_of_an_idle_worker_ends_it() {
    let world = World::new(&site("here"));
    assert!(!world.has_ended());
    world.drains();
    assert!(world.has_ended());
}

#[test]
fn a_handshake_that_was_under_way_when_the_drain_began_becomes_a_tunnel() {
    let world = World::new(&site("here"));
    let mut browser = world.connect();
    browser.says(crate::world::handshake("/room"));
    let mut backend = world.accept();
    backend.hears_head();
    world.drains();
    backend.says(crate::world::SWITCHING);
    browser.hears_head();
    browser.says("in time");
    backend.hears("in time");
    assert!(!world.has_ended());
}

#[test]
fn an_unchanged_upstream_keeps_its_idle_connections_over_a_reload() {
    let world = World::new(&site("old"));
    let (mut browser, mut backend) = world.request("GET /app");
    backend.says(ok("first"));
    browser.hears_response();
    world.reloads(&site("new"));
    browser.says(request("GET /app"));
    assert!(backend.hears_head().starts_with("GET /app "));
    backend.says(ok("second"));
    assert_eq!(browser.hears_response().body, b"second");
}

#[test]
fn two_thousand_mixed_good_and_bad_connections_leave_nothing_behind() {
    let world = World::new(&site("here"));
    let mut open = Vec::new();
    for nth in 0..2_000 {
        let mut browser = world.connect();
        match nth % 8 {
            0 => browser.says(request("GET /")),
            1 => browser.says("GET /half HTTP/1.1\r\nHo"),
            2 => browser.says("\0\x01\x02 garbage\r\n\r\n"),
            3 => browser.says("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
            4 => browser.says("POST /app HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nsome"),
            5 => browser.says(request("GET /app")),
            6 => browser.says(crate::world::handshake("/room")),
            _ => {}
        }
        if let Some(mut backend) = world.arrives() {
            match nth % 3 {
                0 => backend.says("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\npart"),
                1 => backend.says(crate::world::SWITCHING),
                _ => {}
            }
            open.push(backend);
        }
        open.push(browser);
        // Every other one goes at once, its peer later; the rest goes with the world.
        if nth % 2 == 0 {
            let at = (nth * 7919) % open.len();
            open.swap_remove(at).closes();
        }
    }
    world.passes(Duration::from_secs(30));
    world.log_may_say("");
}
