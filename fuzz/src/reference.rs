//! A second opinion on where frames begin and end, written from RFC 6455 section 5.2 alone.

/// A frame in a stream of bytes, as far as it is there.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Its first byte's place in the stream.
    pub start: usize,
    /// Where it ends: one past its last byte. Beyond the stream's end if it is not all there.
    pub end: u128,
    /// Where its payload begins; `None` while its header is not all there.
    pub payload_at: Option<usize>,
    /// The last fragment of its message.
    pub fin: bool,
    /// The three reserved bits.
    pub reserved: u8,
    /// What it is.
    pub opcode: u8,
    /// The masking key, where there is one.
    pub mask: Option<[u8; 4]>,
}

impl Frame {
    /// Whether all of it is within `stream`.
    pub fn is_whole(&self, stream: &[u8]) -> bool {
        self.payload_at.is_some() && self.end <= stream.len() as u128
    }

    /// Whether it is about the connection and not part of a message.
    pub fn is_control(&self) -> bool {
        self.opcode >= 8
    }

    /// How much of its payload is within `stream`.
    pub fn payload_length(&self, stream: &[u8]) -> u64 {
        let Some(at) = self.payload_at else { return 0 };
        (self.end.min(stream.len() as u128) - at as u128) as u64
    }

    /// The bytes of a whole frame.
    pub fn wire<'a>(&self, stream: &'a [u8]) -> &'a [u8] {
        &stream[self.start..self.end as usize]
    }

    /// The payload of a whole frame in clear.
    pub fn payload(&self, stream: &[u8]) -> Vec<u8> {
        let payload = &stream[self.payload_at.expect("the frame is whole")..self.end as usize];
        let mask = self.mask.unwrap_or_default();
        payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key).collect()
    }

    /// Whether it is a control frame as RFC 6455 section 5.5 wants it, from a side that masks or does not.
    pub fn is_sound_control(&self, masks: bool) -> bool {
        let length = self.payload_at.map(|at| self.end - at as u128);
        self.is_control()
            && self.fin
            && self.reserved == 0
            && self.mask.is_some() == masks
            && length.is_some_and(|length| length <= 125)
    }
}

/// Cuts a stream into frames; the last one may not be all there.
pub fn frames(stream: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut start = 0;
    while start < stream.len() {
        let frame = frame_at(stream, start);
        let end = frame.end;
        let is_whole = frame.is_whole(stream);
        frames.push(frame);
        if !is_whole {
            break;
        }
        start = end as usize;
    }
    frames
}

fn frame_at(stream: &[u8], start: usize) -> Frame {
    let first = stream[start];
    let mut frame = Frame {
        start,
        end: u128::MAX,
        payload_at: None,
        fin: first >= 128,
        reserved: first / 16 % 8,
        opcode: first % 16,
        mask: None,
    };
    let mut rest = stream[start + 1..].iter().copied();
    let Some(second) = rest.next() else { return frame };
    let length_bytes = match second % 128 {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mut length = if length_bytes == 0 { u128::from(second % 128) } else { 0 };
    for _ in 0..length_bytes {
        let Some(byte) = rest.next() else { return frame };
        length = length * 256 + u128::from(byte);
    }
    if second >= 128 {
        let mut mask = [0; 4];
        for key in &mut mask {
            let Some(byte) = rest.next() else { return frame };
            *key = byte;
        }
        frame.mask = Some(mask);
    }
    let at = stream.len() - rest.len();
    frame.payload_at = Some(at);
    frame.end = at as u128 + length;
    frame
}
