//! `map`.

use crate::config::{Map, SlotKind};
use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Phase, Row};
use crate::scope::Scope;
use crate::syntax::Directive;
use culvert_engine::map::{MapKeyError, MapTable};
use culvert_engine::template::Template;

/// The rows of this module.
pub(crate) const ROWS: &[Row] =
    &[Row::block("map", Contexts::HTTP, Arity::Exactly(2), Phase::Definition, map).repeats().doc(
        "Defines a variable whose value is looked up by another value, each time that it is asked for: lines of a key \
         and a value, `default` where no key fits. Keys are compared in any case; `~` and `~*` begin regular \
         expressions, whose groups the value may use; a backslash keeps a key's first character from meaning anything. \
         `hostnames` makes masks such as `*.example.com` work, `volatile` looks the value up anew each time, `include` \
         reads lines from files.",
    )];

fn map(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let source = scope.template(directive, 1)?;
    let index = scope.world.maps.len();
    scope.world.variables.define(directive, 2, SlotKind::Map(index))?;
    let has = |word: &str| directive.items().iter().any(|line| line.words.len() == 1 && line.name() == word);
    let volatile = has("volatile");
    let mut lines = Lines { table: MapTable::new(has("hostnames")), has_default: false };
    for line in directive.items() {
        if let Err(fault) = lines.add(scope, line) {
            scope.fault(line, fault);
        }
    }
    scope.world.maps.push(Map { source, table: lines.table, volatile });
    Ok(())
}

struct Lines {
    table: MapTable<Template>,
    has_default: bool,
}

impl Lines {
    fn add(&mut self, scope: &mut Scope<'_>, line: &Directive) -> Result<(), Fault> {
        if line.block.is_some() {
            return Err(Fault::new("unexpected \"{\""));
        }
        if line.words.len() == 1 && matches!(line.name(), "hostnames" | "volatile") {
            return Ok(());
        }
        if line.words.len() != 2 {
            return Err(Fault::new("invalid number of the map parameters"));
        }
        let value = scope.template(line, 1)?;
        let key = line.name();
        if key == "default" {
            return self.set_default(value);
        }
        if let Some(source) = key.strip_prefix('~') {
            let (pattern, assigns) = scope.capturing_behind_tilde(line, 0, source)?;
            self.table.insert_pattern(pattern, assigns, value);
            return Ok(());
        }
        let key = key.strip_prefix('\\').unwrap_or(key);
        self.table.insert_text(key, value).map_err(|error| match error {
            MapKeyError::Conflicting => Fault::new(format!("conflicting parameter \"{}\"", key.to_ascii_lowercase())),
            MapKeyError::InvalidHostname => Fault::new(format!("invalid hostname or wildcard \"{key}\"")),
        })
    }

    fn set_default(&mut self, value: Template) -> Result<(), Fault> {
        if std::mem::replace(&mut self.has_default, true) {
            return Err(Fault::new("duplicate default map parameter"));
        }
        self.table.set_default(value);
        Ok(())
    }
}
