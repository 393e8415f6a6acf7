//! The life of the process: how it starts, what its signals do, what a reload leaves alone, and how it ends.

mod command_line;
mod logs;
mod privileges;
mod process;
mod reloading;
mod starting;
mod stopping;
mod workers;

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

fn wait_until_refused(world: &World, port: u16) {
    let address = world.at(port);
    Deadline::default()
        .until(&format!("{address} to be closed"), || TcpStream::connect(address).is_err().then_some(()));
}

struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        self.0();
    }
}

fn signal(world: &World, signal: Signal) {
    let pid = world.place().read("gateway.pid");
    let name = signal.as_str();
    let status = Command::new("kill").args(["-s", &name[3..], pid.trim()]).status().expect("kill is there");
    assert!(status.success());
}
