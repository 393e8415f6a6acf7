//! Requests over HTTP/2 in a world of pipes, against the h2 crate's server.

use crate::world::{SWITCHING, World, handshake, noise, request};
use bytes::Bytes;
use h2::server::{self, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Request, Response};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::DuplexStream;

const ONE: &str = "log_format tries '$status $upstream_status $upstream_addr';
    access_log access.log tries;
    upstream app { server backend-1; keepalive_timeout 10s; keepalive_requests 3; }
    server { location / { proxy_pass http://app; proxy_http_version 2; proxy_read_timeout 5s; proxy_request_buffering off; } }";

type Arrived = Arc<Mutex<Vec<(Request<RecvStream>, SendResponse<Bytes>)>>>;

/// A server's end of one connection.
struct Server<'w> {
    world: &'w World,
    arrived: Arrived,
    orders: tokio::sync::mpsc::UnboundedSender<Order>,
}

enum Order {
    GoAway,
    Leave,
}

/// One request at a server.
struct Asked {
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
}

impl<'w> Server<'w> {
    /// The gateway has connected.
    #[track_caller]
    fn accept(world: &'w World, change: impl FnOnce(&mut server::Builder)) -> Server<'w> {
        let stream = world.arrives_as_stream().expect("the gateway has connected to a backend");
        let mut builder = server::Builder::new();
        change(&mut builder);
        let arrived = Arrived::default();
        let (orders, inbox) = tokio::sync::mpsc::unbounded_channel();
        let serving = serve(stream, builder, arrived.clone(), inbox);
        world.runs(async { drop(tokio::spawn(serving)) });
        Server { world, arrived, orders }
    }

    /// The next request that arrived.
    #[track_caller]
    fn hears(&self) -> Asked {
        let (request, respond) = self.arrives().expect("a request has arrived");
        Asked { request, respond }
    }

    fn arrives(&self) -> Option<(Request<RecvStream>, SendResponse<Bytes>)> {
        self.world.runs(async {});
        let mut arrived = self.arrived.lock().expect("nobody panics while holding it");
        (!arrived.is_empty()).then(|| arrived.remove(0))
    }

    fn orders(&self, order: Order) {
        self.orders.send(order).expect("the connection is still served");
        self.world.runs(async {});
    }
}

async fn serve(
    stream: DuplexStream,
    builder: server::Builder,
    arrived: Arrived,
    mut orders: tokio::sync::mpsc::UnboundedReceiver<Order>,
) {
    let mut connection = builder.handshake(stream).await.expect("the gateway speaks HTTP/2");
    loop {
        tokio::select! {
            next = connection.accept() => match next {
                Some(Ok(next)) => arrived.lock().expect("nobody panics while holding it").push(next),
                _ => return,
            },
            order = orders.recv() => match order {
                Some(Order::GoAway) => connection.graceful_shutdown(),
                Some(Order::Leave) | None => return,
            },
        }
    }
}

impl Asked {
    fn answers(mut self, world: &World, status: u16, body: &str) {
        let response = Response::builder().status(status).body(()).expect("a response");
        let mut send = self.respond.send_response(response, body.is_empty()).expect("the stream is open");
        if !body.is_empty() {
            send.send_data(Bytes::copy_from_slice(body.as_bytes()), true).expect("the stream is open");
        }
        world.runs(async {});
    }

    fn begins(&mut self) -> SendStream<Bytes> {
        self.respond.send_response(Response::new(()), false).expect("the stream is open")
    }

    fn path(&self) -> &str {
        self.request.uri().path()
    }
}

#[test]
fn requests_share_a_connection_and_are_answered_in_any_order() {
    let world = World::new(ONE);
    let (mut one, mut two) = (world.connect(), world.connect());
    one.says(request("GET /one?a=b"));
    two.says(request("GET /two"));
    let server = Server::accept(&world, |_| {});
    let (first, second) = (server.hears(), server.hears());
    assert_eq!(first.request.uri(), "http://app/one?a=b");
    assert!(!first.request.headers().contains_key("connection") && !first.request.headers().contains_key("host"));
    second.answers(&world, 200, "second");
    assert_eq!(two.hears_response().body, "second".as_bytes());
    one.hears_nothing();
    first.answers(&world, 404, "");
    assert_eq!(one.hears_response().status, 404);
    world.nobody_arrives();
    assert_eq!(world.access_log(), ["200 200 backend-1", "404 404 backend-1"]);
}

#[test]
fn a_connection_takes_so_many_requests_and_idles_so_long() {
    let world = World::new(ONE);
    let ask = |path: &str| {
        let mut browser = world.connect();
        browser.says(request(&format!("GET {path}")));
        browser
    };
    let mut browser = ask("/1");
    let server = Server::accept(&world, |_| {});
    server.hears().answers(&world, 200, "1");
    assert_eq!(browser.hears_response().body, "1".as_bytes());
    for _ in 2..=3 {
        world.passes(Duration::from_secs(9));
        let mut browser = ask("/more");
        server.hears().answers(&world, 200, "more");
        assert_eq!(browser.hears_response().body, "more".as_bytes());
    }
    let _browser = ask("/4");
    let second = Server::accept(&world, |_| {});
    second.hears().answers(&world, 200, "4");
    world.passes(Duration::from_secs(13));
    let _browser = ask("/5");
    Server::accept(&world, |_| {}).hears().answers(&world, 200, "5");
}

#[test]
fn no_more_streams_are_begun_than_the_server_takes() {
    let world = World::new(ONE);
    let browsers: Vec<_> = (0..3)
        .map(|_| {
            let mut browser = world.connect();
            browser.says(request("GET /"));
            browser
        })
        .collect();
    let first = Server::accept(&world, |builder| _ = builder.max_concurrent_streams(2));
    let two = [first.hears(), first.hears()];
    assert!(first.arrives().is_none());
    let second = Server::accept(&world, |builder| _ = builder.max_concurrent_streams(2));
    second.hears().answers(&world, 200, "third");
    two.into_iter().for_each(|asked| asked.answers(&world, 200, "first"));
    for mut browser in browsers {
        assert_eq!(browser.hears_response().status, 200);
    }
}

#[test]
fn a_body_goes_both_ways_as_far_as_the_readers_let_it() {
    let world = World::with_pipes(ONE, 1024 * 1024, 64 * 1024);
    let mut browser = world.connect();
    let body = noise(300_000);
    browser.says(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()));
    browser.says(&body);
    let server = Server::accept(&world, |_| {});
    let Asked { request, mut respond } = server.hears();
    assert_eq!(request.headers()["content-length"], "300000");
    let mut receive = request.into_body();
    let mut got = Vec::new();
    while got.len() < body.len() {
        let data = world.runs(async { receive.data().await }).expect("more to come").expect("no error");
        receive.flow_control().release_capacity(data.len()).expect("the stream is open");
        got.extend_from_slice(&data);
    }
    assert!(got == body && receive.is_end_stream());
    let mut send = respond.send_response(Response::new(()), false).expect("the stream is open");
    send.send_data(got.into(), false).expect("the stream is open");
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("7"));
    send.send_trailers(trailers).expect("the stream is open");
    let response = browser.hears_response();
    assert!(response.body == body, "{} bytes", response.body.len());
}

#[test]
fn a_slow_client_stops_its_stream_and_no_other() {
    let world = World::new(ONE);
    let (mut slow, mut quick) = (world.connect(), world.connect());
    slow.says(request("GET /slow"));
    quick.says(request("GET /quick"));
    let server = Server::accept(&world, |_| {});
    let (mut first, second) = (server.hears(), server.hears());
    assert_eq!((first.path(), second.path()), ("/slow", "/quick"));
    let mut send = first.begins();
    let body = noise(2 * 1024 * 1024);
    send.send_data(body.clone().into(), true).expect("the stream is open");
    second.answers(&world, 200, "quick");
    assert_eq!(quick.hears_response().body, "quick".as_bytes());
    // The window, the pipe and `proxy_buffers` hold less than half of it; the rest waits at the server.
    send.reserve_capacity(1);
    assert_eq!(send.capacity(), 0);
    let heard = slow.hears_response();
    assert!(heard.body == body, "{} bytes", heard.body.len());
}

#[test]
fn a_stream_that_the_server_never_looked_at_is_sent_again() {
    for by_reset in [true, false] {
        let world = World::new(ONE);
        let mut browser = world.connect();
        browser.says(request("GET /first"));
        let server = Server::accept(&world, |_| {});
        server.hears().answers(&world, 200, "first");
        assert_eq!(browser.hears_response().body, "first".as_bytes());
        // Not idempotent, so that only the server's word allows it.
        let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
        match by_reset {
            true => {
                browser.says(post);
                server.hears().respond.send_reset(Reason::REFUSED_STREAM);
            }
            false => {
                server.orders(Order::GoAway);
                browser.says(post);
            }
        }
        let second = Server::accept(&world, |_| {});
        second.hears().answers(&world, 200, "again");
        assert_eq!(browser.hears_response().body, "again".as_bytes());
        assert_eq!(world.access_log().len(), 2);
    }
}

#[test]
fn a_stream_that_the_server_resets_is_502() {
    let world = World::new(ONE);
    let mut browser = world.connect();
    browser.says(request("GET /"));
    let server = Server::accept(&world, |_| {});
    server.hears().respond.send_reset(Reason::INTERNAL_ERROR);
    assert_eq!(browser.hears_response().status, 502);
    world.log_says("upstream rejected request with error 2 while reading response header from upstream");
}

#[test]
fn a_connection_that_breaks_is_502_for_all_its_requests() {
    let world = World::new(ONE);
    let mut browsers = [world.connect(), world.connect()];
    for browser in &mut browsers {
        browser.says("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    }
    let server = Server::accept(&world, |_| {});
    let _asked = [server.hears(), server.hears()];
    server.orders(Order::Leave);
    for browser in &mut browsers {
        assert_eq!(browser.hears_response().status, 502);
    }
    world.log_says("upstream prematurely closed connection while reading response header from upstream");
}

#[test]
fn a_server_that_speaks_http_1_is_502() {
    let world = World::new(ONE);
    let mut browser = world.connect();
    browser.says(request("GET /"));
    let mut backend = world.accept();
    assert!(backend.hears_all().starts_with(b"PRI * HTTP/2.0"));
    backend.says("HTTP/1.1 400 Bad Request\r\n\r\n");
    assert_eq!(browser.hears_response().status, 502);
    world.log_says("while connecting to upstream");
}

#[test]
fn after_a_timeout_the_next_request_gets_another_connection() {
    let world = World::new(ONE);
    let mut browser = world.connect();
    browser.says(request("GET /"));
    let first = Server::accept(&world, |_| {});
    let _asked = first.hears();
    world.passes(Duration::from_secs(5));
    assert_eq!(browser.hears_response().status, 504);
    world.log_says("upstream timed out (110: Connection timed out) while reading response header from upstream");
    browser.says(request("GET /"));
    Server::accept(&world, |_| {}).hears().answers(&world, 200, "ok");
    assert_eq!(browser.hears_response().body, "ok".as_bytes());
}

#[test]
fn a_client_that_leaves_cancels_its_stream_alone() {
    let world = World::new(ONE);
    let (mut leaver, mut stayer) = (world.connect(), world.connect());
    leaver.says(request("GET /leaver"));
    stayer.says(request("GET /stayer"));
    let server = Server::accept(&world, |_| {});
    let (mut first, second) = (server.hears(), server.hears());
    leaver.closes();
    let reset = world.runs(std::future::poll_fn(|cx| first.respond.poll_reset(cx)));
    assert_eq!(reset.expect("no error"), Reason::CANCEL);
    second.answers(&world, 200, "ok");
    assert_eq!(stayer.hears_response().body, "ok".as_bytes());
}

/// Takes the handshake that became an extended CONNECT.
#[track_caller]
fn takes_websocket(world: &World, mut asked: Asked) -> (SendStream<Bytes>, RecvStream) {
    assert_eq!(asked.request.method(), "CONNECT");
    assert_eq!(asked.request.extensions().get::<h2::ext::Protocol>().expect("a protocol").as_str(), "websocket");
    let send = asked.begins();
    world.runs(async {});
    (send, asked.request.into_body())
}

#[track_caller]
fn hears(world: &World, receive: &mut RecvStream, expected: &[u8]) {
    let data = world.runs(async { receive.data().await }).expect("no end").expect("no error");
    receive.flow_control().release_capacity(data.len()).expect("the stream is open");
    assert_eq!(data, expected);
}

#[test]
fn websockets_share_a_connection_with_requests() {
    let world = World::new(ONE);
    let mut one = world.connect();
    one.says(handshake("/room"));
    let server = Server::accept(&world, |builder| _ = builder.enable_connect_protocol());
    let asked = server.hears();
    assert_eq!((asked.path(), asked.request.headers().contains_key("sec-websocket-key")), ("/room", false));
    let (mut send, mut receive) = takes_websocket(&world, asked);
    let head = one.hears_head();
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
    let mut two = world.connect();
    two.says(request("GET /page"));
    server.hears().answers(&world, 200, "page");
    assert_eq!(two.hears_response().body, b"page");
    // A masked "Hi" and its echo.
    one.says(b"\x81\x82\0\0\0\0Hi");
    hears(&world, &mut receive, b"\x81\x82\0\0\0\0Hi");
    send.send_data(Bytes::from_static(b"\x81\x02Hi"), false).expect("the stream is open");
    one.hears(b"\x81\x02Hi");
    one.half_closes();
    let last = world.runs(async { receive.data().await });
    assert!(last.is_none_or(|last| last.expect("no error").is_empty()) && receive.is_end_stream());
    send.send_data(Bytes::new(), true).expect("the stream is open");
    one.hears_the_end();
    world.nobody_arrives();
}

#[test]
fn a_server_that_takes_no_websockets_as_streams_is_asked_over_http_1() {
    let world = World::new(ONE);
    let mut one = world.connect();
    one.says(handshake("/room"));
    let server = Server::accept(&world, |_| {});
    let mut backend = world.accept();
    assert!(backend.hears_head().starts_with("GET /room HTTP/1.1\r\n"));
    backend.says(SWITCHING);
    assert!(one.hears_head().starts_with("HTTP/1.1 101 "));
    assert!(server.arrives().is_none());
    // Now it is known, for as long as that connection lives.
    let mut two = world.connect();
    two.says(handshake("/room"));
    assert!(world.accept().hears_head().starts_with("GET /room HTTP/1.1\r\n"));
}

#[test]
fn a_websocket_that_the_server_refuses_gets_its_answer() {
    let world = World::new(ONE);
    let mut browser = world.connect();
    browser.says(handshake("/room"));
    let server = Server::accept(&world, |builder| _ = builder.enable_connect_protocol());
    server.hears().answers(&world, 403, "no");
    let response = browser.hears_response();
    assert_eq!((response.status, &response.body[..]), (403, &b"no"[..]));
}

#[test]
fn a_websocket_stream_that_is_reset_ends_its_tunnel() {
    let world = World::new(ONE);
    let mut browser = world.connect();
    browser.says(handshake("/room"));
    let server = Server::accept(&world, |builder| _ = builder.enable_connect_protocol());
    let (mut send, _receive) = takes_websocket(&world, server.hears());
    browser.hears_head();
    send.send_reset(Reason::CANCEL);
    browser.is_closed();
    world.log_says("while proxying upgraded connection");
}

#[test]
fn a_websocket_stops_its_server_while_its_client_takes_nothing() {
    let world = World::new(ONE);
    let mut browser = world.connect();
    browser.says(handshake("/room"));
    let server = Server::accept(&world, |builder| _ = builder.enable_connect_protocol());
    let (mut send, _receive) = takes_websocket(&world, server.hears());
    browser.hears_head();
    let payload = noise(2 * 1024 * 1024);
    let frame = [&b"\x82\x7f"[..], &(payload.len() as u64).to_be_bytes(), &payload].concat();
    send.send_data(frame.clone().into(), true).expect("the stream is open");
    send.reserve_capacity(1);
    world.runs(async {});
    assert_eq!(send.capacity(), 0);
    assert!(browser.hears_all() == frame);
}
