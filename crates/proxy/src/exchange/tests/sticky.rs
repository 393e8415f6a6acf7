//! `sticky`: one client, one server, whether it polls or opens a WebSocket.

use crate::world::{End, Mood, SWITCHING, World, ok};
use std::time::Duration;

fn config(upstream: &str) -> String {
    format!(
        "upstream app {{ {upstream} server backend-1 route=one; server backend-2 route=two; server backend-3 route=three; }}
        server {{ location / {{ proxy_pass http://app; }} }}"
    )
}

fn get(headers: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{headers}\r\n")
}

fn upgrade(headers: &str) -> String {
    get(&format!(
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}"
    ))
}

/// A request of a new browser is answered with `response`: by whom, and the head that the browser gets.
fn served(world: &World, request: &str, response: &str) -> (String, String) {
    let mut browser = world.connect();
    browser.says(request);
    let mut backend = world.accept();
    backend.hears_head();
    backend.says(response);
    (backend.name().to_owned(), browser.hears_head())
}

/// The `name=value` of the only Set-Cookie of a head.
fn cookie_of(head: &str) -> &str {
    let mut lines = head.lines().filter_map(|line| line.strip_prefix("Set-Cookie: "));
    let cookie = lines.next().expect("a cookie is set");
    assert_eq!(lines.next(), None, "{head}");
    cookie.split(';').next().expect("a cookie has a value")
}

#[test]
fn a_cookie_brings_polling_and_a_websocket_to_one_server() {
    let world = World::new(&config("sticky cookie srv expires=1h path=/;"));
    let (name, head) = served(&world, &get(""), &ok("poll"));
    let cookie = cookie_of(&head).to_owned();
    assert!(head.contains("; max-age=3600; path=/\r\n"), "{head}");
    for _ in 0..4 {
        let (again, head) = served(&world, &get(&format!("Cookie: {cookie}\r\n")), &ok("poll"));
        assert_eq!((again.as_str(), cookie_of(&head)), (name.as_str(), cookie.as_str()));
    }
    let (again, head) = served(&world, &upgrade(&format!("Cookie: {cookie}\r\n")), SWITCHING);
    assert!(head.starts_with("HTTP/1.1 101 "));
    assert_eq!((again.as_str(), cookie_of(&head)), (name.as_str(), cookie.as_str()), "the 101 sets it too");
}

#[test]
fn a_cookie_that_nobody_gave_out_is_a_fresh_pick() {
    let world = World::new(&config("sticky cookie srv;"));
    for value in ["nonsense", "", "%00", &"x".repeat(600)] {
        let (_, head) = served(&world, &get(&format!("Cookie: srv={value}\r\n")), &ok(""));
        assert!(cookie_of(&head).starts_with("srv="));
    }
}

#[test]
fn a_bound_client_goes_elsewhere_when_its_server_fails_and_is_bound_anew() {
    let world = World::new(&config("sticky cookie srv;"));
    let (name, head) = served(&world, &get(""), &ok(""));
    let cookie = cookie_of(&head).to_owned();
    world.mood(&name, Mood::Refusing);
    let (other, head) = served(&world, &get(&format!("Cookie: {cookie}\r\n")), &ok(""));
    assert_ne!(other, name);
    assert_ne!(cookie_of(&head), cookie);
    world.log_says("connect() failed (111: Connection refused)");
    world.log_says("upstream server temporarily disabled while connecting to upstream");
}

#[test]
fn a_route_names_the_server() {
    let world = World::new(&config("sticky route $cookie_route $arg_route;"));
    for (request, server) in [("Cookie: route=two\r\n", "backend-2"), ("Cookie: route=three\r\n", "backend-3")] {
        assert!((0..3).all(|_| served(&world, &get(request), &ok("")).0 == server));
    }
    let by_argument = "GET /?route=one HTTP/1.1\r\nHost: a\r\n\r\n";
    let (name, head) = served(&world, by_argument, &ok(""));
    assert_eq!(name, "backend-1");
    assert!(!head.contains("Set-Cookie"));
}

#[test]
fn a_draining_server_keeps_its_own_clients_and_gets_no_others() {
    let world = World::new(&config("sticky route $arg_route;"));
    world.reloads(&config("sticky route $arg_route;").replace("route=two", "route=two drain"));
    let bound = "GET /?route=two HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(served(&world, bound, &ok("")).0, "backend-2");
    assert!((0..6).all(|_| served(&world, &get(""), &ok("")).0 != "backend-2"));
}

const LEARN: &str = "sticky learn create=$upstream_cookie_sid lookup=$cookie_sid zone=sessions:1m timeout=60s;";

fn begin_session(world: &World, id: &str) -> String {
    let response = format!("HTTP/1.1 200 OK\r\nSet-Cookie: sid={id}\r\nContent-Length: 0\r\n\r\n");
    served(world, &get(""), &response).0
}

#[test]
fn a_session_is_learned_and_survives_a_reload() {
    let world = World::new(&config(LEARN));
    let name = begin_session(&world, "s1");
    let other = begin_session(&world, "s2");
    assert_ne!(name, other);
    let of = |id: &str| served(&world, &get(&format!("Cookie: sid={id}\r\n")), &ok("")).0;
    assert!((0..3).all(|_| of("s1") == name && of("s2") == other));
    world.reloads(&config(LEARN).replace("server backend-1 ", "server backend-4; server backend-1 weight=2 "));
    assert!((0..3).all(|_| of("s1") == name && of("s2") == other));
    world.passes(Duration::from_secs(61));
    let after: Vec<_> = (0..8).map(|_| of("s1")).collect();
    assert!(after.iter().any(|server| *server != name), "the session is over: {after:?}");
}

#[test]
fn a_live_tunnel_keeps_its_session() {
    let world = World::new(&config(LEARN));
    let name = begin_session(&world, "s1");
    let mut browser = world.connect();
    browser.says(upgrade("Cookie: sid=s1\r\n"));
    let mut backend = world.accept();
    assert_eq!(backend.name(), name);
    backend.hears_head();
    backend.says(SWITCHING);
    browser.hears_head();
    let chats = |browser: &mut End, backend: &mut End| {
        world.passes(Duration::from_secs(50));
        browser.says("hello");
        backend.hears("hello");
    };
    (0..5).for_each(|_| chats(&mut browser, &mut backend));
    let of = || served(&world, &get("Cookie: sid=s1\r\n"), &ok("")).0;
    assert_eq!(of(), name, "after four minutes with the tunnel open");
    world.passes(Duration::from_secs(30));
    backend.closes();
    browser.closes();
    world.passes(Duration::from_secs(59));
    assert_eq!(of(), name, "a minute after the tunnel ended");
}

#[test]
fn a_session_that_begins_in_a_handshake_is_learned_at_the_101() {
    let world = World::new(&config(LEARN));
    let switching = SWITCHING.replace("Upgrade\r\nUpgrade", "Upgrade\r\nSet-Cookie: sid=ws\r\nUpgrade");
    let mut browser = world.connect();
    browser.says(upgrade(""));
    let mut backend = world.accept();
    backend.hears_head();
    backend.says(switching);
    browser.hears_head();
    assert!((0..3).all(|_| served(&world, &get("Cookie: sid=ws\r\n"), &ok("")).0 == backend.name()));
}
