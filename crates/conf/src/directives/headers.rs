//! `add_header`, `add_trailer` and `expires`.

use crate::config::{AddHeader, AddTrailer};
use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Row};
use crate::scope::{Scope, push};
use crate::syntax::Directive;
use bytes::Bytes;

/// The rows of this module.
pub(crate) const ROWS: &[Row] = &[
    Row::new("add_header", Contexts::HTTP_TO_IF, Arity::Between(2, 3), add_header).repeats().doc(
        "Adds a header to responses with status 200, 201, 204, 206, 301, 302, 303, 304, 307 or 308; with `always` to \
         all. Nothing is added where the value is empty. The first line of a block replaces the inherited ones.",
    ),
    Row::new("add_trailer", Contexts::HTTP_TO_IF, Arity::Between(2, 3), add_trailer).repeats().doc(
        "Adds a field behind the body, on the statuses of `add_header`; with `always` on all. Its value is looked at when \
         the body is out. The first line of a block replaces the inherited ones.",
    ),
    Row::new("expires", Contexts::HTTP_TO_IF, Arity::Between(1, 2), super::expires::expires).default("off").doc(
        "Says in `Expires` and `Cache-Control` how long a response is good, on the statuses of `add_header`: a time after \
         now, after `modified` one after its `Last-Modified`, `@time` until then, `epoch`, `max`, or `off`.",
    ),
];

fn add_trailer(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let always = is_always(directive)?;
    let name = Bytes::copy_from_slice(directive.arg(1).as_bytes());
    let value = scope.template(directive, 2)?;
    let is_first = scope.is_first(directive);
    push(&mut scope.filters().trailers, is_first, AddTrailer { name, value, always });
    Ok(())
}

fn is_always(directive: &Directive) -> Result<bool, Fault> {
    match directive.args().get(2) {
        None => Ok(false),
        Some(word) if word.text == "always" => Ok(true),
        Some(_) => Err(directive.invalid_parameter(3)),
    }
}

fn add_header(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let always = is_always(directive)?;
    let name = Bytes::copy_from_slice(directive.arg(1).as_bytes());
    let value = scope.template(directive, 2)?;
    let is_first = scope.is_first(directive);
    push(&mut scope.location.add_headers, is_first, AddHeader { name, value, always });
    Ok(())
}
