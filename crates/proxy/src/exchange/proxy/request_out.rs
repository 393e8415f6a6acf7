//! The request head that goes to the upstream: the configured headers, then the client's own less those of its hop.

use super::handshake::{self, Wish, is_h2c};
use crate::exchange::{Exchange, Next};
use culvert_conf::config::{HttpVersion, Level};
use culvert_engine::http1::{BodyLength, push_line};
use culvert_engine::websocket::has_token;
use std::borrow::Cow;

/// Headers that are about one hop only (RFC 9110 section 7.6.1), or that the gateway writes itself.
const OWN: &[&str] = &[
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "te",
    "keep-alive",
    "expect",
    "upgrade",
    "proxy-connection",
    "http2-settings",
];

/// Appends the head of a request with this kind of body.
pub(super) fn compose(exchange: &Exchange, method: &[u8], wish: Wish, body: BodyLength, out: &mut Vec<u8>) {
    let request = &exchange.request;
    let version = exchange.location.proxy.http_version;
    let http_1_1 = version != HttpVersion::V1_0 || wish != Wish::None || body == BodyLength::Chunked;
    out.extend_from_slice(method);
    out.push(b' ');
    push_target(out, &request.upstream_uri);
    out.extend_from_slice(if http_1_1 { b" HTTP/1.1\r\n" } else { b" HTTP/1.0\r\n" });
    let upgrade_refused = set_headers(exchange, wish, out);
    default_headers(exchange, wish, upgrade_refused, out);
    body_headers(body, out);
    client_headers(exchange, wish, out);
    out.extend_from_slice(b"\r\n");
}

/// The method that the upstream is asked with (`proxy_method`). The error is the next step instead.
pub(super) fn method(exchange: &Exchange) -> Result<Cow<'static, [u8]>, Next> {
    let template = exchange.location.proxy.request.method.as_ref();
    let method = template.map(|method| exchange.render(method)).filter(|method| !method.is_empty());
    let Some(method) = method else {
        return Ok(match exchange.request.method() {
            // As most are.
            b"GET" => Cow::Borrowed(b"GET"),
            other => Cow::Owned(other.to_vec()),
        });
    };
    // What is no token would end the request line early (RFC 9110 section 9.1).
    if method.iter().all(|&byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)) {
        return Ok(Cow::Owned(method));
    }
    let shown = String::from_utf8_lossy(&method).into_owned();
    exchange.log(Level::Error, format_args!("invalid method \"{shown}\" in \"proxy_method\""));
    Err(Next::Status(500))
}

/// Appends the request target. What can't stand in a request line, as a decoded variable may bring it, is encoded.
fn push_target(out: &mut Vec<u8>, target: &[u8]) {
    let breaks_line = |b: u8| b <= b' ' || b == 0x7f;
    match target.iter().any(|&b| breaks_line(b)) {
        false => out.extend_from_slice(target),
        true => target.iter().for_each(|&b| match breaks_line(b) {
            true => out.extend_from_slice(format!("%{b:02X}").as_bytes()),
            false => out.push(b),
        }),
    }
}

/// The `proxy_set_header`s. Returns whether one of them would have forwarded an `Upgrade` that must not be.
fn set_headers(exchange: &Exchange, wish: Wish, out: &mut Vec<u8>) -> bool {
    let mut refused = false;
    // Written last, since it must not announce an upgrade that is refused, whichever stands first.
    let mut connection = None;
    for header in exchange.location.proxy.set_headers.iter() {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name.as_bytes());
        if (wish == Wish::WebSocket && is("connection")) || is("content-length") || is("transfer-encoding") {
            continue;
        }
        let value = exchange.render(&header.value);
        if (is("upgrade") && is_h2c(&value)) || is("http2-settings") {
            refused = true;
        } else if !value.is_empty() && !is("connection") {
            push_line(out, &header.name, &value);
        } else if !value.is_empty() {
            connection = Some(value);
        }
    }
    if let Some(connection) = connection.filter(|_| !refused) {
        push_line(out, b"Connection", &connection);
    }
    refused
}

/// What nginx sends where the configuration does not set it.
fn default_headers(exchange: &Exchange, wish: Wish, upgrade_refused: bool, out: &mut Vec<u8>) {
    if !sets(exchange, "host") {
        let host = exchange.proxied.as_ref().map(|name| &name.host[..]).unwrap_or_default();
        // nginx puts `localhost` where a unix socket has no name that a Host header could have.
        push_line(out, b"Host", if host.starts_with(b"unix:") { b"localhost" } else { host });
    }
    if wish == Wish::WebSocket {
        push_line(out, b"Connection", b"Upgrade");
        push_line(out, b"Upgrade", b"websocket");
    } else if upgrade_refused || (!sets(exchange, "connection") && !is_persistent(exchange)) {
        push_line(out, b"Connection", b"close");
    }
}

/// Whoever asks for HTTP/2 wants connections to last, where a server speaks HTTP/1.1 too.
fn is_persistent(exchange: &Exchange) -> bool {
    matches!(exchange.location.proxy.http_version, HttpVersion::V2 | HttpVersion::Auto)
}

/// Framing is the gateway's own, whatever the configuration sets: a message must end where both sides think it ends.
fn body_headers(body: BodyLength, out: &mut Vec<u8>) {
    match body {
        BodyLength::Sized(length) => push_line(out, b"Content-Length", itoa::Buffer::new().format(length).as_bytes()),
        BodyLength::Chunked => push_line(out, b"Transfer-Encoding", b"chunked"),
        _ => {}
    }
}

fn client_headers(exchange: &Exchange, wish: Wish, out: &mut Vec<u8>) {
    let headers = &exchange.request.head.headers;
    let for_this_hop =
        |value: &&[u8]| !value.eq_ignore_ascii_case(b"keep-alive") && !value.eq_ignore_ascii_case(b"close");
    // What the client's Connection header names is for the gateway alone.
    let nominations: Vec<&[u8]> = headers.all("connection").filter(for_this_hop).collect();
    let is_nominated = |name: &[u8]| nominations.iter().any(|list| has_token(list, name));
    // A handshake is nothing without its own headers, so that these pass whatever becomes of the others.
    let is_of_handshake =
        |name: &[u8]| wish == Wish::WebSocket && name.to_ascii_lowercase().starts_with(b"sec-websocket-");
    let passes = |name: &[u8]| exchange.location.proxy.request.pass_headers || is_of_handshake(name);
    for line in headers.lines() {
        let (name, value) = (line.name(), line.value());
        let is_own = OWN.iter().any(|own| name.eq_ignore_ascii_case(own.as_bytes()));
        if is_own || is_set(exchange, name) || is_nominated(name) || !passes(name) {
            continue;
        }
        let value = match wish {
            Wish::None => Some(Cow::Borrowed(value)),
            _ => handshake::offer(&exchange.location.websocket, name, value),
        };
        match value {
            Some(Cow::Borrowed(_)) => line.write(out),
            Some(Cow::Owned(value)) => push_line(out, name, &value),
            None => {}
        }
    }
}

fn sets(exchange: &Exchange, name: &str) -> bool {
    is_set(exchange, name.as_bytes())
}

fn is_set(exchange: &Exchange, name: &[u8]) -> bool {
    exchange.location.proxy.set_headers.iter().any(|header| header.name.eq_ignore_ascii_case(name))
}
