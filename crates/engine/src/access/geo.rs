//! `geo`: the value that belongs to an address. What the lines say, networks or ranges, is settled when the
//! configuration is read: addresses in order, each stretch with its value, so that a look-up is a binary search.

use super::Network;
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr};

/// A `geo` block's table.
#[derive(Debug, Clone, Default)]
pub struct Geo {
    v4: Stretches,
    v6: Stretches,
    values: Vec<Bytes>,
}

/// Stretches of addresses: from each start to the next one holds one value.
#[derive(Debug, Clone, Default)]
struct Stretches {
    starts: Vec<u128>,
    /// Indices into the values; [`NONE`] is a stretch without one.
    values: Vec<u32>,
}

const NONE: u32 = u32::MAX;

/// What a client that has no address, or none of IPv4 where only such are known, is looked up as (nginx's INADDR_NONE).
const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::BROADCAST);

impl Geo {
    /// The value of an address, empty where there is none. `None` is a client without an IP address.
    pub fn lookup(&self, address: Option<IpAddr>) -> &[u8] {
        let value = match address.unwrap_or(NOWHERE).to_canonical() {
            IpAddr::V4(ip) => self.v4.find(u32::from(ip).into()),
            IpAddr::V6(ip) => self.v6.find(ip.into()),
        };
        self.values.get(value as usize).map_or(b"", |value| value)
    }
}

impl Stretches {
    fn find(&self, address: u128) -> u32 {
        match self.starts.partition_point(|&start| start <= address) {
            0 => NONE,
            after => self.values[after - 1],
        }
    }

    fn push(&mut self, start: u128, value: u32) {
        if self.starts.last() == Some(&start) {
            self.starts.pop();
            self.values.pop();
        }
        if self.values.last().copied().unwrap_or(NONE) != value {
            self.starts.push(start);
            self.values.push(value);
        }
    }
}

/// What became of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Added {
    /// It is new.
    New,
    /// It replaced an equal one, whose value this is. nginx warns.
    Replaced(Bytes),
}

/// A table of networks while it is read: the most specific one wins.
#[derive(Debug, Clone, Default)]
pub struct GeoNetworks {
    networks: HashMap<Network, Bytes>,
}

impl GeoNetworks {
    /// Adds a network.
    pub fn insert(&mut self, network: Network, value: Bytes) -> Added {
        match self.networks.insert(network, value) {
            Some(old) => Added::Replaced(old),
            None => Added::New,
        }
    }

    /// Takes a network away. `false`: it is not there.
    pub fn remove(&mut self, network: &Network) -> bool {
        self.networks.remove(network).is_some()
    }

    /// The finished table.
    pub fn finish(self) -> Geo {
        let (mut values, mut v4, mut v6) = (Values::default(), Vec::new(), Vec::new());
        for (network, value) in &self.networks {
            let value = values.number(value);
            match *network {
                Network::V4(start, bits) => {
                    let end = start | u32::MAX.checked_shr(bits.into()).unwrap_or(0);
                    v4.push((u128::from(start), u128::from(end), value));
                }
                Network::V6(start, bits) => {
                    v6.push((start, start | u128::MAX.checked_shr(bits.into()).unwrap_or(0), value));
                }
                Network::Unix => {}
            }
        }
        Geo { v4: nested(v4), v6: nested(v6), values: values.list }
    }
}

/// Flattens stretches that lie inside each other or apart: the innermost wins.
fn nested(mut all: Vec<(u128, u128, u32)>) -> Stretches {
    all.sort_by_key(|&(start, end, _)| (start, std::cmp::Reverse(end)));
    let mut flat = Stretches::default();
    let mut open: Vec<(u128, u32)> = Vec::new();
    for (start, end, value) in all {
        close_before(&mut flat, &mut open, Some(start));
        flat.push(start, value);
        open.push((end, value));
    }
    close_before(&mut flat, &mut open, None);
    flat
}

/// Ends the open stretches that end before `start`; what is around each goes on behind it.
fn close_before(flat: &mut Stretches, open: &mut Vec<(u128, u32)>, start: Option<u128>) {
    while let Some(&(end, _)) = open.last()
        && start.is_none_or(|start| end < start)
    {
        open.pop();
        let around = open.last().map_or(NONE, |&(_, value)| value);
        if let Some(next) = end.checked_add(1) {
            flat.push(next, around);
        }
    }
}

/// The values of a table, each once.
#[derive(Debug, Default)]
struct Values {
    list: Vec<Bytes>,
    numbers: HashMap<Bytes, u32>,
}

impl Values {
    fn number(&mut self, value: &Bytes) -> u32 {
        *self.numbers.entry(value.clone()).or_insert_with(|| {
            self.list.push(value.clone());
            u32::try_from(self.list.len() - 1).expect("a configuration has fewer values than that")
        })
    }
}

/// A table of IPv4 ranges while it is read (`ranges`). As in nginx a range is held as one piece per 65,536 addresses,
/// and whether ranges overlap is decided piece by piece.
#[derive(Debug, Clone, Default)]
pub struct GeoRanges {
    /// By the first address of each piece: its last one, and the value.
    pieces: BTreeMap<u32, (u32, Bytes)>,
    default: Option<Bytes>,
}

/// A range overlaps another one in part. nginx: `range "…" overlaps "…"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RangeError {
    /// The first address of the piece that is there already.
    pub start: Ipv4Addr,
    /// Its last address.
    pub end: Ipv4Addr,
}

/// Reads `192.0.2.1-192.0.2.9`.
pub fn parse_range(text: &str) -> Option<(Ipv4Addr, Ipv4Addr)> {
    let (start, end) = text.split_once('-')?;
    let one = |text: &str| text.parse::<Ipv4Addr>().ok().filter(|ip| !ip.is_broadcast() || text == "255.255.255.255");
    let (start, end) = (one(start)?, one(end)?);
    (start <= end).then_some((start, end))
}

impl GeoRanges {
    /// Sets the value of all other addresses.
    pub fn set_default(&mut self, value: Bytes) -> Added {
        match self.default.replace(value) {
            Some(old) => Added::Replaced(old),
            None => Added::New,
        }
    }

    /// Adds a range, which may lie inside one that is there.
    ///
    /// # Errors
    /// Where it overlaps one in part.
    pub fn insert(&mut self, start: Ipv4Addr, end: Ipv4Addr, value: &Bytes) -> Result<Added, RangeError> {
        let mut added = Added::New;
        for (start, end) in pieces(start.into(), end.into()) {
            if let Added::Replaced(old) = self.insert_piece(start, end, value.clone())? {
                added = Added::Replaced(old);
            }
        }
        Ok(added)
    }

    fn insert_piece(&mut self, start: u32, end: u32, value: Bytes) -> Result<Added, RangeError> {
        let found = self.pieces.range(..=end).next_back().filter(|(_, (last, _))| *last >= start);
        let Some((first, (last, around))) = found.map(|(first, (last, around))| (*first, (*last, around.clone())))
        else {
            self.pieces.insert(start, (end, value));
            return Ok(Added::New);
        };
        if (first, last) == (start, end) {
            self.pieces.insert(start, (end, value));
            return Ok(Added::Replaced(around));
        }
        if start < first || end > last {
            return Err(RangeError { start: first.into(), end: last.into() });
        }
        if first < start {
            self.pieces.insert(first, (start - 1, around.clone()));
        }
        self.pieces.insert(start, (end, value));
        if end < last {
            self.pieces.insert(end + 1, (last, around));
        }
        Ok(Added::New)
    }

    /// Takes a range away. `false`: it is not there as a whole.
    pub fn remove(&mut self, start: Ipv4Addr, end: Ipv4Addr) -> bool {
        let mut whole = true;
        for (start, end) in pieces(start.into(), end.into()) {
            match self.pieces.get(&start) {
                Some((last, _)) if *last == end => {
                    self.pieces.remove(&start);
                }
                _ => whole = false,
            }
        }
        whole
    }

    /// The finished table.
    pub fn finish(self) -> Geo {
        let mut values = Values::default();
        let default = self.default.as_ref().map_or(NONE, |value| values.number(value));
        let mut v4 = Stretches::default();
        v4.push(0, default);
        for (start, (end, value)) in &self.pieces {
            v4.push(u128::from(*start), values.number(value));
            v4.push(u128::from(*end) + 1, default);
        }
        // Other addresses are looked up as the last one of IPv4.
        let elsewhere = v4.find(u32::MAX.into());
        let v6 = Stretches { starts: vec![0], values: vec![elsewhere] };
        Geo { v4, v6, values: values.list }
    }
}

/// A range cut at each 65,536th address.
fn pieces(start: u32, end: u32) -> impl Iterator<Item = (u32, u32)> {
    let mut next = Some(start);
    std::iter::from_fn(move || {
        let from = next.filter(|&from| from <= end)?;
        let to = (from | 0xffff).min(end);
        next = to.checked_add(1);
        Some((from, to))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    fn ip(text: &str) -> Ipv4Addr {
        text.parse().expect("an address")
    }

    fn find<'a>(geo: &'a Geo, text: &str) -> &'a str {
        str::from_utf8(geo.lookup(Some(text.parse().expect("an address")))).expect("text")
    }

    fn network(text: &str) -> Network {
        Network::parse(text).expect("a network").0
    }

    #[test]
    fn the_most_specific_network_wins() {
        let mut networks = GeoNetworks::default();
        for (text, value) in [
            ("0.0.0.0/0", "all"),
            ("10.0.0.0/8", "ten"),
            ("10.1.0.0/16", "one"),
            ("10.1.2.3/32", "host"),
            ("255.255.255.255", "last"),
            ("::/0", "six"),
            ("2001:db8::/32", "doc"),
        ] {
            assert_eq!(networks.insert(network(text), bytes(value)), Added::New);
        }
        let geo = networks.finish();
        for (address, value) in [
            ("9.255.255.255", "all"),
            ("10.0.0.0", "ten"),
            ("10.1.0.0", "one"),
            ("10.1.2.3", "host"),
            ("10.1.2.4", "one"),
            ("10.2.0.0", "ten"),
            ("11.0.0.0", "all"),
            ("255.255.255.255", "last"),
            ("::ffff:10.1.2.3", "host"),
            ("::1", "six"),
            ("2001:db8::1", "doc"),
            ("2001:db9::", "six"),
        ] {
            assert_eq!(find(&geo, address), value, "{address}");
        }
        assert_eq!(geo.lookup(None), b"last", "a client without an address is the last one");
    }

    #[test]
    fn equal_networks_replace_each_other_and_can_be_removed() {
        let mut networks = GeoNetworks::default();
        networks.insert(network("10.0.0.0/8"), bytes("a"));
        assert_eq!(networks.insert(network("10.0.0.0/8"), bytes("b")), Added::Replaced(bytes("a")));
        assert!(networks.remove(&network("10.0.0.0/8")));
        assert!(!networks.remove(&network("10.0.0.0/8")));
        assert_eq!(find(&networks.finish(), "10.0.0.1"), "");
    }

    #[test]
    fn a_range_may_lie_inside_another_but_not_across_its_end() {
        let mut ranges = GeoRanges::default();
        ranges.set_default(bytes("d"));
        let mut add = |start: &str, end: &str, value| ranges.insert(ip(start), ip(end), &bytes(value));
        assert_eq!(add("10.0.0.0", "10.0.0.255", "a"), Ok(Added::New));
        assert_eq!(add("10.0.0.16", "10.0.0.31", "b"), Ok(Added::New));
        assert_eq!(add("10.0.0.16", "10.0.0.31", "c"), Ok(Added::Replaced(bytes("b"))));
        let overlap = RangeError { start: ip("10.0.0.32"), end: ip("10.0.0.255") };
        assert_eq!(add("10.0.0.250", "10.0.1.5", "x"), Err(overlap));
        assert_eq!(add("11.0.0.0", "11.255.255.255", "e"), Ok(Added::New));
        assert!(!ranges.remove(ip("10.0.0.0"), ip("10.0.0.255")));
        let geo = ranges.finish();
        for (address, value) in [
            ("9.9.9.9", "d"),
            ("10.0.0.15", "a"),
            ("10.0.0.16", "c"),
            ("10.0.0.31", "c"),
            ("10.0.0.32", "a"),
            ("10.0.1.0", "d"),
            ("11.128.0.0", "e"),
            ("12.0.0.0", "d"),
            ("::1", "d"),
        ] {
            assert_eq!(find(&geo, address), value, "{address}");
        }
    }

    #[test]
    fn a_range_is_two_addresses_in_order() {
        assert_eq!(parse_range("1.2.3.4-1.2.3.5"), Some((ip("1.2.3.4"), ip("1.2.3.5"))));
        for bad in ["1.2.3.4", "1.2.3.5-1.2.3.4", "-", "1.2.3.4-", "a-b", "::1-::2"] {
            assert_eq!(parse_range(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_table_finds_what_asking_every_network_finds(
            lines in prop::collection::vec((any::<u8>(), 24_u8..=32), 0..20),
            asked in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let mut networks = GeoNetworks::default();
            let mut all = Vec::new();
            for (last, bits) in lines {
                let network = network(&format!("10.0.0.{last}/{bits}"));
                networks.insert(network, Bytes::from(network.to_string()));
                all.push((bits, network));
            }
            all.sort_by_key(|&(bits, _)| std::cmp::Reverse(bits));
            let geo = networks.finish();
            for last in asked {
                let ip = IpAddr::from([10, 0, 0, last]);
                let expected = all.iter().find(|(_, network)| network.contains(Some(ip)));
                let expected = expected.map(|(_, network)| network.to_string()).unwrap_or_default();
                prop_assert_eq!(geo.lookup(Some(ip)), expected.as_bytes());
            }
        }
    }
}
