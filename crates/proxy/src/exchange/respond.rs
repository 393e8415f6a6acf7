//! Responses that the gateway gives itself, and what every response head gets on its way out.

use super::client::OutHead;
use super::content::{self, Content};
use super::filter::{self, Delivery};
use super::{Client, Exchange, Next, accel, keep_alive, redirect, status};
use bytes::Bytes;
use culvert_conf::config::ServerTokens;

/// A response of the gateway's own.
pub(crate) struct Reply {
    status: u16,
    content_type: Option<Bytes>,
    body: ReplyBody,
}

enum ReplyBody {
    Bytes(Bytes),
    /// The built-in page of this status.
    Builtin(u16),
}

impl Reply {
    /// A text.
    pub(super) fn text(status: u16, content_type: Bytes, body: Bytes) -> Reply {
        Reply { status, content_type: Some(content_type), body: ReplyBody::Bytes(body) }
    }

    /// The built-in page of an error.
    pub(super) fn builtin(status: u16) -> Reply {
        Reply { status, content_type: None, body: ReplyBody::Builtin(status) }
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

/// Sends `reply` whole.
pub(super) async fn send<C: Client>(exchange: &mut Exchange, client: &mut C, reply: Reply) -> Next {
    let product = product(exchange);
    let (body, content_type) = match reply.body {
        ReplyBody::Bytes(body) => (body, reply.content_type),
        ReplyBody::Builtin(status) => match status::page(status, &String::from_utf8_lossy(&product)) {
            Some(page) => (page.into(), Some(Bytes::from_static(b"text/html"))),
            None => (Bytes::new(), None),
        },
    };
    let no_content = reply.status == 204;
    let mut head = content::head(exchange, reply.status, (!no_content).then_some(body.len() as u64));
    if let Some(content_type) = content_type.filter(|content_type| !no_content && !content_type.is_empty()) {
        head.headers.push(b"Content-Type", &content_type);
    }
    if let Some(length) = exchange.unsatisfied_length.take().filter(|_| reply.status == 416) {
        head.headers.push(b"Content-Range", format!("bytes */{length}").as_bytes());
    }
    content::send(exchange, client, head, Content::Bytes(body)).await
}

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
    }
    if let Some(location) = exchange.redirect_to.take()
        && head.headers.first("location").is_none()
    {
        head.headers.push(b"Location", &redirect::absolute(exchange, location));
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
    let delivery = filter::apply(exchange, &mut head)?;
    if keep_alive::is_disabled(exchange) {
        client.close_after();
    }
    client.adopt(&exchange.location);
    // A tunnel has limits of its own, and a subrequest no client.
    if head.status != 101 && !exchange.is_subrequest {
        client.pace(exchange.pace());
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

impl Exchange {
    /// The type of a text at the current URI: the one that an `X-Accel-Redirect` brought along, else by the extension of its
    /// last part, else `default_type`.
    pub(super) fn content_type(&self) -> Bytes {
        if let Some(carried) = self.carried.first("content-type") {
            return Bytes::copy_from_slice(carried);
        }
        let last = self.request.uri.rsplit(|&b| b == b'/').next().unwrap_or_default();
        // A dot at the beginning makes a hidden file, not an extension.
        let dot = last.iter().rposition(|&b| b == b'.').filter(|&dot| dot > 0);
        let extension = dot.map(|dot| String::from_utf8_lossy(&last[dot + 1..]).to_lowercase());
        let listed = extension.and_then(|extension| self.location.types.get(extension.as_str()));
        listed.unwrap_or(&self.location.default_type).clone()
    }
}
