//! The tunnels of a worker by the peer that they lead to: who they are, and how to send them elsewhere.

use super::Tunnel;
use crate::io::reactor;
use culvert_engine::balance::PeerId;
use culvert_engine::rebalance::Candidate;
use tokio::time::Instant;

/// This worker's tunnels to a peer, without those that are about to end.
pub(crate) fn survey(upstream: u64, peer: PeerId) -> Vec<Candidate<u64>> {
    let mut found = Vec::new();
    reactor::for_each(|id, machine| {
        let Some(tunnel) = machine.downcast_ref::<Tunnel>() else { return };
        let is_closing = tunnel.ending || tunnel.session.as_ref().is_some_and(|session| session.is_closing());
        if !is_closing && tunnel.pick.leads_to(upstream, peer) {
            let (opened_at, active_at) = (Instant::from(tunnel.record.began).into_std(), tunnel.active_at().into_std());
            found.push(Candidate { id, opened_at, active_at });
        }
    });
    found
}

/// Sends a tunnel of this worker away with a Close of this code and reason. Does nothing where it has ended.
pub(crate) fn send_away(id: u64, code: u16, reason: String) {
    reactor::visit(id, |machine| {
        if let Some(tunnel) = machine.downcast_mut::<Tunnel>()
            && !tunnel.ending
        {
            tunnel.send_away(code, reason, Instant::now());
        }
    });
}
