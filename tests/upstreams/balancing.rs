//! Where nginx's choice is certain, Culvert's is the same: both stand in front of the same servers, get the same requests,
//! and tell which servers they tried. Culvert has two workers, which makes no difference.

use super::*;
use std::fmt::Write;

/// Nobody listens there.
const DEAD: u16 = 9009;

/// What a client does.
enum Step {
    /// Asks for a target from a loopback address.
    Get(String, [u8; 4]),
    /// Opens a WebSocket and keeps it.
    Open,
    /// Ends the WebSocket that is so far down the list of those that are open.
    Close(usize),
}

fn get(target: impl Into<String>) -> Step {
    Step::Get(target.into(), [127, 0, 0, 1])
}

/// Runs the steps on a gateway at `place` and gives what it tried for each request. After each step it waits for the log's
/// line of each request that is over, when the gateway's counts are what they have to be for the next one.
fn run(place: &Place, steps: &[Step]) -> Vec<String> {
    let (mut tried, mut open, mut over) = (Vec::new(), Vec::new(), 0);
    for step in steps {
        match step {
            Step::Get(target, from) => {
                let mut client = Client::connect_from(place.at(8080), (*from, 0).into());
                tried.push(addresses(client.get(target).head.header("x-tried")));
                over += 1;
            }
            Step::Open => {
                let mut peer = Peer::asks(place.at(8080), "/", "");
                let is_open = peer.reads_head().starts_with("HTTP/1.1 101 ");
                tried.push(addresses(peer.header("x-tried")));
                if is_open { open.push(peer) } else { over += 1 }
            }
            Step::Close(at) if open.is_empty() => assert!(*at < usize::MAX),
            Step::Close(at) => {
                drop(open.remove(at % open.len()));
                over += 1;
            }
        }
        Deadline::default()
            .until("the log's lines", || (place.read("access.log").matches('\n').count() >= over).then_some(()));
    }
    tried
}

fn addresses(header: Option<&str>) -> String {
    header.unwrap_or("nobody").to_owned()
}

/// Puts both gateways in front of the servers of one place, and compares what they tried.
#[track_caller]
fn compare(upstream: &str, steps: &[Step]) -> Vec<String> {
    let servers = Place::new();
    let _backends: Vec<Backend> = (9001..=9005)
        .map(|port| Backend::start(servers.at(port), |conversation| serve(conversation, "a server")))
        .collect();
    let upstream = servers.fill(&upstream.replace("@", "{address}:"));
    let config = |workers: u32| {
        format!(
            "worker_processes {workers};
             http {{
                 access_log {{dir}}/access.log;
                 upstream app {{ {upstream} }}
                 server {{
                     listen {{address}}:8080;
                     add_header X-Tried $upstream_addr always;
                     location / {{
                         proxy_pass http://app;
                         proxy_http_version 1.1;
                         proxy_set_header Upgrade $http_upgrade;
                         proxy_set_header Connection upgrade;
                     }}
                 }}
             }}"
        )
    };
    let place = Place::new();
    let nginx = Gateway::start(&Program::Nginx, &place, &config(1));
    let theirs = run(&place, steps);
    drop(nginx);
    let world = world!(&config(2));
    let ours = run(world.place(), steps);
    let at = (0..ours.len()).find(|&at| ours[at] != theirs[at]);
    assert!(at.is_none(), "at {at:?}: {}", table(&theirs, &ours));
    ours
}

fn table(theirs: &[String], ours: &[String]) -> String {
    theirs.iter().zip(ours).enumerate().fold(String::new(), |mut text, (at, (theirs, ours))| {
        let _ = writeln!(text, "{at}: nginx {theirs}, culvert {ours}");
        text
    })
}

fn keys(count: usize) -> Vec<Step> {
    (0..count).map(|key| get(format!("/?key=user-{key}"))).collect()
}

/// Opens, closes and asks in an order that looks like chance, and is the same in each run.
fn traffic(count: usize) -> Vec<Step> {
    let mut state = 1_u32;
    let mut draw = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as usize
    };
    let step = |_| match draw() % 10 {
        0..6 => Step::Open,
        6..9 => Step::Close(draw()),
        _ => get("/"),
    };
    (0..count).map(step).collect()
}

/// How many different servers were tried.
fn spread(tried: &[String]) -> usize {
    let mut servers: Vec<&String> = tried.iter().collect();
    servers.sort();
    servers.dedup();
    servers.len()
}

#[test]
fn least_conn_counts_tunnels_as_nginx_does() {
    let tried = compare("least_conn; server @9001; server @9002; server @9003;", &traffic(150));
    assert_eq!(spread(&tried), 3);
}

#[test]
fn least_conn_weighs_as_nginx_does() {
    let upstream = "least_conn; server @9001 weight=5; server @9002 weight=2; server @9003; server @9004 down;";
    assert_eq!(spread(&compare(upstream, &traffic(150))), 3);
}

#[test]
fn least_conn_turns_to_backups_as_nginx_does() {
    let upstream = format!(
        "least_conn; server @{DEAD} fail_timeout=60s; server @9001 down; server @9002 backup; server @9003 backup;"
    );
    assert_eq!(spread(&compare(&upstream, &traffic(60))), 3);
}

#[test]
fn ip_hash_chooses_as_nginx_does() {
    let steps: Vec<Step> = (0..120).map(|at| Step::Get("/".into(), [127, at, 7 * (at % 30), 1])).collect();
    for upstream in [
        "ip_hash; server @9001; server @9002; server @9003;".to_owned(),
        "ip_hash; server @9001 weight=3; server @9002 down; server @9003; server @9004 weight=2;".to_owned(),
        format!("ip_hash; server @9001; server @{DEAD} fail_timeout=60s; server @9003;"),
    ] {
        assert!(spread(&compare(&upstream, &steps)) >= 3);
    }
}

#[test]
fn hash_chooses_as_nginx_does() {
    for upstream in [
        "hash $arg_key; server @9001; server @9002; server @9003;".to_owned(),
        "hash $arg_key; server @9001 weight=4; server @9002 down; server @9003; server @9004 weight=2;".to_owned(),
        format!("hash $arg_key; server @9001; server @{DEAD} fail_timeout=60s; server @9003 weight=2;"),
        "hash $arg_none; server @9001; server @9002; server @9003;".to_owned(),
    ] {
        compare(&upstream, &keys(100));
    }
}

#[test]
fn hash_consistent_chooses_as_nginx_does() {
    for upstream in [
        "hash $arg_key consistent; server @9001; server @9002; server @9003; server @9004; server @9005;".to_owned(),
        "hash $arg_key consistent; server @9001 weight=4; server @9002 down; server @9003; server @9004;".to_owned(),
        format!("hash $arg_key consistent; server @9001; server @{DEAD} fail_timeout=60s; server @9003 weight=2;"),
        "hash $arg_none consistent; server @9001; server @9002; server @9003;".to_owned(),
    ] {
        compare(&upstream, &keys(150));
    }
}

#[test]
fn failures_are_counted_as_nginx_counts_them() {
    for upstream in [
        format!("server @9001; server @{DEAD} max_fails=3 fail_timeout=60s weight=3; server @9003 weight=2;"),
        format!("server @{DEAD} fail_timeout=60s; server @9008 max_fails=2 fail_timeout=60s; server @9003 backup;"),
        format!("server @{DEAD} max_fails=0; server @9008 fail_timeout=60s; server @9003 weight=5;"),
        format!("server @{DEAD} fail_timeout=60s; server @9008 fail_timeout=60s;"),
        format!("server @{DEAD};"),
    ] {
        let steps: Vec<Step> = (0..40).map(|_| get("/")).collect();
        compare(&upstream, &steps);
    }
}

#[test]
fn failures_weigh_on_least_conn_as_on_nginx() {
    let upstream =
        format!("least_conn; server @9001; server @{DEAD} max_fails=4 fail_timeout=60s; server @9003 weight=2;");
    compare(&upstream, &traffic(100));
}

#[test]
fn max_conns_bounds_tunnels_as_in_nginx() {
    for upstream in [
        "server @9001 max_conns=2; server @9002 max_conns=3; server @9003 max_conns=1;",
        "least_conn; server @9001 max_conns=2; server @9002 max_conns=3; server @9003 max_conns=1 backup;",
        "hash $arg_key; server @9001 max_conns=2; server @9002 max_conns=3;",
    ] {
        let tried = compare(upstream, &traffic(60));
        assert!(tried.iter().any(|tried| tried == "app"), "nobody was turned away: {tried:?}");
    }
}
