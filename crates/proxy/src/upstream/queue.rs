//! `queue`: requests that wait for a server with room.
//!
//! A request joins under the same lock under which it found no room, so no freed place is missed. It is woken when a request
//! ends, and when servers come, recover or go; it looks by itself when a server may be up by time alone. Whoever leaves
//! without a server frees the place, and hands on a wake-up that was meant for it.

use super::fleet::State;
use super::{Asker, Pick, Upstream};
use crate::io::clock;
use culvert_engine::balance::{NoPeer, Request};
use culvert_engine::queue::Place;
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// Why a request has no server.
pub(crate) enum NoServer {
    /// No server is up that it has not tried.
    Down,
    /// All are full, and so is the queue, or there is none.
    Full,
    /// All are full: it waits.
    Queued(Waiting),
}

/// A request's place in the queue, until it has a server or gives up.
pub(crate) struct Waiting {
    upstream: Arc<Upstream>,
    place: Place,
    woken: Arc<Notify>,
    /// When it joined.
    pub(crate) since: Instant,
    until: Instant,
}

/// What came of waiting.
pub(crate) enum Turn {
    /// It is worth to look again.
    Look,
    /// The time is over.
    Over,
}

impl Upstream {
    /// Chooses a peer, or joins the queue where all are full.
    pub(crate) fn pick(self: &Arc<Self>, asker: &Asker<'_>) -> Result<Pick, NoServer> {
        let now = clock::now();
        let mut state = self.fleet.state();
        // Who came before goes first.
        let found = if state.queue.has_waiting() { Err(NoPeer::Full) } else { self.choose(&mut state, asker, now) };
        match found {
            Ok(pick) => Ok(pick),
            Err(NoPeer::Down) => Err(NoServer::Down),
            Err(NoPeer::Full) => match self.join(&mut state, now) {
                Some(waiting) => Err(NoServer::Queued(waiting)),
                None => Err(NoServer::Full),
            },
        }
    }

    fn choose(self: &Arc<Self>, state: &mut State, asker: &Asker<'_>, now: Instant) -> Result<Pick, NoPeer> {
        let by_id = asker.server_id.map(|id| state.routes.find(id)).unwrap_or_default();
        let usable = |id: &_| !asker.tried.contains(*id) && state.balancer.takes_bound(*id);
        let bound = asker.again.into_iter().chain(by_id.iter().copied()).find(usable);
        let dice = if state.balancer.method().draws() { rand::random() } else { 0 };
        let request = Request { key: asker.key, client: asker.client, tried: asker.tried, bound, dice };
        let ticket = state.balancer.pick(&request, now.into_std())?;
        let peer = state.peer(ticket.peer()).expect("the balancer has the fleet's peers and no others");
        Ok(Pick::new(self.clone(), peer, ticket))
    }

    fn join(self: &Arc<Self>, state: &mut State, now: Instant) -> Option<Waiting> {
        let settings = self.config.queue?;
        let woken = Arc::new(Notify::new());
        let place = state.queue.join(now.into_std(), woken.clone()).ok()?;
        Some(Waiting { upstream: self.clone(), place, woken, since: now, until: now + settings.timeout })
    }
}

impl Waiting {
    /// Waits until it is worth to look again, or for too long.
    pub(crate) async fn turn(&mut self) -> Turn {
        let change = self.upstream.fleet.state().balancer.next_change().map(Instant::from_std);
        // A peer is up again a moment after its rest ends, not at it.
        let change = change.map(|change| change + std::time::Duration::from_millis(1)).filter(|at| *at < self.until);
        tokio::select! {
            biased;
            () = self.woken.notified() => Turn::Look,
            () = sleep_until(change.unwrap_or(self.until)) => match change {
                Some(_) => {
                    // Whoever stands in front shall look, not whoever's timer was first.
                    self.upstream.fleet.state().wake_all();
                    Turn::Look
                }
                None => Turn::Over,
            },
        }
    }

    /// Looks for a server. `None`: there is still none with room.
    pub(crate) fn look(&mut self, asker: &Asker<'_>) -> Option<Result<Pick, NoServer>> {
        let mut state = self.upstream.fleet.state();
        match self.upstream.choose(&mut state, asker, Instant::now()) {
            Ok(pick) => {
                state.queue.took(self.place);
                Some(Ok(pick))
            }
            Err(NoPeer::Down) => Some(Err(NoServer::Down)),
            Err(NoPeer::Full) => {
                if asker.tried.is_empty() {
                    state.queue.again(self.place);
                } else if let Some((_, next)) = state.queue.pass_on(self.place) {
                    // The free server may be one that this request has tried, and those behind it have not.
                    next.notify_one();
                }
                None
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = self.upstream.fleet.state();
        // Nothing happens for a place that was given up already.
        if let Some((_, next)) = state.queue.cancel(self.place) {
            next.notify_one();
        }
    }
}
