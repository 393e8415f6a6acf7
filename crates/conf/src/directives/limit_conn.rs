//! `limit_conn_zone`, `limit_conn` and their relations.

use super::limit_req::{bind, level, must_have_zone, refer, status, zone_of};
use crate::config::{ConnectionLimit, Zone};
use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Row};
use crate::scope::{Scope, push};
use crate::syntax::Directive;
use crate::units;

/// The rows of this module.
pub(crate) const ROWS: &[Row] = &[
    Row::new("limit_conn_zone", Contexts::HTTP, Arity::Exactly(2), zone).repeats().doc(
        "Counts, by a key, the connections that have a request in progress: `key zone=NAME:SIZE`. All workers count \
         together, and go on over reloads.",
    ),
    Row::new("limit_conn", Contexts::HTTP_TO_LOCATION, Arity::Exactly(2), limit).repeats().doc(
        "How many connections of one key may be in progress at the same time: `zone number`. A tunnel counts for as long \
         as it lives. The first line of a block replaces the inherited ones.",
    ),
    Row::new("limit_conn_dry_run", Contexts::HTTP_TO_LOCATION, Arity::Flag, |scope, directive| {
        scope.limits().connection_refusal.dry_run = directive.flag(1)?;
        Ok(())
    })
    .default("off")
    .doc("Counts and says what `limit_conn` would do, and does nothing."),
    Row::new("limit_conn_log_level", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        let level = level(directive)?;
        scope.limits().connection_refusal.level = level;
        Ok(())
    })
    .default("error")
    .doc("The level of the line about a refused connection: `info`, `notice`, `warn` or `error`."),
    Row::new("limit_conn_status", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        let status = status(directive)?;
        scope.limits().connection_refusal.status = status;
        Ok(())
    })
    .default("503")
    .doc("The status of a refused request."),
];

fn zone(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let key = scope.template(directive, 1)?;
    if !directive.arg(2).starts_with("zone=") {
        return Err(directive.invalid_parameter(2));
    }
    let (name, bytes) = zone_of(directive, 2)?;
    scope.world.zones.declare(directive, &name, Some(bytes), "limit_conn")?;
    let (key_text, place) = (directive.arg(1).into(), Some(directive.place.clone()));
    bind(&mut scope.world.tables.connection_zones, directive, Zone { name, key, key_text, bytes, rate: 0, place })
}

fn limit(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let name = directive.arg(1);
    if name.is_empty() {
        return Err(must_have_zone(directive));
    }
    scope.world.zones.declare(directive, name, None, "limit_conn")?;
    let zone = refer(&mut scope.world.tables.connection_zones, name);
    let is_first = scope.is_first(directive);
    if !is_first && scope.location.limits.connections.iter().any(|limit| limit.zone == zone) {
        return Err(Fault::new("\"limit_conn\" directive is duplicate"));
    }
    let most = match units::number(directive.arg(2)) {
        Some(most @ 1..=65_535) => most as u32,
        Some(65_536..) => return Err(Fault::at(2, "connection limit must be less 65536")),
        _ => return Err(Fault::at(2, format!("invalid number of connections \"{}\"", directive.arg(2)))),
    };
    push(&mut scope.limits().connections, is_first, ConnectionLimit { zone, most });
    Ok(())
}
