//! What is wrong with a configuration: a place, a fact, and where it can be seen.

use crate::config::{Level, Place};
use crate::source::{Source, Span};
use std::fmt;

/// One message about a configuration.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// [`Level::Emerg`] where the configuration can't be used, [`Level::Warn`] otherwise.
    pub level: Level,
    /// The fact, in nginx's words where nginx has any.
    pub message: String,
    /// The file and line that nginx would name; a line of 0 stands for the command line's `-g`.
    pub place: Option<Place>,
    /// The words that it is about.
    pub span: Option<Span>,
    /// What may have been meant: `did you mean "proxy_pass"?`.
    pub suggestion: Option<String>,
    /// Sorts messages as nginx would meet them.
    pub(crate) order: usize,
}

impl fmt::Display for Diagnostic {
    /// The one-line form: `[emerg] unknown directive "proxy_pas" in conf/nginx.conf:12`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}", self.level.name(), self.message)?;
        match &self.place {
            Some(place) if place.line == 0 => write!(f, " in {}", place.file.display()),
            Some(place) => write!(f, " in {place}"),
            None => Ok(()),
        }
    }
}

impl Diagnostic {
    /// The form for a terminal: the one-line form after `program: `, then the source line with the words underlined.
    pub fn render_terminal(&self, sources: &[Source], program: &str, color: bool) -> String {
        let paint = |code: &str, text: &str| if color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() };
        let accent = if self.level <= Level::Error { "1;31" } else { "1;33" };
        let mut out = paint("1", &format!("{program}: {self}"));
        out.push('\n');
        let Some((source, span)) = self.span.and_then(|span| Some((sources.get(span.source)?, span))) else {
            if let Some(suggestion) = &self.suggestion {
                out.push_str(&format!("  = {suggestion}\n"));
            }
            return out;
        };
        let line = source.line_of(span);
        let number = line.number.to_string();
        let gutter = " ".repeat(number.len());
        let blank: String = line.text.chars().take(line.column).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let hint = self.suggestion.as_ref().map(|hint| format!(" {hint}")).unwrap_or_default();
        out.push_str(&format!("{gutter} {}\n", paint("34", "|")));
        out.push_str(&format!("{} {} {}\n", paint("34", &number), paint("34", "|"), line.text));
        let carets = paint(accent, &format!("{}{hint}", "^".repeat(line.width)));
        out.push_str(&format!("{gutter} {} {blank}{carets}\n", paint("34", "|")));
        out
    }
}

/// Why a configuration can't be used: all that is wrong with it, in the order of the files.
#[derive(Debug, Clone)]
pub struct Report {
    /// Errors and warnings, as nginx would meet them. At least one is an error.
    pub diagnostics: Vec<Diagnostic>,
    /// The files that were read, for [`Diagnostic::render_terminal`].
    pub sources: Vec<Source>,
}

impl Report {
    /// The one-line form of every diagnostic, as logs and reloads want it.
    pub fn lines(&self) -> Vec<String> {
        self.diagnostics.iter().map(ToString::to_string).collect()
    }

    /// The form for a terminal of every diagnostic. `program` stands in front of each message.
    pub fn render_terminal(&self, program: &str, color: bool) -> String {
        self.diagnostics.iter().map(|found| found.render_terminal(&self.sources, program, color)).collect()
    }
}

impl fmt::Display for Report {
    /// The one-line forms, a line each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines().iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl std::error::Error for Report {}

/// What a setter finds wrong with its directive.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) message: String,
    /// Which word it is about; 0 is the directive's name.
    pub(crate) word: usize,
    pub(crate) suggestion: Option<String>,
}

impl Fault {
    /// A fact about the directive as a whole.
    pub(crate) fn new(message: impl Into<String>) -> Fault {
        Fault { message: message.into(), word: 0, suggestion: None }
    }

    /// A fact about the argument with this number.
    pub(crate) fn at(word: usize, message: impl Into<String>) -> Fault {
        Fault { message: message.into(), word, suggestion: None }
    }

    /// Adds what a person may do about it.
    pub(crate) fn hint(mut self, suggestion: impl Into<String>) -> Fault {
        self.suggestion = Some(suggestion.into());
        self
    }
}
