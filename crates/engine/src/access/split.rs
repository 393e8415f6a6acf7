//! `split_clients`: a share of all keys for each value, decided by a hash of the key.

use bytes::Bytes;

/// A `split_clients` block's parts, in order.
#[derive(Debug, Clone, Default)]
pub struct Split {
    /// The hash below which a part holds, and its value; `None` is the rest (`*`).
    parts: Vec<(Option<u32>, Bytes)>,
    /// Hundredths of a percent so far.
    total: u32,
    /// The hash below which all parts so far lie.
    bound: u64,
}

/// Why a part can't be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SplitError {
    /// nginx: `invalid percent value "…"`.
    Invalid,
    /// nginx: `percent total is greater than 100%`.
    TooMuch,
}

/// All of it, in hundredths of a percent.
const WHOLE: u32 = 10_000;

impl Split {
    /// Adds a part: a percentage such as `0.5%`, or `*` for the rest.
    ///
    /// # Errors
    /// For a share that is none, or too much.
    pub fn push(&mut self, share: &str, value: Bytes) -> Result<(), SplitError> {
        if share == "*" {
            self.total = WHOLE;
            self.parts.push((None, value));
            return Ok(());
        }
        let hundredths = share.strip_suffix('%').and_then(hundredths).filter(|&share| share > 0);
        let hundredths = hundredths.ok_or(SplitError::Invalid)?;
        self.total = self.total.saturating_add(hundredths);
        if self.total > WHOLE {
            return Err(SplitError::TooMuch);
        }
        self.bound += u64::from(hundredths) * u64::from(u32::MAX) / u64::from(WHOLE);
        self.parts.push((Some(u32::try_from(self.bound).expect("the shares are at most the whole")), value));
        Ok(())
    }

    /// The value of a key, empty where no part has it.
    pub fn lookup(&self, key: &[u8]) -> &[u8] {
        let hash = murmur2(key);
        let found = self.parts.iter().find(|(bound, _)| bound.is_none_or(|bound| hash < bound));
        found.map_or(b"", |(_, value)| value)
    }
}

/// A decimal number with at most two places after the point, times a hundred.
fn hundredths(text: &str) -> Option<u32> {
    let (whole, places) = text.split_once('.').unwrap_or((text, ""));
    let are_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if text.is_empty() || places.len() > 2 || !are_digits(whole) || !are_digits(places) {
        return None;
    }
    format!("{whole}{places:0<2}").parse().ok()
}

/// MurmurHash2 by Austin Appleby, as nginx uses it.
pub fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = data.len() as u32;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes(word.try_into().expect("four bytes")).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        hash = rest.iter().enumerate().fold(hash, |hash, (at, &byte)| hash ^ (u32::from(byte) << (8 * at)));
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_gets_its_share_of_the_keys() {
        let mut split = Split::default();
        split.push("25%", Bytes::from_static(b"a")).expect("a good share");
        split.push("0.50%", Bytes::from_static(b"b")).expect("a good share");
        split.push("*", Bytes::from_static(b"c")).expect("a good share");
        let count = |value: &[u8]| (0..20_000).filter(|n| split.lookup(format!("{n}").as_bytes()) == value).count();
        assert!((4_700..5_300).contains(&count(b"a")));
        assert!((60..140).contains(&count(b"b")));
        assert_eq!(count(b"a") + count(b"b") + count(b"c"), 20_000);
    }

    #[test]
    fn shares_are_percentages_and_at_most_the_whole() {
        let mut split = Split::default();
        for bad in ["", "%", "5", "0%", "-1%", "0.001%", "x%", "1.2.3%"] {
            assert_eq!(split.push(bad, Bytes::new()), Err(SplitError::Invalid), "{bad}");
        }
        split.push("99.99%", Bytes::new()).expect("a good share");
        assert_eq!(split.push("0.02%", Bytes::new()), Err(SplitError::TooMuch));
    }

    #[test]
    fn what_no_part_has_is_empty() {
        let mut split = Split::default();
        split.push("0.01%", Bytes::from_static(b"a")).expect("a good share");
        assert!((0..100).filter(|n: &u32| split.lookup(&n.to_le_bytes()).is_empty()).count() > 90);
    }
}
