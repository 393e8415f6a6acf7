//! Bodies far larger than what the gateway may hold.

use super::*;

#[test]
fn a_large_response_to_a_slow_reader_costs_the_gateway_no_memory() {
    let world = site("");
    let server = Server::bind(world.at(9001));
    let mut client = Peer::dials(world.at(8080));
    client.sends(b"GET /up HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let mut upstream = server.accepts();
    let total = 200 << 20;
    upstream.sends(format!("HTTP/1.1 200 OK\r\nContent-Length: {total}\r\n\r\n").as_bytes());
    let before = world.allocated_bytes();
    let chunk = vec![b'x'; 1 << 20];
    let taken = upstream.floods(&chunk, total, Duration::from_millis(500));
    let growth = world.allocated_bytes().saturating_sub(before);
    assert!(growth < GROWTH_BYTES_MAX, "the gateway grew by {growth} bytes");
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut left = total - taken;
            while left > 0 {
                let length = left.min(chunk.len());
                upstream.sends(&chunk[..length]);
                left -= length;
            }
        });
        client.reads_head();
        for _ in 0..total >> 20 {
            client.reads(1 << 20);
        }
        client.hears_the_end();
    });
}

/// Uploads so many megabytes through the gateway; what its memory is while they pass.
fn upload(world: &World, server: &Server, megabytes: usize) -> usize {
    let mut client = Peer::dials(world.at(8080));
    let length = megabytes << 20;
    let head = format!("POST /up HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    client.sends(head.as_bytes());
    let mut upstream = server.accepts();
    thread::scope(|scope| {
        let mut writer = client.stream().try_clone().expect("a socket can be cloned");
        scope.spawn(move || {
            let chunk = vec![b'x'; 1 << 20];
            (0..megabytes).for_each(|_| writer.write_all(&chunk).expect("the gateway reads"));
        });
        (0..megabytes).for_each(|_| assert_eq!(upstream.reads(1 << 20).len(), 1 << 20));
    });
    let memory = world.allocated_bytes();
    upstream.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine");
    assert!(client.reads_head().starts_with("HTTP/1.1 200 OK\r\n"), "{}", client.head());
    memory
}

#[test]
fn a_large_upload_costs_the_gateway_no_memory() {
    let world = site("client_max_body_size 0; proxy_request_buffering off;");
    let server = Server::bind(world.at(9001));
    let small = upload(&world, &server, 10);
    let large = upload(&world, &server, 300);
    assert!(large < small + GROWTH_BYTES_MAX, "{small} bytes for 10 MB, {large} bytes for 300 MB");
}
