//! Which server takes a request, by every method and with every limit, and what is said where none does.

use crate::world::{End, Mood, World, handshake, ok, request};
use std::collections::HashMap;
use std::time::Duration;

fn config(upstream: &str) -> String {
    format!(
        "log_format tries '$status $upstream_status $upstream_addr'; access_log access.log tries;
        upstream app {{ {upstream} }} server {{ location / {{ proxy_pass http://app; }} }}"
    )
}

/// A request of a new browser is answered: by whom.
fn served(world: &World, line: &str) -> String {
    let (mut browser, mut backend) = world.request(line);
    backend.says(ok(""));
    assert_eq!(browser.hears_response().status, 200);
    backend.name().to_owned()
}

/// A tunnel, and whose it is.
fn tunnel(world: &World) -> (End, End, String) {
    let (browser, backend) = world.upgrade("/room");
    let name = backend.name().to_owned();
    (browser, backend, name)
}

#[test]
fn least_conn_counts_live_tunnels() {
    let world = World::new(&config("least_conn; server backend-1; server backend-2;"));
    let (_browser, backend, first) = tunnel(&world);
    let others: Vec<_> = (0..4).map(|_| served(&world, "GET /")).collect();
    assert!(others.iter().all(|name| *name != first), "{others:?}");
    backend.closes();
    let held: Vec<_> = (0..4).map(|_| tunnel(&world)).collect();
    let at_first = held.iter().filter(|(_, _, name)| *name == first).count();
    assert!((2..=3).contains(&at_first), "{at_first} of 4 at {first}, which may still have its old one");
}

#[test]
fn a_hash_key_keeps_its_server() {
    for consistent in ["", " consistent"] {
        let world = World::new(&config(&format!(
            "hash $arg_room{consistent}; server backend-1; server backend-2; server backend-3;"
        )));
        let mut by_room = HashMap::new();
        for turn in 0..3 {
            for room in 0..12 {
                let name = served(&world, &format!("GET /?room={room}"));
                let before = by_room.insert(room, name.clone());
                assert!(turn == 0 || before == Some(name), "room {room}");
            }
        }
        let servers: std::collections::HashSet<_> = by_room.values().collect();
        assert!(servers.len() > 1, "twelve rooms on {servers:?}");
    }
}

#[test]
fn ip_hash_keeps_a_client_at_its_server() {
    let world = World::new(&config("ip_hash; server backend-1; server backend-2; server backend-3;"));
    let first = served(&world, "GET /");
    assert!((0..6).all(|_| served(&world, "GET /") == first));
}

#[test]
fn least_time_prefers_the_server_whose_handshakes_are_quick() {
    let world = World::new(&config("least_time header; server backend-1; server backend-2;"));
    for _ in 0..4 {
        let mut browser = world.connect();
        browser.says(handshake("/"));
        let mut backend = world.accept();
        backend.hears_head();
        if backend.name() == "backend-1" {
            world.passes(Duration::from_millis(500));
        }
        backend.says(crate::world::SWITCHING);
        browser.hears_head();
        backend.closes();
        browser.closes();
    }
    let names: Vec<_> = (0..4).map(|_| served(&world, "GET /")).collect();
    assert!(names.iter().all(|name| name == "backend-2"), "{names:?}");
}

#[test]
fn random_comes_to_every_server() {
    for method in ["random", "random two", "random two least_time=last_byte"] {
        let world = World::new(&config(&format!("{method}; server backend-1; server backend-2;")));
        let names: std::collections::HashSet<_> = (0..40).map(|_| served(&world, "GET /")).collect();
        assert_eq!(names.len(), 2, "{method}");
    }
}

#[test]
fn a_server_has_max_conns_tunnels_and_no_more() {
    let world = World::new(&config("server backend-1 max_conns=1; server backend-2 max_conns=2;"));
    let held: Vec<_> = (0..3).map(|_| tunnel(&world)).collect();
    let at = |wanted: &str| held.iter().filter(|(_, _, name)| name == wanted).count();
    assert_eq!((at("backend-1"), at("backend-2")), (1, 2));
    let mut refused = world.connect();
    refused.says(handshake("/"));
    assert_eq!(refused.hears_response().status, 502);
    world.nobody_arrives();
    world.log_says("no live upstreams while connecting to upstream, client: ");
    assert_eq!(world.access_log(), ["502 502 app"]);
}

#[test]
fn a_flood_without_servers_is_logged_in_a_few_lines_and_a_number() {
    let world = World::new(&config("server backend-1 down; server backend-2 down;"));
    let mut browser = world.connect();
    for _ in 0..20 {
        browser.says(request("GET /"));
        assert_eq!(browser.hears_response().status, 502);
    }
    assert_eq!(world.error_lines("no live upstreams while connecting to upstream"), 5);
    world.passes(Duration::from_secs(1));
    world.log_says("no live upstreams for 15 more requests within a second, upstream: \"app\"");
    browser.says(request("GET /"));
    assert_eq!(browser.hears_response().status, 502);
    assert_eq!(world.error_lines("no live upstreams while connecting to upstream"), 6);
    world.log_says("no live upstreams while connecting to upstream");
}

#[test]
fn tunnels_that_die_young_count_as_failures_under_early_close() {
    let world = World::new(&config("early_close 10s; server backend-1; server backend-2;"));
    let (mut browser, mut backend, bad) = tunnel(&world);
    // A Close with 1011: the server has an internal error.
    backend.says([0x88, 2, 0x03, 0xf3]);
    browser.hears([0x88, 2, 0x03, 0xf3]);
    backend.closes();
    browser.closes();
    world.log_says("[warn]");
    world.log_says("upstream server temporarily disabled while proxying upgraded connection, client: ");
    let names: Vec<_> = (0..4).map(|_| served(&world, "GET /")).collect();
    assert!(names.iter().all(|name| *name != bad), "{names:?}");
}

#[test]
fn an_old_tunnel_that_ends_badly_says_nothing_of_its_server() {
    let world = World::new(&config("early_close 10s; server backend-1; server backend-2;"));
    let (browser, mut backend, bad) = tunnel(&world);
    world.passes(Duration::from_secs(11));
    backend.says([0x88, 2, 0x03, 0xf3]);
    backend.closes();
    browser.closes();
    let names: Vec<_> = (0..4).map(|_| served(&world, "GET /")).collect();
    assert!(names.contains(&bad), "{names:?}");
}

#[test]
fn a_handshake_that_a_server_refuses_goes_to_the_next_one_where_that_is_told() {
    let told =
        config("server backend-1; server backend-2;").replace("proxy_pass", "proxy_next_upstream http_503; proxy_pass");
    let world = World::new(&told);
    let mut browser = world.connect();
    browser.says(handshake("/room"));
    let mut first = world.accept_at("backend-1");
    first.hears_head();
    first.says("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
    let mut second = world.accept_at("backend-2");
    assert!(second.hears_head().contains("\r\nUpgrade: websocket\r\n"));
    second.says(crate::world::SWITCHING);
    assert!(browser.hears_head().starts_with("HTTP/1.1 101 "));
    browser.says("hello");
    second.hears("hello");
    world.log_says("upstream server temporarily disabled while reading response header from upstream");
}

#[test]
fn an_address_of_the_other_family_is_raced_after_a_quarter_of_a_second() {
    let world = World::new(&config("server backend-dual;"));
    world.mood("backend-v6", Mood::Silent);
    let mut browser = world.connect();
    browser.says(request("GET /"));
    world.passes(Duration::from_millis(249));
    world.nobody_arrives();
    world.passes(Duration::from_millis(1));
    let mut backend = world.accept_at("backend-v4");
    backend.hears_head();
    backend.says(ok("in time"));
    assert_eq!(browser.hears_response().body, b"in time");
    assert_eq!(world.access_log(), ["200 200 backend-v4"]);
}

#[test]
fn a_race_that_nobody_wins_ends_with_proxy_connect_timeout() {
    let config = config("server backend-dual;").replace("proxy_pass", "proxy_connect_timeout 2s; proxy_pass");
    let world = World::new(&config);
    world.mood("backend-v6", Mood::Silent);
    world.mood("backend-v4", Mood::Silent);
    let mut browser = world.connect();
    browser.says(request("GET /"));
    world.passes(Duration::from_millis(1_999));
    browser.hears_nothing();
    world.passes(Duration::from_millis(1));
    assert_eq!(browser.hears_response().status, 504);
    world.log_says("upstream timed out (110: Connection timed out) while connecting to upstream");
    world.log_says("upstream server temporarily disabled while connecting to upstream");
    assert_eq!(world.access_log(), ["504 504 backend-v6"]);
}
