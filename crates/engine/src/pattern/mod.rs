//! Regular expressions as nginx's users write them: PCRE syntax over bytes, in bounded time.
//!
//! A pattern is translated to the syntax of the `regex` crate, which matches in linear time. Look-around, back-references
//! and the like need backtracking; those run under a limit, and [`TooSlow`] says that it was reached.

mod captures;
mod list;
mod necessary;
mod translate;

pub use captures::Captures;
pub use list::PatternList;

use fancy_regex::BytesMode;
use std::fmt;
use std::sync::{Arc, OnceLock};
use translate::Translated;

/// How often a backtracking pattern may go back. It bounds one match to a few milliseconds.
const BACKTRACKS_MAX: usize = 100_000;
/// The most memory that one compiled pattern may take. A pattern of nginx's largest counted repetition fits.
const PROGRAM_BYTES_MAX: usize = 16 << 20;

/// Programs of about so many states are known to fit, so that they need not be built before they are used.
const LAZY_STATES_MAX: usize = 10_000;
/// No pattern with more groups is built late: they may be nested, and the engines have a bound for that.
const LAZY_GROUPS_MAX: usize = 50;

/// A pattern. Clones share it.
///
/// A configuration may have a hundred thousand of them, of which most never see a text: their syntax is checked at once, and
/// the program is built when the first text comes.
#[derive(Clone)]
pub struct Pattern(Arc<Compiled>);

struct Compiled {
    source: Box<str>,
    caseless: bool,
    names: Box<[(usize, String)]>,
    groups: usize,
    program: OnceLock<Program>,
    /// Whether texts that end in a line feed need a program of their own: PCRE's `$` matches before a last line feed too,
    /// which the linear engine cannot say.
    has_dollar: bool,
    before_line_feed: OnceLock<Program>,
}

enum Program {
    Linear(Box<regex::bytes::Regex>),
    Backtracking(Box<fancy_regex::Regex>),
    /// It could not be built after all. No pattern is known that comes to this; it would count as one that gives up.
    Missing,
}

/// Why a text is no pattern. It reads like nginx's message: the reason, the pattern, and the rest of it from the mistake on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternError {
    /// What is wrong.
    pub reason: String,
    /// The whole pattern.
    pub pattern: String,
    /// Where in the pattern, in bytes; its length where something is missing at the end or the place is not known.
    pub at: usize,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in \"{}\"", self.reason, self.pattern)?;
        match self.pattern.get(self.at..) {
            Some(rest) if !rest.is_empty() => write!(f, " at \"{rest}\""),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for PatternError {}

/// A backtracking pattern reached its limit before it could tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooSlow;

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("match limit exceeded")
    }
}

impl std::error::Error for TooSlow {}

impl Pattern {
    /// Checks a pattern; `caseless` is nginx's `~*`. The program of one that is small and plain is built later.
    pub fn new(source: &str, caseless: bool) -> Result<Pattern, PatternError> {
        let translated = translate::translate(source)?;
        let pattern = Pattern(Arc::new(Compiled {
            source: source.into(),
            caseless,
            groups: translated.groups,
            program: OnceLock::new(),
            has_dollar: translated.has_dollar(),
            before_line_feed: OnceLock::new(),
            names: translated.names.as_slice().into(),
        }));
        let is_plain = !translated.backtracks
            && translated.states <= LAZY_STATES_MAX
            && translated.groups <= LAZY_GROUPS_MAX
            && source.len() <= LAZY_STATES_MAX;
        if !is_plain {
            let failed = |reason: String| PatternError { reason, pattern: source.into(), at: source.len() };
            let program = build(&translated, caseless).map_err(failed)?;
            // The cell is empty: nobody else has seen the pattern yet.
            let _ = pattern.0.program.set(program);
        }
        Ok(pattern)
    }

    /// Whether the pattern matches anywhere in `text`.
    pub fn is_match(&self, text: &[u8]) -> Result<bool, TooSlow> {
        match self.program_for(text) {
            Program::Linear(regex) => Ok(regex.is_match(text)),
            Program::Backtracking(regex) => regex.is_match(text).map_err(|_| TooSlow),
            Program::Missing => Err(TooSlow),
        }
    }

    /// What the groups matched, or `None` where the pattern does not match. Nothing is allocated for a pattern without
    /// groups, whose captures are empty.
    pub fn captures(&self, text: &[u8]) -> Result<Option<Captures>, TooSlow> {
        if !self.is_match(text)? {
            return Ok(None);
        }
        if self.0.groups == 0 {
            return Ok(Some(Captures::default()));
        }
        Ok(match self.program_for(text) {
            Program::Linear(regex) => regex
                .captures(text)
                .map(|found| Captures::new(text, found.iter().map(|group| group.map(|group| group.range())))),
            Program::Backtracking(regex) => regex
                .captures(text)
                .map_err(|_| TooSlow)?
                .map(|found| Captures::new(text, found.iter().map(|group| group.map(|group| group.range())))),
            Program::Missing => None,
        })
    }

    /// The named groups: each group's number and name, in the order of the numbers.
    pub fn names(&self) -> Vec<(usize, String)> {
        self.0.names.to_vec()
    }

    /// How many groups the pattern has.
    pub fn groups(&self) -> usize {
        self.0.groups
    }

    /// The pattern as it was written.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// Whether a match takes time linear in the text, whatever the text is (but for a line feed at its end).
    #[cfg(test)]
    fn is_linear(&self) -> bool {
        matches!(self.program_for(b""), Program::Linear(_))
    }

    /// The program that suits a text, built where it is the first.
    fn program_for(&self, text: &[u8]) -> &Program {
        let pattern = &*self.0;
        let program = pattern.program.get_or_init(|| pattern.build(build));
        match program {
            Program::Linear(_) if pattern.has_dollar && text.ends_with(b"\n") => {
                pattern.before_line_feed.get_or_init(|| pattern.build(build_backtracking))
            }
            program => program,
        }
    }
}

impl Compiled {
    fn build(&self, build: fn(&Translated, bool) -> Result<Program, String>) -> Program {
        let translated = translate::translate(&self.source).ok();
        translated.and_then(|translated| build(&translated, self.caseless).ok()).unwrap_or(Program::Missing)
    }
}

fn build(translated: &Translated, caseless: bool) -> Result<Program, String> {
    match translated.backtracks {
        false => match linear(&translated.text(false), caseless) {
            Ok(regex) => Ok(Program::Linear(Box::new(regex))),
            Err(_) => build_backtracking(translated, caseless),
        },
        true => build_backtracking(translated, caseless),
    }
}

fn build_backtracking(translated: &Translated, caseless: bool) -> Result<Program, String> {
    backtracking(&translated.text(true), caseless).map(|regex| Program::Backtracking(Box::new(regex)))
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pattern").field(&self.0.source).finish()
    }
}

fn linear(text: &str, caseless: bool) -> Result<regex::bytes::Regex, regex::Error> {
    regex::bytes::RegexBuilder::new(text)
        .unicode(false)
        .case_insensitive(caseless)
        .size_limit(PROGRAM_BYTES_MAX)
        .build()
}

fn backtracking(text: &str, caseless: bool) -> Result<fancy_regex::Regex, String> {
    fancy_regex::RegexBuilder::new(text)
        .bytes_mode(BytesMode::Ascii)
        .case_insensitive(caseless)
        .backtrack_limit(BACKTRACKS_MAX)
        .delegate_size_limit(PROGRAM_BYTES_MAX)
        .build()
        .map_err(|error| one_line(&error.to_string()))
}

/// The engines draw a picture of the mistake on several lines; a log line takes the last of them.
fn one_line(message: &str) -> String {
    let last = message.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or(message).trim();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

#[cfg(test)]
mod tests;
