//! `split_clients`.

use crate::config::{SlotKind, Split};
use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Phase, Row};
use crate::scope::Scope;
use crate::syntax::Directive;
use bytes::Bytes;
use culvert_engine::access::{Split as Shares, SplitError};

/// The rows of this module.
pub(crate) const ROWS: &[Row] =
    &[Row::block("split_clients", Contexts::HTTP, Arity::Exactly(2), Phase::Definition, split_clients).repeats().doc(
        "Defines a variable that has one value for a share of all requests and another for the next: lines of a \
         percentage, or `*` for the rest, and a value. The share is decided by a hash (MurmurHash2) of the first argument.",
    )];

fn split_clients(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let source = scope.template(directive, 1)?;
    let index = scope.world.tables.splits.len();
    scope.world.variables.define(directive, 2, SlotKind::Split(index))?;
    let mut shares = Shares::default();
    for line in directive.items() {
        if let Err(fault) = add(&mut shares, line) {
            scope.fault(line, fault);
        }
    }
    scope.world.tables.splits.push(Split { source, table: shares });
    Ok(())
}

fn add(shares: &mut Shares, line: &Directive) -> Result<(), Fault> {
    if line.block.is_some() {
        return Err(Fault::new("unexpected \"{\""));
    }
    if line.words.len() != 2 {
        return Err(Fault::new("invalid number of the split_clients parameters"));
    }
    let value = Bytes::copy_from_slice(line.arg(1).as_bytes());
    shares.push(line.name(), value).map_err(|error| match error {
        SplitError::Invalid => Fault::new(format!("invalid percent value \"{}\"", line.name())),
        SplitError::TooMuch => Fault::new("percent total is greater than 100%"),
    })
}
