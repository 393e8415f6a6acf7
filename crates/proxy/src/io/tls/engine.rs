//! rustls' connection of either role, driven without buffers of its own.

use rustls::CommonState;
use rustls::client::UnbufferedClientConnection;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, UnbufferedStatus};
use std::io;
use std::ops::Deref;

/// A TLS connection's keys and state. The two are of nearly one size.
pub(super) enum Engine {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

/// Where plaintext goes: to whoever reads, and what he has no room for into a vector.
pub(super) struct Sink<'a> {
    pub(super) room: &'a mut [u8],
    pub(super) filled: usize,
    pub(super) spill: &'a mut Vec<u8>,
}

impl Sink<'_> {
    fn push(&mut self, bytes: &[u8]) {
        let fits = if self.spill.is_empty() { bytes.len().min(self.room.len() - self.filled) } else { 0 };
        self.room[self.filled..self.filled + fits].copy_from_slice(&bytes[..fits]);
        self.filled += fits;
        self.spill.extend_from_slice(&bytes[fits..]);
    }
}

/// What a step of the engine led to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// There is more to do.
    On,
    /// Nothing more without more ciphertext.
    Blocked,
    /// As `Blocked`, and application data may be sent.
    Writable,
    /// The other side has said that nothing follows.
    PeerClosed,
}

/// How all ciphertext was processed.
pub(super) struct Processed {
    /// How much of it is used up; the rest belongs to a record or a message that is not whole.
    pub(super) used: usize,
    /// The other side has closed its direction.
    pub(super) peer_closed: bool,
    /// What is wrong with it. An alert that says so was appended to what is to be sent.
    pub(super) failed: Option<rustls::Error>,
}

/// The longest message that one call appends: a flight of certificates is cut into messages below this.
const RECORD_BYTES_MAX: usize = 5 + 16_384 + 256;

impl Engine {
    /// Reads `cipher`; plaintext goes to `plain`, what has to be answered is appended to `out`.
    pub(super) fn process(&mut self, cipher: &mut [u8], plain: &mut Sink<'_>, out: &mut Vec<u8>) -> Processed {
        let mut processed = Processed { used: 0, peer_closed: false, failed: None };
        loop {
            let (used, step) = self.step(&mut cipher[processed.used..], plain, out);
            processed.used += used;
            match step {
                Ok(Step::On) => {}
                Ok(Step::PeerClosed) => processed.peer_closed = true,
                Ok(Step::Blocked | Step::Writable) => return processed,
                Err(error) => {
                    processed.failed = Some(error);
                    break;
                }
            }
        }
        // The alert that says so. No more ciphertext is shown: after an error it may not be looked at again.
        while self.wants_write() && matches!(self.step(&mut [], plain, out), (_, Ok(_))) {}
        processed
    }

    fn step(
        &mut self,
        cipher: &mut [u8],
        plain: &mut Sink<'_>,
        out: &mut Vec<u8>,
    ) -> (usize, Result<Step, rustls::Error>) {
        match self {
            Engine::Server(server) => {
                let UnbufferedStatus { discard, state } = server.process_tls_records(cipher);
                match state {
                    Ok(ConnectionState::ReadEarlyData(early)) => read_early(early, discard, plain),
                    state => handle(discard, state, plain, out),
                }
            }
            Engine::Client(client) => {
                let UnbufferedStatus { discard, state } = client.process_tls_records(cipher);
                handle(discard, state, plain, out)
            }
        }
    }

    /// Encrypts `bytes` into `room`, behind what else has to be sent. `partial` is the ciphertext that was read and is not
    /// used up. Returns how much of `room` is filled.
    pub(super) fn encrypt(&mut self, partial: &mut [u8], bytes: &[u8], room: &mut [u8]) -> io::Result<usize> {
        self.write(partial, room, Write::Data(bytes))
    }

    /// Writes into `room` that nothing follows.
    pub(super) fn close(&mut self, partial: &mut [u8], room: &mut [u8]) -> io::Result<usize> {
        self.write(partial, room, Write::Close)
    }

    /// Brings the engine to where it writes application data, and has it write.
    fn write(&mut self, partial: &mut [u8], room: &mut [u8], what: Write<'_>) -> io::Result<usize> {
        let mut filled = 0;
        loop {
            let room = &mut room[filled..];
            let written = match self {
                Engine::Server(server) => write(server.process_tls_records(partial).state, room, &what)?,
                Engine::Client(client) => write(client.process_tls_records(partial).state, room, &what)?,
            };
            match written {
                Written::First(length) => filled += length,
                Written::All(length) => return Ok(filled + length),
            }
        }
    }
}

impl Deref for Engine {
    type Target = CommonState;

    fn deref(&self) -> &CommonState {
        match self {
            Engine::Server(server) => server,
            Engine::Client(client) => client,
        }
    }
}

fn read_early(
    mut early: rustls::unbuffered::ReadEarlyData<'_, '_, ServerConnectionData>,
    mut discard: usize,
    plain: &mut Sink<'_>,
) -> (usize, Result<Step, rustls::Error>) {
    while let Some(record) = early.next_record() {
        match record {
            Ok(record) => {
                plain.push(record.payload);
                discard += record.discard;
            }
            Err(error) => return (discard, Err(error)),
        }
    }
    (discard, Ok(Step::On))
}

fn handle<Data>(
    mut discard: usize,
    state: Result<ConnectionState<'_, '_, Data>, rustls::Error>,
    plain: &mut Sink<'_>,
    out: &mut Vec<u8>,
) -> (usize, Result<Step, rustls::Error>) {
    let step = match state {
        Err(error) => Err(error),
        Ok(ConnectionState::ReadTraffic(mut traffic)) => {
            let mut step = Ok(Step::On);
            while let Some(record) = traffic.next_record() {
                match record {
                    Ok(record) => {
                        plain.push(record.payload);
                        discard += record.discard;
                    }
                    Err(error) => step = Err(error),
                }
            }
            step
        }
        Ok(ConnectionState::EncodeTlsData(mut message)) => {
            let start = out.len();
            out.resize(start + RECORD_BYTES_MAX, 0);
            let written = match message.encode(&mut out[start..]) {
                Ok(written) => written,
                Err(EncodeError::InsufficientSize(size)) => {
                    out.resize(start + size.required_size, 0);
                    message.encode(&mut out[start..]).unwrap_or(0)
                }
                Err(EncodeError::AlreadyEncoded) => 0,
            };
            out.truncate(start + written);
            Ok(Step::On)
        }
        Ok(ConnectionState::TransmitTlsData(transmit)) => {
            // It is in `out`, which goes out before anything else does.
            transmit.done();
            Ok(Step::On)
        }
        Ok(ConnectionState::WriteTraffic(_)) => Ok(Step::Writable),
        Ok(ConnectionState::PeerClosed) => Ok(Step::PeerClosed),
        Ok(_) => Ok(Step::Blocked),
    };
    (discard, step)
}

enum Write<'a> {
    Data(&'a [u8]),
    Close,
}

enum Written {
    /// What has to go out before; there is more to do.
    First(usize),
    All(usize),
}

fn write<Data>(
    state: Result<ConnectionState<'_, '_, Data>, rustls::Error>,
    room: &mut [u8],
    what: &Write<'_>,
) -> io::Result<Written> {
    match state.map_err(to_io)? {
        ConnectionState::EncodeTlsData(mut message) => {
            Ok(Written::First(message.encode(room).map_err(io::Error::other)?))
        }
        ConnectionState::TransmitTlsData(transmit) => {
            transmit.done();
            Ok(Written::First(0))
        }
        ConnectionState::WriteTraffic(mut traffic) => {
            let written = match what {
                Write::Data(bytes) => traffic.encrypt(bytes, room),
                Write::Close => traffic.queue_close_notify(room),
            };
            Ok(Written::All(written.map_err(io::Error::other)?))
        }
        // Nothing can be written before the handshake, nor after both sides have closed.
        _ => Err(io::ErrorKind::BrokenPipe.into()),
    }
}

/// A TLS error as one of a stream.
pub(super) fn to_io(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
