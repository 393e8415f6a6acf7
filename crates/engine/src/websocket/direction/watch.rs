//! What one direction keeps only where a location wants more than counters: limits, rates, text, and what was wrong.

use crate::websocket::frame::{Header, Opcode};
use crate::websocket::policy::{OverRate, Policy, Rate, Side};
use crate::websocket::rate::Bucket;
use crate::websocket::utf8::Utf8;
use crate::websocket::violation::{Violation, Violations};

/// How much is read at once of a client whose messages are under a rate, unless it is in the middle of a longer frame: what
/// of it goes over the rate is held in memory.
const HELD_BYTES_MAX: u64 = 4 * 1024;

/// The state of the judgements on one direction.
#[derive(Debug, Default)]
pub(in crate::websocket) struct Watch {
    /// What was wrong so far.
    pub(in crate::websocket) violations: Violations,
    /// Until when the side is not to be read; 0: it may be.
    pub(in crate::websocket) paused_until: u64,
    /// The message that was counted last made the side pause: what it sent behind that one waits.
    pub(super) holds_rest: bool,
    message_bytes: u64,
    messages_rate: Bucket,
    bytes_rate: Bucket,
    fragments: u32,
    text: Option<Utf8>,
}

impl Watch {
    /// What the location does not allow about a frame with this header, `now`.
    pub(super) fn refusal(&mut self, header: &Header, policy: &Policy, rated: bool, now: u64) -> Option<Violation> {
        let opcode = header.opcode;
        if !policy.opcodes.contains(opcode) {
            return Some(Violation::Opcode);
        }
        if policy.frame_bytes_max.is_some_and(|most| header.payload_len > most) {
            return Some(Violation::FrameBytes);
        }
        if !opcode.is_control() {
            let is_first = opcode != Opcode::CONTINUATION;
            let (bytes, fragments) = if is_first { (0, 0) } else { (self.message_bytes, self.fragments) };
            self.message_bytes = bytes.saturating_add(header.payload_len);
            self.fragments = fragments.saturating_add(1);
            if policy.message_bytes_max.is_some_and(|most| self.message_bytes > most) {
                return Some(Violation::MessageBytes);
            }
            if policy.fragments_max.is_some_and(|most| self.fragments > most) {
                return Some(Violation::Fragments);
            }
        }
        (rated && self.is_over_messages(policy, now)).then_some(Violation::MessageRate)
    }

    /// Counts a message from the client against the location's rate; whether it is one too many.
    pub(super) fn is_over_messages(&mut self, policy: &Policy, now: u64) -> bool {
        let Some(rate) = &policy.messages_rate else { return false };
        let allowed_at = self.messages_rate.charge(rate, 1, now);
        self.holds_rest = allowed_at.is_some() && policy.over_rate == OverRate::Slow;
        self.is_refused(allowed_at, policy.over_rate)
    }

    /// Counts bytes from the client against the location's rate; whether they are too many.
    pub(in crate::websocket) fn is_over_bytes(&mut self, amount: u64, rate: &Rate, over: OverRate, now: u64) -> bool {
        let allowed_at = self.bytes_rate.charge(rate, amount, now);
        self.is_refused(allowed_at, over)
    }

    /// How many bytes to read of the client `now`, where it is slowed down; 0 while it pauses. `unread` is what is left of its
    /// current frame.
    ///
    /// A sixteenth of a second's worth is lent to it, or it would be read byte by byte.
    pub(in crate::websocket) fn allowance(&self, policy: &Policy, unread: u64, now: u64) -> usize {
        if self.paused_until > now {
            return 0;
        }
        if policy.over_rate != OverRate::Slow {
            return usize::MAX;
        }
        let messages = policy.messages_rate.map_or(u64::MAX, |_| unread.max(HELD_BYTES_MAX));
        let room = |rate| self.bytes_rate.room(rate, now).max(rate.per_second / 16).max(1);
        let bytes = policy.bytes_rate.as_ref().map_or(u64::MAX, room);
        usize::try_from(messages.min(bytes)).unwrap_or(usize::MAX)
    }

    fn is_refused(&mut self, allowed_at: Option<u64>, over: OverRate) -> bool {
        let Some(allowed_at) = allowed_at else { return false };
        if over == OverRate::Slow {
            self.paused_until = self.paused_until.max(allowed_at);
        }
        over == OverRate::Close
    }

    /// A frame of data begins: whether its text is to be looked at is settled by its message's first one.
    pub(super) fn begin_data(&mut self, header: &Header, validates: bool) {
        if header.opcode != Opcode::CONTINUATION {
            // RSV1 marks a compressed message, whose text nobody sees here.
            self.text = (validates && header.opcode == Opcode::TEXT && header.rsv == 0).then(Utf8::default);
        }
        if let Some(text) = &mut self.text {
            text.begin_frame(header.mask);
        }
    }

    /// Looks at payload of data. Whether it can still be text, if it is to be. `ends`: the message ends with it.
    pub(super) fn is_text(&mut self, payload: &[u8], ends: bool) -> bool {
        let Some(text) = &mut self.text else { return true };
        let good = text.feed(payload) && (!ends || text.is_whole());
        if ends || !good {
            self.text = None;
        }
        good
    }

    /// Whether payload has to be read for its text.
    pub(super) fn reads_text(&self) -> bool {
        self.text.is_some()
    }
}

/// Whether a frame counts against `messages_rate`: messages do, by their first frames, and so do pings and pongs, or they
/// would be the way around it.
pub(super) fn is_rated(header: &Header, from: Side) -> bool {
    from == Side::Client && header.opcode != Opcode::CONTINUATION && header.opcode != Opcode::CLOSE
}
