//! Judges that know nothing of Culvert: `ws` for node and `websockets` for Python on either side, with compression and
//! fragments, Chromium, and TCP over a line that loses packets; and each promise of what happens when things go wrong.

mod browser;
mod line;
mod peers;
mod wrong;

use culvert_testkit::node::{Client, Echo};
use culvert_testkit::websocket::{Frame, Peer, Server};
use culvert_testkit::{Browser, World, json, own_network, python, world};
use std::thread;
use std::time::{Duration, Instant};

/// Everything that looks at frames, with limits that no judge reaches.
const ALL: &str = "websocket_validation enforce; websocket_max_message_size 64m; websocket_max_frame_size 64m;
    websocket_max_fragments 1000; websocket_ping 100ms timeout=20s; websocket_message_rate 100000r/s;";

/// What is told of a WebSocket's end.
const TOLD: &str = "log_format told '$websocket_close_code ($websocket_close_reason) $websocket_closed_by \
    $websocket_close_cause $websocket_violations'; access_log {dir}/access.log told;";

/// A location with these directives in front of port 9001.
fn site(directives: &str) -> String {
    format!(
        "{TOLD}
         server {{
             listen {{address}}:8080;
             location / {{ proxy_pass http://{{address}}:9001; {directives} }}
         }}"
    )
}

fn url(world: &World) -> String {
    format!("ws://{}/room", world.at(8080))
}
