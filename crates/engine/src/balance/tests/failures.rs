//! `max_fails` and `fail_timeout`.

use super::*;

#[test]
fn a_failed_peer_rests_for_fail_timeout() {
    let mut upstream = Upstream::weighted(&[1, 1]);
    assert_eq!(upstream.request("a"), "ab");
    assert_eq!(upstream.state('a'), State::Unavail);
    assert_eq!(upstream.balancer.next_change(), Some(upstream.now + Duration::from_secs(10)));
    assert_eq!(upstream.requests(3), "bbb");
    upstream.passes(10);
    assert_eq!(upstream.requests(3), "bbb");
    upstream.passes(1);
    assert!(upstream.requests(4).contains('a'));
    assert_eq!(upstream.state('a'), State::Up);
    assert_eq!(upstream.balancer.next_change(), None);
}

#[test]
fn one_request_alone_puts_a_rested_peer_to_the_test() {
    let mut upstream = Upstream::weighted(&[1, 1]);
    upstream.request("a");
    upstream.passes(11);
    let tested = |upstream: &mut Upstream| (0..6).map(|_| upstream.request("a")).collect::<String>();
    assert_eq!(count(&tested(&mut upstream), 'a'), 1);
    assert_eq!(count(&tested(&mut upstream), 'a'), 0);
}

#[test]
fn a_peer_that_passes_the_test_is_back() {
    let mut upstream = Upstream::weighted(&[1, 1]);
    upstream.request("a");
    upstream.passes(11);
    let share = count(&upstream.requests(20), 'a');
    assert!((9..=10).contains(&share), "{share}");
}

#[test]
fn a_tunnel_that_opens_passes_the_test_before_it_ends() {
    let mut upstream = Upstream::weighted(&[1, 1]);
    upstream.request("a");
    upstream.passes(11);
    let mut open: Vec<Ticket> = (0..4).map(|_| upstream.open().expect("b is up")).collect();
    let on_a = open.iter().position(|ticket| letter(ticket) == 'a').expect("a rested enough");
    assert!(!upstream.tunnels(4).contains('a'), "one request alone is the test");
    assert!(upstream.balancer.answered(&mut open[on_a], upstream.now));
    assert_eq!(upstream.state('a'), State::Up);
    assert!(upstream.tunnels(4).contains('a'));
    assert!(!upstream.balancer.answered(&mut open[on_a], upstream.now), "it was back already");
}

#[test]
fn a_client_that_goes_away_says_nothing_about_the_peer() {
    let mut upstream = Upstream::weighted(&[1, 1]);
    upstream.request("a");
    upstream.passes(11);
    let mut picks = String::new();
    for _ in 0..4 {
        let mut ticket = upstream.open().expect("b is up");
        picks.push(letter(&ticket));
        upstream.balancer.done(&mut ticket, upstream.now, Ending::Abandoned);
    }
    assert_eq!(count(&picks, 'a'), 1, "{picks}");
}

#[test]
fn failures_below_max_fails_only_lower_the_weight() {
    let specs = [PeerSpec { weight: 4, max_fails: 2, ..peer() }, PeerSpec { weight: 4, ..peer() }];
    let mut upstream = Upstream::new(&specs);
    assert_eq!(upstream.request("a"), "ab");
    let after = upstream.requests(8);
    assert!(after.contains('a') && count(&after, 'a') < 4, "{after}");
    let later = count(&upstream.requests(100), 'a');
    assert!((48..=52).contains(&later), "{later}");
}

#[test]
fn max_fails_of_zero_counts_nothing() {
    let specs = [PeerSpec { max_fails: 0, ..peer() }, PeerSpec { max_fails: 0, ..peer() }];
    let mut upstream = Upstream::new(&specs);
    let routes: Vec<_> = (0..9).map(|_| upstream.request("a")).collect();
    assert_eq!(routes, ["ab", "b", "ab", "b", "ab", "b", "ab", "b", "ab"]);
}

#[test]
fn no_peer_is_picked_while_all_rest() {
    let mut upstream = Upstream::weighted(&[1, 1]);
    assert_eq!(upstream.request("ab"), "ab");
    assert_eq!(upstream.request(""), "");
    assert_eq!(upstream.open(), Err(NoPeer::Down));
    upstream.passes(11);
    assert_eq!(upstream.requests(2).len(), 2);
}

#[test]
fn the_failure_that_takes_a_peer_out_is_told() {
    let mut upstream = Upstream::new(&[PeerSpec { max_fails: 2, ..peer() }, peer()]);
    let mut fails = |ending| {
        let mut ticket = loop {
            let ticket = upstream.open().expect("a peer is up");
            if letter(&ticket) == 'a' {
                break ticket;
            }
            upstream.close(ticket);
        };
        upstream.balancer.done(&mut ticket, upstream.now, ending).disabled
    };
    assert!(!fails(Ending::Failed));
    assert!(fails(Ending::EarlyClose));
}

#[test]
fn a_peer_with_failures_left_over_from_its_slot_does_not_inherit_them() {
    let mut upstream = Upstream::weighted(&[1, 1]);
    upstream.request("a");
    upstream.balancer.retire(upstream.id('a'));
    upstream.balancer.add(peer());
    assert_eq!(upstream.state('a'), State::Up);
    assert_eq!(count(&upstream.requests(10), 'a'), 5);
}
