//! `sticky learn`: which server began which session.
//!
//! One table serves long polling and WebSockets. It is bounded twice: a session that nobody uses is forgotten after the
//! timeout, and when the table is full the one that was used longest ago makes room. As all have the same timeout, the
//! order of their last use is the order in which they end: a list, its oldest in front.

use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The sessions that nginx has in a zone of a mebibyte.
const SESSIONS_PER_MEBIBYTE: usize = 8000;

/// No entry.
const NONE: u32 = u32::MAX;

/// How many sessions a zone of this size has, as nginx documents it: about 8000 in a mebibyte.
pub fn sessions_in_zone(bytes: u64) -> usize {
    let sessions = (u128::from(bytes) * SESSIONS_PER_MEBIBYTE as u128) >> 20;
    usize::try_from(sessions).unwrap_or(usize::MAX).clamp(1, NONE as usize - 1)
}

/// What learning did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Learned {
    /// The session is new.
    Created,
    /// The session is new, and the one that was used longest ago was forgotten for it.
    Displaced,
    /// The session was known, of this or another server.
    Renewed,
}

/// The sessions of one upstream, with the server of each.
#[derive(Debug, Clone)]
pub struct Sessions<K> {
    sessions_max: usize,
    timeout: Duration,
    index: HashMap<[u8; 16], u32>,
    entries: Vec<Entry<K>>,
    free: Vec<u32>,
    /// Used longest ago.
    oldest: u32,
    /// Used last.
    newest: u32,
}

#[derive(Debug, Clone)]
struct Entry<K> {
    key: [u8; 16],
    server: K,
    used_at: Instant,
    older: u32,
    newer: u32,
}

impl<K: Clone> Sessions<K> {
    /// An empty table for so many sessions.
    pub fn new(sessions_max: usize, timeout: Duration) -> Sessions<K> {
        let sessions_max = sessions_max.clamp(1, NONE as usize - 1);
        let (index, entries, free) = (HashMap::new(), Vec::new(), Vec::new());
        Sessions { sessions_max, timeout, index, entries, free, oldest: NONE, newest: NONE }
    }

    /// Takes over new bounds, after a reload. Sessions that don't fit any more are forgotten, oldest first.
    pub fn configure(&mut self, sessions_max: usize, timeout: Duration) {
        (self.sessions_max, self.timeout) = (sessions_max.clamp(1, NONE as usize - 1), timeout);
        while self.index.len() > self.sessions_max {
            self.forget(self.oldest);
        }
    }

    /// The server of a session that a request names. It does not prolong the session: only a response does.
    pub fn find(&self, id: &[u8], now: Instant) -> Option<&K> {
        let entry = &self.entries[*self.index.get(&key_of(id))? as usize];
        self.is_live(entry, now).then_some(&entry.server)
    }

    /// A server answered: `created` is the session that its response begins, `requested` the one that the request
    /// named. The first is learned, the second only prolonged, and moved where another server answered than had been
    /// asked for.
    pub fn answered(
        &mut self,
        created: Option<&[u8]>,
        requested: Option<&[u8]>,
        server: K,
        now: Instant,
    ) -> Option<Learned> {
        match (created, requested) {
            (Some(id), _) => Some(self.learn(id, server, now)),
            (None, Some(id)) => self.renew(id, server, now).then_some(Learned::Renewed),
            (None, None) => None,
        }
    }

    /// A session belongs to this server from now on.
    pub fn learn(&mut self, id: &[u8], server: K, now: Instant) -> Learned {
        self.expire(now);
        let key = key_of(id);
        if let Some(&at) = self.index.get(&key) {
            self.touch(at, server, now);
            return Learned::Renewed;
        }
        let is_full = self.index.len() >= self.sessions_max;
        if is_full {
            self.forget(self.oldest);
        }
        let at = self.store(Entry { key, server, used_at: now, older: NONE, newer: NONE });
        self.index.insert(key, at);
        self.append(at);
        if is_full { Learned::Displaced } else { Learned::Created }
    }

    /// A session that is known was used, on this server. `false`: it is not known.
    pub fn renew(&mut self, id: &[u8], server: K, now: Instant) -> bool {
        self.expire(now);
        let found = self.index.get(&key_of(id)).copied();
        if let Some(at) = found {
            self.touch(at, server, now);
        }
        found.is_some()
    }

    /// Forgets the sessions whose time is over; how many.
    pub fn expire(&mut self, now: Instant) -> usize {
        let before = self.index.len();
        while self.entries.get(self.oldest as usize).is_some_and(|entry| !self.is_live(entry, now)) {
            self.forget(self.oldest);
        }
        before - self.index.len()
    }

    /// When the next session ends, so that memory is given back on a quiet gateway.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.entries.get(self.oldest as usize).map(|entry| entry.used_at + self.timeout)
    }

    /// How many sessions are known.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether no session is known.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    fn is_live(&self, entry: &Entry<K>, now: Instant) -> bool {
        now.saturating_duration_since(entry.used_at) < self.timeout
    }

    fn touch(&mut self, at: u32, server: K, now: Instant) {
        self.unlink(at);
        let entry = &mut self.entries[at as usize];
        (entry.server, entry.used_at) = (server, entry.used_at.max(now));
        self.append(at);
    }

    fn store(&mut self, entry: Entry<K>) -> u32 {
        if let Some(at) = self.free.pop() {
            self.entries[at as usize] = entry;
            return at;
        }
        self.entries.push(entry);
        u32::try_from(self.entries.len() - 1).expect("the table is bounded below 2^32")
    }

    fn forget(&mut self, at: u32) {
        self.unlink(at);
        self.index.remove(&self.entries[at as usize].key);
        self.free.push(at);
        if self.index.is_empty() {
            (self.entries, self.free) = (Vec::new(), Vec::new());
            self.index.shrink_to_fit();
        }
    }

    fn append(&mut self, at: u32) {
        let newest = std::mem::replace(&mut self.newest, at);
        let entry = &mut self.entries[at as usize];
        (entry.older, entry.newer) = (newest, NONE);
        match self.entries.get_mut(newest as usize) {
            Some(entry) => entry.newer = at,
            None => self.oldest = at,
        }
    }

    fn unlink(&mut self, at: u32) {
        let Entry { older, newer, .. } = self.entries[at as usize];
        match self.entries.get_mut(older as usize) {
            Some(entry) => entry.newer = newer,
            None => self.oldest = newer,
        }
        match self.entries.get_mut(newer as usize) {
            Some(entry) => entry.older = older,
            None => self.newest = older,
        }
    }
}

/// Ids are of any length, and some are secrets: the table has only half of their SHA-256.
fn key_of(id: &[u8]) -> [u8; 16] {
    let digest = Sha256::digest(id);
    *digest.first_chunk().expect("a digest of 32 bytes begins with 16")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(600);

    fn table(sessions_max: usize) -> (Sessions<char>, Instant) {
        (Sessions::new(sessions_max, TIMEOUT), Instant::now())
    }

    #[test]
    fn a_session_stays_with_the_server_that_began_it() {
        let (mut sessions, now) = table(10);
        assert_eq!(sessions.answered(Some(b"s1"), None, 'a', now), Some(Learned::Created));
        assert_eq!(sessions.answered(Some(b"s2"), Some(b"old"), 'b', now), Some(Learned::Created));
        assert_eq!(sessions.find(b"s1", now), Some(&'a'));
        assert_eq!(sessions.find(b"s2", now), Some(&'b'));
        assert_eq!(sessions.find(b"old", now), None);
        assert_eq!(sessions.answered(None, None, 'a', now), None);
    }

    #[test]
    fn a_session_that_nobody_knows_is_not_begun_by_a_request() {
        let (mut sessions, now) = table(10);
        assert_eq!(sessions.answered(None, Some(b"forged"), 'a', now), None);
        assert!(sessions.is_empty());
    }

    #[test]
    fn a_session_moves_with_its_client_when_its_server_is_gone() {
        let (mut sessions, now) = table(10);
        sessions.learn(b"s", 'a', now);
        assert_eq!(sessions.answered(None, Some(b"s"), 'b', now), Some(Learned::Renewed));
        assert_eq!(sessions.find(b"s", now), Some(&'b'));
    }

    #[test]
    fn a_session_ends_when_nobody_uses_it() {
        let (mut sessions, now) = table(10);
        sessions.learn(b"s", 'a', now);
        sessions.learn(b"t", 'a', now);
        let later = now + Duration::from_secs(400);
        assert!(sessions.renew(b"s", 'a', later));
        assert_eq!(sessions.next_deadline(), Some(now + TIMEOUT));
        assert_eq!(sessions.find(b"t", now + TIMEOUT), None);
        assert_eq!(sessions.expire(now + TIMEOUT), 1);
        assert_eq!(sessions.find(b"s", now + TIMEOUT), Some(&'a'));
        assert_eq!(sessions.expire(later + TIMEOUT), 1);
        assert_eq!(sessions.next_deadline(), None);
    }

    #[test]
    fn the_session_that_was_used_longest_ago_makes_room() {
        let (mut sessions, now) = table(2);
        sessions.learn(b"s", 'a', now);
        sessions.learn(b"t", 'b', now);
        sessions.renew(b"s", 'a', now);
        assert_eq!(sessions.learn(b"u", 'c', now), Learned::Displaced);
        assert_eq!((sessions.find(b"s", now), sessions.find(b"t", now)), (Some(&'a'), None));
        sessions.configure(1, TIMEOUT);
        assert_eq!((sessions.find(b"s", now), sessions.find(b"u", now)), (None, Some(&'c')));
    }

    #[test]
    fn a_zone_has_about_8000_sessions_in_a_mebibyte() {
        assert_eq!(sessions_in_zone(1 << 20), 8000);
        assert_eq!(sessions_in_zone(32 << 10), 250);
        assert_eq!(sessions_in_zone(0), 1);
        assert_eq!(sessions_in_zone(u64::MAX), NONE as usize - 1);
    }
}
