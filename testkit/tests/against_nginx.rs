//! The kit tries itself out on the real nginx.

use culvert_testkit::{Backend, Client, Deadline, Gateway, Place, Program, Signal};
use std::time::Duration;

const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

#[test]
fn a_request_goes_through_and_everything_is_recorded() {
    let place = Place::new();
    let backend = Backend::answering(place.at(9001), ANSWER);
    let config = "server { listen {address}:8080; location / { proxy_pass http://{address}:9001; } }";
    let mut gateway = Gateway::start(&Program::Nginx, &place, config);
    let response = Client::connect(place.at(8080)).get("/path");
    assert_eq!((response.status(), response.text().as_str()), (200, "hi"));
    let requests = backend.requests_until(1, Deadline::default());
    assert_eq!(requests[0].head.start_line, "GET /path HTTP/1.0");
    assert!(backend.connections()[0].received.starts_with(b"GET /path"));
    assert!(gateway.access_log_until(1, Deadline::default())[0].contains("\"GET /path HTTP/1.1\" 200 2"));
    assert!(gateway.threads() >= 2 && gateway.descriptors() > 0 && gateway.resident_bytes() > 0);
    gateway.signal(Signal::SIGQUIT);
    assert!(gateway.wait_exit(Deadline::default()).success());
}

#[test]
fn a_bad_configuration_is_refused_with_its_message() {
    let place = Place::new();
    let refusal = Gateway::try_start(&Program::Nginx, &place, "\nserver { listn 1; }").unwrap_err();
    assert!(!refusal.status.success());
    assert!(refusal.stderr.contains("unknown directive \"listn\" in"), "{}", refusal.stderr);
    assert!(refusal.stderr.contains("gateway.conf:2"), "{}", refusal.stderr);
}

#[test]
fn a_unix_socket_serves_on_both_sides() {
    let place = Place::new();
    let backend = Backend::answering(place.path("backend.sock"), ANSWER);
    let config =
        "server { listen unix:{dir}/front.sock; location / { proxy_pass http://unix:{dir}/backend.sock:/x; } }";
    let _gateway = Gateway::start(&Program::Nginx, &place, config);
    assert_eq!(Client::connect(place.path("front.sock")).get("/").text(), "hi");
    assert_eq!(backend.requests()[0].head.target(), "/x");
}

#[test]
fn a_reset_by_the_backend_arrives_as_one() {
    let place = Place::new();
    let _backend = Backend::start(place.at(9001), |conversation| {
        conversation.request();
        conversation.reset();
    });
    let mut client = Client::connect(place.at(9001));
    client.send("GET / HTTP/1.1\r\n\r\n");
    let error = client.wire().fill(Deadline::after(Duration::from_secs(5))).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn a_silent_backend_is_noticed_by_the_gateways_timeout() {
    let place = Place::new();
    let backend = Backend::silent(place.at(9001));
    let config = "server { listen {address}:8080;
        location / { proxy_pass http://{address}:9001; proxy_read_timeout 100ms; } }";
    let gateway = Gateway::start(&Program::Nginx, &place, config);
    assert_eq!(Client::connect(place.at(8080)).get("/").status(), 504);
    gateway.error_log_until("upstream timed out", Deadline::default());
    backend.wait("the end of the connection", Deadline::default(), |connections, _| connections[0].ended.then_some(()));
}
