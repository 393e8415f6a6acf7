//! Regular expressions of the configuration. Equal ones are one: many servers have the same locations, and each pattern
//! that is asked has a program of its own, which takes far more memory than its text.

use crate::diagnostic::Fault;
use crate::scope::Scope;
use crate::syntax::Directive;
use culvert_engine::pattern::{Pattern, PatternError};
use std::collections::HashMap;

/// The patterns so far.
#[derive(Default)]
pub(crate) struct Patterns {
    sensitive: HashMap<Box<str>, Pattern>,
    caseless: HashMap<Box<str>, Pattern>,
}

impl Patterns {
    fn get(&mut self, source: &str, caseless: bool) -> Result<Pattern, PatternError> {
        let known = if caseless { &mut self.caseless } else { &mut self.sensitive };
        if let Some(pattern) = known.get(source) {
            return Ok(pattern.clone());
        }
        let pattern = Pattern::new(source, caseless)?;
        known.insert(source.into(), pattern.clone());
        Ok(pattern)
    }
}

impl Scope<'_> {
    /// A regular expression that is (part of) the argument with this number, and is only asked whether it matches.
    pub(crate) fn pattern(&mut self, number: usize, source: &str, caseless: bool) -> Result<Pattern, Fault> {
        let found = self.world.patterns.get(source, caseless);
        found.map_err(|error| Fault::at(number, format!("pcre2_compile() failed: {error}")))
    }

    /// One whose groups are of use, with the slots that its named groups go to.
    pub(crate) fn capturing(
        &mut self,
        directive: &Directive,
        number: usize,
        source: &str,
        caseless: bool,
    ) -> Result<(Pattern, Vec<(usize, usize)>), Fault> {
        let pattern = self.pattern(number, source, caseless)?;
        let assigns = self.world.variables.assigns(directive, number, &pattern)?;
        Ok((pattern, assigns))
    }

    /// The same for what stands behind the tilde that says that an argument is a pattern: a star there makes it caseless.
    pub(crate) fn capturing_behind_tilde(
        &mut self,
        directive: &Directive,
        number: usize,
        source: &str,
    ) -> Result<(Pattern, Vec<(usize, usize)>), Fault> {
        match source.strip_prefix('*') {
            Some(source) => self.capturing(directive, number, source, true),
            None => self.capturing(directive, number, source, false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Patterns;

    #[test]
    fn equal_patterns_are_compiled_once() {
        let mut patterns = Patterns::default();
        for caseless in [false, false, true] {
            patterns.get(r"\.php$", caseless).expect("a pattern");
        }
        assert_eq!((patterns.sensitive.len(), patterns.caseless.len()), (1, 1));
    }
}
