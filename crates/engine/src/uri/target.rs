//! The request target: a path with arguments, or a whole URI.

use super::BadUri;

/// A target in origin form, cut into its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'a> {
    /// The path as it was sent, without a fragment: what [`super::normalise`] takes.
    pub path: &'a [u8],
    /// What follows the first question mark, without a fragment. Nothing after the mark is `Some` and empty.
    pub args: Option<&'a [u8]>,
    /// Whether the path has percent-escapes. nginx encodes the path anew for a `proxy_pass` with a URI only if it had.
    pub is_quoted: bool,
}

/// A target in any form that nginx takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParsedTarget<'a> {
    /// The host of a target in absolute form, without its port. It goes before the `Host` header. It may still be one that
    /// [`super::host_of`] refuses.
    pub host: Option<&'a [u8]>,
    /// The path as it was sent, without a fragment.
    pub path: &'a [u8],
    /// What follows the first question mark, without a fragment.
    pub args: Option<&'a [u8]>,
    /// Whether the path has percent-escapes.
    pub is_quoted: bool,
    /// The target from its path on, as it was sent: `$request_uri`.
    pub request_uri: &'a [u8],
}

/// Cuts a target in origin form, which begins with a slash. Spaces and control bytes are refused.
pub fn split(target: &[u8]) -> Result<Target<'_>, BadUri> {
    if target.first() != Some(&b'/') || !is_clean(target) {
        return Err(BadUri);
    }
    Ok(cut(target))
}

/// Reads a target in origin form or in absolute form. `*` and the `host:port` of a `CONNECT` are refused as nginx refuses
/// them, with 400; a `CONNECT` to a target in one of the good forms is for the caller to refuse, with 405.
pub fn parse_target(target: &[u8]) -> Result<ParsedTarget<'_>, BadUri> {
    if !is_clean(target) {
        return Err(BadUri);
    }
    let (host, rest) = match target.first() {
        Some(b'/') => (None, target),
        Some(byte) if byte.is_ascii_alphabetic() => {
            let (host, rest) = authority(target)?;
            (Some(host), rest)
        }
        _ => return Err(BadUri),
    };
    // A URI without a path means the root.
    let request_uri = if rest.is_empty() { b"/" } else { rest };
    let Target { path, args, is_quoted } = cut(request_uri);
    let path = if path.is_empty() { b"/" } else { path };
    Ok(ParsedTarget { host, path, args, is_quoted, request_uri })
}

/// The host of a target in absolute form, and the target from its path on.
fn authority(target: &[u8]) -> Result<(&[u8], &[u8]), BadUri> {
    let scheme = target.iter().position(|byte| !is_scheme_byte(*byte)).ok_or(BadUri)?;
    let after = target[scheme..].strip_prefix(b"://").ok_or(BadUri)?;
    let host_length = match after {
        [b'[', literal @ ..] => {
            let inside = literal.iter().position(|byte| !is_literal_byte(*byte)).ok_or(BadUri)?;
            if literal[inside] != b']' {
                return Err(BadUri);
            }
            inside + 2
        }
        _ => after.iter().position(|byte| !is_host_byte(*byte)).unwrap_or(after.len()),
    };
    let (host, mut rest) = after.split_at(host_length);
    if let Some(port) = rest.strip_prefix(b":") {
        let digits = port.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(port.len());
        rest = &port[digits..];
    }
    match rest.first() {
        None | Some(b'/' | b'?') => Ok((host, rest)),
        Some(_) => Err(BadUri),
    }
}

fn cut(target: &[u8]) -> Target<'_> {
    let end = memchr::memchr(b'#', target).unwrap_or(target.len());
    let whole = &target[..end];
    let (path, args) = match memchr::memchr(b'?', whole) {
        Some(mark) => (&whole[..mark], Some(&whole[mark + 1..])),
        None => (whole, None),
    };
    Target { path, args, is_quoted: path.contains(&b'%') }
}

fn is_clean(target: &[u8]) -> bool {
    target.iter().all(|&byte| byte > b' ' && byte != 0x7f)
}

fn is_scheme_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-')
}

/// What RFC 3986 section 3.2.2 allows between the brackets of an IP literal.
fn is_literal_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b":-._~!$&'()*+,;=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(bytes: &[u8]) -> &str {
        std::str::from_utf8(bytes).expect("UTF-8")
    }

    /// Host, path, arguments and `$request_uri`, as Debian's nginx 1.22.1 answers them.
    #[test]
    fn targets_are_cut_where_nginx_cuts_them() {
        for (target, host, path, args, request_uri) in [
            ("/", None, "/", None, "/"),
            ("/a?b", None, "/a", Some("b"), "/a?b"),
            ("/a?", None, "/a", Some(""), "/a?"),
            ("/a#b?c", None, "/a", None, "/a#b?c"),
            ("/a?b#c", None, "/a", Some("b"), "/a?b#c"),
            ("/a?b?c", None, "/a", Some("b?c"), "/a?b?c"),
            ("http://x.y:80/a?b", Some("x.y"), "/a", Some("b"), "/a?b"),
            ("http://x.y", Some("x.y"), "/", None, "/"),
            ("http://x.y:", Some("x.y"), "/", None, "/"),
            ("http://x.y?b", Some("x.y"), "/", Some("b"), "?b"),
            ("http://x.y?b#c", Some("x.y"), "/", Some("b"), "?b#c"),
            ("http://X.y/", Some("X.y"), "/", None, "/"),
            ("http:///a", Some(""), "/a", None, "/a"),
            ("http://[::1]:80/a", Some("[::1]"), "/a", None, "/a"),
            ("http://x.y:/a", Some("x.y"), "/a", None, "/a"),
            ("ht2p+s.-://x/a", Some("x"), "/a", None, "/a"),
        ] {
            let parsed = parse_target(target.as_bytes()).expect(target);
            assert_eq!(parsed.host.map(text), host, "{target}");
            assert_eq!(text(parsed.path), path, "{target}");
            assert_eq!(parsed.args.map(text), args, "{target}");
            assert_eq!(text(parsed.request_uri), request_uri, "{target}");
        }
    }

    #[test]
    fn targets_that_nginx_refuses_are_refused() {
        for target in [
            "",
            "*",
            "?a",
            "a/b",
            "x:80",
            "x.y:443",
            "/a\x01",
            "/a\x7f",
            "/a b",
            "/a\t",
            "/a?b\x01",
            "http://x_y/a",
            "http://[::1]x/a",
            "http://x.y#a",
            "http://x.y:80#a",
            "http://u@x/a",
            "http://[:/a",
            "http://[",
            "http:/x",
            "http:",
            "http",
            "1http://x/",
            "http://x:8a/",
        ] {
            assert_eq!(parse_target(target.as_bytes()), Err(BadUri), "{target:?}");
        }
        assert_eq!(split(b"http://x/"), Err(BadUri));
    }

    #[test]
    fn escapes_count_only_in_the_path() {
        assert!(split(b"/a%20b").expect("good").is_quoted);
        assert!(!split(b"/a?%20b").expect("good").is_quoted);
        assert!(!split(b"/a#%20b").expect("good").is_quoted);
    }

    proptest! {
        #[test]
        fn both_readings_agree_on_targets_in_origin_form(target in r"/[a/.%?#& \x01-\xff]{0,12}") {
            let whole = parse_target(target.as_bytes());
            prop_assert_eq!(whole.is_err(), split(target.as_bytes()).is_err());
            if let (Ok(whole), Ok(cut)) = (whole, split(target.as_bytes())) {
                prop_assert_eq!((whole.host, whole.path, whole.args), (None, cut.path, cut.args));
            }
        }

        #[test]
        fn no_target_panics(target in prop::collection::vec(any::<u8>(), 0..30), rest in r"[a-z]{0,2}:?/{0,2}[\[\]:a.?#/0]{0,8}") {
            let _ = parse_target(&target);
            let _ = parse_target(rest.as_bytes());
        }
    }
}
