//! Conversion between character sets by tables (`charset_map`): of one byte each, or to and from UTF-8.

use std::collections::HashMap;

/// How one character set is converted to another.
#[derive(Debug, Clone)]
pub struct Table(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Bytes(Box<[u8; 256]>),
    ToUtf8(Vec<Box<[u8]>>),
    FromUtf8(HashMap<char, u8>),
}

/// What stands for a code that a table does not know.
const UNKNOWN: u8 = b'?';

impl Table {
    /// Tables there and back, between sets of one byte. ASCII stays what it is.
    pub fn of_bytes(codes: &[(u8, Vec<u8>)]) -> (Table, Table) {
        let plain: [u8; 256] =
            std::array::from_fn(|byte| u8::try_from(byte).ok().filter(u8::is_ascii).unwrap_or(UNKNOWN));
        let (mut forth, mut back) = (Box::new(plain), Box::new(plain));
        for (source, target) in codes {
            if let [target] = target[..] {
                forth[usize::from(*source)] = target;
                back[usize::from(target)] = *source;
            }
        }
        (Table(Kind::Bytes(forth)), Table(Kind::Bytes(back)))
    }

    /// Tables there and back, between a set of one byte and UTF-8.
    pub fn with_utf8(codes: &[(u8, Vec<u8>)]) -> (Table, Table) {
        let plain = |byte: u8| if byte.is_ascii() { byte } else { UNKNOWN };
        let mut forth: Vec<Box<[u8]>> = (0..=255).map(|byte| vec![plain(byte)].into()).collect();
        let mut back: HashMap<char, u8> = (0..128).map(|byte| (char::from(byte), byte)).collect();
        for (source, target) in codes {
            forth[usize::from(*source)] = target.as_slice().into();
            if let Some(character) = std::str::from_utf8(target).ok().and_then(|text| text.chars().next()) {
                back.insert(character, *source);
            }
        }
        (Table(Kind::ToUtf8(forth)), Table(Kind::FromUtf8(back)))
    }

    /// Whether a text may become longer or shorter.
    pub fn changes_length(&self) -> bool {
        !matches!(self.0, Kind::Bytes(_))
    }
}

/// The conversion of one text that comes in pieces.
#[derive(Debug, Clone, Default)]
pub struct Recoder {
    /// The beginning of a character whose end is in the next piece.
    begun: Vec<u8>,
}

impl Recoder {
    /// Converts a piece.
    pub fn feed(&mut self, table: &Table, input: &[u8], out: &mut Vec<u8>) {
        match &table.0 {
            Kind::Bytes(bytes) => out.extend(input.iter().map(|&byte| bytes[usize::from(byte)])),
            Kind::ToUtf8(codes) => input.iter().for_each(|&byte| out.extend_from_slice(&codes[usize::from(byte)])),
            Kind::FromUtf8(codes) => self.decode(codes, input, out),
        }
    }

    /// Ends the text: a character that was begun is none.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if !std::mem::take(&mut self.begun).is_empty() {
            out.push(UNKNOWN);
        }
    }

    fn decode(&mut self, codes: &HashMap<char, u8>, input: &[u8], out: &mut Vec<u8>) {
        let mut text = std::mem::take(&mut self.begun);
        text.extend_from_slice(input);
        let mut rest = &text[..];
        loop {
            let (good, bad) = match std::str::from_utf8(rest) {
                Ok(good) => (good, None),
                Err(error) => {
                    let good = std::str::from_utf8(&rest[..error.valid_up_to()]).expect("it was found to be valid");
                    (good, Some(error.error_len()))
                }
            };
            good.chars().for_each(|character| put(codes, character, out));
            rest = &rest[good.len()..];
            match bad {
                None => return,
                Some(None) => {
                    self.begun = rest.to_vec();
                    return;
                }
                Some(Some(length)) => {
                    out.push(UNKNOWN);
                    rest = &rest[length..];
                }
            }
        }
    }
}

/// What the other set does not have becomes a reference of HTML, since that is what is converted.
fn put(codes: &HashMap<char, u8>, character: char, out: &mut Vec<u8>) {
    match codes.get(&character) {
        Some(&byte) => out.push(byte),
        None => out.extend_from_slice(format!("&#{};", u32::from(character)).as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(table: &Table, pieces: &[&[u8]]) -> Vec<u8> {
        let (mut recoder, mut out) = (Recoder::default(), Vec::new());
        pieces.iter().for_each(|piece| recoder.feed(table, piece, &mut out));
        recoder.finish(&mut out);
        out
    }

    #[test]
    fn bytes_are_converted_there_and_back() {
        let (forth, back) = Table::of_bytes(&[(0xc1, vec![0xe0])]);
        assert_eq!(converted(&forth, &[b"a\xc1\xc2"]), b"a\xe0?");
        assert_eq!(converted(&back, &[b"a\xe0"]), b"a\xc1");
    }

    #[test]
    fn a_character_may_be_cut_anywhere() {
        let (forth, back) = Table::with_utf8(&[(0x80, "€".into())]);
        assert_eq!(converted(&forth, &[b"5 \x80"]), "5 €".as_bytes());
        for cut in 0..=5 {
            let (one, other) = "5 €".as_bytes().split_at(cut);
            assert_eq!(converted(&back, &[one, other]), b"5 \x80", "cut at {cut}");
        }
    }

    #[test]
    fn what_is_unknown_is_a_reference_and_what_is_broken_a_question_mark() {
        let (_, back) = Table::with_utf8(&[]);
        assert_eq!(converted(&back, &["aя".as_bytes(), b"\xff!\xe2\x82"]), b"a&#1103;?!?");
    }
}
