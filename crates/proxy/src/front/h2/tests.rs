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
