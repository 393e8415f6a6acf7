//! A whole gateway in one thread: no sockets, in-memory pipes, and a clock that moves only when a test says so.
//!
//! A test is a configuration and a conversation. Backends are named `backend-…` and need no address. When the world is
//! dropped it checks itself: the error log holds nothing that the test did not expect, no task and no connection is left, and
//! the balancers count nobody as busy.

mod end;
pub(crate) mod multiplexed;
pub(crate) mod network;
mod response;
mod tests;

pub(crate) use end::End;
pub(crate) use network::Mood;

use crate::lifecycle::in_memory::InMemory;
use crate::observe::log_file;
use culvert_conf::{Config, Options};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::duplex;
use tokio::runtime::{Builder, Runtime};

/// What a pipe holds in each direction, unless the test says otherwise.
pub(crate) const PIPE_BYTES: usize = 64 * 1024;

/// So many rounds of the runtime are enough for every wake-up to have led to its last consequence.
const SETTLING_ROUNDS: usize = 64;

/// The runtime with its paused clock.
#[derive(Clone)]
pub(crate) struct Clock(Rc<Runtime>);

impl Clock {
    fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.0.block_on(future)
    }

    /// Lets everything happen that happens at the current moment. Yielding keeps the runtime busy, so that the time stays.
    fn settle(&self) {
        self.run(async {
            for _ in 0..SETTLING_ROUNDS {
                tokio::task::yield_now().await;
            }
        });
    }
}

/// A gateway and everything around it.
pub(crate) struct World {
    gateway: InMemory,
    clock: Clock,
    directory: TempDir,
    browser_pipe_bytes: usize,
    serial: Cell<u64>,
    expected: RefCell<Vec<String>>,
}

impl World {
    /// A gateway that runs `config`: the inside of an `http` block.
    #[track_caller]
    pub(crate) fn new(config: &str) -> World {
        World::with_pipes(config, PIPE_BYTES, PIPE_BYTES)
    }

    /// As [`World::new`], with pipes that hold so many bytes towards browsers and towards backends.
    #[track_caller]
    pub(crate) fn with_pipes(config: &str, browser_bytes: usize, backend_bytes: usize) -> World {
        network::begin(backend_bytes);
        let directory = TempDir::new().expect("a temporary directory can be made");
        // Where the logs are by default.
        std::fs::create_dir(directory.path().join("logs")).expect("a folder can be made");
        let config = load(config, directory.path());
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .on_thread_park(log_file::flush)
            .build()
            .expect("a runtime can be built");
        let gateway = runtime.block_on(async { InMemory::start(config) });
        let clock = Clock(Rc::new(runtime));
        let (serial, expected) = (Cell::new(0), RefCell::default());
        World { gateway, clock, directory, browser_pipe_bytes: browser_bytes, serial, expected }
    }

    /// Moves the time. Everything that is due meanwhile happens in its order.
    pub(crate) fn passes(&self, duration: Duration) {
        self.clock.settle();
        self.clock.run(async { tokio::time::sleep(duration).await });
        self.clock.settle();
    }

    /// A browser connects.
    pub(crate) fn connect(&self) -> End {
        let (ours, theirs) = duplex(self.browser_pipe_bytes);
        self.serial.set(self.serial.get() + 1);
        self.clock.run(async { self.gateway.serve(ours, self.serial.get()) });
        self.clock.settle();
        End::new("browser", theirs, self.clock.clone())
    }

    /// The gateway's oldest connection to a backend that no test has taken yet.
    #[track_caller]
    pub(crate) fn accept(&self) -> End {
        self.arrival(None).expect("the gateway has connected to a backend")
    }

    /// The same at one backend.
    #[track_caller]
    pub(crate) fn accept_at(&self, backend: &str) -> End {
        self.arrival(Some(backend)).expect("the gateway has connected to this backend")
    }

    /// The same, where it may have connected to nobody.
    pub(crate) fn arrives(&self) -> Option<End> {
        self.arrival(None)
    }

    /// Whether the gateway has connected to nobody whom no test has taken yet.
    #[track_caller]
    pub(crate) fn nobody_arrives(&self) {
        assert!(self.arrival(None).is_none(), "the gateway has connected to a backend");
    }

    /// The stream of the oldest connection to a backend, for one that speaks more than bytes; it runs in this world's runtime.
    pub(crate) fn arrives_as_stream(&self) -> Option<tokio::io::DuplexStream> {
        self.clock.settle();
        network::take(None).map(|(_, stream)| stream)
    }

    /// Runs a future that is ready at the current moment, in this world's runtime.
    pub(crate) fn runs<T>(&self, future: impl Future<Output = T>) -> T {
        let result = self.clock.run(future);
        self.clock.settle();
        result
    }

    fn arrival(&self, backend: Option<&str>) -> Option<End> {
        self.clock.settle();
        network::take(backend).map(|(name, stream)| End::new(name, stream, self.clock.clone()))
    }

    /// Decides how a backend meets connections.
    pub(crate) fn mood(&self, backend: &str, mood: Mood) {
        network::set_mood(backend, mood);
    }

    /// A browser sends a request without a body, `GET /path`, and a new connection to a backend has its head.
    #[track_caller]
    pub(crate) fn request(&self, line: &str) -> (End, End) {
        let mut browser = self.connect();
        browser.says(request(line));
        let mut backend = self.accept();
        backend.hears_head();
        (browser, backend)
    }

    /// A browser opens a WebSocket at `path`. Both sides have the other's handshake behind them.
    #[track_caller]
    pub(crate) fn upgrade(&self, path: &str) -> (End, End) {
        if multiplexed::is_asked_for() {
            return self.upgrade_in_stream(path);
        }
        let mut browser = self.connect();
        browser.says(handshake(path));
        let mut backend = self.accept();
        backend.hears_head();
        backend.says(SWITCHING);
        let head = browser.hears_head();
        assert!(head.starts_with("HTTP/1.1 101 "), "the handshake was answered with {head}");
        (browser, backend)
    }

    /// The configuration is replaced.
    #[track_caller]
    pub(crate) fn reloads(&self, config: &str) {
        let config = load(config, self.directory.path());
        self.clock.run(async { self.gateway.reload(config) });
    }

    /// A graceful stop begins.
    pub(crate) fn drains(&self) {
        self.gateway.drain();
        self.clock.settle();
    }

    /// Whether the graceful stop is over.
    pub(crate) fn has_ended(&self) -> bool {
        self.clock.settle();
        self.gateway.has_ended()
    }

    /// The gateway, for what a conversation can't tell.
    pub(crate) fn gateway(&self) -> &InMemory {
        &self.gateway
    }

    /// The lines of `access.log`.
    pub(crate) fn access_log(&self) -> Vec<String> {
        self.clock.settle();
        self.lines("access.log")
    }

    /// The error log has a line with `text` in it. Such lines are expected.
    #[track_caller]
    pub(crate) fn log_says(&self, text: &str) {
        self.clock.settle();
        let lines = self.lines("error.log");
        assert!(lines.iter().any(|line| line.contains(text)), "no line with {text:?} in {lines:#?}");
        self.expected.borrow_mut().push(text.to_owned());
    }

    /// How many lines of the error log have `text` in them.
    pub(crate) fn error_lines(&self, text: &str) -> usize {
        self.clock.settle();
        self.lines("error.log").iter().filter(|line| line.contains(text)).count()
    }

    /// Lines with `text` in them are expected in the error log, but need not be there.
    pub(crate) fn log_may_say(&self, text: &str) {
        self.expected.borrow_mut().push(text.to_owned());
    }

    fn lines(&self, file: &str) -> Vec<String> {
        log_file::flush();
        let text = std::fs::read(self.directory.path().join(file)).unwrap_or_default();
        String::from_utf8_lossy(&text).lines().map(str::to_owned).collect()
    }

    fn check_log(&self) {
        let levels = ["[warn]", "[error]", "[crit]", "[alert]", "[emerg]"];
        let expected = self.expected.borrow();
        let is_bad = |line: &&String| {
            levels.iter().any(|level| line.contains(level)) && !expected.iter().any(|text| line.contains(text))
        };
        let lines = self.lines("error.log");
        let bad: Vec<_> = lines.iter().filter(is_bad).collect();
        assert!(bad.is_empty(), "unexpected lines in the error log: {bad:#?}");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        // All ends are gone but the gateway does not know yet: what it says of that is no news.
        self.check_log();
        while network::take(None).is_some() {}
        self.clock.settle();
        let remains = self.clock.run(async { self.gateway.remains() });
        assert_eq!(
            remains,
            (0, 0),
            "tasks that serve connections, and open connections, after all of them were closed"
        );
        assert_eq!(self.gateway.live_picks(), 0, "requests that the balancers still count as live");
        self.gateway.stop();
        // The pool looks once more at what it kept, finds nothing, and goes to sleep for good.
        self.passes(Duration::from_secs(2));
        assert_eq!(self.clock.0.metrics().num_alive_tasks(), 0, "tasks are left");
    }
}

/// The backend's answer to a handshake.
pub(crate) const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// A WebSocket handshake (the sample of RFC 6455 section 1.3).
pub(crate) fn handshake(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: culvert.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// A request without a body: `GET /path`.
pub(crate) fn request(line: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: culvert.test\r\n\r\n")
}

/// A response with a body of known length.
pub(crate) fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Bytes that tell their place, so that a lost, doubled or moved one is noticed.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    (0..length as u64).map(|n| (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect()
}

#[track_caller]
fn load(config: &str, directory: &Path) -> Config {
    let file = directory.join("nginx.conf");
    let protocol = if multiplexed::is_asked_for() { "http2 on; " } else { "" };
    std::fs::write(&file, format!("{protocol}{config}")).expect("the configuration can be written");
    let options = Options {
        file,
        prefix: directory.to_owned(),
        globals: Some("error_log error.log info;".into()),
        error_log: None,
        is_root: false,
        program: "culvert".into(),
    };
    match culvert_conf::load(&options) {
        Ok(loaded) => loaded.config,
        Err(report) => panic!("the test's configuration is bad: {report:#?}"),
    }
}
