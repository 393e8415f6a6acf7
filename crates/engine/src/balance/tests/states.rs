//! Health, draining, slow start, and requests that are bound to a peer.

use super::*;

#[test]
fn an_unhealthy_peer_gets_nothing_until_it_is_healthy() {
    let mut upstream = Upstream::weighted(&[1, 1]);
    upstream.balancer.set_health(upstream.id('a'), Health::Unhealthy, upstream.now);
    assert_eq!(upstream.state('a'), State::Unhealthy);
    assert_eq!(upstream.requests(4), "bbbb");
    upstream.balancer.set_health(upstream.id('a'), Health::Checking, upstream.now);
    assert_eq!(upstream.state('a'), State::Checking);
    assert_eq!(upstream.requests(4), "bbbb");
    upstream.balancer.set_health(upstream.id('a'), Health::Healthy, upstream.now);
    assert_eq!(count(&upstream.requests(4), 'a'), 2);
}

#[test]
fn even_a_single_peer_gets_nothing_while_it_is_unhealthy() {
    let mut upstream = Upstream::new(&[peer()]);
    upstream.balancer.set_health(upstream.id('a'), Health::Unhealthy, upstream.now);
    assert_eq!(upstream.open(), Err(NoPeer::Down));
}

#[test]
fn a_request_comes_to_the_peer_that_it_is_bound_to() {
    for &method in Method::ALL {
        let mut upstream = Upstream::by(method, &[peer(), peer(), peer()]);
        let b = upstream.id('b');
        let routes: String = (0..6).map(|_| upstream.request_with("", |request| request.bound = Some(b))).collect();
        assert_eq!(routes, "bbbbbb", "{method:?}");
        // A bound request that fails goes on, and is not sent there again.
        let route = upstream.request_with("b", |request| request.bound = Some(b));
        assert!(route.len() == 2 && route.starts_with('b'), "{method:?}: {route}");
        let route = upstream.request_with("", |request| request.bound = Some(b));
        assert_ne!(route, "b", "{method:?}: b rests");
    }
}

#[test]
fn a_draining_peer_serves_those_alone_that_are_bound_to_it() {
    let mut upstream = Upstream::new(&[PeerSpec { drain: true, ..peer() }, peer()]);
    let a = upstream.id('a');
    assert_eq!(upstream.state('a'), State::Draining);
    assert_eq!(upstream.requests(3), "bbb");
    assert_eq!(upstream.request_with("", |request| request.bound = Some(a)), "a");
    upstream.balancer.retire(a);
    assert_eq!(upstream.request_with("", |request| request.bound = Some(a)), "b");
}

#[test]
fn a_bound_request_goes_elsewhere_where_its_peer_is_full() {
    let mut upstream = Upstream::new(&[PeerSpec { max_conns: 1, ..peer() }, peer()]);
    let (a, open) = (upstream.id('a'), upstream.open().expect("a is up"));
    assert_eq!(letter(&open), 'a');
    assert!(!upstream.balancer.takes_bound(a));
    assert_eq!(upstream.request_with("", |request| request.bound = Some(a)), "b");
    upstream.close(open);
    assert!(upstream.balancer.takes_bound(a));
}

fn slow() -> PeerSpec {
    PeerSpec { slow_start: Duration::from_secs(100), ..peer() }
}

#[test]
fn a_peer_that_is_healthy_again_regains_its_weight_slowly() {
    for method in [Method::RoundRobin, Method::LeastConn] {
        let mut upstream = Upstream::by(method, &[slow(), slow()]);
        upstream.balancer.set_health(upstream.id('a'), Health::Unhealthy, upstream.now);
        upstream.requests(3);
        upstream.balancer.set_health(upstream.id('a'), Health::Healthy, upstream.now);
        let mut shares = Vec::new();
        for _ in 0..6 {
            shares.push(count(&upstream.requests(200), 'a'));
            upstream.passes(25);
        }
        assert!(shares[0] < 20 && shares.is_sorted(), "{method:?}: {shares:?}");
        // A quarter of the weight against a whole one is a fifth.
        assert!((35..=50).contains(&shares[1]), "{method:?}: {shares:?}");
        assert_eq!(shares[5], 100, "{method:?}");
    }
}

#[test]
fn tunnels_find_a_recovered_peer_slowly_too() {
    let mut upstream = Upstream::by(Method::LeastConn, &[slow(), slow()]);
    upstream.balancer.set_health(upstream.id('a'), Health::Unhealthy, upstream.now);
    upstream.tunnels(1000);
    upstream.balancer.set_health(upstream.id('a'), Health::Healthy, upstream.now);
    upstream.tunnels(100);
    assert!(upstream.live('a') < 20, "{}", upstream.live('a'));
    upstream.passes(50);
    upstream.tunnels(1000);
    let half = upstream.live('a');
    assert!((650..=750).contains(&half), "a third of the tunnels, for half of its weight: {half}");
}

#[test]
fn a_peer_that_passes_the_test_after_failures_starts_slowly() {
    let mut upstream = Upstream::new(&[slow(), slow()]);
    upstream.request("a");
    upstream.passes(11);
    while upstream.state('a') != State::Up {
        upstream.requests(1);
    }
    assert!(count(&upstream.requests(100), 'a') < 10);
    assert!(upstream.balancer.status(upstream.id('a')).is_some_and(|status| status.ramped < 0.1));
    upstream.passes(101);
    assert!((49..=51).contains(&count(&upstream.requests(100), 'a')));
    assert!(upstream.balancer.status(upstream.id('a')).is_some_and(|status| status.ramped == 1.0));
}

#[test]
fn blind_methods_and_single_peers_do_not_start_slowly() {
    let mut single = Upstream::new(&[slow()]);
    single.balancer.start_slowly(single.id('a'), single.now);
    assert_eq!(single.balancer.status(single.id('a')).map(|status| status.ramped), Some(1.0));
    let mut random = Upstream::by(Method::Random, &[slow(), slow()]);
    random.balancer.start_slowly(random.id('a'), random.now);
    assert_eq!(random.balancer.status(random.id('a')).map(|status| status.ramped), Some(1.0));
}

#[test]
fn slow_start_does_not_change_the_order_of_those_that_are_up() {
    let specs = |slow_start| [5, 1, 1].map(|weight| PeerSpec { weight, slow_start, ..peer() });
    let slow = Upstream::new(&specs(Duration::from_secs(30))).requests(14);
    assert_eq!(slow, Upstream::new(&specs(Duration::ZERO)).requests(14));
}

#[test]
fn another_method_goes_on_with_the_counts_of_the_one_before() {
    let mut upstream = Upstream::new(&[peer(), peer()]);
    let ticket = upstream.open().expect("a peer");
    let busy = letter(&ticket);
    for method in Method::ALL {
        upstream.balancer.set_method(*method);
        assert_eq!(upstream.live(busy), 1, "{method:?}");
        upstream.request("");
    }
    upstream.balancer.set_method(Method::LeastConn);
    assert!(!upstream.requests(4).contains(busy));
    upstream.close(ticket);
    assert_eq!(upstream.live(busy), 0);
}
