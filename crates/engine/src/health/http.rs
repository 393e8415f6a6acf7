//! A probe over HTTP: the request as bytes, and what is read of the response.

use super::{BODY_BYTES_MAX, Failure, Match, Stage};
use crate::http1::{BodyDecoder, ResponseHead, push_line, push_text, response_body};
use crate::variable::{Builtin, Family, Variable};
use std::sync::Arc;

/// The longest response head that a probe reads.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Composes the request of a probe. `headers` are further lines, which have to leave `Connection` alone; `keep`: the
/// connection carries further probes.
pub fn http_request<'a>(
    uri: &str,
    host: &str,
    headers: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
    keep: bool,
) -> Vec<u8> {
    let mut out = b"GET ".to_vec();
    push_text(&mut out, uri.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    push_line(&mut out, b"Host", host.as_bytes());
    if !keep {
        push_line(&mut out, b"Connection", b"close");
    }
    headers.into_iter().for_each(|(name, value)| push_line(&mut out, name, value));
    out.extend_from_slice(b"\r\n");
    out
}

/// Reads the response to one probe.
#[derive(Debug)]
pub struct HttpProbe {
    matching: Option<Arc<Match>>,
    keep: bool,
    unread: Vec<u8>,
    response: Option<Response>,
    is_reusable: bool,
}

#[derive(Debug)]
struct Response {
    head: ResponseHead,
    decoder: BodyDecoder,
    body: Vec<u8>,
}

/// How far a response is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// More has to be read.
    More,
    /// All that the verdict needs is there.
    Whole,
}

impl HttpProbe {
    /// Expects a response. `keep`: it is read to its end, so that the connection can carry the next probe.
    pub fn new(matching: Option<Arc<Match>>, keep: bool) -> HttpProbe {
        HttpProbe { matching, keep, unread: Vec::new(), response: None, is_reusable: false }
    }

    /// Takes what the peer sent.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Progress, Failure> {
        self.unread.extend_from_slice(bytes);
        if self.response.is_none() && self.read_head()? == Progress::More {
            return Ok(Progress::More);
        }
        self.read_body()
    }

    /// The peer ended its stream.
    pub fn end_of_stream(&mut self) -> Result<(), Failure> {
        let gone = |stage| Err(Failure::new(stage, "upstream prematurely closed connection"));
        match &self.response {
            None => gone(Stage::ReadingHead),
            Some(response) if response.decoder.is_done() || response.decoder.ends_with_connection() => Ok(()),
            Some(_) if !self.wants_body() => Ok(()),
            Some(_) => gone(Stage::ReadingBody),
        }
    }

    /// Whether the response passes; for after [`Progress::Whole`] or the end of the stream. `value` appends the value
    /// of a variable; [`HttpProbe::variable`] knows those of the response.
    pub fn verdict(&self, mut value: impl FnMut(&ResponseHead, &Variable, &mut Vec<u8>)) -> Result<(), Failure> {
        let Some(Response { head, body, .. }) = &self.response else {
            return Err(Failure::new(Stage::ReadingHead, "no response"));
        };
        match &self.matching {
            Some(matching) => matching.evaluate(head, body, |variable, out| value(head, variable, out)),
            None if (200..400).contains(&head.status) => Ok(()),
            None => Err(Failure::new(Stage::Status, format!("unexpected status {}", head.status))),
        }
    }

    /// Appends the value of a variable that the response gives; the others are empty in a probe.
    pub fn variable(head: &ResponseHead, variable: &Variable, out: &mut Vec<u8>) {
        match variable {
            Variable::Builtin(Builtin::Status | Builtin::UpstreamStatus) => {
                out.extend_from_slice(head.status.to_string().as_bytes());
            }
            Variable::Member(Family::UpstreamHttp | Family::SentHttp, name) => {
                let is_same = |line: &[u8]| {
                    line.len() == name.len()
                        && line
                            .iter()
                            .zip(name.bytes())
                            .all(|(&a, b)| a.eq_ignore_ascii_case(&b) || (a == b'-' && b == b'_'))
                };
                let value = head.headers.iter().find(|(line, _)| is_same(line)).map(|(_, value)| value);
                out.extend_from_slice(value.unwrap_or_default());
            }
            _ => {}
        }
    }

    /// Whether the connection can carry another request.
    pub fn is_reusable(&self) -> bool {
        self.is_reusable
    }

    fn wants_body(&self) -> bool {
        self.matching.as_ref().is_some_and(|matching| matching.wants_body())
    }

    fn read_head(&mut self) -> Result<Progress, Failure> {
        loop {
            let parsed = ResponseHead::parse(&self.unread, HEAD_BYTES_MAX)
                .map_err(|error| Failure::new(Stage::ReadingHead, error.describe()))?;
            let Some((head, length)) = parsed else { return Ok(Progress::More) };
            self.unread.drain(..length);
            // Interim responses say that the final one is still to come (RFC 9110 section 15.2); a 101 is final.
            if head.status < 200 && head.status != 101 {
                continue;
            }
            let length = response_body(&head.headers, head.minor, head.status, false)
                .map_err(|error| Failure::new(Stage::ReadingHead, format!("upstream sent {}", error.describe())))?;
            self.response = Some(Response { head, decoder: BodyDecoder::new(length), body: Vec::new() });
            return Ok(Progress::Whole);
        }
    }

    fn read_body(&mut self) -> Result<Progress, Failure> {
        let wants_body = self.wants_body();
        let Some(response) = &mut self.response else { return Ok(Progress::More) };
        if !wants_body && !self.keep {
            return Ok(Progress::Whole);
        }
        while !response.decoder.is_done() && !self.unread.is_empty() && response.body.len() < BODY_BYTES_MAX {
            let room = BODY_BYTES_MAX - response.body.len();
            let body = &mut response.body;
            let used = response
                .decoder
                .decode(&self.unread, room, |bytes| body.extend_from_slice(bytes))
                .map_err(|_| Failure::new(Stage::ReadingBody, "upstream sent invalid chunked response"))?;
            self.unread.drain(..used);
        }
        let is_whole = response.decoder.is_done();
        self.is_reusable = is_whole && self.keep && self.unread.is_empty() && response.head.keeps_alive();
        Ok(if is_whole || response.body.len() >= BODY_BYTES_MAX { Progress::Whole } else { Progress::More })
    }
}

impl ResponseHead {
    /// Whether the peer leaves the connection open after this response (RFC 9112 section 9.3).
    fn keeps_alive(&self) -> bool {
        let says = |token: &str| self.headers.all("connection").any(|list| crate::websocket::has_token(list, token));
        self.status != 101 && !says("close") && (self.minor > 0 || says("keep-alive"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Condition;

    fn matching(condition: Result<Condition, String>) -> Option<Arc<Match>> {
        Some(Arc::new(Match { name: "test".into(), conditions: vec![condition.expect("good")] }))
    }

    /// Gives the response in portions of `step` bytes, and the end of the stream where more is waited for.
    fn probe(matching: Option<Arc<Match>>, response: &str, step: usize) -> Result<(), Failure> {
        let mut probe = HttpProbe::new(matching, false);
        let mut progress = Progress::More;
        for part in response.as_bytes().chunks(step) {
            progress = probe.receive(part)?;
            if progress == Progress::Whole {
                break;
            }
        }
        if progress == Progress::More {
            probe.end_of_stream()?;
        }
        probe.verdict(HttpProbe::variable)
    }

    #[test]
    fn a_request_is_what_a_server_expects() {
        let headers = [(&b"X-Probe"[..], &b"1"[..])];
        assert_eq!(
            http_request("/up", "chat", headers, false).escape_ascii().to_string(),
            r"GET /up HTTP/1.1\r\nHost: chat\r\nConnection: close\r\nX-Probe: 1\r\n\r\n"
        );
        assert_eq!(
            http_request("/", "chat", [], true).escape_ascii().to_string(),
            r"GET / HTTP/1.1\r\nHost: chat\r\n\r\n"
        );
    }

    #[test]
    fn without_a_match_a_status_of_2xx_or_3xx_passes() {
        for (status, passes) in [(200, true), (204, true), (302, true), (399, true), (101, false), (404, false)] {
            let response = format!("HTTP/1.1 {status} X\r\n\r\n");
            assert_eq!(probe(None, &response, 100).is_ok(), passes, "{status}");
        }
        let failure = probe(None, "HTTP/1.1 503 X\r\n\r\n", 100).expect_err("503");
        assert_eq!(failure.to_string(), "unexpected status 503 while checking status code");
    }

    #[test]
    fn the_verdict_is_the_same_however_the_response_is_split() {
        let chunked = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                       3\r\nWel\r\n4\r\ncome\r\n0\r\n\r\n";
        let sized = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nWelcome";
        let until_close = "HTTP/1.0 200 OK\r\n\r\nWelcome";
        for response in [chunked, sized, until_close] {
            for step in 1..response.len() + 1 {
                assert_eq!(probe(matching(Condition::body(&["~", "^Welcome$"])), response, step), Ok(()), "{step}");
                assert!(probe(matching(Condition::body(&["!~", "come"])), response, step).is_err(), "{step}");
            }
        }
    }

    #[test]
    fn a_response_that_is_cut_short_fails() {
        let body = || matching(Condition::body(&["~", "W"]));
        for (response, stage) in [
            ("", Stage::ReadingHead),
            ("HTTP/1.1 200 OK\r\nA: b\r\n", Stage::ReadingHead),
            ("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nWel", Stage::ReadingBody),
        ] {
            let failure = probe(body(), response, 100).expect_err(response);
            assert_eq!((failure.stage, &*failure.detail), (stage, "upstream prematurely closed connection"));
        }
    }

    #[test]
    fn bytes_that_are_no_response_fail() {
        for (response, detail) in [
            ("SSH-2.0-OpenSSH_9\r\n", "upstream sent no valid HTTP/1.0 header"),
            ("HTTP/1.1 200 OK\r\nbad line\r\n\r\n", "upstream sent invalid header"),
            ("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "upstream sent invalid \"Content-Length\" header"),
        ] {
            assert_eq!(probe(None, response, 100).expect_err(response).detail, detail);
        }
        let endless = format!("HTTP/1.1 200 OK\r\n{}", format!("A: {}\r\n", "b".repeat(1000)).repeat(70));
        assert_eq!(probe(None, &endless, 1000).expect_err("long").detail, "upstream sent too big header");
    }

    #[test]
    fn no_more_of_a_body_is_kept_than_is_looked_at() {
        let mut probe = HttpProbe::new(matching(Condition::body(&["~", "x"])), true);
        let part = [b'x'; 8192];
        assert_eq!(probe.receive(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"), Ok(Progress::More));
        let parts = (1..).take_while(|_| probe.receive(&part) == Ok(Progress::More)).count();
        assert_eq!(parts, BODY_BYTES_MAX / part.len() - 1);
        assert!(!probe.is_reusable());
        assert_eq!(probe.verdict(HttpProbe::variable), Ok(()));
    }

    #[test]
    fn a_connection_is_reused_after_a_whole_response_that_allows_it() {
        let reusable = |response: &str| {
            let mut probe = HttpProbe::new(None, true);
            probe.receive(response.as_bytes()).expect("good");
            probe.is_reusable()
        };
        assert!(reusable("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
        assert!(reusable("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n"));
        assert!(!reusable("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no"));
        assert!(!reusable("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokay"));
        assert!(!reusable("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"));
        assert!(!reusable("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    }

    #[test]
    fn headers_of_the_response_are_variables() {
        let mut probe = HttpProbe::new(None, false);
        probe.receive(b"HTTP/1.1 200 OK\r\nX-Load: low\r\n\r\n").expect("good");
        let mut seen = Vec::new();
        probe.verdict(|_, _, _| {}).expect("passes");
        let head = &probe.response.as_ref().expect("read").head;
        HttpProbe::variable(head, &crate::variable::builtin("upstream_http_x_load").expect("known"), &mut seen);
        HttpProbe::variable(head, &Variable::Builtin(Builtin::UpstreamStatus), &mut seen);
        HttpProbe::variable(head, &Variable::Builtin(Builtin::Host), &mut seen);
        assert_eq!(seen, b"low200");
    }
}
