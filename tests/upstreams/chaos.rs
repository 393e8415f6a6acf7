//! Five servers with 2,000 live WebSockets. One is killed, one hangs, one is slow, one comes and goes every second: who
//! wants a WebSocket gets one, soon, and in the end every count is what it has to be.

use super::*;
use culvert_testkit::node::Echo;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// All that live at once.
const SOCKETS: usize = 2_000;
const SERVERS: usize = 5;
const EACH: usize = SOCKETS / SERVERS;

/// The servers by what becomes of them. The slow one answers a handshake late from the beginning.
const KILLED: usize = 1;
const HUNG: usize = 2;
const SLOW: usize = 3;
const FLAPPING: usize = 4;

/// How many clients ask at once.
const CALLERS: usize = 8;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const DELAY: &str = "150";

/// For how long clients come while servers fail.
const CHAOS: Duration = Duration::from_secs(5);

fn start(place: &Place, server: usize) -> Echo {
    Echo::start(place.at(9001), if server == SLOW { &["--delay", DELAY] } else { &[] })
}

fn config(places: &[Place]) -> String {
    let servers: String = places
        .iter()
        .enumerate()
        // Who comes and goes, or comes back at the end, is looked at again soon.
        .map(|(number, place)| {
            let rest = if number == HUNG { "30s" } else { "1s" };
            format!("server {} fail_timeout={rest}; ", place.at(9001))
        })
        .collect();
    let location = |timeout: &str| {
        format!(
            "proxy_pass http://app; proxy_connect_timeout 1s; proxy_read_timeout {timeout}; proxy_http_version 1.1;
             proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;"
        )
    };
    format!(
        "worker_processes 2; worker_rlimit_nofile 12000; events {{ worker_connections 6000; }}
         http {{
             log_format short '$status $request_uri $upstream_addr';
             access_log {{dir}}/access.log short;
             upstream app {{ zone app 64k; least_conn; {servers} }}
             server {{
                 listen {{address}}:8080 backlog=4096;
                 add_header X-Tried $upstream_addr always;
                 location /room {{ {} }}
                 location / {{ {} }}
             }}
         }}",
        location("1h"),
        location("1s"),
    )
}

/// Opens `count` WebSockets, several at once, and gives each with the number of its server.
fn open(world: &World, places: &[Place], count: usize) -> Vec<(Peer, usize)> {
    let open = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for caller in 0..CALLERS {
            let open = &open;
            scope.spawn(move || {
                for _ in (caller..count).step_by(CALLERS) {
                    let mut peer = Peer::asks(world.at(8080), "/room", "");
                    peer.is_switched();
                    let server = server_of(&peer, places);
                    open.lock().expect("nobody panics with it").push((peer, server));
                }
            });
        }
    });
    open.into_inner().expect("nobody panicked")
}

/// The server that a handshake was passed to at last.
fn server_of(peer: &Peer, places: &[Place]) -> usize {
    let tried = peer.header("x-tried").expect("the addresses that were tried");
    let last = tried.rsplit(", ").next().expect("at least one word");
    places.iter().position(|place| place.at(9001).to_string() == last).unwrap_or_else(|| panic!("{tried}"))
}

fn counts(open: &[(Peer, usize)]) -> [usize; SERVERS] {
    let mut counts = [0; SERVERS];
    open.iter().for_each(|(_, server)| counts[*server] += 1);
    counts
}

/// A handshake, from its first packet to the end of its WebSocket: how long its answer took, and the answer's first line.
fn call(gateway: SocketAddr) -> (Duration, String) {
    let begin = Instant::now();
    let mut peer = Peer::asks(gateway, "/call", "");
    let head = peer.reads_head();
    (begin.elapsed(), head.lines().next().unwrap_or_default().to_owned())
}

/// Clients come and go until `end`; gives what happened to each.
fn calls(gateway: SocketAddr, end: &AtomicBool) -> Vec<(Duration, String)> {
    let mut answers = Vec::new();
    while !end.load(Ordering::SeqCst) {
        answers.push(call(gateway));
    }
    answers
}

#[test]
fn servers_fail_in_every_way_and_nobody_has_to_wait() {
    let places: Vec<Place> = (0..SERVERS).map(|_| Place::new()).collect();
    let mut servers: Vec<Option<Echo>> =
        places.iter().enumerate().map(|(number, place)| Some(start(place, number))).collect();
    let mut world = world!(&config(&places));
    // Once each worker has worked, what it keeps for good is open.
    drop(open(&world, &places, 20 * CALLERS));
    let at_rest = rests(&mut world);

    let mut live = open(&world, &places, SOCKETS);
    assert_eq!(counts(&live), [EACH; SERVERS]);

    servers[HUNG].as_ref().expect("it runs").signal(Signal::SIGSTOP);
    servers[KILLED] = None;
    let (early, answers) = fail(&world, &places, &mut servers);
    judge(&answers);

    // All are well again. Their WebSockets stayed with those that had not died.
    servers[HUNG].as_ref().expect("it runs").signal(Signal::SIGCONT);
    servers[KILLED] = Some(start(&places[KILLED], KILLED));
    servers[FLAPPING].get_or_insert_with(|| start(&places[FLAPPING], FLAPPING));
    live.retain(|(_, server)| ![KILLED, FLAPPING].contains(server));
    for (peer, _) in &mut live {
        peer.says(&Frame::text("still here"));
        peer.hears_text("Server received from client: still here");
    }
    are_found_again(&world, &places);

    // With a single count too many or too few they would not be spread evenly.
    live.extend(open(&world, &places, 2 * EACH));
    assert_eq!(counts(&live), [EACH; SERVERS]);
    drop(live);
    let settled =
        Deadline::after(Duration::from_secs(20)).try_until(|| (world.gateway().descriptors() <= at_rest).then_some(()));
    assert!(settled.is_some(), "{at_rest} descriptors have become {}", world.gateway().descriptors());
    let switched = 20 * CALLERS + SOCKETS + 2 * EACH + early + answers.len();
    let opened = |line: &&str| line.starts_with("101 ");
    let log = || world.place().read("access.log").lines().filter(opened).count();
    Deadline::default().until("the lines of all WebSockets", || (log() >= switched).then_some(()));
    assert_eq!(log(), switched);
}

/// While clients come, one server comes and goes every second. Gives how many came before it was known that a server hangs,
/// and what happened to each of those after that.
fn fail(world: &World, places: &[Place], servers: &mut [Option<Echo>]) -> (usize, Vec<(Duration, String)>) {
    let gateway = world.at(8080);
    let end = AtomicBool::new(false);
    thread::scope(|scope| {
        // What is known of the hung server is known when one client has waited for it.
        let timeout = "upstream timed out (110: Connection timed out) while reading response header";
        let (known, mut early) = (Deadline::default(), 0);
        while lines_with(world, timeout) == 0 {
            assert!(known.remaining().is_some(), "nobody came to the hung server");
            let (_, answer) = call(gateway);
            assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
            early += 1;
        }
        let callers: Vec<_> = (0..CALLERS).map(|_| scope.spawn(|| calls(gateway, &end))).collect();
        let begin = Instant::now();
        let mut beat = begin;
        while begin.elapsed() < CHAOS {
            servers[FLAPPING] = match servers[FLAPPING].take() {
                Some(_) => None,
                None => Some(start(&places[FLAPPING], FLAPPING)),
            };
            beat += Duration::from_secs(1);
            thread::sleep(beat.saturating_duration_since(Instant::now()));
        }
        end.store(true, Ordering::SeqCst);
        (early, callers.into_iter().flat_map(|caller| caller.join().expect("no caller panics")).collect())
    })
}

/// Nobody was turned away, and nobody waited.
fn judge(answers: &[(Duration, String)]) {
    let lost: Vec<&String> =
        answers.iter().map(|(_, line)| line).filter(|line| !line.starts_with("HTTP/1.1 101 ")).collect();
    assert!(lost.is_empty(), "{} of {} were turned away: {:?}", lost.len(), answers.len(), lost[0]);
    let slowest = answers.iter().map(|(time, _)| *time).max().expect("somebody came");
    assert!(slowest <= CONNECT_TIMEOUT + Duration::from_millis(100), "somebody waited for {slowest:?}");
    assert!(answers.len() >= 100, "only {} came", answers.len());
}

/// Waits until each server that was gone has answered a request, which is when the gateway takes it for well.
fn are_found_again(world: &World, places: &[Place]) {
    for server in [KILLED, FLAPPING] {
        let address = places[server].at(9001).to_string();
        Deadline::default().until("an answer of a server that is back", || {
            let response = world.get("/again");
            (response.head.header("x-tried") == Some(&address)).then_some(())
        });
    }
}

/// The number of descriptors, once it has not changed for a while.
fn rests(world: &mut World) -> usize {
    let mut last = (world.gateway().descriptors(), Instant::now());
    Deadline::default().until("the descriptors to rest", || {
        let now = world.gateway().descriptors();
        if now != last.0 {
            last = (now, Instant::now());
        }
        (last.1.elapsed() > Duration::from_millis(300)).then_some(now)
    })
}
