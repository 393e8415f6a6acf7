//! A place with a gateway in it: what nearly every test of the binary begins with.

use crate::{Client, Deadline, Gateway, Place, Program, Response, Signal};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

/// Set to `nginx`, it puts the real nginx where a test would start Culvert: a test that nginx passes as well asks for
/// nothing that nginx's users don't have.
const STAND_IN: &str = "CULVERT_TEST_STAND_IN";

/// Starts Culvert, as the calling package builds it, on a configuration; see [`Gateway::start`] for its placeholders.
#[macro_export]
macro_rules! world {
    ($config:expr) => {
        $crate::World::start(env!("CARGO_BIN_EXE_culvert"), $config)
    };
}

/// A gateway at an address and in a directory of its own. When it is dropped it checks that the gateway is still there
/// (unless the test ended it) and that none of its threads has panicked.
#[derive(Debug)]
pub struct World {
    gateway: Gateway,
    place: Place,
    ended: bool,
}

impl World {
    /// Starts the binary at `culvert` on a configuration text.
    #[track_caller]
    pub fn start(culvert: &str, config: &str) -> Self {
        Self::start_in(Place::new(), culvert, config)
    }

    /// As [`World::start`], in a place that holds something already.
    #[track_caller]
    pub fn start_in(place: Place, culvert: &str, config: &str) -> Self {
        let gateway = Gateway::start(&Self::program(culvert), &place, config);
        Self { gateway, place, ended: false }
    }

    /// What the tests start: Culvert, unless the environment asks for nginx in its stead.
    pub fn program(culvert: &str) -> Program {
        match std::env::var(STAND_IN).as_deref() {
            Ok("nginx") => Program::Nginx,
            _ => Program::culvert(culvert),
        }
    }

    /// Whether the gateway is nginx in Culvert's stead.
    pub fn is_nginx() -> bool {
        Self::program("") == Program::Nginx
    }

    /// The gateway.
    pub fn gateway(&mut self) -> &mut Gateway {
        &mut self.gateway
    }

    /// The place.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The world's address with a port.
    pub fn at(&self, port: u16) -> SocketAddr {
        self.place.at(port)
    }

    /// The world's directory.
    pub fn dir(&self) -> &Path {
        self.place.dir()
    }

    /// Asks the gateway's port 8080 on a connection of its own.
    #[track_caller]
    pub fn get(&self, target: &str) -> Response {
        Client::connect(self.at(8080)).get(target)
    }

    /// Memory of the gateway's own in bytes, over all its processes: what it has allocated, without the pages of its
    /// binary, which come in as the code is first run.
    pub fn allocated_bytes(&self) -> usize {
        let first = self.gateway.pid();
        let children = std::fs::read_to_string(format!("/proc/{first}/task/{first}/children")).unwrap_or_default();
        let processes = std::iter::once(first.to_string()).chain(children.split_whitespace().map(str::to_owned));
        processes.map(|process| anonymous_bytes(&process)).sum()
    }

    /// File descriptors that the gateway has open.
    pub fn descriptors(&self) -> usize {
        self.gateway.descriptors()
    }

    /// Waits until a line of the error log contains `text`, and gives that line.
    #[track_caller]
    pub fn error_log_shows(&self, text: &str) -> String {
        self.gateway.error_log_until(text, Deadline::default())
    }

    /// Waits for so many lines of the access log.
    #[track_caller]
    pub fn access_log_lines(&self, lines: usize) -> Vec<String> {
        self.gateway.access_log_until(lines, Deadline::default())
    }

    /// Writes another configuration and asks for it to be loaded, and waits for nothing.
    pub fn reload(&self, config: &str) {
        self.gateway.write_config(&self.place, config);
        self.gateway.signal(Signal::SIGHUP);
    }

    /// Writes another configuration, loads it, and waits until `GET target` on port 8080 answers with `text`.
    #[track_caller]
    pub fn reload_until(&self, config: &str, target: &str, text: &str) {
        self.reload(config);
        Deadline::default().until(&format!("{text:?} after the reload"), || {
            let mut client = Client::try_connect(&self.at(8080).into(), None).ok()?;
            client.try_send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
            let answer = client.wire().take_rest().ok()?;
            String::from_utf8_lossy(&answer).contains(text).then_some(())
        });
    }

    /// Sends a signal that ends the gateway, and waits at most `wait` for the end.
    #[track_caller]
    pub fn ends_by(&mut self, signal: Signal, wait: Duration) -> ExitStatus {
        self.gateway.signal(signal);
        self.waits_for_the_end(wait)
    }

    /// Waits for the end of a gateway that was told to end.
    #[track_caller]
    pub fn waits_for_the_end(&mut self, wait: Duration) -> ExitStatus {
        self.ended = true;
        self.gateway.wait_exit(Deadline::after(wait))
    }
}

fn anonymous_bytes(process: &str) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap_or("0 kB");
    line.split_whitespace().next().and_then(|kilobytes| kilobytes.parse::<usize>().ok()).unwrap_or(0) * 1024
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("standard error of the gateway:\n{}", self.gateway.stderr());
            return;
        }
        let said = self.gateway.stderr() + &self.gateway.error_log();
        assert!(!said.contains("panicked at"), "the gateway panicked:\n{said}");
        let exit = self.gateway.process().exited();
        assert!(self.ended || exit.is_none(), "the gateway ended by itself with {exit:?}:\n{said}");
    }
}
