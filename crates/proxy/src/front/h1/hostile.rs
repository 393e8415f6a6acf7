//! Bytes that no client should send: each connection ends in a response or a close, and nothing is left of it.

use crate::world::{End, World};
use proptest::prelude::*;
use std::time::Duration;

const SITE: &str = "map $http_upgrade $connection_upgrade { default upgrade; '' close; }
    access_log access.log;
    server {
        large_client_header_buffers 2 1k;
        location / { return 200 'at $uri $args $http_cookie'; }
        location /app/ { proxy_pass http://app/; }
        location /stream/ { proxy_pass http://app; proxy_request_buffering off; proxy_http_version 1.1; }
        location ~ ^/(?<name>[a-z]+)\\.txt$ { return 200 $name; }
        location /ws {
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
        }
        error_page 404 400 /sorry;
    }
    upstream app { server backend-1; keepalive 2; }";

const SEEDS: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /a.txt?x=1 HTTP/1.1\r\nHost: a\r\nCookie: a=b; c=d\r\n\r\n",
    "POST /app/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "POST /stream/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nT: 1\r\n\r\n",
    "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\u{1}\u{2}",
    "HEAD http://b:80/%41/../x HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /app/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 99999999999999999999\r\n\r\n",
];

const ANSWERS: &[&str] = &[
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nT: 1\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\u{1}\u{2}",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 302 Found\r\nLocation: http://app/x\r\n\r\nuntil the end",
    "HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n",
];

/// A change to well-formed bytes.
#[derive(Debug, Clone)]
enum Mutation {
    Replace(prop::sample::Index, u8),
    Insert(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index, usize),
    Repeat(prop::sample::Index, usize, usize),
    Cut(prop::sample::Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<prop::sample::Index>;
    let word = prop_oneof![
        prop::collection::vec(any::<u8>(), 1..8),
        prop::sample::select(vec![
            &b"\r\n"[..],
            b"\n",
            b"\r",
            b"\0",
            b" ",
            b":",
            b"%00",
            b"%",
            b"..",
            b"//",
            b"Host: b\r\n"
        ])
        .prop_map(<[u8]>::to_vec),
        prop::sample::select(vec![
            &b"Content-Length: 3\r\n"[..],
            b"Transfer-Encoding: chunked\r\n",
            b"Transfer-Encoding: gzip\r\n",
            b"Connection: close, host\r\n",
            b"ffffffffffffffff",
            b"$uri${args}",
        ])
        .prop_map(<[u8]>::to_vec),
    ];
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Mutation::Replace(at, byte)),
        (at(), word).prop_map(|(at, word)| Mutation::Insert(at, word)),
        (at(), 1..20_usize).prop_map(|(at, length)| Mutation::Remove(at, length)),
        (at(), 1..20_usize, 1..300_usize).prop_map(|(at, length, times)| Mutation::Repeat(at, length, times)),
        at().prop_map(Mutation::Cut),
    ]
}

fn mutate(bytes: &mut Vec<u8>, mutation: Mutation) {
    if bytes.is_empty() {
        return;
    }
    match mutation {
        Mutation::Replace(at, byte) => {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        Mutation::Insert(at, word) => {
            let at = at.index(bytes.len());
            bytes.splice(at..at, word);
        }
        Mutation::Remove(at, length) => {
            let at = at.index(bytes.len());
            bytes.drain(at..bytes.len().min(at + length));
        }
        Mutation::Repeat(at, length, times) => {
            let at = at.index(bytes.len());
            let part = bytes[at..bytes.len().min(at + length)].repeat(times);
            bytes.splice(at..at, part);
        }
        Mutation::Cut(at) => bytes.truncate(at.index(bytes.len())),
    }
}

fn mutated(seeds: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    (prop::collection::vec(prop::sample::select(seeds), 1..3), prop::collection::vec(mutation(), 0..5)).prop_map(
        |(seeds, mutations)| {
            let mut bytes = seeds.concat().into_bytes();
            mutations.into_iter().for_each(|mutation| mutate(&mut bytes, mutation));
            bytes
        },
    )
}

/// Sends `bytes` in pieces of at most `piece`, answers whatever arrives at a backend, and waits for the end.
fn converse(bytes: &[u8], piece: usize, answer: &[u8]) {
    let world = World::new(SITE);
    let mut browser = world.connect();
    let mut backends = Vec::new();
    let mut heard = Vec::new();
    let answer_all = |backends: &mut Vec<End>| {
        while let Some(mut backend) = world.arrives() {
            backend.tries_to_say(answer);
            backends.push(backend);
        }
    };
    for piece in bytes.chunks(piece) {
        let taken = browser.tries_to_say(piece);
        answer_all(&mut backends);
        heard.extend(browser.hears_all());
        if taken < piece.len() {
            break;
        }
    }
    browser.half_closes();
    for _ in 0..4 {
        for backend in &mut backends {
            backend.hears_all();
            backend.half_closes();
        }
        // No timeout of this configuration is longer.
        world.passes(Duration::from_secs(76));
        answer_all(&mut backends);
        heard.extend(browser.hears_all());
    }
    assert!(browser.has_heard_the_end(), "the connection is still open");
    assert!(heard.is_empty() || heard.starts_with(b"HTTP/1.1 "), "{}", heard.escape_ascii());
    world.log_may_say("");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn mutated_requests_end_in_a_response_or_a_close(
        bytes in mutated(SEEDS),
        piece in prop_oneof![1..4_usize, 20..200_usize, Just(1 << 20)],
        answer in prop::sample::select(ANSWERS),
    ) {
        converse(&bytes, piece, answer.as_bytes());
    }

    #[test]
    fn mutated_responses_end_in_a_response_or_a_close(
        seed in prop::sample::select(&SEEDS[2..6]),
        answer in mutated(ANSWERS),
    ) {
        converse(seed.as_bytes(), 1 << 20, &answer);
    }

    #[test]
    fn random_bytes_end_in_a_response_or_a_close(bytes in prop::collection::vec(any::<u8>(), 1..3000), piece in 1..500_usize) {
        converse(&bytes, piece, b"");
    }
}
