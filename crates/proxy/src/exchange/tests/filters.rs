//! Files and changed bodies on their way to clients that are slow, and from servers that pause.

use crate::world::{End, World, noise, request};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use std::io::{Read, Write};
use std::time::Duration;
use tempfile::TempDir;

const FILTERS: &str = "upstream app { server backend-1; }
    server {
        location / { proxy_pass http://app; proxy_http_version 1.1; send_timeout 7s; }
        location /events { gzip on; gzip_types *; proxy_pass http://app; proxy_http_version 1.1; }
        location /gunzip { gunzip on; proxy_pass http://app; proxy_http_version 1.1; send_timeout 7s; }
        location /trailer {
            gzip on; gzip_types *; add_trailer X-Ratio $gzip_ratio;
            proxy_pass http://app; proxy_http_version 1.1;
        }
    }";

fn ask(path: &str, more: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: culvert.test\r\n{more}\r\n")
}

fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

/// The data of whole chunks.
fn data(mut chunks: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(end) = chunks.windows(2).position(|window| window == b"\r\n") {
        let size = std::str::from_utf8(&chunks[..end]).expect("a chunk size is text");
        let size = usize::from_str_radix(size, 16).expect("a chunk size is hexadecimal");
        out.extend_from_slice(&chunks[end + 2..end + 2 + size]);
        chunks = &chunks[end + 4 + size..];
    }
    out
}

/// What the beginning of a compressed body says.
fn so_far(compressed: &[u8]) -> Vec<u8> {
    let (mut decoder, mut text, mut piece) = (GzDecoder::new(compressed), Vec::new(), [0; 100]);
    while let Ok(length @ 1..) = decoder.read(&mut piece) {
        text.extend_from_slice(&piece[..length]);
    }
    text
}

/// Hears all there is, a little at a time, until `length` bytes were heard.
fn hear_slowly(browser: &mut End, length: usize) -> Vec<u8> {
    let mut heard = Vec::new();
    while heard.len() < length {
        let more = browser.hears_all();
        assert!(!more.is_empty(), "the body stops after {} bytes", heard.len());
        heard.extend(more);
    }
    heard
}

#[test]
fn an_event_stream_that_is_compressed_is_not_held_back() {
    let world = World::new(FILTERS);
    let mut browser = world.connect();
    browser.says(ask("/events", "Accept-Encoding: gzip\r\n"));
    let mut backend = world.accept();
    backend.hears_head();
    backend.says("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert!(browser.hears_head().contains("Content-Encoding: gzip\r\n"));
    let (mut heard, mut said) = (Vec::new(), String::new());
    for nth in 0..3 {
        let event = format!("data: {nth}\n\n");
        backend.says(chunk(&event));
        said += &event;
        heard.extend(data(&browser.hears_all()));
        assert_eq!(String::from_utf8_lossy(&so_far(&heard)), said);
        world.passes(Duration::from_secs(1));
    }
    backend.says(chunk(""));
    heard.extend(data(&browser.hears_all()));
    let mut whole = String::new();
    GzDecoder::new(&heard[..]).read_to_string(&mut whole).expect("the end of gzip is there");
    assert_eq!(whole, said);
}

#[test]
fn what_grows_when_it_is_decompressed_waits_for_a_slow_reader() {
    let world = World::with_pipes(FILTERS, 1024, 1024);
    let mut browser = world.connect();
    browser.says(request("GET /gunzip"));
    let mut backend = world.accept();
    backend.hears_head();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let lines: String = (0..500_000).map(|nth| format!("{nth}\n")).collect();
    encoder.write_all(lines.as_bytes()).expect("memory takes all");
    let compressed = encoder.finish().expect("memory takes all");
    assert!(compressed.len() > 512 * 1024);
    backend.says(format!(
        "HTTP/1.0 200 OK\r\nContent-Type: a/b\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        compressed.len()
    ));
    // What is not decompressed yet counts as read ahead.
    let mut taken = backend.says_what_fits(&compressed);
    assert!(taken <= 128 * 1024, "{taken} bytes were taken for a client that reads nothing");
    assert!(!browser.hears_head().contains("Content-Encoding"));
    let mut heard = Vec::new();
    while heard.len() < 100_000 {
        heard.extend(browser.hears_all());
        taken += backend.says_what_fits(&compressed[taken..]);
    }
    assert!(taken < compressed.len() / 2, "{taken} bytes were taken for a client that has read 100,000");
}

#[test]
fn a_trailer_tells_what_only_the_end_knows() {
    let world = World::new(FILTERS);
    let mut browser = world.connect();
    browser.says(ask("/trailer", "Accept-Encoding: gzip\r\n"));
    let mut backend = world.accept();
    backend.hears_head();
    let body = "a".repeat(10_000);
    backend.says(format!("HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    browser.hears_head();
    let rest = String::from_utf8_lossy(&browser.hears_all()).into_owned();
    let ratio = rest.split("X-Ratio: ").nth(1).and_then(|rest| rest.split("\r\n").next()).expect("a trailer");
    assert!(ratio.parse::<f64>().expect("a number") > 50.0, "{ratio}");
    browser.says(request("GET /"));
    assert!(world.accept().hears_head().starts_with("GET / "));
}

/// A gateway that serves this file as `/file`.
fn with_file(bytes: &[u8], pipe_bytes: usize) -> (World, TempDir) {
    let folder = TempDir::new().expect("a temporary directory can be made");
    std::fs::write(folder.path().join("file"), bytes).expect("it is ours");
    let config = format!("server {{ root {}; send_timeout 7s; }}", folder.path().display());
    (World::with_pipes(&config, pipe_bytes, 1024), folder)
}

#[test]
fn a_large_file_arrives_whole_at_a_slow_reader() {
    let bytes = noise(3 << 20);
    let (world, _folder) = with_file(&bytes, 10_000);
    let mut browser = world.connect();
    browser.says(request("GET /file"));
    assert!(browser.hears_head().contains(&format!("Content-Length: {}\r\n", bytes.len())));
    assert!(hear_slowly(&mut browser, bytes.len()) == bytes, "the file arrives as it is");
}

#[test]
fn a_reader_that_takes_nothing_of_a_file_for_send_timeout_is_let_go() {
    let (world, _folder) = with_file(&noise(1 << 20), 1024);
    let mut browser = world.connect();
    browser.says(request("GET /file"));
    world.passes(Duration::from_millis(6_999));
    assert!(!browser.sips(1).is_empty());
    world.passes(Duration::from_millis(7_000));
    world.log_may_say("client timed out (110: Connection timed out) while sending response to client");
    browser.hears_all();
    browser.is_closed();
}

#[test]
fn a_file_that_shrinks_while_it_is_sent_ends_in_a_close() {
    let (world, folder) = with_file(&noise(1 << 20), 1024);
    let mut browser = world.connect();
    browser.says(request("GET /file"));
    std::fs::write(folder.path().join("file"), "short").expect("it is ours");
    let mut heard = 0;
    loop {
        let more = browser.hears_all().len();
        heard += more;
        if more == 0 {
            break;
        }
    }
    assert!(heard < 1 << 20);
    world.log_says("pread() read only 0 of 65536 from");
    browser.is_closed();
}
