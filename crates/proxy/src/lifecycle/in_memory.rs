//! A worker without sockets: what the tests' world runs in the place of a supervisor and its threads.

use super::plan::Plan;
use super::worker::{self, Command, Drain};
use super::{Shared, supervisor};
use crate::exchange::ClientFacts;
use crate::front::h1;
use crate::io::Transport;
use crate::io::reactor;
use crate::tunnel;
use crate::upstream::background::{self, Background};
use crate::upstream::pool;
use crate::upstream::rebalance::{Crew, Desk, Question};
use arc_swap::ArcSwap;
use culvert_conf::config::Config;
use std::cell::RefCell;
use std::sync::Arc;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// One worker, as the tests hold it. All methods are to be called in its runtime.
pub(crate) struct InMemory {
    shared: Arc<Shared>,
    commands: mpsc::UnboundedSender<Command>,
    obeying: JoinHandle<()>,
    crew: Crew,
    background: RefCell<Option<Background>>,
}

/// The worker of a world, which has one thread for all.
struct SameThread;

impl Desk for SameThread {
    fn ask(&self, question: Question) {
        let all = tunnel::survey(question.upstream, question.peer);
        question.answer(&all);
    }

    fn send_away(&self, tunnel: u64, code: u16, reason: String) {
        tunnel::send_away(tunnel, code, reason);
    }
}

impl InMemory {
    /// Starts a worker on the current thread.
    pub(crate) fn start(config: Config) -> InMemory {
        let plan = Plan::new(config, None).expect("the test's configuration can be run");
        let sites = (0..plan.listens.len()).map(Some).collect();
        let generation = Arc::new(ArcSwap::from_pointee(supervisor::generation(plan, sites)));
        pool::open();
        tunnel::task::reopen();
        reactor::install(reactor::descriptors().expect("a test has descriptors left"));
        let crew = Crew::default();
        crew.hire(vec![Box::new(SameThread)]);
        let background = RefCell::new(Some(background::start(&generation.load_full(), &crew, None)));
        let shared = Arc::new(Shared { generation, drain: Drain::default() });
        let (commands, inbox) = mpsc::unbounded_channel();
        let obeyed = shared.clone();
        let obeying = tokio::spawn(async move { worker::obey(inbox, &obeyed).await });
        InMemory { shared, commands, obeying, crew, background }
    }

    /// Serves `stream` as connection number `serial` of the first listening address.
    pub(crate) fn serve(&self, stream: DuplexStream, serial: u64) {
        let remote = Some(([192, 0, 2, 1], 4711).into());
        let local = Some(([192, 0, 2, 2], 80).into());
        let facts = ClientFacts::new(serial, remote, local);
        worker::spawn_counted(h1::serve(Transport::Memory(stream), facts, 0, self.shared.clone()));
    }

    /// Puts another configuration into service.
    pub(crate) fn reload(&self, config: Config) {
        let plan =
            Plan::new(config, Some(&self.shared.generation.load())).expect("the test's configuration can be run");
        let sites = (0..plan.listens.len()).map(Some).collect();
        self.shared.generation.store(Arc::new(supervisor::generation(plan, sites)));
        let before = self.background.take();
        self.background.replace(Some(background::start(&self.shared.generation.load_full(), &self.crew, before)));
    }

    /// Begins a graceful stop.
    pub(crate) fn drain(&self) {
        self.tell(Command::Drain);
    }

    /// Ends the worker at once.
    pub(crate) fn stop(&self) {
        self.background.take();
        self.tell(Command::Stop);
    }

    fn tell(&self, command: Command) {
        // A worker that has drained already hears nothing any more.
        let _ = self.commands.send(command);
    }

    /// Whether the worker has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.obeying.is_finished()
    }

    /// How many requests and tunnels the balancers count as live.
    pub(crate) fn live_picks(&self) -> u32 {
        self.shared.generation.load().upstreams.iter().map(|upstream| upstream.live()).sum()
    }

    /// A weak witness of the generation that runs now.
    pub(crate) fn witness(&self) -> std::sync::Weak<super::Generation> {
        Arc::downgrade(&self.shared.generation.load_full())
    }

    /// Closes the idle upstream connections. Returns what is left: tasks that serve connections, and open connections.
    pub(crate) fn remains(&self) -> (usize, usize) {
        pool::close();
        worker::counts()
    }
}
