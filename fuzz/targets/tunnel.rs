//! Any sequence of what can happen to a WebSocket: frames and noise in portions, stalls, half-closes, timers, drains, pings
//! and pongs, bytes that are moved without being read.
#![no_main]

use culvert_engine::websocket::{Action, Cause, ControlFrame, EndedBy, Session, Side};
use culvert_fuzz::dials::{Dials, Dice};
use culvert_fuzz::ledger::Ledger;
use culvert_fuzz::reference;
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// More than any single event can ask for: both sides' frames, the end, and a report of each kind.
const ACTIONS_MAX: usize = 64;

/// A session between two sides. Arrays have the client first.
struct Stage {
    session: Session,
    now: Instant,
    ledgers: [Ledger; 2],
    /// What each side has written and the gateway not read.
    written: [Vec<u8>; 2],
    /// The last ping that each side heard.
    pings: [Option<Vec<u8>>; 2],
    has_ended: [bool; 2],
    /// The side takes nothing, so the other one is not read.
    is_stalled: [bool; 2],
    is_over: bool,
}

impl Stage {
    fn new(dials: &mut Dials<'_>) -> Self {
        let policy = dials.policy();
        let (seed, now) = (dials.byte(), Instant::now());
        let mut dice = Dice::new(u64::from(seed));
        let ledgers = Ledger::both(&policy);
        let session = Session::new(Arc::new(policy), seed & 1 == 1, now, &mut || dice.roll());
        Self {
            session,
            now,
            ledgers,
            written: Default::default(),
            pings: Default::default(),
            has_ended: [false; 2],
            is_stalled: [false; 2],
            is_over: false,
        }
    }

    /// One thing happens.
    fn step(&mut self, dials: &mut Dials<'_>) {
        let order = dials.byte();
        let side = if order & 1 == 0 { Side::Client } else { Side::Server };
        match order >> 1 & 15 {
            0..=2 => self.writes_frame(side, dials),
            3 => {
                let length = usize::from(dials.byte());
                self.written[side as usize].extend(dials.bytes(length));
            }
            4..=6 => self.speaks(side, usize::from(dials.byte()) * 4 + 1, order >> 5 & 1 == 0),
            7 => self.moves(side, usize::from(dials.byte()) * 4 + 1),
            8 => self.now += Duration::from_millis(u64::from(dials.byte()) * 20),
            9 => self.passes_to_the_deadline(),
            10 => self.writes_pong(side),
            11 => self.writes_close(side, dials),
            12 => self.ends(side),
            13 => self.is_stalled[side as usize] ^= true,
            14 => self.closes(u64::from(dials.byte()) * 20),
            _ => self.breaks(side, order),
        }
        self.acts();
    }

    fn writes(&mut self, from: Side, first: u8, payload: &[u8], is_masked: bool) {
        let masked = if is_masked { 0x80 } else { 0 };
        let mut wire = vec![first];
        match payload.len() {
            short @ 0..126 => wire.push(masked | short as u8),
            long => wire.extend([&[masked | 126][..], &(long as u16).to_be_bytes()].concat()),
        }
        wire.extend(&[7, 0, 9, 1][..if is_masked { 4 } else { 0 }]);
        let mask = if is_masked { [7, 0, 9, 1] } else { [0; 4] };
        wire.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        self.written[from as usize].extend(wire);
    }

    fn writes_frame(&mut self, from: Side, dials: &mut Dials<'_>) {
        let (first, length) = (dials.byte(), usize::from(dials.byte()));
        let length = if length < 200 { length } else { (length - 199) * 40 };
        // Text that is right most of the time, and any payload now and then.
        let payload = if length % 7 == 6 {
            dials.bytes(length).to_vec()
        } else {
            "aé€🌍".as_bytes().repeat(length / 10 + 1)
        };
        let length = payload.len().min(length);
        self.writes(from, first, &payload[..length], from == Side::Client);
    }

    fn writes_pong(&mut self, from: Side) {
        if let Some(payload) = self.pings[from as usize].clone() {
            self.writes(from, 0x8a, &payload, from == Side::Client);
        }
    }

    fn writes_close(&mut self, from: Side, dials: &mut Dials<'_>) {
        let code = 990 + u16::from(dials.byte());
        let payload = if code == 990 { Vec::new() } else { [&code.to_be_bytes()[..], b"why"].concat() };
        self.writes(from, 0x88, &payload, from == Side::Client);
    }

    /// How much of what `from` has written can be read now.
    fn readable(&self, from: Side, most: usize) -> usize {
        if self.is_over || self.has_ended[from as usize] || self.is_stalled[from.other() as usize] {
            return 0;
        }
        let allowance = self.session.allowance(from, self.now);
        if allowance == 0 {
            assert!(self.session.paused_until(from).is_some(), "{from:?} may not speak and is not paused");
            assert!(self.session.next_deadline().is_some(), "{from:?} pauses for ever");
        }
        self.written[from as usize].len().min(most).min(allowance)
    }

    fn speaks(&mut self, from: Side, most: usize, within_rate: bool) {
        let length = self.readable(from, most);
        if length > 0 {
            let bytes: Vec<u8> = self.written[from as usize][..length].to_vec();
            let taken = self.ledgers[from as usize].says(&mut self.session, &bytes, self.now, within_rate);
            self.written[from as usize].drain(..taken);
        }
    }

    fn moves(&mut self, from: Side, most: usize) {
        let unread = usize::try_from(self.session.unread(from)).unwrap_or(usize::MAX);
        let length = self.readable(from, most).min(unread);
        if length > 0 {
            let bytes: Vec<u8> = self.written[from as usize].drain(..length).collect();
            self.ledgers[from as usize].moved(&mut self.session, &bytes, self.now);
        }
    }

    fn passes_to_the_deadline(&mut self) {
        if let Some(deadline) = self.session.next_deadline() {
            // Beyond a day nothing is left to wait for.
            self.now = self.now.max(deadline.min(self.now + Duration::from_secs(86_400)));
            for side in Side::BOTH {
                if self.is_stalled[side as usize] {
                    self.session.excuse(side.other(), self.now);
                }
            }
        }
    }

    fn ends(&mut self, side: Side) {
        if !self.has_ended[side as usize] && !self.is_over {
            self.has_ended[side as usize] = true;
            self.session.end_of_stream(side, self.now);
        }
    }

    fn closes(&mut self, grace_ms: u64) {
        if !self.is_over {
            self.session.close(1001, "over", Cause::Drain, self.now, Duration::from_millis(grace_ms));
        }
    }

    fn breaks(&mut self, side: Side, order: u8) {
        let cause = if order & 32 == 0 { Cause::Reset } else { Cause::Timeout };
        self.session.note_end(side.into(), cause);
        let summary = self.session.summary();
        assert!(summary.ended_by.is_some() && summary.cause.is_some());
    }

    fn acts(&mut self) {
        for _ in 0..ACTIONS_MAX {
            let Some(action) = self.session.poll_action(self.now) else {
                let deadline = self.session.next_deadline();
                let is_later = deadline.is_none_or(|deadline| deadline > self.now);
                assert!(is_later, "it wants to be woken at once, for ever");
                return;
            };
            assert!(!self.is_over, "{action:?} after the end");
            match action {
                Action::Send { to, frame } => self.sends(to, &frame),
                Action::End => self.is_over = true,
                Action::Report(_) => {}
            }
        }
        panic!("it never stops to act");
    }

    fn sends(&mut self, to: Side, frame: &ControlFrame) {
        assert!(!self.has_ended[to.other() as usize], "the stream to {to:?} was ended");
        self.ledgers[to.other() as usize].sends(frame.bytes());
        let own = &reference::frames(frame.bytes())[0];
        if own.opcode == 9 {
            let payload = own.payload(frame.bytes());
            self.ledgers[to as usize].asked(payload.clone());
            self.pings[to as usize] = Some(payload);
        }
    }

    /// A drain ends every session within its grace, and says who ended it.
    fn finish(mut self) {
        self.closes(3_000);
        self.acts();
        self.now += Duration::from_secs(3);
        self.acts();
        assert!(self.is_over, "a drain did not end it");
        assert_eq!(self.session.next_deadline(), None);
        let summary = self.session.summary();
        assert!(matches!(summary.ended_by, Some(EndedBy::Client | EndedBy::Server | EndedBy::Gateway)));
        assert!(summary.cause.is_some());
        self.ledgers.iter().for_each(|ledger| ledger.check(&self.session));
    }
}

fuzz_target!(|input: &[u8]| {
    let mut dials = Dials::new(input);
    let mut stage = Stage::new(&mut dials);
    while !dials.is_empty() {
        stage.step(&mut dials);
    }
    stage.ledgers.iter().for_each(|ledger| ledger.check(&stage.session));
    stage.finish();
});
