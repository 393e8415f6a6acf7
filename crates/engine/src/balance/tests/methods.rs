//! What tells the methods apart.

use super::*;

/// Its ends are fifty keys.
const KEYS: &[u8] = &[7; 50];
const LEAST_TIME: Method = Method::LeastTime { metric: Metric::Header, inflight: false };
const INFLIGHT: Method = Method::LeastTime { metric: Metric::Header, inflight: true };

#[test]
fn least_conn_levels_live_requests_by_weight() {
    let mut upstream = Upstream::by(Method::LeastConn, &[PeerSpec { weight: 2, ..peer() }, peer()]);
    upstream.tunnels(9);
    assert_eq!((upstream.live('a'), upstream.live('b')), (6, 3));
    let mut upstream = Upstream::by(Method::LeastConn, &[peer(), peer(), peer()]);
    let mut open: Vec<Ticket> = (0..6).map(|_| upstream.open().expect("a peer is up")).collect();
    let on_b = open.iter().position(|ticket| letter(ticket) == 'b').expect("two are on each");
    upstream.close(open.swap_remove(on_b));
    assert_eq!(upstream.tunnels(1), "b");
}

#[test]
fn equals_of_least_conn_take_turns() {
    let mut upstream = Upstream::by(Method::LeastConn, &[PeerSpec { weight: 2, ..peer() }, peer(), peer()]);
    assert_eq!(upstream.requests(8), Upstream::weighted(&[2, 1, 1]).requests(8));
}

/// Sends requests to all peers, which take so many milliseconds to answer.
fn measure(upstream: &mut Upstream, times: &[u64]) {
    let tried = Tried::new();
    for dice in 0..40 * times.len() as u64 {
        let request = Request { dice, ..Request::new(&tried) };
        let mut ticket = upstream.balancer.pick(&request, upstream.now).expect("a peer is up");
        let answered = upstream.now + Duration::from_millis(times[ticket.peer().slot()]);
        upstream.balancer.answered(&mut ticket, answered);
        upstream.balancer.completed(&mut ticket, answered);
        upstream.balancer.done(&mut ticket, answered, Ending::Good);
    }
}

#[test]
fn least_time_prefers_the_quick_and_the_idle() {
    let mut upstream = Upstream::by(LEAST_TIME, &[peer(), peer()]);
    measure(&mut upstream, &[40, 10]);
    assert_eq!(upstream.requests(5), "bbbbb");
    // Four requests on b are as much as one on a.
    upstream.tunnels(10);
    assert_eq!((upstream.live('a'), upstream.live('b')), (2, 8));
    let status = upstream.balancer.status(upstream.id('b')).expect("b is there");
    assert_eq!(status.header_time.map(|time| time.as_millis()), Some(10));
}

#[test]
fn least_time_forgives_slowness_that_nobody_confirms() {
    let mut upstream = Upstream::by(LEAST_TIME, &[peer(), peer()]);
    measure(&mut upstream, &[1000, 10]);
    assert_eq!(upstream.requests(3), "bbb");
    upstream.passes(3600);
    upstream.tunnels(12);
    assert!(upstream.live('a') > 2, "{}", upstream.live('a'));
}

#[test]
fn inflight_leaves_a_peer_that_hangs_before_its_first_answer() {
    for (method, hangs_at_most) in [(LEAST_TIME, 100), (INFLIGHT, 30)] {
        let mut upstream = Upstream::by(method, &[peer(), peer()]);
        measure(&mut upstream, &[10, 10]);
        let mut hanging = Vec::new();
        for _ in 0..300 {
            upstream.now += Duration::from_millis(100);
            let mut ticket = upstream.open().expect("a peer is up");
            if letter(&ticket) == 'a' {
                hanging.push(ticket);
                continue;
            }
            let answered = upstream.now + Duration::from_millis(10);
            upstream.balancer.answered(&mut ticket, answered);
            upstream.balancer.done(&mut ticket, answered, Ending::Good);
        }
        assert!(hanging.len() <= hangs_at_most, "{method:?}: {}", hanging.len());
    }
}

#[test]
fn a_hash_goes_elsewhere_only_while_its_peer_cannot_serve() {
    for consistent in [false, true] {
        let specs: Vec<PeerSpec> = (0..8).map(|at| PeerSpec { name: format!("host{at}").into(), ..peer() }).collect();
        let mut upstream = Upstream::by(Method::Hash { consistent }, &specs);
        let home = upstream.request_with("", |request| request.key = b"room 7");
        let route = upstream.request_with(&home, |request| request.key = b"room 7");
        assert!(route.len() == 2 && route.starts_with(&home), "{route}");
        let away = upstream.request_with("", |request| request.key = b"room 7");
        assert_eq!(away, route[1..], "the second choice of a key is always the same");
        upstream.passes(11);
        assert_eq!(upstream.request_with("", |request| request.key = b"room 7"), home);
    }
}

#[test]
fn without_a_key_a_hash_is_round_robin() {
    for consistent in [false, true] {
        let mut upstream = Upstream::by(Method::Hash { consistent }, &[peer(), peer(), peer()]);
        assert_eq!(upstream.requests(6), "abcabc");
    }
}

#[test]
fn the_addresses_of_one_server_share_its_keys_by_turns() {
    let named = |name: &str| PeerSpec { name: name.into(), ..peer() };
    let specs = [named("one:80"), named("two:80"), named("one:80")];
    let mut upstream = Upstream::by(Method::Hash { consistent: true }, &specs);
    for key in 0..50u8 {
        let routes: String =
            (0..4).map(|_| upstream.request_with("", |request| request.key = &KEYS[key as usize..])).collect();
        assert!(["acac", "caca", "bbbb"].contains(&routes.as_str()), "key {key}: {routes}");
    }
}

#[test]
fn random_two_prefers_the_idle_one() {
    let mut upstream = Upstream::by(Method::RandomTwo(Rival::LeastConn), &[peer(), peer()]);
    for dice in 0..100 {
        let ticket = upstream.balancer.pick(&Request { dice, ..Request::new(&Tried::new()) }, upstream.now);
        assert!(ticket.is_ok());
        assert!(upstream.live('a').abs_diff(upstream.live('b')) <= 1);
    }
    for metric in [Metric::Header, Metric::LastByte] {
        let mut upstream = Upstream::by(Method::RandomTwo(Rival::LeastTime(metric)), &[peer(), peer()]);
        measure(&mut upstream, &[40, 10]);
        let routes: String = (0..20).map(|dice| upstream.request_with("", |request| request.dice = dice)).collect();
        assert_eq!(count(&routes, 'b'), 20, "{routes}");
    }
}

#[test]
fn the_methods_say_what_they_take() {
    let backup = [Method::RoundRobin, Method::LeastConn, LEAST_TIME];
    assert!(backup.iter().all(|method| method.allows_backup()));
    let blind = [Method::IpHash, Method::Hash { consistent: true }, Method::Random];
    assert!(!blind.iter().any(|method| method.allows_backup()));
    assert_eq!(Method::RoundRobin.metric(), None);
    assert_eq!(INFLIGHT.metric(), Some(Metric::Header));
}

#[test]
fn addresses_that_come_and_go_move_no_key_to_another_server() {
    let named = |name: &str| PeerSpec { name: name.into(), ..peer() };
    let mut upstream =
        Upstream::by(Method::Hash { consistent: true }, &[named("one:80"), named("two:80"), named("three:80")]);
    let servers = |upstream: &mut Upstream| -> Vec<PeerSpec> {
        let serve = |key: u8| {
            let tried = Tried::new();
            let request = Request { key: &[key], ..Request::new(&tried) };
            let mut ticket = upstream.balancer.pick(&request, upstream.now).expect("a peer is up");
            upstream.balancer.done(&mut ticket, upstream.now, Ending::Good);
            upstream.balancer.spec(ticket.peer()).expect("it was picked").clone()
        };
        (0..100).map(serve).collect()
    };
    let before = servers(&mut upstream);
    upstream.balancer.add(named("two:80"));
    upstream.balancer.retire(upstream.id('b'));
    assert_eq!(servers(&mut upstream), before);
}
