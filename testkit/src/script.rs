//! Scripts in other languages that are real WebSocket peers: each is a child process that is driven by JSON lines on its
//! standard input, tells what happens in JSON lines on its standard output, and is killed with its handle (and with the
//! test's thread, should that die).

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

/// How long such a process may take for its next event.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A child process with pipes, killed on drop.
#[derive(Debug)]
pub(crate) struct Piped(pub(crate) Child);

impl Piped {
    /// Starts a program that dies with the calling thread. `setpriv` does that without a line of unsafe code here.
    pub(crate) fn start(command: &[&str], folder: &Path) -> Self {
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .args(command)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        Self(child)
    }

    pub(crate) fn stdin(&mut self) -> &mut ChildStdin {
        self.0.stdin.as_mut().expect("standard input is piped")
    }
}

impl Drop for Piped {
    fn drop(&mut self) {
        // Both fail only for a process that has ended already, which is what they are for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How scripts of one language are run: the words before a script's own arguments, and the folder that they are run in.
#[derive(Debug, Clone)]
pub(crate) struct Runner {
    pub(crate) words: Vec<String>,
    pub(crate) folder: PathBuf,
}

/// The JSON lines of a script.
#[derive(Debug)]
pub(crate) struct Script {
    process: Piped,
    lines: Receiver<String>,
    name: String,
}

impl Script {
    pub(crate) fn start(runner: &Runner, arguments: &[&str]) -> Self {
        let words: Vec<&str> = runner.words.iter().map(String::as_str).chain(arguments.iter().copied()).collect();
        let mut process = Piped::start(&words, &runner.folder);
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
        Self { process, lines, name: words.join(" ") }
    }

    /// Gives one order.
    pub(crate) fn does(&mut self, order: &Value) {
        writeln!(self.process.stdin(), "{order}").expect("the script still reads its orders");
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
    pub(crate) fn until(&self, event: &str) -> Value {
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

/// The recipe's server: it answers `Server received from client: TEXT` to text and sends binary messages back.
#[derive(Debug)]
pub struct Echo(Script);

impl Echo {
    /// Starts it on `address` and waits until it listens.
    pub(crate) fn run(runner: &Runner, address: SocketAddr, options: &[&str]) -> Self {
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        let script = Script::start(runner, &[&["--host", &host, "--port", &port], options].concat());
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

    /// Sends it a signal: `SIGSTOP` makes a server that accepts (its kernel does) and never answers.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).expect("process ids are positive numbers of 31 bits");
        kill(Pid::from_raw(pid), signal).expect("the process is ours and not yet reaped");
    }
}

/// A client that does what it is told.
#[derive(Debug)]
pub struct Client(Script);

impl Client {
    /// Starts it towards `url` and waits for nothing.
    pub(crate) fn run(runner: &Runner, url: &str, options: &[&str]) -> Self {
        Self(Script::start(runner, &[&[url], options].concat()))
    }

    /// Gives one order, for example `json!({"ping": "x"})`.
    pub fn does(&mut self, order: &Value) {
        self.0.does(order);
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

    /// Waits until what was sent last has come back: a message of so many bytes.
    #[track_caller]
    pub fn gets_back(&self, length: usize) {
        let (sent, message) = (self.until("sent"), self.until("message"));
        assert_eq!((&message["length"], &message["sha256"]), (&json!(length), &sent["sha256"]));
    }
}
