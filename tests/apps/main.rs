//! Applications that people put behind nginx, started as they come from pip and npm, behind the configuration that stands in
//! `examples/`, and used in Chromium: what is clicked there only works if the application's WebSocket does.

mod jupyter;
mod node_red;
mod socket_io;
mod streamlit;

use culvert_testkit::{Browser, Client, Deadline, Place, Process, Signal, World};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long an application may take for its start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// A file that `cargo xtask setup` installs in `testkit/apps`.
fn installed(file: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testkit/apps").join(file);
    assert!(path.exists(), "the tests need applications from pip and npm: run `cargo xtask setup` once");
    path
}

/// An application that listens on port 9001 of a place, and keeps all that it writes there.
struct App(Process);

impl App {
    /// Starts a command and waits until somebody listens.
    #[track_caller]
    fn start(place: &Place, name: &str, command: &mut Command) -> App {
        command.current_dir(place.dir()).env("HOME", place.dir());
        let mut process = Process::start(command, place.dir(), name);
        Deadline::after(PATIENCE).until(&format!("{name} to listen"), || {
            let ended = process.exited();
            assert!(ended.is_none(), "{name} ended with {ended:?}: {}{}", process.stdout(), process.stderr());
            Client::try_connect(&place.at(9001).into(), None).ok()
        });
        App(process)
    }
}

impl Drop for App {
    /// Asks before it kills: Jupyter's kernels are in sessions of their own, and Jupyter ends them.
    fn drop(&mut self) {
        if self.0.exited().is_none() {
            self.0.signal(Signal::SIGTERM);
            let _ = Deadline::default().try_until(|| self.0.exited());
        }
    }
}

/// Culvert on an example that listens as `listen` says, with other addresses in the place of those of its servers.
#[track_caller]
fn gateway(place: Place, example: &str, servers: &[(&str, SocketAddr)], listen: &str) -> World {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(example);
    let mut text = std::fs::read_to_string(file).expect("the example is there");
    for (written, meant) in servers.iter().map(|(written, at)| (*written, at.to_string())) {
        assert!(text.contains(written), "{written} is not in {text}");
        text = text.replace(written, &meant);
    }
    assert!(text.contains("listen 8020;"), "{text}");
    let text = text.replace("listen 8020;", listen);
    let log = "log_format told '$status $request $http2'; access_log {dir}/access.log told;";
    World::start_in(place, env!("CARGO_BIN_EXE_culvert"), &format!("{log}\n{text}"))
}

/// The line that a tunnel has left in the access log, once the browser that held it is gone.
#[track_caller]
fn tunnel(world: &World, browser: Browser, path: &str) -> String {
    drop(browser);
    let mut log = String::new();
    let line = Deadline::default().try_until(|| {
        log = world.place().read("access.log");
        log.lines().find(|line| line.starts_with("101 ") && line.contains(path)).map(str::to_owned)
    });
    line.unwrap_or_else(|| panic!("no tunnel to {path}: {log}"))
}
