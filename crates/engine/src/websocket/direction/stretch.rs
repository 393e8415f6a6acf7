//! A portion of bytes on its way: what was read of it, and what of that was passed on.

/// The bytes up to `at` are read; those before `unpassed` are passed on, or dropped.
pub(super) struct Stretch<'a, F> {
    bytes: &'a [u8],
    pub(super) at: usize,
    unpassed: usize,
    /// Where the current frame starts, if it does so in this portion.
    pub(super) frame_start: Option<usize>,
    pass: &'a mut F,
}

impl<'a, F: FnMut(&[u8])> Stretch<'a, F> {
    pub(super) fn new(bytes: &'a [u8], pass: &'a mut F) -> Stretch<'a, F> {
        Stretch { bytes, at: 0, unpassed: 0, frame_start: None, pass }
    }

    /// What was not read yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// What was read, from `start` on.
    pub(super) fn since(&self, start: usize) -> &'a [u8] {
        &self.bytes[start..self.at]
    }

    /// Passes on what was read before `end`.
    pub(super) fn pass_until(&mut self, end: usize) {
        if self.unpassed < end {
            (self.pass)(&self.bytes[self.unpassed..end]);
            self.unpassed = end;
        }
    }

    /// Drops what was read from `start` on.
    pub(super) fn drop_since(&mut self, start: usize) {
        self.pass_until(start);
        self.unpassed = self.at;
    }

    /// Passes on bytes that came before this portion.
    pub(super) fn insert(&mut self, bytes: &[u8]) {
        (self.pass)(bytes);
    }
}
