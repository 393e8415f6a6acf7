//! The registry: what a directive is, where it may stand, and how its name finds it.

use crate::diagnostic::Fault;
use crate::directives;
use crate::scope::Scope;
use crate::syntax::Directive;
use std::collections::HashMap;
use std::sync::LazyLock;

/// The blocks that a directive may stand in: a set of bits, nginx's `NGX_…_CONF`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Contexts(u16);

impl Contexts {
    /// Outside all blocks.
    pub(crate) const MAIN: Contexts = Contexts(1);
    /// `events`.
    pub(crate) const EVENTS: Contexts = Contexts(2);
    /// `http`.
    pub(crate) const HTTP: Contexts = Contexts(4);
    /// `server`.
    pub(crate) const SERVER: Contexts = Contexts(8);
    /// `location`.
    pub(crate) const LOCATION: Contexts = Contexts(16);
    /// `upstream`.
    pub(crate) const UPSTREAM: Contexts = Contexts(32);
    /// `if` in a server.
    pub(crate) const SERVER_IF: Contexts = Contexts(64);
    /// `if` in a location.
    pub(crate) const LOCATION_IF: Contexts = Contexts(128);
    /// `limit_except`.
    pub(crate) const LIMIT_EXCEPT: Contexts = Contexts(256);
    /// `http` and `server`.
    pub(crate) const HTTP_SERVER: Contexts = Contexts::HTTP.and(Contexts::SERVER);
    /// `http`, `server` and `location`.
    pub(crate) const HTTP_TO_LOCATION: Contexts = Contexts::HTTP_SERVER.and(Contexts::LOCATION);
    /// `http`, `server`, `location` and `if` in a location.
    pub(crate) const HTTP_TO_IF: Contexts = Contexts::HTTP_TO_LOCATION.and(Contexts::LOCATION_IF);
    /// Every block.
    pub(crate) const ANY: Contexts = Contexts(511);

    /// Both sets together.
    pub(crate) const fn and(self, other: Contexts) -> Contexts {
        Contexts(self.0 | other.0)
    }

    /// Whether the two sets share a block.
    pub(crate) const fn meets(self, other: Contexts) -> bool {
        self.0 & other.0 != 0
    }

    /// The names, as the reference prints them.
    pub(crate) fn names(self) -> Vec<&'static str> {
        const NAMES: [(Contexts, &str); 9] = [
            (Contexts::MAIN, "main"),
            (Contexts::EVENTS, "events"),
            (Contexts::HTTP, "http"),
            (Contexts::SERVER, "server"),
            (Contexts::LOCATION, "location"),
            (Contexts::UPSTREAM, "upstream"),
            (Contexts::SERVER_IF, "if in server"),
            (Contexts::LOCATION_IF, "if in location"),
            (Contexts::LIMIT_EXCEPT, "limit_except"),
        ];
        NAMES.iter().filter(|(bit, _)| self.meets(*bit)).map(|(_, name)| *name).collect()
    }
}

/// How many arguments a directive takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arity {
    /// `on` or `off`.
    Flag,
    /// This many.
    Exactly(usize),
    /// From the first to the second number of them.
    Between(usize, usize),
    /// This many or more.
    AtLeast(usize),
}

impl Arity {
    /// Whether this many arguments will do.
    pub(crate) fn accepts(self, count: usize) -> bool {
        match self {
            Arity::Flag => count == 1,
            Arity::Exactly(wanted) => count == wanted,
            Arity::Between(least, most) => (least..=most).contains(&count),
            Arity::AtLeast(least) => count >= least,
        }
    }
}

/// When a directive of a block is looked at. Values come first, so that a child block's inherited values do not depend
/// on the order of the lines; then what children refer to; then the children themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// A value of this block.
    Value,
    /// What others refer to by name (`upstream`, `map`), or what is made of this block's values (`health_check`).
    Definition,
    /// A block that inherits from this one.
    Child,
}

pub(crate) type Setter = fn(&mut Scope<'_>, &Directive) -> Result<(), Fault>;

/// A directive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    /// Its name.
    pub(crate) name: &'static str,
    /// Where it may stand.
    pub(crate) contexts: Contexts,
    /// How many arguments it takes.
    pub(crate) args: Arity,
    /// Whether it opens a block.
    pub(crate) block: bool,
    /// When it is looked at.
    pub(crate) phase: Phase,
    /// Whether it may stand more than once in a block.
    pub(crate) repeats: bool,
    /// The arguments that say what holds without it; `None` where its absence can't be written.
    pub(crate) default: Option<&'static str>,
    /// What it does, for the reference.
    pub(crate) doc: &'static str,
    /// Whether it is Culvert's own, unknown to nginx.
    pub(crate) own: bool,
    pub(crate) set: Setter,
}

impl Row {
    /// A directive that ends in a semicolon.
    pub(crate) const fn new(name: &'static str, contexts: Contexts, args: Arity, set: Setter) -> Row {
        Row {
            name,
            contexts,
            args,
            block: false,
            phase: Phase::Value,
            repeats: false,
            default: None,
            doc: "",
            own: false,
            set,
        }
    }

    /// A directive that opens a block.
    pub(crate) const fn block(name: &'static str, contexts: Contexts, args: Arity, phase: Phase, set: Setter) -> Row {
        Row { block: true, phase, ..Row::new(name, contexts, args, set) }
    }

    /// It may stand more than once in a block.
    pub(crate) const fn repeats(self) -> Row {
        Row { repeats: true, ..self }
    }

    /// What holds without it.
    pub(crate) const fn default(self, default: &'static str) -> Row {
        Row { default: Some(default), ..self }
    }

    /// What it does.
    pub(crate) const fn doc(self, doc: &'static str) -> Row {
        Row { doc, ..self }
    }

    /// It is Culvert's own.
    pub(crate) const fn own(self) -> Row {
        Row { own: true, ..self }
    }
}

/// The rows of one nginx module.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Module {
    /// The module's name in nginx's documentation.
    pub(crate) name: &'static str,
    /// Its directives.
    pub(crate) rows: &'static [Row],
}

/// What a name stands for.
pub(crate) enum Meaning {
    /// Directives that work; one name may mean different things in different blocks.
    Works(Vec<&'static Row>),
    /// A directive that can't matter here.
    NoEffect(&'static directives::no_effect::NoEffect),
    /// A directive of nginx that Culvert does not have.
    Unsupported(&'static directives::unsupported::Group),
}

static NAMES: LazyLock<HashMap<&'static str, Meaning>> = LazyLock::new(|| {
    let mut names: HashMap<&'static str, Meaning> = HashMap::new();
    for group in directives::unsupported::GROUPS {
        names.extend(group.names.iter().map(|&name| (name, Meaning::Unsupported(group))));
    }
    names.extend(directives::no_effect::ROWS.iter().map(|row| (row.name, Meaning::NoEffect(row))));
    for row in directives::MODULES.iter().flat_map(|module| module.rows) {
        match names.get_mut(row.name) {
            Some(Meaning::Works(rows)) => rows.push(row),
            _ => {
                names.insert(row.name, Meaning::Works(vec![row]));
            }
        }
    }
    names
});

/// What the name of a directive stands for.
pub(crate) fn meaning(name: &str) -> Option<&'static Meaning> {
    NAMES.get(name)
}

/// Every name that has a meaning, for suggestions.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    NAMES.keys().copied()
}

#[cfg(test)]
mod tests;
