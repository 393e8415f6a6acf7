//! The ring of consistent hashing, in little memory.
//!
//! Each server has 160 points per weight on the circle of 32-bit numbers; a key belongs to the first point at or after its
//! hash. The circle is cut into as many equal arcs as there are servers, rounded up to a power of two. The high bits of a
//! point say its arc, and so needn't be kept; their room in the word takes the number of the server. So a point costs four
//! bytes, and a thousand servers cost 640 KB: as bare hashes with bare numbers they would cost twice that.

use super::consistent::Seed;
use super::table::bytes_of;

/// More points than this are not made (64 MB of them): weights are halved until they fit.
const POINTS_MAX: u64 = 1 << 24;

/// Points per weight: nginx's number.
const POINTS: u64 = 160;

/// The points, in the order of the circle.
#[derive(Default)]
pub(super) struct Ring {
    /// In the high bits where in its arc a point is, in the `arc_bits` low ones whose point it is.
    points: Vec<u32>,
    /// Where in `points` each arc begins, and the end.
    arcs: Vec<u32>,
    /// How many bits tell the arc, and how many a server.
    arc_bits: u32,
}

impl Ring {
    /// The ring of these servers: their names' seeds and their weights. Of points that coincide the first server's stays.
    pub(super) fn new(servers: &[(Seed, u32)]) -> Ring {
        let total: u64 = servers.iter().map(|(_, weight)| u64::from(*weight) * POINTS).sum();
        let halvings = (total / POINTS_MAX).checked_ilog2().map_or(0, |log| log + 1);
        let mut all: Vec<(u32, u32)> = Vec::with_capacity(usize::try_from(total >> halvings).unwrap_or(0));
        for (server, (seed, weight)) in (0u32..).zip(servers) {
            let number = ((u64::from(*weight) * POINTS) >> halvings).max(1);
            all.extend(seed.points().take(usize::try_from(number).unwrap_or(usize::MAX)).map(|hash| (hash, server)));
        }
        all.sort_unstable();
        all.dedup_by_key(|(hash, _)| *hash);
        Ring::pack(&all, servers.len())
    }

    fn pack(all: &[(u32, u32)], servers: usize) -> Ring {
        let arc_bits = servers.next_power_of_two().trailing_zeros().clamp(1, 31);
        let points = all.iter().map(|(hash, server)| hash << arc_bits | server).collect();
        let arc_end = |arc: u32| all.partition_point(|(hash, _)| hash >> (32 - arc_bits) < arc);
        let arcs = (0..=1u32 << arc_bits).map(|arc| u32::try_from(arc_end(arc)).unwrap_or(u32::MAX)).collect();
        Ring { points, arcs, arc_bits }
    }

    pub(super) fn bytes(&self) -> usize {
        bytes_of(&self.points) + bytes_of(&self.arcs)
    }

    /// The index of the first point at or after `hash`; the number of points if the circle is to be begun again.
    pub(super) fn find(&self, hash: u32) -> usize {
        if self.points.is_empty() {
            return 0;
        }
        let arc = (hash >> (32 - self.arc_bits)) as usize;
        let (start, end) = (self.arcs[arc] as usize, self.arcs[arc + 1] as usize);
        start
            + self.points[start..end]
                .partition_point(|point| point >> self.arc_bits << self.arc_bits < hash << self.arc_bits)
    }

    /// Whose point is at `index`, once around as often as it takes.
    pub(super) fn server(&self, index: usize) -> Option<usize> {
        let point = self.points.get(index.checked_rem(self.points.len())?)?;
        Some((point & ((1 << self.arc_bits) - 1)) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The ring as one would write it without thinking of memory.
    fn naive(servers: &[(Seed, u32)]) -> Vec<(u32, usize)> {
        let mut points: Vec<(u32, usize)> = Vec::new();
        for (server, (seed, weight)) in servers.iter().enumerate() {
            points.extend(seed.points().take(160 * *weight as usize).map(|hash| (hash, server)));
        }
        points.sort();
        points.dedup_by_key(|(hash, _)| *hash);
        points
    }

    proptest! {
        #[test]
        fn the_packed_ring_answers_as_the_naive_one(
            weights in prop::collection::vec(1..4u32, 1..40),
            hashes in prop::collection::vec(any::<u32>(), 1..200),
        ) {
            let servers: Vec<(Seed, u32)> =
                weights.iter().enumerate().map(|(i, weight)| (Seed::of(&format!("host{i}:80")), *weight)).collect();
            let (ring, naive) = (Ring::new(&servers), naive(&servers));
            prop_assert_eq!(ring.points.len(), naive.len());
            for hash in hashes.into_iter().chain(naive.iter().map(|(hash, _)| *hash)).chain([0, u32::MAX]) {
                let expected = naive.partition_point(|(point, _)| *point < hash);
                prop_assert_eq!(ring.find(hash), expected);
                prop_assert_eq!(ring.server(expected), Some(naive[expected % naive.len()].1));
            }
        }
    }

    #[test]
    fn a_ring_of_nobody_points_at_nobody() {
        let ring = Ring::new(&[]);
        assert_eq!((ring.points.len(), ring.find(7), ring.server(0)), (0, 0, None));
    }
}
