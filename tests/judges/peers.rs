//! Every pair of `ws` and `websockets`, as it is and with everything on that looks at frames.

use super::*;
use std::net::SocketAddr;

#[derive(Debug, Clone, Copy)]
enum Judge {
    Node,
    Python,
}

impl Judge {
    fn serves(self, address: SocketAddr, options: &[&str]) -> Echo {
        match self {
            Judge::Node => Echo::start(address, options),
            Judge::Python => python::echo(address, options),
        }
    }

    fn calls(self, url: &str, options: &[&str]) -> Client {
        match self {
            Judge::Node => Client::start(url, options),
            Judge::Python => python::client(url, options),
        }
    }
}

/// Text, fragments from both sides, empty and large messages, and a ping of the application's.
fn talk(client: &mut Client) {
    client.says("grüße 🌍");
    client.hears("Server received from client: grüße 🌍");
    client.does(&json!({"fragments": ["drei ", "frames, ", "eine nachricht 🌍"]}));
    client.hears("Server received from client: drei frames, eine nachricht 🌍");
    for length in [0, 1, 125, 126, 65_535, 65_536, 1_000_000] {
        client.does(&json!({ "random": length }));
        client.gets_back(length);
    }
    for (length, frames) in [(1, 1), (1_000, 500), (70_000, 2), (1_000_000, 17)] {
        client.does(&json!({ "pieces": [length, frames] }));
        client.gets_back(length);
    }
    client.says("/fragments a b c");
    client.hears("abc");
    client.does(&json!({"ping": "mine"}));
    assert_eq!(client.until("pong")["data"], "mine");
}

/// One judge calls the other through `directives`, talks, and closes.
fn judge(client: Judge, server: Judge, directives: &str, options: &[&str]) {
    let world = world!(&site(directives));
    let echo = server.serves(world.at(9001), &[options, &["--fragment", "7"]].concat());
    let mut client = client.calls(&url(&world), options);
    let extensions = if options.is_empty() { "" } else { "permessage-deflate" };
    assert_eq!(client.until("open")["extensions"], extensions);
    assert_eq!(echo.until("open")["extensions"].as_str().unwrap_or_default(), extensions);
    talk(&mut client);
    client.does(&json!({"close": [4002, "enough"]}));
    let close = json!({"event": "close", "code": 4002, "reason": "enough"});
    assert_eq!((echo.until("close"), client.until("close")), (close.clone(), close));
    assert_eq!(world.access_log_lines(1), ["4002 (enough) client close 0"]);
}

/// Plain and watched, without and with compression.
fn judge_all(client: Judge, server: Judge) {
    for directives in ["", ALL] {
        judge(client, server, directives, &[]);
        judge(client, server, directives, &["--deflate"]);
    }
}

#[test]
fn ws_talks_to_ws() {
    judge_all(Judge::Node, Judge::Node);
}

#[test]
fn python_talks_to_python() {
    judge_all(Judge::Python, Judge::Python);
}

#[test]
fn python_talks_to_ws() {
    judge_all(Judge::Python, Judge::Node);
}

#[test]
fn ws_talks_to_python() {
    judge_all(Judge::Node, Judge::Python);
}

#[test]
fn python_hears_of_a_close_by_its_peer_and_by_the_gateway() {
    let world = world!(&site("websocket_max_message_size 10k;"));
    let echo = python::echo(world.at(9001), &["--deflate"]);
    let mut client = python::client(&url(&world), &["--deflate"]);
    client.says("/close 4321 that is all");
    let close = json!({"event": "close", "code": 4321, "reason": "that is all"});
    assert_eq!((client.until("close"), echo.until("close")), (close.clone(), close));
    let mut client = python::client(&url(&world), &["--deflate"]);
    client.does(&json!({"random": 30_000}));
    assert_eq!(client.until("close"), json!({"event": "close", "code": 1009, "reason": "message too big"}));
    assert_eq!(echo.until("close"), json!({"event": "close", "code": 1001, "reason": "client was disconnected"}));
    let lines = world.access_log_lines(2);
    assert_eq!(lines, ["4321 (that is all) server close 0", "1009 (message too big) gateway limit 1"]);
}

#[test]
fn python_answers_the_heartbeat_and_outlives_proxy_read_timeout() {
    let world = world!(
        "log_format told '$websocket_ping_rtt $websocket_close_cause'; access_log {dir}/access.log told;
         server {
             listen {address}:8080;
             location / { proxy_pass http://{address}:9001; websocket_ping 100ms timeout=20s; proxy_read_timeout 500ms; }
         }"
    );
    let _echo = python::echo(world.at(9001), &[]);
    let mut client = python::client(&url(&world), &[]);
    client.until("open");
    // Three times as long as the timeout, which nothing else can show to have passed.
    thread::sleep(Duration::from_millis(1_500));
    client.says("still here");
    client.hears("Server received from client: still here");
    client.does(&json!({"close": [1000, ""]}));
    let line = world.access_log_lines(1).remove(0);
    let (round_trip, cause) = line.split_once(' ').expect("two words");
    assert!(round_trip.parse::<f64>().is_ok_and(|seconds| seconds < 20.0), "{line}");
    assert_eq!(cause, "close");
}

#[test]
fn subprotocols_are_chosen_between_python_and_ws() {
    let world = world!(&site("websocket_subprotocols chat superchat;"));
    let _echo = python::echo(world.at(9001), &["--protocols", "superchat"]);
    let client = Client::start(&url(&world), &["--protocol", "chat", "--protocol", "superchat"]);
    assert_eq!(client.until("open")["protocol"], "superchat");
}
