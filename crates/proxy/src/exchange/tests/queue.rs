//! `queue`: requests that wait for a server with room.

use crate::world::{End, Mood, World, handshake, ok, request};
use std::time::Duration;

const QUEUE: &str = "log_format tries '$status $upstream_status $upstream_addr $upstream_queue_time';
    access_log access.log tries;
    upstream app { server backend-1 max_conns=1; queue 2 timeout=5s; }
    server { location / { proxy_pass http://app; } }";

fn asks(world: &World, line: &str) -> End {
    let mut browser = world.connect();
    browser.says(request(line));
    browser
}

#[test]
fn a_request_waits_until_a_server_has_room_and_goes_in_its_turn() {
    let world = World::new(QUEUE);
    let (_browser, tunnel) = world.upgrade("/room");
    let mut first = asks(&world, "GET /first");
    world.passes(Duration::from_secs(1));
    let mut second = asks(&world, "GET /second");
    world.passes(Duration::from_millis(500));
    world.nobody_arrives();
    tunnel.closes();
    _browser.closes();
    let mut backend = world.accept();
    assert!(backend.hears_head().starts_with("GET /first "));
    world.nobody_arrives();
    backend.says(ok("one"));
    assert_eq!(first.hears_response().body, b"one");
    let mut backend = world.accept();
    assert!(backend.hears_head().starts_with("GET /second "));
    backend.says(ok("two"));
    assert_eq!(second.hears_response().body, b"two");
    let log = world.access_log();
    assert_eq!(log, ["101 101 backend-1 -", "200 200 backend-1 1.500", "200 200 backend-1 0.500"]);
}

#[test]
fn a_request_that_waits_too_long_is_answered_502() {
    let world = World::new(QUEUE);
    let _tunnel = world.upgrade("/room");
    let mut waiting = asks(&world, "GET /");
    world.passes(Duration::from_millis(4_999));
    waiting.hears_nothing();
    world.passes(Duration::from_millis(1));
    assert_eq!(waiting.hears_response().status, 502);
    world.log_says("upstream timed out (110: Connection timed out) while waiting in upstream queue, client: ");
    assert_eq!(world.access_log(), ["502 502 app 5.000"]);
}

#[test]
fn a_full_queue_refuses_with_502() {
    let world = World::new(QUEUE);
    let _tunnel = world.upgrade("/room");
    let mut waiting = [asks(&world, "GET /"), asks(&world, "GET /")];
    let mut third = asks(&world, "GET /");
    assert_eq!(third.hears_response().status, 502);
    waiting.iter_mut().for_each(End::hears_nothing);
    world.log_says("upstream queue is full while connecting to upstream, client: ");
}

#[test]
fn a_client_that_leaves_frees_its_place_in_the_queue() {
    let world = World::new(QUEUE);
    let (_browser, tunnel) = world.upgrade("/room");
    let leaving = [asks(&world, "GET /a"), asks(&world, "GET /b")];
    leaving.into_iter().for_each(End::closes);
    let mut waiting = asks(&world, "GET /c");
    waiting.hears_nothing();
    tunnel.closes();
    _browser.closes();
    let mut backend = world.accept();
    assert!(backend.hears_head().starts_with("GET /c "));
    backend.says(ok(""));
    assert_eq!(waiting.hears_response().status, 200);
    assert!(world.access_log().contains(&"499 499 app 0.000".to_owned()));
}

#[test]
fn a_handshake_waits_as_well() {
    let world = World::new(QUEUE);
    let (mut browser, mut backend) = world.request("GET /");
    let mut waiting = world.connect();
    waiting.says(handshake("/room"));
    backend.says(ok(""));
    browser.hears_response();
    let mut backend = world.accept();
    backend.hears_head();
    backend.says(crate::world::SWITCHING);
    assert!(waiting.hears_head().starts_with("HTTP/1.1 101 "));
    waiting.says("hello");
    backend.hears("hello");
}

#[test]
fn a_server_that_has_rested_enough_takes_one_of_the_queue() {
    let config = QUEUE.replace("queue 2", "server backend-2 fail_timeout=2s; queue 2");
    let world = World::new(&config);
    let _tunnel = world.upgrade("/room");
    world.mood("backend-2", Mood::Refusing);
    let mut failing = asks(&world, "GET /");
    world.mood("backend-2", Mood::Open);
    // It was refused by the second server and waits for the first one, as any later request does.
    failing.hears_nothing();
    let mut waiting = asks(&world, "GET /later");
    world.passes(Duration::from_secs(1));
    world.nobody_arrives();
    world.passes(Duration::from_millis(1_100));
    let mut backend = world.accept_at("backend-2");
    assert!(backend.hears_head().starts_with("GET /later "));
    backend.says(ok("rested"));
    assert_eq!(waiting.hears_response().body, b"rested");
    world.log_says("connect() failed (111: Connection refused)");
    world.log_says("upstream server temporarily disabled");
}

#[test]
fn who_waits_for_servers_that_all_went_down_is_told_at_once() {
    let config = QUEUE
        .replace("max_conns=1", "max_conns=1 fail_timeout=60s")
        .replace("queue 2", "server backend-2 down; queue 2");
    let world = World::new(&config);
    let (mut browser, backend) = world.request("GET /");
    let mut waiting = asks(&world, "GET /");
    backend.closes();
    assert_eq!(browser.hears_response().status, 502);
    assert_eq!(waiting.hears_response().status, 502);
    world.log_says("upstream prematurely closed connection");
    world.log_says("upstream server temporarily disabled");
    world.log_says("no live upstreams while connecting to upstream");
}
