//! The WebSocket recipe, unchanged, between real peers: node's `ws` behind the gateway and `wscat` (or `ws` again, on
//! orders) in front of it.

use std::collections::BTreeMap;
use std::process::Command;

use culvert_testkit::node::{Client, Echo, Wscat};
use culvert_testkit::websocket::{Frame, Peer, Server, switching};
use culvert_testkit::{Deadline, Place, Process, Value, World, json, own_network, world};

/// The recipe with the map, as people paste it. No `http` block, no `events`: it runs as it stands.
const WITH_MAP: &str = "map $http_upgrade $connection_upgrade { default upgrade; '' close; }
upstream websocket { server 127.0.0.1:8010; }
server {
    listen 8020;
    location / {
        proxy_pass http://websocket;
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
    }
}
";

/// The recipe without the map, around its location.
const WITHOUT_MAP: &str = r#"upstream wsbackend { server 127.0.0.1:8010; }
server {
    listen 8020;
    location /wsapp/ { proxy_pass http://wsbackend; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; }
}
"#;

#[test]
fn the_recipe_with_the_map_runs_as_it_stands_between_wscat_and_ws() {
    let Some(_network) = own_network!() else { return };
    let _gateway = as_it_stands(WITH_MAP);
    talk_with_wscat("ws://127.0.0.1:8020/");
}

#[test]
fn the_recipe_without_the_map_runs_as_it_stands_between_wscat_and_ws() {
    let Some(_network) = own_network!() else { return };
    let _gateway = as_it_stands(WITHOUT_MAP);
    talk_with_wscat("ws://127.0.0.1:8020/wsapp/");
}

/// Starts Culvert on a file with exactly this text.
fn as_it_stands(config: &str) -> (Process, Place) {
    let place = Place::new();
    let file = place.write("recipe.conf", config);
    place.write("logs/error.log", "");
    let mut command = Command::new(env!("CARGO_BIN_EXE_culvert"));
    command.arg("-p").arg(place.dir()).arg("-c").arg(file).args(["-g", "daemon off; pid gateway.pid;"]);
    let mut process = Process::start(&command, place.dir(), "gateway");
    Deadline::default().until("the pid file", || {
        let exit = process.exited();
        assert!(exit.is_none(), "{exit:?}: {}{}", process.stderr(), place.read("logs/error.log"));
        place.read("gateway.pid").ends_with('\n').then_some(())
    });
    (process, place)
}

fn talk_with_wscat(url: &str) {
    let echo = Echo::start("127.0.0.1:8010".parse().expect("an address"), &[]);
    let mut wscat = Wscat::connect(url, &["--show-ping-pong"]);
    wscat.shows("Connected (press CTRL+C to quit)");
    for text in ["hello", "and once more", "grüße 🌍"] {
        wscat.types(text);
        wscat.shows(&format!("< Server received from client: {text}"));
    }
    wscat.types("/ping marco");
    wscat.shows("Received pong (data: \"marco\")");
    wscat.types("/close 4002 enough");
    wscat.shows("Disconnected (code: 4002, reason: \"enough\")");
    assert_eq!(echo.until("close"), json!({"event": "close", "code": 4002, "reason": "enough"}));

    let mut wscat = Wscat::connect(url, &[]);
    wscat.shows("Connected (press CTRL+C to quit)");
    wscat.types("hello");
    wscat.shows("< Server received from client: hello");
    drop(echo);
    wscat.shows("Disconnected (code: 1006, reason: \"\")");
}

/// One upstream at {address}:9001 behind the recipe, and the gateway at {address}:8080.
fn recipe() -> World {
    world!(
        "map $http_upgrade $connection_upgrade { default upgrade; '' close; }
         upstream websocket { server {address}:9001; }
         server {
             listen {address}:8080;
             location / {
                 proxy_pass http://websocket;
                 proxy_http_version 1.1;
                 proxy_set_header Upgrade $http_upgrade;
                 proxy_set_header Connection $connection_upgrade;
             }
         }"
    )
}

fn url(world: &World) -> String {
    format!("ws://{}/room?name=me", world.at(8080))
}

#[test]
fn text_binary_and_fragmented_messages_pass_in_order() {
    let world = recipe();
    let echo = Echo::start(world.at(9001), &[]);
    let mut client = Client::open(&url(&world), &[]);
    assert_eq!(echo.until("open")["url"], "/room?name=me");
    client.says("text");
    client.does(&json!({"fragments": ["three ", "frames, ", "one message"]}));
    client.hears("Server received from client: text");
    client.hears("Server received from client: three frames, one message");
    client.says("/fragments a b c");
    client.hears("abc");
    client.does(&json!({"random": 1000}));
    assert_came_back(&client, 1000);
    client.says("");
    client.hears("Server received from client: ");
}

#[test]
fn messages_of_ten_megabytes_pass_unchanged() {
    let world = recipe();
    let echo = Echo::start(world.at(9001), &[]);
    let mut client = Client::open(&url(&world), &[]);
    client.does(&json!({"random": 10_000_000}));
    let sent = assert_came_back(&client, 10_000_000);
    assert_eq!(echo.until("message")["sha256"], sent);
}

/// The random bytes that the client sent last are the ones that it hears next.
fn assert_came_back(client: &Client, length: usize) -> Value {
    let sent = client.until("sent");
    let heard = client.until("message");
    assert_eq!((&heard["sha256"], &heard["length"]), (&sent["sha256"], &json!(length)));
    assert_eq!(heard["binary"], true);
    heard["sha256"].clone()
}

#[test]
fn pings_and_pongs_pass_both_ways() {
    let world = recipe();
    let echo = Echo::start(world.at(9001), &[]);
    let mut client = Client::open(&url(&world), &[]);
    client.does(&json!({"ping": "from the client"}));
    assert_eq!(echo.until("ping")["data"], "from the client");
    assert_eq!(client.until("pong")["data"], "from the client");
    client.says("/ping from the server");
    assert_eq!(client.until("ping")["data"], "from the server");
    assert_eq!(echo.until("pong")["data"], "from the server");
    client.does(&json!({"pong": "unasked"}));
    assert_eq!(echo.until("pong")["data"], "unasked");
}

#[test]
fn the_clients_close_code_reaches_the_server() {
    let world = recipe();
    let echo = Echo::start(world.at(9001), &[]);
    let mut client = Client::open(&url(&world), &[]);
    client.does(&json!({"close": [4321, "going home"]}));
    let expected = json!({"event": "close", "code": 4321, "reason": "going home"});
    assert_eq!(echo.until("close"), expected);
    assert_eq!(client.until("close"), expected);
}

#[test]
fn the_servers_close_code_reaches_the_client() {
    let world = recipe();
    let echo = Echo::start(world.at(9001), &[]);
    let mut client = Client::open(&url(&world), &[]);
    client.says("/close 1012 back in a minute");
    let expected = json!({"event": "close", "code": 1012, "reason": "back in a minute"});
    assert_eq!(client.until("close"), expected);
    assert_eq!(echo.until("close"), expected);
}

#[test]
fn an_end_without_a_close_frame_is_an_end_on_the_other_side() {
    let world = recipe();
    let echo = Echo::start(world.at(9001), &[]);
    let mut client = Client::open(&url(&world), &[]);
    client.says("/terminate");
    assert_eq!(client.until("close")["code"], 1006);
    let mut client = Client::open(&url(&world), &[]);
    echo.until("close");
    client.does(&json!({"terminate": true}));
    assert_eq!(echo.until("close")["code"], 1006);
}

#[test]
fn compression_is_negotiated_end_to_end() {
    let world = recipe();
    let echo = Echo::start(world.at(9001), &["--deflate"]);
    let mut client = Client::start(&url(&world), &["--deflate"]);
    assert_eq!(client.until("open")["extensions"], "permessage-deflate");
    assert_eq!(echo.until("open")["extensions"], "permessage-deflate");
    let text = "compress me ".repeat(2000);
    client.says(&text);
    client.hears(&format!("Server received from client: {text}"));
    client.does(&json!({"random": 1_000_000}));
    assert_came_back(&client, 1_000_000);
}

#[test]
fn subprotocols_are_chosen_by_the_server() {
    let world = recipe();
    let _echo = Echo::start(world.at(9001), &["--protocols", "chat,superchat"]);
    let client = Client::start(&url(&world), &["--protocol", "other", "--protocol", "superchat", "--protocol", "chat"]);
    assert_eq!(client.until("open")["protocol"], "chat");
}

#[test]
fn a_refusal_of_the_server_reaches_the_client_with_its_body() {
    let world = recipe();
    let _echo = Echo::start(world.at(9001), &["--refuse", "403", "--name", "bouncer"]);
    let client = Client::start(&url(&world), &[]);
    let response = client.until("response");
    assert_eq!(response["status"], 403);
    assert_eq!(response["body"], "no sockets for you\n");
    assert_eq!(response["headers"]["x-refused-by"], "bouncer");
    assert_eq!(response["headers"]["content-type"], "text/plain");
}

#[test]
fn two_backends_get_their_turns() {
    let world = world!(
        "upstream websocket { server {address}:9001; server {address}:9002; }
         server {
             listen {address}:8080;
             location / {
                 proxy_pass http://websocket;
                 proxy_http_version 1.1;
                 proxy_set_header Upgrade $http_upgrade;
                 proxy_set_header Connection upgrade;
             }
         }"
    );
    let _blue = Echo::start(world.at(9001), &["--name", "blue"]);
    let _green = Echo::start(world.at(9002), &["--name", "green"]);
    assert_eq!(names_of(&world, 4), BTreeMap::from([("blue".to_owned(), 2), ("green".to_owned(), 2)]));
}

#[test]
fn three_backends_get_their_turns_by_weight() {
    let world = world!(
        "upstream websocket { server {address}:9001 weight=2; server {address}:9002; server {address}:9003 backup; }
         server { listen {address}:8080; location / {
             proxy_pass http://websocket;
             proxy_http_version 1.1;
             proxy_set_header Upgrade $http_upgrade;
             proxy_set_header Connection upgrade;
         } }"
    );
    let _blue = Echo::start(world.at(9001), &["--name", "blue"]);
    let _green = Echo::start(world.at(9002), &["--name", "green"]);
    let _spare = Echo::start(world.at(9003), &["--name", "spare"]);
    assert_eq!(names_of(&world, 6), BTreeMap::from([("blue".to_owned(), 4), ("green".to_owned(), 2)]));
}

/// Who answers when `count` sockets, all open at once, ask for a name.
fn names_of(world: &World, count: usize) -> BTreeMap<String, usize> {
    let mut names = BTreeMap::new();
    let mut sockets = Vec::new();
    for _ in 0..count {
        let mut peer = Peer::connect(world.at(8080), "/");
        peer.says(&Frame::text("/name"));
        let name = String::from_utf8(peer.hears().payload).expect("a name is text");
        *names.entry(name).or_default() += 1;
        sockets.push(peer);
    }
    names
}

/// A location with nothing but `proxy_pass` and what the test adds.
fn bare(directives: &str) -> World {
    world!(&format!(
        "upstream websocket {{ server {{address}}:9001; }}
         server {{ listen {{address}}:8080; location / {{ proxy_pass http://websocket; {directives} }} }}"
    ))
}

#[test]
fn it_works_without_the_boilerplate() {
    let world = bare("");
    let echo = Echo::start(world.at(9001), &["--deflate", "--protocols", "chat"]);
    let mut client = Client::start(&url(&world), &["--deflate", "--protocol", "chat", "--header", "Cookie: a=b"]);
    let open = client.until("open");
    assert_eq!((&open["protocol"], &open["extensions"]), (&json!("chat"), &json!("permessage-deflate")));
    client.says("hello");
    client.hears("Server received from client: hello");
    let seen = echo.until("open");
    assert_eq!(seen["headers"]["host"], "websocket");
    assert_eq!(seen["headers"]["cookie"], "a=b");
    client.does(&json!({"close": [1000, "bye"]}));
    assert_eq!(echo.until("close")["code"], 1000);
}

#[test]
fn without_the_boilerplate_a_plain_request_stays_plain() {
    let world = bare("");
    let server = Server::bind(world.at(9001));
    let mut client = Peer::dials(world.at(8080));
    client.sends(b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n");
    let upstream = server.accepts();
    assert_eq!(upstream.header("Upgrade"), None);
    assert_eq!(upstream.header("Connection").map(str::to_ascii_lowercase).as_deref(), Some("close"));
}

#[test]
fn without_the_boilerplate_only_a_valid_handshake_becomes_a_tunnel() {
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let version = "Sec-WebSocket-Version: 13\r\n";
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    let world = bare("");
    let server = Server::bind(world.at(9001));
    for (why, method, headers) in [
        ("no key", "GET", format!("{upgrade}{version}")),
        ("a key that is not 16 bytes", "GET", format!("{upgrade}{version}Sec-WebSocket-Key: c2hvcnQ=\r\n")),
        ("another version", "GET", format!("{upgrade}{key}Sec-WebSocket-Version: 8\r\n")),
        ("not a GET", "POST", format!("{upgrade}{key}{version}Content-Length: 0\r\n")),
        ("no Connection: upgrade", "GET", format!("Upgrade: websocket\r\n{key}{version}")),
        ("another protocol", "GET", format!("Connection: Upgrade\r\nUpgrade: irc/6.9\r\n{key}{version}")),
    ] {
        let mut client = Peer::dials(world.at(8080));
        client.sends(format!("{method} / HTTP/1.1\r\nHost: example.org\r\n{headers}\r\n").as_bytes());
        let upstream = server.accepts();
        assert_eq!(upstream.header("Upgrade"), None, "{why}: {}", upstream.head());
    }
}

#[test]
fn proxy_websocket_off_leaves_a_bare_location_without_tunnels() {
    let world = bare("proxy_websocket off;");
    let server = Server::bind(world.at(9001));
    let mut client = Peer::asks(world.at(8080), "/", "");
    let mut upstream = server.accepts();
    assert_eq!(upstream.header("Upgrade"), None);
    upstream.sends(b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 3\r\n\r\nno\n");
    assert!(client.reads_head().starts_with("HTTP/1.1 426 "), "{}", client.head());
    assert_eq!(client.reads(3), b"no\n");
}

#[test]
fn proxy_websocket_off_honours_the_boilerplate_as_nginx_does() {
    let world = bare(
        "proxy_websocket off; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
         proxy_set_header Connection upgrade;",
    );
    let server = Server::bind(world.at(9001));
    let (mut client, mut upstream) = server.upgrade(world.at(8080), "/");
    client.says(&Frame::text("hello"));
    upstream.hears_text("hello");
}

#[test]
fn h2c_is_never_forwarded() {
    let boilerplate = "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; \
                       proxy_set_header Connection \"upgrade, HTTP2-Settings\";";
    for directives in ["", boilerplate, "proxy_websocket off;"] {
        let world = bare(directives);
        let server = Server::bind(world.at(9001));
        for upgrade in ["h2c", "H2C", "websocket, h2c"] {
            let mut client = Peer::dials(world.at(8080));
            let request = format!(
                "GET / HTTP/1.1\r\nHost: example.org\r\nConnection: Upgrade, HTTP2-Settings\r\n\
                 HTTP2-Settings: AAMAAABkAAQAAP__\r\nUpgrade: {upgrade}\r\n\r\n"
            );
            client.sends(request.as_bytes());
            let mut upstream = server.accepts();
            let seen = upstream.head().to_ascii_lowercase();
            assert!(!seen.contains("h2c"), "{directives} {upgrade}: {seen}");
            upstream.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
            assert!(client.reads_head().starts_with("HTTP/1.1 200 OK\r\n"), "{}", client.head());
        }
    }
}

#[test]
fn a_101_that_nobody_asked_for_opens_no_tunnel() {
    let world = recipe();
    let server = Server::bind(world.at(9001));
    let mut client = Peer::dials(world.at(8080));
    client.sends(b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n");
    let mut upstream = server.accepts();
    upstream.tries_to_send(switching("").as_bytes());
    drop(upstream);
    assert!(!client.reads_head().starts_with("HTTP/1.1 101 "), "{}", client.head());
}
