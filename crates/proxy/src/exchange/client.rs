//! What an exchange needs of its client, whatever protocol the client speaks. A front implements it.

use crate::io::clock::now;
use crate::io::{Deadline, TcpInfo};
use crate::tls::TlsFacts;
use bytes::Bytes;
use culvert_conf::config::Location;
use culvert_engine::http1::Headers;
use culvert_engine::pace::Pace;
use culvert_engine::proxy_protocol::ProxyHeader;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::time::Instant;

/// What is known of a client connection for as long as it lives.
#[derive(Debug, Clone)]
pub(crate) struct ClientFacts {
    /// `$connection`.
    pub(crate) serial: u64,
    /// The client's address; `None` on a unix socket.
    pub(crate) remote: Option<SocketAddr>,
    /// The address that it connected to; `None` on a unix socket.
    pub(crate) local: Option<SocketAddr>,
    /// When it connected.
    pub(crate) opened: Instant,
    /// What the PROXY protocol's header said.
    pub(crate) proxy: Option<Box<ProxyHeader>>,
    /// The connection's own address, where `remote` is the client's that a trusted neighbour has named.
    pub(crate) neighbour: Option<Option<SocketAddr>>,
    /// What is known of its TLS.
    pub(crate) tls: Option<Arc<TlsFacts>>,
    /// It speaks plain HTTP to an address that expects TLS.
    pub(crate) is_plain_to_tls: bool,
}

impl ClientFacts {
    /// A connection that was accepted just now.
    pub(crate) fn new(serial: u64, remote: Option<SocketAddr>, local: Option<SocketAddr>) -> ClientFacts {
        ClientFacts {
            serial,
            remote,
            local,
            opened: now(),
            tls: None,
            is_plain_to_tls: false,
            proxy: None,
            neighbour: None,
        }
    }

    /// `$scheme`.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}

/// A response head on its way to the client. The front adds what its protocol needs around it (framing, connection
/// management, and `Server` and `Date` where the headers have none).
#[derive(Debug, Default)]
pub(crate) struct OutHead {
    /// The status.
    pub(crate) status: u16,
    /// What the upstream wrote behind the status code, its space included; `None` takes the usual words.
    pub(crate) reason: Option<Box<[u8]>>,
    /// What `Server` says, unless one stands among the headers.
    pub(crate) server: Bytes,
    /// `Content-Length`, where it is known.
    pub(crate) content_length: Option<u64>,
    /// Whether a body follows.
    pub(crate) has_body: bool,
    /// All other lines, none of them about this hop.
    pub(crate) headers: Headers,
    /// Whether the gateway made the response itself, so that it judges the request's conditions.
    pub(crate) is_own: bool,
    /// Whether parts of the body can be sent.
    pub(crate) ranges: RangeUse,
    /// How the body is coded.
    pub(crate) coding: Option<Coding>,
    /// Whether other clients may get it compressed where this one does not, or the reverse.
    pub(crate) varies: bool,
    /// Whether trailers of the gateway's own follow, whatever the client says of trailers.
    pub(crate) has_trailers: bool,
}

/// `Content-Encoding`, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Gzip,
    Other,
}

/// How many parts of a body a request may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum RangeUse {
    /// None: it gets all.
    #[default]
    None,
    /// One: the body passes by once.
    One,
    /// As many as `max_ranges` says.
    Many,
}

/// What came of asking for more of the request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyPart {
    /// Bytes were appended.
    Data,
    /// Nothing follows.
    End,
}

/// Why a request's body could not be read.
#[derive(Debug)]
pub(crate) enum BodyError {
    /// The client went away.
    Gone(io::Error),
    /// It is not framed as it should be.
    Malformed,
    /// It is longer than `client_max_body_size`.
    TooLarge,
    /// It was written to a file, which can't be read; a line for the log.
    Lost(String),
}

/// The client's side of one exchange.
pub(crate) trait Client: Send {
    /// Whether the whole body was read.
    fn body_is_read(&self) -> bool;

    /// Bounds the body: `client_max_body_size` in bytes, 0 for no bound.
    fn limit_body(&mut self, bytes_max: u64);

    /// Says that the client may send the body that it announced (`Expect: 100-continue`); once.
    fn invite_body(&mut self);

    /// Appends what comes next of the body to `out`, at most about `room` bytes.
    fn poll_body(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>, room: usize) -> Poll<Result<BodyPart, BodyError>>;

    /// Ready when the client has closed or reset the connection. What it sends meanwhile is kept, within bounds.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Takes over what `location` says about the connection: keep-alive and lingering.
    fn adopt(&mut self, location: &Arc<Location>);

    /// Says that this connection is not to be used again after the response.
    fn close_after(&mut self);

    /// Bounds how fast the body that follows is sent; the exchange sees to that for clients of every protocol.
    fn pace(&mut self, _pace: Option<Pace>) {}

    /// Sends an interim response (RFC 9110 section 15.2), where the protocol's version knows them.
    fn send_interim(&mut self, _status: u16, _headers: &Headers) {}

    /// What the kernel knows of the connection, where it is one of TCP.
    fn tcp_info(&self) -> Option<TcpInfo> {
        None
    }

    /// Says that the connection is to be reset when it is closed, which is soon.
    fn reset_at_end(&mut self) {}

    /// Queues the head; nothing is written before data, the end, or a flush. Returns what it says of the connection.
    fn send_head(&mut self, head: &OutHead) -> &'static str;

    /// Sends body bytes. Few are queued until the next flush, many are written at once; what the client does not take is kept.
    fn send_body(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<()>;

    /// Queues the end of the body.
    fn send_end(&mut self, trailers: &Headers);

    /// How many bytes the client has not taken yet.
    fn backlog(&self) -> usize;

    /// The connection's timer, lent out while one of the client's own waits does not need it: registering a new one for each
    /// request costs more than moving an old one.
    fn lend_deadline(&mut self) -> Deadline;

    /// Takes the timer back.
    fn return_deadline(&mut self, deadline: Deadline);

    /// Writes what is queued; ready once all of it is out.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Bytes sent to the client for this exchange, heads included.
    fn sent(&self) -> u64;

    /// Bytes of the request received so far: head and body.
    fn received(&self) -> u64;
}

/// What a client around another one hands on to its `client`: all but the sending of a body and its pace.
macro_rules! hand_on {
    () => {
        fn body_is_read(&self) -> bool {
            self.client.body_is_read()
        }

        fn limit_body(&mut self, bytes_max: u64) {
            self.client.limit_body(bytes_max);
        }

        fn invite_body(&mut self) {
            self.client.invite_body();
        }

        fn poll_body(
            &mut self,
            cx: &mut Context<'_>,
            out: &mut Vec<u8>,
            room: usize,
        ) -> Poll<Result<BodyPart, BodyError>> {
            self.client.poll_body(cx, out, room)
        }

        fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.client.poll_gone(cx)
        }

        fn adopt(&mut self, location: &Arc<Location>) {
            self.client.adopt(location);
        }

        fn close_after(&mut self) {
            self.client.close_after();
        }

        fn tcp_info(&self) -> Option<TcpInfo> {
            self.client.tcp_info()
        }

        fn reset_at_end(&mut self) {
            self.client.reset_at_end();
        }

        fn send_interim(&mut self, status: u16, headers: &Headers) {
            self.client.send_interim(status, headers);
        }

        fn send_head(&mut self, head: &OutHead) -> &'static str {
            self.client.send_head(head)
        }

        fn lend_deadline(&mut self) -> Deadline {
            self.client.lend_deadline()
        }

        fn return_deadline(&mut self, deadline: Deadline) {
            self.client.return_deadline(deadline);
        }

        fn sent(&self) -> u64 {
            self.client.sent()
        }

        fn received(&self) -> u64 {
            self.client.received()
        }
    };
}

pub(in crate::exchange) use hand_on;
