//! `server_name`.

use super::listen::Shown;
use crate::config::{Level, ServerName};
use crate::diagnostic::{Diagnostic, Fault};
use crate::scope::{Scope, World};
use crate::syntax::Directive;
use std::collections::HashSet;

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
    if !is_good_mask(text) {
        return Err(Fault::at(number, format!("invalid server name or wildcard \"{text}\"")));
    }
    Ok(ServerName::Text(text.to_ascii_lowercase()))
}

fn regex(scope: &mut Scope<'_>, directive: &Directive, number: usize, source: &str) -> Result<ServerName, Fault> {
    if source.is_empty() {
        return Err(Fault::at(number, format!("empty regex in server name \"{}\"", directive.arg(number))));
    }
    // Host names are compared in lower case, so a pattern with capitals could otherwise never match.
    let caseless = source.bytes().any(|byte| byte.is_ascii_uppercase());
    let pattern = directive.pattern(number, source, caseless)?;
    let assigns = scope.world.variables.assigns(directive, number, &pattern)?;
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

/// Warns where two servers at one address claim the same name; the first one keeps it.
pub(crate) fn check_conflicts(world: &mut World) {
    let mut known = HashSet::new();
    let mut found = Vec::new();
    for server in &world.servers {
        // A server without names answers to the empty one, which `default_server` is about rather than a conflict.
        let unnamed = [ServerName::Text(String::new())];
        let names = if server.names.is_empty() { &unnamed[..] } else { &server.names };
        let texts = names.iter().filter_map(|name| match name {
            ServerName::Text(text) => Some(text),
            ServerName::Regex { .. } => None,
        });
        for text in texts {
            for listen in &server.listens {
                if !known.insert((&listen.addr, text.clone())) {
                    let message = format!("conflicting server name \"{text}\" on {}, ignored", Shown(&listen.addr));
                    found.push((message, server.place.clone()));
                }
            }
        }
    }
    let warnings: Vec<_> = found.into_iter().map(|(message, place)| warning(message, place)).collect();
    world.diagnostics.extend(warnings);
}

fn warning(message: String, place: crate::config::Place) -> Diagnostic {
    Diagnostic {
        level: Level::Warn,
        message,
        place: Some(place),
        span: None,
        suggestion: None,
        order: usize::MAX,
    }
}
