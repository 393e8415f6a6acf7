//! `add_header`.

use crate::config::AddHeader;
use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Row};
use crate::scope::{Scope, push};
use crate::syntax::Directive;
use bytes::Bytes;

/// The rows of this module.
pub(crate) const ROWS: &[Row] =
    &[Row::new("add_header", Contexts::HTTP_TO_IF, Arity::Between(2, 3), add_header).repeats().doc(
        "Adds a header to responses with status 200, 201, 204, 206, 301, 302, 303, 304, 307 or 308; with `always` to \
         all. Nothing is added where the value is empty. The first line of a block replaces the inherited ones.",
    )];

fn add_header(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let always = match directive.args().get(2) {
        None => false,
        Some(word) if word.text == "always" => true,
        Some(_) => return Err(directive.invalid_parameter(3)),
    };
    let name = Bytes::copy_from_slice(directive.arg(1).as_bytes());
    let value = scope.template(directive, 2)?;
    let is_first = scope.is_first(directive);
    push(&mut scope.location.add_headers, is_first, AddHeader { name, value, always });
    Ok(())
}
