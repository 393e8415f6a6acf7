//! What holds for every request and response, however their bodies are framed, split and stalled.

use crate::world::{End, World, noise};
use culvert_engine::http1::{BodyDecoder, BodyLength};
use proptest::prelude::*;
use std::time::Duration;

const APP: &str = "upstream app { server backend-1; keepalive 2; }
    server {
        client_max_body_size 0;
        location / { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ''; }
        location /stream { proxy_pass http://app; proxy_request_buffering off; proxy_http_version 1.1; }
    }";

/// How a body is delimited.
#[derive(Debug, Clone)]
enum Framing {
    Sized,
    Chunked(Vec<usize>),
    UntilClose,
}

#[derive(Debug, Clone)]
struct Body {
    length: usize,
    framing: Framing,
    /// In pieces of these sizes, over and over, it is sent; after each piece the time passes a little.
    pieces: Vec<usize>,
}

impl Body {
    fn header(&self) -> String {
        match self.framing {
            Framing::Sized => format!("Content-Length: {}\r\n", self.length),
            Framing::Chunked(_) => "Transfer-Encoding: chunked\r\n".into(),
            Framing::UntilClose => String::new(),
        }
    }

    fn framed(&self) -> Vec<u8> {
        let bytes = noise(self.length);
        let Framing::Chunked(sizes) = &self.framing else { return bytes };
        let (mut framed, mut rest) = (Vec::new(), &bytes[..]);
        for size in sizes.iter().cycle() {
            let (chunk, behind) = rest.split_at(rest.len().min(*size));
            framed.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            framed.extend_from_slice(chunk);
            framed.extend_from_slice(b"\r\n");
            if chunk.is_empty() {
                return framed;
            }
            rest = behind;
        }
        framed
    }
}

fn body(framing: impl Strategy<Value = Framing>) -> impl Strategy<Value = Body> {
    let length = prop_oneof![Just(0_usize), 1..50_usize, 1_000..70_000_usize, 100_000..600_000_usize];
    let pieces = prop::collection::vec(prop_oneof![1..8_usize, 500..20_000_usize, Just(1 << 20)], 1..6);
    // The first piece is never so small that a large body would take all day.
    (length, framing, pieces).prop_map(|(length, framing, mut pieces)| {
        pieces.insert(0, 1 + length / 20);
        Body { length, framing, pieces }
    })
}

fn framing() -> impl Strategy<Value = Framing> {
    prop_oneof![
        Just(Framing::Sized),
        prop::collection::vec(prop_oneof![1..5_usize, 100..50_000_usize], 1..4).prop_map(|mut sizes| {
            sizes.push(9_000);
            Framing::Chunked(sizes)
        }),
    ]
}

/// A body on its way: what of it was sent, and what was read on the other side.
struct Transfer {
    bytes: Vec<u8>,
    sent: usize,
    pieces: Vec<usize>,
    turn: usize,
    read: Vec<u8>,
}

impl Transfer {
    fn new(body: &Body) -> Transfer {
        Transfer { bytes: body.framed(), sent: 0, pieces: body.pieces.clone(), turn: 0, read: Vec::new() }
    }

    /// Sends a piece and reads what arrived. Returns whether anything moved.
    fn advance(&mut self, from: &mut End, to: &mut End) -> bool {
        let piece = self.pieces[self.turn % self.pieces.len()];
        self.turn += 1;
        let until = self.bytes.len().min(self.sent + piece);
        let sent = from.says_what_fits(&self.bytes[self.sent..until]);
        self.sent += sent;
        let arrived = to.hears_all();
        self.read.extend_from_slice(&arrived);
        sent + arrived.len() > 0
    }

    fn is_sent(&self) -> bool {
        self.sent == self.bytes.len()
    }
}

/// The body that follows a head in `bytes`, and whether it is whole.
fn decode(bytes: &[u8], ended: bool) -> Option<(Vec<u8>, bool)> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..end]).expect("a head is text").to_lowercase();
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")).map(|n| n.parse().expect("a number"));
    let length = match length {
        Some(length) => BodyLength::Sized(length),
        None if head.contains("transfer-encoding: chunked") => BodyLength::Chunked,
        None if head.starts_with("http/1.") => BodyLength::UntilClose,
        None => BodyLength::None,
    };
    let (mut decoder, mut body) = (BodyDecoder::new(length), Vec::new());
    decoder.decode(&bytes[end..], 1 << 30, |data| body.extend_from_slice(data)).expect("a good body");
    Some((body, decoder.is_done() || (ended && decoder.ends_with_connection())))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn every_body_arrives_as_it_was_sent(
        request in body(framing()),
        response in body(prop_oneof![4 => framing(), 1 => Just(Framing::UntilClose)]),
        streamed in any::<bool>(),
        pause in 0..300_u64,
        client_pipe in prop_oneof![Just(100_usize), Just(4096), Just(1 << 20)],
        server_pipe in prop_oneof![Just(100_usize), Just(4096), Just(1 << 20)],
    ) {
        let world = World::with_pipes(APP, client_pipe, server_pipe);
        let mut browser = world.connect();
        let path = if streamed { "/stream" } else { "/" };
        browser.says(format!("POST {path} HTTP/1.1\r\nHost: a\r\n{}\r\n", request.header()));
        let (mut up, mut down) = (Transfer::new(&request), Transfer::new(&response));
        down.bytes.splice(0..0, format!("HTTP/1.1 200 OK\r\n{}\r\n", response.header()).into_bytes());
        let mut backend = None;
        // Until the request is there whole, then until the response is.
        let mut still = 0;
        while still < 3 && !decode(&up.read, false).is_some_and(|(_, whole)| whole) {
            let piece = up.pieces[up.turn % up.pieces.len()];
            let moved = match &mut backend {
                Some(backend) => up.advance(&mut browser, backend),
                None => {
                    let until = up.bytes.len().min(up.sent + piece);
                    let sent = browser.says_what_fits(&up.bytes[up.sent..until]);
                    (up.sent, up.turn) = (up.sent + sent, up.turn + 1);
                    backend = world.arrives();
                    sent > 0 || backend.is_some()
                }
            };
            still = if moved { 0 } else { still + 1 };
            world.passes(Duration::from_millis(pause));
        }
        prop_assert!(up.is_sent(), "{} of {} bytes were taken", up.sent, up.bytes.len());
        let mut backend = backend.expect("the gateway has connected");
        let (body, _) = decode(&up.read, false).expect("a request");
        prop_assert!(body == noise(request.length), "{} of {} bytes upwards", body.len(), request.length);
        let mut closed = false;
        while !decode(&down.read, browser.has_heard_the_end()).is_some_and(|(_, whole)| whole) {
            let moved = down.advance(&mut backend, &mut browser);
            if !moved && !closed {
                backend.half_closes();
                closed = true;
            } else {
                prop_assert!(moved, "the response stands still");
            }
            world.passes(Duration::from_millis(pause));
        }
        let (body, _) = decode(&down.read, true).expect("a response");
        prop_assert!(body == noise(response.length), "{} of {} bytes downwards", body.len(), response.length);
    }
}
