//! The end of a WebSocket, once the gateway takes part in it.

use super::{Action, Session};
use crate::websocket::frame::ControlFrame;
use crate::websocket::policy::Side;
use crate::websocket::summary::{Cause, Close, EndedBy};
use std::borrow::Cow;
use std::time::{Duration, Instant};

/// An end under way.
#[derive(Debug)]
pub(super) struct Closing {
    client: Notice,
    server: Notice,
    /// Both sides have closed on their own, and only their streams' ends are waited for.
    pub(super) is_lingering: bool,
    /// A side whose echo is not worth waiting for.
    dead: Option<Side>,
    /// When it is over in any case, in nanoseconds since the session's start.
    pub(super) until: u64,
}

/// A Close of the gateway's.
#[derive(Debug, Clone)]
struct Notice {
    code: u16,
    reason: Cow<'static, str>,
    was_sent: bool,
}

impl Notice {
    fn new(code: u16, reason: impl Into<Cow<'static, str>>) -> Notice {
        Notice { code, reason: reason.into(), was_sent: false }
    }
}

impl Closing {
    /// Nobody's fault.
    pub(super) fn same_for_both(code: u16, reason: impl Into<Cow<'static, str>>) -> Closing {
        let notice = Notice::new(code, reason);
        Closing { client: notice.clone(), server: notice, is_lingering: false, dead: None, until: u64::MAX }
    }

    /// `side` is told what it did, and the other one that its peer is gone.
    pub(super) fn for_fault_of(side: Side, code: u16, reason: &'static str) -> Closing {
        let both = Closing::same_for_both(code, reason);
        match side {
            Side::Client => Closing { server: Notice::new(1001, "client was disconnected"), ..both },
            Side::Server => Closing { client: Notice::new(1011, "server was disconnected"), ..both },
        }
    }

    /// `side` didn't answer a ping.
    pub(super) fn for_death_of(side: Side) -> Closing {
        Closing { dead: Some(side), ..Closing::for_fault_of(side, 1011, "ping timeout") }
    }

    /// Both sides have closed.
    pub(super) fn lingering() -> Closing {
        Closing { is_lingering: true, ..Closing::same_for_both(1000, "") }
    }

    /// The same, over at that time in any case.
    pub(super) fn over_at(self, until: u64) -> Closing {
        Closing { until, ..self }
    }

    /// The gateway's Close to `side`, if it went out.
    pub(super) fn sent(&self, side: Side) -> Option<Close> {
        let notice = match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        };
        notice.was_sent.then(|| Close { code: notice.code, reason: notice.reason.as_bytes().to_vec() })
    }

    fn send(&mut self, side: Side) -> &Notice {
        let notice = match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        };
        notice.was_sent = true;
        notice
    }
}

impl Session {
    /// The gateway ends the WebSocket.
    pub(super) fn begin_closing(&mut self, closing: Closing, cause: Cause, now: Instant, grace: Duration) {
        self.note_end(EndedBy::Gateway, cause);
        self.client.shut();
        self.server.shut();
        let extra = self.extra.get_or_insert_with(|| Box::new(super::Extra::bare(now)));
        extra.begin_closing(closing, now, grace);
    }

    /// Sends the Closes that fit in by now; ends when there is nothing left to wait for.
    pub(super) fn poll_closing(&mut self, now: Instant) -> Option<Action> {
        for to in Side::BOTH {
            if self.owes_close(to) && self.direction(to.other()).is_between_frames() {
                let mask = self.mask(to);
                let notice = self.extra.as_mut()?.closing.as_mut()?.send(to);
                let frame = ControlFrame::close(notice.code, &notice.reason, mask);
                self.note_told(to);
                return Some(Action::Send { to, frame });
            }
        }
        let extra = self.extra.as_ref()?;
        let closing = extra.closing.as_ref()?;
        let is_over = extra.elapsed(now) >= closing.until || !Side::BOTH.into_iter().any(|side| self.awaits(side));
        if !is_over {
            return None;
        }
        self.extra.as_mut()?.is_over = true;
        Some(Action::End)
    }

    /// Whether the gateway's Close can still go to `side`, now or at the end of a frame.
    fn owes_close(&self, side: Side) -> bool {
        let is_lingering =
            self.extra.as_ref().and_then(|extra| extra.closing.as_ref()).is_none_or(|closing| closing.is_lingering);
        !is_lingering && !self.was_told(side) && !self.has_ended(side.other()) && !self.direction(side.other()).is_cut()
    }

    /// Whether the end waits for `side`: to tell it, or for its answer.
    fn awaits(&self, side: Side) -> bool {
        let Some(closing) = self.extra.as_ref().and_then(|extra| extra.closing.as_ref()) else { return false };
        if closing.is_lingering {
            return !Side::BOTH.into_iter().any(|side| self.has_ended(side));
        }
        if self.has_ended(side) || closing.dead == Some(side) {
            return false;
        }
        self.owes_close(side) || self.was_told(side) && !self.direction(side).has_closed()
    }
}
