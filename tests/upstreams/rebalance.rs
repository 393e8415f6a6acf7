//! `rebalance` and `on_server_down`: clients that are told to come back, and do.

use super::*;
use culvert_testkit::websocket::Heard;

const CLIENTS: usize = 40;

/// Clients with a WebSocket each, that come back when they are told to go and when their server is gone.
struct Crowd {
    clients: Vec<(Peer, String)>,
    /// When each Close came that sent a client elsewhere, and its reason.
    closes: Vec<(Instant, String)>,
}

impl Crowd {
    fn opens(world: &World) -> Crowd {
        Crowd { clients: (0..CLIENTS).map(|_| opens(world, "")).collect(), closes: Vec::new() }
    }

    /// Lets all clients do what they have to, until `done` says so.
    #[track_caller]
    fn until(&mut self, world: &World, what: &str, done: impl Fn(&Crowd) -> bool) {
        Deadline::after(Duration::from_secs(20)).until(what, || {
            self.listens(world);
            done(self).then_some(())
        });
    }

    fn listens(&mut self, world: &World) {
        for client in &mut self.clients {
            match client.0.hears_within(Duration::from_millis(1)) {
                Heard::Nothing => continue,
                Heard::End => {}
                Heard::Frame(frame) => {
                    assert_eq!((frame.opcode, &frame.payload[..2]), (8, &1012_u16.to_be_bytes()[..]), "{frame:?}");
                    self.closes.push((Instant::now(), String::from_utf8_lossy(&frame.payload[2..]).into_owned()));
                    client.0.says(&Frame::close(1012, ""));
                    client.0.hears_the_end();
                }
            }
            *client = opens(world, "");
        }
    }

    fn on(&self, name: &str) -> usize {
        self.clients.iter().filter(|(_, host)| host == name).count()
    }

    /// In no second went more than `rate` clients. This test hears of a Close up to a round over all clients later, and of
    /// one later than of another, so what it sees may be that much denser.
    #[track_caller]
    fn went_at(&self, rate: usize) {
        let times: Vec<Instant> = self.closes.iter().map(|(at, _)| *at).collect();
        for many in times.windows(rate + 1) {
            let took = many[rate] - many[0];
            assert!(took >= Duration::from_millis(500), "{} went within {took:?}", rate + 1);
        }
    }
}

const REBALANCE: &str = "least_conn; rebalance rate=10/s threshold=10% jitter=1s;";

#[test]
fn a_server_that_joins_gets_its_share_at_the_rate() {
    let [one, two] = hosts(["one", "two"]);
    let world = world!(&site(&[&one], REBALANCE));
    let mut crowd = Crowd::opens(&world);
    assert_eq!(crowd.on("one"), CLIENTS);
    world.reload(&site(&[&one, &two], REBALANCE));
    crowd.until(&world, "an even spread", |crowd| crowd.on("two") >= 19);
    crowd.went_at(10);
    assert!(crowd.closes.iter().all(|(_, reason)| reason.starts_with("rebalance, retry after ")), "{:?}", crowd.closes);
    world.error_log_shows("rebalanced, ");
    // Whoever went is on the other server, and nobody went without need.
    assert_eq!((crowd.closes.len(), crowd.on("one") + crowd.on("two")), (crowd.on("two"), CLIENTS));
    assert!(crowd.on("two") <= 20, "{} went", crowd.on("two"));
}

#[test]
fn a_server_that_recovers_gets_its_share_back() {
    let [one, mut two] = hosts(["one", "two"]);
    let lines = format!("{REBALANCE} health_check interval=100ms;");
    let world = world!(&site(&[&one, &two], &lines));
    let mut crowd = Crowd::opens(&world);
    assert_eq!(crowd.on("two"), CLIENTS / 2);
    two.dies();
    crowd.until(&world, "all on the other server", |crowd| crowd.on("one") == CLIENTS);
    world.error_log_shows("peer is unhealthy");
    assert_eq!(crowd.closes, []);
    two.starts();
    crowd.until(&world, "an even spread", |crowd| crowd.on("two") >= 19);
    crowd.went_at(10);
    assert!(crowd.on("two") <= 20, "{} went", crowd.on("two"));
}

#[test]
fn a_dry_run_moves_nobody() {
    let [one, two] = hosts(["one", "two"]);
    let lines = "least_conn; rebalance rate=10/s threshold=10% dry_run;";
    let world = world!(&site(&[&one], lines));
    let mut crowd = Crowd::opens(&world);
    world.reload(&site(&[&one, &two], lines));
    let line = world.error_log_shows("rebalancing would now close ");
    assert!(line.contains("[notice]"), "{line}");
    crowd.until(&world, "another look", |_| lines_with(&world, "rebalancing would now close ") >= 2);
    assert_eq!((crowd.on("one"), crowd.closes.len()), (CLIENTS, 0));
}

#[test]
fn clients_of_a_server_that_is_down_go_to_the_others_at_the_rate() {
    let [one, two] = hosts(["one", "two"]);
    // Their health is asked at another port, so that a server can be down and go on talking.
    let health = |host: &Host| Backend::answering(host.place.at(9002), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let (of_one, _of_two) = (health(&one), health(&two));
    let lines = "least_conn; on_server_down close rate=10; health_check interval=100ms port=9002;";
    let world = world!(&site(&[&one, &two], lines));
    let mut crowd = Crowd::opens(&world);
    assert_eq!(crowd.on("one"), CLIENTS / 2);
    drop(of_one);
    crowd.until(&world, "all on the other server", |crowd| crowd.on("two") == CLIENTS);
    crowd.went_at(10);
    assert_eq!(crowd.closes.len(), CLIENTS / 2);
    assert!(crowd.closes.iter().all(|(_, reason)| reason == "server down"), "{:?}", crowd.closes);
}
