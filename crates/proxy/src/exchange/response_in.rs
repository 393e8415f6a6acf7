//! The upstream's response head on its way to the client: hop-by-hop and hidden headers go, redirects are rewritten.

use super::client::OutHead;
use super::{Exchange, redirect};
use culvert_conf::config::ProxyPass;
use culvert_engine::http1::{BodyLength, Headers, ResponseHead};
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

/// The head for the client, of a response with this kind of body.
pub(super) fn translate(exchange: &Exchange, pass: &ProxyPass, head: &ResponseHead, body: BodyLength) -> OutHead {
    let mut out = OutHead { status: head.status, reason: Some(head.reason.clone()), ..OutHead::default() };
    out.has_body = body != BodyLength::None;
    out.content_length = match body {
        BodyLength::Sized(length) => Some(length),
        // What a response to HEAD, or a 304, would have had.
        BodyLength::None => head.headers.first("content-length").and_then(number).or(match head.status {
            101 | 204 | 304 => None,
            _ if exchange.is_head() => None,
            _ => Some(0),
        }),
        BodyLength::Chunked | BodyLength::UntilClose => None,
    };
    out.headers = Headers::like(&head.headers);
    let for_this_hop =
        |value: &&[u8]| !value.eq_ignore_ascii_case(b"keep-alive") && !value.eq_ignore_ascii_case(b"close");
    let nominations: Vec<&[u8]> = head.headers.all("connection").filter(for_this_hop).collect();
    let is = |name: &[u8], other: &str| name.eq_ignore_ascii_case(other.as_bytes());
    for (name, value) in head.headers.iter() {
        // Upgrade is for one hop, but a 426 is nothing without it (RFC 9110 section 15.5.22).
        let is_upgrade = is(name, "upgrade");
        let is_nominated = !is_upgrade && nominations.iter().any(|list| has_token(list, name));
        let is_own = OWN.iter().any(|own| is(name, own)) || (is_upgrade && !matches!(head.status, 101 | 426));
        if is_own || is_nominated || is_hidden(exchange, name) {
            continue;
        }
        if is(name, "location") {
            out.headers.push(name, &redirect::rewrite_location(exchange, pass, value));
        } else if is(name, "refresh") {
            out.headers.push(name, &redirect::rewrite_refresh(exchange, pass, value));
        } else {
            out.headers.push(name, value);
        }
    }
    out
}

fn is_hidden(exchange: &Exchange, name: &[u8]) -> bool {
    let proxy = &exchange.location.proxy;
    let listed = |names: &[Box<str>]| names.iter().any(|listed| name.eq_ignore_ascii_case(listed.as_bytes()));
    let built_in = HIDDEN.iter().any(|hidden| name.eq_ignore_ascii_case(hidden.as_bytes()));
    (built_in && !listed(&proxy.pass_headers)) || listed(&proxy.hide_headers)
}

fn number(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}
