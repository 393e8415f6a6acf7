//! What holds for every upstream while it is rebalanced: a simulation in which moved clients come back after a while,
//! to the peer with the fewest tunnels for its weight.

use super::*;
use proptest::prelude::*;

const TICK: Duration = Duration::from_millis(20);

struct World {
    loads: Vec<Load<usize>>,
    planner: Planner,
    now: Instant,
    /// Clients on their way: when they are back.
    away: Vec<Instant>,
    moved: Vec<(Instant, u64)>,
}

impl World {
    fn new(settings: Rebalance, peers: &[(u64, u32)]) -> World {
        let load =
            |(peer, &(live, weight)): (usize, &(u64, u32))| Load { peer, live, leaving: 0, weight, accepting: true };
        let loads = peers.iter().enumerate().map(load).collect();
        World { loads, planner: Planner::new(settings), now: Instant::now(), away: Vec::new(), moved: Vec::new() }
    }

    fn total(&self) -> u64 {
        self.loads.iter().map(|load| load.live).sum::<u64>() + self.away.len() as u64
    }

    /// The fair share of a peer among all clients, those on their way included, rounded down.
    fn fair(&self, peer: usize) -> u64 {
        let weights: u64 = self.loads.iter().map(|load| u64::from(load.weight)).sum();
        self.total() * u64::from(self.loads[peer].weight) / weights
    }

    fn tick(&mut self, journey: Duration) {
        self.now += TICK;
        let back = self.away.iter().filter(|&&at| at <= self.now).count();
        self.away.retain(|&at| at > self.now);
        for _ in 0..back {
            let fill = |load: &&mut Load<usize>| load.live * 1000 / u64::from(load.weight);
            self.loads.iter_mut().min_by_key(fill).expect("there are peers").live += 1;
        }
        for Move { from, count } in self.planner.plan(self.now, &self.loads) {
            self.loads[from].live -= count;
            assert!(self.loads[from].live >= self.fair(from), "below the fair share");
            self.away.extend((0..count).map(|_| self.now + journey));
            self.moved.push((self.now, count));
        }
    }

    fn most_in_a_second(&self) -> u64 {
        let from = |start: Instant| {
            let within = |at: Instant| at >= start && at < start + Duration::from_secs(1);
            self.moved.iter().filter(|(at, _)| within(*at)).map(|(_, count)| count).sum::<u64>()
        };
        self.moved.iter().map(|&(start, _)| from(start)).max().unwrap_or(0)
    }
}

fn peers() -> impl Strategy<Value = Vec<(u64, u32)>> {
    prop::collection::vec((0..200_u64, 1..4_u32), 2..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn it_keeps_the_rate_ends_even_and_stops(
        peers in peers(),
        rate in 1..100_u32,
        threshold in 0..50_u32,
        back in 0..4000_u64,
    ) {
        let settings = Rebalance { rate, threshold_percent: threshold, ..Rebalance::default() };
        let mut world = World::new(settings, &peers);
        // All could move once, each client is back within its return time, and a move may wait for the last ones.
        let ticks = (world.total() / u64::from(rate) + 20) * 50 + 5000;
        for _ in 0..ticks {
            world.tick(Duration::from_millis(back));
        }
        prop_assert!(world.most_in_a_second() <= u64::from(rate));
        let before = world.moved.len();
        for _ in 0..500 {
            world.tick(Duration::from_millis(back));
        }
        prop_assert_eq!(world.moved.len(), before, "it stops");
        let off = |load: &Load<usize>| load.live.abs_diff(world.fair(load.peer));
        let is_even = world.loads.iter().all(|load| off(load) <= world.loads.len() as u64);
        prop_assert!(spread_percent(&world.loads) <= u64::from(threshold) || is_even, "{:?}", world.loads);
    }

    #[test]
    fn a_dry_run_plans_at_the_same_rate(peers in peers(), rate in 1..100_u32) {
        let mut planner = Planner::new(Rebalance { rate, dry_run: true, ..Rebalance::default() });
        let loads = World::new(Rebalance::default(), &peers).loads;
        let start = Instant::now();
        let count = |planner: &mut Planner, at| planner.plan(at, &loads).iter().map(|one| one.count).sum::<u64>();
        let second: u64 = (0..50).map(|tick| count(&mut planner, start + TICK * tick)).sum();
        prop_assert!(second <= u64::from(rate));
    }
}
