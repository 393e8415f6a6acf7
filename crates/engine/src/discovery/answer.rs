//! What resolvers say, and which endpoints that makes.

use super::{ENDPOINTS_MAX, Settings};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// One place where a name's server can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// Where.
    pub address: SocketAddr,
    /// Its share; at least 1.
    pub weight: u32,
    /// Used only while no primary one can be.
    pub backup: bool,
}

/// An answer that a resolver gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// `A` and `AAAA` records.
    Addresses {
        /// The addresses.
        addresses: Vec<IpAddr>,
        /// The least time that one of the records holds.
        ttl: Duration,
    },
    /// `SRV` records, and the addresses of their targets.
    Services {
        /// The records.
        services: Vec<Service>,
        /// The least time that one of the records holds.
        ttl: Duration,
    },
}

/// An `SRV` record (RFC 2782) whose target has been resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The lowest is asked first.
    pub priority: u16,
    /// The share among those of one priority.
    pub weight: u16,
    /// The port.
    pub port: u16,
    /// The name of the host.
    pub target: Box<str>,
    /// Its addresses; `None` where a resolver failed to tell, so that the last ones are still good.
    pub addresses: Option<Vec<IpAddr>>,
}

impl Service {
    fn usable(&self, settings: &Settings) -> impl Iterator<Item = IpAddr> {
        self.addresses.iter().flatten().copied().filter(|&address| is_usable(address, settings))
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Nobody answered in time.
    Timeout,
    /// The resolver can't be reached.
    Unreachable,
    /// What came is no answer to what was asked.
    Malformed,
    /// The resolver did not understand the question.
    FormatError,
    /// The resolver failed.
    ServerFailure,
    /// The resolver doesn't do such questions.
    NotImplemented,
    /// The resolver doesn't answer us.
    Refused,
    /// There is no such name: an answer, and not a failure.
    NoSuchName,
}

impl Trouble {
    /// What nginx's log says in `(code: text)`.
    pub fn describe(self) -> &'static str {
        match self {
            Trouble::Timeout => "110: Operation timed out",
            Trouble::Unreachable => "Host unreachable",
            Trouble::Malformed => "Malformed answer",
            Trouble::FormatError => "1: Format error",
            Trouble::ServerFailure => "2: Server failure",
            Trouble::NoSuchName => "3: Host not found",
            Trouble::NotImplemented => "4: Unimplemented",
            Trouble::Refused => "5: Operation refused",
        }
    }
}

impl Answer {
    /// For how long the records hold.
    pub(super) fn ttl(&self) -> Duration {
        match self {
            Answer::Addresses { ttl, .. } | Answer::Services { ttl, .. } => *ttl,
        }
    }

    /// The endpoints, each address once.
    pub(super) fn endpoints(&self, settings: &Settings) -> BTreeMap<SocketAddr, Endpoint> {
        let mut endpoints = BTreeMap::new();
        for endpoint in self.all(settings) {
            if endpoints.len() >= ENDPOINTS_MAX && !endpoints.contains_key(&endpoint.address) {
                break;
            }
            endpoints.entry(endpoint.address).and_modify(|known| merge(known, &endpoint)).or_insert(endpoint);
        }
        endpoints
    }

    fn all(&self, settings: &Settings) -> Vec<Endpoint> {
        match self {
            Answer::Addresses { addresses, .. } => {
                let (weight, backup) = (settings.weight.max(1), settings.backup);
                let usable = addresses.iter().filter(|address| is_usable(**address, settings));
                usable.map(|&ip| Endpoint { address: (ip, settings.port).into(), weight, backup }).collect()
            }
            Answer::Services { services, .. } => of_services(services, settings),
        }
    }
}

/// Those of the first priority are primary, all others backups; of a backup server only the first are used. Targets
/// without an address don't count, so that the next priority moves up where nothing is left of the first.
fn of_services(services: &[Service], settings: &Settings) -> Vec<Endpoint> {
    let reachable = services.iter().filter(|service| service.usable(settings).next().is_some());
    let Some(first) = reachable.map(|service| service.priority).min() else { return Vec::new() };
    let mut sorted: Vec<&Service> =
        services.iter().filter(|service| !settings.backup || service.priority == first).collect();
    sorted.sort_by_key(|service| service.priority);
    let endpoints = sorted.into_iter().flat_map(|service| {
        let weight = if settings.weight != 1 { settings.weight } else { u32::from(service.weight) };
        let backup = settings.backup || service.priority != first;
        service.usable(settings).map(move |ip| Endpoint {
            address: (ip, service.port).into(),
            weight: weight.max(1),
            backup,
        })
    });
    endpoints.collect()
}

/// An address that stands in several records is one endpoint: primary if one of them is.
fn merge(known: &mut Endpoint, other: &Endpoint) {
    if known.backup == other.backup {
        known.weight = known.weight.max(other.weight);
    } else if known.backup {
        *known = *other;
    }
}

/// Nobody can be reached at an unspecified address or a group's, whatever a resolver says.
fn is_usable(address: IpAddr, settings: &Settings) -> bool {
    let is_wanted = if address.is_ipv4() { settings.ipv4 } else { settings.ipv6 };
    let is_broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    is_wanted && !address.is_unspecified() && !address.is_multicast() && !is_broadcast
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(priority: u16, weight: u16, port: u16, addresses: &[&str]) -> Service {
        let addresses = addresses.iter().map(|text| text.parse().expect("an address")).collect();
        Service { priority, weight, port, target: "a".into(), addresses: Some(addresses) }
    }

    fn show(services: Vec<Service>, settings: &Settings) -> Vec<String> {
        let answer = Answer::Services { services, ttl: Duration::ZERO };
        let endpoints = answer.endpoints(settings).into_values();
        let line = |one: Endpoint| format!("{} {}{}", one.address, one.weight, if one.backup { " backup" } else { "" });
        endpoints.map(line).collect()
    }

    #[test]
    fn the_lowest_priority_is_primary_and_the_others_are_backups() {
        let services = vec![
            service(20, 5, 8002, &["10.0.0.2"]),
            service(10, 3, 8001, &["10.0.0.1", "::1"]),
            service(30, 0, 8003, &["10.0.0.3"]),
        ];
        let all = ["10.0.0.1:8001 3", "10.0.0.2:8002 5 backup", "10.0.0.3:8003 1 backup", "[::1]:8001 3"];
        assert_eq!(show(services.clone(), &Settings::default()), all);
        let backup = Settings { backup: true, ipv6: false, ..Settings::default() };
        assert_eq!(show(services.clone(), &backup), ["10.0.0.1:8001 3 backup"]);
        let weighted = Settings { weight: 7, ipv6: false, ..Settings::default() };
        assert_eq!(show(services, &weighted)[..2], ["10.0.0.1:8001 7", "10.0.0.2:8002 7 backup"]);
    }

    #[test]
    fn a_target_without_addresses_does_not_hold_back_the_next_priority() {
        let services = vec![service(10, 1, 80, &[]), service(20, 1, 80, &["10.0.0.2"])];
        assert_eq!(show(services, &Settings::default()), ["10.0.0.2:80 1"]);
        assert!(show(vec![service(10, 1, 80, &[])], &Settings::default()).is_empty());
    }

    #[test]
    fn an_address_in_several_records_is_one_endpoint() {
        let services = vec![
            service(20, 9, 80, &["10.0.0.1"]),
            service(10, 1, 80, &["10.0.0.1"]),
            service(10, 4, 80, &["10.0.0.1", "10.0.0.1"]),
        ];
        assert_eq!(show(services, &Settings::default()), ["10.0.0.1:80 4"]);
    }

    #[test]
    fn addresses_that_nobody_has_are_ignored() {
        let services =
            vec![service(1, 1, 80, &["0.0.0.0", "255.255.255.255", "224.0.0.1", "::", "ff02::1", "127.0.0.1"])];
        assert_eq!(show(services, &Settings::default()), ["127.0.0.1:80 1"]);
    }

    #[test]
    fn families_are_used_as_the_resolver_line_says() {
        let services = || vec![service(1, 1, 80, &["10.0.0.1", "fd00::1"])];
        assert_eq!(show(services(), &Settings { ipv6: false, ..Settings::default() }), ["10.0.0.1:80 1"]);
        assert_eq!(show(services(), &Settings { ipv4: false, ..Settings::default() }), ["[fd00::1]:80 1"]);
    }

    #[test]
    fn no_answer_makes_more_endpoints_than_are_used() {
        let addresses = (1..10_000_u32).map(|n| IpAddr::from((n + 0x0a00_0000).to_be_bytes())).collect();
        let answer = Answer::Addresses { addresses, ttl: Duration::ZERO };
        assert_eq!(answer.endpoints(&Settings::default()).len(), ENDPOINTS_MAX);
    }
}
