//! One direction of a WebSocket: reads the headers of its frames as they pass, counts, and judges where it is told to.
//!
//! ```text
//!               ┌────────── a frame ends ───────────┐
//!               ▼                                   │        Header: between frames, or in a header
//!   ┌───► Header ── header complete ──► Payload ────┤        Payload: of no interest
//!   │           └── Close, awaited pong ─► Control ─┘        Control: collected
//! ```
//!
//! Bytes pass as they come. They are withheld only where they might have to be taken back: a header while a frame can be
//! refused for it, a Close while it can be refused for its payload, and what may be the pong to the gateway's own ping.
//! Withheld bytes leave the other side between two frames.

mod capture;
mod control;
mod stretch;
mod watch;

#[cfg(test)]
mod tests;

use capture::Capture;
use stretch::Stretch;
pub(super) use watch::Watch;
use watch::is_rated;

use super::frame::{self, Header, HeaderParser, Opcode};
use super::policy::{Policy, Side, Validation};
use super::summary::Close;
use super::violation::{Violation, fault_of};

/// The state of one direction.
#[derive(Debug, Default)]
pub(super) struct Direction {
    /// Payload of the current frame that is still to come.
    remaining: u64,
    messages: u64,
    payload_bytes: u64,
    /// The control frame that is being collected, and in the end the Close.
    control: Option<Box<Capture>>,
    parser: HeaderParser,
    opcode: u8,
    fin: bool,
    in_message: bool,
    phase: Phase,
    gate: Gate,
    /// The other side has the start of a frame and not its end.
    is_open: bool,
    has_closed: bool,
    /// Bytes of the current frame that came in earlier portions and were not passed on.
    withheld: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    #[default]
    Header,
    Payload,
    Control,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Gate {
    /// Bytes pass.
    #[default]
    Open,
    /// They do to the end of the current frame.
    Closing,
    /// None do.
    Shut,
}

/// What a direction is told about the rest of the world.
pub(super) struct Context<'a> {
    pub(super) policy: &'a Policy,
    pub(super) from: Side,
    pub(super) compressed: bool,
    /// The payload of the ping that waits for a pong from here.
    pub(super) awaited: Option<[u8; 8]>,
    pub(super) now: u64,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// The pong to the gateway's ping, which was not passed on.
    Pong,
    /// A Close; whether it was passed on.
    Close { passed: bool },
    /// A frame that is not passed on, nor anything after it.
    Refused(Violation),
    /// A message that passes, but whose sender has to pause for its rate's sake.
    OverRate,
}

impl Direction {
    /// Reads `bytes` up to the next event: how many that were, and the event.
    pub(super) fn advance<F: FnMut(&[u8])>(
        &mut self,
        bytes: &[u8],
        context: &Context<'_>,
        mut watch: Option<&mut Watch>,
        pass: &mut F,
    ) -> (usize, Option<Event>) {
        let mut stretch = Stretch::new(bytes, pass);
        let mut event = None;
        while event.is_none() && !stretch.rest().is_empty() {
            let seen_by = watch.as_deref_mut();
            event = match self.phase {
                Phase::Header => self.read_header(&mut stretch, context, seen_by),
                Phase::Payload => self.read_payload(&mut stretch, context, seen_by),
                Phase::Control => self.read_control(&mut stretch, context, seen_by),
            };
            if let Some(watch) = watch.as_deref_mut()
                && std::mem::take(&mut watch.holds_rest)
            {
                event = event.or(Some(Event::OverRate));
            }
        }
        if self.gate != Gate::Shut {
            stretch.pass_until(stretch.at);
            self.is_open = self.is_in_frame() && self.withheld == 0;
        }
        (stretch.at, event)
    }

    /// Counts `bytes`, if they are nothing but whole data frames between two frames: the way of nearly all traffic, for
    /// directions that nobody judges. Otherwise nothing has happened, and [`Direction::advance`] is to read them.
    pub(super) fn passes_whole(&mut self, bytes: &[u8]) -> bool {
        if self.phase != Phase::Header || self.gate != Gate::Open || self.has_closed || !self.parser.kept().is_empty() {
            return false;
        }
        let (mut rest, mut messages, mut payload_bytes) = (bytes, 0, 0);
        let mut in_message = self.in_message;
        while !rest.is_empty() {
            let Some((fin, payload_len, frame_len)) = frame::whole_data_frame(rest) else { return false };
            messages += u64::from(fin);
            payload_bytes += payload_len;
            in_message = !fin;
            rest = &rest[frame_len..];
        }
        self.messages += messages;
        self.payload_bytes += payload_bytes;
        self.in_message = in_message;
        true
    }

    fn read_header<F: FnMut(&[u8])>(
        &mut self,
        stretch: &mut Stretch<'_, F>,
        context: &Context<'_>,
        mut watch: Option<&mut Watch>,
    ) -> Option<Event> {
        let (start, kept) = (stretch.at, self.parser.kept().len());
        let (used, header) = self.parser.push(stretch.rest());
        stretch.at += used;
        let Some(header) = header else {
            self.wait_for_header(stretch, start, context);
            return None;
        };
        // What is withheld of the header has not been passed either, so the frame can still be taken back whole.
        stretch.frame_start = (kept == usize::from(self.withheld)).then_some(start);
        let is_of_interest = self.is_of_interest(&header, context);
        let violation = self.judge(&header, kept + used, is_of_interest, context, watch.as_deref_mut());
        if violation.is_some() {
            self.shut_before(stretch, start);
        } else if is_of_interest {
            let wire = if kept == 0 { stretch.since(start) } else { self.parser.kept() };
            let capture = Capture::new(&header, wire);
            return self.collect(capture, stretch, start, context, watch);
        }
        self.begin(&header, context, watch.as_deref_mut());
        let event = self.read_payload(stretch, context, watch);
        violation.map(Event::Refused).or(event)
    }

    /// The bytes end within a header.
    fn wait_for_header<F: FnMut(&[u8])>(&mut self, stretch: &mut Stretch<'_, F>, start: usize, context: &Context<'_>) {
        let is_new = stretch.at - start == self.parser.kept().len();
        let may_be_pong = context.awaited.is_some() && self.parser.kept().first() == Some(&0x8a);
        let starts_withheld = is_new && (may_be_pong || context.policy.refuses_frames());
        if self.gate != Gate::Shut && (starts_withheld || self.withheld > 0) {
            self.withhold(stretch, start);
        }
    }

    /// Why a frame with this header must not pass.
    fn judge(
        &self,
        header: &Header,
        length: usize,
        is_of_interest: bool,
        context: &Context<'_>,
        watch: Option<&mut Watch>,
    ) -> Option<Violation> {
        let watch = watch.filter(|_| self.gate != Gate::Shut)?;
        let Context { policy, from, compressed, now, .. } = *context;
        let fault = if self.has_closed {
            Some(Violation::AfterClose)
        } else if policy.validation != Validation::Off {
            fault_of(header, length, from, compressed, self.in_message)
        } else {
            None
        };
        fault.into_iter().for_each(|fault| watch.violations.note(fault));
        if let Some(fault) = fault.filter(|&fault| refuses(fault, context)) {
            return Some(fault);
        }
        // What may be the gateway's own pong is rated once it turns out not to be.
        let is_rated = is_rated(header, from) && !(header.opcode == Opcode::PONG && is_of_interest);
        let refusal = watch.refusal(header, policy, is_rated, now);
        refusal.into_iter().for_each(|refusal| watch.violations.note(refusal));
        refusal
    }

    /// A frame begins whose payload doesn't matter, or is data.
    fn begin(&mut self, header: &Header, context: &Context<'_>, watch: Option<&mut Watch>) {
        self.remaining = header.payload_len;
        self.opcode = header.opcode.0;
        self.fin = header.fin;
        self.phase = Phase::Payload;
        if header.opcode.is_control() {
            return;
        }
        self.in_message = true;
        if let Some(watch) = watch {
            watch.begin_data(header, context.policy.validation != Validation::Off);
        }
    }

    fn read_payload<F: FnMut(&[u8])>(
        &mut self,
        stretch: &mut Stretch<'_, F>,
        context: &Context<'_>,
        watch: Option<&mut Watch>,
    ) -> Option<Event> {
        let start = stretch.at;
        let length = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(stretch.rest().len());
        stretch.at += length;
        let is_text = match watch {
            Some(watch) if self.gate != Gate::Shut && !self.is_control() => {
                let ends = self.fin && self.remaining == length as u64;
                let is_text = watch.is_text(stretch.since(start), ends);
                if !is_text {
                    watch.violations.note(Violation::Text);
                }
                is_text
            }
            _ => true,
        };
        let refused = !is_text && refuses(Violation::Text, context);
        if refused {
            // A frame that came with this portion is taken back whole; else the other side is left within it.
            self.is_open = stretch.frame_start.is_none();
            self.shut_before(stretch, stretch.frame_start.unwrap_or(start));
        }
        self.release(stretch, None);
        self.skip(length as u64);
        if self.remaining == 0 {
            self.end_frame(stretch);
        }
        refused.then_some(Event::Refused(Violation::Text))
    }

    /// Counts payload of the current frame that goes by.
    fn skip(&mut self, length: u64) {
        self.remaining -= length;
        if self.gate != Gate::Shut && !self.is_control() {
            self.payload_bytes += length;
        }
    }

    fn end_frame<F: FnMut(&[u8])>(&mut self, stretch: &mut Stretch<'_, F>) {
        if self.gate == Gate::Closing {
            stretch.pass_until(stretch.at);
        }
        self.leave_frame();
    }

    fn leave_frame(&mut self) {
        let ends_message = self.fin && !self.is_control();
        if self.gate != Gate::Shut {
            self.is_open = false;
            self.messages += u64::from(ends_message);
        }
        if self.gate == Gate::Closing {
            self.gate = Gate::Shut;
        }
        self.in_message &= !ends_message;
        self.phase = Phase::Header;
        self.parser.reset();
    }

    /// Keeps the bytes of the current frame, from `start` on, from the other side.
    fn withhold<F: FnMut(&[u8])>(&mut self, stretch: &mut Stretch<'_, F>, start: usize) {
        self.withheld += u8::try_from(stretch.at - start).expect("139 bytes at most: a header and 125 bytes");
        stretch.drop_since(start);
    }

    /// Passes on what was withheld of the current frame: of the control frame that was collected, or of the header.
    fn release<F: FnMut(&[u8])>(&mut self, stretch: &mut Stretch<'_, F>, capture: Option<&Capture>) {
        if self.withheld > 0 {
            let raw = capture.map_or(self.parser.kept(), Capture::raw);
            stretch.insert(&raw[..usize::from(self.withheld)]);
            self.withheld = 0;
        }
    }

    /// Passes nothing any more, from `start` of this portion on, nor what is withheld.
    fn shut_before<F: FnMut(&[u8])>(&mut self, stretch: &mut Stretch<'_, F>, start: usize) {
        stretch.pass_until(start);
        self.gate = Gate::Shut;
        self.withheld = 0;
    }

    fn is_control(&self) -> bool {
        Opcode(self.opcode).is_control()
    }

    /// Lets the current frame pass, as far as it has begun to, and nothing after it.
    pub(super) fn shut(&mut self) {
        if self.gate == Gate::Open {
            self.gate = if self.is_open { Gate::Closing } else { Gate::Shut };
            self.withheld = 0;
        }
    }

    /// Lets nothing pass from here on, even if the other side is left within a frame.
    pub(super) fn cut(&mut self) {
        self.gate = Gate::Shut;
        self.withheld = 0;
    }

    /// Whether the other side is between two frames, so that one of the gateway's own can go to it.
    pub(super) fn is_between_frames(&self) -> bool {
        !self.is_open
    }

    /// Whether a frame has begun to come and not ended.
    pub(super) fn is_in_frame(&self) -> bool {
        self.phase != Phase::Header || !self.parser.kept().is_empty()
    }

    /// Whether the other side will be within a frame for ever.
    pub(super) fn is_cut(&self) -> bool {
        self.is_open && self.gate == Gate::Shut
    }

    /// Whether bytes still pass.
    pub(super) fn is_passing(&self) -> bool {
        self.gate != Gate::Shut
    }

    /// Whether a Close came.
    pub(super) fn has_closed(&self) -> bool {
        self.has_closed
    }

    /// Whole messages that passed, and bytes of messages.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.messages, self.payload_bytes)
    }

    /// What the Close said.
    pub(super) fn close(&self) -> Option<Close> {
        let capture = self.control.as_ref().filter(|_| self.has_closed)?;
        Some(capture.with_payload(Close::from_payload))
    }

    /// How much of the current frame will pass without being looked at.
    pub(super) fn unread(&self, watch: Option<&Watch>) -> u64 {
        let is_read = watch.is_some_and(Watch::reads_text) && !self.is_control();
        if self.phase == Phase::Payload && self.is_passing() && !is_read { self.remaining } else { 0 }
    }

    /// Counts bytes that passed without being looked at: at most as many as [`Direction::unread`] said.
    pub(super) fn passed_unread(&mut self, length: u64) {
        self.skip(length.min(self.remaining));
        if self.phase == Phase::Payload && self.remaining == 0 {
            self.leave_frame();
        }
    }
}

/// Whether a violation keeps its frame from passing.
fn refuses(violation: Violation, context: &Context<'_>) -> bool {
    !violation.is_of_protocol() || context.policy.validation == Validation::Enforce
}
