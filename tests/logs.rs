//! The two logs, line by line: the access log in any format, the error log in nginx's shape.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use culvert_testkit::websocket::{Frame, Peer, Server};
use culvert_testkit::{Backend, Client, Deadline, Place, Signal, World, world};

/// Whether `text` is `pattern`, in which `#` stands for a run of digits and `~` for anything up to what follows it.
fn matches(pattern: &str, text: &str) -> bool {
    let Some(mark) = pattern.find(['#', '~']) else { return pattern == text };
    let (literal, rest) = (&pattern[..mark], &pattern[mark + 1..]);
    let Some(text) = text.strip_prefix(literal) else { return false };
    if pattern[mark..].starts_with('#') {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        return digits > 0 && matches(rest, &text[digits..]);
    }
    text.char_indices().any(|(at, _)| matches(rest, &text[at..])) || rest.is_empty()
}

#[track_caller]
fn assert_matches(text: &str, pattern: &str) {
    assert!(matches(pattern, text), "{text:?}\nis not like\n{pattern:?}");
}

/// A site of one location, and what stands above it in `http`.
fn site(http: &str, location: &str) -> World {
    world!(&format!("{http} server {{ listen {{address}}:8080; location / {{ {location} }} }}"))
}

#[test]
fn the_default_format_is_nginxs_combined() {
    let world = site("", "return 200 'hello';");
    let mut client = Client::connect(world.at(8080));
    client.send("GET /a?b=c HTTP/1.1\r\nHost: x\r\nReferer: http://y/\r\nUser-Agent: me \"quoted\"\r\n\r\n");
    assert_eq!(client.response().status(), 200);
    assert_matches(
        &world.access_log_lines(1)[0],
        "127.0.0.1 - - [#/~/#:#:#:# +#] \"GET /a?b=c HTTP/1.1\" 200 5 \"http://y/\" \"me \\x22quoted\\x22\"",
    );
}

#[test]
fn what_is_absent_is_a_dash() {
    let world = site("", "return 204;");
    Client::connect(world.at(8080)).send("GET / HTTP/1.0\r\n\r\n").response();
    assert_matches(
        &world.access_log_lines(1)[0],
        "127.0.0.1 - - [#/~/#:#:#:# +#] \"GET / HTTP/1.0\" 204 0 \"-\" \"-\"",
    );
}

#[test]
fn a_tunnel_is_logged_when_it_ends_with_its_bytes_and_its_duration() {
    let world = site(
        "log_format tunnel '$status|$bytes_sent|$upstream_addr|$upstream_status|$upstream_bytes_sent|\
         $upstream_bytes_received|$request_time|$upstream_response_time|$http_upgrade';
         access_log {dir}/access.log tunnel;",
        "proxy_pass http://{address}:9001; proxy_http_version 1.1;
         proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;",
    );
    let server = Server::bind(world.at(9001));
    let (mut client, mut upstream) = server.upgrade(world.at(8080), "/");
    client.says(&Frame::binary(vec![0; 1_000]));
    upstream.hears();
    upstream.says(&Frame::binary(vec![0; 100_000]));
    client.hears();
    client.hears_nothing_for(Duration::from_millis(300));
    assert_eq!(world.place().read("access.log"), "", "a tunnel is logged at its end");
    drop(client);
    upstream.hears_the_end();
    drop(upstream);
    let line = world.access_log_lines(1)[0].clone();
    let upstream_address = world.at(9001);
    assert_matches(&line, &format!("101|#|{upstream_address}|101|#|#|#.#|#.#|websocket"));
    let fields: Vec<&str> = line.split('|').collect();
    let number = |at: usize| fields[at].parse::<f64>().expect("a number");
    assert!((100_010.0..100_600.0).contains(&number(1)), "bytes to the client: {line}");
    assert!((1_008.0..1_600.0).contains(&number(4)), "bytes to the upstream: {line}");
    assert!((100_010.0..100_600.0).contains(&number(5)), "bytes from the upstream: {line}");
    assert!((0.3..5.0).contains(&number(6)), "duration: {line}");
}

#[test]
fn a_tunnel_that_never_came_to_be_is_logged_with_its_refusal() {
    let world = site(
        "log_format short '$status $upstream_status $upstream_addr'; access_log {dir}/access.log short;",
        "proxy_pass http://{address}:9001; proxy_http_version 1.1;
         proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;",
    );
    let _dead = Peer::asks(world.at(8080), "/", "").reads_head();
    let _refusing = Backend::answering(world.at(9001), "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n");
    let _refused = Peer::asks(world.at(8080), "/", "").reads_head();
    let upstream = world.at(9001);
    assert_eq!(world.access_log_lines(2), [format!("502 502 {upstream}"), format!("403 403 {upstream}")]);
}

#[test]
fn escaping_follows_the_format() {
    let header = b"GET / HTTP/1.1\r\nHost: x\r\nX: a\"b\\c\td\xc3\xa9\r\n\r\n";
    let world = site(
        "log_format plain '[$http_x]'; log_format json escape=json '[$http_x]'; log_format raw escape=none '[$http_x]';
         access_log {dir}/plain.log plain; access_log {dir}/json.log json; access_log {dir}/raw.log raw;",
        "return 204;",
    );
    assert_eq!(Client::connect(world.at(8080)).send(header).response().status(), 204);
    for (file, expected) in [
        ("plain.log", "[a\\x22b\\x5Cc\\x09d\\xC3\\xA9]\n"),
        ("json.log", "[a\\\"b\\\\c\\tdé]\n"),
        ("raw.log", "[a\"b\\c\tdé]\n"),
    ] {
        Deadline::default().until(file, || world.place().read(file).ends_with('\n').then_some(()));
        assert_eq!(world.place().read(file), expected, "{file}");
    }
}

#[test]
fn a_condition_chooses_the_lines() {
    let world = site(
        "map $arg_quiet $loud { default 1; yes 0; no ''; } log_format uri '$request_uri';
         access_log {dir}/access.log uri if=$loud;",
        "return 204;",
    );
    let mut client = Client::connect(world.at(8080));
    for target in ["/?quiet=yes", "/?quiet=no", "/loud"] {
        client.get(target);
    }
    assert_eq!(world.access_log_lines(1), ["/loud"]);
}

#[test]
fn a_location_may_log_elsewhere_or_not_at_all() {
    let mut world = world!(
        "log_format uri '$request_uri'; access_log {dir}/access.log uri;
         server { listen {address}:8080; location / { return 204; }
             location /quiet { access_log off; return 204; }
             location /two { access_log {dir}/one.log uri; access_log {dir}/two.log uri; return 204; } }"
    );
    let mut client = Client::connect(world.at(8080));
    for target in ["/quiet", "/two", "/here"] {
        client.get(target);
    }
    world.ends_by(Signal::SIGQUIT, Duration::from_secs(5));
    let read = |name: &str| world.place().read(name);
    assert_eq!(
        (read("access.log").as_str(), read("one.log").as_str(), read("two.log").as_str()),
        ("/here\n", "/two\n", "/two\n")
    );
}

#[test]
fn a_request_that_could_not_be_read_is_logged_with_what_there_was() {
    let world = site("", "return 204;");
    for (bytes, expected) in [
        (&b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"[..], "\"GET / HTTP/1.1\" 400 "),
        (b"\x16\x03\x01\x00\r\n\r\n", "\"\\x16\\x03\\x01\\x00\" 400 "),
        (b"nonsense\r\n\r\n", "\"nonsense\" 400 "),
    ] {
        let before = world.place().read("access.log").lines().count();
        let mut client = Peer::dials(world.at(8080));
        client.sends(bytes);
        client.reads_to_end();
        let line = world.access_log_lines(before + 1).pop().expect("a line");
        assert!(line.contains(expected), "{line} lacks {expected}");
    }
}

#[test]
fn a_client_that_went_away_is_a_499() {
    let world = site("log_format s '$status'; access_log {dir}/access.log s;", "proxy_pass http://{address}:9001;");
    let server = Server::bind(world.at(9001));
    let mut client = Peer::dials(world.at(8080));
    client.sends(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut upstream = server.accepts();
    client.resets();
    upstream.hears_the_end();
    assert_eq!(world.access_log_lines(1), ["499"]);
}

/// What the error log says of a request, after its time and level and before its end.
fn error_line(world: &World, level: &str, fact: &str) -> String {
    let line = world.error_log_shows(fact);
    assert_matches(&line, &format!("#/#/# #:#:# [{level}] ~: *# ~"));
    line
}

#[test]
fn an_upstream_error_has_nginxs_shape() {
    let world = world!(
        "server { listen {address}:8080; server_name one.example two.example; location / { proxy_pass http://{address}:9001/base/; } }"
    );
    let mut client = Client::connect(world.at(8080));
    client.send("GET /path?x=1 HTTP/1.1\r\nHost: two.example:8080\r\nReferer: http://r/\r\n\r\n");
    assert_eq!(client.response().status(), 502);
    let line = error_line(&world, "error", "connect() failed");
    let upstream = world.at(9001);
    let expected = format!(
        " connect() failed (111: Connection refused) while connecting to upstream, client: 127.0.0.1, \
         server: one.example, request: \"GET /path?x=1 HTTP/1.1\", upstream: \"http://{upstream}/base/path?x=1\", \
         host: \"two.example:8080\", referrer: \"http://r/\""
    );
    assert!(line.ends_with(&expected), "{line}\ndoes not end with\n{expected}");
}

#[test]
fn a_log_line_begins_with_the_time_the_level_and_the_connection() {
    let world = site("", "proxy_pass http://{address}:9001;");
    assert_eq!(world.get("/").status(), 502);
    let line = world.error_log_shows("connect() failed");
    let (stamp, rest) = line.split_once(" [error] ").expect("the level");
    assert_matches(stamp, "#/#/# #:#:#");
    let (process, rest) = rest.split_once(": *").expect("process and connection");
    let (pid, thread) = process.split_once('#').expect("process and thread");
    assert!(pid.parse::<u32>().is_ok() && thread.parse::<u32>().is_ok(), "{line}");
    assert!(rest.split(' ').next().is_some_and(|number| number.parse::<u64>().is_ok()), "{line}");
}

#[test]
fn levels_are_honoured() {
    for (level, heard) in [("info", true), ("notice", false), ("warn", false), ("error", false)] {
        let world = world!(&format!(
            "error_log {{dir}}/error.log {level};
             http {{ access_log {{dir}}/access.log; server {{ listen {{address}}:8080; location / {{ return 204; }} }} }}"
        ));
        let mut client = Peer::dials(world.at(8080));
        client.sends(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
        client.reads_to_end();
        // The access log's line comes after the error log's.
        world.access_log_lines(1);
        let fact = "client sent duplicate host header";
        if heard {
            world.error_log_shows(fact);
        } else {
            assert!(!world.place().read("error.log").contains(fact), "{level}: {}", world.place().read("error.log"));
        }
    }
}

#[test]
fn a_location_may_have_an_error_log_of_its_own() {
    let world = world!(
        "server { listen {address}:8080;
             location / { proxy_pass http://{address}:9001; }
             location /own { error_log {dir}/own.log; proxy_pass http://{address}:9001; } }"
    );
    assert_eq!(world.get("/own").status(), 502);
    Deadline::default().until("a line", || world.place().read("own.log").contains("connect() failed").then_some(()));
    assert!(!world.place().read("error.log").contains("connect() failed"), "{}", world.place().read("error.log"));
}

#[test]
fn an_error_log_may_be_standard_error() {
    let mut world = world!(
        "error_log stderr info; http { access_log off; server { listen {address}:8080; location / { proxy_pass http://{address}:9001; } } }"
    );
    assert_eq!(world.get("/").status(), 502);
    Deadline::default().until("a line", || world.gateway().stderr().contains("connect() failed").then_some(()));
}

/// A syslog server on a port of the world's address.
fn syslog_at(address: std::net::SocketAddr) -> std::net::UdpSocket {
    let socket = std::net::UdpSocket::bind(address).expect("the address is the test's own");
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout can be set");
    socket
}

/// The same on a unix socket.
fn syslog_socket(path: &Path) -> UnixDatagram {
    let socket = UnixDatagram::bind(path).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout can be set");
    open_to_all(path);
    socket
}

/// Lets workers in that are no longer root.
fn open_to_all(path: &Path) {
    std::fs::set_permissions(path, Permissions::from_mode(0o777)).expect("it is the test's own");
}

fn datagram(socket: &std::net::UdpSocket) -> String {
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).expect("a message");
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

#[test]
fn lines_go_to_syslog_servers_with_facility_severity_and_tag() {
    let place = Place::new();
    let (plain, told) = (syslog_at(place.at(5514)), syslog_at(place.at(5515)));
    let path = place.dir().join("log.sock");
    let unix = syslog_socket(&path);
    let config = "log_format short '$request_uri $status';
         server { listen {address}:8080;
             access_log syslog:server={address}:5514 short;
             access_log syslog:server=unix:{dir}/log.sock,facility=local3,severity=warn,tag=edge_1,nohostname short;
             error_log syslog:server={address}:5515,tag=culvert warn;
             location / { return 200; }
             location /broken { proxy_pass http://{address}:9009; } }";
    let world = World::start_in(place, env!("CARGO_BIN_EXE_culvert"), config);
    let host = hostname();
    assert_eq!(world.get("/a").status(), 200);
    assert_matches(&datagram(&plain), &format!("<190>~ ~ #:#:# {host} nginx: /a 200"));
    let mut buffer = [0; 4096];
    let length = unix.recv(&mut buffer).expect("a message");
    assert_matches(&String::from_utf8_lossy(&buffer[..length]), "<156>~ ~ #:#:# edge_1: /a 200");
    assert_eq!(world.get("/broken").status(), 502);
    assert_matches(
        &datagram(&told),
        &format!("<187>~ ~ #:#:# {host} culvert: #/#/# #:#:# [error] ~connect() failed (111: Connection refused)~"),
    );
    assert_matches(&datagram(&plain), &format!("<190>~ ~ #:#:# {host} nginx: /broken 502"));
}

/// The machine's name as the kernel has it, in lower case as nginx writes it.
fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").expect("Linux says it").trim().to_lowercase()
}

#[test]
fn a_syslog_server_that_is_gone_is_told_of_and_found_again() {
    let place = Place::new();
    let config = "server { listen {address}:8080; access_log syslog:server=unix:{dir}/log.sock;
                   location / { return 200; } location /metrics { access_log off; metrics; } }";
    let world = World::start_in(place, env!("CARGO_BIN_EXE_culvert"), config);
    assert_eq!(world.get("/").status(), 200);
    let line = world.error_log_shows("send() to syslog failed (2: No such file or directory)");
    assert!(line.contains("[error]"), "{line}");
    assert!(world.get("/metrics").text().contains("culvert_log_writes_lost_total 1\n"));
    let unix = syslog_socket(&world.dir().join("log.sock"));
    assert_eq!(world.get("/again").status(), 200);
    let mut buffer = [0; 4096];
    let length = unix.recv(&mut buffer).expect("a message");
    assert!(String::from_utf8_lossy(&buffer[..length]).contains("/again"));
}

#[test]
fn a_full_disk_stops_no_request_and_is_told_of_once() {
    let world = world!("server { listen {address}:8080; access_log /dev/full; location / { return 200 'fine'; } }");
    for _ in 0..10 {
        assert_eq!(world.get("/").text(), "fine");
    }
    let line = world.error_log_shows("write() to \"/dev/full\" failed (28: No space left on device)");
    assert!(line.contains("[alert]"), "{line}");
    assert_eq!(world.place().read("error.log").matches("No space left").count(), 1);
}

#[test]
fn a_buffer_is_written_when_it_is_full() {
    let mut world = world!(
        "log_format short '$request_uri';
         server { listen {address}:8080; access_log {dir}/access.log short buffer=25; location / { return 200; } }"
    );
    let mut client = Client::connect(world.at(8080));
    for path in ["/12345678", "/23456789"] {
        client.get(path);
    }
    client.wire();
    // Twenty bytes fit, thirty don't.
    assert_eq!(world.place().read("access.log"), "");
    client.get("/34567890");
    assert_eq!(world.access_log_lines(2), ["/12345678", "/23456789"]);
    world.gateway().signal(Signal::SIGUSR1);
    assert_eq!(world.access_log_lines(3)[2], "/34567890");
}

#[test]
fn a_buffer_is_written_when_its_oldest_line_is_old_enough_or_the_gateway_ends() {
    let mut world = world!(
        "log_format short '$request_uri';
         server { listen {address}:8080; access_log {dir}/access.log short buffer=1m flush=300ms;
             location / { return 200; }
             location /other { access_log {dir}/other.log short buffer=1m; return 200; } }"
    );
    let begin = std::time::Instant::now();
    world.get("/flushed");
    assert_eq!(world.access_log_lines(1), ["/flushed"]);
    assert!(begin.elapsed() >= Duration::from_millis(300), "after {:?}", begin.elapsed());
    world.get("/other");
    assert_eq!(world.place().read("other.log"), "");
    world.ends_by(Signal::SIGTERM, Duration::from_secs(10));
    assert_eq!(world.place().read("other.log"), "/other\n");
}

#[test]
fn batches_are_compressed() {
    let mut world = world!(
        "log_format short '$request_uri';
         server { listen {address}:8080; access_log {dir}/access.gz short gzip=6 buffer=15; location / { return 200; } }"
    );
    let mut client = Client::connect(world.at(8080));
    for path in ["/12345678", "/23456789", "/34567890"] {
        client.get(path);
    }
    drop(client);
    world.ends_by(Signal::SIGTERM, Duration::from_secs(10));
    let zcat = std::process::Command::new("zcat").arg(world.dir().join("access.gz")).output().expect("zcat runs");
    assert_eq!(String::from_utf8_lossy(&zcat.stdout), "/12345678\n/23456789\n/34567890\n");
}

#[test]
fn a_path_may_have_variables() {
    let world = world!(
        "log_format short '$request_uri';
         server { listen {address}:8080; access_log {dir}/$arg_log.log short;
             location / { return 200; }
             location /kept { open_log_file_cache max=2 inactive=1m; return 200; } }"
    );
    open_to_all(world.dir());
    let read = |name: &str, wanted: &str| {
        Deadline::default().until(wanted, || (world.place().read(name) == wanted).then_some(()));
    };
    for path in ["/?log=a", "/?log=b", "/two?log=a", "/kept?log=c", "/kept?log=d", "/kept?log=c", "/kept?log=e"] {
        world.get(path);
    }
    read("a.log", "/?log=a\n/two?log=a\n");
    read("b.log", "/?log=b\n");
    read("c.log", "/kept?log=c\n/kept?log=c\n");
    read("d.log", "/kept?log=d\n");
    read("e.log", "/kept?log=e\n");
    world.get("/?log=no/such/folder");
    let line = world.error_log_shows("/no/such/folder.log\" failed (2: No such file or directory)");
    assert!(line.contains("[crit]") && line.contains("open() \""), "{line}");
}

#[test]
fn a_tunnel_writes_to_the_log_that_its_handshake_named() {
    let world = site(
        "log_format short '$status $request_uri'; access_log {dir}/$arg_room.log short;",
        "proxy_pass http://{address}:9001; proxy_http_version 1.1;
         proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;",
    );
    let server = Server::bind(world.at(9001));
    open_to_all(world.dir());
    let pair = server.upgrade(world.at(8080), "/?room=blue");
    drop(pair);
    Deadline::default().until("the line", || (world.place().read("blue.log") == "101 /?room=blue\n").then_some(()));
}
