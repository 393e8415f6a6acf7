//! Clients that others wrote.

use super::*;

/// Runs a command to its end and gives its standard output.
#[track_caller]
pub(crate) fn output(program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    command.args(arguments);
    let done = run(&command, Deadline::after(Duration::from_secs(60)));
    assert!(done.status.success(), "{program} failed: {}{}", done.stdout, done.stderr);
    done.stdout
}

fn url(world: &World, path: &str) -> String {
    format!("http://{}{path}", world.at(8080))
}

#[test]
fn curl_gets_pages_and_sends_bodies() {
    let world = site("client_max_body_size 0;");
    let page = output("curl", &["-sS", "--http2-prior-knowledge", "-w", " %{http_version}", &url(&world, "/")]);
    assert_eq!(page, "fine 2");
    let server = Server::bind(world.at(9001));
    let upload = world.dir().join("upload");
    std::fs::write(&upload, vec![b'x'; 3 << 20]).expect("the directory is ours");
    let body = format!("@{}", upload.display());
    let asked = thread::spawn({
        let url = url(&world, "/up");
        move || output("curl", &["-sS", "--http2-prior-knowledge", "--data-binary", &body, &url])
    });
    let mut upstream = server.accepts();
    assert!(
        upstream.head().contains("content-length: 3145728\r\n")
            || upstream.head().contains("Content-Length: 3145728\r\n")
    );
    assert_eq!(upstream.reads(3 << 20).len(), 3 << 20);
    upstream.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nthanks");
    assert_eq!(asked.join().expect("curl is content"), "thanks");
    assert_eq!(world.access_log_lines(2), ["200 GET / HTTP/2.0 h2c 4", "200 POST /up HTTP/2.0 h2c 6"]);
}

#[test]
fn the_same_port_speaks_http_1_as_well() {
    let world = site("");
    assert_eq!(output("curl", &["-sS", "--http1.1", "-w", " %{http_version}", &url(&world, "/")]), "fine 1.1");
}

#[test]
fn nghttp_finds_nothing_wrong() {
    let world = site("");
    let said = output("nghttp", &["-v", "-m", "20", &url(&world, "/"), &url(&world, "/again")]);
    assert_eq!(said.matches(":status: 200").count(), 40, "{said}");
    assert!(!said.contains("RST_STREAM") && !said.contains("[ERROR]"), "{said}");
}

#[test]
fn h2load_gets_all_of_its_answers() {
    let world = site("keepalive_requests 1000000;");
    let said = output("h2load", &["-n", "20000", "-c", "10", "-m", "50", &url(&world, "/")]);
    assert!(said.contains("20000 succeeded, 0 failed, 0 errored, 0 timeout"), "{said}");
}

#[test]
fn h2load_does_not_mind_connections_that_end() {
    let world = site("keepalive_requests 100;");
    let said = output("h2load", &["-n", "1000", "-c", "10", "-m", "10", &url(&world, "/")]);
    assert!(said.contains("1000 succeeded"), "{said}");
}

/// A client on node's `http2`: opens a WebSocket on each of so many streams, sends so many messages on each, and checks what
/// comes back.
const RFC_8441: &str = r"
const [origin, streams, messages, size] = [process.argv[1], ...process.argv.slice(2).map(Number)];
// What waits to be sent counts as memory of the session, which refuses headers beyond 10 MB of it.
const session = require('http2').connect(origin, { maxSessionMemory: 100 });
const payload = Buffer.alloc(size, 'x');
const head = size < 126 ? Buffer.from([0x82, 0x80 | size]) : Buffer.from([0x82, 0xfe, size >> 8, size & 255]);
const frame = Buffer.concat([head, Buffer.alloc(4), payload]);
const closing = Buffer.from([0x88, 0x82, 0, 0, 0, 0, 3, 232]);
const fail = (why) => { console.log('FAILED', why); process.exit(1); };
session.on('error', fail);
session.on('remoteSettings', (settings) => settings.enableConnectProtocol || fail('no RFC 8441'));
let left = streams;
const open = () => {
  const stream = session.request({ ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/chat',
    ':scheme': 'http', ':authority': 'culvert.test', 'sec-websocket-version': '13' });
  let heard = 0;
  const expected = messages * (frame.length - 4);
  stream.on('response', (headers) => {
    if (headers[':status'] !== 200) fail(headers[':status']);
    for (let i = 0; i < messages; i++) stream.write(frame);
  });
  stream.on('data', (data) => {
    heard += data.length;
    if (heard === expected) stream.write(closing);
  });
  stream.on('end', () => stream.end());
  stream.on('error', fail);
  stream.on('close', () => {
    if (stream.rstCode !== 0 || heard !== expected + 4) fail(`${stream.rstCode} ${heard} of ${expected}`);
    if (--left === 0) { session.close(); console.log('done'); }
  });
};
session.once('remoteSettings', () => { for (let i = 0; i < streams; i++) open(); });
";

#[test]
fn node_opens_websockets_on_many_streams_of_one_connection() {
    let world = site("");
    let _echo = culvert_testkit::node::Echo::start(world.at(9001), &[]);
    for (streams, messages, size) in [("1", "1", "5"), ("100", "20", "1000"), ("5", "50", "60000")] {
        assert_eq!(output("node", &["-e", RFC_8441, &url(&world, ""), streams, messages, size]), "done\n");
    }
    let lines = world.access_log_lines(106);
    assert_eq!(lines[0], "101 GET /chat HTTP/2.0 h2c 11");
}

#[test]
fn a_graceful_stop_says_goodbye_to_websockets_in_streams() {
    let mut world = site_in("worker_shutdown_timeout 1s;", "");
    let server = Server::bind(world.at(9001));
    let mut client = Connection::open(world.at(8080));
    client.connects(1, "/chat");
    let mut upstream = server.accepts_silently();
    frames_answer(&mut upstream);
    assert_eq!(client.hears(Kind::Headers).stream, 1);
    world.gateway().signal(Signal::SIGQUIT);
    assert_eq!(client.hears(Kind::GoAway).code(), 0);
    let farewell = client.hears(Kind::Data);
    assert_eq!(farewell.payload[..4], [0x88, farewell.payload[1], 0x03, 0xe9], "a Close with 1001");
    client.sends(&frames::frame(Kind::Data, 0, 1, &[0x88, 0x82, 0, 0, 0, 0, 3, 0xe9]));
    drop(upstream);
    let status = world.waits_for_the_end(Duration::from_secs(10));
    assert!(status.success(), "{status}");
}

/// The upstream's side of a handshake.
pub(crate) fn frames_answer(upstream: &mut Peer) {
    let head = upstream.reads_head();
    let key = head.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")).expect("a handshake has a key");
    upstream.sends(format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {}\r\n\r\n",
        tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes())
    ).as_bytes());
}

#[test]
fn a_reload_leaves_websockets_in_streams_alone() {
    let world = site("");
    let server = Server::bind(world.at(9001));
    let mut client = Connection::open(world.at(8080));
    client.connects(1, "/chat");
    let mut upstream = server.accepts_silently();
    frames_answer(&mut upstream);
    assert_eq!(client.hears(Kind::Headers).stream, 1);
    world.reload_until("server { listen {address}:8080; http2 on; location / { return 200 'new'; } }", "/", "new");
    client.get(3, "/");
    assert_eq!(client.hears_body(3), b"new");
    client.sends(&frames::frame(Kind::Data, 0, 1, &[0x81, 0x82, 0, 0, 0, 0, b'h', b'i']));
    assert_eq!(upstream.reads(8), [0x81, 0x82, 0, 0, 0, 0, b'h', b'i']);
    upstream.sends(&[0x81, 2, b'h', b'o']);
    assert_eq!(client.hears(Kind::Data).payload, [0x81, 2, b'h', b'o']);
}

#[test]
fn websockets_pass_through_two_gateways_as_streams_all_the_way() {
    let world = world!(
        "log_format told '$server_port $status $http2';
         access_log {dir}/access.log told;
         server { listen {address}:8080; http2 on; location / { proxy_pass http://{address}:8081; proxy_http_version 2; } }
         server { listen {address}:8081; http2 on; location / { proxy_pass http://{address}:9001; } }"
    );
    let _echo = culvert_testkit::node::Echo::start(world.at(9001), &[]);
    assert_eq!(output("node", &["-e", RFC_8441, &url(&world, ""), "50", "20", "2000"]), "done\n");
    let lines = world.access_log_lines(100);
    let of = |start: &str| lines.iter().filter(|line| line.starts_with(start)).count();
    assert_eq!((of("8080 101 h2c"), of("8081 101 h2c")), (50, 50), "{lines:?}");
}
