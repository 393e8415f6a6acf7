//! Whether a request wants to become a tunnel, and what is written for it.

use super::Exchange;
use culvert_engine::websocket::{Offer, has_token};

/// What the request to the upstream says about upgrading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// Nothing.
    None,
    /// The configuration forwards `Upgrade` itself, as nginx's recipe does; a 101 opens a tunnel.
    Forwarded,
    /// A valid RFC 6455 handshake: the gateway writes its own `Upgrade: websocket` and `Connection: upgrade`.
    WebSocket,
}

/// What the client and the location want together.
pub(super) fn wish(exchange: &Exchange) -> Wish {
    let headers = &exchange.request.head.headers;
    let Some(upgrade) = headers.first("upgrade") else { return Wish::None };
    let proxy = &exchange.location.proxy;
    let forwards = |name: &[u8]| proxy.set_headers.iter().any(|header| header.name.eq_ignore_ascii_case(name));
    if forwards(b"upgrade") {
        return if is_h2c(upgrade) { Wish::None } else { Wish::Forwarded };
    }
    if proxy.websocket && is_handshake(exchange) { Wish::WebSocket } else { Wish::None }
}

/// `h2c` is never forwarded: behind a 101 to it, requests would pass unseen (request smuggling).
pub(super) fn is_h2c(upgrade: &[u8]) -> bool {
    has_token(upgrade, "h2c")
}

fn is_handshake(exchange: &Exchange) -> bool {
    let headers = &exchange.request.head.headers;
    Offer {
        method: exchange.request.method(),
        http_1_1: exchange.request.head.minor > 0,
        upgrade: headers.first("upgrade"),
        connection: headers.all("connection").find(|value| has_token(value, "upgrade")),
        key: headers.first("sec-websocket-key"),
        version: headers.first("sec-websocket-version"),
        host: headers.first("host").is_some(),
    }
    .is_handshake()
}
