use super::*;
use crate::websocket::policy::{OverRate, Rate};
use crate::websocket::violation::Violations;

/// A direction from a server, what it passed on, and what it found.
struct Line {
    direction: Direction,
    watch: Watch,
    policy: Policy,
    from: Side,
    awaited: Option<[u8; 8]>,
    passed: Vec<u8>,
    events: Vec<Event>,
}

impl Line {
    fn new(policy: Policy) -> Line {
        Line {
            direction: Direction::default(),
            watch: Watch::default(),
            policy,
            from: Side::Server,
            awaited: None,
            passed: Vec::new(),
            events: Vec::new(),
        }
    }

    fn enforcing() -> Line {
        Line::new(Policy { validation: Validation::Enforce, ..Policy::default() })
    }

    fn says(&mut self, mut bytes: &[u8]) -> &mut Line {
        let context =
            Context { policy: &self.policy, from: self.from, compressed: false, awaited: self.awaited, now: 0 };
        while !bytes.is_empty() {
            let mut pass = |bytes: &[u8]| self.passed.extend(bytes);
            let (read, event) = self.direction.advance(bytes, &context, Some(&mut self.watch), &mut pass);
            bytes = &bytes[read..];
            self.events.extend(event);
        }
        self
    }

    fn violations(&self) -> Violations {
        self.watch.violations
    }
}

#[test]
fn messages_and_their_bytes_are_counted_and_pass_as_they_are() {
    let mut line = Line::new(Policy::default());
    let bytes = b"\x01\x03Hel\x89\x00\x80\x02lo\x82\x01!\x82\x05unfin";
    line.says(bytes);
    assert_eq!(line.passed, bytes);
    assert_eq!(line.direction.counts(), (3, 11));
    let mut line = Line::new(Policy::default());
    line.says(&bytes[..bytes.len() - 1]);
    assert_eq!(line.direction.counts(), (2, 10));
}

#[test]
fn a_portion_without_events_is_passed_on_in_one_piece() {
    let mut pieces = 0;
    let policy = Policy::default();
    let context = Context { policy: &policy, from: Side::Server, compressed: false, awaited: None, now: 0 };
    let bytes = b"\x81\x01a\x81\x01b\x89\x01c\x81\x05d";
    let (read, event) = Direction::default().advance(bytes, &context, None, &mut |_: &[u8]| pieces += 1);
    assert_eq!((read, event, pieces), (bytes.len(), None, 1));
}

#[test]
fn the_other_side_is_between_frames_exactly_there() {
    let mut line = Line::new(Policy::default());
    for (byte, between) in b"\x81\x02ab\x81\x00".iter().zip([false, false, false, true, false, true]) {
        line.says(&[*byte]);
        assert_eq!(line.direction.is_between_frames(), between, "after {byte:#x}");
    }
}

#[test]
fn only_the_awaited_pong_is_swallowed() {
    for portion in 1..40 {
        let mut line = Line::new(Policy::default());
        line.awaited = Some(*b"12345678");
        for bytes in b"\x81\x01a\x8a\x0812345679\x8a\x00\x8a\x0812345678\x8a\x031234".chunks(portion) {
            line.says(bytes);
        }
        assert_eq!(line.passed, b"\x81\x01a\x8a\x0812345679\x8a\x00\x8a\x031234", "in portions of {portion}");
        assert_eq!(line.events, [Event::Pong]);
    }
}

#[test]
fn a_pong_in_part_leaves_the_other_side_between_frames() {
    let mut line = Line::new(Policy::default());
    line.awaited = Some(*b"12345678");
    line.says(b"\x81\x01a\x8a");
    assert!(line.direction.is_between_frames());
    line.says(b"\x08123");
    assert!(line.direction.is_between_frames());
    assert_eq!(line.passed, b"\x81\x01a");
    line.says(b"x");
    line.says(b"5678");
    assert_eq!(line.passed, b"\x81\x01a\x8a\x08123x5678");
}

#[test]
fn a_close_is_read_and_passed_on() {
    for portion in 1..10 {
        let mut line = Line::new(Policy::default());
        line.from = Side::Client;
        let frame = crate::websocket::ControlFrame::close(1001, "bye", Some([9, 8, 7, 6]));
        frame.bytes().chunks(portion).for_each(|bytes| _ = line.says(bytes));
        assert_eq!(line.passed, frame.bytes());
        assert_eq!(line.events, [Event::Close { passed: true }]);
        assert_eq!(line.direction.close(), Some(Close { code: 1001, reason: b"bye".to_vec() }));
    }
}

#[test]
fn a_refused_frame_does_not_pass_not_even_its_first_byte() {
    for portion in 1..12 {
        let mut line = Line::new(Policy { frame_bytes_max: Some(9), ..Policy::default() });
        b"\x81\x02ok\x82\x0a0123456789\x81\x01a".chunks(portion).for_each(|bytes| _ = line.says(bytes));
        assert_eq!(line.passed, b"\x81\x02ok");
        assert_eq!(line.events, [Event::Refused(Violation::FrameBytes)]);
        assert!(line.direction.is_between_frames());
        assert_eq!(line.direction.counts(), (1, 2));
    }
}

#[test]
fn a_message_is_measured_over_all_its_fragments() {
    let policy = Policy { message_bytes_max: Some(5), fragments_max: Some(3), ..Policy::default() };
    let mut line = Line::new(policy.clone());
    line.says(b"\x01\x03abc\x89\x03png\x80\x02de\x01\x03abc\x80\x03def");
    assert_eq!(line.events, [Event::Refused(Violation::MessageBytes)]);
    assert_eq!(line.passed, b"\x01\x03abc\x89\x03png\x80\x02de\x01\x03abc");
    let mut line = Line::new(policy);
    line.says(b"\x01\x00\x00\x00\x80\x00\x01\x00\x00\x00\x00\x00\x00\x00");
    assert_eq!(line.events, [Event::Refused(Violation::Fragments)]);
    assert_eq!(line.passed, b"\x01\x00\x00\x00\x80\x00\x01\x00\x00\x00\x00\x00");
}

#[test]
fn endless_continuations_are_just_a_long_message_where_nothing_limits_them() {
    let mut line = Line::new(Policy::default());
    line.says(b"\x01\x00");
    (0..10_000).for_each(|_| _ = line.says(b"\x00\x01x"));
    assert_eq!(line.direction.counts(), (0, 10_000));
    assert_eq!(line.passed.len(), 30_002);
}

#[test]
fn a_length_of_two_to_the_64_neither_overflows_nor_ends() {
    for second in [b"\x7f\xff\xff\xff\xff\xff\xff\xff\xff", b"\x7f\x80\x00\x00\x00\x00\x00\x00\x00"] {
        let mut line = Line::new(Policy { message_bytes_max: Some(u64::MAX), ..Policy::default() });
        line.says(b"\x02\x01a").says(b"\x80").says(second).says(&[0; 1000]);
        assert_eq!(line.passed.len(), 1013);
        assert_eq!(line.direction.counts(), (0, 1001));
        let mut line = Line::enforcing();
        line.says(b"\x82").says(second).says(&[0; 1000]);
        assert_eq!(line.events, [Event::Refused(Violation::Length)]);
        assert_eq!(line.passed, b"");
    }
}

#[test]
fn text_is_taken_back_with_its_frame_where_that_came_with_it() {
    let mut line = Line::enforcing();
    line.says(b"\x81\x02ok\x01\x02\xe2\x82\x80\x02aa\x81\x01b");
    assert_eq!(line.events, [Event::Refused(Violation::Text)]);
    assert_eq!(line.passed, b"\x81\x02ok\x01\x02\xe2\x82");
    assert!(line.direction.is_between_frames());
}

#[test]
fn text_whose_frame_has_begun_to_pass_is_cut() {
    let mut line = Line::enforcing();
    line.says(b"\x81\x06ab").says(b"c\xffde").says(b"\x81\x00");
    assert_eq!(line.events, [Event::Refused(Violation::Text)]);
    assert_eq!(line.passed, b"\x81\x06ab");
    assert!(line.direction.is_cut());
}

#[test]
fn text_that_ends_within_a_character_is_refused() {
    let mut line = Line::enforcing();
    line.says(b"\x01\x01\xc3\x80\x00");
    assert_eq!(line.events, [Event::Refused(Violation::Text)]);
    let mut line = Line::enforcing();
    line.says(b"\x01\x01\xc3\x89\x01\xff\x80\x01\xa4\x82\x01\xff");
    assert_eq!(line.events, []);
}

#[test]
fn reports_pass_everything_and_count() {
    let mut line = Line::new(Policy { validation: Validation::Report, ..Policy::default() });
    let bytes = b"\x80\x00\x81\x01\xff\xc1\x00\x83\x00\x81\x00\x89\x7e\x00\x01x\x88\x01\x03\x81\x00";
    line.says(bytes);
    assert_eq!(line.passed, bytes);
    let seen: Vec<_> = line.violations().kinds().collect();
    use Violation::*;
    assert_eq!(seen, [ReservedBits, ReservedOpcode, Continuation, Length, CloseCode, Text, AfterClose]);
    assert_eq!(line.events, [Event::Close { passed: true }]);
}

#[test]
fn data_after_a_close_passes_and_is_counted_unless_the_rfc_is_enforced() {
    let mut line = Line::new(Policy::default());
    line.says(b"\x88\x00\x81\x01a\x88\x00");
    assert_eq!(line.passed, b"\x88\x00\x81\x01a\x88\x00");
    assert_eq!(line.violations().count, 2);
    assert_eq!(line.events, [Event::Close { passed: true }]);
    let mut line = Line::enforcing();
    line.says(b"\x88\x00\x81").says(b"\x01a\x88\x00");
    assert_eq!(line.passed, b"\x88\x00");
    assert_eq!(line.events, [Event::Close { passed: true }, Event::Refused(Violation::AfterClose)]);
}

#[test]
fn a_bad_close_does_not_pass_where_the_rfc_is_enforced() {
    for portion in 1..6 {
        let mut line = Line::enforcing();
        b"\x81\x01a\x88\x02\x03\xed".chunks(portion).for_each(|bytes| _ = line.says(bytes));
        assert_eq!(line.passed, b"\x81\x01a");
        assert_eq!(line.events, [Event::Refused(Violation::CloseCode)]);
    }
}

#[test]
fn a_flood_of_pings_is_over_the_rate_of_messages() {
    let rate = Rate { per_second: 10, burst: 0 };
    let mut line = Line::new(Policy { messages_rate: Some(rate), over_rate: OverRate::Close, ..Policy::default() });
    line.from = Side::Client;
    (0..20).for_each(|_| _ = line.says(b"\x89\x80mask"));
    assert_eq!(line.passed.len(), 60);
    assert_eq!(line.events, [Event::Refused(Violation::MessageRate)]);
    line.policy.over_rate = OverRate::Slow;
    line = Line { direction: Direction::default(), watch: Watch::default(), ..line };
    (0..20).for_each(|_| _ = line.says(b"\x89\x80mask"));
    assert_eq!(line.watch.paused_until, 1_000_000_000);
}

#[test]
fn after_shutting_the_frame_under_way_passes_and_no_other() {
    let mut line = Line::new(Policy::default());
    line.says(b"\x81\x04ab");
    line.direction.shut();
    assert!(!line.direction.is_between_frames());
    line.says(b"cd\x81\x01x\x88\x00");
    assert_eq!(line.passed, b"\x81\x04abcd");
    assert!(line.direction.is_between_frames());
    assert_eq!(line.events, [Event::Close { passed: false }]);
}

#[test]
fn payload_can_pass_unread() {
    let mut line = Line::new(Policy::default());
    line.says(b"\x82\x7e\x10\x00abc");
    assert_eq!(line.direction.unread(Some(&line.watch)), 4093);
    line.direction.passed_unread(4000);
    assert_eq!(line.direction.unread(None), 93);
    assert!(!line.direction.is_between_frames());
    line.direction.passed_unread(93);
    assert!(line.direction.is_between_frames());
    assert_eq!(line.direction.counts(), (1, 4096));
    line.says(b"\x81\x01x");
    assert_eq!(line.direction.counts(), (2, 4097));
    let mut line = Line::enforcing();
    line.says(b"\x81\x7e\x10\x00abc");
    assert_eq!(line.direction.unread(Some(&line.watch)), 0);
}

#[test]
fn a_direction_stays_small() {
    let bytes = size_of::<Direction>();
    assert!(bytes <= 56, "{bytes} bytes");
}

#[test]
fn a_pong_behind_a_close_leaves_what_the_close_said() {
    let mut line = Line::new(Policy::default());
    line.awaited = Some(*b"whatever");
    line.says(b"\x88\x02\x03\xe8\x8a\x08what").says(b"ever\x81\x01a");
    assert_eq!(line.direction.close().map(|close| close.code), Some(1000));
    assert_eq!(line.events, [Event::Close { passed: true }]);
    assert_eq!(line.passed, b"\x88\x02\x03\xe8\x8a\x08whatever\x81\x01a");
}

#[test]
fn an_empty_last_fragment_that_ends_within_a_character_is_taken_back_however_it_is_cut() {
    for cut in 0..=2 {
        let mut line = Line::enforcing();
        let last = b"\x80\x00";
        line.says(b"\x01\x02a\xc3").says(&last[..cut]).says(&last[cut..]);
        assert_eq!(line.passed, b"\x01\x02a\xc3", "cut after {cut}");
        assert_eq!(line.events, [Event::Refused(Violation::Text)], "cut after {cut}");
        assert!(line.direction.is_between_frames() && !line.direction.is_cut(), "cut after {cut}");
        assert_eq!(line.direction.counts(), (0, 2), "cut after {cut}");
    }
}
