//! A headless Firefox, driven by WebDriver BiDi.

use crate::websocket::{Frame, Peer};
use crate::{Deadline, Process};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// How long the browser may take for its start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What keeps it from talking to anybody but the page's own server.
const PREFERENCES: &str = r#"
user_pref("app.normandy.enabled", false);
user_pref("app.update.disabledForTesting", true);
user_pref("browser.newtabpage.enabled", false);
user_pref("browser.region.update.enabled", false);
user_pref("browser.safebrowsing.downloads.enabled", false);
user_pref("browser.safebrowsing.malware.enabled", false);
user_pref("browser.safebrowsing.phishing.enabled", false);
user_pref("browser.startup.page", 0);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("extensions.systemAddon.update.enabled", false);
user_pref("extensions.update.enabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("nimbus.rollouts.enabled", false);
user_pref("services.settings.server", "data:,");
user_pref("toolkit.telemetry.server", "data:,");
"#;

/// A browser with one page; it is killed when this is dropped.
#[derive(Debug)]
pub struct Firefox {
    session: Peer,
    commands: u64,
    page: Value,
    _process: Process,
    _profile: TempDir,
}

impl Firefox {
    /// Starts Firefox on a page, with a profile of its own. Any certificate is good enough for it.
    ///
    /// # Panics
    /// When there is no Firefox or it does not come up.
    #[track_caller]
    pub fn open(url: &str) -> Self {
        let profile = tempfile::tempdir().expect("a directory for the profile");
        std::fs::write(profile.path().join("user.js"), PREFERENCES).expect("the directory is ours");
        let mut command = Command::new("firefox-esr");
        command.args(["--headless", "--no-remote", "--remote-debugging-port", "0", "--profile"]).arg(profile.path());
        command.env("HOME", profile.path());
        let mut process = Process::start(&command, profile.path(), "firefox");
        let address = address(&profile, &mut process);
        let session = Peer::connect(address, "/session");
        let mut firefox = Self { session, commands: 0, page: Value::Null, _process: process, _profile: profile };
        firefox.does("session.new", &json!({ "capabilities": { "alwaysMatch": { "acceptInsecureCerts": true } } }));
        firefox.page = firefox.does("browsingContext.getTree", &json!({}))["contexts"][0]["context"].clone();
        let order = json!({ "context": firefox.page, "url": url, "wait": "complete" });
        firefox.does("browsingContext.navigate", &order);
        firefox
    }

    /// Evaluates a JavaScript expression in the page, and waits for what it promises.
    ///
    /// # Panics
    /// When the page throws.
    #[track_caller]
    pub fn evaluate(&mut self, expression: &str) -> Value {
        // WebDriver has a language of its own for values; JSON is simpler.
        let wrapped = format!("(async () => JSON.stringify(await ({expression}) ?? null))()");
        let target = json!({ "context": self.page });
        let order = json!({ "expression": wrapped, "target": target, "awaitPromise": true });
        let answer = self.does("script.evaluate", &order);
        let text = answer["result"]["value"].as_str().unwrap_or_else(|| panic!("{expression}: {answer}"));
        serde_json::from_str(text).expect("JSON.stringify writes JSON")
    }

    /// Sends a command and gives its result.
    #[track_caller]
    fn does(&mut self, method: &str, parameters: &Value) -> Value {
        self.commands += 1;
        let order = json!({ "id": self.commands, "method": method, "params": parameters });
        self.session.says(&Frame::text(&order.to_string()));
        loop {
            let answer: Value = serde_json::from_slice(&self.session.hears().payload).expect("BiDi speaks JSON");
            if answer["id"] == self.commands {
                assert_eq!(answer["type"], "success", "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }
}

/// Where it can be spoken to, which it writes into its profile.
#[track_caller]
fn address(profile: &TempDir, process: &mut Process) -> SocketAddr {
    let file = profile.path().join("WebDriverBiDiServer.json");
    let port = Deadline::after(PATIENCE).until("Firefox's BiDi port", || {
        let ended = process.exited();
        assert!(
            ended.is_none(),
            "the tests need Firefox (`cargo xtask setup` installs it), and it ended with {ended:?}: {}",
            process.stderr()
        );
        let told: Value = serde_json::from_slice(&std::fs::read(&file).ok()?).ok()?;
        u16::try_from(told["ws_port"].as_u64()?).ok()
    });
    SocketAddr::from(([127, 0, 0, 1], port))
}
