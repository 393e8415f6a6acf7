//! What answers instead of a handler that failed: an `error_page`, or the built-in one.

use super::respond::Reply;
use super::{Client, Exchange, Next};
use culvert_conf::config::{ErrorPage, ErrorPageStatus, ErrorPageTarget, Level};

/// Answers with `status`, by the location's `error_page` where it has one for it.
pub(super) fn answer<C: Client>(exchange: &mut Exchange, client: &mut C, status: u16) -> Next {
    match status {
        // nginx's own codes for endings that no client sees an answer to.
        408 | 444 | 499 => {
            exchange.sent.status = status;
            return Next::Close;
        }
        400 | 413 | 414 | 494..=497 | 500 | 501 | 505 => client.close_after(),
        _ => {}
    }
    exchange.forced_status = Some(if matches!(status, 494..=497) { 400 } else { status });
    let page = exchange.location.error_pages.iter().find(|page| page.status == status).cloned();
    match page.filter(|_| !exchange.error_page_used) {
        Some(page) => {
            exchange.error_page_used = !exchange.location.recursive_error_pages;
            send_to(exchange, &page, status)
        }
        None => Next::Reply(Reply::builtin(status)),
    }
}

fn send_to(exchange: &mut Exchange, page: &ErrorPage, status: u16) -> Next {
    match page.answer {
        ErrorPageStatus::Keep => {}
        ErrorPageStatus::Take => exchange.forced_status = None,
        ErrorPageStatus::Set(status) => exchange.forced_status = Some(status),
    }
    match &page.target {
        ErrorPageTarget::Named(name) => to_named(exchange, name),
        ErrorPageTarget::Uri(uri) => {
            let uri = exchange.render(uri);
            to_uri(exchange, &uri)
        }
        ErrorPageTarget::Redirect(url) => {
            let url = exchange.render(url);
            let status = match page.answer {
                ErrorPageStatus::Set(status @ (301 | 302 | 303 | 307 | 308)) => status,
                _ if matches!(status, 301 | 302 | 303 | 307 | 308) => status,
                _ => 302,
            };
            exchange.forced_status = None;
            Next::Reply(Reply::redirect(status, url))
        }
    }
}

/// An internal redirect to another URI: its location is chosen anew.
pub(super) fn to_uri(exchange: &mut Exchange, uri: &[u8]) -> Next {
    if let Some(refused) = count_redirect(exchange) {
        return refused;
    }
    let (path, args) = match uri.iter().position(|&b| b == b'?') {
        Some(mark) => (&uri[..mark], &uri[mark + 1..]),
        None => (uri, &b""[..]),
    };
    let request = &mut exchange.request;
    request.uri = path.into();
    request.args = args.into();
    if !request.is_head {
        request.turned_to_get = true;
    }
    request.unparsed_is_valid = false;
    mark_redirected(exchange);
    Next::Locate
}

fn to_named(exchange: &mut Exchange, name: &str) -> Next {
    if let Some(refused) = count_redirect(exchange) {
        return refused;
    }
    let server = exchange.server.clone();
    match server.tree.named(name) {
        Some(id) => {
            exchange.location = server.locations[id].clone();
            mark_redirected(exchange);
            Next::Enter
        }
        None => {
            exchange.log(Level::Error, format_args!("could not find named location \"{name}\""));
            exchange.error_page_used = true;
            Next::Status(500)
        }
    }
}

fn count_redirect(exchange: &mut Exchange) -> Option<Next> {
    if exchange.redirects_left == 0 {
        let uri = String::from_utf8_lossy(&exchange.request.uri).into_owned();
        exchange.log(
            Level::Error,
            format_args!("rewrite or internal redirection cycle while internally redirecting to \"{uri}\""),
        );
        exchange.error_page_used = true;
        return Some(Next::Status(500));
    }
    exchange.redirects_left -= 1;
    None
}

fn mark_redirected(exchange: &mut Exchange) {
    exchange.redirected_after = exchange.tries.len();
}
