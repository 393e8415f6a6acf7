//! Numbers that threads share: those of one upstream, one of its peers, one resolver. None of them is touched more often than
//! a lock that their owner takes anyway.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The class of a status, 1 to 5. Statuses that no browser knows count as errors of the gateway.
pub(crate) fn class_of(status: u16) -> u8 {
    match status / 100 {
        class @ 1..=5 => class as u8,
        _ => 5,
    }
}

/// What happened on one peer.
#[derive(Debug, Default)]
pub(crate) struct PeerCounts {
    pub(crate) picks: Count,
    /// By class.
    pub(crate) responses: [Count; 5],
    pub(crate) fails: Count,
    pub(crate) unavail: Count,
    pub(crate) checks_passed: Count,
    pub(crate) checks_failed: Count,
}

impl PeerCounts {
    /// Counts an answer.
    pub(crate) fn answered(&self, status: u16) {
        self.responses[usize::from(class_of(status)) - 1].one();
    }
}

/// What happened at one upstream, whichever peer it was.
#[derive(Debug, Default)]
pub(crate) struct UpstreamCounts {
    pub(crate) refused_down: Count,
    pub(crate) refused_full: Count,
    pub(crate) refused_timeout: Count,
    pub(crate) rebalanced: Count,
    pub(crate) evacuated: Count,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    /// One more.
    pub(crate) fn one(&self) {
        self.add(1);
    }

    /// So many more.
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// How many there were.
    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What was asked by the resolvers of one `status_zone`.
#[derive(Debug, Default)]
pub(crate) struct ResolverCounts {
    pub(crate) names: Count,
    pub(crate) services: Count,
    /// In the order of [`CODES`].
    responses: [Count; CODES.len()],
}

/// What may come of a question, in the words of NGINX Plus.
const CODES: [&str; 8] = ["noerror", "formerr", "servfail", "nxdomain", "notimp", "refused", "timedout", "unknown"];

impl ResolverCounts {
    /// Counts what came of a question: a word of [`CODES`].
    pub(crate) fn answered(&self, code: &str) {
        let index = CODES.iter().position(|known| *known == code).unwrap_or(CODES.len() - 1);
        self.responses[index].one();
    }

    /// What came of them, with the words.
    pub(crate) fn responses(&self) -> impl Iterator<Item = (&'static str, u64)> {
        CODES.into_iter().zip(self.responses.iter().map(Count::value))
    }
}

static ZONES: Mutex<BTreeMap<Box<str>, Arc<ResolverCounts>>> = Mutex::new(BTreeMap::new());

/// The numbers of a `status_zone`, which go on over reloads.
pub(crate) fn resolver_zone(name: &str) -> Arc<ResolverCounts> {
    ZONES.lock().unwrap_or_else(PoisonError::into_inner).entry(name.into()).or_default().clone()
}

/// All of them.
pub(crate) fn resolver_zones() -> Vec<(Box<str>, Arc<ResolverCounts>)> {
    let zones = ZONES.lock().unwrap_or_else(PoisonError::into_inner);
    zones.iter().map(|(name, counts)| (name.clone(), counts.clone())).collect()
}
