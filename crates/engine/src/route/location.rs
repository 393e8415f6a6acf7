//! Which location of a server takes a URI.
//!
//! Prefixes live in a sorted list. The longest prefix of a URI is found by binary search: the greatest name that is not
//! greater than the URI either is a prefix of it, or shares with it the stretch in which every shorter prefix must lie.

use crate::pattern::{Captures, Pattern, PatternList, TooSlow};
use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;

/// The locations of one server block, or those inside one location.
#[derive(Debug, Clone, Default)]
pub struct LocationTree {
    exact: Vec<Name>,
    prefixes: Vec<Name>,
    patterns: PatternList<usize>,
    named: HashMap<Box<str>, usize>,
    inside: HashMap<usize, LocationTree>,
    redirects: bool,
}

/// One `=` or prefix location.
#[derive(Debug, Clone)]
struct Name {
    text: Box<[u8]>,
    id: usize,
    /// `^~`: the patterns beside it are not asked.
    stops_regex: bool,
    /// The name without its last slash is answered with a redirect to the name.
    redirects: bool,
}

/// A location of this kind and name is there already. nginx: `duplicate location "x"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duplicate(pub String);

impl fmt::Display for Duplicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "duplicate location \"{}\"", self.0)
    }
}

impl std::error::Error for Duplicate {}

/// What [`LocationTree::find`] decided.
#[derive(Debug, Clone)]
pub enum Choice {
    /// No location: the settings of the server block itself apply.
    Server,
    /// A location takes the request.
    Location {
        /// The location.
        id: usize,
        /// What the groups of the patterns matched that led there, outermost first: each location with a pattern, the last
        /// one or those around it.
        matches: Vec<(usize, Captures)>,
    },
    /// The URI lacks only the slash at the end of this location's name: answer with a redirect to it.
    AddSlash {
        /// The location.
        id: usize,
    },
}

impl LocationTree {
    /// Adds `location = name`.
    pub fn add_exact(&mut self, name: &str, id: usize) -> Result<(), Duplicate> {
        insert(&mut self.exact, name, id, false)
    }

    /// Adds `location name`, or with `stops_regex` `location ^~ name`.
    pub fn add_prefix(&mut self, name: &str, id: usize, stops_regex: bool) -> Result<(), Duplicate> {
        insert(&mut self.prefixes, name, id, stops_regex)
    }

    /// Adds `location ~ pattern` or `location ~* pattern`; patterns are asked in the order in which they came. Two equal
    /// patterns are no mistake to nginx, so this never fails.
    pub fn add_regex(&mut self, pattern: Pattern, id: usize) -> Result<(), Duplicate> {
        self.patterns.push(pattern, id);
        Ok(())
    }

    /// Adds `location @name`; `name` includes the `@`. The first of a name stays. (nginx says nothing of a second one, which
    /// nothing can reach.)
    pub fn add_named(&mut self, name: &str, id: usize) -> Result<(), Duplicate> {
        if self.named.contains_key(name) {
            return Err(Duplicate(name.into()));
        }
        self.named.insert(name.into(), id);
        Ok(())
    }

    /// Says which locations are inside location `id`. Most have none inside, and are not looked up for any request.
    pub fn nest(&mut self, id: usize, tree: LocationTree) {
        let LocationTree { exact, prefixes, patterns, named, inside, redirects: _ } = &tree;
        let has_names = !exact.is_empty() || !prefixes.is_empty() || !named.is_empty() || !inside.is_empty();
        if has_names || !patterns.is_empty() {
            self.inside.insert(id, tree);
        }
    }

    /// Makes a URI that lacks only the slash at the end of a name a redirect, as nginx does for locations that hand requests
    /// on. Nothing changes where the name has no slash at its end, or there is no location of this name and number.
    pub fn auto_redirect(&mut self, name: &str, id: usize) {
        if !name.ends_with('/') {
            return;
        }
        for names in [&mut self.exact, &mut self.prefixes] {
            if let Ok(at) = position(names, name.as_bytes())
                && names[at].id == id
            {
                names[at].redirects = true;
                self.redirects = true;
            }
        }
    }

    /// Finds `location @name`; `name` includes the `@`.
    pub fn named(&self, name: &str) -> Option<usize> {
        self.named.get(name).copied()
    }

    /// Finds the location for a normalised URI: nginx's order, nested locations included.
    ///
    /// An exact name ends the search. Else the longest prefix is remembered and the locations inside it are searched; what
    /// a pattern or an exact name among those takes is final. Then, unless the prefix is `^~`, the patterns beside it are
    /// asked, and the first that matches wins (and is searched inside in turn). Else the prefix that was remembered wins.
    pub fn find(&self, uri: &[u8]) -> Result<Choice, TooSlow> {
        Ok(match self.search(uri)? {
            Search::Nothing => Choice::Server,
            Search::Open(found) | Search::Final(found) => Choice::Location { id: found.id, matches: found.matches },
            Search::AddSlash(id) => Choice::AddSlash { id },
        })
    }

    fn search(&self, uri: &[u8]) -> Result<Search, TooSlow> {
        let (mut result, stops_regex) = match self.longest(uri) {
            Longest::Exact(id) => return Ok(Search::Final(Found::new(id))),
            Longest::AddSlash(id) => return Ok(Search::AddSlash(id)),
            Longest::Nothing => (Search::Nothing, false),
            Longest::Prefix { id, stops_regex } => {
                let nested = self.search_inside(id, uri)?;
                (nested.or(Found::new(id)), stops_regex)
            }
        };
        if stops_regex || result.is_final() {
            return Ok(result);
        }
        if let Some((id, captures)) = self.patterns.find(uri)? {
            result = self.search_inside(*id, uri)?.inside_pattern(*id, captures);
        }
        Ok(result)
    }

    fn search_inside(&self, id: usize, uri: &[u8]) -> Result<Search, TooSlow> {
        self.inside.get(&id).map_or(Ok(Search::Nothing), |tree| tree.search(uri))
    }

    /// What the names without patterns say.
    fn longest(&self, uri: &[u8]) -> Longest {
        if let Ok(at) = position(&self.exact, uri) {
            return Longest::Exact(self.exact[at].id);
        }
        let mut before = match position(&self.prefixes, uri) {
            Ok(at) => return self.prefixes[at].as_longest(),
            Err(before) => before,
        };
        if let Some(id) = self.lacks_slash(uri) {
            return Longest::AddSlash(id);
        }
        let mut rest = uri;
        while let Some(name) = before.checked_sub(1).map(|at| &self.prefixes[at]) {
            let shared = shared_length(&name.text, rest);
            if shared == name.text.len() {
                return name.as_longest();
            }
            rest = &rest[..shared];
            before = match position(&self.prefixes[..before], rest) {
                Ok(at) => return self.prefixes[at].as_longest(),
                Err(before) => before,
            };
        }
        Longest::Nothing
    }

    /// The location whose name is `uri` and a slash, where that means a redirect.
    fn lacks_slash(&self, uri: &[u8]) -> Option<usize> {
        if !self.redirects {
            return None;
        }
        let with_slash = |names: &'_ [Name]| {
            let key = uri.iter().chain(b"/");
            names.binary_search_by(|name| name.text.iter().cmp(key.clone())).ok()
        };
        let exact = with_slash(&self.exact).map(|at| &self.exact[at]);
        let prefix = with_slash(&self.prefixes).map(|at| &self.prefixes[at]);
        let redirects = exact.is_some_and(|name| name.redirects) || prefix.is_some_and(|name| name.redirects);
        exact.or(prefix).filter(|_| redirects).map(|name| name.id)
    }
}

impl Name {
    fn as_longest(&self) -> Longest {
        Longest::Prefix { id: self.id, stops_regex: self.stops_regex }
    }
}

enum Longest {
    Exact(usize),
    Prefix { id: usize, stops_regex: bool },
    AddSlash(usize),
    Nothing,
}

struct Found {
    id: usize,
    matches: Vec<(usize, Captures)>,
}

impl Found {
    fn new(id: usize) -> Found {
        Found { id, matches: Vec::new() }
    }
}

enum Search {
    Nothing,
    /// A prefix: a pattern further out may still win.
    Open(Found),
    /// An exact name or a pattern.
    Final(Found),
    AddSlash(usize),
}

impl Search {
    fn is_final(&self) -> bool {
        matches!(self, Search::Final(_) | Search::AddSlash(_))
    }

    /// The result where the prefix `outer` was searched inside and this came of it.
    fn or(self, outer: Found) -> Search {
        match self {
            Search::Nothing => Search::Open(outer),
            found => found,
        }
    }

    /// The result where the pattern of `id` matched and this was found inside. Whatever it is, it is final; a redirect that
    /// was found inside a pattern is not made, as in nginx, and its location answers.
    fn inside_pattern(self, id: usize, captures: Captures) -> Search {
        let mut found = match self {
            Search::Nothing => Found::new(id),
            Search::Open(found) | Search::Final(found) => found,
            Search::AddSlash(id) => Found::new(id),
        };
        found.matches.insert(0, (id, captures));
        Search::Final(found)
    }
}

fn insert(names: &mut Vec<Name>, text: &str, id: usize, stops_regex: bool) -> Result<(), Duplicate> {
    match position(names, text.as_bytes()) {
        Ok(_) => Err(Duplicate(text.into())),
        Err(at) => {
            names.insert(at, Name { text: text.as_bytes().into(), id, stops_regex, redirects: false });
            Ok(())
        }
    }
}

fn position(names: &[Name], text: &[u8]) -> Result<usize, usize> {
    names.binary_search_by(|name| -> Ordering { (*name.text).cmp(text) })
}

fn shared_length(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests;
