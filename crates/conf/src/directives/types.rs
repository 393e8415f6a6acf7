//! The inside of a `types` block.

use crate::diagnostic::Fault;
use crate::scope::Scope;
use crate::syntax::Directive;
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;

pub(crate) fn types(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let mut types: HashMap<Box<str>, Bytes> =
        if scope.is_first(directive) { HashMap::new() } else { HashMap::clone(&scope.location.types) };
    for line in directive.items() {
        if line.block.is_some() {
            scope.fault(line, Fault::new("unexpected \"{\""));
            continue;
        }
        let name = Bytes::copy_from_slice(line.name().as_bytes());
        for (index, ending) in line.args().iter().enumerate() {
            let previous = types.insert(ending.text.to_ascii_lowercase().into(), name.clone());
            if let Some(previous) = previous {
                let message = format!(
                    "duplicate extension \"{}\", content type: \"{}\", previous content type: \"{}\"",
                    ending.text,
                    line.name(),
                    String::from_utf8_lossy(&previous)
                );
                scope.warn(line, Fault::at(index + 1, message));
            }
        }
    }
    scope.location.types = Arc::new(types);
    Ok(())
}
