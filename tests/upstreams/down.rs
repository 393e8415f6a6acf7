//! No server is left.

use super::*;

fn dead(place: &Place) -> String {
    site_of(&[format!("{} fail_timeout=60s", place.at(9009)), format!("{} fail_timeout=60s", place.at(9008))], "")
}

#[test]
fn with_all_servers_down_it_is_a_bad_gateway_at_once() {
    let place = Place::new();
    let world = world!(&dead(&place));
    assert_eq!(world.get("/").status(), 502);
    world.error_log_shows(&format!(
        "connect() failed (111: Connection refused) while connecting to upstream, client: 127.0.0.1, server: , request: \
         \"GET / HTTP/1.1\", upstream: \"http://{}/\", host: \"localhost\"",
        place.at(9008)
    ));
    let mut peer = Peer::asks(world.at(8080), "/room", "");
    assert!(peer.reads_head().starts_with("HTTP/1.1 502 "));
    let line = world.error_log_shows("no live upstreams");
    let expected = format!(
        "no live upstreams while connecting to upstream, client: 127.0.0.1, server: , request: \"GET /room HTTP/1.1\", \
         upstream: \"http://app/room\", host: \"{}\"",
        world.at(8080)
    );
    assert!(line.contains("[error]") && line.ends_with(&expected), "{line}");
}

#[test]
fn a_flood_of_refusals_does_not_flood_the_log() {
    let place = Place::new();
    let world = world!(&dead(&place));
    world.get("/");
    let begin = Instant::now();
    let mut client = Client::connect(world.at(8080));
    for _ in 0..900 {
        assert_eq!(client.get("/").status(), 502);
    }
    let seconds = begin.elapsed().as_secs() as usize + 1;
    let last = world.error_log_shows("more requests within a second, upstream: \"app\"");
    assert!(last.contains("[error]") && last.contains("no live upstreams for "), "{last}");
    let lines = lines_with(&world, "no live upstreams while");
    assert!((1..=10 * seconds).contains(&lines), "{lines} lines in {seconds} s");
    assert_eq!(world.access_log_lines(901).len(), 901);
}

#[test]
fn a_server_that_comes_back_is_found_again() {
    let mut one = Host::new("one");
    let world = world!(&site_of(&[format!("{} fail_timeout=1s", one.at()), "127.0.0.1:1 down".into()], ""));
    assert_eq!(world.get("/").text(), "one");
    one.dies();
    assert_eq!(world.get("/").status(), 502);
    world.error_log_shows("upstream server temporarily disabled");
    one.starts();
    Deadline::default().until("an answer", || (world.get("/").text() == "one").then_some(()));
}
