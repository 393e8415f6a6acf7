//! `sticky`: which server a client is bound to, and what is learned of it.
//!
//! What a request asks for becomes a server's id first, in the words of the configuration or of an address, and only then a
//! peer: sessions survive reloads and servers that come back.

use super::{Pick, Upstream};
use culvert_engine::sticky::{Learn, Sessions, Sticky};
use std::collections::HashMap;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The sessions of `sticky learn`, and those of live tunnels, which end with their tunnel and not by time.
#[derive(Default)]
pub(super) struct Learning {
    sessions: Option<Sessions<Arc<str>>>,
    /// By number: the session's id and its server.
    live: HashMap<u64, (Box<[u8]>, Arc<str>)>,
    next: u64,
    /// When the sessions of live tunnels were renewed last.
    renewed_at: Option<Instant>,
}

/// A live tunnel's session: its number.
#[derive(Debug)]
pub(super) struct Session(u64);

impl Learning {
    /// Takes over the bounds of a configuration. What was learned stays.
    pub(super) fn obey(&mut self, sticky: Option<&Sticky>) {
        match (sticky, &mut self.sessions) {
            (Some(Sticky::Learn(learn)), Some(sessions)) => sessions.configure(learn.sessions_max, learn.timeout),
            (Some(Sticky::Learn(learn)), none) => *none = Some(Sessions::new(learn.sessions_max, learn.timeout)),
            (_, sessions) => *sessions = None,
        }
    }

    /// The sessions, those of live tunnels renewed every half `timeout`. Who looks later than that finds them all the same,
    /// as nobody has looked meanwhile.
    fn sessions(&mut self, timeout: Duration, now: Instant) -> Option<&mut Sessions<Arc<str>>> {
        let sessions = self.sessions.as_mut()?;
        if self.renewed_at.is_none_or(|renewed| now.duration_since(renewed) >= timeout / 2) {
            self.renewed_at = Some(now);
            for (id, server) in self.live.values() {
                sessions.learn(id, server.clone(), now.into_std());
            }
        }
        Some(sessions)
    }
}

impl Upstream {
    fn learning(&self) -> MutexGuard<'_, Learning> {
        self.fleet.learning.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `sticky learn`, where the configuration has it.
    pub(crate) fn learns(&self) -> Option<&Learn> {
        match &self.config.sticky {
            Some(Sticky::Learn(learn)) => Some(learn),
            _ => None,
        }
    }

    /// The id of the server that a session belongs to.
    pub(crate) fn server_of_session(&self, session: &[u8]) -> Option<Arc<str>> {
        let (learn, now) = (self.learns()?, Instant::now());
        let mut learning = self.learning();
        learning.sessions(learn.timeout, now)?.find(session, now.into_std()).cloned()
    }

    /// A tunnel with this session has ended; from now on the session ends by time.
    pub(super) fn end_session(&self, session: &Session) {
        let (Some(learn), now) = (self.learns(), Instant::now()) else { return };
        let mut learning = self.learning();
        let Some((id, server)) = learning.live.remove(&session.0) else { return };
        if let Some(sessions) = learning.sessions(learn.timeout, now) {
            sessions.learn(&id, server, now.into_std());
        }
    }
}

impl Pick {
    /// The id by which clients of this peer are bound to it.
    pub(crate) fn binding(&self) -> &Arc<str> {
        self.server_id()
    }

    /// The peer has answered: `created` is the session that its response begins, `requested` the one that was asked with.
    pub(crate) fn learn(&mut self, created: Option<&[u8]>, requested: Option<&[u8]>, is_tunnel: bool) {
        let (upstream, server) = (self.upstream().clone(), self.server_id().clone());
        let (Some(learn), now) = (upstream.learns(), Instant::now()) else { return };
        let mut learning = upstream.learning();
        let Some(sessions) = learning.sessions(learn.timeout, now) else { return };
        let known = sessions.answered(created, requested, server.clone(), now.into_std()).is_some();
        if let Some(id) = created.or(requested).filter(|_| is_tunnel && known) {
            let number = learning.next;
            learning.next += 1;
            learning.live.insert(number, (id.into(), server));
            drop(learning);
            self.set_session(Session(number));
        }
    }
}
