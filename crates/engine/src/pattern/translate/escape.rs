//! Backslashes outside of square brackets.

use super::super::PatternError;
use super::{DOLLAR, NO_SUCH_GROUP, Translator};

impl Translator<'_> {
    /// An escape, from behind its backslash.
    pub(super) fn escape(&mut self) -> Result<(), PatternError> {
        let byte = self.next().ok_or_else(|| self.error("\\ at end of pattern"))?;
        match byte {
            b'd' | b'D' | b's' | b'S' | b'w' | b'W' => self.emit(&format!("\\{}", char::from(byte)), true),
            b'b' | b'B' | b'A' | b'z' => self.emit(&format!("\\{}", char::from(byte)), false),
            b'h' => self.emit(r"[\t\x20\xA0]", true),
            b'H' => self.emit(r"[^\t\x20\xA0]", true),
            b'v' => self.emit(r"[\x0A-\x0D\x85]", true),
            b'V' => self.emit(r"[^\x0A-\x0D\x85]", true),
            b'N' => self.emit(r"[^\n]", true),
            b'C' => self.emit(r"[\x00-\xFF]", true),
            b'G' => self.emit(r"\A", false),
            b'R' => self.needs_backtracking(r"(?>\r\n|[\x0A-\x0D\x85])"),
            b'Z' => self.needs_backtracking(DOLLAR),
            b'K' => self.needs_backtracking(r"\K"),
            b'Q' => self.quoted(),
            b'E' => {}
            b'1'..=b'9' => self.number()?,
            b'g' => self.reference("g")?,
            b'k' => self.reference("k")?,
            _ => {
                let byte = self.byte_escape(byte)?;
                self.literal(byte);
            }
        }
        Ok(())
    }

    fn needs_backtracking(&mut self, text: &str) {
        self.backtracks = true;
        self.emit(text, true);
    }

    /// `\Q…\E`: every byte between stands for itself.
    fn quoted(&mut self) {
        while !self.eat("\\E") {
            let Some(byte) = self.next() else { return };
            self.literal(byte);
        }
    }

    /// `\1`: what a group matched; or, where there are not that many groups, a byte in octal.
    fn number(&mut self) -> Result<(), PatternError> {
        self.at -= 1;
        let digits = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number: u32 = self.source[self.at..self.at + digits].parse().unwrap_or(u32::MAX);
        if number < 10 || number <= self.groups {
            self.at += digits;
            self.back_to_number(number);
            return Ok(());
        }
        let byte = self.octal(3)?;
        self.literal(byte);
        Ok(())
    }

    /// `\g1`, `\g{-1}`, `\k<name>`, `\k'name'`, `\k{name}`: what a group matched.
    fn reference(&mut self, letter: &str) -> Result<(), PatternError> {
        let name = match self.next() {
            Some(b'{') => self.until(b'}', "syntax error in subpattern name (missing terminator?)")?,
            Some(b'<') if letter == "k" => self.until(b'>', "syntax error in subpattern name (missing terminator?)")?,
            Some(b'\'') if letter == "k" => {
                self.until(b'\'', "syntax error in subpattern name (missing terminator?)")?
            }
            Some(digit @ b'1'..=b'9') => return self.back_to(&char::from(digit).to_string()),
            _ => return Err(self.error("a reference like this one is not supported")),
        };
        self.back_to(name)
    }

    /// A back-reference to a group by its number, its distance or its name.
    fn back_to(&mut self, name: &str) -> Result<(), PatternError> {
        let number = match name.strip_prefix('-') {
            Some(distance) => distance.parse().ok().and_then(|distance: u32| (self.groups + 1).checked_sub(distance)),
            None => name.parse().ok(),
        };
        match number {
            Some(0) => return Err(self.error_before(NO_SUCH_GROUP)),
            Some(number) => self.back_to_number(number),
            None if super::group::is_name(name) => self.needs_backtracking(&format!("(?:\\k<{name}>)")),
            None => return Err(self.error_before(NO_SUCH_GROUP)),
        }
        Ok(())
    }

    fn back_to_number(&mut self, number: u32) {
        self.reference = self.reference.max(Some((number, self.at - 1)));
        self.needs_backtracking(&format!("(?:\\{number})"));
    }

    /// An escape that means one byte, wherever it stands.
    pub(super) fn byte_escape(&mut self, byte: u8) -> Result<u8, PatternError> {
        Ok(match byte {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'f' => 0x0c,
            b'a' => 0x07,
            b'e' => 0x1b,
            b'x' => self.hexadecimal()?,
            b'0' => self.octal(2)?,
            b'o' if self.eat("{") => {
                let digits = self.until(b'}', "missing terminating } for octal number")?;
                self.number_of(digits, 8)?
            }
            b'c' => match self.next() {
                Some(letter @ b' '..=b'~') => letter.to_ascii_uppercase() ^ 0x40,
                Some(_) => return Err(self.error("\\c must be followed by a printable ASCII character")),
                None => return Err(self.error("\\c at end of pattern")),
            },
            _ if byte.is_ascii_alphanumeric() => return Err(self.error_before("unrecognized character follows \\")),
            _ => byte,
        })
    }

    /// `\x41` and `\x{41}`, from behind the letter. No digit at all means NUL.
    fn hexadecimal(&mut self) -> Result<u8, PatternError> {
        if self.eat("{") {
            let digits = self.until(b'}', "missing terminating } for hexadecimal number")?;
            return self.number_of(digits, 16);
        }
        let digits = self.rest().iter().take(2).take_while(|byte| byte.is_ascii_hexdigit()).count();
        self.at += digits;
        Ok(u8::from_str_radix(&self.source[self.at - digits..self.at], 16).unwrap_or(0))
    }

    /// Up to `most` octal digits. No digit at all means NUL.
    pub(super) fn octal(&mut self, most: usize) -> Result<u8, PatternError> {
        let digits = self.rest().iter().take(most).take_while(|byte| matches!(byte, b'0'..=b'7')).count();
        self.at += digits;
        match &self.source[self.at - digits..self.at] {
            "" => Ok(0),
            digits => self.number_of(digits, 8),
        }
    }

    fn number_of(&self, digits: &str, radix: u32) -> Result<u8, PatternError> {
        u8::from_str_radix(digits, radix)
            .map_err(|_| self.error_before("character code point value in \\x{} or \\o{} is too large"))
    }
}
