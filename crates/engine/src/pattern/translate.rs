//! From PCRE's syntax to that of the Rust engines.
//!
//! Both descend from Perl, so most of a pattern passes unchanged. What differs is spelt out here: which characters need no
//! backslash, what a backslash before a harmless one means, bytes beyond ASCII, `$` before a last line feed, and everything
//! within square brackets.

mod class;
mod escape;
mod group;

use super::PatternError;
use std::fmt::Write as _;

/// `$` outside of multi-line mode: at the end, or before a line feed that is the end.
const DOLLAR: &str = r"(?=\n?\z)";

const NO_SUCH_GROUP: &str = "reference to non-existent subpattern";

/// A pattern in the engines' syntax.
pub(super) struct Translated {
    text: String,
    /// Where in `text` a `$` stands that means [`DOLLAR`].
    dollars: Vec<usize>,
    /// Whether only the backtracking engine knows all that is in it.
    pub(super) backtracks: bool,
    /// How many groups it has.
    pub(super) groups: usize,
    /// The number and name of each group that has a name.
    pub(super) names: Vec<(usize, String)>,
    /// About how many states its program has: its length times all its counted repetitions.
    pub(super) states: usize,
}

impl Translated {
    pub(super) fn has_dollar(&self) -> bool {
        !self.dollars.is_empty()
    }

    /// The text, with `$` as look-ahead for the backtracking engine, or as it is for texts that end in no line feed.
    pub(super) fn text(&self, looks_ahead: bool) -> String {
        let mut out = String::with_capacity(self.text.len());
        let mut done = 0;
        for &dollar in &self.dollars {
            out.push_str(&self.text[done..dollar]);
            out.push_str(if looks_ahead { DOLLAR } else { r"\z" });
            done = dollar + 1;
        }
        out + &self.text[done..]
    }
}

/// Translates a pattern; mistakes are told in PCRE's words.
pub(super) fn translate(source: &str) -> Result<Translated, PatternError> {
    let mut translator = Translator::new(source);
    translator.run()?;
    Ok(Translated {
        states: translator.out.len().saturating_mul(translator.repetitions),
        text: translator.out,
        dollars: translator.dollars,
        backtracks: translator.backtracks,
        groups: translator.groups as usize,
        names: translator.names.into_iter().map(|(group, name)| (group as usize, name.to_owned())).collect(),
    })
}

struct Translator<'a> {
    source: &'a str,
    at: usize,
    out: String,
    dollars: Vec<usize>,
    backtracks: bool,
    /// The options in force, one entry per group that is open; they end with their group.
    options: Vec<Options>,
    /// Groups that have begun so far.
    groups: u32,
    /// The numbers and names of those that have one.
    names: Vec<(u32, &'a str)>,
    /// The product of all counted repetitions: no part of the pattern stands for more copies of itself.
    repetitions: usize,
    /// The highest group that is referred to, and where; groups may follow their references.
    reference: Option<(u32, usize)>,
    /// Whether what came last can be repeated.
    repeatable: bool,
}

/// The options that the translation must know.
#[derive(Clone, Copy, Default)]
struct Options {
    /// `(?m)`: `$` matches at the end of every line.
    multi_line: bool,
    /// `(?x)`: white space and comments stand for nothing.
    extended: bool,
}

impl<'a> Translator<'a> {
    fn new(source: &'a str) -> Translator<'a> {
        Translator {
            source,
            at: 0,
            out: String::with_capacity(source.len() + 8),
            dollars: Vec::new(),
            backtracks: false,
            options: vec![Options::default()],
            groups: 0,
            names: Vec::new(),
            repetitions: 1,
            reference: None,
            repeatable: false,
        }
    }

    fn run(&mut self) -> Result<(), PatternError> {
        while let Some(byte) = self.next() {
            match byte {
                b'\\' => self.escape()?,
                b'[' => self.class()?,
                b'(' => self.open_group()?,
                b')' => self.close_group()?,
                b'*' | b'+' | b'?' => self.quantifier(char::from(byte).to_string())?,
                b'{' => self.counted()?,
                b'|' => self.emit("|", false),
                b'^' => self.emit("^", false),
                b'.' => self.emit(".", true),
                b'$' => self.dollar(),
                b'#' if self.options().extended => self.skip_past(b'\n'),
                _ if byte.is_ascii_whitespace() && self.options().extended => {}
                _ => self.literal(byte),
            }
        }
        match self.reference {
            _ if self.options.len() > 1 => Err(self.error("missing closing parenthesis")),
            Some((group, at)) if group > self.groups => Err(PatternError { at, ..self.error(NO_SUCH_GROUP) }),
            _ => Ok(()),
        }
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn peek(&self) -> Option<u8> {
        self.source.as_bytes().get(self.at).copied()
    }

    /// Steps over `text` if it comes next.
    fn eat(&mut self, text: &str) -> bool {
        let comes = self.rest().starts_with(text.as_bytes());
        if comes {
            self.at += text.len();
        }
        comes
    }

    fn rest(&self) -> &'a [u8] {
        &self.source.as_bytes()[self.at..]
    }

    fn skip_past(&mut self, byte: u8) {
        self.at += memchr::memchr(byte, self.rest()).map_or(self.rest().len(), |found| found + 1);
    }

    /// The text up to `end`, which is stepped over too.
    fn until(&mut self, end: u8, missing: &str) -> Result<&'a str, PatternError> {
        let length = memchr::memchr(end, self.rest()).ok_or_else(|| self.error_at_end(missing))?;
        let text = &self.source[self.at..self.at + length];
        self.at += length + 1;
        Ok(text)
    }

    fn options(&self) -> Options {
        self.options.last().copied().unwrap_or_default()
    }

    fn emit(&mut self, text: &str, repeatable: bool) {
        self.out.push_str(text);
        self.repeatable = repeatable;
    }

    /// One byte that stands for itself.
    fn literal(&mut self, byte: u8) {
        push_literal(&mut self.out, byte);
        self.repeatable = true;
    }

    fn dollar(&mut self) {
        if !self.options().multi_line {
            self.dollars.push(self.out.len());
        }
        self.emit("$", false);
    }

    /// A `{`: the begin of a counted repetition, or a brace.
    fn counted(&mut self) -> Result<(), PatternError> {
        let Some(length) = counted_length(self.rest()) else {
            self.literal(b'{');
            return Ok(());
        };
        let quantifier = &self.source[self.at - 1..self.at + length];
        self.at += length;
        let numbers = quantifier.trim_matches(['{', '}']);
        let mut bounds = numbers.split(',').map(|number| number.parse().unwrap_or(u32::MAX));
        let low = bounds.next().unwrap_or(0);
        let high = bounds.next().filter(|_| !numbers.ends_with(',')).unwrap_or(low);
        match () {
            _ if low.max(high) > 65_535 => Err(self.error_before("number too big in {} quantifier")),
            _ if low > high => Err(self.error_before("numbers out of order in {} quantifier")),
            _ => {
                self.repetitions = self.repetitions.saturating_mul(high.max(1) as usize);
                self.quantifier(quantifier.to_owned())
            }
        }
    }

    /// A repetition, with the `?` or `+` that may follow it.
    fn quantifier(&mut self, mut text: String) -> Result<(), PatternError> {
        if !self.repeatable {
            return Err(self.error_before("quantifier does not follow a repeatable item"));
        }
        if self.eat("+") {
            self.backtracks = true;
            text.push('+');
        } else if self.eat("?") {
            text.push('?');
        }
        self.emit(&text, false);
        Ok(())
    }

    fn error(&self, reason: &str) -> PatternError {
        PatternError { reason: reason.into(), pattern: self.source.into(), at: self.at }
    }

    /// A mistake in the byte that was read last.
    fn error_before(&self, reason: &str) -> PatternError {
        PatternError { at: self.at - 1, ..self.error(reason) }
    }

    fn error_at_end(&self, reason: &str) -> PatternError {
        PatternError { at: self.source.len(), ..self.error(reason) }
    }
}

/// The length of `n}`, `n,}` or `n,m}` at the begin of `rest`; anything else makes the brace before it a plain one.
fn counted_length(rest: &[u8]) -> Option<usize> {
    let length = memchr::memchr(b'}', rest)?;
    let digits = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let inside = &rest[..length];
    let is_counted = match memchr::memchr(b',', inside) {
        None => digits(inside),
        Some(comma) => digits(&inside[..comma]) && (comma + 1 == length || digits(&inside[comma + 1..])),
    };
    is_counted.then_some(length + 1)
}

/// Writes a byte so that it stands for itself, within square brackets and without.
fn push_literal(out: &mut String, byte: u8) {
    match byte {
        _ if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_') => out.push(char::from(byte)),
        0x80.. => drop(write!(out, "[\\x{byte:02X}]")),
        _ => drop(write!(out, "\\x{byte:02X}")),
    }
}
