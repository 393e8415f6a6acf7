//! `type=websocket`: a handshake, a ping, its pong, and a Close.

use super::*;

fn check(more: &str) -> String {
    format!("health_check type=websocket uri=/live interval=100ms timeout=300ms mandatory {more};")
}

#[test]
fn a_real_websocket_server_passes() {
    let place = Place::new();
    let _echo = node::Echo::start(place.at(PORT), &["--protocols", "chat"]);
    let world = world!(&site(&[place.at(PORT).to_string()], &check("protocol=chat")));
    Deadline::default().until("a tunnel", || (world.get("/").status() == 200).then_some(()));
    let mut peer = Peer::connect(world.at(8080), "/room");
    peer.says(&Frame::text("hello"));
    peer.hears_text("Server received from client: hello");
    assert_eq!(lines_with(&world, "health check") - lines_with(&world, "peer is healthy"), 0);
}

#[test]
fn a_server_that_does_not_know_the_subprotocol_fails() {
    let place = Place::new();
    let _echo = node::Echo::start(place.at(PORT), &["--protocols", "chat"]);
    let world = world!(&site(&[place.at(PORT).to_string()], &check("protocol=other")));
    world.error_log_shows("peer is unhealthy while checking websocket handshake");
}

#[test]
fn a_server_that_refuses_sockets_fails() {
    let place = Place::new();
    let _echo = node::Echo::start(place.at(PORT), &["--refuse", "503"]);
    let world = world!(&site(&[place.at(PORT).to_string()], &check("")));
    world.error_log_shows("unexpected status 503 while checking status code, health check \"\" of peer");
    assert_eq!(world.get("/").status(), 502);
}

#[test]
fn a_server_that_accepts_somebody_elses_handshake_fails() {
    let place = Place::new();
    let _confused = Backend::start(place.at(PORT), |conversation| {
        if conversation.head().is_some() && conversation.send(switching("")) {
            conversation.read_to_close();
        }
    });
    let world = world!(&site(&[place.at(PORT).to_string()], &check("")));
    world.error_log_shows("upstream sent a wrong \"Sec-WebSocket-Accept\" while checking websocket handshake");
    world.error_log_shows("peer is unhealthy while checking websocket handshake");
}
