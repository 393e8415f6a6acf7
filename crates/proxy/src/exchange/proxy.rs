//! `proxy_pass`: server after server until one answers, then its answer, relayed, or a tunnel.

use super::attempt::{Answer, FailedTry, TryError, attempt};
use super::body_in::{self, RequestBody};
use super::filter::{self, Chain, Filtered};
use super::handshake::{self, Wish};
use super::relay::{BodyEnd, BodyRelay, Bounds, Ends};
use super::stick::Binding;
use super::{Client, Exchange, Next, accel, choose, request_out, respond, response_in, server_tls, source, target};
use crate::io::clock::now;
use crate::tunnel::{Opening, Timeouts};
use crate::upstream::{Upstream, Way, pool};
use culvert_conf::config::{Level, Location, ProxyPass};
use culvert_engine::balance::{Ending, PeerId, Tried};
use culvert_engine::http1::{BodyDecoder, BodyLength, ResponseHead, response_body};
use culvert_engine::retry::{RetryOn, TryFailure, TryState, may_retry, method_is_idempotent, status_for};
use culvert_engine::websocket::has_token;
use std::future::poll_fn;
use std::ops::Range;
use std::sync::Arc;
use tokio::time::{Instant, timeout};

/// What belongs to all tries of one request.
pub(super) struct Job<'a> {
    pass: &'a ProxyPass,
    pub(super) upstream: Arc<Upstream>,
    pub(super) wish: Wish,
    /// How its connections are made.
    pub(super) way: Way,
    pub(super) method: Vec<u8>,
    pub(super) body: RequestBody,
    /// How the body is framed.
    pub(super) length: BodyLength,
    /// The location, where its `early_hints` let a 103 pass.
    pub(super) hints: Option<Arc<Location>>,
    pub(super) bounds: Bounds,
    /// The value of the key of `hash`.
    pub(super) key: Vec<u8>,
    /// What the request says of its server by `sticky`.
    pub(super) binding: Binding,
    /// The servers that failed it.
    pub(super) tried: Tried,
    /// The server whose kept connection it lost.
    pub(super) again: Option<PeerId>,
    began: Instant,
    tries: u32,
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
    let upstream = target::resolve(exchange, pass).await?;
    let method = request_out::method(exchange)?;
    let body = body_in::read_ahead(exchange, client).await?;
    let (body, length) = body_in::shape(exchange, body);
    let wish = match handshake::wish(exchange) {
        Wish::WebSocket if method != b"GET" => Wish::None,
        wish => wish,
    };
    if wish != Wish::None
        && let Err(status) = handshake::admit(exchange)
    {
        client.close_after();
        return Err(Next::Status(status));
    }
    if wish == Wish::None && exchange.request.by_connect {
        exchange.log(Level::Info, "a WebSocket was asked for where the location serves none");
        return Err(Next::Status(501));
    }
    let bounds = Bounds::of(&exchange.location);
    let key = upstream.config.hash_key.as_ref().map(|key| exchange.render(key)).unwrap_or_default();
    let binding = Binding::of(exchange, &upstream);
    let (tried, again, began) = (Tried::new(), None, now());
    let way = Way::of(&exchange.location.proxy, handshake::purpose(exchange, wish), server_tls::wanted(exchange));
    let way = source::settle(exchange, way);
    let hints = exchange.holds(&exchange.location.client.early_hints).then(|| exchange.location.clone());
    let tries = 0;
    Ok(Job { pass, upstream, wish, way, method, body, length, hints, bounds, key, binding, tried, again, began, tries })
}

/// Tries servers until one answers in a way that is to be passed on.
async fn find_answer<C: Client>(exchange: &mut Exchange, client: &mut C, job: &mut Job<'_>) -> Result<Answer, Next> {
    loop {
        let pick = choose::server(exchange, client, job).await?;
        let answered = attempt(exchange, client, job, pick).await;
        let mut failed = match answered.and_then(|answer| pass_on(exchange, job, answer)) {
            Ok(answer) => return Ok(answer),
            Err(TryError::Final(next)) => return Err(next),
            Err(TryError::Failed(failed)) => failed,
        };
        let peer = failed.pick.peer().id;
        let status = status_for(failed.failure);
        if failed.was_stale {
            job.again = Some(peer);
        } else {
            for peer in failed.rival.into_iter().chain([peer]) {
                job.tried.insert(peer);
                job.tries += 1;
            }
        }
        let goes_on = may_try_again(exchange, job, &failed, job.tries);
        log_failure(exchange, &mut failed, goes_on);
        exchange.close_try(status);
        if !goes_on {
            return Err(Next::Status(status));
        }
    }
}

/// Logs a failed try, and that its server rests from now on, if so.
fn log_failure(exchange: &Exchange, failed: &mut FailedTry, goes_on: bool) {
    if !failed.message.is_empty() {
        // A kept connection that its server had closed is nobody's fault, if nobody suffers from it.
        let level = if failed.was_stale && goes_on { Level::Info } else { Level::Error };
        exchange.log(level, &failed.message);
    }
    if failed.pick.finish() {
        let doing = failed.message.rfind(" while ").map(|at| &failed.message[at..]);
        let doing = doing.unwrap_or(" while reading response header from upstream");
        exchange.log(Level::Warn, format_args!("upstream server temporarily disabled{doing}"));
    }
}

/// Whether another server may be tried after so many tries, or for a stale connection the same one.
fn may_try_again(exchange: &Exchange, job: &Job<'_>, failed: &FailedTry, tries_made: u32) -> bool {
    let state = state(exchange, job, failed.request_sent, tries_made);
    let next = exchange.location.proxy.next_upstream;
    if failed.was_stale {
        // It is the same server, so what `proxy_next_upstream` says of the next one is of no account (RFC 9110 section 9.2.2).
        let may_repeat = state.method_is_idempotent || next.on.contains(RetryOn::NON_IDEMPOTENT);
        return !state.request_sent || (may_repeat && state.body_is_kept);
    }
    may_retry(next.on, failed.failure, &state, (next.tries, next.timeout))
}

fn state(exchange: &Exchange, job: &Job<'_>, request_sent: bool, tries_made: u32) -> TryState {
    TryState {
        method_is_idempotent: method_is_idempotent(exchange.request.method()),
        request_sent,
        body_is_kept: matches!(job.body, RequestBody::Kept(_)),
        tries_made,
        tries_left: job.upstream.tries().saturating_sub(tries_made),
        elapsed: job.began.elapsed(),
    }
}

/// Passes an answer on, unless it is one that `proxy_next_upstream` would rather have from another server.
fn pass_on(exchange: &Exchange, job: &Job<'_>, mut answer: Answer) -> Result<Answer, TryError> {
    if answer.head.status < 400 {
        return Ok(answer);
    }
    let failure = TryFailure::Status(answer.head.status);
    let state = state(exchange, job, true, job.tries + 1);
    let next = exchange.location.proxy.next_upstream;
    if !may_retry(next.on, failure, &state, (next.tries, next.timeout)) {
        return Ok(answer);
    }
    answer.pick.ends(failure.ending(true));
    let (pick, message) = (answer.pick, String::new());
    Err(TryError::Failed(Box::new(FailedTry {
        pick,
        rival: None,
        failure,
        message,
        request_sent: true,
        was_stale: false,
    })))
}

/// Passes the answer on: as a tunnel, by an error page, or as it is.
async fn deliver<C: Client>(exchange: &mut Exchange, client: &mut C, job: &Job<'_>, mut answer: Answer) -> Next {
    if answer.head.status == 101 {
        return match job.wish {
            Wish::None => {
                refuse(exchange, answer, "upstream sent unexpected 101 while reading response header from upstream")
            }
            // The client of an extended CONNECT has sent no key, and has nothing to check.
            _ if exchange.request.by_connect && !handshake::is_accepted(exchange, &answer.head.headers) => refuse(
                exchange,
                answer,
                "upstream sent a 101 that accepts no WebSocket while reading response header from upstream",
            ),
            _ => open_tunnel(exchange, client, job, answer),
        };
    }
    if exchange.request.by_connect && (200..300).contains(&answer.head.status) {
        let message =
            "upstream answered a WebSocket's handshake without 101 while reading response header from upstream";
        return refuse(exchange, answer, message);
    }
    let asked_with_head = job.method.eq_ignore_ascii_case(b"HEAD");
    let framing = response_body(&answer.head.headers, answer.head.minor, answer.head.status, asked_with_head);
    let length = match framing {
        Ok(length) => length,
        Err(error) => {
            let message = format!("upstream sent {} while reading response header from upstream", error.describe());
            return refuse(exchange, answer, &message);
        }
    };
    answer.pick.answered();
    let may_be_kept = may_be_kept(&answer.head, length);
    exchange.upstream_headers = std::mem::take(&mut answer.head.headers);
    accel::note_rate(exchange);
    let status = answer.head.status;
    if exchange.location.proxy.intercept_errors && status >= 300 && has_error_page(exchange, status) {
        let_go(exchange, job, answer, length, may_be_kept);
        return Next::Status(status);
    }
    if accel::asks_for_redirect(exchange) {
        let next = accel::redirect(exchange, job.pass);
        let_go(exchange, job, answer, length, may_be_kept);
        return next;
    }
    let mut head = response_in::translate(exchange, job.pass, (status, &answer.head.reason), length);
    job.binding.at_head(exchange, &job.upstream, &mut answer.pick, &mut head);
    let delivery = match respond::send_head(exchange, client, head) {
        Ok(delivery) => delivery,
        Err(status) => {
            exchange.close_try(answer.head.status);
            return Next::Status(status);
        }
    };
    let part = delivery.parts.and_then(|parts| parts.ranges.into_iter().next()).map(|part| part.range);
    if exchange.is_head() && length != BodyLength::None {
        // The client gets no body, so nobody reads the one that comes, nor uses its connection again.
        return relay_body(exchange, client, job, answer, (BodyLength::None, None), (false, None)).await;
    }
    relay_body(exchange, client, job, answer, (length, part), (may_be_kept, delivery.chain)).await
}

/// Ends the try whose response itself is not for the client. Without a body its connection is good for another request.
fn let_go(exchange: &mut Exchange, job: &Job<'_>, answer: Answer, length: BodyLength, may_be_kept: bool) {
    exchange.close_try(answer.head.status);
    let has_no_body = matches!(length, BodyLength::None | BodyLength::Sized(0));
    if may_be_kept && has_no_body && !answer.pump.is_active() {
        pool::keep(&job.upstream, answer.pick.peer().id, answer.connection, &job.way);
    }
}

fn has_error_page(exchange: &Exchange, status: u16) -> bool {
    exchange.location.error_pages.iter().any(|page| page.status == status)
}

fn refuse(exchange: &mut Exchange, mut answer: Answer, message: &str) -> Next {
    answer.pick.ends(Ending::Failed);
    exchange.log(Level::Error, message);
    if answer.pick.finish() {
        exchange.log(Level::Warn, "upstream server temporarily disabled while reading response header from upstream");
    }
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
    (length, part): (BodyLength, Option<Range<u64>>),
    (may_be_kept, mut chain): (bool, Option<Box<Chain>>),
) -> Next {
    let Answer { mut pick, mut connection, mut pump, head } = answer;
    let buffering = accel::buffering(exchange);
    let pace = if buffering { exchange.upstream_pace() } else { None };
    let mut relay = BodyRelay::new(job.bounds.buffering(buffering), BodyDecoder::new(length), pace, part);
    let mut end = match &mut chain {
        None => relay.run(Ends { client, connection: &mut connection, pump: &mut pump }).await,
        Some(chain) => {
            let client = &mut Filtered::new(client, chain);
            relay.run(Ends { client, connection: &mut connection, pump: &mut pump }).await
        }
    };
    exchange.note_bytes(&connection);
    if let Some(attempt) = exchange.tries.last_mut() {
        attempt.response_length = relay.length;
    }
    if let BodyEnd::Complete(trailers) = &mut end {
        exchange.upstream_trailers = std::mem::take(trailers);
    }
    let is_whole = match &mut chain {
        None => true,
        Some(chain) => filter::complete(exchange, client, chain, matches!(end, BodyEnd::Complete(_))).await,
    };
    let next = match end {
        BodyEnd::Complete(_) => {
            exchange.sent.complete = is_whole;
            pick.completed();
            job.binding.at_end(exchange, &job.upstream, &mut pick);
            let reusable = !pump.is_active() && !relay.request_cut && !relay.response_cut && may_be_kept;
            if pump.is_active() {
                client.close_after();
            }
            if reusable {
                pool::keep(&job.upstream, pick.peer().id, connection, &job.way);
            }
            if is_whole { Next::Done } else { Next::Close }
        }
        BodyEnd::Upstream(message) => {
            pick.ends(Ending::Failed);
            exchange.log(Level::Error, message);
            if pick.finish() {
                exchange.log(Level::Warn, "upstream server temporarily disabled while reading upstream");
            }
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
            exchange.give_up(client)
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
    let Answer { mut pick, mut connection, head, .. } = answer;
    pick.opens_tunnel(connection.port.take());
    exchange.upstream_headers = head.headers;
    let mut out = response_in::translate(exchange, job.pass, (head.status, &head.reason), BodyLength::None);
    job.binding.at_head(exchange, &job.upstream, &mut pick, &mut out);
    if let Err(status) = respond::send_head(exchange, client, out) {
        return Next::Status(status);
    }
    let proxy = &exchange.location.proxy;
    let timeouts = Timeouts {
        idle: proxy.read_timeout.into(),
        to_server: proxy.send_timeout.into(),
        to_client: exchange.location.send_timeout.into(),
        close: exchange.location.websocket.close_timeout.into(),
    };
    let session = handshake::session(exchange);
    if exchange.location.websocket.log_open {
        exchange.log(Level::Info, "a WebSocket opened");
    }
    let record = exchange.hand_over();
    Next::Tunnel(Box::new(Opening { connection, pick, timeouts, record, session }))
}
