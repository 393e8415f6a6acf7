//! What a reload keeps: the counts of live tunnels, and what is known of failures.

use super::*;

/// Opens so many WebSockets and counts those of `name`.
#[track_caller]
fn opens_some(world: &World, count: usize, name: &str, open: &mut Vec<Peer>) -> usize {
    let (peers, names): (Vec<Peer>, Vec<String>) = (0..count).map(|_| opens(world, "")).unzip();
    open.extend(peers);
    names.iter().filter(|host| *host == name).count()
}

#[test]
fn least_conn_knows_the_live_tunnels_after_a_reload() {
    let [one, two] = hosts(["one", "two"]);
    let world = world!(&site(&[&one], "least_conn;"));
    let mut open = Vec::new();
    opens_some(&world, 12, "one", &mut open);
    reloads(&world, &site(&[&one, &two], "least_conn;"));
    assert_eq!(opens_some(&world, 12, "two", &mut open), 12);
    assert_eq!(opens_some(&world, 6, "two", &mut open), 3);
    // Fifteen on each. Neither the order of the lines matters, nor another method in between.
    reloads(&world, &site(&[&two, &one], "ip_hash;"));
    open.drain(..15);
    world.access_log_lines(15);
    // Of the first fifteen twelve were on one.
    reloads(&world, &site(&[&two, &one], "least_conn;"));
    assert_eq!(opens_some(&world, 9, "one", &mut open), 9);
    assert_eq!(opens_some(&world, 6, "one", &mut open), 3);
}

#[test]
fn a_server_that_leaves_and_returns_is_still_known_by_its_tunnels() {
    let [one, two] = hosts(["one", "two"]);
    let world = world!(&site(&[&one, &two], "least_conn;"));
    let mut open = Vec::new();
    assert_eq!(opens_some(&world, 10, "one", &mut open), 5);
    reloads(&world, &site(&[&two], "least_conn;"));
    assert_eq!(opens_some(&world, 3, "two", &mut open), 3);
    for peer in &mut open {
        peer.says(&Frame::text("still here"));
        peer.hears_text("still here");
    }
    reloads(&world, &site(&[&one, &two], "least_conn;"));
    // Five there, eight here.
    assert_eq!(opens_some(&world, 3, "one", &mut open), 3);
    assert_eq!(opens_some(&world, 4, "one", &mut open), 2);
}

#[test]
fn a_server_that_failed_before_a_reload_rests_after_it() {
    let [one, mut two] = hosts(["one", "two"]);
    let lines = |more: &str| {
        site_of(
            &[one.at().to_string(), format!("{} fail_timeout=60s", two.place.at(9001))],
            &format!("least_conn; {more}"),
        )
    };
    let (config, other) = (lines(""), lines("keepalive 4;"));
    let world = world!(&config);
    two.dies();
    for _ in 0..4 {
        assert_eq!(world.get("/").text(), "one");
    }
    assert_eq!(lines_with(&world, "connect() failed"), 1);
    reloads(&world, &other);
    for _ in 0..4 {
        assert_eq!(world.get("/").text(), "one");
    }
    assert_eq!(lines_with(&world, "connect() failed"), 1);
}
