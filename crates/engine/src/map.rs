//! The table behind nginx's `map`: text keys by hash, host name masks by their labels, patterns in order, then the default.

use crate::pattern::{Captures, Pattern, PatternList, TooSlow};
use crate::route::host_table::{HostKeyError, HostTable, lower};
use std::collections::HashMap;

/// What a `map` block says: which value belongs to which source value.
#[derive(Debug, Clone)]
pub struct MapTable<V> {
    keys: Keys<V>,
    patterns: PatternList<Row<V>>,
    default: Option<V>,
}

#[derive(Debug, Clone)]
enum Keys<V> {
    Text(HashMap<Box<[u8]>, V>),
    Hosts(HostTable<V>),
}

#[derive(Debug, Clone)]
struct Row<V> {
    assigns: Vec<(usize, usize)>,
    value: V,
}

/// Why a text key cannot join a [`MapTable`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapKeyError {
    /// The key is there already. nginx: `conflicting parameter "x"`.
    Conflicting,
    /// The key is no host name mask, in a map with `hostnames`. nginx: `invalid hostname or wildcard "x"`.
    InvalidHostname,
}

/// What [`MapTable::lookup`] found.
#[derive(Debug, Clone)]
pub struct Found<'a, V> {
    /// The value of the key.
    pub value: &'a V,
    /// What the groups of the pattern matched, where a pattern did.
    pub captures: Option<Captures>,
    /// Pairs of a group and the variable slot that takes it, as [`MapTable::insert_pattern`] was told.
    pub assigns: &'a [(usize, usize)],
}

impl<V> MapTable<V> {
    /// An empty table; with `hostnames`, text keys may be masks such as `*.example.com`, `.example.com` or `example.*`.
    pub fn new(hostnames: bool) -> MapTable<V> {
        let keys = if hostnames { Keys::Hosts(HostTable::default()) } else { Keys::Text(HashMap::new()) };
        MapTable { keys, patterns: PatternList::default(), default: None }
    }

    /// Sets what is found where nothing else matches.
    pub fn set_default(&mut self, value: V) {
        self.default = Some(value);
    }

    /// Adds a text key, whose letters match in either case. The caller has taken off the backslash that may protect a
    /// first `~` or a key such as `default`.
    pub fn insert_text(&mut self, key: &str, value: V) -> Result<(), MapKeyError> {
        match &mut self.keys {
            Keys::Hosts(hosts) => hosts.insert(key, value).map_err(|error| match error {
                HostKeyError::Conflicting => MapKeyError::Conflicting,
                HostKeyError::Invalid => MapKeyError::InvalidHostname,
            }),
            Keys::Text(keys) => {
                let key = key.to_ascii_lowercase().into_bytes().into_boxed_slice();
                match keys.contains_key(&key) {
                    true => Err(MapKeyError::Conflicting),
                    false => {
                        keys.insert(key, value);
                        Ok(())
                    }
                }
            }
        }
    }

    /// Adds a pattern, tried after all text keys and after the patterns that came before. Each of `assigns` is a group of
    /// the pattern and the variable slot that takes what it matched.
    pub fn insert_pattern(&mut self, pattern: Pattern, assigns: Vec<(usize, usize)>, value: V) {
        self.patterns.push(pattern, Row { assigns, value });
    }

    /// Finds the value for `key`: text first, then (with `hostnames`) the longest mask with a star in front, then the longest
    /// with a star at the end, then the first pattern, then the default.
    ///
    /// As in nginx, no pattern is asked about an empty key, patterns see the key in its own case, and a map of host names
    /// ignores one dot at the end of the key.
    pub fn lookup(&self, key: &[u8]) -> Result<Option<Found<'_, V>>, TooSlow> {
        let key = match &self.keys {
            Keys::Hosts(_) => key.strip_suffix(b".").unwrap_or(key),
            Keys::Text(_) => key,
        };
        let lowered = lower(key);
        let plain = match &self.keys {
            Keys::Text(keys) => keys.get(&*lowered),
            Keys::Hosts(hosts) => hosts.find(&lowered),
        };
        if let Some(value) = plain {
            return Ok(Some(Found { value, captures: None, assigns: &[] }));
        }
        if !key.is_empty()
            && let Some((row, captures)) = self.patterns.find(key)?
        {
            return Ok(Some(Found { value: &row.value, captures: Some(captures), assigns: &row.assigns }));
        }
        Ok(self.default.as_ref().map(|value| Found { value, captures: None, assigns: &[] }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(source: &str) -> Pattern {
        Pattern::new(source, false).expect("a good pattern")
    }

    fn value(table: &MapTable<&'static str>, key: &str) -> Option<&'static str> {
        table.lookup(key.as_bytes()).expect("fast").map(|found| *found.value)
    }

    #[test]
    fn the_map_of_the_recipe_tells_upgrade_from_close() {
        let mut table = MapTable::new(false);
        table.set_default("upgrade");
        table.insert_text("", "close").expect("new");
        assert_eq!(value(&table, "websocket"), Some("upgrade"));
        assert_eq!(value(&table, ""), Some("close"));
    }

    #[test]
    fn text_matches_in_either_case_and_before_any_pattern() {
        let mut table = MapTable::new(false);
        table.insert_pattern(pattern("."), Vec::new(), "pattern");
        table.insert_text("/Ab", "text").expect("new");
        assert_eq!(value(&table, "/aB"), Some("text"));
        assert_eq!(value(&table, "/abc"), Some("pattern"));
        assert_eq!(table.insert_text("/AB", "again"), Err(MapKeyError::Conflicting));
    }

    #[test]
    fn patterns_are_asked_in_order_and_give_their_captures() {
        let mut table = MapTable::new(false);
        table.insert_pattern(pattern("^/A(?<rest>.*)"), vec![(1, 7)], "first");
        table.insert_pattern(pattern("^/"), Vec::new(), "second");
        let found = table.lookup(b"/Abc").expect("fast").expect("found");
        assert_eq!((*found.value, found.assigns), ("first", &[(1, 7)][..]));
        assert_eq!(found.captures.expect("a pattern matched").get(1), Some(&b"bc"[..]));
        assert_eq!(value(&table, "/abc"), Some("second"), "patterns see the case of the key");
        assert_eq!(value(&table, "x"), None);
    }

    #[test]
    fn no_pattern_sees_an_empty_key() {
        let mut table = MapTable::new(false);
        table.insert_pattern(pattern("^$"), Vec::new(), "pattern");
        assert_eq!(value(&table, ""), None);
        table.set_default("default");
        assert_eq!(value(&table, ""), Some("default"));
    }

    #[test]
    fn masks_are_plain_text_without_hostnames() {
        let mut table = MapTable::new(false);
        table.insert_text("*.example.com", "star").expect("new");
        assert_eq!(value(&table, "a.example.com"), None);
        assert_eq!(value(&table, "*.example.com"), Some("star"));
        assert_eq!(table.insert_text("a..*b*", "odd"), Ok(()));
    }

    #[test]
    fn the_most_specific_host_name_wins() {
        let mut table = MapTable::new(true);
        table.insert_pattern(pattern("^shop"), Vec::new(), "pattern");
        for key in ["www.example.com", "*.example.com", ".a.example.com", "www.*", "www.example.*", "*.COM"] {
            table.insert_text(key, key).expect("new");
        }
        for (host, expected) in [
            ("www.example.com", Some("www.example.com")),
            ("WWW.Example.com.", Some("www.example.com")),
            ("x.example.com", Some("*.example.com")),
            ("x.y.example.com", Some("*.example.com")),
            ("a.example.com", Some(".a.example.com")),
            ("b.a.example.com", Some(".a.example.com")),
            (".example.com", Some("*.example.com")),
            ("example.com", Some("*.COM")),
            ("com", None),
            ("www.example.org", Some("www.example.*")),
            ("www.other.org", Some("www.*")),
            ("www", None),
            ("shop.org", Some("pattern")),
        ] {
            assert_eq!(value(&table, host), expected, "{host}");
        }
    }

    #[test]
    fn keys_that_are_no_host_names_are_refused() {
        let mut table = MapTable::new(true);
        for key in ["a*.com", "*a.com", "*", "a.*.com", "*.a.*", "a..b", "*."] {
            assert_eq!(table.insert_text(key, ""), Err(MapKeyError::InvalidHostname), "{key}");
        }
        table.insert_text(".example.com", "").expect("new");
        for key in ["example.com", "*.example.com", ".EXAMPLE.com"] {
            assert_eq!(table.insert_text(key, ""), Err(MapKeyError::Conflicting), "{key}");
        }
        table.insert_text("example.*", "").expect("new");
        assert_eq!(table.insert_text("example.*", ""), Err(MapKeyError::Conflicting));
        table.insert_text("b.com", "").expect("new");
        assert_eq!(table.insert_text(".b.com", ""), Err(MapKeyError::Conflicting));
        assert_eq!(table.insert_text("*.b.com", ""), Ok(()));
    }

    /// Finds a host name by asking every key.
    fn naive<'a>(keys: &'a [String], host: &str) -> Option<&'a str> {
        let longest = |fits: &dyn Fn(&str) -> bool| {
            keys.iter().filter(|key| fits(key)).max_by_key(|key| key.trim_start_matches(['*', '.']).len())
        };
        let exact = longest(&|key| key == host);
        let head = longest(&|key| match key.strip_prefix('*') {
            Some(suffix) => host.ends_with(suffix),
            None => key.starts_with('.') && key.len() > 1 && (host.ends_with(key) || host == &key[1..]),
        });
        let tail = longest(&|key| key.strip_suffix('*').is_some_and(|stem| host.starts_with(stem)));
        exact.or(head).or(tail).map(String::as_str)
    }

    proptest! {
        #[test]
        fn a_table_of_hosts_finds_what_asking_every_key_finds(
            keys in prop::collection::vec(r"(\*\.|\.)?[ab](\.[abc]){0,3}|[ab](\.[abc]){0,3}\.\*", 0..20),
            hosts in prop::collection::vec(r"[abc](\.[abc]){0,5}", 0..20),
        ) {
            let mut table = MapTable::new(true);
            let mut kept = Vec::new();
            for key in keys {
                if table.insert_text(&key, key.clone()).is_ok() {
                    kept.push(key);
                }
            }
            for host in hosts {
                let found = table.lookup(host.as_bytes()).expect("fast").map(|found| found.value.as_str());
                prop_assert_eq!(found, naive(&kept, &host), "{}", host);
            }
        }

        #[test]
        fn a_table_of_text_finds_what_asking_every_key_finds(
            keys in prop::collection::vec("[aAbB]{0,3}", 0..10),
            key in "[aAbB]{0,3}",
        ) {
            let mut table = MapTable::new(false);
            let mut kept: Vec<String> = Vec::new();
            for key in keys {
                let taken = kept.iter().any(|other| other.eq_ignore_ascii_case(&key));
                prop_assert_eq!(table.insert_text(&key, key.clone()).is_err(), taken);
                if !taken {
                    kept.push(key);
                }
            }
            let found = table.lookup(key.as_bytes()).expect("fast").map(|found| found.value);
            prop_assert_eq!(found, kept.iter().find(|other| other.eq_ignore_ascii_case(&key)));
        }
    }
}
