//! `queue`: requests that wait until a server of a full upstream has room again.
//!
//! ```text
//!   join ──► Waiting ── slot_freed: the oldest goes first ──► Woken ── took ──► gone
//!               │  ▲                                            │
//!               │  └──────── again: somebody else was faster ───┤
//!               ├── cancel, expire ──► gone                     └── cancel: the slot goes to the next ──► gone
//! ```
//!
//! A newcomer has to join while somebody [waits](Queue::has_waiting), or it would overtake; otherwise it asks for a
//! server itself, and joins when there is none. A woken request keeps its place until it has its server, so that it
//! loses nothing when the slot is taken from under it. Asking and joining happen under one lock: a slot that is freed
//! in between would wake nobody.

#[cfg(test)]
mod laws;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::{Duration, Instant};

/// Requests in the order of their arrival; `T` is what the caller wakes them by.
#[derive(Debug, Clone)]
pub struct Queue<T> {
    length_max: usize,
    timeout: Duration,
    next_place: u64,
    /// Places are numbered upwards, so the first entry is the oldest.
    entries: BTreeMap<u64, Entry<T>>,
}

#[derive(Debug, Clone)]
struct Entry<T> {
    waiter: T,
    deadline: Instant,
    is_woken: bool,
}

/// A place in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(u64);

/// The queue has as many requests as it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl<T> Queue<T> {
    /// A queue of so many requests, each of which waits for at most so long.
    pub fn new(length_max: usize, timeout: Duration) -> Queue<T> {
        Queue { length_max, timeout, next_place: 0, entries: BTreeMap::new() }
    }

    /// Takes over other bounds, after a reload. Who waits already stays, with the time that it was given.
    pub fn configure(&mut self, length_max: usize, timeout: Duration) {
        (self.length_max, self.timeout) = (length_max, timeout);
    }

    /// A request finds no server with room, and waits.
    pub fn join(&mut self, now: Instant, waiter: T) -> Result<Place, Full> {
        if self.entries.len() >= self.length_max {
            return Err(Full);
        }
        let place = self.next_place;
        self.next_place += 1;
        self.entries.insert(place, Entry { waiter, deadline: now + self.timeout, is_woken: false });
        Ok(Place(place))
    }

    /// A server has room for one more: who is to be woken for it. Called once per slot, whatever gave it: a request
    /// that ended, a peer that is up again, a new one.
    pub fn slot_freed(&mut self) -> Option<(Place, &T)> {
        let (&place, entry) = self.entries.iter_mut().find(|(_, entry)| !entry.is_woken)?;
        entry.is_woken = true;
        Some((Place(place), &entry.waiter))
    }

    /// A woken request has its server, and leaves.
    pub fn took(&mut self, place: Place) -> Option<T> {
        self.entries.remove(&place.0).map(|entry| entry.waiter)
    }

    /// A woken request found no room after all: it waits on, at its place.
    pub fn again(&mut self, place: Place) {
        if let Some(entry) = self.entries.get_mut(&place.0) {
            entry.is_woken = false;
        }
    }

    /// A woken request can't use the slot, which may do for the next one behind it: that is woken, and this one waits on.
    pub fn pass_on(&mut self, place: Place) -> Option<(Place, &T)> {
        self.again(place);
        let behind = (Bound::Excluded(place.0), Bound::Unbounded);
        let (&next, entry) = self.entries.range_mut(behind).find(|(_, entry)| !entry.is_woken)?;
        entry.is_woken = true;
        Some((Place(next), &entry.waiter))
    }

    /// A request gives up, as its client is gone. If it had been woken for a slot, the next one is to be woken for it.
    pub fn cancel(&mut self, place: Place) -> Option<(Place, &T)> {
        let entry = self.entries.remove(&place.0)?;
        if entry.is_woken { self.slot_freed() } else { None }
    }

    /// Takes out those whose time is over, oldest first. Those just woken are not among them: they are about to leave.
    pub fn expire(&mut self, now: Instant) -> Vec<(Place, T)> {
        // All wait for the same time, so the oldest have the earliest deadlines.
        let due = self.entries.iter().take_while(|(_, entry)| entry.deadline <= now);
        let places: Vec<u64> = due.filter(|(_, entry)| !entry.is_woken).map(|(&place, _)| place).collect();
        let taken = places.into_iter().filter_map(|place| Some((Place(place), self.took(Place(place))?)));
        taken.collect()
    }

    /// When to call [`Queue::expire`] next.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.entries.values().find(|entry| !entry.is_woken).map(|entry| entry.deadline)
    }

    /// How many wait, those just woken included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether somebody waits who has not been woken, so that a newcomer has to wait behind.
    pub fn has_waiting(&self) -> bool {
        self.entries.values().any(|entry| !entry.is_woken)
    }

    /// Whether nobody is in the queue.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(60);

    /// A queue of `length_max` with these waiters, and their places.
    fn queue(length_max: usize, waiters: &str) -> (Queue<char>, Vec<Place>, Instant) {
        let now = Instant::now();
        let mut queue = Queue::new(length_max, TIMEOUT);
        let places = waiters.chars().map(|waiter| queue.join(now, waiter).expect("room")).collect();
        (queue, places, now)
    }

    fn woken(answer: Option<(Place, &char)>) -> Option<char> {
        answer.map(|(_, waiter)| *waiter)
    }

    #[test]
    fn who_came_first_goes_first() {
        let (mut queue, places, _) = queue(3, "abc");
        assert_eq!(woken(queue.slot_freed()), Some('a'));
        assert_eq!(woken(queue.slot_freed()), Some('b'));
        assert_eq!(queue.took(places[0]), Some('a'));
        assert_eq!(woken(queue.slot_freed()), Some('c'));
        assert_eq!(woken(queue.slot_freed()), None);
    }

    #[test]
    fn a_full_queue_refuses() {
        let (mut queue, places, now) = queue(2, "ab");
        assert_eq!(queue.join(now, 'c'), Err(Full));
        queue.cancel(places[0]);
        assert!(queue.join(now, 'c').is_ok());
        assert_eq!(Queue::new(0, TIMEOUT).join(now, 'a'), Err(Full));
    }

    #[test]
    fn a_woken_request_that_found_no_room_keeps_its_place() {
        let (mut queue, places, _) = queue(3, "abc");
        queue.slot_freed();
        queue.again(places[0]);
        assert_eq!(woken(queue.slot_freed()), Some('a'));
    }

    #[test]
    fn a_slot_that_one_request_can_not_use_is_offered_to_those_behind_it_alone() {
        let (mut queue, places, _) = queue(3, "abc");
        queue.slot_freed();
        assert_eq!(woken(queue.pass_on(places[0])), Some('b'));
        assert_eq!(woken(queue.pass_on(places[1])), Some('c'));
        assert_eq!(woken(queue.pass_on(places[2])), None);
        assert_eq!(woken(queue.slot_freed()), Some('a'));
    }

    #[test]
    fn other_bounds_hold_for_those_who_come_later() {
        let (mut queue, _, now) = queue(2, "ab");
        queue.configure(3, TIMEOUT * 2);
        queue.join(now, 'c').expect("room");
        assert_eq!(queue.join(now, 'd'), Err(Full));
        assert_eq!(queue.expire(now + TIMEOUT).len(), 2);
    }

    #[test]
    fn a_slot_passes_on_when_the_woken_request_is_gone() {
        let (mut queue, places, _) = queue(3, "abc");
        queue.slot_freed();
        assert_eq!(woken(queue.cancel(places[0])), Some('b'));
        assert_eq!(woken(queue.cancel(places[2])), None);
        assert_eq!(woken(queue.cancel(places[2])), None);
        assert_eq!(queue.len(), 1);
    }

    #[test]
    fn who_waits_too_long_is_taken_out() {
        let (mut queue, _, now) = queue(4, "ab");
        let later = now + Duration::from_secs(1);
        queue.join(later, 'c').expect("room");
        assert_eq!(queue.next_deadline(), Some(now + TIMEOUT));
        assert!(queue.expire(now + TIMEOUT - Duration::from_nanos(1)).is_empty());
        let expired: String = queue.expire(now + TIMEOUT).into_iter().map(|(_, waiter)| waiter).collect();
        assert_eq!(expired, "ab");
        assert_eq!(queue.next_deadline(), Some(later + TIMEOUT));
    }

    #[test]
    fn a_woken_request_does_not_time_out_until_it_waits_again() {
        let (mut queue, places, now) = queue(2, "a");
        queue.slot_freed();
        assert_eq!(queue.next_deadline(), None);
        assert!(queue.expire(now + TIMEOUT).is_empty());
        queue.again(places[0]);
        assert_eq!(queue.expire(now + TIMEOUT).len(), 1);
    }
}
