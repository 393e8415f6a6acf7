//! The far end of a connection: the browser's, or a backend's.

use super::Clock;
use super::response::Response;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// One far end. Nothing that it does moves the time.
pub(crate) struct End {
    name: String,
    io: DuplexStream,
    clock: Clock,
    /// Bytes that arrived and were not asked for yet.
    unread: Vec<u8>,
    /// The gateway has ended its direction.
    ended: bool,
}

impl End {
    pub(super) fn new(name: impl Into<String>, io: DuplexStream, clock: Clock) -> End {
        End { name: name.into(), io, clock, unread: Vec::new(), ended: false }
    }

    /// Which backend this is; `browser` for a client.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The bare pipe, for a far end that speaks more than bytes. Nothing was heard of it yet.
    pub(crate) fn into_pipe(self) -> DuplexStream {
        self.io
    }

    /// Sends `bytes`, which the gateway must take.
    #[track_caller]
    pub(crate) fn says(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        let taken = self.says_what_fits(bytes);
        assert_eq!(taken, bytes.len(), "{}: the gateway does not read all that is sent", self.name);
    }

    /// Sends as much of `bytes` as is taken. Returns how many were.
    #[track_caller]
    pub(crate) fn says_what_fits(&mut self, bytes: impl AsRef<[u8]>) -> usize {
        let (taken, error) = self.send(bytes.as_ref());
        if let Some(error) = error {
            panic!("{}: can't send: {error}", self.name);
        }
        taken
    }

    /// The same where the gateway may have closed. Returns how many bytes were taken.
    pub(crate) fn tries_to_say(&mut self, bytes: impl AsRef<[u8]>) -> usize {
        self.send(bytes.as_ref()).0
    }

    fn send(&mut self, bytes: &[u8]) -> (usize, Option<io::Error>) {
        let mut taken = 0;
        let failure = loop {
            if taken == bytes.len() {
                break None;
            }
            let written = self.write(&bytes[taken..]).or_else(|| {
                self.clock.settle();
                self.write(&bytes[taken..])
            });
            match written {
                Some(Ok(written)) => taken += written,
                Some(Err(error)) => break Some(error),
                None => break None,
            }
        };
        self.clock.settle();
        (taken, failure)
    }

    /// Hears exactly `expected` next, now.
    #[track_caller]
    pub(crate) fn hears(&mut self, expected: impl AsRef<[u8]>) {
        let expected = expected.as_ref();
        let heard = self.take_up_to(expected.len());
        if heard == expected {
            return;
        }
        if expected.len() > 4096 {
            let differs = heard.iter().zip(expected).position(|(a, b)| a != b).unwrap_or(heard.len());
            panic!("{}: heard {} bytes of {}, good up to {differs}", self.name, heard.len(), expected.len());
        }
        panic!(
            "{}: heard {:?}, not {:?}",
            self.name,
            heard.escape_ascii().to_string(),
            expected.escape_ascii().to_string()
        );
    }

    /// Hears a head, to its empty line.
    #[track_caller]
    pub(crate) fn hears_head(&mut self) -> String {
        self.read_all();
        let end = self.unread.windows(4).position(|window| window == b"\r\n\r\n");
        let end =
            end.unwrap_or_else(|| panic!("{}: no head in {:?}", self.name, self.unread.escape_ascii().to_string()));
        let rest = self.unread.split_off(end + 4);
        let head = std::mem::replace(&mut self.unread, rest);
        String::from_utf8(head).expect("a head is text")
    }

    /// Hears a whole response.
    #[track_caller]
    pub(crate) fn hears_response(&mut self) -> Response {
        self.read_all();
        match Response::take(&mut self.unread, self.ended) {
            Some(response) => response,
            None => panic!("{}: no response in {:?}", self.name, self.unread.escape_ascii().to_string()),
        }
    }

    /// The same, where it may not be there yet.
    pub(crate) fn hears_a_response_or_not(&mut self) -> Option<Response> {
        self.read_all();
        Response::take(&mut self.unread, self.ended)
    }

    /// Takes everything that arrives now.
    pub(crate) fn hears_all(&mut self) -> Vec<u8> {
        self.read_all();
        std::mem::take(&mut self.unread)
    }

    /// Takes at most `most` bytes off the wire, as a slow reader does.
    pub(crate) fn sips(&mut self, most: usize) -> Vec<u8> {
        let mut heard = std::mem::take(&mut self.unread);
        while heard.len() < most {
            match self.read(most - heard.len()) {
                Some(Ok(bytes)) if !bytes.is_empty() => heard.extend_from_slice(&bytes),
                _ => break,
            }
        }
        self.clock.settle();
        heard
    }

    /// Nothing arrives, and the connection stays open.
    #[track_caller]
    pub(crate) fn hears_nothing(&mut self) {
        self.read_all();
        assert!(self.unread.is_empty(), "{}: heard {:?}", self.name, self.unread.escape_ascii().to_string());
        assert!(!self.ended, "{}: the gateway has closed", self.name);
    }

    /// The gateway has ended its direction, with nothing left to hear.
    #[track_caller]
    pub(crate) fn hears_the_end(&mut self) {
        self.read_all();
        assert!(self.unread.is_empty(), "{}: heard {:?}", self.name, self.unread.escape_ascii().to_string());
        assert!(self.ended, "{}: the connection is still open", self.name);
    }

    /// The gateway has closed both directions, with nothing left to hear.
    #[track_caller]
    pub(crate) fn is_closed(&mut self) {
        self.hears_the_end();
        let taken = self.write(b"?");
        assert!(matches!(taken, Some(Err(_))), "{}: the gateway still listens", self.name);
    }

    /// Ends the own direction.
    pub(crate) fn half_closes(&mut self) {
        let io = &mut self.io;
        self.clock.run(poll_fn(|cx| Pin::new(&mut *io).poll_shutdown(cx))).expect("a pipe can always be closed");
        self.clock.settle();
    }

    /// Closes the connection.
    pub(crate) fn closes(self) {
        let clock = self.clock.clone();
        drop(self);
        clock.settle();
    }

    /// Whether the gateway has ended its direction.
    pub(crate) fn has_heard_the_end(&mut self) -> bool {
        self.read_all();
        self.ended
    }

    fn take_up_to(&mut self, length: usize) -> Vec<u8> {
        self.read_all();
        let rest = self.unread.split_off(length.min(self.unread.len()));
        std::mem::replace(&mut self.unread, rest)
    }

    fn read_all(&mut self) {
        loop {
            self.clock.settle();
            let before = self.unread.len();
            while let Some(read) = self.read(64 * 1024) {
                match read {
                    Ok(bytes) if bytes.is_empty() => self.ended = true,
                    Ok(bytes) => {
                        self.unread.extend_from_slice(&bytes);
                        continue;
                    }
                    Err(_) => self.ended = true,
                }
                return;
            }
            if self.unread.len() == before {
                return;
            }
        }
    }

    fn read(&mut self, most: usize) -> Option<io::Result<Vec<u8>>> {
        let io = &mut self.io;
        self.clock.run(poll_fn(|cx| {
            let mut bytes = vec![0; most];
            let mut buffer = ReadBuf::new(&mut bytes);
            Poll::Ready(match Pin::new(&mut *io).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) => Some(Ok(buffer.filled().to_vec())),
                Poll::Ready(Err(error)) => Some(Err(error)),
                Poll::Pending => None,
            })
        }))
    }

    fn write(&mut self, bytes: &[u8]) -> Option<io::Result<usize>> {
        let io = &mut self.io;
        self.clock.run(poll_fn(|cx| {
            Poll::Ready(match Pin::new(&mut *io).poll_write(cx, bytes) {
                Poll::Ready(written) => Some(written),
                Poll::Pending => None,
            })
        }))
    }
}
