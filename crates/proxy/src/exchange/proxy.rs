//! `proxy_pass`: server after server until one answers, then its answer, relayed, or a tunnel.

use super::body_in::{self, Pump, RequestBody};
use super::handshake::{self, Wish};
use super::relay::{self, BodyEnd, BodyRelay, Bounds, HeadError};
use super::{Client, Exchange, Next, Try, request_out, respond, response_in, target};
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

/// How a try failed.
enum TryError {
    /// The server failed; another one may be tried.
    Failed { failure: TryFailure, message: String, request_sent: bool, reused: bool },
    /// No other server would help.
    Final(Next),
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
    let mut last_failure = None;
    loop {
        let Some(pick) = job.upstream.pick(&tried) else {
            return Err(no_server_left(exchange, job, last_failure));
        };
        let (peer, pick) = (pick.peer, pick);
        let outcome = match attempt(exchange, client, job, pick).await {
            Ok(answer) => pass_on_or_retry(exchange, job, answer),
            Err(error) => Err(error),
        };
        let (failure, message, request_sent, reused) = match outcome {
            Ok(answer) => return Ok(answer),
            Err(TryError::Final(next)) => return Err(next),
            Err(TryError::Failed { failure, message, request_sent, reused }) => {
                (failure, message, request_sent, reused)
            }
        };
        if !message.is_empty() {
            exchange.log(Level::Error, &message);
        }
        close_try(exchange, status_for(failure));
        last_failure = Some(failure);
        // A kept connection that its server has closed meanwhile says nothing about the server: it is asked again.
        if !reused {
            tried.insert(peer);
            job.tries += 1;
        }
        if !may_try_again(exchange, job, failure, request_sent, reused) {
            return Err(Next::Status(status_for(failure)));
        }
    }
}

fn no_server_left(exchange: &mut Exchange, job: &Job<'_>, last: Option<TryFailure>) -> Next {
    begin_try(exchange, None, &job.upstream);
    exchange.log(Level::Error, "no live upstreams while connecting to upstream");
    close_try(exchange, 502);
    Next::Status(last.filter(|failure| !matches!(failure, TryFailure::Status(_))).map_or(502, |_| 502))
}

fn may_try_again(exchange: &Exchange, job: &Job<'_>, failure: TryFailure, request_sent: bool, reused: bool) -> bool {
    let next = exchange.location.proxy.next_upstream;
    let state = TryState {
        method_is_idempotent: method_is_idempotent(exchange.request.method()),
        request_sent,
        body_is_kept: matches!(job.body, RequestBody::Kept(_)),
        tries_made: job.tries,
        tries_left: (job.upstream.tries() + u32::from(reused)).saturating_sub(job.tries),
        elapsed: job.began.elapsed(),
    };
    may_retry(next.on, failure, &state, (next.tries, next.timeout))
}

/// Whether the answer is one that `proxy_next_upstream` would rather have from another server.
fn pass_on_or_retry(exchange: &mut Exchange, job: &mut Job<'_>, mut answer: Answer) -> Result<Answer, TryError> {
    let failure = TryFailure::Status(answer.head.status);
    job.tries += 1;
    let again = may_try_again(exchange, job, failure, true, false);
    job.tries -= 1;
    if !again {
        return Ok(answer);
    }
    answer.pick.ends(failure.ending(true));
    Err(TryError::Failed { failure, message: String::new(), request_sent: true, reused: false })
}

/// One try on one server: connect or reuse, send, wait for the head.
async fn attempt<C: Client>(
    exchange: &mut Exchange,
    client: &mut C,
    job: &Job<'_>,
    mut pick: Pick,
) -> Result<Answer, TryError> {
    begin_try(exchange, Some(&pick), &job.upstream);
    let (mut connection, reused) = match pool::take(&job.upstream, pick.peer) {
        Some(connection) => (connection, true),
        None => (open(exchange, client, job, &mut pick).await?, false),
    };
    note_connected(exchange);
    connection.begin();
    let body = match (&job.body, exchange.request.body) {
        (RequestBody::Kept(bytes), BodyLength::None) if bytes.is_empty() => BodyLength::None,
        (RequestBody::Kept(bytes), _) => BodyLength::Sized(bytes.len() as u64),
        (RequestBody::Streamed { length: Some(length), .. }, _) => BodyLength::Sized(*length),
        (RequestBody::Streamed { length: None, .. }, _) => BodyLength::Chunked,
    };
    connection.outbox.push(&request_out::compose(exchange, job.wish, body));
    let mut pump = Pump::start(&job.body, &mut connection);
    let received_before = client.received();
    let awaited = relay::await_head(job.bounds, client, &mut connection, &mut pump).await;
    note_bytes(exchange, &connection);
    match awaited {
        Ok(head) => {
            note_head(exchange, &head);
            Ok(Answer { pick, connection, pump, head })
        }
        Err(HeadError::Upstream(failure, message)) => {
            let stale = reused && connection.received == 0 && failure == TryFailure::Error;
            // What was read of a streamed body for this server is gone with it.
            let request_sent = connection.sent > 0 || client.received() > received_before;
            pick.ends(if stale { Ending::Abandoned } else { Ending::Failed });
            Err(TryError::Failed { failure, message, request_sent, reused: stale })
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
    Err(TryError::Failed { failure, message, request_sent: false, reused: false })
}

fn client_gone(exchange: &mut Exchange) -> Next {
    exchange.log(
        Level::Info,
        "client prematurely closed connection, so upstream connection is closed too while reading response header from upstream",
    );
    close_try(exchange, 499);
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
        close_try(exchange, answer.head.status);
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
    close_try(exchange, 502);
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
    note_bytes(exchange, &connection);
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
    close_try(exchange, head.status);
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
    let record = exchange.hand_over();
    Next::Tunnel(Box::new(Opening { connection, pick, timeouts, record, session }))
}

fn begin_try(exchange: &mut Exchange, pick: Option<&Pick>, upstream: &Arc<Upstream>) {
    let after_redirect = exchange.redirected_after == exchange.tries.len() && !exchange.tries.is_empty();
    exchange.tries.push(Try {
        peer: pick.map(|pick| pick.peer),
        upstream: upstream.clone(),
        status: 0,
        began: Instant::now(),
        connect_time: None,
        header_time: None,
        response_time: None,
        bytes_sent: 0,
        bytes_received: 0,
        response_length: 0,
        after_redirect,
    });
}

fn note_connected(exchange: &mut Exchange) {
    if let Some(attempt) = exchange.tries.last_mut() {
        attempt.connect_time = Some(attempt.began.elapsed());
    }
}

fn note_bytes(exchange: &mut Exchange, connection: &Connection) {
    if let Some(attempt) = exchange.tries.last_mut() {
        attempt.bytes_sent = connection.sent;
        attempt.bytes_received = connection.received;
    }
}

fn note_head(exchange: &mut Exchange, head: &ResponseHead) {
    if let Some(attempt) = exchange.tries.last_mut() {
        attempt.status = head.status;
        attempt.header_time = Some(attempt.began.elapsed());
    }
}

fn close_try(exchange: &mut Exchange, status: u16) {
    if let Some(attempt) = exchange.tries.last_mut() {
        if attempt.status == 0 {
            attempt.status = status;
        }
        attempt.response_time.get_or_insert_with(|| attempt.began.elapsed());
    }
}
