use super::*;
use crate::websocket::policy::{Opcodes, OverRate, Ping, Rate};
use crate::websocket::summary::Close;
use crate::websocket::{Header, apply_mask};

const SECOND: Duration = Duration::from_secs(1);
const PING: Policy = Policy {
    ping: Some(Ping { interval: Duration::from_secs(30), timeout: Duration::from_secs(10) }),
    message_bytes_max: None,
    frame_bytes_max: None,
    fragments_max: None,
    messages_rate: None,
    bytes_rate: None,
    over_rate: OverRate::Slow,
    opcodes: Opcodes::ALL,
    age_max: None,
    age_jitter: 0.0,
    idle_client: None,
    idle_server: None,
    validation: Validation::Off,
    close_wait: None,
};

/// A session, the time, and what both sides hear. Frames of the gateway's are kept apart as well.
struct Talk {
    session: Session,
    now: Instant,
    client_hears: Vec<u8>,
    server_hears: Vec<u8>,
    sent: Vec<(Side, Vec<u8>)>,
    reports: Vec<Violation>,
    is_over: bool,
}

impl Talk {
    fn new(policy: Policy) -> Talk {
        let (now, mut state) = (Instant::now(), 7_u64);
        let mut dice = || {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            state
        };
        Talk {
            session: Session::new(Arc::new(policy), false, now, &mut dice),
            now,
            client_hears: Vec::new(),
            server_hears: Vec::new(),
            sent: Vec::new(),
            reports: Vec::new(),
            is_over: false,
        }
    }

    fn says(&mut self, from: Side, bytes: &[u8]) -> &mut Talk {
        let heard = match from {
            Side::Client => &mut self.server_hears,
            Side::Server => &mut self.client_hears,
        };
        self.session.bytes(from, bytes, self.now, |bytes| heard.extend(bytes));
        self.acts()
    }

    fn client_says(&mut self, opcode: u8, payload: &[u8]) -> &mut Talk {
        self.says(Side::Client, &client_frame(opcode, payload))
    }

    fn server_says(&mut self, opcode: u8, payload: &[u8]) -> &mut Talk {
        self.says(Side::Server, &server_frame(opcode, payload))
    }

    fn acts(&mut self) -> &mut Talk {
        while let Some(action) = self.session.poll_action(self.now) {
            assert!(!self.is_over, "something comes after the end: {action:?}");
            match action {
                Action::Send { to, frame } => {
                    let hears = if to == Side::Client { &mut self.client_hears } else { &mut self.server_hears };
                    hears.extend(frame.bytes());
                    self.sent.push((to, clear(frame.bytes())));
                }
                Action::End => self.is_over = true,
                Action::Report(kind) => self.reports.push(kind),
            }
        }
        self
    }

    /// Lets time pass, and wakes the session when it wants to be.
    fn passes(&mut self, time: Duration) -> &mut Talk {
        let end = self.now + time;
        while let Some(deadline) = self.session.next_deadline().filter(|&deadline| deadline <= end) {
            self.now = self.now.max(deadline);
            self.acts();
            assert_ne!(self.session.next_deadline(), Some(deadline), "the clocks do not stand still");
        }
        self.now = end;
        self.acts()
    }

    /// The frames of the gateway's since the last call: opcode, payload.
    fn sent(&mut self) -> Vec<(Side, u8, Vec<u8>)> {
        let frames = std::mem::take(&mut self.sent);
        frames.into_iter().map(|(to, frame)| (to, frame[0] & 15, frame[2..].to_vec())).collect()
    }

    fn pinged(&mut self) -> Vec<(Side, Vec<u8>)> {
        self.sent()
            .into_iter()
            .map(|(to, opcode, payload)| {
                (to, {
                    assert_eq!(opcode, 9);
                    payload
                })
            })
            .collect()
    }

    fn closed(&mut self) -> Vec<(Side, u16, String)> {
        let text = |payload: &[u8]| String::from_utf8(payload[2..].to_vec()).unwrap();
        let close = |(to, opcode, payload): (Side, u8, Vec<u8>)| {
            assert_eq!(opcode, 8);
            (to, u16::from_be_bytes([payload[0], payload[1]]), text(&payload))
        };
        self.sent().into_iter().map(close).collect()
    }
}

fn frame(opcode: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let header = Header {
        fin: true,
        rsv: 0,
        opcode: Opcode(opcode),
        masked: mask.is_some(),
        payload_len: payload.len() as u64,
        mask: mask.unwrap_or_default(),
    };
    let (head, length) = header.encode();
    let mut payload = payload.to_vec();
    apply_mask(&mut payload, header.mask, 0);
    [&head[..length], &payload].concat()
}

fn client_frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    frame(opcode, payload, Some([0xa1, 0xb2, 0xc3, 0xd4]))
}

fn server_frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    frame(opcode, payload, None)
}

/// A small frame without its mask.
fn clear(bytes: &[u8]) -> Vec<u8> {
    let (header, length) = Header::decode(bytes).unwrap();
    let mut payload = bytes[length..].to_vec();
    apply_mask(&mut payload, header.mask, 0);
    server_frame(header.opcode.0, &payload)
}

use Side::{Client, Server};

#[test]
fn a_session_of_the_default_policy_is_small_and_never_wakes() {
    let bytes = size_of::<Session>();
    assert!(bytes <= 160, "{bytes} bytes");
    let mut talk = Talk::new(Policy::default());
    talk.client_says(1, b"hello").server_says(2, b"world");
    assert!(talk.session.extra.is_none());
    assert_eq!(talk.session.next_deadline(), None);
    assert_eq!(talk.session.paused_until(Client), None);
}

#[test]
fn the_summary_of_an_ordinary_socket_says_who_closed_it_and_how() {
    let mut talk = Talk::new(Policy::default());
    talk.client_says(1, b"hello").server_says(1, b"hi").server_says(9, b"").client_says(10, b"");
    talk.client_says(8, b"\x03\xe9bye").server_says(8, b"\x03\xe9");
    let summary = talk.session.summary();
    assert_eq!((summary.client.messages, summary.client.payload_bytes), (1, 5));
    assert_eq!((summary.server.messages, summary.server.payload_bytes), (1, 2));
    assert_eq!(summary.client.close, Some(Close { code: 1001, reason: b"bye".to_vec() }));
    assert_eq!(summary.side(Server).close, Some(Close { code: 1001, reason: Vec::new() }));
    assert_eq!((summary.ended_by, summary.cause), (Some(EndedBy::Client), Some(Cause::Close)));
    assert_eq!(summary.client.gateway_close, None);
}

#[test]
fn sides_that_have_closed_may_end_a_stream_themselves_for_a_while() {
    let mut talk = Talk::new(Policy::default());
    talk.server_says(8, b"").client_says(8, b"");
    talk.passes(CLOSE_GRACE - Duration::from_millis(1));
    assert!(!talk.is_over);
    talk.passes(Duration::from_millis(1));
    assert!(talk.is_over);
    for side in [Server, Client] {
        let mut talk = Talk::new(Policy::default());
        talk.server_says(8, b"").client_says(8, b"");
        assert!(!talk.acts().is_over);
        talk.session.end_of_stream(side, talk.now);
        assert!(talk.acts().is_over, "neither has anything more to say");
    }
}

#[test]
fn the_end_of_a_stream_without_a_close_is_the_end_by_that_side() {
    let mut talk = Talk::new(Policy::default());
    talk.session.end_of_stream(Server, talk.now);
    talk.session.note_end(EndedBy::Client, Cause::Reset);
    let summary = talk.session.summary();
    assert_eq!((summary.ended_by, summary.cause), (Some(EndedBy::Server), Some(Cause::EndOfStream)));
}

#[test]
fn a_quiet_side_is_pinged_and_its_pong_swallowed_and_measured() {
    let mut talk = Talk::new(PING);
    talk.passes(20 * SECOND).server_says(1, b"news").passes(10 * SECOND);
    let pings = talk.pinged();
    assert_eq!(pings.len(), 1);
    assert_eq!((pings[0].0, pings[0].1.len()), (Client, 8));
    talk.passes(Duration::from_millis(40)).client_says(10, b"another").client_says(10, &pings[0].1);
    assert_eq!(talk.server_hears, client_frame(10, b"another"));
    let trips = talk.session.summary().client.pings.unwrap();
    assert_eq!(trips.last, Duration::from_millis(40));
    talk.passes(20 * SECOND);
    assert_eq!(talk.pinged().iter().map(|(to, _)| *to).collect::<Vec<_>>(), [Server]);
    assert_eq!(talk.session.summary().cause, None);
    assert!(talk.session.tracks_idle());
}

#[test]
fn the_applications_own_pings_and_pongs_pass() {
    let mut talk = Talk::new(PING);
    talk.passes(30 * SECOND).client_says(9, b"mine").server_says(10, b"mine").server_says(10, b"12345678");
    assert!(talk.server_hears.ends_with(&client_frame(9, b"mine")));
    assert!(talk.client_hears.ends_with(&[server_frame(10, b"mine"), server_frame(10, b"12345678")].concat()));
}

#[test]
fn payloads_and_masks_do_not_repeat() {
    let mut talk = Talk::new(PING);
    let mut seen = std::collections::HashSet::new();
    for _ in 0..50 {
        talk.passes(30 * SECOND);
        for (to, payload) in talk.pinged() {
            assert!(seen.insert(payload.clone()));
            let pong = if to == Client { client_frame(10, &payload) } else { server_frame(10, &payload) };
            talk.says(to, &pong);
        }
    }
    assert_eq!(seen.len(), 100);
    // Masked frames to the server, eight bytes of payload each.
    let masks: std::collections::HashSet<_> = talk.server_hears.chunks(14).map(|ping| ping[2..6].to_vec()).collect();
    assert_eq!(masks.len(), 50);
}

#[test]
fn a_ping_waits_for_the_end_of_the_frame_that_is_under_way() {
    let mut talk = Talk::new(PING);
    let message = server_frame(1, b"long message");
    talk.passes(SECOND).says(Server, &message[..5]).passes(29 * SECOND);
    assert_eq!(talk.pinged(), [], "the server spoke, and the client is within a frame");
    talk.says(Server, &message[5..]);
    assert_eq!(talk.pinged().len(), 1);
    assert_eq!(&talk.client_hears[..message.len()], message);
}

#[test]
fn a_server_that_is_dead_is_closed_and_the_client_told() {
    let mut talk = Talk::new(PING);
    talk.passes(20 * SECOND).client_says(1, b"anyone?").passes(10 * SECOND);
    assert_eq!(talk.pinged().len(), 1);
    talk.client_says(1, b"anyone?").passes(10 * SECOND);
    let told = [(Client, 1011, "server was disconnected".to_owned()), (Server, 1011, "ping timeout".to_owned())];
    assert_eq!(talk.closed(), told);
    let summary = talk.session.summary();
    assert_eq!((summary.ended_by, summary.cause), (Some(EndedBy::Gateway), Some(Cause::PingTimeout)));
    assert_eq!(summary.client.gateway_close.unwrap().code, 1011);
    assert!(!talk.is_over);
    talk.client_says(8, b"\x03\xf3");
    assert!(talk.is_over, "the dead side's echo is not waited for");
    assert_eq!(talk.session.next_deadline(), None);
}

#[test]
fn whatever_a_side_sends_shows_that_it_lives() {
    let mut talk = Talk::new(PING);
    talk.passes(30 * SECOND);
    for _ in 0..10 {
        talk.passes(9 * SECOND).client_says(1, b"busy").server_says(1, b"busy");
    }
    assert_eq!(talk.session.summary().cause, None);
}

#[test]
fn a_side_that_is_not_read_is_not_dead() {
    let mut talk = Talk::new(PING);
    talk.passes(30 * SECOND).pinged();
    talk.now += 10 * SECOND;
    talk.session.excuse(Client, talk.now);
    talk.session.excuse(Server, talk.now);
    talk.acts();
    assert_eq!(talk.session.summary().cause, None);
    talk.passes(30 * SECOND);
    assert_eq!(talk.pinged().len(), 2, "they are asked anew");
    talk.passes(10 * SECOND);
    assert_eq!(talk.session.summary().cause, Some(Cause::PingTimeout));
}

#[test]
fn pings_keep_their_interval_where_the_timeout_is_longer() {
    let ping = Ping { interval: 3 * SECOND, timeout: 100 * SECOND };
    let mut talk = Talk::new(Policy { ping: Some(ping), ..Policy::default() });
    for _ in 0..5 {
        talk.passes(3 * SECOND);
        for (to, payload) in talk.pinged() {
            let pong = if to == Client { client_frame(10, &payload) } else { server_frame(10, &payload) };
            talk.says(to, &pong);
        }
        talk.passes(2 * SECOND);
        assert!(talk.pinged().is_empty());
        talk.client_says(1, b"up").server_says(1, b"down").passes(3 * SECOND);
        let asked = talk.pinged().len();
        assert_eq!(asked, 2);
        talk.client_says(1, b"up").server_says(1, b"down");
    }
}

#[test]
fn what_is_over_a_rate_of_messages_is_left_to_be_shown_again() {
    let rate = Some(Rate { per_second: 1, burst: 1 });
    let mut talk = Talk::new(Policy { messages_rate: rate, ..Policy::default() });
    let (frame, mut heard) = (client_frame(1, b"hello"), Vec::<u8>::new());
    let wire = frame.repeat(5);
    let mut taken = 0;
    for most in [3, 4, 5] {
        assert!(talk.session.allowance(Client, talk.now) > 0);
        let rest = &wire[taken..];
        taken += talk.session.bytes_within_rate(Client, rest, talk.now, |bytes| heard.extend(bytes));
        assert_eq!(taken, most * frame.len());
        assert_eq!(talk.session.allowance(Client, talk.now), 0);
        talk.acts();
        assert_eq!(talk.session.next_deadline(), Some(talk.now + SECOND));
        talk.passes(SECOND);
    }
    assert_eq!(heard, wire);
    assert_eq!((talk.session.summary().client.messages, talk.session.allowance(Server, talk.now)), (5, usize::MAX));
}

#[test]
fn a_rate_of_messages_lets_little_be_read_but_what_is_left_of_a_frame() {
    let rate = Some(Rate { per_second: 10, burst: 0 });
    let mut talk = Talk::new(Policy { messages_rate: rate, ..Policy::default() });
    let little = talk.session.allowance(Client, talk.now);
    assert!((1..=4096).contains(&little));
    let wire = client_frame(2, &[0; 100_000]);
    talk.says(Client, &wire[..1000]);
    assert_eq!(talk.session.allowance(Client, talk.now), wire.len() - 1000);
    talk.says(Client, &wire[1000..]);
    assert_eq!(talk.session.allowance(Client, talk.now), little);
}

#[test]
fn a_rate_of_bytes_says_how_much_to_read() {
    let rate = Some(Rate { per_second: 160, burst: 40 });
    let mut talk = Talk::new(Policy { bytes_rate: rate, ..Policy::default() });
    let wire = client_frame(2, &[0; 1000]);
    let mut shown = 0;
    let mut read = |talk: &mut Talk| {
        let most = talk.session.allowance(Client, talk.now);
        talk.says(Client, &wire[shown..shown + most]);
        shown += most;
        most
    };
    assert_eq!(read(&mut talk), 200);
    assert_eq!(read(&mut talk), 10, "a sixteenth of a second's worth is lent");
    assert_eq!(read(&mut talk), 0);
    talk.passes(SECOND / 2);
    assert_eq!(read(&mut talk), 70);
    let closing = Talk::new(Policy { bytes_rate: rate, over_rate: OverRate::Close, ..Policy::default() });
    assert_eq!(closing.session.allowance(Client, closing.now), usize::MAX);
}

#[test]
fn nobody_is_pinged_after_a_close_or_the_end_of_a_stream() {
    let mut talk = Talk::new(PING);
    talk.client_says(8, b"");
    assert!(!talk.session.tracks_idle());
    talk.passes(100 * SECOND);
    assert_eq!(talk.pinged(), []);
    let mut talk = Talk::new(PING);
    talk.passes(30 * SECOND).pinged();
    talk.session.end_of_stream(Client, talk.now);
    talk.passes(100 * SECOND);
    assert_eq!((talk.pinged(), talk.session.tracks_idle()), (Vec::new(), false));
}

#[test]
fn a_drain_closes_between_frames_and_ends_with_the_echoes() {
    let mut talk = Talk::new(Policy::default());
    let message = server_frame(1, b"half said");
    talk.says(Server, &message[..4]);
    talk.session.close(1012, "restart", Cause::Drain, talk.now, 10 * SECOND);
    talk.acts();
    assert_eq!(talk.closed(), [(Server, 1012, "restart".to_owned())]);
    talk.says(Server, &[&message[4..], &server_frame(1, b"more")].concat());
    assert_eq!(talk.closed(), [(Client, 1012, "restart".to_owned())]);
    assert!(talk.client_hears.starts_with(&message));
    assert_eq!(talk.client_hears.len(), message.len() + 2 + 9);
    talk.client_says(1, b"not heard").client_says(8, b"\x03\xf4");
    assert!(!talk.is_over);
    talk.server_says(8, b"\x03\xf4");
    assert!(talk.is_over);
    let summary = talk.session.summary();
    assert_eq!((summary.ended_by, summary.cause), (Some(EndedBy::Gateway), Some(Cause::Drain)));
    assert_eq!(summary.server.messages, 1);
    assert_eq!(summary.client.close.unwrap().code, 1012);
}

#[test]
fn a_drain_ends_after_its_grace_even_within_a_frame_without_end() {
    let mut talk = Talk::new(Policy::default());
    talk.says(Server, b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff");
    talk.session.close(1001, "", Cause::Drain, talk.now, 10 * SECOND);
    for _ in 0..9 {
        talk.passes(SECOND).says(Server, &[0; 1000]);
    }
    assert_eq!(talk.closed(), [(Server, 1001, String::new())]);
    assert!(!talk.is_over);
    assert!(talk.passes(SECOND).is_over);
    assert_eq!(talk.client_hears.len(), 9010);
}

#[test]
fn a_drain_answers_the_close_that_was_sent_already_and_sends_no_second_one() {
    let mut talk = Talk::new(Policy::default());
    talk.client_says(8, b"\x03\xe8");
    talk.session.close(1012, "", Cause::Drain, talk.now, SECOND);
    talk.acts();
    assert_eq!(talk.closed(), [(Client, 1012, String::new())]);
    assert!(!talk.is_over);
    talk.server_says(8, b"\x03\xe8");
    assert!(talk.is_over);
    assert_eq!(talk.session.summary().cause, Some(Cause::Close));
}

#[test]
fn a_second_close_only_hastens_the_end() {
    let mut talk = Talk::new(Policy::default());
    talk.session.close(1012, "", Cause::Drain, talk.now, 100 * SECOND);
    talk.acts().passes(SECOND);
    talk.session.close(1001, "", Cause::Drain, talk.now, SECOND);
    assert!(!talk.acts().is_over);
    assert!(talk.passes(SECOND).is_over);
    assert_eq!(talk.closed().len(), 2);
}

#[test]
fn a_side_whose_peer_has_ended_its_stream_cannot_be_told() {
    let mut talk = Talk::new(Policy::default());
    talk.session.end_of_stream(Client, talk.now);
    talk.session.close(1001, "", Cause::Drain, talk.now, 10 * SECOND);
    talk.acts();
    assert_eq!(talk.closed(), [(Client, 1001, String::new())]);
    assert!(talk.is_over, "the client has ended, and the server's stream with it");
}

#[test]
fn a_message_over_the_limit_closes_with_1009() {
    let mut talk = Talk::new(Policy { message_bytes_max: Some(4), ..Policy::default() });
    talk.client_says(1, b"four").client_says(1, b"five!");
    assert_eq!(talk.server_hears[..10], client_frame(1, b"four"));
    let told = [(Client, 1009, "message too big".to_owned()), (Server, 1001, "client was disconnected".to_owned())];
    assert_eq!(talk.closed(), told);
    assert_eq!(talk.reports, [Violation::MessageBytes]);
    let summary = talk.session.summary();
    assert_eq!((summary.cause, summary.violations.count), (Some(Cause::Limit), 1));
    talk.client_says(8, b"\x03\xf1").server_says(8, b"\x03\xe9");
    assert!(talk.is_over);
}

#[test]
fn a_server_that_breaks_the_rules_costs_the_client_its_socket_with_1011() {
    let mut talk = Talk::new(Policy { validation: Validation::Enforce, ..Policy::default() });
    talk.says(Server, &client_frame(1, b"masked"));
    let told = [(Client, 1011, "server was disconnected".to_owned()), (Server, 1002, "wrong masking".to_owned())];
    assert_eq!(talk.closed(), told);
    assert_eq!(talk.session.summary().cause, Some(Cause::Protocol));
    assert!(talk.passes(CLOSE_GRACE).is_over);
}

#[test]
fn text_that_was_cut_leaves_the_other_side_without_a_close() {
    let mut talk = Talk::new(Policy { validation: Validation::Enforce, ..Policy::default() });
    let message = server_frame(1, b"caf\xe9!");
    talk.says(Server, &message[..4]).says(Server, &message[4..]);
    assert_eq!(talk.closed(), [(Server, 1007, "text is not UTF-8".to_owned())]);
    assert!(talk.server_says(8, b"").is_over);
}

#[test]
fn a_kind_of_violation_is_reported_once() {
    let mut talk = Talk::new(Policy { validation: Validation::Report, ..Policy::default() });
    talk.server_says(3, b"").server_says(4, b"").server_says(1, b"\xff").client_says(5, b"");
    assert_eq!(talk.reports, [Violation::ReservedOpcode, Violation::Text]);
    assert_eq!(talk.session.summary().violations.count, 4);
    assert_eq!(talk.closed(), []);
}

#[test]
fn data_after_a_close_is_reported_even_where_nothing_is_validated() {
    let mut talk = Talk::new(Policy::default());
    talk.client_says(8, b"").client_says(1, b"one more thing");
    assert_eq!(talk.reports, [Violation::AfterClose]);
    assert!(talk.server_hears.ends_with(&client_frame(1, b"one more thing")));
    assert_eq!(talk.closed(), []);
}

#[test]
fn a_client_over_its_rate_is_paused_and_not_taken_for_dead() {
    let rate = Some(Rate { per_second: 100, burst: 0 });
    let mut talk = Talk::new(Policy { bytes_rate: rate, ..PING });
    talk.client_says(2, &[0; 4892]);
    assert_eq!(talk.server_hears.len(), 4900);
    assert_eq!(talk.session.paused_until(Client), Some(talk.now + 48 * SECOND));
    assert_eq!(talk.session.paused_until(Server), None);
    talk.passes(25 * SECOND).server_says(1, b"alive").passes(22 * SECOND).server_says(1, b"alive");
    assert_eq!(talk.session.next_deadline(), Some(talk.now + SECOND));
    talk.passes(SECOND);
    assert_eq!(talk.session.paused_until(Client), None);
    talk.passes(29 * SECOND);
    assert!(talk.pinged().iter().all(|(to, _)| *to == Server), "its silence counts from the end of the pause");
    talk.passes(SECOND);
    assert_eq!(talk.pinged().iter().filter(|(to, _)| *to == Client).count(), 1);
    assert_eq!(talk.session.summary().cause, None);
}

#[test]
fn a_client_over_its_rate_is_closed_where_that_is_wanted() {
    let rate = Some(Rate { per_second: 10, burst: 90 });
    let mut talk = Talk::new(Policy { bytes_rate: rate, over_rate: OverRate::Close, ..Policy::default() });
    talk.client_says(2, &[0; 90]).client_says(2, b"12345");
    assert_eq!(talk.closed()[0], (Client, 1008, "too many bytes".to_owned()));
    assert_eq!(talk.session.summary().cause, Some(Cause::Rate));
    assert_eq!(talk.session.summary().client.messages, 1);
    talk.server_says(2, &[0; 1000]);
    assert_eq!(talk.session.summary().server.messages, 0);
}

#[test]
fn opcodes_that_are_not_allowed_close_with_1008() {
    let mut talk = Talk::new(Policy { opcodes: Opcodes::only([Opcode::TEXT]), ..Policy::default() });
    talk.client_says(1, b"text").client_says(2, b"bytes");
    assert_eq!(talk.closed()[0], (Client, 1008, "opcode not allowed".to_owned()));
}

#[test]
fn an_old_socket_is_closed_with_1001() {
    let mut talk = Talk::new(Policy { age_max: Some(60 * SECOND), age_jitter: 0.5, ..Policy::default() });
    talk.passes(30 * SECOND);
    assert!(!talk.session.is_closing());
    talk.client_says(1, b"busy").passes(30 * SECOND);
    assert_eq!(talk.session.summary().cause, Some(Cause::Age));
    assert!(talk.is_over);
    let told = [(Client, 1001, "maximum age".to_owned()), (Server, 1001, "maximum age".to_owned())];
    assert_eq!(talk.closed(), told);
}

#[test]
fn an_idle_side_is_closed_and_answers_to_pings_are_idle_talk() {
    let mut talk = Talk::new(Policy { idle_client: Some(100 * SECOND), ..PING });
    for _ in 0..3 {
        talk.passes(30 * SECOND);
        for (to, payload) in talk.pinged() {
            let pong = if to == Client { client_frame(10, &payload) } else { server_frame(10, &payload) };
            talk.says(to, &pong).server_says(1, b"tick");
        }
        assert!(!talk.session.is_closing());
    }
    talk.passes(10 * SECOND);
    assert_eq!(talk.session.summary().cause, Some(Cause::Idle));
    let mut talk = Talk::new(Policy { idle_server: Some(100 * SECOND), ..Policy::default() });
    talk.passes(99 * SECOND).server_says(1, b"tick").client_says(1, b"tock").passes(99 * SECOND);
    assert!(!talk.session.is_closing());
    talk.client_says(1, b"tock").passes(SECOND);
    assert!(talk.session.is_closing());
}

#[test]
fn a_flood_after_the_end_is_swallowed() {
    let mut talk = Talk::new(Policy { frame_bytes_max: Some(10), ..Policy::default() });
    talk.client_says(2, &[0; 11]);
    let heard = talk.server_hears.len();
    (0..1000).for_each(|_| _ = talk.client_says(9, b"flood"));
    assert_eq!(talk.server_hears.len(), heard);
    assert!(talk.passes(CLOSE_GRACE).is_over);
    talk.client_says(9, b"flood");
}

#[test]
fn bytes_that_are_moved_over_a_rate_are_counted_and_the_end_comes_behind_their_frame() {
    let rate = Some(Rate { per_second: 10, burst: 0 });
    let mut talk = Talk::new(Policy { bytes_rate: rate, over_rate: OverRate::Close, ..Policy::default() });
    let frame = client_frame(2, &[7; 100]);
    talk.says(Side::Client, &frame[..8]);
    assert_eq!(talk.session.unread(Side::Client), 98);
    talk.session.moved(Side::Client, 98, talk.now);
    talk.acts();
    let summary = talk.session.summary();
    assert_eq!((summary.client.messages, summary.client.payload_bytes), (1, 100));
    let told: Vec<Side> = talk.sent.iter().map(|(to, _)| *to).collect();
    assert_eq!(told, Side::BOTH);
}

#[test]
fn a_policy_says_how_long_the_echo_of_a_close_is_waited_for() {
    let policy = Policy { frame_bytes_max: Some(4), close_wait: Some(Duration::from_secs(1)), ..Policy::default() };
    let mut talk = Talk::new(policy);
    talk.client_says(1, b"too long").closed();
    assert!(!talk.passes(Duration::from_millis(999)).is_over);
    assert!(talk.passes(Duration::from_millis(1)).is_over);
}

#[test]
fn the_next_data_frame_is_announced_by_its_whole_header_between_two_frames_and_not_if_its_text_is_read() {
    let enforce = Policy { validation: Validation::Enforce, ..PING };
    let (plain, strict) = (Talk::new(PING), Talk::new(enforce));
    let header = |opcode: u8| [0x80 | opcode, 127, 0, 0, 0, 0, 0, 1, 0, 0];
    for (opcode, plainly, strictly) in [(0_u8, true, false), (1, true, false), (2, true, true), (9, false, false)] {
        let announced = Some((10, 65_536));
        let of = |talk: &Talk| talk.session.announced(Side::Server, &header(opcode));
        assert_eq!((of(&plain), of(&strict)), (announced.filter(|_| plainly), announced.filter(|_| strictly)));
        assert_eq!(plain.session.announced(Side::Server, &header(opcode)[..9]), None);
    }
    let mut talk = Talk::new(PING);
    talk.says(Side::Server, &header(2));
    assert_eq!(talk.session.announced(Side::Server, &header(2)), None, "these bytes are payload");
    assert_eq!(talk.session.announced(Side::Client, &header(2)), Some((10, 65_536)));
}
