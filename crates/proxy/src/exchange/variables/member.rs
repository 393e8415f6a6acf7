//! Families of variables: arguments, cookies and headers by their names (`$arg_…`, `$cookie_…`, `$http_…`).

use super::write::{put, put_number, put_some};
use crate::exchange::Exchange;
use crate::exchange::client::OutHead;
use culvert_engine::http1::{Headers, Protocol};
use culvert_engine::variable::Family;
use culvert_engine::websocket::has_token;

impl Exchange {
    /// Appends the value of the family's variable of this name.
    pub(super) fn append_member(&self, family: Family, name: &str, head: Option<&OutHead>, out: &mut Vec<u8>) -> bool {
        let request = &self.request.head.headers;
        if name.is_empty() {
            return false;
        }
        match family {
            Family::Arg => put(out, argument(&self.request.args, name)),
            Family::Cookie => put(out, request.all("cookie").find_map(|line| cookie(line, name))),
            Family::Http => put_header(out, request, name, if name == "cookie" { b"; " } else { b", " }),
            Family::ProxyProtocolTlv => {
                let value = self.client.proxy.as_ref().and_then(|header| header.tlv(name));
                put(out, value.as_deref())
            }
            Family::SentHttp => self.put_sent(out, name, head),
            // The upstream's trailers are the client's too, if it takes any.
            Family::SentTrailer => {
                let takes = request.all("te").any(|list| has_token(list, "trailers"));
                let passes = takes && self.location.proxy.response.pass_trailers;
                passes && put_header(out, &self.upstream_trailers, name, b", ")
            }
            Family::UpstreamCookie => {
                put(out, self.upstream_headers.all("set-cookie").find_map(|line| set_cookie(line, name)))
            }
            Family::UpstreamHttp => put_header(out, &self.upstream_headers, name, b", "),
            Family::UpstreamTrailer => put_header(out, &self.upstream_trailers, name, b", "),
        }
    }

    /// `$arg_NAME`.
    pub(in crate::exchange) fn argument(&self, name: &str) -> Option<&[u8]> {
        argument(&self.request.args, name)
    }

    fn put_sent(&self, out: &mut Vec<u8>, name: &str, head: Option<&OutHead>) -> bool {
        let (headers, length, has_body) = match head {
            Some(head) => (&head.headers, head.content_length, head.has_body),
            None => (&self.sent.headers, self.sent.content_length, self.sent.has_body),
        };
        match (name, length) {
            ("content_length", Some(length)) => put_number(out, length),
            ("connection", _) if head.is_none() => {
                put(out, Some(self.sent.connection.as_bytes()).filter(|said| !said.is_empty()))
            }
            ("transfer_encoding", None)
                if has_body && self.request.head.minor > 0 && self.request.head.protocol != Protocol::Http2 =>
            {
                put_some(out, b"chunked")
            }
            _ => put_header(out, headers, name, b", "),
        }
    }
}

/// All headers of a name as nginx's variables spell it: lower case, dashes as underscores.
pub(super) fn put_header(out: &mut Vec<u8>, headers: &Headers, name: &str, separator: &[u8]) -> bool {
    let spelt = |line: &[u8]| {
        line.len() == name.len()
            && line.iter().zip(name.bytes()).all(|(&b, wanted)| match b {
                b'-' => wanted == b'_',
                _ => b.to_ascii_lowercase() == wanted,
            })
    };
    let mut found = false;
    for (_, value) in headers.iter().filter(|(line, _)| spelt(line)) {
        if found {
            out.extend_from_slice(separator);
        }
        out.extend_from_slice(value);
        found = true;
    }
    found
}

/// The value of the first argument of this name, as it was sent.
fn argument<'a>(args: &'a [u8], name: &str) -> Option<&'a [u8]> {
    args.split(|&b| b == b'&').find_map(|argument| {
        let (key, value) = argument.split_at_checked(name.len())?;
        key.eq_ignore_ascii_case(name.as_bytes()).then_some(())?;
        value.strip_prefix(b"=")
    })
}

/// The value of a cookie in a line of `Cookie`. As in nginx, a comma parts cookies where one is looked for, and is a part of its
/// value once it is found.
fn cookie<'a>(line: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let starts = line.iter().enumerate().filter(|(_, b)| matches!(b, b';' | b',')).map(|(at, _)| at + 1);
    std::iter::once(0).chain(starts).find_map(|start| set_cookie(&line[start..], name))
}

/// The value of a cookie in a line of `Set-Cookie`, which begins with it.
fn set_cookie<'a>(line: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let (key, rest) = line.trim_ascii_start().split_at_checked(name.len())?;
    key.eq_ignore_ascii_case(name.as_bytes()).then_some(())?;
    let value = rest.trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    value.split(|&b| b == b';').next()
}
