//! The real WebSocket peers from npm: the recipe's echo server and a scripted client on `ws`, and `wscat` in a
//! terminal. Each is a child process that is killed with its handle (and with the test's thread, should that die).

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long a process of this module may take for its next event.
pub const PATIENCE: Duration = Duration::from_secs(20);

fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("node");
    assert!(
        folder.join("node_modules/ws").is_dir(),
        "the tests need node's packages: run `cargo xtask test` once, or `npm ci` in testkit/node"
    );
    folder
}

/// A child process, killed on drop.
#[derive(Debug)]
struct Process(Child);

impl Process {
    /// Starts a program that dies with the calling thread. `setpriv` does that without a line of unsafe code here.
    fn start(program: &str, arguments: &[&str]) -> Self {
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", program])
            .args(arguments)
            .current_dir(folder())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {program}: {error}"));
        Self(child)
    }

    fn stdin(&mut self) -> &mut ChildStdin {
        self.0.stdin.as_mut().expect("standard input is piped")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only for a process that has ended already, which is what they are for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The JSON lines of a script of `testkit/node`.
#[derive(Debug)]
struct Script {
    process: Process,
    lines: Receiver<String>,
    name: &'static str,
}

impl Script {
    fn start(name: &'static str, arguments: &[&str]) -> Self {
        let mut process = Process::start("node", &[&[name], arguments].concat());
        let output = process.0.stdout.take().expect("standard output is piped");
        let (sender, lines) = mpsc::channel();
        // The thread ends with the process, whose end closes the pipe.
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { process, lines, name }
    }

    /// The next event, whatever it is; none once the process has ended.
    fn next(&self, deadline: Instant) -> Option<Value> {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.lines.recv_timeout(left) {
            Ok(line) => Some(serde_json::from_str(&line).unwrap_or_else(|_| panic!("{}: {line}", self.name))),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("{}: nothing happened in time", self.name),
        }
    }

    /// Skips to the next event of that name.
    fn until(&self, event: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        let mut skipped = Vec::new();
        while let Some(found) = self.next(deadline) {
            if found["event"] == event {
                return found;
            }
            skipped.push(found);
        }
        panic!("{}: ended before {event:?} came; saw {skipped:?}", self.name)
    }
}

/// The recipe's server: `ws` behind node's own HTTP server.
#[derive(Debug)]
pub struct Echo(Script);

impl Echo {
    /// Starts it on `address` and waits until it listens. `options` are those at the top of `testkit/node/echo.js`.
    pub fn start(address: SocketAddr, options: &[&str]) -> Self {
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        let script = Script::start("echo.js", &[&["--host", &host, "--port", &port], options].concat());
        script.until("ready");
        Self(script)
    }

    /// Waits for the next event of that name that the server tells of: `open`, `message`, `ping`, `pong`, `close`, …
    pub fn until(&self, event: &str) -> Value {
        self.0.until(event)
    }

    /// The process itself, for a test that stops or kills it.
    pub fn pid(&self) -> u32 {
        self.0.process.0.id()
    }
}

/// A client on `ws` that does what it is told.
#[derive(Debug)]
pub struct Client(Script);

impl Client {
    /// Starts it towards `url` and waits for nothing. `options` are those at the top of `testkit/node/client.js`.
    pub fn start(url: &str, options: &[&str]) -> Self {
        Self(Script::start("client.js", &[&[url], options].concat()))
    }

    /// Starts it and waits until its socket is open.
    pub fn open(url: &str, options: &[&str]) -> Self {
        let client = Self::start(url, options);
        client.until("open");
        client
    }

    /// Gives one order, for example `json!({"ping": "x"})`.
    pub fn does(&mut self, order: &Value) {
        writeln!(self.0.process.stdin(), "{order}").expect("the client still reads its orders");
    }

    /// Sends a text message.
    pub fn says(&mut self, text: &str) {
        self.does(&json!({ "text": text }));
    }

    /// Waits for the next message, which has to be this text.
    pub fn hears(&self, text: &str) {
        assert_eq!(self.until("message")["text"], text);
    }

    /// Waits for the next event of that name: `open`, `message`, `sent`, `ping`, `pong`, `close`, `response`, `error`.
    pub fn until(&self, event: &str) -> Value {
        self.0.until(event)
    }
}

/// `wscat` as a person uses it: in a terminal, which `script` of util-linux provides.
#[derive(Debug)]
pub struct Wscat {
    process: Process,
    output: Receiver<Vec<u8>>,
    seen: String,
}

impl Wscat {
    /// Starts `wscat --connect URL` with more arguments.
    pub fn connect(url: &str, arguments: &[&str]) -> Self {
        let command = [&["node_modules/.bin/wscat", "--no-color", "--slash", "--connect", url], arguments].concat();
        let mut process = Process::start("script", &["-q", "-f", "-e", "-c", &command.join(" "), "/dev/null"]);
        let mut terminal = process.0.stdout.take().expect("standard output is piped");
        let (sender, output) = mpsc::channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = terminal.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { process, output, seen: String::new() }
    }

    /// Types a line.
    pub fn types(&mut self, line: &str) {
        write!(self.process.stdin(), "{line}\r").expect("wscat still reads its terminal");
    }

    /// Waits until `text` has appeared on the screen after everything that was waited for before.
    pub fn shows(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.seen.find(text) {
                self.seen.drain(..at + text.len());
                return;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(bytes) => self.seen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(error) => panic!("wscat did not show {text:?} ({error}); it shows {:?}", self.seen),
            }
        }
    }
}
