//! `match` blocks: what the response to a probe has to be like.

use super::{Failure, Stage};
use crate::http1::{Headers, ResponseHead};
use crate::pattern::Pattern;
use crate::template::Template;
use crate::variable::Variable;
use std::ops::RangeInclusive;

/// So much of a body is looked at, as in NGINX Plus.
pub const BODY_BYTES_MAX: usize = 256 * 1024;

/// A `match` block. A response passes when it meets every condition.
#[derive(Debug, Clone)]
pub struct Match {
    /// The block's name.
    pub name: Box<str>,
    /// The conditions, in the order of the file.
    pub conditions: Vec<Condition>,
}

/// One line of a `match` block.
#[derive(Debug, Clone)]
pub enum Condition {
    /// `status`.
    Status(StatusSet),
    /// `header`.
    Header {
        /// The header's name.
        name: Box<str>,
        /// What it has to be like.
        test: HeaderTest,
    },
    /// `body ~` and `body !~`.
    Body {
        /// What is searched in the beginning of the body.
        pattern: Pattern,
        /// Whether it must not be there.
        negated: bool,
    },
    /// `require`: each has to be neither empty nor `0`.
    Require(Vec<Template>),
}

/// A list of statuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusSet {
    /// The statuses and ranges.
    pub ranges: Vec<RangeInclusive<u16>>,
    /// Whether all others are meant: `! 500-599`.
    pub negated: bool,
}

/// What a header has to be like. All but [`HeaderTest::Absent`] ask that it is there.
#[derive(Debug, Clone)]
pub enum HeaderTest {
    /// It is there: `header Host`.
    Present,
    /// It is not: `header ! X-Accel-Redirect`.
    Absent,
    /// One of its lines has this value.
    Equals(Box<str>),
    /// None of its lines has it.
    Differs(Box<str>),
    /// One of its lines matches.
    Matches(Pattern),
    /// None of its lines matches.
    Lacks(Pattern),
}

impl Match {
    /// Whether the body has to be read.
    pub fn wants_body(&self) -> bool {
        self.conditions.iter().any(|condition| matches!(condition, Condition::Body { .. }))
    }

    /// What a passing response is looked at for last.
    pub(super) fn last_stage(&self) -> Stage {
        self.conditions.iter().map(Condition::stage).max_by_key(|stage| *stage as u8).unwrap_or(Stage::Status)
    }

    /// Whether the response passes. `value` appends the value of a variable.
    pub fn evaluate(
        &self,
        head: &ResponseHead,
        body: &[u8],
        mut value: impl FnMut(&Variable, &mut Vec<u8>),
    ) -> Result<(), Failure> {
        // The cheap conditions first, which is also the order in which they are known.
        let mut sorted: Vec<&Condition> = self.conditions.iter().collect();
        sorted.sort_by_key(|condition| condition.stage() as u8);
        sorted.into_iter().try_for_each(|condition| condition.evaluate(head, body, &mut value))
    }
}

impl Condition {
    /// Reads the words after `status`: `200`, `200-399 404`, `! 500-599`.
    pub fn status(words: &[&str]) -> Result<Condition, String> {
        let (negated, words) = negation(words);
        if words.is_empty() {
            return Err("no status codes in \"status\"".into());
        }
        let ranges = words.iter().map(|word| status_range(word)).collect::<Result<_, _>>()?;
        Ok(Condition::Status(StatusSet { ranges, negated }))
    }

    /// Reads the words after `header`: `Name`, `! Name`, `Name = text`, `!=`, `~`, `!~`, and `~*` and `!~*` without
    /// regard to case.
    pub fn header(words: &[&str]) -> Result<Condition, String> {
        let (name, test) = match *words {
            ["!", name] => (name, HeaderTest::Absent),
            [name] => (name, HeaderTest::Present),
            [name, "=", text] => (name, HeaderTest::Equals(text.into())),
            [name, "!=", text] => (name, HeaderTest::Differs(text.into())),
            [name, operator, text] => match pattern(operator, text)? {
                (pattern, false) => (name, HeaderTest::Matches(pattern)),
                (pattern, true) => (name, HeaderTest::Lacks(pattern)),
            },
            _ => return Err("invalid number of arguments in \"header\"".into()),
        };
        match name {
            "" => Err("empty header name".into()),
            name => Ok(Condition::Header { name: name.into(), test }),
        }
    }

    /// Reads the words after `body`: `~ pattern`, `!~ pattern`, and with `~*` and `!~*` without regard to case.
    pub fn body(words: &[&str]) -> Result<Condition, String> {
        let [operator, text] = words else { return Err("invalid number of arguments in \"body\"".into()) };
        pattern(operator, text).map(|(pattern, negated)| Condition::Body { pattern, negated })
    }

    fn stage(&self) -> Stage {
        match self {
            Condition::Status(_) => Stage::Status,
            Condition::Header { .. } => Stage::Header,
            Condition::Body { .. } => Stage::Body,
            Condition::Require(_) => Stage::Variables,
        }
    }

    fn evaluate(
        &self,
        head: &ResponseHead,
        body: &[u8],
        value: &mut impl FnMut(&Variable, &mut Vec<u8>),
    ) -> Result<(), Failure> {
        let failed = |detail: String| Err(Failure::new(self.stage(), detail));
        match self {
            Condition::Status(set) if set.contains(head.status) => Ok(()),
            Condition::Status(_) => failed(format!("unexpected status {}", head.status)),
            Condition::Header { name, test } => test.evaluate(name, &head.headers).or_else(failed),
            Condition::Body { pattern, negated } => match pattern.is_match(&body[..body.len().min(BODY_BYTES_MAX)]) {
                Ok(found) if found != *negated => Ok(()),
                Ok(true) => failed(format!("body matches \"{}\"", pattern.source())),
                Ok(false) => failed(format!("body does not match \"{}\"", pattern.source())),
                Err(slow) => failed(slow.to_string()),
            },
            Condition::Require(templates) => templates.iter().try_for_each(|template| {
                let mut text = Vec::new();
                template.render(&mut text, &mut *value);
                match text.as_slice() {
                    b"" | b"0" => failed("required variable is empty or \"0\"".into()),
                    _ => Ok(()),
                }
            }),
        }
    }
}

impl StatusSet {
    /// Whether a response of this status passes.
    pub fn contains(&self, status: u16) -> bool {
        self.ranges.iter().any(|range| range.contains(&status)) != self.negated
    }
}

impl HeaderTest {
    fn evaluate(&self, name: &str, headers: &Headers) -> Result<(), String> {
        let is_there = headers.first(name).is_some();
        match self {
            HeaderTest::Absent if is_there => Err(format!("unexpected header \"{name}\"")),
            HeaderTest::Absent => Ok(()),
            _ if !is_there => Err(format!("no header \"{name}\"")),
            HeaderTest::Present => Ok(()),
            HeaderTest::Equals(text) if headers.all(name).any(|value| value == text.as_bytes()) => Ok(()),
            HeaderTest::Differs(text) if headers.all(name).all(|value| value != text.as_bytes()) => Ok(()),
            HeaderTest::Matches(pattern) if any_match(pattern, headers, name)? => Ok(()),
            HeaderTest::Lacks(pattern) if !any_match(pattern, headers, name)? => Ok(()),
            _ => Err(format!("unexpected value of header \"{name}\"")),
        }
    }
}

fn any_match(pattern: &Pattern, headers: &Headers, name: &str) -> Result<bool, String> {
    let mut found = false;
    for value in headers.all(name) {
        found |= pattern.is_match(value).map_err(|slow| slow.to_string())?;
    }
    Ok(found)
}

/// Splits a leading `!` from the words.
fn negation<'a>(words: &'a [&'a str]) -> (bool, &'a [&'a str]) {
    match words {
        ["!", rest @ ..] => (true, rest),
        words => (false, words),
    }
}

fn status_range(word: &str) -> Result<RangeInclusive<u16>, String> {
    let status = |text: &str| text.parse().ok().filter(|code| (100..=999).contains(code) && text.len() == 3);
    let (low, high) = word.split_once('-').unwrap_or((word, word));
    match (status(low), status(high)) {
        (Some(low), Some(high)) if low <= high => Ok(low..=high),
        _ => Err(format!("invalid status \"{word}\"")),
    }
}

fn pattern(operator: &str, text: &str) -> Result<(Pattern, bool), String> {
    let (caseless, negated) = match operator {
        "~" => (false, false),
        "~*" => (true, false),
        "!~" => (false, true),
        "!~*" => (true, true),
        other => return Err(format!("invalid operator \"{other}\"")),
    };
    Pattern::new(text, caseless).map(|pattern| (pattern, negated)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
