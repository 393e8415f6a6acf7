//! Round robin, and the backup peers.

use super::*;

#[test]
fn the_order_is_smooth() {
    assert_eq!(Upstream::weighted(&[5, 1, 1]).requests(14), "aabacaaaabacaa");
    assert_eq!(Upstream::weighted(&[1, 1, 1]).requests(7), "abcabca");
    assert_eq!(Upstream::weighted(&[3, 2]).requests(10), "ababaababa");
}

#[test]
fn backups_serve_only_while_no_primary_can() {
    let backup = PeerSpec { backup: true, ..peer() };
    let mut upstream = Upstream::new(&[backup.clone(), peer(), backup, peer()]);
    assert_eq!(upstream.requests(4), "bdbd");
    assert_eq!(upstream.request("bd"), "bda");
    assert_eq!(upstream.requests(4), "caca");
    upstream.passes(11);
    assert_eq!(upstream.requests(2).matches(['b', 'd']).count(), 2);
}

#[test]
fn backups_serve_while_the_primaries_are_full() {
    let mut upstream =
        Upstream::new(&[PeerSpec { max_conns: 1, ..peer() }, PeerSpec { backup: true, max_conns: 1, ..peer() }]);
    let first = upstream.open().expect("there is room");
    let second = upstream.open().expect("the backup has room");
    assert_eq!((letter(&first), letter(&second)), ('a', 'b'));
    assert_eq!(upstream.open(), Err(NoPeer::Full));
    assert!(upstream.close(first).has_room);
    assert_eq!(letter(&upstream.open().expect("a has room again")), 'a');
}

#[test]
fn a_request_that_came_to_the_backups_stays_with_them() {
    let backup = PeerSpec { backup: true, ..peer() };
    let mut upstream = Upstream::new(&[peer(), backup.clone(), backup]);
    upstream.request("a");
    let mut tried = Tried::new();
    let first = upstream.balancer.pick(&Request::new(&tried), upstream.now).expect("a backup is up");
    assert_eq!(letter(&first), 'c');
    tried.insert(first.peer());
    upstream.passes(60);
    let second = upstream.balancer.pick(&Request::new(&tried), upstream.now).expect("a backup is up");
    assert_eq!(letter(&second), 'b');
}

#[test]
fn a_single_peer_is_used_whatever_its_failures() {
    let mut upstream = Upstream::new(&[peer()]);
    assert_eq!(upstream.request("a"), "a");
    assert_eq!(upstream.request("a"), "a");
    assert_eq!(upstream.balancer.tries(), 1);
    let mut with_backup = Upstream::new(&[peer(), PeerSpec { backup: true, ..peer() }]);
    assert_eq!(with_backup.request("a"), "ab");
    assert_eq!(with_backup.request(""), "b");
    assert_eq!(with_backup.balancer.tries(), 2);
}

#[test]
fn peers_come_and_go_while_requests_are_live() {
    let mut upstream = Upstream::weighted(&[1, 1]);
    let on_a = upstream.open().expect("a is up");
    let a = upstream.id('a');
    upstream.balancer.retire(a);
    assert_eq!(upstream.requests(3), "bbb");
    assert_eq!(upstream.balancer.live(a), 1);
    assert!(upstream.balancer.status(a).is_some_and(|status| status.is_retired));
    let c = upstream.balancer.add(peer());
    assert_eq!(c.slot(), 2);
    assert!(upstream.close(on_a).is_gone);
    assert_eq!(upstream.balancer.status(a), None);
    let new_a = upstream.balancer.add(peer());
    assert_eq!(new_a.slot(), 0);
    assert_ne!(new_a, a);
    let picks = upstream.requests(30);
    assert!(['a', 'b', 'c'].iter().all(|peer| count(&picks, *peer) == 10), "{picks}");
}

#[test]
fn a_weight_can_change() {
    let mut upstream = Upstream::weighted(&[1, 1]);
    upstream.requests(5);
    upstream.balancer.respecify(upstream.id('a'), PeerSpec { weight: 4, ..peer() });
    // What a peer gains rises by one per turn, as after failures.
    assert!((78..=80).contains(&count(&upstream.requests(100), 'a')));
}
