//! HTTP/2 by the binary: clients that others wrote, bare frames, and the attacks that have names.

mod attacks;
mod frames;
mod judges;
mod memory;
mod over_tls;

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use culvert_testkit::websocket::{Peer, Server};
use culvert_testkit::{Deadline, Signal, World, run, world};
use frames::{Connection, Kind};

/// A site over clear text whose `/` answers by itself, and whose `/up` and `/chat` lead to port 9001.
fn site(directives: &str) -> World {
    site_in("", directives)
}

/// The same, with these directives in the main context.
fn site_in(main: &str, directives: &str) -> World {
    world!(&format!(
        "{main}
         http {{
             log_format told '$status $request $http2 $body_bytes_sent';
             access_log {{dir}}/access.log told;
             {directives}
             server {{
                 listen {{address}}:8080;
                 http2 on;
                 location / {{ return 200 'fine'; }}
                 location /up {{ proxy_pass http://{{address}}:9001; proxy_http_version 1.1; }}
                 location /chat {{ proxy_pass http://{{address}}:9001; }}
             }}
         }}"
    ))
}

/// Somebody else is served as ever.
#[track_caller]
fn is_unharmed(world: &World) {
    let mut other = Connection::open(world.at(8080));
    other.get(1, "/");
    assert_eq!(other.hears_body(1), b"fine");
}
