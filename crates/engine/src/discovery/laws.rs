//! What holds for every sequence of answers and failures.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

fn trouble() -> impl Strategy<Value = Trouble> {
    prop::sample::select(vec![Trouble::Timeout, Trouble::ServerFailure, Trouble::Refused, Trouble::NoSuchName])
}

fn answer() -> impl Strategy<Value = Answer> {
    let address = || (0..12_u8).prop_map(|last| IpAddr::from(Ipv4Addr::new(10, 0, 0, last)));
    let addresses = move || prop::collection::vec(address(), 0..6);
    let ttl = || (0..100_000_u64).prop_map(Duration::from_secs);
    let target = prop::sample::select(vec!["a", "b", "c"]);
    let service = (0..3_u16, 0..3_u16, 80..82_u16, target, prop::option::of(addresses())).prop_map(
        |(priority, weight, port, target, addresses)| {
            let target = target.into();
            Service { priority, weight, port, target, addresses }
        },
    );
    prop_oneof![
        (addresses(), ttl()).prop_map(|(addresses, ttl)| Answer::Addresses { addresses, ttl }),
        (prop::collection::vec(service, 0..5), ttl()).prop_map(|(services, ttl)| Answer::Services { services, ttl }),
    ]
}

/// Applies the changes as a balancer would.
fn apply(peers: &mut BTreeMap<SocketAddr, Endpoint>, changes: &Changes) {
    for endpoint in &changes.vanished {
        assert!(peers.remove(&endpoint.address).is_some(), "what vanishes was there");
    }
    for endpoint in &changes.added {
        assert!(peers.insert(endpoint.address, *endpoint).is_none(), "what is new was not");
    }
    for endpoint in &changes.changed {
        let before = peers.insert(endpoint.address, *endpoint).expect("what changes was there");
        assert_ne!(before, *endpoint);
    }
}

proptest! {
    #[test]
    fn changes_lead_from_answer_to_answer(
        steps in prop::collection::vec(prop_oneof![answer().prop_map(Ok), trouble().prop_map(Err)], 0..30),
        dice: u64,
    ) {
        let (settings, mut now) = (Settings::default(), Instant::now());
        let mut name = Name::new(settings.clone(), now);
        let mut peers = BTreeMap::new();
        for step in steps {
            name.asked();
            let changes = match &step {
                Ok(answer) => name.answered(now, answer.clone(), dice),
                Err(trouble) => name.failed(now, *trouble, dice),
            };
            apply(&mut peers, &changes);
            prop_assert!(peers.values().eq(name.endpoints()));
            prop_assert!(peers.values().all(|endpoint| endpoint.weight >= 1));
            prop_assert!(peers.is_empty() || peers.values().any(|endpoint| !endpoint.backup));
            let due = name.due().expect("nobody is asked");
            prop_assert!(due >= now + settings.ttl_min && due <= now + settings.ttl_max);
            now = due;
        }
    }
}
