//! The account of one direction: what a side sent, what the other side was given, and what the gateway put in between.

use crate::reference::{Frame, frames};
use culvert_engine::websocket::{Policy, Session, Side, Validation};
use std::time::Instant;

/// The longest that may be withheld at an end: a header and the payload of a control frame.
const WITHHELD_BYTES_MAX: usize = 14 + 125;

/// One direction's account.
#[derive(Debug)]
pub struct Ledger {
    from: Side,
    /// What the side sent and the session took.
    given: Vec<u8>,
    /// What was passed on of it.
    passed: Vec<u8>,
    /// The gateway's own frames, each with the length of `passed` when it went out.
    injected: Vec<(usize, Vec<u8>)>,
    /// What the gateway asked `from` in its pings.
    asked: Vec<Vec<u8>>,
    /// The session may keep frames from passing without closing: what comes behind a Close.
    refuses: bool,
    may_refuse_closes: bool,
}

impl Ledger {
    /// Nothing was said.
    pub fn new(from: Side, policy: &Policy) -> Self {
        Self {
            from,
            given: Vec::new(),
            passed: Vec::new(),
            injected: Vec::new(),
            asked: Vec::new(),
            refuses: policy.validation == Validation::Enforce,
            may_refuse_closes: policy.validation == Validation::Enforce
                || policy.frame_bytes_max.is_some()
                || policy.messages_rate.is_some(),
        }
    }

    /// One for each direction, the client's first.
    pub fn both(policy: &Policy) -> [Self; 2] {
        [Self::new(Side::Client, policy), Self::new(Side::Server, policy)]
    }

    /// Shows bytes to the session. How many it took: all, unless `within_rate` and over one.
    pub fn says(&mut self, session: &mut Session, bytes: &[u8], now: Instant, within_rate: bool) -> usize {
        let passed = &mut self.passed;
        let pass = |bytes: &[u8]| passed.extend_from_slice(bytes);
        let taken = if within_rate {
            session.bytes_within_rate(self.from, bytes, now, pass)
        } else {
            session.bytes(self.from, bytes, now, pass);
            bytes.len()
        };
        assert!(bytes.is_empty() || (1..=bytes.len()).contains(&taken), "it took {taken} of {}", bytes.len());
        self.given.extend_from_slice(&bytes[..taken]);
        taken
    }

    /// Bytes went past the session.
    pub fn moved(&mut self, session: &mut Session, bytes: &[u8], now: Instant) {
        self.given.extend_from_slice(bytes);
        self.passed.extend_from_slice(bytes);
        session.moved(self.from, bytes.len() as u64, now);
    }

    /// The gateway sends a frame of its own to the side that this direction leads to.
    pub fn sends(&mut self, frame: &[u8]) {
        self.injected.push((self.passed.len(), frame.to_vec()));
    }

    /// The gateway pinged `from`.
    pub fn asked(&mut self, payload: Vec<u8>) {
        self.asked.push(payload);
    }

    /// What was passed on, without the gateway's own frames.
    pub fn passed(&self) -> &[u8] {
        &self.passed
    }

    /// Whether what `from` has sent ends between two frames.
    pub fn is_between_given_frames(&self) -> bool {
        frames(&self.given).last().is_none_or(|frame| frame.is_whole(&self.given))
    }

    /// Holds the account against what must be true at every time.
    pub fn check(&self, session: &Session) {
        self.check_injected();
        self.check_passed(session);
        self.check_summary(session);
    }

    /// The gateway's frames are sound, stand between two others, and nothing follows a Close of its own.
    fn check_injected(&self) {
        let passed = frames(&self.passed);
        let mut told = None;
        for (at, wire) in &self.injected {
            let own = frames(wire);
            assert!(own.len() == 1 && own[0].is_whole(wire), "half a frame of the gateway's own: {wire:x?}");
            assert!(own[0].is_sound_control(self.from == Side::Client), "an unsound frame: {wire:x?}");
            let is_boundary = passed.iter().all(|frame| *at <= frame.start || frame.end <= *at as u128);
            assert!(is_boundary, "{wire:x?} stands within a frame, at {at} of {:x?}", self.passed);
            assert_eq!(told, None, "{wire:x?} came behind a Close");
            if own[0].opcode == 8 {
                told = Some(*at);
            }
        }
        if let Some(told) = told {
            assert_eq!(told, self.passed.len(), "bytes passed behind the gateway's Close");
            let closed =
                passed.iter().any(|frame| frame.opcode == 8 && frame.is_whole(&self.passed) && self.is_sound(frame));
            assert!(!closed, "a Close of the gateway's behind another one");
        }
    }

    fn is_sound(&self, frame: &Frame) -> bool {
        frame.is_sound_control(self.from == Side::Client)
    }

    /// What was passed is what was given, but for pongs to the gateway and what was refused at the end.
    fn check_passed(&self, session: &Session) {
        let mut rest = &self.passed[..];
        for frame in frames(&self.given) {
            let wire = if frame.is_whole(&self.given) { frame.wire(&self.given) } else { &self.given[frame.start..] };
            if let Some(after) = rest.strip_prefix(wire) {
                rest = after;
                continue;
            }
            let is_cut = wire.starts_with(rest) && self.may_be_missing(session);
            if !is_cut && self.is_swallowable(&frame) {
                continue;
            }
            // From here on something is missing: refused, cut, or waiting for its end.
            assert!(wire.starts_with(rest), "{rest:x?} is not what was sent: {:x?}", self.given);
            let is_withheld = !frame.is_whole(&self.given) && rest.is_empty() && wire.len() <= WITHHELD_BYTES_MAX;
            let waits = is_withheld && (frame.payload_at.is_none() || frame.is_control());
            assert!(waits || self.may_be_missing(session), "{wire:x?} did not pass, only {rest:x?}");
            return;
        }
        assert!(rest.is_empty(), "{rest:x?} was never sent");
    }

    /// Whether it is a pong to a ping of the gateway's.
    fn is_swallowable(&self, frame: &Frame) -> bool {
        let is_pong = frame.opcode == 10 && frame.is_whole(&self.given) && self.is_sound(frame);
        is_pong && self.asked.contains(&frame.payload(&self.given))
    }

    /// Whether something may not have passed: refused, too late, or behind a Close where nothing may be.
    fn may_be_missing(&self, session: &Session) -> bool {
        let summary = session.summary();
        let have_both_closed = summary.client.close.is_some() && summary.server.close.is_some();
        self.refuses || session.is_closing() || have_both_closed || summary.violations.count > 0
    }

    /// The counters agree with what was passed, and the Close with what was given.
    fn check_summary(&self, session: &Session) {
        let summary = session.summary();
        let side = summary.side(self.from);
        let passed = frames(&self.passed);
        let data = || passed.iter().filter(|frame| !frame.is_control());
        let messages = data().filter(|frame| frame.fin && frame.is_whole(&self.passed)).count();
        assert_eq!(side.messages, messages as u64, "messages of {:?}", self.from);
        let bytes: u64 = data().map(|frame| frame.payload_length(&self.passed)).sum();
        assert_eq!(side.payload_bytes, bytes, "bytes of {:?}", self.from);
        let code = side.close.as_ref().map(|close| close.code);
        let codes = self.given_codes();
        // A Close that is refused for its header or a rate is none; then a later one may count.
        let is_right = if self.may_refuse_closes {
            code.is_none_or(|code| codes.contains(&code))
        } else {
            code == codes.first().copied()
        };
        assert!(is_right, "the Close of {:?} is told as {code:?}; it sent {codes:?}", self.from);
    }

    /// The codes of the sound Closes that `from` sent.
    fn given_codes(&self) -> Vec<u16> {
        let given = frames(&self.given);
        let closes =
            given.iter().filter(|frame| frame.opcode == 8 && frame.is_whole(&self.given) && self.is_sound(frame));
        let code = |frame: &Frame| match frame.payload(&self.given)[..] {
            [high, low, ..] => u16::from_be_bytes([high, low]),
            _ => 1005,
        };
        closes.map(code).collect()
    }
}
