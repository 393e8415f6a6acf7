//! Bytes between client and upstream while a request is relayed: the wait for the response head, then the response body.

use super::Client;
use super::body_in::{Pump, PumpError};
use super::client::BodyError;
use crate::io::{Deadline, scratch};
use crate::observe::error_log::os_error;
use crate::upstream::Connection;
use culvert_conf::config::Location;
use culvert_engine::http1::{BodyDecoder, HEAD_BYTES_MAX, Headers, ResponseError, ResponseHead, offending_start};
use culvert_engine::retry::TryFailure;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;

/// The bounds on a relay: the few values of a location that the loops below ask for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    send_timeout: Duration,
    read_timeout: Duration,
    client_send_timeout: Duration,
    client_body_timeout: Duration,
    head_bytes_max: usize,
    /// How far to read ahead of a slow client.
    ahead_bytes_max: usize,
    ignore_client_abort: bool,
}

impl Bounds {
    pub(super) fn of(location: &Location) -> Bounds {
        let proxy = &location.proxy;
        let buffers = proxy.buffers;
        let ahead = if proxy.buffering { buffers.number.saturating_mul(buffers.size) } else { 0 };
        Bounds {
            send_timeout: proxy.send_timeout,
            read_timeout: proxy.read_timeout,
            client_send_timeout: location.send_timeout,
            client_body_timeout: location.client_body_timeout,
            head_bytes_max: buffers.head.min(HEAD_BYTES_MAX),
            ahead_bytes_max: ahead.max(buffers.head),
            ignore_client_abort: proxy.ignore_client_abort,
        }
    }
}

/// Why there is no response head.
pub(super) enum HeadError {
    /// The upstream failed; the text is for the log.
    Upstream(TryFailure, String),
    /// The client went away.
    ClientGone,
    /// The client's body can't be read.
    ClientBody(BodyError),
    /// The client sent nothing more of its body for `client_body_timeout`.
    ClientStalled,
}

impl HeadError {
    fn timeout(doing: &str) -> HeadError {
        HeadError::Upstream(
            TryFailure::Timeout,
            format!("upstream timed out (110: Connection timed out) while {doing}"),
        )
    }

    fn io(call: &str, error: &io::Error, doing: &str) -> HeadError {
        HeadError::Upstream(TryFailure::Error, format!("{call}() failed ({}) while {doing}", os_error(error)))
    }
}

const SENDING: &str = "sending request to upstream";
const READING_HEAD: &str = "reading response header from upstream";

/// The wait for a response head.
struct HeadWait {
    bounds: Bounds,
    deadline: Deadline,
    /// What the deadline is about.
    waiting_for: WaitingFor,
    send_error: Option<io::Error>,
}

/// Whom the wait for a head depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WaitingFor {
    /// The server, to take the request.
    Sending,
    /// The client, to send more of its body.
    Body,
    /// The server, to answer.
    Head,
}

/// Sends what is queued and waits for the response head, while a streamed body moves and the client stays.
pub(super) async fn await_head<C: Client>(
    bounds: Bounds,
    client: &mut C,
    connection: &mut Connection,
    pump: &mut Pump,
) -> Result<ResponseHead, HeadError> {
    let deadline = client.lend_deadline();
    let mut wait = HeadWait { bounds, deadline, waiting_for: WaitingFor::Sending, send_error: None };
    wait.deadline.set(Instant::now(), bounds.send_timeout);
    let head = poll_fn(|cx| wait.poll(cx, client, connection, pump)).await;
    client.return_deadline(wait.deadline);
    head
}

impl HeadWait {
    fn poll<C: Client>(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut C,
        connection: &mut Connection,
        pump: &mut Pump,
    ) -> Poll<Result<ResponseHead, HeadError>> {
        self.send(cx, client, connection, pump)?;
        while let Poll::Ready(read) = connection.poll_fill(cx, self.bounds.head_bytes_max.max(4096)) {
            match read {
                Ok(0) => return Poll::Ready(Err(self.closed())),
                Ok(_) => {
                    if let Some(head) = self.parse(connection)? {
                        return Poll::Ready(Ok(head));
                    }
                }
                Err(error) => return Poll::Ready(Err(HeadError::io("recv", &error, READING_HEAD))),
            }
        }
        if !pump.is_active() && !self.bounds.ignore_client_abort && client.poll_gone(cx).is_ready() {
            return Poll::Ready(Err(HeadError::ClientGone));
        }
        ready!(self.deadline.poll(cx));
        Poll::Ready(Err(match self.waiting_for {
            WaitingFor::Sending => HeadError::timeout(SENDING),
            WaitingFor::Body => HeadError::ClientStalled,
            WaitingFor::Head => HeadError::timeout(READING_HEAD),
        }))
    }

    fn send<C: Client>(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut C,
        connection: &mut Connection,
        pump: &mut Pump,
    ) -> Result<(), HeadError> {
        if self.waiting_for == WaitingFor::Head || self.send_error.is_some() {
            return Ok(());
        }
        let before = (connection.sent, client.received());
        match pump.poll(cx, client, connection) {
            Poll::Ready(Err(PumpError::Client(error))) => return Err(HeadError::ClientBody(error)),
            // The server may have answered before it closed; what it said is read first.
            Poll::Ready(Err(PumpError::Upstream(error))) => self.send_error = Some(error),
            Poll::Ready(Ok(())) => self.wait_for(WaitingFor::Head),
            Poll::Pending => {
                let whom = if connection.outbox.is_empty() { WaitingFor::Body } else { WaitingFor::Sending };
                if whom != self.waiting_for || (connection.sent, client.received()) != before {
                    self.wait_for(whom);
                }
            }
        }
        Ok(())
    }

    fn wait_for(&mut self, whom: WaitingFor) {
        self.waiting_for = whom;
        let wait = match whom {
            WaitingFor::Sending => self.bounds.send_timeout,
            WaitingFor::Body => self.bounds.client_body_timeout,
            WaitingFor::Head => self.bounds.read_timeout,
        };
        self.deadline.set(Instant::now(), wait);
    }

    fn parse(&self, connection: &mut Connection) -> Result<Option<ResponseHead>, HeadError> {
        loop {
            match ResponseHead::parse(&connection.inbox, self.bounds.head_bytes_max) {
                Ok(None) => return Ok(None),
                Ok(Some((head, length))) => {
                    connection.inbox.drain(..length);
                    // Interim responses are for this hop; only 101 ends the wait (RFC 9110 section 15.2).
                    if head.status >= 200 || head.status == 101 {
                        return Ok(Some(head));
                    }
                }
                Err(error) => {
                    let message = match error {
                        ResponseError::HeaderLine => {
                            format!(
                                "{}: \"{}...\" while {READING_HEAD}",
                                error.describe(),
                                offending_start(&connection.inbox)
                            )
                        }
                        _ => format!("{} while {READING_HEAD}", error.describe()),
                    };
                    return Err(HeadError::Upstream(TryFailure::InvalidHeader, message));
                }
            }
        }
    }

    fn closed(&self) -> HeadError {
        match &self.send_error {
            Some(error) => HeadError::io("writev", error, SENDING),
            None => {
                let message = format!("upstream prematurely closed connection while {READING_HEAD}");
                HeadError::Upstream(TryFailure::Error, message)
            }
        }
    }
}

/// How the relay of a response body ended.
pub(super) enum BodyEnd {
    /// Whole, with these trailers.
    Complete(Headers),
    /// The upstream broke off; the text is for the log.
    Upstream(String),
    /// The client went away.
    ClientGone,
    /// The client took nothing for `send_timeout`.
    ClientStalled,
}

/// The relay of a response body.
pub(super) struct BodyRelay {
    bounds: Bounds,
    decoder: BodyDecoder,
    deadline: Deadline,
    trailers: Option<Headers>,
    /// Body bytes that came from the upstream.
    pub(super) length: u64,
    /// Whether the client's own body was cut short, so that the upstream connection can't be used again.
    pub(super) request_cut: bool,
}

impl BodyRelay {
    pub(super) fn new(bounds: Bounds, decoder: BodyDecoder) -> BodyRelay {
        let deadline = Deadline::default();
        BodyRelay { bounds, decoder, deadline, trailers: None, length: 0, request_cut: false }
    }

    /// Relays the body to its end.
    pub(super) async fn run<C: Client>(
        &mut self,
        client: &mut C,
        connection: &mut Connection,
        pump: &mut Pump,
    ) -> BodyEnd {
        self.deadline = client.lend_deadline();
        // Set at the first wait: most bodies are here already.
        self.deadline.clear();
        let end = poll_fn(|cx| self.poll(cx, client, connection, pump)).await;
        client.return_deadline(std::mem::take(&mut self.deadline));
        end
    }

    fn poll<C: Client>(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut C,
        connection: &mut Connection,
        pump: &mut Pump,
    ) -> Poll<BodyEnd> {
        self.pump_request(cx, client, connection, pump);
        let before = (self.length, client.sent());
        while self.trailers.is_none() {
            if client.backlog() >= self.bounds.ahead_bytes_max {
                match client.poll_flush(cx) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(_)) => return Poll::Ready(BodyEnd::ClientGone),
                    Poll::Pending => break,
                }
            }
            match self.step(cx, client, connection) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(end)) => return Poll::Ready(end),
                Poll::Pending => break,
            }
        }
        let flushed = client.poll_flush(cx);
        if let Poll::Ready(Err(_)) = flushed {
            return Poll::Ready(BodyEnd::ClientGone);
        }
        if flushed.is_ready()
            && let Some(trailers) = self.trailers.take()
        {
            return Poll::Ready(BodyEnd::Complete(trailers));
        }
        if !pump.is_active() && !self.bounds.ignore_client_abort && client.poll_gone(cx).is_ready() {
            return Poll::Ready(BodyEnd::ClientGone);
        }
        self.check_time(cx, flushed.is_pending(), before != (self.length, client.sent()))
    }

    fn pump_request<C: Client>(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut C,
        connection: &mut Connection,
        pump: &mut Pump,
    ) {
        if self.request_cut || (!pump.is_active() && connection.outbox.is_empty()) {
            return;
        }
        // A server may answer before it has read the whole body, and may close on what follows: the answer counts.
        self.request_cut = matches!(pump.poll(cx, client, connection), Poll::Ready(Err(_)));
    }

    /// Takes what is in the inbox, or reads once.
    fn step<C: Client>(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut C,
        connection: &mut Connection,
    ) -> Poll<Result<(), BodyEnd>> {
        if self.decoder.is_done() {
            self.finish(client);
            return Poll::Ready(Ok(()));
        }
        if !connection.inbox.is_empty() {
            let inbox = std::mem::take(&mut connection.inbox);
            let used = self.take(cx, client, &inbox);
            return Poll::Ready(used.map(|used| connection.inbox.extend_from_slice(&inbox[used..])));
        }
        let limit = self.bounds.ahead_bytes_max;
        let inbox = &mut connection.inbox;
        let read = scratch::poll_read(&mut connection.io, cx, limit, |cx, bytes| {
            let used = self.take(cx, client, bytes)?;
            inbox.extend_from_slice(&bytes[used..]);
            Ok(bytes.len())
        });
        match ready!(read) {
            Ok(Ok(0)) if self.decoder.ends_with_connection() => {
                self.finish(client);
                Poll::Ready(Ok(()))
            }
            Ok(Ok(0)) => {
                let message = "upstream prematurely closed connection while reading upstream".to_owned();
                Poll::Ready(Err(BodyEnd::Upstream(message)))
            }
            Ok(Ok(read)) => {
                connection.received += read as u64;
                Poll::Ready(Ok(()))
            }
            Ok(Err(end)) => Poll::Ready(Err(end)),
            Err(error) => {
                let message = format!("recv() failed ({}) while reading upstream", os_error(&error));
                Poll::Ready(Err(BodyEnd::Upstream(message)))
            }
        }
    }

    fn take<C: Client>(&mut self, cx: &mut Context<'_>, client: &mut C, bytes: &[u8]) -> Result<usize, BodyEnd> {
        let mut gone = false;
        let (length, room) = (&mut self.length, self.bounds.ahead_bytes_max);
        let used = self.decoder.decode(bytes, room, |data| {
            *length += data.len() as u64;
            gone = gone || client.send_body(cx, data).is_err();
        });
        match (used, gone) {
            (_, true) => Err(BodyEnd::ClientGone),
            (Ok(used), false) => Ok(used),
            (Err(_), false) => {
                Err(BodyEnd::Upstream("upstream sent invalid chunked response while reading upstream".into()))
            }
        }
    }

    fn finish<C: Client>(&mut self, client: &mut C) {
        let trailers = self.decoder.take_trailers();
        client.send_end(&trailers);
        self.trailers = Some(trailers);
    }

    fn check_time(&mut self, cx: &mut Context<'_>, client_is_slow: bool, moved: bool) -> Poll<BodyEnd> {
        let wait = if client_is_slow { self.bounds.client_send_timeout } else { self.bounds.read_timeout };
        if moved || !self.deadline.is_set() {
            self.deadline.set(Instant::now(), wait);
        }
        ready!(self.deadline.poll(cx));
        Poll::Ready(match client_is_slow {
            true => BodyEnd::ClientStalled,
            false => BodyEnd::Upstream("upstream timed out (110: Connection timed out) while reading upstream".into()),
        })
    }
}
