//! A response's head and trailers in the words of `h2`.

use crate::exchange::client::OutHead;
use crate::front::h1::is_of_the_head;
use crate::observe::clock;
use culvert_engine::http1::Headers;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

/// Fields that are about a connection of HTTP/1 (RFC 9113 section 8.2.2).
const OF_HTTP_1: [&str; 5] = ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];

/// The head of a response. A tunnel's is 200 instead of 101, and proves nothing of a key (RFC 8441 section 5).
pub(super) fn head(head: &OutHead) -> Response<()> {
    let opens_tunnel = head.status == 101;
    let status = if opens_tunnel { StatusCode::OK } else { valid(head.status) };
    let mut response = Response::new(());
    *response.status_mut() = status;
    let fields = response.headers_mut();
    fields.reserve(head.headers.len() + 3);
    if head.headers.first("server").is_none() && !head.server.is_empty() {
        put(fields, b"server", &head.server);
    }
    if head.headers.first("date").is_none() {
        let mut date = Vec::with_capacity(32);
        clock::http_date(&mut date);
        put(fields, b"date", &date);
    }
    if let Some(length) = head.content_length.filter(|_| !opens_tunnel) {
        fields.insert(header::CONTENT_LENGTH, length.into());
    }
    for (name, value) in head.headers.iter() {
        let is_of_http_1 = OF_HTTP_1.iter().any(|of| name.eq_ignore_ascii_case(of.as_bytes()));
        let proves_a_key = opens_tunnel && name.eq_ignore_ascii_case(b"sec-websocket-accept");
        if !is_of_http_1 && !proves_a_key {
            put(fields, name, value);
        }
    }
    response
}

/// The head of an interim response: without `Date` and its like, which are the final one's.
pub(super) fn interim(interim: &OutHead) -> Response<()> {
    let mut response = head(interim);
    if interim.headers.first("date").is_none() {
        response.headers_mut().remove(header::DATE);
    }
    response
}

/// A status that is no number of three digits can't be said in HTTP/2.
fn valid(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY)
}

/// The trailers of a response.
pub(super) fn trailers(trailers: &Headers) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in trailers.iter() {
        if !is_of_the_head(name) && !OF_HTTP_1.iter().any(|of| name.eq_ignore_ascii_case(of.as_bytes())) {
            put(&mut fields, name, value);
        }
    }
    fields
}

/// Bytes of a head as HTTP/1 would write them: what it takes compressed is the connection's affair.
pub(super) fn bytes(fields: &HeaderMap) -> u64 {
    fields.iter().map(|(name, value)| (name.as_str().len() + value.len() + 4) as u64).sum()
}

/// Appends a field. What ends a line would end the field, and becomes a space, as on the other fronts; a name that is none
/// was refused with its head.
fn put(fields: &mut HeaderMap, name: &[u8], value: &[u8]) {
    let Ok(name) = HeaderName::from_bytes(name) else { return };
    let value = HeaderValue::from_bytes(value).or_else(|_| {
        let is_text = |b: u8| b == b'\t' || (b >= b' ' && b != 0x7f);
        let clean: Vec<u8> = value.iter().map(|&b| if is_text(b) { b } else { b' ' }).collect();
        HeaderValue::from_bytes(&clean)
    });
    if let Ok(value) = value {
        fields.append(name, value);
    }
}
