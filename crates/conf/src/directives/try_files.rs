//! `try_files`.

use crate::config::{Candidate, Fallback, TryFiles};
use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Row};
use crate::scope::Scope;
use crate::syntax::Directive;
use crate::units;
use std::sync::Arc;

/// The row of this module.
pub(crate) const ROWS: &[Row] =
    &[Row::new("try_files", Contexts::SERVER.and(Contexts::LOCATION), Arity::AtLeast(2), try_files).doc(
        "Looks for files below `root` or `alias`, for folders where a name ends in a slash, and goes on with the first \
         that is there. Otherwise the last parameter answers: a URI, perhaps with arguments, or `@name` as an internal \
         redirect, or `=code`. It is not inherited, and an `if` that holds puts it out of force.",
    )];

fn try_files(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let last = directive.args().len();
    let candidates = (1..last).map(|number| candidate(scope, directive, number)).collect::<Result<_, _>>()?;
    let fallback = match directive.arg(last).strip_prefix('=') {
        Some(code) => {
            let code = units::number(code).filter(|&code| code <= 999).and_then(|code| u16::try_from(code).ok());
            let invalid = || Fault::at(last, format!("invalid code \"{}\"", directive.arg(last)));
            Fallback::Status(code.ok_or_else(invalid)?)
        }
        None => Fallback::Target(scope.template(directive, last)?),
    };
    scope.location.try_files = Some(Arc::new(TryFiles { candidates, fallback }));
    Ok(())
}

fn candidate(scope: &mut Scope<'_>, directive: &Directive, number: usize) -> Result<Candidate, Fault> {
    let text = directive.arg(number);
    let (text, folder) = match text.strip_suffix('/') {
        Some(text) => (text, true),
        None => (text, false),
    };
    Ok(Candidate { uri: scope.template_of(directive, number, text)?, folder })
}
