//! Control frames whose payload matters: Closes, and what may be the pong to the gateway's ping.

use super::capture::Capture;
use super::stretch::Stretch;
use super::watch::Watch;
use super::{Context, Direction, Event, Gate, Phase, refuses};
use crate::websocket::frame::{Header, Opcode};
use crate::websocket::policy::{Side, Validation, is_sound_control};
use crate::websocket::violation::{Violation, close_fault};

impl Direction {
    /// Whether the payload of a control frame matters to the gateway.
    pub(super) fn is_of_interest(&self, header: &Header, context: &Context<'_>) -> bool {
        let is_interesting = match header.opcode {
            Opcode::CLOSE => !self.has_closed,
            // A pong that began before the ping went out answers another one.
            Opcode::PONG => !self.has_closed && context.awaited.is_some() && header.payload_len == 8 && !self.is_open,
            _ => false,
        };
        is_interesting && is_sound_control(header, context.from)
    }

    pub(super) fn read_control<F: FnMut(&[u8])>(
        &mut self,
        stretch: &mut Stretch<'_, F>,
        context: &Context<'_>,
        watch: Option<&mut Watch>,
    ) -> Option<Event> {
        let capture = *self.control.take().expect("a control frame that is being collected has a place");
        let start = stretch.at;
        self.collect(capture, stretch, start, context, watch)
    }

    /// Collects a control frame, and decides once it is complete.
    pub(super) fn collect<F: FnMut(&[u8])>(
        &mut self,
        mut capture: Capture,
        stretch: &mut Stretch<'_, F>,
        start: usize,
        context: &Context<'_>,
        watch: Option<&mut Watch>,
    ) -> Option<Event> {
        self.opcode = capture.raw()[0] & 15;
        self.fin = true;
        stretch.at += capture.extend(stretch.rest());
        if capture.is_complete() {
            return if self.opcode == Opcode::PONG.0 {
                self.conclude_pong(&capture, stretch, start, context, watch)
            } else {
                Some(self.conclude_close(capture, stretch, start, context, watch))
            };
        }
        let may_be_taken_back = self.opcode == Opcode::PONG.0 || context.policy.validation == Validation::Enforce;
        if self.gate != Gate::Shut && may_be_taken_back && !self.is_open {
            self.withhold(stretch, start);
        } else {
            self.release(stretch, Some(&capture));
        }
        self.phase = Phase::Control;
        self.control = Some(Box::new(capture));
        None
    }

    fn conclude_pong<F: FnMut(&[u8])>(
        &mut self,
        capture: &Capture,
        stretch: &mut Stretch<'_, F>,
        start: usize,
        context: &Context<'_>,
        watch: Option<&mut Watch>,
    ) -> Option<Event> {
        let is_own = capture.with_payload(|payload| context.awaited.is_some_and(|awaited| awaited == payload));
        let is_judged = self.gate != Gate::Shut && !is_own && context.from == Side::Client;
        let is_refused = watch.is_some_and(|watch| is_judged && watch.is_over_messages(context.policy, context.now));
        if is_refused {
            self.shut_before(stretch, start);
        } else if !is_own {
            self.release(stretch, Some(capture));
        } else if self.gate != Gate::Shut {
            stretch.drop_since(start);
            self.withheld = 0;
        }
        self.end_frame(stretch);
        if is_refused { Some(Event::Refused(Violation::MessageRate)) } else { is_own.then_some(Event::Pong) }
    }

    fn conclude_close<F: FnMut(&[u8])>(
        &mut self,
        capture: Capture,
        stretch: &mut Stretch<'_, F>,
        start: usize,
        context: &Context<'_>,
        watch: Option<&mut Watch>,
    ) -> Event {
        let fault = match watch {
            Some(watch) if self.gate != Gate::Shut && context.policy.validation != Validation::Off => {
                let fault = capture.with_payload(close_fault);
                fault.into_iter().for_each(|fault| watch.violations.note(fault));
                fault.filter(|&fault| refuses(fault, context))
            }
            _ => None,
        };
        if fault.is_some() {
            self.shut_before(stretch, start);
        }
        self.release(stretch, Some(&capture));
        let passed = self.gate != Gate::Shut;
        self.has_closed = true;
        self.control = Some(Box::new(capture));
        self.end_frame(stretch);
        fault.map_or(Event::Close { passed }, Event::Refused)
    }
}
