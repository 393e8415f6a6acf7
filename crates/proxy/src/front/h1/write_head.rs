//! Response heads and chunk frames as bytes.

use super::connection::Message;
use crate::exchange::client::OutHead;
use crate::exchange::reason;
use crate::observe::clock;
use culvert_engine::http1::{Headers, push_line, push_text};

/// About what the lines take that are not among a head's own.
const LINES_BYTES: usize = 192;

/// Appends the head of a response; `keepalive_header` is the second parameter of `keepalive_timeout`.
pub(super) fn write(head: &OutHead, message: &Message, keepalive_header: Option<u64>, out: &mut Vec<u8>) {
    let connection = connection(head.status, message.keep);
    out.reserve(head.headers.size() + LINES_BYTES);
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(
        &[head.status / 100 % 10, head.status / 10 % 10, head.status % 10].map(|digit| b'0' + digit as u8),
    );
    match &head.reason {
        Some(own) => push_text(out, own),
        None => {
            out.push(b' ');
            out.extend_from_slice(reason(head.status).as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
    if head.headers.first("server").is_none() && !head.server.is_empty() {
        push_line(out, b"Server", &head.server);
    }
    if head.headers.first("date").is_none() {
        out.extend_from_slice(b"Date: ");
        clock::http_date(out);
        out.extend_from_slice(b"\r\n");
    }
    if let Some(length) = head.content_length {
        out.extend_from_slice(b"Content-Length: ");
        out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    if message.chunked {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    out.extend_from_slice(b"Connection: ");
    out.extend_from_slice(connection.as_bytes());
    out.extend_from_slice(b"\r\n");
    if let Some(seconds) = keepalive_header.filter(|_| connection == "keep-alive") {
        push_line(out, b"Keep-Alive", format!("timeout={seconds}").as_bytes());
    }
    head.headers.write(out);
    out.extend_from_slice(b"\r\n");
}

/// Appends the head of an interim response.
pub(super) fn interim(status: u16, headers: &Headers, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("HTTP/1.1 {status:03} {}\r\n", reason(status)).as_bytes());
    headers.write(out);
    out.extend_from_slice(b"\r\n");
}

/// What `Connection` says.
pub(super) fn connection(status: u16, keep: bool) -> &'static str {
    match (status, keep) {
        (101, _) => "upgrade",
        (_, true) => "keep-alive",
        (_, false) => "close",
    }
}

/// Appends what stands before the data of a chunk.
pub(super) fn chunk_size(length: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{length:x}\r\n").as_bytes());
}

/// Appends the last chunk, with trailers where they are welcome.
pub(super) fn last_chunk(trailers: Option<&Headers>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n");
    let lines = trailers.iter().flat_map(|trailers| trailers.iter());
    for (name, value) in lines.filter(|(name, _)| !is_of_the_head(name)) {
        push_line(out, name, value);
    }
    out.extend_from_slice(b"\r\n");
}

/// Fields that mean something before the body only, and must not come behind it (RFC 9110 section 6.5.1).
pub(in crate::front) fn is_of_the_head(name: &[u8]) -> bool {
    const NAMES: [&str; 12] = [
        "content-length",
        "transfer-encoding",
        "content-encoding",
        "content-type",
        "content-range",
        "trailer",
        "host",
        "connection",
        "upgrade",
        "te",
        "keep-alive",
        "set-cookie",
    ];
    NAMES.iter().any(|head| name.eq_ignore_ascii_case(head.as_bytes()))
}
