//! The lowest score wins, and equals take turns: what `least_conn` and `least_time` have in common.

use super::peers::{Group, Peers, Slot};
use super::scan::{self, BLOCK, Block, NO_SCORE};
use super::table::{Table, bytes_of};

/// Scores by slot.
#[derive(Default)]
pub(super) struct Least {
    scores: Vec<i32>,
    /// The lowest score of each block, as [`Least::look`] saw it last.
    lows: Vec<i32>,
    /// By block: the stamp that the peers had then; `None` where a score was set meanwhile.
    seen: Vec<Option<u32>>,
    /// Whose scores these lowest ones are.
    group: Option<Group>,
}

impl Least {
    pub(super) fn resize(&mut self, peers: &Peers) {
        self.scores.resize(peers.columns_len(), 0);
        self.lows.resize(peers.columns_len() / BLOCK, NO_SCORE);
        self.seen.resize(peers.columns_len() / BLOCK, None);
    }

    pub(super) fn bytes(&self) -> usize {
        bytes_of(&self.scores) + bytes_of(&self.lows) + bytes_of(&self.seen)
    }

    /// Sets a peer's score, which is not negative.
    pub(super) fn set(&mut self, slot: Slot, score: f32) {
        if let Some(place) = self.scores.get_mut(slot) {
            *place = scan::ordered(score);
            self.seen[slot / BLOCK] = None;
        }
    }

    /// Looks at the scores of a group's open peers, where anything changed since the last look. The answer is the lowest.
    pub(super) fn look(&mut self, peers: &Peers, group: Group) -> Option<i32> {
        let is_same = self.group.replace(group) == Some(group);
        for block in 0..self.lows.len() {
            let stamp = Some(peers.stamp(block));
            if !is_same || self.seen[block] != stamp {
                self.lows[block] = scan::least(&blocks(&self.scores)[block], &blocks(peers.open(group))[block]);
                self.seen[block] = stamp;
            }
        }
        self.lowest()
    }

    fn lowest(&self) -> Option<i32> {
        self.lows.iter().copied().min().filter(|low| *low < NO_SCORE)
    }

    /// The first of those with this score, which is the lowest.
    pub(super) fn first(&self, peers: &Peers, group: Group, score: i32) -> Option<Slot> {
        let block = self.lows.iter().position(|low| *low == score)?;
        scan::first(&self.ties(peers, group, block, score)).map(|within| block * BLOCK + within)
    }

    /// Who in a block is open and has this score.
    fn ties(&self, peers: &Peers, group: Group, block: usize, score: i32) -> Block {
        scan::ties(&blocks(&self.scores)[block], &blocks(peers.open(group))[block], score)
    }

    /// Sets a peer's score and looks at its block again. The answer is the lowest score, if this one got worse.
    pub(super) fn worsen(&mut self, peers: &Peers, group: Group, slot: Slot, score: f32) -> Option<i32> {
        let before = std::mem::replace(&mut self.scores[slot], scan::ordered(score));
        let block = slot / BLOCK;
        self.lows[block] = scan::least(&blocks(&self.scores)[block], &blocks(peers.open(group))[block]);
        self.lowest().filter(|_| self.scores[slot] > before)
    }

    /// The one with the lowest score, after [`Least::look`]. Equals take turns by their weights, and nobody else gains from
    /// that.
    pub(super) fn choose(&mut self, table: &mut Table, group: Group) -> Option<Slot> {
        let least = self.lowest()?;
        let mut blocks = (0..self.lows.len()).filter(|&block| self.lows[block] == least);
        if let (Some(block), None) = (blocks.next(), blocks.next()) {
            let ties = self.ties(&table.peers, group, block, least);
            if ties.iter().filter(|tie| **tie == scan::OPEN).count() == 1 {
                return scan::first(&ties).map(|within| block * BLOCK + within);
            }
        }
        table.round.choose(&mut table.peers, group, Some(Ties { scores: &self.scores, lows: &self.lows, least }))
    }
}

/// Those who have the lowest score.
#[derive(Clone, Copy)]
pub(super) struct Ties<'a> {
    scores: &'a [i32],
    lows: &'a [i32],
    least: i32,
}

impl<'a> Ties<'a> {
    /// The scores of a block and the lowest one; `None` if nobody there has it.
    #[inline]
    pub(super) fn of(&self, block: usize) -> Option<(&'a Block, i32)> {
        (self.lows[block] == self.least).then(|| (&blocks(self.scores)[block], self.least))
    }
}

fn blocks(column: &[i32]) -> &[Block] {
    column.as_chunks().0
}
