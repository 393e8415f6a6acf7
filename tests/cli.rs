//! The commands of Culvert's own (`echo`, `connect`, `demo`) and what the command line prints about itself.

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use culvert_testkit::node::{Client, Echo, Wscat};
use culvert_testkit::websocket::{Frame, Peer, Server, switching};
use culvert_testkit::{Browser, Deadline, Place, Process, Signal, World, json, own_network, run};

const BINARY: &str = env!("CARGO_BIN_EXE_culvert");

/// The version that the package has.
const VERSION: &str = env!("CARGO_PKG_VERSION");

fn culvert(arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(arguments);
    command
}

/// Runs culvert to its end; standard error and exit code.
fn says(arguments: &[&str]) -> (String, Option<i32>) {
    let finished = run(&culvert(arguments), Deadline::default());
    (finished.stderr, finished.status.code())
}

// About itself

#[test]
fn v_prints_the_version() {
    assert_eq!(says(&["-v"]), (format!("culvert version: culvert/{VERSION}\n"), Some(0)));
}

#[test]
fn capital_v_adds_what_it_was_built_with() {
    let (text, code) = says(&["-V"]);
    assert!(text.starts_with(&format!("culvert version: culvert/{VERSION}\nbuilt by rustc ")), "{text}");
    assert_eq!(code, Some(0));
}

#[test]
fn every_form_of_help_names_every_option_and_command() {
    for form in ["-h", "-?", "--help"] {
        let finished = run(&culvert(&[form]), Deadline::default());
        let text = finished.stdout + &finished.stderr;
        for word in ["-t ", "-T ", "-q ", "-c ", "-p ", "-g ", "-e ", "-s ", "-v ", "-V ", "echo", "connect", "demo"] {
            assert!(text.contains(word), "{form}: no {word:?} in {text}");
        }
        assert_eq!(finished.status.code(), Some(0));
    }
}

#[test]
fn bad_options_are_refused_in_nginxs_words() {
    for (arguments, message) in [
        (&["-x"][..], "invalid option: \"x\""),
        (&["nonsense"], "invalid option: \"nonsense\""),
        (&["-p"], "option \"-p\" requires directory name"),
        (&["-c"], "option \"-c\" requires file name"),
        (&["-e"], "option \"-e\" requires file name"),
        (&["-g"], "option \"-g\" requires parameter"),
        (&["-s"], "option \"-s\" requires parameter"),
        (&["-s", "dance"], "invalid option: \"-s dance\""),
    ] {
        assert_eq!(says(arguments), (format!("culvert: {message}\n"), Some(1)), "{arguments:?}");
    }
}

#[test]
fn options_may_be_glued() {
    let place = Place::new();
    place.write("conf/nginx.conf", place.fill("pid x.pid; error_log stderr; events {} http { access_log off; }"));
    let prefix = format!("-p{}", place.dir().display());
    assert_eq!(says(&["-tq", &prefix, "-cconf/nginx.conf"]), (String::new(), Some(0)));
}

#[test]
fn directives_on_the_command_line_count_and_are_checked() {
    let place = Place::new();
    place.write("nginx.conf", "events {} http { access_log off; }");
    let prefix = place.dir().display().to_string();
    let (text, code) = says(&["-t", "-p", &prefix, "-c", "nginx.conf", "-g", "no_such_thing on;"]);
    assert!(text.contains("unknown directive \"no_such_thing\" in command line"), "{text}");
    assert_eq!(code, Some(1));
}

// Echo

/// `culvert echo` on a free port of a place, and its URL.
fn echo(place: &Place, arguments: &[&str]) -> (Process, String) {
    let host = place.address().to_string();
    let mut command = culvert(&["echo", "0", "--host", &host]);
    command.args(arguments);
    let mut process = Process::start(&command, place.dir(), "echo");
    let line = process.stdout_until("\n", Deadline::default());
    let at = line.find("ws://").expect("it says where it listens");
    let url = line[at..].split_whitespace().next().expect("a URL").to_owned();
    (process, url)
}

#[test]
fn echo_answers_ws_and_wscat_in_the_recipes_words() {
    let place = Place::new();
    let (_echo, url) = echo(&place, &["--subprotocol", "chat"]);
    let mut client = Client::start(&url, &["--deflate", "--protocol", "chat"]);
    assert_eq!(client.until("open")["protocol"], "chat");
    client.says("hello");
    client.hears("Server received from client: hello");
    client.does(&json!({"random": 1_000_000}));
    let sent = client.until("sent");
    assert_eq!(client.until("message")["sha256"], sent["sha256"]);
    client.does(&json!({"ping": "x"}));
    client.until("pong");
    client.does(&json!({"close": [4000, "bye"]}));
    assert_eq!(client.until("close")["code"], 4000);

    let mut wscat = Wscat::connect(&url, &[]);
    wscat.shows("Connected");
    wscat.types("hello");
    wscat.shows("< Server received from client: hello");
}

#[test]
fn echo_ends_with_an_interrupt() {
    let place = Place::new();
    let (mut echo, _url) = echo(&place, &[]);
    echo.signal(Signal::SIGINT);
    assert_eq!(echo.wait_exit(Deadline::default()).code(), Some(0));
}

// Connect

/// Runs `culvert connect` with this on its standard input, which is no terminal.
fn connect(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new("timeout");
    command.args(["20", BINARY, "connect"]).args(arguments);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("timeout of coreutils is there");
    let mut stdin = child.stdin.take().expect("it is piped");
    // A client that has ended already takes no more input, which its output will tell better.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("the child is ours")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn connect_sends_the_lines_of_a_pipe_and_prints_the_answers() {
    let place = Place::new();
    let server = Echo::start(place.at(9001), &["--protocols", "chat"]);
    let url = format!("ws://{}/room", place.at(9001));
    let output = connect(&[&url, "--header", "X-One: two", "--subprotocol", "chat"], "hello\nworld\n");
    assert_eq!(
        text(&output.stdout),
        "Server received from client: hello\nServer received from client: world\n",
        "{}",
        text(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(0));
    let open = server.until("open");
    assert_eq!((&open["url"], &open["headers"]["x-one"]), (&json!("/room"), &json!("two")));
    assert_eq!(open["headers"]["sec-websocket-protocol"], "chat");
    assert_eq!(server.until("close")["code"], 1000);
}

#[test]
fn connect_tells_an_unclean_end_by_its_exit_code() {
    let place = Place::new();
    let server = Server::bind(place.at(9001));
    let url = format!("ws://{}/", place.at(9001));
    for (end, code) in
        [(Frame::close(1000, "").encode(None), 0), (Frame::close(1011, "broken").encode(None), 2), (Vec::new(), 2)]
    {
        let asking = std::thread::spawn({
            let url = url.clone();
            move || connect(&[&url, "--wait", "20"], "")
        });
        let mut upstream = server.accepts();
        // Any client's key has to be answered with its own accept value, so this one speaks for the server by hand.
        let key = upstream.header("Sec-WebSocket-Key").expect("a handshake has a key").to_owned();
        upstream.sends(switching("").replace("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", &accept(&key)).as_bytes());
        upstream.sends(&end);
        if end.is_empty() {
            drop(upstream);
        } else {
            assert_eq!(upstream.hears().opcode, 8);
            drop(upstream);
        }
        let output = asking.join().expect("it did not panic");
        assert_eq!(output.status.code(), Some(code), "{} {}", text(&output.stdout), text(&output.stderr));
    }
}

/// The accept value of a key (RFC 6455 section 4.2.2), by the tools of the system.
fn accept(key: &str) -> String {
    let script = "printf %s258EAFA5-E914-47DA-95CA-C5AB0DC85B11 \"$0\" | sha1sum | cut -c1-40 | xxd -r -p | base64";
    let script = script.replace("xxd -r -p", "perl -pe 'chomp; $_ = pack(\"H*\", $_)'");
    let finished = run(Command::new("sh").args(["-c", &script, key]), Deadline::default());
    finished.stdout.trim().to_owned()
}

#[test]
fn connect_tells_that_there_was_no_socket() {
    let place = Place::new();
    let url = format!("ws://{}/", place.at(9001));
    let output = connect(&[&url], "hello\n");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("onnect"), "{}", text(&output.stderr));
    let _refusing = Echo::start(place.at(9001), &["--refuse", "403"]);
    let output = connect(&[&url], "hello\n");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("403"), "{}", text(&output.stderr));
}

#[test]
fn connect_and_echo_talk_through_the_gateway() {
    let place = Place::new();
    let (_echo, url) = echo(&place, &[]);
    let backend = url.trim_start_matches("ws://").trim_end_matches('/').to_owned();
    let config = format!("server {{ listen {{address}}:8080; location / {{ proxy_pass http://{backend}; }} }}");
    let world = World::start(BINARY, &config);
    let output = connect(&[&format!("{}", world.at(8080)), "-x", "one", "-x", "two", "-w", "0"], "");
    assert_eq!(
        text(&output.stdout),
        "Server received from client: one\nServer received from client: two\n",
        "{}",
        text(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(0));
}

// Demo

/// A port that no gateway of the person at this machine is likely to hold on all addresses, unlike 8020.
const DEMO_PORT: u16 = 8029;

/// `culvert demo` at a place's own address.
fn demo(place: &Place) -> Process {
    let (host, port) = (place.address().to_string(), DEMO_PORT.to_string());
    let mut process = Process::start(&culvert(&["demo", "--host", &host, "--port", &port]), place.dir(), "demo");
    process.stdout_until("CTRL+C", Deadline::default());
    process
}

#[test]
fn the_demo_says_what_to_try_and_what_it_says_works() {
    let Some(_network) = own_network!() else { return };
    let place = Place::new();
    let mut demo = Process::start(&culvert(&["demo"]), place.dir(), "demo");
    let said = demo.stdout_until("CTRL+C", Deadline::default());
    for line in ["http://127.0.0.1:8020/", "connect ws://127.0.0.1:8020/"] {
        assert!(said.contains(line), "{said}");
    }
    let output = connect(&["ws://127.0.0.1:8020/"], "hello\n");
    assert_eq!(text(&output.stdout), "Server received from client: hello\n", "{}", text(&output.stderr));
    assert_eq!(output.status.code(), Some(0));
    demo.signal(Signal::SIGINT);
    assert_eq!(demo.wait_exit(Deadline::default()).code(), Some(0), "{}", demo.stderr());
}

#[test]
fn the_demo_ends_with_an_interrupt_though_sockets_are_open() {
    let place = Place::new();
    let mut demo = demo(&place);
    let mut peer = Peer::connect(place.at(DEMO_PORT), "/");
    demo.signal(Signal::SIGINT);
    assert_eq!(demo.wait_exit(Deadline::after(Duration::from_secs(5))).code(), Some(0), "{}", demo.stderr());
    peer.reads_to_end();
}

#[test]
fn the_demos_page_talks_through_the_gateway_in_a_browser() {
    let place = Place::new();
    let _demo = demo(&place);
    let mut browser = Browser::open(&format!("http://{}/", place.at(DEMO_PORT)));
    browser.until("document.querySelector('#status')?.dataset.state === 'open'");
    let first = browser.evaluate("document.querySelector('#backend').textContent");
    assert!(first.as_str().is_some_and(|name| name.starts_with("backend ")), "{first}");
    browser.evaluate(
        "document.querySelector('#text').value = 'hello from Chromium'; document.querySelector('#send').click()",
    );
    browser
        .until("document.querySelector('#log').innerText.includes('Server received from client: hello from Chromium')");
    browser.evaluate("document.querySelector('#again').click()");
    browser.until("document.querySelector('#status').dataset.state === 'open'");
    let second = browser.evaluate("document.querySelector('#backend').textContent");
    assert_ne!(first, second, "a new socket goes to the other backend");
    browser.evaluate("document.querySelector('#end').click()");
    browser.until("document.querySelector('#close').textContent.includes('1000')");
}
