//! `websocket_origin`, `websocket_subprotocols` and `websocket_deflate`.

use super::*;
use crate::world::{SWITCHING, handshake};

/// A handshake with more header lines.
fn asking(lines: &[&str]) -> String {
    lines.iter().fold(handshake("/"), |head, line| head.replacen("\r\n\r\n", &format!("\r\n{line}\r\n\r\n"), 1))
}

/// The same through the recipe's two lines.
const RECIPE: &str = "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;";

/// The head with which the handshake reaches the server; the 101 reaches the client then.
#[track_caller]
fn admitted(directives: &str, lines: &[&str]) -> String {
    let world = World::new(&site(directives));
    let mut browser = world.connect();
    browser.says(asking(lines));
    let mut backend = world.accept();
    let head = backend.hears_head();
    backend.says(SWITCHING);
    assert!(browser.hears_head().starts_with("HTTP/1.1 101 "));
    browser.says(Frame::text("in").masked());
    backend.hears(Frame::text("in").masked());
    world.log_may_say("a WebSocket from origin");
    head
}

/// The handshake is answered 403, the connection closed, and no server asked.
#[track_caller]
fn refused(directives: &str, lines: &[&str]) {
    for recipe in ["", RECIPE] {
        let world = World::new(&site(&format!("{recipe} {directives}")));
        let mut browser = world.connect();
        browser.says(asking(lines));
        let response = browser.hears_response();
        assert_eq!(response.status, 403, "{recipe} {lines:?}");
        assert_eq!(response.header("connection"), Some("close"));
        world.passes(Duration::from_secs(60));
        assert!(browser.has_heard_the_end());
        world.nobody_arrives();
        world.log_may_say("is refused");
        world.log_may_say("subprotocol");
    }
}

#[test]
fn only_the_origins_of_the_list_may_open_a_websocket() {
    let list = "websocket_origin https://example.com https://*.chat.example http://localhost:8080;";
    for good in ["https://example.com", "HTTPS://EXAMPLE.com", "https://a.b.chat.example", "http://localhost:8080"] {
        admitted(list, &[&format!("Origin: {good}")]);
    }
    let bad = [
        "https://evil.example",
        "http://example.com",
        "https://example.com:8443",
        "https://example.com.evil.example",
        "https://chat.example",
        "https://evil.example/.chat.example",
        "https://evilchat.example",
        "null",
        "",
    ];
    for bad in bad {
        refused(list, &[&format!("Origin: {bad}")]);
    }
    refused(list, &[]);
}

#[test]
fn two_origins_are_as_bad_as_the_worse_one() {
    let list = "websocket_origin https://example.com;";
    refused(list, &["Origin: https://evil.example", "Origin: https://example.com"]);
    refused(list, &["Origin: https://example.com", "Origin: https://evil.example"]);
    refused(list, &["Origin: https://example.com, https://evil.example"]);
}

#[test]
fn a_client_that_is_no_browser_needs_none_and_a_sandbox_null() {
    admitted("websocket_origin none;", &[]);
    refused("websocket_origin none;", &["Origin: https://example.com"]);
    admitted("websocket_origin null;", &["Origin: null"]);
    refused("websocket_origin null;", &[]);
    admitted("websocket_origin any;", &["Origin: https://example.com"]);
}

#[test]
fn a_report_lets_every_origin_pass_and_logs_the_foreign_ones() {
    let world = World::new(&site("websocket_origin report https://example.com;"));
    for (origin, lines) in [("https://example.com", 0), ("https://evil.example", 1)] {
        let mut browser = world.connect();
        browser.says(asking(&[&format!("Origin: {origin}")]));
        let mut backend = world.accept();
        assert!(backend.hears_head().contains(&format!("Origin: {origin}\r\n")));
        backend.says(SWITCHING);
        browser.hears_head();
        assert_eq!(world.error_lines("from origin"), lines);
    }
    world.log_says("a WebSocket from origin \"https://evil.example\" would be refused");
}

#[test]
fn plain_requests_have_no_origin_to_show() {
    let world = World::new(&site("websocket_origin https://example.com;"));
    let (mut browser, mut backend) = world.request("GET /");
    backend.says(crate::world::ok("hello"));
    assert_eq!(browser.hears_response().status, 200);
}

#[test]
fn only_the_subprotocols_of_the_list_are_offered() {
    let list = "websocket_subprotocols chat.v2 chat.v1;";
    let head = admitted(list, &["Sec-WebSocket-Protocol: mqtt, chat.v1 ,soap,chat.v2"]);
    assert!(head.contains("\r\nSec-WebSocket-Protocol: chat.v1, chat.v2\r\n"), "{head}");
    let head = admitted(list, &["Sec-WebSocket-Protocol: mqtt", "Sec-WebSocket-Protocol: chat.v1"]);
    assert!(head.contains("\r\nSec-WebSocket-Protocol: chat.v1\r\n") && !head.contains("mqtt"), "{head}");
    let head = admitted(&format!("{RECIPE} {list}"), &["Sec-WebSocket-Protocol: mqtt, chat.v1"]);
    assert!(head.contains("\r\nSec-WebSocket-Protocol: chat.v1\r\n"), "{head}");
    let head = admitted(list, &[]);
    assert!(!head.contains("Sec-WebSocket-Protocol"), "{head}");
    let head = admitted("websocket_subprotocols any;", &["Sec-WebSocket-Protocol: mqtt, chat.v1"]);
    assert!(head.contains("\r\nSec-WebSocket-Protocol: mqtt, chat.v1\r\n"), "{head}");
}

#[test]
fn an_offer_of_which_nothing_remains_is_refused() {
    let list = "websocket_subprotocols chat.v2 chat.v1;";
    refused(list, &["Sec-WebSocket-Protocol: mqtt"]);
    refused(list, &["Sec-WebSocket-Protocol: mqtt, Chat.V1"]);
    refused(list, &["Sec-WebSocket-Protocol: mqtt", "Sec-WebSocket-Protocol: soap"]);
}

#[test]
fn an_offer_of_compression_is_passed_refused_or_capped() {
    let offer = "Sec-WebSocket-Extensions: x-mine; a=1, permessage-deflate; client_max_window_bits, permessage-deflate";
    let extensions = |directive: &str| {
        let head = admitted(directive, &[offer]);
        let line = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Extensions: "));
        line.map(str::to_owned)
    };
    assert_eq!(extensions("").as_deref(), offer.strip_prefix("Sec-WebSocket-Extensions: "));
    assert_eq!(extensions("websocket_deflate refuse;").as_deref(), Some("x-mine; a=1"));
    assert_eq!(
        extensions("websocket_deflate cap server_max_window_bits=10 no_context_takeover;").as_deref(),
        Some(
            "x-mine; a=1, permessage-deflate; client_max_window_bits; server_max_window_bits=10; \
             server_no_context_takeover; client_no_context_takeover, permessage-deflate; server_max_window_bits=10; \
             server_no_context_takeover; client_no_context_takeover"
        )
    );
    assert_eq!(
        extensions("websocket_deflate cap client_max_window_bits=9;").as_deref(),
        Some("x-mine; a=1, permessage-deflate; client_max_window_bits=9, permessage-deflate")
    );
}

#[test]
fn a_cap_never_raises_what_the_client_asks_for() {
    let offer = "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9; client_max_window_bits=\"10\"";
    let head = admitted("websocket_deflate cap server_max_window_bits=12 client_max_window_bits=13;", &[offer]);
    assert!(head.contains("server_max_window_bits=9"), "{head}");
    assert!(head.contains("client_max_window_bits=10") || head.contains("client_max_window_bits=\"10\""), "{head}");
    let head = admitted("websocket_deflate cap no_context_takeover;", &[offer]);
    assert!(head.contains("server_max_window_bits=9"), "{head}");
}

#[test]
fn a_refused_offer_of_nothing_but_compression_leaves_no_line() {
    let head = admitted("websocket_deflate refuse;", &["Sec-WebSocket-Extensions: permessage-deflate"]);
    assert!(!head.contains("Sec-WebSocket-Extensions"), "{head}");
}
