//! What a pick costs over a thousand peers, by each method: alone, and with eight threads that share the balancer.
//!
//! Each iteration is a pick and its end, as a request makes them. `cargo bench -p culvert-engine`.

use culvert_engine::balance::{Balancer, Ending, Method, PeerSpec, Request, Tried};
use divan::Bencher;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

const PEERS: usize = 1000;

fn main() {
    divan::main();
}

fn balancer(method: Method, weights: impl Fn(usize) -> u32) -> Balancer {
    Balancer::new(
        method,
        (0..PEERS).map(|peer| PeerSpec {
            name: format!("10.0.{}.{}:8080", peer / 256, peer % 256).into(),
            weight: weights(peer),
            ..PeerSpec::default()
        }),
    )
}

/// One request from pick to end. The clock stands still: reading it is the caller's cost.
fn serve(balancer: &mut Balancer, number: u64, now: Instant) {
    let dice = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let key = dice.to_be_bytes();
    let client = Some(IpAddr::V4(Ipv4Addr::from([key[0], key[1], key[2], key[3]])));
    let tried = Tried::new();
    let request = Request { key: &key, client, tried: &tried, bound: None, dice };
    let mut ticket = balancer.pick(&request, now).expect("all peers are up");
    balancer.done(&mut ticket, now, Ending::Good);
}

#[divan::bench(args = Method::ALL)]
fn a_pick_and_its_end(bencher: Bencher<'_, '_>, method: &Method) {
    let (mut balancer, now, mut number) = (balancer(*method, |_| 1), Instant::now(), 0);
    bencher.bench_local(|| {
        number += 1;
        serve(&mut balancer, number, now);
    });
}

#[divan::bench(args = Method::ALL)]
fn with_weights_and_failures(bencher: Bencher<'_, '_>, method: &Method) {
    let (mut balancer, now, mut number) = (balancer(*method, |peer| 1 + peer as u32 % 7), Instant::now(), 0);
    let tried = Tried::new();
    for _ in 0..PEERS / 20 {
        let mut ticket = balancer.pick(&Request::new(&tried), now).expect("most peers are up");
        balancer.done(&mut ticket, now, Ending::Failed);
    }
    bencher.bench_local(|| {
        number += 1;
        serve(&mut balancer, number, now);
    });
}

/// A peer that comes: everything is computed anew that the method computes of all peers, and another pick is made.
#[divan::bench(args = Method::ALL)]
fn a_newcomer(bencher: Bencher<'_, '_>, method: &Method) {
    let (mut balancer, now, mut number) = (balancer(*method, |_| 1), Instant::now(), 0);
    bencher.bench_local(|| {
        number += 1;
        let newcomer = balancer.add(PeerSpec { name: "newcomer:80".into(), ..PeerSpec::default() });
        serve(&mut balancer, number, now);
        balancer.retire(newcomer);
    });
}

/// The time of one iteration of one thread, of eight: it waits for the others too.
#[divan::bench(args = Method::ALL, threads = [1, 8])]
fn behind_a_mutex(bencher: Bencher<'_, '_>, method: &Method) {
    let (balancer, now, number) = (Mutex::new(balancer(*method, |_| 1)), Instant::now(), AtomicU64::new(0));
    bencher.bench(|| {
        let number = number.fetch_add(1, Ordering::Relaxed);
        serve(&mut balancer.lock().expect("no thread panics"), number, now);
    });
}
