//! When one peer is probed, and what its probes made of it.

use super::{Check, Context, Failure, Stage};
use crate::balance::Health;
use crate::dice::part_of;
use std::time::{Duration, Instant};

/// The state of one check of one peer.
#[derive(Debug, Clone)]
pub struct Checker {
    interval: Duration,
    jitter: Duration,
    fails: u32,
    passes: u32,
    last_stage: Stage,
    health: Health,
    /// Results in a row that speak against `health`.
    streak: u32,
    next: Instant,
    started: Option<Instant>,
}

/// A peer went from one state to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What it was.
    pub from: Health,
    /// What it is.
    pub to: Health,
    /// What the probe that decided it was doing.
    pub stage: Stage,
}

impl Change {
    /// The line for the error log: a notice where the peer is healthy, a warning where it is not.
    pub fn log_line(&self, context: &Context) -> String {
        let word = if self.to == Health::Healthy { "healthy" } else { "unhealthy" };
        format!("peer is {word} while {}, {context}", self.stage.as_str())
    }
}

impl Checker {
    /// The check of a peer. `before` is what the same check said before a reload. The first probe comes within the
    /// jitter.
    pub fn new(check: &Check, before: Option<Health>, now: Instant, dice: u64) -> Checker {
        Checker {
            interval: check.interval,
            jitter: check.jitter,
            fails: check.fails.max(1),
            passes: check.passes.max(1),
            last_stage: check.last_stage(),
            health: first_health(check, before),
            streak: 0,
            next: now + part_of(check.jitter, dice),
            started: None,
        }
    }

    /// What the probes made of the peer.
    pub fn health(&self) -> Health {
        self.health
    }

    /// When the next probe is due. `None` while one runs: there is never more than one.
    pub fn next_probe(&self) -> Option<Instant> {
        self.started.is_none().then_some(self.next)
    }

    /// A probe begins.
    pub fn probe_started(&mut self, now: Instant) {
        self.started = Some(now);
    }

    /// The probe has its result.
    pub fn probe_ended(&mut self, now: Instant, result: Result<(), Failure>, dice: u64) -> Option<Change> {
        self.schedule(now, dice);
        let stage = result.as_ref().err().map_or(self.last_stage, |failure| failure.stage);
        let (to, needed) = match (self.health, result.is_ok()) {
            (Health::Healthy, true) | (Health::Unhealthy, false) => {
                self.streak = 0;
                return None;
            }
            (Health::Checking, true) => (Health::Healthy, 1),
            (Health::Checking, false) => (Health::Unhealthy, 1),
            (Health::Healthy, false) => (Health::Unhealthy, self.fails),
            (Health::Unhealthy, true) => (Health::Healthy, self.passes),
        };
        self.streak += 1;
        if self.streak < needed {
            return None;
        }
        self.streak = 0;
        let from = std::mem::replace(&mut self.health, to);
        Some(Change { from, to, stage })
    }

    /// The probe ended for a reason of the gateway's own, such as too many open files: it says nothing of the peer.
    pub fn probe_abandoned(&mut self, now: Instant, dice: u64) {
        self.schedule(now, dice);
    }

    /// A probe that took longer than the interval is followed by the next at once; they never overlap.
    fn schedule(&mut self, now: Instant, dice: u64) {
        let started = self.started.take().unwrap_or(now);
        self.next = (started + self.interval).max(now) + part_of(self.jitter, dice);
    }
}

/// What is known of a peer before its first probe. A reload teaches nothing about a peer that was unhealthy.
fn first_health(check: &Check, before: Option<Health>) -> Health {
    match before {
        Some(Health::Unhealthy) => Health::Unhealthy,
        Some(Health::Healthy) if check.persistent => Health::Healthy,
        _ if check.mandatory => Health::Checking,
        _ => Health::Healthy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn failure() -> Failure {
        Failure::new(Stage::Status, "status 500")
    }

    struct Peer {
        checker: Checker,
        now: Instant,
    }

    impl Peer {
        fn new(check: Check) -> Peer {
            let now = Instant::now();
            Peer { checker: Checker::new(&check, None, now, 0), now }
        }

        /// Waits for the next probe, which passes or fails.
        fn probe(&mut self, passes: bool) -> Option<Health> {
            self.now = self.checker.next_probe().expect("no probe runs");
            self.checker.probe_started(self.now);
            assert_eq!(self.checker.next_probe(), None);
            let result = if passes { Ok(()) } else { Err(failure()) };
            self.checker.probe_ended(self.now, result, 0).map(|change| change.to)
        }

        fn probes(&mut self, results: &str) -> Vec<Option<Health>> {
            results.chars().map(|result| self.probe(result == '+')).collect()
        }
    }

    #[test]
    fn failures_in_a_row_make_a_peer_unhealthy_and_passes_in_a_row_heal_it() {
        let mut peer = Peer::new(Check { fails: 3, passes: 2, ..Check::default() });
        assert_eq!(peer.probes("--+--"), [None; 5]);
        assert_eq!(peer.probe(false), Some(Health::Unhealthy));
        assert_eq!(peer.probes("+-+"), [None; 3]);
        assert_eq!(peer.probe(true), Some(Health::Healthy));
    }

    #[test]
    fn a_mandatory_check_gives_nothing_before_the_first_pass() {
        let check = Check { mandatory: true, fails: 3, passes: 3, ..Check::default() };
        let mut peer = Peer::new(check.clone());
        assert_eq!(peer.checker.health(), Health::Checking);
        assert_eq!(peer.probe(true), Some(Health::Healthy));
        let mut other = Peer::new(check);
        assert_eq!(other.probe(false), Some(Health::Unhealthy));
    }

    #[test]
    fn a_reload_keeps_what_is_known() {
        let after = |check: &Check, before| Checker::new(check, Some(before), Instant::now(), 0).health();
        let mandatory = Check { mandatory: true, ..Check::default() };
        let persistent = Check { persistent: true, ..mandatory.clone() };
        assert_eq!(after(&Check::default(), Health::Healthy), Health::Healthy);
        assert_eq!(after(&mandatory, Health::Healthy), Health::Checking);
        assert_eq!(after(&persistent, Health::Healthy), Health::Healthy);
        assert_eq!(after(&persistent, Health::Checking), Health::Checking);
        for check in [Check::default(), mandatory, persistent] {
            assert_eq!(after(&check, Health::Unhealthy), Health::Unhealthy);
        }
    }

    #[test]
    fn probes_start_an_interval_apart_and_never_overlap() {
        let mut peer = Peer::new(Check::default());
        let start = peer.now;
        peer.checker.probe_started(start);
        peer.checker.probe_ended(start + Duration::from_secs(2), Ok(()), 0);
        assert_eq!(peer.checker.next_probe(), Some(start + Duration::from_secs(5)));
        let second = start + Duration::from_secs(5);
        peer.checker.probe_started(second);
        let end = second + Duration::from_secs(60);
        peer.checker.probe_ended(end, Err(failure()), 0);
        assert_eq!(peer.checker.next_probe(), Some(end));
    }

    #[test]
    fn a_probe_that_the_gateway_gave_up_says_nothing_of_the_peer() {
        let mut peer = Peer::new(Check::default());
        peer.checker.probe_started(peer.now);
        peer.checker.probe_abandoned(peer.now, 0);
        assert_eq!(peer.checker.health(), Health::Healthy);
        assert_eq!(peer.checker.next_probe(), Some(peer.now + Duration::from_secs(5)));
    }

    #[test]
    fn a_change_reads_as_nginx_logs_it() {
        let context = Context { check: "", peer: "10.0.0.1:80", upstream: "chat", port: None };
        let change = Change { from: Health::Healthy, to: Health::Unhealthy, stage: Stage::Status };
        assert_eq!(
            change.log_line(&context),
            "peer is unhealthy while checking status code, health check \"\" of peer 10.0.0.1:80 in upstream \"chat\""
        );
        let back = Change { from: Health::Unhealthy, to: Health::Healthy, stage: Stage::Body };
        assert!(back.log_line(&context).starts_with("peer is healthy while checking body, "));
    }

    proptest! {
        #[test]
        fn jitter_delays_by_less_than_itself(dice: u64, jitter in 1..10_000_u64) {
            let jitter = Duration::from_millis(jitter);
            let now = Instant::now();
            let mut checker = Checker::new(&Check { jitter, ..Check::default() }, None, now, dice);
            let first = checker.next_probe().expect("no probe runs");
            prop_assert!(first >= now && first < now + jitter);
            checker.probe_started(now);
            checker.probe_ended(now, Ok(()), dice);
            let wait = checker.next_probe().expect("no probe runs") - now;
            prop_assert!(wait >= Duration::from_secs(5) && wait < Duration::from_secs(5) + jitter);
        }

        #[test]
        fn only_a_full_row_changes_the_state(fails in 1..5_u32, passes in 1..5_u32, results: Vec<bool>) {
            let mut peer = Peer::new(Check { fails, passes, ..Check::default() });
            let (mut health, mut row) = (Health::Healthy, 0);
            for passed in results {
                row = if passed == (health == Health::Healthy) { 0 } else { row + 1 };
                let needed = if health == Health::Healthy { fails } else { passes };
                if row == needed {
                    health = if health == Health::Healthy { Health::Unhealthy } else { Health::Healthy };
                    row = 0;
                }
                peer.probe(passed);
                prop_assert_eq!(peer.checker.health(), health);
            }
        }
    }
}
