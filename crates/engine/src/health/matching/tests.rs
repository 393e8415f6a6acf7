//! Conditions, as people write them in `match` blocks.

use super::*;
use crate::health::{Failure, Stage};
use crate::variable::{self, Family};

fn head(status: u16, lines: &str) -> ResponseHead {
    let (headers, _) = Headers::parse(format!("{lines}\r\n").as_bytes()).expect("good").expect("whole");
    ResponseHead { minor: 1, status, reason: Box::default(), headers }
}

fn check(condition: Result<Condition, String>, head: &ResponseHead, body: &str) -> Result<(), Failure> {
    let conditions = vec![condition.expect("a good condition")];
    let value = |variable: &Variable, out: &mut Vec<u8>| {
        if let Variable::Member(Family::UpstreamHttp, name) = variable {
            out.extend_from_slice(head.headers.first(name).unwrap_or_default());
        }
    };
    Match { name: "test".into(), conditions }.evaluate(head, body.as_bytes(), value)
}

fn status(words: &[&str], status: u16) -> bool {
    check(Condition::status(words), &head(status, ""), "").is_ok()
}

fn header(words: &[&str], lines: &str) -> bool {
    check(Condition::header(words), &head(200, lines), "").is_ok()
}

fn body(words: &[&str], text: &str) -> bool {
    check(Condition::body(words), &head(200, ""), text).is_ok()
}

#[test]
fn statuses_are_single_ones_and_ranges() {
    assert!(status(&["200"], 200) && !status(&["200"], 204));
    assert!(status(&["301-303", "307"], 302) && status(&["301-303", "307"], 307));
    assert!(!status(&["301-303", "307"], 304));
}

#[test]
fn an_exclamation_mark_means_all_other_statuses() {
    assert!(status(&["!", "500-599"], 404) && !status(&["!", "500-599"], 500));
    assert!(!status(&["!", "301", "302"], 302) && status(&["!", "301", "302"], 303));
}

#[test]
fn bad_statuses_are_refused() {
    for word in ["", "20", "2000", "abc", "200-", "-200", "300-200", "099", "+200", "200-300-400"] {
        assert_eq!(Condition::status(&[word]).expect_err(word), format!("invalid status \"{word}\""));
    }
    assert!(Condition::status(&[]).is_err());
    assert!(Condition::status(&["!"]).is_err());
}

#[test]
fn a_header_is_there_or_not() {
    assert!(header(&["X-Up"], "x-up: 1\r\n") && !header(&["X-Up"], ""));
    assert!(header(&["!", "X-Down"], "") && !header(&["!", "X-Down"], "X-Down:\r\n"));
}

#[test]
fn a_header_has_a_value_or_another_one() {
    assert!(header(&["A", "=", "x"], "A: x\r\n") && !header(&["A", "=", "x"], "A: X\r\n"));
    assert!(header(&["A", "=", "x"], "A: y\r\nA: x\r\n"));
    assert!(header(&["A", "!=", "x"], "A: y\r\n") && !header(&["A", "!=", "x"], "A: y\r\nA: x\r\n"));
    assert!(header(&["A", "~", "^ke"], "A: keep\r\n") && !header(&["A", "~", "^KE"], "A: keep\r\n"));
    assert!(header(&["A", "~*", "^KE"], "A: keep\r\n"));
    assert!(header(&["A", "!~", "close"], "A: keep\r\n") && !header(&["A", "!~", "close"], "A: close\r\n"));
}

#[test]
fn tests_of_a_value_ask_for_the_header() {
    for operator in ["=", "!=", "~", "!~", "!~*"] {
        assert!(!header(&["A", operator, "x"], "B: 1\r\n"), "{operator}");
    }
}

#[test]
fn a_body_is_searched_in_its_beginning() {
    assert!(body(&["~", "Welcome"], "<h1>Welcome!</h1>") && !body(&["~", "Welcome"], "Bye"));
    assert!(body(&["!~*", "error"], "fine") && !body(&["!~*", "error"], "ERROR 1"));
    let far = format!("{}needle", "x".repeat(BODY_BYTES_MAX));
    assert!(!body(&["~", "needle"], &far));
}

#[test]
fn bad_conditions_are_refused() {
    assert_eq!(Condition::body(&["=", "x"]).expect_err("no such test"), "invalid operator \"=\"");
    assert!(Condition::body(&["~"]).is_err());
    assert!(Condition::body(&["~", "("]).is_err());
    assert!(Condition::header(&[]).is_err());
    assert!(Condition::header(&["A", "x"]).is_err());
    assert!(Condition::header(&["!", ""]).is_err());
    assert!(Condition::header(&["A", "?", "x"]).is_err());
}

#[test]
fn required_variables_are_neither_empty_nor_zero() {
    let template = |text: &str| Template::parse(text, |name| variable::builtin(name).expect("known")).expect("good");
    let require = |value: &str| {
        let condition = Condition::Require(vec![template("always"), template("$upstream_http_x_load")]);
        check(Ok(condition), &head(200, &format!("x_load: {value}\r\n")), "").is_ok()
    };
    assert!(require("1") && require("00"));
    assert!(!require("0") && !require(""));
}

#[test]
fn a_failure_says_what_was_looked_at() {
    let welcome = Match {
        name: "welcome".into(),
        conditions: [Condition::body(&["~", "hi"]), Condition::status(&["200"]), Condition::header(&["A", "=", "b"])]
            .map(|condition| condition.expect("good"))
            .into(),
    };
    let failure = |status, lines, body: &str| {
        welcome.evaluate(&head(status, lines), body.as_bytes(), |_, _| {}).expect_err("fails").to_string()
    };
    assert_eq!(failure(500, "", ""), "unexpected status 500 while checking status code");
    assert_eq!(failure(200, "", ""), "no header \"A\" while checking header");
    assert_eq!(failure(200, "A: c\r\n", ""), "unexpected value of header \"A\" while checking header");
    assert_eq!(failure(200, "A: b\r\n", "x"), "body does not match \"hi\" while checking body");
    assert_eq!(welcome.last_stage(), Stage::Body);
    assert!(welcome.wants_body());
}

#[test]
fn a_pattern_that_takes_too_long_fails_the_probe() {
    let condition = Condition::body(&["~", r"(a+)+\1b$"]);
    let failure = check(condition, &head(200, ""), &"a".repeat(5000)).expect_err("too slow");
    assert_eq!(failure.detail, "match limit exceeded");
}
