//! The gateway's pings to one side.
//!
//! ```text
//!           silent for `interval`         between frames              its pong
//!   Quiet ───────────────────────► Due ──────────────────► Sent ─────────────────► Quiet
//!                                   ▲                        │ silent for `timeout` from the ping on
//!                                   │                        ├──────────────────────► dead
//!                                   │ silent for `interval`  │ something else
//!                                   └────────────────────────┘
//! ```
//!
//! Whatever a side sends shows that it lives, not only the pong: that has to wait for the end of a long frame. A pong that
//! comes behind something else is still taken for what it is, until the next ping is due. None is while the side is in the
//! middle of a frame; one that stays there in silence is dead after `interval` and `timeout`.

use super::policy::Ping;
use super::summary::RoundTrips;
use std::time::Duration;

/// Where the pings to one side stand. Times are nanoseconds since the session's start.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Heartbeat {
    sent_at: u64,
    payload: [u8; 8],
    /// In microseconds; `min` is over `max` while there was none.
    last: u32,
    min: u32,
    max: u32,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Quiet,
    Due,
    Sent,
}

/// What a look at the clock says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pulse {
    /// Nothing before that time.
    Fine(u64),
    /// A ping is to be sent as soon as one fits in.
    Ping,
    /// The side is dead.
    Dead,
}

impl Heartbeat {
    /// Looks at the clock; `heard` is when the side last sent anything, and `is_mid_frame` whether that was part of a frame.
    pub(super) fn look(&mut self, ping: &Ping, heard: u64, is_mid_frame: bool, now: u64) -> Pulse {
        let has_spoken = heard >= self.sent_at;
        if self.state == State::Sent && (!has_spoken || is_mid_frame) {
            // A side that owes the end of a frame can answer no sooner: another ping would only ask for a second pong.
            let silent_since = if has_spoken { heard.saturating_add(nanoseconds(ping.interval)) } else { self.sent_at };
            let until = silent_since.saturating_add(nanoseconds(ping.timeout));
            // A side that answers has to be asked anew before a long timeout is over.
            let again = until.min(now.saturating_add(nanoseconds(ping.interval)));
            return if now < until { Pulse::Fine(again) } else { Pulse::Dead };
        }
        let until = heard.saturating_add(nanoseconds(ping.interval));
        if now >= until {
            self.state = State::Due;
            return Pulse::Ping;
        }
        if self.state == State::Due {
            self.state = State::Quiet;
        }
        Pulse::Fine(until)
    }

    /// Whether a ping waits for the end of a frame.
    pub(super) fn is_due(&self) -> bool {
        self.state == State::Due
    }

    /// The ping goes out.
    pub(super) fn sent(&mut self, payload: [u8; 8], now: u64) {
        (self.state, self.payload, self.sent_at) = (State::Sent, payload, now);
    }

    /// What the pong that is waited for has to say.
    pub(super) fn awaited(&self) -> Option<[u8; 8]> {
        (self.state == State::Sent).then_some(self.payload)
    }

    /// The pong came.
    pub(super) fn answered(&mut self, now: u64) {
        let took = u32::try_from(now.saturating_sub(self.sent_at) / 1_000).unwrap_or(u32::MAX);
        self.min = if self.round_trips().is_some() { self.min.min(took) } else { took };
        // A round trip under a microsecond must still tell itself from none.
        self.max = self.max.max(took).max(1);
        self.last = took;
        self.state = State::Quiet;
    }

    /// The times that the pongs took.
    pub(super) fn round_trips(&self) -> Option<RoundTrips> {
        let micros = |micros: u32| Duration::from_micros(u64::from(micros));
        (self.max > 0).then(|| RoundTrips { last: micros(self.last), min: micros(self.min), max: micros(self.max) })
    }
}

/// A duration in nanoseconds; half a millennium stands for everything longer.
pub(super) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING: Ping = Ping { interval: Duration::from_nanos(100), timeout: Duration::from_nanos(50) };

    #[test]
    fn a_quiet_side_is_pinged_and_a_silent_one_is_dead() {
        let mut beat = Heartbeat::default();
        assert_eq!(beat.look(&PING, 10, false, 50), Pulse::Fine(110));
        assert_eq!(beat.look(&PING, 10, false, 110), Pulse::Ping);
        beat.sent([7; 8], 120);
        assert_eq!(beat.awaited(), Some([7; 8]));
        assert_eq!(beat.look(&PING, 10, false, 169), Pulse::Fine(170));
        assert_eq!(beat.look(&PING, 10, false, 170), Pulse::Dead);
    }

    #[test]
    fn whatever_a_side_sends_answers_a_ping_and_the_pong_is_awaited_still() {
        let mut beat = Heartbeat::default();
        assert_eq!(beat.look(&PING, 0, false, 100), Pulse::Ping);
        beat.sent([7; 8], 120);
        assert_eq!(beat.look(&PING, 160, false, 170), Pulse::Fine(260));
        assert_eq!(beat.look(&PING, 160, false, 259), Pulse::Fine(260));
        assert_eq!(beat.awaited(), Some([7; 8]));
        assert_eq!(beat.look(&PING, 160, false, 260), Pulse::Ping);
        assert_eq!(beat.awaited(), None);
        beat.sent([8; 8], 260);
        assert_eq!(beat.look(&PING, 160, false, 310), Pulse::Dead);
    }

    #[test]
    fn a_side_in_the_middle_of_a_frame_is_not_asked_twice() {
        let mut beat = Heartbeat::default();
        beat.sent([7; 8], 120);
        assert_eq!(beat.look(&PING, 160, true, 260), Pulse::Fine(310));
        assert_eq!(beat.look(&PING, 300, true, 310), Pulse::Fine(410));
        assert_eq!(beat.awaited(), Some([7; 8]));
        assert_eq!(beat.look(&PING, 300, true, 450), Pulse::Dead);
        assert_eq!(beat.look(&PING, 300, false, 450), Pulse::Ping);
    }

    #[test]
    fn a_side_that_speaks_before_its_ping_fits_in_needs_none() {
        let mut beat = Heartbeat::default();
        assert_eq!(beat.look(&PING, 0, false, 100), Pulse::Ping);
        assert!(beat.is_due());
        assert_eq!(beat.look(&PING, 150, false, 160), Pulse::Fine(250));
        assert!(!beat.is_due());
    }

    #[test]
    fn round_trips_are_measured() {
        let mut beat = Heartbeat::default();
        assert_eq!(beat.round_trips(), None);
        for (sent, answered) in [(0, 5_000), (10_000, 12_000), (20_000, 23_000)] {
            beat.sent([0; 8], sent);
            beat.answered(answered);
        }
        let micros = Duration::from_micros;
        assert_eq!(beat.round_trips(), Some(RoundTrips { last: micros(3), min: micros(2), max: micros(5) }));
        assert_eq!(beat.awaited(), None);
    }
}
