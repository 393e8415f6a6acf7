//! What an upstream keeps when the configuration is replaced.

use crate::world::{Mood, World, handshake, ok, request};
use std::time::Duration;

fn config(upstream: &str) -> String {
    format!("upstream app {{ {upstream} }} server {{ location / {{ proxy_pass http://app; }} }}")
}

fn served(world: &World) -> String {
    let (mut browser, mut backend) = world.request("GET /");
    backend.says(ok(""));
    assert_eq!(browser.hears_response().status, 200);
    backend.name().to_owned()
}

#[test]
fn live_tunnels_count_on_after_a_reload_that_changes_the_upstream() {
    let world = World::new(&config("server backend-1; server backend-2;"));
    let (_browser, backend) = world.upgrade("/room");
    let busy = backend.name().to_owned();
    world.reloads(&config("least_conn; keepalive 4; server backend-2 weight=1; server backend-1 max_fails=3;"));
    assert!((0..4).all(|_| served(&world) != busy), "a new method goes by the old counts");
    world.reloads(&config("server backend-1 max_conns=1; server backend-2 max_conns=1;"));
    let (_other, free) = world.upgrade("/room");
    assert_ne!(free.name(), busy);
    let mut refused = world.connect();
    refused.says(handshake("/room"));
    assert_eq!(refused.hears_response().status, 502);
    world.log_says("no live upstreams");
}

#[test]
fn a_server_that_rests_does_so_after_a_reload() {
    let before = config("server backend-1 fail_timeout=60s; server backend-2;");
    let world = World::new(&before);
    world.mood("backend-1", Mood::Refusing);
    assert_eq!(served(&world), "backend-2");
    world.mood("backend-1", Mood::Open);
    world.reloads(&config("server backend-1 fail_timeout=60s weight=5; server backend-2;"));
    assert!((0..5).all(|_| served(&world) == "backend-2"));
    world.passes(Duration::from_secs(61));
    assert!((0..5).any(|_| served(&world) == "backend-1"));
    world.log_says("connect() failed");
    world.log_says("upstream server temporarily disabled");
}

#[test]
fn servers_come_and_go_and_a_tunnel_stays_with_one_that_has_gone() {
    let world = World::new(&config("server backend-1;"));
    let (mut browser, mut backend) = world.upgrade("/room");
    world.reloads(&config("server backend-2; server backend-3;"));
    let names: std::collections::HashSet<_> = (0..4).map(|_| served(&world)).collect();
    assert_eq!(names, ["backend-2".to_owned(), "backend-3".to_owned()].into());
    browser.says("still here");
    backend.hears("still here");
    world.reloads(&config("server backend-1;"));
    assert_eq!(served(&world), "backend-1");
    backend.closes();
    browser.closes();
    assert_eq!(served(&world), "backend-1");
}

#[test]
fn a_queue_that_is_taken_away_still_serves_those_in_it() {
    let world = World::new(&config("server backend-1 max_conns=1; queue 5;"));
    let (mut browser, mut backend) = world.request("GET /");
    let mut waiting = world.connect();
    waiting.says(request("GET /waiting"));
    world.reloads(&config("server backend-1 max_conns=1;"));
    backend.says(ok(""));
    browser.hears_response();
    let mut backend = world.accept();
    assert!(backend.hears_head().starts_with("GET /waiting "));
    backend.says(ok("served"));
    assert_eq!(waiting.hears_response().body, b"served");
}

#[test]
fn a_reload_that_adds_a_server_lets_those_who_wait_go_there() {
    let world = World::new(&config("server backend-1 max_conns=1; queue 5;"));
    let _tunnel = world.upgrade("/room");
    let mut waiting = world.connect();
    waiting.says(request("GET /waiting"));
    world.reloads(&config("server backend-1 max_conns=1; server backend-2; queue 5;"));
    let mut backend = world.accept_at("backend-2");
    backend.hears_head();
    backend.says(ok("served"));
    assert_eq!(waiting.hears_response().body, b"served");
}
