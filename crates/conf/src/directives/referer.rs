//! `valid_referers`.

use crate::config::ServerName;
use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Phase, Row};
use crate::scope::Scope;
use crate::syntax::Directive;
use culvert_engine::access::{RefererKeyError, Referers};
use std::sync::Arc;

/// The rows of this module.
pub(crate) const ROWS: &[Row] = &[Row {
    // The server's names are known by then.
    phase: Phase::Definition,
    ..Row::new("valid_referers", Contexts::SERVER.and(Contexts::LOCATION), Arity::AtLeast(1), valid_referers)
        .repeats()
        .doc(
            "Which `Referer`s leave `$invalid_referer` empty; for any other it is `1`. `none` is a request without the \
             header, `blocked` a value without a scheme, `server_names` the server's own names; other arguments are \
             hosts or masks, with what the path begins with, or regular expressions after `~`.",
        )
}];

fn valid_referers(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let before = scope.location.access.referers.clone().filter(|_| !scope.is_first(directive));
    let mut referers = before.map(|before| Referers::clone(&before)).unwrap_or_default();
    for number in 1..=directive.args().len() {
        add(scope, directive, number, &mut referers)?;
    }
    if referers.is_empty() && (referers.allows_none || referers.allows_blocked) {
        return Err(Fault::new(
            "the \"none\" or \"blocked\" referers are specified in the \"valid_referers\" directive without any valid \
             referer",
        ));
    }
    scope.access().referers = Some(Arc::new(referers));
    Ok(())
}

fn add(scope: &mut Scope<'_>, directive: &Directive, number: usize, referers: &mut Referers) -> Result<(), Fault> {
    let text = directive.arg(number);
    match text {
        "" => return Err(Fault::at(number, "invalid referer \"\"")),
        "none" => referers.allows_none = true,
        "blocked" => referers.allows_blocked = true,
        "server_names" => return add_server_names(scope, number, referers),
        "~" => return Err(Fault::at(number, "empty regex in \"~\"")),
        _ => match text.strip_prefix('~') {
            Some(source) => referers.insert_pattern(scope.pattern(number, source, true)?),
            None => {
                let slash = text.find('/');
                let (host, path) = slash.map_or((text, None), |slash| (&text[..slash], Some(&text[slash..])));
                return insert(referers, number, host, path);
            }
        },
    }
    Ok(())
}

fn insert(referers: &mut Referers, number: usize, host: &str, path: Option<&str>) -> Result<(), Fault> {
    referers.insert_host(host, path).map_err(|error| match error {
        RefererKeyError::Conflicting => Fault::at(number, format!("conflicting parameter \"{host}\"")),
        RefererKeyError::Invalid => Fault::at(number, format!("invalid hostname or wildcard \"{host}\"")),
    })
}

fn add_server_names(scope: &Scope<'_>, number: usize, referers: &mut Referers) -> Result<(), Fault> {
    for name in &scope.server.names {
        match name {
            ServerName::Text(name) if name.is_empty() => {}
            ServerName::Text(name) => insert(referers, number, name, None)?,
            ServerName::Regex { pattern, .. } => referers.insert_host_pattern(pattern.clone()),
        }
    }
    Ok(())
}
