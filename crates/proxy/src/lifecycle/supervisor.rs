//! The main thread: it starts workers, obeys signals, reloads, and ends.

use super::pid_file::PidFile;
use super::plan::{Plan, PlannedListen};
use super::worker::{Command, Worker};
use super::{Generation, Launch, privileges};
use crate::listen::{self, Address};
use crate::observe::error_log::{ErrorSink, os_error};
use arc_swap::ArcSwap;
use culvert_conf::config::{Config, Level, Listen};
use nix::unistd;
use std::collections::HashMap;
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// An address that is listened on, under the number by which workers know it.
struct Bound {
    address: Address,
    options: Listen,
    id: usize,
}

/// Why the main loop goes on to its end.
enum Ending {
    /// `TERM`, `INT`: at once.
    Fast,
    /// `QUIT`: once what is open has ended.
    Graceful,
}

/// The signals that are obeyed.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hangup: Signal,
    reopen: Signal,
    upgrade: Signal,
}

impl Signals {
    fn catch() -> Result<Signals, String> {
        let catch = |kind| signal(kind).map_err(|error| format!("[emerg] sigaction() failed ({})", os_error(&error)));
        Ok(Signals {
            terminate: catch(SignalKind::terminate())?,
            interrupt: catch(SignalKind::interrupt())?,
            quit: catch(SignalKind::quit())?,
            hangup: catch(SignalKind::hangup())?,
            reopen: catch(SignalKind::user_defined1())?,
            upgrade: catch(SignalKind::user_defined2())?,
        })
    }
}

struct Supervisor {
    generation: Arc<ArcSwap<Generation>>,
    workers: Vec<Worker>,
    bound: Vec<Bound>,
    /// How many numbers of listening addresses were given out.
    ids: usize,
    worker_ended: Arc<Notify>,
    reload: Box<dyn FnMut() -> Result<Config, Vec<String>> + Send>,
    pid_file: Option<PidFile>,
}

/// Starts the gateway and runs it to its end.
pub(super) fn run(launch: Launch) -> Result<(), Vec<String>> {
    let Launch { config, reload, foreground, ready } = launch;
    let one = |error: String| vec![error];
    if let Err(alert) = listen::raise_descriptor_limit(config.main.worker_rlimit_nofile) {
        eprintln!("culvert: {alert}");
    }
    let (daemon, pid) = (config.main.daemon && !foreground, config.main.pid.clone().filter(|_| !foreground));
    let plan = Plan::new(config, None)?;
    for warning in &plan.warnings {
        eprintln!("culvert: {warning}");
    }
    for listen in &plan.listens {
        listen::probe(&listen.address, &listen.options).map_err(one)?;
    }
    let workers = worker_count(&plan.config);
    let mut sockets = HashMap::new();
    for (id, listen) in plan.listens.iter().enumerate() {
        sockets.insert(id, listen::bind(&listen.address, &listen.options, workers).map_err(one)?);
    }
    if daemon {
        leave_terminal().map_err(one)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| one(format!("[emerg] the main thread can't start ({})", os_error(&error))))?;
    runtime.block_on(async {
        // Whoever sees the pid file may send a signal, so signals are caught before it is there.
        let signals = Signals::catch().map_err(one)?;
        let pid_file = pid.map(|path| PidFile::write(&path)).transpose().map_err(one)?;
        if privileges::is_root() && !foreground {
            privileges::drop_to(plan.config.main.user.as_ref()).map_err(one)?;
        }
        let mut supervisor = Supervisor::new(plan, reload, pid_file);
        for index in 0..workers {
            supervisor.start_worker(index).map_err(one)?;
        }
        for (id, listeners) in sockets {
            for (worker, listener) in supervisor.workers.iter().zip(listeners) {
                worker.tell(Command::Listen(id, listener));
            }
        }
        if let Some(ready) = ready {
            ready();
        }
        supervisor.supervise(signals).await;
        Ok(())
    })
}

fn worker_count(config: &Config) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    config.main.worker_processes.unwrap_or_else(cores).max(1)
}

/// Goes on in the background, as `daemon on` has it; standard error stays until it is closed with the terminal.
fn leave_terminal() -> Result<(), String> {
    let failed = |call: &str, error: nix::Error| format!("[emerg] {call} failed ({}: {})", error as i32, error.desc());
    unistd::daemon(true, true).map_err(|error| failed("daemon()", error))?;
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null");
    let null = null.map_err(|error| format!("[emerg] open(\"/dev/null\") failed ({})", os_error(&error)))?;
    unistd::dup2_stdin(&null).and_then(|()| unistd::dup2_stdout(&null)).map_err(|error| failed("dup2()", error))
}

pub(super) fn generation(plan: Plan, site_by_listener: Vec<Option<usize>>) -> Generation {
    let error_sink = ErrorSink::new(&plan.config.main.error_log, &plan.logs);
    let hostname = unistd::gethostname().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    Generation {
        sites: plan.listens.into_iter().map(|listen| listen.site).collect(),
        config: plan.config,
        upstreams: plan.upstreams,
        logs: plan.logs,
        hostname,
        error_sink,
        site_by_listener,
    }
}

impl Supervisor {
    fn new(plan: Plan, reload: Box<dyn FnMut() -> Result<Config, Vec<String>> + Send>, pid_file: Option<PidFile>) -> Self {
        let bind = |(id, listen): (usize, &PlannedListen)| Bound {
            address: listen.address.clone(),
            options: listen.options.clone(),
            id,
        };
        let bound: Vec<_> = plan.listens.iter().enumerate().map(bind).collect();
        let ids = bound.len();
        let generation = generation(plan, (0..ids).map(Some).collect());
        Supervisor {
            generation: Arc::new(ArcSwap::from_pointee(generation)),
            workers: Vec::new(),
            bound,
            ids,
            worker_ended: Arc::new(Notify::new()),
            reload,
            pid_file,
        }
    }

    fn log(&self, level: Level, message: impl Display) {
        self.generation.load().error_sink.write(level, 0, message);
    }

    /// Writes lines in nginx's form, `[level] message`, to the error log.
    fn log_lines(&self, lines: &[String]) {
        for line in lines {
            let level = if line.starts_with("[warn]") { Level::Warn } else { Level::Emerg };
            self.log(level, line.split_once("] ").map_or(line.as_str(), |(_, message)| message));
        }
    }

    fn start_worker(&mut self, index: usize) -> Result<(), String> {
        let worker = Worker::start(index, self.generation.clone(), self.worker_ended.clone())
            .map_err(|error| format!("[emerg] a worker thread can't start ({})", os_error(&error)))?;
        self.workers.push(worker);
        Ok(())
    }

    async fn supervise(mut self, mut signals: Signals) {
        self.log(Level::Notice, format_args!("culvert/{} started with {} worker threads", env!("CARGO_PKG_VERSION"), self.workers.len()));
        let ending = loop {
            tokio::select! {
                Some(()) = signals.terminate.recv() => break Ending::Fast,
                Some(()) = signals.interrupt.recv() => break Ending::Fast,
                Some(()) = signals.quit.recv() => break Ending::Graceful,
                Some(()) = signals.hangup.recv() => self.reload(),
                Some(()) = signals.reopen.recv() => self.reopen(),
                Some(()) = signals.upgrade.recv() => self.log(Level::Notice, "a new binary takes over by a start and a graceful stop, not by USR2"),
            }
        };
        self.end(ending, signals).await;
    }

    fn reopen(&self) {
        self.log(Level::Notice, "reopening logs");
        let failed = privileges::raised(|| self.generation.load().logs.reopen());
        self.log_lines(&failed);
    }

    /// Puts a new configuration into service, or keeps the old one where the new one is bad.
    fn reload(&mut self) {
        self.log(Level::Notice, "reconfiguring");
        let result = privileges::raised(|| {
            let config = (self.reload)()?;
            let plan = Plan::new(config, Some(&self.generation.load()))?;
            self.replace(plan)
        });
        match result {
            Ok(()) => self.log(Level::Notice, "reconfigured"),
            Err(errors) => {
                self.log_lines(&errors);
                self.log(Level::Error, "the new configuration is not taken; the old one stays in service");
            }
        }
    }

    fn replace(&mut self, plan: Plan) -> Result<(), Vec<String>> {
        self.log_lines(&plan.warnings);
        let wanted = worker_count(&plan.config);
        let new_sockets = self.bind_new(&plan, wanted)?;
        let ids: Vec<usize> = plan.listens.iter().map(|listen| self.id_of(&listen.address)).collect();
        let mut site_by_listener = vec![None; self.ids];
        for (site, id) in ids.iter().enumerate() {
            site_by_listener[*id] = Some(site);
        }
        let pid = plan.config.main.pid.clone();
        self.generation.store(Arc::new(generation(plan, site_by_listener)));
        self.resize(wanted, &new_sockets)?;
        for (id, listeners) in new_sockets {
            for (worker, listener) in self.workers.iter().zip(listeners) {
                worker.tell(Command::Listen(id, listener));
            }
        }
        self.unlisten(&ids);
        self.move_pid_file(pid);
        Ok(())
    }

    /// Binds what the plan listens on and nobody does yet, and all addresses anew for workers that are about to be added.
    /// Nothing changes where any of it fails.
    fn bind_new(&mut self, plan: &Plan, wanted: usize) -> Result<Vec<(usize, Vec<listen::Listener>)>, Vec<String>> {
        let (mut sockets, mut fresh) = (Vec::new(), Vec::new());
        for listen in plan.listens.iter().filter(|listen| self.bound.iter().all(|bound| bound.address != listen.address)) {
            if !self.shares_port(&listen.address) {
                listen::probe(&listen.address, &listen.options).map_err(|error| vec![error])?;
            }
            let listeners = listen::bind(&listen.address, &listen.options, wanted).map_err(|error| vec![error])?;
            fresh.push((listen, listeners));
        }
        for (listen, listeners) in fresh {
            sockets.push((self.ids, listeners));
            let (address, options) = (listen.address.clone(), listen.options.clone());
            self.bound.push(Bound { address, options, id: self.ids });
            self.ids += 1;
        }
        Ok(sockets)
    }

    /// An own wildcard listener on the same port is no stranger that a probe should find.
    fn shares_port(&self, address: &Address) -> bool {
        let port = |address: &Address| match address {
            Address::Inet(addr) => Some(addr.port()),
            Address::Unix(_) => None,
        };
        self.bound.iter().any(|bound| port(&bound.address).is_some() && port(&bound.address) == port(address))
    }

    fn id_of(&self, address: &Address) -> usize {
        let bound = self.bound.iter().find(|bound| bound.address == *address);
        bound.expect("every planned address was bound before").id
    }

    fn unlisten(&mut self, kept: &[usize]) {
        for bound in self.bound.extract_if(.., |bound| !kept.contains(&bound.id)) {
            for worker in &self.workers {
                worker.tell(Command::Unlisten(bound.id));
            }
            remove_socket_file(&bound.address);
        }
    }

    /// Adds or drains workers after a change of `worker_processes`.
    fn resize(&mut self, wanted: usize, new_sockets: &[(usize, Vec<listen::Listener>)]) -> Result<(), Vec<String>> {
        while self.workers.len() > wanted {
            if let Some(surplus) = self.workers.pop() {
                // It ends by itself with its last connection; nobody waits for it.
                surplus.tell(Command::Drain);
            }
        }
        for index in self.workers.len()..wanted {
            self.start_worker(index).map_err(|error| vec![error])?;
            // New addresses were bound for every worker already; an added one needs sockets of its own for the old.
            for bound in self.bound.iter().filter(|bound| new_sockets.iter().all(|(id, _)| *id != bound.id)) {
                let listeners = listen::bind(&bound.address, &bound.options, 1).map_err(|error| vec![error])?;
                for listener in listeners {
                    self.workers[index].tell(Command::Listen(bound.id, listener));
                }
            }
        }
        Ok(())
    }

    fn move_pid_file(&mut self, path: Option<PathBuf>) {
        let Some(held) = &self.pid_file else { return };
        if path.as_deref() == Some(held.path()) {
            return;
        }
        match path.map(|path| PidFile::write(&path)).transpose() {
            Ok(moved) => self.pid_file = moved,
            Err(error) => self.log_lines(&[error]),
        }
    }

    async fn end(mut self, ending: Ending, mut signals: Signals) {
        let limit = self.generation.load().config.main.worker_shutdown_timeout;
        let command: fn() -> Command = match ending {
            Ending::Fast => || Command::Stop,
            Ending::Graceful => || Command::Drain,
        };
        self.log(Level::Notice, if matches!(ending, Ending::Fast) { "exiting" } else { "gracefully shutting down" });
        self.workers.iter().for_each(|worker| worker.tell(command()));
        self.bound.drain(..).for_each(|bound| remove_socket_file(&bound.address));
        let until = limit.map(|limit| Instant::now() + limit);
        while self.workers.iter().any(|worker| !worker.thread.is_finished()) {
            tokio::select! {
                () = self.worker_ended.notified() => {}
                () = async { match until { Some(until) => sleep_until(until).await, None => std::future::pending().await } } => break,
                Some(()) = signals.terminate.recv() => break,
                Some(()) = signals.interrupt.recv() => break,
            }
            self.join_finished();
        }
        for worker in self.workers.drain(..) {
            worker.tell(Command::Stop);
            // A worker that panicked has said so on standard error; the others are still waited for.
            let _ = worker.thread.join();
        }
        self.generation.load().error_sink.write(Level::Notice, 0, "exit");
    }

    /// Joins workers that are past their last word, so that the loop above sees them as finished.
    fn join_finished(&mut self) {
        let (finished, running): (Vec<_>, Vec<_>) =
            self.workers.drain(..).partition(|worker| worker.commands.is_closed());
        self.workers = running;
        for worker in finished {
            let _ = worker.thread.join();
        }
    }
}

fn remove_socket_file(address: &Address) {
    if let Address::Unix(path) = address {
        // Somebody may have removed it already.
        let _ = privileges::raised(|| std::fs::remove_file(path));
    }
}
