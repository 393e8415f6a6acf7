//! Every kind of client with every kind of server.

use culvert_testkit::node::{Client, Echo, server};
use culvert_testkit::{Authority, Deadline, Place, Value, World, json, run};
use std::process::Command;

/// The servers: the location that leads to each, its port, how it is started, and the version that it is to be asked with.
const SERVERS: [(&str, u16, &[&str], &str); 4] = [
    ("h1", 9001, &[], "1.1"),
    ("h1s", 9002, &["tls"], "1.1"),
    ("h2s", 9003, &["tls", "--h2"], "2.0"),
    ("h2c", 9004, &["--h2"], "2.0"),
];

/// The clients: their port, whether that is one with TLS, and what makes curl and node's `ws` speak as they are to.
const CLIENTS: [(&str, u16, bool, &str, bool); 4] = [
    ("h1", 8080, false, "--http1.1", false),
    ("h1s", 8443, true, "--http1.1", false),
    ("h2s", 8443, true, "--http2", true),
    ("h2c", 8080, false, "--http2-prior-knowledge", true),
];

/// A gateway and all four servers.
fn site(more: &[&str]) -> (World, Vec<Echo>) {
    let place = Place::new();
    let authority = Authority::new(&place, "authority");
    let (own, theirs) = (authority.signs(&["localhost"]), authority.signs(&["backend"]));
    let start = |(_, port, words, _): &(&str, u16, &[&str], &str)| {
        let tls = ["--cert", theirs.certificate(), "--key", theirs.key()];
        let options: Vec<&str> =
            words.iter().flat_map(|&word| if word == "tls" { tls.to_vec() } else { vec![word] }).collect();
        server(place.at(*port), &[&options[..], more].concat())
    };
    let servers = SERVERS.iter().map(start).collect();
    let config = format!(
        "proxy_ssl_verify on; proxy_ssl_trusted_certificate {{dir}}/authority.pem; proxy_ssl_name backend;
         upstream h1 {{ server {{address}}:9001; keepalive 4; }}
         upstream h1s {{ server {{address}}:9002; keepalive 4; }}
         server {{
             listen {{address}}:8080; listen {{address}}:8443 ssl; http2 on;
             ssl_certificate {}; ssl_certificate_key {};
             location /h1/ {{ proxy_pass http://h1/; proxy_http_version 1.1; proxy_set_header Connection ''; }}
             location /h1s/ {{ proxy_pass https://h1s/; proxy_http_version auto; }}
             location /h2s/ {{ proxy_pass https://{{address}}:9003/; proxy_http_version auto; }}
             location /h2c/ {{ proxy_pass http://{{address}}:9004/; proxy_http_version 2; }}
         }}",
        own.certificate(),
        own.key()
    );
    (World::start_in(place, env!("CARGO_BIN_EXE_culvert"), &config), servers)
}

/// What curl prints.
#[track_caller]
fn curl(arguments: &[&str]) -> String {
    let mut command = Command::new("curl");
    let finished = run(command.args(["-sSk"]).args(arguments), Deadline::default());
    assert!(finished.status.success(), "curl {arguments:?}: {}", finished.stderr);
    finished.stdout
}

#[test]
fn requests_go_from_every_client_to_every_server() {
    let (world, _servers) = site(&[]);
    let body = world.place().path("body");
    std::fs::write(&body, vec![b'x'; 200_000]).expect("the place can be written to");
    let data = format!("@{}", body.display());
    for (client, port, is_tls, flag, _) in CLIENTS {
        let scheme = if is_tls { "https" } else { "http" };
        for (server, _, _, version) in SERVERS {
            let url = |path: &str| format!("{scheme}://{}/{server}/{path}", world.at(port));
            let facts: Value = curl(&[flag, &url("a?b")]).parse().expect("the server answers with JSON");
            assert_eq!((&facts["version"], &facts["path"]), (&json!(version), &json!("/a?b")), "{client} to {server}");
            assert_eq!(facts["tls"].is_null(), !server.ends_with('s'), "{client} to {server}");
            let posted: Value = curl(&[flag, "--data-binary", &data, &url("post")]).parse().expect("JSON");
            assert_eq!(posted["length"], 200_000, "{client} to {server}");
            assert_eq!(curl(&[flag, &url("sized/300000")]).len(), 300_000, "{client} to {server}");
            assert_eq!(curl(&[flag, &url("chunked/300000")]).len(), 300_000, "{client} to {server}");
            let status = curl(&[flag, "-o", "/dev/null", "-w", "%{http_code} %{http_version}", &url("status/404")]);
            assert_eq!(
                status,
                format!("404 {}", if flag == "--http1.1" { "1.1" } else { "2" }),
                "{client} to {server}"
            );
            assert_eq!(
                curl(&[flag, "-o", "/dev/null", "-w", "%{http_code}", &url("reset")]),
                "502",
                "{client} to {server}"
            );
        }
    }
}

#[track_caller]
fn talks(world: &World, client: (&str, u16, bool, &str, bool), server: &str, version: &str) {
    let (name, port, is_tls, _, is_h2) = client;
    let mut options = vec!["--insecure"];
    if is_h2 {
        options.push("--h2");
    }
    let scheme = if is_tls { "wss" } else { "ws" };
    let mut client = Client::open(&format!("{scheme}://{}/{server}/room", world.at(port)), &options);
    client.says("/facts");
    let text = client.until("message")["text"].as_str().expect("text").to_owned();
    let facts: Value = text.parse().expect("the server answers with JSON");
    assert_eq!((&facts["version"], &facts["path"]), (&json!(version), &json!("/room")), "{name} to {server}");
    client.says("hello");
    client.hears("hello");
    client.does(&json!({"random": 2_000_000}));
    client.gets_back(2_000_000);
    client.does(&json!({"close": [4001, "enough"]}));
    let closed = client.until("close");
    assert_eq!((&closed["code"], &closed["reason"]), (&json!(4001), &json!("enough")), "{name} to {server}");
}

#[test]
fn websockets_go_from_every_client_to_every_server() {
    let (world, _servers) = site(&[]);
    for client in CLIENTS {
        for (server, _, _, version) in SERVERS {
            talks(&world, client, server, version);
        }
    }
}

#[test]
fn websockets_go_over_http_1_where_a_server_takes_none_as_streams() {
    let (world, _servers) = site(&["--no-connect"]);
    for client in CLIENTS {
        talks(&world, client, "h2s", "1.1");
    }
    // What is asked plainly still goes over HTTP/2.
    let facts = super::facts(&world, "/h2s/");
    assert_eq!(facts["version"], "2.0");
}

#[test]
fn requests_and_websockets_share_connections() {
    let (world, _servers) = site(&[]);
    for server in ["h2s", "h2c"] {
        let url = format!("ws://{}/{server}/room", world.at(8080));
        let mut clients: Vec<_> = (0..5).map(|_| Client::open(&url, &[])).collect();
        let of_socket = |client: &mut Client| -> Value {
            client.says("/facts");
            let text = client.until("message")["text"].as_str().expect("text").to_owned();
            text.parse::<Value>().expect("the server answers with JSON")["connection"].clone()
        };
        let first = of_socket(&mut clients[0]);
        for client in &mut clients {
            assert_eq!(of_socket(client), first);
        }
        assert_eq!(super::facts(&world, &format!("/{server}/"))["connection"], first);
    }
}
