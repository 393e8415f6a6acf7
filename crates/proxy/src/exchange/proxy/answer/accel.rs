//! What an upstream's response tells the gateway to do: `X-Accel-Redirect`, `X-Accel-Limit-Rate` and `X-Accel-Buffering`.
//! `proxy_ignore_headers` turns each of them off.

use super::head;
use crate::exchange::client::OutHead;
use crate::exchange::route::internal;
use crate::exchange::{Exchange, Next};
use culvert_conf::config::{Level, ProxyPass};
use culvert_engine::http1::Headers;
use culvert_engine::uri;

/// Headers that survive the redirect to where the response really comes from.
const CARRIED: &[&str] =
    &["content-type", "set-cookie", "content-disposition", "cache-control", "expires", "accept-ranges"];

/// Notes how fast the response is to be sent, whoever will send it.
pub(super) fn note_rate(exchange: &mut Exchange) {
    if exchange.location.proxy.response.ignore_headers.limit_rate {
        return;
    }
    let value = exchange.upstream_headers.first("x-accel-limit-rate");
    if let Some(rate) = value.and_then(|value| str::from_utf8(value).ok()?.parse().ok()) {
        exchange.limit_rate = Some(rate);
    }
}

/// Whether the response is to be read ahead of its client.
pub(super) fn buffering(exchange: &Exchange) -> bool {
    let proxy = &exchange.location.proxy;
    let value = exchange.upstream_headers.first("x-accel-buffering");
    match value.filter(|_| !proxy.response.ignore_headers.buffering) {
        Some(value) if value.eq_ignore_ascii_case(b"no") => false,
        Some(value) if value.eq_ignore_ascii_case(b"yes") => true,
        _ => proxy.buffering,
    }
}

/// Whether the response is to come from elsewhere.
pub(super) fn asks_for_redirect(exchange: &Exchange) -> bool {
    let ignored = exchange.location.proxy.response.ignore_headers.redirect;
    !ignored && exchange.upstream_headers.first("x-accel-redirect").is_some()
}

/// The internal redirect that the response asks for.
pub(super) fn redirect(exchange: &mut Exchange, pass: &ProxyPass) -> Next {
    let target = exchange.upstream_headers.first("x-accel-redirect").unwrap_or_default().to_vec();
    exchange.carried = carried(exchange, pass);
    exchange.doing = " while reading response header from upstream";
    let next = redirect_to(exchange, &target);
    exchange.doing = "";
    next
}

fn redirect_to(exchange: &mut Exchange, target: &[u8]) -> Next {
    if target.first() == Some(&b'@') {
        return internal::to_named(exchange, target);
    }
    let Some((path, args)) = uri::parse_internal(target) else {
        let target = String::from_utf8_lossy(target).into_owned();
        exchange.log(Level::Error, format_args!("unsafe URI \"{target}\" was detected"));
        return Next::Status(404);
    };
    exchange.request.turn_to_get();
    exchange.request.args = args.unwrap_or_default().into();
    exchange.request.has_args = args.is_some();
    internal::to_path(exchange, &path)
}

fn carried(exchange: &Exchange, pass: &ProxyPass) -> Headers {
    let mut carried = Headers::default();
    for line in exchange.upstream_headers.lines() {
        if CARRIED.iter().any(|carried| line.name().eq_ignore_ascii_case(carried.as_bytes())) {
            head::push(exchange, pass, line, &mut carried);
        }
    }
    carried
}

/// Puts in front of the headers of `head` what an `X-Accel-Redirect` brought along. A type of its own wins over that of the
/// redirecting response; [`Exchange::content_type`] has seen to those that are no type of its own.
pub(in crate::exchange) fn carry(exchange: &mut Exchange, head: &mut OutHead) {
    if exchange.carried.is_empty() {
        return;
    }
    let has_type = head.headers.first("content-type").is_some() || matches!(head.status, 204 | 304);
    let mut headers = std::mem::take(&mut exchange.carried);
    headers.retain(|name, _| !(has_type && name.eq_ignore_ascii_case(b"content-type")));
    head.headers.iter().for_each(|(name, value)| headers.push(name, value));
    head.headers = headers;
}
