//! `mirror` and `mirror_request_body`.

use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Row};
use crate::scope::{Scope, push};
use crate::syntax::Directive;
use bytes::Bytes;
use std::sync::Arc;

/// The rows of this module.
pub(crate) const ROWS: &[Row] = &[
    Row::new("mirror", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), mirror).repeats().doc(
        "Sends a copy of each request to a location of this server, whose answer nobody waits for. Several lines are \
         several copies; the first line of a block replaces the inherited ones, `off` is none.",
    ),
    Row::new("mirror_request_body", Contexts::HTTP_TO_LOCATION, Arity::Flag, |scope, directive| {
        scope.mirror().body = directive.flag(1)?;
        Ok(())
    })
    .default("on")
    .doc(
        "Whether the copy has the request's body, which is read into memory first: up to `client_body_buffer_size`, or 1 MiB \
         of one whose length is not known. A request with a longer body is not mirrored.",
    ),
];

fn mirror(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let is_first = scope.is_first(directive);
    let was_off = !is_first && scope.location.mirror.uris.is_empty();
    if was_off || (!is_first && directive.arg(1) == "off") {
        return Err(Fault::new("\"mirror\" directive is duplicate"));
    }
    if directive.arg(1) == "off" {
        scope.mirror().uris = Arc::new([]);
        return Ok(());
    }
    let uri = Bytes::copy_from_slice(directive.arg(1).as_bytes());
    push(&mut scope.mirror().uris, is_first, uri);
    Ok(())
}
