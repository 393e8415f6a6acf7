//! Names of shared memory zones. Culvert shares memory between threads and needs none, but a configuration that nginx
//! refuses for its zones is refused here too.

use crate::config::{Level, Place};
use crate::diagnostic::{Diagnostic, Fault};
use crate::source::Span;
use crate::syntax::Directive;

/// Eight pages of memory are the least that nginx takes.
pub(super) const BYTES_MIN: usize = 8 * 4096;

/// The zones of a configuration while it is read.
#[derive(Debug, Default)]
pub(crate) struct Zones(Vec<Zone>);

#[derive(Debug)]
struct Zone {
    name: Box<str>,
    /// Where a line says it; `None` until then.
    size: Option<usize>,
    /// What the zone is for: one use per name.
    purpose: &'static str,
    place: Place,
    span: Span,
    order: usize,
}

impl Zones {
    /// Notes a zone, whose size another line may say.
    pub(crate) fn declare(
        &mut self,
        directive: &Directive,
        name: &str,
        size: Option<usize>,
        purpose: &'static str,
    ) -> Result<(), Fault> {
        if size.is_some_and(|size| size < BYTES_MIN) {
            return Err(Fault::new(format!("zone \"{name}\" is too small")));
        }
        let Some(known) = self.0.iter_mut().find(|known| *known.name == *name) else {
            let (place, span) = (directive.place.clone(), directive.words[0].span);
            self.0.push(Zone { name: name.into(), size, purpose, place, span, order: directive.order });
            return Ok(());
        };
        if known.purpose != purpose {
            let message = format!("the shared memory zone \"{name}\" is already declared for a different use");
            return Err(Fault::new(message));
        }
        match (known.size, size) {
            (Some(before), Some(size)) if before != size => Err(Fault::new(format!(
                "the size {size} of shared memory zone \"{name}\" conflicts with already declared size {before}"
            ))),
            (before, size) => {
                known.size = before.or(size);
                Ok(())
            }
        }
    }

    /// A diagnostic for each zone whose size no line says.
    pub(crate) fn finish(self) -> impl Iterator<Item = Diagnostic> {
        self.0.into_iter().filter(|zone| zone.size.is_none()).map(|zone| Diagnostic {
            level: Level::Emerg,
            message: format!("zero size shared memory zone \"{}\"", zone.name),
            place: Some(zone.place),
            span: Some(zone.span),
            suggestion: None,
            order: zone.order,
        })
    }
}
