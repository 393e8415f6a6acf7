//! The tries of a request: which servers, how long each step took, how many bytes went. The `$upstream_*` variables.

use crate::exchange::Exchange;
use crate::io::clock::now;
use crate::upstream::{Connection, Peer, Pick, Upstream};
use culvert_engine::http1::ResponseHead;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// One try on an upstream server.
pub(crate) struct Try {
    pub(crate) whom: Whom,
    /// What it answered, or what its failure is answered with; 0 while it is unknown.
    pub(crate) status: u16,
    /// When it began.
    pub(crate) began: Instant,
    /// How long it waited for a server with room; `None` where it did not have to.
    pub(crate) queue_time: Option<Duration>,
    pub(crate) connect_time: Option<Duration>,
    pub(crate) header_time: Option<Duration>,
    pub(crate) response_time: Option<Duration>,
    pub(crate) bytes_sent: u64,
    pub(crate) bytes_received: u64,
    pub(crate) response_length: u64,
    /// Whether an internal redirect stands between the try before and this one.
    pub(crate) after_redirect: bool,
}

/// Whom a try was made on.
pub(crate) enum Whom {
    Peer(Arc<Peer>),
    /// No peer of this upstream was left, which nginx shows as the upstream's name.
    Nobody(Arc<Upstream>),
}

impl Try {
    /// The peer, if there was one.
    pub(crate) fn peer(&self) -> Option<&Peer> {
        match &self.whom {
            Whom::Peer(peer) => Some(peer),
            Whom::Nobody(_) => None,
        }
    }
}

impl Exchange {
    /// Begins a try on `pick`, or notes that no server was left.
    pub(super) fn begin_try(&mut self, pick: Option<&Pick>, upstream: &Arc<Upstream>, queue_time: Option<Duration>) {
        let after_redirect = self.redirected_after == self.tries.len() && !self.tries.is_empty();
        self.tries.push(Try {
            whom: pick.map_or_else(|| Whom::Nobody(upstream.clone()), |pick| Whom::Peer(pick.peer().clone())),
            status: 0,
            began: pick.map_or_else(Instant::now, Pick::picked),
            queue_time,
            connect_time: None,
            header_time: None,
            response_time: None,
            bytes_sent: 0,
            bytes_received: 0,
            response_length: 0,
            after_redirect,
        });
    }

    /// Notes that the server is connected to, maybe at another of its addresses; a kept connection took no time.
    pub(super) fn note_connected(&mut self, pick: &Pick, reused: bool) {
        if let Some(attempt) = self.tries.last_mut() {
            if !attempt.peer().is_some_and(|peer| std::ptr::eq(peer, &**pick.peer())) {
                attempt.whom = Whom::Peer(pick.peer().clone());
            }
            attempt.connect_time = Some(if reused { Duration::ZERO } else { now().duration_since(attempt.began) });
        }
    }

    pub(super) fn note_bytes(&mut self, connection: &Connection) {
        if let Some(attempt) = self.tries.last_mut() {
            attempt.bytes_sent = connection.sent;
            attempt.bytes_received = connection.received;
        }
    }

    pub(super) fn note_head(&mut self, head: &ResponseHead) {
        if let Some(attempt) = self.tries.last_mut() {
            attempt.status = head.status;
            attempt.header_time = Some(now().duration_since(attempt.began));
        }
    }

    /// Ends the try; `status` is what it came to, unless the server has said.
    pub(super) fn close_try(&mut self, status: u16) {
        if let Some(attempt) = self.tries.last_mut() {
            if attempt.status == 0 {
                attempt.status = status;
            }
            attempt.response_time.get_or_insert_with(|| now().duration_since(attempt.began));
        }
    }
}
