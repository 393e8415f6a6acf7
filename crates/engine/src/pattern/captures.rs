//! What the groups of a pattern matched.

use std::ops::Range;

/// The groups of one match, independent of the text that was matched. Group 0 is the whole match.
///
/// It is empty for a pattern without groups, even though that matched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Captures {
    /// The stretch of the text from the first group's start to the last one's end.
    text: Box<[u8]>,
    /// Where that stretch began.
    start: usize,
    spans: Box<[Option<Range<usize>>]>,
}

impl Captures {
    pub(super) fn new(text: &[u8], spans: impl Iterator<Item = Option<Range<usize>>>) -> Captures {
        let spans: Box<[_]> = spans.collect();
        let start = spans.iter().flatten().map(|span| span.start).min().unwrap_or(0);
        let end = spans.iter().flatten().map(|span| span.end).max().unwrap_or(0);
        Captures { text: text[start..end].into(), start, spans }
    }

    /// What a group matched. `None` where there is no such group, or it took no part in the match.
    pub fn get(&self, group: usize) -> Option<&[u8]> {
        self.span(group).map(|span| &self.text[span.start - self.start..span.end - self.start])
    }

    /// Where in the text a group matched.
    pub fn span(&self, group: usize) -> Option<Range<usize>> {
        self.spans.get(group)?.clone()
    }

    /// Whether there is no group at all.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }
}
