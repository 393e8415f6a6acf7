//! `sub_filter`: texts in a body give way to others.

use super::chain::{Chain, Link};
use crate::exchange::Exchange;
use crate::exchange::client::OutHead;

/// Replaces texts in what has the right type.
pub(super) fn apply(exchange: &Exchange, head: &mut OutHead, chain: &mut Chain) {
    let settings = &exchange.location.filters.sub;
    if settings.pairs.is_empty()
        || head.content_length == Some(0)
        || !settings.types.contain(head.headers.first("content-type"))
    {
        return;
    }
    let pairs = settings.pairs.iter().map(|pair| Pair {
        text: exchange.render(&pair.text).to_ascii_lowercase(),
        replacement: exchange.render(&pair.replacement),
        is_used: false,
    });
    // A text that turns out empty is found nowhere.
    let pairs: Vec<Pair> = pairs.filter(|pair| !pair.text.is_empty()).collect();
    if pairs.is_empty() {
        return;
    }
    head.content_length = None;
    if settings.keeps_last_modified {
        head.weaken_etag();
    } else {
        head.remove("last-modified");
        head.remove("etag");
    }
    if head.has_body {
        chain.push(Substitute::new(pairs, settings.once));
    }
}

struct Pair {
    /// In lower case.
    text: Vec<u8>,
    replacement: Vec<u8>,
    is_used: bool,
}

struct Substitute {
    pairs: Vec<Pair>,
    once: bool,
    /// Whether a text begins with this byte.
    begins: Box<[bool; 256]>,
    /// The end of what came, where a text may have begun.
    begun: Vec<u8>,
}

enum Found {
    /// This text, whole.
    Text(usize),
    /// The beginning of one.
    Beginning,
    Nothing,
}

impl Substitute {
    fn new(pairs: Vec<Pair>, once: bool) -> Substitute {
        let mut link = Substitute { pairs, once, begins: Box::new([false; 256]), begun: Vec::new() };
        link.note_beginnings();
        link
    }

    fn note_beginnings(&mut self) {
        self.begins.fill(false);
        for pair in self.pairs.iter().filter(|pair| !pair.is_used) {
            self.begins[usize::from(pair.text[0])] = true;
            self.begins[usize::from(pair.text[0].to_ascii_uppercase())] = true;
        }
    }

    /// What begins at the first byte of `rest`: the first text of the configuration that is there.
    fn look(&self, rest: &[u8]) -> Found {
        let mut found = Found::Nothing;
        for (at, pair) in self.pairs.iter().enumerate().filter(|(_, pair)| !pair.is_used) {
            let length = pair.text.len().min(rest.len());
            if !rest[..length].eq_ignore_ascii_case(&pair.text[..length]) {
                continue;
            }
            match length == pair.text.len() {
                true => return Found::Text(at),
                false => found = Found::Beginning,
            }
        }
        found
    }

    fn run(&mut self, input: &[u8], is_end: bool, out: &mut Vec<u8>) {
        let mut text = std::mem::take(&mut self.begun);
        text.extend_from_slice(input);
        let mut at = 0;
        while at < text.len() {
            let rest = &text[at..];
            let plain = rest.iter().position(|&byte| self.begins[usize::from(byte)]).unwrap_or(rest.len());
            out.extend_from_slice(&rest[..plain]);
            at += plain;
            let rest = &text[at..];
            match rest.is_empty() {
                true => break,
                false => match self.look(rest) {
                    Found::Text(nth) => {
                        out.extend_from_slice(&self.pairs[nth].replacement);
                        at += self.pairs[nth].text.len();
                        if self.once {
                            self.pairs[nth].is_used = true;
                            self.note_beginnings();
                        }
                    }
                    Found::Beginning if !is_end => {
                        self.begun = rest.to_vec();
                        break;
                    }
                    Found::Beginning | Found::Nothing => {
                        out.push(rest[0]);
                        at += 1;
                    }
                },
            }
        }
    }
}

impl Link for Substitute {
    fn feed(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        self.run(input, false, out);
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        self.run(&[], true, out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(pairs: &[(&str, &str)], once: bool, pieces: &[&str]) -> String {
        let pair = |&(text, replacement): &(&str, &str)| Pair {
            text: text.into(),
            replacement: replacement.into(),
            is_used: false,
        };
        let mut link = Substitute::new(pairs.iter().map(pair).collect(), once);
        let mut out = Vec::new();
        pieces.iter().for_each(|piece| link.feed(piece.as_bytes(), &mut out).expect("it never fails"));
        link.finish(&mut out).expect("it never fails");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_text_may_be_cut_anywhere() {
        let text = "aab aaaB aa";
        for one in 0..text.len() {
            for other in one..text.len() {
                let pieces = [&text[..one], &text[one..other], &text[other..]];
                assert_eq!(replaced(&[("aab", "x")], false, &pieces), "x ax aa", "{pieces:?}");
            }
        }
    }

    #[test]
    fn once_is_once_for_each_text() {
        assert_eq!(replaced(&[("a", "1"), ("b", "2")], true, &["abab"]), "12ab");
        assert_eq!(replaced(&[("a", "1"), ("b", "2")], false, &["abab"]), "1212");
    }

    #[test]
    fn what_was_put_in_is_not_looked_at_again() {
        assert_eq!(replaced(&[("a", "aa")], false, &["aba"]), "aabaa");
    }
}
