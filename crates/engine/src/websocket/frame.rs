//! Frame headers: read as their bytes come, and written. RFC 6455 section 5.2.

/// The longest header: two bytes, eight of length, four of mask.
pub const HEADER_BYTES_MAX: usize = 14;

/// The longest payload of a control frame. RFC 6455 section 5.5.
pub(super) const CONTROL_BYTES_MAX: usize = 125;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opcode(pub u8);

impl Opcode {
    /// A further fragment of a message.
    pub const CONTINUATION: Opcode = Opcode(0);
    /// A message of text, or its first fragment.
    pub const TEXT: Opcode = Opcode(1);
    /// A message of bytes, or its first fragment.
    pub const BINARY: Opcode = Opcode(2);
    /// The end of what this side says.
    pub const CLOSE: Opcode = Opcode(8);
    /// A question whether the other side is there.
    pub const PING: Opcode = Opcode(9);
    /// The answer to a ping.
    pub const PONG: Opcode = Opcode(10);

    /// Whether it may stand between the fragments of a message.
    pub fn is_control(self) -> bool {
        self.0 & 8 != 0
    }

    /// Whether no specification gives it a meaning.
    pub fn is_reserved(self) -> bool {
        !matches!(self.0, 0..=2 | 8..=10)
    }
}

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The last fragment of its message.
    pub fin: bool,
    /// The three reserved bits: RSV1 is 4, RSV2 2, RSV3 1.
    pub rsv: u8,
    /// What the frame is.
    pub opcode: Opcode,
    /// Whether the payload is masked.
    pub masked: bool,
    /// The payload's length as it was sent, even where the RFC forbids it (2^63 and more).
    pub payload_len: u64,
    /// The masking key; zeros where the payload is not masked.
    pub mask: [u8; 4],
}

impl Header {
    /// Reads the header at the start of `bytes`, and how long it is. `None`: it is not all there.
    pub fn decode(bytes: &[u8]) -> Option<(Header, usize)> {
        let (&first, &second) = (bytes.first()?, bytes.get(1)?);
        let length = wire_length(second);
        let wire = bytes.get(..length)?;
        let masked = second & 0x80 != 0;
        let mask = match wire.last_chunk::<4>() {
            Some(&mask) if masked => mask,
            _ => [0; 4],
        };
        let payload_len = match second & 0x7f {
            126 => u64::from(u16::from_be_bytes([wire[2], wire[3]])),
            127 => wire[2..10].iter().fold(0, |length, &byte| length << 8 | u64::from(byte)),
            short => u64::from(short),
        };
        let header = Header {
            fin: first & 0x80 != 0,
            rsv: first >> 4 & 7,
            opcode: Opcode(first & 15),
            masked,
            payload_len,
            mask,
        };
        Some((header, length))
    }

    /// Writes the header in its shortest form; so many of the bytes are its own.
    pub fn encode(&self) -> ([u8; HEADER_BYTES_MAX], usize) {
        let mut wire = [0; HEADER_BYTES_MAX];
        wire[0] = u8::from(self.fin) << 7 | (self.rsv & 7) << 4 | self.opcode.0 & 15;
        let (length, short) = match self.payload_len {
            short @ 0..126 => (2, short as u8),
            126..0x1_0000 => (4, 126),
            _ => (10, 127),
        };
        wire[1] = u8::from(self.masked) << 7 | short;
        // The extended length is the end of the big-endian number.
        wire[2..length].copy_from_slice(&self.payload_len.to_be_bytes()[10 - length..][..length - 2]);
        if !self.masked {
            return (wire, length);
        }
        wire[length..length + 4].copy_from_slice(&self.mask);
        (wire, length + 4)
    }

    /// How long the header is in its shortest form.
    pub fn encoded_len(&self) -> usize {
        let length = match self.payload_len {
            0..126 => 2,
            126..0x1_0000 => 4,
            _ => 10,
        };
        length + if self.masked { 4 } else { 0 }
    }
}

/// How long a header with this second byte is.
fn wire_length(second: u8) -> usize {
    let extended = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    2 + extended + if second & 0x80 != 0 { 4 } else { 0 }
}

/// Reads one header from bytes that come in any portions.
#[derive(Debug, Clone, Copy, Default)]
pub struct HeaderParser {
    kept: [u8; HEADER_BYTES_MAX],
    length: u8,
}

impl HeaderParser {
    /// Reads on: how many of `bytes` belong to the header, and the header once it is complete. After that comes
    /// [`HeaderParser::reset`].
    pub fn push(&mut self, bytes: &[u8]) -> (usize, Option<Header>) {
        // The usual case: nothing needs to be kept.
        if self.length == 0
            && let Some((header, length)) = Header::decode(bytes)
        {
            return (length, Some(header));
        }
        for (index, &byte) in bytes.iter().enumerate() {
            self.kept[usize::from(self.length)] = byte;
            self.length += 1;
            if let Some((header, _)) = Header::decode(self.kept()) {
                return (index + 1, Some(header));
            }
        }
        (bytes.len(), None)
    }

    /// The header's bytes as far as they came in earlier portions than the one that completed it, or also with that.
    pub fn kept(&self) -> &[u8] {
        &self.kept[..usize::from(self.length)]
    }

    /// Starts over, for the next header.
    pub fn reset(&mut self) {
        self.length = 0;
    }
}

/// Masks bytes, or unmasks them; `offset` is where in the payload they start. RFC 6455 section 5.3.
pub fn apply_mask(bytes: &mut [u8], mask: [u8; 4], offset: usize) {
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte ^= mask[(offset + index) & 3];
    }
}

/// A small frame of the gateway's own, ready to be sent.
#[derive(Clone)]
pub struct ControlFrame {
    wire: [u8; 6 + CONTROL_BYTES_MAX],
    length: u8,
}

impl ControlFrame {
    /// A control frame. A payload over 125 bytes is cut there. `mask`: towards a server.
    pub fn new(opcode: Opcode, payload: &[u8], mask: Option<[u8; 4]>) -> ControlFrame {
        let payload = &payload[..payload.len().min(CONTROL_BYTES_MAX)];
        let header = Header {
            fin: true,
            rsv: 0,
            opcode,
            masked: mask.is_some(),
            payload_len: payload.len() as u64,
            mask: mask.unwrap_or_default(),
        };
        let (head, start) = header.encode();
        let mut wire = [0; 6 + CONTROL_BYTES_MAX];
        wire[..start].copy_from_slice(&head[..start]);
        let end = start + payload.len();
        wire[start..end].copy_from_slice(payload);
        apply_mask(&mut wire[start..end], header.mask, 0);
        ControlFrame { wire, length: u8::try_from(end).expect("131 bytes at most") }
    }

    /// A Close. A reason over 123 bytes is cut before the character that does not fit.
    pub fn close(code: u16, reason: &str, mask: Option<[u8; 4]>) -> ControlFrame {
        let mut payload = [0; CONTROL_BYTES_MAX];
        payload[..2].copy_from_slice(&code.to_be_bytes());
        let most = reason.len().min(CONTROL_BYTES_MAX - 2);
        let length = (0..=most).rev().find(|&end| reason.is_char_boundary(end)).unwrap_or(0);
        payload[2..2 + length].copy_from_slice(&reason.as_bytes()[..length]);
        ControlFrame::new(Opcode::CLOSE, &payload[..2 + length], mask)
    }

    /// The frame as it goes out.
    pub fn bytes(&self) -> &[u8] {
        &self.wire[..usize::from(self.length)]
    }
}

impl std::fmt::Debug for ControlFrame {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "ControlFrame({})", self.bytes().escape_ascii())
    }
}

/// The data frame at the beginning of `bytes`, if all of it is there: its FIN bit, the length of its payload, and its own.
pub(super) fn whole_data_frame(bytes: &[u8]) -> Option<(bool, u64, usize)> {
    let &[first, second] = bytes.first_chunk()?;
    let (length_bytes, payload_len) = match second & 0x7f {
        126 => (2, u64::from(u16::from_be_bytes(*bytes[2..].first_chunk()?))),
        127 => (8, u64::from_be_bytes(*bytes[2..].first_chunk()?)),
        length => (0, u64::from(length)),
    };
    let mask_bytes = if second & 0x80 == 0 { 0 } else { 4 };
    let frame_len = usize::try_from(payload_len).ok()?.checked_add(2 + length_bytes + mask_bytes)?;
    let is_whole_data = !Opcode(first & 0x0f).is_control() && frame_len <= bytes.len();
    is_whole_data.then_some((first & 0x80 != 0, payload_len, frame_len))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header() -> impl Strategy<Value = Header> {
        let length = prop_oneof![0..130_u64, 65_530..65_540_u64, any::<u64>()];
        (any::<bool>(), 0..8_u8, 0..16_u8, any::<Option<[u8; 4]>>(), length).prop_map(
            |(fin, rsv, opcode, mask, payload_len)| Header {
                fin,
                rsv,
                opcode: Opcode(opcode),
                masked: mask.is_some(),
                payload_len,
                mask: mask.unwrap_or_default(),
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(header in header()) {
            let (wire, length) = header.encode();
            prop_assert_eq!(length, header.encoded_len());
            prop_assert_eq!(Header::decode(&wire[..length]), Some((header, length)));
        }

        #[test]
        fn a_header_in_any_portions_is_the_same(header in header(), cut in 0..14_usize) {
            let (wire, length) = header.encode();
            let cut = cut.min(length - 1);
            let mut parser = HeaderParser::default();
            prop_assert_eq!(parser.push(&wire[..cut]), (cut, None));
            prop_assert_eq!(parser.push(&wire[cut..]), (length - cut, Some(header)));
            parser.reset();
            for (index, byte) in wire[..length].iter().enumerate() {
                let read = parser.push(std::slice::from_ref(byte));
                prop_assert_eq!(read, (1, (index + 1 == length).then_some(header)));
            }
        }
    }

    #[test]
    fn the_examples_of_the_rfc_are_understood() {
        let (header, length) = Header::decode(&[0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f]).unwrap();
        assert_eq!((header.fin, header.opcode, header.payload_len, length), (true, Opcode::TEXT, 5, 6));
        let mut hello = *b"\x7f\x9f\x4d\x51\x58";
        apply_mask(&mut hello, header.mask, 0);
        assert_eq!(&hello, b"Hello");
        let (header, length) = Header::decode(&[0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]).unwrap();
        assert_eq!((header.opcode, header.payload_len, length), (Opcode::BINARY, 65_536, 10));
    }

    #[test]
    fn a_length_of_two_to_the_63_is_read_as_it_is() {
        let (header, _) = Header::decode(&[0x82, 0x7f, 0x80, 0, 0, 0, 0, 0, 0, 0]).unwrap();
        assert_eq!(header.payload_len, 1 << 63);
    }

    #[test]
    fn a_control_frame_is_masked_towards_the_server() {
        let ping = ControlFrame::new(Opcode::PING, b"\x01\x02", Some([1, 2, 3, 4]));
        assert_eq!(ping.bytes(), [0x89, 0x82, 1, 2, 3, 4, 0, 0]);
        assert_eq!(ControlFrame::close(1001, "bye", None).bytes(), b"\x88\x05\x03\xe9bye");
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let frame = ControlFrame::close(1001, &"ä".repeat(100), Some([0; 4]));
        assert_eq!(frame.bytes().len(), 6 + 2 + 122);
    }
}
