//! `if`.

use crate::config::{Condition, FileTest, If, Step};
use crate::diagnostic::Fault;
use crate::registry::Contexts;
use crate::scope::Scope;
use crate::syntax::Directive;
use culvert_engine::variable::Variable;
use std::sync::Arc;

/// Reads the block and adds it to the steps of the block around it.
pub(crate) fn if_(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let condition = condition(scope, directive);
    let is_in_location = scope.context == Contexts::LOCATION;
    let context = if is_in_location { Contexts::LOCATION_IF } else { Contexts::SERVER_IF };
    // The inside is read even where the condition is bad, so that its mistakes are reported too.
    let mut child = scope.child(context);
    child.location.place = directive.place.clone();
    child.walk(directive.items());
    let mut location = child.location;
    let steps = std::mem::take(&mut location.rewrite);
    let location = is_in_location.then(|| Arc::new(location));
    let step = Step::If(Box::new(If { condition: condition?, steps, location }));
    scope.push_step(directive, step);
    Ok(())
}

/// The words between the parentheses, with the numbers of the arguments that they stand in.
fn words(directive: &Directive) -> Result<Vec<(usize, &str)>, Fault> {
    let last = directive.args().len();
    let invalid = |number: usize| Fault::at(number, format!("invalid condition \"{}\"", directive.arg(number)));
    let mut words: Vec<(usize, &str)> = (1..=last).map(|number| (number, directive.arg(number))).collect();
    words[0].1 = words[0].1.strip_prefix('(').ok_or_else(|| invalid(1))?;
    if words[0].1.is_empty() {
        words.remove(0);
    }
    let end = words.last_mut().ok_or_else(|| invalid(1))?;
    end.1 = end.1.strip_suffix(')').ok_or_else(|| {
        let shown = if end.0 == 1 { end.1 } else { directive.arg(end.0) };
        Fault::at(end.0, format!("invalid condition \"{shown}\""))
    })?;
    if end.1.is_empty() && words.len() == 1 {
        return Err(Fault::at(last, "invalid condition \")\""));
    }
    if directive.arg(last) == ")" {
        words.pop();
    }
    Ok(words)
}

fn condition(scope: &mut Scope<'_>, directive: &Directive) -> Result<Condition, Fault> {
    let words = words(directive)?;
    let (number, first) = words[0];
    let invalid = || Fault::at(number, format!("invalid condition \"{first}\""));
    match first.strip_prefix('$').filter(|name| !name.is_empty()) {
        Some(name) => match &words[..] {
            [_] => Ok(Condition::True(variable(scope, directive, number, name))),
            [_, operator, operand] => {
                let variable = variable(scope, directive, number, name);
                compare(scope, directive, variable, *operator, *operand)
            }
            _ => Err(invalid()),
        },
        None => {
            let (sign, negated) = match first.strip_prefix('!') {
                Some(sign) => (sign, true),
                None => (first, false),
            };
            let letter = sign.strip_prefix('-').filter(|letter| letter.len() == 1).ok_or_else(invalid)?;
            let [_, (number, path)] = words[..] else { return Err(invalid()) };
            let path = scope.template_of(directive, number, path)?;
            let test = match letter {
                "f" => FileTest::Plain,
                "d" => FileTest::Directory,
                "e" => FileTest::Exists,
                "x" => FileTest::Executable,
                _ => return Err(invalid()),
            };
            Ok(Condition::File { test, path, negated })
        }
    }
}

fn variable(scope: &mut Scope<'_>, directive: &Directive, number: usize, name: &str) -> Variable {
    scope.world.variables.resolve(directive, number, name)
}

fn compare(
    scope: &mut Scope<'_>,
    directive: &Directive,
    variable: Variable,
    (sign_number, sign): (usize, &str),
    (number, operand): (usize, &str),
) -> Result<Condition, Fault> {
    match sign {
        "=" | "!=" => {
            let value = scope.template_of(directive, number, operand)?;
            Ok(Condition::Equals { variable, value, negated: sign == "!=" })
        }
        "~" | "~*" | "!~" | "!~*" => {
            let (pattern, assigns) = scope.capturing(directive, number, operand, sign.ends_with('*'))?;
            Ok(Condition::Matches { variable, pattern, assigns, negated: sign.starts_with('!') })
        }
        _ => Err(Fault::at(sign_number, format!("unexpected \"{sign}\" in condition"))),
    }
}
