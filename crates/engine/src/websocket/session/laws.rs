//! What holds for every conversation, however it is cut, and for every sequence of bytes and events.

use super::*;
use crate::websocket::policy::{Opcodes, OverRate, Ping, Rate, Validation};
use crate::websocket::{Header, apply_mask};
use proptest::prelude::*;
use std::ops::Range;

/// A frame as a test makes it.
#[derive(Debug, Clone)]
struct Frame {
    fin: bool,
    opcode: u8,
    payload: Vec<u8>,
}

impl Frame {
    fn wire(&self, from: Side) -> Vec<u8> {
        let mask = if from == Side::Client { [3, 1, 4, 1] } else { [0; 4] };
        let header = Header {
            fin: self.fin,
            rsv: 0,
            opcode: Opcode(self.opcode),
            masked: from == Side::Client,
            payload_len: self.payload.len() as u64,
            mask,
        };
        let (head, length) = header.encode();
        let mut payload = self.payload.clone();
        apply_mask(&mut payload, mask, 0);
        [&head[..length], &payload].concat()
    }
}

fn payload(most: usize) -> impl Strategy<Value = Vec<u8>> {
    // Letters only, so that every text is UTF-8 wherever it is cut.
    prop::collection::vec(b'a'..=b'z', 0..most)
}

fn control() -> impl Strategy<Value = Frame> {
    let payload = prop_oneof![payload(125), payload(9)];
    (9..=10_u8, payload).prop_map(|(opcode, payload)| Frame { fin: true, opcode, payload })
}

/// A message in one or more fragments, with pings and pongs among them.
fn message() -> impl Strategy<Value = Vec<Frame>> {
    let part = (payload(300), prop::option::weighted(0.2, control()));
    (1..=2_u8, prop::collection::vec(part, 1..4)).prop_map(|(opcode, parts)| {
        let last = parts.len() - 1;
        let frame = |(index, (payload, control)): (usize, (Vec<u8>, Option<Frame>))| {
            let opcode = if index == 0 { opcode } else { 0 };
            control.into_iter().chain([Frame { fin: index == last, opcode, payload }])
        };
        parts.into_iter().enumerate().flat_map(frame).collect()
    })
}

fn frames() -> impl Strategy<Value = Vec<Frame>> {
    prop::collection::vec(message(), 0..6).prop_map(|messages| messages.concat())
}

fn policy() -> impl Strategy<Value = Policy> {
    let ping = prop::option::of((1..40_u64, 1..20_u64)).prop_map(|ping| {
        let seconds = Duration::from_secs;
        ping.map(|(interval, timeout)| Ping { interval: seconds(interval), timeout: seconds(timeout) })
    });
    let rate = || prop::option::weighted(0.3, (0..2000_u64, 0..2000_u64));
    let limits = (
        prop::option::weighted(0.3, 0..1000_u64),
        prop::option::weighted(0.3, 0..500_u64),
        prop::option::weighted(0.3, 0..3_u32),
    );
    let validation = prop_oneof![Just(Validation::Off), Just(Validation::Report), Just(Validation::Enforce)];
    let opcodes = prop_oneof![3 => Just(Opcodes::ALL), 1 => Just(Opcodes::only([Opcode::TEXT]))];
    let times = prop::option::weighted(0.2, 1..100_u64);
    (ping, limits, rate(), rate(), any::<bool>(), validation, opcodes, times).prop_map(
        |(
            ping,
            (message_bytes_max, frame_bytes_max, fragments_max),
            messages,
            bytes,
            slow,
            validation,
            opcodes,
            time,
        )| {
            let rate = |(per_second, burst)| Rate { per_second, burst };
            Policy {
                ping,
                message_bytes_max,
                frame_bytes_max,
                fragments_max,
                messages_rate: messages.map(rate),
                bytes_rate: bytes.map(rate),
                over_rate: if slow { OverRate::Slow } else { OverRate::Close },
                opcodes,
                age_max: time.map(Duration::from_secs),
                age_jitter: 0.5,
                idle_client: time.map(|time| Duration::from_secs(time * 2)),
                idle_server: None,
                validation,
                close_wait: None,
            }
        },
    )
}

fn session(policy: Policy, now: Instant) -> Session {
    Session::new(Arc::new(policy), false, now, &mut || 0x0123_4567_89ab_cdef)
}

/// What a receiver makes of bytes: messages, other control frames, whether they end between frames.
#[derive(Debug, Default, PartialEq)]
struct Heard {
    messages: Vec<(u8, Vec<u8>)>,
    controls: Vec<(u8, Vec<u8>)>,
    is_between_frames: bool,
}

fn hear(mut bytes: &[u8], to: Side) -> Heard {
    let mut heard = Heard::default();
    let mut message = None;
    while let Some((header, length)) = Header::decode(bytes) {
        assert_eq!(header.masked, to == Side::Server);
        let end = length + header.payload_len as usize;
        let Some(payload) = bytes.get(length..end) else { break };
        let mut payload = payload.to_vec();
        apply_mask(&mut payload, header.mask, 0);
        bytes = &bytes[end..];
        if header.opcode.is_control() {
            heard.controls.push((header.opcode.0, payload));
            continue;
        }
        let (_, whole) = message.get_or_insert((header.opcode.0, Vec::new()));
        whole.extend(payload);
        if header.fin {
            heard.messages.extend(message.take());
        }
    }
    heard.is_between_frames = bytes.is_empty();
    heard
}

/// Cuts `bytes` where `cuts` say, cyclically.
fn portions<'a>(bytes: &'a [u8], cuts: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = bytes;
    let mut cuts = cuts.iter().cycle();
    std::iter::from_fn(move || {
        let length = (*cuts.next()?).min(rest.len());
        let (portion, after) = rest.split_at(length);
        rest = after;
        (!portion.is_empty()).then_some(portion)
    })
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    let length = prop_oneof![3 => 1..8_usize, 2 => 1..400_usize, 1 => Just(100_000)];
    prop::collection::vec(length, 1..20)
}

/// Everything that came of it: what was passed on, the frames sent, and the summary.
fn outcome(policy: Policy, from: Side, bytes: &[u8], cuts: &[usize]) -> (Vec<u8>, Vec<Vec<u8>>, Summary) {
    let now = Instant::now();
    let mut session = session(policy, now);
    let (mut passed, mut sent) = (Vec::new(), Vec::new());
    for portion in portions(bytes, cuts) {
        session.bytes(from, portion, now, |bytes| passed.extend(bytes));
        while let Some(action) = session.poll_action(now) {
            if let Action::Send { frame, .. } = action {
                sent.push(frame.bytes().to_vec());
            }
        }
    }
    (passed, sent, session.summary())
}

#[derive(Debug, Clone)]
enum Step {
    Say(Side, Range<usize>),
    Wait(u64),
    Pong(Side),
    /// The side closes.
    SayClose(Side),
    End(Side),
    /// The gateway closes.
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    let side = || prop_oneof![Just(Side::Client), Just(Side::Server)];
    prop_oneof![
        8 => (side(), 0..3000_usize, 0..300_usize).prop_map(|(side, at, length)| Step::Say(side, at..at + length)),
        4 => (0..40_u64).prop_map(Step::Wait),
        2 => side().prop_map(Step::Pong),
        1 => side().prop_map(Step::SayClose),
        1 => side().prop_map(Step::End),
        1 => Just(Step::Close),
    ]
}

/// A session between two sides, each with things to say. Arrays have the client first.
struct Stage {
    session: Session,
    now: Instant,
    says: [Vec<u8>; 2],
    said: [usize; 2],
    ended: [bool; 2],
    hears: [Vec<u8>; 2],
    pings: [Option<Vec<u8>>; 2],
    is_over: bool,
}

impl Stage {
    fn new(policy: Policy, says: [Vec<u8>; 2]) -> Stage {
        let now = Instant::now();
        let (hears, pings) = Default::default();
        let session = session(policy, now);
        Stage { session, now, says, said: [0, 0], ended: [false, false], hears, pings, is_over: false }
    }

    fn says(&mut self, from: Side, bytes: &[u8]) {
        let hears = &mut self.hears[from.other() as usize];
        self.session.bytes(from, bytes, self.now, |bytes| hears.extend(bytes));
    }

    /// Whether a side can begin a frame.
    fn can_begin(&self, from: Side) -> bool {
        let said = &self.says[from as usize][..self.said[from as usize]];
        !self.ended[from as usize] && hear(said, from.other()).is_between_frames
    }

    fn takes(&mut self, step: Step) {
        match step {
            Step::Say(from, range) if !self.ended[from as usize] => {
                let (start, whole) = (self.said[from as usize], &self.says[from as usize]);
                let end = whole.len().min(start + range.len());
                let bytes = whole[start..end].to_vec();
                self.said[from as usize] = end;
                self.says(from, &bytes);
            }
            Step::Pong(from) if self.can_begin(from) => {
                let Some(payload) = self.pings[from as usize].take() else { return };
                self.says(from, &Frame { fin: true, opcode: 10, payload }.wire(from));
            }
            Step::SayClose(from) if self.can_begin(from) => {
                self.says(from, &Frame { fin: true, opcode: 8, payload: vec![3, 0xe8] }.wire(from));
            }
            Step::End(side) => {
                self.ended[side as usize] = true;
                self.session.end_of_stream(side, self.now);
            }
            Step::Wait(seconds) => self.now += Duration::from_secs(seconds),
            Step::Close => self.session.close(1001, "over", Cause::Drain, self.now, Duration::from_secs(3)),
            Step::Say(..) | Step::Pong(_) | Step::SayClose(_) => {}
        }
    }

    fn acts(&mut self) -> Result<(), TestCaseError> {
        while let Some(action) = self.session.poll_action(self.now) {
            prop_assert!(!self.is_over, "{:?} after the end", action);
            match action {
                Action::Send { to, frame } => self.sends(to, &frame)?,
                Action::End => self.is_over = true,
                Action::Report(_) => {}
            }
        }
        Ok(())
    }

    fn sends(&mut self, to: Side, frame: &ControlFrame) -> Result<(), TestCaseError> {
        prop_assert!(!self.ended[to.other() as usize], "the stream to {:?} was ended", to);
        let so_far = hear(&self.hears[to as usize], to);
        prop_assert!(so_far.is_between_frames, "{:?} within a frame to {:?}", frame, to);
        prop_assert!(so_far.controls.iter().all(|(opcode, _)| *opcode != 8), "{:?} after a Close", frame);
        self.hears[to as usize].extend(frame.bytes());
        let (opcode, payload) = hear(frame.bytes(), to).controls.remove(0);
        if opcode == 9 {
            self.pings[to as usize] = Some(payload);
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn frames_in_any_portions_come_to_the_same(frames in frames(), server: bool, cuts in cuts()) {
        let from = if server { Side::Server } else { Side::Client };
        let bytes: Vec<u8> = frames.iter().flat_map(|frame| frame.wire(from)).collect();
        for validation in [Validation::Off, Validation::Report, Validation::Enforce] {
            let policy = Policy { validation, ..Policy::default() };
            let (passed, sent, summary) = outcome(policy.clone(), from, &bytes, &cuts);
            prop_assert_eq!(&passed, &bytes);
            prop_assert!(sent.is_empty() && summary.violations.count == 0);
            let each_byte = outcome(policy, from, &bytes, &[1]);
            prop_assert_eq!((passed, sent, summary.clone()), each_byte);
            prop_assert_eq!(summary.side(from).messages, frames.iter().filter(|frame| frame.opcode < 8 && frame.fin).count() as u64);
        }
    }

    #[test]
    fn any_bytes_pass_unchanged_where_nothing_is_wanted(bytes: Vec<u8>, server: bool, cuts in cuts()) {
        let from = if server { Side::Server } else { Side::Client };
        let (passed, sent, _) = outcome(Policy::default(), from, &bytes, &cuts);
        prop_assert_eq!((passed, sent), (bytes, Vec::new()));
    }

    #[test]
    fn limits_judge_the_same_however_the_bytes_are_cut(
        frames in frames(), policy in policy(), server: bool, cuts in cuts(),
    ) {
        let from = if server { Side::Server } else { Side::Client };
        // A rate of bytes judges portions, by what it is.
        let policy = Policy { bytes_rate: None, ..policy };
        let bytes: Vec<u8> = frames.iter().flat_map(|frame| frame.wire(from)).collect();
        prop_assert_eq!(outcome(policy.clone(), from, &bytes, &cuts), outcome(policy, from, &bytes, &[usize::MAX]));
    }

    #[test]
    fn injected_pings_leave_every_message_as_it_is(
        from_client in frames(), from_server in frames(), cuts in cuts(), waits in prop::collection::vec(0..31_u64, 1..9),
    ) {
        let ping = Ping { interval: Duration::from_secs(5), timeout: Duration::from_secs(1000) };
        let mut now = Instant::now();
        let mut session = session(Policy { ping: Some(ping), ..Policy::default() }, now);
        let wire = |frames: &[Frame], from| frames.iter().flat_map(|frame| frame.wire(from)).collect::<Vec<u8>>();
        let (client, server) = (wire(&from_client, Side::Client), wire(&from_server, Side::Server));
        let mut says = (portions(&client, &cuts), portions(&server, &cuts));
        let (mut to_client, mut to_server, mut pings) = (Vec::new(), Vec::new(), Vec::new());
        for wait in waits.into_iter().cycle() {
            let (client, server) = (says.0.next(), says.1.next());
            if client.is_none() && server.is_none() {
                break;
            }
            session.bytes(Side::Client, client.unwrap_or_default(), now, |bytes| to_server.extend(bytes));
            now += Duration::from_secs(wait);
            session.bytes(Side::Server, server.unwrap_or_default(), now, |bytes| to_client.extend(bytes));
            while let Some(action) = session.poll_action(now) {
                let Action::Send { to, frame } = action else { panic!("{action:?}") };
                pings.push(hear(frame.bytes(), to).controls.remove(0));
                if to == Side::Client { to_client.extend(frame.bytes()) } else { to_server.extend(frame.bytes()) };
            }
        }
        for (heard, to, said) in [(to_client, Side::Client, &server), (to_server, Side::Server, &client)] {
            let (mut heard, said) = (hear(&heard, to), hear(said, to));
            heard.controls.retain(|control| !pings.contains(control));
            prop_assert_eq!(heard, said);
        }
    }

    #[test]
    fn whatever_happens_frames_stay_whole_and_the_end_comes_once(
        policy in policy(), steps in prop::collection::vec(step(), 0..60),
        from_client in frames(), from_server in frames(),
    ) {
        let wire = |frames: &[Frame], from| frames.iter().flat_map(|frame| frame.wire(from)).collect::<Vec<u8>>();
        let says = [wire(&from_client, Side::Client), wire(&from_server, Side::Server)];
        let mut stage = Stage::new(policy, says);
        for step in steps.into_iter().chain([Step::Close, Step::Wait(3)]) {
            stage.takes(step);
            stage.acts()?;
        }
        prop_assert!(stage.is_over);
        prop_assert_eq!(stage.session.next_deadline(), None);
    }

    #[test]
    fn noise_never_panics(policy in policy(), noise: Vec<u8>, server: Vec<u8>, cuts in cuts(), compressed: bool) {
        let mut now = Instant::now();
        let mut session = Session::new(Arc::new(policy), compressed, now, &mut || 1);
        for (client, server) in portions(&noise, &cuts).zip(portions(&server, &cuts)) {
            session.bytes(Side::Client, client, now, |_| {});
            session.bytes(Side::Server, server, now, |_| {});
            let unread = session.unread(Side::Client) / 2;
            session.moved(Side::Client, unread, now);
            while session.poll_action(now).is_some() {}
            now += Duration::from_millis(700);
            session.summary();
        }
    }
}
