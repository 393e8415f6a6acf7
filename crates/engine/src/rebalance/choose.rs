//! Which tunnels of a peer have to go, and when their clients should come back.

use super::Order;
use crate::dice::part_of;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// A tunnel that could be moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate<I> {
    /// What the caller knows it by.
    pub id: I,
    /// When it was opened.
    pub opened_at: Instant,
    /// When something last passed on it.
    pub active_at: Instant,
}

/// The `count` tunnels that go first. Of all the others only so many are held in memory as there are to choose.
pub fn choose<I: Copy + Ord>(order: Order, count: usize, tunnels: impl IntoIterator<Item = Candidate<I>>) -> Vec<I> {
    let mut chosen = BinaryHeap::new();
    for tunnel in tunnels {
        let since = match order {
            Order::Oldest => tunnel.opened_at,
            Order::Idlest => tunnel.active_at,
        };
        chosen.push((since, tunnel.id));
        if chosen.len() > count {
            chosen.pop();
        }
    }
    chosen.into_sorted_vec().into_iter().map(|(_, id)| id).collect()
}

/// After which time a client is told to come back: a random part of `jitter`, so that those of one second don't come
/// together.
pub fn hint(jitter: Duration, dice: u64) -> Duration {
    part_of(jitter, dice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_or_the_idlest_go_first() {
        let start = Instant::now();
        let tunnel = |id, opened: u64, active: u64| Candidate {
            id,
            opened_at: start + Duration::from_secs(opened),
            active_at: start + Duration::from_secs(active),
        };
        let tunnels = [tunnel(1, 30, 31), tunnel(2, 10, 90), tunnel(3, 20, 40)];
        assert_eq!(choose(Order::Oldest, 2, tunnels), [2, 3]);
        assert_eq!(choose(Order::Idlest, 2, tunnels), [1, 3]);
        assert_eq!(choose(Order::Idlest, 9, tunnels), [1, 3, 2]);
        assert!(choose(Order::Oldest, 0, tunnels).is_empty());
    }

    #[test]
    fn clients_come_back_within_the_jitter() {
        assert_eq!(hint(Duration::ZERO, u64::MAX), Duration::ZERO);
        assert!(hint(Duration::from_secs(1), u64::MAX) < Duration::from_secs(1));
    }
}
