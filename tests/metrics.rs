//! What the gateway counts: `metrics` as a scraper reads it, and `stub_status` as nginx writes it.

use culvert_testkit::websocket::{Frame, Server};
use culvert_testkit::{Backend, Client, Deadline, Place, Signal, World, world};
use std::collections::HashMap;

/// The metrics by name and labels, as the text has them.
fn scrape(world: &World) -> HashMap<String, f64> {
    let response = world.get("/metrics");
    assert_eq!(response.status(), 200);
    let content_type = response.head.header("content-type").expect("a type");
    assert_eq!(content_type, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let text = response.text();
    assert!(text.ends_with("# EOF\n"), "{text}");
    let sample = |line: &str| {
        let (name, number) = line.rsplit_once(' ').expect("a name and a number");
        (name.to_owned(), number.parse().expect("a number"))
    };
    text.lines().filter(|line| !line.starts_with('#')).map(sample).collect()
}

#[track_caller]
fn value(metrics: &HashMap<String, f64>, name: &str) -> f64 {
    let found = metrics.get(&format!("culvert_{name}")).copied();
    found.unwrap_or_else(|| panic!("no {name} among {:#?}", metrics.keys()))
}

/// Waits until a metric has a value.
#[track_caller]
fn becomes(world: &World, name: &str, wanted: f64) {
    Deadline::default()
        .until(&format!("{name} to be {wanted}"), || (value(&scrape(world), name) == wanted).then_some(()));
}

const RECIPE: &str =
    "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;";

#[test]
fn requests_and_the_servers_that_took_them_are_counted() {
    let world = world!(
        "upstream app { server {address}:9001; server {address}:9002 down; }
         server { listen {address}:8080;
             location /metrics { metrics; }
             location /app { proxy_pass http://app; }
             location /gone { return 404; } }"
    );
    let _backend = Backend::answering(world.at(9001), "HTTP/1.1 204 No Content\r\n\r\n");
    for _ in 0..3 {
        assert_eq!(world.get("/app").status(), 204);
    }
    assert_eq!(world.get("/gone").status(), 404);
    let metrics = scrape(&world);
    let peer = |port: u16| format!("upstream=\"app\",server=\"{0}\",peer=\"{0}\"", world.at(port));
    assert_eq!(value(&metrics, "requests_total"), 5.0);
    assert_eq!(value(&metrics, "responses_total{class=\"2xx\"}"), 3.0);
    assert_eq!(value(&metrics, "responses_total{class=\"4xx\"}"), 1.0);
    assert_eq!(value(&metrics, &format!("upstream_peer_picks_total{{{}}}", peer(9001))), 3.0);
    assert_eq!(value(&metrics, &format!("upstream_peer_responses_total{{{},class=\"2xx\"}}", peer(9001))), 3.0);
    assert_eq!(value(&metrics, &format!("upstream_peer_state{{{},state=\"up\"}}", peer(9001))), 1.0);
    assert_eq!(value(&metrics, &format!("upstream_peer_state{{{},state=\"down\"}}", peer(9001))), 0.0);
    assert_eq!(value(&metrics, &format!("upstream_peer_state{{{},state=\"down\"}}", peer(9002))), 1.0);
    assert_eq!(value(&metrics, &format!("upstream_peer_live{{{}}}", peer(9001))), 0.0);
    assert!(value(&metrics, "client_sent_bytes_total") > 300.0);
    assert!(value(&metrics, "start_time_seconds") > 1e9);
}

#[test]
fn failures_of_servers_are_counted_until_none_is_left() {
    let world = world!(
        "upstream app { server {address}:9009 max_fails=2; server {address}:9008 max_fails=2; }
         server { listen {address}:8080; location /metrics { metrics; } location / { proxy_pass http://app; } }"
    );
    for _ in 0..4 {
        assert_eq!(world.get("/").status(), 502);
    }
    let metrics = scrape(&world);
    for port in [9009, 9008] {
        let peer = format!("upstream=\"app\",server=\"{0}\",peer=\"{0}\"", world.at(port));
        assert_eq!(value(&metrics, &format!("upstream_peer_fails_total{{{peer}}}")), 2.0);
        assert_eq!(value(&metrics, &format!("upstream_peer_unavail_total{{{peer}}}")), 1.0);
        assert_eq!(value(&metrics, &format!("upstream_peer_state{{{peer},state=\"unavail\"}}")), 1.0);
    }
    assert_eq!(value(&metrics, "upstream_refused_total{upstream=\"app\",reason=\"down\"}"), 2.0);
    assert_eq!(value(&metrics, "responses_total{class=\"5xx\"}"), 4.0);
}

#[test]
fn a_tunnel_is_counted_while_it_lives_and_by_how_it_ended() {
    let world = world!(&format!(
        "worker_processes 2; events {{ worker_connections 100; }}
         http {{ access_log off; upstream app {{ server {{address}}:9001; }}
         server {{ listen {{address}}:8080; location /metrics {{ metrics; }} location / {{ proxy_pass http://app; {RECIPE} }} }} }}"
    ));
    let server = Server::bind(world.at(9001));
    let (mut client, mut upstream) = server.upgrade(world.at(8080), "/");
    let peer = format!("upstream=\"app\",server=\"{0}\",peer=\"{0}\"", world.at(9001));
    let metrics = scrape(&world);
    assert_eq!(value(&metrics, "tunnels"), 1.0);
    assert_eq!(value(&metrics, "tunnels_opened_total"), 1.0);
    assert_eq!(value(&metrics, "responses_total{class=\"1xx\"}"), 1.0);
    assert_eq!(value(&metrics, &format!("upstream_peer_tunnels{{{peer}}}")), 1.0);
    let port = format!("{{address=\"{}\"}}", world.at(9001));
    assert_eq!(value(&metrics, &format!("source_ports_used{port}")), 1.0);
    assert!(value(&metrics, &format!("source_ports_available{port}")) > 1_000.0);
    assert_eq!(value(&metrics, &format!("source_ports_scarce{port}")), 0.0);
    // The tunnel and the scrape itself; the tunnel's other side is open as well.
    becomes(&world, "connections_open", 3.0);
    becomes(&world, "connections_active", 2.0);
    assert_eq!(value(&metrics, "connections{state=\"writing\"}"), 2.0);
    assert_eq!(value(&metrics, "connections_open_limit"), 200.0);
    client.says(&Frame::text("hello"));
    upstream.hears_text("hello");
    client.says(&Frame::close(1000, ""));
    upstream.hears();
    upstream.says(&Frame::close(1000, ""));
    client.hears();
    drop((client, upstream));
    becomes(&world, "tunnels", 0.0);
    let metrics = scrape(&world);
    assert_eq!(value(&metrics, "tunnels_closed_total{by=\"client\",cause=\"close\"}"), 1.0);
    assert_eq!(value(&metrics, "websocket_messages_total{from=\"client\"}"), 1.0);
    assert_eq!(value(&metrics, "websocket_payload_bytes_total{from=\"client\"}"), 5.0);
    assert_eq!(value(&metrics, &format!("upstream_peer_tunnels{{{peer}}}")), 0.0);
    assert_eq!(value(&metrics, &format!("source_ports_used{port}")), 0.0);
    becomes(&world, "connections_active", 1.0);
}

#[test]
fn reloads_are_counted_and_change_no_count() {
    let config = "upstream app { server {address}:9001; }
         server { listen {address}:8080; location /metrics { metrics; } location / { proxy_pass http://app; } }";
    let world = world!(config);
    let _backend = Backend::answering(world.at(9001), "HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(world.get("/").status(), 204);
    world.reload(config);
    becomes(&world, "reloads_total{result=\"taken\"}", 1.0);
    world.reload("nonsense;");
    becomes(&world, "reloads_total{result=\"refused\"}", 1.0);
    let peer = format!("upstream=\"app\",server=\"{0}\",peer=\"{0}\"", world.at(9001));
    assert_eq!(value(&scrape(&world), &format!("upstream_peer_picks_total{{{peer}}}")), 1.0);
}

#[test]
fn only_get_and_head_ask_for_metrics() {
    let world = world!("server { listen {address}:8080; location / { metrics; } }");
    let mut client = Client::connect(world.at(8080));
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.response().status(), 405);
    client.send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.response_to("HEAD").status(), 200);
}

/// The seven numbers of `stub_status`, in its order.
fn stub(text: &str) -> Vec<u64> {
    let lines: Vec<&str> = text.split('\n').collect();
    assert_eq!((lines[1], lines.len()), ("server accepts handled requests", 5), "{text:?}");
    assert!(lines[0].starts_with("Active connections: ") && lines[0].ends_with(' '), "{text:?}");
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// Runs on nginx as well: `CULVERT_TEST_STAND_IN=nginx`.
#[test]
fn stub_status_counts_connections_by_what_happens_on_them() {
    let world = world!(&format!(
        "server {{ listen {{address}}:8080;
             location /status {{ stub_status; }}
             location /variables {{ return 200 '$connections_active $connections_reading $connections_writing $connections_waiting'; }}
             location /socket {{ proxy_pass http://{{address}}:9001; {RECIPE} }} }}"
    ));
    let mut asking = Client::connect(world.at(8080));
    assert_eq!(stub(&asking.get("/status").text()), [1, 1, 1, 1, 0, 1, 0]);
    let server = Server::bind(world.at(9001));
    let _tunnel = server.upgrade(world.at(8080), "/socket");
    let mut half = Client::connect(world.at(8080));
    half.send("GET /");
    let _silent = Client::connect(world.at(8080));
    let mut kept = Client::connect(world.at(8080));
    kept.get("/variables");
    let settled = || {
        let numbers = stub(&asking.get("/status").text());
        // One asks, one is a tunnel, one has half a request, and two wait.
        (numbers[0] == 5 && numbers[4..] == [1, 2, 2]).then_some(numbers)
    };
    let mut settled = settled;
    let numbers = Deadline::default().until("five connections", &mut settled);
    assert_eq!(numbers[1..3], [5, 5]);
    assert_eq!(asking.get("/variables").text(), "5 1 2 2");
}

#[test]
fn the_numbers_survive_a_worker_that_is_dismissed() {
    let config = |workers: u8| {
        format!(
            "worker_processes {workers}; http {{ access_log off; server {{ listen {{address}}:8080; location /metrics {{ metrics; }}
             location / {{ return 204; }} }} }}"
        )
    };
    let mut world = world!(&config(3));
    for _ in 0..20 {
        world.get("/");
    }
    world.reload(&config(1));
    becomes(&world, "workers", 1.0);
    Deadline::default().until("two workers to end", || (world.gateway().process().threads() <= 2).then_some(()));
    assert_eq!(value(&scrape(&world), "responses_total{class=\"2xx\"}") as u64 / 20, 1);
    assert!(world.ends_by(Signal::SIGQUIT, std::time::Duration::from_secs(10)).success());
}

#[test]
fn tls_handshakes_are_counted_by_what_came_of_them() {
    let place = Place::new();
    let key = place.dir().join("key.pem");
    let certificate = place.dir().join("certificate.pem");
    let words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost -keyout";
    let made = std::process::Command::new("openssl")
        .args(words.split(' '))
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .expect("openssl runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let config = "server { listen {address}:8080; listen {address}:8443 ssl;
         ssl_certificate {dir}/certificate.pem; ssl_certificate_key {dir}/key.pem;
         location /metrics { metrics; } location / { return 204; } }";
    let world = World::start_in(place, env!("CARGO_BIN_EXE_culvert"), config);
    let mut plain = Client::connect(world.at(8443));
    plain.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(plain.response().status(), 400);
    becomes(&world, "tls_handshakes_total{result=\"failed\"}", 1.0);
    let url = format!("https://{}/", world.at(8443));
    let curl = std::process::Command::new("curl").args(["-ks", &url, &url]).output().expect("curl runs");
    assert!(curl.status.success());
    becomes(&world, "tls_handshakes_total{result=\"full\"}", 1.0);
}
