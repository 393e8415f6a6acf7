//! How it starts, and what it says when it does not.

use super::*;

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
fn a_quiet_test_still_warns_as_nginx_does() {
    let server = "server { listen 127.0.0.1:8081; server_name a; return 204; }";
    let config = format!("error_log stderr; events {{}} http {{ access_log off; {server} {server} }}");
    let told = runs(&Place::new(), &config, &["-t", "-q"]).stderr;
    assert!(told.contains("[warn] conflicting server name \"a\""), "{told}");
    assert!(!told.contains("successful"), "{told}");
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
