//! WebSockets over TLS.

use super::*;
use culvert_testkit::node::{Client, Echo};
use culvert_testkit::{json, python};

fn site(more: &str) -> String {
    format!(
        "server {{ listen {{address}}:8443 ssl; server_name one.test; {} location = /version {{ return 200 '{more}'; }}
         location / {{ proxy_pass http://{{address}}:9001; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
         proxy_set_header Connection upgrade; }} }}",
        certificate("one")
    )
}

/// Text, fragments, and messages of all sizes.
fn talk(client: &mut Client) {
    client.until("open");
    client.says("grüße 🌍");
    client.hears("Server received from client: grüße 🌍");
    for length in [0, 1, 125, 126, 16_383, 65_536, 3_000_000] {
        client.does(&json!({ "random": length }));
        client.gets_back(length);
    }
    client.does(&json!({ "pieces": [1_000_000, 17] }));
    client.gets_back(1_000_000);
}

#[test]
fn real_clients_talk_through_it() {
    let (place, _) = place();
    let world = world(place, &site(""));
    let _echo = Echo::start(world.at(9001), &[]);
    let url = format!("wss://{}/", world.at(8443));
    let authority = world.place().path("authority.crt");
    let options = ["--ca", authority.to_str().expect("a path in ASCII"), "--name", "one.test"];
    for mut client in [Client::start(&url, &options), python::client(&url, &options)] {
        talk(&mut client);
        client.does(&json!({"close": [4002, "enough"]}));
        let close = client.until("close");
        assert_eq!((&close["code"], &close["reason"]), (&json!(4002), &json!("enough")));
    }
}

#[test]
fn a_reload_gives_new_certificates_to_new_connections_and_leaves_live_ones_alone() {
    let (place, authority) = place();
    let world = world(place, &site("old"));
    let _echo = Echo::start(world.at(9001), &[]);
    let url = format!("wss://{}/", world.at(8443));
    let trusted = world.place().path("authority.crt");
    let options = ["--ca", trusted.to_str().expect("a path in ASCII"), "--name", "one.test"];
    let mut client = Client::open(&url, &options);
    let shown = || {
        let said = s_client(&world, &get("/version", "one.test"), &["-servername", "one.test"]);
        let certificate =
            said.split("-----BEGIN CERTIFICATE-----").nth(1).and_then(|rest| rest.split("-----END").next());
        certificate.unwrap_or_else(|| panic!("no certificate in {said}")).to_owned()
    };
    let before = shown();
    world.place().write("one.crt", "-----BEGIN CERTIFICATE-----\nhalf of");
    world.reload(&site("half-written"));
    world.error_log_shows("[emerg] ");
    assert_eq!((curl(&world, "https://one.test:8443/version", &[]), shown()), ("old".to_owned(), before.clone()));
    authority.server(world.place(), "one", &["one.test"], Kind::Good);
    world.reload(&site("new"));
    world.error_log_shows("reconfigured");
    assert_eq!(curl(&world, "https://one.test:8443/version", &[]), "new");
    assert_ne!(shown(), before);
    client.says("still here");
    client.hears("Server received from client: still here");
}
