//! `ip_hash`: clients of one network come to one peer. nginx's hash over the first three octets of an IPv4 address, or over
//! a whole IPv6 address, points at a stretch of the primary peers laid end to end. Where that one can't take the request,
//! the hash goes on from itself; after twenty refusals it is round robin.

use super::Request;
use super::peers::{Group, Slot};
use super::table::{Choose, Table};
use super::walk::Walk;
use std::net::IpAddr;
use std::time::Instant;

/// Where the hash begins, its factor and its modulus: nginx's own numbers.
const SEED: u32 = 89;
const FACTOR: u32 = 113;
const MODULUS: u32 = 6271;

#[derive(Default)]
pub(super) struct IpHash {
    walk: Walk,
}

impl Choose for IpHash {
    fn choose(&mut self, table: &mut Table, group: Group, request: &Request<'_>, _: Instant) -> Option<Slot> {
        let mut hash = SEED;
        self.walk.choose(table, group, request, || {
            hash = add_client(hash, request.client);
            u64::from(hash)
        })
    }

    fn bytes(&self) -> usize {
        self.walk.bytes()
    }

    fn rebuild(&mut self, table: &Table) {
        self.walk.rebuild(&table.peers);
    }
}

fn add_client(hash: u32, client: Option<IpAddr>) -> u32 {
    match client {
        Some(IpAddr::V4(client)) => add(hash, &client.octets()[..3]),
        Some(IpAddr::V6(client)) => add(hash, &client.octets()),
        None => add(hash, &[0; 3]),
    }
}

fn add(hash: u32, octets: &[u8]) -> u32 {
    octets.iter().fold(hash, |hash, octet| (hash * FACTOR + u32::from(*octet)) % MODULUS)
}
