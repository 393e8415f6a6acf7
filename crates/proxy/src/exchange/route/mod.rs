//! Which server block, which location.

pub(super) mod error_page;
mod file_test;
pub(super) mod internal;
pub(super) mod rewrite;
pub(super) mod try_files;

use super::{Exchange, Next};
use crate::lifecycle::Generation;
use culvert_conf::config::{Level, Server, ServerName};
use culvert_engine::http1::BodyLength;
use culvert_engine::pattern::Captures;
use culvert_engine::route::Choice;
use std::sync::Arc;

/// The server that a request goes to.
pub(super) struct ChosenServer {
    pub(super) server: Arc<Server>,
    pub(super) captures: Option<Captures>,
    /// Which groups of the name's pattern go to which slots.
    pub(super) assigns: Vec<(usize, usize)>,
}

/// Chooses by host name among the servers of the listening address `site`; the default one where the name is not known.
pub(super) fn choose_server(generation: &Generation, site: usize, host: Option<&[u8]>) -> ChosenServer {
    let site = &generation.sites[site];
    // A pattern that gives up on a hostile host name has not matched it.
    let found = host.and_then(|host| site.names.find(host).ok());
    let (found, captures) = found.unwrap_or((site.default, None));
    let server = generation.config.http.servers[found.server].clone();
    let assigns = match found.name.and_then(|name| server.names.get(name)) {
        Some(ServerName::Regex { assigns, .. }) => assigns.clone(),
        _ => Vec::new(),
    };
    ChosenServer { server, captures, assigns }
}

/// Chooses the location of the current URI.
pub(super) fn locate(exchange: &mut Exchange) -> Next {
    exchange.uri_changed = false;
    exchange.upstream_is_lost = false;
    match exchange.server.tree.find(&exchange.request.uri) {
        Ok(Choice::Server) => exchange.location = exchange.server.root.clone(),
        Ok(Choice::Location { id, matches }) => {
            exchange.location = exchange.server.locations[id].clone();
            for (matched, captures) in matches {
                *exchange.captures.get_mut() = captures;
                exchange.assign(&exchange.server.locations[matched].assigns);
            }
        }
        Ok(Choice::AddSlash { id }) => {
            exchange.location = exchange.server.locations[id].clone();
            if !exchange.location.internal || exchange.request.internal {
                return add_slash(exchange);
            }
        }
        Err(slow) => {
            exchange.log(Level::Error, format_args!("{slow}"));
            return Next::Status(500);
        }
    }
    if exchange.location.internal && !exchange.request.internal {
        return Next::Status(404);
    }
    check_body_size(exchange).unwrap_or(Next::Enter)
}

/// A redirect to the same URI with a slash behind it: `location /chat/` was asked for as `/chat`, or a folder as if it were
/// a file.
pub(super) fn add_slash(exchange: &mut Exchange) -> Next {
    let request = &exchange.request;
    let mut location = Vec::with_capacity(request.uri.len() + request.args.len() + 2);
    culvert_engine::uri::escape_uri(&request.uri, &mut location);
    location.push(b'/');
    if !request.args.is_empty() {
        location.push(b'?');
        location.extend_from_slice(&request.args);
    }
    exchange.redirect(301, location)
}

fn check_body_size(exchange: &mut Exchange) -> Option<Next> {
    let limit = exchange.location.client_max_body_size;
    match exchange.request.body {
        BodyLength::Sized(length) if limit != 0 && length > limit => {
            exchange.log(Level::Error, format_args!("client intended to send too large body: {length} bytes"));
            // It is thrown away when the response is out; the error page gets none.
            exchange.request.body = BodyLength::None;
            Some(Next::Status(413))
        }
        _ => None,
    }
}

/// `$server_name`: the server's first name; of `.example.com`, the name itself.
pub(super) fn name_of(server: &Server) -> &str {
    match server.names.first() {
        Some(ServerName::Text(name)) => name.strip_prefix('.').unwrap_or(name),
        Some(ServerName::Regex { source, .. }) => source,
        None => "",
    }
}
