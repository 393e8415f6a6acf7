//! From bytes to statements, exactly as nginx reads them.
//!
//! A statement is a row of words that ends in `;`, `{`, `}` or the end of the file. A word is bare (it ends at a blank,
//! `;` or `{`; a `{` right after `$` belongs to the word) or quoted (after its closing quote only a blank, `;`, `{` or
//! `)` may follow). A backslash keeps the next byte from ending the word; `\"`, `\'` and `\\` lose their backslash,
//! `\t`, `\r` and `\n` become what they say, every other backslash stays. `#` begins a comment only where a word could
//! begin.

use crate::source::Span;
use crate::syntax::Word;

/// How a statement ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// `;`
    Semicolon,
    /// `{`
    Open,
    /// `}`
    Close,
    /// The end of the text.
    Text,
}

/// Words and what ended them.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) words: Vec<Word>,
    pub(crate) end: End,
    /// The line on which it ended.
    pub(crate) line: u32,
    /// Whether a word held bytes that are not UTF-8.
    pub(crate) lossy: Option<Span>,
}

/// A text that has no statements in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LexError {
    pub(crate) message: String,
    pub(crate) line: u32,
    pub(crate) span: Span,
}

/// nginx reads through a buffer of this size (`NGX_CONF_BUFFER`), and a word must fit into it.
const WORD_BYTES_MAX: usize = 4096;

/// Reads statements from one text.
#[derive(Debug)]
pub(crate) struct Lexer<'t> {
    text: &'t [u8],
    at: usize,
    line: u32,
    source: usize,
    /// Whether the text is the parameter of `-g`, where the messages differ.
    is_parameter: bool,
    lossy: Option<Span>,
}

impl<'t> Lexer<'t> {
    /// Begins at the first byte. `source` is the number that spans carry.
    pub(crate) fn new(text: &'t [u8], source: usize, is_parameter: bool) -> Lexer<'t> {
        Lexer { text, at: 0, line: 1, source, is_parameter, lossy: None }
    }

    /// The line that is being read.
    pub(crate) fn line(&self) -> u32 {
        self.line
    }

    /// An empty span where the lexer is, for messages about what is missing there.
    pub(crate) fn here(&self) -> Span {
        self.span(self.at, self.at)
    }

    /// The next statement.
    pub(crate) fn statement(&mut self) -> Result<Statement, LexError> {
        let mut words = Vec::new();
        loop {
            self.skip_blanks();
            let Some(&byte) = self.text.get(self.at) else { return self.end_of_text(words) };
            match byte {
                b';' | b'{' if words.is_empty() => return Err(self.unexpected(byte)),
                b'}' if !words.is_empty() => return Err(self.unexpected(byte)),
                b';' => return Ok(self.finish(words, End::Semicolon)),
                b'{' => return Ok(self.finish(words, End::Open)),
                b'}' => return Ok(self.finish(words, End::Close)),
                b'"' | b'\'' => words.push(self.quoted_word(byte)?),
                _ => words.push(self.bare_word()?),
            }
        }
    }

    fn finish(&mut self, words: Vec<Word>, end: End) -> Statement {
        self.at += 1;
        Statement { words, end, line: self.line, lossy: self.lossy.take() }
    }

    fn end_of_text(&mut self, words: Vec<Word>) -> Result<Statement, LexError> {
        if words.is_empty() {
            return Ok(Statement { words, end: End::Text, line: self.line, lossy: None });
        }
        Err(self.cut_short())
    }

    fn cut_short(&self) -> LexError {
        let message = if self.is_parameter {
            r#"unexpected end of parameter, expecting ";""#
        } else {
            r#"unexpected end of file, expecting ";" or "}""#
        };
        LexError { message: message.into(), line: self.line, span: self.here() }
    }

    fn unexpected(&self, byte: u8) -> LexError {
        let shown = String::from_utf8_lossy(std::slice::from_ref(&byte)).into_owned();
        LexError { message: format!("unexpected \"{shown}\""), line: self.line, span: self.span(self.at, self.at + 1) }
    }

    /// Comments count as blanks here. nginx trips over one of more than 4096 bytes; nothing would be won by that.
    fn skip_blanks(&mut self) {
        while let Some(&byte) = self.text.get(self.at) {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => self.step(),
                b'#' => self.skip_comment(),
                _ => break,
            }
        }
    }

    fn skip_comment(&mut self) {
        while self.text.get(self.at).is_some_and(|&byte| byte != b'\n') {
            self.step();
        }
    }

    fn quoted_word(&mut self, quote: u8) -> Result<Word, LexError> {
        let opening = self.at;
        let line = self.line;
        self.step();
        let start = self.at;
        loop {
            self.check_length(start, line, Some(quote))?;
            let Some(&byte) = self.text.get(self.at) else { return Err(self.cut_short()) };
            self.step();
            match byte {
                b'\\' => self.skip_escaped()?,
                _ if byte == quote => break,
                _ => {}
            }
        }
        let word = self.word(start, self.at - 1, self.span(opening, self.at));
        match self.text.get(self.at) {
            None => Err(self.cut_short()),
            Some(b' ' | b'\t' | b'\r' | b'\n' | b';' | b'{' | b')') => Ok(word),
            Some(&byte) => Err(self.unexpected(byte)),
        }
    }

    fn bare_word(&mut self) -> Result<Word, LexError> {
        let start = self.at;
        let line = self.line;
        let mut after_dollar = false;
        loop {
            self.check_length(start, line, None)?;
            let Some(&byte) = self.text.get(self.at) else { return Err(self.cut_short()) };
            match byte {
                b'{' if after_dollar => {}
                b' ' | b'\t' | b'\r' | b'\n' | b';' | b'{' => break,
                _ => after_dollar = byte == b'$',
            }
            self.step();
            if byte == b'\\' {
                self.skip_escaped()?;
            }
        }
        Ok(self.word(start, self.at, self.span(start, self.at)))
    }

    fn skip_escaped(&mut self) -> Result<(), LexError> {
        if self.at >= self.text.len() {
            return Err(self.cut_short());
        }
        self.step();
        Ok(())
    }

    fn step(&mut self) {
        if self.text[self.at] == b'\n' {
            self.line += 1;
        }
        self.at += 1;
    }

    fn check_length(&self, start: usize, line: u32, quote: Option<u8>) -> Result<(), LexError> {
        if self.at - start < WORD_BYTES_MAX || self.at >= self.text.len() {
            return Ok(());
        }
        let message = match quote {
            Some(quote) => {
                format!("too long parameter, probably missing terminating \"{}\" character", char::from(quote))
            }
            None => {
                format!("too long parameter \"{}...\" started", String::from_utf8_lossy(&self.text[start..start + 10]))
            }
        };
        Err(LexError { message, line, span: self.span(start, start + 10) })
    }

    fn word(&mut self, start: usize, end: usize, span: Span) -> Word {
        let raw = unescape(&self.text[start..end]);
        let text = String::from_utf8(raw).unwrap_or_else(|bad| {
            self.lossy.get_or_insert(span);
            String::from_utf8_lossy(bad.as_bytes()).into_owned()
        });
        Word { text, span }
    }

    fn span(&self, start: usize, end: usize) -> Span {
        Span { source: self.source, start, end }
    }
}

fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        let replaced = match (byte, bytes.peek()) {
            (b'\\', Some(&quote @ (b'"' | b'\'' | b'\\'))) => quote,
            (b'\\', Some(b't')) => b'\t',
            (b'\\', Some(b'r')) => b'\r',
            (b'\\', Some(b'n')) => b'\n',
            _ => {
                out.push(byte);
                continue;
            }
        };
        out.push(replaced);
        bytes.next();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Result<Vec<String>, String> {
        let statement = Lexer::new(text.as_bytes(), 0, false).statement().map_err(|error| error.message)?;
        Ok(statement.words.into_iter().map(|word| word.text).collect())
    }

    fn strings(list: &[&str]) -> Result<Vec<String>, String> {
        Ok(list.iter().map(|&text| text.to_owned()).collect())
    }

    #[test]
    fn words_end_at_blanks_semicolons_and_braces() {
        assert_eq!(words("a b\tc\r\nd;"), strings(&["a", "b", "c", "d"]));
        assert_eq!(words("location /x{"), strings(&["location", "/x"]));
        assert_eq!(words("a b}c;"), strings(&["a", "b}c"]));
    }

    #[test]
    fn a_brace_after_a_dollar_belongs_to_the_word() {
        assert_eq!(words("a ${b}c;"), strings(&["a", "${b}c"]));
        assert_eq!(words("a x${b}/${c};"), strings(&["a", "x${b}/${c}"]));
    }

    #[test]
    fn quotes_keep_everything_and_must_be_followed_by_an_end() {
        assert_eq!(words("a 'b ; { # \"' \"c 'd'\";"), strings(&["a", "b ; { # \"", "c 'd'"]));
        assert_eq!(words("a '';"), strings(&["a", ""]));
        assert_eq!(words("a 'b'c;"), Err("unexpected \"c\"".into()));
        assert_eq!(words("if ($a = 'b') {"), strings(&["if", "($a", "=", "b", ")"]));
    }

    #[test]
    fn only_some_escapes_lose_their_backslash() {
        assert_eq!(words(r#"a "\"\t\d\\" b\;c;"#), strings(&["a", "\"\t\\d\\", r"b\;c"]));
        assert_eq!(words(r"a \.php$;"), strings(&["a", r"\.php$"]));
    }

    #[test]
    fn a_comment_begins_where_a_word_could() {
        assert_eq!(words("# a b;\nc d#e; # f"), strings(&["c", "d#e"]));
    }

    #[test]
    fn a_text_that_stops_in_a_statement_is_refused() {
        let cut = r#"unexpected end of file, expecting ";" or "}""#;
        for text in ["a", "a b", "a 'b", "a 'b'", "a \\"] {
            assert_eq!(words(text), Err(cut.into()), "{text}");
        }
        assert_eq!(words(";"), Err("unexpected \";\"".into()));
        assert_eq!(words("a }"), Err("unexpected \"}\"".into()));
    }

    #[test]
    fn a_word_must_fit_nginx_buffer() {
        let long = "x".repeat(5000);
        assert_eq!(words(&format!("a {long};")), Err("too long parameter \"xxxxxxxxxx...\" started".into()));
        let message = "too long parameter, probably missing terminating \"'\" character";
        assert_eq!(words(&format!("a '{long}';")), Err(message.into()));
        assert!(words(&format!("a {};", "x".repeat(4095))).is_ok());
    }
}
