//! What takes its time, or shows on the wire alone: rates, hints, greetings, and how connections end.

use crate::world::{World, ok, request};
use std::time::Duration;

const RATES: &str = "upstream app { server backend-1; keepalive 2; }
    server {
        location / { limit_rate 1000; proxy_pass http://app; }
        location /after { limit_rate 1000; limit_rate_after 2000; proxy_pass http://app; }
        location /same { limit_rate 1000; limit_rate_after $limit_rate; proxy_pass http://app; }
        location /slow { limit_rate 100; send_timeout 3s; proxy_pass http://app; }
        location /own { limit_rate 100; send_timeout 3s; return 200 $arg_text; }
        location /upstream { proxy_limit_rate 1000; proxy_read_timeout 2s; proxy_pass http://app; }
        location /unbuffered { proxy_limit_rate 1000; proxy_buffering off; proxy_pass http://app; }
        location /accel { proxy_pass http://app; }
        location /part { proxy_force_ranges on; proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ''; }
    }";

fn body(length: usize) -> String {
    "0123456789".repeat(length / 10)
}

/// How many bytes have come after each second.
fn seconds(world: &World, browser: &mut crate::world::End, count: usize) -> Vec<usize> {
    let mut sums = vec![browser.hears_all().len()];
    for _ in 1..count {
        world.passes(Duration::from_secs(1));
        let sum = sums[sums.len() - 1] + browser.hears_all().len();
        sums.push(sum);
    }
    sums
}

#[test]
fn a_response_is_sent_no_faster_than_limit_rate() {
    let world = World::new(RATES);
    let (mut browser, mut backend) = world.request("GET /");
    backend.says(ok(&body(5000)));
    let sums = seconds(&world, &mut browser, 8);
    for (second, sum) in sums.iter().enumerate().take(5) {
        let most = 1000 * (second + 1);
        assert!(*sum <= most && *sum + 200 > most, "{sum} bytes after {second} seconds: {sums:?}");
    }
    assert!(sums[7] > 5000);
}

#[test]
fn limit_rate_after_lets_the_first_bytes_pass() {
    let world = World::new(RATES);
    let (mut browser, mut backend) = world.request("GET /after");
    backend.says(ok(&body(5000)));
    let sums = seconds(&world, &mut browser, 3);
    assert!(sums[0] > 2800 && sums[0] <= 3000, "{sums:?}");
    assert!(sums[2] > 4800 && sums[2] <= 5000, "{sums:?}");
}

#[test]
fn limit_rate_after_may_be_the_rate_itself() {
    let world = World::new(RATES);
    let (mut browser, mut backend) = world.request("GET /same");
    backend.says(ok(&body(5000)));
    let sums = seconds(&world, &mut browser, 2);
    assert!(sums[0] > 1800 && sums[0] <= 2000, "{sums:?}");
}

#[test]
fn a_client_that_is_kept_waiting_is_not_timed_out() {
    let world = World::new(RATES);
    let (mut browser, mut backend) = world.request("GET /slow");
    backend.says(ok(&body(2000)));
    assert!(seconds(&world, &mut browser, 25)[24] > 2000);
    browser.says(request(&format!("GET /own?text={}", body(2000))));
    let own = seconds(&world, &mut browser, 25);
    assert!(own[1] <= 200 && own[24] > 2000, "{own:?}");
}

#[test]
fn a_response_is_read_no_faster_than_proxy_limit_rate_and_waiting_for_it_is_no_timeout() {
    let world = World::new(RATES);
    let (mut browser, mut backend) = world.request("GET /upstream");
    backend.says(ok(&body(9000)));
    browser.hears_head();
    let sums = seconds(&world, &mut browser, 10);
    // What was read along with the head is here already, as in nginx.
    assert!(sums[0] <= 4096 && sums[6] > 6600 && sums[6] <= 7000, "{sums:?}");
    assert_eq!(sums[9], 9000);
}

#[test]
fn without_buffering_proxy_limit_rate_does_not_hold() {
    let world = World::new(RATES);
    let (mut browser, mut backend) = world.request("GET /unbuffered");
    backend.says(ok(&body(6000)));
    assert_eq!(browser.hears_response().body.len(), 6000);
}

#[test]
fn a_response_may_ask_for_its_own_rate() {
    let world = World::new(RATES);
    let (mut browser, mut backend) = world.request("GET /accel");
    backend.says(format!("HTTP/1.1 200 OK\r\nX-Accel-Limit-Rate: 500\r\nContent-Length: 2000\r\n\r\n{}", body(2000)));
    let sums = seconds(&world, &mut browser, 6);
    assert!(sums[0] <= 500 && sums[1] <= 1000 && sums[5] > 2000, "{sums:?}");
}

#[test]
fn what_follows_the_part_that_was_asked_for_is_not_waited_for() {
    let world = World::new(RATES);
    let mut browser = world.connect();
    browser.says("GET /part HTTP/1.1\r\nHost: culvert.test\r\nRange: bytes=10-19\r\n\r\n");
    let mut backend = world.accept();
    backend.hears_head();
    backend.says("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
    browser.hears_head();
    backend.says(body(30));
    assert_eq!(browser.hears_all(), body(10).as_bytes());
    backend.is_closed();
}

const HINTS: &str = "upstream app { server backend-1; }
    server {
        location / { proxy_pass http://app; }
        location /hints { early_hints 0 $http_x_wants; proxy_pass http://app; proxy_hide_header X-Secret; }
    }";
const HINT: &str =
    "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nX-Secret: 1\r\nConnection: close\r\n\r\n";

#[test]
fn early_hints_pass_where_a_condition_holds() {
    let world = World::new(HINTS);
    for (line, wants, version, passes) in [
        ("/hints", "X-Wants: yes\r\n", "1.1", true),
        ("/hints", "X-Wants: 0\r\n", "1.1", false),
        ("/hints", "", "1.1", false),
        ("/hints", "X-Wants: yes\r\n", "1.0", false),
        ("/", "X-Wants: yes\r\n", "1.1", false),
    ] {
        let mut browser = world.connect();
        browser.says(format!("GET {line} HTTP/{version}\r\nHost: culvert.test\r\n{wants}\r\n"));
        let mut backend = world.accept();
        backend.hears_head();
        backend.says(HINT);
        match passes {
            true => browser.hears("HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"),
            false => browser.hears_nothing(),
        }
        backend.says(ok("whole"));
        assert_eq!(browser.hears_response().body, b"whole");
    }
}

#[test]
fn a_connection_that_names_its_client_is_for_nobody_else() {
    let world = World::new(
        "upstream app { server backend-1; keepalive 4; }
        server {
            proxy_http_version 1.1; proxy_set_header Connection '';
            location / { proxy_protocol on; proxy_pass http://app; }
            location /v2 { proxy_protocol v2; proxy_pass http://app; }
            location /plain { proxy_pass http://app; }
        }",
    );
    let mut browser = world.connect();
    for _ in 0..2 {
        browser.says(request("GET /"));
        let mut backend = world.accept();
        let head = backend.hears_head();
        assert!(head.starts_with("PROXY TCP4 192.0.2.1 "), "{head}");
        assert!(head.contains("\r\nGET / HTTP/1.1\r\n"), "{head}");
        backend.says(ok("x"));
        browser.hears_response();
        backend.is_closed();
    }
    browser.says(request("GET /v2"));
    let mut backend = world.accept();
    let bytes = backend.hears_all();
    assert!(bytes.starts_with(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01"), "{}", bytes.escape_ascii());
    backend.says(ok("x"));
    browser.hears_response();
    browser.says(request("GET /plain"));
    assert!(world.accept().hears_head().starts_with("GET /plain "));
}

#[test]
fn buffering_is_turned_off_by_the_response() {
    let world = World::with_pipes(
        "upstream app { server backend-1; }
        server { proxy_buffers 16 64k; proxy_buffer_size 4k; proxy_busy_buffers_size 64k; location / { proxy_pass http://app; } }",
        1000,
        4000,
    );
    for (header, most) in [("", 500_000), ("X-Accel-Buffering: no\r\n", 30_000)] {
        let (browser, mut backend) = world.request("GET /");
        backend.says(format!("HTTP/1.1 200 OK\r\n{header}Content-Length: 500000\r\n\r\n"));
        let mut taken = 0;
        while let step @ 1.. = backend.says_what_fits(vec![b'x'; 4000.min(500_000 - taken)]) {
            taken += step;
        }
        assert!(taken <= most && (most < 500_000 || taken == 500_000), "{taken} bytes were taken with {header:?}");
        browser.closes();
        world.log_may_say("client prematurely closed connection");
    }
}

#[test]
fn lingering_close_decides_how_a_connection_ends() {
    let world = World::new(
        "server {
            lingering_timeout 5s;
            location /always { lingering_close always; keepalive_timeout 0; return 200 x; }
            location /off { lingering_close off; return 200 x; }
        }",
    );
    let mut browser = world.connect();
    browser.says(request("GET /always"));
    browser.hears_response();
    browser.hears_the_end();
    browser.says("what is still on its way");
    world.passes(Duration::from_secs(5));
    browser.is_closed();
    let mut browser = world.connect();
    browser.says("POST /off HTTP/1.1\r\nHost: culvert.test\r\nConnection: close\r\nContent-Length: 10\r\n\r\n");
    browser.hears_response();
    browser.is_closed();
}

#[test]
fn keepalive_min_timeout_outlasts_a_graceful_stop() {
    let world = World::new("server { keepalive_min_timeout 10s; location / { return 200 x; } }");
    let mut browser = world.connect();
    browser.says(request("GET /"));
    browser.hears_response();
    world.drains();
    world.passes(Duration::from_secs(9));
    browser.hears_nothing();
    world.passes(Duration::from_secs(1));
    browser.is_closed();
}
