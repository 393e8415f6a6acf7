//! Dates of HTTP (RFC 9110 section 5.6.7), read as leniently as nginx reads them: the day of the week, the zone and all
//! but the telling letters of a month may be anything.

/// A date in one of its three forms, in seconds since 1970.
///
/// `Sun, 13 Sep 2020 12:26:40 GMT`, `Sunday, 13-Sep-20 12:26:40 GMT` or `Sun Sep 13 12:26:40 2020`. Earlier than 1970 is
/// no time that anything here has. The crate `httpdate` is stricter, and compares less than nginx does.
pub fn parse_date(text: &[u8]) -> Option<u64> {
    let end = text.iter().position(|&b| b == b',' || b == b' ')?;
    let mut rest = Rest(&text[end + 1..]);
    rest.blanks();
    let date = if text[end] == b' ' { asctime(&mut rest)? } else { with_comma(&mut rest)? };
    date.seconds()
}

/// The numbers of a date; months count from 0.
struct Date {
    year: u64,
    month: usize,
    day: u64,
    /// Seconds since midnight.
    time: u64,
}

fn with_comma(rest: &mut Rest<'_>) -> Option<Date> {
    let day = rest.number(2)?;
    let between = rest.byte()?;
    let month = rest.month()?;
    if !matches!(between, b' ' | b'-') || rest.byte()? != between {
        return None;
    }
    let year = match between {
        b' ' => rest.number(4)?,
        // Two digits are those of the years around the epoch.
        _ => match rest.number(2)? {
            year @ 70.. => 1900 + year,
            year => 2000 + year,
        },
    };
    rest.one(b' ')?;
    let time = rest.time()?;
    Some(Date { year, month, day, time })
}

fn asctime(rest: &mut Rest<'_>) -> Option<Date> {
    let month = rest.month()?;
    rest.byte()?;
    if rest.0.first() == Some(&b' ') {
        rest.byte();
    }
    let first = rest.number(1)?;
    let day = match rest.0.first()? {
        b' ' => first,
        _ => first * 10 + rest.number(1)?,
    };
    rest.one(b' ')?;
    let time = rest.time()?;
    rest.one(b' ')?;
    Some(Date { year: rest.number(4)?, month, day, time })
}

impl Date {
    fn seconds(&self) -> Option<u64> {
        const DAYS: [u64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let is_leap = self.year.is_multiple_of(4) && (!self.year.is_multiple_of(100) || self.year.is_multiple_of(400));
        let last = DAYS[self.month] + u64::from(is_leap && self.month == 1);
        if self.day == 0 || self.day > last {
            return None;
        }
        let leap_days = |year: u64| year / 4 - year / 100 + year / 400;
        let in_years = self.year.checked_sub(1970)? * 365 + leap_days(self.year - 1) - leap_days(1969);
        let in_months: u64 = DAYS[..self.month].iter().sum::<u64>() + u64::from(is_leap && self.month > 1);
        Some((in_years + in_months + self.day - 1) * 86_400 + self.time)
    }
}

/// What is still to be read.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    fn one(&mut self, wanted: u8) -> Option<()> {
        (self.byte()? == wanted).then_some(())
    }

    fn blanks(&mut self) {
        while let [b' ', rest @ ..] = self.0 {
            self.0 = rest;
        }
    }

    /// So many digits.
    fn number(&mut self, digits: usize) -> Option<u64> {
        (0..digits).try_fold(0, |number, _| {
            let digit = self.byte()?;
            digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0'))
        })
    }

    /// Three letters, of which nginx looks at those that tell a month from others.
    fn month(&mut self) -> Option<usize> {
        let letters = (self.byte()?, self.byte()?, self.byte()?);
        Some(match letters {
            (b'J', b'a', _) => 0,
            (b'F', ..) => 1,
            (b'M', _, b'r') => 2,
            (b'A', b'p', _) => 3,
            (b'M', ..) => 4,
            (b'J', _, b'n') => 5,
            (b'J', ..) => 6,
            (b'A', ..) => 7,
            (b'S', ..) => 8,
            (b'O', ..) => 9,
            (b'N', ..) => 10,
            (b'D', ..) => 11,
            _ => return None,
        })
    }

    /// `12:26:40`, in seconds.
    fn time(&mut self) -> Option<u64> {
        let hour = self.number(2)?;
        self.one(b':')?;
        let minute = self.number(2)?;
        self.one(b':')?;
        let second = self.number(2)?;
        (hour < 24 && minute < 60 && second < 60).then_some(hour * 3600 + minute * 60 + second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Option<u64> = Some(1_600_000_000);

    #[test]
    fn all_three_forms_are_read() {
        assert_eq!(parse_date(b"Sun, 13 Sep 2020 12:26:40 GMT"), TIME);
        assert_eq!(parse_date(b"Sunday, 13-Sep-20 12:26:40 GMT"), TIME);
        assert_eq!(parse_date(b"Sun Sep 13 12:26:40 2020"), TIME);
        assert_eq!(parse_date(b"Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(parse_date(b"Tue, 29 Feb 2000 23:59:59 GMT"), Some(951_868_799));
        assert_eq!(parse_date(b"Sun Nov  6 08:49:37 1994"), Some(784_111_777));
    }

    #[test]
    fn what_nobody_needs_may_be_anything() {
        assert_eq!(parse_date(b"Monday,   13 Sep 2020 12:26:40 +0200"), TIME);
        assert_eq!(parse_date(b", 13 Sxx 2020 12:26:40 GMT"), TIME);
    }

    #[test]
    fn dates_that_are_none_are_refused() {
        for bad in [
            "",
            "1600000000",
            "yesterday, or so",
            "Sun, 3 Sep 2020 12:26:40 GMT",
            "Sun, 31 Apr 2020 12:26:40 GMT",
            "Sun, 29 Feb 2100 12:26:40 GMT",
            "Sun, 13 Sep 2020 24:00:00 GMT",
            "Sun, 13 Sep 2020 12:26:60 GMT",
            "Sun, 13 sep 2020 12:26:40 GMT",
            "Sun, 13 Sep 1920 12:26:40 GMT",
            "Sun, 00 Sep 2020 12:26:40 GMT",
            "Sun, 13-Sep 2020 12:26:40 GMT",
            "Sun Sep 13 12:26:40",
        ] {
            assert_eq!(parse_date(bad.as_bytes()), None, "{bad}");
        }
    }
}
