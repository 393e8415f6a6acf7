//! TLS towards clients, judged by clients that others wrote: OpenSSL's `s_client`, curl, node's `ws` and Python's
//! `websockets`. With `CULVERT_TEST_STAND_IN=nginx` most of it asks the real nginx the same.

mod clients;
mod proxy_protocol;
mod serving;
mod sessions;
mod stapling;
mod tunnels;
mod wrong;

use culvert_testkit::certificates::{Authority, Kind};
use culvert_testkit::{Deadline, Place, World, run};
use std::process::Command;

/// A place with an authority and the certificate `one` of the server `one.test`.
fn place() -> (Place, Authority) {
    let place = Place::new();
    let authority = Authority::new(&place, "authority");
    authority.server(&place, "one", &["one.test"], Kind::Good);
    (place, authority)
}

/// The `ssl_certificate` lines of a certificate in the place.
fn certificate(name: &str) -> String {
    format!("ssl_certificate {{dir}}/{name}.crt; ssl_certificate_key {{dir}}/{name}.key;")
}

fn world(place: Place, config: &str) -> World {
    World::start_in(place, env!("CARGO_BIN_EXE_culvert"), config)
}

/// What curl says, with the place's authority trusted and every name at the gateway. `/` in `url` begins its path.
fn curl(world: &World, url: &str, arguments: &[&str]) -> String {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "10", "--cacert"]).arg(world.place().path("authority.crt"));
    let address = world.place().address();
    command.args(["--connect-to", &format!("::{address}:")]).args(arguments).arg(url);
    let finished = run(&command, Deadline::default());
    format!("{}{}", finished.stdout, finished.stderr)
}

/// What `openssl s_client` says when it has sent `request`, and the server has answered and closed.
fn s_client(world: &World, request: &str, arguments: &[&str]) -> String {
    let input = world.place().write("request", request);
    let mut command = Command::new("sh");
    let script = "input=$1; shift; exec timeout 10 openssl s_client -ign_eof \"$@\" < \"$input\"";
    command.args(["-c", script, "s_client"]).arg(input).args(["-connect", &world.at(8443).to_string()]).args(arguments);
    let finished = run(&command, Deadline::default());
    format!("{}{}", finished.stdout, finished.stderr)
}

/// A request after which the server closes.
fn get(path: &str, host: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
}

/// The line of `text` that begins with `start`, without it.
#[track_caller]
fn line<'a>(text: &'a str, start: &str) -> &'a str {
    let found = text.lines().find_map(|line| line.strip_prefix(start));
    found.unwrap_or_else(|| panic!("no line begins with {start:?} in:\n{text}"))
}
