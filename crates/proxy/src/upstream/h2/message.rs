//! Messages of HTTP/1.1 in the words of HTTP/2, and back (RFC 9113 section 8).

use culvert_engine::http1::{BodyLength, Headers, push_line};
use culvert_engine::websocket::{accept_for, has_token};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode, Uri, response};
use std::fmt::{self, Display};

/// A request for a stream.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) request: Request<()>,
    /// How the body is delimited in the bytes that follow.
    pub(super) body: BodyLength,
    /// What the gateway will find in `Sec-WebSocket-Accept`, of a handshake that became an extended CONNECT.
    pub(super) accept: Option<[u8; 28]>,
    pub(super) is_head: bool,
}

/// The request has no form in HTTP/2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unspeakable(&'static str);

impl Display for Unspeakable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the request's {} can't be sent over HTTP/2", self.0)
    }
}

impl std::error::Error for Unspeakable {}

/// Headers that are about one connection of HTTP/1.1 (RFC 9113 section 8.2.2).
const CONNECTION: &[&str] = &["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];

/// Headers of a handshake that an extended CONNECT is without (RFC 8441 section 5).
const HANDSHAKE: &[&str] = &["sec-websocket-key", "sec-websocket-accept"];

fn is_one_of(name: &[u8], names: &[&str]) -> bool {
    names.iter().any(|other| name.eq_ignore_ascii_case(other.as_bytes()))
}

/// Takes a head apart that the gateway has composed, its empty line included. With `connect`, a WebSocket's handshake becomes
/// an extended CONNECT.
pub(super) fn outgoing(head: &[u8], scheme: &'static str, connect: bool) -> Result<Outgoing, Unspeakable> {
    let end = head.iter().position(|&b| b == b'\n').ok_or(Unspeakable("line"))?;
    let mut words = head[..end].trim_ascii_end().splitn(3, |&b| b == b' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let lines = Headers::parse(&head[end + 1..]).ok().flatten().ok_or(Unspeakable("header"))?.0;
    let key = lines
        .first("sec-websocket-key")
        .filter(|_| connect && lines.first("upgrade").is_some_and(|upgrade| has_token(upgrade, "websocket")));
    let mut request = Request::new(());
    *request.method_mut() = match key {
        Some(_) => Method::CONNECT,
        None => {
            Method::from_bytes(method).ok().filter(|method| *method != Method::CONNECT).ok_or(Unspeakable("method"))?
        }
    };
    let has_authority = set_uri(&mut request, scheme, lines.first("host"), target)?;
    for (name, value) in lines.iter() {
        let is_left_out = is_one_of(name, CONNECTION)
            || (key.is_some() && is_one_of(name, HANDSHAKE))
            || (has_authority && name.eq_ignore_ascii_case(b"host"))
            || (name.eq_ignore_ascii_case(b"te") && !value.eq_ignore_ascii_case(b"trailers"));
        if !is_left_out {
            let name = HeaderName::from_bytes(name).map_err(|_| Unspeakable("header"))?;
            let value = HeaderValue::from_bytes(value).map_err(|_| Unspeakable("header"))?;
            request.headers_mut().append(name, value);
        }
    }
    if key.is_some() {
        request.extensions_mut().insert(h2::ext::Protocol::from_static("websocket"));
    }
    let body = match key {
        Some(_) => BodyLength::UntilClose,
        None => body_of(&lines)?,
    };
    Ok(Outgoing { is_head: method == b"HEAD", accept: key.map(accept_for), body, request })
}

/// The framing that the gateway has written: a length, chunks, or nothing.
fn body_of(lines: &Headers) -> Result<BodyLength, Unspeakable> {
    if lines.first("transfer-encoding").is_some() {
        return Ok(BodyLength::Chunked);
    }
    let Some(length) = lines.first("content-length") else { return Ok(BodyLength::None) };
    let length = str::from_utf8(length).ok().and_then(|length| length.parse().ok());
    length.map(BodyLength::Sized).ok_or(Unspeakable("length"))
}

/// `:scheme`, `:authority` and `:path`. A host that is no authority stays the header that it was: false.
fn set_uri(
    request: &mut Request<()>,
    scheme: &'static str,
    host: Option<&[u8]>,
    target: &[u8],
) -> Result<bool, Unspeakable> {
    let target = escaped(target);
    let build = |authority: Option<&[u8]>| match authority {
        Some(authority) => Uri::builder().scheme(scheme).authority(authority).path_and_query(&target[..]).build(),
        None => Uri::builder().path_and_query(&target[..]).build(),
    };
    let with_authority = host.filter(|host| !host.is_empty()).and_then(|host| build(Some(host)).ok());
    let has_authority = with_authority.is_some();
    *request.uri_mut() = match with_authority {
        Some(uri) => uri,
        None => {
            // The crate takes a target without an authority for one that is passed on from HTTP/1.
            *request.version_mut() = http::Version::HTTP_11;
            build(None).map_err(|_| Unspeakable("target"))?
        }
    };
    Ok(has_authority)
}

/// A target whose characters can all stand in a `:path` (RFC 3986 section 3.3).
fn escaped(target: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(target.len());
    for &b in target {
        match b {
            b'<' | b'>' | b'`' | b'#' | ..=b' ' | 0x7f.. => out.extend_from_slice(format!("%{b:02X}").as_bytes()),
            _ => out.push(b),
        }
    }
    out
}

/// How the body of a response is delimited on the near side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// By nothing, or by the length that the head says.
    Plain,
    /// In chunks.
    Chunked,
}

/// A response's head as HTTP/1.1 has it. `is_over`: nothing follows it.
pub(super) fn incoming(head: &response::Parts, is_head: bool, is_over: bool) -> (Vec<u8>, Framing) {
    let mut out = status_line(head.status);
    push_fields(&mut out, &head.headers, &[]);
    let has_no_body = is_head || matches!(head.status.as_u16(), 204 | 304);
    let framing = match (has_no_body || head.headers.contains_key("content-length"), is_over) {
        (true, _) => Framing::Plain,
        (false, true) => {
            push_line(&mut out, b"content-length", b"0");
            Framing::Plain
        }
        (false, false) => {
            push_line(&mut out, b"transfer-encoding", b"chunked");
            Framing::Chunked
        }
    };
    out.extend_from_slice(b"\r\n");
    (out, framing)
}

/// The head of an interim response.
pub(super) fn interim(status: StatusCode, headers: &HeaderMap) -> Vec<u8> {
    let mut out = status_line(status);
    push_fields(&mut out, headers, &[]);
    out.extend_from_slice(b"\r\n");
    out
}

/// The answer to an extended CONNECT as the answer to the handshake that it was.
pub(super) fn switching(headers: &HeaderMap, accept: &[u8]) -> Vec<u8> {
    let mut out = status_line(StatusCode::SWITCHING_PROTOCOLS);
    push_line(&mut out, b"Upgrade", b"websocket");
    push_line(&mut out, b"Connection", b"upgrade");
    push_line(&mut out, b"Sec-WebSocket-Accept", accept);
    push_fields(&mut out, headers, &["content-length", "sec-websocket-accept", "sec-websocket-key"]);
    out.extend_from_slice(b"\r\n");
    out
}

/// The end of a body in chunks.
pub(super) fn last_chunk(trailers: Option<&HeaderMap>) -> Vec<u8> {
    let mut out = b"0\r\n".to_vec();
    if let Some(trailers) = trailers {
        push_fields(&mut out, trailers, &[]);
    }
    out.extend_from_slice(b"\r\n");
    out
}

fn status_line(status: StatusCode) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    if let Some(reason) = status.canonical_reason() {
        out.push(b' ');
        out.extend_from_slice(reason.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    out
}

fn push_fields(out: &mut Vec<u8>, headers: &HeaderMap, left_out: &[&str]) {
    for (name, value) in headers {
        let name = name.as_str().as_bytes();
        if !is_one_of(name, CONNECTION) && !is_one_of(name, left_out) {
            push_line(out, name, value.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(head: &str, connect: bool) -> Outgoing {
        outgoing(head.as_bytes(), "http", connect).expect("it can be said")
    }

    #[test]
    fn a_request_loses_what_is_of_its_connection_and_its_host_becomes_the_authority() {
        let head = "POST /a?b=%20 HTTP/1.1\r\nHost: chat:8080\r\nConnection: close\r\nX-One: 1\r\nTE: gzip\r\nContent-Length: 3\r\n\r\n";
        let Outgoing { request, body, accept, is_head } = out(head, true);
        assert_eq!((request.method(), request.uri().to_string()), (&Method::POST, "http://chat:8080/a?b=%20".into()));
        let names: Vec<_> = request.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(
            (names, body, accept, is_head),
            (vec!["x-one", "content-length"], BodyLength::Sized(3), None, false)
        );
    }

    const HANDSHAKE: &str = "GET /room HTTP/1.1\r\nHost: chat\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

    #[test]
    fn a_handshake_becomes_an_extended_connect_where_the_server_takes_one() {
        let Outgoing { request, body, accept, .. } = out(HANDSHAKE, true);
        assert_eq!((request.method(), body), (&Method::CONNECT, BodyLength::UntilClose));
        assert_eq!(request.extensions().get::<h2::ext::Protocol>().expect("a protocol").as_str(), "websocket");
        assert_eq!(accept.as_ref().map(|accept| &accept[..]), Some(&b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="[..]));
        let names: Vec<_> = request.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["sec-websocket-version"]);
        assert_eq!(out(HANDSHAKE, false).request.method(), Method::GET);
    }

    #[test]
    fn targets_and_hosts_that_http_2_does_not_know_are_said_otherwise() {
        let Outgoing { request, .. } = out("GET /a<b>#c`\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n", false);
        assert_eq!(request.uri().path(), "/a%3Cb%3E%23c%60%C3%A9");
        let Outgoing { request, .. } = out("GET / HTTP/1.1\r\nHost: not a host\r\n\r\n", false);
        assert_eq!((request.uri().authority(), request.headers().get("host").is_some()), (None, true));
    }

    #[test]
    fn what_has_no_form_in_http_2_is_refused() {
        let refused = |head: &str| outgoing(head.as_bytes(), "http", false).expect_err("it can't be said").to_string();
        assert_eq!(refused("CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n"), "the request's method can't be sent over HTTP/2");
        assert_eq!(
            refused("GET / HTTP/1.1\r\nHost: a\r\nX: \u{1}\r\n\r\n"),
            "the request's header can't be sent over HTTP/2"
        );
    }

    fn head(status: u16, fields: &[(&'static str, &'static str)]) -> response::Parts {
        let mut head = http::Response::new(()).into_parts().0;
        head.status = StatusCode::from_u16(status).expect("a status");
        fields.iter().for_each(|&(name, value)| _ = head.headers.append(name, HeaderValue::from_static(value)));
        head
    }

    #[test]
    fn a_response_says_how_its_body_ends() {
        let text = |(bytes, framing): (Vec<u8>, Framing)| (String::from_utf8(bytes).expect("text"), framing);
        assert_eq!(
            text(incoming(&head(200, &[("content-length", "3")]), false, false)),
            ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n".into(), Framing::Plain)
        );
        assert_eq!(
            text(incoming(&head(599, &[]), false, false)),
            ("HTTP/1.1 599\r\ntransfer-encoding: chunked\r\n\r\n".into(), Framing::Chunked)
        );
        assert_eq!(
            text(incoming(&head(200, &[]), false, true)),
            ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".into(), Framing::Plain)
        );
        assert_eq!(
            text(incoming(&head(304, &[]), false, true)),
            ("HTTP/1.1 304 Not Modified\r\n\r\n".into(), Framing::Plain)
        );
        assert_eq!(text(incoming(&head(200, &[]), true, true)), ("HTTP/1.1 200 OK\r\n\r\n".into(), Framing::Plain));
    }
}
