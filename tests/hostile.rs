//! When things go wrong: each kind of bad client, bad upstream and exhausted resource has one defined outcome, and
//! everything else goes on unharmed.

use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use culvert_testkit::websocket::{Frame, Peer, Server, switching};
use culvert_testkit::{Backend, Client, Conversation, Deadline, World, world};

/// A site whose `/` answers by itself, whose `/up` goes to port 9001 and whose `/chat` becomes a tunnel to it.
fn site(directives: &str) -> World {
    world!(&format!(
        "{directives}
         server {{
             listen {{address}}:8080;
             location / {{ return 200 'fine'; }}
             location /up {{ proxy_pass http://{{address}}:9001; proxy_http_version 1.1; }}
             location /dead {{ proxy_pass http://{{address}}:9009; }}
             location /chat {{
                 proxy_pass http://{{address}}:9001;
                 proxy_http_version 1.1;
                 proxy_set_header Upgrade $http_upgrade;
                 proxy_set_header Connection upgrade;
             }}
         }}"
    ))
}

#[track_caller]
fn is_unharmed(world: &World) {
    assert_eq!(world.get("/").text(), "fine");
}

// Clients

#[test]
fn a_client_that_sends_one_byte_a_while_is_cut_after_client_header_timeout() {
    let world = site("client_header_timeout 1s;");
    let mut client = Peer::dials(world.at(8080));
    let start = Instant::now();
    let request = b"GET / HTTP/1.1\r\nHost: a-rather-long-name.example\r\n\r\n";
    let mut bytes = request.iter();
    let answer = loop {
        client.tries_to_send(&[*bytes.next().expect("the request is longer than the client's patience")]);
        if let Some(answer) = client.reads_to_end_within(Duration::from_millis(150)) {
            break answer;
        }
    };
    let elapsed = start.elapsed();
    assert!(elapsed >= Duration::from_millis(950) && elapsed < Duration::from_secs(3), "cut after {elapsed:?}");
    assert_eq!(String::from_utf8_lossy(&answer), "");
    assert!(world.access_log_lines(1)[0].contains(" 408 "));
    is_unharmed(&world);
}

#[test]
fn a_client_that_says_nothing_is_cut_after_client_header_timeout() {
    let world = site("client_header_timeout 500ms;");
    let mut client = Peer::dials(world.at(8080));
    client.hears_nothing_for(Duration::from_millis(400));
    client.hears_the_end();
}

#[test]
fn a_body_that_stops_coming_is_cut_after_client_body_timeout() {
    let world = site("client_body_timeout 1s;");
    let mut client = Peer::dials(world.at(8080));
    let start = Instant::now();
    client.sends(b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n123");
    client.reads_to_end();
    let elapsed = start.elapsed();
    assert!(elapsed >= Duration::from_millis(950) && elapsed < Duration::from_secs(4), "cut after {elapsed:?}");
    assert!(world.access_log_lines(1)[0].contains(" 408 "));
    is_unharmed(&world);
}

#[test]
fn a_kept_alive_connection_is_closed_after_keepalive_timeout() {
    let world = site("keepalive_timeout 500ms;");
    let mut client = Client::connect(world.at(8080));
    assert_eq!(client.get("/").status(), 200);
    let start = Instant::now();
    client.is_closed();
    assert!(start.elapsed() >= Duration::from_millis(450), "{:?}", start.elapsed());
}

/// Requests of a megabyte, none of which is to be read to its end, and the status of each.
fn send_megabytes(world: &World) {
    let long = "x".repeat(1 << 20);
    for (what, request, status) in [
        ("a request line", format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), "414 Request-URI Too Large"),
        ("a header", format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n"), "400 Bad Request"),
        ("many headers", format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(200_000)), "400 Bad Request"),
        ("a header without an end", format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}"), "400 Bad Request"),
    ] {
        let mut client = Peer::dials(world.at(8080));
        client.tries_to_send(request.as_bytes());
        let answer = client.reads_to_end();
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{what}: {answer}");
    }
}

#[test]
fn a_header_of_a_megabyte_is_refused() {
    let world = site("");
    // The first round fills the buffers that a worker keeps.
    send_megabytes(&world);
    let before = world.allocated_bytes();
    (0..5).for_each(|_| send_megabytes(&world));
    let growth = world.allocated_bytes().saturating_sub(before);
    assert!(growth < 3 << 20, "the gateway grew by {growth} bytes");
    is_unharmed(&world);
}

#[test]
fn a_body_over_the_limit_is_refused() {
    let world = site("client_max_body_size 1k;");
    let server = Server::bind(world.at(9001));
    for (what, head) in [
        ("declared", "POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n"),
        ("in chunks", "POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n"),
    ] {
        let mut client = Peer::dials(world.at(8080));
        client.tries_to_send(format!("{head}{}", "x".repeat(1_500)).as_bytes());
        let answer = client.reads_head();
        assert!(answer.starts_with("HTTP/1.1 413 Request Entity Too Large\r\n"), "{what}: {answer}");
        assert_eq!(client.header("Connection"), Some("close"), "{what}: {answer}");
    }
    assert!(server.accepts_now().is_none(), "the upstream was asked");
    world.error_log_shows("client intended to send too large body: 2000 bytes");
    is_unharmed(&world);
}

#[test]
fn garbage_is_refused() {
    let world = site("");
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"\0\0\0\0\0\0\r\n\r\n",
        b"\xff\xfe\r\n\r\n",
        b"SSH-2.0-x\r\n",
    ] {
        let mut client = Peer::dials(world.at(8080));
        client.tries_to_send(garbage);
        client.ends_writing();
        let answer = client.reads_to_end();
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400 "), "{}", String::from_utf8_lossy(&answer));
    }
    is_unharmed(&world);
}

#[test]
fn a_thousand_pipelined_requests_are_answered_in_order() {
    let world =
        world!("keepalive_requests 2000; server { listen {address}:8080; location / { return 200 '$arg_n,'; } }");
    let mut client = Peer::dials(world.at(8080));
    let requests: String = (0..1_000).map(|n| format!("GET /?n={n} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    let last = "GET /?n=last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    client.sends((requests + last).as_bytes());
    let answers = client.reads_to_end();
    let answers = String::from_utf8_lossy(&answers);
    let bodies: Vec<&str> = answers.split("\r\n\r\n").skip(1).filter_map(|part| part.split(',').next()).collect();
    let expected: Vec<String> = (0..1_000).map(|n| n.to_string()).chain(["last".to_owned()]).collect();
    assert_eq!(bodies, expected);
}

#[test]
fn a_client_that_vanishes_ends_its_upstream_request() {
    let world = site("");
    let server = Server::bind(world.at(9001));
    let mut client = Peer::dials(world.at(8080));
    client.sends(b"GET /up HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut upstream = server.accepts();
    drop(client);
    upstream.hears_the_end();
    assert!(world.access_log_lines(1)[0].contains(" 499 "));
}

#[test]
fn a_client_that_vanishes_inside_a_response_ends_it() {
    let world = site("");
    let server = Server::bind(world.at(9001));
    let mut client = Peer::dials(world.at(8080));
    client.sends(b"GET /up HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut upstream = server.accepts();
    upstream.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
    upstream.sends(&[b'x'; 65_536]);
    client.reads_head();
    client.resets();
    assert!(upstream.floods_until_the_end(Duration::from_secs(10)), "the upstream was read on");
    is_unharmed(&world);
}

#[test]
fn five_hundred_half_requests_stop_nobody() {
    let world = site("");
    let half: Vec<Peer> = (0..500)
        .map(|_| {
            let mut client = Peer::dials(world.at(8080));
            client.sends(b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ");
            client
        })
        .collect();
    is_unharmed(&world);
    drop(half);
    is_unharmed(&world);
}

#[test]
fn a_reader_that_takes_nothing_is_cut_after_send_timeout() {
    let world = site("send_timeout 1s; proxy_buffering off;");
    let server = Server::bind(world.at(9001));
    let mut client = Peer::dials(world.at(8080));
    client.sends(b"GET /up HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut upstream = server.accepts();
    upstream.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
    assert!(upstream.floods_until_the_end(Duration::from_secs(15)), "the response outlived send_timeout");
    is_unharmed(&world);
}

// Upstreams

/// What the gateway answers to `GET /up` if its upstream sends `bytes` and ends.
fn answer_to(world: &World, bytes: &[u8]) -> (String, Vec<u8>) {
    let server = Server::bind(world.at(9001));
    let mut client = Peer::dials(world.at(8080));
    client.sends(b"GET /up HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let mut upstream = server.accepts();
    upstream.tries_to_send(bytes);
    drop(upstream);
    let head = client.reads_head();
    (head, client.reads_to_end())
}

#[test]
fn an_upstream_without_a_valid_head_gives_502() {
    let world = site("");
    for (what, bytes, fact) in [
        ("nothing", &b""[..], "upstream prematurely closed connection while reading response header from upstream"),
        ("half a status line", b"HTTP/1.1 20", "upstream prematurely closed connection while reading response header"),
        ("half a head", b"HTTP/1.1 200 OK\r\nContent-Le", "upstream prematurely closed connection while reading"),
        ("no HTTP", b"220 smtp.example ESMTP\r\n\r\n", "upstream sent "),
        ("a header without a name", b"HTTP/1.1 200 OK\r\n: x\r\n\r\n", "upstream sent invalid header"),
        ("a status beyond three digits", b"HTTP/1.1 2000 OK\r\n\r\n", "upstream sent "),
        (
            "two lengths",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
            "upstream sent duplicate header line",
        ),
        (
            "a length that is none",
            b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nx",
            "upstream sent invalid \"Content-Length\" header",
        ),
        ("a NUL", b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n", "upstream sent invalid header"),
    ] {
        let (head, _) = answer_to(&world, bytes);
        assert!(head.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{what}: {head}");
        world.error_log_shows(fact);
        std::fs::write(world.dir().join("error.log"), "").expect("the log is ours");
    }
    is_unharmed(&world);
}

#[test]
fn a_head_beyond_the_buffer_gives_502() {
    let world = site("");
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 0\r\n\r\n", "x".repeat(1 << 20));
    let (head, _) = answer_to(&world, long.as_bytes());
    assert!(head.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{head}");
    world.error_log_shows("upstream sent too big header while reading response header from upstream");
    is_unharmed(&world);
}

#[test]
fn an_upstream_that_ends_inside_a_body_leaves_the_client_with_an_unfinished_one() {
    let world = site("");
    let (head, body) = answer_to(&world, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("Content-Length: 10\r\n"), "{head}");
    assert_eq!(body, b"12345");
    world.error_log_shows("upstream prematurely closed connection while reading upstream");

    let (head, body) = answer_to(&world, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n5\r\n12");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(!String::from_utf8_lossy(&body).ends_with("0\r\n\r\n"), "the cut body looks whole");
    is_unharmed(&world);
}

#[test]
fn an_upstream_whose_chunks_are_none_leaves_the_client_with_an_unfinished_body() {
    let world = site("");
    let server = Server::bind(world.at(9001));
    let mut client = Peer::dials(world.at(8080));
    client.sends(b"GET /up HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    server.accepts().sends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\nxyz\r\n");
    let answer = client.reads_to_end();
    let answer = String::from_utf8_lossy(&answer);
    assert!(
        answer.starts_with("HTTP/1.1 502 ") || !answer.ends_with("0\r\n\r\n"),
        "the cut body looks whole: {answer}"
    );
    world.error_log_shows("upstream sent invalid chunked response");
    is_unharmed(&world);
}

#[test]
fn a_response_that_drips_passes_as_long_as_proxy_read_timeout_lets_it() {
    let world = site("proxy_read_timeout 1s; proxy_buffering off;");
    let server = Server::bind(world.at(9001));
    let mut client = Peer::dials(world.at(8080));
    client.sends(b"GET /up HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let mut upstream = server.accepts();
    upstream.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
    client.reads_head();
    for byte in b"drop" {
        upstream.sends(&[*byte]);
        assert_eq!(client.reads(1), [*byte]);
        client.hears_nothing_for(Duration::from_millis(500));
    }
    assert_eq!(client.reads_to_end(), b"");
    world.error_log_shows("upstream timed out (110: Connection timed out) while reading upstream");
}

// Memory

#[test]
fn a_large_response_to_a_slow_reader_costs_the_gateway_no_memory() {
    let world = site("");
    let server = Server::bind(world.at(9001));
    let mut client = Peer::dials(world.at(8080));
    client.sends(b"GET /up HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let mut upstream = server.accepts();
    let total = 200 << 20;
    upstream.sends(format!("HTTP/1.1 200 OK\r\nContent-Length: {total}\r\n\r\n").as_bytes());
    let before = world.allocated_bytes();
    let chunk = vec![b'x'; 1 << 20];
    let taken = upstream.floods(&chunk, total, Duration::from_millis(500));
    let growth = world.allocated_bytes().saturating_sub(before);
    assert!(growth < 4 << 20, "the gateway grew by {growth} bytes");
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut left = total - taken;
            while left > 0 {
                let length = left.min(chunk.len());
                upstream.sends(&chunk[..length]);
                left -= length;
            }
        });
        client.reads_head();
        for _ in 0..total >> 20 {
            client.reads(1 << 20);
        }
        client.hears_the_end();
    });
}

/// Uploads so many megabytes through the gateway; what its memory is while they pass.
fn upload(world: &World, server: &Server, megabytes: usize) -> usize {
    let mut client = Peer::dials(world.at(8080));
    let length = megabytes << 20;
    let head = format!("POST /up HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    client.sends(head.as_bytes());
    let mut upstream = server.accepts();
    thread::scope(|scope| {
        let mut writer = client.stream().try_clone().expect("a socket can be cloned");
        scope.spawn(move || {
            let chunk = vec![b'x'; 1 << 20];
            (0..megabytes).for_each(|_| writer.write_all(&chunk).expect("the gateway reads"));
        });
        (0..megabytes).for_each(|_| assert_eq!(upstream.reads(1 << 20).len(), 1 << 20));
    });
    let memory = world.allocated_bytes();
    upstream.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine");
    assert!(client.reads_head().starts_with("HTTP/1.1 200 OK\r\n"), "{}", client.head());
    memory
}

#[test]
fn a_large_upload_costs_the_gateway_no_memory() {
    let world = site("client_max_body_size 0; proxy_request_buffering off;");
    let server = Server::bind(world.at(9001));
    let small = upload(&world, &server, 10);
    let large = upload(&world, &server, 300);
    assert!(large < small + (4 << 20), "{small} bytes for 10 MB, {large} bytes for 300 MB");
}

// Exhaustion

#[test]
fn out_of_descriptors_it_stops_accepting_and_goes_on_later() {
    let mut world = world!(
        "worker_processes 1; worker_rlimit_nofile 64; events { worker_connections 512; }
         http {
             access_log off;
             server {
                 listen {address}:8080;
                 location / { return 200 'fine'; }
                 location /chat {
                     proxy_pass http://{address}:9001;
                     proxy_http_version 1.1;
                     proxy_set_header Upgrade $http_upgrade;
                     proxy_set_header Connection upgrade;
                 }
             }
         }"
    );
    let server = Server::bind(world.at(9001));
    let (mut client, mut upstream) = server.upgrade(world.at(8080), "/chat");
    let crowd: Vec<Peer> = (0..100).map(|_| Peer::dials(world.at(8080))).collect();
    world.error_log_shows("(24: Too many open files)");
    let busy = world.gateway().cpu_time();
    thread::sleep(Duration::from_millis(700));
    let busy = world.gateway().cpu_time() - busy;
    assert!(busy < Duration::from_millis(200), "out of descriptors, the gateway is busy for {busy:?}");
    client.says(&Frame::text("unharmed"));
    upstream.hears_text("unharmed");
    drop(crowd);
    is_unharmed(&world);
    let complaints = world.place().read("error.log").matches("accept4() failed (24: Too many open files)").count();
    assert!((1..50).contains(&complaints), "{complaints} complaints");
}

#[test]
fn beyond_worker_connections_it_refuses_and_goes_on_later() {
    let world = world!(
        "worker_processes 1; events { worker_connections 20; }
         http { access_log off; server { listen {address}:8080; location / { return 200 'fine'; } } }"
    );
    let crowd: Vec<Peer> = (0..40).map(|_| Peer::dials(world.at(8080))).collect();
    world.error_log_shows("20 worker_connections are not enough");
    drop(crowd);
    Deadline::default().until("a free connection", || {
        let mut client = Client::try_connect(&world.at(8080).into(), None).ok()?;
        client.try_send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let answer = client.wire().take_rest().unwrap_or_default();
        answer.ends_with(b"fine").then_some(())
    });
}

/// How many connections each of the four clients below makes.
const VISITS: usize = 2_500;

#[test]
fn ten_thousand_good_and_bad_connections_leave_nothing_behind() {
    let mut world = site("keepalive_timeout 5s; client_header_timeout 5s; large_client_header_buffers 4 8k;");
    let _backend = Backend::start(world.at(9001), |conversation| {
        while let Some(request) = conversation.request() {
            if !behave(request.head.target(), conversation) {
                break;
            }
        }
    });
    // A first round fills the pools and the buffers that a worker keeps.
    visit(&world, 200);
    let counts = |world: &mut World| (world.gateway().descriptors(), world.gateway().threads());
    let settle = |world: &mut World, before: (usize, usize)| {
        Deadline::after(Duration::from_secs(20)).try_until(|| {
            let now = counts(world);
            (now.0 <= before.0 && now.1 <= before.1).then_some(())
        })
    };
    // Kept-alive upstream connections and the like have gone when the count has not moved for a while.
    let before = Deadline::after(Duration::from_secs(20)).until("the counts to rest", || {
        let first = counts(&mut world);
        thread::sleep(Duration::from_millis(200));
        (counts(&mut world) == first).then_some(first)
    });
    let memory = world.allocated_bytes();
    visit(&world, VISITS);
    let settled = settle(&mut world, before);
    assert!(settled.is_some(), "{before:?} descriptors and threads have become {:?}", counts(&mut world));
    let growth = world.allocated_bytes().saturating_sub(memory);
    assert!(growth < 6 << 20, "the gateway grew by {growth} bytes");
    is_unharmed(&world);
}

/// What the upstream does for a target; whether it goes on with the connection.
fn behave(target: &str, conversation: &mut Conversation) -> bool {
    match target {
        "/chat" => {
            conversation.send(switching(""));
            while let Some(frame) = conversation.read_exact(8) {
                conversation.send(frame);
            }
            false
        }
        "/up/cut" => {
            conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n123");
            false
        }
        "/up/bad" => {
            conversation.send("HTTP/1.1 200 OK\r\nbad header\r\n\r\n");
            false
        }
        "/up/reset" => {
            conversation.reset();
            false
        }
        _ => conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    }
}

/// Four clients, each of which comes so many times in one of eleven ways.
fn visit(world: &World, times: usize) {
    let address = world.at(8080);
    thread::scope(|scope| {
        for client in 0..4 {
            scope.spawn(move || (0..times).for_each(|number| call(address, (number + client) % 11)));
        }
    });
}

fn call(address: std::net::SocketAddr, way: usize) {
    let ask = |request: &str| {
        let mut peer = Peer::dials(address);
        peer.tries_to_send(request.as_bytes());
        peer
    };
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    match way {
        0 => assert!(ask(&get("/")).reads_to_end().ends_with(b"fine")),
        1 => assert!(ask(&get("/up")).reads_to_end().ends_with(b"ok")),
        2 => {
            let mut peer = Peer::connect(address, "/chat");
            peer.says(&Frame::text("hi"));
            // The echo is the client's own masked frame, eight bytes long.
            assert_eq!(peer.reads(8).len(), 8);
        }
        3 => Peer::connect(address, "/chat").resets(),
        4 => drop(ask("GET / HTTP/1.1\r\nHost: a\r\nX: ")),
        5 => drop(ask("\x16\x03\x01 garbage\r\n\r\n").reads_to_end()),
        6 => assert!(ask(&get("/dead")).reads_to_end().starts_with(b"HTTP/1.1 502 ")),
        7 => drop(ask(&get("/up/cut")).reads_to_end()),
        8 => drop(ask(&get("/up/bad")).reads_to_end()),
        9 => drop(ask(&get("/up/reset")).reads_to_end()),
        _ => drop(
            ask("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n").reads_head(),
        ),
    }
}

#[test]
fn a_crowd_that_connects_and_leaves_at_once_is_forgotten() {
    let mut world = site("");
    is_unharmed(&world);
    let before = world.gateway().descriptors();
    for _ in 0..1_000 {
        drop(Peer::dials(world.at(8080)));
    }
    Deadline::default()
        .until("the descriptors of the beginning", || (world.gateway().descriptors() <= before).then_some(()));
    let mut rest = Vec::new();
    std::fs::File::open(world.dir().join("error.log")).and_then(|mut log| log.read_to_end(&mut rest)).expect("a log");
    assert!(!String::from_utf8_lossy(&rest).contains("[alert]"), "{}", String::from_utf8_lossy(&rest));
}
