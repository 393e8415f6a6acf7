//! Probes in virtual time, between pipes.

use crate::world::{End, Mood, SWITCHING, World, ok, request};
use std::time::Duration;

fn config(check: &str) -> String {
    format!(
        "upstream app {{ server backend-1; {check} }}
         server {{ listen 80; location / {{ proxy_pass http://app; proxy_connect_timeout 1s; }} }}"
    )
}

/// The next probe arrives and is answered.
#[track_caller]
fn probe(world: &World, answer: &str) -> String {
    let mut backend = world.accept();
    let head = backend.hears_head();
    backend.says(answer);
    head
}

#[track_caller]
fn asks(world: &World) -> End {
    let mut browser = world.connect();
    browser.says(request("GET /"));
    browser
}

const SICK: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";

#[test]
fn a_probe_comes_at_once_and_then_every_interval() {
    let world = World::new(&config("health_check interval=5s uri=/up;"));
    let head = probe(&world, &ok("well"));
    assert!(head.starts_with("GET /up HTTP/1.1\r\nHost: app\r\nConnection: close\r\n"), "{head}");
    world.nobody_arrives();
    world.passes(Duration::from_millis(4_999));
    world.nobody_arrives();
    world.passes(Duration::from_millis(1));
    probe(&world, &ok("well"));
}

#[test]
fn one_failure_is_enough_and_one_pass_heals() {
    let world = World::new(&config("health_check interval=5s;"));
    probe(&world, SICK);
    world.log_says(
        "unexpected status 503 while checking status code, health check \"\" of peer backend-1 in upstream \"app\"",
    );
    world.log_says("peer is unhealthy while checking status code");
    let mut browser = asks(&world);
    assert_eq!(browser.hears_response().status, 502);
    world.log_says("no live upstreams");
    world.passes(Duration::from_secs(5));
    probe(&world, &ok("well"));
    world.log_says("peer is healthy while checking status code");
    browser = asks(&world);
    let mut backend = world.accept();
    backend.hears_head();
    backend.says(ok("hello"));
    assert_eq!(browser.hears_response().status, 200);
}

#[test]
fn a_silent_server_fails_when_its_time_is_over() {
    let world = World::new(&config("health_check type=tcp interval=5s mandatory;"));
    world.log_says("peer is healthy");
    world.mood("backend-1", Mood::Silent);
    world.passes(Duration::from_secs(5));
    assert_eq!(world.error_lines("peer is unhealthy"), 0);
    // `proxy_connect_timeout`, which is nginx's default in an upstream block.
    world.passes(Duration::from_secs(60));
    world.log_says("upstream timed out (110: Connection timed out) while connecting to upstream");
    world.log_says("peer is unhealthy while connecting to upstream");
}

#[test]
fn a_websocket_that_hears_no_pong_fails() {
    let world = World::new(&config("health_check type=websocket interval=5s timeout=2s;"));
    let mut backend = world.accept();
    let head = backend.hears_head();
    let key = head.split("Sec-WebSocket-Key: ").nth(1).and_then(|rest| rest.split("\r\n").next()).expect("a key");
    let accept = culvert_engine::websocket::accept_for(key.as_bytes());
    let accept = String::from_utf8_lossy(&accept).into_owned();
    backend.says(SWITCHING.replace("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", &accept));
    world.passes(Duration::from_millis(1_999));
    assert_eq!(world.error_lines("peer is unhealthy"), 0);
    world.passes(Duration::from_millis(1));
    world.log_says("upstream timed out (110: Connection timed out) while waiting for websocket pong");
    world.log_says("peer is unhealthy while waiting for websocket pong");
}

#[test]
fn a_reload_goes_on_with_what_is_known() {
    let check = "health_check interval=5s;";
    let world = World::new(&config(check));
    probe(&world, SICK);
    world.log_says("unexpected status 503");
    world.log_says("peer is unhealthy");
    world.reloads(&config(check));
    let mut browser = asks(&world);
    assert_eq!(browser.hears_response().status, 502);
    world.log_says("no live upstreams");
    world.reloads(&config(""));
    browser = asks(&world);
    while let Some(mut end) = world.arrives() {
        if end.hears_head().contains("culvert.test") || end.name() == "backend-1" {
            end.says(ok("hello"));
        }
    }
    assert_eq!(browser.hears_response().status, 200);
}
