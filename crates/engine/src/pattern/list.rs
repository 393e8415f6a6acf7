//! Patterns that are asked one after the other, without asking those that can't match.

use super::necessary::{self, Necessary};
use super::{Captures, Pattern, TooSlow};
use std::collections::HashMap;

/// Patterns with a value each; the first that matches wins.
///
/// Most patterns of a configuration begin with fixed letters (`^/api/`) or end in a file name extension (`\.php$`). A text
/// finds those that it may match in tables, by its own beginnings and its own extension, and asks only them, in their order.
#[derive(Debug, Clone)]
pub struct PatternList<V> {
    rows: Vec<(Pattern, V)>,
    /// Rows by the hash of the beginning that they need. A collision costs a question, no more.
    by_prefix: HashMap<u64, Vec<u32>>,
    /// The lengths of those beginnings, as a set of bits; longer ones are cut to the last.
    prefix_lengths: u64,
    by_extension: HashMap<Box<[u8]>, Vec<u32>>,
    /// Those that every text has to ask.
    others: Vec<u32>,
}

/// Beginnings longer than this are cut: so many bits has the set of lengths.
const PREFIX_LENGTH_MAX: usize = 64;

impl<V> Default for PatternList<V> {
    fn default() -> PatternList<V> {
        PatternList {
            rows: Vec::new(),
            by_prefix: HashMap::new(),
            prefix_lengths: 0,
            by_extension: HashMap::new(),
            others: Vec::new(),
        }
    }
}

impl<V> PatternList<V> {
    /// Adds a pattern behind those that are there.
    pub fn push(&mut self, pattern: Pattern, value: V) {
        let row = u32::try_from(self.rows.len()).expect("no configuration has four billion patterns");
        match necessary::of(pattern.source()) {
            Necessary::Prefix(prefix) => {
                let prefix = &prefix[..prefix.len().min(PREFIX_LENGTH_MAX)];
                let hash = prefix.iter().fold(HASH_OF_NOTHING, |hash, &byte| hash_on(hash, byte));
                self.prefix_lengths |= 1 << (prefix.len() - 1);
                self.by_prefix.entry(hash).or_default().push(row);
            }
            Necessary::Extensions(all) => {
                for extension in all {
                    let rows = self.by_extension.entry(extension.into()).or_default();
                    if rows.last() != Some(&row) {
                        rows.push(row);
                    }
                }
            }
            Necessary::Nothing => self.others.push(row),
        }
        self.rows.push((pattern, value));
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// All of them, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &(Pattern, V)> {
        self.rows.iter()
    }

    /// The first that matches `text`, and what its groups matched.
    pub fn find(&self, text: &[u8]) -> Result<Option<(&V, Captures)>, TooSlow> {
        if self.by_prefix.is_empty() && self.by_extension.is_empty() {
            return self.first(self.others.iter(), text);
        }
        let mut candidates = self.candidates(text);
        if candidates.is_empty() {
            return self.first(self.others.iter(), text);
        }
        candidates.extend_from_slice(&self.others);
        candidates.sort_unstable();
        self.first(candidates.iter(), text)
    }

    fn first<'r>(&self, rows: impl Iterator<Item = &'r u32>, text: &[u8]) -> Result<Option<(&V, Captures)>, TooSlow> {
        for &row in rows {
            let (pattern, value) = &self.rows[row as usize];
            if let Some(captures) = pattern.captures(text)? {
                return Ok(Some((value, captures)));
            }
        }
        Ok(None)
    }

    /// The rows whose needs `text` meets, in no order.
    fn candidates(&self, text: &[u8]) -> Vec<u32> {
        let mut found = Vec::new();
        let mut hash = HASH_OF_NOTHING;
        let mut lengths = self.prefix_lengths;
        for &byte in text {
            if lengths == 0 {
                break;
            }
            hash = hash_on(hash, byte.to_ascii_lowercase());
            if lengths & 1 == 1
                && let Some(rows) = self.by_prefix.get(&hash)
            {
                found.extend_from_slice(rows);
            }
            lengths >>= 1;
        }
        if !self.by_extension.is_empty() {
            self.add_by_extension(text, &mut found);
        }
        found
    }

    fn add_by_extension(&self, text: &[u8], found: &mut Vec<u32>) {
        if text.ends_with(b"\n") {
            // PCRE's `$` matches before a last line feed too.
            let before = found.len();
            found.extend(self.by_extension.values().flatten());
            found[before..].sort_unstable();
            found.dedup();
            return;
        }
        let Some(dot) = memchr::memrchr(b'.', text) else { return };
        let mut extension = [0; EXTENSION_LENGTH_MAX];
        let Some(lower) = extension.get_mut(..text.len() - dot - 1) else { return };
        lower.copy_from_slice(&text[dot + 1..]);
        lower.make_ascii_lowercase();
        if let Some(rows) = self.by_extension.get(&*lower) {
            found.extend_from_slice(rows);
        }
    }
}

/// No pattern names a longer extension than its source is long, and none of those is longer in practice.
const EXTENSION_LENGTH_MAX: usize = 256;

/// FNV-1a, which grows byte by byte.
const HASH_OF_NOTHING: u64 = 0xcbf2_9ce4_8422_2325;

fn hash_on(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn list(sources: &[&str]) -> PatternList<usize> {
        let mut list = PatternList::default();
        for (number, source) in sources.iter().enumerate() {
            list.push(Pattern::new(source, false).expect("a good pattern"), number);
        }
        list
    }

    fn found(list: &PatternList<usize>, text: &str) -> Option<usize> {
        list.find(text.as_bytes()).expect("fast").map(|(number, _)| *number)
    }

    #[test]
    fn the_first_that_matches_wins_whatever_table_it_is_in() {
        let list = list(&["^/a/", r"\.php$", "b", "^/a", "^/"]);
        assert_eq!(found(&list, "/a/x.php"), Some(0));
        assert_eq!(found(&list, "/ab.php"), Some(1));
        assert_eq!(found(&list, "/ab"), Some(2));
        assert_eq!(found(&list, "/ac"), Some(3));
        assert_eq!(found(&list, "/c"), Some(4));
        assert_eq!(found(&list, "c"), None);
        assert_eq!(found(&list, "/x.php\n"), Some(1));
    }

    #[test]
    fn long_beginnings_and_extensions_are_cut_or_left() {
        let long = format!("^/{}$", "a".repeat(200));
        let extension = format!(r"\.{}$", "a".repeat(250));
        let list = list(&[&long, &extension]);
        assert_eq!(found(&list, &format!("/{}", "a".repeat(200))), Some(0));
        assert_eq!(found(&list, &format!("/{}", "a".repeat(199))), None);
        assert_eq!(found(&list, &format!("x.{}", "a".repeat(250))), Some(1));
        assert_eq!(found(&list, &format!("x.{}", "a".repeat(5_000))), None);
    }

    proptest! {
        #[test]
        fn a_list_finds_what_asking_all_finds(
            sources in prop::collection::vec(
                (r"(\^)?(/|a|B|\.|a\?|b\+|\(a\|b\)|\[ab\]|\\\.){0,5}(\\\.(\(a\|b\?a\)|ba?))?(\$)?", any::<bool>()),
                0..12,
            ),
            texts in prop::collection::vec("[/aAbB.\n]{0,8}", 10),
        ) {
            let mut list = PatternList::default();
            for (number, (source, caseless)) in sources.iter().enumerate() {
                if let Ok(pattern) = Pattern::new(source, *caseless) {
                    list.push(pattern, number);
                }
            }
            for text in texts {
                let all = list.iter().find(|(pattern, _)| pattern.is_match(text.as_bytes()).expect("fast"));
                prop_assert_eq!(found(&list, &text), all.map(|(_, number)| *number), "{:?}", text);
            }
        }
    }
}
