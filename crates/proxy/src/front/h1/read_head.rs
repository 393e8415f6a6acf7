//! The wait for the next request, and its head.

use super::connection::{Front, Message};
use crate::exchange::{Exchange, Next};
use crate::io::clock::now;
use crate::io::spare;
use crate::lifecycle::{Generation, Shared};
use crate::observe::metrics::{Held, Tally};
use culvert_conf::config::{HeaderLimits, Level};
use culvert_engine::http1::{
    BodyLength, HEAD_BYTES_MAX, HeadLimits, RequestError, RequestHead, RequestScanner, request_body,
};
use culvert_engine::websocket::has_token;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::time::Instant;

/// What came of waiting for a request.
pub(super) enum Arrival {
    /// A request, good or bad, and its first step.
    Request((Box<Exchange>, Next)),
    /// The connection closed, idled too long, or the gateway drains.
    Nothing,
    /// The connection begins with the preface of HTTP/2, and its address speaks that.
    Http2,
}

/// How the wait for a head ended.
enum Head {
    /// It is whole, and so many bytes long.
    Whole(Result<RequestHead, (RequestError, RequestHead)>, usize),
    Bad(RequestError),
    Closed,
    TimedOut,
}

/// Waits for the next request. The generation is taken when its first byte arrives, so a reload holds for the next request
/// of a connection that was open before it.
pub(super) async fn next(front: &mut Front, site: usize, shared: &Arc<Shared>) -> Arrival {
    let pipelined = !front.inbox.is_empty();
    if !pipelined && !first_byte(front, site, shared).await {
        return Arrival::Nothing;
    }
    let began = now();
    let generation = shared.generation.load_full();
    let Some(site) = generation.site_of(site) else { return Arrival::Nothing };
    let server = generation.default_server(site);
    front.deadline.set(began, server.client_header_timeout);
    // Over TLS the handshake has said what is spoken.
    if front.requests == 0
        && PREFACE.starts_with(&front.inbox[..front.inbox.len().min(3)])
        && front.facts.tls.is_none()
        && !front.facts.is_plain_to_tls
        && generation.sites[site].speaks_http2(server)
        && is_http2(front).await
    {
        return Arrival::Http2;
    }
    front.begin();
    let limits = limits(server.header_limits);
    let head = {
        let _reading = Held::new(Tally::Reading);
        read(front, limits).await
    };
    front.deadline.clear();
    match head {
        Head::Whole(head, length) => {
            front.inbox.drain(..length);
            front.received = length as u64;
            Arrival::Request(take(front, generation, site, head, began, pipelined, shared))
        }
        Head::Bad(error) => Arrival::Request(refuse(front, generation, site, error, began)),
        Head::Closed => abandon(front, generation, site, began, 400, "client prematurely closed connection"),
        Head::TimedOut => abandon(front, generation, site, began, 408, "client timed out (110: Connection timed out)"),
    }
}

/// Waits for the first byte of a request. False where none comes. A graceful stop ends the wait between two requests, once
/// `keepalive_min_timeout` is over.
async fn first_byte(front: &mut Front, site: usize, shared: &Shared) -> bool {
    let wait = match &front.location {
        Some(location) => location.keepalive_timeout,
        None => first_wait(&shared.generation.load(), site),
    };
    let _waiting = Held::new(Tally::Waiting);
    front.idle_since_now(wait);
    // A connection that has not asked yet was accepted to be answered; only one between two requests is idle.
    let is_idle = front.requests > 0;
    let least = front.location.as_ref().map(|location| location.client.keepalive_min_timeout);
    let kept_until = now() + least.unwrap_or_default();
    poll_fn(|cx| {
        if let Poll::Ready(read) = front.poll_fill(cx, FIRST_READ_BYTES) {
            return Poll::Ready(matches!(read, Ok(1..)));
        }
        front.outbox.shrink();
        if front.inbox.is_empty() {
            spare::give(std::mem::take(&mut front.inbox));
        }
        if is_idle && front.drain.has_started(&shared.drain, cx) {
            front.deadline.hasten(kept_until);
        }
        front.deadline.poll(cx).map(|()| false)
    })
    .await
}

/// How every connection of HTTP/2 begins (RFC 9113 section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Whether the connection begins with HTTP/2's preface. What begins otherwise, or ends before, is read as HTTP/1.
async fn is_http2(front: &mut Front) -> bool {
    poll_fn(|cx| {
        loop {
            let inbox = &front.inbox;
            let length = inbox.len().min(PREFACE.len());
            if inbox[..length] != PREFACE[..length] || length == PREFACE.len() {
                return Poll::Ready(inbox.starts_with(PREFACE));
            }
            match front.poll_fill(cx, FIRST_READ_BYTES) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(_) => return Poll::Ready(false),
                Poll::Pending => return front.deadline.poll(cx).map(|()| false),
            }
        }
    })
    .await
}

/// Most requests are smaller; a larger one is read in further steps.
const FIRST_READ_BYTES: usize = 16 * 1024;

fn first_wait(generation: &Generation, site: usize) -> Duration {
    let site = generation.site_of(site);
    site.map_or(Duration::ZERO, |site| generation.default_server(site).client_header_timeout)
}

pub(in crate::front) fn limits(limits: HeaderLimits) -> HeadLimits {
    let all = limits.first.saturating_add(limits.number.saturating_mul(limits.size));
    HeadLimits { line_bytes_max: limits.size.max(limits.first), head_bytes_max: all.min(HEAD_BYTES_MAX) }
}

async fn read(front: &mut Front, limits: HeadLimits) -> Head {
    skip_empty_lines(front);
    // As most heads come.
    if let Some((head, length)) = RequestHead::read_whole(&front.inbox, limits) {
        return Head::Whole(Ok(head), length);
    }
    let mut scanner = RequestScanner::default();
    poll_fn(|cx| {
        loop {
            match scanner.scan(&front.inbox, limits) {
                Ok(Some(length)) => {
                    return Poll::Ready(Head::Whole(RequestHead::parse(&front.inbox[..length]), length));
                }
                Err(error) => return Poll::Ready(Head::Bad(error)),
                Ok(None) => {}
            }
            match front.poll_fill(cx, FIRST_READ_BYTES) {
                Poll::Ready(Ok(1..)) => skip_empty_lines(front),
                Poll::Ready(_) => return Poll::Ready(Head::Closed),
                Poll::Pending => return front.deadline.poll(cx).map(|()| Head::TimedOut),
            }
        }
    })
    .await
}

/// Empty lines before a request line are forgiven (RFC 9112 section 2.2).
fn skip_empty_lines(front: &mut Front) {
    let empty = front.inbox.chunks_exact(2).take_while(|pair| pair == b"\r\n").count() * 2;
    front.inbox.drain(..empty);
}

fn take(
    front: &mut Front,
    generation: Arc<Generation>,
    site: usize,
    head: Result<RequestHead, (RequestError, RequestHead)>,
    began: Instant,
    pipelined: bool,
    shared: &Shared,
) -> (Box<Exchange>, Next) {
    let framed = match head {
        Ok(head) => match request_body(&head.headers, head.minor) {
            Ok(body) => Ok((head, body)),
            Err(error) => Err((
                head,
                error.status(),
                format!("client sent {} while reading client request headers", error.describe()),
            )),
        },
        Err((error, head)) => Err((head, error.status(), error.describe().to_owned())),
    };
    note(&mut front.message, framed.as_ref().ok(), shared);
    let (head, complaint) = match framed {
        Ok(good) => (Ok(good), None),
        Err((head, status, complaint)) => (Err((head, status)), Some(complaint)),
    };
    let (mut exchange, first) = Exchange::new(generation, front.facts.clone(), site, head, began, front.requests);
    exchange.request.pipelined = pipelined;
    exchange.request.received = front.received;
    if let Some(complaint) = complaint {
        exchange.log(Level::Info, complaint);
    }
    (exchange, first)
}

/// Fills what holds for the message in place: built elsewhere, its dozen of small fields would be copied byte by byte.
fn note(message: &mut Message, good: Option<&(RequestHead, BodyLength)>, shared: &Shared) {
    let Some((head, length)) = good else { return *message = unreadable() };
    let says = |token: &str| head.headers.all("connection").any(|list| has_token(list, token));
    message.restart(*length);
    message.http_1_1 = head.minor > 0;
    message.keep = !shared.drain.has_started() && if message.http_1_1 { !says("close") } else { says("keep-alive") };
    message.keep &= !matches!(head.method(), b"CONNECT" | b"TRACE");
    message.takes_trailers = head.headers.all("te").any(|list| has_token(list, "trailers"));
    message.expects_continue = message.http_1_1
        && head.headers.first("expect").is_some_and(|expect| expect.eq_ignore_ascii_case(b"100-continue"));
}

fn unreadable() -> Message {
    Message { unreadable: true, ..Message::new(BodyLength::None) }
}

/// A head that could not be delimited: its request line, as far as there is one, is kept for the log.
fn refuse(
    front: &mut Front,
    generation: Arc<Generation>,
    site: usize,
    error: RequestError,
    began: Instant,
) -> (Box<Exchange>, Next) {
    front.message = unreadable();
    front.received = front.inbox.len() as u64;
    let head = RequestHead::salvage(&front.inbox);
    let (exchange, first) =
        Exchange::new(generation, front.facts.clone(), site, Err((head, error.status())), began, front.requests);
    exchange.log(Level::Info, error.describe());
    (exchange, first)
}

/// A head that never came whole: nobody is there to be answered, but the log knows of it.
fn abandon(
    front: &mut Front,
    generation: Arc<Generation>,
    site: usize,
    began: Instant,
    status: u16,
    message: &str,
) -> Arrival {
    front.received = front.inbox.len() as u64;
    let head = RequestHead::salvage(&front.inbox);
    let (mut exchange, _) =
        Exchange::new(generation, front.facts.clone(), site, Err((head, status)), began, front.requests);
    exchange.request.received = front.received;
    exchange.sent.status = status;
    exchange.log(Level::Info, format_args!("{message} while reading client request headers"));
    Arrival::Nothing
}
