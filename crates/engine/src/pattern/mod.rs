//! Regular expressions as nginx's users write them: PCRE syntax over bytes, in bounded time.
//!
//! A pattern is translated to the syntax of the `regex` crate, which matches in linear time. Look-around, back-references
//! and the like need backtracking; those run under a limit, and [`TooSlow`] says that it was reached.

mod captures;
mod translate;

pub use captures::Captures;

use fancy_regex::BytesMode;
use std::fmt;
use std::sync::Arc;

/// How often a backtracking pattern may go back. It bounds one match to a few milliseconds.
const BACKTRACKS_MAX: usize = 100_000;
/// The most memory that one compiled pattern may take. A pattern of nginx's largest counted repetition fits.
const PROGRAM_BYTES_MAX: usize = 16 << 20;

/// A compiled pattern. Clones share it.
#[derive(Clone)]
pub struct Pattern(Arc<Compiled>);

struct Compiled {
    source: String,
    names: Vec<(usize, String)>,
    groups: usize,
    program: Program,
    /// The same pattern for texts that end in a line feed, where it makes a difference: PCRE's `$` matches before a last
    /// line feed too, which the linear engine cannot say.
    before_line_feed: Option<fancy_regex::Regex>,
}

enum Program {
    Linear(regex::bytes::Regex),
    Backtracking(fancy_regex::Regex),
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
    /// Compiles a pattern; `caseless` is nginx's `~*`.
    pub fn new(source: &str, caseless: bool) -> Result<Pattern, PatternError> {
        let translated = translate::translate(source)?;
        let failed = |reason: String| PatternError { reason, pattern: source.into(), at: source.len() };
        let linear = match translated.backtracks {
            true => None,
            false => linear(&translated.text(false), caseless).ok(),
        };
        let before_line_feed = match linear.is_some() && translated.has_dollar() {
            true => Some(backtracking(&translated.text(true), caseless).map_err(failed)?),
            false => None,
        };
        let program = match linear {
            Some(regex) => Program::Linear(regex),
            None => Program::Backtracking(backtracking(&translated.text(true), caseless).map_err(failed)?),
        };
        let (names, groups) = (program.names(), program.groups());
        Ok(Pattern(Arc::new(Compiled { source: source.into(), names, groups, program, before_line_feed })))
    }

    /// Whether the pattern matches anywhere in `text`.
    pub fn is_match(&self, text: &[u8]) -> Result<bool, TooSlow> {
        match self.program_for(text) {
            Choice::Linear(regex) => Ok(regex.is_match(text)),
            Choice::Backtracking(regex) => regex.is_match(text).map_err(|_| TooSlow),
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
            Choice::Linear(regex) => regex
                .captures(text)
                .map(|found| Captures::new(text, found.iter().map(|group| group.map(|group| group.range())))),
            Choice::Backtracking(regex) => regex
                .captures(text)
                .map_err(|_| TooSlow)?
                .map(|found| Captures::new(text, found.iter().map(|group| group.map(|group| group.range())))),
        })
    }

    /// The named groups: each group's number and name, in the order of the numbers.
    pub fn names(&self) -> Vec<(usize, String)> {
        self.0.names.clone()
    }

    /// How many groups the pattern has.
    pub fn groups(&self) -> usize {
        self.0.groups
    }

    /// The pattern as it was written.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// Whether a match takes time linear in the text, whatever the text is.
    pub fn is_linear(&self) -> bool {
        matches!(self.0.program, Program::Linear(_))
    }

    fn program_for(&self, text: &[u8]) -> Choice<'_> {
        match (&self.0.program, &self.0.before_line_feed) {
            (Program::Backtracking(regex), _) => Choice::Backtracking(regex),
            (_, Some(regex)) if text.ends_with(b"\n") => Choice::Backtracking(regex),
            (Program::Linear(regex), _) => Choice::Linear(regex),
        }
    }
}

/// The program that suits a text.
enum Choice<'a> {
    Linear(&'a regex::bytes::Regex),
    Backtracking(&'a fancy_regex::Regex),
}

impl Program {
    fn names(&self) -> Vec<(usize, String)> {
        fn named<'a>(names: impl Iterator<Item = Option<&'a str>>) -> Vec<(usize, String)> {
            names.enumerate().filter_map(|(group, name)| name.map(|name| (group, name.to_owned()))).collect()
        }
        match self {
            Program::Linear(regex) => named(regex.capture_names()),
            Program::Backtracking(regex) => named(regex.capture_names()),
        }
    }

    fn groups(&self) -> usize {
        match self {
            Program::Linear(regex) => regex.captures_len() - 1,
            Program::Backtracking(regex) => regex.captures_len() - 1,
        }
    }
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
