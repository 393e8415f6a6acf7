//! `service=`: SRV records.

use super::*;

fn service(priority: u16, weight: u16, port: u16, target: &str) -> Data {
    Data::Service { priority, weight, port, target: target.into() }
}

/// A gateway in front of the service `http` of `app.test`.
fn site() -> String {
    app("").replace(&format!("app.test:{PORT} resolve"), "app.test service=http resolve")
}

const NAME: &str = "_http._tcp.app.test";

#[test]
fn the_first_priority_serves_and_the_next_stands_by() {
    let (one, two) = (Host::new("one"), Host::new("two"));
    let (world, dns) = world(&site(), |dns| {
        dns.says(NAME, 1, [service(10, 5, PORT, "one.test"), service(20, 5, PORT, "two.test")]);
        dns.says_addresses("one.test", 1, [one.ip()]);
        dns.says_addresses("two.test", 1, [two.ip()]);
    });
    comes_to(&world, "one");
    let answers: Vec<String> = (0..6).map(|_| world.get("/").text()).collect();
    assert!(answers.iter().all(|answer| answer == "one"), "{answers:?}");
    dns.says(NAME, 1, [service(20, 5, PORT, "two.test")]);
    comes_to(&world, "two");
}

#[test]
fn weights_share_the_requests() {
    let (one, two) = (Host::new("one"), Host::new("two"));
    let (world, _dns) = world(&site(), |dns| {
        dns.says(NAME, 60, [service(10, 3, PORT, "one.test"), service(10, 1, PORT, "two.test")]);
        dns.says_addresses("one.test", 60, [one.ip()]);
        dns.says_addresses("two.test", 60, [two.ip()]);
    });
    comes_to(&world, "two");
    let ones = (0..40).filter(|_| world.get("/").text() == "one").count();
    assert_eq!(ones, 30);
}

#[test]
fn a_host_that_can_not_be_resolved_keeps_its_addresses() {
    let (one, two) = (Host::new("one"), Host::new("two"));
    let (world, dns) = world(&site(), |dns| {
        dns.says(NAME, 1, [service(10, 1, PORT, "one.test"), service(10, 1, PORT, "two.test")]);
        dns.says_addresses("one.test", 1, [one.ip()]);
        dns.says_addresses("two.test", 1, [two.ip()]);
    });
    comes_to(&world, "one");
    comes_to(&world, "two");
    dns.behaves("one.test", Manner::Fails(2));
    dns.is_asked_for("one.test", 4);
    comes_to(&world, "one");
    comes_to(&world, "two");
}

#[test]
fn a_service_that_is_not_offered_has_no_servers() {
    let (world, _dns) = world(&site(), |dns| dns.says(NAME, 1, [service(0, 0, 0, "")]));
    answers_with(&world, 502);
    world.error_log_shows(&format!("{NAME} could not be resolved (3: Host not found)"));
}
