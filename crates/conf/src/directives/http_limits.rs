//! Sizes and times that bound what a client may do.

use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Row};
use crate::scope::Scope;
use crate::syntax::Directive;
use crate::units;

/// The rows of this file.
pub(crate) const ROWS: &[Row] = &[
    Row::new("client_body_buffer_size", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        scope.location.client_body_buffer_size = directive.size(1)?;
        Ok(())
    })
    .default("16k")
    .doc("How much of a request's body is held in memory."),
    Row::new("client_body_timeout", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        scope.location.client_body_timeout = directive.milliseconds(1)?;
        Ok(())
    })
    .default("60s")
    .doc("How long a client may pause while it sends a body; after that 408."),
    Row::new("client_max_body_size", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        scope.location.client_max_body_size = directive.offset(1)?;
        Ok(())
    })
    .default("1m")
    .doc("The largest request body; a larger one is 413. 0 is without limit."),
    Row::new("keepalive_requests", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        scope.location.keepalive_requests = directive.number(1)?;
        Ok(())
    })
    .default("1000")
    .doc("How many requests one client connection may carry."),
    Row::new("keepalive_time", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        scope.location.keepalive_time = directive.milliseconds(1)?;
        Ok(())
    })
    .default("1h")
    .doc("The age at which a client connection is closed after its next response."),
    Row::new("keepalive_timeout", Contexts::HTTP_TO_LOCATION, Arity::Between(1, 2), keepalive_timeout)
        .default("75s")
        .doc(
            "How long an idle client connection stays open; 0 closes it after each response. A second time is what the \
             `Keep-Alive` response header says.",
        ),
    Row::new("lingering_time", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        scope.location.lingering_time = directive.milliseconds(1)?;
        Ok(())
    })
    .default("30s")
    .doc("For how long in all the gateway reads and drops what a client still sends before it closes the connection."),
    Row::new("lingering_timeout", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        scope.location.lingering_timeout = directive.milliseconds(1)?;
        Ok(())
    })
    .default("5s")
    .doc("How long the gateway waits for each piece of what a client still sends before it closes the connection."),
    Row::new("send_timeout", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        scope.location.send_timeout = directive.milliseconds(1)?;
        Ok(())
    })
    .default("60s")
    .doc("How long a client may take nothing of a response; after that the connection is closed."),
];

fn keepalive_timeout(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    scope.location.keepalive_timeout = directive.milliseconds(1)?;
    scope.location.keepalive_header = match directive.args().get(1) {
        Some(word) => Some(units::seconds(&word.text).ok_or_else(|| directive.invalid_value(2))?.as_secs()),
        None => None,
    };
    Ok(())
}
