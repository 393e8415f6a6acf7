//! Conversations of a probe with servers, good ones and others.

use super::*;
use crate::http1::Headers;
use proptest::prelude::*;

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(60);
const PONG_TIMEOUT: Duration = Duration::from_secs(5);

struct Talk {
    probe: WebsocketProbe,
    start: Instant,
    now: Instant,
    accept: String,
}

impl Talk {
    fn new(check: WebsocketCheck) -> Talk {
        let now = Instant::now();
        let headers = [(&b"Origin"[..], &b"https://a.example"[..])];
        let mut probe = WebsocketProbe::new(&check, "chat", headers, now, [1, 2, 3, 4]);
        let request = probe.output();
        let lines = request.splitn(2, |&b| b == b'\n').nth(1).expect("a head has lines");
        let (headers, _) = Headers::parse(lines).expect("good").expect("whole");
        let key = headers.first("sec-websocket-key").expect("a key");
        let accept = String::from_utf8(accept_for(key).to_vec()).expect("base64");
        Talk { probe, start: now, now, accept }
    }

    fn begun() -> Talk {
        Talk::new(WebsocketCheck::default())
    }

    /// A probe whose ping is out.
    fn opened() -> Talk {
        let mut talk = Talk::begun();
        talk.hears(&talk.good_head(""));
        assert_eq!(talk.says(), [(Opcode::PING, 3_u64.to_be_bytes().to_vec())]);
        talk
    }

    fn good_head(&self, more: &str) -> Vec<u8> {
        let accept = &self.accept;
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n{more}\r\n"
        )
        .into_bytes()
    }

    fn hears(&mut self, bytes: &[u8]) {
        self.probe.receive(bytes, self.now);
    }

    /// The frames that the probe sends.
    fn says(&mut self) -> Vec<(Opcode, Vec<u8>)> {
        let output = self.probe.output();
        let (mut frames, mut rest) = (Vec::new(), output.as_slice());
        while let Some((header, start)) = Header::decode(rest) {
            assert!(header.masked && header.fin);
            let end = start + header.payload_len as usize;
            let mut payload = rest[start..end].to_vec();
            apply_mask(&mut payload, header.mask, 0);
            frames.push((header.opcode, payload));
            rest = &rest[end..];
        }
        assert!(rest.is_empty());
        frames
    }

    fn failure(&self) -> String {
        self.probe.verdict().expect("a verdict").as_ref().expect_err("a failure").to_string()
    }
}

fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    ControlFrame::new(opcode, payload, None).bytes().to_vec()
}

fn pong() -> Vec<u8> {
    frame(Opcode::PONG, &3_u64.to_be_bytes())
}

#[test]
fn a_server_that_does_its_part_passes() {
    let mut talk = Talk::opened();
    talk.hears(&pong());
    assert_eq!(talk.says(), [(Opcode::CLOSE, vec![3, 0xe8])]);
    assert_eq!(talk.probe.verdict(), None);
    talk.hears(&frame(Opcode::CLOSE, &[3, 0xe8]));
    assert_eq!(talk.probe.verdict(), Some(&Ok(())));
    assert_eq!(talk.probe.deadline(), None);
    talk.probe.end_of_stream();
    assert_eq!(talk.probe.verdict(), Some(&Ok(())));
}

#[test]
fn a_handshake_has_what_the_check_says() {
    let check = WebsocketCheck { uri: "/ws?x".into(), protocol: Some("chat.v1".into()), ..WebsocketCheck::default() };
    let headers = [(&b"Origin"[..], &b"https://a.example"[..])];
    let mut probe = WebsocketProbe::new(&check, "chat", headers, Instant::now(), [0; 4]);
    assert_eq!(
        probe.output().escape_ascii().to_string().replace(r"\r\n", "\n"),
        "GET /ws?x HTTP/1.1\nHost: chat\nUpgrade: websocket\nConnection: Upgrade\n\
         Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\nSec-WebSocket-Version: 13\n\
         Sec-WebSocket-Protocol: chat.v1\nOrigin: https://a.example\n\n"
    );
}

#[test]
fn an_answer_that_is_no_acceptance_fails() {
    let accept = Talk::begun().accept;
    let switch = "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
    let handshake = "while checking websocket handshake";
    for (answer, failure) in [
        ("HTTP/1.1 200 OK\r\n\r\n".to_string(), "unexpected status 200 while checking status code".into()),
        ("HTTP/1.1 503 X\r\n\r\n".into(), "unexpected status 503 while checking status code".into()),
        (
            "SSH-2.0\r\n".into(),
            "upstream sent no valid HTTP/1.0 header while reading response header from upstream".into(),
        ),
        (
            format!("HTTP/1.1 101 X\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"),
            format!("upstream switched to another protocol than websocket {handshake}"),
        ),
        (
            format!("{switch}Sec-WebSocket-Accept: AAAA\r\n\r\n"),
            format!("upstream sent a wrong \"Sec-WebSocket-Accept\" {handshake}"),
        ),
        (
            format!("{switch}Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"),
            format!("upstream chose an extension that was not offered {handshake}"),
        ),
        (
            format!("{switch}Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: other\r\n\r\n"),
            format!("upstream chose a subprotocol that was not offered {handshake}"),
        ),
    ] {
        let mut talk = Talk::begun();
        talk.hears(answer.as_bytes());
        assert_eq!(talk.failure(), failure);
        assert_eq!(talk.says(), []);
    }
}

#[test]
fn the_subprotocol_has_to_be_chosen() {
    let check = WebsocketCheck { protocol: Some("chat".into()), ..WebsocketCheck::default() };
    let mut talk = Talk::new(check.clone());
    talk.hears(&talk.good_head("Sec-WebSocket-Protocol: chat\r\n"));
    assert_eq!(talk.probe.verdict(), None);
    let mut talk = Talk::new(check);
    talk.hears(&talk.good_head(""));
    assert_eq!(talk.failure(), "upstream did not choose the subprotocol while checking websocket handshake");
}

#[test]
fn messages_and_pings_of_the_server_are_taken_in_their_stride() {
    let mut talk = Talk::opened();
    let greeting = Header { fin: false, rsv: 0, opcode: Opcode::TEXT, masked: false, payload_len: 300, mask: [0; 4] };
    let (head, length) = greeting.encode();
    talk.hears(&head[..length]);
    talk.hears(&[b'x'; 300]);
    talk.hears(&frame(Opcode::PONG, b"another"));
    talk.hears(&[frame(Opcode::PING, b"you?"), pong()].concat());
    let said = talk.says();
    assert_eq!(said, [(Opcode::PONG, b"you?".to_vec()), (Opcode::CLOSE, vec![3, 0xe8])]);
    talk.hears(&frame(Opcode::CLOSE, b""));
    assert_eq!(talk.probe.verdict(), Some(&Ok(())));
}

#[test]
fn silence_fails_at_each_stage() {
    let mut talk = Talk::begun();
    talk.probe.deadline_passed(talk.start + HANDSHAKE_TIMEOUT - Duration::from_nanos(1));
    assert_eq!(talk.probe.verdict(), None);
    talk.probe.deadline_passed(talk.start + HANDSHAKE_TIMEOUT);
    assert_eq!(
        talk.failure(),
        "upstream timed out (110: Connection timed out) while reading response header from upstream"
    );

    let mut talk = Talk::opened();
    assert_eq!(talk.probe.deadline(), Some(talk.now + PONG_TIMEOUT));
    talk.probe.deadline_passed(talk.now + PONG_TIMEOUT);
    assert_eq!(talk.failure(), "upstream timed out (110: Connection timed out) while waiting for websocket pong");

    let mut talk = Talk::opened();
    talk.now += Duration::from_secs(4);
    talk.hears(&pong());
    assert_eq!(talk.probe.deadline(), Some(talk.now + PONG_TIMEOUT));
    talk.probe.deadline_passed(talk.now + PONG_TIMEOUT);
    assert_eq!(talk.failure(), "upstream timed out (110: Connection timed out) while closing websocket");
}

#[test]
fn a_server_that_leaves_early_fails() {
    let mut talk = Talk::opened();
    talk.hears(&frame(Opcode::CLOSE, &[3, 0xf5]));
    assert_eq!(talk.failure(), "upstream closed the websocket with 1013 while waiting for websocket pong");
    let mut talk = Talk::opened();
    talk.hears(&pong());
    talk.probe.end_of_stream();
    assert_eq!(talk.failure(), "upstream prematurely closed connection while closing websocket");
}

#[test]
fn frames_that_no_server_may_send_fail() {
    let invalid: [&[u8]; 4] = [b"\x8a\x88", b"\xca\x00", b"\x83\x00", b"\x0a\x00"];
    for bytes in invalid {
        let mut talk = Talk::opened();
        talk.hears(bytes);
        talk.hears(&[0; 4]);
        assert!(talk.failure().contains("invalid"), "{bytes:?}");
    }
    let mut talk = Talk::opened();
    talk.hears(b"\x8a\x7e\x00\x7e");
    assert_eq!(talk.failure(), "upstream sent an invalid control frame while waiting for websocket pong");
}

proptest! {
    #[test]
    fn it_passes_however_the_bytes_are_split(step in 1..200_usize, early: bool) {
        let mut talk = Talk::begun();
        // A server may greet in the same packet as its 101.
        let greeting: &[u8] = if early { b"\x81\x02hi" } else { b"" };
        let bytes = [&talk.good_head("")[..], greeting, &pong(), &frame(Opcode::CLOSE, &[3, 0xe8])].concat();
        for part in bytes.chunks(step) {
            talk.hears(part);
        }
        prop_assert_eq!(talk.probe.verdict(), Some(&Ok(())));
    }

    #[test]
    fn no_bytes_make_it_panic_or_grow(parts: Vec<Vec<u8>>, opened: bool) {
        let mut talk = if opened { Talk::opened() } else { Talk::begun() };
        for part in &parts {
            talk.hears(part);
        }
        prop_assert!(talk.probe.frames.payload.len() <= 125);
    }
}
