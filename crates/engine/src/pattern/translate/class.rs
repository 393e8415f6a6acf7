//! Square brackets: `[a-z\d_]`.

use super::super::PatternError;
use super::Translator;
use std::fmt::Write as _;

/// The names that may stand in `[:…:]`.
const POSIX_CLASSES: &[&str] = &[
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
    "xdigit",
];

/// One member of a class.
enum Member {
    /// A byte, which may begin or end a range.
    Byte(u8),
    /// A set in the engines' syntax, such as `\d` or `[:alpha:]`.
    Set(String),
    /// Nothing, such as `\E`.
    Nothing,
}

impl Translator<'_> {
    /// A class, from behind its opening bracket.
    pub(super) fn class(&mut self) -> Result<(), PatternError> {
        self.out.push('[');
        if self.eat("^") {
            self.out.push('^');
        }
        let mut is_first = true;
        loop {
            match self.next() {
                None => return Err(self.error("missing terminating ] for character class")),
                Some(b']') if !is_first => break,
                Some(byte) => self.member(byte)?,
            }
            is_first = false;
        }
        self.emit("]", true);
        Ok(())
    }

    fn member(&mut self, byte: u8) -> Result<(), PatternError> {
        match self.read_member(byte)? {
            Member::Nothing => {}
            Member::Set(set) => self.out.push_str(&set),
            Member::Byte(low) => match self.range_end()? {
                None => push_byte(&mut self.out, low),
                Some(Member::Byte(high)) if low <= high => {
                    push_byte(&mut self.out, low);
                    self.out.push('-');
                    push_byte(&mut self.out, high);
                }
                Some(Member::Byte(_)) => return Err(self.error_before("range out of order in character class")),
                // `a-\d` is three members, not a range.
                Some(other) => {
                    push_byte(&mut self.out, low);
                    push_byte(&mut self.out, b'-');
                    if let Member::Set(set) = other {
                        self.out.push_str(&set);
                    }
                }
            },
        }
        Ok(())
    }

    /// What follows a hyphen that makes a range; `None` where there is no hyphen, or it is the last member.
    fn range_end(&mut self) -> Result<Option<Member>, PatternError> {
        match self.rest() {
            [b'-', b']', ..] | [b'-'] => Ok(None),
            [b'-', byte, ..] => {
                self.at += 2;
                self.read_member(*byte).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn read_member(&mut self, byte: u8) -> Result<Member, PatternError> {
        match byte {
            b'[' => Ok(self.posix()?.map_or(Member::Byte(b'['), Member::Set)),
            b'\\' => self.class_escape(),
            _ => Ok(Member::Byte(byte)),
        }
    }

    /// `[:alpha:]` from behind its first bracket, if it is that.
    fn posix(&mut self) -> Result<Option<String>, PatternError> {
        let Some(inside) = self.rest().strip_prefix(b":") else { return Ok(None) };
        let length = inside.iter().take_while(|byte| byte.is_ascii_lowercase() || **byte == b'^').count();
        if !inside[length..].starts_with(b":]") {
            return Ok(None);
        }
        let name = &self.source[self.at + 1..self.at + 1 + length];
        if !POSIX_CLASSES.contains(&name.strip_prefix('^').unwrap_or(name)) {
            self.at += 1;
            return Err(self.error("unknown POSIX class name"));
        }
        self.at += length + 3;
        Ok(Some(format!("[:{name}:]")))
    }

    fn class_escape(&mut self) -> Result<Member, PatternError> {
        let byte = self.next().ok_or_else(|| self.error("\\ at end of pattern"))?;
        Ok(match byte {
            b'd' | b'D' | b's' | b'S' | b'w' | b'W' => Member::Set(format!("\\{}", char::from(byte))),
            b'h' => Member::Set(r"\t\x20\xA0".into()),
            b'H' => Member::Set(r"[^\t\x20\xA0]".into()),
            b'v' => Member::Set(r"\x0A-\x0D\x85".into()),
            b'V' => Member::Set(r"[^\x0A-\x0D\x85]".into()),
            b'b' => Member::Byte(8),
            b'E' => Member::Nothing,
            b'B' | b'N' | b'R' | b'X' => {
                return Err(self.error_before("escape sequence is invalid in character class"));
            }
            b'Q' => self.quoted_members()?,
            b'0'..=b'7' => {
                self.at -= 1;
                Member::Byte(self.octal(3)?)
            }
            _ => Member::Byte(self.byte_escape(byte)?),
        })
    }

    /// `\Q…\E` within brackets: the bytes between, one by one.
    fn quoted_members(&mut self) -> Result<Member, PatternError> {
        let mut set = String::new();
        while !self.eat("\\E") {
            let byte = self.next().ok_or_else(|| self.error("missing terminating ] for character class"))?;
            push_byte(&mut set, byte);
        }
        Ok(if set.is_empty() { Member::Nothing } else { Member::Set(set) })
    }
}

fn push_byte(out: &mut String, byte: u8) {
    match byte.is_ascii_alphanumeric() {
        true => out.push(char::from(byte)),
        false => drop(write!(out, "\\x{byte:02X}")),
    }
}
