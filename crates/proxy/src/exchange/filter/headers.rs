//! `add_header`.

use super::super::client::OutHead;
use crate::exchange::Exchange;

/// Adds what the configuration adds to a response.
pub(super) fn add(exchange: &Exchange, head: &mut OutHead) {
    let successful = is_successful(head.status);
    for header in exchange.location.add_headers.iter().filter(|header| successful || header.always) {
        let value = exchange.render_with_head(&header.value, head);
        // nginx knows these two as single headers that an added one replaces, or takes away if it is empty.
        if header.name.eq_ignore_ascii_case(b"last-modified") || header.name.eq_ignore_ascii_case(b"etag") {
            head.headers.retain(|name, _| !name.eq_ignore_ascii_case(&header.name));
        }
        if !value.is_empty() {
            head.headers.push(&header.name, &value);
        }
    }
}

/// The statuses that headers are added to without `always`.
fn is_successful(status: u16) -> bool {
    matches!(status, 200 | 201 | 204 | 206 | 301 | 302 | 303 | 304 | 307 | 308)
}
