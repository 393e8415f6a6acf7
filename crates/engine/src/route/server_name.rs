//! Which server block a host name belongs to, among those that share a listening address.

use super::host_table::{HostKeyError, HostTable};
use crate::pattern::{Captures, Pattern, PatternList, TooSlow};

/// The names of all server blocks on one address.
#[derive(Debug, Clone)]
pub struct ServerNames<V: Copy> {
    names: HostTable<V>,
    patterns: PatternList<V>,
    default: V,
}

/// Why a name cannot join [`ServerNames`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameError {
    /// The name is taken, and the first to take it keeps it. nginx warns: `conflicting server name "x" on ADDRESS, ignored`.
    Conflicting,
    /// Neither a name nor a mask. nginx: `invalid server name or wildcard "x" on ADDRESS`.
    Invalid,
}

impl<V: Copy> ServerNames<V> {
    /// No names yet: every host belongs to `default`.
    pub fn new(default: V) -> ServerNames<V> {
        ServerNames { names: HostTable::default(), patterns: PatternList::default(), default }
    }

    /// Adds a name, or a mask: `*.example.com`, `.example.com` (the name and all below it), `www.example.*`.
    pub fn insert_text(&mut self, name: &str, value: V) -> Result<(), NameError> {
        self.names.insert(name, value).map_err(|error| match error {
            HostKeyError::Conflicting => NameError::Conflicting,
            HostKeyError::Invalid => NameError::Invalid,
        })
    }

    /// Adds a pattern, asked after all names and masks and in the order of the configuration.
    pub fn insert_pattern(&mut self, pattern: Pattern, value: V) {
        self.patterns.push(pattern, value);
    }

    /// Finds the server for `host`, which is in lower case, without port and without a dot at the end (see
    /// [`crate::uri::host_of`]). nginx's order: exact name, longest mask with its star in front, longest with its star at
    /// the end, first pattern, default. The captures are those of the pattern, if it was one.
    pub fn find(&self, host: &[u8]) -> Result<(V, Option<Captures>), TooSlow> {
        if let Some(value) = self.names.find(host) {
            return Ok((*value, None));
        }
        if !host.is_empty()
            && let Some((value, captures)) = self.patterns.find(host)?
        {
            return Ok((*value, Some(captures)));
        }
        Ok((self.default, None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_exact_then_masks_then_patterns_then_the_default() {
        let mut names = ServerNames::new(0);
        names.insert_pattern(Pattern::new(r"^(?<sub>.+)\.example\.net$", false).expect("good"), 5);
        names.insert_pattern(Pattern::new(r"example", false).expect("good"), 6);
        names.insert_text("www.example.*", 4).expect("new");
        names.insert_text("*.example.org", 3).expect("new");
        names.insert_text("*.www.example.org", 2).expect("new");
        names.insert_text("www.Example.org", 1).expect("new");
        for (host, expected) in [
            ("www.example.org", 1),
            ("a.www.example.org", 2),
            ("a.example.org", 3),
            ("www.example.com", 4),
            ("a.example.net", 5),
            ("example.org", 6),
            ("other", 0),
            ("", 0),
        ] {
            assert_eq!(names.find(host.as_bytes()).expect("fast").0, expected, "{host}");
        }
        let (_, captures) = names.find(b"a.example.net").expect("fast");
        assert_eq!(captures.expect("a pattern").get(1), Some(&b"a"[..]));
    }

    #[test]
    fn the_first_to_take_a_name_keeps_it() {
        let mut names = ServerNames::new('d');
        names.insert_text("a.b", 'x').expect("new");
        assert_eq!(names.insert_text("A.b", 'y'), Err(NameError::Conflicting));
        assert_eq!(names.insert_text(".a.b", 'y'), Err(NameError::Conflicting));
        assert_eq!(names.find(b"a.b").expect("fast").0, 'x');
        assert_eq!(names.find(b"c.a.b").expect("fast").0, 'd');
    }

    #[test]
    fn an_empty_name_takes_requests_without_host() {
        let mut names = ServerNames::new(0);
        names.insert_text("", 1).expect("new");
        names.insert_pattern(Pattern::new("^$", false).expect("good"), 2);
        assert_eq!(names.find(b"").expect("fast").0, 1);
    }

    #[test]
    fn what_is_neither_name_nor_mask_is_refused() {
        let mut names = ServerNames::new(0);
        for name in ["*", "a.*.b", "w*.example.com", "a..b", "www.example.*.*"] {
            assert_eq!(names.insert_text(name, 1), Err(NameError::Invalid), "{name}");
        }
    }

    #[test]
    fn a_host_of_nothing_but_dots_and_labels_costs_little() {
        let mut names = ServerNames::new(0);
        names.insert_text("*.example.com", 1).expect("new");
        names.insert_text("www.*", 2).expect("new");
        let host = [b"a.".repeat(30_000), b"example.com".to_vec()].concat();
        assert_eq!(names.find(&host).expect("fast").0, 1);
    }
}
