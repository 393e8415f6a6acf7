//! Response heads, as upstream servers send them (RFC 9112 section 4).

use super::Headers;

/// Why an upstream's response head is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseError {
    /// No `HTTP/1.x NNN` at the beginning.
    StatusLine,
    /// A header line that is no `name: value`.
    HeaderLine,
    /// A head longer than `proxy_buffer_size`.
    TooLong,
}

impl ResponseError {
    /// What nginx's error log says of it.
    pub fn describe(self) -> &'static str {
        match self {
            ResponseError::StatusLine => "upstream sent no valid HTTP/1.0 header",
            ResponseError::HeaderLine => "upstream sent invalid header",
            ResponseError::TooLong => "upstream sent too big header",
        }
    }
}

/// A status line and its header lines.
#[derive(Debug, Clone, Default)]
pub struct ResponseHead {
    /// The minor version; 1 and above are HTTP/1.1.
    pub minor: u8,
    /// The status code.
    pub status: u16,
    /// What stands after the code, its leading space included; may be empty.
    pub reason: Box<[u8]>,
    /// The header lines.
    pub headers: Headers,
}

impl ResponseHead {
    /// Reads a head from the beginning of `bytes`. `Ok(None)` says that more must be read, `Ok(Some((head, length)))` how
    /// many bytes it took. No head may be longer than `head_bytes_max`.
    pub fn parse(bytes: &[u8], head_bytes_max: usize) -> Result<Option<(ResponseHead, usize)>, ResponseError> {
        let whole = Self::parse_whole(bytes)?;
        let length = whole.as_ref().map_or(bytes.len(), |(_, length)| *length);
        if length > head_bytes_max || (whole.is_none() && length == head_bytes_max) {
            return Err(ResponseError::TooLong);
        }
        Ok(whole)
    }

    fn parse_whole(bytes: &[u8]) -> Result<Option<(ResponseHead, usize)>, ResponseError> {
        const BEGINNING: &[u8] = b"HTTP/1.";
        let seen = bytes.len().min(BEGINNING.len());
        if bytes[..seen] != BEGINNING[..seen] {
            return Err(ResponseError::StatusLine);
        }
        let Some(line_end) = memchr::memchr(b'\n', bytes) else { return Ok(None) };
        let line = bytes[..line_end].strip_suffix(b"\r").unwrap_or(&bytes[..line_end]);
        let (minor, status, reason) = status_line(line).ok_or(ResponseError::StatusLine)?;
        let parsed = Headers::parse(&bytes[line_end + 1..]).map_err(|_| ResponseError::HeaderLine)?;
        Ok(parsed.map(|(headers, length)| {
            (ResponseHead { minor, status, reason: reason.into(), headers }, line_end + 1 + length)
        }))
    }
}

/// The beginning of the first header line that is none, its offending byte escaped: what nginx quotes in its log line.
pub fn offending_start(head: &[u8]) -> String {
    let mut lines = head.split_inclusive(|&b| b == b'\n').skip(1);
    let bad = lines.find(|line| Headers::parse(&[line, &b"\r\n"[..]].concat()).is_err()).unwrap_or_default();
    let colon = bad.iter().position(|&b| b == b':').unwrap_or(bad.len());
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    let in_name = bad[..colon].iter().position(|&b| !is_token(b));
    let in_value = || bad[colon..].iter().position(|&b| b < 0x20 && b != b'\t').map(|at| at + colon);
    let at = in_name.or_else(in_value).unwrap_or(bad.len().saturating_sub(1));
    let escaped = bad.get(at).map(|b| format!("\\x{b:02x}")).unwrap_or_default();
    format!("{}{escaped}", String::from_utf8_lossy(&bad[..at]))
}

fn status_line(line: &[u8]) -> Option<(u8, u16, &[u8])> {
    let rest = line.strip_prefix(b"HTTP/1.")?;
    let space = rest.iter().position(|&b| b == b' ')?;
    let minor = rest[..space].iter().try_fold(0u8, |sum, digit| {
        digit.is_ascii_digit().then_some(())?;
        sum.checked_mul(10)?.checked_add(digit - b'0')
    })?;
    let rest = rest[space..].trim_ascii_start();
    let code = rest.get(..3).filter(|code| code.iter().all(u8::is_ascii_digit))?;
    let status = code.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    let reason = &rest[3..];
    if reason.iter().any(|&b| (b < 0x20 && b != b'\t') || b == 0x7f) {
        return None;
    }
    match (space, status, reason.first()) {
        (0, ..) | (_, ..100, _) => None,
        (_, _, None | Some(b' ')) => Some((minor, status, reason)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_once_it_is_whole() {
        let bytes = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody";
        for end in 0..25 {
            assert!(ResponseHead::parse(&bytes[..end], 100).expect("no error yet").is_none(), "{end} bytes");
        }
        let (head, length) = ResponseHead::parse(bytes, 100).expect("good").expect("whole");
        assert_eq!((head.status, &*head.reason, length), (200, &b" OK"[..], 25));
    }

    #[test]
    fn a_reason_may_be_missing_and_line_ends_may_be_bare() {
        let (head, _) = ResponseHead::parse(b"HTTP/1.0 404\nA: b\n\n", 100).expect("good").expect("whole");
        assert_eq!((head.minor, head.status, head.reason.len()), (0, 404, 0));
    }

    #[test]
    fn the_offending_line_is_quoted_up_to_its_offending_byte() {
        assert_eq!(offending_start(b"HTTP/1.1 200 OK\r\nA: b\r\nNo colon\r\n\r\n"), "No\\x20");
        assert_eq!(offending_start(b"HTTP/1.1 200 OK\r\nX-Bad: a\0b\r\n\r\n"), "X-Bad: a\\x00");
    }

    #[test]
    fn heads_that_are_none_are_refused_at_the_first_wrong_byte() {
        for bytes in [
            "<html>",
            "HTTP/2",
            "HTTP/1.1 abc\n",
            "HTTP/1.1 20\n",
            "HTTP/1.1 2000\n",
            "HTTP/1.1 200 a\rb\n",
            "HTTP/1.1 099\n",
        ] {
            assert_eq!(ResponseHead::parse(bytes.as_bytes(), 100).expect_err(bytes), ResponseError::StatusLine);
        }
        assert_eq!(
            ResponseHead::parse(b"HTTP/1.1 200 OK\r\nbad line\r\n\r\n", 100).expect_err("bad"),
            ResponseError::HeaderLine
        );
        assert_eq!(
            ResponseHead::parse(&b"HTTP/1.1 200 OK\r\nA: aaaaaaaa"[..], 20).expect_err("long"),
            ResponseError::TooLong
        );
    }
}
