//! The `Host` header and the host of an absolute target.

use crate::route::host_table::lower;
use std::borrow::Cow;
use std::fmt;

/// A host that a request names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host<'a> {
    /// In lower case, without port and without a dot at the end; an IPv6 address keeps its brackets.
    pub name: Cow<'a, [u8]>,
    /// What follows the first colon after the name, if it is a number from 1 to 65535.
    pub port: Option<u16>,
}

/// The host is refused: 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadHost;

impl fmt::Display for BadHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("client sent invalid host header")
    }
}

impl std::error::Error for BadHost {}

/// Reads a `Host` header's value, or the host of an absolute target, as nginx does: no slash, no space or control byte, no
/// two dots in a row, not empty.
pub fn host_of(header: &[u8]) -> Result<Host<'_>, BadHost> {
    let mut before = 0;
    let is_bad = |&byte: &u8| {
        let is_second_dot = byte == b'.' && before == b'.';
        before = byte;
        byte <= b' ' || byte == 0x7f || byte == b'/' || is_second_dot
    };
    if header.iter().any(is_bad) {
        return Err(BadHost);
    }
    let end = name_end(header);
    let port = header[end..].strip_prefix(b":").and_then(port_of);
    // nginx takes the dot off only if it is the last of the whole value, so `a.:8.0` keeps it.
    let ends_in_dot = end > 0 && memchr::memrchr(b'.', header) == Some(end - 1);
    let name = &header[..end - usize::from(ends_in_dot)];
    match name.is_empty() {
        true => Err(BadHost),
        false => Ok(Host { name: lower(name), port }),
    }
}

fn name_end(header: &[u8]) -> usize {
    match header {
        [b'[', ..] => memchr::memchr(b']', header).map_or(header.len(), |bracket| bracket + 1),
        _ => memchr::memchr(b':', header).unwrap_or(header.len()),
    }
}

fn port_of(digits: &[u8]) -> Option<u16> {
    let is_number = digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| is_number)?.parse().ok().filter(|&port| port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(header: &[u8]) -> Option<String> {
        host_of(header).ok().map(|host| String::from_utf8_lossy(&host.name).into_owned())
    }

    #[test]
    fn a_host_loses_its_case_its_port_and_its_last_dot() {
        for (header, expected) in [
            ("example.com", "example.com"),
            ("EXAMPLE.com:80", "example.com"),
            ("example.com.", "example.com"),
            ("example.com.:8080", "example.com"),
            ("a.:8.0", "a."),
            ("[::1]", "[::1]"),
            ("[FE80::1]:8080", "[fe80::1]"),
            ("[::1", "[::1"),
            ("a_b*", "a_b*"),
            ("a:b:c", "a"),
            ("x[::1]", "x["),
        ] {
            assert_eq!(name(header.as_bytes()).as_deref(), Some(expected), "{header}");
        }
    }

    #[test]
    fn a_host_with_anything_odd_in_it_is_refused() {
        for header in ["", ".", ":80", "a..b", "a:8..0", "a/b", "a b", "a\0b", "a\tb", "a\x7f", "/"] {
            assert_eq!(host_of(header.as_bytes()), Err(BadHost), "{header:?}");
        }
    }

    #[test]
    fn a_port_is_a_number_or_nothing() {
        let port = |header: &'static [u8]| host_of(header).expect("a good host").port;
        assert_eq!(port(b"a:80"), Some(80));
        assert_eq!(port(b"[::1]:65535"), Some(65535));
        for header in [&b"a"[..], b"a:", b"a:0", b"a:65536", b"a:+1", b"a:80x", b"[::1]"] {
            assert_eq!(port(header), None);
        }
    }
}
