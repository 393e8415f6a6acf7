//! The time as log lines and heads print it, formatted once a second and thread.

use crate::io::clock;
use chrono::{DateTime, Local, Utc};
use std::cell::RefCell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// The current second in the forms that are printed.
#[derive(Debug, Clone, Default)]
struct Second {
    unix: u64,
    /// When it is over; `None` before there was one.
    until: Option<Instant>,
    http_date: String,
    error_log: String,
    local: String,
    iso8601: String,
    syslog: String,
    date_gmt: String,
    date_local: String,
}

thread_local! {
    static NOW: RefCell<Second> = RefCell::default();
}

/// `Sun, 22 Nov 2026 07:00:00 GMT` (RFC 9110 section 5.6.7).
pub(crate) fn http_date(out: &mut Vec<u8>) {
    with_second(|second| out.extend_from_slice(second.http_date.as_bytes()));
}

/// `2026/11/22 07:00:00`, as error log lines begin.
pub(crate) fn error_log_time(out: &mut Vec<u8>) {
    with_second(|second| out.extend_from_slice(second.error_log.as_bytes()));
}

/// `22/Nov/2026:07:00:00 +0000`: `$time_local`.
pub(crate) fn time_local(out: &mut Vec<u8>) {
    with_second(|second| out.extend_from_slice(second.local.as_bytes()));
}

/// `2026-11-22T07:00:00+00:00`: `$time_iso8601`.
pub(crate) fn time_iso8601(out: &mut Vec<u8>) {
    with_second(|second| out.extend_from_slice(second.iso8601.as_bytes()));
}

/// `Sunday, 22-Nov-2026 07:00:00 GMT`: `$date_gmt`.
pub(crate) fn date_gmt(out: &mut Vec<u8>) {
    with_second(|second| out.extend_from_slice(second.date_gmt.as_bytes()));
}

/// The same in local time: `$date_local`.
pub(crate) fn date_local(out: &mut Vec<u8>) {
    with_second(|second| out.extend_from_slice(second.date_local.as_bytes()));
}

/// `Nov  2 07:00:00`, as RFC 3164 section 4.1.2 has it.
pub(crate) fn syslog_time(out: &mut Vec<u8>) {
    with_second(|second| out.extend_from_slice(second.syslog.as_bytes()));
}

/// Seconds since 1970 with milliseconds: `$msec`.
pub(crate) fn msec(out: &mut Vec<u8>) {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    write_millis(out, since.as_millis());
}

/// A duration in seconds with milliseconds, as `$request_time` has it.
pub(crate) fn write_millis(out: &mut Vec<u8>, millis: u128) {
    out.extend_from_slice(itoa::Buffer::new().format(millis / 1000).as_bytes());
    let rest = (millis % 1000) as u16 + 1000;
    out.push(b'.');
    out.extend_from_slice(&itoa::Buffer::new().format(rest).as_bytes()[1..]);
}

/// The clock on the wall is asked once a second; until then the worker's own says that the second is not over. A worker that has
/// been busy since its last wait may thus be a moment behind [`msec`], as nginx is behind its clock.
fn with_second(print: impl FnOnce(&Second)) {
    let now = clock::now();
    NOW.with_borrow_mut(|second| {
        if second.until.is_none_or(|until| now >= until) {
            let wall = SystemTime::now();
            let since = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
            if second.until.is_none() || second.unix != since.as_secs() {
                *second = format_second(wall, since.as_secs());
            }
            second.until = Some(now + Duration::from_nanos((1_000_000_000 - since.subsec_nanos()).into()));
        }
        print(second);
    });
}

fn format_second(now: SystemTime, unix: u64) -> Second {
    let local: DateTime<Local> = DateTime::<Utc>::from(now).into();
    Second {
        unix,
        until: None,
        http_date: httpdate::fmt_http_date(now),
        error_log: local.format("%Y/%m/%d %H:%M:%S").to_string(),
        local: local.format("%d/%b/%Y:%H:%M:%S %z").to_string(),
        iso8601: local.format("%Y-%m-%dT%H:%M:%S%:z").to_string(),
        date_gmt: DateTime::<Utc>::from(now).format("%A, %d-%b-%Y %H:%M:%S GMT").to_string(),
        date_local: local.format("%A, %d-%b-%Y %H:%M:%S %Z").to_string(),
        syslog: local.format("%b %e %H:%M:%S").to_string(),
    }
}
