//! Whether a request that failed on one peer may be sent to the next: `proxy_next_upstream` and its two bounds.

use crate::balance::Ending;
use std::time::Duration;

/// The set of failures after which `proxy_next_upstream` tries another peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryOn(u32);

/// The words of the directive, in the order of nginx's documentation.
const WORDS: &[(&str, RetryOn)] = &[
    ("error", RetryOn::ERROR),
    ("timeout", RetryOn::TIMEOUT),
    ("invalid_header", RetryOn::INVALID_HEADER),
    ("http_500", RetryOn::HTTP_500),
    ("http_502", RetryOn::HTTP_502),
    ("http_503", RetryOn::HTTP_503),
    ("http_504", RetryOn::HTTP_504),
    ("http_403", RetryOn::HTTP_403),
    ("http_404", RetryOn::HTTP_404),
    ("http_429", RetryOn::HTTP_429),
    ("non_idempotent", RetryOn::NON_IDEMPOTENT),
    ("off", RetryOn::OFF),
];

impl RetryOn {
    /// The connection could not be made, or broke while the request was sent or the response head was read.
    pub const ERROR: RetryOn = RetryOn(1);
    /// The connection, the request or the response head took too long.
    pub const TIMEOUT: RetryOn = RetryOn(1 << 1);
    /// The response was empty or its head was no response head.
    pub const INVALID_HEADER: RetryOn = RetryOn(1 << 2);
    /// The peer answered 500.
    pub const HTTP_500: RetryOn = RetryOn(1 << 3);
    /// The peer answered 502.
    pub const HTTP_502: RetryOn = RetryOn(1 << 4);
    /// The peer answered 503.
    pub const HTTP_503: RetryOn = RetryOn(1 << 5);
    /// The peer answered 504.
    pub const HTTP_504: RetryOn = RetryOn(1 << 6);
    /// The peer answered 403.
    pub const HTTP_403: RetryOn = RetryOn(1 << 7);
    /// The peer answered 404.
    pub const HTTP_404: RetryOn = RetryOn(1 << 8);
    /// The peer answered 429.
    pub const HTTP_429: RetryOn = RetryOn(1 << 9);
    /// Requests of methods that are not idempotent may be sent again too, even after they were sent.
    pub const NON_IDEMPOTENT: RetryOn = RetryOn(1 << 10);
    /// Never. It overrules every other word beside it.
    pub const OFF: RetryOn = RetryOn(1 << 11);

    /// The flag that a word of the directive stands for.
    pub fn from_name(name: &str) -> Option<RetryOn> {
        WORDS.iter().find(|(word, _)| *word == name).map(|(_, flag)| *flag)
    }

    /// All flags of both.
    #[must_use]
    pub const fn union(self, other: RetryOn) -> RetryOn {
        RetryOn(self.0 | other.0)
    }

    /// Whether all flags of `other` are in this set.
    pub const fn contains(self, other: RetryOn) -> bool {
        self.0 & other.0 == other.0
    }

    /// The words for this set, in the order of nginx's documentation.
    pub fn names(self) -> Vec<&'static str> {
        WORDS.iter().filter(|(_, flag)| self.contains(*flag)).map(|(word, _)| *word).collect()
    }
}

impl Default for RetryOn {
    fn default() -> RetryOn {
        RetryOn::ERROR.union(RetryOn::TIMEOUT)
    }
}

/// How a try on one peer failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TryFailure {
    /// No connection could be made.
    Connect,
    /// The connection broke before a whole response head was there.
    Error,
    /// Connecting, sending or waiting for the response head took too long.
    Timeout,
    /// What came is no response head.
    InvalidHeader,
    /// A response with this status, not yet passed on to the client.
    Status(u16),
}

impl TryFailure {
    /// The flag that allows another try. `None` for a status that no word of the directive names.
    fn flag(self) -> Option<RetryOn> {
        Some(match self {
            TryFailure::Connect | TryFailure::Error => RetryOn::ERROR,
            TryFailure::Timeout => RetryOn::TIMEOUT,
            TryFailure::InvalidHeader => RetryOn::INVALID_HEADER,
            TryFailure::Status(500) => RetryOn::HTTP_500,
            TryFailure::Status(502) => RetryOn::HTTP_502,
            TryFailure::Status(503) => RetryOn::HTTP_503,
            TryFailure::Status(504) => RetryOn::HTTP_504,
            TryFailure::Status(403) => RetryOn::HTTP_403,
            TryFailure::Status(404) => RetryOn::HTTP_404,
            TryFailure::Status(429) => RetryOn::HTTP_429,
            TryFailure::Status(_) => return None,
        })
    }

    /// What the balancer is told of the try. `is_retried` is the answer of [`may_retry`].
    ///
    /// As in nginx, a response with a bad status counts against the peer only if it leads to another try (and 403 and 404
    /// not even then); one that is passed on to the client counts as good.
    pub fn ending(self, is_retried: bool) -> Ending {
        match self {
            TryFailure::Status(403 | 404) => Ending::Good,
            TryFailure::Status(_) if !is_retried => Ending::Good,
            _ => Ending::Failed,
        }
    }
}

/// Where a request stands when a try of it has failed.
#[derive(Debug, Clone, Copy)]
pub struct TryState {
    /// What [`method_is_idempotent`] says of the method.
    pub method_is_idempotent: bool,
    /// Whether a byte of the request was sent to the peer.
    pub request_sent: bool,
    /// Whether the request's body can be sent once more: there is none, or it was kept (`proxy_request_buffering on`).
    pub body_is_kept: bool,
    /// How many tries there were, the one that failed included.
    pub tries_made: u32,
    /// How many more tries the balancer allows: see [`crate::balance::Balancer::tries`].
    pub tries_left: u32,
    /// The time since the first try began.
    pub elapsed: Duration,
}

/// Whether another peer may be tried. `bounds` is `proxy_next_upstream_tries` and `proxy_next_upstream_timeout`; zero
/// means no bound.
pub fn may_retry(on: RetryOn, failure: TryFailure, state: &TryState, bounds: (u32, Duration)) -> bool {
    let (tries_max, timeout) = bounds;
    let Some(mut needed) = failure.flag() else { return false };
    if state.request_sent && !state.method_is_idempotent {
        needed = needed.union(RetryOn::NON_IDEMPOTENT);
    }
    let tries_are_left = state.tries_left > 0 && (tries_max == 0 || state.tries_made < tries_max);
    let time_is_left = timeout.is_zero() || state.elapsed < timeout;
    let can_be_repeated = !state.request_sent || state.body_is_kept;
    !on.contains(RetryOn::OFF) && on.contains(needed) && tries_are_left && time_is_left && can_be_repeated
}

/// The status that the client gets when no further try is made.
pub fn status_for(failure: TryFailure) -> u16 {
    match failure {
        TryFailure::Timeout => 504,
        TryFailure::Connect | TryFailure::Error | TryFailure::InvalidHeader => 502,
        TryFailure::Status(status) => status,
    }
}

/// Whether nginx takes the method for one that may be sent twice: all but POST, LOCK and PATCH.
pub fn method_is_idempotent(method: &[u8]) -> bool {
    !matches!(method, b"POST" | b"LOCK" | b"PATCH")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_BOUNDS: (u32, Duration) = (0, Duration::ZERO);

    fn state() -> TryState {
        TryState {
            method_is_idempotent: true,
            request_sent: true,
            body_is_kept: true,
            tries_made: 1,
            tries_left: 1,
            elapsed: Duration::from_secs(3),
        }
    }

    #[test]
    fn errors_and_timeouts_are_tried_again_by_default_and_answers_are_not() {
        let on = RetryOn::default();
        for failure in [TryFailure::Connect, TryFailure::Error, TryFailure::Timeout] {
            assert!(may_retry(on, failure, &state(), NO_BOUNDS), "{failure:?}");
        }
        for failure in [TryFailure::InvalidHeader, TryFailure::Status(502), TryFailure::Status(503)] {
            assert!(!may_retry(on, failure, &state(), NO_BOUNDS), "{failure:?}");
        }
    }

    #[test]
    fn each_word_allows_its_own_failure() {
        let pairs = [
            ("invalid_header", TryFailure::InvalidHeader),
            ("http_500", TryFailure::Status(500)),
            ("http_502", TryFailure::Status(502)),
            ("http_503", TryFailure::Status(503)),
            ("http_504", TryFailure::Status(504)),
            ("http_403", TryFailure::Status(403)),
            ("http_404", TryFailure::Status(404)),
            ("http_429", TryFailure::Status(429)),
        ];
        for (word, failure) in pairs {
            let on = RetryOn::from_name(word).expect("a word of the directive");
            assert!(may_retry(on, failure, &state(), NO_BOUNDS), "{word}");
            assert!(!may_retry(on, TryFailure::Error, &state(), NO_BOUNDS), "{word}");
            assert!(!may_retry(on, TryFailure::Status(501), &state(), NO_BOUNDS), "{word}");
        }
    }

    #[test]
    fn off_overrules_the_words_beside_it() {
        let on = RetryOn::default().union(RetryOn::OFF);
        assert!(!may_retry(on, TryFailure::Connect, &state(), NO_BOUNDS));
    }

    #[test]
    fn a_post_that_was_sent_is_not_sent_twice_unless_told() {
        let post = TryState { method_is_idempotent: method_is_idempotent(b"POST"), ..state() };
        assert!(!may_retry(RetryOn::default(), TryFailure::Error, &post, NO_BOUNDS));
        let told = RetryOn::default().union(RetryOn::NON_IDEMPOTENT);
        assert!(may_retry(told, TryFailure::Error, &post, NO_BOUNDS));
        let unsent = TryState { request_sent: false, ..post };
        assert!(may_retry(RetryOn::default(), TryFailure::Connect, &unsent, NO_BOUNDS));
    }

    #[test]
    fn a_body_that_is_gone_cannot_be_sent_twice() {
        let gone = TryState { body_is_kept: false, ..state() };
        assert!(!may_retry(RetryOn::default(), TryFailure::Error, &gone, NO_BOUNDS));
        let unsent = TryState { request_sent: false, ..gone };
        assert!(may_retry(RetryOn::default(), TryFailure::Connect, &unsent, NO_BOUNDS));
    }

    #[test]
    fn tries_and_time_are_bounded() {
        let on = RetryOn::default();
        let retry = |state: TryState, bounds| may_retry(on, TryFailure::Error, &state, bounds);
        assert!(!retry(TryState { tries_left: 0, ..state() }, NO_BOUNDS));
        assert!(!retry(state(), (1, Duration::ZERO)));
        assert!(retry(state(), (2, Duration::ZERO)));
        assert!(!retry(TryState { tries_made: 2, ..state() }, (2, Duration::ZERO)));
        assert!(retry(state(), (0, Duration::from_millis(3001))));
        assert!(!retry(state(), (0, Duration::from_secs(3))));
    }

    #[test]
    fn the_client_gets_504_for_slowness_and_502_for_the_rest() {
        assert_eq!(status_for(TryFailure::Timeout), 504);
        assert_eq!(status_for(TryFailure::Connect), 502);
        assert_eq!(status_for(TryFailure::Error), 502);
        assert_eq!(status_for(TryFailure::InvalidHeader), 502);
        assert_eq!(status_for(TryFailure::Status(503)), 503);
    }

    #[test]
    fn names_are_the_words_that_made_the_set() {
        assert_eq!(RetryOn::default().names(), ["error", "timeout"]);
        for (word, flag) in WORDS {
            assert_eq!(RetryOn::from_name(word), Some(*flag));
            assert_eq!(flag.names(), [*word]);
        }
        assert_eq!(RetryOn::from_name("http_501"), None);
    }

    #[test]
    fn a_bad_status_counts_against_the_peer_only_if_it_leads_to_another_try() {
        assert_eq!(TryFailure::Status(500).ending(true), Ending::Failed);
        assert_eq!(TryFailure::Status(500).ending(false), Ending::Good);
        assert_eq!(TryFailure::Status(404).ending(true), Ending::Good);
        for failure in [TryFailure::Connect, TryFailure::Error, TryFailure::Timeout, TryFailure::InvalidHeader] {
            assert_eq!(failure.ending(false), Ending::Failed);
        }
    }
}
