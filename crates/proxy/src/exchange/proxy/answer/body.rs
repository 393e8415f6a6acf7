//! The body of an upstream's response, relayed to its end, and what becomes of the connection that it came on.

use super::accel;
use crate::exchange::filter::{self, Chain, Filtered};
use crate::exchange::proxy::Job;
use crate::exchange::proxy::attempt::Answer;
use crate::exchange::proxy::relay::{BodyEnd, BodyRelay, Ends};
use crate::exchange::{Client, Exchange, Next};
use crate::upstream::{Pick, pool};
use culvert_conf::config::Level;
use culvert_engine::balance::Ending;
use culvert_engine::http1::{BodyDecoder, BodyLength, ResponseHead};
use culvert_engine::websocket::has_token;
use std::future::poll_fn;
use std::ops::Range;
use tokio::time::timeout;

/// What of a response's body the client gets, and how.
pub(super) struct Passage {
    /// How the upstream delimits it.
    pub(super) length: BodyLength,
    /// The part of it that was asked for.
    pub(super) part: Option<Range<u64>>,
    /// The filters that it goes through.
    pub(super) chain: Option<Box<Chain>>,
    /// Whether the connection is good for another request behind it.
    pub(super) may_be_kept: bool,
}

/// Relays the body to its end.
pub(super) async fn relay<C: Client>(
    exchange: &mut Exchange,
    client: &mut C,
    job: &Job<'_>,
    answer: Box<Answer>,
    passage: Passage,
) -> Next {
    let Answer { mut pick, mut connection, mut pump, head } = *answer;
    let Passage { length, part, mut chain, may_be_kept } = passage;
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
    let is_complete = matches!(end, BodyEnd::Complete(_));
    let is_whole = match &mut chain {
        None => is_complete,
        Some(chain) => filter::complete(exchange, client, chain, is_complete).await,
    };
    let next = if is_complete {
        exchange.sent.complete = is_whole;
        pick.completed();
        job.binding.at_end(exchange, &job.upstream, &mut pick);
        if pump.is_active() {
            client.close_after();
        } else if may_be_kept && !relay.request_cut && !relay.response_cut {
            pool::keep(&job.upstream, pick.peer().id, connection, &job.way);
        }
        if is_whole { Next::Done } else { Next::Close }
    } else {
        break_off(exchange, client, &mut pick, end).await
    };
    exchange.close_try(head.status);
    next
}

/// Ends a response that could not be relayed whole.
async fn break_off<C: Client>(exchange: &mut Exchange, client: &mut C, pick: &mut Pick, end: BodyEnd) -> Next {
    match end {
        BodyEnd::Complete(_) => {}
        BodyEnd::Upstream(message) => {
            pick.ends(Ending::Failed);
            exchange.log(Level::Error, message);
            if pick.finish() {
                exchange.log(Level::Warn, "upstream server temporarily disabled while reading upstream");
            }
            // What came before the break is the client's all the same; the close tells it that more is missing.
            let _ = timeout(exchange.location.send_timeout, poll_fn(|cx| client.poll_flush(cx))).await;
        }
        BodyEnd::ClientGone => {
            exchange.log(Level::Info, "client prematurely closed connection while sending to client");
        }
        BodyEnd::ClientStalled => {
            exchange.log(Level::Info, "client timed out (110: Connection timed out) while sending to client");
            return exchange.give_up(client);
        }
    }
    Next::Close
}

/// Whether the server keeps its connection open after this response (RFC 9112 section 9.3).
pub(super) fn may_be_kept(head: &ResponseHead, length: BodyLength) -> bool {
    let says = |token: &str| head.headers.all("connection").any(|list| has_token(list, token));
    length != BodyLength::UntilClose && !says("close") && (head.minor > 0 || says("keep-alive"))
}
