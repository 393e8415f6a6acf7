//! `on_server_down` and `rebalance`: tunnels that are told to go elsewhere.

use super::*;

/// A WebSocket server whose health is asked at another port.
struct Sockets {
    place: Place,
    server: Server,
    health: Option<Backend>,
}

impl Sockets {
    fn new() -> Sockets {
        let place = Place::new();
        let server = Server::bind(place.at(PORT));
        let mut sockets = Sockets { place, server, health: None };
        sockets.is_up();
        sockets
    }

    fn is_up(&mut self) {
        self.health = Some(Backend::answering(self.place.at(9002), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    }

    fn is_down(&mut self) {
        self.health = None;
    }

    fn address(&self) -> String {
        self.place.at(PORT).to_string()
    }
}

const CHECK: &str = "health_check interval=50ms port=9002;";

#[track_caller]
fn is_sent_away(client: &mut Peer, upstream: &mut Peer) -> String {
    let frame = client.hears();
    assert_eq!(frame.opcode, 8);
    assert_eq!(frame.payload[..2], 1012_u16.to_be_bytes());
    client.says(&Frame::close(1012, ""));
    upstream.reads_to_end();
    client.hears_the_end();
    String::from_utf8_lossy(&frame.payload[2..]).into_owned()
}

#[test]
fn tunnels_of_a_server_that_is_down_stay_unless_told_otherwise() {
    let mut one = Sockets::new();
    let world = world!(&site(&[one.address()], CHECK));
    let (mut client, mut upstream) = one.server.upgrade(world.at(8080), "/room");
    one.is_down();
    world.error_log_shows("peer is unhealthy");
    client.says(&Frame::text("still here"));
    upstream.hears_text("still here");
}

#[test]
fn tunnels_of_a_server_that_is_down_are_closed_at_a_rate() {
    let mut one = Sockets::new();
    let world = world!(&site(&[one.address()], &format!("{CHECK} on_server_down close rate=10;")));
    let mut pairs: Vec<_> = (0..15).map(|_| one.server.upgrade(world.at(8080), "/room")).collect();
    let begin = std::time::Instant::now();
    one.is_down();
    world.error_log_shows(&format!("closing the tunnels of {}, which is down, upstream: \"app\"", one.address()));
    for (client, upstream) in &mut pairs {
        assert_eq!(is_sent_away(client, upstream), "server down");
    }
    // Ten in the first second, five in the next.
    assert!(begin.elapsed().as_millis() >= 1000, "{:?}", begin.elapsed());
    world.error_log_shows(&format!("closed 15 tunnels of {}", one.address()));
}

#[test]
fn a_server_that_joins_gets_its_share() {
    let (one, two) = (Sockets::new(), Sockets::new());
    let rebalance = "least_conn; rebalance rate=100 threshold=20% jitter=5s;";
    let world = world!(&site(&[one.address()], rebalance));
    let mut pairs: Vec<_> = (0..20).map(|_| one.server.upgrade(world.at(8080), "/room")).collect();
    world.reload(&site(&[one.address(), two.address()], rebalance));
    world.error_log_shows("rebalancing, spread 200%, threshold 20%, upstream: \"app\"");
    let reasons: Vec<String> =
        pairs[..10].iter_mut().map(|(client, upstream)| is_sent_away(client, upstream)).collect();
    assert!(reasons.iter().all(|reason| reason.starts_with("rebalance, retry after ")), "{reasons:?}");
    // Those that came later stay.
    for (client, upstream) in &mut pairs[10..] {
        client.says(&Frame::text("still here"));
        upstream.hears_text("still here");
    }
    let _back: Vec<_> = (0..10).map(|_| two.server.upgrade(world.at(8080), "/room")).collect();
    world.error_log_shows("rebalanced, 10 tunnels closed, spread ");
}

#[test]
fn a_dry_run_only_says_what_it_would_do() {
    let (one, two) = (Sockets::new(), Sockets::new());
    let rebalance = "rebalance rate=10 threshold=20% dry_run;";
    let world = world!(&site(&[one.address()], rebalance));
    let mut pairs: Vec<_> = (0..4).map(|_| one.server.upgrade(world.at(8080), "/room")).collect();
    world.reload(&site(&[one.address(), two.address()], rebalance));
    world.error_log_shows(&format!("rebalancing would now close 1 tunnels of {}, spread 200%", one.address()));
    for (client, upstream) in &mut pairs {
        client.says(&Frame::text("still here"));
        upstream.hears_text("still here");
    }
}
