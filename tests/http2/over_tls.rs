//! HTTP/2 over TLS, where browsers speak it.

use super::judges::output;
use super::*;
use culvert_testkit::node::Echo;
use culvert_testkit::{Browser, Firefox, Place};

/// What the page does with its socket: a message of so many bytes comes back as it went.
const PAGE_SCRIPT: &str = "
    const socket = new WebSocket(`wss://` + location.host + `/chat`);
    socket.binaryType = `arraybuffer`;
    let answer;
    socket.onmessage = (event) => answer(event.data);
    const opened = new Promise((resolve) => { socket.onopen = () => resolve(true); socket.onerror = () => resolve(false); });
    const closed = new Promise((resolve) => { socket.onclose = (event) => resolve([event.code, event.wasClean]); });
    async function echo(length) {
        const sent = new Uint8Array(length).map((_, at) => at * 7 % 251);
        const heard = new Uint8Array(await new Promise((resolve) => { answer = resolve; socket.send(sent); }));
        return heard.length === length && heard.every((byte, at) => byte === sent[at]);
    }";

/// A site over TLS with a page at `/`, and `/chat` in front of port 9001.
fn site_over_tls(directives: &str) -> World {
    let place = Place::new();
    let (key, certificate) = (place.path("key.pem"), place.path("certificate.pem"));
    let names = format!("subjectAltName=IP:{}", place.address());
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
    command.args(["-subj", "/CN=culvert.test", "-addext", &names, "-keyout"]).arg(key).arg("-out").arg(certificate);
    let made = run(&command, Deadline::default());
    assert!(made.status.success(), "{}", made.stderr);
    let script = PAGE_SCRIPT.replace('\n', " ");
    let config = format!(
        "log_format told '$status $request $http2 $scheme $ssl_protocol';
         access_log {{dir}}/access.log told;
         server {{
             listen {{address}}:8443 ssl;
             http2 on;
             ssl_certificate {{dir}}/certificate.pem;
             ssl_certificate_key {{dir}}/key.pem;
             {directives}
             location /chat {{ proxy_pass http://{{address}}:9001; }}
             location / {{
                 default_type text/html;
                 return 200 '<!DOCTYPE html><meta charset=utf-8><title>judge</title><script>{script}</script>';
             }}
         }}"
    );
    World::start_in(place, env!("CARGO_BIN_EXE_culvert"), &config)
}

#[test]
fn curl_chooses_http_2_by_alpn() {
    let world = site_over_tls("");
    let url = format!("https://{}/x", world.at(8443));
    assert!(output("curl", &["-sSk", "-w", " %{http_version}", &url]).ends_with(" 2"));
    assert!(output("curl", &["-sSk", "--http1.1", "-w", " %{http_version}", &url]).ends_with(" 1.1"));
    let lines = world.access_log_lines(2);
    assert_eq!(lines, ["200 GET /x HTTP/2.0 h2 https TLSv1.3", "200 GET /x HTTP/1.1  https TLSv1.3"]);
}

/// A page's socket echoes messages of all sizes and closes cleanly, and it was a stream of the page's connection.
#[track_caller]
fn speaks_in_a_stream(world: &World, mut evaluate: impl FnMut(&str) -> culvert_testkit::Value) {
    assert_eq!(evaluate("opened"), true);
    for length in [1, 125, 126, 65_535, 65_536, 1 << 20] {
        assert_eq!(evaluate(&format!("echo({length})")), true, "{length} bytes");
    }
    assert_eq!(evaluate("socket.close(3001, 'enough'), closed"), culvert_testkit::json!([3001, true]));
    let tunnel = Deadline::default().until("the WebSocket's line in the log", || {
        let log = std::fs::read_to_string(world.dir().join("access.log")).ok()?;
        log.lines().find(|line| line.starts_with("101 ")).map(str::to_owned)
    });
    assert_eq!(tunnel, "101 GET /chat HTTP/2.0 h2 https TLSv1.3");
}

#[test]
fn chromium_opens_its_websocket_in_a_stream_of_the_page_s_connection() {
    let world = site_over_tls("");
    let _echo = Echo::start(world.at(9001), &[]);
    let mut browser = Browser::open(&format!("https://{}/", world.at(8443)));
    browser.until("typeof opened === 'object'");
    speaks_in_a_stream(&world, |expression| browser.evaluate(expression));
}

#[test]
fn firefox_opens_its_websocket_in_a_stream_of_the_page_s_connection() {
    // It leaves its half of the stream open after the Close of both, and the tunnel ends with the server's half.
    let world = site_over_tls("websocket_close_timeout 1h;");
    let _echo = Echo::start(world.at(9001), &[]);
    let mut firefox = Firefox::open(&format!("https://{}/", world.at(8443)));
    speaks_in_a_stream(&world, |expression| firefox.evaluate(expression));
}
