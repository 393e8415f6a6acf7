//! What an idle WebSocket in a stream costs.

use super::*;

/// Connections, and WebSockets on each.
const CONNECTIONS: usize = 20;
const STREAMS: usize = 100;

/// Far above what a stream takes in a release build with little else on the machine, far below what buffers would take.
const STREAM_BYTES_MAX: usize = 4096;

#[test]
fn an_idle_websocket_in_a_stream_holds_no_buffers() {
    let world = site("access_log off;");
    let server = Server::bind(world.at(9001));
    let open = |streams: usize| {
        let mut client = Connection::open(world.at(8080));
        let mut upstreams = Vec::new();
        for stream in (1..).step_by(2).take(streams) {
            client.connects(stream, "/chat");
            let mut upstream = server.accepts_silently();
            judges::frames_answer(&mut upstream);
            client.hears(Kind::Headers);
            upstreams.push(upstream);
        }
        (client, upstreams)
    };
    let warm = open(STREAMS);
    let before = world.allocated_bytes();
    let began = Instant::now();
    let idle: Vec<_> = (0..CONNECTIONS).map(|_| open(STREAMS)).collect();
    let growth = world.allocated_bytes().saturating_sub(before);
    let each = growth / (CONNECTIONS * STREAMS);
    eprintln!("{each} bytes for each of {} idle WebSockets, opened in {:?}", CONNECTIONS * STREAMS, began.elapsed());
    assert!(each < STREAM_BYTES_MAX, "{each} bytes for each idle WebSocket");
    drop((warm, idle));
}
