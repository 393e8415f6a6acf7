//! A header block: the bytes as they came, and where each line's name and value are.

use super::HEADER_LINES_MAX;
use std::ops::Range;

/// How many lines are parsed without a second, larger pass.
const LINES_USUALLY: usize = 48;

/// Header lines in the order in which they came. Names keep their case; look-ups ignore it.
#[derive(Debug, Clone, Default)]
pub struct Headers {
    /// The lines as they go over the wire, and what a parsed head has around them.
    block: Vec<u8>,
    lines: Vec<Line>,
}

#[derive(Debug, Clone, Copy)]
struct Line {
    name: (u32, u32),
    value: (u32, u32),
}

/// One line of a header block.
#[derive(Debug, Clone, Copy)]
pub struct HeaderLine<'a> {
    block: &'a [u8],
    line: Line,
}

impl<'a> HeaderLine<'a> {
    /// The name, as it was sent.
    pub fn name(&self) -> &'a [u8] {
        slice(self.block, self.line.name)
    }

    /// The value, without the space around it.
    pub fn value(&self) -> &'a [u8] {
        slice(self.block, self.line.value)
    }

    /// Appends the line as it goes over the wire.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self.wire() {
            Some((start, end)) => out.extend_from_slice(&self.block[start..end]),
            None => push_line(out, self.name(), self.value()),
        }
    }

    /// Where in the block it stands just as it is to be sent: `name: value` and its end.
    fn wire(&self) -> Option<(usize, usize)> {
        let Line { name, value } = self.line;
        let between = self.block.get(name.1 as usize..value.0 as usize)?;
        let end = value.1 as usize + 2;
        let is_usual = between == b": " && self.block.get(value.1 as usize..end)? == b"\r\n";
        is_usual.then_some((name.0 as usize, end))
    }
}

impl Headers {
    /// Takes `block` apart, up to and with the empty line that ends it. `Ok(None)` says that the block is not whole yet,
    /// `Ok(Some((headers, length)))` how many bytes it took.
    pub fn parse(block: &[u8]) -> Result<Option<(Headers, usize)>, httparse::Error> {
        let mut usual = [httparse::EMPTY_HEADER; LINES_USUALLY];
        let mut many;
        let parsed = match httparse::parse_headers(block, &mut usual) {
            Err(httparse::Error::TooManyHeaders) => {
                many = vec![httparse::EMPTY_HEADER; HEADER_LINES_MAX];
                httparse::parse_headers(block, &mut many)
            }
            other => other,
        };
        let httparse::Status::Complete((length, lines)) = parsed? else { return Ok(None) };
        // An empty value may be a slice of anywhere, so only the others are located by their address.
        let locate = |part: &[u8]| match part.len() {
            0 => (0, 0),
            len => {
                let start = part.as_ptr() as usize - block.as_ptr() as usize;
                span(start..start + len)
            }
        };
        let line = |header: &httparse::Header<'_>| {
            let (name, value) = (locate(header.name.as_bytes()), locate(header.value));
            Line { name, value }
        };
        Ok(Some((Headers { block: block[..length].to_vec(), lines: lines.iter().map(line).collect() }, length)))
    }

    /// No lines yet, with room for about as many as `other` has.
    pub fn like(other: &Headers) -> Headers {
        const ADDED_LINES: usize = 4;
        let lines = Vec::with_capacity(other.lines.len() + ADDED_LINES);
        Headers { block: Vec::with_capacity(other.block.len() + 64 * ADDED_LINES), lines }
    }

    /// Appends a line; for heads that the gateway composes. What can't stand in a line is replaced, as [`push_line`] does.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        let start = self.block.len();
        push_line(&mut self.block, name, value);
        let (name_end, value_end) = (start + name.len(), self.block.len() - 2);
        self.lines.push(Line { name: span(start..name_end), value: span(name_end + 2..value_end) });
    }

    /// Appends a line of another block as it is.
    pub fn push_copy(&mut self, line: HeaderLine<'_>) {
        let Some((start, end)) = line.wire() else { return self.push(line.name(), line.value()) };
        let at = self.block.len();
        self.block.extend_from_slice(&line.block[start..end]);
        let moved = |(from, to): (u32, u32)| span(from as usize - start + at..to as usize - start + at);
        self.lines.push(Line { name: moved(line.line.name), value: moved(line.line.value) });
    }

    /// Appends all lines as they go over the wire.
    pub fn write(&self, out: &mut Vec<u8>) {
        // Lines that stand behind each other go together, which most do.
        let mut run = 0..0;
        for line in self.lines() {
            match line.wire() {
                Some((start, end)) if start == run.end => run.end = end,
                Some((start, end)) => {
                    out.extend_from_slice(&self.block[std::mem::replace(&mut run, start..end)]);
                }
                None => {
                    out.extend_from_slice(&self.block[std::mem::take(&mut run)]);
                    line.write(out);
                }
            }
        }
        out.extend_from_slice(&self.block[run]);
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// About how many bytes the lines take when they are written.
    pub fn size(&self) -> usize {
        // A line as it came may lack the space behind its colon.
        self.block.len() + self.lines.len()
    }

    /// Whether there is no line.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Every line, in order.
    pub fn lines(&self) -> impl Iterator<Item = HeaderLine<'_>> + Clone {
        self.lines.iter().map(|line| HeaderLine { block: &self.block, line: *line })
    }

    /// Whether each line ends in CR and LF. [`Headers::parse`] takes an LF for an end, too.
    pub(super) fn has_whole_line_ends(&self) -> bool {
        // A line begins right behind the end of the one above.
        let above = |line: &Line| line.name.0 == 0 || self.block[..line.name.0 as usize].ends_with(b"\r\n");
        let last = if self.is_empty() { &b"\r\n"[..] } else { b"\r\n\r\n" };
        self.block.ends_with(last) && self.lines.iter().all(above)
    }

    /// Name and value of every line, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
        self.lines.iter().map(|line| (self.bytes(line.name), self.bytes(line.value)))
    }

    /// The value of the first line of this name.
    pub fn first(&self, name: &str) -> Option<&[u8]> {
        self.lines.iter().find(|line| self.is_named(line, name)).map(|line| self.bytes(line.value))
    }

    /// The values of all lines of this name, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.lines.iter().filter(|line| self.is_named(line, name)).map(|line| self.bytes(line.value))
    }

    /// The first line that repeats one that may come once only: its name and value, and the value before.
    ///
    /// nginx's list. `Host` and those that delimit a body are looked at where they are read.
    pub fn repeated(&self) -> Option<(&[u8], &[u8], &[u8])> {
        const ONCE: [&[u8]; 8] = [
            b"authorization",
            b"content-range",
            b"expect",
            b"if-match",
            b"if-modified-since",
            b"if-none-match",
            b"if-range",
            b"if-unmodified-since",
        ];
        let mut seen = [None; ONCE.len()];
        self.iter().find_map(|(name, value)| {
            // Few headers begin like these.
            let first = name.first()?.to_ascii_lowercase();
            if !matches!(first, b'a' | b'c' | b'e' | b'i') {
                return None;
            }
            let index = ONCE.iter().position(|once| name.eq_ignore_ascii_case(once))?;
            let before = seen[index].replace(value)?;
            Some((name, value, before))
        })
    }

    /// Keeps the lines for which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8], &[u8]) -> bool) {
        let block = &self.block;
        self.lines.retain(|line| keep(slice(block, line.name), slice(block, line.value)));
    }

    /// Most lines differ by the length of their names already.
    fn is_named(&self, line: &Line, name: &str) -> bool {
        (line.name.1 - line.name.0) as usize == name.len()
            && self.bytes(line.name).eq_ignore_ascii_case(name.as_bytes())
    }

    fn bytes(&self, span: (u32, u32)) -> &[u8] {
        slice(&self.block, span)
    }
}

/// Appends a header line. Line ends and NUL in a value, as decoded variables may bring them, become spaces: no value can
/// begin another line (RFC 9110 section 5.5).
pub fn push_line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    push_text(out, value);
    out.extend_from_slice(b"\r\n");
}

/// Appends text that must stay on one line.
pub fn push_text(out: &mut Vec<u8>, text: &[u8]) {
    let start = out.len();
    out.extend_from_slice(text);
    if memchr::memchr3(b'\r', b'\n', 0, text).is_some() {
        let ends_line = |b: &&mut u8| matches!(**b, b'\r' | b'\n' | 0);
        out[start..].iter_mut().filter(ends_line).for_each(|b| *b = b' ');
    }
}

fn slice(block: &[u8], (start, end): (u32, u32)) -> &[u8] {
    &block[start as usize..end as usize]
}

fn span(range: Range<usize>) -> (u32, u32) {
    let narrow = |at: usize| u32::try_from(at).expect("header blocks are bounded far below 4 GiB");
    (narrow(range.start), narrow(range.end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_order_and_case() {
        let (headers, length) =
            Headers::parse(b"Host: a\r\nX-Empty:\r\nhost:  b \r\n\r\nrest").expect("good").expect("whole");
        assert_eq!(length, 32);
        let lines: Vec<_> = headers.iter().collect();
        assert_eq!(lines, [(&b"Host"[..], &b"a"[..]), (b"X-Empty", b""), (b"host", b"b")]);
        assert_eq!(headers.all("HOST").count(), 2);
    }

    #[test]
    fn lines_are_written_as_they_came_but_for_what_is_unusual_around_their_values() {
        let usual = b"Host: a\r\nAccept: */*\r\n";
        let unusual = b"X-Empty:\r\nX-None: \r\nX-Tight:b\r\nX-Wide:   c  \r\nX-Bare: d\n";
        let block = [&usual[..], unusual, usual, b"\r\n"].concat();
        let (headers, _) = Headers::parse(&block).expect("good").expect("whole");
        let written =
            [&usual[..], b"X-Empty: \r\nX-None: \r\nX-Tight: b\r\nX-Wide: c\r\nX-Bare: d\r\n", usual].concat();
        let (mut all, mut each, mut copied, mut of_copies) =
            (Vec::new(), Vec::new(), Headers::like(&headers), Vec::new());
        headers.write(&mut all);
        headers.lines().for_each(|line| line.write(&mut each));
        headers.lines().for_each(|line| copied.push_copy(line));
        copied.write(&mut of_copies);
        for out in [&all, &each, &of_copies] {
            assert_eq!(String::from_utf8_lossy(out), String::from_utf8_lossy(&written));
        }
        assert!(copied.iter().eq(headers.iter()));
    }

    #[test]
    fn lines_that_were_taken_out_are_not_written() {
        let mut headers = Headers::default();
        ["a", "b", "c", "d"].iter().for_each(|name| headers.push(name.as_bytes(), b"1"));
        headers.retain(|name, _| name != b"b" && name != b"d");
        let mut out = Vec::new();
        headers.write(&mut out);
        assert_eq!(out, b"a: 1\r\nc: 1\r\n");
    }

    #[test]
    fn no_value_begins_another_line() {
        let mut out = Vec::new();
        push_line(&mut out, b"X-Uri", b"/a\r\nX-Injected: yes\0");
        assert_eq!(out, b"X-Uri: /a  X-Injected: yes \r\n");
    }

    #[test]
    fn more_lines_than_usual_are_read_in_a_second_pass() {
        let mut block = b"A: 1\r\n".repeat(HEADER_LINES_MAX);
        block.extend_from_slice(b"\r\n");
        assert_eq!(Headers::parse(&block).expect("good").expect("whole").0.len(), HEADER_LINES_MAX);
        block.splice(0..0, *b"B: 2\r\n");
        assert!(Headers::parse(&block).is_err());
    }
}
