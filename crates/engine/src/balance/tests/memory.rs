//! What a peer costs: at most 1 KB, with every method, for all workers together.

use super::*;

#[test]
fn a_thousand_peers_take_less_than_a_kilobyte_each() {
    let specs = |number: usize| (0..number).map(|at| PeerSpec { name: format!("10.0.{at}.1:8080").into(), ..peer() });
    for &method in Method::ALL {
        let (few, many) = (Balancer::new(method, specs(1000)), Balancer::new(method, specs(2000)));
        let per_peer = (many.bytes() - few.bytes()) / 1000;
        println!("{method:?}: {per_peer} bytes per peer");
        assert!(per_peer <= 1024, "{method:?}: {per_peer} bytes per peer");
    }
}
