//! A pick: a request's or tunnel's place on one peer.

use super::fleet::Peer;
use super::ports::{PortUse, Scarce};
use super::sticky::Session;
use super::{Endpoint, Upstream};
use crate::io::clock::{Stamp, now};
use culvert_engine::balance::{Ending, PeerId, Request, Ticket, Tried};
use culvert_engine::websocket::Summary;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::time::Instant;

/// What is known of the request that a peer is picked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asker<'a> {
    /// The value of the key of `hash`.
    pub(crate) key: &'a [u8],
    /// The client's address.
    pub(crate) client: Option<IpAddr>,
    /// The id of the server that it is bound to by `sticky`.
    pub(crate) server_id: Option<&'a [u8]>,
    /// The peer that it was with, where a kept connection was lost.
    pub(crate) again: Option<PeerId>,
    /// The peers that it has tried.
    pub(crate) tried: &'a Tried,
}

/// A guard on one peer: it counts as busy until this is dropped, and the balancer learns how it ended.
pub(crate) struct Pick {
    upstream: Arc<Upstream>,
    peer: Arc<Peer>,
    ticket: Ticket,
    /// When it was picked; of a tunnel, when it opened.
    since: Stamp,
    ending: Ending,
    is_tunnel: bool,
    is_over: bool,
    /// The source port of its connection, once that is a tunnel's.
    port: Option<PortUse>,
    /// The session that its tunnel belongs to, under `sticky learn`.
    session: Option<Box<Session>>,
}

impl Pick {
    pub(super) fn new(upstream: Arc<Upstream>, peer: Arc<Peer>, ticket: Ticket) -> Pick {
        let since = Instant::from_std(ticket.picked()).into();
        peer.counts.picks.one();
        let (ending, is_tunnel, is_over) = (Ending::Abandoned, false, false);
        Pick { upstream, peer, ticket, since, ending, is_tunnel, is_over, port: None, session: None }
    }

    /// The peer.
    pub(crate) fn peer(&self) -> &Arc<Peer> {
        &self.peer
    }

    /// Whether it is a place on that peer of that upstream.
    pub(crate) fn leads_to(&self, upstream: u64, peer: PeerId) -> bool {
        self.upstream.id == upstream && self.ticket.peer() == peer
    }

    /// The peer's address.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.peer.endpoint
    }

    /// When it was picked.
    pub(crate) fn picked(&self) -> Instant {
        Instant::from_std(self.ticket.picked())
    }

    /// Notes the status of an answer.
    pub(crate) fn said(&self, status: u16) {
        self.peer.counts.answered(status);
    }

    /// Notes how it went so far; the last word counts when the guard is dropped.
    pub(crate) fn ends(&mut self, ending: Ending) {
        self.ending = ending;
    }

    /// Notes that a response head is passed on, for methods that go by time.
    pub(crate) fn answered(&mut self) {
        self.ending = Ending::Good;
        if self.upstream.config.method.metric().is_some() {
            self.tell_answered();
        }
    }

    /// Notes that the last byte of the response came.
    pub(crate) fn completed(&mut self) {
        if self.upstream.config.method.metric().is_some() {
            self.upstream.fleet.state().balancer.completed(&mut self.ticket, now().into_std());
        }
    }

    /// Notes that the 101 is passed on. The tunnel counts as one from now on, and takes over its connection's port.
    pub(crate) fn opens_tunnel(&mut self, port: Option<PortUse>) {
        self.ending = Ending::Good;
        self.tell_answered();
        self.completed();
        (self.port, self.is_tunnel, self.since) = (port, true, now().into());
        self.peer.tunnels.fetch_add(1, Ordering::Relaxed);
    }

    /// The tunnel has ended, as `summary` tells where its frames were read; `by_server` where they were not. Returns whether
    /// that was the failure that takes the peer out for a while.
    pub(crate) fn tunnel_ended(&mut self, summary: Option<&Summary>, by_server: bool) -> bool {
        let lived = now().duration_since(self.since.into());
        let is_early = self.upstream.config.early_close.as_ref().is_some_and(|rule| match summary {
            Some(summary) => rule.counts(lived, summary),
            None => rule.counts_raw(lived, by_server),
        });
        self.ending = if is_early { Ending::EarlyClose } else { Ending::Good };
        self.finish()
    }

    /// Tells how it ended before the guard is dropped. Returns whether that was the failure that takes the peer out for a
    /// while, which nginx logs as `upstream server temporarily disabled`.
    pub(crate) fn finish(&mut self) -> bool {
        if std::mem::replace(&mut self.is_over, true) {
            return false;
        }
        if std::mem::take(&mut self.is_tunnel) {
            self.peer.tunnels.fetch_sub(1, Ordering::Relaxed);
        }
        if let Some(session) = self.session.take() {
            self.upstream.end_session(&session);
        }
        let mut state = self.upstream.fleet.state();
        let after = state.balancer.done(&mut self.ticket, now().into_std(), self.ending);
        if after.is_gone {
            state.forget_if_gone(self.peer.id);
        }
        if matches!(self.ending, Ending::Failed | Ending::EarlyClose) {
            self.peer.counts.fails.one();
        }
        if after.disabled {
            self.peer.counts.unavail.one();
            state.wake_all();
        } else {
            state.wake_one();
        }
        after.disabled
    }

    /// Binds the tunnel's session to this pick.
    pub(super) fn set_session(&mut self, session: Session) {
        self.session = Some(Box::new(session));
    }

    /// The id by which `sticky` knows the peer.
    pub(super) fn server_id(&self) -> &Arc<str> {
        &self.peer.server_id
    }

    /// The upstream.
    pub(super) fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// Counts the source port of a new connection. The second value says that ports become scarce.
    pub(super) fn take_port(&self) -> (Option<PortUse>, Option<Scarce>) {
        match &self.peer.ports {
            Some(ports) => {
                let (port, scarce) = ports.take();
                (Some(port), scarce)
            }
            None => (None, None),
        }
    }

    /// A pick on another address of the same server that is of the other family and can be used.
    pub(super) fn rival(&self, tried: &Tried) -> Option<Pick> {
        let mut state = self.upstream.fleet.state();
        let usable = |id: &PeerId| !tried.contains(*id) && state.balancer.takes_bound(*id);
        let rival = state.rivals_of(&self.peer).find(usable)?;
        let request = Request { bound: Some(rival), ..Request::new(tried) };
        let ticket = state.balancer.pick(&request, now().into_std()).ok()?;
        let peer = state.peer(ticket.peer()).expect("the balancer has the fleet's peers and no others");
        Some(Pick::new(self.upstream.clone(), peer, ticket))
    }

    fn tell_answered(&mut self) {
        let mut state = self.upstream.fleet.state();
        if state.balancer.answered(&mut self.ticket, now().into_std()) {
            state.wake_all();
        }
    }
}

impl Drop for Pick {
    fn drop(&mut self) {
        self.finish();
    }
}
