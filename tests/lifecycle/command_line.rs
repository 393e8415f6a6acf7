//! `-s`: signals by the command line.

use super::*;

/// Runs the gateway's own program with `-s SIGNAL` on the gateway's own configuration.
fn says(world: &mut World, signal: &str) -> Finished {
    let mut command = world.gateway().command();
    command.arg("-e").arg(world.place().path("says.log")).args(["-s", signal]);
    run(&command, Deadline::default())
}

#[test]
fn the_command_line_stops_a_running_gateway() {
    for signal in ["stop", "quit"] {
        let mut world = world!(&site("", "hello"));
        let finished = says(&mut world, signal);
        assert_eq!((finished.status.code(), finished.stderr.as_str()), (Some(0), ""), "{signal}");
        assert_eq!(world.waits_for_the_end(SOON).code(), Some(0), "{signal}");
    }
}

#[test]
fn the_command_line_reloads_a_running_gateway() {
    let mut world = world!(&site("", "before"));
    let (mut client, mut upstream) = Server::bind(world.at(9001)).upgrade(world.at(8080), "/chat");
    let config = site("", "after");
    let place = world.place().path("gateway.conf");
    let text = std::fs::read_to_string(&place).expect("the file is there").replace("before", "after");
    assert!(config.contains("after"));
    std::fs::write(&place, text).expect("the file is ours");
    assert_eq!(says(&mut world, "reload").status.code(), Some(0));
    Deadline::default().until("the new configuration", || (world.get("/").text() == "after").then_some(()));
    client.says(&Frame::text("still here"));
    upstream.hears_text("still here");
}

#[test]
fn the_command_line_reopens_logs() {
    let mut world = world!(&site("", "hello"));
    world.get("/one");
    world.access_log_lines(1);
    std::fs::rename(world.dir().join("access.log"), world.dir().join("access.log.1")).expect("the log is there");
    assert_eq!(says(&mut world, "reopen").status.code(), Some(0));
    Deadline::default().until("a new log file", || world.dir().join("access.log").exists().then_some(()));
    // The new file is there a moment before lines go to it, and nothing tells when they do.
    Deadline::default().until("a line in it", || {
        world.get("/two");
        world.place().read("access.log").contains("/two").then_some(())
    });
}

#[test]
fn a_signal_without_a_running_gateway_is_an_error() {
    let place = Place::new();
    let finished = runs(&place, WHOLE, &["-s", "stop"]);
    let expected =
        format!("[error] open() \"{}\" failed (2: No such file or directory)", place.path("gateway.pid").display());
    assert!(finished.stderr.contains(&expected), "{}", finished.stderr);
    assert_eq!(finished.status.code(), Some(1));
}

#[test]
fn an_unknown_signal_is_refused() {
    let finished = runs(&Place::new(), WHOLE, &["-s", "explode"]);
    assert_eq!(finished.stderr, format!("{}: invalid option: \"-s explode\"\n", name()));
    assert_eq!(finished.status.code(), Some(1));
}
