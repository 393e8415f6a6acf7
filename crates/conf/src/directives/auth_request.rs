//! `auth_request` and `auth_request_set`.

use crate::config::SlotKind;
use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Row};
use crate::scope::{Scope, push};
use crate::syntax::Directive;
use bytes::Bytes;

/// The rows of this module.
pub(crate) const ROWS: &[Row] = &[
    Row::new("auth_request", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        let uri = Some(directive.arg(1)).filter(|uri| *uri != "off");
        scope.access().auth_request = uri.map(|uri| Bytes::copy_from_slice(uri.as_bytes()));
        Ok(())
    })
    .default("off")
    .doc(
        "Asks a location of this server, by a subrequest without a body, whether the request may pass: 2xx lets it, 401 \
         and 403 are passed on, anything else is 500. WebSocket handshakes are asked about too.",
    ),
    Row::new("auth_request_set", Contexts::HTTP_TO_LOCATION, Arity::Exactly(2), set).repeats().doc(
        "Gives a variable a value once `auth_request` is answered; the value may use `$upstream_http_*` of the answer. \
         The first line of a block replaces the inherited ones.",
    ),
];

fn set(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let slot = scope.world.variables.define(directive, 1, SlotKind::Absent)?;
    let value = scope.template(directive, 2)?;
    let is_first = scope.is_first(directive);
    push(&mut scope.access().auth_request_set, is_first, (slot, value));
    Ok(())
}
