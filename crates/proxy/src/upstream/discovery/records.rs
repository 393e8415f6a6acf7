//! Reading an answer: which of its records are about the name that was asked for.

use culvert_engine::discovery::Trouble;
use hickory_resolver::proto::op::DnsResponse;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use std::collections::HashMap;
use std::net::IpAddr;

/// The records of an answer that count.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Of `A` and `AAAA` records.
    pub(super) addresses: Vec<IpAddr>,
    /// Of `SRV` records.
    pub(super) services: Vec<Target>,
}

/// An `SRV` record.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) priority: u16,
    pub(super) weight: u16,
    pub(super) port: u16,
    /// The name of the host, without the dot at its end.
    pub(super) host: String,
}

/// An answer that has been read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) found: Found,
    /// The least time of the records that count, in seconds.
    pub(super) ttl: u32,
    /// The answer ends with another name, which is to be asked for.
    pub(super) alias: Option<Name>,
}

/// Reads what `response` says about `name`. Records about other names are passed over, however they came there; an answer that
/// consists of those alone is none.
pub(super) fn read(response: &DnsResponse, name: &Name, kind: RecordType) -> Result<Read, Trouble> {
    let answers = &response.answers;
    let (owner, mut ttl) = follow(answers, name)?;
    let mut found = Found::default();
    let is_ours = |record: &&Record| record.name == owner && record.record_type() == kind;
    let ours: Vec<_> = answers.iter().filter(is_ours).collect();
    for record in &ours {
        ttl = ttl.min(record.ttl);
        match &record.data {
            RData::A(address) => found.addresses.push(address.0.into()),
            RData::AAAA(address) => found.addresses.push(address.0.into()),
            RData::SRV(service) => found.services.extend(target(service)),
            _ => {}
        }
    }
    let alias = (ours.is_empty() && owner != *name).then_some(owner);
    if ours.is_empty() && alias.is_none() && !answers.is_empty() {
        return Err(Trouble::Malformed);
    }
    Ok(Read { found, ttl, alias })
}

/// Where the aliases of the answer lead to.
fn follow(answers: &[Record], name: &Name) -> Result<(Name, u32), Trouble> {
    let alias = |record: &Record| match &record.data {
        RData::CNAME(target) => Some((record.name.clone(), (target.0.clone(), record.ttl))),
        _ => None,
    };
    let aliases: HashMap<Name, (Name, u32)> = answers.iter().filter_map(alias).collect();
    let (mut owner, mut ttl) = (name.clone(), u32::MAX);
    // More steps than there are aliases are a loop.
    for _ in 0..=aliases.len() {
        match aliases.get(&owner) {
            Some((next, holds)) => (owner, ttl) = (next.clone(), ttl.min(*holds)),
            None => return Ok((owner, ttl)),
        }
    }
    Err(Trouble::Malformed)
}

/// A target of "." says that there is no such service. RFC 2782.
fn target(service: &hickory_resolver::proto::rr::rdata::SRV) -> Option<Target> {
    if service.target.is_root() {
        return None;
    }
    let mut host = service.target.to_utf8();
    if host.ends_with('.') {
        host.pop();
    }
    Some(Target { priority: service.priority, weight: service.weight, port: service.port, host })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_resolver::proto::op::{Message, MessageType, OpCode};
    use hickory_resolver::proto::rr::rdata::{A, CNAME};

    fn name(text: &str) -> Name {
        Name::from_ascii(text).expect("a name")
    }

    fn answer(records: impl IntoIterator<Item = (&'static str, u32, RData)>) -> Result<Read, Trouble> {
        let mut message = Message::new(1, MessageType::Response, OpCode::Query);
        message.answers =
            records.into_iter().map(|(owner, ttl, data)| Record::from_rdata(name(owner), ttl, data)).collect();
        let response = DnsResponse::from_message(message).expect("a message");
        read(&response, &name("app.test."), RecordType::A)
    }

    fn a(last: u8) -> RData {
        RData::A(A::new(10, 0, 0, last))
    }

    fn alias(target: &str) -> RData {
        RData::CNAME(CNAME(name(target)))
    }

    #[test]
    fn addresses_of_the_name_count_with_their_least_time() {
        let read = answer([("app.test.", 60, a(1)), ("APP.test.", 30, a(2))]).expect("an answer");
        assert_eq!((read.found.addresses.len(), read.ttl, read.alias), (2, 30, None));
    }

    #[test]
    fn records_of_other_names_do_not_count() {
        let read = answer([("app.test.", 60, a(1)), ("evil.test.", 1, a(66))]).expect("an answer");
        assert_eq!((read.found.addresses, read.ttl), (vec!["10.0.0.1".parse().expect("good")], 60));
        assert_eq!(answer([("evil.test.", 60, a(66))]).expect_err("no answer"), Trouble::Malformed);
    }

    #[test]
    fn aliases_are_followed_within_the_answer_and_beyond() {
        let read = answer([("b.test.", 60, a(1)), ("app.test.", 20, alias("b.test."))]).expect("an answer");
        assert_eq!((read.found.addresses.len(), read.ttl, read.alias), (1, 20, None));
        let read = answer([("app.test.", 20, alias("b.test."))]).expect("an answer");
        assert_eq!((read.found.addresses.len(), read.alias), (0, Some(name("b.test."))));
    }

    #[test]
    fn aliases_in_a_circle_are_no_answer() {
        let circle = [("app.test.", 20, alias("b.test.")), ("b.test.", 20, alias("app.test."))];
        assert_eq!(answer(circle).expect_err("no answer"), Trouble::Malformed);
        assert_eq!(answer([("app.test.", 20, alias("app.test."))]).expect_err("no answer"), Trouble::Malformed);
    }
}
