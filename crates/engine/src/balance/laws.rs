//! Laws that hold for every balancing method.

use super::*;
use proptest::prelude::*;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

/// A balancer under test, its clock and the requests that are still open.
struct Bench {
    balancer: Balancer,
    now: Instant,
    open: Vec<Ticket>,
    /// Who is or was there, retired ones too.
    known: Vec<PeerId>,
}

impl Bench {
    fn new(method: Method, specs: &[PeerSpec], now: Instant) -> Bench {
        let balancer = Balancer::new(method, specs.iter().cloned());
        let known = balancer.peers().collect();
        Bench { balancer, now, open: Vec::new(), known }
    }

    fn pick(&mut self, dice: u64, tried: &Tried, bound: Option<PeerId>) -> Result<Ticket, NoPeer> {
        let key = dice.to_be_bytes();
        let client = Some(IpAddr::V4(Ipv4Addr::from([key[0], key[1], key[2], key[3]])));
        self.balancer.pick(&Request { key: &key, client, tried, bound, dice }, self.now)
    }

    fn any(&self, index: prop::sample::Index) -> PeerId {
        self.known[index.index(self.known.len())]
    }

    fn open_on(&self, peer: PeerId) -> usize {
        self.open.iter().filter(|ticket| ticket.peer() == peer).count()
    }
}

/// Numbers that look random and are the same each time.
fn dice(number: u64) -> u64 {
    let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed ^ mixed >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9) ^ mixed >> 32
}

fn any_spec() -> impl Strategy<Value = PeerSpec> {
    let numbers = (1..20u32, 0..4u32, 0..4u32, 0..20u64, 0..10u64, 0..30usize);
    let flags = (any::<bool>(), prop::bool::weighted(0.2), prop::bool::weighted(0.2));
    (numbers, flags).prop_map(|((weight, max_conns, max_fails, fail_timeout, slow_start, name), flags)| {
        let (backup, down, drain) = flags;
        PeerSpec {
            name: format!("host{name}:80").into(),
            weight,
            max_conns,
            max_fails,
            fail_timeout: Duration::from_secs(fail_timeout),
            slow_start: Duration::from_secs(slow_start),
            route: None,
            backup,
            down,
            drain,
        }
    })
}

fn any_specs() -> impl Strategy<Value = Vec<PeerSpec>> {
    prop::collection::vec(any_spec(), 1..80)
}

#[derive(Debug, Clone)]
enum Step {
    Pick { dice: u64, tried: Vec<prop::sample::Index>, bound: Option<prop::sample::Index> },
    Answer(prop::sample::Index),
    Done(prop::sample::Index, Ending),
    Health(prop::sample::Index, Health),
    Pass(u64),
    Add(PeerSpec),
    Retire(prop::sample::Index),
    Respecify(prop::sample::Index, PeerSpec),
}

fn any_steps() -> impl Strategy<Value = Vec<Step>> {
    use prop::sample::Index;
    let ending =
        prop_oneof![Just(Ending::Good), Just(Ending::Failed), Just(Ending::Abandoned), Just(Ending::EarlyClose)];
    let health = prop_oneof![Just(Health::Healthy), Just(Health::Checking), Just(Health::Unhealthy)];
    let pick = (any::<u64>(), prop::collection::vec(any::<Index>(), 0..6), any::<Option<Index>>());
    let step = prop_oneof![
        16 => pick.prop_map(|(dice, tried, bound)| Step::Pick { dice, tried, bound }),
        4 => any::<Index>().prop_map(Step::Answer),
        12 => (any::<Index>(), ending).prop_map(|(open, ending)| Step::Done(open, ending)),
        2 => (any::<Index>(), health).prop_map(|(peer, health)| Step::Health(peer, health)),
        4 => (0..30_000u64).prop_map(Step::Pass),
        1 => any_spec().prop_map(Step::Add),
        1 => any::<Index>().prop_map(Step::Retire),
        1 => (any::<Index>(), any_spec()).prop_map(|(peer, spec)| Step::Respecify(peer, spec)),
    ];
    prop::collection::vec(step, 0..200)
}

/// Runs the steps, checks each pick, and returns all of them.
fn run(bench: &mut Bench, steps: &[Step]) -> Vec<Result<PeerId, NoPeer>> {
    let mut picks = Vec::new();
    for step in steps {
        match step.clone() {
            Step::Pick { dice, tried, bound } => picks.push(checked_pick(bench, dice, &tried, bound)),
            Step::Done(index, ending) if !bench.open.is_empty() => {
                let mut ticket = bench.open.swap_remove(index.index(bench.open.len()));
                bench.balancer.done(&mut ticket, bench.now, ending);
                assert_eq!(bench.balancer.done(&mut ticket, bench.now, Ending::Failed), After::default());
            }
            Step::Answer(index) if !bench.open.is_empty() => {
                let index = index.index(bench.open.len());
                bench.balancer.answered(&mut bench.open[index], bench.now);
                bench.balancer.completed(&mut bench.open[index], bench.now);
            }
            Step::Done(..) | Step::Answer(_) => {}
            Step::Health(peer, health) => bench.balancer.set_health(bench.any(peer), health, bench.now),
            Step::Pass(milliseconds) => bench.now += Duration::from_millis(milliseconds),
            Step::Add(spec) => {
                let added = bench.balancer.add(spec);
                assert!(!bench.known.contains(&added), "an identity was given twice");
                bench.known.push(added);
            }
            Step::Retire(peer) => bench.balancer.retire(bench.any(peer)),
            Step::Respecify(peer, spec) => bench.balancer.respecify(bench.any(peer), spec),
        }
        for peer in &bench.known {
            assert_eq!(bench.balancer.live(*peer) as usize, bench.open_on(*peer), "live requests on {peer:?}");
        }
    }
    picks
}

fn checked_pick(
    bench: &mut Bench,
    dice: u64,
    tried_peers: &[prop::sample::Index],
    bound: Option<prop::sample::Index>,
) -> Result<PeerId, NoPeer> {
    let mut tried = Tried::new();
    tried_peers.iter().for_each(|peer| tried.insert(bench.any(*peer)));
    let bound = bound.map(|peer| bench.any(peer));
    let before: HashMap<PeerId, Status> =
        bench.balancer.peers().filter_map(|peer| Some((peer, bench.balancer.status(peer)?))).collect();
    let ticket = bench.pick(dice, &tried, bound)?;
    let (peer, status) = (ticket.peer(), before[&ticket.peer()]);
    assert!(!tried.contains(peer), "picked a peer that was tried");
    assert!(!status.is_retired, "picked a peer that was retired");
    match status.state {
        State::Up | State::Unavail => {}
        State::Draining => assert_eq!(bound, Some(peer), "picked a draining peer for a request that isn't bound to it"),
        other => panic!("picked a peer that is {}", other.name()),
    }
    let max_conns = bench.balancer.spec(peer).expect("it was picked").max_conns;
    assert!(max_conns == 0 || status.live < max_conns, "picked a full peer");
    bench.open.push(ticket);
    Ok(peer)
}

proptest! {
    #[test]
    fn no_peer_is_picked_that_may_not_be_and_counts_are_exact(specs in any_specs(), steps in any_steps()) {
        for &method in Method::ALL {
            let mut bench = Bench::new(method, &specs, Instant::now());
            run(&mut bench, &steps);
            for mut ticket in std::mem::take(&mut bench.open) {
                bench.balancer.done(&mut ticket, bench.now, Ending::Good);
            }
            let members = bench.balancer.peers().count();
            for peer in &bench.known {
                prop_assert_eq!(bench.balancer.live(*peer), 0);
            }
            prop_assert!(bench.balancer.peers().all(|peer| bench.balancer.status(peer).is_some_and(|s| !s.is_retired)));
            prop_assert!(members <= bench.known.len());
        }
    }

    #[test]
    fn the_same_steps_give_the_same_picks(specs in any_specs(), steps in any_steps()) {
        let now = Instant::now();
        for &method in Method::ALL {
            let first = run(&mut Bench::new(method, &specs, now), &steps);
            let second = run(&mut Bench::new(method, &specs, now), &steps);
            prop_assert_eq!(first, second);
        }
    }

    #[test]
    fn somebody_is_picked_wherever_somebody_can_be(specs in any_specs(), tried in any::<prop::sample::Index>(), dice: u64) {
        for &method in Method::ALL {
            let mut bench = Bench::new(method, &specs, Instant::now());
            let mut tried_peers = Tried::new();
            tried_peers.insert(bench.any(tried));
            let can = |peer: &PeerId| {
                let spec = &specs[peer.slot()];
                !spec.down && !spec.drain && !tried_peers.contains(*peer)
            };
            // Who has come to the backup peers stays with them.
            let at_backup = specs[bench.any(tried).slot()].backup;
            let expected = bench.known.iter().any(|peer| can(peer) && (!at_backup || specs[peer.slot()].backup));
            let picked = bench.pick(dice, &tried_peers, None);
            prop_assert_eq!(picked.is_ok(), expected);
            if let Err(why) = picked {
                prop_assert_eq!(why, NoPeer::Down);
            }
        }
    }
}

fn weighted(weights: &[u32]) -> Vec<PeerSpec> {
    let spec =
        |(at, &weight): (usize, &u32)| PeerSpec { name: format!("host{at}:80").into(), weight, ..PeerSpec::default() };
    weights.iter().enumerate().map(spec).collect()
}

/// How far a share of a million requests that end at once may be from the weight's; `None` where the method does not go by
/// weight in that case.
fn tolerance(method: Method) -> Option<f64> {
    match method {
        Method::RoundRobin | Method::LeastConn => Some(0.000_002),
        Method::Random | Method::Hash { consistent: false } => Some(0.004),
        // 6,271 values of the hash can't be shared out more evenly.
        Method::IpHash => Some(0.015),
        // 160 points per weight are as even as chance makes them.
        Method::Hash { consistent: true } => Some(0.06),
        Method::RandomTwo(_) | Method::LeastTime { .. } => None,
    }
}

#[test]
fn a_million_picks_are_shared_out_by_weight() {
    let weights = [1, 2, 3, 10, 50, 100];
    let sum: u32 = weights.iter().sum();
    for &method in Method::ALL {
        let Some(tolerance) = tolerance(method) else { continue };
        let mut bench = Bench::new(method, &weighted(&weights), Instant::now());
        let mut counts = [0u32; 6];
        for number in 0..1_000_000 {
            let mut ticket = bench.pick(dice(number), &Tried::new(), None).expect("all peers are up");
            counts[ticket.peer().slot()] += 1;
            bench.balancer.done(&mut ticket, bench.now, Ending::Good);
        }
        for (count, weight) in counts.iter().zip(weights) {
            let share = f64::from(*count) / 1_000_000.0;
            let due = f64::from(weight) / f64::from(sum);
            assert!((share - due).abs() < tolerance, "{method:?}: weight {weight} got {share}, not {due}");
        }
    }
}

#[test]
fn tunnels_that_stay_are_shared_out_by_weight() {
    let weights = [1, 2, 3, 10, 50, 100];
    for &method in Method::ALL {
        if !method.ramps() {
            continue;
        }
        let mut bench = Bench::new(method, &weighted(&weights), Instant::now());
        let mut open: Vec<Ticket> = Vec::new();
        for number in 0..16_600 {
            open.push(bench.pick(dice(number), &Tried::new(), None).expect("all peers are up"));
        }
        for (peer, weight) in bench.known.iter().zip(weights) {
            let live = bench.balancer.live(*peer);
            assert!(live.abs_diff(weight * 100) <= 1, "{method:?}: weight {weight} got {live}");
        }
    }
}

#[test]
fn no_peer_is_left_where_all_are_down_or_there_is_none() {
    for &method in Method::ALL {
        let now = Instant::now();
        assert_eq!(Bench::new(method, &[], now).pick(7, &Tried::new(), None), Err(NoPeer::Down));
        for number in [1, 2, 3] {
            let specs = vec![PeerSpec { down: true, ..PeerSpec::default() }; number];
            let mut bench = Bench::new(method, &specs, now);
            assert_eq!(bench.pick(7, &Tried::new(), None), Err(NoPeer::Down));
            assert_eq!(bench.balancer.tries(), 0);
        }
    }
}

#[test]
fn full_peers_are_told_from_those_that_are_down() {
    for &method in Method::ALL {
        let full = PeerSpec { max_conns: 2, ..PeerSpec::default() };
        let down = PeerSpec { down: true, ..PeerSpec::default() };
        let mut bench = Bench::new(method, &[full.clone(), down, full], Instant::now());
        let mut open: Vec<Ticket> =
            (0..4).map(|number| bench.pick(dice(number), &Tried::new(), None).expect("there is room")).collect();
        assert_eq!(bench.pick(9, &Tried::new(), None), Err(NoPeer::Full), "{method:?}");
        let mut tried = Tried::new();
        [0, 2].iter().for_each(|peer| tried.insert(bench.known[*peer]));
        assert_eq!(bench.pick(9, &tried, None), Err(NoPeer::Down), "{method:?}");
        let after = bench.balancer.done(&mut open[3], bench.now, Ending::Good);
        assert!(after.has_room, "{method:?}");
        assert!(bench.pick(9, &Tried::new(), None).is_ok(), "{method:?}");
    }
}

#[test]
fn weights_of_any_size_do_no_harm() {
    let weights = [u32::MAX, u32::MAX, u32::MAX / 2, 1];
    for &method in Method::ALL {
        // A ring takes its weights in points, and millions of those take seconds.
        if method == (Method::Hash { consistent: true }) {
            continue;
        }
        let mut specs = weighted(&weights);
        specs[1].slow_start = Duration::MAX;
        specs[1].fail_timeout = Duration::MAX;
        let mut bench = Bench::new(method, &specs, Instant::now());
        let mut counts = [0u32; 4];
        for number in 0..10_000 {
            let mut ticket = bench.pick(dice(number), &Tried::new(), None).expect("a peer is up");
            counts[ticket.peer().slot()] += 1;
            let ending = if ticket.peer().slot() == 2 { Ending::Failed } else { Ending::Good };
            bench.balancer.done(&mut ticket, bench.now, ending);
            bench.now += Duration::from_secs(1);
        }
        assert!(counts[0] > counts[2], "{method:?}: {counts:?}");
    }
}

/// How many of ten thousand keys come to another peer when `change` is made.
fn moved(specs: &[PeerSpec], change: impl FnOnce(&mut Balancer)) -> usize {
    let mut bench = Bench::new(Method::Hash { consistent: true }, specs, Instant::now());
    let places = |bench: &mut Bench| -> Vec<PeerId> {
        let place = |number| {
            let mut ticket = bench.pick(dice(number), &Tried::new(), None).expect("a peer is up");
            bench.balancer.done(&mut ticket, bench.now, Ending::Good);
            ticket.peer()
        };
        (0..10_000).map(place).collect()
    };
    let before = places(&mut bench);
    change(&mut bench.balancer);
    let after = places(&mut bench);
    before.iter().zip(&after).filter(|(before, after)| before != after).count()
}

#[test]
fn a_server_that_comes_or_goes_moves_its_share_of_a_consistent_hash_alone() {
    let specs = weighted(&[1; 20]);
    let newcomer = PeerSpec { name: "newcomer:80".into(), ..PeerSpec::default() };
    let joined = moved(&specs, |balancer| {
        balancer.add(newcomer);
    });
    assert!((200..900).contains(&joined), "{joined}");
    let left = moved(&specs, |balancer| {
        let peer = balancer.peers().nth(7).expect("there are twenty");
        balancer.retire(peer);
    });
    assert!((200..900).contains(&left), "{left}");
    assert_eq!(moved(&specs, |_| {}), 0);
}
