//! A request of HTTP/2 in the words of the exchange: pseudo-headers become a request line and `Host`.

use bytes::Bytes;
use culvert_engine::http1::{BodyLength, HeadLimits, Headers, RequestError, RequestHead, request_body};
use h2::ext::Protocol;
use http::request::Parts;
use http::{Method, header};

/// A request as it came.
pub(super) struct Arrived {
    /// Its head and how its body is delimited, or its head and the status to answer with.
    pub(super) head: Result<(RequestHead, BodyLength), (RequestHead, u16)>,
    /// What the error log says of a bad one.
    pub(super) complaint: Option<String>,
    /// It is an extended CONNECT (RFC 8441), translated to the handshake of RFC 6455.
    pub(super) by_connect: bool,
    /// Bytes of the head, uncompressed.
    pub(super) bytes: u64,
}

/// Reads the head of a request.
pub(super) fn read(parts: &Parts, has_body: bool, limits: HeadLimits) -> Arrived {
    let protocol = parts.extensions.get::<Protocol>();
    let by_connect = protocol.is_some_and(|protocol| protocol.as_str().eq_ignore_ascii_case("websocket"));
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
    let method = if by_connect { Method::GET } else { parts.method.clone() };
    let headers = headers(parts, by_connect);
    let longest = headers.iter().map(|(name, value)| name.len() + value.len() + 4).max().unwrap_or_default();
    let all = headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum::<usize>() + target.len();
    let mut arrived = Arrived { head: Err(Default::default()), complaint: None, by_connect, bytes: all as u64 };
    let (head, error) = match RequestHead::of_http2(method.as_str().as_bytes(), target.as_bytes(), headers) {
        Ok(head) => (head, None),
        Err((error, head)) => (head, Some(error)),
    };
    let error = error.or_else(|| too_long(target, longest, all, limits));
    arrived.head = match error {
        Some(error) => {
            arrived.complaint = Some(complaint(error, target));
            Err((head, error.status()))
        }
        None if protocol.is_some() && !by_connect => {
            arrived.complaint = Some("client asked for an unknown protocol by CONNECT".into());
            Err((head, NOT_IMPLEMENTED))
        }
        None => arrived.framed(head, has_body),
    };
    arrived
}

/// The answer to an extended CONNECT for a protocol that is not known.
const NOT_IMPLEMENTED: u16 = 501;

impl Arrived {
    fn framed(&mut self, head: RequestHead, has_body: bool) -> Result<(RequestHead, BodyLength), (RequestHead, u16)> {
        if self.by_connect {
            // What comes in the stream is the tunnel's.
            return Ok((head, BodyLength::None));
        }
        match request_body(&head.headers, head.minor) {
            Ok(BodyLength::None) if has_body => Ok((head, BodyLength::Chunked)),
            Ok(length) => Ok((head, length)),
            Err(error) => {
                self.complaint = Some(format!("client sent {} while reading client request headers", error.describe()));
                Err((head, error.status()))
            }
        }
    }
}

/// `Host` first, as `:authority` has it; the cookies in one line (RFC 9113 section 8.2.3).
fn headers(parts: &Parts, by_connect: bool) -> Headers {
    let mut headers = Headers::default();
    let authority = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
    if let Some(authority) = authority {
        headers.push(b"host", authority);
    }
    for (name, value) in &parts.headers {
        let is_repeated = *name == header::HOST && Some(value.as_bytes()) == authority;
        // A key of the client's own would be answered to the client, which does not look for an answer.
        let is_ours = by_connect && *name == header::SEC_WEBSOCKET_KEY;
        if *name != header::COOKIE && !is_repeated && !is_ours {
            headers.push(name.as_str().as_bytes(), value.as_bytes());
        }
    }
    let cookies: Vec<&[u8]> = parts.headers.get_all(header::COOKIE).iter().map(|value| value.as_bytes()).collect();
    if !cookies.is_empty() {
        headers.push(b"cookie", &cookies.join(&b"; "[..]));
    }
    if by_connect {
        headers.push(b"upgrade", b"websocket");
        headers.push(b"connection", b"Upgrade");
        headers.push(b"sec-websocket-key", &key());
    }
    headers
}

/// A new `Sec-WebSocket-Key` (RFC 6455 section 4.1).
fn key() -> Bytes {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(rand::random::<[u8; 16]>()).into()
}

fn too_long(target: &str, longest: usize, all: usize, limits: HeadLimits) -> Option<RequestError> {
    match () {
        () if target.len() > limits.line_bytes_max => Some(RequestError::RequestLineTooLong),
        () if longest > limits.line_bytes_max || all > limits.head_bytes_max => Some(RequestError::HeadersTooLong),
        () => None,
    }
}

fn complaint(error: RequestError, target: &str) -> String {
    match error {
        RequestError::RequestLine => format!("client sent invalid :path header: \"{target}\""),
        RequestError::Method => "client sent invalid :method header".into(),
        error => error.describe().into(),
    }
}
