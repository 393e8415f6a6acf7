//! Lists of content types: `gzip_types` and its like.

use crate::config::Types;
use crate::diagnostic::Fault;
use crate::scope::Scope;
use crate::syntax::Directive;

/// Reads a line into `types`, the list of the block so far. `defaults` always belong to it.
pub(crate) fn read(
    scope: &mut Scope<'_>,
    directive: &Directive,
    types: &Types,
    defaults: &[&str],
) -> Result<Types, Fault> {
    let mut names: Vec<Box<str>> = match types {
        Types::All if !scope.is_first(directive) => return Ok(Types::All),
        Types::These(names) if !scope.is_first(directive) => names.to_vec(),
        _ => defaults.iter().map(|&name| name.into()).collect(),
    };
    for (index, word) in directive.args().iter().enumerate() {
        if word.text == "*" {
            return Ok(Types::All);
        }
        let name = word.text.to_ascii_lowercase();
        if names.iter().any(|known| **known == *name) {
            scope.warn(directive, Fault::at(index + 1, format!("duplicate MIME type \"{}\"", word.text)));
        } else {
            names.push(name.into());
        }
    }
    Ok(Types::These(names.into()))
}

/// The list of a configuration that says nothing.
pub(crate) fn default(names: &[&str]) -> Types {
    Types::These(names.iter().map(|&name| name.into()).collect())
}
