//! Sessions that clients take up again, with tickets and without, and requests that come early.

use super::*;

const VERSIONS: [&str; 2] = ["-tls1_2", "-tls1_3"];

fn config(directives: &str) -> String {
    format!(
        "worker_processes 2;
         http {{ access_log off; server {{ listen {{address}}:8443 ssl; ssl_protocols TLSv1.2 TLSv1.3; {} {directives}
         location / {{ return 200 \"reused $ssl_session_reused\\nsession $ssl_session_id\\nearly $ssl_early_data.\\n\"; }} }} }}",
        certificate("one")
    )
}

/// Opens a session and takes it up again: what the gateway says of it, both times.
fn twice(world: &World, version: &str, between: impl FnOnce()) -> [String; 2] {
    let session = world.place().path("session");
    let session = session.to_str().expect("a path in ASCII");
    let first = s_client(world, &get("/", "one.test"), &[version, "-sess_out", session]);
    between();
    let again = s_client(world, &get("/", "one.test"), &[version, "-sess_in", session]);
    [first, again]
}

#[test]
fn sessions_are_taken_up_again_by_ticket_and_by_number() {
    for directives in
        ["", "ssl_session_tickets off; ssl_session_cache shared:SSL:1m;", "ssl_session_cache builtin:1000;"]
    {
        let (place, _) = place();
        let world = world(place, &config(directives));
        for version in VERSIONS {
            // nginx's workers share what is named so alone.
            for _ in 0..4 {
                let [first, again] = twice(&world, version, || {});
                assert_eq!((line(&first, "reused "), line(&again, "reused ")), (".", "r"), "{directives} {version}");
                if !World::is_nginx() {
                    assert_eq!(line(&first, "session "), line(&again, "session "), "{directives} {version}");
                }
            }
        }
    }
}

#[test]
fn no_session_is_kept_where_neither_tickets_nor_a_cache_are() {
    let (place, _) = place();
    let world = world(place, &config("ssl_session_tickets off;"));
    let first = s_client(&world, &get("/", "one.test"), &["-tls1_3"]);
    assert!(!first.contains("Post-Handshake New Session Ticket"), "{first}");
    let session = world.place().path("session");
    s_client(&world, &get("/", "one.test"), &["-tls1_2", "-sess_out", session.to_str().expect("a path in ASCII")]);
    assert!(!session.exists(), "there is nothing to take up");
}

#[test]
fn sessions_outlive_a_reload() {
    for directives in ["", "ssl_session_tickets off; ssl_session_cache shared:SSL:1m;"] {
        let (place, _) = place();
        let world = world(place, &config(directives));
        for version in VERSIONS {
            let [_, again] = twice(&world, version, || {
                let text = config(directives) + "# another time";
                world.reload(&text);
                world.error_log_shows("reconfigured");
            });
            assert_eq!(line(&again, "reused "), "r", "{directives} {version}");
        }
    }
}

#[test]
fn gateways_that_share_a_key_take_up_each_others_tickets() {
    let (place, _) = place();
    place.write("old.key", [1; 48]);
    place.write("new.key", [2; 80]);
    let old = config("ssl_session_ticket_key {dir}/old.key;");
    let both = config("ssl_session_ticket_key {dir}/new.key; ssl_session_ticket_key {dir}/old.key;");
    let session = place.path("session");
    let session = session.to_str().expect("a path in ASCII");
    let one = world(place, &old);
    s_client(&one, &get("/", "one.test"), &["-tls1_2", "-sess_out", session]);
    one.reload(&both);
    one.error_log_shows("reconfigured");
    let again = s_client(&one, &get("/", "one.test"), &["-tls1_2", "-sess_in", session]);
    assert_eq!(line(&again, "reused "), "r");
}

#[test]
fn a_session_that_is_too_old_is_begun_anew() {
    let (place, _) = place();
    let world = world(place, &config("ssl_session_timeout 1s;"));
    let [_, again] = twice(&world, "-tls1_3", || std::thread::sleep(std::time::Duration::from_millis(2_500)));
    assert_eq!(line(&again, "reused "), ".");
}

#[test]
fn a_request_that_comes_early_is_told_from_others() {
    let (place, _) = place();
    let world = world(place, &config("ssl_early_data on;"));
    let session = world.place().path("session");
    let session = session.to_str().expect("a path in ASCII");
    let first = s_client(&world, &get("/", "one.test"), &["-tls1_3", "-sess_out", session]);
    assert_eq!(line(&first, "early "), ".");
    let early = world.place().write("early", get("/", "one.test"));
    let early = early.to_str().expect("a path in ASCII");
    let again = s_client(&world, "", &["-tls1_3", "-sess_in", session, "-early_data", early]);
    assert_eq!(line(&again, "Early data was "), "accepted");
    assert_eq!((line(&again, "reused "), line(&again, "early ")), ("r", "1."));
    // A session is good for early data once, so nobody can replay it.
    let replayed = s_client(&world, &get("/", "one.test"), &["-tls1_3", "-sess_in", session, "-early_data", early]);
    assert!(replayed.contains("Early data was rejected"), "{replayed}");
}
