//! `proxy_pass`: server after server until one answers, then its answer, relayed, or a tunnel.

use super::body_in::{self, Pump, RequestBody};
use super::handshake::{self, Wish};
use super::relay::{self, BodyEnd, BodyRelay, Bounds, HeadError};
use super::{Client, Exchange, Next, request_out, respond, response_in, target};
use crate::tunnel::{Opening, Timeouts};
use crate::upstream::{ConnectError, Connection, Pick, Upstream, connect, pool};
use culvert_conf::config::{Level, ProxyPass};
use culvert_engine::balance::{Ending, Tried};
use culvert_engine::http1::{BodyDecoder, BodyLength, ResponseHead, response_body};
use culvert_engine::retry::{TryFailure, TryState, may_retry, method_is_idempotent, status_for};
use culvert_engine::websocket::has_token;
use std::future::poll_fn;
use std::sync::Arc;
use tokio::time::{Instant, timeout};

/// What stays the same over all tries of one request.
struct Job<'a> {
    pass: &'a ProxyPass,
    upstream: Arc<Upstream>,
    wish: Wish,
    body: RequestBody,
    bounds: Bounds,
    began: Instant,
    tries: u32,
}

/// A server's answer.
struct Answer {
    pick: Pick,
    connection: Connection,
    pump: Pump,
    head: ResponseHead,
}

/// How a try ended without an answer to pass on.
enum TryError {
    /// The server failed; another one may be tried.
    Failed(FailedTry),
    /// No other server would help.
    Final(Next),
}

/// A server's failure.
struct FailedTry {
    failure: TryFailure,
    /// For the error log; empty where there is nothing to say.
    message: String,
    /// Whether anything of the request is spent.
    request_sent: bool,
    /// The connection was a kept one that its server had closed meanwhile: that says nothing about the server.
    was_stale: bool,
}

/// Relays the request to `pass`.
pub(super) async fn relay<C: Client>(exchange: &mut Exchange, client: &mut C, pass: &ProxyPass) -> Next {
    match prepare(exchange, client, pass).await {
        Ok(mut job) => {
            let before = client.received();
            let next = match find_answer(exchange, client, &mut job).await {
                Ok(answer) => deliver(exchange, client, &job, answer).await,
                Err(next) => next,
            };
            leave_body(exchange, job.body, client.received() > before);
            next
        }
        Err(next) => next,
    }
}

/// Leaves a streamed body to whoever comes next, an error page on another server for one, as far as it is still whole.
fn leave_body(exchange: &mut Exchange, body: RequestBody, was_read_on: bool) {
    match body {
        RequestBody::Streamed { .. } if was_read_on => exchange.request.body_is_spent = true,
        RequestBody::Streamed { first, .. } => exchange.request.body_ahead = first,
        RequestBody::Kept(_) => {}
    }
}

async fn prepare<'a, C: Client>(exchange: &mut Exchange, client: &mut C, pass: &'a ProxyPass) -> Result<Job<'a>, Next> {
    let upstream = target::resolve(exchange, pass)?;
    let body = body_in::read_ahead(exchange, client).await?;
    let wish = handshake::wish(exchange);
    if wish != Wish::None
        && let Err(status) = handshake::admit(exchange)
    {
        client.close_after();
        return Err(Next::Status(status));
    }
    let bounds = Bounds::of(&exchange.location);
    Ok(Job { pass, upstream, wish, body, bounds, began: Instant::now(), tries: 0 })
}

/// Tries servers until one answers in a way that is to be passed on.
async fn find_answer<C: Client>(exchange: &mut Exchange, client: &mut C, job: &mut Job<'_>) -> Result<Answer, Next> {
    let mut tried = Tried::new();
    loop {
        let Ok(pick) = job.upstream.pick(&tried) else { return Err(no_server_left(exchange, job)) };
        let peer = pick.peer;
        let failed = match attempt(exchange, client, job, pick).await.and_then(|answer| pass_on(exchange, job, answer))
        {
            Ok(answer) => return Ok(answer),
            Err(TryError::Final(next)) => return Err(next),
            Err(TryError::Failed(failed)) => failed,
        };
        if !failed.message.is_empty() {
            exchange.log(Level::Error, &failed.message);
        }
        exchange.close_try(status_for(failed.failure));
        if !failed.was_stale {
            tried.insert(peer);
            job.tries += 1;
        }
        if !may_try_again(exchange, job, &failed, job.tries) {
            return Err(Next::Status(status_for(failed.failure)));
        }
    }
}

fn no_server_left(exchange: &mut Exchange, job: &Job<'_>) -> Next {
    exchange.begin_try(None, &job.upstream);
    exchange.log(Level::Error, "no live upstreams while connecting to upstream");
    exchange.close_try(502);
    Next::Status(502)
}

/// Whether another server, or for a stale connection the same one, may be tried after so many tries.
fn may_try_again(exchange: &Exchange, job: &Job<'_>, failed: &FailedTry, tries_made: u32) -> bool {
    let next = exchange.location.proxy.next_upstream;
    let tries = job.upstream.tries() + u32::from(failed.was_stale);
    let state = TryState {
        method_is_idempotent: method_is_idempotent(exchange.request.method()),
        request_sent: failed.request_sent,
        body_is_kept: matches!(job.body, RequestBody::Kept(_)),
        tries_made,
        tries_left: tries.saturating_sub(tries_made),
        elapsed: job.began.elapsed(),
    };
    may_retry(next.on, failed.failure, &state, (next.tries, next.timeout))
}

/// Passes an answer on, unless it is one that `proxy_next_upstream` would rather have from another server.
fn pass_on(exchange: &Exchange, job: &Job<'_>, mut answer: Answer) -> Result<Answer, TryError> {
    let failure = TryFailure::Status(answer.head.status);
    if answer.head.status < 400 {
        return Ok(answer);
    }
    let failed = FailedTry { failure, message: String::new(), request_sent: true, was_stale: false };
    if !may_try_again(exchange, job, &failed, job.tries + 1) {
        return Ok(answer);
    }
    answer.pick.ends(failure.ending(true));
    Err(TryError::Failed(failed))
}

/// One try on one server: connect or reuse, send, wait for the head.
async fn attempt<C: Client>(
    exchange: &mut Exchange,
    client: &mut C,
    job: &Job<'_>,
    mut pick: Pick,
) -> Result<Answer, TryError> {
    exchange.begin_try(Some(&pick), &job.upstream);
    let (mut connection, reused) = match pool::take(&job.upstream, pick.peer) {
        Some(connection) => (connection, true),
        None => (open(exchange, client, job, &mut pick).await?, false),
    };
    exchange.note_connected(reused);
    connection.begin();
    let length = job.body.length(exchange.request.body);
    connection.outbox.push(&request_out::compose(exchange, job.wish, length));
    let mut pump = Pump::start(&job.body, &mut connection);
    let received_before = client.received();
    let awaited = relay::await_head(job.bounds, client, &mut connection, &mut pump).await;
    exchange.note_bytes(&connection);
    match awaited {
        Ok(head) => {
            exchange.note_head(&head);
            Ok(Answer { pick, connection, pump, head })
        }
        Err(HeadError::Upstream(failure, message)) => {
            let stale = reused && connection.received == 0 && failure == TryFailure::Error;
            // What was read of a streamed body for this server is gone with it.
            let request_sent = connection.sent > 0 || client.received() > received_before;
            pick.ends(if stale { Ending::Abandoned } else { Ending::Failed });
            Err(TryError::Failed(FailedTry { failure, message, request_sent, was_stale: stale }))
        }
        Err(HeadError::ClientGone) => Err(TryError::Final(client_gone(exchange))),
        Err(HeadError::ClientStalled) => Err(TryError::Final(body_in::time_out(exchange, client))),
        Err(HeadError::ClientBody(error)) => Err(TryError::Final(body_in::refuse(exchange, client, &error))),
    }
}

async fn open<C: Client>(
    exchange: &mut Exchange,
    client: &mut C,
    job: &Job<'_>,
    pick: &mut Pick,
) -> Result<Connection, TryError> {
    let proxy = &exchange.location.proxy;
    // A client that still uploads is read when its server is there; until then it may not have left, only not been heard.
    let watches = !proxy.ignore_client_abort && matches!(job.body, RequestBody::Kept(_));
    let connected = tokio::select! {
        biased;
        connected = connect(pick.endpoint(), proxy.connect_timeout, proxy.socket_keepalive) => connected,
        _ = poll_fn(|cx| client.poll_gone(cx)), if watches => return Err(TryError::Final(client_gone(exchange))),
    };
    let (failure, message) = match connected {
        Ok(transport) => return Ok(Connection::new(transport)),
        Err(ConnectError::Timeout) => {
            (TryFailure::Timeout, "upstream timed out (110: Connection timed out) while connecting to upstream".into())
        }
        Err(ConnectError::Failed(error)) => {
            let reason = crate::observe::error_log::os_error(&error);
            (TryFailure::Connect, format!("connect() failed ({reason}) while connecting to upstream"))
        }
    };
    pick.ends(Ending::Failed);
    Err(TryError::Failed(FailedTry { failure, message, request_sent: false, was_stale: false }))
}

fn client_gone(exchange: &mut Exchange) -> Next {
    exchange.log(
        Level::Info,
        "client prematurely closed connection, so upstream connection is closed too while reading response header from upstream",
    );
    exchange.close_try(499);
    Next::Status(499)
}

/// Passes the answer on: as a tunnel, by an error page, or as it is.
async fn deliver<C: Client>(exchange: &mut Exchange, client: &mut C, job: &Job<'_>, mut answer: Answer) -> Next {
    if answer.head.status == 101 {
        return match job.wish {
            Wish::None => {
                refuse(exchange, answer, "upstream sent unexpected 101 while reading response header from upstream")
            }
            _ => open_tunnel(exchange, client, job, answer),
        };
    }
    let framing = response_body(&answer.head.headers, answer.head.minor, answer.head.status, exchange.is_head());
    let length = match framing {
        Ok(length) => length,
        Err(error) => {
            let message = format!("upstream sent {} while reading response header from upstream", error.describe());
            return refuse(exchange, answer, &message);
        }
    };
    answer.pick.ends(Ending::Good);
    let may_be_kept = may_be_kept(&answer.head, length);
    if exchange.location.proxy.intercept_errors
        && answer.head.status >= 300
        && has_error_page(exchange, answer.head.status)
    {
        exchange.upstream_headers = std::mem::take(&mut answer.head.headers);
        exchange.close_try(answer.head.status);
        return Next::Status(answer.head.status);
    }
    let head = response_in::translate(exchange, job.pass, &answer.head, length);
    exchange.upstream_headers = std::mem::take(&mut answer.head.headers);
    respond::send_head(exchange, client, head);
    relay_body(exchange, client, job, answer, length, may_be_kept).await
}

fn has_error_page(exchange: &Exchange, status: u16) -> bool {
    !exchange.error_page_used && exchange.location.error_pages.iter().any(|page| page.status == status)
}

fn refuse(exchange: &mut Exchange, mut answer: Answer, message: &str) -> Next {
    answer.pick.ends(Ending::Failed);
    exchange.log(Level::Error, message);
    if let Some(attempt) = exchange.tries.last_mut() {
        attempt.status = 502;
    }
    exchange.close_try(502);
    Next::Status(502)
}

async fn relay_body<C: Client>(
    exchange: &mut Exchange,
    client: &mut C,
    job: &Job<'_>,
    answer: Answer,
    length: BodyLength,
    may_be_kept: bool,
) -> Next {
    let Answer { mut pick, mut connection, mut pump, head } = answer;
    let mut relay = BodyRelay::new(job.bounds, BodyDecoder::new(length));
    let end = relay.run(client, &mut connection, &mut pump).await;
    exchange.note_bytes(&connection);
    if let Some(attempt) = exchange.tries.last_mut() {
        attempt.response_length = relay.length;
    }
    let next = match end {
        BodyEnd::Complete(trailers) => {
            exchange.upstream_trailers = trailers;
            exchange.sent.complete = true;
            let reusable = !pump.is_active() && !relay.request_cut && may_be_kept;
            if pump.is_active() {
                client.close_after();
            }
            if reusable {
                pool::keep(&job.upstream, pick.peer, connection);
            }
            Next::Done
        }
        BodyEnd::Upstream(message) => {
            pick.ends(Ending::Failed);
            exchange.log(Level::Error, message);
            // What came before the break is the client's all the same; the close tells it that more is missing.
            let _ = timeout(exchange.location.send_timeout, poll_fn(|cx| client.poll_flush(cx))).await;
            Next::Close
        }
        BodyEnd::ClientGone => {
            exchange.log(Level::Info, "client prematurely closed connection while sending to client");
            Next::Close
        }
        BodyEnd::ClientStalled => {
            exchange.log(Level::Info, "client timed out (110: Connection timed out) while sending to client");
            Next::Close
        }
    };
    exchange.close_try(head.status);
    next
}

/// Whether the server keeps its connection open after this response (RFC 9112 section 9.3).
fn may_be_kept(head: &ResponseHead, length: BodyLength) -> bool {
    let says = |token: &str| head.headers.all("connection").any(|list| has_token(list, token));
    length != BodyLength::UntilClose && !says("close") && (head.minor > 0 || says("keep-alive"))
}

fn open_tunnel<C: Client>(exchange: &mut Exchange, client: &mut C, job: &Job<'_>, answer: Answer) -> Next {
    let Answer { mut pick, connection, head, .. } = answer;
    pick.ends(Ending::Good);
    let out = response_in::translate(exchange, job.pass, &head, BodyLength::None);
    exchange.upstream_headers = head.headers;
    respond::send_head(exchange, client, out);
    let proxy = &exchange.location.proxy;
    let timeouts = Timeouts {
        idle: proxy.read_timeout,
        to_server: proxy.send_timeout,
        to_client: exchange.location.send_timeout,
        close: exchange.location.websocket.close_timeout,
    };
    let session = handshake::session(exchange);
    if exchange.location.websocket.log_open {
        exchange.log(Level::Info, "a WebSocket opened");
    }
    let record = exchange.hand_over();
    Next::Tunnel(Box::new(Opening { connection, pick, timeouts, record, session }))
}
