//! One name: its last answer, and when to ask again.

use super::{Answer, Endpoint, Service, Settings, Trouble};
use crate::dice::part_of;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// An answer holds for up to a tenth less than its time, so that names that were asked for together part.
const JITTER_DIVISOR: u32 = 10;

/// A name that is resolved again and again.
#[derive(Debug, Clone)]
pub struct Name {
    settings: Settings,
    endpoints: BTreeMap<SocketAddr, Endpoint>,
    /// The last addresses of each target of the services.
    targets: HashMap<Box<str>, Vec<IpAddr>>,
    due: Instant,
    is_asking: bool,
    failures: u32,
    has_answer: bool,
}

/// How an answer differs from the one before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Endpoints that are new.
    pub added: Vec<Endpoint>,
    /// Endpoints that are gone: no new requests, live ones may go on.
    pub vanished: Vec<Endpoint>,
    /// Endpoints that stayed, with another weight, or backup where they were not and the reverse; as they are now.
    pub changed: Vec<Endpoint>,
}

impl Changes {
    /// Whether all stays as it is.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.vanished.is_empty() && self.changed.is_empty()
    }
}

impl Name {
    /// A name that has to be asked for at once.
    pub fn new(settings: Settings, now: Instant) -> Name {
        let (endpoints, targets) = (BTreeMap::new(), HashMap::new());
        Name { settings, endpoints, targets, due: now, is_asking: false, failures: 0, has_answer: false }
    }

    /// A name whose addresses are known already, from the start of the program or from before a reload; it is asked for
    /// again at once.
    pub fn with_endpoints(settings: Settings, now: Instant, known: impl IntoIterator<Item = Endpoint>) -> Name {
        let endpoints = known.into_iter().map(|endpoint| (endpoint.address, endpoint)).collect();
        Name { endpoints, has_answer: true, ..Name::new(settings, now) }
    }

    /// When to ask. `None` while an answer is waited for.
    pub fn due(&self) -> Option<Instant> {
        (!self.is_asking).then_some(self.due)
    }

    /// The resolver is being asked.
    pub fn asked(&mut self) {
        self.is_asking = true;
    }

    /// The endpoints of the last answer.
    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.endpoints.values()
    }

    /// Whether there was ever an answer.
    pub fn has_answer(&self) -> bool {
        self.has_answer
    }

    /// The resolver answered.
    pub fn answered(&mut self, now: Instant, mut answer: Answer, dice: u64) -> Changes {
        if let Answer::Services { services, .. } = &mut answer {
            self.complete(services);
        }
        let holds = self.settings.valid.unwrap_or_else(|| answer.ttl());
        self.schedule(now, holds, dice);
        self.failures = 0;
        self.replace(answer.endpoints(&self.settings))
    }

    /// The resolver did not answer, or said that it can't. Only that there is no such name is an answer, the empty one.
    pub fn failed(&mut self, now: Instant, trouble: Trouble, dice: u64) -> Changes {
        let doubled = self.settings.retry_min.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        self.schedule(now, doubled.min(self.settings.retry_max), dice);
        self.failures = self.failures.saturating_add(1);
        match trouble {
            Trouble::NoSuchName => self.replace(BTreeMap::new()),
            _ => Changes::default(),
        }
    }

    /// Gives the targets that could not be resolved the addresses that they had, and remembers those of the others.
    fn complete(&mut self, services: &mut [Service]) {
        for service in services.iter_mut() {
            service.addresses.get_or_insert_with(|| self.targets.get(&service.target).cloned().unwrap_or_default());
        }
        let known = services.iter().filter_map(|service| Some((service.target.clone(), service.addresses.clone()?)));
        self.targets = known.collect();
    }

    fn schedule(&mut self, now: Instant, wait: Duration, dice: u64) {
        let wait = wait.clamp(self.settings.ttl_min, self.settings.ttl_max.max(self.settings.ttl_min));
        self.due = now + (wait - part_of(wait / JITTER_DIVISOR, dice)).max(self.settings.ttl_min);
        self.is_asking = false;
    }

    fn replace(&mut self, endpoints: BTreeMap<SocketAddr, Endpoint>) -> Changes {
        let mut changes = Changes::default();
        for (address, endpoint) in &endpoints {
            match self.endpoints.get(address) {
                None => changes.added.push(*endpoint),
                Some(known) if known != endpoint => changes.changed.push(*endpoint),
                Some(_) => {}
            }
        }
        let gone = self.endpoints.iter().filter(|(address, _)| !endpoints.contains_key(address));
        changes.vanished = gone.map(|(_, endpoint)| *endpoint).collect();
        (self.endpoints, self.has_answer) = (endpoints, true);
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Talk {
        name: Name,
        now: Instant,
    }

    impl Talk {
        fn new(settings: Settings) -> Talk {
            let now = Instant::now();
            Talk { name: Name::new(settings, now), now }
        }

        fn answer(&mut self, addresses: &[&str], ttl: u64) -> Changes {
            let addresses = addresses.iter().map(|text| text.parse().expect("an address")).collect();
            self.name.asked();
            let answer = Answer::Addresses { addresses, ttl: Duration::from_secs(ttl) };
            self.name.answered(self.now, answer, 0)
        }

        fn fail(&mut self, trouble: Trouble) -> Changes {
            self.name.asked();
            self.name.failed(self.now, trouble, 0)
        }

        /// Seconds until the name is due.
        fn wait(&self) -> u64 {
            (self.name.due().expect("nobody is asked") - self.now).as_secs()
        }
    }

    fn ips(endpoints: &[Endpoint]) -> Vec<String> {
        endpoints.iter().map(|endpoint| endpoint.address.ip().to_string()).collect()
    }

    #[test]
    fn an_answer_is_told_as_its_difference() {
        let mut talk = Talk::new(Settings::default());
        assert_eq!(talk.wait(), 0);
        assert!(!talk.name.has_answer());
        assert_eq!(ips(&talk.answer(&["10.0.0.1", "10.0.0.2"], 60).added), ["10.0.0.1", "10.0.0.2"]);
        assert!(talk.answer(&["10.0.0.2", "10.0.0.1"], 60).is_empty());
        let changes = talk.answer(&["10.0.0.2", "10.0.0.3"], 60);
        assert_eq!((ips(&changes.added), ips(&changes.vanished)), (vec!["10.0.0.3".into()], vec!["10.0.0.1".into()]));
        assert_eq!(talk.name.endpoints().count(), 2);
    }

    #[test]
    fn a_failing_resolver_keeps_the_last_answer() {
        let mut talk = Talk::new(Settings::default());
        talk.answer(&["10.0.0.1"], 60);
        for trouble in [
            Trouble::Timeout,
            Trouble::Unreachable,
            Trouble::Malformed,
            Trouble::FormatError,
            Trouble::ServerFailure,
            Trouble::NotImplemented,
            Trouble::Refused,
        ] {
            assert!(talk.fail(trouble).is_empty(), "{trouble:?}");
        }
        assert_eq!(talk.name.endpoints().count(), 1);
    }

    #[test]
    fn a_target_that_can_not_be_resolved_keeps_its_addresses() {
        let mut talk = Talk::new(Settings::default());
        let mut answer = |addresses: [Option<&str>; 2]| {
            let service = |(target, addresses): (&str, Option<&str>)| Service {
                priority: 1,
                weight: 1,
                port: 80,
                target: target.into(),
                addresses: addresses
                    .map(|text| text.split_terminator(' ').map(|ip| ip.parse().expect("good")).collect()),
            };
            let services = ["a", "b"].into_iter().zip(addresses).map(service).collect();
            let changes = talk.name.answered(talk.now, Answer::Services { services, ttl: Duration::ZERO }, 0);
            (ips(&changes.added).join(" "), ips(&changes.vanished).join(" "))
        };
        let (none, both) = (String::new(), "10.0.0.1 10.0.0.2".to_string());
        assert_eq!(answer([Some("10.0.0.1"), Some("10.0.0.2")]), (both, none.clone()));
        assert_eq!(answer([None, Some("10.0.0.3")]), ("10.0.0.3".into(), "10.0.0.2".into()));
        assert_eq!(answer([None, None]), (none.clone(), none.clone()));
        assert_eq!(answer([Some(""), None]), (none, "10.0.0.1".into()));
    }

    #[test]
    fn that_there_is_no_such_name_is_an_answer() {
        let mut talk = Talk::new(Settings::default());
        talk.answer(&["10.0.0.1"], 60);
        assert_eq!(ips(&talk.fail(Trouble::NoSuchName).vanished), ["10.0.0.1"]);
        assert_eq!(ips(&talk.answer(&["10.0.0.1"], 60).added), ["10.0.0.1"]);
    }

    #[test]
    fn failures_are_followed_by_longer_and_longer_waits() {
        let mut talk = Talk::new(Settings::default());
        let mut waits = Vec::new();
        for _ in 0..8 {
            talk.fail(Trouble::Timeout);
            waits.push(talk.wait());
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30, 30]);
        talk.answer(&["10.0.0.1"], 60);
        talk.fail(Trouble::Timeout);
        assert_eq!(talk.wait(), 1);
    }

    #[test]
    fn an_answer_holds_for_its_time_within_bounds_or_for_valid() {
        let mut talk = Talk::new(Settings::default());
        for (ttl, wait) in [(60, 60), (0, 1), (1_000_000, 3600)] {
            talk.answer(&["10.0.0.1"], ttl);
            assert_eq!(talk.wait(), wait, "{ttl}");
        }
        let mut talk = Talk::new(Settings { valid: Some(Duration::from_secs(10)), ..Settings::default() });
        talk.answer(&["10.0.0.1"], 60);
        assert_eq!(talk.wait(), 10);
    }

    #[test]
    fn nobody_is_asked_twice_at_once() {
        let mut talk = Talk::new(Settings::default());
        talk.name.asked();
        assert_eq!(talk.name.due(), None);
        talk.fail(Trouble::Timeout);
        assert!(talk.name.due().is_some());
    }

    #[test]
    fn what_was_known_before_is_compared_with() {
        let known = Endpoint { address: "10.0.0.1:80".parse().expect("good"), weight: 1, backup: false };
        let now = Instant::now();
        let mut talk = Talk { name: Name::with_endpoints(Settings::default(), now, [known]), now };
        assert_eq!(talk.wait(), 0);
        assert!(talk.answer(&["10.0.0.1"], 60).is_empty());
    }
}
