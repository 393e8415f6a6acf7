//! What only some sockets need, and all that has to do with time. Times are nanoseconds since the start of it.

use super::closing::Closing;
use super::{Cause, Session};
use crate::websocket::direction::Watch;
use crate::websocket::heartbeat::{Heartbeat, Pulse, nanoseconds};
use crate::websocket::policy::{Ping, Policy, Rate, Side};
use crate::websocket::violation::Violation;
use std::time::{Duration, Instant};

/// The rarer part of a session.
#[derive(Debug)]
pub(super) struct Extra {
    started: Instant,
    /// When to look at the clocks again. Earlier than needed is fine.
    due: u64,
    /// When the socket is too old.
    ages_at: u64,
    client: SideExtra,
    server: SideExtra,
    /// The kinds of violations that were reported, a bit each.
    reported: u16,
    /// The end was announced.
    pub(super) is_over: bool,
    pub(super) closing: Option<Box<Closing>>,
}

/// One side's share of it.
#[derive(Debug, Default)]
struct SideExtra {
    /// When it last sent anything.
    heard: u64,
    /// When it last sent anything that was passed on.
    spoke: u64,
    heartbeat: Heartbeat,
    watch: Watch,
}

impl Extra {
    /// For a socket that wants nothing of it but to end.
    pub(super) fn bare(now: Instant) -> Extra {
        Extra {
            started: now,
            due: 0,
            ages_at: u64::MAX,
            client: SideExtra::default(),
            server: SideExtra::default(),
            reported: 0,
            is_over: false,
            closing: None,
        }
    }

    pub(super) fn new(policy: &Policy, now: Instant, dice: &mut impl FnMut() -> u64) -> Extra {
        let ages_at = policy.age_max.map_or(u64::MAX, |most| nanoseconds(shortened(most, policy.age_jitter, dice)));
        Extra { ages_at, ..Extra::bare(now) }
    }

    pub(super) fn elapsed(&self, now: Instant) -> u64 {
        nanoseconds(now.saturating_duration_since(self.started))
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.due != u64::MAX && self.elapsed(now) >= self.due
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let due = Some(self.due).filter(|&due| due != u64::MAX && !self.is_over)?;
        self.started.checked_add(Duration::from_nanos(due))
    }

    /// Has the clocks looked at again right away.
    pub(super) fn wake(&mut self, now: Instant) {
        self.due = self.due.min(self.elapsed(now));
    }

    fn side(&self, side: Side) -> &SideExtra {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }

    fn side_mut(&mut self, side: Side) -> &mut SideExtra {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    pub(super) fn watch(&self, side: Side) -> &Watch {
        &self.side(side).watch
    }

    pub(super) fn watch_mut(&mut self, side: Side) -> &mut Watch {
        &mut self.side_mut(side).watch
    }

    pub(super) fn heartbeat(&self, side: Side) -> &Heartbeat {
        &self.side(side).heartbeat
    }

    pub(super) fn hears(&mut self, from: Side, now: Instant) {
        self.side_mut(from).heard = self.elapsed(now);
    }

    pub(super) fn spoke(&mut self, from: Side, now: Instant) {
        self.side_mut(from).spoke = self.elapsed(now);
    }

    /// Looks at the clocks when the rest ends that `from` may have to take by now.
    pub(super) fn note_pause(&mut self, from: Side) {
        self.due = self.due.min(self.pause(from));
    }

    pub(super) fn is_answered(&mut self, from: Side, now: Instant) {
        let now = self.elapsed(now);
        self.side_mut(from).heartbeat.answered(now);
    }

    pub(super) fn is_over_bytes(&mut self, length: u64, rate: &Rate, policy: &Policy, now: Instant) -> bool {
        let now = self.elapsed(now);
        let is_over = self.client.watch.is_over_bytes(length, rate, policy.over_rate, now);
        if is_over {
            self.client.watch.violations.note(Violation::ByteRate);
        }
        is_over
    }

    /// Until when `from` rests; `u64::MAX`: it does not.
    fn pause(&self, from: Side) -> u64 {
        match self.watch(from).paused_until {
            0 => u64::MAX,
            until => until,
        }
    }

    pub(super) fn paused_until(&self, from: Side) -> Option<Instant> {
        let until = Some(self.pause(from)).filter(|&until| until != u64::MAX)?;
        self.started.checked_add(Duration::from_nanos(until))
    }

    pub(super) fn allowance(&self, from: Side, policy: &Policy, unread: u64, now: Instant) -> usize {
        match from {
            Side::Client => self.client.watch.allowance(policy, unread, self.elapsed(now)),
            Side::Server => usize::MAX,
        }
    }

    /// Whether a ping to `to` waits for a place, and is still wanted.
    pub(super) fn wants_ping(&mut self, to: Side, ping: &Ping, now: Instant) -> bool {
        if !self.heartbeat(to).is_due() {
            return false;
        }
        let now = self.elapsed(now);
        let silent_since = self.side(to).heard;
        match self.side_mut(to).heartbeat.look(ping, silent_since, false, now) {
            Pulse::Fine(until) => {
                self.due = self.due.min(until);
                false
            }
            Pulse::Ping | Pulse::Dead => true,
        }
    }

    /// A ping goes to `to`.
    pub(super) fn pings(&mut self, to: Side, payload: [u8; 8], ping: &Ping, now: Instant) {
        let now = self.elapsed(now);
        self.side_mut(to).heartbeat.sent(payload, now);
        self.due = self.due.min(now.saturating_add(nanoseconds(ping.timeout.min(ping.interval))));
    }

    /// A kind of violation that was seen and not reported yet.
    pub(super) fn unreported(&mut self) -> Option<Violation> {
        let seen = self.client.watch.violations.and(self.server.watch.violations);
        let new = seen.kinds_but(self.reported)?;
        self.reported |= 1 << new as u8;
        Some(new)
    }

    pub(super) fn begin_closing(&mut self, closing: Closing, now: Instant, grace: Duration) {
        let until = self.elapsed(now).saturating_add(nanoseconds(grace));
        match &mut self.closing {
            Some(closing) => closing.until = closing.until.min(until),
            None => self.closing = Some(Box::new(closing.over_at(until))),
        }
        self.wake(now);
    }

    /// Ends the rests that are over. When the next one is.
    fn end_pauses(&mut self, now: u64) -> u64 {
        for side in Side::BOTH {
            let side = self.side_mut(side);
            let until = side.watch.paused_until;
            if until <= now {
                // It could say nothing before.
                (side.heard, side.spoke) = (side.heard.max(until), side.spoke.max(until));
                side.watch.paused_until = 0;
            }
        }
        self.pause(Side::Client).min(self.pause(Side::Server))
    }

    /// A side that rests for a rate's sake could say nothing before.
    fn silent_since(&self, side: Side, since: u64) -> u64 {
        since.max(self.watch(side).paused_until)
    }
}

impl Session {
    /// Does what the clocks say, and sets the time of the next look.
    pub(super) fn look_at_clocks(&mut self, now: Instant) {
        let Some(extra) = &mut self.extra else { return };
        let elapsed = extra.elapsed(now);
        let pauses = extra.end_pauses(elapsed);
        let is_closing = extra.closing.is_some();
        let ends = if is_closing { u64::MAX } else { self.look_at_ends(elapsed, now) };
        if let Some(extra) = &mut self.extra {
            // The grace of a closing that is over needs no further look: the end is announced at once.
            let closes = extra.closing.as_ref().map(|closing| closing.until).filter(|&until| elapsed < until);
            extra.due = closes.unwrap_or(ends).min(pauses);
        }
    }

    /// Age, silence and missing pongs. When to look again.
    fn look_at_ends(&mut self, elapsed: u64, now: Instant) -> u64 {
        let ages_at = self.extra.as_ref().map_or(u64::MAX, |extra| extra.ages_at);
        if elapsed >= ages_at {
            self.close(1001, "maximum age", Cause::Age, now, self.grace());
            return u64::MAX;
        }
        let mut due = ages_at;
        for side in Side::BOTH {
            let idle_at = self.idle_at(side);
            if elapsed >= idle_at {
                self.close(1001, "idle", Cause::Idle, now, self.grace());
                return u64::MAX;
            }
            match self.pulse(side, elapsed) {
                Some(Pulse::Dead) => {
                    let closing = Closing::for_death_of(side);
                    self.begin_closing(closing, Cause::PingTimeout, now, self.grace());
                    return u64::MAX;
                }
                Some(Pulse::Fine(until)) => due = due.min(until),
                Some(Pulse::Ping) | None => {}
            }
            due = due.min(idle_at);
        }
        due
    }

    /// When `side` will have been idle for too long.
    fn idle_at(&self, side: Side) -> u64 {
        let may_speak = !self.has_ended(side) && !self.direction(side).has_closed();
        match (&self.extra, self.policy.idle(side)) {
            (Some(extra), Some(idle)) if may_speak => {
                extra.silent_since(side, extra.side(side).spoke).saturating_add(nanoseconds(idle))
            }
            _ => u64::MAX,
        }
    }

    fn pulse(&mut self, side: Side, elapsed: u64) -> Option<Pulse> {
        let ping = self.policy.ping.filter(|_| self.can_be_pinged(side))?;
        let is_mid_frame = self.direction(side).is_in_frame();
        let extra = self.extra.as_mut()?;
        let silent_since = extra.silent_since(side, extra.side(side).heard);
        Some(extra.side_mut(side).heartbeat.look(&ping, silent_since, is_mid_frame, elapsed))
    }
}

/// A time that falls short of `most` by up to the share `jitter` of it.
fn shortened(most: Duration, jitter: f64, dice: &mut impl FnMut() -> u64) -> Duration {
    let jitter = if (0.0..=1.0).contains(&jitter) { jitter } else { 0.0 };
    let drawn = dice() as f64 / u64::MAX as f64;
    most.mul_f64((1.0 - jitter * drawn).clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_falls_short_by_at_most_its_jitter() {
        let most = Duration::from_secs(100);
        assert_eq!(shortened(most, 0.2, &mut || 0), most);
        assert_eq!(shortened(most, 0.2, &mut || u64::MAX), Duration::from_secs(80));
        assert_eq!(shortened(most, 1.0, &mut || u64::MAX), Duration::ZERO);
        for no_share in [f64::NAN, -1.0, 1.5, f64::INFINITY] {
            assert_eq!(shortened(most, no_share, &mut || u64::MAX), most);
        }
    }

    #[test]
    fn the_rarer_part_stays_small_too() {
        let bytes = size_of::<Extra>();
        assert!(bytes <= 384, "{bytes} bytes");
    }
}
