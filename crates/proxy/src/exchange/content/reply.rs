//! A short response of the gateway's own: a text (`return`), or the built-in page of an error.

use super::{Content, head, status};
use crate::exchange::respond::product;
use crate::exchange::{Client, Exchange, Next};
use bytes::Bytes;

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
    pub(in crate::exchange) fn text(status: u16, content_type: Bytes, body: Bytes) -> Reply {
        Reply { status, content_type: Some(content_type), body: ReplyBody::Bytes(body) }
    }

    /// The built-in page of an error.
    pub(in crate::exchange) fn builtin(status: u16) -> Reply {
        Reply { status, content_type: None, body: ReplyBody::Builtin(status) }
    }
}

/// Sends `reply` whole.
pub(in crate::exchange) async fn send<C: Client>(exchange: &mut Exchange, client: &mut C, reply: Reply) -> Next {
    let product = product(exchange);
    let (body, content_type) = match reply.body {
        ReplyBody::Bytes(body) => (body, reply.content_type),
        ReplyBody::Builtin(status) => match status::page(status, &String::from_utf8_lossy(&product)) {
            Some(page) => (page.into(), Some(Bytes::from_static(b"text/html"))),
            None => (Bytes::new(), None),
        },
    };
    let no_content = reply.status == 204;
    let mut head = head(exchange, reply.status, (!no_content).then_some(body.len() as u64));
    if let Some(content_type) = content_type.filter(|content_type| !no_content && !content_type.is_empty()) {
        head.headers.push(b"Content-Type", &content_type);
    }
    if let Some(length) = exchange.unsatisfied_length.take().filter(|_| reply.status == 416) {
        head.headers.push(b"Content-Range", format!("bytes */{length}").as_bytes());
    }
    super::send(exchange, client, head, Content::Bytes(body)).await
}
