//! What answers instead of a handler that failed: an `error_page`, or the built-in one.

use super::internal;
use crate::exchange::content::Reply;
use crate::exchange::{Client, Exchange, Next};
use culvert_conf::config::{ErrorPage, ErrorPageStatus};

/// Answers with `status`, by the location's `error_page` where it has one for it.
pub(in crate::exchange) fn answer<C: Client>(exchange: &mut Exchange, client: &mut C, status: u16) -> Next {
    match status {
        // nginx's own codes for endings that no client sees an answer to.
        408 | 444 | 499 => {
            exchange.sent.status = status;
            return exchange.give_up(client);
        }
        400 | 413 | 414 | 494..=497 | 500 | 501 | 505 => client.close_after(),
        _ => {}
    }
    exchange.forced_status = Some(status);
    if let Some(page) = choose(exchange, status) {
        return send_to(exchange, &page);
    }
    if matches!(status, 494..=497) {
        exchange.forced_status = Some(400);
    }
    Next::Reply(Box::new(Reply::builtin(status)))
}

/// The page for `status`. Without `recursive_error_pages` the first location that has any pages is the only one asked.
fn choose(exchange: &mut Exchange, status: u16) -> Option<ErrorPage> {
    let pages = exchange.location.error_pages.clone();
    if exchange.error_page_used || pages.is_empty() {
        return None;
    }
    exchange.error_page_used = !exchange.location.recursive_error_pages;
    pages.iter().find(|page| page.status == status).cloned()
}

fn send_to(exchange: &mut Exchange, page: &ErrorPage) -> Next {
    match page.answer {
        ErrorPageStatus::Keep => {}
        ErrorPageStatus::Take => exchange.forced_status = None,
        ErrorPageStatus::Set(status) => exchange.forced_status = Some(status),
    }
    let target = exchange.render(&page.target);
    match target.first() {
        Some(b'/') => {
            exchange.request.turn_to_get();
            let next = internal::to_uri(exchange, &target);
            // To nginx arguments are there, if empty, wherever it has looked for them in a value with variables.
            exchange.request.has_args |= page.target.as_literal().is_none();
            next
        }
        Some(b'@') => internal::to_named(exchange, &target),
        _ => {
            let status = match page.answer {
                ErrorPageStatus::Set(status @ (301 | 302 | 303 | 307 | 308)) => status,
                _ => 302,
            };
            exchange.forced_status = Some(status);
            exchange.redirect_to = Some(target);
            Next::Reply(Box::new(Reply::builtin(status)))
        }
    }
}
