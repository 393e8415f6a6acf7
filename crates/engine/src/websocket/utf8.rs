//! Whether a message's text is UTF-8, checked while it passes. RFC 6455 section 8.1.

use super::frame::apply_mask;

/// How much is unmasked at a time, on the stack.
const CHUNK_BYTES: usize = 2048;

/// One message's text so far: the start of a character whose rest is to come.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Utf8 {
    start: [u8; 3],
    started: u8,
    mask: [u8; 4],
    /// Where in the mask the next byte stands.
    offset: u8,
}

impl Utf8 {
    /// The next frame of the message begins.
    pub(super) fn begin_frame(&mut self, mask: [u8; 4]) {
        (self.mask, self.offset) = (mask, 0);
    }

    /// Looks at bytes of the frame as they were sent. Whether the text can still be UTF-8.
    pub(super) fn feed(&mut self, payload: &[u8]) -> bool {
        payload.chunks(CHUNK_BYTES).all(|chunk| self.feed_chunk(chunk))
    }

    /// Whether the text may end here.
    pub(super) fn is_whole(&self) -> bool {
        self.started == 0
    }

    fn feed_chunk(&mut self, chunk: &[u8]) -> bool {
        let mut clear = [0; CHUNK_BYTES + 3];
        let started = usize::from(self.started);
        let end = started + chunk.len();
        clear[..started].copy_from_slice(&self.start[..started]);
        clear[started..end].copy_from_slice(chunk);
        if self.mask != [0; 4] {
            apply_mask(&mut clear[started..end], self.mask, usize::from(self.offset));
            self.offset = (usize::from(self.offset) + chunk.len()) as u8 & 3;
        }
        match std::str::from_utf8(&clear[..end]) {
            Ok(_) => self.started = 0,
            Err(error) if error.error_len().is_some() => return false,
            Err(error) => {
                let rest = &clear[error.valid_up_to()..end];
                self.start[..rest.len()].copy_from_slice(rest);
                self.started = rest.len() as u8;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is_utf8(bytes: &[u8], portion: usize, mask: [u8; 4]) -> bool {
        let mut sent = bytes.to_vec();
        apply_mask(&mut sent, mask, 0);
        let mut text = Utf8::default();
        text.begin_frame(mask);
        sent.chunks(portion).all(|portion| text.feed(portion)) && text.is_whole()
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let any_bytes = prop::collection::vec(any::<u8>(), 0..12);
        let text = any::<String>().prop_map(String::into_bytes);
        prop_oneof![any_bytes.clone(), text.clone(), (text, any_bytes).prop_map(|(text, bytes)| [text, bytes].concat())]
    }

    proptest! {
        #[test]
        fn text_in_portions_is_judged_like_the_whole(bytes in bytes(), portion in 1..9_usize, mask: [u8; 4]) {
            prop_assert_eq!(is_utf8(&bytes, portion, mask), std::str::from_utf8(&bytes).is_ok());
        }
    }

    #[test]
    fn a_character_across_two_chunks_is_one() {
        let text = "€".repeat(3 * CHUNK_BYTES);
        assert!(is_utf8(text.as_bytes(), usize::MAX, [1, 2, 3, 4]));
        assert!(!is_utf8(&text.as_bytes()[..text.len() - 1], usize::MAX, [0; 4]));
    }

    #[test]
    fn what_can_never_become_utf_8_is_known_at_once() {
        for bytes in [&b"\xc0"[..], b"\xed\xa0", b"\xf4\x90", b"a\x80", b"\xe2\x82x"] {
            assert!(!Utf8::default().feed(bytes), "{bytes:?}");
        }
    }
}
