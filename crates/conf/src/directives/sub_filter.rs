//! `sub_filter` and its relations.

use super::types_list;
use crate::config::SubPair;
use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Row};
use crate::scope::{Scope, push};
use crate::syntax::Directive;
use std::sync::Arc;

/// What texts are replaced in without `sub_filter_types`.
pub(crate) const TYPES: &[&str] = &["text/html"];

/// The rows of this file.
pub(crate) const ROWS: &[Row] = &[
    Row::new("sub_filter", Contexts::HTTP_TO_LOCATION, Arity::Exactly(2), sub_filter).repeats().doc(
        "A text that is looked for in responses, in any case, and what takes its place. The first line of a block \
         replaces the inherited ones.",
    ),
    Row::new("sub_filter_last_modified", Contexts::HTTP_TO_LOCATION, Arity::Flag, |scope, directive| {
        scope.filters().sub.keeps_last_modified = directive.flag(1)?;
        Ok(())
    })
    .default("off")
    .doc("Whether `Last-Modified` and, weakened, `ETag` stay on what texts are replaced in."),
    Row::new("sub_filter_once", Contexts::HTTP_TO_LOCATION, Arity::Flag, |scope, directive| {
        scope.filters().sub.once = directive.flag(1)?;
        Ok(())
    })
    .default("on")
    .doc("Whether each text is replaced once, or wherever it is found."),
    Row::new("sub_filter_types", Contexts::HTTP_TO_LOCATION, Arity::AtLeast(1), |scope, directive| {
        let types = scope.location.filters.sub.types.clone();
        scope.filters().sub.types = types_list::read(scope, directive, &types, TYPES)?;
        Ok(())
    })
    .repeats()
    .doc("The content types in which texts are replaced, besides `text/html`; `*` is all."),
];

fn sub_filter(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    if directive.arg(1).is_empty() {
        return Err(Fault::at(1, "empty search pattern"));
    }
    let pair = SubPair { text: scope.template(directive, 1)?, replacement: scope.template(directive, 2)? };
    let is_first = scope.is_first(directive);
    let pairs: &mut Arc<[SubPair]> = &mut scope.filters().sub.pairs;
    push(pairs, is_first, pair);
    Ok(())
}
