//! Laws that hold for every balancing method.

use super::*;
use proptest::prelude::*;

/// A balancer under test, its clock and the picks that are still open.
struct Bench {
    balance: Box<dyn Balance>,
    now: Instant,
    open: Vec<PeerId>,
}

impl Bench {
    fn new(method: Method, peers: &[PeerSpec]) -> Bench {
        Bench { balance: build(method, peers), now: Instant::now(), open: Vec::new() }
    }

    fn pick(&mut self) -> Option<PeerId> {
        self.balance.pick(self.now, &Tried::new())
    }

    fn serve(&mut self, ending: Ending) -> Option<PeerId> {
        let peer = self.pick()?;
        self.balance.done(peer, self.now, ending);
        Some(peer)
    }
}

fn weighted(weights: &[u32]) -> Vec<PeerSpec> {
    weights.iter().map(|&weight| PeerSpec { weight, ..PeerSpec::default() }).collect()
}

fn any_peers() -> impl Strategy<Value = Vec<PeerSpec>> {
    let peer = (1..20u32, 0..4u32, 0..20u64, any::<bool>(), prop::bool::weighted(0.2)).prop_map(
        |(weight, max_fails, seconds, backup, down)| PeerSpec {
            weight,
            max_fails,
            fail_timeout: Duration::from_secs(seconds),
            backup,
            down,
        },
    );
    prop::collection::vec(peer, 1..80)
}

#[derive(Debug, Clone)]
enum Step {
    Pick(Vec<usize>),
    Done(prop::sample::Index, Ending),
    Pass(u64),
}

fn any_steps() -> impl Strategy<Value = Vec<Step>> {
    let ending = prop_oneof![Just(Ending::Good), Just(Ending::Failed), Just(Ending::Abandoned)];
    let step = prop_oneof![
        4 => prop::collection::vec(0..80usize, 0..6).prop_map(Step::Pick),
        4 => (any::<prop::sample::Index>(), ending).prop_map(|(open, ending)| Step::Done(open, ending)),
        1 => (0..30_000u64).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 0..200)
}

/// Runs the steps, checks each pick, and returns all of them.
fn run(bench: &mut Bench, peers: &[PeerSpec], steps: &[Step]) -> Vec<Option<PeerId>> {
    let mut picks = Vec::new();
    for step in steps {
        match step {
            Step::Pick(tried_peers) => {
                let mut tried = Tried::new();
                tried_peers.iter().for_each(|&peer| tried.insert(peer));
                let picked = bench.balance.pick(bench.now, &tried);
                if let Some(peer) = picked {
                    assert!(!peers[peer].down, "picked a peer that is down");
                    assert!(!tried.contains(peer), "picked a peer that was tried");
                    bench.open.push(peer);
                }
                picks.push(picked);
            }
            Step::Done(index, ending) if !bench.open.is_empty() => {
                let peer = bench.open.swap_remove(index.index(bench.open.len()));
                bench.balance.done(peer, bench.now, *ending);
            }
            Step::Done(..) => {}
            Step::Pass(milliseconds) => bench.now += Duration::from_millis(*milliseconds),
        }
        for peer in 0..peers.len() {
            let open = bench.open.iter().filter(|&&open| open == peer).count();
            assert_eq!(bench.balance.live(peer) as usize, open, "live requests on peer {peer}");
        }
    }
    picks
}

proptest! {
    #[test]
    fn no_peer_is_picked_that_is_down_or_tried_and_counts_are_exact(peers in any_peers(), steps in any_steps()) {
        for &method in Method::ALL {
            let mut bench = Bench::new(method, &peers);
            run(&mut bench, &peers, &steps);
            for peer in std::mem::take(&mut bench.open) {
                bench.balance.done(peer, bench.now, Ending::Good);
            }
            for peer in 0..peers.len() {
                prop_assert_eq!(bench.balance.live(peer), 0);
            }
        }
    }

    #[test]
    fn the_same_steps_give_the_same_picks(peers in any_peers(), steps in any_steps()) {
        for &method in Method::ALL {
            let first = run(&mut Bench::new(method, &peers), &peers, &steps);
            let second = run(&mut Bench::new(method, &peers), &peers, &steps);
            prop_assert_eq!(first, second);
        }
    }
}

#[test]
fn a_million_picks_are_shared_out_by_weight() {
    let weights = [1, 2, 3, 10, 50, 100];
    let sum: u32 = weights.iter().sum();
    for &method in Method::ALL {
        let mut bench = Bench::new(method, &weighted(&weights));
        let mut counts = [0u32; 6];
        for _ in 0..1_000_000 {
            counts[bench.serve(Ending::Good).expect("all peers are up")] += 1;
        }
        for (count, weight) in counts.iter().zip(weights) {
            let share = f64::from(*count) / 1_000_000.0;
            let due = f64::from(weight) / f64::from(sum);
            assert!((share - due).abs() < 0.002, "{method:?}: weight {weight} got {share}, not {due}");
        }
    }
}

#[test]
fn no_peer_is_left_where_all_are_down_or_there_is_none() {
    for &method in Method::ALL {
        assert_eq!(Bench::new(method, &[]).pick(), None);
        for number in [1, 2, 3] {
            let peers = vec![PeerSpec { down: true, ..PeerSpec::default() }; number];
            let mut bench = Bench::new(method, &peers);
            assert_eq!(bench.pick(), None);
            assert_eq!(bench.balance.tries(), 0);
        }
    }
}

#[test]
fn a_done_without_a_pick_changes_no_count() {
    for &method in Method::ALL {
        let mut bench = Bench::new(method, &weighted(&[1, 1]));
        bench.balance.done(0, bench.now, Ending::Good);
        bench.balance.done(77, bench.now, Ending::Failed);
        assert_eq!((bench.balance.live(0), bench.balance.live(77)), (0, 0));
    }
}
