//! Names of upstream servers: what a name server says becomes the addresses that requests go to, now and when it changes its mind.

mod dnsmasq;
mod names;
mod requests;
mod services;

use culvert_testkit::dns::{Data, Manner, NameServer};
use culvert_testkit::websocket::{Frame, Server};
use culvert_testkit::{Backend, Client, Deadline, Place, World};
use std::net::IpAddr;

/// A server of the name's, at an address of its own. All have the same port, as all addresses of a name do.
struct Host {
    place: Place,
    _backend: Backend,
}

const PORT: u16 = 9001;

impl Host {
    /// A server that answers every request with its name.
    fn new(name: &str) -> Host {
        let place = Place::new();
        let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len());
        let backend = Backend::answering(place.at(PORT), response);
        Host { place, _backend: backend }
    }

    fn ip(&self) -> IpAddr {
        self.place.address().into()
    }
}

/// Starts a gateway whose name server listens on port 5353 of its own address. `prepare` tells that one what it says from the
/// beginning.
#[track_caller]
fn world(config: &str, prepare: impl FnOnce(&NameServer)) -> (World, NameServer) {
    let place = Place::new();
    let dns = NameServer::start(place.at(5353));
    prepare(&dns);
    (World::start_in(place, env!("CARGO_BIN_EXE_culvert"), config), dns)
}

/// A gateway in front of `app.test`, with further lines for its upstream.
fn app(lines: &str) -> String {
    format!(
        "upstream app {{ zone app 64k; server app.test:{PORT} resolve; resolver {{address}}:5353; resolver_timeout 2s; {lines} }}
         server {{ listen {{address}}:8080; location / {{ proxy_pass http://app; }} }}"
    )
}

/// Waits until a request is answered with `text`.
#[track_caller]
fn comes_to(world: &World, text: &str) {
    Deadline::default().until(&format!("an answer of {text}"), || (world.get("/").text() == text).then_some(()));
}

/// Waits until a request is answered with `status`.
#[track_caller]
fn answers_with(world: &World, status: u16) {
    Deadline::default().until(&format!("status {status}"), || (world.get("/").status() == status).then_some(()));
}

fn lines_with(world: &World, text: &str) -> usize {
    world.place().read("error.log").lines().filter(|line| line.contains(text)).count()
}
