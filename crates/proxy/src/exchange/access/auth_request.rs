//! `auth_request`: another location says whether a request may pass.

use super::{Opinion, leave};
use crate::exchange::{Client, Exchange, subrequest};
use culvert_conf::config::{AccessSettings, Level};
use std::future::poll_fn;

/// Asks by a subrequest without a body, and gives variables their values by its answer.
pub(super) async fn ask<C: Client>(exchange: &mut Exchange, client: &mut C, access: &AccessSettings) -> Opinion {
    let Some(uri) = &access.auth_request else { return Opinion::None };
    let mut asked = subrequest::fork(exchange, uri);
    // Variables are common property: what one of the two sets, the other sees.
    std::mem::swap(asked.slots.get_mut(), exchange.slots.get_mut());
    let answered = tokio::select! {
        biased;
        () = subrequest::run(&mut asked) => true,
        _ = poll_fn(|cx| client.poll_gone(cx)) => false,
    };
    let values: Vec<_> = match answered {
        true => access.auth_request_set.iter().map(|(slot, value)| (*slot, asked.render(value))).collect(),
        false => Vec::new(),
    };
    std::mem::swap(asked.slots.get_mut(), exchange.slots.get_mut());
    for (slot, value) in values {
        exchange.keep_slot(slot, value.into());
    }
    if !answered {
        return Opinion::Leave(leave(exchange));
    }
    (exchange.ledger.requests, exchange.ledger.connections) = (asked.ledger.requests, asked.ledger.connections);
    conclude(exchange, &asked)
}

/// What the status of the answer means.
fn conclude(exchange: &mut Exchange, asked: &Exchange) -> Opinion {
    match asked.sent.status {
        200..300 => Opinion::Pass,
        403 => Opinion::Refuse(403),
        401 => {
            let sent = asked.sent.headers.first("www-authenticate");
            let challenge = sent.or_else(|| asked.upstream_headers.first("www-authenticate"));
            exchange.ledger.challenge = challenge.map(<[u8]>::to_vec);
            Opinion::Refuse(401)
        }
        status => {
            // nginx's log says what was done last, which a server's answer changes.
            let doing = if asked.tries.is_empty() { "" } else { " while sending to client" };
            exchange.log(Level::Error, format_args!("auth request unexpected status: {status}{doing}"));
            Opinion::Refuse(500)
        }
    }
}
