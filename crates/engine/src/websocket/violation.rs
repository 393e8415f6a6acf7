//! What a frame can do wrong: against RFC 6455, or against what a location allows.

use super::frame::{CONTROL_BYTES_MAX, Header, Opcode};
use super::policy::Side;
use super::summary::Cause;

/// One kind of wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Violation {
    /// A client's frame that is not masked, or a server's that is. RFC 6455 section 5.1.
    Masking,
    /// Reserved bits that no negotiated extension uses. RFC 6455 section 5.2.
    ReservedBits,
    /// An opcode without a meaning. RFC 6455 section 5.2.
    ReservedOpcode,
    /// A control frame that is fragmented or over 125 bytes. RFC 6455 section 5.5.
    ControlFrame,
    /// A continuation of nothing, or a new message within a message. RFC 6455 section 5.4.
    Continuation,
    /// A length over 2^63 - 1, or one in more bytes than it needs. RFC 6455 section 5.2.
    Length,
    /// A Close with half a code or one that must not be sent. RFC 6455 section 7.4.
    CloseCode,
    /// A Close whose reason is not UTF-8. RFC 6455 section 5.5.1.
    CloseReason,
    /// A text message that is not UTF-8. RFC 6455 section 8.1.
    Text,
    /// Anything behind a Close. RFC 6455 section 5.5.1.
    AfterClose,
    /// A frame over `frame_bytes_max`.
    FrameBytes,
    /// A message over `message_bytes_max`.
    MessageBytes,
    /// A message of more than `fragments_max` frames.
    Fragments,
    /// An opcode that is not allowed here.
    Opcode,
    /// More messages than `messages_rate`.
    MessageRate,
    /// More bytes than `bytes_rate`.
    ByteRate,
}

impl Violation {
    /// Every kind, in the order of their numbers.
    pub const ALL: [Violation; 16] = [
        Violation::Masking,
        Violation::ReservedBits,
        Violation::ReservedOpcode,
        Violation::ControlFrame,
        Violation::Continuation,
        Violation::Length,
        Violation::CloseCode,
        Violation::CloseReason,
        Violation::Text,
        Violation::AfterClose,
        Violation::FrameBytes,
        Violation::MessageBytes,
        Violation::Fragments,
        Violation::Opcode,
        Violation::MessageRate,
        Violation::ByteRate,
    ];

    /// The close code that tells a peer of it. RFC 6455 section 7.4.1.
    pub fn code(self) -> u16 {
        match self {
            Violation::CloseReason | Violation::Text => 1007,
            Violation::FrameBytes | Violation::MessageBytes => 1009,
            Violation::Fragments | Violation::Opcode | Violation::MessageRate | Violation::ByteRate => 1008,
            _ => 1002,
        }
    }

    /// The close reason that tells a peer of it; also what logs say.
    pub fn reason(self) -> &'static str {
        match self {
            Violation::Masking => "wrong masking",
            Violation::ReservedBits => "reserved bits set",
            Violation::ReservedOpcode => "reserved opcode",
            Violation::ControlFrame => "bad control frame",
            Violation::Continuation => "bad continuation",
            Violation::Length => "bad length",
            Violation::CloseCode => "bad close code",
            Violation::CloseReason => "close reason is not UTF-8",
            Violation::Text => "text is not UTF-8",
            Violation::AfterClose => "data after close",
            Violation::FrameBytes => "frame too big",
            Violation::MessageBytes => "message too big",
            Violation::Fragments => "too many fragments",
            Violation::Opcode => "opcode not allowed",
            Violation::MessageRate => "too many messages",
            Violation::ByteRate => "too many bytes",
        }
    }

    /// Why a socket ends that ends for it.
    pub fn cause(self) -> Cause {
        if self.is_of_protocol() {
            return Cause::Protocol;
        }
        match self {
            Violation::MessageRate | Violation::ByteRate => Cause::Rate,
            _ => Cause::Limit,
        }
    }

    /// Whether it is against RFC 6455 and not just against a limit of the location.
    pub fn is_of_protocol(self) -> bool {
        (self as u8) < Violation::FrameBytes as u8
    }

    fn bit(self) -> u16 {
        1 << self as u8
    }
}

/// What was seen of violations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Violations {
    /// How many in all.
    pub count: u32,
    kinds: u16,
}

impl Violations {
    /// The kinds that were seen.
    pub fn kinds(self) -> impl Iterator<Item = Violation> {
        Violation::ALL.into_iter().filter(move |&kind| self.contains(kind))
    }

    /// Whether such a one was seen.
    pub fn contains(self, kind: Violation) -> bool {
        self.kinds & kind.bit() != 0
    }

    /// A kind that was seen and has no bit in `known`.
    pub(super) fn kinds_but(self, known: u16) -> Option<Violation> {
        let new = self.kinds & !known;
        if new == 0 { None } else { Violation::ALL.get(new.trailing_zeros() as usize).copied() }
    }

    pub(super) fn note(&mut self, kind: Violation) {
        self.count = self.count.saturating_add(1);
        self.kinds |= kind.bit();
    }

    pub(super) fn and(self, other: Violations) -> Violations {
        Violations { count: self.count.saturating_add(other.count), kinds: self.kinds | other.kinds }
    }
}

/// What is wrong with a header of `length` bytes, by RFC 6455. `in_message`: fragments of a message went before it.
pub(super) fn fault_of(
    header: &Header,
    length: usize,
    from: Side,
    compressed: bool,
    in_message: bool,
) -> Option<Violation> {
    let Header { fin, rsv, opcode, masked, payload_len, .. } = *header;
    let is_first = !opcode.is_control() && opcode != Opcode::CONTINUATION;
    // RSV1 says that a message is compressed, on its first frame only. RFC 7692 section 6.
    let rsv_allowed = if compressed && is_first { 4 } else { 0 };
    if masked != (from == Side::Client) {
        Some(Violation::Masking)
    } else if opcode.is_reserved() {
        Some(Violation::ReservedOpcode)
    } else if rsv & !rsv_allowed != 0 {
        Some(Violation::ReservedBits)
    } else if opcode.is_control() && (!fin || payload_len > CONTROL_BYTES_MAX as u64) {
        Some(Violation::ControlFrame)
    } else if !opcode.is_control() && is_first == in_message {
        Some(Violation::Continuation)
    } else if payload_len >> 63 != 0 || length != header.encoded_len() {
        Some(Violation::Length)
    } else {
        None
    }
}

/// What is wrong with the payload of a Close.
pub(super) fn close_fault(payload: &[u8]) -> Option<Violation> {
    match payload {
        [] => None,
        [high, low, reason @ ..] if may_be_sent(u16::from_be_bytes([*high, *low])) => {
            std::str::from_utf8(reason).is_err().then_some(Violation::CloseReason)
        }
        _ => Some(Violation::CloseCode),
    }
}

/// Whether a close code may stand in a frame: the assigned ones, those of libraries and those of applications.
/// RFC 6455 section 7.4 and the registry that it opened.
fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(bytes: &[u8], from: Side, compressed: bool, in_message: bool) -> Option<Violation> {
        let (header, length) = Header::decode(bytes).expect("whole headers only");
        fault_of(&header, length, from, compressed, in_message)
    }

    #[test]
    fn each_rule_of_the_rfc_has_its_violation() {
        let server = |bytes: &[u8]| fault(bytes, Side::Server, false, false);
        assert_eq!(server(b"\x81\x05"), None);
        assert_eq!(server(b"\x81\x85mask"), Some(Violation::Masking));
        assert_eq!(fault(b"\x81\x05", Side::Client, false, false), Some(Violation::Masking));
        assert_eq!(server(b"\xc1\x05"), Some(Violation::ReservedBits));
        assert_eq!(server(b"\x83\x05"), Some(Violation::ReservedOpcode));
        assert_eq!(server(b"\x8b\x05"), Some(Violation::ReservedOpcode));
        assert_eq!(server(b"\x09\x05"), Some(Violation::ControlFrame));
        assert_eq!(server(b"\x89\x7e\x00\x7e"), Some(Violation::ControlFrame));
        assert_eq!(server(b"\x80\x05"), Some(Violation::Continuation));
        assert_eq!(fault(b"\x81\x05", Side::Server, false, true), Some(Violation::Continuation));
        assert_eq!(fault(b"\x89\x05", Side::Server, false, true), None);
        assert_eq!(server(b"\x81\x7e\x00\x7d"), Some(Violation::Length));
        assert_eq!(server(b"\x81\x7f\x00\x00\x00\x00\x00\x00\xff\xff"), Some(Violation::Length));
        assert_eq!(server(b"\x81\x7f\x80\x00\x00\x00\x00\x00\x00\x00"), Some(Violation::Length));
    }

    #[test]
    fn compression_may_mark_the_first_frame_of_a_message_only() {
        let server = |bytes: &[u8], in_message| fault(bytes, Side::Server, true, in_message);
        assert_eq!(server(b"\xc1\x05", false), None);
        assert_eq!(server(b"\xc0\x05", true), Some(Violation::ReservedBits));
        assert_eq!(server(b"\xc9\x05", false), Some(Violation::ReservedBits));
        assert_eq!(server(b"\xa1\x05", false), Some(Violation::ReservedBits));
    }

    #[test]
    fn a_close_may_have_no_payload_or_a_good_code_and_a_reason() {
        assert_eq!(close_fault(b""), None);
        assert_eq!(close_fault(b"\x03\xe8"), None);
        assert_eq!(close_fault(b"\x0f\xa0why"), None);
        assert_eq!(close_fault(b"\x03"), Some(Violation::CloseCode));
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, u16::MAX] {
            assert_eq!(close_fault(&u16::to_be_bytes(code)), Some(Violation::CloseCode), "{code}");
        }
        assert_eq!(close_fault(b"\x03\xe8\xff"), Some(Violation::CloseReason));
    }

    #[test]
    fn violations_are_counted_and_their_kinds_kept() {
        let mut seen = Violations::default();
        seen.note(Violation::Masking);
        seen.note(Violation::ByteRate);
        seen.note(Violation::ByteRate);
        assert_eq!(seen.count, 3);
        assert_eq!(seen.kinds().collect::<Vec<_>>(), [Violation::Masking, Violation::ByteRate]);
        for (number, kind) in Violation::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, number);
        }
    }
}
