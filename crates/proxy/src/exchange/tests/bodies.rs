//! Bodies on their way through: trickling, stalling, large, early and cut short.

use crate::world::{World, noise, request};
use std::time::Duration;

const STREAM: &str = "upstream app { server backend-1; }
    server {
        client_max_body_size 0;
        location / {
            proxy_pass http://app; proxy_http_version 1.1; proxy_request_buffering off; send_timeout 7s;
            proxy_pass_trailers on;
        }
        location /unbuffered { proxy_pass http://app; proxy_http_version 1.1; proxy_buffering off; }
    }";

fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

const CHUNKED_POST: &str = "POST / HTTP/1.1\r\nHost: culvert.test\r\nTransfer-Encoding: chunked\r\n\r\n";
const CHUNKED_OK: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn chunked_bodies_trickle_in_both_directions_at_once() {
    let world = World::new(STREAM);
    let mut browser = world.connect();
    browser.says(CHUNKED_POST);
    let mut backend = world.accept();
    assert!(backend.hears_head().contains("\r\nTransfer-Encoding: chunked\r\n"));
    backend.says(CHUNKED_OK);
    browser.hears_head();
    for nth in 0..30 {
        let (question, answer) = (chunk(&format!("question {nth}")), chunk(&format!("answer {nth}")));
        browser.says(&question);
        backend.says(&answer);
        backend.hears(&question);
        browser.hears(&answer);
        world.passes(Duration::from_secs(1));
    }
    browser.says(chunk(""));
    backend.hears(chunk(""));
    backend.says(chunk(""));
    browser.hears(chunk(""));
    browser.says(request("GET /next"));
    assert!(world.accept().hears_head().starts_with("GET /next "));
}

#[test]
fn a_server_may_answer_while_the_client_still_uploads() {
    let world = World::new(STREAM);
    let mut browser = world.connect();
    browser.says("POST / HTTP/1.1\r\nHost: culvert.test\r\nContent-Length: 1000000\r\n\r\n");
    let mut backend = world.accept();
    backend.hears_head();
    browser.says(noise(1000));
    backend.hears(noise(1000));
    backend.says("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
    backend.half_closes();
    let response = browser.hears_response();
    assert_eq!((response.status, &response.body[..]), (403, &b"no"[..]));
    // What it still sends is swallowed for a while, so that no reset takes the answer away.
    browser.says(noise(10_000));
    browser.hears_the_end();
    world.passes(Duration::from_secs(5));
    browser.is_closed();
}

#[test]
fn a_server_that_closes_in_the_middle_of_an_upload_is_still_heard() {
    let world = World::with_pipes(STREAM, 4096, 4096);
    let mut browser = world.connect();
    browser.says("POST / HTTP/1.1\r\nHost: culvert.test\r\nContent-Length: 1000000\r\n\r\n");
    let mut backend = world.accept();
    backend.hears_head();
    browser.says_what_fits(noise(1_000_000));
    backend.says("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig");
    backend.closes();
    let response = browser.hears_response();
    assert_eq!((response.status, &response.body[..]), (413, &b"big"[..]));
}

#[test]
fn a_large_upload_is_held_within_bounds_for_a_slow_server() {
    let (client_pipe, server_pipe) = (1024, 1024);
    let world = World::with_pipes(STREAM, client_pipe, server_pipe);
    let mut browser = world.connect();
    let sent = noise(1 << 20);
    browser.says(format!("POST / HTTP/1.1\r\nHost: culvert.test\r\nContent-Length: {}\r\n\r\n", sent.len()));
    let mut taken = browser.says_what_fits(&sent);
    assert!(taken <= 256 * 1024, "{taken} bytes were taken for a server that reads nothing");
    let mut backend = world.accept();
    backend.hears_head();
    let mut heard = Vec::new();
    while heard.len() < sent.len() {
        let now = backend.hears_all();
        heard.extend(now);
        taken += browser.says_what_fits(&sent[taken..]);
    }
    assert!(heard == sent, "the body arrives as it was sent");
}

#[test]
fn a_large_response_is_read_ahead_within_bounds_for_a_slow_reader() {
    let world = World::with_pipes(STREAM, 1024, 1024);
    let (mut browser, mut backend) = world.request("GET /");
    let sent = noise(1 << 20);
    backend.says(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", sent.len()));
    let mut taken = backend.says_what_fits(&sent);
    assert!(taken <= 128 * 1024, "{taken} bytes were read ahead of a client that reads nothing");
    world.passes(Duration::from_secs(6));
    assert_eq!(backend.says_what_fits(&sent[taken..]), 0);
    browser.hears_head();
    let mut heard = Vec::new();
    while heard.len() < sent.len() {
        heard.extend(browser.hears_all());
        taken += backend.says_what_fits(&sent[taken..]);
    }
    assert!(heard == sent, "the body arrives as it was sent");
}

#[test]
fn a_reader_that_takes_nothing_for_send_timeout_is_let_go() {
    let world = World::with_pipes(STREAM, 1024, 1024);
    let (mut browser, mut backend) = world.request("GET /");
    backend.says("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
    backend.says_what_fits(noise(1_000_000));
    world.passes(Duration::from_millis(6_999));
    assert!(!browser.sips(1).is_empty());
    world.passes(Duration::from_millis(6_999));
    assert!(!backend.has_heard_the_end());
    world.passes(Duration::from_millis(1));
    backend.is_closed();
    browser.hears_all();
    browser.is_closed();
    world.log_says("client timed out (110: Connection timed out) while sending to client");
}

#[test]
fn a_slow_reader_is_not_blamed_on_the_server() {
    let config = "upstream app { server backend-1; }
        server { location / { proxy_pass http://app; proxy_read_timeout 2s; send_timeout 60s; } }";
    let world = World::with_pipes(config, 512, 1024);
    let (mut browser, mut backend) = world.request("GET /");
    let sent = noise(100_000);
    backend.says(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", sent.len()));
    let mut taken = backend.says_what_fits(&sent);
    let mut heard = Vec::new();
    while taken < sent.len() {
        world.passes(Duration::from_secs(50));
        heard.extend(browser.sips(20_000));
        taken += backend.says_what_fits(&sent[taken..]);
    }
    heard.extend(browser.hears_all());
    assert!(heard.ends_with(&sent), "the body arrives as it was sent");
}

#[test]
fn an_unbuffered_response_arrives_as_it_comes() {
    let world = World::new(STREAM);
    let (mut browser, mut backend) = world.request("GET /unbuffered");
    backend.says("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
    assert!(browser.hears_head().contains("\r\nTransfer-Encoding: chunked\r\n"));
    for nth in 0..5 {
        backend.says(format!("data: {nth}\n\n"));
        browser.hears(chunk(&format!("data: {nth}\n\n")));
        world.passes(Duration::from_secs(30));
    }
    backend.half_closes();
    browser.hears("0\r\n\r\n");
}

#[test]
fn a_body_without_a_length_ends_with_its_connection_for_an_old_client() {
    let world = World::new(STREAM);
    let mut browser = world.connect();
    browser.says("GET / HTTP/1.0\r\n\r\n");
    let mut backend = world.accept();
    backend.hears_head();
    backend.says(CHUNKED_OK.to_owned() + &chunk("hello ") + &chunk("world") + &chunk(""));
    let response = browser.hears_response();
    assert_eq!((response.header("transfer-encoding"), &response.body[..]), (None, &b"hello world"[..]));
    browser.is_closed();
}

#[test]
fn trailers_reach_a_client_that_takes_them() {
    let world = World::new(STREAM);
    for (te, expected) in [("TE: trailers\r\nConnection: TE\r\n", "0\r\nX-Sum: 7\r\n\r\n"), ("", "0\r\n\r\n")] {
        let mut browser = world.connect();
        browser.says(format!("GET / HTTP/1.1\r\nHost: culvert.test\r\n{te}\r\n"));
        let mut backend = world.accept();
        backend.hears_head();
        backend.says(CHUNKED_OK.to_owned() + &chunk("body") + "0\r\nX-Sum: 7\r\n\r\n");
        browser.hears_head();
        browser.hears(chunk("body") + expected);
    }
}

#[test]
fn a_malformed_chunk_of_a_client_ends_its_request() {
    let world = World::new(STREAM);
    let mut browser = world.connect();
    browser.says(CHUNKED_POST);
    let mut backend = world.accept();
    backend.hears_head();
    browser.says(chunk("good"));
    backend.hears(chunk("good"));
    browser.says("zz\r\n");
    assert_eq!(browser.hears_response().status, 400);
    assert!(backend.has_heard_the_end());
    world.log_says("client sent invalid chunked body");
}

#[test]
fn a_malformed_chunk_of_a_server_ends_the_response_short() {
    let world = World::new(STREAM);
    let (mut browser, mut backend) = world.request("GET /");
    backend.says(CHUNKED_OK.to_owned() + &chunk("good") + "zz\r\n");
    browser.hears_head();
    browser.hears(chunk("good"));
    browser.is_closed();
    backend.is_closed();
    world.log_says("upstream sent invalid chunked response");
}

#[test]
fn a_client_that_vanishes_in_a_response_lets_the_server_go() {
    let world = World::new(STREAM);
    let (mut browser, mut backend) = world.request("GET /");
    backend.says(CHUNKED_OK.to_owned() + &chunk("some"));
    browser.hears_head();
    browser.closes();
    backend.is_closed();
}

#[test]
fn a_client_that_vanishes_in_an_upload_lets_the_server_go() {
    let world = World::new(STREAM);
    let mut browser = world.connect();
    browser.says("POST / HTTP/1.1\r\nHost: culvert.test\r\nContent-Length: 1000\r\n\r\nsome");
    let mut backend = world.accept();
    backend.hears_head();
    backend.hears("some");
    browser.closes();
    backend.is_closed();
    world.log_says("client prematurely closed connection");
}

#[test]
fn a_request_behind_a_streamed_body_is_the_next_one() {
    let world = World::new(STREAM);
    let mut browser = world.connect();
    browser.says(CHUNKED_POST);
    let mut backend = world.accept();
    backend.hears_head();
    browser.says(chunk("all") + &chunk("") + &request("GET /second"));
    backend.hears(chunk("all") + &chunk(""));
    backend.says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(browser.hears_response().body, b"ok");
    assert!(world.accept().hears_head().starts_with("GET /second "));
}

const FALLBACK: &str = "upstream app { server backend-1; }
    upstream spare { server backend-2; }
    server {
        client_max_body_size 0;
        location / {
            proxy_pass http://app; proxy_http_version 1.1; proxy_request_buffering off; error_page 502 = @spare;
        }
        location @spare { proxy_pass http://spare; proxy_http_version 1.1; }
    }";

#[test]
fn a_streamed_body_that_another_server_took_is_never_sent_on_cut_short() {
    let world = World::new(FALLBACK);
    world.log_may_say("prematurely closed");
    world.log_may_say("sent to another server already");
    let mut browser = world.connect();
    browser.says(CHUNKED_POST);
    let mut backend = world.accept();
    backend.hears_head();
    browser.says(chunk("first half"));
    backend.hears(chunk("first half"));
    backend.closes();
    assert_eq!(browser.hears_response().status, 502);
    world.nobody_arrives();
}

#[test]
fn a_body_that_no_server_took_goes_whole_to_the_error_page_s_server() {
    let world = World::new(FALLBACK);
    world.mood("backend-1", crate::world::Mood::Refusing);
    world.log_may_say("connect() failed");
    let mut browser = world.connect();
    browser.says(format!("{CHUNKED_POST}{}", chunk("first half")));
    browser.says(format!("{}{}", chunk("second half"), chunk("")));
    let mut backend = world.accept();
    assert!(backend.hears_head().contains("Content-Length: 21"));
    backend.hears("first halfsecond half");
    backend.says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(browser.hears_response().status, 200);
}

#[test]
fn trailers_reach_whoever_takes_them_and_the_log() {
    let world = World::new(&format!(
        "log_format sums '$sent_trailer_x_sum $upstream_trailer_x_sum'; access_log access.log sums; {STREAM}"
    ));
    for (line, told) in [("TE: trailers\r\n", "1 1"), ("", "- 1")] {
        let mut browser = world.connect();
        browser.says(format!("GET / HTTP/1.1\r\nHost: culvert.test\r\n{line}\r\n"));
        let mut backend = world.accept();
        backend.hears_head();
        backend.says(format!("{CHUNKED_OK}{}0\r\nX-Sum: 1\r\nContent-Length: 9\r\n\r\n", chunk("data")));
        let head = browser.hears_head();
        assert!(head.starts_with("HTTP/1.1 200 "));
        let trailer = if line.is_empty() { "" } else { "X-Sum: 1\r\n" };
        browser.hears(format!("{}0\r\n{trailer}\r\n", chunk("data")));
        browser.closes();
        assert_eq!(world.access_log().last().expect("a line"), told);
    }
}
