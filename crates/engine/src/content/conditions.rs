//! Conditional requests (RFC 9110 section 13), evaluated in nginx's order.

use super::parse_date;
use crate::http1::Headers;

/// `if_modified_since`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IfModifiedSince {
    /// The header is not looked at.
    Off,
    /// The times have to be equal.
    #[default]
    Exact,
    /// The content must not be newer.
    Before,
}

/// What tells one state of a content from another.
#[derive(Debug, Clone, Copy, Default)]
pub struct Validators<'a> {
    /// Its `ETag`, quotes included.
    pub etag: Option<&'a [u8]>,
    /// Its `Last-Modified`, in seconds since 1970.
    pub last_modified: Option<u64>,
}

/// What the conditions of a request say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Send it.
    Send,
    /// The client has it already: 304.
    NotModified,
    /// The client wanted another state: 412.
    Failed,
}

/// Whether a content may be sent to a request with these headers.
pub fn judge(request: &Headers, content: &Validators<'_>, mode: IfModifiedSince) -> Verdict {
    let unmodified = request.first("if-unmodified-since");
    if unmodified.is_some_and(|date| !is_unmodified(date, content)) {
        return Verdict::Failed;
    }
    if request.first("if-match").is_some_and(|list| !matches(list, content, false)) {
        return Verdict::Failed;
    }
    let modified = request.first("if-modified-since").map(|date| is_modified(date, content, mode));
    let none_match = request.first("if-none-match").map(|list| !matches(list, content, true));
    match (modified, none_match) {
        (None, None) | (Some(true), _) | (_, Some(true)) => Verdict::Send,
        _ => Verdict::NotModified,
    }
}

fn is_unmodified(date: &[u8], content: &Validators<'_>) -> bool {
    let until = parse_date(date);
    matches!((until, content.last_modified), (Some(until), Some(modified)) if until >= modified)
}

fn is_modified(date: &[u8], content: &Validators<'_>, mode: IfModifiedSince) -> bool {
    let since = parse_date(date);
    match (mode, content.last_modified) {
        (_, None) | (IfModifiedSince::Off, _) => true,
        (_, modified) if modified == since => false,
        (IfModifiedSince::Exact, _) => true,
        (IfModifiedSince::Before, modified) => since < modified,
    }
}

/// Whether a list of entity tags has the content's; `weak` compares weakly (RFC 9110 section 8.8.3.2).
fn matches(list: &[u8], content: &Validators<'_>, weak: bool) -> bool {
    if list == b"*" {
        return true;
    }
    let Some(etag) = content.etag else { return false };
    let strip = |tag| match weak {
        true => strip_weak(tag),
        false => tag,
    };
    let etag = strip(etag);
    let mut rest = list;
    while !rest.is_empty() {
        if let Some(behind) = strip(rest).strip_prefix(etag) {
            let behind = skip(behind, b" \t");
            if behind.is_empty() || behind[0] == b',' {
                return true;
            }
        }
        let comma = rest.iter().position(|&b| b == b',').unwrap_or(rest.len());
        rest = skip(&rest[comma..], b" \t,");
    }
    false
}

fn strip_weak(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").filter(|rest| !rest.is_empty()).unwrap_or(tag)
}

fn skip<'a>(text: &'a [u8], these: &[u8]) -> &'a [u8] {
    &text[text.iter().position(|b| !these.contains(b)).unwrap_or(text.len())..]
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: &str = "Mon, 28 Sep 1970 06:00:00 GMT";
    const BEFORE: &str = "Mon, 28 Sep 1970 05:00:00 GMT";
    const AFTER: &str = "Mon, 28 Sep 1970 07:00:00 GMT";

    fn verdict(mode: IfModifiedSince, lines: &[(&str, &str)]) -> Verdict {
        let mut request = Headers::default();
        lines.iter().for_each(|(name, value)| request.push(name.as_bytes(), value.as_bytes()));
        let content = Validators { etag: Some(b"\"a-1\""), last_modified: parse_date(AT.as_bytes()) };
        judge(&request, &content, mode)
    }

    #[test]
    fn a_time_is_compared_as_configured() {
        use IfModifiedSince::{Before, Exact, Off};
        use Verdict::{NotModified, Send};
        let rows =
            [(Exact, AT, NotModified), (Exact, AFTER, Send), (Before, AFTER, NotModified), (Before, BEFORE, Send)];
        for (mode, date, wanted) in rows.into_iter().chain([(Off, AT, Send), (Exact, "nonsense", Send)]) {
            assert_eq!(verdict(mode, &[("If-Modified-Since", date)]), wanted, "{mode:?} {date}");
        }
    }

    #[test]
    fn tags_are_found_in_lists_and_compared_weakly_for_reads() {
        for list in ["*", "\"a-1\"", "\"x\", \"a-1\"", "W/\"a-1\" , \"y\"", "\"x\",W/\"a-1\""] {
            assert_eq!(verdict(IfModifiedSince::Exact, &[("If-None-Match", list)]), Verdict::NotModified, "{list}");
        }
        for list in ["\"x\"", "\"a-1\"x", "", "a-1"] {
            assert_eq!(verdict(IfModifiedSince::Exact, &[("If-None-Match", list)]), Verdict::Send, "{list}");
        }
        assert_eq!(verdict(IfModifiedSince::Exact, &[("If-Match", "\"a-1\"")]), Verdict::Send);
        assert_eq!(verdict(IfModifiedSince::Exact, &[("If-Match", "W/\"a-1\"")]), Verdict::Failed);
    }

    #[test]
    fn both_reasons_have_to_hold_for_a_304() {
        let both = |date, tag| verdict(IfModifiedSince::Exact, &[("If-Modified-Since", date), ("If-None-Match", tag)]);
        assert_eq!(both(AT, "\"a-1\""), Verdict::NotModified);
        assert_eq!(both(BEFORE, "\"a-1\""), Verdict::Send);
        assert_eq!(both(AT, "\"x\""), Verdict::Send);
    }

    #[test]
    fn what_was_modified_fails_if_unmodified_since() {
        for (date, wanted) in
            [(BEFORE, Verdict::Failed), (AT, Verdict::Send), (AFTER, Verdict::Send), ("x", Verdict::Failed)]
        {
            assert_eq!(verdict(IfModifiedSince::Exact, &[("If-Unmodified-Since", date)]), wanted, "{date}");
        }
    }
}
