//! The real WebSocket peers from npm: the recipe's echo server and a scripted client on `ws`, and `wscat` in a
//! terminal.

use crate::network::Far;
use crate::script::{Piped, Runner};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Instant;

pub use crate::script::{Client, Echo, PATIENCE};

fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("node");
    assert!(
        folder.join("node_modules/socket.io").is_dir(),
        "the tests need node's packages: run `cargo xtask setup` once, or `npm ci` in testkit/node"
    );
    folder
}

/// `script` of `testkit/node`, run here.
fn runner(script: &str) -> Runner {
    Runner { words: vec!["node".into(), script.into()], folder: folder() }
}

impl Echo {
    /// Starts the server on `ws` on `address` and waits until it listens. `options` are those at the top of
    /// `testkit/node/echo.js`.
    pub fn start(address: SocketAddr, options: &[&str]) -> Self {
        Self::run(&runner("echo.js"), address, options)
    }

    /// The same, at the far end of a line.
    pub fn start_at(far: &Far, address: SocketAddr, options: &[&str]) -> Self {
        Self::run(&far.runner(runner("echo.js")), address, options)
    }
}

impl Client {
    /// Starts the client on `ws` towards `url` and waits for nothing. `options` are those at the top of
    /// `testkit/node/client.js`.
    pub fn start(url: &str, options: &[&str]) -> Self {
        Self::run(&runner("client.js"), url, options)
    }

    /// The same, at the far end of a line.
    pub fn start_at(far: &Far, url: &str, options: &[&str]) -> Self {
        Self::run(&far.runner(runner("client.js")), url, options)
    }

    /// Starts it and waits until its socket is open.
    pub fn open(url: &str, options: &[&str]) -> Self {
        let client = Self::start(url, options);
        client.until("open");
        client
    }
}

/// Starts a server on node's `http`, `https` or `http2` on `address` and waits until it listens. `options` are those at the top
/// of `testkit/node/server.js`.
pub fn server(address: SocketAddr, options: &[&str]) -> Echo {
    Echo::run(&runner("server.js"), address, options)
}

/// Starts one replica of a real socket.io server on `address` and waits until it listens. `options` are those at the top
/// of `testkit/node/socket-io-server.js`.
pub fn socket_io_server(address: SocketAddr, options: &[&str]) -> Echo {
    Echo::run(&runner("socket-io-server.js"), address, options)
}

/// Starts a real socket.io client towards `url` and waits for nothing. `options` are those at the top of
/// `testkit/node/socket-io-client.js`.
pub fn socket_io_client(url: &str, options: &[&str]) -> Client {
    Client::run(&runner("socket-io-client.js"), url, options)
}

/// `wscat` as a person uses it: in a terminal, which `script` of util-linux provides.
#[derive(Debug)]
pub struct Wscat {
    process: Piped,
    output: Receiver<Vec<u8>>,
    seen: String,
}

impl Wscat {
    /// Starts `wscat --connect URL` with more arguments.
    pub fn connect(url: &str, arguments: &[&str]) -> Self {
        let command = [&["node_modules/.bin/wscat", "--no-color", "--slash", "--connect", url], arguments].concat();
        let mut process = Piped::start(&["script", "-q", "-f", "-e", "-c", &command.join(" "), "/dev/null"], &folder());
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
