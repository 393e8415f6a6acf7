//! The choice of a server for one try, and the wait for one where all are full.

use super::Job;
use crate::exchange::{Client, Exchange, Next};
use crate::upstream::{Asker, Line, NoServer, Pick, Turn, Upstream, Waiting};
use culvert_conf::config::Level;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep_until;

/// Chooses a server that was not tried yet, and begins the try.
pub(super) async fn server<C: Client>(exchange: &mut Exchange, client: &mut C, job: &Job<'_>) -> Result<Pick, Next> {
    let (pick, queue_time) = match job.upstream.pick(&asker(exchange, job)) {
        Ok(pick) => (pick, None),
        Err(NoServer::Queued(waiting)) => {
            let since = waiting.since;
            let pick = wait(exchange, client, job, waiting).await?;
            (pick, Some(since.elapsed()))
        }
        Err(refused) => return Err(refuse(exchange, job, why(job, &refused), None)),
    };
    exchange.begin_try(Some(&pick), &job.upstream, queue_time);
    Ok(pick)
}

fn asker<'a>(exchange: &Exchange, job: &'a Job<'_>) -> Asker<'a> {
    Asker {
        key: &job.key,
        client: exchange.client.remote.map(|address| address.ip().to_canonical()),
        server_id: job.binding.server_id.as_deref(),
        again: job.again,
        tried: &job.tried,
    }
}

/// Waits in the queue. A client that leaves frees its place.
async fn wait<C: Client>(
    exchange: &mut Exchange,
    client: &mut C,
    job: &Job<'_>,
    mut waiting: Waiting,
) -> Result<Pick, Next> {
    // A client that still uploads may not have left, only not been heard.
    let watches = !exchange.location.proxy.ignore_client_abort && job.body.is_here();
    loop {
        let turn = tokio::select! {
            biased;
            turn = waiting.turn() => turn,
            _ = poll_fn(|cx| client.poll_gone(cx)), if watches => return Err(leave(exchange, job, &waiting)),
        };
        match turn {
            Turn::Look => match waiting.look(&asker(exchange, job)) {
                Some(Ok(pick)) => return Ok(pick),
                Some(Err(refused)) => {
                    return Err(refuse(exchange, job, why(job, &refused), Some(waiting.since.elapsed())));
                }
                None => {}
            },
            Turn::Over => return Err(refuse(exchange, job, QUEUE_TIMEOUT, Some(waiting.since.elapsed()))),
        }
    }
}

const NO_LIVE_UPSTREAMS: &str = "no live upstreams while connecting to upstream";
const QUEUE_FULL: &str = "upstream queue is full while connecting to upstream";
const QUEUE_TIMEOUT: &str = "upstream timed out (110: Connection timed out) while waiting in upstream queue";

fn why(job: &Job<'_>, refused: &NoServer) -> &'static str {
    match refused {
        NoServer::Full if job.upstream.config.queue.is_some() => QUEUE_FULL,
        _ => NO_LIVE_UPSTREAMS,
    }
}

/// No server takes the request: 502, as in NGINX Plus for a queue too. In a flood of such requests few are logged one by one.
fn refuse(exchange: &mut Exchange, job: &Job<'_>, message: &str, queue_time: Option<Duration>) -> Next {
    exchange.begin_try(None, &job.upstream, queue_time);
    let counts = job.upstream.counts();
    match message {
        QUEUE_FULL => counts.refused_full.one(),
        QUEUE_TIMEOUT => counts.refused_timeout.one(),
        _ => counts.refused_down.one(),
    }
    match job.upstream.no_server_line() {
        Line::Written => exchange.log(Level::Error, message),
        Line::CountedUntil(end) => {
            let sink = exchange.generation.error_sink(&exchange.location.error_logs);
            tokio::spawn(tell_left_out(job.upstream.clone(), sink, end));
        }
        Line::Counted => {}
    }
    exchange.close_try(502);
    Next::Status(502)
}

/// Tells, when the second is over, how many lines it would have taken.
async fn tell_left_out(
    upstream: Arc<Upstream>,
    sink: Arc<crate::observe::error_log::ErrorSink>,
    end: tokio::time::Instant,
) {
    sleep_until(end).await;
    let (left_out, name) = (upstream.lines_left_out(), &upstream.name);
    sink.write(
        Level::Error,
        0,
        format_args!("no live upstreams for {left_out} more requests within a second, upstream: \"{name}\""),
    );
}

fn leave(exchange: &mut Exchange, job: &Job<'_>, waiting: &Waiting) -> Next {
    exchange.begin_try(None, &job.upstream, Some(waiting.since.elapsed()));
    exchange.log(Level::Info, "client prematurely closed connection while waiting in upstream queue");
    exchange.close_try(499);
    Next::Status(499)
}
