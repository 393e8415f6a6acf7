//! A URI that an upstream names for an internal redirect (`X-Accel-Redirect`).

/// Path, decoded, and arguments of a URI that somebody else composed. `None` where it leads out of what it names: an
/// empty path, a `..` as one of its parts, a NUL. Encoded parts are looked at after decoding as well.
pub fn parse_internal(uri: &[u8]) -> Option<(Vec<u8>, Option<&[u8]>)> {
    let end = memchr::memchr(b'?', uri).unwrap_or(uri.len());
    let (path, args) = (&uri[..end], uri.get(end + 1..));
    if !is_safe(path) {
        return None;
    }
    let path = decode(path);
    is_safe(&path).then_some((path, args))
}

fn is_safe(path: &[u8]) -> bool {
    !path.is_empty() && !path.contains(&0) && path.split(|&byte| byte == b'/').all(|part| part != b"..")
}

/// Decodes `%XX`; what is no such triple stays as it is.
fn decode(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, after)) = rest.split_first() {
        let decoded = match (byte, after) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        out.push(decoded.unwrap_or(byte));
        rest = if decoded.is_some() { &after[2..] } else { after };
    }
    out
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_decoded_and_its_arguments_are_not() {
        let (path, args) = parse_internal(b"/a%20b%3Fc?d=%20?e").expect("safe");
        assert_eq!((&path[..], args), (&b"/a b?c"[..], Some(&b"d=%20?e"[..])));
        assert_eq!(parse_internal(b"/a%2gb%").expect("safe").0, b"/a%2gb%");
    }

    #[test]
    fn what_leads_elsewhere_is_refused() {
        for uri in [&b""[..], b"?a", b"../a", b"/..", b"/a/../b", b"/a/%2e%2e/b", b"/a\0", b"/%00", b".."] {
            assert_eq!(parse_internal(uri), None, "{}", uri.escape_ascii());
        }
        assert!(parse_internal(b"/a/..b/c..").is_some());
        assert!(parse_internal(b"/a?../b").is_some());
    }
}
