//! The proxies: found, started, waited for, stopped.

use super::configuration::{self, Words};
use super::core::Cores;
use super::process;
use crate::command::find;
use crate::root;
use anyhow::{Context, Result, bail};
use std::cell::Cell;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a proxy may take to listen; under valgrind it takes seconds.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// How much is shown of what a failed proxy complained about.
const COMPLAINT_LINES_MAX: usize = 3;

/// Which proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Culvert, which looks at frames.
    Culvert,
    /// Culvert with `websocket_frames off`.
    CulvertRaw,
    /// nginx.
    Nginx,
    /// HAProxy.
    Haproxy,
    /// Caddy.
    Caddy,
}

impl Kind {
    /// All that there are, in the order of the table.
    pub(super) const ALL: [Kind; 5] = [Kind::Culvert, Kind::CulvertRaw, Kind::Nginx, Kind::Haproxy, Kind::Caddy];

    /// Its name on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Culvert => "culvert",
            Kind::CulvertRaw => "culvert-raw",
            Kind::Nginx => "nginx",
            Kind::Haproxy => "haproxy",
            Kind::Caddy => "caddy",
        }
    }

    /// Its name in a table or a legend.
    pub(super) fn title(self) -> &'static str {
        match self {
            Kind::Culvert => "Culvert",
            Kind::CulvertRaw => "Culvert, raw",
            Kind::Nginx => "nginx",
            Kind::Haproxy => "HAProxy",
            Kind::Caddy => "Caddy",
        }
    }

    /// Whether this is the project's own.
    pub(super) fn is_culvert(self) -> bool {
        matches!(self, Kind::Culvert | Kind::CulvertRaw)
    }

    /// Where cargo puts the Culvert that is built from this tree.
    pub(super) fn built_culvert() -> PathBuf {
        root().join("target/release/culvert")
    }

    fn configuration(self, start: Start) -> &'static str {
        match self {
            Kind::Culvert | Kind::CulvertRaw | Kind::Nginx if start.big => "big.conf",
            Kind::Culvert | Kind::CulvertRaw | Kind::Nginx => "nginx.conf",
            Kind::Haproxy => "haproxy.cfg",
            Kind::Caddy => "Caddyfile",
        }
    }
}

/// A proxy that can be measured.
pub(super) struct Peer {
    /// Which one.
    pub(super) kind: Kind,
    /// What runs.
    pub(super) program: PathBuf,
}

impl Peer {
    /// Finds a peer by its name, or `NAME=PROGRAM`; `None` if it is not installed.
    pub(super) fn named(words: &str) -> Result<Option<Peer>> {
        let (name, program) = match words.trim().split_once('=') {
            Some((name, program)) => (name, Some(std::path::absolute(program)?)),
            None => (words.trim(), None),
        };
        let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.name() == name) else {
            bail!("there is no peer \"{name}\", only {}", Kind::ALL.map(Kind::name).join(", "));
        };
        let program = program.or_else(|| match kind.is_culvert() {
            true => Some(Kind::built_culvert()),
            false => find(kind.name()),
        });
        Ok(program.map(|program| Peer { kind, program }))
    }

    fn arguments(&self, directory: &Path, file: &Path) -> Vec<PathBuf> {
        match self.kind {
            Kind::Culvert | Kind::CulvertRaw | Kind::Nginx => {
                vec!["-p".into(), directory.into(), "-c".into(), file.into()]
            }
            Kind::Haproxy => vec!["-db".into(), "-f".into(), file.into()],
            Kind::Caddy => vec!["run".into(), "--config".into(), file.into(), "--adapter".into(), "caddyfile".into()],
        }
    }
}

/// How a proxy is started.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Start {
    /// Worker processes or threads. One is given a core of its own.
    pub(super) workers: usize,
    /// Whether it writes an access log.
    pub(super) logged: bool,
    /// Whether its configuration is the large one.
    pub(super) big: bool,
    /// Whether it speaks TLS.
    pub(super) tls: bool,
    /// Whether it takes HTTP/2, and WebSockets as streams.
    pub(super) streams: bool,
}

/// Where proxies run, and the servers behind them.
pub(super) struct Ground {
    directory: PathBuf,
    backends: Vec<SocketAddr>,
    cores: Cores,
    started: Cell<usize>,
}

impl Ground {
    /// Proxies keep their files in this directory, have one of these behind them, and run on their share of the cores.
    pub(super) fn new(directory: &Path, backends: Vec<SocketAddr>, cores: Cores) -> Ground {
        Ground { directory: directory.to_owned(), backends, cores, started: Cell::new(0) }
    }

    /// The path of a file in the directory.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The datagram socket that HAProxy logs to.
    pub(super) fn log_socket(&self) -> PathBuf {
        self.directory.join("log.socket")
    }

    /// Starts a proxy and waits until it listens.
    pub(super) fn start(&self, peer: &Peer, start: Start) -> Result<Running> {
        self.start_under(&[], peer, start)
    }

    /// Starts a proxy under a program that runs it, given with its first words.
    pub(super) fn start_under(&self, wrapper: &[String], peer: &Peer, start: Start) -> Result<Running> {
        let nth = self.started.replace(self.started.get() + 1);
        let address = free_address()?;
        let words = Words {
            kind: peer.kind,
            name: format!("{}-{nth}", peer.kind.name()),
            directory: &self.directory,
            listen: address,
            backend: self.backends[nth % self.backends.len()],
            start,
        };
        let file = configuration::write(&words, peer.kind.configuration(start))?;
        let mut line = self.cores.of_proxy(start.workers);
        line.extend(wrapper.iter().cloned());
        line.push(peer.program.display().to_string());
        let standard_error = self.directory.join(format!("{}.err", words.name));
        let child = Command::new(find(&line[0]).unwrap_or_else(|| PathBuf::from(&line[0])))
            .args(&line[1..])
            .args(peer.arguments(&self.directory, &file))
            .env("GOMAXPROCS", start.workers.to_string())
            .env("HOME", &self.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&standard_error)?)
            .spawn()
            .with_context(|| format!("could not start {}", peer.program.display()))?;
        let mut running =
            Running { name: words.name, directory: self.directory.clone(), address, child, standard_error };
        running.wait_until_it_listens().with_context(|| running.complaint())?;
        Ok(running)
    }
}

/// A free loopback address for a proxy. Nothing holds it until the proxy does, which is soon.
fn free_address() -> Result<SocketAddr> {
    let probe = TcpListener::bind("127.0.0.1:0").context("no free port")?;
    Ok(probe.local_addr()?)
}

/// A proxy that listens; dropping it stops it.
pub(super) struct Running {
    name: String,
    /// Where it listens.
    pub(super) address: SocketAddr,
    /// Where its files lie.
    pub(super) directory: PathBuf,
    /// The file of what it complained about.
    pub(super) standard_error: PathBuf,
    child: Child,
}

impl Running {
    /// What it has said on standard error, as far as one wants to read it.
    pub(super) fn complaint(&self) -> String {
        let said = std::fs::read_to_string(&self.standard_error).unwrap_or_default();
        let lines: Vec<&str> = said.lines().take(COMPLAINT_LINES_MAX).collect();
        format!("it said \"{}\"", lines.join(" "))
    }

    /// The CPU time that it has used so far.
    pub(super) fn cpu_time(&self) -> Result<Duration> {
        process::cpu_time(self.child.id())
    }

    /// The memory that it holds now, in bytes.
    pub(super) fn memory(&self) -> Result<u64> {
        process::memory(self.child.id())
    }

    /// The numbers of its processes.
    pub(super) fn processes(&self) -> Result<Vec<u32>> {
        process::family(self.child.id())
    }

    fn wait_until_it_listens(&mut self) -> Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        while TcpStream::connect(self.address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended instead of listening: {status}", self.name);
            }
            if Instant::now() > deadline {
                bail!("{} did not listen on {} in {START_TIMEOUT:?}", self.name, self.address);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        process::stop(&mut self.child);
    }
}
