//! What a reload changes, and what it leaves alone.

use super::*;

#[test]
fn a_reload_leaves_open_tunnels_alone() {
    let world = world!(&site("worker_processes 2;", "version 0"));
    let server = Server::bind(world.at(9001));
    let mut tunnels: Vec<_> = (0..20).map(|_| server.upgrade(world.at(8080), "/chat")).collect();
    for version in 1..=10 {
        let text = format!("version {version}");
        world.reload_until(&site("worker_processes 2;", &text), "/", &text);
        for (client, upstream) in &mut tunnels {
            client.says(&Frame::text(&text));
            upstream.hears_text(&text);
            upstream.says(&Frame::text(&text));
            client.hears_text(&text);
        }
    }
}

#[test]
fn a_reload_spares_tunnels_from_worker_shutdown_timeout() {
    // nginx ends them: there, the timeout is for the workers that a reload leaves behind as well.
    let main = "worker_shutdown_timeout 500ms;";
    let world = world!(&site(main, "old"));
    let (mut client, mut upstream) = Server::bind(world.at(9001)).upgrade(world.at(8080), "/chat");
    world.reload_until(&site(main, "new"), "/", "new");
    client.hears_nothing_for(Duration::from_millis(1_200));
    client.says(&Frame::text("still here"));
    upstream.hears_text("still here");
}

#[test]
fn a_tunnel_keeps_the_values_that_it_was_opened_with() {
    let with = |timeout: &str| {
        format!(
            "server {{ listen {{address}}:8080; location = /v {{ return 200 '{timeout}'; }}
             location / {{ proxy_pass http://{{address}}:9001; proxy_read_timeout {timeout}; proxy_http_version 1.1;
             proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }} }}"
        )
    };
    let world = world!(&with("60s"));
    let server = Server::bind(world.at(9001));
    let (mut old, _old_upstream) = server.upgrade(world.at(8080), "/");
    world.reload_until(&with("500ms"), "/v", "500ms");
    let (mut new, _new_upstream) = server.upgrade(world.at(8080), "/");
    new.hears_the_end();
    old.hears_nothing_for(Duration::from_millis(200));
}

#[test]
fn a_bad_configuration_keeps_the_old_one() {
    let world = world!(&site("", "the old one"));
    let (mut client, mut upstream) = Server::bind(world.at(9001)).upgrade(world.at(8080), "/chat");
    world.reload("http {\n server { listen {address}:8080; retrn 200 'the new one'; }\n}");
    let line = world.error_log_shows("unknown directive \"retrn\"");
    assert!(line.contains(" [emerg] ") && line.ends_with("gateway.conf:2"), "{line}");
    assert_eq!(world.get("/").text(), "the old one");
    client.says(&Frame::text("still here"));
    upstream.hears_text("still here");
    world.reload_until(&site("", "a better one"), "/", "a better one");
}

#[test]
fn a_reload_that_cannot_bind_keeps_the_old_configuration() {
    let world = world!(&site("", "the old one"));
    let _holder = Server::bind(world.at(8090));
    world.reload(&format!("{} server {{ listen {{address}}:8090; }} }}", site("", "new").trim_end_matches('}')));
    world.error_log_shows(&format!("bind() to {} failed (98: Address already in use)", world.at(8090)));
    assert_eq!(world.get("/").text(), "the old one");
}

#[test]
fn a_reload_opens_new_listeners_and_closes_old_ones() {
    let listening = |ports: &[u16]| {
        let listens: String = ports.iter().map(|port| format!("listen {{address}}:{port}; ")).collect();
        format!("server {{ {listens} location / {{ return 200 'on {ports:?}'; }} }}")
    };
    let world = world!(&listening(&[8080, 8081]));
    assert_eq!(Client::connect(world.at(8081)).get("/").status(), 200);
    world.reload_until(&listening(&[8080, 8082]), "/", "on [8080, 8082]");
    assert_eq!(Client::connect(world.at(8082)).get("/").text(), "on [8080, 8082]");
    wait_until_refused(&world, 8081);
}

#[test]
fn a_kept_alive_connection_is_served_by_the_new_configuration_or_closed() {
    let world = world!(&site("", "old"));
    let mut client = Client::connect(world.at(8080));
    assert_eq!(client.get("/").text(), "old");
    world.reload_until(&site("", "new"), "/", "new");
    if client.try_send("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n") {
        // A connection that the reload has closed answers nothing, or with a reset.
        let answer = client.wire().take_rest().unwrap_or_default();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.is_empty() || answer.ends_with("new"), "{answer}");
    }
}

#[test]
fn no_connection_is_lost_while_the_configuration_is_reloaded() {
    let world = world!(&site("worker_processes 2;", "version 0"));
    let (done, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    // Not so many that the ports of a minute run out.
                    thread::sleep(Duration::from_millis(1));
                    let mut client = Client::connect(world.at(8080));
                    client.send("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
                    assert_eq!(client.response().status(), 200);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // Ends the loops above even if a reload fails the test.
        let _end = OnDrop(|| done.store(true, Ordering::Relaxed));
        for version in 1..=10 {
            let text = format!("version {version}");
            world.reload_until(&site("worker_processes 2;", &text), "/", &text);
        }
    });
    assert!(answered.into_inner() > 10);
}

#[test]
fn a_request_that_a_reload_finds_under_way_is_finished() {
    let world = world!(&site("", "old"));
    let server = Server::bind(world.at(9001));
    let mut client = Client::connect(world.at(8080));
    client.send("GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut upstream = server.accepts();
    upstream.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
    world.reload_until(&site("", "new"), "/", "new");
    upstream.sends(b" last");
    assert_eq!(client.response().text(), "first last");
}

#[test]
fn a_socket_opened_before_a_reload_may_ask_after_it() {
    let world = world!(&site("", "old"));
    let mut waiting = Peer::dials(world.at(8080));
    world.reload_until(&site("", "new"), "/", "new");
    waiting.tries_to_send(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let answer = waiting.reads_to_end();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}
