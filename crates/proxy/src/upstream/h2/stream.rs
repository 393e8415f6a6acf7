//! One request and its response, or one WebSocket, on a connection of HTTP/2, in the shape of HTTP/1.1.
//!
//! ```text
//!  writes:  Head ──► Body ──► Sent        the head is translated once it is whole; the body's framing becomes DATA
//!  reads:   Nothing ──► Head ──► Body ──► Over
//! ```
//!
//! What is not read is not acknowledged, so a slow client stops its server; what the server's window does not take is not
//! accepted from the writer.

use super::message::{self, Framing, Outgoing};
use super::session::Place;
use bytes::Bytes;
use culvert_engine::http1::BodyDecoder;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Response};
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncWrite;

/// A stream of a session.
#[derive(Debug)]
pub(crate) struct Stream {
    out: Out,
    coming: Coming,
    /// Bytes of the near side that were not read yet.
    pieces: VecDeque<Piece>,
    scheme: &'static str,
    /// Whether the server takes extended CONNECTs.
    connect: bool,
    accept: Option<[u8; 28]>,
    is_head: bool,
    /// The server has done nothing about the request, and says so.
    is_unprocessed: bool,
    place: Place,
}

enum Out {
    Head(SendRequest<Bytes>, Vec<u8>),
    Body(SendStream<Bytes>, BodyDecoder),
    /// Whole.
    Sent,
    Broken,
}

enum Coming {
    Nothing,
    Head(ResponseFuture),
    Body(RecvStream, Framing),
    Over,
}

#[derive(Debug)]
struct Piece {
    bytes: Bytes,
    /// Whether it came in a DATA frame, so that reading it opens the window again.
    is_data: bool,
}

impl Stream {
    pub(super) fn new(send: SendRequest<Bytes>, place: Place, scheme: &'static str, connect: bool) -> Stream {
        Stream {
            out: Out::Head(send, Vec::new()),
            coming: Coming::Nothing,
            pieces: VecDeque::new(),
            scheme,
            connect,
            accept: None,
            is_head: false,
            is_unprocessed: false,
            place,
        }
    }

    /// Whether the server has certainly done nothing about the request: it said so, or never got it.
    pub(crate) fn is_unprocessed(&self) -> bool {
        self.is_unprocessed
    }

    /// Has others keep away from this stream's connection: its server may be gone.
    pub(crate) fn distrust(&self) {
        self.place.retire_session();
    }

    /// The bare stream behind the answer to an extended CONNECT.
    pub(crate) fn into_bytes(self) -> crate::io::Stream {
        let (Out::Body(send, _), Coming::Body(receive, _)) = (self.out, self.coming) else {
            unreachable!(
                "only a stream whose head was answered with 101 becomes a tunnel, and both its directions are open"
            )
        };
        let arrived = self.pieces.iter().flat_map(|piece| &piece.bytes[..]).copied().collect();
        crate::io::Stream::new(receive, send, arrived).counted(Arc::new(self.place))
    }

    /// Reads once, at most `limit` bytes, and hands what came to `take`. No bytes are the end.
    pub(crate) fn poll_read<T>(
        &mut self,
        cx: &mut Context<'_>,
        limit: usize,
        take: impl FnOnce(&mut Context<'_>, &[u8]) -> T,
    ) -> Poll<io::Result<T>> {
        while self.pieces.is_empty() {
            if matches!(self.coming, Coming::Over) {
                return Poll::Ready(Ok(take(cx, &[])));
            }
            if let Err(error) = ready!(self.poll_more(cx)) {
                match self.note(error) {
                    Some(error) => return Poll::Ready(Err(error)),
                    None => self.coming = Coming::Over,
                }
            }
        }
        let piece = self.pieces.front_mut().expect("it was just seen not to be empty");
        let bytes = piece.bytes.split_to(piece.bytes.len().min(limit));
        if piece.is_data
            && let Coming::Body(receive, _) = &mut self.coming
        {
            // It fails where the stream is gone, which the next read meets.
            let _ = receive.flow_control().release_capacity(bytes.len());
        }
        if piece.bytes.is_empty() {
            self.pieces.pop_front();
        }
        Poll::Ready(Ok(take(cx, &bytes)))
    }

    /// Waits for what comes next, and puts it among the pieces.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        match &mut self.coming {
            // The writer, which is of the same task, goes first.
            Coming::Nothing => return Poll::Pending,
            Coming::Over => {}
            Coming::Head(response) => {
                if let Poll::Ready(Some(interim)) = response.poll_informational(cx) {
                    let (head, ()) = interim?.into_parts();
                    if head.status.as_u16() != 101 {
                        self.push(message::interim(head.status, &head.headers));
                    }
                    return Poll::Ready(Ok(()));
                }
                let response = ready!(Pin::new(response).poll(cx))?;
                self.begin_body(response);
            }
            Coming::Body(receive, framing) => {
                let framing = *framing;
                match ready!(receive.poll_data(cx)) {
                    Some(data) => self.push_data(data?, framing),
                    None => {
                        let trailers = ready!(receive.poll_trailers(cx))?;
                        self.end_body(framing, trailers.as_ref());
                    }
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn begin_body(&mut self, response: Response<RecvStream>) {
        let (head, receive) = response.into_parts();
        let (bytes, framing) = match self.accept.take() {
            Some(accept) if head.status.is_success() => (message::switching(&head.headers, &accept), Framing::Plain),
            _ => message::incoming(&head, self.is_head, receive.is_end_stream()),
        };
        self.push(bytes);
        self.coming = Coming::Body(receive, framing);
    }

    fn push(&mut self, bytes: Vec<u8>) {
        self.pieces.push_back(Piece { bytes: bytes.into(), is_data: false });
    }

    fn push_data(&mut self, bytes: Bytes, framing: Framing) {
        if bytes.is_empty() {
            return;
        }
        match framing {
            Framing::Plain => self.pieces.push_back(Piece { bytes, is_data: true }),
            Framing::Chunked => {
                self.push(format!("{:x}\r\n", bytes.len()).into_bytes());
                self.pieces.push_back(Piece { bytes, is_data: true });
                self.pieces.push_back(Piece { bytes: Bytes::from_static(b"\r\n"), is_data: false });
            }
        }
    }

    fn end_body(&mut self, framing: Framing, trailers: Option<&HeaderMap>) {
        if framing == Framing::Chunked {
            self.push(message::last_chunk(trailers));
        }
        self.coming = Coming::Over;
    }

    /// What an error of the stream means on the near side. `None` is the end of the connection.
    fn note(&mut self, error: h2::Error) -> Option<io::Error> {
        if error.is_remote() && (error.is_go_away() || error.reason() == Some(Reason::REFUSED_STREAM)) {
            // Without an error a GOAWAY fails those streams only that came too late for its server (RFC 9113 section 6.8).
            self.is_unprocessed =
                matches!(error.reason(), Some(Reason::NO_ERROR | Reason::REFUSED_STREAM)) || self.is_unprocessed;
            self.place.retire_session();
        }
        if error.is_io() {
            let error = error.into_io().expect("it has just said that it is one");
            return error.raw_os_error().is_some().then_some(error);
        }
        let number = error.reason().map_or(0, u32::from);
        Some(io::Error::other(match (error.is_remote(), error.is_go_away()) {
            (true, true) => format!("upstream sent goaway with error {number}"),
            (true, false) => format!("upstream rejected request with error {number}"),
            (false, _) => format!("upstream sent invalid HTTP/2 ({error})"),
        }))
    }

    /// Takes bytes of the head. Once it is whole, the request goes out.
    fn poll_write_head(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Out::Head(send, head) = &mut self.out else { unreachable!("asked for by the caller") };
        if let Err(error) = ready!(send.poll_ready(cx)) {
            // Nothing of the request has left.
            self.is_unprocessed = true;
            self.place.retire_session();
            let ended = || io::Error::from(io::ErrorKind::BrokenPipe);
            return Poll::Ready(Err(self.note(error).unwrap_or_else(ended)));
        }
        let before = head.len();
        head.extend_from_slice(bytes);
        let from = before.saturating_sub(3);
        let Some(at) = head[from..].windows(4).position(|window| window == b"\r\n\r\n") else {
            return Poll::Ready(Ok(bytes.len()));
        };
        head.truncate(from + at + 4);
        let used = head.len() - before;
        Poll::Ready(self.send_head().map(|()| used))
    }

    fn send_head(&mut self) -> io::Result<()> {
        let Out::Head(mut send, head) = std::mem::replace(&mut self.out, Out::Broken) else {
            unreachable!("asked for by the caller")
        };
        let Outgoing { request, body, accept, is_head } =
            message::outgoing(&head, self.scheme, self.connect).map_err(io::Error::other)?;
        (self.accept, self.is_head) = (accept, is_head);
        let decoder = BodyDecoder::new(body);
        let is_over = decoder.is_done();
        match send.send_request(request, is_over) {
            Ok((response, stream)) => {
                self.coming = Coming::Head(response);
                self.out = if is_over { Out::Sent } else { Out::Body(stream, decoder) };
                Ok(())
            }
            Err(error) => {
                self.is_unprocessed = true;
                self.place.retire_session();
                Err(self.note(error).unwrap_or_else(|| io::ErrorKind::BrokenPipe.into()))
            }
        }
    }

    /// Sends of the body what the windows take.
    fn poll_write_body(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Out::Body(send, decoder) = &mut self.out else { unreachable!("asked for by the caller") };
        send.reserve_capacity(bytes.len());
        loop {
            let room = send.capacity();
            let (mut rest, mut data) = (decoder.clone(), Vec::new());
            // Without room there may still be an end to tell, which needs none.
            let used = rest.decode(bytes, room.max(1), |part| data.extend_from_slice(part));
            let used = used.map_err(|_| io::Error::other("the request's body is badly framed"))?;
            if data.len() > room {
                match ready!(send.poll_capacity(cx)) {
                    Some(Ok(_)) => continue,
                    Some(Err(error)) => {
                        let ended = || io::ErrorKind::BrokenPipe.into();
                        return Poll::Ready(Err(self.note(error).unwrap_or_else(ended)));
                    }
                    None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
                }
            }
            let is_over = rest.is_done();
            *decoder = rest;
            if !data.is_empty() || is_over {
                send.send_data(data.into(), is_over).map_err(io::Error::other)?;
            }
            if is_over {
                send.reserve_capacity(0);
                self.out = Out::Sent;
            }
            return Poll::Ready(Ok(used));
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let stream = self.get_mut();
        match &stream.out {
            Out::Head(..) => stream.poll_write_head(cx, bytes),
            Out::Body(..) => stream.poll_write_body(cx, bytes),
            // The message is whole.
            Out::Sent | Out::Broken => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    /// What was accepted is with the connection's task already.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for Out {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Out::Head(..) => "Head",
            Out::Body(..) => "Body",
            Out::Sent => "Sent",
            Out::Broken => "Broken",
        })
    }
}

impl fmt::Debug for Coming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Coming::Nothing => "Nothing",
            Coming::Head(_) => "Head",
            Coming::Body(..) => "Body",
            Coming::Over => "Over",
        })
    }
}
