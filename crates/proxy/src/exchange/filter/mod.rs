//! What happens to every response between whoever makes it and the client, in nginx's order: conditions, added headers, what
//! changes the body, ranges. A response that nothing here applies to pays for a few comparisons.

mod addition;
mod chain;
mod charset;
mod compress;
mod expires;
mod filtered;
mod gzip_ok;
mod headers;
mod ranges;
mod substitute;

pub(super) use addition::{Parts as Additions, fetch as fetch_additions};
pub(super) use chain::Chain;
pub(super) use filtered::{Filtered, complete};
pub(super) use gzip_ok::takes_gzip;
pub(super) use ranges::Parts;

use super::Exchange;
use super::client::{Coding, OutHead, RangeUse};
use culvert_engine::content::{Validators, Verdict, judge, parse_date};

/// What the sender of a body has to do, once the head is out.
#[derive(Default)]
pub(super) struct Delivery {
    /// Which parts of the body are sent; all of it where there are none. Only content of the gateway's own has several.
    pub(super) parts: Option<Parts>,
    /// What the body goes through.
    pub(super) chain: Option<Box<Chain>>,
}

/// Applies all filters to `head`. An error is the status of the response that takes the place of this one.
pub(super) fn apply(exchange: &mut Exchange, head: &mut OutHead) -> Result<Delivery, u16> {
    if exchange.is_subrequest {
        // What is asked for on behalf of another response is asked for whole.
        head.ranges = RangeUse::None;
    } else if head.is_own && head.status == 200 {
        check_conditions(exchange, head)?;
    }
    head.note_coding();
    expires::apply(exchange, head);
    headers::add(exchange, head);
    let mut chain = Chain::default();
    change_body(exchange, head, &mut chain);
    if head.is_own && !matches!(head.status, 200 | 206 | 304) {
        // An error page is a file, but the error is not as old as the file.
        head.remove("last-modified");
    }
    let parts = ranges::apply(exchange, head)?;
    headers::announce_trailers(exchange, head, &mut chain);
    let chain = (head.has_body && !chain.is_empty()).then(|| Box::new(chain));
    Ok(Delivery { parts, chain })
}

/// The filters of the body, in the order in which it goes through them.
fn change_body(exchange: &mut Exchange, head: &mut OutHead, chain: &mut Chain) {
    compress::gunzip(exchange, head, chain);
    substitute::apply(exchange, head, chain);
    charset::apply(exchange, head, chain);
    addition::apply(exchange, head, chain);
    compress::gzip(exchange, head, chain);
    if head.varies && exchange.location.filters.gzip.vary {
        head.headers.push(b"Vary", b"Accept-Encoding");
    }
}

/// Whether the client gets the response itself, and not just the word that it has it already.
fn conditions_hold(exchange: &Exchange, head: &OutHead) -> bool {
    let mode = exchange.location.files.if_modified_since;
    let is_send = || matches!(judge(&exchange.request.head.headers, &validators(head), mode), Verdict::Send);
    !head.is_own || is_send()
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
            head.ranges = RangeUse::None;
            head.remove("content-type");
            head.remove("content-encoding");
        }
    }
    Ok(())
}

fn validators(head: &OutHead) -> Validators<'_> {
    let last_modified = head.headers.first("last-modified").and_then(parse_date);
    Validators { etag: head.headers.first("etag"), last_modified }
}

impl OutHead {
    /// Looks at `Content-Encoding`, before a configuration adds one that means nothing to the filters.
    fn note_coding(&mut self) {
        let coding = self.headers.first("content-encoding").filter(|coding| !coding.is_empty());
        self.coding = coding.map(|coding| match coding.eq_ignore_ascii_case(b"gzip") {
            true => Coding::Gzip,
            false => Coding::Other,
        });
    }

    /// Takes all lines of a name away.
    fn remove(&mut self, name: &str) {
        self.headers.retain(|line, _| !line.eq_ignore_ascii_case(name.as_bytes()));
    }

    /// Puts one line in place of all of that name.
    fn replace(&mut self, name: &str, value: &[u8]) {
        self.remove(name);
        self.headers.push(name.as_bytes(), value);
    }

    /// The body becomes another: its length and its parts are not known any more, and its `ETag` is that of something that
    /// says the same (RFC 9110 section 8.8.1).
    fn body_changes(&mut self) {
        self.content_length = None;
        self.ranges = RangeUse::None;
        self.remove("accept-ranges");
        self.weaken_etag();
    }

    fn weaken_etag(&mut self) {
        let Some(etag) = self.headers.first("etag").map(<[u8]>::to_vec) else { return };
        match etag.as_slice() {
            [b'W', b'/', b'"', ..] => {}
            [b'"', ..] => self.replace("ETag", &[b"W/", &etag[..]].concat()),
            // What is no tag can't be made a weak one.
            _ => self.remove("etag"),
        }
    }
}
