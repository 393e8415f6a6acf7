//! A control frame whose payload matters, as it came.

use crate::websocket::frame::{CONTROL_BYTES_MAX, HEADER_BYTES_MAX, Header, apply_mask};

/// The header and as much of the payload as there is.
#[derive(Debug, Clone)]
pub(super) struct Capture {
    raw: [u8; HEADER_BYTES_MAX + CONTROL_BYTES_MAX],
    header_length: u8,
    payload_length: u8,
    length: u8,
    mask: [u8; 4],
}

impl Capture {
    /// Begins with the header; `wire` are its bytes, and its payload has at most 125.
    pub(super) fn new(header: &Header, wire: &[u8]) -> Capture {
        let mut raw = [0; HEADER_BYTES_MAX + CONTROL_BYTES_MAX];
        raw[..wire.len()].copy_from_slice(wire);
        let payload_length = header.payload_len.min(CONTROL_BYTES_MAX as u64) as u8;
        let length = wire.len() as u8;
        Capture { raw, header_length: length, payload_length, length, mask: header.mask }
    }

    /// Takes what belongs to the frame from `bytes`: how many that is.
    pub(super) fn extend(&mut self, bytes: &[u8]) -> usize {
        let (start, end) = (usize::from(self.length), usize::from(self.header_length + self.payload_length));
        let taken = bytes.len().min(end - start);
        self.raw[start..start + taken].copy_from_slice(&bytes[..taken]);
        self.length += taken as u8;
        taken
    }

    /// Whether the frame is all there.
    pub(super) fn is_complete(&self) -> bool {
        self.length == self.header_length + self.payload_length
    }

    /// The frame as it came, as far as it came.
    pub(super) fn raw(&self) -> &[u8] {
        &self.raw[..usize::from(self.length)]
    }

    /// Gives `look` the payload in clear.
    pub(super) fn with_payload<R>(&self, look: impl FnOnce(&[u8]) -> R) -> R {
        let mut clear = [0; CONTROL_BYTES_MAX];
        let payload = &self.raw[usize::from(self.header_length)..usize::from(self.length)];
        clear[..payload.len()].copy_from_slice(payload);
        apply_mask(&mut clear[..payload.len()], self.mask, 0);
        look(&clear[..payload.len()])
    }
}
