//! The answer of an upstream server decides what becomes of the request: a tunnel, an error page, a redirect inside of the
//! gateway, or the response as it came.

pub(in crate::exchange) mod accel;
mod body;
mod cookies;
pub(super) mod head;
mod redirect;
mod tunnel;

use self::body::{Passage, may_be_kept};
use super::Job;
use super::attempt::Answer;
use super::handshake::{self, Wish};
use crate::exchange::{Client, Exchange, Next, filter, respond};
use crate::upstream::{Pick, pool};
use culvert_conf::config::Level;
use culvert_engine::balance::Ending;
use culvert_engine::http1::{BodyLength, response_body};

/// Passes the answer on.
pub(super) async fn deliver<C: Client>(
    exchange: &mut Exchange,
    client: &mut C,
    job: &Job<'_>,
    answer: Box<Answer>,
) -> Next {
    if answer.head.status == 101 {
        return switch_protocols(exchange, client, job, *answer);
    }
    if exchange.request.by_connect && (200..300).contains(&answer.head.status) {
        return refuse(exchange, answer.pick, "upstream answered a WebSocket's handshake without 101");
    }
    let asked_with_head = job.method.eq_ignore_ascii_case(b"HEAD");
    match response_body(&answer.head.headers, answer.head.minor, answer.head.status, asked_with_head) {
        Ok(length) => relay_response(exchange, client, job, answer, length).await,
        Err(error) => refuse(exchange, answer.pick, &format!("upstream sent {}", error.describe())),
    }
}

fn switch_protocols<C: Client>(exchange: &mut Exchange, client: &mut C, job: &Job<'_>, answer: Answer) -> Next {
    if job.wish == Wish::None {
        return refuse(exchange, answer.pick, "upstream sent unexpected 101");
    }
    // The client of an extended CONNECT has sent no key, and has nothing to check.
    if exchange.request.by_connect && !handshake::is_accepted(exchange, &answer.head.headers) {
        return refuse(exchange, answer.pick, "upstream sent a 101 that accepts no WebSocket");
    }
    tunnel::open(exchange, client, job, answer)
}

/// Relays a response whose body is delimited by `length`, unless something else is to answer in its place.
async fn relay_response<C: Client>(
    exchange: &mut Exchange,
    client: &mut C,
    job: &Job<'_>,
    mut answer: Box<Answer>,
    length: BodyLength,
) -> Next {
    answer.pick.answered();
    let may_be_kept = may_be_kept(&answer.head, length);
    exchange.upstream_headers = std::mem::take(&mut answer.head.headers);
    accel::note_rate(exchange);
    if let Some(next) = look_elsewhere(exchange, job, answer.head.status) {
        let_go(exchange, job, *answer, length, may_be_kept);
        return next;
    }
    let mut head =
        head::translate(exchange, job.pass, (answer.head.status, std::mem::take(&mut answer.head.reason)), length);
    job.binding.at_head(exchange, &job.upstream, &mut answer.pick, &mut head);
    filter::fetch_additions(exchange, client, &head).await;
    let delivery = match respond::send_head(exchange, client, head) {
        Ok(delivery) => delivery,
        Err(status) => {
            exchange.close_try(answer.head.status);
            return Next::Status(status);
        }
    };
    let has_no_body = exchange.is_head() || matches!(exchange.sent.status, 204 | 304);
    let passage = if has_no_body && length != BodyLength::None {
        // The client gets no body, so nobody reads the one that comes, nor uses its connection again.
        Passage { length: BodyLength::None, part: None, chain: None, may_be_kept: false }
    } else {
        let part = delivery.parts.and_then(|parts| parts.ranges.into_iter().next()).map(|part| part.range);
        Passage { length, part, chain: delivery.chain, may_be_kept }
    };
    body::relay(exchange, client, job, answer, passage).await
}

/// What answers in place of the response: an error page (`proxy_intercept_errors`), or the place that it names itself.
fn look_elsewhere(exchange: &mut Exchange, job: &Job<'_>, status: u16) -> Option<Next> {
    if exchange.location.proxy.intercept_errors && status >= 300 && has_error_page(exchange, status) {
        if status == 401 {
            // The page in its place is still an answer that asks for credentials.
            let challenge = exchange.upstream_headers.first("www-authenticate").map(<[u8]>::to_vec);
            exchange.ledger.challenge = challenge.or(exchange.ledger.challenge.take());
        }
        return Some(Next::Status(status));
    }
    accel::asks_for_redirect(exchange).then(|| accel::redirect(exchange, job.pass))
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

fn refuse(exchange: &mut Exchange, mut pick: Pick, message: &str) -> Next {
    pick.ends(Ending::Failed);
    exchange.log(Level::Error, format_args!("{message} while reading response header from upstream"));
    if pick.finish() {
        exchange.log(Level::Warn, "upstream server temporarily disabled while reading response header from upstream");
    }
    if let Some(attempt) = exchange.tries.last_mut() {
        attempt.status = 502;
    }
    exchange.close_try(502);
    Next::Status(502)
}
