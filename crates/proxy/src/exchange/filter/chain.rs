//! What the body of one response goes through, link by link.

use bytes::Bytes;
use culvert_engine::template::Template;

/// One change of a body.
pub(super) trait Link: Send {
    /// Takes a piece of the body and appends what comes of it. An error is a line for the log: the body can't go on.
    fn feed(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), String>;

    /// Appends what is still inside, though more may come.
    fn flush(&mut self, _out: &mut Vec<u8>) -> Result<(), String> {
        Ok(())
    }

    /// Appends what is left at the end of the body.
    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), String>;

    /// Bytes in and out, of a compressor.
    fn ratio(&self) -> Option<(u64, u64)> {
        None
    }
}

/// The links of one response.
#[derive(Default)]
pub(in crate::exchange) struct Chain {
    links: Vec<Box<dyn Link>>,
    /// Names and values of `add_trailer`.
    pub(super) trailers: Vec<(Bytes, Template)>,
    /// How much of a body is taken at once: little where much may come of it.
    pub(super) step_bytes: usize,
    /// A flush would bring something out.
    is_dirty: bool,
    /// Why the body could not go on.
    pub(super) failure: Option<String>,
}

/// How much of a body is taken at once.
const STEP_BYTES: usize = 16 * 1024;

impl Chain {
    /// Whether there is nothing to do.
    pub(super) fn is_empty(&self) -> bool {
        self.links.is_empty() && self.trailers.is_empty()
    }

    /// Adds a link behind the others.
    pub(super) fn push(&mut self, link: impl Link + 'static) {
        if self.step_bytes == 0 {
            self.step_bytes = STEP_BYTES;
        }
        self.links.push(Box::new(link));
    }

    /// What comes of a piece.
    pub(super) fn feed(&mut self, input: &[u8]) -> Result<Vec<u8>, String> {
        self.is_dirty = true;
        self.run(input.to_vec(), |_, _| Ok(()))
    }

    /// Whether a flush would bring something out.
    pub(super) fn is_dirty(&self) -> bool {
        self.is_dirty
    }

    /// What a flush brings out.
    pub(super) fn flush(&mut self) -> Result<Vec<u8>, String> {
        if !std::mem::take(&mut self.is_dirty) {
            return Ok(Vec::new());
        }
        self.run(Vec::new(), |link, out| link.flush(out))
    }

    /// What is left at the end.
    pub(super) fn finish(&mut self) -> Result<Vec<u8>, String> {
        self.is_dirty = false;
        self.run(Vec::new(), |link, out| link.finish(out))
    }

    fn run(
        &mut self,
        mut piece: Vec<u8>,
        mut after: impl FnMut(&mut dyn Link, &mut Vec<u8>) -> Result<(), String>,
    ) -> Result<Vec<u8>, String> {
        for link in &mut self.links {
            let mut out = Vec::with_capacity(piece.len());
            if !piece.is_empty() {
                link.feed(&piece, &mut out)?;
            }
            after(link.as_mut(), &mut out)?;
            piece = out;
        }
        Ok(piece)
    }

    /// Bytes in and out of the compressor, if there is one.
    pub(super) fn ratio(&self) -> Option<(u64, u64)> {
        self.links.iter().find_map(|link| link.ratio())
    }
}
