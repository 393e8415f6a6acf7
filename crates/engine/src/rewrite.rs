//! What a `rewrite` makes of a request: the parts of its replacement, and the text of a redirect.

use crate::pattern::Captures;
use crate::template::{Part, Template};
use crate::uri::escape_args;
use crate::variable::Variable;

/// The replacement of a `rewrite`, cut where nginx cuts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplacementText<'a> {
    /// What becomes the path; of a redirect the whole address.
    pub path: &'a str,
    /// What becomes the arguments, if there is a question mark before the end.
    pub args: Option<&'a str>,
    /// Whether the request's own arguments follow: they do unless the replacement ends in a question mark.
    pub keeps_args: bool,
}

/// Cuts a replacement into its parts. That of a redirect stays whole but for a question mark at its end.
pub fn cut_replacement(text: &str, is_redirect: bool) -> ReplacementText<'_> {
    let (text, keeps_args) = match text.strip_suffix('?') {
        Some(text) => (text, false),
        None => (text, true),
    };
    match text.split_once('?').filter(|_| !is_redirect) {
        Some((path, args)) => ReplacementText { path, args: Some(args), keeps_args },
        None => ReplacementText { path: text, args: None, keeps_args },
    }
}

/// Joins new arguments and the ones that a request had. `has_args` says that there are new ones, even if they are empty.
pub fn join_args(out: &mut Vec<u8>, has_args: bool, separator: u8, own: &[u8]) {
    if own.is_empty() {
        return;
    }
    if has_args {
        out.push(separator);
    }
    out.extend_from_slice(own);
}

/// Renders a template whose groups are encoded as arguments, so that what the client had encoded (`%26` for one) does not
/// change its meaning.
pub fn render_escaped(
    template: &Template,
    captures: &Captures,
    out: &mut Vec<u8>,
    mut value: impl FnMut(&Variable, &mut Vec<u8>),
) {
    for part in template.parts() {
        match part {
            Part::Text(text) => out.extend_from_slice(text),
            Part::Value(Variable::Capture(group)) => {
                escape_args(captures.get(usize::from(*group)).unwrap_or_default(), out);
            }
            Part::Value(variable) => value(variable, out),
        }
    }
}

/// Decodes the percent-escapes in the path of a redirect that stand for plain characters (`&` to `~`); the others stay, and
/// so does everything from the first question mark on. What only looks like an escape loses its percent sign, as in nginx.
pub fn unescape_redirect(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        rest = after;
        match first {
            b'?' => {
                out.push(b'?');
                break;
            }
            b'%' => match unescape_one(after, &mut out) {
                Unescaped::Taken(length) => rest = &after[length..],
                Unescaped::Mark => {
                    rest = &after[2..];
                    break;
                }
            },
            _ => out.push(*first),
        }
    }
    out.extend_from_slice(rest);
    out
}

enum Unescaped {
    /// So many bytes behind the percent sign were dealt with.
    Taken(usize),
    /// It was a question mark.
    Mark,
}

fn unescape_one(after: &[u8], out: &mut Vec<u8>) -> Unescaped {
    let digit = |at: usize| after.get(at).and_then(|&byte| char::from(byte).to_digit(16));
    match (after.first(), digit(0), after.get(1), digit(1)) {
        (Some(&byte), None, ..) => {
            out.push(byte);
            Unescaped::Taken(1)
        }
        (_, Some(high), Some(_), Some(low)) => {
            let byte = u8::try_from(high << 4 | low).expect("two hexadecimal digits make one byte");
            match byte {
                b'?' => {
                    out.push(byte);
                    return Unescaped::Mark;
                }
                b'&'..=b'~' => out.push(byte),
                _ => out.extend_from_slice(&[b'%', after[0], after[1]]),
            }
            Unescaped::Taken(2)
        }
        _ => Unescaped::Taken(after.len().min(2)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::Pattern;
    use proptest::prelude::*;

    #[test]
    fn a_replacement_is_cut_at_its_first_question_mark() {
        let cut = |text| {
            let cut = cut_replacement(text, false);
            (cut.path, cut.args, cut.keeps_args)
        };
        assert_eq!(cut("/a"), ("/a", None, true));
        assert_eq!(cut("/a?"), ("/a", None, false));
        assert_eq!(cut("/a?x=1"), ("/a", Some("x=1"), true));
        assert_eq!(cut("/a?x=1?y"), ("/a", Some("x=1?y"), true));
        assert_eq!(cut("/a??"), ("/a", Some(""), false));
        assert_eq!(cut("?x"), ("", Some("x"), true));
    }

    #[test]
    fn a_redirect_is_cut_at_its_last_byte_alone() {
        let cut = cut_replacement("http://a/?x=1?", true);
        assert_eq!((cut.path, cut.args, cut.keeps_args), ("http://a/?x=1", None, false));
    }

    #[test]
    fn the_requests_arguments_follow_the_new_ones() {
        let joined = |args: &str, has_args, own: &[u8]| {
            let mut out = args.as_bytes().to_vec();
            join_args(&mut out, has_args, b'&', own);
            String::from_utf8(out).expect("ASCII")
        };
        assert_eq!(joined("x=1", true, b"y=2"), "x=1&y=2");
        assert_eq!(joined("", true, b"y=2"), "&y=2");
        assert_eq!(joined("", false, b"y=2"), "y=2");
        assert_eq!(joined("x=1", true, b""), "x=1");
    }

    #[test]
    fn groups_are_encoded_and_nothing_else() {
        let template = Template::parse("/x?a=$1&b=$name", |_| Variable::Slot(0)).expect("good");
        let captures = Pattern::new("(.*)", false).expect("good").captures(b"a&b c").expect("fast").expect("a match");
        let mut out = Vec::new();
        render_escaped(&template, &captures, &mut out, |_, out| out.extend_from_slice(b"c&d"));
        assert_eq!(out, b"/x?a=a%26b%20c&b=c&d");
    }

    /// What Debian's nginx 1.22.1 makes of each.
    #[test]
    fn plain_characters_of_a_redirect_are_decoded() {
        for (text, expected) in [
            ("/a%2fb%7ec", "/a/b~c"),
            ("/a%20b%25c%e9", "/a%20b%25c%e9"),
            ("/a%3fb%2f", "/a?b%2f"),
            ("/a?b%2f", "/a?b%2f"),
            ("/a%zb", "/azb"),
            ("/a%4zb", "/ab"),
            ("/a%4", "/a"),
            ("/a%", "/a"),
            ("/%26%27", "/&'"),
        ] {
            assert_eq!(String::from_utf8_lossy(&unescape_redirect(text.as_bytes())), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_redirect_panics_or_grows(text in prop::collection::vec(any::<u8>(), 0..40)) {
            prop_assert!(unescape_redirect(&text).len() <= text.len());
        }

        #[test]
        fn a_redirect_without_escapes_stays(text in "[^%]{0,40}") {
            prop_assert_eq!(unescape_redirect(text.as_bytes()), text.as_bytes());
        }
    }
}
