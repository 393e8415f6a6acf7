//! Configuration files as they were read, and stretches of them.

use std::path::Path;
use std::sync::Arc;

/// A configuration file as it was read.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its absolute path; `command line` for what `-g` says.
    pub path: Arc<Path>,
    /// Whether this is the text of `-g` rather than a file.
    pub(crate) is_parameter: bool,
    /// Its bytes.
    pub text: Arc<[u8]>,
}

/// A stretch of a [`Source`]: byte offsets, the end excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// An index into the list of sources.
    pub source: usize,
    /// The first byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// The line that a [`Span`] begins on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceLine {
    /// Counted from 1.
    pub number: usize,
    /// The line without its line feed; bytes that are not UTF-8 are replaced.
    pub text: String,
    /// How many characters stand before the span.
    pub column: usize,
    /// How many characters of this line the span covers; at least 1.
    pub width: usize,
}

impl Source {
    /// Finds the line that `span` begins on.
    pub fn line_of(&self, span: Span) -> SourceLine {
        let text = &self.text;
        let at = span.start.min(text.len());
        let begin = text[..at].iter().rposition(|&byte| byte == b'\n').map_or(0, |found| found + 1);
        let end = text[at..].iter().position(|&byte| byte == b'\n').map_or(text.len(), |found| at + found);
        let chars = |range: std::ops::Range<usize>| String::from_utf8_lossy(&text[range]).chars().count();
        SourceLine {
            number: text[..begin].iter().filter(|&&byte| byte == b'\n').count() + 1,
            text: String::from_utf8_lossy(&text[begin..end]).trim_end_matches('\r').to_owned(),
            column: chars(begin..at),
            width: chars(at..span.end.clamp(at, end)).max(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_knows_its_line() {
        let source =
            Source { path: Path::new("x").into(), is_parameter: false, text: Arc::from(&b"one\n  two three\n"[..]) };
        let line = source.line_of(Span { source: 0, start: 6, end: 9 });
        assert_eq!(line, SourceLine { number: 2, text: "  two three".into(), column: 2, width: 3 });
    }

    #[test]
    fn a_span_past_the_end_is_harmless() {
        let source = Source { path: Path::new("x").into(), is_parameter: false, text: Arc::from(&b"one"[..]) };
        assert_eq!(source.line_of(Span { source: 0, start: 9, end: 12 }).width, 1);
    }
}
