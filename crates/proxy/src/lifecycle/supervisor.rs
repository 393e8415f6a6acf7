//! The main thread: it starts workers, obeys signals, reloads, and ends.

use super::pid_file::PidFile;
use super::plan::Plan;
use super::sockets::{Fresh, Sockets};
use super::worker::{Command, Worker};
use super::{Generation, Launch, Reload, privileges, process};
use crate::listen;
use crate::observe::complaints;
use crate::observe::error_log::{ErrorSink, os_error};
use crate::observe::metrics::{self, Tally};
use crate::observe::{log_file, path_logs};
use crate::upstream::background::{self, Background};
use crate::upstream::discovery::Lookups;
use crate::upstream::rebalance::{Crew, Desk, Question};
use crate::{tls, tunnel};
use arc_swap::ArcSwap;
use culvert_conf::config::{Config, Level};
use nix::unistd;
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

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
    /// Workers that a reload dismissed: they accept no more and end with their last connection.
    leaving: Vec<Worker>,
    sockets: Sockets,
    worker_ended: Arc<Notify>,
    /// Names that are resolved, peers that are probed, tunnels that are moved.
    background: Option<Background>,
    /// Responders that are asked about certificates.
    staples: JoinSet<()>,
    /// The workers, as the background work knows them.
    crew: Crew,
    reload: Reload,
    pid_file: Option<PidFile>,
    /// Whether the terminal was left.
    daemon: bool,
}

/// Starts the gateway and runs it to its end.
pub(super) fn run(launch: Launch) -> Result<(), Vec<String>> {
    let Launch { config, reload, foreground, ready } = launch;
    let one = |error: String| vec![error];
    if let Err(alert) = listen::raise_descriptor_limit(config.main.worker_rlimit_nofile) {
        eprintln!("culvert: {alert}");
    }
    let (daemon, pid) = (config.main.daemon && !foreground, config.main.pid.clone().filter(|_| !foreground));
    for alert in process::prepare(&config) {
        eprintln!("culvert: {alert}");
    }
    let plan = Plan::new(config, None)?;
    for warning in &plan.warnings {
        eprintln!("culvert: {warning}");
    }
    let workers = worker_count(&plan.config);
    let sockets = Sockets::default();
    let fresh = sockets.bind_missing(&plan.listens, workers)?;
    if daemon {
        leave_terminal().map_err(one)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| one(format!("[emerg] the main thread can't start ({})", os_error(&error))))?;
    metrics::start();
    runtime.block_on(async {
        // Whoever sees the pid file may send a signal, so signals are caught before it is there.
        let signals = Signals::catch().map_err(one)?;
        process::enter_directory(&plan.config).map_err(one)?;
        let pid_file = pid.map(|path| PidFile::write(&path)).transpose().map_err(one)?;
        if privileges::is_root() && !foreground {
            privileges::drop_to(plan.config.main.user.as_ref()).map_err(one)?;
        }
        process::settle(&plan.config).map_err(one)?;
        let mut supervisor = Supervisor::new(plan, sockets, fresh, reload, pid_file, daemon);
        supervisor.take_stderr();
        supervisor.start_background();
        supervisor.await_names().await;
        supervisor.resize(workers).map_err(one)?;
        supervisor.deal_sockets();
        if let Some(ready) = ready {
            ready();
        }
        supervisor.supervise(signals).await;
        Ok(())
    })
}

/// How many worker threads a configuration asks for.
pub(crate) fn worker_count(config: &Config) -> usize {
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

/// What runs from now on. Peers, counts and sessions of the generation before are taken over here, so it is to be stored.
pub(super) fn generation(plan: Plan, site_by_listener: Vec<Option<usize>>) -> Generation {
    let error_sink = ErrorSink::new(&plan.config.main.error_log, &plan.logs);
    let hostname = unistd::gethostname().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let error_sinks = plan.error_sinks();
    plan.gather_logs();
    complaints::listen(error_sink.clone());
    plan.upstreams.iter().for_each(|upstream| upstream.take_effect());
    Generation {
        sites: plan.listens.into_iter().map(|listen| listen.site).collect(),
        config: plan.config,
        error_sinks,
        upstreams: plan.upstreams,
        lookups: Lookups::default(),
        tls: plan.tls,
        client_tls: plan.client_tls,
        logs: plan.logs,
        hostname,
        error_sink,
        zones: plan.zones,
        trusted_hosts: plan.trusted_hosts,
        site_by_listener,
    }
}

impl Supervisor {
    fn new(
        plan: Plan,
        mut sockets: Sockets,
        fresh: Fresh,
        reload: Reload,
        pid_file: Option<PidFile>,
        daemon: bool,
    ) -> Supervisor {
        let sites = sockets.replace(fresh, &plan.listens, &[]);
        Supervisor {
            generation: Arc::new(ArcSwap::from_pointee(generation(plan, sites))),
            workers: Vec::new(),
            leaving: Vec::new(),
            sockets,
            worker_ended: Arc::new(Notify::new()),
            background: None,
            staples: JoinSet::new(),
            crew: Crew::default(),
            reload,
            pid_file,
            daemon,
        }
    }

    /// In the background, what is printed on standard error goes to the error log, as in nginx; whoever started the gateway
    /// does not wait for the end of its output.
    fn take_stderr(&self) {
        if self.daemon
            && let Err(error) = self.generation.load().error_sink.take_stderr()
        {
            self.log(Level::Alert, format_args!("dup2() of the error log failed ({})", os_error(&error)));
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

    /// Starts what goes on in the background, or goes on with it under another configuration.
    fn start_background(&mut self) {
        let before = self.background.take();
        let generation = self.generation.load_full();
        self.background = Some(background::start(&generation, &self.crew, before));
        self.staples = tls::keep_staples(&generation);
    }

    /// Waits a moment for the addresses of servers with `resolve`, so that the first requests meet them.
    async fn await_names(&mut self) {
        if let Some(background) = &mut self.background {
            // Whatever is not known by then is found out while requests go elsewhere.
            let _ = tokio::time::timeout(NAMES_WAIT, background.settled()).await;
        }
    }

    async fn supervise(mut self, mut signals: Signals) {
        self.log(
            Level::Notice,
            format_args!("culvert/{} started with {} worker threads", env!("CARGO_PKG_VERSION"), self.workers.len()),
        );
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
        for worker in self.workers.iter().chain(&self.leaving) {
            worker.tell(Command::Call(Box::new(|| {
                log_file::flush_all();
                path_logs::forget();
            })));
        }
        self.log_lines(&failed);
        self.take_stderr();
    }

    /// Puts a new configuration into service, or keeps the old one where the new one is bad.
    fn reload(&mut self) {
        self.log(Level::Notice, "reconfiguring");
        let result = privileges::raised(|| {
            let (config, warnings) = (self.reload)()?;
            self.log_lines(&warnings);
            let plan = Plan::new(config, Some(&self.generation.load()))?;
            self.replace(plan)
        });
        match result {
            Ok(()) => {
                metrics::count(Tally::ReloadsTaken);
                self.log(Level::Notice, "reconfigured");
            }
            Err(errors) => {
                metrics::count(Tally::ReloadsRefused);
                self.log_lines(&errors);
                self.log(Level::Error, "the new configuration is not taken; the old one stays in service");
            }
        }
    }

    /// Puts `plan` into service. What can fail comes first, so that nothing changes where it does.
    fn replace(&mut self, plan: Plan) -> Result<(), Vec<String>> {
        let wanted = worker_count(&plan.config);
        let fresh = self.sockets.bind_missing(&plan.listens, wanted)?;
        self.resize(wanted).map_err(|error| vec![error])?;
        self.log_lines(&plan.warnings);
        let pid = plan.config.main.pid.clone();
        let sites = self.sockets.replace(fresh, &plan.listens, &self.workers);
        self.generation.store(Arc::new(generation(plan, sites)));
        self.start_background();
        self.deal_sockets();
        self.take_stderr();
        self.move_pid_file(pid);
        Ok(())
    }

    fn deal_sockets(&mut self) {
        let errors = self.sockets.deal(&self.workers);
        self.log_lines(&errors);
        // A dismissed worker drains only now that its sockets are in other hands.
        self.leaving.iter().for_each(|worker| worker.tell(Command::Drain));
    }

    /// Starts workers, or dismisses some, after a change of `worker_processes`.
    fn resize(&mut self, wanted: usize) -> Result<(), String> {
        self.leaving.retain(|worker| !worker.thread.is_finished());
        for index in self.workers.len()..wanted {
            self.start_worker(index)?;
        }
        self.leaving.extend(self.workers.drain(wanted..));
        self.introduce_workers();
        Ok(())
    }

    /// Tells the background work who the workers are; those that finish their last tunnels are among them.
    fn introduce_workers(&self) {
        let desk = |worker: &Worker| Box::new(Inbox(worker.commands.clone())) as Box<dyn Desk>;
        self.crew.hire(self.workers.iter().chain(&self.leaving).map(desk).collect());
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
        self.sockets.close(&self.workers);
        self.workers.append(&mut self.leaving);
        self.workers.iter().for_each(|worker| worker.tell(command()));
        let mut until = limit.map(|limit| Instant::now() + limit);
        let mut said_goodbye = false;
        while self.workers.iter().any(|worker| !worker.thread.is_finished()) {
            tokio::select! {
                () = self.worker_ended.notified() => {}
                () = wait_until(until) => {
                    if std::mem::replace(&mut said_goodbye, true) {
                        break;
                    }
                    self.workers.iter().for_each(|worker| worker.tell(Command::CloseTunnels));
                    until = Some(Instant::now() + GOODBYE);
                }
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

/// A worker's inbox, as the background work knows it.
struct Inbox(UnboundedSender<Command>);

impl Inbox {
    /// Does `job` on the worker's thread. A worker that has ended has no tunnels either.
    fn call(&self, job: impl FnOnce() + Send + 'static) {
        let _ = self.0.send(Command::Call(Box::new(job)));
    }
}

impl Desk for Inbox {
    fn ask(&self, question: Question) {
        self.call(move || {
            let tunnels = tunnel::survey(question.upstream, question.peer);
            question.answer(&tunnels);
        });
    }

    fn send_away(&self, tunnel: u64, code: u16, reason: String) {
        self.call(move || tunnel::send_away(tunnel, code, reason));
    }
}

/// How long a start waits for name servers.
const NAMES_WAIT: Duration = Duration::from_secs(1);

/// How long the Closes that end a graceful stop may take, before what is left is cut.
const GOODBYE: Duration = Duration::from_secs(5);

async fn wait_until(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}
