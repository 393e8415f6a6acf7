//! The life of the process: how it starts, what its signals do, what a reload leaves alone, and how it ends.

use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use culvert_testkit::websocket::{Frame, Peer, Server};
use culvert_testkit::{Backend, Client, Deadline, Finished, Gateway, Place, Signal, World, run, world};

const BINARY: &str = env!("CARGO_BIN_EXE_culvert");

/// How long an end may take that is due at once.
const SOON: Duration = Duration::from_secs(5);

/// A site that answers `/` with `text` and tunnels `/chat` to port 9001; `main` stands outside of `http`.
fn site(main: &str, text: &str) -> String {
    format!(
        "{main}
         http {{
             access_log {{dir}}/access.log;
             server {{
                 listen {{address}}:8080;
                 location / {{ return 200 '{text}'; }}
                 location /chat {{
                     proxy_pass http://{{address}}:9001;
                     proxy_http_version 1.1;
                     proxy_set_header Upgrade $http_upgrade;
                     proxy_set_header Connection upgrade;
                 }}
                 location /slow {{ proxy_pass http://{{address}}:9001; }}
             }}
         }}"
    )
}

/// Culvert's name, or nginx's where it stands in.
fn name() -> &'static str {
    if World::is_nginx() { "nginx" } else { "culvert" }
}

// Starting

/// Runs the program on a file with `config` and more arguments, to its end.
fn runs(place: &Place, config: &str, arguments: &[&str]) -> Finished {
    let file = place.write("some.conf", place.fill(config));
    let mut command = Command::new(World::program(BINARY).path());
    command.arg("-p").arg(place.dir()).arg("-c").arg(file).arg("-e").arg(place.path("start.log")).args(arguments);
    run(&command, Deadline::default())
}

/// The least that nginx calls a configuration.
const WHOLE: &str = "pid {dir}/gateway.pid; error_log {dir}/error.log; events {}
http { access_log off; server { listen {address}:8080; return 204; } }
";

#[test]
fn the_test_of_a_good_configuration_says_so_and_exits_with_0() {
    let place = Place::new();
    let finished = runs(&place, WHOLE, &["-t"]);
    let (name, file) = (name(), place.path("some.conf"));
    let expected = format!(
        "{name}: the configuration file {0} syntax is ok\n{name}: configuration file {0} test is successful\n",
        file.display()
    );
    assert_eq!((finished.status.code(), finished.stdout.as_str(), finished.stderr), (Some(0), "", expected));
    assert!(!place.path("gateway.pid").exists() || place.read("gateway.pid").is_empty());
}

#[test]
fn a_quiet_test_of_a_good_configuration_says_nothing() {
    let finished = runs(&Place::new(), WHOLE, &["-t", "-q"]);
    assert_eq!((finished.status.code(), finished.stdout.as_str(), finished.stderr.as_str()), (Some(0), "", ""));
}

#[test]
fn the_test_of_a_bad_configuration_names_the_place_and_exits_with_1() {
    let place = Place::new();
    let finished = runs(&place, "events {}\nhttp {\n    server { proxy_pas http://x; }\n}\n", &["-t"]);
    let (name, file) = (name(), place.path("some.conf"));
    let expected = format!(
        "{name}: [emerg] unknown directive \"proxy_pas\" in {0}:3\n{name}: configuration file {0} test failed\n",
        file.display()
    );
    assert_eq!((finished.status.code(), finished.stderr), (Some(1), expected));
}

#[test]
fn all_errors_of_a_configuration_are_told_in_one_run() {
    let place = Place::new();
    let config = "events {}\nhttp {\n server { listn 80; }\n keepalive_timeout soon;\n server { return; }\n}\n";
    let finished = runs(&place, config, &["-t"]);
    let file = place.path("some.conf");
    for (line, fact) in [
        (3, "unknown directive \"listn\""),
        (4, "invalid value"),
        (5, "invalid number of arguments in \"return\" directive"),
    ] {
        let place = format!("in {}:{line}\n", file.display());
        let told = finished.stderr.split_inclusive('\n').any(|said| said.contains(fact) && said.ends_with(&place));
        assert!(told || fact == "invalid value" && finished.stderr.contains(&place), "{fact}:\n{}", finished.stderr);
    }
    assert_eq!(finished.status.code(), Some(1));
}

#[test]
fn every_kind_of_mistake_has_nginxs_message_and_its_place() {
    let mut wrong = Vec::new();
    for (config, line, message) in [
        ("events {}\nlisten 80;\n", 2, "\"listen\" directive is not allowed here"),
        ("events {}\nhttp { proxy_pass http://x; }\n", 2, "\"proxy_pass\" directive is not allowed here"),
        (
            "events {}\nhttp { keepalive_timeout; }\n",
            2,
            "invalid number of arguments in \"keepalive_timeout\" directive",
        ),
        ("events {}\nhttp { server { listen 1 2 3 4; } }\n", 2, "invalid parameter \"2\""),
        (
            "events {}\nhttp { merge_slashes maybe; }\n",
            2,
            "invalid value \"maybe\" in \"merge_slashes\" directive, it must be \"on\" or \"off\"",
        ),
        ("events {}\nhttp { send_timeout 1s; send_timeout 2s; }\n", 2, "\"send_timeout\" directive is duplicate"),
        ("events {}\nhttp { send_timeout 1s }\n", 2, "unexpected \"}\""),
        ("events {}\nhttp { server { listen 80; }\n", 3, "unexpected end of file, expecting \"}\""),
        ("events {}\n}\n", 2, "unexpected \"}\""),
        ("events {}\nhttp;\n", 2, "directive \"http\" has no opening \"{\""),
        ("events {}\nhttp { upstream u { } }\n", 2, "no servers are inside upstream"),
        ("events {}\nhttp { server { listen 80000; } }\n", 2, "invalid port in \"80000\" of the \"listen\" directive"),
        ("events {}\nhttp { server { location /a { } location /a { } } }\n", 2, "duplicate location \"/a\""),
        ("events {}\nhttp { server { location ~ ( { } } }\n", 2, ""),
        ("events {}\nhttp { server { return 200 $nowhere; } }\n", 0, "unknown \"nowhere\" variable"),
        (
            "events {}\nhttp { server { location ~ a { proxy_pass http://b/c; } } }\n",
            2,
            "\"proxy_pass\" cannot have URI part in location given by regular expression",
        ),
        (
            "events {}\nhttp { server { client_max_body_size 1x; } }\n",
            2,
            "\"client_max_body_size\" directive invalid value",
        ),
    ] {
        let place = Place::new();
        let finished = runs(&place, config, &["-t"]);
        let at = if line == 0 { String::new() } else { format!(" in {}:{line}\n", place.path("some.conf").display()) };
        let told = finished.stderr.split_inclusive('\n').any(|said| said.contains(message) && said.contains(&at));
        if !told || finished.status.code() != Some(1) {
            wrong.push(format!("{config}{message}:\n{}", finished.stderr));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_dump_prints_every_file_of_the_configuration() {
    let place = Place::new();
    place.write("parts/one.inc", "# the first part\n");
    place.write("parts/two.inc", "# the second part\n");
    let config = format!("include parts/*.inc;\n{WHOLE}");
    let finished = runs(&place, &config, &["-T"]);
    let file = |name: &str| place.path(name).display().to_string();
    let expected = format!(
        "# configuration file {}:\n{}\n# configuration file {}:\n# the first part\n\n\
         # configuration file {}:\n# the second part\n\n",
        file("some.conf"),
        place.fill(&config),
        file("parts/one.inc"),
        file("parts/two.inc")
    );
    assert_eq!((finished.status.code(), finished.stdout), (Some(0), expected));
    assert!(finished.stderr.contains("test is successful"), "{}", finished.stderr);
}

#[test]
fn a_bad_configuration_ends_the_start_at_once() {
    let place = Place::new();
    let start = Instant::now();
    let finished = runs(&place, "http { server { listen {address}:8080; } ", &["-g", "daemon off;"]);
    assert_eq!(finished.status.code(), Some(1));
    assert!(finished.stderr.contains("unexpected end of file, expecting \"}\""), "{}", finished.stderr);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert!(!place.path("gateway.pid").exists());
}

#[test]
fn a_missing_configuration_file_is_named() {
    let place = Place::new();
    let mut command = Command::new(World::program(BINARY).path());
    command.arg("-p").arg(place.dir()).args(["-c", "nowhere.conf", "-e", "stderr"]);
    let finished = run(&command, Deadline::default());
    let expected = format!("open() \"{}\" failed (2: No such file or directory)", place.path("nowhere.conf").display());
    assert!(finished.stderr.contains(&expected), "{}", finished.stderr);
    assert_eq!(finished.status.code(), Some(1));
}

#[test]
fn a_missing_include_is_named_with_its_place() {
    let place = Place::new();
    let finished = runs(&place, "events {}\ninclude nowhere.inc;\n", &["-t"]);
    let expected = format!(
        "{}: [emerg] open() \"{}\" failed (2: No such file or directory) in {}:2\n",
        name(),
        place.path("nowhere.inc").display(),
        place.path("some.conf").display()
    );
    assert!(finished.stderr.starts_with(&expected), "{}", finished.stderr);
    assert_eq!(finished.status.code(), Some(1));
}

#[test]
fn an_include_loop_ends_with_a_message() {
    let place = Place::new();
    place.write("a.inc", "include b.inc;\n");
    place.write("b.inc", "include a.inc;\n");
    let finished = runs(&place, "events {}\ninclude a.inc;\n", &["-t"]);
    assert!(finished.stderr.contains("[emerg]"), "{}", finished.stderr);
    assert!(finished.stderr.contains(".inc"), "{}", finished.stderr);
    assert_eq!(finished.status.code(), Some(1));
}

#[test]
fn a_host_that_is_not_found_ends_the_start_with_its_place() {
    let place = Place::new();
    let config = "events {}\nhttp {\n upstream u { server nowhere.invalid:80; }\n server { listen {address}:8080;\n\
                  location / { proxy_pass http://u; } }\n}\n";
    for arguments in [&["-t"][..], &["-g", "daemon off;"]] {
        let finished = runs(&place, config, arguments);
        let expected = format!(
            "[emerg] host not found in upstream \"nowhere.invalid:80\" in {}:3\n",
            place.path("some.conf").display()
        );
        assert!(finished.stderr.contains(&expected), "{}", finished.stderr);
        assert_eq!(finished.status.code(), Some(1));
    }
}

#[test]
fn a_port_in_use_ends_the_start_and_leaves_no_pid_file() {
    let place = Place::new();
    let _holder = Server::bind(place.at(8080));
    let finished = runs(&place, WHOLE, &["-g", "daemon off;"]);
    let expected = format!("[emerg] bind() to {} failed (98: Address already in use)", place.at(8080));
    let log = place.read("start.log") + &finished.stderr + &place.read("error.log");
    assert!(log.contains(&expected), "{log}");
    assert_eq!(finished.status.code(), Some(1));
    assert!(!place.path("gateway.pid").exists(), "a pid file was left: {:?}", place.read("gateway.pid"));
}

#[test]
fn the_pid_file_tells_the_process_and_goes_away_with_it() {
    let mut world = world!(&site("", "hello"));
    let pid = world.gateway().pid().to_string();
    assert_eq!(world.place().read("gateway.pid").trim(), pid);
    assert_eq!(world.ends_by(Signal::SIGTERM, SOON).code(), Some(0));
    assert!(!world.place().path("gateway.pid").exists());
}

#[test]
fn a_daemon_goes_on_after_its_command_has_returned() {
    let place = Place::new();
    let file = place.write("some.conf", place.fill(WHOLE));
    // Not by `run`, which kills what its command leaves behind in the process group, as a daemon is for a moment.
    let mut command = Command::new(World::program(BINARY).path());
    command.arg("-p").arg(place.dir()).arg("-c").arg(file).arg("-e").arg(place.path("start.log"));
    let errors = std::fs::File::create(place.path("stderr")).expect("the directory is ours");
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors).status().expect("it starts");
    assert_eq!((status.code(), place.read("stderr").as_str()), (Some(0), ""));
    Deadline::default().until("the pid file", || (!place.read("gateway.pid").is_empty()).then_some(()));
    let _daemon = Daemon(place.read("gateway.pid").trim().to_owned());
    assert_eq!(Client::connect(place.at(8080)).get("/").status(), 204);
    assert_eq!(runs(&place, WHOLE, &["-s", "quit"]).status.code(), Some(0));
    Deadline::default().until("the daemon's end", || (!place.path("gateway.pid").exists()).then_some(()));
}

/// A process that has left our group; it is killed in case that its test fails.
struct Daemon(String);

impl Drop for Daemon {
    fn drop(&mut self) {
        // It has normally ended long since.
        let _ = Command::new("kill").args(["-KILL", &self.0]).output();
    }
}

#[test]
fn a_unix_socket_to_listen_on_is_made_and_removed() {
    let mut world = world!("server { listen unix:{dir}/front.sock; return 200 'through a file'; }");
    let socket = world.dir().join("front.sock");
    assert_eq!(Client::connect(socket.as_path()).get("/").text(), "through a file");
    let mode = std::fs::metadata(&socket).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o666, "everybody may connect, as with nginx");
    assert_eq!(world.ends_by(Signal::SIGQUIT, SOON).code(), Some(0));
    assert!(!socket.exists());
}

// Signals on the command line

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
    world.get("/two");
    Deadline::default().until("the line", || world.place().read("access.log").contains("/two").then_some(()));
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

// Stopping

#[test]
fn term_and_int_stop_at_once_and_exit_with_0() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut world = world!(&site("", "hello"));
        let (mut client, mut upstream) = Server::bind(world.at(9001)).upgrade(world.at(8080), "/chat");
        assert_eq!(world.ends_by(signal, SOON).code(), Some(0), "{signal}");
        client.reads_to_end();
        upstream.reads_to_end();
    }
}

#[test]
fn quit_lets_tunnels_go_on_and_ends_with_the_last() {
    let mut world = world!(&site("", "hello"));
    let (mut client, mut upstream) = Server::bind(world.at(9001)).upgrade(world.at(8080), "/chat");
    let mut idle = Client::connect(world.at(8080));
    assert_eq!(idle.get("/").status(), 200);
    world.gateway().signal(Signal::SIGQUIT);
    idle.is_closed();
    wait_until_refused(&world, 8080);
    client.says(&Frame::text("still here"));
    upstream.hears_text("still here");
    assert_eq!(world.gateway().process().exited(), None);
    drop(client);
    upstream.hears_the_end();
    drop(upstream);
    assert_eq!(world.waits_for_the_end(SOON).code(), Some(0));
    assert_eq!(world.access_log_lines(2).len(), 2);
}

#[test]
fn quit_lets_a_request_finish() {
    let mut world = world!(&site("", "hello"));
    let server = Server::bind(world.at(9001));
    let mut client = Client::connect(world.at(8080));
    client.send("GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut upstream = server.accepts();
    upstream.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
    world.gateway().signal(Signal::SIGQUIT);
    wait_until_refused(&world, 8080);
    upstream.sends(b" last");
    let response = client.response();
    assert_eq!((response.status(), response.text().as_str()), (200, "first last"));
    client.is_closed();
    assert_eq!(world.waits_for_the_end(SOON).code(), Some(0));
}

#[test]
fn quit_cuts_tunnels_after_worker_shutdown_timeout() {
    let mut world = world!(&site("worker_shutdown_timeout 1s;", "hello"));
    let (mut client, mut upstream) = Server::bind(world.at(9001)).upgrade(world.at(8080), "/chat");
    let start = Instant::now();
    world.gateway().signal(Signal::SIGQUIT);
    client.reads_to_end();
    assert!(start.elapsed() >= Duration::from_millis(950), "cut after {:?}", start.elapsed());
    upstream.reads_to_end();
    assert_eq!(world.waits_for_the_end(SOON).code(), Some(0));
    let lines = world.access_log_lines(1);
    assert!(lines[0].contains("GET /chat HTTP/1.1\" 101 "), "{lines:?}");
}

#[test]
fn a_second_signal_ends_a_patient_gateway() {
    let mut world = world!(&site("", "hello"));
    let (mut client, _upstream) = Server::bind(world.at(9001)).upgrade(world.at(8080), "/chat");
    world.gateway().signal(Signal::SIGQUIT);
    wait_until_refused(&world, 8080);
    assert_eq!(world.ends_by(Signal::SIGTERM, SOON).code(), Some(0));
    client.reads_to_end();
}

#[test]
fn a_graceful_stop_loses_no_log_line() {
    let mut world = world!(&site("worker_processes 2;", "hello"));
    let mut client = Client::connect(world.at(8080));
    let mut other = Client::connect(world.at(8080));
    for number in 0..250 {
        assert_eq!(client.get(&format!("/{number}")).status(), 200);
        assert_eq!(other.get(&format!("/{number}")).status(), 200);
    }
    assert_eq!(world.ends_by(Signal::SIGQUIT, SOON).code(), Some(0));
    assert_eq!(world.gateway().access_log().lines().count(), 500);
}

fn wait_until_refused(world: &World, port: u16) {
    let address = world.at(port);
    Deadline::default()
        .until(&format!("{address} to be closed"), || TcpStream::connect(address).is_err().then_some(()));
}

// Reloading

#[test]
fn a_reload_leaves_open_tunnels_alone() {
    let world = world!(&site("worker_processes 2;", "version 0"));
    let server = Server::bind(world.at(9001));
    let mut tunnels: Vec<_> = (0..20).map(|_| server.upgrade(world.at(8080), "/chat")).collect();
    for version in 1..=10 {
        let text = format!("version {version}");
        world.reload_until(&site("worker_processes 2;", &text), "/", &text);
        for (client, upstream) in &mut tunnels {
            client.says(&Frame::text(&text));
            upstream.hears_text(&text);
            upstream.says(&Frame::text(&text));
            client.hears_text(&text);
        }
    }
}

#[test]
fn a_reload_spares_tunnels_from_worker_shutdown_timeout() {
    // nginx ends them: there, the timeout is for the workers that a reload leaves behind as well.
    let main = "worker_shutdown_timeout 500ms;";
    let world = world!(&site(main, "old"));
    let (mut client, mut upstream) = Server::bind(world.at(9001)).upgrade(world.at(8080), "/chat");
    world.reload_until(&site(main, "new"), "/", "new");
    client.hears_nothing_for(Duration::from_millis(1_200));
    client.says(&Frame::text("still here"));
    upstream.hears_text("still here");
}

#[test]
fn a_tunnel_keeps_the_values_that_it_was_opened_with() {
    let with = |timeout: &str| {
        format!(
            "server {{ listen {{address}}:8080; location = /v {{ return 200 '{timeout}'; }}
             location / {{ proxy_pass http://{{address}}:9001; proxy_read_timeout {timeout}; proxy_http_version 1.1;
             proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }} }}"
        )
    };
    let world = world!(&with("60s"));
    let server = Server::bind(world.at(9001));
    let (mut old, _old_upstream) = server.upgrade(world.at(8080), "/");
    world.reload_until(&with("500ms"), "/v", "500ms");
    let (mut new, _new_upstream) = server.upgrade(world.at(8080), "/");
    new.hears_the_end();
    old.hears_nothing_for(Duration::from_millis(200));
}

#[test]
fn a_bad_configuration_keeps_the_old_one() {
    let world = world!(&site("", "the old one"));
    let (mut client, mut upstream) = Server::bind(world.at(9001)).upgrade(world.at(8080), "/chat");
    world.reload("http {\n server { listen {address}:8080; retrn 200 'the new one'; }\n}");
    let line = world.error_log_shows("unknown directive \"retrn\"");
    assert!(line.contains(" [emerg] ") && line.ends_with("gateway.conf:2"), "{line}");
    assert_eq!(world.get("/").text(), "the old one");
    client.says(&Frame::text("still here"));
    upstream.hears_text("still here");
    world.reload_until(&site("", "a better one"), "/", "a better one");
}

#[test]
fn a_reload_that_cannot_bind_keeps_the_old_configuration() {
    let world = world!(&site("", "the old one"));
    let _holder = Server::bind(world.at(8090));
    world.reload(&format!("{} server {{ listen {{address}}:8090; }} }}", site("", "new").trim_end_matches('}')));
    world.error_log_shows(&format!("bind() to {} failed (98: Address already in use)", world.at(8090)));
    assert_eq!(world.get("/").text(), "the old one");
}

#[test]
fn a_reload_opens_new_listeners_and_closes_old_ones() {
    let listening = |ports: &[u16]| {
        let listens: String = ports.iter().map(|port| format!("listen {{address}}:{port}; ")).collect();
        format!("server {{ {listens} location / {{ return 200 'on {ports:?}'; }} }}")
    };
    let world = world!(&listening(&[8080, 8081]));
    assert_eq!(Client::connect(world.at(8081)).get("/").status(), 200);
    world.reload_until(&listening(&[8080, 8082]), "/", "on [8080, 8082]");
    assert_eq!(Client::connect(world.at(8082)).get("/").text(), "on [8080, 8082]");
    wait_until_refused(&world, 8081);
}

#[test]
fn a_kept_alive_connection_is_served_by_the_new_configuration_or_closed() {
    let world = world!(&site("", "old"));
    let mut client = Client::connect(world.at(8080));
    assert_eq!(client.get("/").text(), "old");
    world.reload_until(&site("", "new"), "/", "new");
    if client.try_send("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n") {
        // A connection that the reload has closed answers nothing, or with a reset.
        let answer = client.wire().take_rest().unwrap_or_default();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.is_empty() || answer.ends_with("new"), "{answer}");
    }
}

#[test]
fn no_connection_is_lost_while_the_configuration_is_reloaded() {
    let world = world!(&site("worker_processes 2;", "version 0"));
    let (done, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    // Not so many that the ports of a minute run out.
                    thread::sleep(Duration::from_millis(1));
                    let mut client = Client::connect(world.at(8080));
                    client.send("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
                    assert_eq!(client.response().status(), 200);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // Ends the loops above even if a reload fails the test.
        let _end = OnDrop(|| done.store(true, Ordering::Relaxed));
        for version in 1..=10 {
            let text = format!("version {version}");
            world.reload_until(&site("worker_processes 2;", &text), "/", &text);
        }
    });
    assert!(answered.into_inner() > 10);
}

struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        self.0();
    }
}

#[test]
fn a_request_that_a_reload_finds_under_way_is_finished() {
    let world = world!(&site("", "old"));
    let server = Server::bind(world.at(9001));
    let mut client = Client::connect(world.at(8080));
    client.send("GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut upstream = server.accepts();
    upstream.sends(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
    world.reload_until(&site("", "new"), "/", "new");
    upstream.sends(b" last");
    assert_eq!(client.response().text(), "first last");
}

#[test]
fn forty_reloads_leave_no_descriptor_and_no_thread_behind() {
    let mut world = world!(&site("worker_processes 2;", "version 0"));
    world.reload_until(&site("worker_processes 2;", "warm"), "/", "warm");
    let counts = |world: &mut World| (world.gateway().descriptors(), world.gateway().threads());
    let before = counts(&mut world);
    for version in 1..=40 {
        let text = format!("version {version}");
        world.reload_until(&site("worker_processes 2;", &text), "/", &text);
    }
    Deadline::default().until("the counts of the beginning", || (counts(&mut world) <= before).then_some(()));
}

#[test]
fn a_reload_may_change_the_number_of_workers() {
    let world = world!(&site("worker_processes 1;", "1"));
    let server = Server::bind(world.at(9001));
    let mut tunnels = vec![server.upgrade(world.at(8080), "/chat")];
    for workers in [3, 2, 4, 1] {
        let text = format!("{workers} workers");
        world.reload_until(&site(&format!("worker_processes {workers};"), &text), "/", &text);
        tunnels.push(server.upgrade(world.at(8080), "/chat"));
        for (client, upstream) in &mut tunnels {
            client.says(&Frame::text(&text));
            upstream.hears_text(&text);
        }
        for _ in 0..20 {
            assert_eq!(world.get("/").status(), 200);
        }
    }
}

#[test]
fn the_tunnels_of_workers_that_a_reload_dismisses_live_on() {
    let mut world = world!(&site("worker_processes 4;", "four"));
    let server = Server::bind(world.at(9001));
    let mut tunnels: Vec<_> = (0..20).map(|_| server.upgrade(world.at(8080), "/chat")).collect();
    world.reload_until(&site("worker_processes 1;", "one"), "/", "one");
    for (client, upstream) in &mut tunnels {
        client.says(&Frame::text("still here"));
        upstream.hears_text("still here");
    }
    // A graceful stop waits for them, too, and their ends are logged.
    world.gateway().signal(Signal::SIGQUIT);
    wait_until_refused(&world, 8080);
    for (client, upstream) in &mut tunnels {
        upstream.says(&Frame::text("still there"));
        client.hears_text("still there");
    }
    drop(tunnels);
    assert_eq!(world.waits_for_the_end(SOON).code(), Some(0));
    assert_eq!(world.place().read("access.log").matches("/chat HTTP/1.1\" 101").count(), 20);
}

#[test]
fn no_connection_is_lost_while_workers_come_and_go() {
    let world = world!(&site("worker_processes 1;", "0"));
    let (done, lost) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    // Not so many that the ports of a minute run out.
                    thread::sleep(Duration::from_millis(1));
                    let Ok(mut client) = Client::try_connect(&world.at(8080).into(), None) else {
                        lost.fetch_add(1, Ordering::Relaxed);
                        continue;
                    };
                    client.try_send("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
                    if !client.wire().take_rest().is_ok_and(|answer| answer.starts_with(b"HTTP/1.1 200 ")) {
                        lost.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        let _end = OnDrop(|| done.store(true, Ordering::Relaxed));
        for workers in [3, 1, 4, 2, 1, 2] {
            let text = format!("{workers} workers");
            world.reload_until(&site(&format!("worker_processes {workers};"), &text), "/", &text);
        }
    });
    assert_eq!(lost.into_inner(), 0, "connections were lost");
}

#[test]
fn workers_that_a_reload_adds_share_a_unix_socket() {
    let config = |workers: usize| {
        format!(
            "worker_processes {workers};
             http {{ access_log off; server {{ listen unix:{{dir}}/s.sock; listen {{address}}:8080; return 200 '{workers}'; }} }}"
        )
    };
    let world = world!(&config(1));
    for workers in [3, 1, 2] {
        world.reload_until(&config(workers), "/", &workers.to_string());
        for _ in 0..10 {
            let answer = Client::connect(world.dir().join("s.sock")).get("/").text();
            assert_eq!(answer, workers.to_string());
        }
    }
}

#[test]
fn a_stop_waits_for_no_idle_upstream_connection() {
    let mut world = world!(
        "upstream pool { server {address}:9001; keepalive 8; }
         server { listen {address}:8080; location / {
             proxy_pass http://pool; proxy_http_version 1.1; proxy_set_header Connection ''; } }"
    );
    let _backend = Backend::answering(world.at(9001), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(world.get("/").text(), "ok");
    assert_eq!(world.ends_by(Signal::SIGQUIT, SOON).code(), Some(0));
}

// Logs

#[test]
fn usr1_reopens_the_logs_and_loses_no_line() {
    let world = world!(&site("worker_processes 2;", "hello"));
    let log = world.dir().join("access.log");
    let done = AtomicBool::new(false);
    let asked = thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut client = Client::connect(world.at(8080));
            let mut asked = 0;
            while !done.load(Ordering::Relaxed) {
                // A connection is kept for at most 1000 requests.
                if asked % 500 == 499 {
                    client = Client::connect(world.at(8080));
                }
                assert_eq!(client.get("/").status(), 200);
                asked += 1;
            }
            asked
        });
        let end = OnDrop(|| done.store(true, Ordering::Relaxed));
        for turn in 0..5 {
            // Lines go to the new file once it exists, and the old one has some of its own.
            Deadline::default().until("some lines", || lines_of(&log).gt(&0).then_some(()));
            std::fs::rename(&log, world.dir().join(format!("access.log.{turn}"))).expect("the log is there");
            signal(&world, Signal::SIGUSR1);
            Deadline::default().until("a new log file", || log.exists().then_some(()));
        }
        drop(end);
        asking.join().expect("every request was answered")
    });
    let total =
        || (0..5).map(|turn| lines_of(&world.dir().join(format!("access.log.{turn}")))).sum::<usize>() + lines_of(&log);
    Deadline::default().until("all lines", || (total() == asked).then_some(()));
}

fn signal(world: &World, signal: Signal) {
    let pid = world.place().read("gateway.pid");
    let name = signal.as_str();
    let status = Command::new("kill").args(["-s", &name[3..], pid.trim()]).status().expect("kill is there");
    assert!(status.success());
}

fn lines_of(file: &Path) -> usize {
    std::fs::read_to_string(file).unwrap_or_default().lines().count()
}

// Privileges

/// Whether this test may start a gateway as root; without that there is nothing to give up.
fn is_root() -> bool {
    let finished = run(Command::new("id").arg("-u"), Deadline::default());
    finished.stdout.trim() == "0"
}

/// A directory that only root may write to, made in the place.
fn roots_own(place: &Place) {
    place.write("private/.keep", "");
    let closed = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(place.path("private"), closed).expect("the directory is ours");
}

fn privileged(ports: &[u16]) -> String {
    let listens: String = ports.iter().map(|port| format!("listen {{address}}:{port}; ")).collect();
    format!(
        "user nobody nogroup; worker_processes 2; error_log {{dir}}/private/error.log info;
         http {{
             access_log {{dir}}/private/access.log;
             server {{
                 {listens} listen {{address}}:8080;
                 location / {{ return 200 'on {ports:?}'; }}
                 location /sock {{ proxy_pass http://unix:{{dir}}/private/root.sock; }}
             }}
         }}"
    )
}

#[test]
fn workers_run_as_the_configured_user() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    roots_own(&place);
    let mut world = World::start_in(place, BINARY, &privileged(&[80]));
    let nobody = run(Command::new("id").args(["-u", "nobody"]), Deadline::default()).stdout.trim().to_owned();
    let users = users_of_workers(world.gateway());
    assert!(!users.is_empty() && users.iter().all(|user| *user == nobody), "{users:?} are not all {nobody}");
}

/// The effective user of every thread but the first one of the process that was started.
fn users_of_workers(gateway: &mut Gateway) -> Vec<String> {
    let first = gateway.pid();
    let children = std::fs::read_to_string(format!("/proc/{first}/task/{first}/children")).unwrap_or_default();
    let processes = std::iter::once(first.to_string()).chain(children.split_whitespace().map(str::to_owned));
    let tasks =
        processes.flat_map(|pid| std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten());
    tasks
        .filter(|task| task.file_name() != first.to_string().as_str())
        .filter_map(|task| std::fs::read_to_string(task.path().join("status")).ok())
        .filter_map(|status| {
            let line = status.lines().find(|line| line.starts_with("Uid:"))?;
            line.split_whitespace().nth(2).map(str::to_owned)
        })
        .collect()
}

#[test]
fn a_worker_cannot_reach_what_only_root_may() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    roots_own(&place);
    let socket = place.path("private/root.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("the name is free");
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o600)).expect("the socket is ours");
    let world = World::start_in(place, BINARY, &privileged(&[80]));
    assert_eq!(world.get("/sock").status(), 502);
    let log = || world.place().read("private/error.log").contains("(13: Permission denied)").then_some(());
    Deadline::default().until("the denial in the log", log);
}

#[test]
fn a_reload_still_binds_privileged_ports_and_reopens_roots_logs() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    roots_own(&place);
    let world = World::start_in(place, BINARY, &privileged(&[80]));
    assert_eq!(Client::connect(world.at(80)).get("/").text(), "on [80]");
    world.reload_until(&privileged(&[80, 81]), "/", "on [80, 81]");
    assert_eq!(Client::connect(world.at(81)).get("/").text(), "on [80, 81]");
    let log = world.dir().join("private/access.log");
    std::fs::rename(&log, world.dir().join("private/access.log.1")).expect("the log is there");
    signal(&world, Signal::SIGUSR1);
    Deadline::default().until("a new log file", || log.exists().then_some(()));
    world.get("/after");
    Deadline::default().until("the line", || world.place().read("private/access.log").contains("/after").then_some(()));
}

#[test]
fn an_unknown_user_ends_the_start() {
    if !is_root() {
        return;
    }
    let finished = runs(&Place::new(), &format!("user nosuchuser;\n{WHOLE}"), &["-t"]);
    assert!(finished.stderr.contains("getpwnam(\"nosuchuser\") failed"), "{}", finished.stderr);
    assert_eq!(finished.status.code(), Some(1));
}

#[test]
fn a_socket_opened_before_a_reload_may_ask_after_it() {
    let world = world!(&site("", "old"));
    let mut waiting = Peer::dials(world.at(8080));
    world.reload_until(&site("", "new"), "/", "new");
    waiting.tries_to_send(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let answer = waiting.reads_to_end();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}
