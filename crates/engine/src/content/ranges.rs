//! `Range` and `If-Range` (RFC 9110 section 14), read as nginx reads them.

use super::{Validators, parse_date};
use std::ops::Range;

/// What a `Range` header asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All of it: the header is none, or asks for more than is sensible.
    All,
    /// These parts, in the order in which they were asked for: 206.
    Parts(Vec<Range<u64>>),
    /// Nothing that there is: 416.
    Unsatisfiable,
}

/// Which parts of a content of `length` bytes the value of `Range` asks for; more than `most` are not given.
pub fn select(header: &[u8], length: u64, most: usize) -> Selection {
    let is_bytes = header.len() >= 7 && header[..6].eq_ignore_ascii_case(b"bytes=");
    if !is_bytes || most == 0 {
        return Selection::All;
    }
    let mut parts = Vec::new();
    let mut sum = 0_u64;
    let mut rest = Some(&header[6..]);
    while let Some(text) = rest {
        let Some((range, behind)) = one(text, length) else { return Selection::Unsatisfiable };
        if range.start < range.end {
            sum = sum.saturating_add(range.end - range.start);
            if parts.len() == most {
                return Selection::All;
            }
            parts.push(range);
        } else if range.start == 0 {
            return Selection::All;
        }
        rest = behind;
    }
    match parts.is_empty() {
        true => Selection::Unsatisfiable,
        // Whoever asks for more than all of it wants to make work.
        false if sum > length => Selection::All,
        false => Selection::Parts(parts),
    }
}

/// One `first-last`, `first-` or `-suffix`, and what stands behind its comma. `None` for what is no range.
fn one(text: &[u8], length: u64) -> Option<(Range<u64>, Option<&[u8]>)> {
    let text = skip_spaces(text);
    let (first, text) = match text.strip_prefix(b"-") {
        Some(text) => (None, text),
        None => {
            let (first, text) = number(text)?;
            (Some(first), skip_spaces(skip_spaces(text).strip_prefix(b"-")?))
        }
    };
    if let Some(start) = first
        && (text.is_empty() || text[0] == b',')
    {
        return Some((start..length, text.get(1..)));
    }
    let (last, text) = number(text)?;
    let text = skip_spaces(text);
    if !(text.is_empty() || text[0] == b',') {
        return None;
    }
    let range = match first {
        Some(start) => start..last.saturating_add(1).min(length),
        None => length.saturating_sub(last)..length,
    };
    Some((range, text.get(1..)))
}

fn skip_spaces(text: &[u8]) -> &[u8] {
    &text[text.iter().position(|&b| b != b' ').unwrap_or(text.len())..]
}

/// A number that fits a file's length, and what stands behind it.
fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    let value: u64 = std::str::from_utf8(&text[..digits]).ok()?.parse().ok()?;
    i64::try_from(value).is_ok().then_some((value, &text[digits..]))
}

/// Whether the content still is what `If-Range` names.
pub fn if_range_holds(value: &[u8], content: &Validators<'_>) -> bool {
    if value.len() >= 2 && value.ends_with(b"\"") {
        return content.etag == Some(value);
    }
    content.last_modified.is_some() && content.last_modified == parse_date(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn selected(header: &str) -> Selection {
        select(header.as_bytes(), 100, 10)
    }

    fn parts(ranges: &[(u64, u64)]) -> Selection {
        Selection::Parts(ranges.iter().map(|&(start, end)| start..end).collect())
    }

    #[test]
    fn ranges_count_from_either_end() {
        assert_eq!(selected("bytes=0-9"), parts(&[(0, 10)]));
        assert_eq!(selected("Bytes=90-"), parts(&[(90, 100)]));
        assert_eq!(selected("bytes=-5"), parts(&[(95, 100)]));
        assert_eq!(selected("bytes=-500"), parts(&[(0, 100)]));
        assert_eq!(selected("bytes=50-500"), parts(&[(50, 100)]));
        assert_eq!(selected("bytes= 1 - 2 , 5-5 ,-1"), parts(&[(1, 3), (5, 6), (99, 100)]));
    }

    #[test]
    fn what_is_beyond_the_end_is_left_out() {
        assert_eq!(selected("bytes=200-300,0-0"), parts(&[(0, 1)]));
        assert_eq!(selected("bytes=100-"), Selection::Unsatisfiable);
        assert_eq!(selected("bytes=-0"), Selection::Unsatisfiable);
    }

    #[test]
    fn nonsense_is_refused_and_other_units_are_not_known() {
        for bad in ["bytes=a-b", "bytes=1-2x", "bytes=1", "bytes=--1", "bytes=1-2,", "bytes=99999999999999999999-"] {
            assert_eq!(selected(bad), Selection::Unsatisfiable, "{bad}");
        }
        for other in ["lines=1-2", "bytes=", "bytes", ""] {
            assert_eq!(selected(other), Selection::All, "{other}");
        }
    }

    #[test]
    fn too_much_is_answered_with_all() {
        assert_eq!(selected("bytes=0-,0-"), Selection::All);
        assert_eq!(select(b"bytes=0-0,1-1", 100, 1), Selection::All);
        assert_eq!(select(b"bytes=0-0", 100, 0), Selection::All);
        assert_eq!(select(b"bytes=0-", 0, 10), Selection::All);
    }

    #[test]
    fn if_range_wants_the_same_strong_tag_or_time() {
        let content = Validators { etag: Some(b"\"a\""), last_modified: parse_date(b"Mon, 28 Sep 1970 06:00:00 GMT") };
        assert!(if_range_holds(b"\"a\"", &content));
        assert!(if_range_holds(b"Mon, 28 Sep 1970 06:00:00 GMT", &content));
        for other in [&b"\"b\""[..], b"W/\"a\"", b"Mon, 28 Sep 1970 06:00:01 GMT", b"x"] {
            assert!(!if_range_holds(other, &content));
        }
    }

    proptest! {
        #[test]
        fn no_part_leaves_the_content(header in "bytes=[0-9 ,-]{1,30}", length in 0..200_u64) {
            if let Selection::Parts(parts) = select(header.as_bytes(), length, 5) {
                prop_assert!(!parts.is_empty() && parts.len() <= 5);
                prop_assert!(parts.iter().all(|part| part.start < part.end && part.end <= length));
            }
        }
    }
}
