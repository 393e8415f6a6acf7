//! What happens to every response between whoever makes it and the client, in nginx's order: conditions, added headers, what
//! changes the body, ranges. A response that nothing here applies to pays for a few comparisons.

mod headers;
mod ranges;

pub(super) use ranges::Parts;

use super::Exchange;
use super::client::OutHead;
use culvert_engine::content::{Validators, Verdict, judge, parse_date};

/// What the sender of a body has to do, once the head is out.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    /// Which parts of the body are sent; all of it where there are none.
    pub(super) parts: Option<Parts>,
}

/// Applies all filters to `head`. An error is the status of the response that takes the place of this one.
pub(super) fn apply(exchange: &mut Exchange, head: &mut OutHead) -> Result<Delivery, u16> {
    if head.is_own && head.status == 200 {
        check_conditions(exchange, head)?;
    }
    headers::add(exchange, head);
    if head.is_own && !matches!(head.status, 200 | 206 | 304) {
        // An error page is a file, but the error is not as old as the file.
        head.headers.retain(|name, _| !name.eq_ignore_ascii_case(b"last-modified"));
    }
    let parts = ranges::apply(exchange, head)?;
    Ok(Delivery { parts })
}

/// Whether the client has it already, or wants another state of it than there is.
fn check_conditions(exchange: &Exchange, head: &mut OutHead) -> Result<(), u16> {
    let mode = exchange.location.files.if_modified_since;
    match judge(&exchange.request.head.headers, &validators(head), mode) {
        Verdict::Send => {}
        Verdict::Failed => return Err(412),
        Verdict::NotModified => {
            head.status = 304;
            head.reason = None;
            head.content_length = None;
            head.has_body = false;
            head.ranges = super::client::RangeUse::None;
            let gone = |name: &[u8]| {
                name.eq_ignore_ascii_case(b"content-type") || name.eq_ignore_ascii_case(b"content-encoding")
            };
            head.headers.retain(|name, _| !gone(name));
        }
    }
    Ok(())
}

fn validators(head: &OutHead) -> Validators<'_> {
    let last_modified = head.headers.first("last-modified").and_then(parse_date);
    Validators { etag: head.headers.first("etag"), last_modified }
}

impl Exchange {
    /// Whether the gateway's own texts go out as UTF-8.
    pub(super) fn charset_is_utf8(&self) -> bool {
        false
    }
}
