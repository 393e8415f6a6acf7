//! The chunked transfer coding, read as bytes pass (RFC 9112 section 7.1).
//!
//! ```text
//! Size ──► Extension ──► SizeEnd ──► Data ──► DataCr ──► DataLf ──► Size …
//!                           └─ size 0 ──► Trailers ──► Done
//! ```

use super::Headers;
use std::ops::Range;

/// The most bytes that chunk extensions of one chunk may have; they are thrown away.
const EXTENSION_BYTES_MAX: usize = 4096;
/// The most bytes that the trailers of one body may have.
pub const TRAILER_BYTES_MAX: usize = 16 * 1024;

/// A chunked body that is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkError;

/// What a step of [`ChunkedDecoder::advance`] came upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Bytes of the body: a range of the input.
    Data(Range<usize>),
    /// The input is used up; more must be read.
    More,
    /// The body and its trailers are complete.
    End,
}

/// Finds the data in a chunked body.
#[derive(Debug, Clone, Default)]
pub struct ChunkedDecoder {
    state: State,
    remaining: u64,
    digits: u8,
    extension: usize,
    trailers: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Size,
    Extension,
    SizeEnd,
    Data,
    DataCr,
    DataLf,
    Trailers,
    Done,
}

impl ChunkedDecoder {
    /// Looks at `input`, the bytes that no earlier call took. Returns how many it takes and what it came upon.
    pub fn advance(&mut self, input: &[u8]) -> Result<(usize, Progress), ChunkError> {
        let mut at = 0;
        while at < input.len() {
            let byte = input[at];
            match self.state {
                State::Size => self.size(byte)?,
                State::Extension => self.extension(byte)?,
                State::SizeEnd => self.size_end(byte)?,
                State::Data => {
                    let length = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(input.len() - at);
                    self.remaining -= length as u64;
                    if self.remaining == 0 {
                        self.state = State::DataCr;
                    }
                    return Ok((at + length, Progress::Data(at..at + length)));
                }
                State::DataCr => self.expect(byte, b'\r', State::DataLf)?,
                State::DataLf => self.expect(byte, b'\n', State::Size)?,
                State::Trailers => self.trailer(byte)?,
                State::Done => return Ok((at, Progress::End)),
            }
            at += 1;
        }
        Ok((at, if self.state == State::Done { Progress::End } else { Progress::More }))
    }

    /// The trailers, once [`Progress::End`] was reported.
    pub fn trailers(&self) -> Headers {
        // The closing empty line is always there, and each line was checked when the last one ended.
        Headers::parse(&self.trailers).ok().flatten().map_or_else(Headers::default, |(headers, _)| headers)
    }

    fn size(&mut self, byte: u8) -> Result<(), ChunkError> {
        match (byte as char).to_digit(16) {
            Some(digit) if self.digits < 15 => {
                self.remaining = self.remaining * 16 + u64::from(digit);
                self.digits += 1;
            }
            _ if self.digits == 0 => return Err(ChunkError),
            None if byte == b'\r' => self.state = State::SizeEnd,
            None if matches!(byte, b';' | b' ' | b'\t') => {
                self.state = State::Extension;
                self.extension = 0;
            }
            _ => return Err(ChunkError),
        }
        Ok(())
    }

    fn extension(&mut self, byte: u8) -> Result<(), ChunkError> {
        self.extension += 1;
        match byte {
            b'\r' => self.state = State::SizeEnd,
            b'\n' | 0 => return Err(ChunkError),
            _ if self.extension > EXTENSION_BYTES_MAX => return Err(ChunkError),
            _ => {}
        }
        Ok(())
    }

    fn size_end(&mut self, byte: u8) -> Result<(), ChunkError> {
        self.digits = 0;
        let next = if self.remaining == 0 { State::Trailers } else { State::Data };
        self.expect(byte, b'\n', next)
    }

    fn trailer(&mut self, byte: u8) -> Result<(), ChunkError> {
        self.trailers.push(byte);
        if self.trailers.len() > TRAILER_BYTES_MAX {
            return Err(ChunkError);
        }
        if byte == b'\n' {
            let lines = self.trailers.strip_suffix(b"\r\n").ok_or(ChunkError)?;
            if lines.is_empty() || lines.ends_with(b"\r\n") {
                Headers::parse(&self.trailers).map_err(|_| ChunkError)?;
                self.state = State::Done;
            }
        }
        Ok(())
    }

    fn expect(&mut self, byte: u8, wanted: u8, next: State) -> Result<(), ChunkError> {
        self.state = next;
        if byte == wanted { Ok(()) } else { Err(ChunkError) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(mut input: &[u8], step: usize) -> Result<(Vec<u8>, Headers, usize), ChunkError> {
        let (mut decoder, mut body, mut taken) = (ChunkedDecoder::default(), Vec::new(), 0);
        loop {
            let window = &input[..step.min(input.len())];
            let (used, progress) = decoder.advance(window)?;
            taken += used;
            if let Progress::Data(range) = &progress {
                body.extend_from_slice(&window[range.clone()]);
            }
            input = &input[used..];
            match progress {
                Progress::End => return Ok((body, decoder.trailers(), taken)),
                Progress::More if input.is_empty() => return Err(ChunkError),
                _ => {}
            }
        }
    }

    #[test]
    fn a_body_decodes_the_same_however_it_is_split() {
        let bytes = b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nX-Sum: 1\r\n\r\nnext";
        for step in 1..bytes.len() {
            let (body, trailers, taken) = decode(bytes, step).expect("good");
            assert_eq!(
                (&*body, trailers.first("x-sum"), taken),
                (&b"hello world"[..], Some(&b"1"[..]), bytes.len() - 4)
            );
        }
    }

    #[test]
    fn sizes_and_line_ends_are_strict() {
        for bytes in [
            "x\r\n",
            "\r\n",
            "5\nhello",
            "5\r\nhelloX",
            "5\r\nhello\n",
            "-1\r\n",
            "0x5\r\n",
            "ffffffffffffffff\r\n",
            "0\r\nbad line\r\n\r\n",
            "0\r\n\n",
        ] {
            assert_eq!(decode(bytes.as_bytes(), 64).map(|(body, ..)| body), Err(ChunkError), "{bytes:?}");
        }
    }

    #[test]
    fn extensions_and_trailers_are_bounded() {
        let extension = format!("1;{}", "x".repeat(EXTENSION_BYTES_MAX + 1));
        assert!(decode(extension.as_bytes(), 1 << 16).is_err());
        let trailers = format!("0\r\nA: {}", "x".repeat(TRAILER_BYTES_MAX));
        assert!(decode(trailers.as_bytes(), 1 << 16).is_err());
    }
}
