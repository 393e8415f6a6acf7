//! A headless Chromium, driven over its DevTools protocol.

use crate::websocket::{Frame, Peer};
use crate::{Client, Deadline, Process};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// How long the browser may take for anything; its start is slow on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What keeps it from talking to anybody but the page's own server, and from needing privileges, a screen or a GPU.
const SWITCHES: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    // Tests make their own.
    "--ignore-certificate-errors",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
];

/// A browser with one page; it is killed when this is dropped.
#[derive(Debug)]
pub struct Browser {
    devtools: Peer,
    commands: u64,
    _process: Process,
    _profile: TempDir,
}

impl Browser {
    /// Starts Chromium on a page, with a profile of its own.
    ///
    /// # Panics
    /// When there is no Chromium or it does not come up.
    #[track_caller]
    pub fn open(url: &str) -> Self {
        let profile = tempfile::tempdir().expect("a directory for the profile");
        let mut command = Command::new("chromium");
        command.args(SWITCHES).arg(format!("--user-data-dir={}", profile.path().display())).arg(url);
        let process = Process::start(&command, profile.path(), "chromium");
        let deadline = Deadline::after(PATIENCE);
        let port_file = profile.path().join("DevToolsActivePort");
        let port = deadline.until("Chromium's DevTools port", || {
            let text = std::fs::read_to_string(&port_file).ok()?;
            text.split_once('\n')?.0.parse::<u16>().ok()
        });
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let path = deadline.until("Chromium's page", || page_path(address));
        let devtools = Peer::connect(address, &path);
        Self { devtools, commands: 0, _process: process, _profile: profile }
    }

    /// Evaluates a JavaScript expression in the page.
    ///
    /// # Panics
    /// When the page throws.
    #[track_caller]
    pub fn evaluate(&mut self, expression: &str) -> Value {
        self.commands += 1;
        let parameters = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let order = json!({ "id": self.commands, "method": "Runtime.evaluate", "params": parameters });
        self.devtools.says(&Frame::text(&order.to_string()));
        loop {
            let answer: Value = serde_json::from_slice(&self.devtools.hears().payload).expect("DevTools speaks JSON");
            if answer["id"] == self.commands {
                let result = &answer["result"];
                assert!(result["exceptionDetails"].is_null(), "{expression}: {answer}");
                return result["result"]["value"].clone();
            }
        }
    }

    /// Evaluates an expression until it is true.
    #[track_caller]
    pub fn until(&mut self, expression: &str) {
        let last = Deadline::after(PATIENCE).try_until(|| (self.evaluate(expression) == true).then_some(()));
        if last.is_none() {
            let text = self.evaluate("document.body.innerText");
            panic!("waited in vain for {expression}; the page says {text}");
        }
    }
}

/// The path of the DevTools socket of the first page.
fn page_path(address: SocketAddr) -> Option<String> {
    let list = Client::connect(address).get("/json/list").text();
    let pages: Value = serde_json::from_str(&list).ok()?;
    let page = pages.as_array()?.iter().find(|page| page["type"] == "page")?;
    let url = page["webSocketDebuggerUrl"].as_str()?;
    let (_host, path) = url.strip_prefix("ws://")?.split_once('/')?;
    Some(format!("/{path}"))
}
