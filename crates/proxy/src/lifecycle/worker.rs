//! A worker thread: its own runtime, its own listening sockets, and connections that live and die on it.

use super::{Generation, privileges, process};
use crate::io::reactor::{self, Keeper};
use crate::listen::{self, Listener};
use crate::observe::log_file;
use crate::observe::metrics::{self, Tally};
use crate::upstream::pool;
use arc_swap::ArcSwap;
use culvert_conf::config::Level;
use std::cell::Cell;
use std::collections::HashMap;
use std::fmt::Display;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use tokio::sync::futures::OwnedNotified;
use tokio::sync::{Notify, mpsc};

/// What the tasks of one worker share.
pub(crate) struct Shared {
    /// What runs now, for all workers.
    pub(crate) generation: Arc<ArcSwap<Generation>>,
    /// Tells idle connections that the worker drains.
    pub(crate) drain: Drain,
}

impl Shared {
    /// Writes to the main error log.
    pub(crate) fn log(&self, level: Level, message: impl Display) {
        self.generation.load().error_sink.write(level, 0, message);
    }

    /// `worker_connections`.
    pub(crate) fn connections_max(&self) -> usize {
        self.generation.load().config.main.worker_connections
    }
}

/// A drain: it starts once and does not end.
#[derive(Debug, Default)]
pub(crate) struct Drain {
    started: AtomicBool,
    notify: Arc<Notify>,
}

impl Drain {
    /// Whether it has started.
    pub(crate) fn has_started(&self) -> bool {
        self.started.load(Ordering::Relaxed)
    }

    fn start(&self) {
        self.started.store(true, Ordering::Relaxed);
        self.notify.notify_waiters();
    }
}

/// How a task that waits again and again hears of the drain: it registers for that once, not for each wait.
#[derive(Debug, Default)]
pub(crate) struct DrainWatch(Option<Pin<Box<OwnedNotified>>>);

impl DrainWatch {
    /// Whether the drain has started. The task that asks first is woken when it does.
    pub(crate) fn has_started(&mut self, drain: &Drain, cx: &mut Context<'_>) -> bool {
        if self.0.is_none() && !drain.has_started() {
            let mut notified = Box::pin(drain.notify.clone().notified_owned());
            // Nothing was notified yet: what it is polled for is to know the task.
            let _ = notified.as_mut().poll(cx);
            self.0 = Some(notified);
        }
        drain.has_started()
    }
}

/// What the supervisor tells a worker.
pub(super) enum Command {
    /// Accept from this socket.
    Listen {
        /// The listening address's number.
        id: usize,
        /// The socket's own number.
        number: usize,
        /// The socket.
        listener: Listener,
    },
    /// Stop accepting from the socket of this number.
    Unlisten(usize),
    /// Stop accepting anywhere, finish what is open, and end.
    Drain,
    /// Say goodbye to all tunnels: `worker_shutdown_timeout` is over.
    CloseTunnels,
    /// Do this on the worker's own thread.
    Call(Box<dyn FnOnce() + Send>),
    /// End now.
    Stop,
}

/// A running worker, as the supervisor holds it.
pub(super) struct Worker {
    pub(super) commands: mpsc::UnboundedSender<Command>,
    pub(super) thread: JoinHandle<()>,
}

impl Worker {
    /// Starts worker number `index`. `ended` is told when it is about to end.
    pub(super) fn start(index: usize, generation: Arc<ArcSwap<Generation>>, ended: Arc<Notify>) -> io::Result<Worker> {
        let (commands, inbox) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared { generation, drain: Drain::default() });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().on_thread_park(before_park).build()?;
        let keeper = {
            let _context = runtime.enter();
            Keeper::new()?
        };
        let run = move || {
            privileges::give_up();
            bind_to_cpus(&shared, index);
            keeper.install();
            runtime.block_on(async {
                tokio::spawn(keeper);
                obey(inbox, &shared).await;
            });
            // Dropping the runtime and the machines drops what is still open; each of those tells its outcome.
            drop(runtime);
            reactor::stop();
            log_file::flush_all();
            ended.notify_one();
        };
        let thread = std::thread::Builder::new().name(format!("worker-{index}")).spawn(run)?;
        Ok(Worker { commands, thread })
    }

    /// Sends a command; one to a worker that has ended is moot.
    pub(super) fn tell(&self, command: Command) {
        let _ = self.commands.send(command);
    }
}

/// Obeys `worker_cpu_affinity`. A thread that can't be where it should is still a thread.
fn bind_to_cpus(shared: &Shared, index: usize) {
    let cpus = process::cpus(&shared.generation.load().config.main.worker_cpu_affinity, index);
    if let Some(Err(error)) = cpus.map(|cpus| process::bind_to(&cpus)) {
        shared.log(Level::Alert, error);
    }
}

/// Before the thread waits: first the sockets, for as long as much happens there, then what has been logged meanwhile.
fn before_park() {
    reactor::park();
    log_file::flush();
}

pub(super) async fn obey(mut inbox: mpsc::UnboundedReceiver<Command>, shared: &Arc<Shared>) {
    let mut accepting = HashMap::new();
    while let Some(command) = inbox.recv().await {
        match command {
            Command::Listen { id, number, listener } => {
                let task = tokio::spawn(listen::accept(listener, id, shared.clone()));
                accepting.insert(number, task.abort_handle());
            }
            Command::Unlisten(number) => {
                if let Some(task) = accepting.remove(&number) {
                    task.abort();
                }
            }
            Command::Drain => {
                accepting.drain().for_each(|(_, task)| task.abort());
                return drain(inbox, shared).await;
            }
            Command::CloseTunnels => close_tunnels(),
            Command::Call(job) => job(),
            Command::Stop => return,
        }
    }
}

fn close_tunnels() {
    reactor::close_machines();
    #[cfg(test)]
    crate::tunnel::task::close_all();
}

async fn drain(mut inbox: mpsc::UnboundedReceiver<Command>, shared: &Shared) {
    shared.drain.start();
    pool::close();
    let stopped = async {
        while let Some(command) = inbox.recv().await {
            match command {
                Command::Stop => return,
                Command::CloseTunnels => close_tunnels(),
                Command::Call(job) => job(),
                _ => {}
            }
        }
        // Nobody is left who could say stop, which is no reason to cut anybody off.
        std::future::pending().await
    };
    let empty = async {
        loop {
            // The seat is free a moment after the task is no longer live, so the last end is always told.
            if LIVE.get() == 0 {
                return;
            }
            wait_for_end().await;
        }
    };
    tokio::select! {
        () = stopped => {}
        () = empty => {}
    }
}

thread_local! {
    /// How many tasks serve connections on this worker: client connections and tunnels.
    static LIVE: Cell<usize> = const { Cell::new(0) };
    /// How many connections of either side are open on this worker.
    static SEATS: Cell<usize> = const { Cell::new(0) };
    /// Told whenever one of them ends.
    static ENDED: Arc<Notify> = Arc::new(Notify::new());
}

/// Counts one open connection of this worker for as long as it lives.
#[derive(Debug)]
pub(crate) struct Seat(());

impl Seat {
    /// Takes a seat.
    pub(crate) fn take() -> Seat {
        SEATS.set(SEATS.get() + 1);
        metrics::count(Tally::Seats);
        Seat(())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // A runtime that is being dropped outlives the thread's other variables.
        let _ = SEATS.try_with(|seats| seats.set(seats.get() - 1));
        metrics::add(Tally::Seats, u64::MAX);
        let _ = ENDED.try_with(|ended| ended.notify_waiters());
    }
}

/// Something that serves a connection, a task or a machine, and the connection's seat. A drain waits for it.
pub(crate) struct Live {
    seat: Option<Seat>,
}

impl Live {
    /// Counts from here on.
    pub(crate) fn begin() -> Live {
        LIVE.set(LIVE.get() + 1);
        Live { seat: Some(Seat::take()) }
    }

    /// The same for a part of a connection that has its seat: a stream.
    pub(crate) fn without_seat() -> Live {
        LIVE.set(LIVE.get() + 1);
        Live { seat: None }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = LIVE.try_with(|live| live.set(live.get() - 1));
        if self.seat.is_none() {
            let _ = ENDED.try_with(|ended| ended.notify_waiters());
        }
    }
}

/// Spawns a task that serves a connection; a drain waits for it.
pub(crate) fn spawn_counted(task: impl Future<Output = ()> + Send + 'static) {
    // Boxed, since a task is moved half a dozen times before it comes to rest.
    tokio::spawn(Counted { task: Box::pin(task), _live: Live::begin() });
}

/// Spawns a task that serves one stream of a connection; a drain waits for it.
pub(crate) fn spawn_stream(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(Counted { task, _live: Live::without_seat() });
}

pin_project_lite::pin_project! {
    /// A task that is counted as live. Not an `async` block: that would keep room for the task twice, for as long as it lives.
    struct Counted<F> {
        #[pin]
        task: F,
        _live: Live,
    }
}

impl<F: Future<Output = ()>> Future for Counted<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.project().task.poll(cx)
    }
}

/// Whether this worker holds as many connections as it may.
pub(crate) fn is_full(shared: &Shared) -> bool {
    SEATS.get() >= shared.connections_max()
}

/// Whether this worker was full a moment ago, so that saying it again would say nothing new.
pub(crate) fn is_nearly_full(shared: &Shared) -> bool {
    SEATS.get() + 8 >= shared.connections_max()
}

/// How many tasks serve connections, and how many connections are open.
#[cfg(test)]
pub(super) fn counts() -> (usize, usize) {
    (LIVE.get(), SEATS.get())
}

/// Waits until a connection ends.
pub(crate) async fn wait_for_end() {
    let ended = ENDED.with(Arc::clone);
    ended.notified().await;
}
