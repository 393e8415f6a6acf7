//! Health checks: servers that are asked how they are, and what becomes of the tunnels of those that are not well.

mod http;
mod reloads;
mod tunnels;
mod websocket;

use culvert_testkit::websocket::{Frame, Peer, Server, switching};
use culvert_testkit::{Backend, Deadline, Gateway, Place, Program, World, node, world};

/// A real nginx as a server: it says its name, and at `/health` 200, or 503 while it is sick.
struct Host {
    place: Place,
    name: &'static str,
    gateway: Option<Gateway>,
}

const PORT: u16 = 9001;

const CONFIG: &str = "server {
    listen {address}:9001;
    location = /health { if (-f {dir}/sick) { return 503; } return 200 well; }
    location / { return 200 NAME; }
}";

impl Host {
    fn new(name: &'static str) -> Host {
        let mut host = Host { place: Place::new(), name, gateway: None };
        host.starts();
        host
    }

    fn starts(&mut self) {
        self.gateway = Some(Gateway::start(&Program::Nginx, &self.place, &CONFIG.replace("NAME", self.name)));
    }

    /// Nobody listens any more.
    fn dies(&mut self) {
        self.gateway = None;
    }

    fn is_sick(&self) {
        self.place.write("sick", "");
    }

    fn is_well(&self) {
        std::fs::remove_file(self.place.path("sick")).expect("it was sick");
    }

    fn address(&self) -> String {
        self.place.at(PORT).to_string()
    }
}

/// A gateway in front of `servers`, with further lines for its upstream.
fn site(servers: &[String], lines: &str) -> String {
    let servers: String = servers.iter().map(|server| format!("server {server}; ")).collect();
    format!(
        "upstream app {{ zone app 64k; {servers} {lines} }}
         server {{ listen {{address}}:8080; location / {{ proxy_pass http://app; proxy_connect_timeout 2s; }} }}"
    )
}

/// Waits until all of several requests in a row are answered with `text`.
#[track_caller]
fn all_come_to(world: &World, text: &str) {
    let probe = || (0..4).all(|_| world.get("/").text() == text).then_some(());
    Deadline::default().until(&format!("only answers of {text}"), probe);
}

/// Waits until a request is answered with `text`.
#[track_caller]
fn comes_to(world: &World, text: &str) {
    Deadline::default().until(&format!("an answer of {text}"), || (world.get("/").text() == text).then_some(()));
}

fn lines_with(world: &World, text: &str) -> usize {
    world.place().read("error.log").lines().filter(|line| line.contains(text)).count()
}
