//! What a reload keeps of the health of servers.

use super::*;

fn lines(more: &str) -> String {
    format!("health_check uri=/health interval=100ms {more};")
}

/// Reloads and waits until it has happened.
fn reloads(world: &World, config: &str) {
    let before = lines_with(world, "reconfigured");
    world.reload(config);
    Deadline::default().until("the reload", || (lines_with(world, "reconfigured") > before).then_some(()));
}

#[test]
fn a_server_that_is_unhealthy_stays_so_over_a_reload() {
    let (one, two) = (Host::new("one"), Host::new("two"));
    let config = site(&[one.address(), two.address()], &lines(""));
    let world = world!(&config);
    one.is_sick();
    world.error_log_shows("peer is unhealthy");
    let slow = config.replace("interval=100ms", "interval=100s jitter=100s");
    reloads(&world, &slow);
    for _ in 0..4 {
        assert_eq!(world.get("/").text(), "two");
    }
    // Without the check nobody says so any more.
    reloads(&world, &site(&[one.address(), two.address()], ""));
    comes_to(&world, "one");
}

#[test]
fn persistent_keeps_a_healthy_server_in_service() {
    let one = Host::new("one");
    let config = site(&[one.address()], &lines("mandatory persistent"));
    let world = world!(&config);
    comes_to(&world, "one");
    let slow = config.replace("interval=100ms", "interval=100s jitter=100s");
    reloads(&world, &slow);
    assert_eq!(world.get("/").text(), "one");
    reloads(&world, &slow.replace("persistent", ""));
    assert_eq!(world.get("/").status(), 502);
}

#[test]
fn a_server_that_a_reload_adds_is_probed() {
    let (one, two) = (Host::new("one"), Host::new("two"));
    let world = world!(&site(&[one.address()], &lines("mandatory persistent")));
    comes_to(&world, "one");
    two.is_sick();
    reloads(&world, &site(&[one.address(), two.address()], &lines("mandatory persistent")));
    for _ in 0..4 {
        assert_eq!(world.get("/").text(), "one");
    }
    two.is_well();
    comes_to(&world, "two");
}
