//! HTTP/1 messages as a test sees them: taken apart, but nothing tidied away.

/// A message head.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// The request line or status line.
    pub start_line: String,
    /// Names and values in the order and the case in which they came.
    pub headers: Vec<(String, String)>,
    /// The bytes, the empty line included.
    pub raw: Vec<u8>,
}

impl Head {
    /// Takes a head apart. Bytes that are not UTF-8 show as replacement characters; `raw` has them as they came.
    pub fn parse(raw: &[u8]) -> Self {
        let text = String::from_utf8_lossy(raw);
        let mut lines = text.split("\r\n");
        let start_line = lines.next().unwrap_or_default().to_owned();
        let headers = lines
            .take_while(|line| !line.is_empty())
            .map(|line| line.split_once(':').unwrap_or((line, "")))
            .map(|(name, value)| (name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
            .collect();
        Head { start_line, headers, raw: raw.to_vec() }
    }

    /// The first header of that name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).into_iter().next()
    }

    /// All headers of that name, in any case.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let wanted = self.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        wanted.map(|(_, value)| value.as_str()).collect()
    }

    /// The method of a request.
    pub fn method(&self) -> &str {
        self.start_line.split(' ').next().unwrap_or_default()
    }

    /// The target of a request.
    pub fn target(&self) -> &str {
        self.start_line.split(' ').nth(1).unwrap_or_default()
    }

    /// The status of a response; 0 where there is none.
    pub fn status(&self) -> u16 {
        self.target().parse().unwrap_or(0)
    }

    /// How the body of this request ends.
    pub fn request_framing(&self) -> Framing {
        self.framing().unwrap_or(Framing::Empty)
    }

    /// How the body of this response to a request with `method` ends (RFC 9112 section 6.3).
    pub fn response_framing(&self, method: &str) -> Framing {
        let status = self.status();
        let bodiless = method == "HEAD" || (100..200).contains(&status) || status == 204 || status == 304;
        if bodiless { Framing::Empty } else { self.framing().unwrap_or(Framing::UntilClose) }
    }

    fn framing(&self) -> Option<Framing> {
        if self.all("transfer-encoding").iter().any(|value| value.to_ascii_lowercase().contains("chunked")) {
            return Some(Framing::Chunked);
        }
        self.header("content-length").and_then(|length| length.parse().ok()).map(Framing::Length)
    }
}

/// How a message body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    Empty,
    /// After so many bytes.
    Length(usize),
    /// With the last chunk.
    Chunked,
    /// With the connection.
    UntilClose,
}

/// A message body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Body {
    /// Its bytes, chunks joined.
    pub bytes: Vec<u8>,
    /// The chunks as they came; empty for a body without chunks.
    pub raw: Vec<u8>,
    /// The trailers after the last chunk.
    pub trailers: Vec<(String, String)>,
    /// Whether it ended as its framing says.
    pub complete: bool,
}

/// A request as a backend saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The number of the connection that it came on, from 0.
    pub connection: usize,
    /// Its head.
    pub head: Head,
    /// Its body.
    pub body: Body,
}

/// A response as a client saw it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Response {
    /// Its head.
    pub head: Head,
    /// Its body.
    pub body: Body,
}

impl Response {
    /// The status.
    pub fn status(&self) -> u16 {
        self.head.status()
    }

    /// The first header of that name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body.bytes).into_owned()
    }
}

/// Takes apart all that a connection carried to the client. `methods` are those of the requests, in order; interim
/// responses (1xx) use none up. The second value is what follows the last whole response: after a 101, the tunnel's bytes.
pub fn parse_responses(mut bytes: &[u8], methods: &[&str]) -> (Vec<Response>, Vec<u8>) {
    let mut responses = Vec::new();
    let mut methods = methods.iter();
    let mut method = methods.next().copied().unwrap_or("GET");
    while bytes.starts_with(b"HTTP/") {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { break };
        let head = Head::parse(&bytes[..end + 4]);
        let (body, used) = split_body(&bytes[end + 4..], head.response_framing(method));
        bytes = &bytes[end + 4 + used..];
        let status = head.status();
        responses.push(Response { head, body });
        if status == 101 {
            break;
        }
        if status >= 200 {
            method = methods.next().copied().unwrap_or("GET");
        }
    }
    (responses, bytes.to_vec())
}

/// The body at the beginning of `bytes`, and how many bytes it takes.
fn split_body(bytes: &[u8], framing: Framing) -> (Body, usize) {
    match framing {
        Framing::Empty => (Body { complete: true, ..Body::default() }, 0),
        Framing::Length(length) => {
            let used = length.min(bytes.len());
            (Body { bytes: bytes[..used].to_vec(), complete: used == length, ..Body::default() }, used)
        }
        Framing::UntilClose => (Body { bytes: bytes.to_vec(), complete: true, ..Body::default() }, bytes.len()),
        Framing::Chunked => split_chunks(bytes),
    }
}

fn split_chunks(bytes: &[u8]) -> (Body, usize) {
    let mut body = Body::default();
    let mut used = 0;
    let mut last_chunk = false;
    while let Some(end) = bytes[used..].windows(2).position(|window| window == b"\r\n") {
        let line = String::from_utf8_lossy(&bytes[used..used + end]).into_owned();
        used += end + 2;
        if last_chunk {
            let Some((name, value)) = line.split_once(':') else {
                body.complete = line.is_empty();
                break;
            };
            body.trailers.push((name.to_owned(), value.trim().to_owned()));
            continue;
        }
        let size = line.split(';').next().unwrap_or_default().trim();
        let Ok(size) = usize::from_str_radix(size, 16) else { break };
        last_chunk = size == 0;
        let there = size.min(bytes.len() - used);
        body.bytes.extend_from_slice(&bytes[used..used + there]);
        used = if last_chunk { used } else { (used + size + 2).min(bytes.len()) };
    }
    body.raw = bytes[..used].to_vec();
    (body, used)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipelined_responses_are_told_apart() {
        let bytes = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n\
            HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\nT: v\r\n\r\nrest";
        let (responses, rest) = parse_responses(bytes, &["HEAD", "GET"]);
        let seen: Vec<_> = responses.iter().map(|response| (response.status(), response.text())).collect();
        assert_eq!(seen, [(100, String::new()), (200, String::new()), (200, "abc".into())]);
        assert_eq!(responses[2].body.trailers, [("T".to_owned(), "v".to_owned())]);
        assert!(responses[2].body.complete);
        assert_eq!(rest, b"rest");
    }

    #[test]
    fn a_body_that_was_cut_is_not_complete() {
        let (responses, rest) = parse_responses(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", &["GET"]);
        assert_eq!((responses[0].text().as_str(), responses[0].body.complete), ("abc", false));
        assert!(rest.is_empty());
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc";
        let (responses, _) = parse_responses(chunked, &["GET"]);
        assert_eq!((responses[0].text().as_str(), responses[0].body.complete), ("abc", false));
    }
}
