//! A network of a test's own, for the few tests whose ports are part of what they promise (8010 and 8020 of the recipe).
//!
//! Where the kernel permits it, the test runs once more in a process of its own inside a fresh network namespace in
//! which only loopback is up; where it does not, a machine-wide lock keeps such tests apart.

mod far;

pub use far::{Carried, Far, Line};

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

/// Set for the inner process of a test.
const INSIDE: &str = "CULVERT_TEST_INSIDE_NETWORK";

/// How long a test waits for others that use the same ports.
const QUEUE_PATIENCE: Duration = Duration::from_secs(300);

/// Proof that no other test uses this network's fixed ports.
#[derive(Debug)]
pub struct Network {
    _lock: Option<UnixListener>,
}

/// Gives the calling test a network of its own: `let Some(_network) = own_network!() else { return };`.
/// `None` means that the test has run to its end inside a namespace already.
#[macro_export]
macro_rules! own_network {
    () => {{
        fn here() {}
        $crate::network::enter(std::any::type_name_of_val(&here))
    }};
}

/// What [`own_network!`] calls; `place` is the path of a function inside the test.
pub fn enter(place: &str) -> Option<Network> {
    if std::env::var_os(INSIDE).is_some() {
        return Some(Network { _lock: None });
    }
    let path = place.strip_suffix("::here").expect("the macro's function is called so");
    let (_crate, test) = path.split_once("::").expect("a test is inside a crate");
    for namespace in [&["--net"][..], &["--net", "--map-current-user", "--keep-caps"]] {
        if permitted(namespace) {
            run_inside(namespace, test);
            return None;
        }
    }
    Some(Network { _lock: Some(lock()) })
}

fn inside(namespace: &[&str], command: &[&str]) -> Output {
    let script = "ip link set lo up && exec \"$@\"";
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "unshare"])
        .args(namespace)
        .args(["sh", "-c", script, "sh"])
        .args(command)
        .env(INSIDE, "1")
        .output()
        .expect("setpriv of util-linux is there")
}

fn permitted(namespace: &[&str]) -> bool {
    inside(namespace, &["true"]).status.success()
}

fn run_inside(namespace: &[&str], test: &str) {
    let program = std::env::current_exe().expect("a test knows its own path");
    let program = program.to_str().expect("cargo's paths are UTF-8");
    let output = inside(namespace, &[program, "--exact", test, "--include-ignored", "--nocapture"]);
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("1 passed"), "in a network of its own, {test} failed:\n{said}\n{complained}");
    // A test that could not do its work there passes, but not in silence.
    complained.lines().filter(|line| line.starts_with("skipped")).for_each(|line| eprintln!("{test}: {line}"));
}

/// Holds an abstract socket name: it needs no file, and the kernel frees it with its process.
fn lock() -> UnixListener {
    let name = SocketAddr::from_abstract_name("culvert-tests-fixed-ports").expect("the name is short");
    let deadline = Instant::now() + QUEUE_PATIENCE;
    loop {
        if let Ok(listener) = UnixListener::bind_addr(&name) {
            return listener;
        }
        assert!(Instant::now() < deadline, "another test holds the fixed ports for too long");
        thread::sleep(Duration::from_millis(50));
    }
}
