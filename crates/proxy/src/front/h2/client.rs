//! A stream of HTTP/2 as the exchange's client.

use super::request::Arrived;
use super::response;
use super::tally::Tally;
use crate::exchange::client::{BodyError, BodyPart, Client, OutHead};
use crate::io::stream::{broken, poll_room};
use crate::io::{Backlog, Deadline, Stream, Transport};
use crate::tunnel::ClientSide;
use bytes::{Buf, Bytes, BytesMut};
use culvert_conf::config::Location;
use culvert_engine::http1::{BodyLength, Headers};
use culvert_engine::websocket::has_token;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Response, StatusCode};
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

/// Body bytes up to this many are queued until the next flush.
const QUEUED_BYTES_MAX: usize = 16 * 1024;

/// One stream, for as long as its exchange lives.
pub(super) struct StreamClient {
    body: RecvStream,
    respond: SendResponse<Bytes>,
    /// The response's body, once its head is sent and says that one follows.
    send: Option<SendStream<Bytes>>,
    /// What came of the request's body and is not used yet.
    arrived: Bytes,
    body_ended: bool,
    body_bytes: u64,
    /// `client_max_body_size`; 0 for no bound.
    body_bytes_max: u64,
    /// The client waits for `100 Continue`, or for a final answer.
    expects_continue: bool,
    /// Whether trailers are welcome (`TE: trailers`, RFC 9110 section 6.5.1).
    takes_trailers: bool,
    /// Body bytes on their way out.
    outbox: BytesMut,
    end: End,
    /// `http2_chunk_size`.
    piece_bytes_max: usize,
    deadline: Deadline,
    sent: u64,
    received: u64,
    tally: Arc<Tally>,
}

/// The end of a response's body.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// More may follow.
    Open,
    /// What is queued is all.
    Queued(Option<Box<HeaderMap>>),
    /// The client was told.
    Sent,
}

impl StreamClient {
    /// The client of a request.
    pub(super) fn new(
        arrived: &Arrived,
        body: RecvStream,
        respond: SendResponse<Bytes>,
        tally: Arc<Tally>,
    ) -> StreamClient {
        let has_body = matches!(&arrived.head, Ok((_, length)) if *length != BodyLength::None);
        let headers = arrived.head.as_ref().ok().map(|(head, _)| &head.headers);
        let expects = headers.and_then(|headers| headers.first("expect"));
        let expects_continue = expects.is_some_and(|expect| expect.eq_ignore_ascii_case(b"100-continue"));
        let takes_trailers = headers.is_some_and(|headers| headers.all("te").any(|list| has_token(list, "trailers")));
        StreamClient {
            body_ended: !has_body || body.is_end_stream(),
            body,
            respond,
            send: None,
            arrived: Bytes::new(),
            body_bytes: 0,
            body_bytes_max: 0,
            expects_continue,
            takes_trailers,
            outbox: BytesMut::new(),
            end: End::Open,
            piece_bytes_max: QUEUED_BYTES_MAX,
            deadline: Deadline::default(),
            sent: 0,
            received: arrived.bytes,
            tally,
        }
    }

    /// Breaks the stream off.
    pub(super) fn abort(&mut self, reason: Reason) {
        self.respond.send_reset(reason);
    }

    /// Notes the end of the exchange: whether the client has broken it off.
    pub(super) fn note_end(&mut self) {
        let cancelled = self.poll_gone(&mut Context::from_waker(Waker::noop())).is_ready();
        self.tally.ended(cancelled);
    }

    /// The stream as a tunnel's side.
    pub(super) fn into_side(self) -> Option<ClientSide> {
        let stream = Stream::new(self.body, self.send?, self.arrived).tallied(self.tally.payload_counter());
        let io = Transport::Stream(Box::new(stream));
        Some(ClientSide { io, inbox: Vec::new(), outbox: Backlog::default(), sent: self.sent, active: None })
    }

    /// Hands over what the windows have room for. Ready once all that is queued is handed over.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(send) = &mut self.send else { return Poll::Ready(Ok(())) };
        while !self.outbox.is_empty() {
            let room = ready!(poll_room(send, cx, self.outbox.len()))?;
            let piece = self.outbox.split_to(room.min(self.outbox.len()).min(self.piece_bytes_max)).freeze();
            let is_last = self.outbox.is_empty() && self.end == End::Queued(None);
            self.sent += piece.len() as u64;
            self.tally.payload(piece.len() as u64);
            send.send_data(piece, is_last).map_err(broken)?;
            if is_last {
                self.end = End::Sent;
            }
        }
        if matches!(self.end, End::Queued(_))
            && let End::Queued(trailers) = std::mem::replace(&mut self.end, End::Sent)
        {
            match trailers {
                Some(trailers) => send.send_trailers(*trailers),
                None => send.send_data(Bytes::new(), true),
            }
            .map_err(broken)?;
        }
        Poll::Ready(Ok(()))
    }

    fn take_body(&mut self, out: &mut Vec<u8>, room: usize) -> Result<(), BodyError> {
        let length = self.arrived.len().min(room);
        out.extend_from_slice(&self.arrived[..length]);
        self.arrived.advance(length);
        // The window is the stream's own affair; where it is gone, its next read tells.
        let _ = self.body.flow_control().release_capacity(length);
        self.body_bytes += length as u64;
        if self.body_bytes_max != 0 && self.body_bytes > self.body_bytes_max {
            return Err(BodyError::TooLarge);
        }
        Ok(())
    }
}

impl Client for StreamClient {
    fn body_is_read(&self) -> bool {
        self.body_ended && self.arrived.is_empty()
    }

    fn limit_body(&mut self, bytes_max: u64) {
        self.body_bytes_max = bytes_max;
    }

    fn invite_body(&mut self) {
        if std::mem::take(&mut self.expects_continue) && !self.body_is_read() {
            let mut go_on = Response::new(());
            *go_on.status_mut() = StatusCode::CONTINUE;
            // A client that is gone needs no invitation; its body's end tells.
            let _ = self.respond.send_informational(go_on);
        }
    }

    fn poll_body(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>, room: usize) -> Poll<Result<BodyPart, BodyError>> {
        loop {
            if !self.arrived.is_empty() {
                self.take_body(out, room)?;
                return Poll::Ready(Ok(BodyPart::Data));
            }
            if self.body_ended {
                return Poll::Ready(Ok(BodyPart::End));
            }
            match ready!(self.body.poll_data(cx)) {
                Some(Ok(bytes)) => {
                    self.received += bytes.len() as u64;
                    self.tally.payload(bytes.len() as u64);
                    self.arrived = bytes;
                }
                Some(Err(error)) => return Poll::Ready(Err(BodyError::Gone(broken(error)))),
                None => self.body_ended = true,
            }
        }
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let reset = match &mut self.send {
            Some(send) => send.poll_reset(cx),
            None if self.end == End::Sent => return Poll::Pending,
            None => self.respond.poll_reset(cx),
        };
        reset.map(|reset| reset.map(|_| ()).map_err(broken))
    }

    fn adopt(&mut self, location: &Arc<Location>) {
        self.piece_bytes_max = location.http2_chunk_size;
    }

    fn close_after(&mut self) {
        // One stream's trouble is none of the others'.
    }

    fn send_interim(&mut self, status: u16, headers: &Headers) {
        let interim = OutHead { status, headers: headers.clone(), ..OutHead::default() };
        // A client that is gone needs no hints.
        let _ = self.respond.send_informational(response::interim(&interim));
    }

    fn send_head(&mut self, head: &OutHead) -> &'static str {
        let response = response::head(head);
        let bytes = response::bytes(response.headers());
        self.sent += bytes;
        self.tally.payload(bytes);
        self.takes_trailers |= head.has_trailers;
        let follows = head.has_body || head.status == 101;
        match self.respond.send_response(response, !follows) {
            Ok(send) if follows => self.send = Some(send),
            Ok(_) => self.end = End::Sent,
            // The stream is gone: whoever waits for it hears so.
            Err(_) => {}
        }
        ""
    }

    fn send_body(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<()> {
        if self.send.is_none() {
            // After a head that lets nothing follow, or to a stream that is gone.
            return if self.end == End::Sent { Ok(()) } else { Err(io::ErrorKind::ConnectionReset.into()) };
        }
        self.outbox.extend_from_slice(bytes);
        match self.outbox.len() > QUEUED_BYTES_MAX {
            true => match self.poll_write(cx) {
                Poll::Ready(written) => written,
                Poll::Pending => Ok(()),
            },
            false => Ok(()),
        }
    }

    fn send_end(&mut self, trailers: &Headers) {
        if self.end == End::Open {
            let trailers = response::trailers(trailers);
            let welcome = self.takes_trailers && !trailers.is_empty();
            self.end = End::Queued(welcome.then(|| Box::new(trailers)));
        }
    }

    fn backlog(&self) -> usize {
        self.outbox.len()
    }

    fn lend_deadline(&mut self) -> Deadline {
        std::mem::take(&mut self.deadline)
    }

    fn return_deadline(&mut self, deadline: Deadline) {
        self.deadline = deadline;
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_write(cx)
    }

    fn sent(&self) -> u64 {
        self.sent
    }

    fn received(&self) -> u64 {
        self.received
    }
}
