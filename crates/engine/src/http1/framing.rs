//! How long a body is (RFC 9112 section 6). A message that two readers could delimit differently is refused.

use super::Headers;

/// How a body is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLength {
    /// There is none.
    None,
    /// So many bytes.
    Sized(u64),
    /// In chunks, trailers after them.
    Chunked,
    /// Until the connection closes; responses only.
    UntilClose,
}

/// Why a message's framing is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FramingError {
    /// More than one `Content-Length`.
    DuplicateLength,
    /// A `Content-Length` that is no number.
    InvalidLength,
    /// `Content-Length` and `Transfer-Encoding` together.
    LengthAndCoding,
    /// `Transfer-Encoding` in a message of HTTP/1.0, or more than one.
    MisplacedCoding,
    /// A transfer coding other than `chunked`.
    UnknownCoding,
}

impl FramingError {
    /// The status to answer a request with.
    pub fn status(self) -> u16 {
        if self == FramingError::UnknownCoding { 501 } else { 400 }
    }

    /// What is wrong, after `client sent` or `upstream sent`.
    pub fn describe(self) -> &'static str {
        match self {
            FramingError::DuplicateLength => "duplicate header line: \"Content-Length\"",
            FramingError::InvalidLength => "invalid \"Content-Length\" header",
            FramingError::LengthAndCoding => "\"Content-Length\" and \"Transfer-Encoding\" headers at the same time",
            FramingError::MisplacedCoding => "a misplaced \"Transfer-Encoding\" header",
            FramingError::UnknownCoding => "unknown \"Transfer-Encoding\"",
        }
    }
}

/// How a request's body is delimited (RFC 9112 section 6.3).
pub fn request_body(headers: &Headers, minor: u8) -> Result<BodyLength, FramingError> {
    Ok(declared(headers, minor)?.unwrap_or(BodyLength::None))
}

/// How the body of a response to a `head_request` (or another) is delimited.
pub fn response_body(
    headers: &Headers,
    minor: u8,
    status: u16,
    head_request: bool,
) -> Result<BodyLength, FramingError> {
    let declared = declared(headers, minor)?;
    if head_request || status < 200 || status == 204 || status == 304 {
        return Ok(BodyLength::None);
    }
    Ok(declared.unwrap_or(BodyLength::UntilClose))
}

fn declared(headers: &Headers, minor: u8) -> Result<Option<BodyLength>, FramingError> {
    let mut length = None;
    let mut coding = None;
    for line in headers.lines() {
        let is = |name: &[u8]| line.name().eq_ignore_ascii_case(name);
        if is(b"content-length") && length.replace(number(line.value())?).is_some() {
            return Err(FramingError::DuplicateLength);
        }
        if is(b"transfer-encoding") && coding.replace(line.value()).is_some() {
            return Err(FramingError::MisplacedCoding);
        }
    }
    match (length, coding) {
        (None, None) => Ok(None),
        (Some(length), None) => Ok(Some(BodyLength::Sized(length))),
        (Some(_), Some(_)) => Err(FramingError::LengthAndCoding),
        (None, Some(_)) if minor == 0 => Err(FramingError::MisplacedCoding),
        (None, Some(coding)) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Some(BodyLength::Chunked)),
        (None, Some(_)) => Err(FramingError::UnknownCoding),
    }
}

fn number(value: &[u8]) -> Result<u64, FramingError> {
    let digits = std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    // Sizes are compared and added as signed numbers elsewhere (nginx's off_t), so the largest one is i64's.
    digits
        .and_then(|digits| digits.parse::<u64>().ok())
        .filter(|&number| i64::try_from(number).is_ok())
        .ok_or(FramingError::InvalidLength)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(lines: &str, minor: u8) -> Result<BodyLength, FramingError> {
        let block = format!("{lines}\r\n");
        request_body(&Headers::parse(block.as_bytes()).expect("good").expect("whole").0, minor)
    }

    #[test]
    fn one_declared_length_is_taken() {
        assert_eq!(body("", 1), Ok(BodyLength::None));
        assert_eq!(body("Content-Length: 12\r\n", 1), Ok(BodyLength::Sized(12)));
        assert_eq!(body("transfer-encoding: Chunked\r\n", 1), Ok(BodyLength::Chunked));
    }

    #[test]
    fn ambiguous_framing_is_refused() {
        for (lines, minor, error) in [
            ("Content-Length: 1\r\nContent-Length: 1\r\n", 1, FramingError::DuplicateLength),
            ("Content-Length: 1, 1\r\n", 1, FramingError::InvalidLength),
            ("Content-Length: +1\r\n", 1, FramingError::InvalidLength),
            ("Content-Length: -1\r\n", 1, FramingError::InvalidLength),
            ("Content-Length:\r\n", 1, FramingError::InvalidLength),
            ("Content-Length: 99999999999999999999\r\n", 1, FramingError::InvalidLength),
            ("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", 1, FramingError::LengthAndCoding),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 1, FramingError::MisplacedCoding),
            ("Transfer-Encoding: chunked\r\n", 0, FramingError::MisplacedCoding),
            ("Transfer-Encoding: gzip, chunked\r\n", 1, FramingError::UnknownCoding),
            ("Transfer-Encoding: xchunked\r\n", 1, FramingError::UnknownCoding),
        ] {
            assert_eq!(body(lines, minor), Err(error), "{lines}");
        }
    }

    #[test]
    fn some_responses_have_no_body_whatever_they_declare() {
        let headers = Headers::parse(b"Content-Length: 5\r\n\r\n").expect("good").expect("whole").0;
        assert_eq!(response_body(&headers, 1, 200, true), Ok(BodyLength::None));
        assert_eq!(response_body(&headers, 1, 304, false), Ok(BodyLength::None));
        assert_eq!(response_body(&headers, 1, 200, false), Ok(BodyLength::Sized(5)));
        assert_eq!(response_body(&Headers::default(), 1, 200, false), Ok(BodyLength::UntilClose));
    }
}
