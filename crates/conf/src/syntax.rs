//! The tree that a configuration file is before anybody knows what its directives mean.

use crate::config::Place;
use crate::source::Span;

/// One word of a directive: its name or an argument, with quotes and escapes resolved.
#[derive(Debug, Clone)]
pub(crate) struct Word {
    /// The text. Bytes that are not UTF-8 are replaced, and a warning says so.
    pub(crate) text: String,
    /// Where it stands, quotes included.
    pub(crate) span: Span,
}

/// A directive with its arguments, and its block if it has one.
#[derive(Debug, Clone)]
pub(crate) struct Directive {
    /// The name and the arguments; never empty.
    pub(crate) words: Vec<Word>,
    /// What stands between its braces.
    pub(crate) block: Option<Block>,
    /// The line that nginx names in messages: where the closing semicolon or the opening brace stands.
    pub(crate) place: Place,
    /// Counts directives in the order in which nginx would read them, through all included files.
    pub(crate) order: usize,
}

/// What stands between the braces of a directive, `include`s resolved.
#[derive(Debug, Clone, Default)]
pub(crate) struct Block {
    /// The directives, in order.
    pub(crate) items: Vec<Directive>,
    /// Where the closing brace stands: its place and order.
    pub(crate) close: Option<(Place, usize)>,
}

impl Directive {
    /// The directive's name.
    pub(crate) fn name(&self) -> &str {
        &self.words[0].text
    }

    /// The argument with this number, counted from 1. The row's arity says which ones exist.
    pub(crate) fn arg(&self, number: usize) -> &str {
        &self.words[number].text
    }

    /// All arguments.
    pub(crate) fn args(&self) -> &[Word] {
        &self.words[1..]
    }

    /// The directives between its braces.
    pub(crate) fn items(&self) -> &[Directive] {
        self.block.as_ref().map_or(&[], |block| &block.items)
    }
}
