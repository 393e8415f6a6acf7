//! `rebalance`: moves a bounded share of live tunnels to a server that joined or recovered.
//!
//! A tunnel can't be carried over: moving it means to close it with 1012, and its client comes back to a server of the
//! balancer's choice. So little of it is done: at most [`Rebalance::rate`] tunnels in any second, from the servers that
//! have more than their share alone, no more than the others lack, and only until the [spread](spread_percent) is under
//! the threshold. Clients that were sent away and are not back yet are counted as if they were, or the share of all
//! would seem to shrink while they are on their way.

mod choose;
mod pace;

#[cfg(test)]
mod laws;

pub use choose::{Candidate, choose, hint};
pub use pace::Pace;

use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

/// How long a client is expected to be on its way, besides the hint's jitter.
const RETURN_TIME: Duration = Duration::from_secs(5);

/// The `rebalance` directive. By default nothing is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rebalance {
    /// The most tunnels that are moved in a second; 0: none at all.
    pub rate: u32,
    /// Nothing is moved while the spread is at most so many percent of a fair share.
    pub threshold_percent: u32,
    /// Which tunnels go first.
    pub order: Order,
    /// Only tells what it would do.
    pub dry_run: bool,
    /// Clients are told to come back after up to this time, at random.
    pub jitter: Duration,
}

/// Which tunnels are moved first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Those that were opened first.
    #[default]
    Oldest,
    /// Those on which nothing has passed for the longest time.
    Idlest,
}

/// What a peer carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load<K> {
    /// Which peer.
    pub peer: K,
    /// Its live tunnels.
    pub live: u64,
    /// How many of them have been told to go.
    pub leaving: u64,
    /// Its weight.
    pub weight: u32,
    /// Whether it takes new requests: up, not draining, not a backup. Others have no share, and give nothing.
    pub accepting: bool,
}

/// Tunnels of one peer that have to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move<K> {
    /// From which peer.
    pub from: K,
    /// How many of its tunnels.
    pub count: u64,
}

/// Plans the moves of one upstream.
#[derive(Debug, Clone)]
pub struct Planner {
    settings: Rebalance,
    pace: Pace,
    /// Moves whose clients may not be back yet: when, and how many.
    moves: VecDeque<(Instant, u64)>,
}

impl Planner {
    /// A planner that has moved nothing yet.
    pub fn new(settings: Rebalance) -> Planner {
        Planner { settings, pace: Pace::new(settings.rate), moves: VecDeque::new() }
    }

    /// Takes over new settings, after a reload.
    pub fn configure(&mut self, settings: Rebalance) {
        self.settings = settings;
        self.pace.configure(settings.rate);
    }

    /// When to plan next; `None` while rebalancing is off.
    pub fn next_tick(&self, now: Instant) -> Option<Instant> {
        self.pace.next_tick(now)
    }

    /// Which tunnels have to go now. The caller chooses them ([`choose`]) and closes them, or with `dry_run` only
    /// tells.
    pub fn plan<K: Copy>(&mut self, now: Instant, loads: &[Load<K>]) -> Vec<Move<K>> {
        let portion = self.pace.portion(now);
        if portion == 0 {
            return Vec::new();
        }
        self.forget(now);
        let shares = Shares::of(loads, self.away());
        if shares.spread_percent() <= u64::from(self.settings.threshold_percent) {
            return Vec::new();
        }
        let moves = shares.take(portion.min(shares.lacking()));
        let count: u64 = moves.iter().map(|one| one.count).sum();
        self.pace.spend(now, count);
        // In a dry run nobody leaves.
        if count > 0 && !self.settings.dry_run {
            self.moves.push_back((now, count));
        }
        moves
    }

    /// How many clients may be on their way back.
    fn away(&self) -> u64 {
        self.moves.iter().map(|(_, count)| count).sum()
    }

    fn forget(&mut self, now: Instant) {
        let kept = self.settings.jitter + RETURN_TIME;
        while self.moves.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) >= kept) {
            self.moves.pop_front();
        }
    }
}

/// How far apart the loads of the accepting peers are: the largest less the smallest, each in percent of the peer's
/// fair share of all their tunnels.
pub fn spread_percent<K: Copy>(loads: &[Load<K>]) -> u64 {
    Shares::of(loads, 0).spread_percent()
}

/// The accepting peers with what they have and what they should have.
struct Shares<K> {
    peers: Vec<Load<K>>,
    total: u128,
    weights: u128,
}

impl<K: Copy> Shares<K> {
    fn of(loads: &[Load<K>], away: u64) -> Shares<K> {
        let usable = loads.iter().filter(|load| load.accepting && load.weight > 0);
        let peers: Vec<Load<K>> =
            usable.map(|load| Load { live: load.live.saturating_sub(load.leaving), ..*load }).collect();
        let total = peers.iter().map(|load| u128::from(load.live)).sum::<u128>() + u128::from(away);
        let weights = peers.iter().map(|load| u128::from(load.weight)).sum();
        Shares { peers, total, weights }
    }

    fn spread_percent(&self) -> u64 {
        let percent = |load: &Load<K>| {
            let share = self.total * u128::from(load.weight);
            (u128::from(load.live) * self.weights * 100).checked_div(share).unwrap_or(100)
        };
        let most = self.peers.iter().map(percent).max().unwrap_or(0);
        let least = self.peers.iter().map(percent).min().unwrap_or(0);
        u64::try_from(most - least).unwrap_or(u64::MAX)
    }

    /// A peer's fair share, rounded up and down.
    fn fair(&self, load: &Load<K>) -> (u64, u64) {
        let share = self.total * u128::from(load.weight);
        let whole = |value: u128| u64::try_from(value).unwrap_or(u64::MAX);
        (whole(share.div_ceil(self.weights)), whole(share / self.weights))
    }

    /// How many tunnels the peers below their share have room for.
    fn lacking(&self) -> u64 {
        self.peers.iter().map(|load| self.fair(load).1.saturating_sub(load.live)).sum()
    }

    /// Takes up to `allowance` tunnels, one after the other from whoever is the furthest above its share.
    fn take(&self, allowance: u64) -> Vec<Move<K>> {
        let above = |(index, load): (usize, &Load<K>)| (load.live.saturating_sub(self.fair(load).0), index);
        let mut surplus: BinaryHeap<(u64, usize)> = self.peers.iter().enumerate().map(above).collect();
        let mut taken = vec![0; self.peers.len()];
        for _ in 0..allowance {
            let Some(mut most) = surplus.peek_mut().filter(|most| most.0 > 0) else { break };
            most.0 -= 1;
            taken[most.1] += 1;
        }
        let moves = self.peers.iter().zip(taken).filter(|(_, count)| *count > 0);
        moves.map(|(load, count)| Move { from: load.peer, count }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(peer: char, live: u64) -> Load<char> {
        Load { peer, live, leaving: 0, weight: 1, accepting: true }
    }

    fn planner(rate: u32) -> Planner {
        Planner::new(Rebalance { rate, threshold_percent: 10, ..Rebalance::default() })
    }

    #[test]
    fn it_is_off_by_default() {
        let mut planner = Planner::new(Rebalance::default());
        let now = Instant::now();
        assert_eq!(planner.next_tick(now), None);
        assert!(planner.plan(now, &[load('a', 1000), load('b', 0)]).is_empty());
    }

    #[test]
    fn the_fullest_gives_first_and_in_small_portions() {
        let (mut planner, now) = (planner(20), Instant::now());
        let loads = [load('a', 100), load('b', 60), load('c', 0)];
        assert_eq!(planner.plan(now, &loads), [Move { from: 'a', count: 2 }]);
        assert_eq!(planner.next_tick(now), Some(now + Duration::from_millis(100)));
        assert!(planner.plan(now + Duration::from_millis(99), &loads).is_empty());
        assert_eq!(planner.plan(now + Duration::from_millis(100), &loads).len(), 1);
    }

    #[test]
    fn those_that_are_told_to_go_are_not_counted_twice() {
        let (mut planner, now) = (planner(100), Instant::now());
        let loads = [Load { leaving: 50, ..load('a', 100) }, load('b', 50)];
        assert!(planner.plan(now, &loads).is_empty());
    }

    #[test]
    fn shares_follow_weights() {
        let (mut planner, now) = (planner(10), Instant::now());
        let fair = [Load { weight: 3, ..load('a', 75) }, load('b', 25)];
        assert_eq!(spread_percent(&fair), 0);
        assert!(planner.plan(now, &fair).is_empty());
        let heavy = [load('a', 75), Load { weight: 3, ..load('b', 25) }];
        assert_eq!(planner.plan(now + Duration::from_secs(1), &heavy), [Move { from: 'a', count: 1 }]);
    }

    #[test]
    fn a_peer_that_takes_no_requests_has_no_share_and_gives_nothing() {
        let (mut planner, now) = (planner(10), Instant::now());
        let closed = Load { accepting: false, ..load('b', 0) };
        assert!(planner.plan(now, &[load('a', 100), closed]).is_empty());
        let draining = Load { accepting: false, ..load('a', 100) };
        assert!(planner.plan(now + Duration::from_secs(1), &[draining, load('b', 1), load('c', 1)]).is_empty());
    }

    #[test]
    fn nothing_moves_under_the_threshold() {
        let now = Instant::now();
        assert!(planner(10).plan(now, &[load('a', 105), load('b', 95)]).is_empty());
        assert_eq!(planner(10).plan(now, &[load('a', 106), load('b', 94)]).len(), 1);
    }

    #[test]
    fn what_can_not_be_evened_out_stays() {
        let now = Instant::now();
        assert!(planner(10).plan(now, &[load('a', 2), load('b', 1)]).is_empty());
        assert!(planner(10).plan(now, &[load('a', 1), load('b', 0)]).is_empty());
        assert!(planner(10).plan::<char>(now, &[]).is_empty());
        assert!(planner(10).plan(now, &[load('a', 0), load('b', 0)]).is_empty());
    }
}
