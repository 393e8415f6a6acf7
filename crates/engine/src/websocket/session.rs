//! A WebSocket seen by the gateway: both directions, the heartbeat, the clocks and the end.
//!
//! ```text
//!   Open ── a Close from both sides passed ──► Lingering ── a stream ended, or grace over ──► End
//!     │
//!     └── limit, rate, forbidden bytes, ping timeout, idle, age, drain ──► Closing: each side gets a Close at the next
//!            boundary of frames ── every echo came, or grace over ──► End
//! ```
//!
//! Who is at fault is told so: the code of its violation, or 1011 where it did not answer a ping. The other side learns that
//! its peer is gone in the words that fit: a server gets 1001, as from a browser that navigated away, a client 1011, as from
//! a server that failed. An end that is nobody's fault (idle, age, drain) is the same Close for both.

mod clocks;
mod closing;
mod dice;

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;

use clocks::Extra;
use closing::Closing;
use dice::Dice;

use super::direction::{Context, Direction, Event};
use super::frame::{ControlFrame, Header, Opcode};
use super::policy::{OverRate, Policy, Side, Validation};
use super::summary::{Cause, EndedBy, SideSummary, Summary};
use super::violation::{Violation, Violations};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the gateway waits, unless the policy says otherwise, for the echo of a Close that it sends on its own account, and how long two sides that have
/// closed may leave their streams open. Browsers give a server a few seconds, too.
const CLOSE_GRACE: Duration = Duration::from_secs(5);

/// One WebSocket. It is told what the sides send ([`Session::bytes`]), and says what is to be done ([`Session::poll_action`])
/// and when to ask again ([`Session::next_deadline`]).
pub struct Session {
    policy: Arc<Policy>,
    client: Direction,
    server: Direction,
    /// What only some sockets need: those of a location that wants more than counters, and those that end.
    extra: Option<Box<Extra>>,
    dice: Dice,
    compressed: bool,
    client_eof: bool,
    server_eof: bool,
    /// A Close has gone to the side, passed on or the gateway's own: nothing may follow it.
    client_told: bool,
    server_told: bool,
    ended_by: Option<EndedBy>,
    cause: Option<Cause>,
}

/// What is to be done.
#[derive(Debug, Clone)]
pub enum Action {
    /// Write the frame behind everything that goes to that side so far.
    Send {
        /// Whom to.
        to: Side,
        /// The frame, already masked where that is due.
        frame: ControlFrame,
    },
    /// Shut both streams once what is to be written to them is written. Comes once, and nothing after it.
    End,
    /// A kind of violation that was not seen before. Whether the WebSocket ends for it is for [`Session::summary`] to tell.
    Report(Violation),
}

impl Session {
    /// A WebSocket that has just opened. `compressed`: permessage-deflate was negotiated.
    pub fn new(policy: Arc<Policy>, compressed: bool, now: Instant, dice: &mut impl FnMut() -> u64) -> Session {
        let extra = (!policy.is_plain()).then(|| Box::new(Extra::new(&policy, now, dice)));
        Session {
            policy,
            client: Direction::default(),
            server: Direction::default(),
            extra,
            dice: Dice(dice()),
            compressed,
            client_eof: false,
            server_eof: false,
            client_told: false,
            server_told: false,
            ended_by: None,
            cause: None,
        }
    }

    /// Looks at bytes that `from` sent, before they are passed on. `pass` is given each stretch to pass on, in order: nearly
    /// always once and all of it. Not passed are the pongs to the gateway's own pings, a frame that is refused, and
    /// everything behind the latter or behind the gateway's own Close. What might become one of these waits for its rest:
    /// the header of a frame, and a Close or pong.
    ///
    /// A rate that slows a client down is for the caller to obey, by [`Session::allowance`]; where it is a rate of messages,
    /// by [`Session::bytes_within_rate`] as well.
    pub fn bytes(&mut self, from: Side, mut bytes: &[u8], now: Instant, mut pass: impl FnMut(&[u8])) {
        loop {
            bytes = &bytes[self.bytes_within_rate(from, bytes, now, &mut pass)..];
            if bytes.is_empty() {
                break;
            }
        }
    }

    /// The same, but stops behind a message that makes its sender pause: how many of `bytes` it took, at least one of any. The
    /// others are to be shown again, before any new ones, once [`Session::allowance`] is not 0.
    #[must_use = "what it does not take has to be shown again"]
    pub fn bytes_within_rate(&mut self, from: Side, bytes: &[u8], now: Instant, mut pass: impl FnMut(&[u8])) -> usize {
        if self.extra.is_none() && self.direction_mut(from).passes_whole(bytes) {
            pass(bytes);
            return bytes.len();
        }
        self.hears(from, bytes.len() as u64, now);
        let mut passed = false;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (read, event) = self.advance(from, rest, now, &mut |bytes| {
                passed = true;
                pass(bytes);
            });
            rest = &rest[read..];
            match event {
                Some(Event::OverRate) => break,
                Some(event) => self.on_event(from, event, now),
                None => {}
            }
        }
        let taken = bytes.len() - rest.len();
        self.has_taken(from, taken as u64, passed, now);
        taken
    }

    /// How many of the next bytes from `from` are payload that will pass without being looked at: they may be moved from
    /// socket to socket by other means, in any portions, if [`Session::moved`] is told.
    pub fn unread(&self, from: Side) -> u64 {
        self.direction(from).unread(self.extra.as_deref().map(|extra| extra.watch(from)))
    }

    /// The data frame that begins with `bytes`, which come next from `from`: how long its header is, and how much payload it
    /// announces. `None` where that is not known yet, within a frame, for a control frame, and where the payload may be text
    /// that has to be read.
    pub fn announced(&self, from: Side, bytes: &[u8]) -> Option<(usize, u64)> {
        let (header, length) = Header::decode(bytes)?;
        let validates = self.policy.validation != Validation::Off;
        let may_be_text = header.rsv == 0 && matches!(header.opcode, Opcode::TEXT | Opcode::CONTINUATION);
        let is_read = header.opcode.is_control() || (validates && may_be_text);
        (!is_read && !self.direction(from).is_in_frame()).then_some((length, header.payload_len))
    }

    /// Counts bytes from `from` that were passed on without being shown: at most [`Session::unread`].
    pub fn moved(&mut self, from: Side, length: u64, now: Instant) {
        // Counted before the rates are looked at: what breaks one has passed all the same.
        self.direction_mut(from).passed_unread(length);
        self.hears(from, length, now);
        self.has_taken(from, length, true, now);
    }

    /// What is to be done now besides passing bytes: to be called until `None` after [`Session::bytes`],
    /// [`Session::moved`], [`Session::close`] and [`Session::end_of_stream`], and when the deadline comes.
    pub fn poll_action(&mut self, now: Instant) -> Option<Action> {
        if self.extra.as_ref()?.is_over {
            return None;
        }
        if self.extra.as_ref()?.is_due(now) {
            self.look_at_clocks(now);
        }
        let extra = self.extra.as_mut()?;
        if let Some(kind) = extra.unreported() {
            return Some(Action::Report(kind));
        }
        if extra.closing.is_some() { self.poll_closing(now) } else { self.poll_ping(now) }
    }

    /// How many bytes to read of `from` at most, for a rate's sake. 0: none, until [`Session::next_deadline`] comes.
    pub fn allowance(&self, from: Side, now: Instant) -> usize {
        let Some(extra) = &self.extra else { return usize::MAX };
        extra.allowance(from, &self.policy, self.unread(from), now)
    }

    /// Whether reads from `from` should rest for a rate's sake, and until when.
    pub fn paused_until(&self, from: Side) -> Option<Instant> {
        self.extra.as_ref()?.paused_until(from)
    }

    /// When to call [`Session::poll_action`] again if nothing happens. It may come early and for nothing: it isn't moved
    /// for every message. `None`: never.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.extra.as_ref()?.deadline()
    }

    /// Begins to close: a Close with this code and reason goes to both sides that had none yet, each between two frames;
    /// then the echoes are waited for, at most for `grace`. What the sides still say is not passed on. If it is closing
    /// already, it only ends no later than that. A reason over 123 bytes is cut.
    pub fn close(
        &mut self,
        code: u16,
        reason: impl Into<Cow<'static, str>>,
        cause: Cause,
        now: Instant,
        grace: Duration,
    ) {
        self.begin_closing(Closing::same_for_both(code, reason), cause, now, grace);
    }

    /// The stream from `from` has ended; what is passed on of it is complete.
    pub fn end_of_stream(&mut self, from: Side, now: Instant) {
        match from {
            Side::Client => self.client_eof = true,
            Side::Server => self.server_eof = true,
        }
        self.note_end(from.into(), Cause::EndOfStream);
        if let Some(extra) = &mut self.extra {
            extra.wake(now);
        }
    }

    /// Says why the WebSocket ended, where the session can't know: a reset, a timeout of the tunnel. Whoever ended it first
    /// stays the one who did.
    pub fn note_end(&mut self, by: EndedBy, cause: Cause) {
        if self.cause.is_none() {
            (self.ended_by, self.cause) = (Some(by), Some(cause));
        }
    }

    /// Says that `from` was not read up to now, because the other side took nothing: its silence means nothing, as if it had just spoken. To be told
    /// before [`Session::poll_action`] at a deadline.
    pub fn excuse(&mut self, from: Side, now: Instant) {
        if let Some(extra) = &mut self.extra {
            extra.hears(from, now);
            extra.spoke(from, now);
        }
    }

    /// Whether the heartbeat looks after both sides, so that the tunnel's own idle timeout must not end it. No longer once
    /// a side has closed or ended its stream: it need not answer any more.
    pub fn tracks_idle(&self) -> bool {
        self.policy.ping.is_some() && Side::BOTH.into_iter().all(|side| self.can_be_pinged(side))
    }

    /// Whether a Close of both sides has passed: neither has anything more to say, so the end of one stream is the end of the
    /// other (RFC 6455 section 7.1.1).
    pub fn is_closed_by_both(&self) -> bool {
        self.extra.as_ref().and_then(|extra| extra.closing.as_ref()).is_some_and(|closing| closing.is_lingering)
    }

    /// Whether the gateway closes it, or has: nothing more that the sides say is passed on.
    pub fn is_closing(&self) -> bool {
        self.extra.as_ref().and_then(|extra| extra.closing.as_ref()).is_some_and(|closing| !closing.is_lingering)
    }

    /// What the WebSocket was so far.
    pub fn summary(&self) -> Summary {
        let violations = |side| self.extra.as_ref().map_or(Violations::default(), |extra| extra.watch(side).violations);
        Summary {
            client: self.side_summary(Side::Client),
            server: self.side_summary(Side::Server),
            ended_by: self.ended_by,
            cause: self.cause,
            violations: violations(Side::Client).and(violations(Side::Server)),
        }
    }

    fn side_summary(&self, side: Side) -> SideSummary {
        let direction = self.direction(side);
        let (messages, payload_bytes) = direction.counts();
        let extra = self.extra.as_ref();
        SideSummary {
            messages,
            payload_bytes,
            close: direction.close(),
            gateway_close: extra.and_then(|extra| extra.closing.as_ref()).and_then(|closing| closing.sent(side)),
            pings: extra.and_then(|extra| extra.heartbeat(side).round_trips()),
        }
    }

    /// Notes that bytes came from `from`, and closes for them where they are over a rate that wants that.
    fn hears(&mut self, from: Side, length: u64, now: Instant) {
        let Some(extra) = &mut self.extra else { return };
        extra.hears(from, now);
        if self.policy.over_rate == OverRate::Close && self.is_over_bytes(from, length, now) {
            self.client.cut();
            self.refuse(from, Violation::ByteRate, now);
        }
    }

    /// Notes that bytes from `from` were looked at, and has it pause where they are over a rate that slows down.
    fn has_taken(&mut self, from: Side, length: u64, passed: bool, now: Instant) {
        if self.extra.is_none() {
            return;
        }
        if self.policy.over_rate == OverRate::Slow {
            self.is_over_bytes(from, length, now);
        }
        if let Some(extra) = &mut self.extra {
            extra.note_pause(from);
            if passed {
                extra.spoke(from, now);
            }
        }
    }

    /// Holds bytes from `from` against the rate of bytes. Whether they are refused for it.
    fn is_over_bytes(&mut self, from: Side, length: u64, now: Instant) -> bool {
        let Some(extra) = &mut self.extra else { return false };
        let rate = self.policy.bytes_rate.as_ref().filter(|_| from == Side::Client && self.client.is_passing());
        rate.is_some_and(|rate| extra.is_over_bytes(length, rate, &self.policy, now))
    }

    fn advance<F: FnMut(&[u8])>(
        &mut self,
        from: Side,
        bytes: &[u8],
        now: Instant,
        pass: &mut F,
    ) -> (usize, Option<Event>) {
        let extra = self.extra.as_deref_mut();
        let context = Context {
            policy: &self.policy,
            from,
            compressed: self.compressed,
            awaited: extra.as_ref().and_then(|extra| extra.heartbeat(from).awaited()),
            now: extra.as_ref().map_or(0, |extra| extra.elapsed(now)),
        };
        let direction = match from {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        };
        direction.advance(bytes, &context, extra.map(|extra| extra.watch_mut(from)), pass)
    }

    fn on_event(&mut self, from: Side, event: Event, now: Instant) {
        match event {
            Event::Pong => {
                if let Some(extra) = &mut self.extra {
                    extra.is_answered(from, now);
                }
            }
            Event::Close { passed } => self.on_close(from, passed, now),
            // Its Close has passed already, and nothing can follow it.
            Event::Refused(Violation::AfterClose) => {}
            Event::OverRate => {}
            Event::Refused(violation) => self.refuse(from, violation, now),
        }
    }

    fn on_close(&mut self, from: Side, passed: bool, now: Instant) {
        self.note_end(from.into(), Cause::Close);
        if passed {
            self.note_told(from.other());
        }
        // From here on there is something to count: what comes behind the Close.
        let extra = self.extra.get_or_insert_with(|| Box::new(Extra::bare(now)));
        extra.wake(now);
        if extra.closing.is_none() && self.client.has_closed() && self.server.has_closed() {
            extra.begin_closing(Closing::lingering(), now, self.policy.close_wait.unwrap_or(CLOSE_GRACE));
        }
    }

    fn refuse(&mut self, from: Side, violation: Violation, now: Instant) {
        let closing = Closing::for_fault_of(from, violation.code(), violation.reason());
        self.begin_closing(closing, violation.cause(), now, self.grace());
    }

    /// How long the gateway waits for the echo of a Close of its own.
    fn grace(&self) -> Duration {
        self.policy.close_wait.unwrap_or(CLOSE_GRACE)
    }

    fn direction(&self, from: Side) -> &Direction {
        match from {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }

    fn direction_mut(&mut self, from: Side) -> &mut Direction {
        match from {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    fn has_ended(&self, side: Side) -> bool {
        match side {
            Side::Client => self.client_eof,
            Side::Server => self.server_eof,
        }
    }

    fn was_told(&self, side: Side) -> bool {
        match side {
            Side::Client => self.client_told,
            Side::Server => self.server_told,
        }
    }

    fn note_told(&mut self, side: Side) {
        match side {
            Side::Client => self.client_told = true,
            Side::Server => self.server_told = true,
        }
    }

    /// Whether `side` would answer a ping.
    fn can_be_pinged(&self, side: Side) -> bool {
        !self.was_told(side)
            && !self.direction(side).has_closed()
            && !self.has_ended(side)
            // The end of the other stream was passed on: this one can't be written to any more.
            && !self.has_ended(side.other())
    }

    /// Sends the pings that are due to sides that are between frames.
    fn poll_ping(&mut self, now: Instant) -> Option<Action> {
        let ping = self.policy.ping?;
        for to in Side::BOTH {
            let is_due = self.extra.as_mut()?.wants_ping(to, &ping, now);
            if is_due && self.can_be_pinged(to) && self.direction(to.other()).is_between_frames() {
                let payload = self.dice.roll().to_ne_bytes();
                let frame = ControlFrame::new(Opcode::PING, &payload, self.mask(to));
                self.extra.as_mut()?.pings(to, payload, &ping, now);
                return Some(Action::Send { to, frame });
            }
        }
        None
    }

    /// The masking key of a frame for `to`.
    fn mask(&mut self, to: Side) -> Option<[u8; 4]> {
        let [a, b, c, d, ..] = self.dice.roll().to_ne_bytes();
        (to == Side::Server).then_some([a, b, c, d])
    }
}
