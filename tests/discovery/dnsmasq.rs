//! A real name server: dnsmasq.

use super::*;
use culvert_testkit::{Process, Signal};
use std::process::Command;

/// dnsmasq on port 5353 of `place`, which says what the file `hosts` has.
fn dnsmasq(place: &Place, hosts: &str, options: &[String]) -> Process {
    let file = place.write("hosts", hosts);
    let mut command = Command::new("/usr/sbin/dnsmasq");
    command.args(["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--port=5353"]);
    command.args(["--bind-interfaces", "--local-ttl=1", "--user=", "--group=", "--local=/test/", "--log-facility=-"]);
    command.arg(format!("--listen-address={}", place.address()));
    command.arg(format!("--addn-hosts={}", file.display()));
    command.arg(format!("--pid-file={}", place.path("dnsmasq.pid").display()));
    command.args(options);
    Process::start(&command, place.dir(), "dnsmasq")
}

#[test]
fn a_real_name_server_is_followed() {
    let (one, two, place) = (Host::new("one"), Host::new("two"), Place::new());
    let dns = dnsmasq(&place, &format!("{} app.test\n", one.ip()), &[]);
    let world = World::start_in(place, env!("CARGO_BIN_EXE_culvert"), &app(""));
    comes_to(&world, "one");
    world.place().write("hosts", format!("{} app.test\n", two.ip()));
    dns.signal(Signal::SIGHUP);
    comes_to(&world, "two");
    world.place().write("hosts", "");
    dns.signal(Signal::SIGHUP);
    answers_with(&world, 502);
}

#[test]
fn an_answer_of_many_addresses_comes_over_tcp() {
    let place = Place::new();
    // More than any datagram of the usual sizes holds. Nobody listens there but at the last one.
    let one = Host::new("one");
    let mut hosts: String = (1..=150).map(|number| format!("127.77.0.{number} app.test\n")).collect();
    hosts += &format!("{} app.test\n", one.ip());
    let _dns = dnsmasq(&place, &hosts, &[]);
    let world = World::start_in(place, env!("CARGO_BIN_EXE_culvert"), &app(""));
    comes_to(&world, "one");
    // 151 addresses, of which the line shows 16.
    world.error_log_shows(" and 135 more], gone: []");
}

#[test]
fn services_of_a_real_name_server_are_followed() {
    let (one, place) = (Host::new("one"), Place::new());
    let options = [format!("--srv-host=_http._tcp.app.test,one.test,{PORT},10,5")];
    let _dns = dnsmasq(&place, &format!("{} one.test\n", one.ip()), &options);
    let config = app("").replace(&format!("app.test:{PORT} resolve"), "app.test service=http resolve");
    let world = World::start_in(place, env!("CARGO_BIN_EXE_culvert"), &config);
    comes_to(&world, "one");
}
