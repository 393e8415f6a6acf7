//! `Range`: which parts of a body are sent, and how a head says so (RFC 9110 section 14).

use crate::exchange::Exchange;
use crate::exchange::client::{OutHead, RangeUse};
use bytes::Bytes;
use culvert_engine::content::{Selection, if_range_holds, select};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// The parts of a body that are sent, in this order.
#[derive(Debug)]
pub(in crate::exchange) struct Parts {
    pub(in crate::exchange) ranges: Vec<Part>,
    /// What stands behind the last one; empty for a single part.
    pub(in crate::exchange) ending: Bytes,
}

/// One of them.
#[derive(Debug)]
pub(in crate::exchange) struct Part {
    /// What stands before it; empty for a single part.
    pub(in crate::exchange) heading: Bytes,
    pub(in crate::exchange) range: Range<u64>,
}

/// Makes `head` that of a 206 where the request asks for parts. An error is the 416 that takes its place.
pub(super) fn apply(exchange: &mut Exchange, head: &mut OutHead) -> Result<Option<Parts>, u16> {
    let Some(length) = head.content_length else { return Ok(None) };
    let most = match head.ranges {
        RangeUse::None => 0,
        RangeUse::One => exchange.location.files.ranges_max.min(1),
        RangeUse::Many => exchange.location.files.ranges_max,
    };
    if head.status != 200 || most == 0 {
        return Ok(None);
    }
    let request = &exchange.request.head.headers;
    let holds = |value: &[u8]| if_range_holds(value, &super::validators(head));
    let range = request.first("range").filter(|_| request.first("if-range").is_none_or(holds));
    match range.map_or(Selection::All, |range| select(range, length, most)) {
        Selection::All => {
            head.headers.push(b"Accept-Ranges", b"bytes");
            Ok(None)
        }
        Selection::Unsatisfiable => {
            exchange.unsatisfied_length = Some(length);
            Err(416)
        }
        Selection::Parts(ranges) => {
            head.status = 206;
            head.reason = None;
            Ok(Some(match <[_; 1]>::try_from(ranges) {
                Ok([range]) => single(head, range, length),
                Err(ranges) => several(head, ranges, length),
            }))
        }
    }
}

fn single(head: &mut OutHead, range: Range<u64>, length: u64) -> Parts {
    head.headers.push(b"Content-Range", content_range(&range, length).as_bytes());
    head.content_length = Some(range.end - range.start);
    Parts { ranges: vec![Part { heading: Bytes::new(), range }], ending: Bytes::new() }
}

/// `multipart/byteranges` (RFC 9110 section 14.6).
fn several(head: &mut OutHead, ranges: Vec<Range<u64>>, length: u64) -> Parts {
    let boundary = boundary();
    let content_type = head.headers.first("content-type").map(<[u8]>::to_vec);
    let parts = ranges.into_iter().map(|range| {
        let mut heading = format!("\r\n--{boundary}\r\n").into_bytes();
        if let Some(content_type) = &content_type {
            heading.extend_from_slice(b"Content-Type: ");
            heading.extend_from_slice(content_type);
            heading.extend_from_slice(b"\r\n");
        }
        heading.extend_from_slice(format!("Content-Range: {}\r\n\r\n", content_range(&range, length)).as_bytes());
        Part { heading: heading.into(), range }
    });
    let ranges: Vec<Part> = parts.collect();
    let ending = format!("\r\n--{boundary}--\r\n");
    let sum: u64 = ranges.iter().map(|part| part.heading.len() as u64 + part.range.end - part.range.start).sum();
    head.content_length = Some(sum + ending.len() as u64);
    head.headers.retain(|name, _| !name.eq_ignore_ascii_case(b"content-type"));
    let content_type = format!("multipart/byteranges; boundary={boundary}");
    head.headers.push(b"Content-Type", content_type.as_bytes());
    Parts { ranges, ending: ending.into() }
}

fn content_range(range: &Range<u64>, length: u64) -> String {
    format!("bytes {}-{}/{length}", range.start, range.end - 1)
}

/// Twenty digits that no other response of this process has.
fn boundary() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("{:020}", NEXT.fetch_add(1, Ordering::Relaxed))
}
