//! The request's body on its way to the upstream: read ahead (`proxy_request_buffering`), or passed on as it comes.

use super::saved::SavedBody;
use crate::exchange::client::{BodyError, BodyPart};
use crate::exchange::{Client, Exchange, Next};
use crate::upstream::Connection;
use bytes::Bytes;
use culvert_conf::config::{BodyFile, Level};
use culvert_engine::http1::BodyLength;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::timeout;

/// A request's body as the upstream will get it.
pub(in crate::exchange) enum RequestBody {
    /// In memory, so that it can be sent to another server again.
    Kept(Bytes),
    /// In a file, so that it can be sent again too.
    Saved(Arc<SavedBody>),
    /// Passed on as it comes; what was read ahead goes first.
    Streamed { first: Vec<u8>, length: Option<u64> },
}

impl RequestBody {
    /// Whether all of it is here: the client has nothing more to send, and another server may be sent the same.
    pub(in crate::exchange) fn is_here(&self) -> bool {
        !matches!(self, RequestBody::Streamed { .. })
    }

    /// How the body is framed on its way out; `asked` is how the client framed it.
    fn length(&self, asked: BodyLength) -> BodyLength {
        match (self, asked) {
            (RequestBody::Kept(bytes), BodyLength::None) if bytes.is_empty() => BodyLength::None,
            (RequestBody::Kept(bytes), _) => BodyLength::Sized(bytes.len() as u64),
            (RequestBody::Saved(saved), _) => BodyLength::Sized(saved.length()),
            (RequestBody::Streamed { length: Some(length), .. }, _) => BodyLength::Sized(*length),
            (RequestBody::Streamed { length: None, .. }, _) => BodyLength::Chunked,
        }
    }
}

/// How much of a body in chunks is read ahead, so that most can be sent on with a length as nginx sends them, and again.
const CHUNKED_BYTES_KEPT: usize = 1024 * 1024;

/// How many bytes of a body may wait for a slow upstream.
const WAITING_BYTES_MAX: usize = 64 * 1024;

/// Reads as much of the body as is to be held before a server is chosen. The error is the next step instead.
pub(in crate::exchange) async fn read_ahead<C: Client>(
    exchange: &mut Exchange,
    client: &mut C,
) -> Result<RequestBody, Next> {
    if exchange.location.client.body_file != BodyFile::Never {
        return save(exchange, client).await;
    }
    if let Some(kept) = &exchange.request.body_bytes {
        return Ok(RequestBody::Kept(kept.clone()));
    }
    if exchange.request.body_is_spent {
        // An error page on another server would get what is left, framed as if it were all.
        exchange.log(Level::Error, "the request's body was sent to another server already and can't be sent again");
        exchange.error_page_used = true;
        return Err(Next::Status(exchange.forced_status.unwrap_or(502)));
    }
    let length = match exchange.request.body {
        BodyLength::None | BodyLength::Sized(0) => return Ok(RequestBody::Kept(Bytes::new())),
        BodyLength::Sized(length) => Some(length),
        BodyLength::Chunked | BodyLength::UntilClose => None,
    };
    let location = exchange.location.clone();
    client.limit_body(location.client_max_body_size);
    client.invite_body();
    let room = match length {
        Some(length) if length <= location.client_body_buffer_size as u64 => location.client_body_buffer_size,
        Some(_) => 0,
        None => location.client_body_buffer_size.max(CHUNKED_BYTES_KEPT),
    };
    let wait = if location.proxy.request_buffering { location.client_body_timeout } else { Duration::ZERO };
    let mut first = std::mem::take(&mut exchange.request.body_ahead);
    while first.len() < room && !client.body_is_read() {
        let left = room - first.len();
        match timeout(wait, poll_fn(|cx| client.poll_body(cx, &mut first, left))).await {
            Ok(Ok(BodyPart::Data)) => {}
            Ok(Ok(BodyPart::End)) => break,
            Ok(Err(error)) => return Err(refuse(exchange, client, &error)),
            Err(_) if wait.is_zero() => break,
            Err(_) => return Err(time_out(exchange, client)),
        }
    }
    if !client.body_is_read() {
        return Ok(RequestBody::Streamed { first, length });
    }
    let kept = Bytes::from(first);
    exchange.request.body_bytes = Some(kept.clone());
    Ok(RequestBody::Kept(kept))
}

/// Reads the body into a file (`client_body_in_file_only`). The error is the next step instead.
async fn save<C: Client>(exchange: &mut Exchange, client: &mut C) -> Result<RequestBody, Next> {
    if let Some(saved) = &exchange.request.body_file {
        return Ok(RequestBody::Saved(saved.clone()));
    }
    if exchange.request.body == BodyLength::None {
        return Ok(RequestBody::Kept(Bytes::new()));
    }
    let location = exchange.location.clone();
    let give_up = |exchange: &Exchange, client: &mut C, message: String| {
        exchange.log(Level::Crit, message);
        client.close_after();
        Next::Status(500)
    };
    let stays = location.client.body_file == BodyFile::Kept;
    let mut saved = match SavedBody::create(&location.client.body_temp, stays) {
        Ok(saved) => saved,
        Err(message) => return Err(give_up(exchange, client, message)),
    };
    let shown = saved.path().display();
    exchange.log(Level::Notice, format_args!("a client request body is buffered to a temporary file {shown}"));
    client.limit_body(location.client_max_body_size);
    client.invite_body();
    let mut piece = match exchange.request.body_bytes.take() {
        Some(bytes) => bytes.to_vec(),
        None => std::mem::take(&mut exchange.request.body_ahead),
    };
    loop {
        if let Err(message) = saved.append(&piece) {
            return Err(give_up(exchange, client, message));
        }
        piece.clear();
        if client.body_is_read() {
            break;
        }
        let read = poll_fn(|cx| client.poll_body(cx, &mut piece, WAITING_BYTES_MAX));
        match timeout(location.client_body_timeout, read).await {
            Ok(Ok(BodyPart::Data)) => {}
            Ok(Ok(BodyPart::End)) => break,
            Ok(Err(error)) => return Err(refuse(exchange, client, &error)),
            Err(_) => return Err(time_out(exchange, client)),
        }
    }
    let saved = Arc::new(saved);
    exchange.request.body_file = Some(saved.clone());
    Ok(RequestBody::Saved(saved))
}

/// What the upstream is sent of a body that was read ahead, and how it is framed (`proxy_set_body`,
/// `proxy_pass_request_body`).
pub(in crate::exchange) fn shape(exchange: &mut Exchange, body: &mut RequestBody) -> BodyLength {
    let shape = &exchange.location.proxy.request;
    let own = shape.set_body.as_ref().map(|template| Bytes::from(exchange.render(template)));
    let (shaped, length) = match own {
        Some(own) => (own.clone(), BodyLength::Sized(own.len() as u64)),
        None if !shape.pass_body => (Bytes::new(), BodyLength::None),
        None => return body.length(exchange.request.body),
    };
    if let RequestBody::Streamed { first, .. } = std::mem::replace(body, RequestBody::Kept(shaped)) {
        exchange.request.body_ahead = first;
    }
    length
}

/// What follows from a body that can't be read.
pub(in crate::exchange) fn refuse<C: Client>(exchange: &mut Exchange, client: &mut C, error: &BodyError) -> Next {
    client.close_after();
    match error {
        BodyError::Gone(error) => {
            exchange.log(Level::Info, format_args!("client prematurely closed connection ({error})"));
            exchange.sent.status = 400;
            Next::Close
        }
        BodyError::Malformed => {
            exchange.log(Level::Error, "client sent invalid chunked body");
            Next::Status(400)
        }
        BodyError::TooLarge => {
            exchange.log(Level::Error, "client intended to send too large chunked body");
            Next::Status(413)
        }
        BodyError::Lost(message) => {
            exchange.log(Level::Crit, message);
            Next::Status(500)
        }
    }
}

/// What follows from a client that does not send the body that it announced.
pub(in crate::exchange) fn time_out<C: Client>(exchange: &mut Exchange, client: &mut C) -> Next {
    exchange.log(Level::Info, "client timed out (110: Connection timed out) while reading client request body");
    client.close_after();
    Next::Status(408)
}

/// Moves a streamed body from the client to the upstream.
pub(in crate::exchange) struct Pump {
    active: bool,
    chunked: bool,
    /// The file that the body is in, and how much of it was read.
    saved: Option<(Arc<SavedBody>, u64)>,
}

/// Why a pump stopped.
pub(in crate::exchange) enum PumpError {
    Client(BodyError),
    Upstream(io::Error),
}

impl Pump {
    /// A pump for `body`; what was read ahead is queued.
    pub(in crate::exchange) fn start(body: &RequestBody, connection: &mut Connection) -> Pump {
        match body {
            RequestBody::Kept(bytes) => {
                connection.outbox.push(bytes);
                Pump { active: false, chunked: false, saved: None }
            }
            RequestBody::Saved(saved) => Pump { active: true, chunked: false, saved: Some((saved.clone(), 0)) },
            RequestBody::Streamed { first, length } => {
                let pump = Pump { active: true, chunked: length.is_none(), saved: None };
                pump.frame(first, connection.outbox.tail());
                pump
            }
        }
    }

    /// Whether there is more to move.
    pub(in crate::exchange) fn is_active(&self) -> bool {
        self.active
    }

    /// Moves what there is and writes what the upstream takes. Ready once all of it is out; otherwise the client, where
    /// there is room for more, or the upstream, where there is not, wakes the task.
    pub(in crate::exchange) fn poll<C: Client>(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut C,
        connection: &mut Connection,
    ) -> Poll<Result<(), PumpError>> {
        let mut bytes = Vec::new();
        loop {
            let flushed = connection.poll_flush(cx).map_err(PumpError::Upstream)?;
            if !self.active || connection.outbox.len() >= WAITING_BYTES_MAX {
                return flushed.map(Ok);
            }
            bytes.clear();
            let part = match &mut self.saved {
                Some((saved, at)) => read_on(saved, at, &mut bytes),
                None => ready!(client.poll_body(cx, &mut bytes, WAITING_BYTES_MAX)),
            };
            match part.map_err(PumpError::Client)? {
                BodyPart::Data => self.frame(&bytes, connection.outbox.tail()),
                BodyPart::End => {
                    self.active = false;
                    if self.chunked {
                        connection.outbox.push(b"0\r\n\r\n");
                    }
                }
            }
        }
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

/// The next piece of a body in a file.
fn read_on(saved: &SavedBody, at: &mut u64, bytes: &mut Vec<u8>) -> Result<BodyPart, BodyError> {
    if *at == saved.length() {
        return Ok(BodyPart::End);
    }
    bytes.resize(WAITING_BYTES_MAX, 0);
    let read = saved.read_at(bytes, *at).map_err(BodyError::Lost)?;
    bytes.truncate(read);
    *at += read as u64;
    Ok(BodyPart::Data)
}
