//! Between node's `ws` on both sides, with and without compression.

use super::*;

/// Everything that looks at frames, with limits that nothing here reaches.
const ALL: &str = "websocket_validation enforce; websocket_max_message_size 1g; websocket_max_frame_size 1g;
    websocket_max_fragments 100; websocket_opcodes text binary ping pong; websocket_ping 100ms timeout=20s;
    websocket_message_rate 100000r/s; websocket_max_age 1h; websocket_idle_timeout client=1h server=1h;";

fn came_back(client: &Client, length: usize) {
    let sent = client.until("sent");
    let message = client.until("message");
    assert_eq!((&message["length"], &message["sha256"]), (&json!(length), &sent["sha256"]));
}

/// Text, fragments, large random messages, and pings of the application.
fn talk(client: &mut Client) {
    client.says("grüße 🌍");
    client.hears("Server received from client: grüße 🌍");
    client.does(&json!({"fragments": ["drei ", "frames, ", "eine nachricht"]}));
    client.hears("Server received from client: drei frames, eine nachricht");
    for length in [0, 1, 125, 126, 65_535, 65_536, 3_000_000] {
        client.does(&json!({ "random": length }));
        came_back(client, length);
    }
    client.says("/fragments a b c");
    client.hears("abc");
    client.does(&json!({"ping": "mine"}));
    // Pongs to the gateway's own pings reach nobody, so the first pong is the application's.
    assert_eq!(client.until("pong")["data"], "mine");
}

#[test]
fn real_peers_talk_through_everything_that_looks_at_frames() {
    for (options, extensions) in [(&[][..], ""), (&["--deflate"], "permessage-deflate")] {
        let world = world!(&site(ALL));
        let echo = Echo::start(world.at(9001), options);
        let mut client = Client::start(&url(&world), options);
        assert_eq!(client.until("open")["extensions"], extensions);
        talk(&mut client);
        client.does(&json!({"close": [4002, "enough"]}));
        assert_eq!(echo.until("close"), json!({"event": "close", "code": 4002, "reason": "enough"}));
        let lines = world.access_log_lines(1);
        assert!(lines[0].starts_with("4002 (enough) client close 10/"), "{lines:?}");
    }
}

#[test]
fn real_peers_answer_pings_and_outlive_proxy_read_timeout() {
    let world = world!(&site("websocket_ping 300ms timeout=20s; proxy_read_timeout 1s;"));
    let echo = Echo::start(world.at(9001), &[]);
    let mut client = Client::open(&url(&world), &[]);
    let start = Instant::now();
    for _ in 0..8 {
        assert_eq!(client.until("ping")["event"], "ping");
        assert_eq!(echo.until("ping")["event"], "ping");
    }
    assert!(start.elapsed() > Duration::from_secs(2), "eight pings within {:?}", start.elapsed());
    client.says("still here");
    client.hears("Server received from client: still here");
    client.does(&json!({"ping": "mine"}));
    assert_eq!(client.until("pong")["data"], "mine");
}

#[test]
fn a_server_that_hangs_is_found_out_by_its_missing_pong() {
    let world = world!(&site("websocket_ping 300ms timeout=700ms;"));
    let echo = Echo::start(world.at(9001), &[]);
    let client = Client::open(&url(&world), &[]);
    echo.until("ping");
    let status = Command::new("kill").args(["-s", "STOP", &echo.pid().to_string()]).status().expect("kill is there");
    assert!(status.success());
    let expected = json!({"event": "close", "code": 1011, "reason": "server was disconnected"});
    assert_eq!(client.until("close"), expected);
    let lines = world.access_log_lines(1);
    assert!(lines[0].contains(" gateway ping_timeout "), "{lines:?}");
}

#[test]
fn compression_is_refused_without_the_peers_noticing() {
    let world = world!(&site("websocket_deflate refuse;"));
    let echo = Echo::start(world.at(9001), &["--deflate"]);
    let mut client = Client::start(&url(&world), &["--deflate"]);
    assert_eq!(client.until("open")["extensions"], "");
    assert_eq!(echo.until("open")["extensions"], "");
    talk(&mut client);
}

#[test]
fn compression_is_capped_and_the_peers_keep_to_it() {
    let world = world!(&site(
        "websocket_deflate cap server_max_window_bits=10 client_max_window_bits=11 no_context_takeover; \
         websocket_validation enforce;"
    ));
    let _echo = Echo::start(world.at(9001), &["--deflate"]);
    let mut client = Client::start(&url(&world), &["--deflate"]);
    client.until("open");
    client.says("/headers");
    let headers = client.until("message")["text"].as_str().expect("text").to_owned();
    let offered = "permessage-deflate; client_max_window_bits=11; server_max_window_bits=10; \
        server_no_context_takeover; client_no_context_takeover";
    assert!(headers.contains(offered), "{headers}");
    talk(&mut client);
}

#[test]
fn what_a_cap_negotiates_is_what_the_client_is_told() {
    let config = site("websocket_deflate cap server_max_window_bits=10 no_context_takeover;")
        .replace("'$websocket_close_code", "'$websocket_extensions|$websocket_protocol|$websocket_close_code");
    let world = world!(&config);
    let _echo = Echo::start(world.at(9001), &["--deflate", "--protocols", "chat"]);
    let mut client = Client::start(&url(&world), &["--deflate", "--protocol", "chat"]);
    client.until("open");
    client.does(&json!({"close": [1000, ""]}));
    let lines = world.access_log_lines(1);
    let (extensions, rest) = lines[0].split_once('|').expect("the format has a bar");
    assert!(extensions.starts_with("permessage-deflate; "), "{lines:?}");
    for part in ["server_max_window_bits=10", "server_no_context_takeover", "client_no_context_takeover"] {
        assert!(extensions.contains(part), "{lines:?}");
    }
    assert!(rest.starts_with("chat|1000 "), "{lines:?}");
}

#[test]
fn only_the_subprotocols_of_the_list_can_be_chosen() {
    let world = world!(&site("websocket_subprotocols chat;"));
    // This server takes the last offer that it knows.
    let _echo = Echo::start(world.at(9001), &["--protocols", "chat,superchat"]);
    let client = Client::start(&url(&world), &["--protocol", "chat", "--protocol", "superchat"]);
    assert_eq!(client.until("open")["protocol"], "chat");
    let client = Client::start(&url(&world), &["--protocol", "superchat"]);
    assert_eq!(client.until("response")["status"], 403);
}

#[test]
fn a_foreign_page_is_refused_and_its_connection_closed() {
    let world = world!(&site("websocket_origin https://example.com;"));
    let _echo = Echo::start(world.at(9001), &[]);
    let client = Client::start(&url(&world), &["--header", "Origin: https://evil.example"]);
    let response = client.until("response");
    assert_eq!((&response["status"], &response["headers"]["connection"]), (&json!(403), &json!("close")));
    let mut client = Client::open(&url(&world), &["--header", "Origin: https://example.com"]);
    client.says("hello");
    client.hears("Server received from client: hello");
    world.error_log_shows("a WebSocket from origin \"https://evil.example\" is refused");
}

#[test]
fn a_real_client_over_a_limit_hears_why() {
    for options in [&[][..], &["--deflate"]] {
        let world = world!(&site("websocket_max_message_size 10k; websocket_max_fragments 2;"));
        let echo = Echo::start(world.at(9001), options);
        let mut client = Client::open(&url(&world), options);
        client.does(&json!({"random": 30_000}));
        let expected = json!({"event": "close", "code": 1009, "reason": "message too big"});
        assert_eq!(client.until("close"), expected);
        assert_eq!(echo.until("close")["code"], 1001);
        let mut client = Client::open(&url(&world), options);
        client.does(&json!({"fragments": ["a", "b", "c"]}));
        let expected = json!({"event": "close", "code": 1008, "reason": "too many fragments"});
        assert_eq!(client.until("close"), expected);
        assert_eq!(echo.until("close")["code"], 1001);
    }
}

#[test]
fn real_peers_are_closed_at_the_maximum_age() {
    let world = world!(&site("websocket_max_age 300ms;"));
    let echo = Echo::start(world.at(9001), &[]);
    let start = Instant::now();
    let client = Client::open(&url(&world), &[]);
    let expected = json!({"event": "close", "code": 1001, "reason": "maximum age"});
    assert_eq!(client.until("close"), expected);
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert_eq!(echo.until("close"), expected);
    assert_eq!(world.access_log_lines(1), ["1001 (maximum age) gateway age 0/0 0/0"]);
}
