//! How it stops, at once and gracefully.

use super::*;

#[test]
fn term_and_int_stop_at_once_and_exit_with_0() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut world = world!(&site("", "hello"));
        let (mut client, mut upstream) = Server::bind(world.at(9001)).upgrade(world.at(8080), "/chat");
        assert_eq!(world.ends_by(signal, SOON).code(), Some(0), "{signal}");
        client.reads_to_end();
        upstream.reads_to_end();
    }
}

#[test]
fn quit_lets_tunnels_go_on_and_ends_with_the_last() {
    let mut world = world!(&site("", "hello"));
    let (mut client, mut upstream) = Server::bind(world.at(9001)).upgrade(world.at(8080), "/chat");
    let mut idle = Client::connect(world.at(8080));
    assert_eq!(idle.get("/").status(), 200);
    world.gateway().signal(Signal::SIGQUIT);
    idle.is_closed();
    wait_until_refused(&world, 8080);
    client.says(&Frame::text("still here"));
    upstream.hears_text("still here");
    assert_eq!(world.gateway().process().exited(), None);
    drop(client);
    upstream.hears_the_end();
    drop(upstream);
    assert_eq!(world.waits_for_the_end(SOON).code(), Some(0));
    assert_eq!(world.access_log_lines(2).len(), 2);
}

#[test]
fn quit_answers_a_connection_that_has_not_asked_yet() {
    let mut world = world!(&site("", "hello"));
    let mut waiting = Client::connect(world.at(8080));
    // It was accepted before this one, which has been answered.
    assert_eq!(world.get("/").status(), 200);
    world.gateway().signal(Signal::SIGQUIT);
    wait_until_refused(&world, 8080);
    let response = waiting.get("/");
    assert_eq!((response.status(), response.header("Connection")), (200, Some("close")));
    waiting.is_closed();
    assert_eq!(world.waits_for_the_end(SOON).code(), Some(0));
}

#[test]
fn quit_lets_a_request_finish() {
    let mut world = world!(&site("", "hello"));
    let server = Server::bind(world.at(9001));
    let mut client = Client::connect(world.at(8080));
    client.send("GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut upstream = server.accepts();
    upstream.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
    world.gateway().signal(Signal::SIGQUIT);
    wait_until_refused(&world, 8080);
    upstream.sends(b" last");
    let response = client.response();
    assert_eq!((response.status(), response.text().as_str()), (200, "first last"));
    client.is_closed();
    assert_eq!(world.waits_for_the_end(SOON).code(), Some(0));
}

#[test]
fn quit_cuts_tunnels_after_worker_shutdown_timeout() {
    let mut world = world!(&site("worker_shutdown_timeout 1s;", "hello"));
    let (mut client, mut upstream) = Server::bind(world.at(9001)).upgrade(world.at(8080), "/chat");
    let start = Instant::now();
    world.gateway().signal(Signal::SIGQUIT);
    client.reads_to_end();
    assert!(start.elapsed() >= Duration::from_millis(950), "cut after {:?}", start.elapsed());
    upstream.reads_to_end();
    assert_eq!(world.waits_for_the_end(SOON).code(), Some(0));
    let lines = world.access_log_lines(1);
    assert!(lines[0].contains("GET /chat HTTP/1.1\" 101 "), "{lines:?}");
}

#[test]
fn a_second_signal_ends_a_patient_gateway() {
    let mut world = world!(&site("", "hello"));
    let (mut client, _upstream) = Server::bind(world.at(9001)).upgrade(world.at(8080), "/chat");
    world.gateway().signal(Signal::SIGQUIT);
    wait_until_refused(&world, 8080);
    assert_eq!(world.ends_by(Signal::SIGTERM, SOON).code(), Some(0));
    client.reads_to_end();
}

#[test]
fn a_graceful_stop_loses_no_log_line() {
    let mut world = world!(&site("worker_processes 2;", "hello"));
    let mut client = Client::connect(world.at(8080));
    let mut other = Client::connect(world.at(8080));
    for number in 0..250 {
        assert_eq!(client.get(&format!("/{number}")).status(), 200);
        assert_eq!(other.get(&format!("/{number}")).status(), 200);
    }
    assert_eq!(world.ends_by(Signal::SIGQUIT, SOON).code(), Some(0));
    assert_eq!(world.gateway().access_log().lines().count(), 500);
}

#[test]
fn a_stop_waits_for_no_idle_upstream_connection() {
    let mut world = world!(
        "upstream pool { server {address}:9001; keepalive 8; }
         server { listen {address}:8080; location / {
             proxy_pass http://pool; proxy_http_version 1.1; proxy_set_header Connection ''; } }"
    );
    let _backend = Backend::answering(world.at(9001), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(world.get("/").text(), "ok");
    assert_eq!(world.ends_by(Signal::SIGQUIT, SOON).code(), Some(0));
}
