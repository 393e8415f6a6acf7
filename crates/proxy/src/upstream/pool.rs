//! Idle connections to upstream servers, kept per worker thread (`keepalive`).

use super::connection::Wire;
use super::{Connection, Source, Upstream, Way, h2};
use crate::io::clock::now;
use crate::io::spare;
use culvert_engine::balance::PeerId;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::{Instant, sleep};

struct Idle {
    connection: Box<Connection>,
    peer: PeerId,
    /// The address that it comes from, where `proxy_bind` has chosen one.
    source: Option<Source>,
    until: Instant,
}

#[derive(Default)]
struct Pool {
    /// By upstream, of which a worker has few; the connection used last stands at the back.
    idle: Vec<(u64, VecDeque<Idle>)>,
    sweeping: bool,
    /// The worker drains: nothing is kept any more.
    closed: bool,
}

impl Pool {
    fn of(&mut self, upstream: u64) -> &mut VecDeque<Idle> {
        let at = self.idle.iter().position(|(id, _)| *id == upstream).unwrap_or_else(|| {
            self.idle.push((upstream, VecDeque::new()));
            self.idle.len() - 1
        });
        &mut self.idle[at].1
    }
}

thread_local! {
    static POOL: RefCell<Pool> = RefCell::default();
}

/// How often connections are looked through that their servers may have closed meanwhile.
const SWEEP: Duration = Duration::from_secs(1);

/// Takes the idle connection to `peer`, by the same TLS if any, that was used last, if there is one and it is still open.
pub(super) fn take(upstream: &Upstream, peer: PeerId, way: &Way) -> Option<Box<Connection>> {
    if upstream.keepalive.connections == 0 || way.is_private() {
        return None;
    }
    POOL.with_borrow_mut(|pool| {
        let (_, idle) = pool.idle.iter_mut().find(|(id, _)| *id == upstream.id)?;
        let secure = way.secure.as_ref();
        let fits =
            |idle: &Idle| idle.peer == peer && idle.source == way.source && idle.connection.secure.as_ref() == secure;
        while let Some(at) = idle.iter().rposition(fits) {
            let mut found = idle.remove(at).expect("the position was just found");
            if is_open(&mut found.connection) {
                return Some(found.connection);
            }
        }
        None
    })
}

/// Keeps `connection` for another request, where `upstream` keeps any. The one that idled longest makes room.
pub(crate) fn keep(upstream: &Upstream, peer: PeerId, mut connection: Box<Connection>, way: &Way) {
    if way.is_private() {
        return;
    }
    // A stream of HTTP/2 ends with its request; its connection is kept by others.
    let Wire::Own(transport) = &connection.io else { return };
    let limits = upstream.keepalive;
    let now = now();
    let worn = connection.requests >= limits.requests || now.duration_since(connection.born) >= limits.time;
    if limits.connections == 0 || worn || !connection.inbox.is_empty() || !connection.outbox.is_empty() {
        return;
    }
    transport.release();
    spare::give(std::mem::take(&mut connection.inbox));
    connection.outbox.shrink();
    let start_sweeping = POOL.with_borrow_mut(|pool| {
        if pool.closed {
            return false;
        }
        let idle = pool.of(upstream.id);
        while idle.len() >= limits.connections {
            idle.pop_front();
        }
        idle.push_back(Idle { connection, peer, source: way.source, until: now + limits.timeout });
        !std::mem::replace(&mut pool.sweeping, true)
    });
    if start_sweeping {
        tokio::spawn(sweep());
    }
}

/// Whether an idle connection is still good for another request.
fn is_open(connection: &mut Connection) -> bool {
    match &mut connection.io {
        Wire::Own(transport) => transport.is_idle_and_open(),
        Wire::Shared(_) => false,
    }
}

/// Closes what idled too long or was closed by its server, for as long as anything idles.
async fn sweep() {
    loop {
        sleep(SWEEP).await;
        let done = POOL.with_borrow_mut(|pool| {
            let now = now();
            for (_, idle) in &mut pool.idle {
                idle.retain_mut(|idle| idle.until > now && is_open(&mut idle.connection));
            }
            pool.idle.retain(|(_, idle)| !idle.is_empty());
            pool.sweeping = !pool.idle.is_empty();
            !pool.sweeping
        });
        if done {
            return;
        }
    }
}

/// Closes all idle connections of this worker, and keeps none from now on: it drains.
pub(crate) fn close() {
    POOL.with_borrow_mut(|pool| {
        pool.idle.clear();
        pool.closed = true;
    });
    h2::close();
}

/// Keeps connections again: in-process tests drain one worker after the other on the same thread.
#[cfg(test)]
pub(crate) fn open() {
    POOL.with_borrow_mut(|pool| pool.closed = false);
    h2::open_again();
}
