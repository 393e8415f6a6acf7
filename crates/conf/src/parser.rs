//! From files to one tree: statements become directives, `include` is replaced by what it names.
//!
//! Reading goes on after a missing file, so that all missing files are reported. It stops at the first statement that
//! has no sense (a stray brace, an unfinished word), since everything after it would be guesswork. It also stops where
//! blocks or files are nested too deeply, since everybody who walks the tree does so by recursion.

use crate::config::{Level, Place};
use crate::diagnostic::Diagnostic;
use crate::include;
use crate::lexer::{End, LexError, Lexer, Statement};
use crate::source::{Source, Span};
use crate::syntax::{Block, Directive};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How many blocks may stand in each other, through all files. nginx sets no bound; people stay below ten.
const BLOCKS_MAX: usize = 100;

/// How many files may include each other in a row.
const FILES_MAX: usize = 100;

/// What the files say, and what is wrong with them as text.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    pub(crate) items: Vec<Directive>,
    pub(crate) sources: Vec<Source>,
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// Whether reading stopped early or a file is missing: what is absent may stand in the part that was not read.
    pub(crate) incomplete: bool,
}

/// Reads the file, everything that it includes, and the directives of the command line in front of it.
pub(crate) fn parse(file: &Path, globals: Option<&str>) -> Parsed {
    let folder = file.parent().unwrap_or(Path::new("/")).to_path_buf();
    let mut parser = Parser { folder, parsed: Parsed::default(), order: 0, open: Vec::new(), blocks: 0 };
    let mut items = Vec::new();
    let done = match globals {
        Some(globals) => parser.parameter(globals, &mut items),
        None => Ok(()),
    };
    if done.is_ok() {
        // A text that broke off has left its message; what was read before it is still worth looking at.
        let _stopped = parser.file(file, None, &mut items);
    }
    parser.parsed.items = items;
    parser.parsed
}

/// Reading has stopped; the message was left in [`Parsed::diagnostics`].
struct Stopped;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    File,
    Block,
    Parameter,
}

struct Parser {
    /// Where relative includes are looked for.
    folder: PathBuf,
    parsed: Parsed,
    order: usize,
    /// The files that are being read, outermost first, to find loops.
    open: Vec<PathBuf>,
    /// How many blocks are open, in all of these files.
    blocks: usize,
}

impl Parser {
    fn parameter(&mut self, text: &str, items: &mut Vec<Directive>) -> Result<(), Stopped> {
        let text: Arc<[u8]> = Arc::from(text.as_bytes());
        let path: Arc<Path> = Arc::from(Path::new("command line"));
        let source = self.add_source(path.clone(), text.clone());
        let mut lexer = Lexer::new(&text, source, true);
        self.statements(&mut lexer, &path, Inside::Parameter, items).map(|_| ())
    }

    fn file(&mut self, path: &Path, from: Option<&Directive>, items: &mut Vec<Directive>) -> Result<(), Stopped> {
        let real = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        if self.open.contains(&real) {
            self.parsed.incomplete = true;
            let message = format!("include loop: \"{}\" is being read already", path.display());
            self.report(message, from);
            return Ok(());
        }
        let read = if from.is_some() { include::read_regular } else { include::read };
        let text: Arc<[u8]> = match read(path) {
            Ok(text) => text.into(),
            Err(message) => {
                self.parsed.incomplete = true;
                self.report(message, from);
                return Ok(());
            }
        };
        let path: Arc<Path> = Arc::from(path);
        let source = self.add_source(path.clone(), text.clone());
        self.open.push(real);
        let mut lexer = Lexer::new(&text, source, false);
        let done = self.statements(&mut lexer, &path, Inside::File, items);
        self.open.pop();
        done.map(|_| ())
    }

    /// Reads up to the closing brace or the end of the text, and returns where that is.
    fn statements(
        &mut self,
        lexer: &mut Lexer<'_>,
        file: &Arc<Path>,
        inside: Inside,
        items: &mut Vec<Directive>,
    ) -> Result<(Place, usize), Stopped> {
        loop {
            let statement = lexer.statement().map_err(|error| self.stop(file, error))?;
            let place = place(file, inside, statement.line);
            self.warn_of_lossy(&statement, &place);
            match statement.end {
                End::Close if inside == Inside::Block => return Ok((place, self.next_order())),
                End::Close => return Err(self.stop_here(file, lexer, "unexpected \"}\"")),
                End::Text if inside != Inside::Block => return Ok((place, self.next_order())),
                End::Text => return Err(self.stop_here(file, lexer, "unexpected end of file, expecting \"}\"")),
                End::Open if inside == Inside::Parameter => {
                    return Err(self.stop_here(file, lexer, "block directives are not supported in -g option"));
                }
                End::Open | End::Semicolon => self.directive(statement, place, lexer, file, items)?,
            }
        }
    }

    fn directive(
        &mut self,
        statement: Statement,
        place: Place,
        lexer: &mut Lexer<'_>,
        file: &Arc<Path>,
        items: &mut Vec<Directive>,
    ) -> Result<(), Stopped> {
        let order = self.next_order();
        let mut directive = Directive { words: statement.words, block: None, place, order };
        if statement.end == End::Semicolon {
            if directive.name() == "include" && directive.words.len() == 2 {
                return self.include(&directive, items);
            }
            items.push(directive);
            return Ok(());
        }
        if self.blocks == BLOCKS_MAX {
            return Err(self.stop_at(&directive, "too many nested blocks"));
        }
        let mut block = Block::default();
        self.blocks += 1;
        let done = self.statements(lexer, file, Inside::Block, &mut block.items);
        self.blocks -= 1;
        block.close = done.as_ref().ok().cloned();
        directive.block = Some(block);
        items.push(directive);
        done.map(|_| ())
    }

    fn include(&mut self, directive: &Directive, items: &mut Vec<Directive>) -> Result<(), Stopped> {
        if self.open.len() == FILES_MAX {
            return Err(self.stop_at(directive, "too many nested includes"));
        }
        let wanted = self.folder.join(directive.arg(1));
        match include::files(&wanted) {
            Ok(files) => files.iter().try_for_each(|file| self.file(file, Some(directive), items)),
            Err(message) => {
                self.parsed.incomplete = true;
                self.report(message, Some(directive));
                Ok(())
            }
        }
    }

    fn add_source(&mut self, path: Arc<Path>, text: Arc<[u8]>) -> usize {
        let is_parameter = self.parsed.sources.is_empty() && self.open.is_empty() && path.as_os_str() == "command line";
        self.parsed.sources.push(Source { path, is_parameter, text });
        self.parsed.sources.len() - 1
    }

    fn next_order(&mut self) -> usize {
        self.order += 1;
        self.order
    }

    fn stop(&mut self, file: &Arc<Path>, error: LexError) -> Stopped {
        let inside = if self.open.is_empty() { Inside::Parameter } else { Inside::File };
        let place = place(file, inside, error.line);
        let order = self.next_order();
        self.push(Level::Emerg, error.message, Some(place), Some(error.span), order);
        self.parsed.incomplete = true;
        Stopped
    }

    fn stop_here(&mut self, file: &Arc<Path>, lexer: &Lexer<'_>, message: &str) -> Stopped {
        self.stop(file, LexError { message: message.into(), line: lexer.line(), span: lexer.here() })
    }

    fn stop_at(&mut self, directive: &Directive, message: &str) -> Stopped {
        let (place, span) = (directive.place.clone(), directive.words[0].span);
        self.push(Level::Emerg, message.into(), Some(place), Some(span), directive.order);
        self.parsed.incomplete = true;
        Stopped
    }

    fn report(&mut self, message: String, from: Option<&Directive>) {
        let place = from.map(|directive| directive.place.clone());
        let span = from.map(|directive| directive.words[1].span);
        let order = from.map_or(self.order, |directive| directive.order);
        self.push(Level::Emerg, message, place, span, order);
    }

    fn warn_of_lossy(&mut self, statement: &Statement, place: &Place) {
        if let Some(span) = statement.lossy {
            let message = "an argument is not valid UTF-8; the bytes in question are replaced by U+FFFD";
            let order = self.order + 1;
            self.push(Level::Warn, message.into(), Some(place.clone()), Some(span), order);
        }
    }

    fn push(&mut self, level: Level, message: String, place: Option<Place>, span: Option<Span>, order: usize) {
        self.parsed.diagnostics.push(Diagnostic { level, message, place, span, suggestion: None, order });
    }
}

/// A line of 0 stands for the command line, which has none.
fn place(file: &Arc<Path>, inside: Inside, line: u32) -> Place {
    Place { file: file.clone(), line: if inside == Inside::Parameter { 0 } else { line } }
}
