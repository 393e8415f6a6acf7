use super::*;
use proptest::prelude::*;

fn compile(pattern: &str) -> Pattern {
    Pattern::new(pattern, false).unwrap_or_else(|error| panic!("{pattern}: {error}"))
}

/// What the groups from 1 on matched; `None` where the pattern does not match.
fn groups(pattern: &str, text: &str) -> Option<Vec<Option<String>>> {
    let pattern = compile(pattern);
    let captures = pattern.captures(text.as_bytes()).expect("fast enough")?;
    let group = |group| captures.get(group).map(|text: &[u8]| String::from_utf8_lossy(text).into_owned());
    Some((1..=pattern.groups()).map(group).collect())
}

fn matches(pattern: &str, text: &[u8]) -> bool {
    compile(pattern).is_match(text).expect("fast enough")
}

#[test]
fn groups_are_kept_by_number_and_name() {
    let pattern = compile(r"^/(?<user>\w+)/(\d+)?(?P<rest>.*)$");
    assert_eq!(pattern.groups(), 3);
    assert_eq!(pattern.names(), [(1, "user".into()), (3, "rest".into())]);
    let captures = pattern.captures(b"/anna/x").expect("fast").expect("a match");
    assert_eq!(captures.get(0), Some(&b"/anna/x"[..]));
    assert_eq!(captures.get(1), Some(&b"anna"[..]));
    assert_eq!(captures.get(2), None);
    assert_eq!(captures.get(3), Some(&b"x"[..]));
    assert_eq!(captures.span(3), Some(6..7));
    assert_eq!(captures.get(4), None);
}

#[test]
fn a_pattern_without_groups_keeps_nothing() {
    let captures = compile(r"\.php$").captures(b"/a.php").expect("fast").expect("a match");
    assert!(captures.is_empty());
    assert_eq!(captures.get(0), None);
}

#[test]
fn the_usual_patterns_of_configurations_match_what_they_should() {
    for (pattern, yes, no) in [
        (r"\.(gif|jpg|png)$", "/a/b.jpg", "/a/b.jpgx"),
        (r"^/(api|ws)/v\d{1,2}/", "/ws/v12/x", "/ws/v123/x"),
        (r"^\/socket\.io\/", "/socket.io/", "/socketxio/"),
        (r"/a\-b\_c", "/a-b_c", "/a\\-b"),
        (r"^/{2}$", "//", "/"),
        (r"^/a{b}$", "/a{b}", "/ab"),
        (r"^/a{,2}$", "/a{,2}", "/aa"),
        (r"{x}", "{x}", "x"),
        (r"^[\w.-]+$", "a.b-c", "a b"),
        (r"^[\w-.]+$", "a.b-c", "a b"),
        (r"^[]a]+$", "]a", "b"),
        (r"^[^]a]+$", "xy", "]"),
        (r"^[[a]+$", "[a", "b"),
        (r"^[a&&b]+$", "a&b", "c"),
        (r"^[a-]+$", "a-", "b"),
        (r"^[[:alpha:]_]+$", "ab_", "1"),
        (r"^[[:^digit:]]+$", "ab", "1"),
        (r"^[^\s/]+$", "ab", "a/b"),
        (r"^\<a\>$", "<a>", "a"),
        (r"^\Qa.b*\E$", "a.b*", "axb"),
        (r"^[\Qa-z\E]+$", "a-z", "b"),
        (r"^\x41\x{42}\103$", "ABC", "abc"),
        (r"^a\hb$", "a\tb", "a\nb"),
        (r"^~\*?$", "~*", "a"),
        (r"(?i)^/ABC", "/abc", "/abd"),
        (r"^/(?i:A)b", "/ab", "/aB"),
        (r"(?x) ^ / a # the letter", "/a", "/ a"),
        (r"(?x) ^ [a b] $", " ", "c"),
        (r"a(?#no comment)b", "ab", "a"),
        (r"^(?s:.)$", "\n", ""),
        (r"^.$", "x", "\n"),
        (r"(?m)^b$", "a\nb\nc", "abc"),
        (r"^(a|)b$", "b", "ab?"),
        ("é", "caf\u{e9}", "cafe"),
        ("^[é]{2}$", "é", "e"),
        (r"^\$\^\|\(\)$", "$^|()", ""),
    ] {
        assert!(matches(pattern, yes.as_bytes()), "{pattern} on {yes:?}");
        assert!(!matches(pattern, no.as_bytes()), "{pattern} on {no:?}");
        assert!(compile(pattern).is_linear(), "{pattern}");
    }
}

#[test]
fn look_around_and_back_references_work_on_the_backtracking_engine() {
    for (pattern, yes, no) in [
        (r"^/(?!admin)", "/user", "/admin"),
        (r"^/a(?=/|$)", "/a", "/ab"),
        (r"(?<!x)\.js$", "/a.js", "/x.js"),
        (r"(?<=/)b", "/b", "ab"),
        (r"^(a|b)\1$", "bb", "ab"),
        (r"^(?<n>a|b)\k<n>$", "aa", "ba"),
        (r"^(?<n>a|b)(?P=n)$", "aa", "ba"),
        (r"^(a)(b)\g{-1}\g1$", "abba", "abab"),
        (r"^(a)\10$", "a\x08", "a0"),
        (r"^(?:\2b|(a)(c))+$", "accb", "accc"),
        (r"^a++b", "aab", "b"),
        (r"^(?>a|ab)c", "ac", "abc"),
        (r"^a\Rb$", "a\r\nb", "a\tb"),
        (r"a\Z", "a\n", "a\nb"),
        ("^[é](?!x)", "\u{e9}", "x"),
    ] {
        assert!(matches(pattern, yes.as_bytes()), "{pattern} on {yes:?}");
        assert!(!matches(pattern, no.as_bytes()), "{pattern} on {no:?}");
    }
    assert!(!compile(r"^(?!x)").is_linear());
}

#[test]
fn letters_match_in_either_case_only_where_asked_and_only_in_ascii() {
    let caseless = Pattern::new("^/é[A-F]k$", true).expect("good");
    let matches = |text: &str| caseless.is_match(text.as_bytes()).expect("fast");
    assert!(matches("/éaK") && matches("/éFk"));
    assert!(!matches("/Éak"));
    assert!(!matches("/éa\u{212a}"), "no Kelvin sign for a k");
    let backtracking = Pattern::new("^/(?!B)a", true).expect("good");
    assert_eq!(backtracking.is_match(b"/A"), Ok(true));
}

#[test]
fn any_byte_can_be_matched() {
    assert!(matches(r"^/.+$", b"/\xff\x80\xfe"));
    assert!(matches(r"^/[^a]\xFF$", b"/\x80\xff"));
    assert!(matches(r"^(?!a)/.\xFF$", b"/\x80\xff"));
    assert!(matches(r"^(?!a)/[\xF0-\xFF]+\W$", b"/\xf1\xff\x80"));
    assert!(!matches(r"^\w+$", b"\xc3\xa9"));
}

#[test]
fn a_dollar_matches_before_a_last_line_feed_too() {
    for pattern in [r"\.php$", r"^(?!x).*\.php$"] {
        assert!(matches(pattern, b"/a.php\n"), "{pattern}");
        assert!(!matches(pattern, b"/a.php\n\n"), "{pattern}");
        assert!(!matches(pattern, b"/a.phpx\n"), "{pattern}");
    }
    assert!(!matches(r"\.php\z", b"/a.php\n"));
    assert_eq!(groups("^(.*?)$", "ab\n"), Some(vec![Some("ab".into())]));
    assert_eq!(groups(r"^([^x]*)$", "ab\n"), Some(vec![Some("ab\n".into())]));
}

#[test]
fn the_first_alternative_that_fits_wins() {
    assert_eq!(groups("^(a|ab)(c|bcd)?", "abcd"), Some(vec![Some("a".into()), Some("bcd".into())]));
    assert_eq!(groups("(a+?)(a*)", "aaa"), Some(vec![Some("a".into()), Some("aa".into())]));
    assert_eq!(groups("(a)|(b)", "b"), Some(vec![None, Some("b".into())]));
}

/// What Debian's nginx 1.22.1 says of each, on PCRE2 10.42.
const MISTAKES: &[(&str, &str)] = &[
    ("a**", r#"quantifier does not follow a repeatable item in "a**" at "*""#),
    ("^*a", r#"quantifier does not follow a repeatable item in "^*a" at "*a""#),
    ("a{2}{3}", r#"quantifier does not follow a repeatable item in "a{2}{3}" at "}""#),
    ("a|+b", r#"quantifier does not follow a repeatable item in "a|+b" at "+b""#),
    ("(*)", r#"quantifier does not follow a repeatable item in "(*)" at "*)""#),
    (r"\b+", r#"quantifier does not follow a repeatable item in "\b+" at "+""#),
    ("(?i)+", r#"quantifier does not follow a repeatable item in "(?i)+" at "+""#),
    ("a{70000}", r#"number too big in {} quantifier in "a{70000}" at "}""#),
    ("a{3,2}", r#"numbers out of order in {} quantifier in "a{3,2}" at "}""#),
    ("(a", r#"missing closing parenthesis in "(a""#),
    ("(?i", r#"missing closing parenthesis in "(?i""#),
    ("(?", r#"missing closing parenthesis in "(?""#),
    ("a)", r#"unmatched closing parenthesis in "a)" at ")""#),
    ("[a", r#"missing terminating ] for character class in "[a""#),
    ("[]", r#"missing terminating ] for character class in "[]""#),
    ("[z-a]", r#"range out of order in character class in "[z-a]" at "a]""#),
    ("[[:foo:]]", r#"unknown POSIX class name in "[[:foo:]]" at "foo:]]""#),
    (r"[\R]", r#"escape sequence is invalid in character class in "[\R]" at "R]""#),
    (r"\q", r#"unrecognized character follows \ in "\q" at "q""#),
    ("(?z)a", r#"unrecognized character after (? or (?- in "(?z)a" at "z)a""#),
    (r"\9", r#"reference to non-existent subpattern in "\9" at "9""#),
    (r"\g{1}", r#"reference to non-existent subpattern in "\g{1}" at "}""#),
    (r"\g1", r#"reference to non-existent subpattern in "\g1" at "1""#),
    (r"\x{141}", r#"character code point value in \x{} or \o{} is too large in "\x{141}" at "}""#),
    (r"\c", r#"\c at end of pattern in "\c""#),
    ("\\", "\\ at end of pattern in \"\\\""),
    ("(?#x", r#"missing ) after (?# comment in "(?#x""#),
    ("(?<1n>a)", r#"subpattern name must start with a non-digit in "(?<1n>a)" at "1n>a)""#),
    (
        "(?<n>a)(?<n>b)",
        r#"two named subpatterns have the same name (PCRE2_DUPNAMES not set) in "(?<n>a)(?<n>b)" at "b)""#,
    ),
    ("(?<n", r#"syntax error in subpattern name (missing terminator?) in "(?<n""#),
];

#[test]
fn mistakes_are_told_in_the_words_of_pcre() {
    for (pattern, message) in MISTAKES {
        let error = Pattern::new(pattern, false).expect_err(pattern);
        assert_eq!(error.to_string(), *message);
    }
}

#[test]
fn what_no_engine_can_do_is_refused_with_a_reason() {
    for pattern in ["(*UTF8)a", "(?R)", "(a)(?1)", "(?|a|b)", r"(?(1)a)", r"\p{L}", r"\X"] {
        let error = Pattern::new(pattern, false).expect_err(pattern).to_string();
        assert!(error.contains(pattern) && !error.contains('\n'), "{error}");
    }
}

#[test]
fn a_pattern_that_explodes_ends_at_the_limit() {
    let pattern = compile(r"^(?!x)((a+)+)+\1$");
    assert_eq!(pattern.is_match(&[b"a".repeat(60), b"b".to_vec()].concat()), Err(TooSlow));
    let linear = compile(r"^((a+)+)+$");
    assert_eq!(linear.is_match(&[b"a".repeat(8000), b"b".to_vec()].concat()), Ok(false));
}

#[test]
fn large_counted_repetitions_compile() {
    assert!(matches("^a{1,65535}$", &b"a".repeat(1000)));
    assert!(Pattern::new("(a{1,1000}){1,1000}", false).is_err(), "too large a program is refused, not built");
}

#[test]
fn a_clone_shares_its_program_and_prints_its_source() {
    let pattern = compile("^/a");
    let clone = pattern.clone();
    assert!(Arc::ptr_eq(&pattern.0, &clone.0));
    assert_eq!(clone.source(), "^/a");
    assert_eq!(format!("{clone:?}"), r#"Pattern("^/a")"#);
}

proptest! {
    #[test]
    fn no_pattern_and_no_text_panics(pattern in r"[\\()\[\]{}a-c*+?|^$.:<>=!P'0-9,\-xQEdw&~é# ]{0,12}", text in prop::collection::vec(any::<u8>(), 0..20)) {
        if let Ok(pattern) = Pattern::new(&pattern, false) {
            let captures = pattern.captures(&text);
            if let Ok(Some(captures)) = captures {
                for group in 0..=pattern.groups() {
                    prop_assert_eq!(captures.get(group), captures.span(group).map(|span| &text[span]));
                }
            }
        }
    }

    #[test]
    fn a_quoted_text_matches_itself_alone(text in r"[ -~é]{1,12}", other in r"[ -~]{1,12}") {
        prop_assume!(!text.contains("\\E") && !text.ends_with('\\'));
        let pattern = compile(&format!("^\\Q{text}\\E\\z"));
        prop_assert_eq!(pattern.is_match(text.as_bytes()), Ok(true));
        prop_assert_eq!(pattern.is_match(other.as_bytes()), Ok(other == text));
    }

    #[test]
    fn the_two_engines_agree(pattern in r"(\(?[a-c.](\||[*+?])?\)?){1,5}\$?", text in "[a-c]{0,6}\n?") {
        let forced = format!("(?=){pattern}");
        if let (Ok(linear), Ok(backtracking)) = (Pattern::new(&pattern, false), Pattern::new(&forced, false)) {
            prop_assert_eq!(linear.captures(text.as_bytes()), backtracking.captures(text.as_bytes()));
        }
    }
}

proptest! {
    #[test]
    fn a_pattern_that_is_accepted_can_be_built(
        source in r"([a-z/\^\$.|*+?()]|\[\^?[a-z\]-]{1,3}\]|\\[dDsSwWbBhHvVNAzGQE.]|\{[0-9]{1,2}(,[0-9]{0,2})?\}|\(\?:|\(\?<n>|\(\?i\)|\(\?U\)|\(\?x\)|\[\[:alpha:\]\]|\[\^\\x00-\\xff\]|é){0,14}",
        caseless in any::<bool>(),
    ) {
        if let Ok(pattern) = Pattern::new(&source, caseless) {
            prop_assert!(!matches!(pattern.program_for(b""), Program::Missing), "{source}");
            prop_assert!(!matches!(pattern.program_for(b"\n"), Program::Missing), "{source}");
            let groups = match pattern.program_for(b"") {
                Program::Linear(regex) => regex.captures_len() - 1,
                Program::Backtracking(regex) => regex.captures_len() - 1,
                Program::Missing => unreachable!("it was built"),
            };
            prop_assert_eq!(pattern.groups(), groups, "{}", source);
        }
    }
}
