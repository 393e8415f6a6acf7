//! The world notices what it says it notices.

use super::{Mood, World, handshake, ok, request};
use std::time::Duration;

const APP: &str = "upstream app { server backend-1; } server { location / { proxy_pass http://app; } }";

#[test]
#[should_panic(expected = "unexpected lines in the error log")]
fn an_error_that_no_test_expects_fails_it() {
    let world = World::new(APP);
    world.mood("backend-1", Mood::Refusing);
    let mut browser = world.connect();
    browser.says(request("GET /"));
    browser.hears_response();
}

#[test]
#[should_panic(expected = "the connection is still open")]
fn an_open_connection_is_not_taken_for_a_closed_one() {
    let world = World::new(APP);
    let (mut browser, _backend) = world.upgrade("/");
    browser.is_closed();
}

#[test]
#[should_panic(expected = "the gateway still listens")]
fn a_half_closed_connection_is_not_taken_for_a_closed_one() {
    let world = World::new(APP);
    let (mut browser, mut backend) = world.upgrade("/");
    backend.half_closes();
    browser.is_closed();
}

#[test]
#[should_panic(expected = "tasks that serve connections")]
fn an_end_that_outlives_its_world_is_noticed() {
    let world = World::new(APP);
    let kept = world.upgrade("/");
    drop(world);
    drop(kept);
}

#[test]
fn conversations_do_not_move_the_time() {
    let world = World::new(&format!("log_format time '$request_time'; access_log access.log time; {APP}"));
    for _ in 0..50 {
        let (mut browser, mut backend) = world.request("GET /");
        backend.says(ok("hello"));
        browser.hears_response();
    }
    let (mut browser, mut backend) = world.request("GET /");
    world.passes(Duration::from_millis(1));
    backend.says(ok(""));
    browser.hears_response();
    let lines = world.access_log();
    assert!(lines[..50].iter().all(|line| line == "0.000"), "{lines:?}");
    assert_eq!(lines[50], "0.001");
}

#[test]
fn every_backend_is_found_by_its_name() {
    let world = World::new(
        "upstream app { server backend-1; server backend-2; }
        server { location / { proxy_pass http://app; } }",
    );
    let mut browsers: Vec<_> = (0..2).map(|_| world.connect()).collect();
    browsers.iter_mut().for_each(|browser| browser.says(handshake("/")));
    let (second, first) = (world.accept_at("backend-2"), world.accept());
    assert_eq!((second.name(), first.name()), ("backend-2", "backend-1"));
    world.nobody_arrives();
}
