//! `proxy_pass`: server after server until one answers, then its answer, relayed, or a tunnel.

mod answer;
mod attempt;
mod choose;
mod handshake;
mod relay;
mod request_out;
mod server_tls;
mod source;
mod stick;
mod target;
mod tries;

pub(super) use answer::accel;
pub(crate) use tries::{Try, Whom};

use self::attempt::{Answer, FailedTry, TryError, attempt};
use self::handshake::Wish;
use self::relay::Bounds;
use self::stick::Binding;
use super::request::body::{self, RequestBody};
use super::{Client, Exchange, Next};
use crate::io::clock::now;
use crate::upstream::{Upstream, Way};
use culvert_conf::config::{Level, Location, ProxyPass};
use culvert_engine::balance::{PeerId, Tried};
use culvert_engine::http1::BodyLength;
use culvert_engine::retry::{RetryOn, TryFailure, TryState, may_retry, method_is_idempotent, status_for};
use std::borrow::Cow;
use std::sync::Arc;
use tokio::time::Instant;

/// What belongs to all tries of one request.
pub(super) struct Job<'a> {
    pass: &'a ProxyPass,
    upstream: Arc<Upstream>,
    wish: Wish,
    /// How its connections are made.
    way: Way,
    method: Cow<'static, [u8]>,
    body: RequestBody,
    /// How the body is framed.
    length: BodyLength,
    /// The location, where its `early_hints` let a 103 pass.
    hints: Option<Arc<Location>>,
    bounds: Bounds,
    /// The value of the key of `hash`.
    key: Vec<u8>,
    /// What the request says of its server by `sticky`.
    binding: Binding,
    /// The servers that failed it.
    tried: Tried,
    /// The server whose kept connection it lost.
    again: Option<PeerId>,
    began: Instant,
    tries: u32,
}

/// Relays the request to `pass`.
pub(super) async fn relay<C: Client>(exchange: &mut Exchange, client: &mut C, pass: &ProxyPass) -> Next {
    match prepare(exchange, client, pass).await {
        Ok(mut job) => {
            let before = client.received();
            let next = match find_answer(exchange, client, &mut job).await {
                Ok(answer) => answer::deliver(exchange, client, &job, answer).await,
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
        RequestBody::Kept(_) | RequestBody::Saved(_) => {}
    }
}

async fn prepare<'a, C: Client>(
    exchange: &mut Exchange,
    client: &mut C,
    pass: &'a ProxyPass,
) -> Result<Box<Job<'a>>, Next> {
    let upstream = target::resolve(exchange, pass).await?;
    let method = request_out::method(exchange)?;
    let mut body = body::read_ahead(exchange, client).await?;
    let length = body::shape(exchange, &mut body);
    let wish = match handshake::wish(exchange) {
        Wish::WebSocket if *method != *b"GET" => Wish::None,
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
    let mut way = Way::of(&exchange.location.proxy, handshake::purpose(exchange, wish), server_tls::wanted(exchange));
    source::settle(exchange, &mut way);
    let hints = exchange.holds(&exchange.location.client.early_hints).then(|| exchange.location.clone());
    let tries = 0;
    // Boxed, as an answer is: they are handed from step to step, and each would be room in the future of each.
    Ok(Box::write(
        Box::new_uninit(),
        Job {
            pass,
            upstream,
            wish,
            way,
            method,
            body,
            length,
            hints,
            bounds,
            key,
            binding,
            tried,
            again,
            began,
            tries,
        },
    ))
}

/// Tries servers until one answers in a way that is to be passed on.
async fn find_answer<C: Client>(
    exchange: &mut Exchange,
    client: &mut C,
    job: &mut Job<'_>,
) -> Result<Box<Answer>, Next> {
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
        body_is_kept: job.body.is_here(),
        tries_made,
        tries_left: job.upstream.tries().saturating_sub(tries_made),
        elapsed: job.began.elapsed(),
    }
}

/// Passes an answer on, unless it is one that `proxy_next_upstream` would rather have from another server.
fn pass_on(exchange: &Exchange, job: &Job<'_>, mut answer: Box<Answer>) -> Result<Box<Answer>, TryError> {
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
