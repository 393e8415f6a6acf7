//! `return` and `set`.

use crate::config::{Return, SlotKind, Step};
use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Row};
use crate::scope::Scope;
use crate::syntax::Directive;
use crate::units;

/// The rows of this module.
pub(crate) const ROWS: &[Row] = &[
    Row::new("return", REWRITE_BLOCKS, Arity::Between(1, 2), return_).repeats().doc(
        "Ends the request with this status: a text for the body, or for 301, 302, 303, 307 and 308 the address of a \
         redirect. An address alone is a 302. 444 closes the connection without an answer.",
    ),
    Row::new("set", REWRITE_BLOCKS, Arity::Exactly(2), set)
        .repeats()
        .doc("Gives a variable a value. Variables of the request itself, such as `$args`, can't be set yet."),
];

const REWRITE_BLOCKS: Contexts =
    Contexts::SERVER.and(Contexts::LOCATION).and(Contexts::SERVER_IF).and(Contexts::LOCATION_IF);

fn return_(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let text = directive.arg(1);
    let invalid = || Fault::at(1, format!("invalid return code \"{text}\""));
    let found = match units::number(text) {
        Some(status @ 0..=999) => {
            let text = if directive.args().len() == 2 { Some(scope.template(directive, 2)?) } else { None };
            Return { status: status as u16, text }
        }
        Some(_) => return Err(invalid()),
        None => {
            let is_address = ["http://", "https://", "$scheme"].iter().any(|head| text.starts_with(head));
            if directive.args().len() != 1 || !is_address {
                return Err(invalid());
            }
            Return { status: 302, text: Some(scope.template(directive, 1)?) }
        }
    };
    scope.location.rewrite.push(Step::Return(found));
    Ok(())
}

fn set(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let slot = scope.world.variables.define(directive, 1, SlotKind::Assigned)?;
    let value = scope.template(directive, 2)?;
    scope.location.rewrite.push(Step::Set { slot, value });
    Ok(())
}
