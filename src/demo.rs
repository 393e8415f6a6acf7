//! `culvert demo`: two echo servers, Culvert in front of them, and a page to talk through it.
//!
//! The configuration is `examples/two-backends.conf`, with its addresses replaced by the demo's own, in a temporary
//! directory that lives as long as the demo.

use crate::argv::Demo;
use crate::echo::{self, Manner};
use crate::{PROGRAM, VERSION, complain, gateway, say};
use culvert_conf::Options;
use culvert_proxy::Launch;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use tempfile::TempDir;

/// What runs: nginx's recipe with two servers.
const CONFIGURATION: &str = include_str!("../examples/two-backends.conf");

/// What stands for the two servers in it.
const SERVERS: [&str; 2] = ["127.0.0.1:8010", "127.0.0.1:8011"];

/// What stands for the gateway's address in it.
const LISTEN: &str = "listen 8020;";

/// The page; its two words in braces are replaced.
const PAGE: &str = include_str!("demo/page.html");

/// A socket to this path is told at once which backend it got.
const INTRODUCED_PATH: &str = "/introduced";

/// The configuration's name in its directory.
const FILE: &str = "nginx.conf";

/// What the demo adds to the configuration: it ends with the terminal that it was started from.
const GLOBALS: &str = "pid off; error_log stderr warn; worker_processes 1;";

/// Runs the demo until it is interrupted.
pub(crate) fn run(arguments: &Demo) -> ExitCode {
    match prepare(arguments) {
        Ok(stage) => perform(stage, arguments),
        Err(message) => complain(&format!("demo: {message}")),
    }
}

/// All that has to be there before the gateway starts.
struct Stage {
    address: SocketAddr,
    backends: Vec<SocketAddr>,
    directory: TempDir,
}

fn prepare(arguments: &Demo) -> Result<Stage, String> {
    let address = gateway_address(arguments)?;
    let backends = start_backends().map_err(|error| format!("the echo servers did not start: {error}"))?;
    let directory = furnish(&configuration(address, &backends))
        .map_err(|error| format!("the temporary directory is of no use: {error}"))?;
    Ok(Stage { address, backends, directory })
}

fn perform(stage: Stage, arguments: &Demo) -> ExitCode {
    let options = options(stage.directory.path());
    let config = match culvert_conf::load(&options) {
        Ok(loaded) => loaded.config,
        Err(report) => {
            gateway::print_report(&report);
            return ExitCode::FAILURE;
        }
    };
    let invitation = invitation(&stage);
    let end = culvert_proxy::run(Launch {
        config,
        reload: Box::new(move || gateway::reload(&options)),
        foreground: true,
        ready: Some(Box::new(move || say(&invitation))),
    });
    if end.is_err() && arguments.port != 0 {
        complain(&format!("demo: is port {} taken? --port chooses another", arguments.port));
    }
    gateway::finish(end)
}

/// The address to listen on. Port 0 takes a port that is free now; nothing else holds it until the gateway does.
fn gateway_address(arguments: &Demo) -> Result<SocketAddr, String> {
    let unusable = |error: io::Error| format!("{}:{}: {error}", arguments.host, arguments.port);
    let mut found = (arguments.host.as_str(), arguments.port).to_socket_addrs().map_err(unusable)?;
    let address = found.next().ok_or_else(|| format!("{}: no address", arguments.host))?;
    match address.port() {
        0 => TcpListener::bind(address).and_then(|probe| probe.local_addr()).map_err(unusable),
        _ => Ok(address),
    }
}

/// Starts the echo servers on a thread of their own, which ends with the process.
fn start_backends() -> io::Result<Vec<SocketAddr>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut addresses = Vec::new();
    for number in 1..=SERVERS.len() {
        let listener = runtime.block_on(echo::bind("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        runtime.spawn(echo::serve(listener, Arc::new(manner(number, address))));
        addresses.push(address);
    }
    std::thread::Builder::new()
        .name("demo backends".to_owned())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    Ok(addresses)
}

fn manner(number: usize, address: SocketAddr) -> Manner {
    let backend = format!("backend {number} ({address})");
    Manner {
        name: "Server".to_owned(),
        subprotocols: Vec::new(),
        page: Some(PAGE.replace("{version}", VERSION).replace("{path}", INTRODUCED_PATH)),
        introduction: Some((INTRODUCED_PATH, backend)),
    }
}

/// The example with the demo's addresses.
fn configuration(address: SocketAddr, backends: &[SocketAddr]) -> String {
    let mut text = CONFIGURATION.replace(LISTEN, &format!("listen {address};"));
    for (written, actual) in SERVERS.iter().zip(backends) {
        text = text.replace(written, &actual.to_string());
    }
    text
}

/// A temporary directory with the configuration and a place for logs, gone when it is dropped.
fn furnish(configuration: &str) -> io::Result<TempDir> {
    let directory = tempfile::Builder::new().prefix("culvert-demo-").tempdir()?;
    fs::create_dir(directory.path().join("logs"))?;
    fs::write(directory.path().join(FILE), configuration)?;
    Ok(directory)
}

fn options(directory: &Path) -> Options {
    Options {
        file: directory.join(FILE),
        prefix: directory.join(""),
        globals: Some(GLOBALS.to_owned()),
        error_log: Some("stderr".to_owned()),
        is_root: rustix::process::geteuid().is_root(),
        program: PROGRAM.to_owned(),
    }
}

/// What the demo says once it runs.
fn invitation(stage: &Stage) -> String {
    let program = std::env::args().next().unwrap_or_else(|| PROGRAM.to_owned());
    let backends: Vec<String> = stage.backends.iter().map(ToString::to_string).collect();
    format!(
        "Culvert {VERSION} stands in front of two echo servers ({}). Talk to them through it:\n\n\
         \x20 in a browser     http://{address}/\n\
         \x20 in a terminal    {program} connect ws://{address}/\n\n\
         It runs nginx's WebSocket recipe: {}\n\
         Press CTRL+C to end it.\n",
        backends.join(", "),
        stage.directory.path().join(FILE).display(),
        address = stage.address,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_of_the_example_is_replaced() {
        let address = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let text = configuration(address(9000), &[address(9001), address(9002)]);
        for line in ["listen 127.0.0.1:9000;", "server 127.0.0.1:9001;", "server 127.0.0.1:9002;"] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert!(!text.lines().any(|line| line.contains(":80") || line.contains(" 80")), "{text}");
    }

    #[test]
    fn the_page_knows_its_path_and_version() {
        let page = manner(1, SocketAddr::from(([127, 0, 0, 1], 1))).page.expect("the demo has a page");
        assert!(page.contains(INTRODUCED_PATH) && page.contains(VERSION));
        assert!(!page.contains("{path}") && !page.contains("{version}"));
    }

    #[test]
    fn port_0_takes_a_free_port() {
        let address = gateway_address(&Demo { port: 0, host: "127.0.0.1".to_owned() }).expect("loopback has one");
        assert_ne!(address.port(), 0);
    }

    #[test]
    fn the_directory_has_what_the_gateway_needs() {
        let directory = furnish("events {}").expect("the temporary directory is writable");
        assert!(directory.path().join("logs").is_dir());
        assert_eq!(fs::read_to_string(options(directory.path()).file).expect("it was written"), "events {}");
    }
}
