//! Parentheses: groups, options and assertions.

use super::super::PatternError;
use super::Translator;

impl Translator<'_> {
    /// A group, from behind its opening parenthesis.
    pub(super) fn open_group(&mut self) -> Result<(), PatternError> {
        if matches!(self.rest(), [b'*', b'A'..=b'Z' | b'a'..=b'z', ..]) {
            return Err(self.error("a verb such as (*UTF8) is not supported"));
        }
        if !self.eat("?") {
            self.groups += 1;
            self.enter("(");
            return Ok(());
        }
        match self.rest() {
            [b'#', ..] => self.until(b')', "missing ) after (?# comment").map(|_| ()),
            [b':', ..] => self.enter_past(1, "(?:", false),
            [b'>', ..] => self.enter_past(1, "(?>", true),
            [b'=', ..] => self.enter_past(1, "(?=", true),
            [b'!', ..] => self.enter_past(1, "(?!", true),
            [b'<', b'=', ..] => self.enter_past(2, "(?<=", true),
            [b'<', b'!', ..] => self.enter_past(2, "(?<!", true),
            [b'<', ..] => self.named(1, b'>'),
            [b'\'', ..] => self.named(1, b'\''),
            [b'P', b'<', ..] => self.named(2, b'>'),
            [b'P', b'=', ..] => {
                self.at += 2;
                self.named_reference()
            }
            [b'|' | b'(' | b'R' | b'&' | b'0'..=b'9' | b'+' | b'C', ..] | [b'P', b'>', ..] => {
                Err(self.error("recursion, conditions, callouts and branch resets are not supported"))
            }
            _ => self.set_options(),
        }
    }

    pub(super) fn close_group(&mut self) -> Result<(), PatternError> {
        if self.options.len() == 1 {
            self.at -= 1;
            return Err(self.error("unmatched closing parenthesis"));
        }
        self.options.pop();
        self.emit(")", true);
        Ok(())
    }

    fn enter(&mut self, opening: &str) {
        self.options.push(self.options());
        self.emit(opening, false);
    }

    fn enter_past(&mut self, length: usize, opening: &str, backtracks: bool) -> Result<(), PatternError> {
        self.at += length;
        self.backtracks |= backtracks;
        self.enter(opening);
        Ok(())
    }

    /// `(?<name>`, `(?P<name>` or `(?'name'`; `skip` is the length of what stands before the name.
    fn named(&mut self, skip: usize, end: u8) -> Result<(), PatternError> {
        self.at += skip;
        let name = self.until(end, "syntax error in subpattern name (missing terminator?)")?;
        self.check_name(name)?;
        if self.names.iter().any(|(_, known)| *known == name) {
            return Err(self.error("two named subpatterns have the same name (PCRE2_DUPNAMES not set)"));
        }
        self.groups += 1;
        self.names.push((self.groups, name));
        self.enter(&format!("(?P<{name}>"));
        Ok(())
    }

    fn named_reference(&mut self) -> Result<(), PatternError> {
        let name = self.until(b')', "syntax error in subpattern name (missing terminator?)")?;
        self.check_name(name)?;
        self.backtracks = true;
        self.emit(&format!("(?:\\k<{name}>)"), true);
        Ok(())
    }

    /// Checks the name that was just read, with the byte that ends it.
    fn check_name(&self, name: &str) -> Result<(), PatternError> {
        let at = self.at - name.len() - 1;
        match name.as_bytes().first() {
            _ if is_name(name) => Ok(()),
            Some(b'0'..=b'9') => Err(PatternError { at, ..self.error("subpattern name must start with a non-digit") }),
            _ => Err(PatternError { at, ..self.error("subpattern name expected") }),
        }
    }

    /// `(?i)`, which holds to the end of the group around it, or `(?i:…)`.
    fn set_options(&mut self) -> Result<(), PatternError> {
        let mut options = self.options();
        let (mut on, mut off, mut negated) = (String::new(), String::new(), false);
        loop {
            match self.next().ok_or_else(|| self.error("missing closing parenthesis"))? {
                byte @ (b'i' | b's' | b'U' | b'm') => {
                    if byte == b'm' {
                        options.multi_line = !negated;
                    }
                    if negated { &mut off } else { &mut on }.push(char::from(byte));
                }
                b'x' => options.extended = !negated,
                b'-' if !negated => negated = true,
                end @ (b')' | b':') => {
                    self.write_options(end, on, off);
                    break;
                }
                _ => return Err(self.error_before("unrecognized character after (? or (?-")),
            }
        }
        if let Some(innermost) = self.options.last_mut() {
            *innermost = options;
        }
        Ok(())
    }

    fn write_options(&mut self, end: u8, on: String, off: String) {
        let off = if off.is_empty() { off } else { format!("-{off}") };
        match end {
            b':' => self.enter(&format!("(?{on}{off}:")),
            _ if on.is_empty() && off.is_empty() => {}
            _ => self.emit(&format!("(?{on}{off})"), false),
        }
    }
}

/// Whether a group can have this name.
pub(super) fn is_name(name: &str) -> bool {
    let is_word = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_word && name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}
