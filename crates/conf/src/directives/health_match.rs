//! `match` blocks: what the response to a health check has to be like.

use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Phase, Row};
use crate::scope::Scope;
use crate::syntax::Directive;
use culvert_engine::health::{Condition, Match};
use std::sync::Arc;

/// The rows of this file. The block is a value of `http`, so that the health checks of groups and locations find it
/// wherever it stands.
pub(crate) const ROWS: &[Row] =
    &[Row::block("match", Contexts::HTTP, Arity::Exactly(1), Phase::Value, matching).repeats().doc(
        "What the response to a `health_check` with `match=` of this name has to be like; each line has to hold. `status \
         200 204 300-399` or `status ! 500-599`; `header Name`, `header ! Name`, `header Name = text`, `!=`, `~` and `!~` \
         with a regular expression; `body ~ expression` and `body !~ expression`, in the first 256 KiB; `require $variable \
         …`, each of which has to be neither empty nor 0. `~*` and `!~*` compare in any case.",
    )];

fn matching(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let name = directive.arg(1);
    let is_known = scope.world.matches.iter().any(|known| *known.name == *name);
    let mut conditions = Vec::new();
    for line in directive.items() {
        match condition(scope, line) {
            Ok(condition) => conditions.push(condition),
            Err(fault) => scope.fault(line, fault),
        }
    }
    if is_known {
        return Err(Fault::at(1, format!("duplicate match \"{name}\"")));
    }
    scope.world.matches.push(Arc::new(Match { name: name.into(), conditions }));
    Ok(())
}

fn condition(scope: &mut Scope<'_>, line: &Directive) -> Result<Condition, Fault> {
    if line.block.is_some() {
        return Err(Fault::new("unexpected \"{\""));
    }
    check_pattern(scope, line)?;
    let words: Vec<&str> = line.args().iter().map(|word| word.text.as_str()).collect();
    let condition = match line.name() {
        "status" => Condition::status(&words),
        "header" => Condition::header(&words),
        "body" => Condition::body(&words),
        "require" => return require(scope, line),
        name => return Err(Fault::new(format!("unknown directive \"{name}\""))),
    };
    condition.map_err(Fault::new)
}

/// The expression of a line is looked at first, so that what is wrong with it is said as of any other.
fn check_pattern(scope: &mut Scope<'_>, line: &Directive) -> Result<(), Fault> {
    let number = line.args().len();
    match number.checked_sub(1).map(|operator| line.words[operator].text.as_str()) {
        Some("~" | "!~") => scope.pattern(number, line.arg(number), false).map(drop),
        Some("~*" | "!~*") => scope.pattern(number, line.arg(number), true).map(drop),
        _ => Ok(()),
    }
}

fn require(scope: &mut Scope<'_>, line: &Directive) -> Result<Condition, Fault> {
    if line.args().is_empty() {
        return Err(Fault::new("invalid number of arguments in \"require\""));
    }
    let variables = (1..=line.args().len()).map(|number| match line.arg(number).starts_with('$') {
        true => scope.template(line, number),
        false => Err(Fault::at(number, format!("invalid variable name \"{}\"", line.arg(number)))),
    });
    variables.collect::<Result<_, Fault>>().map(Condition::Require)
}
