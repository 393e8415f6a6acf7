//! Probes over HTTP and TCP.

use super::*;

const CHECK: &str = "health_check uri=/health interval=100ms;";

#[test]
fn a_sick_server_gets_no_requests_until_it_is_well() {
    let (one, two) = (Host::new("one"), Host::new("two"));
    let world = world!(&site(&[one.address(), two.address()], CHECK));
    comes_to(&world, "one");
    one.is_sick();
    let line = world.error_log_shows("peer is unhealthy");
    let expected = format!(
        "peer is unhealthy while checking status code, health check \"\" of peer {} in upstream \"app\"",
        one.address()
    );
    assert!(line.contains("[warn]") && line.ends_with(&expected), "{line}");
    world.error_log_shows("unexpected status 503 while checking status code");
    for _ in 0..4 {
        assert_eq!(world.get("/").text(), "two");
    }
    one.is_well();
    let line = world.error_log_shows("peer is healthy");
    assert!(line.contains("[notice]"), "{line}");
    comes_to(&world, "one");
}

#[test]
fn fails_and_passes_are_counted_in_rows() {
    let one = Host::new("one");
    one.is_sick();
    let world = world!(&site(&[one.address()], "health_check uri=/health interval=50ms fails=3 passes=2;"));
    world.error_log_shows("peer is unhealthy");
    assert!(lines_with(&world, "unexpected status 503") >= 3);
    assert_eq!(world.get("/").status(), 502);
    world.error_log_shows("no live upstreams while connecting to upstream");
    one.is_well();
    comes_to(&world, "one");
}

#[test]
fn a_server_that_is_gone_fails_its_probes() {
    let (mut one, two) = (Host::new("one"), Host::new("two"));
    for check in ["health_check uri=/health interval=100ms;", "health_check type=tcp interval=100ms;"] {
        let world = world!(&site(&[one.address(), two.address()], check));
        comes_to(&world, "one");
        one.dies();
        let line = world.error_log_shows("connect() failed");
        let expected = format!(
            "connect() failed (111: Connection refused) while connecting to upstream, health check \"\" of peer {} in upstream \"app\"",
            one.address()
        );
        assert!(line.contains("[error]") && line.ends_with(&expected), "{line}");
        // The probe that was under way when it died may have been cut off behind the connect.
        world.error_log_shows("peer is unhealthy while ");
        for _ in 0..4 {
            assert_eq!(world.get("/").text(), "two");
        }
        // Not one request was lost to it.
        assert_eq!(lines_with(&world, "client: "), 0, "{}", world.place().read("error.log"));
        one.starts();
        comes_to(&world, "one");
    }
}

#[test]
fn a_server_that_does_not_answer_fails_its_probes() {
    let (place, two) = (Place::new(), Host::new("two"));
    let _hung = Backend::silent(place.at(PORT));
    let config = site(&[place.at(PORT).to_string(), two.address()], "")
        .replace("proxy_connect_timeout 2s;", "proxy_read_timeout 300ms; health_check uri=/health interval=100ms;");
    let world = world!(&config);
    world.error_log_shows(
        "upstream timed out (110: Connection timed out) while reading response header from upstream, health",
    );
    world.error_log_shows("peer is unhealthy while reading response header from upstream");
    all_come_to(&world, "two");
}

#[test]
fn a_match_decides_what_is_well() {
    let one = Host::new("one");
    let lines = "match right { status 200; header Content-Type = text/plain; body ~ \"^well$\"; } ";
    let good = format!("{lines} {}", site(&[one.address()], "health_check uri=/health interval=100ms match=right;"));
    let world = world!(&good);
    comes_to(&world, "one");
    world.reload(&good.replace("^well$", "^ill$"));
    world.error_log_shows("peer is unhealthy while checking body, health check \"right\" of peer");
    world.reload(&good);
    world.error_log_shows("peer is healthy while checking body, health check \"right\" of peer");
    comes_to(&world, "one");
}

#[test]
fn a_mandatory_check_lets_nothing_through_before_it_passes() {
    let one = Host::new("one");
    one.is_sick();
    let world = world!(&site(&[one.address()], "health_check uri=/health interval=100ms mandatory;"));
    assert_eq!(world.get("/").status(), 502);
    one.is_well();
    comes_to(&world, "one");
}

#[test]
fn another_port_can_be_asked() {
    let one = Host::new("one");
    let _health = Backend::answering(one.place.at(9002), "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
    let world = world!(&site(&[one.address()], "health_check interval=100ms port=9002;"));
    let line = world.error_log_shows("peer is unhealthy");
    assert!(line.ends_with("in upstream \"app\", port 9002"), "{line}");
}

#[test]
fn probes_can_share_a_connection() {
    let place = Place::new();
    let backend = Backend::answering(place.at(PORT), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    let _world = world!(&site(&[place.at(PORT).to_string()], "health_check uri=/up interval=50ms keepalive_time=60s;"));
    let requests = backend.requests_until(4, Deadline::default());
    assert!(requests.iter().all(|request| request.head.target() == "/up"));
    assert_eq!(requests[0].head.header("host"), Some("app"));
    assert_eq!(requests[0].head.header("connection"), None);
    assert_eq!(backend.connections().len(), 1);
}

#[test]
fn a_check_in_a_location_brings_the_headers_of_that_location() {
    let place = Place::new();
    let backend = Backend::answering(place.at(PORT), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    let config = site(&[place.at(PORT).to_string()], "").replace(
        "proxy_connect_timeout 2s;",
        "proxy_set_header Host app.example; proxy_set_header X-Probe yes; health_check uri=/up interval=50ms;",
    );
    let _world = world!(&config);
    let requests = backend.requests_until(2, Deadline::default());
    let head = &requests[0].head;
    assert_eq!((head.header("host"), head.header("x-probe")), (Some("app.example"), Some("yes")));
    assert_eq!(head.header("connection"), Some("close"));
}

#[test]
fn a_unix_socket_is_probed_as_well() {
    let place = Place::new();
    let path = place.path("backend.sock");
    let backend = Backend::answering(path.clone(), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    let world = world!(&site(&[format!("unix:{}", path.display())], "health_check uri=/up interval=50ms mandatory;"));
    comes_to(&world, "hi");
    assert!(backend.requests().iter().any(|request| request.head.target() == "/up"));
}
