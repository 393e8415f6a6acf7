//! Finds the bytes of a body in the bytes of a connection, however the body is delimited.

use super::{BodyLength, ChunkError, ChunkedDecoder, Headers, Progress};

/// Reads one body. Bytes behind its end belong to the next message and are left alone.
#[derive(Debug, Clone)]
pub struct BodyDecoder {
    rest: Rest,
}

#[derive(Debug, Clone)]
enum Rest {
    Sized(u64),
    Chunked(Box<ChunkedDecoder>),
    UntilClose,
    Done(Option<Headers>),
}

impl BodyDecoder {
    /// A reader of a body of this length.
    pub fn new(length: BodyLength) -> BodyDecoder {
        let rest = match length {
            BodyLength::None | BodyLength::Sized(0) => Rest::Done(None),
            BodyLength::Sized(length) => Rest::Sized(length),
            BodyLength::Chunked => Rest::Chunked(Box::default()),
            BodyLength::UntilClose => Rest::UntilClose,
        };
        BodyDecoder { rest }
    }

    /// Whether the whole body was seen.
    pub fn is_done(&self) -> bool {
        matches!(self.rest, Rest::Done(_))
    }

    /// Whether the end of the connection is this body's end.
    pub fn ends_with_connection(&self) -> bool {
        matches!(self.rest, Rest::UntilClose)
    }

    /// Hands the body bytes in `input` to `take`, piece by piece, until about `room` bytes were handed over. Returns how many
    /// bytes of `input` were used up.
    pub fn decode(&mut self, input: &[u8], room: usize, mut take: impl FnMut(&[u8])) -> Result<usize, ChunkError> {
        match &mut self.rest {
            Rest::Done(_) => Ok(0),
            Rest::UntilClose => {
                let length = input.len().min(room);
                take(&input[..length]);
                Ok(length)
            }
            Rest::Sized(rest) => {
                let length = usize::try_from(*rest).unwrap_or(usize::MAX).min(input.len()).min(room);
                take(&input[..length]);
                *rest -= length as u64;
                if *rest == 0 {
                    self.rest = Rest::Done(None);
                }
                Ok(length)
            }
            Rest::Chunked(decoder) => {
                let (mut used, mut handed) = (0_usize, 0_usize);
                while handed < room {
                    let window = &input[used..input.len().min(used.saturating_add(room - handed))];
                    let (step, progress) = decoder.advance(window)?;
                    used += step;
                    match progress {
                        Progress::Data(range) => {
                            handed += range.len();
                            take(&window[range]);
                        }
                        Progress::More if used == input.len() => break,
                        Progress::More => {}
                        Progress::End => {
                            self.rest = Rest::Done(Some(decoder.trailers()));
                            break;
                        }
                    }
                }
                Ok(used)
            }
        }
    }

    /// The trailers of a chunked body that is done; taken once.
    pub fn take_trailers(&mut self) -> Headers {
        match &mut self.rest {
            Rest::Done(trailers) => trailers.take().unwrap_or_default(),
            _ => Headers::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sized_body_leaves_the_next_message_alone() {
        let mut decoder = BodyDecoder::new(BodyLength::Sized(5));
        let mut body = Vec::new();
        assert_eq!(decoder.decode(b"helloGET", 100, |bytes| body.extend_from_slice(bytes)), Ok(5));
        assert!(decoder.is_done());
        assert_eq!(body, b"hello");
    }

    #[test]
    fn room_bounds_what_is_handed_over_at_once() {
        let bytes = b"3\r\nabc\r\n4\r\ndefg\r\n0\r\nT: 1\r\n\r\nrest";
        for room in 1..12 {
            let mut decoder = BodyDecoder::new(BodyLength::Chunked);
            let (mut body, mut used) = (Vec::new(), 0);
            while !decoder.is_done() {
                let before = body.len();
                used += decoder.decode(&bytes[used..], room, |bytes| body.extend_from_slice(bytes)).expect("good");
                assert!(body.len() - before <= room);
            }
            assert_eq!((&body[..], used), (&b"abcdefg"[..], bytes.len() - 4));
            assert_eq!(decoder.take_trailers().first("t"), Some(&b"1"[..]));
        }
    }
}
