//! Smooth weighted round robin, as nginx does it.
//!
//! Before each choice every usable peer gains its effective weight; the richest is chosen and pays what all gained
//! together. With weights 5, 1, 1 the order is `a a b a c a a`, not `a a a a a b c`. A failure lowers a peer's effective
//! weight, and each choice that looks at the peer raises it by one again, up to its weight.

use super::{Balance, Ending, PeerId, PeerSpec, Tried};
use std::time::Instant;

/// The peers of one upstream and where the round stands.
pub(super) struct RoundRobin {
    peers: Vec<Peer>,
    /// One peer and no backup: it is used whatever its failures are, as there is no other.
    single: bool,
}

struct Peer {
    spec: PeerSpec,
    current_weight: i64,
    effective_weight: i64,
    fails: u32,
    live: u32,
    /// When the last failure was.
    failed_at: Option<Instant>,
    /// When the last failure was, or the last choice that put the peer to the test again.
    checked_at: Option<Instant>,
}

impl RoundRobin {
    pub(super) fn new(peers: &[PeerSpec]) -> RoundRobin {
        let peers: Vec<Peer> = peers.iter().cloned().map(Peer::new).collect();
        RoundRobin { single: peers.len() == 1, peers }
    }

    fn pick_single(&self, tried: &Tried) -> Option<PeerId> {
        (!self.peers[0].spec.down && !tried.contains(0)).then_some(0)
    }

    /// Chooses among the primary peers, or among the backup ones.
    fn pick_of(&mut self, backup: bool, now: Instant, tried: &Tried) -> Option<PeerId> {
        let mut best: Option<(PeerId, i64)> = None;
        let mut total = 0;
        for (id, peer) in self.peers.iter_mut().enumerate() {
            if peer.spec.backup != backup || tried.contains(id) || !peer.is_usable(now) {
                continue;
            }
            total += peer.effective_weight;
            let gained = peer.gain();
            if best.is_none_or(|(_, most)| gained > most) {
                best = Some((id, gained));
            }
        }
        let (id, _) = best?;
        self.peers[id].choose(now, total);
        Some(id)
    }
}

impl Balance for RoundRobin {
    fn pick(&mut self, now: Instant, tried: &Tried) -> Option<PeerId> {
        let picked = if self.single {
            self.pick_single(tried)
        } else {
            // A request that has come to the backup peers stays with them.
            let went_to_backup =
                !tried.is_empty() && (0..self.peers.len()).any(|id| self.peers[id].spec.backup && tried.contains(id));
            let primary = if went_to_backup { None } else { self.pick_of(false, now, tried) };
            primary.or_else(|| self.pick_of(true, now, tried))
        }?;
        self.peers[picked].live += 1;
        Some(picked)
    }

    fn done(&mut self, peer: PeerId, now: Instant, ending: Ending) {
        let single = self.single;
        let Some(peer) = self.peers.get_mut(peer) else { return };
        peer.live = peer.live.saturating_sub(1);
        match ending {
            _ if single => {}
            Ending::Good => peer.recover(),
            Ending::Failed => peer.fail(now),
            Ending::Abandoned => {}
        }
    }

    fn live(&self, peer: PeerId) -> u32 {
        self.peers.get(peer).map_or(0, |peer| peer.live)
    }

    fn tries(&self) -> u32 {
        let usable = self.peers.iter().filter(|peer| !peer.spec.down).count();
        u32::try_from(usable).unwrap_or(u32::MAX)
    }
}

impl Peer {
    fn new(spec: PeerSpec) -> Peer {
        let effective_weight = i64::from(spec.weight);
        Peer { spec, current_weight: 0, effective_weight, fails: 0, live: 0, failed_at: None, checked_at: None }
    }

    /// Whether the peer may be chosen: not down, and not resting after its failures.
    fn is_usable(&self, now: Instant) -> bool {
        let failing = self.spec.max_fails > 0 && self.fails >= self.spec.max_fails;
        !self.spec.down && (!failing || self.is_due(now))
    }

    /// Whether `fail_timeout` is over, so that the next request puts the peer to the test.
    fn is_due(&self, now: Instant) -> bool {
        self.checked_at.is_none_or(|checked| now.saturating_duration_since(checked) > self.spec.fail_timeout)
    }

    fn gain(&mut self) -> i64 {
        self.current_weight += self.effective_weight;
        if self.effective_weight < i64::from(self.spec.weight) {
            self.effective_weight += 1;
        }
        self.current_weight
    }

    fn choose(&mut self, now: Instant, total: i64) {
        self.current_weight -= total;
        if self.is_due(now) {
            self.checked_at = Some(now);
        }
    }

    fn fail(&mut self, now: Instant) {
        self.fails = self.fails.saturating_add(1);
        self.failed_at = Some(now);
        self.checked_at = Some(now);
        // Without `max_fails` failures cost nothing.
        let loss = self.spec.weight.checked_div(self.spec.max_fails).unwrap_or(0);
        self.effective_weight = (self.effective_weight - i64::from(loss)).max(0);
    }

    /// Forgets the failures if the peer was put to the test after the last of them.
    fn recover(&mut self) {
        if self.failed_at < self.checked_at {
            self.fails = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    struct Upstream {
        balance: RoundRobin,
        now: Instant,
    }

    impl Upstream {
        fn new(peers: &[PeerSpec]) -> Upstream {
            Upstream { balance: RoundRobin::new(peers), now: Instant::now() }
        }

        fn weighted(weights: &[u32]) -> Upstream {
            Upstream::new(&weights.iter().map(|&weight| PeerSpec { weight, ..peer() }).collect::<Vec<_>>())
        }

        fn passes(&mut self, seconds: u64) {
            self.now += Duration::from_secs(seconds);
        }

        /// One request; those of `failing` peers go on to the next. Names the peers that it came to.
        fn request(&mut self, failing: &[PeerId]) -> String {
            let (mut tried, mut route) = (Tried::new(), String::new());
            while let Some(peer) = self.balance.pick(self.now, &tried) {
                tried.insert(peer);
                route.push((b'a' + u8::try_from(peer).expect("few peers")) as char);
                let fails = failing.contains(&peer);
                self.balance.done(peer, self.now, if fails { Ending::Failed } else { Ending::Good });
                if !fails {
                    break;
                }
            }
            route
        }

        fn requests(&mut self, number: usize) -> String {
            (0..number).map(|_| self.request(&[])).collect()
        }
    }

    fn peer() -> PeerSpec {
        PeerSpec::default()
    }

    #[test]
    fn the_order_is_smooth() {
        assert_eq!(Upstream::weighted(&[5, 1, 1]).requests(14), "aabacaaaabacaa");
        assert_eq!(Upstream::weighted(&[1, 1, 1]).requests(7), "abcabca");
        assert_eq!(Upstream::weighted(&[3, 2]).requests(10), "ababaababa");
    }

    #[test]
    fn a_failed_peer_rests_for_fail_timeout() {
        let mut upstream = Upstream::weighted(&[1, 1]);
        assert_eq!(upstream.request(&[0]), "ab");
        assert_eq!(upstream.requests(3), "bbb");
        upstream.passes(10);
        assert_eq!(upstream.requests(3), "bbb");
        upstream.passes(1);
        assert!(upstream.requests(4).contains('a'));
    }

    #[test]
    fn one_request_alone_puts_a_rested_peer_to_the_test() {
        let mut upstream = Upstream::weighted(&[1, 1]);
        upstream.request(&[0]);
        upstream.passes(11);
        let tested = |upstream: &mut Upstream| (0..6).map(|_| upstream.request(&[0])).collect::<String>();
        assert_eq!(tested(&mut upstream).matches('a').count(), 1);
        assert_eq!(tested(&mut upstream).matches('a').count(), 0);
    }

    #[test]
    fn a_peer_that_passes_the_test_is_back() {
        let mut upstream = Upstream::weighted(&[1, 1]);
        upstream.request(&[0]);
        upstream.passes(11);
        let share = upstream.requests(20).matches('a').count();
        assert!((9..=10).contains(&share), "{share}");
    }

    #[test]
    fn a_client_that_goes_away_says_nothing_about_the_peer() {
        let mut upstream = Upstream::weighted(&[1, 1]);
        upstream.request(&[0]);
        upstream.passes(11);
        let now = upstream.now;
        let mut picks = String::new();
        for _ in 0..4 {
            let peer = upstream.balance.pick(now, &Tried::new()).expect("b is up");
            picks.push(if peer == 0 { 'a' } else { 'b' });
            upstream.balance.done(peer, now, Ending::Abandoned);
        }
        assert_eq!(picks.matches('a').count(), 1, "{picks}");
    }

    #[test]
    fn failures_below_max_fails_only_lower_the_weight() {
        let peers = [PeerSpec { weight: 4, max_fails: 2, ..peer() }, PeerSpec { weight: 4, ..peer() }];
        let mut upstream = Upstream::new(&peers);
        assert_eq!(upstream.request(&[0]), "ab");
        let after = upstream.requests(8);
        assert!(after.contains('a') && after.matches('a').count() < 4, "{after}");
        let later = upstream.requests(100).matches('a').count();
        assert!((48..=52).contains(&later), "{later}");
    }

    #[test]
    fn max_fails_of_zero_counts_nothing() {
        let peers = [PeerSpec { max_fails: 0, ..peer() }, PeerSpec { max_fails: 0, ..peer() }];
        let mut upstream = Upstream::new(&peers);
        let routes: Vec<_> = (0..9).map(|_| upstream.request(&[0])).collect();
        assert_eq!(routes, ["ab", "b", "ab", "b", "ab", "b", "ab", "b", "ab"]);
    }

    #[test]
    fn backups_serve_only_while_no_primary_can() {
        let backup = PeerSpec { backup: true, ..peer() };
        let mut upstream = Upstream::new(&[backup.clone(), peer(), backup, peer()]);
        assert_eq!(upstream.requests(4), "bdbd");
        assert_eq!(upstream.request(&[1, 3]), "bda");
        assert_eq!(upstream.requests(4), "caca");
        upstream.passes(11);
        assert_eq!(upstream.requests(2).matches(['b', 'd']).count(), 2);
    }

    #[test]
    fn a_request_that_came_to_the_backups_stays_with_them() {
        let backup = PeerSpec { backup: true, ..peer() };
        let mut upstream = Upstream::new(&[peer(), backup.clone(), backup]);
        upstream.request(&[0]);
        let mut tried = Tried::new();
        let first = upstream.balance.pick(upstream.now, &tried).expect("a backup is up");
        assert_eq!(first, 2);
        tried.insert(first);
        upstream.passes(60);
        assert_eq!(upstream.balance.pick(upstream.now, &tried), Some(1));
    }

    #[test]
    fn a_single_peer_is_used_whatever_its_failures() {
        let mut upstream = Upstream::new(&[peer()]);
        assert_eq!(upstream.request(&[0]), "a");
        assert_eq!(upstream.request(&[0]), "a");
        assert_eq!(upstream.balance.tries(), 1);
        let mut with_backup = Upstream::new(&[peer(), PeerSpec { backup: true, ..peer() }]);
        assert_eq!(with_backup.request(&[0]), "ab");
        assert_eq!(with_backup.request(&[]), "b");
        assert_eq!(with_backup.balance.tries(), 2);
    }

    #[test]
    fn no_peer_is_picked_while_all_rest() {
        let mut upstream = Upstream::weighted(&[1, 1]);
        assert_eq!(upstream.request(&[0, 1]), "ab");
        assert_eq!(upstream.request(&[]), "");
        upstream.passes(11);
        assert_eq!(upstream.requests(2).len(), 2);
    }
}
