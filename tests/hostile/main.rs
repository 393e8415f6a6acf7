//! When things go wrong: each kind of bad client, bad upstream and exhausted resource has one defined outcome, and
//! everything else goes on unharmed.

mod clients;
mod disk;
mod exhaustion;
mod memory;
mod upstreams;

use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use culvert_testkit::websocket::{Frame, Peer, Server, switching};
use culvert_testkit::{Backend, Client, Conversation, Deadline, World, world};

/// How much a gateway may grow by while far more passes through it: its allocator takes memory in steps of megabytes.
const GROWTH_BYTES_MAX: usize = 8 << 20;

/// A site whose `/` answers by itself, whose `/up` goes to port 9001 and whose `/chat` becomes a tunnel to it.
fn site(directives: &str) -> World {
    world!(&format!(
        "{directives}
         server {{
             listen {{address}}:8080;
             location / {{ return 200 'fine'; }}
             location /up {{ proxy_pass http://{{address}}:9001; proxy_http_version 1.1; }}
             location /dead {{ proxy_pass http://{{address}}:9009; }}
             location /chat {{
                 proxy_pass http://{{address}}:9001;
                 proxy_http_version 1.1;
                 proxy_set_header Upgrade $http_upgrade;
                 proxy_set_header Connection upgrade;
             }}
         }}"
    ))
}

#[track_caller]
fn is_unharmed(world: &World) {
    assert_eq!(world.get("/").text(), "fine");
}
