//! Too many connections, and what is left when they have gone.

use super::*;

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
    assert!(growth < GROWTH_BYTES_MAX, "the gateway grew by {growth} bytes");
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
