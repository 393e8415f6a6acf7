//! Request heads: where one ends in a stream of bytes, and what it says (RFC 9112 sections 3 and 5).

use super::Headers;
use std::ops::Range;

/// How much a client may send as a head: nginx's `client_header_buffer_size` and `large_client_header_buffers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// The longest single line in bytes, its end included.
    pub line_bytes_max: usize,
    /// The longest whole head in bytes.
    pub head_bytes_max: usize,
}

/// Why a request head is refused. [`RequestError::status`] gives nginx's status for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestError {
    /// The method has other bytes than upper-case letters, `_` and `-`.
    Method,
    /// The request line is not `METHOD target HTTP/x.y`.
    RequestLine,
    /// An HTTP version beyond 1.x.
    Version,
    /// A request line longer than a line may be.
    RequestLineTooLong,
    /// A header line that is no `name: value`, or one that continues the line above it (RFC 9112 section 5.2).
    HeaderLine,
    /// A header line, or all of them, longer than they may be.
    HeadersTooLong,
    /// A CR without its LF, or an LF without its CR, which readers disagree about (RFC 9112 section 2.2).
    BareLineEnd,
}

impl RequestError {
    /// The status to answer with. 494 is nginx's own for headers that are too long; clients see it as 400.
    pub fn status(self) -> u16 {
        match self {
            RequestError::Version => 505,
            RequestError::RequestLineTooLong => 414,
            RequestError::HeadersTooLong => 494,
            _ => 400,
        }
    }

    /// What nginx's error log says of it.
    pub fn describe(self) -> &'static str {
        match self {
            RequestError::Method => "client sent invalid method while reading client request line",
            RequestError::RequestLine => "client sent invalid request while reading client request line",
            RequestError::Version => "client sent invalid version while reading client request line",
            RequestError::RequestLineTooLong => "client sent too long URI while reading client request line",
            RequestError::HeaderLine => "client sent invalid header line while reading client request headers",
            RequestError::HeadersTooLong => "client sent too large request while reading client request headers",
            RequestError::BareLineEnd => "client sent a bare CR or LF while reading client request headers",
        }
    }
}

/// Looks for the end of a head as bytes arrive, so that no byte is searched twice, however few come at a time.
#[derive(Debug, Clone, Copy, Default)]
pub struct RequestScanner {
    line_start: usize,
    /// Up to where the unfinished line holds no line end.
    searched: usize,
    lines: usize,
}

impl RequestScanner {
    /// Looks at `bytes`, which begin with the first byte of the head and have grown since the last call. Returns the head's
    /// length with its empty line, or `None` where more must be read.
    pub fn scan(&mut self, bytes: &[u8], limits: HeadLimits) -> Result<Option<usize>, RequestError> {
        while let Some(length) = memchr::memchr(b'\n', &bytes[self.searched..]) {
            let line = &bytes[self.line_start..self.searched + length + 1];
            let content = line.strip_suffix(b"\r\n").ok_or(RequestError::BareLineEnd)?;
            self.check_length(line.len(), limits)?;
            if memchr::memchr2(b'\r', 0, content).is_some() {
                return Err(if self.lines == 0 { RequestError::RequestLine } else { RequestError::BareLineEnd });
            }
            self.line_start += line.len();
            self.searched = self.line_start;
            if content.is_empty() {
                return Ok(Some(self.line_start));
            }
            if self.lines == 0 {
                // Whoever sends no request line may never send a head's end either, and is told at once.
                request_line(content)?;
            }
            self.lines += 1;
        }
        self.searched = bytes.len();
        self.check_length(bytes.len() - self.line_start, limits)?;
        Ok(None)
    }

    fn check_length(&self, line: usize, limits: HeadLimits) -> Result<(), RequestError> {
        match (self.lines, line > limits.line_bytes_max, self.line_start + line > limits.head_bytes_max) {
            (0, true, _) => Err(RequestError::RequestLineTooLong),
            (_, false, false) => Ok(()),
            _ => Err(RequestError::HeadersTooLong),
        }
    }
}

/// Which protocol a request came by; what it means is the same for all of them (RFC 9110).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.0 or HTTP/1.1: see [`RequestHead::minor`].
    #[default]
    Http1,
    /// HTTP/2.
    Http2,
}

/// A request line and its header lines.
#[derive(Debug, Clone, Default)]
pub struct RequestHead {
    line: Box<[u8]>,
    method: Range<usize>,
    target: Range<usize>,
    /// The protocol.
    pub protocol: Protocol,
    /// The minor version as sent; 1 and above are HTTP/1.1, and what came after it can all that HTTP/1.1 can.
    pub minor: u8,
    /// The header lines.
    pub headers: Headers,
}

impl RequestHead {
    /// Reads a head from the beginning of `bytes` in one pass, if it is whole, good and far within the limits, as most are;
    /// the second value is its length. `None` says nothing of what is wrong: a [`RequestScanner`] tells.
    pub fn read_whole(bytes: &[u8], limits: HeadLimits) -> Option<(RequestHead, usize)> {
        let end = memchr::memchr(b'\r', bytes)?;
        let (line, block) = (&bytes[..end], bytes[end + 1..].strip_prefix(b"\n")?);
        if line.len() + 2 > limits.line_bytes_max || memchr::memchr2(b'\n', 0, line).is_some() {
            return None;
        }
        let (method, target, minor) = request_line(line).ok()?;
        let (headers, block_length) = Headers::parse(block).ok()??;
        let length = end + 2 + block_length;
        let is_within = block_length <= limits.line_bytes_max && length <= limits.head_bytes_max;
        if !is_within || !headers.has_whole_line_ends() {
            return None;
        }
        let protocol = Protocol::Http1;
        Some((RequestHead { line: line.into(), method, target, protocol, minor, headers }, length))
    }

    /// Takes a whole head apart, one that [`RequestScanner`] found.
    pub fn parse(head: &[u8]) -> Result<RequestHead, (RequestError, RequestHead)> {
        let end = memchr::memchr(b'\r', head).unwrap_or(head.len());
        let mut parsed = RequestHead { line: head[..end].into(), ..RequestHead::default() };
        match parsed.fill(head.get(end + 2..).unwrap_or_default()) {
            Ok(()) => Ok(parsed),
            Err(error) => Err((error, RequestHead::salvage(head))),
        }
    }

    /// What can be read of a head that is bad or not whole: its request line, and the good header lines before the first
    /// bad one. For log lines and error pages.
    pub fn salvage(head: &[u8]) -> RequestHead {
        let mut lines = head.split_inclusive(|&b| b == b'\n');
        let first = lines.next().unwrap_or_default().trim_ascii_end();
        let mut salvaged = RequestHead { line: first.into(), ..RequestHead::default() };
        let Ok((method, target, minor)) = request_line(first) else { return salvaged };
        (salvaged.method, salvaged.target, salvaged.minor) = (method, target, minor);
        for line in lines {
            match Headers::parse(&[line, b"\r\n"].concat()) {
                Ok(Some((good, _))) if line.ends_with(b"\n") && !good.is_empty() => {
                    good.iter().for_each(|(name, value)| salvaged.headers.push(name, value));
                }
                _ => break,
            }
        }
        salvaged
    }

    /// The head of a request of HTTP/2, which has pseudo-headers in the place of a request line: one is composed of them, for
    /// `$request`. A bad one comes with its error, for log lines and error pages.
    pub fn of_http2(
        method: &[u8],
        target: &[u8],
        headers: Headers,
    ) -> Result<RequestHead, (RequestError, RequestHead)> {
        let method_end = method.len();
        let target_end = method_end + 1 + target.len();
        let mut head = RequestHead {
            line: [method, b" ", target, b" HTTP/2.0"].concat().into(),
            method: 0..method_end,
            target: method_end + 1..target_end,
            protocol: Protocol::Http2,
            minor: 1,
            headers,
        };
        if !is_method(method) {
            head.method = 0..0;
            return Err((RequestError::Method, head));
        }
        // An authority or an asterisk is nothing that a proxy of this kind can route.
        if !target.starts_with(b"/") || target.iter().any(|&b| b < 0x21 || b == 0x7f) {
            return Err((RequestError::RequestLine, head));
        }
        Ok(head)
    }

    /// The request line as sent, without its end: `$request`.
    pub fn line(&self) -> &[u8] {
        &self.line
    }

    /// The method; empty where the line could not be read.
    pub fn method(&self) -> &[u8] {
        &self.line[self.method.clone()]
    }

    /// The target as sent; empty where the line could not be read.
    pub fn target(&self) -> &[u8] {
        &self.line[self.target.clone()]
    }

    fn fill(&mut self, block: &[u8]) -> Result<(), RequestError> {
        (self.method, self.target, self.minor) = request_line(&self.line)?;
        let parsed = Headers::parse(block).map_err(|_| RequestError::HeaderLine)?;
        self.headers = parsed.ok_or(RequestError::HeaderLine)?.0;
        Ok(())
    }
}

fn request_line(line: &[u8]) -> Result<(Range<usize>, Range<usize>, u8), RequestError> {
    let method_end = memchr::memchr(b' ', line).ok_or(RequestError::Method)?;
    if !is_method(&line[..method_end]) {
        return Err(RequestError::Method);
    }
    let target_start = method_end + spaces(&line[method_end..]);
    let target_end = memchr::memchr(b' ', &line[target_start..]).ok_or(RequestError::RequestLine)? + target_start;
    let target = &line[target_start..target_end];
    // An authority or an asterisk is nothing that a proxy of this kind can route.
    if !matches!(target.first(), Some(b'/' | b'a'..=b'z' | b'A'..=b'Z'))
        || target.iter().fold(false, |found, &b| found | (b < 0x21) | (b == 0x7f))
    {
        return Err(RequestError::RequestLine);
    }
    let minor = version(line[target_end..].trim_ascii())?;
    Ok((0..method_end, target_start..target_end, minor))
}

fn is_method(method: &[u8]) -> bool {
    !method.is_empty() && method.iter().all(|b| b.is_ascii_uppercase() || matches!(b, b'_' | b'-'))
}

fn spaces(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|&&b| b == b' ').count()
}

fn version(text: &[u8]) -> Result<u8, RequestError> {
    if text == b"HTTP/1.1" {
        return Ok(1);
    }
    let digits = text.strip_prefix(b"HTTP/").ok_or(RequestError::RequestLine)?;
    let dot = digits.iter().position(|&b| b == b'.').ok_or(RequestError::RequestLine)?;
    let number = |digits: &[u8]| match digits {
        [] | [_, _, _, ..] => Err(RequestError::RequestLine),
        digits if !digits.iter().all(u8::is_ascii_digit) => Err(RequestError::RequestLine),
        digits => Ok(digits.iter().fold(0, |sum, digit| sum * 10 + (digit - b'0'))),
    };
    match (number(&digits[..dot])?, number(&digits[dot + 1..])?) {
        (1, minor) => Ok(minor),
        (0, _) => Err(RequestError::RequestLine),
        _ => Err(RequestError::Version),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits = HeadLimits { line_bytes_max: 64, head_bytes_max: 128 };

    fn scan(bytes: &[u8]) -> Result<Option<usize>, RequestError> {
        RequestScanner::default().scan(bytes, LIMITS)
    }

    #[test]
    fn a_head_ends_at_its_empty_line_wherever_the_reads_split_it() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET";
        for split in 0..27 {
            let mut scanner = RequestScanner::default();
            assert_eq!(scanner.scan(&head[..split], LIMITS), Ok(None), "split at {split}");
            assert_eq!(scanner.scan(head, LIMITS), Ok(Some(27)));
        }
    }

    /// What a head is when it is looked for byte by byte and then taken apart.
    fn read_by_steps(bytes: &[u8]) -> Option<(RequestHead, usize)> {
        let length = scan(bytes).ok()??;
        Some((RequestHead::parse(&bytes[..length]).ok()?, length))
    }

    fn facts(read: Option<(RequestHead, usize)>) -> Option<String> {
        read.map(|(head, length)| {
            let lines: Vec<_> = head.headers.iter().collect();
            format!("{:?} {:?} {:?} {} {lines:?} {length}", head.line(), head.method(), head.target(), head.minor)
        })
    }

    #[test]
    fn a_head_that_comes_whole_is_read_in_one_pass() {
        for head in ["GET / HTTP/1.1\r\n\r\n", "M-SEARCH  /a?b HTTP/1.0\r\nHost: a\r\nX:\r\n\r\nbody"] {
            let read = facts(RequestHead::read_whole(head.as_bytes(), LIMITS));
            assert!(read.is_some() && read == facts(read_by_steps(head.as_bytes())), "{head}: {read:?}");
        }
        // A head beyond a line's length may have a line beyond it.
        assert!(
            RequestHead::read_whole(b"GET / HTTP/1.1\r\n\r\n", HeadLimits { line_bytes_max: 8, ..LIMITS }).is_none()
        );
        let long = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "x".repeat(70));
        assert!(RequestHead::read_whole(long.as_bytes(), LIMITS).is_none());
    }

    proptest::proptest! {
        /// The quick way takes no head that the careful one refuses, and reads what it takes the same.
        #[test]
        fn one_pass_reads_nothing_that_steps_do_not(
            parts in proptest::collection::vec(proptest::sample::select(vec![
                "GET", " ", "/", "a", "HTTP/1.1", "HTTP/1.0", "\r\n", "\r\n", "\r\n", "\n", "\r", "\0", ":", ": ",
                "Host: a\r\n", "X:\r\n", "GET / HTTP/1.1\r\n", "GET /b HTTP/1.1\r\n", "\t", "\u{7f}", "é", "\r\n\r\n",
            ]), 1..12)
        ) {
            let bytes = parts.concat();
            let quick = facts(RequestHead::read_whole(bytes.as_bytes(), LIMITS));
            if quick.is_some() {
                proptest::prop_assert_eq!(quick, facts(read_by_steps(bytes.as_bytes())));
            }
        }
    }

    #[test]
    fn line_ends_that_readers_disagree_about_are_refused() {
        assert_eq!(scan(b"GET / HTTP/1.1\nHost: a\r\n\r\n"), Err(RequestError::BareLineEnd));
        assert_eq!(scan(b"GET / HTTP/1.1\r\nHost: a\n\r\n"), Err(RequestError::BareLineEnd));
        assert_eq!(scan(b"GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n"), Err(RequestError::BareLineEnd));
    }

    #[test]
    fn lines_and_heads_have_a_longest_length() {
        let long = "x".repeat(70);
        assert_eq!(scan(format!("GET /{long}").as_bytes()), Err(RequestError::RequestLineTooLong));
        assert_eq!(scan(format!("GET / HTTP/1.1\r\nA: {long}").as_bytes()), Err(RequestError::HeadersTooLong));
        let many = "A: b\r\n".repeat(30);
        assert_eq!(scan(format!("GET / HTTP/1.1\r\n{many}").as_bytes()), Err(RequestError::HeadersTooLong));
    }

    #[test]
    fn a_request_line_is_taken_apart() {
        let head = RequestHead::parse(b"M-SEARCH  /a%20b?c HTTP/1.0\r\n\r\n").expect("good");
        assert_eq!((head.method(), head.target(), head.minor), (&b"M-SEARCH"[..], &b"/a%20b?c"[..], 0));
    }

    #[test]
    fn a_request_of_http_2_gets_a_line_for_the_log() {
        let head = RequestHead::of_http2(b"GET", b"/a?b", Headers::default()).expect("good");
        assert_eq!((head.line(), head.method(), head.target()), (&b"GET /a?b HTTP/2.0"[..], &b"GET"[..], &b"/a?b"[..]));
        let error =
            |method: &[u8], target: &[u8]| RequestHead::of_http2(method, target, Headers::default()).expect_err("bad");
        assert_eq!(error(b"get", b"/").0, RequestError::Method);
        assert_eq!(error(b"OPTIONS", b"*").0, RequestError::RequestLine);
        let (_, head) = error(b"GET", b"a b");
        assert_eq!((head.line(), head.target()), (&b"GET a b HTTP/2.0"[..], &b"a b"[..]));
    }

    #[test]
    fn request_lines_that_are_none_get_their_own_error() {
        let error = |line: &str| RequestHead::parse(format!("{line}\r\n\r\n").as_bytes()).expect_err("bad").0;
        assert_eq!(error("get / HTTP/1.1"), RequestError::Method);
        assert_eq!(error("GET"), RequestError::Method);
        assert_eq!(error("GET /"), RequestError::RequestLine);
        assert_eq!(error("GET /a b HTTP/1.1"), RequestError::RequestLine);
        assert_eq!(error("GET / HTTP/1"), RequestError::RequestLine);
        assert_eq!(error("GET / HTTP/2.0"), RequestError::Version);
        assert_eq!(error("GET / HTTP/0.9"), RequestError::RequestLine);
    }

    #[test]
    fn header_lines_that_invite_smuggling_are_refused() {
        for lines in ["Host : a", " Host: a", "Host: a\r\n folded", "no colon", ": no name"] {
            let head = format!("GET / HTTP/1.1\r\n{lines}\r\n\r\n");
            assert_eq!(RequestHead::parse(head.as_bytes()).expect_err(lines).0, RequestError::HeaderLine, "{lines}");
        }
    }
}
