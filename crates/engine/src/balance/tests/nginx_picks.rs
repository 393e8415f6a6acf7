//! What nginx 1.22.1 picked, asked the same with the same upstreams: five servers of weights 1, 2, 3, 1 and 4.

use super::*;
use std::net::IpAddr;

const WEIGHTS: [u32; 5] = [1, 2, 3, 1, 4];

/// What is special about the servers.
#[derive(Clone, Copy)]
enum Case {
    AllUp,
    /// `c` and `e` are `down`.
    SomeDown,
    /// `b` fails each request, and has `max_fails=0`.
    OneFails,
}

fn upstream(method: Method, case: Case) -> Upstream {
    let spec = |(at, weight): (usize, u32)| PeerSpec {
        name: format!("127.0.1.{}:18080", at + 1).into(),
        weight,
        down: matches!(case, Case::SomeDown) && [2, 4].contains(&at),
        max_fails: if matches!(case, Case::OneFails) && at == 1 { 0 } else { 1 },
        ..peer()
    };
    Upstream::by(method, &WEIGHTS.into_iter().enumerate().map(spec).collect::<Vec<_>>())
}

/// The routes of forty requests, the n-th of key `room n` and from the n-th client.
fn routes(method: Method, case: Case) -> String {
    let mut upstream = upstream(method, case);
    let failing = if matches!(case, Case::OneFails) { "b" } else { "" };
    let separator = if failing.is_empty() { "" } else { " " };
    let route = |number: u32| {
        let (key, client) = (format!("room {number}"), client(number));
        let (mut tried, mut route) = (Tried::new(), String::new());
        loop {
            let request = Request { key: key.as_bytes(), client: Some(client), ..Request::new(&tried) };
            let mut ticket = upstream.balancer.pick(&request, upstream.now).expect("a peer is up");
            tried.insert(ticket.peer());
            route.push(letter(&ticket));
            let fails = failing.contains(letter(&ticket));
            let ending = if fails { Ending::Failed } else { Ending::Good };
            upstream.balancer.done(&mut ticket, upstream.now, ending);
            if !fails {
                return route;
            }
        }
    };
    (0..40).map(route).collect::<Vec<_>>().join(separator)
}

/// Thirty clients by IPv4, then ten by IPv6.
fn client(number: u32) -> IpAddr {
    let text = match number {
        0..30 => format!("{}.{}.{}.{number}", number * 37 % 223 + 1, number * 91 % 256, number * 53 % 256),
        _ => format!("2001:db8::{:x}:{:x}", number - 30, (number - 30) * 7),
    };
    text.parse().expect("an address")
}

#[test]
fn round_robin_picks_as_nginx_does() {
    let by = |case| routes(Method::RoundRobin, case);
    assert_eq!(by(Case::AllUp), "ecbeacdebceecbeacdebceecbeacdebceecbeacd");
    assert_eq!(by(Case::SomeDown), "badbbadbbadbbadbbadbbadbbadbbadbbadbbadb");
    assert_eq!(
        by(Case::OneFails),
        "e c be a c e d be c e c e a bc e d c e be c e a c e d be c e c be a e c d e c be c e a"
    );
}

#[test]
fn least_conn_picks_as_nginx_does() {
    let by = |case| routes(Method::LeastConn, case);
    assert_eq!(by(Case::AllUp), "ecbeacdebceecbeacdebceecbeacdebceecbeacd");
    assert_eq!(by(Case::SomeDown), "badbbadbbadbbadbbadbbadbbadbbadbbadbbadb");
    assert_eq!(
        by(Case::OneFails),
        "e c be a c e d be c e c e a bc e d c e be c e a c e d be c e c be a e c d e c be c e a"
    );
}

#[test]
fn the_hash_of_a_key_picks_as_nginx_does() {
    let by = |case| routes(Method::Hash { consistent: false }, case);
    assert_eq!(by(Case::AllUp), "cbcbeccecbeccebeaeeeabecebeceeedecedecec");
    assert_eq!(by(Case::SomeDown), "dbbbababdbbdddbbabbbabdddbbabdddbabdbdda");
    assert_eq!(
        by(Case::OneFails),
        "c be c be e c c e c bc e c c e be e a e e e a be e c e be e c e e e d e c e d e c e c"
    );
}

#[test]
fn the_consistent_hash_of_a_key_picks_as_nginx_does() {
    let by = |case| routes(Method::Hash { consistent: true }, case);
    assert_eq!(by(Case::AllUp), "bbeabbeeecdaddceeccbeccbceaebccbeceeeecd");
    assert_eq!(by(Case::SomeDown), "bbbabbaabddadddbbbbbababbbabbdbbbabddbbd");
    assert_eq!(
        by(Case::OneFails),
        "be ba e a bc be e e e c d a d d c e e c c bd e c c be c e a e be c c bd e c e e e e c d"
    );
}

#[test]
fn the_hash_of_an_address_picks_as_nginx_does() {
    let by = |case| routes(Method::IpHash, case);
    assert_eq!(by(Case::AllUp), "ccceeceedaeebeeaeccbcbbedadccdcdebceebce");
    assert_eq!(by(Case::SomeDown), "bbbbbbdbdadbbbaabddbabbbdadbadbddbbabbbb");
    assert_eq!(
        by(Case::OneFails),
        "c c c e e c e e d a e e be e e a e c c ba c be be e d a d c c d c d e bc c e e be c e"
    );
}
