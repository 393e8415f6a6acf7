//! `max_conns` and `queue`: who waits, for how long, and who is turned away.

use super::*;
use culvert_testkit::websocket::Server;

/// One server with room for one tunnel, and a queue.
fn crowded(queue: &str) -> (World, Server, Place) {
    let place = Place::new();
    let server = Server::bind(place.at(9001));
    let world = world!(&site_of(&[format!("{} max_conns=1", place.at(9001))], queue));
    (world, server, place)
}

/// Sends a request and waits for nothing.
fn asks(world: &World) -> Peer {
    let mut peer = Peer::dials(world.at(8080));
    peer.sends(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    peer
}

/// Waits until one of the peers has been turned away, takes it out, and gives what it was told.
#[track_caller]
fn one_is_turned_away(peers: &mut Vec<Peer>) -> String {
    let (at, answer) = Deadline::default().until("an answer", || {
        peers.iter_mut().enumerate().find_map(|(at, peer)| {
            let answer = peer.reads_to_end_within(Duration::from_millis(1))?;
            Some((at, String::from_utf8_lossy(&answer).into_owned()))
        })
    });
    peers.remove(at);
    answer
}

#[test]
fn a_place_that_is_freed_goes_to_who_waits() {
    let (world, server, _place) = crowded("queue 1 timeout=60s;");
    let (client, mut upstream) = server.upgrade(world.at(8080), "/room");
    // Of two who come, one waits. The other finds the queue full.
    let mut crowd = vec![asks(&world), asks(&world)];
    let answer = one_is_turned_away(&mut crowd);
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    world.error_log_shows("upstream queue is full while connecting to upstream, client: ");
    assert!(server.accepts_now().is_none());
    drop(client);
    upstream.reads_to_end();
    drop(upstream);
    let mut next = server.accepts();
    next.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext");
    assert!(crowd[0].reads_to_end().ends_with(b"next"));
    let lines = world.access_log_lines(3);
    let waited = lines.iter().find(|line| line.starts_with("200 ")).expect("the answer's line");
    let time = waited.rsplit(' ').next().and_then(|time| time.parse::<f64>().ok());
    assert!(time.is_some(), "{lines:?}");
}

#[test]
fn who_waits_for_too_long_is_turned_away() {
    let (world, server, _place) = crowded("queue 5 timeout=300ms;");
    let (mut client, mut upstream) = server.upgrade(world.at(8080), "/room");
    let begin = Instant::now();
    let answer = asks(&world).reads_to_end();
    let waited = begin.elapsed();
    assert!(answer.starts_with(b"HTTP/1.1 502 "), "{}", String::from_utf8_lossy(&answer));
    assert!(waited >= Duration::from_millis(300), "{waited:?}");
    world.error_log_shows("upstream timed out (110: Connection timed out) while waiting in upstream queue, client: ");
    client.says(&Frame::text("unharmed"));
    upstream.hears_text("unharmed");
}

#[test]
fn without_a_queue_nobody_waits() {
    let (world, server, _place) = crowded("");
    let (_client, _upstream) = server.upgrade(world.at(8080), "/room");
    assert_eq!(world.get("/").status(), 502);
    world.error_log_shows("no live upstreams while connecting to upstream, client: ");
}

#[test]
fn who_leaves_the_queue_makes_room_in_it() {
    let (world, server, _place) = crowded("queue 1 timeout=60s;");
    let (_client, _upstream) = server.upgrade(world.at(8080), "/room");
    let mut crowd = vec![asks(&world), asks(&world)];
    one_is_turned_away(&mut crowd);
    drop(crowd);
    world.error_log_shows("client prematurely closed connection while waiting in upstream queue");
    // The newcomer waits, and so another one does not.
    let mut crowd = vec![asks(&world), asks(&world)];
    assert!(one_is_turned_away(&mut crowd).starts_with("HTTP/1.1 502 "));
    assert!(world.place().read("access.log").contains("499 "));
}

#[test]
fn a_server_that_joins_takes_who_waits() {
    let (world, server, place) = crowded("queue 5 timeout=60s;");
    let (_client, _upstream) = server.upgrade(world.at(8080), "/room");
    let mut waiting = asks(&world);
    waiting.hears_nothing_for(Duration::from_millis(100));
    let other = Host::new("other");
    let servers = [format!("{} max_conns=1", place.at(9001)), other.at().to_string()];
    world.reload(&site_of(&servers, "queue 5 timeout=60s;"));
    assert!(waiting.reads_to_end().ends_with(b"other"));
}
