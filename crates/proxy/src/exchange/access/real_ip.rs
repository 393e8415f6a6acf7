//! `set_real_ip_from`: the client's own address in place of a trusted neighbour's.

use crate::exchange::{ClientFacts, Exchange};
use culvert_conf::config::{RealIpHeader, RealIpSettings, Trusted};
use culvert_engine::access::real_address;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Finds the client's address, unless that has been done for this request.
pub(crate) fn apply(exchange: &mut Exchange) {
    let settings = &exchange.location.real_ip;
    if settings.from.is_empty() || exchange.client.neighbour.is_some() {
        return;
    }
    let Some(real) = find(exchange, settings) else { return };
    let facts = ClientFacts::clone(&exchange.client);
    let neighbour = Some(facts.remote);
    exchange.client = Arc::new(ClientFacts { remote: Some(real), neighbour, ..facts });
}

fn find(exchange: &Exchange, settings: &RealIpSettings) -> Option<SocketAddr> {
    let peer = exchange.client.remote.map(|address| address.ip());
    let trusts = |ip: Option<IpAddr>| settings.from.iter().any(|trusted| is_one_of(exchange, trusted, ip));
    let headers = &exchange.request.head.headers;
    match &settings.header {
        RealIpHeader::ForwardedFor => {
            real_address(peer, lines(headers.all("x-forwarded-for")), settings.recursive, trusts)
        }
        RealIpHeader::Line(name) => real_address(peer, headers.first(name).into_iter(), settings.recursive, trusts),
        RealIpHeader::ProxyProtocol => {
            let source = exchange.client.proxy.as_ref()?.source?;
            trusts(peer).then_some(source)
        }
    }
}

/// A header's lines, to be read from the last one on.
fn lines<'h>(lines: impl Iterator<Item = &'h [u8]>) -> std::vec::IntoIter<&'h [u8]> {
    lines.collect::<Vec<_>>().into_iter()
}

fn is_one_of(exchange: &Exchange, trusted: &Trusted, ip: Option<IpAddr>) -> bool {
    match trusted {
        Trusted::Network(network) => network.contains(ip),
        Trusted::Host(name, _) => ip.is_some_and(|ip| {
            let known = exchange.generation.trusted_hosts.get(name);
            known.is_some_and(|known| known.contains(&ip.to_canonical()))
        }),
    }
}
