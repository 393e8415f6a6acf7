//! What a text must have so that a pattern can match it, told from the pattern's source at a glance.
//!
//! It is a hint that saves asking: where a source is not plain enough, nothing is told. What is told holds in either case of
//! letters, and comes in lower case.

/// What every text that a pattern matches has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Necessary {
    /// It begins with this.
    Prefix(Vec<u8>),
    /// What follows its last dot is one of these (unless it ends in a line feed).
    Extensions(Vec<Vec<u8>>),
    /// Nothing is known.
    Nothing,
}

/// Reads a pattern's source.
pub(super) fn of(source: &str) -> Necessary {
    let bytes = source.as_bytes();
    if !is_plain(bytes) {
        return Necessary::Nothing;
    }
    if let Some(prefix) = prefix(bytes).filter(|prefix| !prefix.is_empty()) {
        return Necessary::Prefix(prefix);
    }
    extensions(bytes).map_or(Necessary::Nothing, Necessary::Extensions)
}

/// Whether there is no alternative outside of groups, and nothing that changes what other parts mean.
fn is_plain(source: &[u8]) -> bool {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(&byte) = source.get(at) {
        at += 1;
        match byte {
            b'\\' if matches!(source.get(at), Some(b'Q' | b'E' | b'K')) => return false,
            b'\\' => at += 1,
            b'[' => match class_end(&source[at..]) {
                Some(length) => at += length,
                None => return false,
            },
            // Only `(?:` and names begin groups that change nothing outside of them.
            b'(' if source[at..].starts_with(b"?") && !is_harmless(&source[at..]) => return false,
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            b'|' if depth == 0 => return false,
            _ => {}
        }
    }
    true
}

fn is_harmless(opening: &[u8]) -> bool {
    let is_lookbehind = opening.starts_with(b"?<=") || opening.starts_with(b"?<!");
    !is_lookbehind && [&b"?:"[..], b"?<", b"?P<"].iter().any(|head| opening.starts_with(head))
}

/// The length of a class from behind its opening bracket on. One that has brackets in it is too difficult.
fn class_end(rest: &[u8]) -> Option<usize> {
    let mut at = usize::from(rest.first() == Some(&b'^'));
    at += usize::from(rest.get(at) == Some(&b']'));
    loop {
        match rest.get(at)? {
            b']' => return Some(at + 1),
            b'[' => return None,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// A byte that stands for itself at the beginning of `rest`, and how many bytes of the source it takes.
fn literal(rest: &[u8]) -> Option<(u8, usize)> {
    match rest {
        [b'\\', byte, ..] if byte.is_ascii_punctuation() => Some((byte.to_ascii_lowercase(), 2)),
        [byte, ..] if byte.is_ascii_alphanumeric() || b"/-_~!@%&=:;,'\"<> ".contains(byte) => {
            Some((byte.to_ascii_lowercase(), 1))
        }
        _ => None,
    }
}

fn prefix(source: &[u8]) -> Option<Vec<u8>> {
    let mut rest = source.strip_prefix(b"^")?;
    let mut prefix = Vec::new();
    while let Some((byte, length)) = literal(rest) {
        rest = &rest[length..];
        // What may be absent is not part of it; what is repeated is there once.
        if matches!(rest.first(), Some(b'*' | b'?' | b'{')) {
            break;
        }
        prefix.push(byte);
        if rest.first() == Some(&b'+') {
            break;
        }
    }
    Some(prefix)
}

/// The endings of `…\.ext$` and `…\.(one|other)$`.
fn extensions(source: &[u8]) -> Option<Vec<Vec<u8>>> {
    let body = source.strip_suffix(b"$")?;
    let (words, before) = match body.strip_suffix(b")") {
        Some(inside) => {
            let open = memchr::memrchr(b'(', inside)?;
            let words = inside[open + 1..].strip_prefix(b"?:").unwrap_or(&inside[open + 1..]);
            (words, &body[..open])
        }
        None => {
            let dot = memchr::memmem::rfind(body, b"\\.")?;
            (&body[dot + 2..], &body[..dot + 2])
        }
    };
    // The dot itself must not be a backslash's (`\\.`), nor the parenthesis.
    let escaped_dot = before.strip_suffix(b"\\.")?;
    if escaped_dot.ends_with(b"\\") {
        return None;
    }
    let mut all = Vec::new();
    for word in words.split(|&byte| byte == b'|') {
        all.extend(spellings(word)?);
    }
    Some(all)
}

/// The texts that a word of letters stands for, some of which may be optional (`jpe?g`).
fn spellings(word: &[u8]) -> Option<Vec<Vec<u8>>> {
    const SPELLINGS_MAX: usize = 8;
    let mut all = vec![Vec::new()];
    for (at, &byte) in word.iter().enumerate() {
        match byte {
            b'?' => {
                let last = at.checked_sub(1).map(|before| word[before]).filter(u8::is_ascii_alphanumeric)?;
                let without = all.iter().map(|text: &Vec<u8>| text.strip_suffix(&[last.to_ascii_lowercase()]));
                let without: Vec<Vec<u8>> = without.flatten().map(<[u8]>::to_vec).collect();
                all.extend(without);
            }
            _ if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' => {
                all.iter_mut().for_each(|text| text.push(byte.to_ascii_lowercase()));
            }
            _ => return None,
        }
        if all.len() > SPELLINGS_MAX {
            return None;
        }
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::super::Pattern;
    use super::*;
    use proptest::prelude::*;

    fn told(source: &str) -> String {
        let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
        match of(source) {
            Necessary::Prefix(prefix) => format!("{}…", text(&prefix)),
            Necessary::Extensions(all) => format!("….{}", all.iter().map(text).collect::<Vec<_>>().join("|")),
            Necessary::Nothing => "?".into(),
        }
    }

    #[test]
    fn a_source_that_is_anchored_tells_its_first_letters() {
        for (source, expected) in [
            ("^/Api/v1", "/api/v1…"),
            (r"^/a\.b\-c", "/a.b-c…"),
            ("^/ab?c", "/a…"),
            ("^/ab*c", "/a…"),
            ("^/ab{0,2}", "/a…"),
            ("^/ab+c", "/ab…"),
            ("^/(a|b)", "/…"),
            ("^/a.c", "/a…"),
            (r"^/a\d", "/a…"),
            ("^/a$", "/a…"),
            ("^/é", "/…"),
            ("^(?:/a)", "?"),
            ("^/a|/b", "?"),
            ("/a", "?"),
            ("(?i)^/a", "?"),
            (r"^\Q/a\E*", "?"),
            ("^/[a|b]c", "/…"),
            ("^/[[:alpha:]|]", "?"),
            ("^", "?"),
        ] {
            assert_eq!(told(source), expected, "{source}");
        }
    }

    #[test]
    fn a_source_that_ends_in_an_extension_tells_which() {
        for (source, expected) in [
            (r"\.php$", "….php"),
            (r"\.(gif|jpe?g|PNG)$", "….gif|jpeg|jpg|png"),
            (r"\.(?:js|css)$", "….js|css"),
            (r".*\.tar\.gz$", "….gz"),
            (r"\.(js|.*)$", "?"),
            (r"\.(js)?$", "?"),
            (r"\\.php$", "?"),
            (r"\.php\$", "?"),
            (r"\.php", "?"),
            (r"(a)\.(js)$", "….js"),
            (r"\.((a)|b)$", "?"),
            (r"a.(js)$", "?"),
            (r"\.(a|b$|c)$", "?"),
            (r"^.+\.html$", "….html"),
        ] {
            assert_eq!(told(source), expected, "{source}");
        }
    }

    proptest! {
        #[test]
        fn what_is_told_is_true(
            source in r"(\^)?([/aB.]|\\\.|a\?|b\*|\(a\|b\)|\(\?:B\)|\[ab\]|\||\(|\)|a\+|\{2\}|\\d){0,8}(\\\.(\(a\|b\?a\)|ba?))?(\$)?",
            texts in prop::collection::vec("[/aAbB.1]{0,8}", 20),
            caseless in any::<bool>(),
        ) {
            let Ok(pattern) = Pattern::new(&source, caseless) else { return Ok(()) };
            for text in texts {
                if !pattern.is_match(text.as_bytes()).expect("fast") {
                    continue;
                }
                let lower = text.to_ascii_lowercase().into_bytes();
                match of(&source) {
                    Necessary::Nothing => {}
                    Necessary::Prefix(prefix) => prop_assert!(lower.starts_with(&prefix), "{source} {text}"),
                    Necessary::Extensions(all) => {
                        let dot = lower.iter().rposition(|&byte| byte == b'.');
                        let extension = dot.map(|dot| lower[dot + 1..].to_vec());
                        prop_assert!(extension.is_some_and(|found| all.contains(&found)), "{source} {text}");
                    }
                }
            }
        }
    }
}
