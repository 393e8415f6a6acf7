//! Servers of all kinds behind Culvert: HTTP/1.1 and HTTP/2, with and without TLS, for requests and for WebSockets.

mod pairs;
mod tls;

use culvert_testkit::{Value, World};

/// What the server of `testkit/node/server.js` says of a request for `path`.
#[track_caller]
fn facts(world: &World, path: &str) -> Value {
    let response = world.get(path);
    assert_eq!(response.status(), 200, "{}", response.text());
    response.text().parse().expect("the server answers with JSON")
}
