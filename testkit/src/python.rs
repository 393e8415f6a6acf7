//! The real WebSocket peers from Debian: `websockets` for Python, as a server and as a client. They obey the same orders
//! and tell the same events as those of [`crate::node`].

use crate::script::{Client, Echo, Runner};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

/// Debian's own: another one in `PATH` may not see Debian's packages.
const PYTHON: &str = "/usr/bin/python3";

/// A script of `testkit/python`.
fn runner(script: &str) -> Runner {
    static IS_THERE: OnceLock<bool> = OnceLock::new();
    let has_websockets = || {
        let output = Command::new(PYTHON).args(["-c", "import websockets"]).output();
        output.is_ok_and(|output| output.status.success())
    };
    assert!(
        *IS_THERE.get_or_init(has_websockets),
        "the tests need Python's websockets: run `cargo xtask setup` once, or install python3-websockets"
    );
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("python");
    Runner { words: vec![PYTHON.into(), "-u".into(), script.into()], folder }
}

/// Starts the server on `address` and waits until it listens. `options` are those at the top of `testkit/python/echo.py`.
pub fn echo(address: SocketAddr, options: &[&str]) -> Echo {
    Echo::run(&runner("echo.py"), address, options)
}

/// Starts the client towards `url` and waits for nothing. `options` are those at the top of `testkit/python/client.py`.
pub fn client(url: &str, options: &[&str]) -> Client {
    Client::run(&runner("client.py"), url, options)
}
