//! The path of a request: decoded, with its dots and double slashes resolved.
//!
//! ```text
//!            '/'          '.'         '.'
//!   Usual ───────► Slash ─────► Dot ─────► DotDot
//!     ▲              ▲           │           │
//!     │              └─── '/' ───┴─── '/' ───┘   drops "./", or "x/../"
//!     └──────────────── any other byte ──────────── from everywhere
//! ```
//!
//! A percent-escape is decoded and then taken like any other byte, so `%2e%2e%2f` climbs like `../`; only `%25`, `%23` and
//! `%3F` stay what they are not: plain bytes of the path.

use super::BadUri;
use std::borrow::Cow;

/// What the path ended in so far.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Usual,
    Slash,
    Dot,
    DotDot,
}

/// Decodes and normalises a path as nginx does; `merge_slashes` makes one slash of several. An end at `?` or `#` is the
/// end of the path. It is refused if an escape is broken or stands for NUL, or if `..` climbs above the root.
///
/// Nothing is copied where the path is normal already.
pub fn normalise(path: &[u8], merge_slashes: bool) -> Result<Cow<'_, [u8]>, BadUri> {
    if is_normal(path) {
        return Ok(Cow::Borrowed(path));
    }
    let mut walk = Walk { out: Vec::with_capacity(path.len()), state: State::Usual, merge_slashes };
    let mut rest = path;
    while let [byte, after @ ..] = rest {
        rest = after;
        match byte {
            b'?' | b'#' => break,
            b'%' => {
                let decoded = unescape(rest)?;
                rest = &rest[2..];
                match decoded {
                    0 => return Err(BadUri),
                    b'%' | b'#' | b'?' => walk.push_plain(decoded),
                    _ => walk.push(decoded)?,
                }
            }
            _ => walk.push(*byte)?,
        }
    }
    walk.finish().map(Cow::Owned)
}

/// Whether the path can stand as it is: the common case, told in one pass.
fn is_normal(path: &[u8]) -> bool {
    let mut after_slash = false;
    for &byte in path {
        match byte {
            b'%' | b'?' | b'#' => return false,
            b'/' | b'.' if after_slash => return false,
            _ => after_slash = byte == b'/',
        }
    }
    true
}

struct Walk {
    out: Vec<u8>,
    state: State,
    merge_slashes: bool,
}

impl Walk {
    fn push(&mut self, byte: u8) -> Result<(), BadUri> {
        match (self.state, byte) {
            (State::Slash, b'/') if self.merge_slashes => return Ok(()),
            (State::Dot, b'/') => self.drop_dot(),
            (State::DotDot, b'/') => self.drop_segment()?,
            _ => self.out.push(byte),
        }
        self.state = match (self.state, byte) {
            (_, b'/') => State::Slash,
            (State::Slash, b'.') => State::Dot,
            (State::Dot, b'.') => State::DotDot,
            _ => State::Usual,
        };
        Ok(())
    }

    /// Takes a byte that was escaped and means nothing but itself.
    fn push_plain(&mut self, byte: u8) {
        self.out.push(byte);
        self.state = State::Usual;
    }

    fn finish(mut self) -> Result<Vec<u8>, BadUri> {
        match self.state {
            State::Dot => self.drop_dot(),
            State::DotDot => self.drop_segment()?,
            State::Usual | State::Slash => {}
        }
        Ok(self.out)
    }

    fn drop_dot(&mut self) {
        self.out.pop();
    }

    /// Takes `x/..` off the end, and leaves the slash before it.
    fn drop_segment(&mut self) -> Result<(), BadUri> {
        let parent = self.out.len().checked_sub(3).ok_or(BadUri)?;
        let slash = memchr::memrchr(b'/', &self.out[..parent]).ok_or(BadUri)?;
        self.out.truncate(slash + 1);
        Ok(())
    }
}

/// The byte that two hexadecimal digits stand for.
fn unescape(digits: &[u8]) -> Result<u8, BadUri> {
    let digit = |at: usize| {
        let digit = digits.get(at).and_then(|&digit| char::from(digit).to_digit(16)).ok_or(BadUri)?;
        u8::try_from(digit).map_err(|_| BadUri)
    };
    Ok(digit(0)? << 4 | digit(1)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn merged(path: &str) -> Result<String, BadUri> {
        normalise(path.as_bytes(), true).map(|path| String::from_utf8_lossy(&path).into_owned())
    }

    /// What Debian's nginx 1.22.1 makes of each.
    #[test]
    fn paths_are_decoded_and_resolved_as_by_nginx() {
        for (path, expected) in [
            ("/", "/"),
            ("/a%20b", "/a b"),
            ("/a/../b", "/b"),
            ("/a/..", "/"),
            ("/a/.", "/a/"),
            ("/./a", "/a"),
            ("/a//b", "/a/b"),
            ("//a", "/a"),
            ("/a%2fb", "/a/b"),
            ("/a/%2e%2e/b", "/b"),
            ("/a/%2E", "/a/"),
            ("/a%23b%3fc%25d", "/a#b?c%d"),
            ("/a/%25%2e/b", "/a/%./b"),
            ("/a/...", "/a/..."),
            ("/a/..b", "/a/..b"),
            ("/a/.b", "/a/.b"),
            ("/a./b", "/a./b"),
            ("/a../b", "/a../b"),
            ("/a/b/../../c", "/c"),
            ("/a//../b", "/b"),
            ("/a+b\\c", "/a+b\\c"),
            ("/a%2Bb", "/a+b"),
            ("/a%0ab", "/a\nb"),
            ("/a#b", "/a"),
            ("/a/..#b", "/"),
            ("/a/.?b", "/a/"),
        ] {
            assert_eq!(merged(path).as_deref(), Ok(expected), "{path}");
        }
    }

    #[test]
    fn broken_escapes_nul_and_climbing_out_are_refused() {
        for path in [
            "/..",
            "/../a",
            "/a/../..",
            "/a/b/../../..",
            "/%2e%2e/a",
            "/a%00",
            "/a%",
            "/a%4",
            "/a%zz",
            "/a%4g",
            "/a/%2",
        ] {
            assert_eq!(merged(path), Err(BadUri), "{path}");
        }
    }

    #[test]
    fn slashes_stay_where_they_are_not_to_be_merged() {
        let kept = |path: &'static [u8]| normalise(path, false).expect("a good path").into_owned();
        assert_eq!(kept(b"//a///b"), b"//a///b");
        assert_eq!(kept(b"//../a"), b"/a");
        assert_eq!(kept(b"/a//../b"), b"/a/b");
        assert_eq!(kept(b"/a%2f%2fb"), b"/a//b");
    }

    #[test]
    fn a_normal_path_is_not_copied() {
        assert!(matches!(normalise(b"/a/b.c/d+e", true), Ok(Cow::Borrowed(_))));
    }

    /// Decodes all at once, then resolves segment by segment.
    fn naive(path: &str) -> Result<String, BadUri> {
        let mut segments: Vec<String> = Vec::new();
        let mut rest = path.strip_prefix('/').expect("an absolute path").split('/').peekable();
        while let Some(segment) = rest.next() {
            match segment {
                "" | "." if rest.peek().is_some() => {}
                "" | "." => segments.push(String::new()),
                ".." => {
                    segments.pop().ok_or(BadUri)?;
                    if rest.peek().is_none() {
                        segments.push(String::new());
                    }
                }
                _ => segments.push(segment.into()),
            }
        }
        Ok(format!("/{}", segments.join("/")))
    }

    proptest! {
        #[test]
        fn paths_resolve_segment_by_segment(path in "(/(a|b\\.|\\.|\\.\\.|\\.\\.\\.|)){1,8}") {
            prop_assert_eq!(merged(&path), naive(&path));
        }

        #[test]
        fn an_escaped_path_means_the_same_as_the_plain_one(path in "/[a./]{0,12}", mask in any::<u16>()) {
            let escaped: String = path.char_indices().map(|(at, letter)| match at > 0 && mask >> (at % 16) & 1 == 1 {
                true => format!("%{:02x}", u32::from(letter)),
                false => letter.to_string(),
            }).collect();
            prop_assert_eq!(merged(&escaped), merged(&path));
        }

        #[test]
        fn a_normalised_path_is_absolute_and_climbs_nowhere(path in "/[a./%2eEfF0]{0,24}", merge_slashes in any::<bool>()) {
            if let Ok(normal) = normalise(path.as_bytes(), merge_slashes) {
                prop_assert!(normal.starts_with(b"/"));
                prop_assert!(!normal.split(|byte| *byte == b'/').any(|segment| segment == b".." || segment == b"."));
                prop_assert!(!merge_slashes || memchr::memmem::find(&normal, b"//").is_none());
            }
        }

        #[test]
        fn no_path_panics(path in prop::collection::vec(any::<u8>(), 0..40), merge_slashes in any::<bool>()) {
            let _ = normalise(&path, merge_slashes);
        }
    }
}
