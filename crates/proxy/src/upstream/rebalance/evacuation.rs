//! `on_server_down close`: the tunnels of a server that is down are closed, at a rate.

use super::{BUSY, QUIET, SERVICE_RESTART};
use crate::upstream::PeerStatus;
use crate::upstream::background::{View, now};
use culvert_conf::config::{Level, OnServerDown};
use culvert_engine::balance::{PeerId, State};
use culvert_engine::rebalance::{Order, Pace};
use std::collections::HashMap;
use std::time::Duration;

/// The servers of an upstream that are left behind.
#[derive(Default)]
pub(super) struct Evacuation {
    pace: Option<Pace>,
    /// How many tunnels of each were sent away so far.
    sent: HashMap<PeerId, u64>,
}

impl Evacuation {
    /// Sends away a portion. Returns when to look again; `None`: tunnels stay whatever happens.
    pub(super) async fn step(&mut self, view: &View) -> Option<Duration> {
        let OnServerDown::Close { rate } = view.upstream.config.on_server_down else {
            *self = Evacuation::default();
            return None;
        };
        let now = now();
        let pace = self.pace.get_or_insert_with(|| Pace::new(rate));
        pace.configure(rate);
        let peers = view.upstream.status();
        view.vanished().retain(|id| peers.iter().any(|one| one.peer.id == *id));
        let down: Vec<&PeerStatus> = peers.iter().filter(|one| one.status.live > 0 && is_down(view, one)).collect();
        self.tell_ends(view, &peers, &down);
        if down.is_empty() {
            return Some(QUIET);
        }
        let mut left = self.pace.as_mut().map_or(0, |pace| pace.portion(now));
        for one in down {
            if left == 0 {
                break;
            }
            let sent = self.send(view, one, left).await;
            left -= sent;
            if let Some(pace) = &mut self.pace {
                pace.spend(now, sent);
            }
        }
        Some(BUSY)
    }

    async fn send(&mut self, view: &View, one: &PeerStatus, most: u64) -> u64 {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let survey = view.crew.survey(view.upstream.id, one.peer.id, Order::Oldest, most).await;
        let sent = survey.send_away(Order::Oldest, most, SERVICE_RESTART, || "server down".to_owned());
        if sent > 0 && !self.sent.contains_key(&one.peer.id) {
            view.log(
                Level::Notice,
                format_args!(
                    "closing the tunnels of {}, which is down, upstream: \"{}\"",
                    one.peer.endpoint, view.upstream.name
                ),
            );
        }
        view.upstream.counts().evacuated.add(sent);
        if sent > 0 {
            *self.sent.entry(one.peer.id).or_default() += sent;
        }
        sent
    }

    /// Says of those that are up again, or have no tunnels left, how many were sent away.
    fn tell_ends(&mut self, view: &View, peers: &[PeerStatus], down: &[&PeerStatus]) {
        self.sent.retain(|id, count| {
            let goes_on = down.iter().any(|one| one.peer.id == *id);
            if !goes_on {
                let peer = peers.iter().find(|one| one.peer.id == *id);
                let peer = peer.map_or_else(|| "a server that is gone".to_owned(), |one| one.peer.endpoint.to_string());
                let name = &view.upstream.name;
                view.log(Level::Notice, format_args!("closed {count} tunnels of {peer}, upstream: \"{name}\""));
            }
            goes_on
        });
    }
}

/// Where there are probes, they say it; else what requests came to. A server that the file calls down was so on purpose, and
/// no reload closes a tunnel.
fn is_down(view: &View, one: &PeerStatus) -> bool {
    let is_found_so = match view.upstream.config.health_checks.is_empty() {
        true => one.status.state == State::Unavail,
        false => one.status.state == State::Unhealthy,
    };
    is_found_so || view.vanished().contains(&one.peer.id)
}
