//! What goes on in the background for each upstream: names are resolved, peers are probed, tunnels are sent elsewhere.
//!
//! All of it runs in the main thread, in tasks per upstream that begin where its configuration asks for them. An upstream keeps
//! its tasks over reloads, and they are told its new settings: nothing is resolved or probed anew, and no answer is forgotten,
//! because something else in the file has changed.

use super::discovery::Names;
use super::health::{self, Ward};
use super::rebalance::{self, Crew};
use super::{Endpoint, Upstream};
use crate::lifecycle::Generation;
use crate::observe::error_log::ErrorSink;
use culvert_conf::config::{Level, OnServerDown};
use culvert_engine::balance::{Health, PeerId, PeerSpec};
use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{AbortHandle, JoinHandle};

/// The running tasks. Dropping it ends them.
#[derive(Default)]
pub(crate) struct Background {
    /// By the upstream's number, which reloads keep.
    minders: HashMap<u64, Minder>,
    /// Who answers the questions of each generation that may still have some.
    desks: Vec<Task>,
    /// Ends when every name of the first configuration has been asked for.
    settled: Option<mpsc::Receiver<()>>,
}

/// The tasks of one upstream.
struct Minder {
    views: watch::Sender<Arc<View>>,
    state: Arc<State>,
    names: Option<Task>,
    health: Option<Task>,
    rolls: Option<Task>,
}

/// A task that ends with its handle.
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Task {
    fn has_ended(&self) -> bool {
        self.0.is_finished()
    }
}

impl From<JoinHandle<()>> for Task {
    fn from(task: JoinHandle<()>) -> Task {
        Task(task.abort_handle())
    }
}

/// What the tasks of an upstream share, for as long as there is one of that name.
#[derive(Default)]
pub(super) struct State {
    /// What the probes make of the peers.
    ward: Mutex<Ward>,
    /// Peers whose addresses are no longer what their names mean.
    vanished: Mutex<HashSet<PeerId>>,
    /// The ward has somebody new, or has let somebody go.
    pub(super) ward_changed: Notify,
    /// A peer's state may have become another.
    pub(super) peer_changed: Notify,
}

/// An upstream as the present configuration has it, and its log.
pub(super) struct View {
    pub(super) upstream: Arc<Upstream>,
    pub(super) crew: Crew,
    pub(super) state: Arc<State>,
    log: ErrorSink,
}

/// The time as the engine wants it.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Begins what `generation` asks for, and goes on with what `previous` was doing where that is still asked for. To be called in
/// the runtime that shall run it. Peers whose health is `mandatory` take no requests from here on until they are found well.
pub(crate) fn start(generation: &Arc<Generation>, crew: &Crew, previous: Option<Background>) -> Background {
    let (settling, settled) = mpsc::channel(1);
    let Background { minders: mut before, mut desks, .. } = previous.unwrap_or_default();
    desks.retain(|desk| !desk.has_ended());
    desks.push(tokio::spawn(generation.lookups.serve()).into());
    let mut minders = HashMap::new();
    for upstream in &generation.upstreams {
        let log = generation.error_sink.clone();
        let minder = match before.remove(&upstream.id) {
            Some(mut minder) => {
                minder.take(upstream, crew, log);
                Some(minder)
            }
            None if is_wanted(upstream) => Some(Minder::new(upstream, crew, log)),
            None => None,
        };
        if let Some(mut minder) = minder {
            minder.begin(&settling);
            minders.insert(upstream.id, minder);
        }
    }
    Background { minders, desks, settled: Some(settled) }
}

impl Background {
    /// Waits until every name has been asked for once.
    pub(crate) async fn settled(&mut self) {
        if let Some(mut settled) = self.settled.take() {
            // Nothing is ever sent: the channel closes when the last who waits for a name is done.
            let _ = settled.recv().await;
        }
    }
}

fn is_wanted(upstream: &Upstream) -> bool {
    has_names(upstream) || has_checks(upstream) || has_rolls(upstream)
}

fn has_names(upstream: &Upstream) -> bool {
    upstream.config.servers.iter().any(|server| server.resolve)
}

fn has_checks(upstream: &Upstream) -> bool {
    !upstream.config.health_checks.is_empty()
}

fn has_rolls(upstream: &Upstream) -> bool {
    upstream.config.on_server_down != OnServerDown::Keep || upstream.config.rebalance.rate > 0
}

impl Minder {
    fn new(upstream: &Arc<Upstream>, crew: &Crew, log: ErrorSink) -> Minder {
        let state = Arc::new(State::default());
        let view = View { upstream: upstream.clone(), crew: crew.clone(), state: state.clone(), log };
        Minder { views: watch::Sender::new(Arc::new(view)), state, names: None, health: None, rolls: None }
    }

    fn take(&mut self, upstream: &Arc<Upstream>, crew: &Crew, log: ErrorSink) {
        let view = View { upstream: upstream.clone(), crew: crew.clone(), state: self.state.clone(), log };
        self.views.send_replace(Arc::new(view));
    }

    /// Starts the tasks that are asked for and don't run. Those that are asked for no more see it themselves, and undo what
    /// they did.
    fn begin(&mut self, settling: &mpsc::Sender<()>) {
        let view = self.views.borrow().clone();
        let upstream = &view.upstream;
        if self.health.is_some() || has_checks(upstream) {
            view.ward().take_view(&view, now());
            view.state.ward_changed.notify_one();
            self.health.get_or_insert_with(|| tokio::spawn(health::watch(self.views.subscribe())).into());
        }
        if self.names.is_some() || has_names(upstream) {
            let settling = settling.clone();
            self.names.get_or_insert_with(|| tokio::spawn(Names::keep(self.views.subscribe(), settling)).into());
        }
        if self.rolls.is_some() || has_rolls(upstream) {
            self.rolls.get_or_insert_with(|| tokio::spawn(rebalance::roll(self.views.subscribe())).into());
        }
    }
}

impl View {
    /// Writes to the main error log.
    pub(super) fn log(&self, level: Level, message: impl Display) {
        self.log.write(level, 0, message);
    }

    /// The state of the probes. Held for a moment, never while something is awaited.
    pub(super) fn ward(&self) -> MutexGuard<'_, Ward> {
        self.state.ward.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The peers whose addresses are gone.
    pub(super) fn vanished(&self) -> MutexGuard<'_, HashSet<PeerId>> {
        self.state.vanished.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a peer, or tells one that is there what its line says now. One that has to be found well first takes no request
    /// before.
    pub(super) fn add_peer(&self, server: usize, endpoint: Endpoint, spec: PeerSpec) {
        let upstream = &self.upstream;
        let is_known = upstream
            .members()
            .iter()
            .any(|member| !member.is_retired && member.server == server && member.endpoint == endpoint);
        let waits = !is_known && upstream.config.health_checks.iter().any(|check| check.check.mandatory);
        let first = if waits { PeerSpec { down: true, ..spec.clone() } } else { spec.clone() };
        let peer = upstream.add_peer(server, endpoint, first);
        if waits {
            upstream.set_health(peer, Health::Checking);
            upstream.respecify(peer, spec);
        }
        self.vanished().remove(&peer);
    }

    /// A peer's address is gone: it takes no new requests.
    pub(super) fn retire(&self, peer: PeerId) {
        self.upstream.retire(peer);
        self.vanished().insert(peer);
    }

    /// Tells the others that peers came or went.
    pub(super) fn peers_changed(&self) {
        self.ward().take_peers(self, now());
        self.state.ward_changed.notify_one();
        self.state.peer_changed.notify_one();
    }
}
