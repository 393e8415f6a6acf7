//! Conversations over HTTP/2 with a client that others wrote: `h2`'s own.

mod ends;
mod pages;
mod peer;
mod websockets;

use crate::world::World;
use peer::Peer;

/// A site of one location, in front of one backend.
fn site(directives: &str) -> World {
    World::new(&format!(
        "log_format told '$status $request $server_protocol $http2 $connection_requests $body_bytes_sent $request_completion';
         access_log access.log told;
         server {{ http2 on; location / {{ proxy_pass http://backend-1; {directives} }} }}"
    ))
}

/// Conversations that are about HTTP/1.1, or about what exactly its pipes hold.
const OF_HTTP_1: [&str; 3] = [
    // Its log line tells the protocol.
    "the_format_named_websocket_tells_the_whole_story",
    // It counts the bytes that wait; streams have windows beside their connection's pipe.
    "a_stalled_direction_does_not_stop_the_other",
    // So many connections with two more tasks each are not done with in one settling.
    "a_thousand_tunnels_leave_nothing_behind",
];

#[test]
fn all_conversations_of_tunnels_go_the_same_way_in_streams() {
    let (name, value) = crate::world::multiplexed::ASKED_BY;
    let this = std::env::current_exe().expect("a test has a path");
    let mut again = std::process::Command::new(this);
    again.env(name, value).arg("tunnel::").args(OF_HTTP_1.iter().flat_map(|test| ["--skip", test]));
    let done = again.output().expect("what runs now can be run again");
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
    assert!(!said.contains("running 0 tests"), "{said}");
}
