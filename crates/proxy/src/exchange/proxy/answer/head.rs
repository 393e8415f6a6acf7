//! The upstream's response head on its way to the client: hop-by-hop and hidden headers go, redirects are rewritten.

use super::{cookies, redirect};
use crate::exchange::Exchange;
use crate::exchange::client::{OutHead, RangeUse};
use culvert_conf::config::{Location, ProxyPass};
use culvert_engine::http1::{BodyLength, HeaderLine, Headers};
use culvert_engine::websocket::has_token;

/// What nginx hides of an upstream's response unless `proxy_pass_header` names it.
const HIDDEN: &[&str] = &[
    "date",
    "server",
    "x-pad",
    "x-accel-expires",
    "x-accel-redirect",
    "x-accel-limit-rate",
    "x-accel-buffering",
    "x-accel-charset",
];

/// Headers that are about the hop to the upstream only, or that the front writes itself.
const OWN: &[&str] = &["connection", "keep-alive", "transfer-encoding", "proxy-connection", "content-length"];

/// Headers that mean one thing. Of several lines the first is passed on, as in nginx since 1.23: two readers must not take two
/// different ones.
const SINGLE: &[&str] = &[
    "accept-ranges",
    "content-encoding",
    "content-range",
    "content-type",
    "etag",
    "expires",
    "last-modified",
    "location",
    "refresh",
];

/// The head for the client, of a response with this status and this kind of body, whose headers the exchange has.
pub(super) fn translate(
    exchange: &Exchange,
    pass: &ProxyPass,
    (status, reason): (u16, Box<[u8]>),
    body: BodyLength,
) -> OutHead {
    let from = &exchange.upstream_headers;
    let mut out = OutHead { status, reason: Some(reason), ..OutHead::default() };
    out.has_body = body != BodyLength::None && !exchange.is_head();
    out.content_length = match body {
        BodyLength::Sized(length) => Some(length),
        BodyLength::None if matches!(status, 101 | 204 | 304) || exchange.is_head() => {
            // What a response to HEAD, or a 304, would have had.
            from.first("content-length").and_then(number)
        }
        // The upstream was asked with HEAD, the client asked with something else: what comes is all that there is.
        BodyLength::None => Some(0),
        BodyLength::Chunked | BodyLength::UntilClose => None,
    };
    out.headers = Headers::like(from);
    let forces_ranges = exchange.location.proxy.response.force_ranges;
    if forces_ranges {
        out.ranges = RangeUse::One;
    }
    let passes = |name: &[u8]| {
        passes(&exchange.location, from, status, name)
            && !(forces_ranges && name.eq_ignore_ascii_case(b"accept-ranges"))
    };
    let mut seen = Seen::default();
    for line in from.lines().filter(|line| seen.is_wanted(line.name(), line.value()) && passes(line.name())) {
        push(exchange, pass, line, &mut out.headers);
    }
    out
}

/// Which of `SINGLE` there were: a bit each.
#[derive(Default)]
struct Seen(u16);

impl Seen {
    /// Whether the line is none of `SINGLE`, or the first of its name. A type without a value is none.
    fn is_wanted(&mut self, name: &[u8], value: &[u8]) -> bool {
        let Some(at) = SINGLE.iter().position(|single| name.eq_ignore_ascii_case(single.as_bytes())) else {
            return true;
        };
        let is_first = self.0 & (1 << at) == 0;
        self.0 |= 1 << at;
        is_first && !(value.is_empty() && SINGLE[at] == "content-type")
    }
}

/// Whether a header of the upstream's is for the client, too.
pub(in crate::exchange) fn passes(location: &Location, from: &Headers, status: u16, name: &[u8]) -> bool {
    let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
    let for_this_hop =
        |value: &&[u8]| !value.eq_ignore_ascii_case(b"keep-alive") && !value.eq_ignore_ascii_case(b"close");
    // Upgrade is for one hop, but a 426 is nothing without it (RFC 9110 section 15.5.22).
    let is_upgrade = is("upgrade");
    let is_own = OWN.iter().any(|own| is(own)) || (is_upgrade && !matches!(status, 101 | 426));
    let is_nominated = || !is_upgrade && from.all("connection").filter(for_this_hop).any(|list| has_token(list, name));
    !is_own && !is_hidden(location, name) && !is_nominated()
}

/// Appends a header of the upstream's as the client is to see it.
pub(super) fn push(exchange: &Exchange, pass: &ProxyPass, line: HeaderLine<'_>, out: &mut Headers) {
    let (name, value) = (line.name(), line.value());
    let rewritten = match name.len() {
        7 if name.eq_ignore_ascii_case(b"refresh") => Some(redirect::rewrite_refresh(exchange, pass, value)),
        8 if name.eq_ignore_ascii_case(b"location") => Some(redirect::rewrite_location(exchange, pass, value)),
        10 if name.eq_ignore_ascii_case(b"set-cookie") => cookies::rewrite(exchange, value),
        _ => None,
    };
    match rewritten {
        Some(value) => out.push(name, &value),
        None => out.push_copy(line),
    }
}

/// Whether the configuration, or nginx's own list, keeps a header of the upstream's from the client.
fn is_hidden(location: &Location, name: &[u8]) -> bool {
    let proxy = &location.proxy;
    let listed = |names: &[Box<str>]| names.iter().any(|listed| name.eq_ignore_ascii_case(listed.as_bytes()));
    let built_in = || HIDDEN.iter().any(|hidden| name.eq_ignore_ascii_case(hidden.as_bytes()));
    !listed(&proxy.pass_headers) && (listed(&proxy.hide_headers) || built_in())
}

fn number(value: &[u8]) -> Option<u64> {
    str::from_utf8(value).ok()?.parse().ok()
}
