//! Frames, seen in passing: what the `websocket_…` directives do to real sockets and real peers.

mod abuse;
mod large;
mod logs;
mod real;
mod stopping;

use std::io::Read;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use culvert_testkit::node::{Client, Echo};
use culvert_testkit::websocket::{Frame, Peer, Server};
use culvert_testkit::{Signal, World, json, world};

/// How long an end may take that is due at once.
const SOON: Duration = Duration::from_secs(5);

/// How much a gateway may grow by while far more passes through it: its allocator takes memory in steps of two megabytes, and
/// sometimes several at once.
const GROWTH_BYTES_MAX: usize = 12 << 20;

/// A location with these directives in front of port 9001; `main` stands outside of `http`.
fn site_in(main: &str, directives: &str) -> String {
    format!(
        "{main}
         http {{
             log_format told '$websocket_close_code ($websocket_close_reason) $websocket_closed_by $websocket_close_cause \
                 $websocket_messages_received/$websocket_bytes_received $websocket_messages_sent/$websocket_bytes_sent';
             access_log {{dir}}/access.log told;
             server {{
                 listen {{address}}:8080;
                 location / {{ proxy_pass http://{{address}}:9001; {directives} }}
             }}
         }}"
    )
}

fn site(directives: &str) -> String {
    site_in("", directives)
}

/// A WebSocket between two raw peers, through a location with these directives.
fn tunnel(directives: &str) -> (World, Server, Peer, Peer) {
    tunnel_in("", directives)
}

fn tunnel_in(main: &str, directives: &str) -> (World, Server, Peer, Peer) {
    let world = world!(&site_in(main, directives));
    let server = Server::bind(world.at(9001));
    let (client, upstream) = server.upgrade(world.at(8080), "/room");
    (world, server, client, upstream)
}

fn url(world: &World) -> String {
    format!("ws://{}/room", world.at(8080))
}

/// The connection ends with a FIN, not with a reset, and with nothing before it.
#[track_caller]
fn ends_with_a_fin(peer: &Peer) {
    let mut stream = peer.stream();
    stream.set_read_timeout(Some(SOON)).expect("the timeout is not zero");
    let read = stream.read(&mut [0; 64]);
    assert!(matches!(read, Ok(0)), "{read:?}");
}
