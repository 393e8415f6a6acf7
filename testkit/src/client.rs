//! A raw client: bytes out, responses in, every call with a deadline and a panic that says what was there instead.

use crate::message::{Body, Framing, Response};
use crate::wire::{Endpoint, Wire};
use socket2::SockAddr;
use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// A connected client.
#[derive(Debug)]
pub struct Client {
    wire: Wire,
}

impl Client {
    /// Connects.
    #[track_caller]
    pub fn connect(endpoint: impl Into<Endpoint>) -> Self {
        let endpoint = endpoint.into();
        Client::try_connect(&endpoint, None).unwrap_or_else(|error| panic!("cannot connect to {endpoint:?}: {error}"))
    }

    /// Connects from a local address of one's choice.
    #[track_caller]
    pub fn connect_from(endpoint: impl Into<Endpoint>, local: SocketAddr) -> Self {
        let endpoint = endpoint.into();
        Client::try_connect(&endpoint, Some(local))
            .unwrap_or_else(|error| panic!("cannot connect from {local} to {endpoint:?}: {error}"))
    }

    /// Connects, where that may fail.
    ///
    /// # Errors
    /// As the socket gives them.
    pub fn try_connect(endpoint: &Endpoint, local: Option<SocketAddr>) -> io::Result<Self> {
        let (socket, address) = endpoint.socket()?;
        if let Some(local) = local {
            socket.bind(&SockAddr::from(local))?;
        }
        match endpoint {
            Endpoint::Tcp(_) => socket.connect_timeout(&address, Duration::from_secs(10))?,
            Endpoint::Unix(_) => socket.connect(&address)?,
        }
        Ok(Client { wire: Wire::new(socket, None) })
    }

    /// Speaks over one end of a pair of sockets, whose other end somebody else holds.
    pub fn over(socket: UnixStream) -> Self {
        Client { wire: Wire::new(socket.into(), None) }
    }

    /// Changes how long a single call may take; 10 seconds unless this was called.
    pub fn patience(&mut self, patience: Duration) -> &mut Self {
        self.wire.patience = patience;
        self
    }

    /// The wire, for what has no method here.
    pub fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }

    /// Sends bytes.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let sent = self.wire.send(bytes.as_ref());
        sent.unwrap_or_else(|error| panic!("cannot send: {error}"));
        self
    }

    /// Sends bytes to a peer that may have closed by now; says whether they were taken.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.wire.send(bytes.as_ref()).is_ok()
    }

    /// Sends a GET that keeps the connection, and reads the response.
    #[track_caller]
    pub fn get(&mut self, target: &str) -> Response {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")).response()
    }

    /// Reads one response, as to a GET; a 1xx is a response of its own.
    #[track_caller]
    pub fn response(&mut self) -> Response {
        self.response_to("GET")
    }

    /// Reads one response to a request with `method`.
    #[track_caller]
    pub fn response_to(&mut self, method: &str) -> Response {
        let head = match self.wire.take_head() {
            Ok(Some(head)) => head,
            Ok(None) => panic!("the connection was closed where a response was due, after {}", self.show_unread()),
            Err(error) => panic!("no response: {error}, after {}", self.show_unread()),
        };
        let framing = head.response_framing(method);
        let body = self.wire.take_body(framing);
        let body = body.unwrap_or_else(|error| panic!("no whole body: {error}; {}", self.show_unread()));
        let complete = body.complete || framing == Framing::Empty;
        Response { head, body: Body { complete, ..body } }
    }

    /// Reads exactly `count` bytes.
    #[track_caller]
    pub fn read_exact(&mut self, count: usize) -> Vec<u8> {
        match self.wire.take(count) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => panic!("the connection was closed before {count} bytes came: {}", self.show_unread()),
            Err(error) => panic!("{count} bytes did not come: {error}; {}", self.show_unread()),
        }
    }

    /// Reads to the end of the stream.
    #[track_caller]
    pub fn read_to_close(&mut self) -> Vec<u8> {
        let rest = self.wire.take_rest();
        rest.unwrap_or_else(|error| panic!("the connection was not closed: {error}; {}", self.show_unread()))
    }

    /// Asserts that the peer closes without another byte; a reset counts as a close.
    #[track_caller]
    pub fn is_closed(&mut self) {
        match self.wire.take_rest() {
            Ok(rest) => assert!(rest.is_empty(), "before the close came {}", show(&rest)),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
            Err(error) => panic!("the connection was not closed: {error}; {}", self.show_unread()),
        }
    }

    /// Ends the outgoing direction; the other one stays open.
    #[track_caller]
    pub fn half_close(&mut self) -> &mut Self {
        self.wire.half_close().unwrap_or_else(|error| panic!("cannot half-close: {error}"));
        self
    }

    /// Closes with a TCP reset.
    pub fn reset(self) {
        self.wire.reset();
    }

    fn show_unread(&self) -> String {
        show(self.wire.unread())
    }
}

/// Bytes as a panic shows them: escaped, and no more of them than a person would read.
fn show(bytes: &[u8]) -> String {
    let shown = bytes[..bytes.len().min(2_000)].escape_ascii();
    format!("{} bytes: \"{shown}\"", bytes.len())
}
