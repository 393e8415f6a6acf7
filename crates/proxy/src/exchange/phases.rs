//! The order in which the steps of a request come, which is nginx's: the server's rewrite steps, the choice of a location,
//! its rewrite steps (again, where they changed the URI), access, `try_files`, and what answers in the end.

use super::content::{files, metrics_page, status_page};
use super::route::{internal, rewrite, try_files};
use super::subrequest::mirror;
use super::{Client, Exchange, Next, access, proxy};
use culvert_conf::config::{Handler, Level};
use std::sync::Arc;

/// Runs the server block's own rewrite steps.
pub(super) fn enter_server(exchange: &mut Exchange) -> Next {
    if !Arc::ptr_eq(&exchange.location, &exchange.server.root) {
        exchange.location = exchange.server.root.clone();
    }
    if exchange.server.rewrite.is_empty() {
        return Next::Locate;
    }
    let server = exchange.server.clone();
    rewrite::run(exchange, &server.rewrite).unwrap_or(Next::Locate)
}

/// Takes the request through the location that was chosen for it. A step that may change the exchange holds what it works by itself;
/// most requests have no such step, and don't pay for it.
pub(super) async fn enter<C: Client>(exchange: &mut Exchange, client: &mut C) -> Next {
    access::limit_methods(exchange);
    if !exchange.location.rewrite.is_empty() {
        let location = exchange.location.clone();
        if let Some(next) = rewrite::run(exchange, &location.rewrite) {
            return next;
        }
    }
    if exchange.uri_changed {
        return internal::again(exchange);
    }
    if let Some(next) = access::check(exchange, client).await {
        return next;
    }
    if exchange.location.try_files.is_some()
        && let Some(candidates) = &exchange.location.clone().try_files
        && let Some(next) = try_files::run(exchange, candidates)
    {
        return next;
    }
    if !exchange.location.mirror.uris.is_empty()
        && !exchange.is_subrequest
        && let Some(next) = mirror::send(exchange, client).await
    {
        return next;
    }
    content(exchange, client).await
}

async fn content<C: Client>(exchange: &mut Exchange, client: &mut C) -> Next {
    let location = exchange.location.clone();
    match &location.handler {
        Handler::Proxy(pass) => proxy::relay(exchange, client, pass).await,
        Handler::StubStatus => status_page::answer(exchange),
        Handler::Metrics => metrics_page::answer(exchange),
        Handler::EmptyGif => files::empty_gif(exchange, client).await,
        Handler::None if exchange.upstream_is_lost => {
            exchange.log(Level::Alert, "no upstream configuration");
            Next::Status(500)
        }
        Handler::None => files::serve(exchange, client).await,
    }
}
