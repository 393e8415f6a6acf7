//! What a row's rounds come to.

use super::load::Sample;
use super::peer::Peer;
use super::row::Row;

/// Prints a row's medians and the ratio of the first peer to the best other one. Says whether it is within its target.
pub(super) fn print(row: &Row, peers: &[Peer], samples: &[Vec<Sample>]) -> bool {
    let costs: Vec<f64> = samples.iter().map(|samples| median(samples.iter().map(Sample::cost))).collect();
    for (peer, cost) in peers.iter().zip(&costs) {
        println!("  median     {:<8} {cost:6.2} {}", peer.name, row.unit);
    }
    let Some(best) = costs[1..].iter().copied().reduce(f64::min) else { return true };
    let ratio = costs[0] / best;
    let within = ratio <= row.target;
    let verdict = if within { "within" } else { "ABOVE" };
    println!("  ratio      {ratio:.2}, {verdict} the target of {:.2}", row.target);
    within
}

/// The middle value, or the mean of the two in the middle.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        _ if values.is_empty() => f64::NAN,
        0 => (values[middle - 1] + values[middle]) / 2.0,
        _ => values[middle],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), 2.5);
        assert!(median(std::iter::empty()).is_nan());
    }
}
