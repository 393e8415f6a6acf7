//! `try_files`: goes on with the first file that is there.

use super::{file_test, internal};
use crate::exchange::content::files;
use crate::exchange::{Exchange, Next};
use culvert_conf::config::{Candidate, Fallback, RootKind, TryFiles};

/// Looks for the candidates. `None` where one of them is there: the request goes on with it.
pub(in crate::exchange) fn run(exchange: &mut Exchange, candidates: &TryFiles) -> Option<Next> {
    for candidate in &candidates.candidates {
        let uri = exchange.render(&candidate.uri);
        if is_there(exchange, candidate, &uri) {
            take(exchange, candidate, uri);
            return None;
        }
    }
    Some(match &candidates.fallback {
        Fallback::Status(status) => Next::Status(*status),
        Fallback::Target(target) => {
            let target = exchange.render(target);
            match target.first() {
                Some(b'@') => internal::to_named(exchange, &target),
                _ => {
                    let next = internal::to_uri(exchange, &target);
                    exchange.request.has_args = true;
                    next
                }
            }
        }
    })
}

/// What stands behind the folder of `root` or `alias` for `uri`: an alias takes the location's name off a URI that has one.
fn behind_root<'u>(exchange: &Exchange, candidate: &Candidate, uri: &'u [u8]) -> &'u [u8] {
    match exchange.location.files.root.kind {
        // A text without variables is meant to stand behind the alias as it is.
        RootKind::Alias(length) if candidate.uri.as_literal().is_none() => {
            let name = exchange.request.uri.get(..length).unwrap_or_default();
            uri.strip_prefix(name).unwrap_or(uri)
        }
        _ => uri,
    }
}

fn is_there(exchange: &Exchange, candidate: &Candidate, uri: &[u8]) -> bool {
    let mut path = files::root(exchange);
    path.extend_from_slice(behind_root(exchange, candidate, uri));
    file_test::look(exchange, &path).is_some_and(|found| found.is_folder == candidate.folder)
}

/// Makes the candidate the URI of the request.
fn take(exchange: &mut Exchange, candidate: &Candidate, uri: Vec<u8>) {
    let rest = behind_root(exchange, candidate, &uri).to_vec();
    let request = &mut exchange.request;
    match exchange.location.files.root.kind {
        RootKind::Root => request.uri = uri.into(),
        RootKind::Alias(length) => {
            let name = request.uri.get(..length).unwrap_or_default();
            request.uri = [name, &rest].concat().into();
        }
        // The alias names one file, and has to name this one from now on.
        RootKind::AliasWhole if !candidate.folder => {
            request.uri = uri.into();
            request.uri_behind_alias = true;
        }
        RootKind::AliasWhole => {}
    }
}
