//! Real socket.io: three replicas in three processes that share nothing. A session begins by polling, with several requests
//! on several connections, and goes on as a WebSocket: all of them have to come to the replica that began it.

use super::*;
use culvert_testkit::node::{Client, Echo, socket_io_client, socket_io_server};

/// Three replicas, and a gateway of two workers that shares their clients out as `lines` say.
struct Replicas {
    world: World,
    _replicas: Vec<Echo>,
    _places: Vec<Place>,
}

impl Replicas {
    fn start(lines: &str, options: &[&str]) -> Replicas {
        let places: Vec<Place> = (0..3).map(|_| Place::new()).collect();
        let start = |place: &Place| {
            let name = place.address().to_string();
            socket_io_server(place.at(9001), &[&["--name", &name], options].concat())
        };
        let replicas = places.iter().map(start).collect();
        let servers: Vec<String> = places.iter().map(|place| place.at(9001).to_string()).collect();
        let world = world!(&site_of(&servers, lines));
        Replicas { world, _replicas: replicas, _places: places }
    }

    fn client(&self, options: &[&str]) -> Client {
        socket_io_client(&format!("http://{}", self.world.at(8080)), options)
    }
}

/// Waits until a client has upgraded, asks several times, and tells which replica answers.
#[track_caller]
fn talks(client: &mut Client) -> String {
    assert_eq!(client.until("upgrade")["transport"], "websocket");
    let mut names = (0..3).map(|_| {
        client.does(&json!({ "ask": true }));
        client.until("answer")
    });
    let first = names.next().expect("three answers");
    assert!(names.all(|answer| answer["name"] == first["name"]));
    first["name"].as_str().expect("a name").to_owned()
}

/// Nine clients at once talk to more than one of three replicas through `lines`. `options` are those of the client of a number.
#[track_caller]
fn works(lines: &str, server_options: &[&str], options: impl Fn(usize) -> Vec<String>) {
    let replicas = Replicas::start(lines, server_options);
    let start = |number| {
        let options = options(number);
        replicas.client(&options.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let mut clients: Vec<Client> = (0..9).map(start).collect();
    let mut names: Vec<String> = clients.iter_mut().map(talks).collect();
    names.sort();
    names.dedup();
    // A hash knows nothing of fairness.
    assert!(names.len() >= 2, "{names:?}");
    for client in &mut clients {
        client.does(&json!({ "close": true }));
        client.until("end");
    }
    let log = Deadline::default().until("the tunnels' lines", || {
        let log = replicas.world.place().read("access.log");
        (log.lines().filter(|line| line.starts_with("101 ")).count() >= 9).then_some(log)
    });
    assert!(!log.contains("400 "), "a replica did not know its session: {log}");
}

#[test]
fn without_stickiness_a_session_is_lost_at_once() {
    let replicas = Replicas::start("", &[]);
    let client = replicas.client(&[]);
    client.until("end");
    let log = replicas.world.access_log_lines(2).join("\n");
    assert!(log.contains("400 "), "{log}");
}

#[test]
fn sticky_cookie_keeps_a_session_on_its_replica() {
    works("sticky cookie replica path=/;", &[], |_| vec!["--cookies".into()]);
}

#[test]
fn a_signed_sticky_cookie_keeps_a_session_on_its_replica() {
    let place = Place::new();
    let keys = place.write("keys", "a key of at least thirty-two bytes, as it has to be\n");
    let lines = format!("sticky cookie replica path=/ httponly signed={};", keys.display());
    works(&lines, &[], |_| vec!["--cookies".into()]);
}

#[test]
fn sticky_learn_keeps_a_session_on_its_replica() {
    let lines = "sticky learn create=$upstream_cookie_io lookup=$cookie_io zone=sessions:1m header;";
    works(lines, &["--cookie", "io"], |_| vec!["--cookies".into()]);
}

#[test]
fn ip_hash_keeps_a_session_on_its_replica() {
    // The last number of an address plays no part.
    works("ip_hash;", &[], |number| vec!["--from".into(), format!("127.{}.7.1", 10 + number * 23)]);
}

#[test]
fn a_hash_of_what_the_client_brings_keeps_a_session_on_its_replica() {
    for lines in ["hash $cookie_user;", "hash $cookie_user consistent;"] {
        works(lines, &[], |number| vec!["--header".into(), format!("Cookie: user={number}{number}")]);
    }
}

#[test]
fn a_hash_of_the_address_keeps_a_session_on_its_replica() {
    works("hash $remote_addr consistent;", &[], |number| vec!["--from".into(), format!("127.9.{}.1", 1 + number * 5)]);
}

#[test]
fn a_session_that_only_polls_stays_on_its_replica() {
    let replicas = Replicas::start("sticky cookie replica path=/;", &[]);
    let mut client = replicas.client(&["--cookies", "--polling"]);
    client.until("open");
    for _ in 0..3 {
        client.does(&json!({ "ask": true }));
        assert_eq!(client.until("answer")["transport"], "polling");
    }
}

#[test]
fn a_session_outlives_a_reload() {
    let mut replicas = Replicas::start("sticky cookie replica path=/;", &[]);
    let mut client = replicas.client(&["--cookies"]);
    let name = talks(&mut client);
    let config = std::fs::read_to_string(replicas.world.gateway().config_path()).expect("the configuration");
    reloads(&replicas.world, &config);
    client.does(&json!({ "ask": true }));
    assert_eq!(client.until("answer")["name"], name.as_str());
}
