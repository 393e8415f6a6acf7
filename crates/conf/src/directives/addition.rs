//! `add_before_body`, `add_after_body` and for what types they are.

use super::types_list;
use crate::registry::{Arity, Contexts, Row};

/// What is added to without `addition_types`.
pub(crate) const TYPES: &[&str] = &["text/html"];

/// The rows of this module.
pub(crate) const ROWS: &[Row] = &[
    Row::new("add_after_body", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        scope.filters().addition.after = directive.arg(1).as_bytes().into();
        Ok(())
    })
    .doc(
        "A URI of this server whose answer is put behind the body of responses with status 200; `\"\"` takes back what is \
         inherited. It is asked for before the head goes out, and held in memory: 1 MiB at most.",
    ),
    Row::new("add_before_body", Contexts::HTTP_TO_LOCATION, Arity::Exactly(1), |scope, directive| {
        scope.filters().addition.before = directive.arg(1).as_bytes().into();
        Ok(())
    })
    .doc("The same in front of the body."),
    Row::new("addition_types", Contexts::HTTP_TO_LOCATION, Arity::AtLeast(1), |scope, directive| {
        let types = scope.location.filters.addition.types.clone();
        scope.filters().addition.types = types_list::read(scope, directive, &types, TYPES)?;
        Ok(())
    })
    .repeats()
    .doc("The content types of responses that are added to, besides `text/html`; `*` is all."),
];
