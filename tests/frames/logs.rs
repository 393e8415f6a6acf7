//! Every end, explained in the access log.

use super::*;

/// The line of the only WebSocket.
#[track_caller]
fn told(world: &World) -> String {
    world.access_log_lines(1).remove(0)
}

#[test]
fn a_close_by_either_side_is_told() {
    for by_server in [false, true] {
        let (world, _server, mut client, mut upstream) = tunnel("");
        client.says(&Frame::text("hello"));
        upstream.hears_text("hello");
        upstream.says(&Frame::binary([0; 100]));
        client.hears();
        let (first, second) = if by_server { (&mut upstream, &mut client) } else { (&mut client, &mut upstream) };
        first.says(&Frame::close(4321, "enough"));
        assert_eq!(second.hears(), Frame::close(4321, "enough"));
        second.says(&Frame::close(1000, "fine"));
        assert_eq!(first.hears(), Frame::close(1000, "fine"));
        drop((client, upstream));
        let who = if by_server { "server" } else { "client" };
        assert_eq!(told(&world), format!("4321 (enough) {who} close 1/5 1/100"));
    }
}

#[test]
fn an_abrupt_reset_is_told_with_its_side() {
    for by_server in [false, true] {
        let (world, _server, mut client, mut upstream) = tunnel("");
        client.says(&Frame::text("hello"));
        upstream.hears_text("hello");
        let (first, mut second) = if by_server { (upstream, client) } else { (client, upstream) };
        first.resets();
        second.reads_to_end();
        drop(second);
        let who = if by_server { "server" } else { "client" };
        assert_eq!(told(&world), format!("1006 (-) {who} reset 1/5 0/0"));
    }
}

#[test]
fn a_connection_that_ends_without_a_close_is_told_with_its_side() {
    for by_server in [false, true] {
        let (world, _server, client, upstream) = tunnel("");
        let (first, mut second) = if by_server { (upstream, client) } else { (client, upstream) };
        first.ends_writing();
        second.hears_the_end();
        drop(second);
        drop(first);
        let who = if by_server { "server" } else { "client" };
        assert_eq!(told(&world), format!("1006 (-) {who} eof 0/0 0/0"));
    }
}

#[test]
fn a_timeout_is_told() {
    let (world, _server, mut client, mut upstream) = tunnel("proxy_read_timeout 300ms;");
    client.hears_the_end();
    upstream.hears_the_end();
    let line = told(&world);
    assert!(line.starts_with("1006 (-) ") && line.ends_with(" timeout 0/0 0/0"), "{line}");
}

#[test]
fn a_process_that_is_killed_is_told() {
    let world = world!(&site(""));
    let echo = Echo::start(world.at(9001), &[]);
    let client = Client::open(&url(&world), &[]);
    drop(echo);
    assert_eq!(client.until("close")["code"], 1006);
    let line = told(&world);
    assert!(line.starts_with("1006 (-) server "), "{line}");
    assert!(line.contains(" eof ") || line.contains(" reset "), "{line}");
}

#[test]
fn a_limit_is_told_and_so_is_the_fast_stop() {
    let (mut world, server, mut client, mut upstream) = tunnel("websocket_max_frame_size 10;");
    let _open = server.upgrade(world.at(8080), "/");
    client.says(&Frame::binary([0; 11]));
    assert_eq!(client.hears(), Frame::close(1009, "frame too big"));
    assert_eq!(upstream.hears(), Frame::close(1001, "client was disconnected"));
    client.says(&Frame::close(1009, ""));
    upstream.says(&Frame::close(1001, ""));
    ends_with_a_fin(&client);
    ends_with_a_fin(&upstream);
    assert_eq!(told(&world), "1009 (frame too big) gateway limit 0/0 0/0");
    assert_eq!(world.ends_by(Signal::SIGTERM, SOON).code(), Some(0));
    assert_eq!(world.access_log_lines(2)[1], "1006 (-) gateway drain 0/0 0/0");
}

#[test]
fn the_opening_of_a_socket_is_logged_where_that_is_wanted() {
    let (world, ..) = tunnel("websocket_log_open on; error_log {dir}/sockets.log info;");
    culvert_testkit::Deadline::default().until("the line of the open socket", || {
        let log = world.place().read("sockets.log");
        log.contains("a WebSocket opened").then_some(())
    });
}
