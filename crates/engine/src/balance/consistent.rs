//! `hash key consistent`: requests of one key come to one server, and a server that comes or goes moves only the keys that
//! become its own or were. The points of the servers on the ring are those of nginx (and of Perl's Cache::Memcached::Fast).
//!
//! The ring is one of servers, as their `server` lines name them: among the addresses of one server it is round robin. Where
//! none of them can take the request, the next point on the ring is asked; after twenty of these, or without a key, it is
//! round robin among all.

use super::Request;
use super::crc32::Crc32;
use super::peers::{Group, Peers, Slot};
use super::ring::Ring;
use super::table::{Choose, Table, bytes_of};
use std::collections::HashMap;
use std::time::Instant;

/// How many points may be asked in vain: nginx's number.
const POINTS_MAX: usize = 20;

#[derive(Default)]
pub(super) struct Consistent {
    ring: Ring,
    /// What the ring was made of.
    places: Vec<(Seed, u32)>,
    /// The slots of all servers' peers, one server after the other.
    slots: Vec<u32>,
    /// Where in `slots` each server's begin, and the end.
    starts: Vec<u32>,
}

/// The checksum that all points of a server begin with: over its host, a zero byte and its port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seed(Crc32);

impl Seed {
    /// The seed of a server by its name, which ends with a port or does not.
    pub(super) fn of(name: &str) -> Seed {
        let (host, port) = split(name);
        Seed(Crc32::new().and(host.as_bytes()).and(&[0]).and(port.as_bytes()))
    }

    /// The server's points without end: each is the checksum of the seed and the point before.
    pub(super) fn points(self) -> impl Iterator<Item = u32> {
        std::iter::successors(Some(self.point_after(0)), move |point| Some(self.point_after(*point)))
    }

    fn point_after(self, point: u32) -> u32 {
        self.0.and(&point.to_le_bytes()).value()
    }
}

/// A name's host and port. The port are the digits after the last colon; a unix socket has none.
fn split(name: &str) -> (&str, &str) {
    if let Some((scheme, path)) = name.split_at_checked(5)
        && scheme.eq_ignore_ascii_case("unix:")
    {
        return (path, "");
    }
    match name.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, port),
        _ => (name, ""),
    }
}

impl Consistent {
    fn slots_of(&self, server: usize) -> &[u32] {
        &self.slots[self.starts[server] as usize..self.starts[server + 1] as usize]
    }
}

impl Choose for Consistent {
    fn choose(&mut self, table: &mut Table, group: Group, request: &Request<'_>, _: Instant) -> Option<Slot> {
        if !request.key.is_empty() {
            let start = self.ring.find(Crc32::new().and(request.key).value());
            for index in start..=start + POINTS_MAX {
                let Some(server) = self.ring.server(index) else { break };
                if let Some(slot) = table.round.choose_of(&mut table.peers, self.slots_of(server)) {
                    return Some(slot);
                }
            }
        }
        table.in_turn(group)
    }

    fn bytes(&self) -> usize {
        self.ring.bytes() + bytes_of(&self.places) + bytes_of(&self.slots) + bytes_of(&self.starts)
    }

    fn rebuild(&mut self, table: &Table) {
        let servers = Servers::of(&table.peers);
        self.slots = servers.slots.iter().flatten().copied().collect();
        let mut end = 0;
        self.starts = std::iter::once(0)
            .chain(servers.slots.iter().map(|slots| {
                end += u32::try_from(slots.len()).expect("slots are numbered by 32 bits");
                end
            }))
            .collect();
        // A ring takes milliseconds, and addresses that come and go behind the same servers leave it as it is.
        if self.places != servers.places {
            self.ring = Ring::new(&servers.places);
            self.places = servers.places;
        }
    }
}

/// The servers of the primary peers, in the order of their first peers.
#[derive(Default)]
struct Servers {
    slots: Vec<Vec<u32>>,
    places: Vec<(Seed, u32)>,
}

impl Servers {
    fn of(peers: &Peers) -> Servers {
        let (mut servers, mut by_name) = (Servers::default(), HashMap::new());
        let members = peers.slots().filter(|slot| peers.is_member(*slot));
        for slot in members.filter(|slot| peers.peer(*slot).group() == Group::Primary) {
            let name = &*peers.peer(slot).spec.name;
            let server = *by_name.entry(name).or_insert_with(|| {
                servers.slots.push(Vec::with_capacity(1));
                servers.places.push((Seed::of(name), 0));
                servers.places.len() - 1
            });
            servers.slots[server].push(peers.id(slot).slot);
            // Every address of a server brings the points of its weight, and those of equal number coincide.
            let weight = &mut servers.places[server].1;
            *weight = peers.whole_weight(slot).max(*weight);
        }
        servers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_split_at_its_port() {
        assert_eq!(split("backend:8080"), ("backend", "8080"));
        assert_eq!(split("127.0.0.1"), ("127.0.0.1", ""));
        assert_eq!(split("[::1]:80"), ("[::1]", "80"));
        assert_eq!(split("[::1]"), ("[::1]", ""));
        assert_eq!(split("unix:/run/a.sock"), ("/run/a.sock", ""));
        assert_eq!(split("UNIX:/run/a:1"), ("/run/a:1", ""));
        assert_eq!(split("backend:http"), ("backend:http", ""));
        assert_eq!(split(""), ("", ""));
    }
}
