//! Limits and rules of access, where time, tunnels and reloads matter.

use crate::world::{End, SWITCHING, World, handshake, ok, request};
use std::time::Duration;

fn asks(world: &World, line: &str) -> End {
    let mut browser = world.connect();
    browser.says(request(line));
    browser
}

const ONE_AT_A_TIME: &str = "limit_conn_zone $server_port zone=all:1m;
    upstream app { server backend-1; }
    server { location / { limit_conn all 1; proxy_pass http://app; } }";

#[test]
fn a_tunnel_counts_for_as_long_as_it_lives() {
    let world = World::new(ONE_AT_A_TIME);
    let (browser, backend) = world.upgrade("/room");
    world.passes(Duration::from_secs(30));
    assert_eq!(asks(&world, "GET /").hears_response().status, 503);
    world.log_says("limiting connections by zone \"all\", client: ");
    browser.closes();
    backend.closes();
    let (mut browser, mut backend) = world.request("GET /");
    backend.says(ok("in"));
    assert_eq!(browser.hears_response().body, b"in");
}

#[test]
fn connections_are_counted_over_a_reload() {
    let world = World::new(ONE_AT_A_TIME);
    let (browser, backend) = world.upgrade("/room");
    world.reloads(ONE_AT_A_TIME);
    assert_eq!(asks(&world, "GET /").hears_response().status, 503);
    world.log_says("limiting connections by zone \"all\", client: ");
    browser.closes();
    backend.closes();
    let (mut browser, mut backend) = world.request("GET /");
    backend.says(ok("in"));
    assert_eq!(browser.hears_response().status, 200);
}

const TWO_A_SECOND: &str = "access_log access.log; limit_req_zone $server_port zone=all:1m rate=2r/s;
    server { location / { limit_req zone=all burst=2; try_files /none @answer; } location @answer { return 200 in; } }";

#[test]
fn a_burst_is_served_at_the_rate() {
    let world = World::new(TWO_A_SECOND);
    assert_eq!(asks(&world, "GET /1").hears_response().status, 200);
    let (mut second, mut third, mut fourth) = (asks(&world, "GET /2"), asks(&world, "GET /3"), asks(&world, "GET /4"));
    assert_eq!(fourth.hears_response().status, 503);
    world.log_says("limiting requests, excess: 3.000 by zone \"all\", client: ");
    world.log_says("delaying request, excess: 1.000, by zone \"all\", client: ");
    world.log_says("delaying request, excess: 2.000, by zone \"all\", client: ");
    world.passes(Duration::from_millis(499));
    second.hears_nothing();
    world.passes(Duration::from_millis(2));
    assert_eq!(second.hears_response().status, 200);
    third.hears_nothing();
    world.passes(Duration::from_millis(500));
    assert_eq!(third.hears_response().status, 200);
}

#[test]
fn rates_hold_over_a_reload() {
    let world = World::new(TWO_A_SECOND);
    assert_eq!(asks(&world, "GET /1").hears_response().status, 200);
    let _waiting = [asks(&world, "GET /2"), asks(&world, "GET /3")];
    world.reloads(TWO_A_SECOND);
    assert_eq!(asks(&world, "GET /4").hears_response().status, 503);
    world.log_says("limiting requests, excess: 3.000 by zone \"all\", client: ");
    world.log_says("delaying request, excess: 1.000, by zone \"all\", client: ");
    world.log_says("delaying request, excess: 2.000, by zone \"all\", client: ");
    world.passes(Duration::from_secs(2));
}

#[test]
fn a_client_that_leaves_while_it_is_delayed_is_forgotten() {
    let world = World::new(TWO_A_SECOND);
    assert_eq!(asks(&world, "GET /1").hears_response().status, 200);
    asks(&world, "GET /2").closes();
    world.log_says("delaying request, excess: 1.000, by zone \"all\", client: ");
    world.passes(Duration::from_millis(1));
    assert!(
        world.access_log().iter().any(|line| line.contains("\"GET /2 HTTP/1.1\" 499 ")),
        "{:?}",
        world.access_log()
    );
}

const ASKED: &str = "access_log access.log; upstream auth { server backend-auth; } upstream app { server backend-app; }
    server {
        location / { auth_request /auth; proxy_pass http://app; }
        location = /auth { internal; proxy_pass http://auth; }
    }";

#[test]
fn a_handshake_is_asked_about_and_then_opens() {
    let world = World::new(ASKED);
    let mut browser = world.connect();
    browser.says(handshake("/room"));
    let mut auth = world.accept_at("backend-auth");
    let question = auth.hears_head();
    assert!(question.starts_with("GET /auth HTTP/1.0\r\n"), "{question}");
    assert!(!question.to_lowercase().contains("\r\nupgrade:"), "{question}");
    world.nobody_arrives();
    auth.says("HTTP/1.1 204 No Content\r\n\r\n");
    let mut app = world.accept_at("backend-app");
    assert!(app.hears_head().starts_with("GET /room "));
    app.says(SWITCHING);
    assert!(browser.hears_head().starts_with("HTTP/1.1 101 "));
    browser.says("\x01");
    app.hears("\x01");
}

#[test]
fn a_client_that_leaves_while_it_is_asked_about_ends_the_question() {
    let world = World::new(ASKED);
    let browser = asks(&world, "GET /");
    let mut auth = world.accept_at("backend-auth");
    auth.hears_head();
    browser.closes();
    world.passes(Duration::from_millis(1));
    auth.is_closed();
    world.nobody_arrives();
    assert!(world.access_log()[0].contains("\" 499 "), "{:?}", world.access_log());
}

#[test]
fn a_subrequest_is_in_no_access_log() {
    let world = World::new(ASKED);
    let mut browser = asks(&world, "GET /");
    let mut auth = world.accept_at("backend-auth");
    auth.hears_head();
    auth.says("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(browser.hears_response().status, 403);
    assert_eq!(world.access_log().len(), 1);
}

#[test]
fn a_subrequest_has_a_line_of_its_own_with_log_subrequest() {
    let world = World::new(
        "log_format short '$status $uri $request_uri'; access_log access.log short;
         server {
             location / { auth_request /auth; try_files /none =404; }
             location = /auth { log_subrequest on; return 204; }
         }",
    );
    assert_eq!(asks(&world, "GET /x").hears_response().status, 404);
    assert_eq!(world.access_log(), ["204 /auth /x", "404 /x /x"]);
}

#[test]
fn a_401_waits_for_auth_delay() {
    let world = World::new(
        "server { location / { auth_delay 3s; auth_basic closed; auth_basic_user_file none; return 200 in; }
             location /asked { auth_delay 3s; auth_basic closed; auth_basic_user_file none; } }",
    );
    let mut browser = asks(&world, "GET /asked");
    world.passes(Duration::from_millis(2_999));
    browser.hears_nothing();
    world.passes(Duration::from_millis(2));
    let response = browser.hears_response();
    assert_eq!(response.status, 401);
    assert_eq!(response.header("www-authenticate"), Some("Basic realm=\"closed\""));
}

#[test]
fn a_mirror_that_is_slow_delays_nobody() {
    let world = World::new(
        "access_log access.log; upstream app { server backend-app; } upstream copy { server backend-copy; }
         server { location / { mirror /copy; proxy_pass http://app; } location /copy { internal; proxy_pass http://copy; } }",
    );
    let mut browser = asks(&world, "GET /x");
    let mut app = world.accept_at("backend-app");
    app.hears_head();
    app.says(ok("in"));
    assert_eq!(browser.hears_response().body, b"in");
    let mut copy = world.accept_at("backend-copy");
    assert!(copy.hears_head().starts_with("GET /copy "));
    copy.says(ok("ignored"));
    assert_eq!(world.access_log().len(), 1);
}
