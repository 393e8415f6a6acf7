//! The questions that one name takes: its families of addresses, or its services and their hosts.

use super::client::{Client, Reply};
use culvert_conf::config::{PeerAddr, Resolver};
use culvert_engine::discovery::{Answer, Service, Trouble};
use hickory_resolver::proto::rr::RecordType;
use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::lookup_host;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// So many hosts of services are asked for at once.
const HOSTS_AT_ONCE: usize = 16;
/// So many of them are asked for at all; an answer with more is not believed.
const HOSTS_MAX: usize = 256;

/// Asks the name servers of a `resolver` line as that line says.
pub(super) struct Asker {
    client: Arc<Client>,
    ipv4: bool,
    ipv6: bool,
    timeout: Duration,
}

impl Asker {
    /// Finds the name servers; those among them that are names are looked up in the system's way.
    pub(super) async fn open(resolver: &Resolver, timeout: Duration) -> Asker {
        let mut servers = Vec::new();
        for server in &resolver.servers {
            servers.extend(addresses_of(server).await);
        }
        let client = Arc::new(Client::new(&servers, timeout, resolver.status_zone.as_deref()));
        Asker { client, ipv4: resolver.ipv4, ipv6: resolver.ipv6, timeout }
    }

    /// The addresses of a name. Where only one family could be asked for, those of the other among `known` are still good.
    pub(super) async fn addresses(&self, name: &str, known: &[IpAddr]) -> Result<Answer, Trouble> {
        let (four, six) = tokio::join!(
            family(&self.client, self.ipv4, name, RecordType::A),
            family(&self.client, self.ipv6, name, RecordType::AAAA)
        );
        let (addresses, ttl) = merge(four, six, known)?;
        Ok(Answer::Addresses { addresses, ttl })
    }

    /// The services of a name, with the addresses of their hosts.
    pub(super) async fn services(&self, name: &str) -> Result<Answer, Trouble> {
        let Reply { records, mut ttl } = self.client.ask(name, RecordType::SRV).await?;
        let hosts: BTreeSet<String> =
            records.services.iter().map(|target| target.host.clone()).take(HOSTS_MAX).collect();
        let found = self.hosts(hosts).await;
        let service = |target: super::records::Target| {
            let addresses = found.get(&target.host).map(|(addresses, holds)| {
                ttl = ttl.min(*holds);
                addresses.clone()
            });
            Service {
                priority: target.priority,
                weight: target.weight,
                port: target.port,
                target: target.host.into(),
                addresses,
            }
        };
        let services = records.services.into_iter().map(service).collect();
        Ok(Answer::Services { services, ttl })
    }

    /// The hosts' addresses and how long they hold; those that could not be resolved in time are missing.
    async fn hosts(&self, hosts: BTreeSet<String>) -> HashMap<String, (Vec<IpAddr>, Duration)> {
        let mut found = HashMap::new();
        let mut waiting = hosts.into_iter();
        let mut asked = JoinSet::new();
        let all = async {
            loop {
                while asked.len() < HOSTS_AT_ONCE
                    && let Some(host) = waiting.next()
                {
                    asked.spawn(host_addresses(self.client.clone(), self.ipv4, self.ipv6, host));
                }
                match asked.join_next().await {
                    Some(Ok((host, Ok(addresses)))) => found.insert(host, addresses),
                    Some(_) => None,
                    None => break,
                };
            }
        };
        // What is missing after this time keeps its last addresses.
        let _ = timeout(self.timeout, all).await;
        found
    }
}

async fn host_addresses(
    client: Arc<Client>,
    ipv4: bool,
    ipv6: bool,
    host: String,
) -> (String, Result<(Vec<IpAddr>, Duration), Trouble>) {
    let (four, six) =
        tokio::join!(family(&client, ipv4, &host, RecordType::A), family(&client, ipv6, &host, RecordType::AAAA));
    let addresses = match merge(four, six, &[]) {
        Err(Trouble::NoSuchName) => Ok((Vec::new(), Duration::MAX)),
        other => other,
    };
    (host, addresses)
}

async fn addresses_of(server: &PeerAddr) -> Vec<SocketAddr> {
    let PeerAddr::Host(host, port) = server else { return Vec::new() };
    match host.parse::<IpAddr>() {
        Ok(ip) => vec![(ip, *port).into()],
        Err(_) => lookup_host((host.as_str(), *port)).await.map(Iterator::collect).unwrap_or_default(),
    }
}

/// `None`: this family is not used.
async fn family(client: &Client, is_used: bool, name: &str, kind: RecordType) -> Option<Result<Reply, Trouble>> {
    match is_used {
        true => Some(client.ask(name, kind).await),
        false => None,
    }
}

/// What the two families say together.
fn merge(
    four: Option<Result<Reply, Trouble>>,
    six: Option<Result<Reply, Trouble>>,
    known: &[IpAddr],
) -> Result<(Vec<IpAddr>, Duration), Trouble> {
    let (mut addresses, mut kept, mut troubles) = (Vec::new(), Vec::<IpAddr>::new(), Vec::new());
    let mut ttl = Duration::MAX;
    let mut replied = false;
    for (answer, is_four) in [(four, true), (six, false)] {
        match answer {
            None => {}
            Some(Ok(reply)) => {
                replied = true;
                // That a name has no addresses of one family is no reason to ask for the other's sooner.
                if !reply.records.addresses.is_empty() {
                    ttl = ttl.min(reply.ttl);
                }
                addresses.extend(reply.records.addresses);
            }
            Some(Err(trouble)) => {
                kept.extend(known.iter().filter(|ip| trouble != Trouble::NoSuchName && ip.is_ipv4() == is_four));
                troubles.push(trouble);
            }
        }
    }
    let worst = || troubles.iter().find(|trouble| **trouble == Trouble::NoSuchName).or(troubles.first()).copied();
    match worst() {
        Some(trouble) if !replied => Err(trouble),
        // One family has no addresses and the other is unknown: that is no answer.
        Some(trouble) if addresses.is_empty() && trouble != Trouble::NoSuchName => Err(trouble),
        _ => {
            addresses.extend(kept);
            Ok((addresses, if ttl == Duration::MAX { Duration::ZERO } else { ttl }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::records::Found;
    use super::*;

    fn reply(addresses: &[&str], ttl: u64) -> Option<Result<Reply, Trouble>> {
        let addresses = addresses.iter().map(|text| text.parse().expect("an address")).collect();
        let records = Found { addresses, services: Vec::new() };
        Some(Ok(Reply { records, ttl: Duration::from_secs(ttl) }))
    }

    fn texts(merged: Result<(Vec<IpAddr>, Duration), Trouble>) -> Result<(String, u64), Trouble> {
        let (addresses, ttl) = merged?;
        Ok((addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "), ttl.as_secs()))
    }

    #[test]
    fn both_families_are_one_answer() {
        let merged = merge(reply(&["10.0.0.1"], 60), reply(&["fd00::1"], 30), &[]);
        assert_eq!(texts(merged), Ok(("10.0.0.1 fd00::1".into(), 30)));
        assert_eq!(texts(merge(reply(&["10.0.0.1"], 60), reply(&[], 1), &[])), Ok(("10.0.0.1".into(), 60)));
        assert_eq!(texts(merge(reply(&["10.0.0.1"], 60), None, &[])), Ok(("10.0.0.1".into(), 60)));
    }

    #[test]
    fn a_family_that_fails_keeps_its_last_addresses() {
        let known = ["10.0.0.9".parse().expect("good"), "fd00::9".parse().expect("good")];
        let merged = merge(reply(&["10.0.0.1"], 60), Some(Err(Trouble::Timeout)), &known);
        assert_eq!(texts(merged), Ok(("10.0.0.1 fd00::9".into(), 60)));
        let merged = merge(reply(&["10.0.0.1"], 60), Some(Err(Trouble::NoSuchName)), &known);
        assert_eq!(texts(merged), Ok(("10.0.0.1".into(), 60)));
    }

    #[test]
    fn what_is_not_known_is_no_answer() {
        assert_eq!(texts(merge(reply(&[], 60), Some(Err(Trouble::ServerFailure)), &[])), Err(Trouble::ServerFailure));
        assert_eq!(
            texts(merge(Some(Err(Trouble::Timeout)), Some(Err(Trouble::NoSuchName)), &[])),
            Err(Trouble::NoSuchName)
        );
        assert_eq!(texts(merge(reply(&[], 60), reply(&[], 60), &[])), Ok((String::new(), 0)));
    }
}
