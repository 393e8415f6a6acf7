//! One end of a stream socket, read against a deadline.

use crate::Deadline;
use crate::message::{Body, Framing, Head};
use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where a socket listens: an address with a port, or a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// TCP.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Endpoint::Tcp(address)
    }
}

impl From<PathBuf> for Endpoint {
    fn from(path: PathBuf) -> Self {
        Endpoint::Unix(path)
    }
}

impl From<&Path> for Endpoint {
    fn from(path: &Path) -> Self {
        Endpoint::Unix(path.into())
    }
}

impl Endpoint {
    /// A new socket of the right kind, and the address in the form that it takes.
    pub(crate) fn socket(&self) -> io::Result<(Socket, SockAddr)> {
        let (domain, address) = match self {
            Endpoint::Tcp(address) => (Domain::for_address(*address), SockAddr::from(*address)),
            Endpoint::Unix(path) => (Domain::UNIX, SockAddr::unix(path)?),
        };
        Ok((Socket::new(domain, Type::STREAM, None)?, address))
    }
}

/// Hears of every byte that arrives.
pub(crate) type Tap = Box<dyn FnMut(&[u8]) + Send>;

/// A connected socket and what has been read from it but not yet used. Every call has the deadline of
/// [`Deadline::default`] unless [`Wire::patience`] was changed.
pub struct Wire {
    socket: Socket,
    unread: Vec<u8>,
    tap: Option<Tap>,
    /// How long a single call may take.
    pub patience: Duration,
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Wire").field("socket", &self.socket).field("unread", &self.unread.len()).finish()
    }
}

impl Wire {
    pub(crate) fn new(socket: Socket, tap: Option<Tap>) -> Self {
        // Tests send small pieces on purpose; they must leave as they were written. Unix sockets have no such option.
        let _ = socket.set_tcp_nodelay(true);
        Wire { socket, unread: Vec::new(), tap, patience: Duration::from_secs(10) }
    }

    /// The socket itself.
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// What has been read but not yet used.
    pub fn unread(&self) -> &[u8] {
        &self.unread
    }

    /// Writes all bytes.
    ///
    /// # Errors
    /// As the socket gives them; `TimedOut` after the deadline.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.set_write_timeout(Some(self.patience))?;
        self.socket.write_all(bytes)
    }

    /// Ends the outgoing direction; the other one stays open.
    ///
    /// # Errors
    /// As the socket gives them.
    pub fn half_close(&mut self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    /// Closes both directions with a TCP reset.
    pub fn reset(self) {
        // A linger time of zero makes the close a reset; it cannot fail on a socket that we own.
        let _ = self.socket.set_linger(Some(Duration::ZERO));
    }

    /// Reads once and gives the number of new bytes, which is zero at the end of the stream.
    ///
    /// # Errors
    /// As the socket gives them; `TimedOut` once the deadline has passed.
    pub fn fill(&mut self, deadline: Deadline) -> io::Result<usize> {
        let mut buffer = [0; 65_536];
        loop {
            let left = deadline.remaining().ok_or(ErrorKind::TimedOut)?;
            self.socket.set_read_timeout(Some(left))?;
            match self.socket.read(&mut buffer) {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(error) => return Err(error),
                Ok(count) => {
                    self.unread.extend_from_slice(&buffer[..count]);
                    if let Some(tap) = &mut self.tap {
                        tap(&buffer[..count]);
                    }
                    return Ok(count);
                }
            }
        }
    }

    /// Reads until `done` gives a length; takes that many bytes. `None` when the stream ends first.
    ///
    /// # Errors
    /// As [`Wire::fill`].
    pub fn take_until(&mut self, done: impl Fn(&[u8]) -> Option<usize>) -> io::Result<Option<Vec<u8>>> {
        let deadline = Deadline::after(self.patience);
        loop {
            if let Some(length) = done(&self.unread) {
                return Ok(Some(self.unread.drain(..length).collect()));
            }
            if self.fill(deadline)? == 0 {
                return Ok(None);
            }
        }
    }

    /// Takes exactly `count` bytes; `None` when the stream ends first.
    ///
    /// # Errors
    /// As [`Wire::fill`].
    pub fn take(&mut self, count: usize) -> io::Result<Option<Vec<u8>>> {
        self.take_until(|bytes| (bytes.len() >= count).then_some(count))
    }

    /// Takes everything up to the end of the stream.
    ///
    /// # Errors
    /// As [`Wire::fill`]; what was read until then stays in [`Wire::unread`].
    pub fn take_rest(&mut self) -> io::Result<Vec<u8>> {
        let deadline = Deadline::after(self.patience);
        while self.fill(deadline)? > 0 {}
        Ok(std::mem::take(&mut self.unread))
    }

    /// Takes a message head, its empty line included; `None` when the stream ends first.
    ///
    /// # Errors
    /// As [`Wire::fill`].
    pub fn take_head(&mut self) -> io::Result<Option<Head>> {
        let end = |bytes: &[u8]| bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4);
        Ok(self.take_until(end)?.map(|raw| Head::parse(&raw)))
    }

    /// Takes a message body.
    ///
    /// # Errors
    /// As [`Wire::fill`].
    pub fn take_body(&mut self, framing: Framing) -> io::Result<Body> {
        match framing {
            Framing::Empty => Ok(Body::default()),
            Framing::Length(length) => match self.take(length)? {
                Some(bytes) => Ok(Body { bytes, complete: true, ..Body::default() }),
                None => Ok(Body { bytes: std::mem::take(&mut self.unread), ..Body::default() }),
            },
            Framing::UntilClose => Ok(Body { bytes: self.take_rest()?, complete: true, ..Body::default() }),
            Framing::Chunked => self.take_chunks(),
        }
    }

    fn take_chunks(&mut self) -> io::Result<Body> {
        let mut body = Body::default();
        loop {
            let Some(line) = self.take_line()? else { return Ok(body) };
            body.raw.extend_from_slice(&line);
            let size = String::from_utf8_lossy(&line);
            let size = size.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16)
                .map_err(|_| io::Error::new(ErrorKind::InvalidData, format!("chunk size {size:?}")))?;
            if size == 0 {
                break;
            }
            let Some(chunk) = self.take(size + 2)? else { return Ok(body) };
            body.raw.extend_from_slice(&chunk);
            body.bytes.extend_from_slice(&chunk[..size]);
        }
        while let Some(line) = self.take_line()? {
            body.raw.extend_from_slice(&line);
            let line = String::from_utf8_lossy(&line);
            let Some((name, value)) = line.trim_end().split_once(':') else {
                body.complete = line.trim_end().is_empty();
                break;
            };
            body.trailers.push((name.to_owned(), value.trim().to_owned()));
        }
        Ok(body)
    }

    fn take_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        self.take_until(|bytes| bytes.iter().position(|byte| *byte == b'\n').map(|at| at + 1))
    }
}
