//! Folders for temporary files, and the levels of folders in them.

use crate::diagnostic::Fault;
use crate::syntax::Directive;
use crate::units;

/// The names of folders in folders have so many letters in all, at most.
const LETTERS_MAX: usize = 10;

/// How many letters each level has: the arguments behind the folder.
pub(super) fn levels(directive: &Directive) -> Result<Vec<usize>, Fault> {
    let mut levels = Vec::new();
    for number in 2..=directive.args().len() {
        let level = units::size(directive.arg(number)).filter(|_| units::number(directive.arg(number)).is_some());
        levels.push(level.filter(|&level| level > 0).ok_or_else(|| directive.invalid_value(number))?);
    }
    match levels.iter().fold(0, |sum: usize, level| sum.saturating_add(*level)) > LETTERS_MAX {
        true => Err(directive.invalid_value(directive.args().len())),
        false => Ok(levels),
    }
}
