//! Dates as nginx writes them into cookies: `Thu, 31-Dec-37 23:55:55 GMT`.

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const SECONDS_PER_DAY: u64 = 86_400;
/// The last year that has two digits: beyond it Netscape's form is ambiguous, and nginx writes four.
const SHORT_YEAR_MAX: u64 = 2037;
/// The end of the year 9999, the last that has four digits.
const SECONDS_MAX: u64 = 253_402_300_799;

/// A second since 1970 as a cookie's date.
pub(super) fn cookie_time(unix: u64) -> String {
    let unix = unix.min(SECONDS_MAX);
    let (days, second) = (unix / SECONDS_PER_DAY, unix % SECONDS_PER_DAY);
    let (year, month, day) = date(days);
    let year_text = if year > SHORT_YEAR_MAX { year.to_string() } else { format!("{:02}", year % 100) };
    format!(
        "{}, {day:02}-{}-{year_text} {:02}:{:02}:{:02} GMT",
        DAYS[(days % 7) as usize],
        MONTHS[month as usize],
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// Year, month from 0 and day of the month, of a day since 1970-01-01: the calendar in eras of 400 years that begin on
/// 1 March, so that leap days end them.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12;
    let year = era * 400 + year_of_era + u64::from(month < 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (unix, text) in [
            (0, "Thu, 01-Jan-70 00:00:00 GMT"),
            (951_782_400, "Tue, 29-Feb-00 00:00:00 GMT"),
            (1_700_000_000, "Tue, 14-Nov-23 22:13:20 GMT"),
            (2_145_916_555, "Thu, 31-Dec-37 23:55:55 GMT"),
            (2_145_916_800, "Fri, 01-Jan-2038 00:00:00 GMT"),
            (4_107_542_400, "Mon, 01-Mar-2100 00:00:00 GMT"),
            (u64::MAX, "Fri, 31-Dec-9999 23:59:59 GMT"),
        ] {
            assert_eq!(cookie_time(unix), text);
        }
    }
}
