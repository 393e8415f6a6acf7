//! What random numbers become. The numbers themselves come from outside.

use std::time::Duration;

/// A random part of `whole`: less than it, and evenly spread over it.
pub(crate) fn part_of(whole: Duration, dice: u64) -> Duration {
    let nanoseconds = u64::try_from(whole.as_nanos()).unwrap_or(u64::MAX);
    // The upper half of the product: a number below the range, without the bias of a remainder.
    Duration::from_nanos(((u128::from(dice) * u128::from(nanoseconds)) >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_between_nothing_and_the_whole() {
        let whole = Duration::from_secs(8);
        assert_eq!(part_of(whole, 0), Duration::ZERO);
        assert_eq!(part_of(whole, 1 << 63), Duration::from_secs(4));
        assert_eq!(part_of(whole, u64::MAX), whole - Duration::from_nanos(1));
        assert_eq!(part_of(Duration::ZERO, u64::MAX), Duration::ZERO);
    }
}
