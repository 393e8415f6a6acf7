//! `add_header` and `add_trailer`.

use super::Chain;
use crate::exchange::Exchange;
use crate::exchange::client::OutHead;

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

/// Makes room for trailers of the gateway's own: behind a body whose length was said there is none.
pub(super) fn announce_trailers(exchange: &Exchange, head: &mut OutHead, chain: &mut Chain) {
    let trailers = &exchange.location.filters.trailers;
    let may_follow =
        head.has_body && exchange.request.head.minor > 0 && exchange.location.client.chunked_transfer_encoding;
    if trailers.is_empty() || !may_follow {
        return;
    }
    // A range was a success before it became a range.
    let successful = is_successful(head.status);
    let wanted = trailers.iter().filter(|trailer| successful || trailer.always);
    chain.trailers = wanted.map(|trailer| (trailer.name.clone(), trailer.value.clone())).collect();
    if !chain.trailers.is_empty() {
        head.content_length = None;
        head.has_trailers = true;
    }
}

/// The statuses that fields are added to without `always`.
pub(super) fn is_successful(status: u16) -> bool {
    matches!(status, 200 | 201 | 204 | 206 | 301 | 302 | 303 | 304 | 307 | 308)
}
