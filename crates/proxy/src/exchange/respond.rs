//! Responses that the gateway gives itself, and what every response head gets on its way out.

use super::client::OutHead;
use super::{Client, Exchange, Next, redirect, status};
use bytes::Bytes;
use culvert_conf::config::ServerTokens;
use culvert_engine::http1::Headers;
use std::future::poll_fn;
use std::task::ready;

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
pub(super) fn product(tokens: ServerTokens) -> &'static str {
    match tokens {
        ServerTokens::Off => "culvert",
        ServerTokens::On | ServerTokens::Build => concat!("culvert/", env!("CARGO_PKG_VERSION")),
    }
}

/// Sends `reply` whole.
pub(super) async fn send<C: Client>(exchange: &mut Exchange, client: &mut C, reply: Reply) -> Next {
    let product = product(exchange.location.server_tokens);
    let (body, content_type) = match reply.body {
        ReplyBody::Bytes(body) => (body, reply.content_type),
        ReplyBody::Builtin(status) => match status::page(status, product) {
            Some(page) => (page.into(), Some(Bytes::from_static(b"text/html"))),
            None => (Bytes::new(), None),
        },
    };
    let mut head = OutHead { status: reply.status, ..OutHead::default() };
    let no_content = reply.status == 204;
    if let Some(content_type) = content_type.filter(|content_type| !no_content && !content_type.is_empty()) {
        head.headers.push(b"Content-Type", &content_type);
    }
    head.content_length = (!no_content).then_some(body.len() as u64);
    head.has_body = !matches!(reply.status, 204 | 304) && !body.is_empty() && !exchange.is_head();
    send_head(exchange, client, head);
    let wait = exchange.location.send_timeout;
    let mut pending = exchange.sent.has_body.then_some(body);
    let flushed = tokio::time::timeout(
        wait,
        poll_fn(|cx| {
            if let Some(body) = pending.take() {
                client.send_body(cx, &body)?;
                client.send_end(&Headers::default());
            }
            ready!(client.poll_flush(cx))?;
            std::task::Poll::Ready(Ok::<_, std::io::Error>(()))
        }),
    );
    match flushed.await {
        Ok(Ok(())) => {
            exchange.sent.complete = true;
            Next::Done
        }
        _ => Next::Close,
    }
}

/// Gives `head` what the configuration adds to every response, queues it, and notes it for the log.
pub(super) fn send_head<C: Client>(exchange: &mut Exchange, client: &mut C, mut head: OutHead) {
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
    head.server = product(exchange.location.server_tokens);
    add_headers(exchange, &mut head);
    client.adopt(&exchange.location);
    let before = client.sent() + client.backlog() as u64;
    let connection = client.send_head(&head);
    let sent = &mut exchange.sent;
    sent.head_bytes = client.sent() + client.backlog() as u64 - before;
    sent.connection = connection;
    sent.status = head.status;
    sent.content_length = head.content_length;
    sent.has_body = head.has_body;
    sent.headers = head.headers;
}

fn add_headers(exchange: &Exchange, head: &mut OutHead) {
    let successful = matches!(head.status, 200 | 201 | 204 | 206 | 301 | 302 | 303 | 304 | 307 | 308);
    for header in exchange.location.add_headers.iter().filter(|header| successful || header.always) {
        let value = exchange.render_with_head(&header.value, head);
        if value.is_empty() {
            continue;
        }
        // nginx knows these two as single headers that an added one replaces.
        if header.name.eq_ignore_ascii_case(b"last-modified") || header.name.eq_ignore_ascii_case(b"etag") {
            head.headers.retain(|name, _| !name.eq_ignore_ascii_case(&header.name));
        }
        head.headers.push(&header.name, &value);
    }
}

impl Exchange {
    /// The type of a text at the current URI: by the extension of its last part, else `default_type`.
    pub(super) fn content_type(&self) -> Bytes {
        let last = self.request.uri.rsplit(|&b| b == b'/').next().unwrap_or_default();
        let extension =
            last.iter().rposition(|&b| b == b'.').map(|dot| String::from_utf8_lossy(&last[dot + 1..]).to_lowercase());
        let listed = extension.and_then(|extension| self.location.types.get(extension.as_str()));
        listed.unwrap_or(&self.location.default_type).clone()
    }
}
