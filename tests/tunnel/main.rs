//! What a tunnel promises to the two streams that it joins: every byte, in order, however they are cut; the end of
//! either side carried across; its time-outs kept to the moment; and no more memory than a slow reader deserves.

mod handshake;
mod limits;
mod streams;

use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::{Duration, Instant};

use culvert_testkit::websocket::{Frame, Peer, Server, handshake, switching};
use culvert_testkit::{Signal, World, world};

/// How much a gateway may grow by while far more passes through it: its allocator takes memory in steps of megabytes.
const GROWTH_BYTES_MAX: usize = 8 << 20;

/// A location that sends everything to one upstream, with more directives of the test's own.
fn site(directives: &str) -> String {
    format!(
        "map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
         server {{
             listen {{address}}:8080;
             location / {{
                 proxy_pass http://{{address}}:9001;
                 proxy_http_version 1.1;
                 proxy_set_header Upgrade $http_upgrade;
                 proxy_set_header Connection $connection_upgrade;
                 {directives}
             }}
         }}"
    )
}

fn tunnel(directives: &str) -> (World, Server, Peer, Peer) {
    let world = world!(&site(directives));
    let server = Server::bind(world.at(9001));
    let (client, upstream) = server.upgrade(world.at(8080), "/room");
    (world, server, client, upstream)
}

/// Timers may be late on a busy machine, never early.
#[track_caller]
fn assert_within(elapsed: Duration, expected: Duration) {
    assert!(elapsed >= expected - Duration::from_millis(50), "{elapsed:?} is before {expected:?}");
    assert!(elapsed < expected + Duration::from_secs(3), "{elapsed:?} is long after {expected:?}");
}
