//! Request targets: paths of few letters, so that they meet the locations, with all that makes paths difficult.

use crate::dice::Dice;

const SEGMENTS: &[&str] = &[
    "a", "b", "ab", "abc", "A", "c", "a.php", "x.html", ".", "..", "...", "", "", "a%20b", "%61", "%2e", "%2e%2e",
    "%2F", "%2f", "%25", "%3F", "%23", "%26", "a+b", "%2B", "é", "%C3%A9", "%c3%a9", ";x", "a&b", "$1", "a=b", "\"",
    "<", "\\", "^", "{", "|", "~", "a:b", "@", "%7e", "%zz", "%4", "%00", "%C3", "base",
];

const ARGUMENTS: &[&str] = &[
    "",
    "",
    "",
    "",
    "?",
    "?x=1",
    "?x=",
    "?a=%26&x=2",
    "?x=a/b/../c",
    "?x=1?y=2",
    "?x=%2B+",
    "#x",
    "?x=1#y",
    "?&&",
    "?X=3",
    "?x=é",
];

/// A target as it stands in the request line.
pub(crate) fn target(dice: &mut Dice) -> String {
    let mut target = String::new();
    for _ in 0..=dice.below(4) {
        target.push_str(if dice.once_in(12) { "//" } else { "/" });
        target.push_str(segment(dice));
    }
    if dice.once_in(3) {
        target.push('/');
    }
    target + dice.pick(ARGUMENTS)
}

/// Plain segments come more often than difficult ones.
fn segment(dice: &mut Dice) -> &'static str {
    if dice.once_in(3) { dice.pick(SEGMENTS) } else { dice.pick(&SEGMENTS[..7]) }
}
