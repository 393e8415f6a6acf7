//! The arithmetic of the bench.

/// The middle value, or the mean of the two in the middle; not a number if there is none.
pub(super) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        _ if values.is_empty() => f64::NAN,
        0 => (values[middle - 1] + values[middle]) / 2.0,
        _ => values[middle],
    }
}

/// The smallest of the ascending values that at least `share` of them don't exceed (the nearest rank).
pub(super) fn percentile(ascending: &[u32], share: f64) -> Option<u32> {
    let rank = (ascending.len() as f64 * share).ceil() as usize;
    ascending.get(rank.max(1) - 1).copied()
}

/// A straight line through the origin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Line {
    /// How much y grows with x.
    pub(super) slope: f64,
    /// How far the worst point is from the line, as a share of what the line says there.
    pub(super) deviation: f64,
}

/// The line through the origin that fits the points best, each point's distance taken relative to its size: a thousand
/// sockets have as much to say about what one costs as eight thousand have.
pub(super) fn fit_through_origin(points: &[(f64, f64)]) -> Line {
    let slope = points.iter().map(|(x, y)| y / x).sum::<f64>() / points.len() as f64;
    let deviations = points.iter().map(|(x, y)| (y / (slope * x) - 1.0).abs());
    Line { slope, deviation: deviations.fold(0.0, f64::max) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median([]).is_nan());
    }

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let values: Vec<u32> = (1..=100).collect();
        assert_eq!(percentile(&values, 0.5), Some(50));
        assert_eq!(percentile(&values, 0.99), Some(99));
        assert_eq!(percentile(&values, 0.999), Some(100));
        assert_eq!(percentile(&[7], 0.0), Some(7));
        assert_eq!(percentile(&[], 0.5), None);
    }

    #[test]
    fn points_on_a_line_fit_it_and_others_say_by_how_much_they_miss() {
        assert_eq!(fit_through_origin(&[(1.0, 2.0), (4.0, 8.0)]), Line { slope: 2.0, deviation: 0.0 });
        let line = fit_through_origin(&[(1.0, 1.0), (1.0, 3.0)]);
        assert_eq!((line.slope, line.deviation), (2.0, 0.5));
    }
}
