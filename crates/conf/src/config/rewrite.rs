//! The steps of the rewrite phase, in the order of the file.

use super::Location;
use culvert_engine::pattern::Pattern;
use culvert_engine::template::Template;
use culvert_engine::variable::Variable;
use std::sync::Arc;

/// A step of the rewrite phase.
#[derive(Debug, Clone)]
pub enum Step {
    /// `set $variable value`.
    Set {
        /// What gets the value.
        target: SetTarget,
        /// The value.
        value: Template,
    },
    /// `return`: ends the request here.
    Return(Return),
    /// `break`: ends the steps of the location, and keeps the request in it.
    Break,
    /// `if`.
    If(Box<If>),
    /// `rewrite`.
    Rewrite(Box<Rewrite>),
}

/// What a `set` changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetTarget {
    /// A variable of the configuration's own.
    Slot(usize),
    /// `$args`: the request's arguments.
    Args,
    /// `$limit_rate`.
    LimitRate,
}

/// `return code [text | URL]`.
#[derive(Debug, Clone)]
pub struct Return {
    /// The status; 444 closes the connection without an answer.
    pub status: u16,
    /// The body, or the address of a redirect for 301, 302, 303, 307 and 308; `None` gives the built-in page.
    pub text: Option<Template>,
}

/// `if (condition) { … }`.
#[derive(Debug, Clone)]
pub struct If {
    /// When it holds.
    pub condition: Condition,
    /// The steps inside it. Those behind it follow where none of them ended the phase.
    pub steps: Vec<Step>,
    /// In a location: what holds for the request from here on, a nameless location that inherits from the one around it.
    pub location: Option<Arc<Location>>,
}

/// The condition of an `if`.
#[derive(Debug, Clone)]
pub enum Condition {
    /// `$variable`: it is neither empty nor `0`.
    True(Variable),
    /// `$variable = value`, or `!=`.
    Equals {
        /// The variable.
        variable: Variable,
        /// What it is compared with.
        value: Template,
        /// `!=`.
        negated: bool,
    },
    /// `$variable ~ pattern`, `~*`, `!~` or `!~*`.
    Matches {
        /// The variable.
        variable: Variable,
        /// The pattern.
        pattern: Pattern,
        /// Which named group goes to which slot.
        assigns: Vec<(usize, usize)>,
        /// `!~`.
        negated: bool,
    },
    /// `-f path`, `-d`, `-e`, `-x`, or with `!` in front.
    File {
        /// What is looked for.
        test: FileTest,
        /// The file.
        path: Template,
        /// `!`.
        negated: bool,
    },
}

/// What an `if` asks of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileTest {
    /// `-f`: a plain file.
    Plain,
    /// `-d`: a directory.
    Directory,
    /// `-e`: a plain file or a directory.
    Exists,
    /// `-x`: its owner may execute it.
    Executable,
}

/// `rewrite pattern replacement [flag]`.
#[derive(Debug, Clone)]
pub struct Rewrite {
    /// What the URI has to match.
    pub pattern: Pattern,
    /// Which named group goes to which slot.
    pub assigns: Vec<(usize, usize)>,
    /// The new path; of a redirect the whole address.
    pub path: Template,
    /// The new arguments, if the replacement has a question mark before its end. Never for a redirect.
    pub args: Option<Template>,
    /// Whether a redirect's address has arguments of its own.
    pub redirect_has_args: bool,
    /// Whether the request's own arguments follow.
    pub keeps_args: bool,
    /// What comes after it.
    pub then: AfterRewrite,
}

/// What comes after a `rewrite` that matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterRewrite {
    /// The next step.
    Next,
    /// `last`: the choice of a location for the new URI.
    Last,
    /// `break`: the request stays in its location.
    Break,
    /// `redirect`, `permanent`, or an address elsewhere: a redirect with this status.
    Redirect(u16),
}
