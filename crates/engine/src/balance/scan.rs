//! The passes over all peers, in blocks of a fixed size, so that the compiler makes vector instructions of them.
//!
//! Columns have whole blocks: what is left of the last one belongs to nobody and is closed. A column of openness has all
//! bits set where a peer may be chosen and none where not, so that it masks numbers.

/// How many peers a block has.
pub(super) const BLOCK: usize = 32;

/// May be chosen.
pub(super) const OPEN: i32 = -1;
/// May not be chosen.
pub(super) const CLOSED: i32 = 0;

/// A block of a column.
pub(super) type Block = [i32; BLOCK];

/// A score that no peer has.
pub(super) const NO_SCORE: i32 = i32::MAX;

/// A score that is not negative as a whole number of the same order: its bits.
pub(super) fn ordered(score: f32) -> i32 {
    i32::try_from(score.to_bits()).expect("the sign bit of what is not negative is not set").min(NO_SCORE - 1)
}

/// The lowest score among the block's open peers.
#[inline]
pub(super) fn least(scores: &Block, open: &Block) -> i32 {
    let mut lanes = [NO_SCORE; BLOCK];
    for i in 0..BLOCK {
        lanes[i] = scores[i] & open[i] | NO_SCORE & !open[i];
    }
    lanes.iter().fold(NO_SCORE, |least, lane| if *lane < least { *lane } else { least })
}

/// Who is open and has exactly this score.
#[inline]
pub(super) fn ties(scores: &Block, open: &Block, score: i32) -> Block {
    let mut ties = [CLOSED; BLOCK];
    for i in 0..BLOCK {
        let equal = if scores[i] == score { OPEN } else { CLOSED };
        ties[i] = equal & open[i];
    }
    ties
}

/// The first open peer of a block.
pub(super) fn first(open: &Block) -> Option<usize> {
    open.iter().position(|open| *open == OPEN)
}

/// Whether an open peer's number differs between two columns.
pub(super) fn differs(one: &Block, other: &Block, open: [&Block; 2]) -> bool {
    (0..BLOCK).fold(0, |all, i| all | (one[i] ^ other[i]) & (open[0][i] | open[1][i])) != 0
}

/// One block of a turn where every peer gains its weight. Returns the total gain and the highest sum of an open peer.
#[inline]
pub(super) fn gain(current: &mut Block, weights: &Block, open: &Block) -> (i32, i32) {
    let (mut total, mut most) = ([0i32; BLOCK], [i32::MIN; BLOCK]);
    for i in 0..BLOCK {
        let gained = weights[i] & open[i];
        current[i] = current[i].wrapping_add(gained);
        total[i] = gained;
        most[i] = if open[i] == OPEN { current[i] } else { i32::MIN };
    }
    (sum(&total), max(&most))
}

/// One block of a turn where those gain their weight who are open and have exactly this score.
#[inline]
pub(super) fn gain_ties(current: &mut Block, weights: &Block, open: &Block, scores: &Block, score: i32) -> (i32, i32) {
    let (mut total, mut most) = ([0i32; BLOCK], [i32::MIN; BLOCK]);
    for i in 0..BLOCK {
        let tie = open[i] & if scores[i] == score { OPEN } else { CLOSED };
        let gained = weights[i] & tie;
        current[i] = current[i].wrapping_add(gained);
        total[i] = gained;
        most[i] = current[i] & tie | i32::MIN & !tie;
    }
    (sum(&total), max(&most))
}

/// One block of a turn in which some peers gain less than their weight, and regain `unit` of it.
#[inline]
pub(super) fn gain_unevenly(
    current: &mut Block,
    effective: &mut Block,
    weights: &Block,
    open: &Block,
    unit: i32,
) -> (i32, i32) {
    let gained = gain(current, effective, open);
    for i in 0..BLOCK {
        let regained = effective[i].wrapping_add(unit).min(weights[i]);
        effective[i] = if open[i] == OPEN { regained } else { effective[i] };
    }
    gained
}

fn sum(lanes: &Block) -> i32 {
    lanes.iter().fold(0, |sum, lane| sum.wrapping_add(*lane))
}

fn max(lanes: &Block) -> i32 {
    lanes.iter().fold(i32::MIN, |most, lane| if *lane > most { *lane } else { most })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(slots: &[usize]) -> Block {
        std::array::from_fn(|slot| if slots.contains(&slot) { OPEN } else { CLOSED })
    }

    #[test]
    fn the_least_is_found_among_the_open_ones_alone() {
        let scores: Block = std::array::from_fn(|slot| ordered(slot as f32));
        assert_eq!(least(&scores, &open(&[])), NO_SCORE);
        assert_eq!(least(&scores, &open(&[20])), ordered(20.0));
        assert_eq!(least(&scores, &open(&[31, 7, 13])), ordered(7.0));
    }

    #[test]
    fn equals_are_told_from_the_rest() {
        let scores: Block = std::array::from_fn(|slot| (slot % 3) as i32);
        assert_eq!(ties(&scores, &open(&[0, 1, 3, 29, 30]), 0), open(&[0, 3, 30]));
        assert_eq!(first(&open(&[3, 30])), Some(3));
        assert_eq!(first(&ties(&scores, &open(&[]), 0)), None);
    }

    #[test]
    fn scores_keep_their_order() {
        let scores = [0.0, f32::MIN_POSITIVE, 0.1, 1.0, 1.5, 1e9, f32::MAX, f32::INFINITY];
        assert!(scores.is_sorted_by(|one, other| ordered(*one) < ordered(*other)));
        assert!(ordered(f32::INFINITY) < NO_SCORE);
    }

    #[test]
    fn a_difference_counts_for_open_peers_alone() {
        let (one, mut other) = ([7; BLOCK], [7; BLOCK]);
        other[5] = 8;
        let (none, some) = (open(&[]), open(&[5]));
        assert!(!differs(&one, &other, [&none, &none]));
        assert!(differs(&one, &other, [&none, &some]));
        assert!(!differs(&one, &one, [&some, &some]));
    }
}
