//! `expires`: how long a response is good.

use super::headers::is_successful;
use crate::exchange::Exchange;
use crate::exchange::client::OutHead;
use chrono::{Local, TimeZone, Timelike};
use culvert_conf::config::{Expires, ExpiresRule};
use culvert_engine::content::parse_date;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: i64 = 24 * 60 * 60;

/// Sets `Expires` and `Cache-Control`.
pub(super) fn apply(exchange: &Exchange, head: &mut OutHead) {
    if !is_successful(head.status) {
        return;
    }
    let rule = match &exchange.location.filters.expires {
        Expires::Fixed(rule) => *rule,
        Expires::Variable { text, from_modified } => {
            let text = exchange.render_with_head(text, head);
            // A value that is none says nothing.
            let text = String::from_utf8_lossy(&text);
            ExpiresRule::parse(&text, *from_modified).unwrap_or(ExpiresRule::Off)
        }
    };
    if rule == ExpiresRule::Off {
        return;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
    let modified = head.headers.first("last-modified").and_then(parse_date).map(|seconds| seconds as i64);
    let (expires, control) = match rule {
        ExpiresRule::Off => return,
        ExpiresRule::Epoch => ("Thu, 01 Jan 1970 00:00:01 GMT".to_owned(), "no-cache".to_owned()),
        ExpiresRule::Max => ("Thu, 31 Dec 2037 23:55:55 GMT".to_owned(), "max-age=315360000".to_owned()),
        ExpiresRule::AfterNow(time) => (date(now + time), max_age(time, time)),
        ExpiresRule::AfterModified(0) => (date(now), max_age(0, 0)),
        ExpiresRule::AfterModified(time) => {
            let at = modified.unwrap_or(now) + time;
            (date(at), max_age(at - now, time))
        }
        ExpiresRule::Daily(time) => {
            let at = next(now, time);
            (date(at), max_age(at - now, time))
        }
    };
    head.replace("Expires", expires.as_bytes());
    head.replace("Cache-Control", control.as_bytes());
}

/// What is over already is not to be kept.
fn max_age(age: i64, time: i64) -> String {
    if age < 0 || time < 0 { "no-cache".to_owned() } else { format!("max-age={age}") }
}

fn date(seconds: i64) -> String {
    let since = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    // The format has four digits for a year.
    const LAST: u64 = 253_402_300_799;
    httpdate::fmt_http_date(UNIX_EPOCH + since.min(Duration::from_secs(LAST)))
}

/// The next moment at which a local clock shows so many seconds of a day.
fn next(now: i64, time: i64) -> i64 {
    let clock = Local.timestamp_opt(now, 0).single();
    let midnight = now - clock.map_or(now % DAY, |clock| i64::from(clock.num_seconds_from_midnight()));
    let at = midnight + time;
    if at > now { at } else { at + DAY }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_the_day_is_always_ahead_and_within_a_day() {
        for time in [0, 1, 3_600, DAY - 1, DAY] {
            let at = next(1_600_000_000, time);
            assert!(at > 1_600_000_000 && at <= 1_600_000_000 + DAY, "{time}");
        }
    }

    #[test]
    fn dates_stay_within_four_digits() {
        assert_eq!(date(i64::MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(date(-5), "Thu, 01 Jan 1970 00:00:00 GMT");
    }
}
