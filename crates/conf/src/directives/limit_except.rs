//! `limit_except`.

use crate::config::LimitExcept;
use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Phase, Row};
use crate::scope::Scope;
use crate::syntax::Directive;
use std::sync::Arc;

/// The rows of this file.
pub(crate) const ROWS: &[Row] = &[Row::block(
    "limit_except",
    Contexts::LOCATION,
    Arity::AtLeast(1),
    Phase::Child,
    limit_except,
)
.doc(
    "What holds in a location for all methods but these: rules of access, a `proxy_pass` of its own. `GET` includes \
         `HEAD`.",
)];

/// The methods that nginx knows by name.
const METHODS: [&str; 14] = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "MKCOL",
    "COPY",
    "MOVE",
    "OPTIONS",
    "PROPFIND",
    "PROPPATCH",
    "LOCK",
    "UNLOCK",
    "PATCH",
];

fn limit_except(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let methods = methods(directive);
    let id = scope.locations.len();
    scope.locations.push(None);
    let handler = scope.location.handler.clone();
    let mut child = scope.child(Contexts::LIMIT_EXCEPT);
    child.location.place = directive.place.clone();
    // Where the block has no handler of its own, the location's answers.
    child.location.handler = handler;
    child.walk(directive.items());
    let location = child.location;
    scope.locations[id] = Some(Arc::new(location));
    scope.location.limit_except = Some(Arc::new(LimitExcept { methods: methods?, location: id }));
    Ok(())
}

fn methods(directive: &Directive) -> Result<Box<[Box<str>]>, Fault> {
    let mut methods: Vec<Box<str>> = Vec::new();
    for (at, word) in directive.args().iter().enumerate() {
        let name = word.text.to_ascii_uppercase();
        if !METHODS.contains(&name.as_str()) {
            return Err(Fault::at(at + 1, format!("invalid method \"{}\"", word.text)));
        }
        if name == "GET" {
            methods.push("HEAD".into());
        }
        methods.push(name.into());
    }
    Ok(methods.into())
}
