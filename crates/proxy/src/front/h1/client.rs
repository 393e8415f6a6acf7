//! HTTP/1 as the exchange's client.

use super::connection::Front;
use super::write_head;
use crate::exchange::client::{BodyError, BodyPart, Client, OutHead};
use crate::io::clock::now;
use crate::io::{Deadline, TcpInfo};
use culvert_conf::config::Location;
use culvert_engine::http1::Headers;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Body bytes up to this many are queued and go out with what is queued before them.
const QUEUED_BYTES_MAX: usize = 16 * 1024;
/// How much of a further request may wait while one is served.
const PIPELINED_BYTES_MAX: usize = 16 * 1024;

impl Client for Front {
    fn body_is_read(&self) -> bool {
        self.message.body.is_done()
    }

    fn limit_body(&mut self, bytes_max: u64) {
        self.message.body_bytes_max = bytes_max;
    }

    fn invite_body(&mut self) {
        if std::mem::take(&mut self.message.expects_continue) && !self.body_is_read() {
            self.outbox.push(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
    }

    fn poll_body(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>, room: usize) -> Poll<Result<BodyPart, BodyError>> {
        if let Poll::Ready(Err(error)) = self.poll_flush(cx) {
            return Poll::Ready(Err(BodyError::Gone(error)));
        }
        loop {
            if self.body_is_read() {
                return Poll::Ready(Ok(BodyPart::End));
            }
            if !self.inbox.is_empty() {
                let before = out.len();
                self.decode(out, room)?;
                if out.len() > before {
                    return Poll::Ready(Ok(BodyPart::Data));
                }
                if self.body_is_read() {
                    continue;
                }
            }
            match ready!(self.poll_fill(cx, room.max(QUEUED_BYTES_MAX))) {
                Ok(1..) => {}
                Ok(_) => return Poll::Ready(Err(BodyError::Gone(io::ErrorKind::UnexpectedEof.into()))),
                Err(error) => return Poll::Ready(Err(BodyError::Gone(error))),
            }
        }
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.ended {
                return Poll::Ready(Ok(()));
            }
            if self.inbox.len() >= PIPELINED_BYTES_MAX {
                // Nothing is read, so nothing tells; a write will.
                return Poll::Pending;
            }
            if let Err(error) = ready!(self.poll_fill(cx, PIPELINED_BYTES_MAX)) {
                return Poll::Ready(Err(error));
            }
        }
    }

    fn adopt(&mut self, location: &Arc<Location>) {
        let age = now().duration_since(self.facts.opened);
        self.message.keep &= self.requests < location.keepalive_requests
            && !location.keepalive_timeout.is_zero()
            && age < location.keepalive_time
            // A client that was not invited may send its body or not: where the next request begins can't be told.
            && !self.message.expects_continue;
        if !location.tcp_nodelay {
            self.io.delay();
        }
        if !self.location.as_ref().is_some_and(|own| Arc::ptr_eq(own, location)) {
            self.location = Some(location.clone());
        }
    }

    fn close_after(&mut self) {
        self.message.keep = false;
    }

    fn tcp_info(&self) -> Option<TcpInfo> {
        self.io.tcp_info()
    }

    fn reset_at_end(&mut self) {
        self.io.reset_at_end();
    }

    fn send_interim(&mut self, status: u16, headers: &Headers) {
        if self.message.http_1_1 {
            write_head::interim(status, headers, self.outbox.tail());
        }
    }

    fn send_head(&mut self, head: &OutHead) -> &'static str {
        let message = &mut self.message;
        let unknown_length = head.has_body && head.content_length.is_none();
        let may_chunk = self.location.as_ref().is_none_or(|location| location.client.chunked_transfer_encoding);
        message.chunked = unknown_length && message.http_1_1 && may_chunk;
        message.takes_trailers |= head.has_trailers;
        message.keep &= !unknown_length || message.chunked;
        let header = self.location.as_ref().and_then(|location| location.keepalive_header);
        write_head::write(head, message, header, self.outbox.tail());
        write_head::connection(head.status, message.keep)
    }

    fn send_body(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        if self.message.chunked {
            write_head::chunk_size(bytes.len(), self.outbox.tail());
        }
        if self.outbox.len() + bytes.len() <= QUEUED_BYTES_MAX {
            self.outbox.push(bytes);
        } else {
            self.outbox.write_or_keep(&mut self.io, cx, bytes, &mut self.sent)?;
        }
        if self.message.chunked {
            self.outbox.push(b"\r\n");
        }
        Ok(())
    }

    fn send_end(&mut self, trailers: &Headers) {
        if self.message.chunked {
            let welcome = self.message.takes_trailers.then_some(trailers);
            write_head::last_chunk(welcome, self.outbox.tail());
        }
    }

    fn backlog(&self) -> usize {
        self.outbox.len()
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outbox.poll_write(&mut self.io, cx, &mut self.sent)
    }

    fn lend_deadline(&mut self) -> Deadline {
        std::mem::take(&mut self.deadline)
    }

    fn return_deadline(&mut self, deadline: Deadline) {
        self.deadline = deadline;
    }

    fn sent(&self) -> u64 {
        self.sent
    }

    fn received(&self) -> u64 {
        self.received
    }
}

impl Front {
    fn decode(&mut self, out: &mut Vec<u8>, room: usize) -> Result<(), BodyError> {
        let before = out.len();
        let message = &mut self.message;
        let used = message.body.decode(&self.inbox, room, |bytes| out.extend_from_slice(bytes));
        let used = used.map_err(|_| BodyError::Malformed)?;
        self.inbox.drain(..used);
        self.received += used as u64;
        message.body_bytes += (out.len() - before) as u64;
        if message.body_bytes_max != 0 && message.body_bytes > message.body_bytes_max {
            return Err(BodyError::TooLarge);
        }
        Ok(())
    }
}
