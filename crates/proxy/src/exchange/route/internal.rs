//! Internal redirects: the request goes on as if another URI had been asked for, or in a named location.

use crate::exchange::{Exchange, Next};
use culvert_conf::config::Level;

/// nginx's bound on internal redirects and on rewrites that choose the location anew (NGX_HTTP_MAX_URI_CHANGES).
pub(in crate::exchange) const CHANGES_MAX: u8 = 10;

/// An internal redirect to another URI, arguments included: it begins with the server's own rewrite steps.
pub(super) fn to_uri(exchange: &mut Exchange, target: &[u8]) -> Next {
    let (path, args) = split_args(target);
    if let Some(next) = change_path(exchange, path) {
        return next;
    }
    exchange.request.args = args.unwrap_or_default().into();
    exchange.request.has_args = args.is_some();
    Next::EnterServer
}

/// The same for a path that may have a question mark in it; the request's arguments stay.
pub(in crate::exchange) fn to_path(exchange: &mut Exchange, path: &[u8]) -> Next {
    change_path(exchange, path).unwrap_or(Next::EnterServer)
}

fn change_path(exchange: &mut Exchange, path: &[u8]) -> Option<Next> {
    if !may_change(exchange) {
        let path = String::from_utf8_lossy(path);
        exchange.log(
            Level::Error,
            format_args!("rewrite or internal redirection cycle while internally redirecting to \"{path}\""),
        );
        return Some(Next::Status(500));
    }
    let request = &mut exchange.request;
    request.uri = path.into();
    request.unparsed_is_valid = false;
    request.location_is_valid = true;
    request.uri_behind_alias = false;
    mark_redirected(exchange);
    None
}

/// An internal redirect to `location @name`; `name` includes the `@`. URI and arguments stay.
pub(in crate::exchange) fn to_named(exchange: &mut Exchange, name: &[u8]) -> Next {
    let shown = String::from_utf8_lossy(name).into_owned();
    if !may_change(exchange) {
        exchange.log(
            Level::Error,
            format_args!("rewrite or internal redirection cycle while redirect to named location \"{shown}\""),
        );
        return Next::Status(500);
    }
    if exchange.request.uri.is_empty() {
        exchange.log(Level::Error, format_args!("empty URI in redirect to named location \"{shown}\""));
        return Next::Status(500);
    }
    let server = exchange.server.clone();
    match server.tree.named(&shown) {
        Some(id) => {
            exchange.location = server.locations[id].clone();
            exchange.uri_changed = false;
            exchange.upstream_is_lost = false;
            mark_redirected(exchange);
            Next::Enter
        }
        None => {
            exchange.log(Level::Error, format_args!("could not find named location \"{shown}\""));
            Next::Status(500)
        }
    }
}

/// The rewrite steps of a location changed the URI: another one is chosen for it.
pub(in crate::exchange) fn again(exchange: &mut Exchange) -> Next {
    if !may_change(exchange) {
        let uri = String::from_utf8_lossy(&exchange.request.uri);
        exchange.log(Level::Error, format_args!("rewrite or internal redirection cycle while processing \"{uri}\""));
        return Next::Status(500);
    }
    exchange.location = exchange.server.root.clone();
    Next::Locate
}

/// Path and arguments of a target that the configuration or an upstream names.
fn split_args(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    match target.iter().position(|&b| b == b'?') {
        Some(mark) => (&target[..mark], Some(&target[mark + 1..])),
        None => (target, None),
    }
}

/// Counts one more change of the URI. After the last one nothing leads elsewhere any more, error pages included.
fn may_change(exchange: &mut Exchange) -> bool {
    match exchange.changes_left.checked_sub(1) {
        Some(left) => {
            exchange.changes_left = left;
            true
        }
        None => {
            exchange.error_page_used = true;
            false
        }
    }
}

fn mark_redirected(exchange: &mut Exchange) {
    exchange.request.internal = true;
    exchange.redirected_after = exchange.tries.len();
}
