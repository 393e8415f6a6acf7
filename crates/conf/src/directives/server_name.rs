//! `server_name`.

use super::listen::Shown;
use crate::config::{Level, ListenAddr, Place, Server, ServerName};
use crate::diagnostic::{Diagnostic, Fault};
use crate::scope::{Scope, World};
use crate::syntax::Directive;
use std::collections::{HashMap, HashSet};

pub(crate) fn server_name(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    for number in 1..=directive.args().len() {
        let name = one(scope, directive, number)?;
        scope.server.names.push(name);
    }
    Ok(())
}

fn one(scope: &mut Scope<'_>, directive: &Directive, number: usize) -> Result<ServerName, Fault> {
    let text = directive.arg(number);
    let bytes = text.as_bytes();
    let bad_star = bytes.first() == Some(&b'*') && (bytes.len() < 3 || bytes[1] != b'.');
    let bad_dot = bytes.first() == Some(&b'.') && bytes.len() < 2;
    if bad_star || bad_dot {
        return Err(Fault::at(number, format!("server name \"{text}\" is invalid")));
    }
    if text.contains('/') {
        scope.warn(directive, Fault::at(number, format!("server name \"{text}\" has suspicious symbols")));
    }
    if let Some(source) = text.strip_prefix('~') {
        return regex(scope, directive, number, source);
    }
    if text.eq_ignore_ascii_case("$hostname") {
        return Ok(ServerName::Text(hostname()));
    }
    Ok(ServerName::Text(text.to_ascii_lowercase()))
}

fn regex(scope: &mut Scope<'_>, directive: &Directive, number: usize, source: &str) -> Result<ServerName, Fault> {
    if source.is_empty() {
        return Err(Fault::at(number, format!("empty regex in server name \"{}\"", directive.arg(number))));
    }
    // Host names are compared in lower case, so a pattern with capitals could otherwise never match.
    let caseless = source.bytes().any(|byte| byte.is_ascii_uppercase());
    let (pattern, assigns) = scope.capturing(directive, number, source, caseless)?;
    Ok(ServerName::Regex { pattern, source: directive.arg(number).to_owned(), assigns })
}

/// Whether a star stands for whole labels at one end only, and no label is empty.
fn is_good_mask(name: &str) -> bool {
    let stars = name.bytes().filter(|&byte| byte == b'*').count();
    let at_end = (name.starts_with("*.") || name.ends_with(".*")) && name.len() > 2;
    let leading_dot = name.len() > 1 && name.starts_with('.');
    stars <= 1 && !name.contains("..") && !name.contains('\0') && (stars == 0 || leading_dot || at_end)
}

/// The machine's own name, in lower case.
fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_ascii_lowercase()
}

/// Finds what only all servers together show: the same name twice at one address (the first server keeps it), and masks
/// that nobody could match where there is something to choose.
pub(crate) fn check_conflicts(world: &mut World) {
    let mut servers_at: HashMap<&ListenAddr, usize> = HashMap::new();
    for listen in world.servers.iter().flat_map(|server| &server.listens) {
        *servers_at.entry(&listen.addr).or_default() += 1;
    }
    let mut known = HashSet::new();
    let mut found = Vec::new();
    for server in &world.servers {
        for (name, addr) in claims(server) {
            // nginx looks at names only where an address has several servers.
            let is_choice = servers_at[addr] > 1;
            if !is_good_mask(name) {
                let level = if is_choice { Level::Emerg } else { Level::Warn };
                let message = format!("invalid server name or wildcard \"{name}\" on {}", Shown(addr));
                found.push(diagnostic(level, message, server.place.clone()));
            } else if !known.insert((addr, name)) && is_choice {
                let message = format!("conflicting server name \"{name}\" on {}, ignored", Shown(addr));
                found.push(diagnostic(Level::Warn, message, server.place.clone()));
            }
        }
    }
    world.diagnostics.extend(found);
}

/// The names that a server claims, for each of its addresses. One without names claims the empty name.
fn claims(server: &Server) -> impl Iterator<Item = (&str, &ListenAddr)> {
    let named = server.names.iter().filter_map(|name| match name {
        ServerName::Text(text) => Some(text.as_str()),
        ServerName::Regex { .. } => None,
    });
    let unnamed = server.names.is_empty().then_some("");
    let names: Vec<&str> = named.chain(unnamed).collect();
    server.listens.iter().flat_map(move |listen| names.clone().into_iter().map(|name| (name, &listen.addr)))
}

fn diagnostic(level: Level, message: String, place: Place) -> Diagnostic {
    Diagnostic { level, message, place: Some(place), span: None, suggestion: None, order: usize::MAX }
}
