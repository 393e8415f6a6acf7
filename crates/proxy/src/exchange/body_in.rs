//! The request's body on its way to the upstream: read ahead (`proxy_request_buffering`), or passed on as it comes.

use super::client::{BodyError, BodyPart};
use super::{Client, Exchange, Next};
use crate::upstream::Connection;
use culvert_conf::config::Level;
use culvert_engine::http1::BodyLength;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};
use tokio::time::timeout;

/// A request's body as the upstream will get it.
pub(super) enum RequestBody {
    /// In memory, so that it can be sent to another server again.
    Kept(Vec<u8>),
    /// Passed on as it comes; what was read ahead goes first.
    Streamed {
        first: Vec<u8>,
        length: Option<u64>,
    },
}

/// How many bytes of a body may wait for a slow upstream.
const WAITING_BYTES_MAX: usize = 64 * 1024;

/// Reads as much of the body as is to be held before a server is chosen. The error is the next step instead.
pub(super) async fn read_ahead<C: Client>(exchange: &mut Exchange, client: &mut C) -> Result<RequestBody, Next> {
    let length = match exchange.request.body {
        BodyLength::None | BodyLength::Sized(0) => return Ok(RequestBody::Kept(Vec::new())),
        BodyLength::Sized(length) => Some(length),
        BodyLength::Chunked | BodyLength::UntilClose => None,
    };
    let location = exchange.location.clone();
    client.limit_body(location.client_max_body_size);
    client.invite_body();
    let room = location.client_body_buffer_size;
    let fits = length.is_none_or(|length| length <= room as u64);
    let mut first = Vec::new();
    while location.proxy.request_buffering && fits && first.len() < room {
        let left = room - first.len();
        match timeout(location.client_body_timeout, poll_fn(|cx| client.poll_body(cx, &mut first, left))).await {
            Ok(Ok(BodyPart::Data)) => {}
            Ok(Ok(BodyPart::End)) => return Ok(RequestBody::Kept(first)),
            Ok(Err(error)) => return Err(refuse(exchange, client, &error)),
            Err(_) => return Err(time_out(exchange, client)),
        }
    }
    if client.body_is_read() {
        return Ok(RequestBody::Kept(first));
    }
    Ok(RequestBody::Streamed { first, length })
}

/// What follows from a body that can't be read.
pub(super) fn refuse<C: Client>(exchange: &mut Exchange, client: &mut C, error: &BodyError) -> Next {
    client.close_after();
    match error {
        BodyError::Gone(error) => {
            exchange.log(Level::Info, format_args!("client prematurely closed connection ({error})"));
            exchange.sent.status = 400;
            Next::Close
        }
        BodyError::Malformed => {
            exchange.log(Level::Info, "client sent invalid chunked body");
            Next::Status(400)
        }
        BodyError::TooLarge => {
            exchange.log(Level::Error, "client intended to send too large chunked body");
            Next::Status(413)
        }
    }
}

/// What follows from a client that does not send the body that it announced.
pub(super) fn time_out<C: Client>(exchange: &mut Exchange, client: &mut C) -> Next {
    exchange.log(Level::Info, "client timed out (110: Connection timed out) while reading client request body");
    client.close_after();
    Next::Status(408)
}

/// Moves a streamed body from the client to the upstream.
pub(super) struct Pump {
    active: bool,
    chunked: bool,
}

/// Why a pump stopped.
pub(super) enum PumpError {
    Client(BodyError),
    Upstream(io::Error),
}

impl Pump {
    /// A pump for `body`; what was read ahead is queued.
    pub(super) fn start(body: &RequestBody, connection: &mut Connection) -> Pump {
        match body {
            RequestBody::Kept(bytes) => {
                connection.outbox.push(bytes);
                Pump { active: false, chunked: false }
            }
            RequestBody::Streamed { first, length } => {
                let pump = Pump { active: true, chunked: length.is_none() };
                pump.frame(first, connection.outbox.tail());
                pump
            }
        }
    }

    /// Whether there is more to move.
    pub(super) fn is_active(&self) -> bool {
        self.active
    }

    /// Moves what there is. Returns whether anything moved.
    pub(super) fn poll<C: Client>(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut C,
        connection: &mut Connection,
    ) -> Result<bool, PumpError> {
        let mut moved = false;
        while self.active && connection.outbox.len() < WAITING_BYTES_MAX {
            let mut bytes = Vec::new();
            match client.poll_body(cx, &mut bytes, WAITING_BYTES_MAX) {
                Poll::Pending => break,
                Poll::Ready(Err(error)) => return Err(PumpError::Client(error)),
                Poll::Ready(Ok(BodyPart::Data)) => {
                    self.frame(&bytes, connection.outbox.tail());
                    if let Poll::Ready(Err(error)) = connection.poll_flush(cx) {
                        return Err(PumpError::Upstream(error));
                    }
                }
                Poll::Ready(Ok(BodyPart::End)) => {
                    if self.chunked {
                        connection.outbox.push(b"0\r\n\r\n");
                    }
                    self.active = false;
                }
            }
            moved = true;
        }
        Ok(moved)
    }

    fn frame(&self, bytes: &[u8], out: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        if self.chunked {
            out.extend_from_slice(format!("{:x}\r\n", bytes.len()).as_bytes());
        }
        out.extend_from_slice(bytes);
        if self.chunked {
            out.extend_from_slice(b"\r\n");
        }
    }
}
