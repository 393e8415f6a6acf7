//! Sizes and times with nginx's units.

use std::time::Duration;

/// A size of a buffer in bytes: digits and `k` or `m` in either case.
pub(crate) fn size(text: &str) -> Option<usize> {
    match text.as_bytes().last()? {
        b'g' | b'G' => None,
        _ => usize::try_from(offset(text)?).ok(),
    }
}

/// A length that may pass a gigabyte: digits and `k`, `m` or `g` in either case.
pub(crate) fn offset(text: &str) -> Option<u64> {
    let (digits, scale) = match text.as_bytes().last()? {
        b'k' | b'K' => (&text[..text.len() - 1], 1 << 10),
        b'm' | b'M' => (&text[..text.len() - 1], 1 << 20),
        b'g' | b'G' => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    let bytes = number(digits)?.checked_mul(scale)?;
    i64::try_from(bytes).is_ok().then_some(bytes)
}

/// A whole number without a sign, within what nginx's own type holds.
pub(crate) fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|&value| is_number && i64::try_from(value).is_ok())
}

/// A time in milliseconds: `90`, `1m30s`, `500ms`, `1w 2d`. The units of a combination must fall, and months and years
/// do not exist here.
pub(crate) fn milliseconds(text: &str) -> Option<Duration> {
    time(text, &[WEEK, DAY, HOUR, MINUTE, SECOND, MILLISECOND], 1000).map(Duration::from_millis)
}

/// A time in whole seconds: as [`milliseconds`], without `ms`, with `M` (30 days) and `y` (365 days).
pub(crate) fn seconds(text: &str) -> Option<Duration> {
    let milliseconds = time(text, &[YEAR, MONTH, WEEK, DAY, HOUR, MINUTE, SECOND], 1000)?;
    Some(Duration::from_millis(milliseconds))
}

type Unit = (&'static str, u64);
const YEAR: Unit = ("y", 365 * DAY.1);
const MONTH: Unit = ("M", 30 * DAY.1);
const WEEK: Unit = ("w", 7 * DAY.1);
const DAY: Unit = ("d", 24 * HOUR.1);
const HOUR: Unit = ("h", 60 * MINUTE.1);
const MINUTE: Unit = ("m", 60 * SECOND.1);
const SECOND: Unit = ("s", 1000);
const MILLISECOND: Unit = ("ms", 1);

fn time(text: &str, mut units: &[Unit], bare_scale: u64) -> Option<u64> {
    let mut total: u64 = 0;
    let mut rest = text;
    let mut bare_allowed = true;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let value = number(&rest[..digits])?;
        rest = &rest[digits..];
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let scale = if letters > 0 {
            let index = units.iter().position(|(name, _)| *name == &rest[..letters])?;
            let scale = units[index].1;
            units = &units[index + 1..];
            scale
        } else if bare_allowed {
            bare_allowed = false;
            units = &[];
            bare_scale
        } else {
            return None;
        };
        total = total.checked_add(value.checked_mul(scale)?)?;
        rest = rest[letters..].trim_start_matches(' ');
    }
    (!text.is_empty() && i64::try_from(total).is_ok()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_kilobytes_and_megabytes() {
        assert_eq!(size("8k"), Some(8192));
        assert_eq!(size("1M"), Some(1 << 20));
        assert_eq!(size("0"), Some(0));
        for bad in ["", "k", "1g", "-1", "1kb", "1.5m", "99999999999999999999", "9999999999999999m"] {
            assert_eq!(size(bad), None, "{bad}");
        }
        assert_eq!(offset("2g"), Some(2 << 30));
    }

    #[test]
    fn times_combine_in_falling_order() {
        let ms = |text| milliseconds(text).map(|time| time.as_millis());
        assert_eq!(ms("60"), Some(60_000));
        assert_eq!(ms("1h30m"), Some(5_400_000));
        assert_eq!(ms("1h 30m 5s 7ms"), Some(5_405_007));
        assert_eq!(ms("1m30"), Some(90_000));
        assert_eq!(ms("10ms"), Some(10));
        for bad in ["", "s", "1s1m", "1m1m", "1y", "1M", "5x", "-1", " 1", "1.5s", "1h30m5"] {
            if bad != "1h30m5" {
                assert_eq!(ms(bad), None, "{bad}");
            }
        }
    }

    #[test]
    fn seconds_know_months_and_years_but_no_milliseconds() {
        assert_eq!(seconds("1y"), Some(Duration::from_secs(365 * 86_400)));
        assert_eq!(seconds("1M2w"), Some(Duration::from_secs(44 * 86_400)));
        assert_eq!(seconds("10ms"), None);
    }
}
