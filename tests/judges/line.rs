//! Over a line that loses one packet in a hundred and lets a quarter of them overtake the others.

use super::*;
use culvert_testkit::network::{Far, Line};

const LINE: Line = Line { loss: 0.01, reorder: 0.25, delay_ms: 5 };

fn config(far: &Far) -> String {
    let (listen, upstream) = (far.near(8080), far.at(9001));
    format!(
        "{TOLD}
         server {{
             listen {listen};
             location / {{ proxy_pass http://{upstream}; {ALL} proxy_read_timeout 2s; }}
         }}"
    )
}

/// Both hops cross the line: the client and the server are at its far end, the gateway is here.
fn talk(far: &Far, options: &[&str]) -> Client {
    let url = format!("ws://{}/room", far.near(8080));
    let mut client = Client::start_at(far, &url, options);
    client.until("open");
    for number in 0..30 {
        client.says(&format!("one by one {number}"));
        client.hears(&format!("Server received from client: one by one {number}"));
    }
    (0..300).for_each(|number| client.says(&format!("all at once {number}")));
    (0..300).for_each(|number| client.hears(&format!("Server received from client: all at once {number}")));
    client.does(&json!({"random": 500_000}));
    client.gets_back(500_000);
    client.does(&json!({"pieces": [500_000, 33]}));
    client.gets_back(500_000);
    client
}

#[test]
fn over_a_bad_line_everything_arrives_and_no_heartbeat_cuts_it() {
    let Some(network) = own_network!() else { return };
    let mut far = match network.far(LINE) {
        Ok(far) => far,
        Err(why) => return eprintln!("skipped: no bad line can be laid here: {why}"),
    };
    let world = world!(&config(&far));
    let echo = Echo::start_at(&far, far.at(9001), &["--deflate", "--fragment", "9"]);
    let mut clients = [talk(&far, &[]), talk(&far, &["--deflate"])];
    // Idle for longer than proxy_read_timeout: only the heartbeat keeps them.
    let quiet = Instant::now();
    while quiet.elapsed() < Duration::from_millis(2_500) {
        assert_eq!(clients[0].until("ping")["event"], "ping");
    }
    for client in &mut clients {
        client.says("still here");
        client.hears("Server received from client: still here");
        client.does(&json!({"close": [1000, "done"]}));
        assert_eq!(client.until("close"), json!({"event": "close", "code": 1000, "reason": "done"}));
        assert_eq!(echo.until("close"), json!({"event": "close", "code": 1000, "reason": "done"}));
    }
    assert_eq!(world.access_log_lines(2), ["1000 (done) client close 0"; 2]);
    let carried = far.carried();
    assert!(carried.packets > 1_000 && carried.lost > 10 && carried.early > 100, "a good line: {carried:?}");
}
