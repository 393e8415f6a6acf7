//! What every response head gets on its way out, whoever made the response: what the configuration adds, the filters, and the
//! note of it for the log. From here on the client's side is paced.

pub(super) mod absolute;
mod keep_alive;
mod paced;
mod rate;

pub(super) use absolute::absolute;
pub(in crate::exchange) use paced::Paced;

use super::client::{OutHead, RangeUse};
use super::filter::{self, Delivery};
use super::proxy::accel;
use super::{Client, Exchange};
use bytes::Bytes;
use culvert_conf::config::ServerTokens;

/// Gives `head` what the configuration adds to every response, queues it, and notes it for the log. An error is the status of
/// the response that takes the place of this one.
pub(super) fn send_head<C: Client>(
    exchange: &mut Exchange,
    client: &mut C,
    mut head: OutHead,
) -> Result<Delivery, u16> {
    if let Some(status) = exchange.forced_status {
        head.status = status;
        head.reason = None;
        forget_body(&mut head);
    }
    if let Some(location) = exchange.redirect_to.take()
        && head.headers.first("location").is_none()
    {
        head.headers.push(b"Location", &absolute(exchange, location));
    }
    if exchange.request.by_connect && (200..300).contains(&head.status) {
        // It would say that the WebSocket is open (RFC 8441 section 5).
        head = OutHead { status: 501, content_length: Some(0), ..OutHead::default() };
    }
    accel::carry(exchange, &mut head);
    if let Some(challenge) = &exchange.ledger.challenge {
        head.headers.push(b"WWW-Authenticate", challenge);
    }
    head.server = product(exchange);
    // As nginx has it: words for what comes of a server or a file, none for what the configuration says.
    let doing = match (head.is_own, head.ranges) {
        (false, _) => " while sending to client",
        (true, RangeUse::None) => "",
        (true, _) => " while sending response to client",
    };
    let delivery = filter::apply(exchange, &mut head)?;
    if keep_alive::is_disabled(exchange) {
        client.close_after();
    }
    client.adopt(&exchange.location);
    // A tunnel has limits of its own, and a subrequest no client.
    if head.status != 101 && !exchange.is_subrequest {
        client.pace(exchange.pace(doing));
    }
    let before = client.sent() + client.backlog() as u64;
    let connection = client.send_head(&head);
    let sent = &mut exchange.sent;
    sent.head_bytes = client.sent() + client.backlog() as u64 - before;
    sent.connection = connection;
    sent.status = head.status;
    sent.content_length = head.content_length;
    sent.has_body = head.has_body;
    sent.headers = head.headers;
    Ok(delivery)
}

/// An `error_page` may give a status that has no body to a page that has one (RFC 9110 section 6.4.1).
fn forget_body(head: &mut OutHead) {
    head.has_body &= !matches!(head.status, 204 | 304);
    if head.status == 204 {
        head.content_length = None;
        let is_of_body =
            |name: &[u8]| [&b"content-type"[..], b"last-modified"].iter().any(|own| name.eq_ignore_ascii_case(own));
        head.headers.retain(|name, _| !is_of_body(name));
    }
}

/// `Server`, and how built-in pages are signed, after `server_tokens`.
pub(super) fn product(exchange: &Exchange) -> Bytes {
    match &exchange.location.server_tokens {
        ServerTokens::Off => Bytes::from_static(b"culvert"),
        ServerTokens::On | ServerTokens::Build => Bytes::from_static(VERSION.as_bytes()),
        ServerTokens::Text(text) => exchange.render(text).into(),
    }
}

const VERSION: &str = concat!("culvert/", env!("CARGO_PKG_VERSION"));
