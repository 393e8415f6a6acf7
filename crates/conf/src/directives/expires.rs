//! `expires`.

use crate::config::{Expires, ExpiresRule};
use crate::diagnostic::Fault;
use crate::scope::Scope;
use crate::syntax::Directive;
use crate::units;

const DAY: i64 = 24 * 60 * 60;

pub(crate) fn expires(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let from_modified = directive.args().len() == 2;
    if from_modified && directive.arg(1) != "modified" {
        return Err(directive.invalid_value(1));
    }
    let number = directive.args().len();
    let text = scope.template(directive, number)?;
    scope.filters().expires = match text.as_literal() {
        None => Expires::Variable { text, from_modified },
        Some(_) => {
            let rule = parse(directive.arg(number), from_modified);
            let fault = |what| Fault::at(number, format!("\"{}\" directive {what}", directive.name()));
            Expires::Fixed(rule.map_err(fault)?)
        }
    };
    Ok(())
}

pub(crate) fn parse(text: &str, from_modified: bool) -> Result<ExpiresRule, &'static str> {
    match text {
        "epoch" if !from_modified => return Ok(ExpiresRule::Epoch),
        "max" if !from_modified => return Ok(ExpiresRule::Max),
        "off" if !from_modified => return Ok(ExpiresRule::Off),
        _ => {}
    }
    let seconds = |text: &str| {
        let time = units::seconds(text).ok_or("invalid value")?;
        i64::try_from(time.as_secs()).map_err(|_| "invalid value")
    };
    if let Some(time) = text.strip_prefix('@') {
        if from_modified {
            return Err("daily time cannot be used with \"modified\" parameter");
        }
        return match seconds(time)? {
            time @ 0..=DAY => Ok(ExpiresRule::Daily(time)),
            _ => Err("daily time value must be less than 24 hours"),
        };
    }
    let time = match text.strip_prefix('-') {
        Some(time) => -seconds(time)?,
        None => seconds(text.strip_prefix('+').unwrap_or(text))?,
    };
    Ok(if from_modified { ExpiresRule::AfterModified(time) } else { ExpiresRule::AfterNow(time) })
}
